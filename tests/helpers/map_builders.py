"""A small committed map for tests: features, embedding and tiles, behind a transport that needs no service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from featurescape_jobs import tiles
from featurescape_jobs.artifacts import ArtifactRef
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import TilesSpec
from helpers.artifact_builders import (
    EMBEDDING_ID,
    TILES_ID,
    Examples,
    commit,
    commit_embedding,
    commit_features,
    make_manifest,
    tiles_context,
    write_table,
)
from helpers.storage_transport import StorageTransport


def commit_map(
    root: Path, examples: Examples, rows: Sequence[int] | None = None
) -> StorageTransport:
    """A map of the examples in this order, of features files with 100 of them each."""
    storage = Storage(str(root))
    commit_features(storage, examples, file_rows=100)
    commit_embedding(storage, examples, None if rows is None else np.array(rows))
    context = tiles_context(storage)
    outcome = tiles.run(
        TilesSpec(embedding=EMBEDDING_ID, color_layers=("density",), names=False), context
    )
    inputs = {"embedding": EMBEDDING_ID}
    details = outcome.details
    manifest = make_manifest(TILES_ID, context.files, outcome.rows, details=details, inputs=inputs)
    commit(storage, manifest)
    return StorageTransport(storage)


def add_file(storage: Storage, job_id: str, table: pa.Table, kind: str) -> ArtifactRef:
    """One more table of an artifact that is committed."""
    manifest = StorageTransport(storage).artifact(job_id).manifest
    ref = write_table(storage, job_id, f"{kind}.parquet", table, kind)
    commit(storage, manifest.model_copy(update={"files": [*manifest.files, ref]}))
    return ref
