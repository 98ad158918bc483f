"""Attributes that other jobs found out, joined to the examples of a map by id.

An attribute that is called as an earlier one takes its place. Points that are states of an example get what is
known of the example. Memory: the joined columns and the JSON of all examples.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from featurescape_jobs.artifacts import AttributeInfo, AttributeTable
from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.errors import ArtifactError, SpecError
from featurescape_jobs.tiling.inputs import MapInputs

_NAMED = 5
_BATCH_ROWS = 1 << 16
_STATE = r"#\d+$"


@dataclass(frozen=True)
class Source:
    """An artifact with attributes of examples."""

    artifact: InputArtifact
    table: AttributeTable
    field: str
    """Of the spec, that names its job."""
    of_points: bool = False
    """Whether its rows are the points of the map, which may be states, and not their examples."""

    @classmethod
    def of(cls, artifact: InputArtifact, field: str) -> Source:
        """The attributes that an artifact says it has; raises `SpecError` where it has none."""
        table, job_id = artifact.manifest.attribute_table, artifact.manifest.job_id
        if table is None or not table.columns:
            raise SpecError(
                f"{field}: {job_id} has no attributes of examples; name a job whose details say some "
                "(features, captions, predictions)",
                field=field,
            )
        return cls(artifact, table, field)

    def rows(self) -> pa.Table:
        """The ids, and the columns of the attributes, or their JSON; raises `ArtifactError`."""
        refs = self.artifact.manifest.of_kind(self.table.kind)
        names = [info.name for info in self.table.columns]
        parts = []
        for ref in refs:
            path = self.artifact.path(ref)
            with self.artifact.storage.parquet(path) as file:
                there = file.schema_arrow.names
                columns = names if set(names) <= set(there) else ["attributes"]
                if not {"example_id", *columns} <= set(there):
                    missing = ", ".join(sorted({"example_id", *names} - set(there)))
                    raise ArtifactError(f"{path} has no column {missing[:200]}", path=path)
                parts.append(file.read(columns=["example_id", *columns]))
        if not parts:
            raise ArtifactError(f"{self.artifact.manifest.job_id} has no {self.table.kind} files")
        return pa.concat_tables(parts)


@dataclass(frozen=True)
class Joined:
    """Inputs of a map with the attributes of other jobs."""

    inputs: MapInputs
    reports: list[dict[str, Any]]
    """Of each job: ``job``, ``attributes``; ``examples`` without a row, ``rows`` without an example, the first ids
    of each (``first_examples``, ``first_rows``)."""


def join(inputs: MapInputs, sources: Sequence[Source]) -> Joined:
    """The inputs with the attributes of the sources, one after the other.

    Raises:
        SpecError: a source has none of the map's examples.
        ArtifactError: a source has other columns than it says, or an example twice.
    """
    reports = []
    for source in sources:
        inputs, report = _join(inputs, source)
        reports.append(report)
    return Joined(inputs, reports)


def _join(inputs: MapInputs, source: Source) -> tuple[MapInputs, dict[str, Any]]:
    rows = source.rows()
    job_id = source.artifact.manifest.job_id
    ids = rows["example_id"].combine_chunks()
    if pc.count_distinct(ids).as_py() != len(ids):
        raise ArtifactError(f"{job_id} names an example twice", job_id=job_id)
    wanted = inputs.example_ids
    if inputs.states is not None and not source.of_points:
        wanted = pc.replace_substring_regex(wanted, pattern=_STATE, replacement="")
    places = pc.index_in(wanted, value_set=ids)
    if places.null_count == len(wanted):
        raise SpecError(
            f"{source.field}: {job_id} says nothing of the map's examples; name a job of the dataset that "
            "the features are of",
            field=source.field,
        )
    infos = source.table.columns
    known = with_attributes(
        inputs.attributes, rows.drop_columns(["example_id"]).take(places), infos
    )
    names = {info.name for info in infos}
    kept = (info for info in inputs.infos if info.name not in names)
    report = {
        "job": job_id,
        "attributes": [info.name for info in infos],
        **_unmatched(wanted, ids, places),
    }
    return replace(inputs, attributes=known, infos=(*kept, *infos)), report


def _unmatched(wanted: pa.ChunkedArray, ids: pa.Array, places: pa.ChunkedArray) -> dict[str, Any]:
    """How many examples have no row, and rows no example, with the first ids of each."""
    alone = wanted.filter(pc.is_null(places))
    met = np.zeros(len(ids), dtype=bool)
    met[places.drop_null().to_numpy()] = True
    left = ids.filter(pa.array(~met))
    return {
        "examples": len(alone),
        "first_examples": alone.slice(0, _NAMED).to_pylist(),
        "rows": len(left),
        "first_rows": left.slice(0, _NAMED).to_pylist(),
    }


def with_attributes(
    attributes: pa.ChunkedArray, rows: pa.Table, infos: Sequence[AttributeInfo]
) -> pa.ChunkedArray:
    """The attributes (N,) with those of N rows, which are columns or JSON; nulls are left out."""
    names = [info.name for info in infos]
    is_json = rows.column_names != names
    parts = []
    for start in range(0, len(attributes), _BATCH_ROWS):
        texts = attributes.slice(start, _BATCH_ROWS).to_pylist()
        said = rows.slice(start, _BATCH_ROWS)
        if is_json:
            found = (json.loads(text or "{}") for text in said["attributes"].to_pylist())
            values = [{name: each.get(name) for name in names} for each in found]
        else:
            values = said.to_pylist()
        merged = [_with(text, more) for text, more in zip(texts, values, strict=True)]
        parts.append(pa.array(merged, pa.string()))
    return pa.chunked_array(parts, pa.string())


def _with(text: str | None, more: dict[str, Any]) -> str | None:
    found = {name: plain for name, value in more.items() if (plain := _plain(value)) is not None}
    if not found:
        return text
    known = {**json.loads(text or "{}"), **found}
    return json.dumps(known, ensure_ascii=False)  # so that a search finds other letters than ASCII


def _plain(value: object) -> str | int | float | None:
    """A value as JSON has it; None for what is no number, time, category or text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, int | str) else None
