"""Examples that are placed in an earlier embedding lie among those that are like them; nothing else moves."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs import embedding
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from featurescape_jobs.layouts import bulk_placement
from featurescape_jobs.layouts.placement import KnownLayout
from featurescape_jobs.layouts.transform import Reference
from featurescape_jobs.layouts.vectors import ExampleVectors, vectors_at
from featurescape_jobs.specs import EmbeddingSpec
from featurescape_jobs.tables import LayerColumn
from helpers.artifact_builders import (
    FEATURES_ID,
    commit,
    commit_features,
    make_manifest,
    random_examples,
)

KNOWN, PLACED = "embedding-00000000000a", "embedding-00000000000b"


def features(n: int, seed: int, dimensions: int = 12) -> np.ndarray:
    """Four groups, one after the other; the same whatever the seed."""
    centers = np.random.default_rng(0).normal(scale=8, size=(4, 12))[:, :dimensions]
    return (
        centers[np.arange(n) % 4] + np.random.default_rng(seed).normal(size=(n, dimensions))
    ).astype("f4")


def run(
    storage: Storage, job_id: str, of: np.ndarray, **options: Any
) -> tuple[Outcome, RunContext]:
    """Embed features, which take the place of those before."""
    examples = random_examples(len(of))
    examples.features = of
    commit_features(storage, examples)
    spec = EmbeddingSpec(features=FEATURES_ID, iterations=100, **options)
    named = {"features": spec.features, "placed_in": spec.placed_in}
    context = RunContext(
        storage, job_id, 1, spec.seed, {name: job for name, job in named.items() if job}
    )
    return embedding.run(spec, context), context


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """With an embedding of 240 examples."""
    made = Storage(str(tmp_path))
    commit_known(made)
    return made


def commit_known(storage: Storage, **options: Any) -> None:
    outcome, context = run(storage, KNOWN, features(240, 1), **options)
    spec = EmbeddingSpec(features=FEATURES_ID, **options).model_dump(mode="json")
    commit(storage, make_manifest(KNOWN, context.files, 240, details=outcome.details, spec=spec))


def positions(storage: Storage, job_id: str) -> np.ndarray:
    table: pa.Table = storage.read_table(f"jobs/{job_id}/data/embedding.parquet")
    return np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)


@pytest.mark.parametrize("components", [2, 8, None])
def test_new_examples_lie_in_their_groups(tmp_path: Path, components: int | None) -> None:
    storage = Storage(str(tmp_path))
    commit_known(storage, pca_components=components)
    outcome, _ = run(storage, PLACED, features(40, 2), placed_in=KNOWN)
    known, new = positions(storage, KNOWN), positions(storage, PLACED)
    nearest = np.linalg.norm(new[:, None] - known[None], axis=2).argmin(axis=1)
    assert (nearest % 4).tolist() == [row % 4 for row in range(40)]
    assert outcome.details["method"] == "placement"
    assert outcome.rows == 40


def test_the_details_say_how_well_they_lie(storage: Storage) -> None:
    outcome, context = run(storage, PLACED, features(40, 2), placed_in=KNOWN)
    said = outcome.details["placed_in"]
    assert {name: said[name] for name in ("job", "known_examples", "k")} == {
        "job": KNOWN,
        "known_examples": 240,
        "k": 10,
    }
    assert (
        said["neighbors_kept_fraction"] > 0.2
    )  # chance is 10 / 240, and in the right group 10 / 60
    assert {file.kind for file in context.files} == {"embedding", "neighbors"}


def test_places_that_are_mixed_up_are_worse() -> None:
    known = KnownLayout(KNOWN, Reference(features(240, 1, 2), features(240, 1, 2)), None)
    new = features(40, 2, 2)
    assert known.kept_fraction(new, new, seed=0) == (1.0, 10)
    mixed, _ = known.kept_fraction(new, np.roll(new, 1, axis=0), seed=0)
    assert mixed == 0


def test_a_position_does_not_depend_on_what_else_is_placed(storage: Storage) -> None:
    run(storage, PLACED, features(40, 2), placed_in=KNOWN)
    all_of_them = positions(storage, PLACED)
    run(storage, PLACED, features(40, 2)[:9], placed_in=KNOWN)
    assert positions(storage, PLACED) == pytest.approx(all_of_them[:9], abs=1e-3)


@pytest.mark.parametrize("search", ["exact", "approximate"])
def test_positions_are_the_same_whatever_the_shards(
    storage: Storage, search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, _ = run(storage, PLACED, features(200, 2), placed_in=KNOWN, neighbors=search)
    whole = positions(storage, PLACED)
    monkeypatch.setattr(bulk_placement, "default_shard_size", lambda n: 33)
    again, context = run(storage, PLACED, features(200, 2), placed_in=KNOWN, neighbors=search)

    assert outcome.details["placed_in"]["shards"] == 4  # of 64 examples
    assert again.details["placed_in"]["shards"] == 7
    assert positions(storage, PLACED) == pytest.approx(whole, abs=1e-3)
    assert np.ptp(whole) > 1
    # What only the job itself reads is gone.
    assert storage.list_files(context.path("work")) == []


def test_the_recall_of_an_approximate_search_is_said(storage: Storage) -> None:
    exact, _ = run(storage, PLACED, features(200, 2), placed_in=KNOWN)
    assert exact.details["placed_in"]["search"] == {
        "method": "exact",
        "recall": 1.0,
        "k": 15,
        "examples": 200,
    }
    found, _ = run(storage, PLACED, features(200, 2), placed_in=KNOWN, neighbors="approximate")
    said = found.details["placed_in"]["search"]
    assert (said["method"], said["k"], said["examples"]) == ("approximate", 15, 200)
    assert said["recall"] > 0.9


def test_an_index_that_looks_into_two_cells_has_less_recall() -> None:
    cloud = np.random.default_rng(1).normal(size=(5000, 12)).astype("f4")
    known = KnownLayout(KNOWN, Reference(cloud, cloud[:, :2]), None)
    index = known.reference.index("approximate")
    index.prepare(known.reference.k)
    copied = known.reference.index("approximate")
    cells = index.cells()
    assert cells is not None
    copied.take_cells(cells, known.reference.k)
    new = np.random.default_rng(2).normal(size=(100, 12)).astype("f4")
    recall = known.recall(index, new, seed=0).recall
    assert known.recall(copied, new, seed=0).recall == recall
    copied._index.nprobe = 2
    assert known.recall(copied, new, seed=0).recall < recall - 0.1


def test_vectors_are_found_where_their_locators_say(storage: Storage) -> None:
    context = RunContext(storage, PLACED, 1, 0, {"features": FEATURES_ID})
    column = LayerColumn("features", "features", "features", 12)
    vectors = ExampleVectors(context.input("features"), column)
    locators = vectors.locators().to_pylist()
    all_of_them = np.concatenate(list(vectors.blocks()))
    some = [5, 3, 200, 3]
    taken = vectors_at(context.input("features"), column, [locators[row] for row in some])
    assert np.array_equal(taken, all_of_them[some])


def test_features_of_another_length_are_refused(storage: Storage) -> None:
    with pytest.raises(SpecError, match="vectors of 12 numbers, and these have 5"):
        run(storage, PLACED, features(40, 2, 5), placed_in=KNOWN)


def test_what_is_no_t_sne_takes_none(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    outcome, context = run(storage, KNOWN, features(6, 1))
    commit(storage, make_manifest(KNOWN, context.files, 6, details=outcome.details))
    with pytest.raises(SpecError, match="laid out by PCA; name an embedding by t-SNE"):
        run(storage, PLACED, features(40, 2), placed_in=KNOWN)


def test_it_goes_with_no_other_place() -> None:
    with pytest.raises(ValueError, match="leave out coordinates"):
        EmbeddingSpec(features=FEATURES_ID, coordinates=("x", "y"), placed_in=KNOWN)
    with pytest.raises(ValueError, match="leave out aligned_to"):
        EmbeddingSpec(features=FEATURES_ID, aligned_to=PLACED, placed_in=KNOWN)
