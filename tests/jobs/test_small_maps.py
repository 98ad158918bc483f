"""Maps of one to 91 examples: laid out, measured and drawn like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurescape_jobs import embedding, tiles
from featurescape_jobs.artifacts import MapInfo, job_dir
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.density import decode_counts
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from featurescape_jobs.run import _commit
from featurescape_jobs.specs import parse_spec
from featurescape_jobs.tiling.archive import ArchiveReader
from helpers.artifact_builders import (
    EMBEDDING_ID,
    FEATURES_ID,
    TILES_ID,
    Examples,
    commit_features,
    random_examples,
)

NEIGHBORS = 12
"""That a map keeps of each example."""
MODULES: dict[str, Any] = {"embedding": embedding, "tiles": tiles}


def run_job(root: Path, job_id: str, **fields: Any) -> tuple[Outcome, RunContext]:
    """Run and commit a job."""
    spec = parse_spec({"job": job_id.partition("-")[0], **fields})
    inputs = {name: fields[name] for name in ("features", "embedding") if name in fields}
    context = RunContext(Storage(str(root)), job_id, 1, spec.seed, inputs)
    outcome = MODULES[spec.job].run(spec, context)
    assert _commit(spec, context, outcome) is not None
    return outcome, context


def commit_examples(root: Path, n: int, equal: bool = False) -> Examples:
    examples = random_examples(n, n_classes=2)
    if equal:
        examples.features[:] = examples.features[0]
    commit_features(Storage(str(root)), examples)
    return examples


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 40, 91])
def test_a_folder_of_any_size_becomes_a_map(tmp_path: Path, n: int, equal: bool) -> None:
    examples = commit_examples(tmp_path, n, equal)
    laid_out, context = run_job(tmp_path, EMBEDDING_ID, features=FEATURES_ID)
    assert laid_out.rows == n
    perplexity = None if equal else {8: 7 / 3, 40: 13, 91: 30}.get(n)
    assert laid_out.details["method"] == ("PCA" if perplexity is None else "t-SNE")
    assert laid_out.details["perplexity"] == perplexity
    near = context.storage.read_table(context.path("data/neighbors.parquet"))
    assert [len(rows) for rows in near["neighbor_rows"].to_pylist()] == [min(n - 1, NEIGHBORS)] * n

    drawn, context = run_job(tmp_path, TILES_ID, embedding=EMBEDDING_ID)
    info = MapInfo.model_validate(drawn.details["map"])
    assert [layer.name for layer in info.layers] == ["density", "category", "thumbnails"]
    assert [layer.drawn[-1] for layer in info.layers] == [n] * 3
    points = context.storage.read_table(context.path("data/points.parquet"))
    assert points["example_id"].to_pylist() == examples.ids
    xy = np.stack([points["x"].to_numpy(), points["y"].to_numpy()], axis=1)
    assert ((xy > 0) & (xy < 1)).all()
    assert len(np.unique(xy.round(3), axis=0)) == n  # every one has a place of its own
    if n == 1:
        assert xy[0] == pytest.approx([0.5, 0.5])
    density = ArchiveReader(context.storage, f"{job_dir(TILES_ID)}/data/density.pmtiles")
    tile = density.get(0, 0, 0)
    assert tile is not None
    assert decode_counts(decode_rgb(tile)).sum() == n


def test_a_perplexity_that_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    commit_examples(tmp_path, 40)
    context = RunContext(Storage(str(tmp_path)), EMBEDDING_ID, 1, 0, {"features": FEATURES_ID})
    spec = parse_spec({"job": "embedding", "features": FEATURES_ID, "perplexity": 14})
    with pytest.raises(SpecError, match="perplexity: 14 is too large for 40 examples; at most 13"):
        embedding.run(spec, context)
    assert context.timings_seconds == {}
    outcome, _ = run_job(tmp_path, EMBEDDING_ID, features=FEATURES_ID, iterations=5)
    assert outcome.details["perplexity"] == 13
