"""Selections as the service freezes them, for the tests of jobs."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs.selected import selected_path


def freeze_selection(storage: Storage, ids: Sequence[str], name: str = "some") -> dict[str, Any]:
    """Keep a selection of these examples; the reference that a dataset has to it."""
    rows = pa.array(range(len(ids)), pa.int64())
    sink = io.BytesIO()
    pq.write_table(pa.table({"row": rows, "example_id": pa.array(ids, pa.string())}), sink)
    sha256 = hashlib.sha256(sink.getvalue()).hexdigest()
    storage.write(selected_path(sha256), sink.getvalue())
    return {"map": "tiles-0123456789ab", "name": name, "sha256": sha256}
