"""The listing of a dataset as one table, made once and kept in storage for the jobs that follow.

``index/<key>.json`` names the table (``index/<key>-<token>.parquet``, columns of `tables.INPUT`), its sha256,
the classes, what was passed over, the checksum of the code, and the stamp of every folder and archive that the
listing was made from. A later job of the same dataset looks at these only; where one differs, or the table is
damaged, it lists anew: other code may join, name or caption otherwise what lies in the same files. The key is
that of dataset, root, split and columns, not of ``limit``, ``example_ids`` or ``selection``. Any of these files
may be deleted at any time.

Memory: the listing as Arrow columns (about 100 bytes an example, and its references), 16 bytes an example
while ids are compared, and the encoded table.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from featurescape_jobs import tables
from featurescape_jobs.artifacts import AttributeInfo, PassedOverFiles, known_fields
from featurescape_jobs.datasets.base import Attributes, Dataset, Entry, Listing
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.tree import tree_at
from featurescape_jobs.engine.code_version import source_sha256
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.engine.remarks import Counted
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, NotFoundError
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.tables.attributes import AttributeTypes

FOLDER = "index"
FORMAT = 6
MIN_EXAMPLES = 1_000
"""Smaller listings are made anew: that is no slower than looking for them."""
_MAX_STAMPS = 500_000
_CHUNK = 65_536
_MAX_EXAMPLES = 50_000_000
_ROW_GROUP_ROWS = 65_536

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Indexed:
    """All examples of a dataset, with the columns of `tables.INPUT`, and its classes."""

    table: pa.Table
    classes: tuple[str, ...]
    reused: bool
    passed_over: PassedOver
    """What the listing found that is no example."""
    labels: str = ""
    """As `Listing.labels`."""
    attributes: tuple[AttributeInfo, ...] = ()
    """Names and types of the attributes that any example has."""
    remarks: Counted = field(default_factory=dict)
    """As `Listing.remarks`."""


@dataclass(frozen=True)
class _IndexRecord:
    """``index/<key>.json``."""

    path: str
    sha256: str
    code: str
    """`source_sha256` of the library that made the listing."""
    classes: list[str]
    stamps: dict[str, str]
    passed_over: dict[str, Any]
    """As the manifest has it."""
    labels: str = ""
    attributes: list[dict[str, Any]] = field(default_factory=list)
    """As `Indexed.attributes`, as records."""
    remarks: Counted = field(default_factory=dict)


def index_dataset(dataset: Dataset, spec: DatasetSpec, storage: Storage) -> Indexed:
    """The listing, from storage where it is kept and still holds, else made and kept.

    Raises:
        DatasetError: the dataset cannot be read, repeats an id, or is too large.
    """
    key = _key(spec)
    found = _find(storage, key, spec)
    if found is not None:
        return found
    listing = dataset.freeze(spec)
    types = AttributeTypes()
    table = _table(listing.entries, types)
    check_unique(table)
    passed_over, infos = _passed_over(listing), types.infos(listing.attributes)
    classes = tuple(listing.classes)
    indexed = Indexed(
        table, classes, False, passed_over, listing.labels, infos, dict(listing.remarks)
    )
    if table.num_rows >= MIN_EXAMPLES:
        _keep(storage, key, listing, indexed, spec.name)
    return indexed


def _passed_over(listing: Listing) -> PassedOver:
    """What the dataset and the source that it lists have counted, which may be one counter."""
    found = PassedOver()
    found.merge(listing.passed_over)
    if listing.source is not None and listing.source.passed_over is not listing.passed_over:
        found.merge(listing.source.passed_over)
    return found


def _key(spec: DatasetSpec) -> str:
    said = spec.model_dump(mode="json", exclude={"limit", "example_ids", "selection"})
    body = json.dumps([FORMAT, said, spec.allowed_roots], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:32]


# -- kept and found ----------------------------------------------------------------------------


def _find(storage: Storage, key: str, spec: DatasetSpec) -> Indexed | None:
    """What is kept under the key, if it still holds. Whatever is wrong with it, the answer is None."""
    if spec.root is None or not storage.exists(f"{FOLDER}/{key}.json"):
        return None
    try:
        kept = _IndexRecord(
            **known_fields(_IndexRecord, json.loads(storage.read(f"{FOLDER}/{key}.json")))
        )
        if kept.code != source_sha256(frozenset({spec.name})) or not _holds(spec.root, kept.stamps):
            return None
        if storage.sha256(kept.path) != kept.sha256:
            log.warning("%s is damaged; the dataset is listed anew", kept.path)
            return None
        table = storage.read_table(kept.path)
        passed_over = PassedOver.from_record(PassedOverFiles.model_validate(kept.passed_over))
        infos = tuple(map(AttributeInfo.model_validate, kept.attributes))
    except (NotFoundError, OSError, ValueError, TypeError, pa.ArrowException) as error:
        log.warning("the index %s cannot be read, the dataset is listed anew: %s", key, error)
        return None
    classes = tuple(kept.classes)
    return Indexed(table, classes, True, passed_over, kept.labels, infos, kept.remarks)


def _holds(root: str, stamps: dict[str, str]) -> bool:
    tree = tree_at(root)
    found = ordered_map(tree.stamp, stamps, tree.threads)
    return all(now == then for now, then in zip(found, stamps.values(), strict=True))


def _keep(storage: Storage, key: str, listing: Listing, indexed: Indexed, dataset: str) -> None:
    """Keep the listing if a change would show. That it cannot be written does not stop the job."""
    source = listing.source
    if source is None or not source.settled or not 0 < len(source.stamps) <= _MAX_STAMPS:
        return
    if "" in source.stamps.values():
        return
    path, name = f"{FOLDER}/{key}-{secrets.token_hex(4)}.parquet", f"{FOLDER}/{key}.json"
    try:
        written = storage.write_table(path, indexed.table, _ROW_GROUP_ROWS)
        passed_over = indexed.passed_over.record().model_dump()
        classes, stamps = list(indexed.classes), dict(source.stamps)
        code = source_sha256(frozenset({dataset}))
        infos = [info.model_dump() for info in indexed.attributes]
        kept = _IndexRecord(
            *(path, written.sha256, code, classes, stamps, passed_over, indexed.labels, infos),
            indexed.remarks,
        )
        storage.write(name, json.dumps(asdict(kept)).encode())
        # Who still reads an earlier one, or has just written one, finds it gone and lists anew.
        for other in storage.list_names(FOLDER):
            if other.startswith(f"{key}-") and f"{FOLDER}/{other}" != path:
                storage.delete(f"{FOLDER}/{other}")
    except OSError as error:
        log.warning("the dataset's listing is not kept for other jobs: %s", error)


# -- made --------------------------------------------------------------------------------------


def _table(entries: Iterator[Entry], types: AttributeTypes) -> pa.Table:
    chunks = []
    while chunk := list(itertools.islice(entries, _CHUNK)):
        ids, locators, labels, sizes, attributes, references = zip(*chunk, strict=True)
        types.add(attributes)
        columns: list[Sequence[Any]] = [
            ids,
            labels,
            locators,
            sizes,
            [_attributes(each) for each in attributes],
            [each or None for each in references],
        ]
        arrays = [pa.array(values, f.type) for values, f in zip(columns, tables.INPUT, strict=True)]
        chunks.append(pa.Table.from_arrays(arrays, schema=tables.INPUT))
        if len(chunks) * _CHUNK > _MAX_EXAMPLES:
            raise DatasetError(
                f"dataset: more than {_MAX_EXAMPLES} examples; give a part of it as the root",
                field="dataset",
            )
    return pa.concat_tables(chunks) if chunks else tables.INPUT.empty_table()


def _attributes(attributes: Attributes | None) -> str | None:
    if not attributes:
        return None
    return json.dumps(dict(attributes), ensure_ascii=False, separators=(",", ":"))


def check_unique(table: pa.Table) -> None:
    """Raise `DatasetError` where two examples have the same id. Holds 16 bytes an example."""
    hashes = np.empty(table.num_rows, np.int64)
    done = 0
    for chunk in table["example_id"].chunks:
        hashes[done : done + len(chunk)] = np.fromiter(
            map(hash, chunk.to_pylist()), np.int64, len(chunk)
        )
        done += len(chunk)
    ordered = np.sort(hashes)
    suspects = ordered[1:][ordered[1:] == ordered[:-1]][:1000]
    if len(suspects) == 0:
        return
    rows = np.flatnonzero(np.isin(hashes, suspects))[:100_000]
    # Two ids may share a hash by chance (once in 10,000 datasets of 50 million examples).
    ids = Counter(table["example_id"].take(pa.array(rows)).to_pylist())
    repeated, times = ids.most_common(1)[0]
    if times > 1:
        raise DatasetError(
            f"dataset: {times} examples have the same id, {repeated[:200]!r}; rename them, or take "
            "the copies out",
            field="dataset",
        )
