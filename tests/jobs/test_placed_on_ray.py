"""New examples placed by workers on Ray lie where this process places them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs import embedding
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import FrozenPhase
from featurescape_jobs.engine.shards import Bulk, PhaseFiles, run_phase
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.layouts import bulk_placement
from featurescape_jobs.specs import EmbeddingSpec
from helpers.artifact_builders import (
    FEATURES_ID,
    commit,
    commit_features,
    make_manifest,
    random_examples,
)

KNOWN, PLACED = "embedding-00000000000a", "embedding-00000000000b"


def embed(
    storage: Storage, job_id: str, ray_address: str | None = None, **options: str
) -> np.ndarray:
    spec = EmbeddingSpec(features=FEATURES_ID, iterations=100, neighbors="approximate", **options)
    inputs = {"features": FEATURES_ID, **options}
    context = RunContext(storage, job_id, 1, spec.seed, inputs, ray_address=ray_address)
    outcome = embedding.run(spec, context)
    if job_id == KNOWN:
        details, said = outcome.details, spec.model_dump(mode="json")
        commit(storage, make_manifest(KNOWN, context.files, 300, details=details, spec=said))
    table = storage.read_table(f"jobs/{job_id}/data/embedding.parquet")
    return np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)


@pytest.mark.ray
def test_workers_place_as_the_driver_does(
    tmp_path: Path, ray_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(str(tmp_path))
    commit_features(storage, random_examples(300))
    embed(storage, KNOWN)
    here = embed(storage, PLACED, placed_in=KNOWN)
    monkeypatch.setattr(bulk_placement, "ON_RAY_FROM", 1)
    addresses = list[str | None]()

    def watched(
        bulk: Bulk, frozen: FrozenPhase, context: RunContext, address: str | None
    ) -> PhaseFiles:
        addresses.append(address)
        return run_phase(bulk, frozen, context, address)

    monkeypatch.setattr(bulk_placement, "run_phase", watched)
    there = embed(storage, PLACED, ray_address, placed_in=KNOWN)

    assert addresses == [ray_address]
    assert there == pytest.approx(here, abs=1e-3)
