"""The frozen input of a bulk job: which examples there are, fixed once, when the job first starts.

Shard k is row group k of ``input/examples.parquet``: a fixed range of examples, whatever the number of
workers or the attempt. Where the listing comes from, and what it takes, is `cached_listing`'s business.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from featurescape_jobs.artifacts import AttributeInfo, PassedOverFiles, job_dir, known_fields
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import DatasetCard
from featurescape_jobs.datasets.cached_listing import Indexed, index_dataset
from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES, FrozenRows, default_shard_size
from featurescape_jobs.engine.remarks import Counted
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, DatasetError, NotFoundError, SpecError
from featurescape_jobs.models.base import EntryCard
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.specs.class_names import named_classes
from featurescape_jobs.specs.selected import SelectionRef
from featurescape_jobs.tables import LABEL

FROZEN = "input/frozen.json"
_SAMPLED_GROUPS = 8


@dataclass(frozen=True)
class FrozenInput(FrozenRows):
    """The examples of a dataset."""

    dataset: DatasetSpec
    """As the job asks for it, with the place that it is read from."""
    sha256: str
    spec_sha256: str
    classes: tuple[str, ...]
    passed_over: PassedOverFiles
    """What the whole dataset's listing found that is no example."""
    labels: str = ""
    """Where the labels are from, as `Listing.labels`."""
    attributes: tuple[AttributeInfo, ...] = ()
    """Names and types of the attributes, over the whole dataset."""
    remarks: Counted = field(default_factory=dict)
    """On examples of the whole dataset that are kept, as `Listing.remarks`."""


def resolve_dataset(spec: DatasetSpec, context: RunContext) -> DatasetSpec:
    """The dataset with the place that it is read from: a job's artifact lies in the storage.

    Raises:
        DatasetError: the root is not allowed, or the dataset takes no such job.
        UnknownNameError: no such dataset.
    """
    card = DATASETS[spec.name].card
    if spec.job is not None:
        check_job(card, spec.job)
        return spec.resolved(f"{context.storage.root}/{job_dir(spec.job)}", context.allowed_roots)
    if spec.root is not None:
        check_root(spec.root, context.allowed_roots, DatasetError, "dataset.root")
    return spec.resolved(spec.root, context.allowed_roots)


def check_job(card: DatasetCard, job_id: str) -> None:
    """Raise `DatasetError` unless the dataset can be read from such a job's artifact."""
    if job_id.partition("-")[0] != card.job:
        takes = f"a `{card.job}` job" if card.job else "no job: give a root"
        raise DatasetError(f"dataset.job: {card.name} takes {takes}", field="dataset.job")


def check_meant_for(spec: DatasetSpec, reads: str, reader: str) -> None:
    """Raise `SpecError` where the dataset does not give what its reader, a job or a model, reads."""
    gives = DATASETS[spec.name].card.gives
    if gives != reads:
        raise SpecError(
            f"dataset: {spec.name} gives {gives}, and {reader} reads {reads}; {_REMEDIES[gives]}",
            field="dataset",
        )


def check_unread(spec: DatasetSpec, gives: str) -> None:
    """Raise `SpecError` where no model is named, and the dataset does not give what needs none."""
    found = DATASETS[spec.name].card.gives
    if found != gives:
        raise SpecError(
            f"model: {spec.name} gives {found}, which a model has to read; name one (without a model only "
            f"{gives} are taken)",
            field="model",
        )


def check_reads(spec: DatasetSpec, card: EntryCard) -> None:
    """Raise `SpecError` where the dataset does not give what the model reads."""
    check_meant_for(spec, card.reads, card.name)


_REMEDIES = {
    "images": "choose a model that reads images, or a dataset that gives what is read",
    "meshes": "render them first with a `renders` job, and name it in dataset.job of shapenet",
    "features": "choose a model that reads features (view_lstm)",
    "texts": "choose a model that reads texts (text_lstm)",
    "vectors": "leave the model out, in a `features` job: the vectors are its features",
}


def freeze(spec: DatasetSpec, context: RunContext, shard_size: int | None = None) -> FrozenInput:
    """Freeze the dataset's listing, or find it frozen by an earlier attempt.

    Args:
        spec: of the dataset.
        context: of the job.
        shard_size: examples per shard; None: by their number.

    Raises:
        DatasetError: the root is not allowed; the dataset is empty, unreadable, or not as asked for.
        UnknownNameError: no such dataset.
        ArtifactError: an earlier attempt froze it for another spec, or the listing is damaged.
    """
    spec_sha256 = hashlib.sha256(f"{spec.model_dump_json()}|{shard_size}".encode()).hexdigest()
    resolved = resolve_dataset(spec, context)
    if context.storage.exists(context.path(FROZEN)):
        frozen = _read(context, resolved)
        _check_frozen(frozen, spec_sha256, context)
        return _named(frozen, context)
    indexed = _renamed(index_dataset(DATASETS[spec.name], resolved, context.storage), spec)
    table = select_examples(indexed.table, spec, context.storage)
    if table.num_rows == 0:
        raise DatasetError("dataset: no examples", field="dataset")
    size = shard_size or default_shard_size(table.num_rows)
    names = {LABEL.name: indexed.classes}
    written = context.storage.write_table(context.path(EXAMPLES), table, size, names)
    frozen = FrozenInput(
        table.num_rows,
        size,
        dataset=resolved,
        sha256=written.sha256,
        spec_sha256=spec_sha256,
        classes=indexed.classes,
        passed_over=indexed.passed_over.record(),
        labels=indexed.labels,
        attributes=indexed.attributes,
        remarks=indexed.remarks,
    )
    _write(frozen, context)
    return _named(frozen, context)


def _renamed(indexed: Indexed, spec: DatasetSpec) -> Indexed:
    """The listing with the names of classes that the spec has; raises `DatasetError` where they do not fit."""
    return replace(indexed, classes=named_classes(indexed.classes, spec.class_names))


def _named(frozen: FrozenInput, context: RunContext) -> FrozenInput:
    """Tell the context what the job's manifest and tables say of the dataset."""
    context.pass_over(frozen.passed_over)
    context.class_names[LABEL.name] = frozen.classes
    return frozen


def _write(frozen: FrozenInput, context: RunContext) -> None:
    """Keep all but the dataset, which is known from the spec."""
    said = {name: value for name, value in vars(frozen).items() if name != "dataset"}
    said["passed_over"] = frozen.passed_over.model_dump()
    said["attributes"] = [info.model_dump() for info in frozen.attributes]
    context.storage.write(context.path(FROZEN), json.dumps(said).encode())


def _check_frozen(frozen: FrozenInput, spec_sha256: str, context: RunContext) -> None:
    """Raise `ArtifactError` unless an earlier attempt froze the same, and it is still there."""
    if frozen.spec_sha256 != spec_sha256:
        raise ArtifactError(f"{context.path(FROZEN)} was frozen for another spec")
    if context.storage.sha256(context.path(EXAMPLES)) != frozen.sha256:
        raise ArtifactError(f"{context.path(EXAMPLES)} is not what was frozen; submit a new job")


def _read(context: RunContext, resolved: DatasetSpec) -> FrozenInput:
    """What an earlier attempt froze."""
    found = json.loads(context.storage.read(context.path(FROZEN)))
    found["classes"] = tuple(found["classes"])
    found["attributes"] = tuple(map(AttributeInfo.model_validate, found.get("attributes", ())))
    found["passed_over"] = PassedOverFiles.model_validate(found.get("passed_over", {}))
    return FrozenInput(**{**known_fields(FrozenInput, found), "dataset": resolved})


def select_examples(table: pa.Table, spec: DatasetSpec, storage: Storage) -> pa.Table:
    """Select the examples of a listing that the spec names, at most as many as it says.

    Args:
        table: the listing.
        spec: of the dataset.
        storage: that has the rows of selections.

    Raises:
        DatasetError: an example that it names is not there, or its selection is not.
    """
    selected = _selected(table, spec.selection, storage)
    return _evenly_subsample(_only(selected, spec.example_ids), spec.limit)


def sample_examples(storage: Storage, path: str, count: int) -> pa.Table:
    """Sample at most ``count`` of the frozen examples, from evenly spread row groups; holds one of them."""
    with storage.parquet(path) as file:
        groups = np.unique(np.linspace(0, file.num_row_groups - 1, _SAMPLED_GROUPS).astype(int))
        of_each = -(-count // len(groups))
        parts = [_evenly_subsample(file.read_row_group(int(group)), of_each) for group in groups]
    return _evenly_subsample(pa.concat_tables(parts), count)


def _selected(table: pa.Table, selection: SelectionRef | None, storage: Storage) -> pa.Table:
    """The rows of the examples of a selection, in its order; those of an example with several points once."""
    if selection is None:
        return table
    field = "dataset.selection"
    try:
        if storage.sha256(selection.path) != selection.sha256:
            raise DatasetError(
                f"{field}: {selection.path} is damaged; save the selection anew", field=field
            )
        ids = storage.read_table(selection.path, ["example_id"])["example_id"].unique()
    except NotFoundError:
        raise DatasetError(
            f"{field}: {selection.name!r} of {selection.map} is not kept any more; save it anew and take "
            "the dataset from there",
            field=field,
        ) from None
    rows = pc.index_in(ids, table["example_id"])
    if rows.null_count:
        missing = ids.filter(pc.is_null(rows))
        raise DatasetError(
            f"{field}: {len(missing)} of its {len(ids)} examples are not in the dataset any more, as "
            f"{missing[0].as_py()[:200]!r}; map the dataset again, and select there",
            field=field,
        )
    return table.take(rows)


def _only(table: pa.Table, example_ids: tuple[str, ...] | None) -> pa.Table:
    """The rows of these examples, in the order of the listing."""
    if example_ids is None:
        return table
    found = table.filter(pc.is_in(table["example_id"], pa.array(example_ids, pa.string())))
    missing = set(example_ids) - set(found["example_id"].to_pylist())
    if missing:
        raise DatasetError(
            f"dataset.example_ids: {len(missing)} of {len(example_ids)} are not in the dataset, as "
            f"{min(missing)[:200]!r}",
            field="dataset.example_ids",
        )
    return found


def _evenly_subsample(table: pa.Table, limit: int | None) -> pa.Table:
    """At most ``limit`` rows, evenly over the listing, so that every class keeps its share."""
    if limit is None or limit >= table.num_rows:
        return table
    rows = np.linspace(0, table.num_rows, limit, endpoint=False).astype(np.int64)
    return table.take(pa.array(rows))
