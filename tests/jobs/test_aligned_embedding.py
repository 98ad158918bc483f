"""An embedding that is aligned to an earlier one lies as that one does, and says what changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs import embedding
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import EmbeddingSpec
from helpers.artifact_builders import (
    FEATURES_ID,
    commit,
    commit_features,
    make_manifest,
    random_examples,
    write_table,
)

FIRST, SECOND = "embedding-00000000000a", "embedding-00000000000b"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """With features of four groups, one after the other."""
    made = Storage(str(tmp_path))
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=8, size=(4, 12))
    examples = random_examples(240)
    examples.features = (centers[np.arange(240) % 4] + rng.normal(size=(240, 12))).astype("f4")
    commit_features(made, examples)
    return made


def embed(storage: Storage, job_id: str, **options: Any) -> tuple[Outcome, RunContext]:
    spec = EmbeddingSpec(features=FEATURES_ID, iterations=100, **options)
    named = {"features": spec.features, "aligned_to": spec.aligned_to}
    inputs = {name: job for name, job in named.items() if job}
    context = RunContext(storage, job_id, 1, spec.seed, inputs)
    return embedding.run(spec, context), context


def table(storage: Storage, job_id: str, name: str = "embedding") -> pa.Table:
    return storage.read_table(f"jobs/{job_id}/data/{name}.parquet")


def commit_first(storage: Storage, **columns: str) -> None:
    """Commit an embedding; of some of its columns with the values of others."""
    embed(storage, FIRST)
    found, near = table(storage, FIRST), table(storage, FIRST, "neighbors")
    values = [found[columns.get(name, name)] for name in found.column_names]
    changed = pa.table(values, names=found.column_names)
    files = [
        write_table(storage, FIRST, "embedding.parquet", changed, "embedding"),
        write_table(storage, FIRST, "neighbors.parquet", near, "neighbors"),
    ]
    commit(storage, make_manifest(FIRST, files, 240))


def nearest_groups(storage: Storage) -> list[int]:
    """For each group of the first layout, the group of the second that is nearest to its place."""
    centers = []
    for job_id in (FIRST, SECOND):
        found = table(storage, job_id)
        xy = np.stack([found["x"].to_numpy(), found["y"].to_numpy()], axis=1)
        xy = xy / np.abs(xy).max()
        centers.append(np.stack([xy[place::4].mean(axis=0) for place in range(4)]))
    apart = np.linalg.norm(centers[0][:, None] - centers[1][None], axis=2)
    return [int(group) for group in apart.argmin(axis=1)]


def test_groups_lie_where_they_lay(storage: Storage) -> None:
    commit_first(storage, x="y", y="x")  # as no start by PCA would have it
    embed(storage, SECOND, aligned_to=FIRST, perplexity=15)
    assert nearest_groups(storage) == [0, 1, 2, 3]


def test_alone_they_would_lie_elsewhere(storage: Storage) -> None:
    commit_first(storage, x="y", y="x")
    embed(storage, SECOND, perplexity=15)
    assert nearest_groups(storage) != [0, 1, 2, 3]


def test_equal_features_do_not_drift_and_the_details_say_so(storage: Storage) -> None:
    commit_first(storage)
    outcome, context = embed(storage, SECOND, aligned_to=FIRST)
    assert table(storage, SECOND, "drift")["drift"].unique().to_pylist() == [0.0]
    said = {"job": FIRST, "examples": 240, "new_examples": 0, "mean_drift": 0.0}
    assert outcome.details["aligned_to"] == said
    assert [info["name"] for info in outcome.details["attributes"]["columns"]] == ["drift"]
    assert [file.kind for file in context.files].count("drift") == 1


def test_other_features_drift(storage: Storage) -> None:
    commit_first(storage)
    outcome, _ = embed(storage, SECOND, aligned_to=FIRST, pca_components=2)
    assert 0.05 < outcome.details["aligned_to"]["mean_drift"] < 1


def test_an_embedding_of_other_examples_is_refused(storage: Storage) -> None:
    embed(storage, FIRST)
    found, near = table(storage, FIRST), table(storage, FIRST, "neighbors")
    strangers = pa.array(
        [f"other-{row}" for row in range(238)] + found["example_id"][:2].to_pylist()
    )
    files = [
        write_table(
            storage,
            FIRST,
            "embedding.parquet",
            found.set_column(0, "example_id", strangers),
            "embedding",
        ),
        write_table(storage, FIRST, "neighbors.parquet", near, "neighbors"),
    ]
    commit(storage, make_manifest(FIRST, files, 240))
    with pytest.raises(SpecError, match=r"aligned_to: .* has 2 of these 240 examples"):
        embed(storage, SECOND, aligned_to=FIRST)


def test_coordinates_are_not_turned() -> None:
    with pytest.raises(ValueError, match="coordinates stay where they are"):
        EmbeddingSpec(features=FEATURES_ID, coordinates=("x", "y"), aligned_to=FIRST)
