"""Vectors as a map is given them: a file with the columns to be read, or a table or array in memory.

What is in memory is written as Parquet, once, where client and service both see it. The name of the file is the
checksum of its content: the same table is the same file, and what was made of it is made of it again.
``pyarrow`` is loaded where a table is written.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from featurescape.data_home import data_home
from featurescape.dataset_at import dataset_at
from featurescape.reach import is_local
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

if TYPE_CHECKING:
    import pyarrow as pa

Given = str | Path | DatasetSpec | Mapping[str, Any]
"""What names a dataset."""
VECTORS = "vectors"
"""The dataset."""
_ROW_GROUP_ROWS = 8192
_ROWS_FIELDS = ("ids", "labels")
_UNNAMED_INDEX = "__index_level_0__"


class VectorFields(TypedDict, total=False):
    """Facts about vectors: options of the dataset `vectors`, and what belongs to a table."""

    vector_column: str | Sequence[str]
    """Column of the vectors; or one a component, as ``x_*`` or by their names."""
    id_column: str
    """Column of the ids."""
    label_column: str
    """Column of the labels."""
    image_column: str
    """Column of the images: bytes, paths, or {bytes, path}."""
    text_column: str
    """Column of the text that each vector is of."""
    zero_vectors: Literal["keep", "error"]
    """Whether a vector of zeros is one like any other, or an error row."""
    ids: Sequence[Any]
    """Of an array or a table: an id a row."""
    labels: Sequence[Any]
    """Of an array or a table: a label a row; None: it has none."""
    folder: str | Path
    """Where a table is written: a folder that the service reads, or ``s3://bucket/prefix``."""


def is_in_memory(given: object) -> bool:
    """True for a table or an array, rather than the name or spec of a dataset."""
    return not isinstance(given, str | Path | DatasetSpec | Mapping)


def placed(given: Any, fields: VectorFields, url: str) -> Given:
    """Write what is in memory, so that a map is given the place; raises what `vectors_at` raises."""
    return vectors_at(given, fields, url) if fields or is_in_memory(given) else given


def vectors_at(given: object, fields: VectorFields, url: str) -> dict[str, Any]:
    """The dataset field of a spec, of a table, an array, or a place with columns to be read.

    Args:
        given: a path, an address, or what `written` takes.
        fields: what is known of it.
        url: address of the service.

    Raises:
        DatasetError: it is no table, or lies where the service does not see it.
    """
    options: dict[str, Any] = {
        name: value for name, value in fields.items() if name in DATASET_FIELDS
    }
    if is_in_memory(given):
        folder = fields.get("folder") or _local_folder(url)
        return {"name": VECTORS, "root": written(given, fields, str(folder)), **options}
    for name in ("folder", *_ROWS_FIELDS):
        if name in fields:
            raise DatasetError(
                f"{name}: {given!r} is a file; {name} goes with a table or array in memory",
                field=name,
            )
    if isinstance(given, str | Path):
        return {**dataset_at(given), "name": VECTORS, **options}
    said = given.model_dump(mode="json") if isinstance(given, DatasetSpec) else given
    assert isinstance(said, Mapping)
    return {**said, **options}


DATASET_FIELDS = tuple(
    name for name in VectorFields.__annotations__ if name not in (*_ROWS_FIELDS, "folder")
)


def _local_folder(url: str) -> Path:
    if not is_local(url):
        raise DatasetError(
            f"dataset: the service at {url} does not see what is in this machine's memory; name a folder that "
            "both see, or s3://bucket/prefix, in folder=, below the service's allowed roots",
            field="dataset",
        )
    return data_home() / "tables"


def written(given: object, fields: VectorFields, folder: str) -> str:
    """Address of the Parquet file of a table or array, which is written unless it is there.

    Args:
        given: of pandas, polars or pyarrow, an array (N, D), or lists of numbers.
        fields: with ``ids`` and ``labels``, if they are not in the table.
        folder: of this machine, or ``s3://bucket/prefix``.
    """
    import pyarrow.parquet as pq

    from featurescape_jobs.engine.storage import Storage

    table = _table(given, fields)
    with tempfile.TemporaryDirectory(prefix="featurescape-") as name:
        local = Path(name) / f"{secrets.token_hex(8)}.parquet"
        pq.write_table(table, local, row_group_size=_ROW_GROUP_ROWS)
        with local.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        storage = Storage(folder)
        path = f"{digest[:32]}.parquet"
        if not storage.exists(path):
            storage.upload(local, path)
    return f"{storage.root}/{path}"


def _table(given: object, fields: VectorFields) -> pa.Table:
    """The table with ids and labels as columns; raises `DatasetError`."""
    import pyarrow as pa

    try:
        table = _as_table(given)
        for name, column in (("ids", "id"), ("labels", "label")):
            values = fields.get(name)
            if values is None:
                continue
            array = pa.array(list(values))  # type: ignore[call-overload]
            if len(array) != table.num_rows:
                raise DatasetError(
                    f"{name}: {len(array)} for {table.num_rows} rows; give one a row", field=name
                )
            if column in table.column_names:
                raise DatasetError(
                    f"{name}: the table has a column {column!r} already; give one of the two",
                    field=name,
                )
            table = table.append_column(column, array)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise DatasetError(
            f"dataset: {type(given).__name__} is no table of vectors ({str(error)[:200]}); give a table of "
            "pandas, polars or pyarrow, or an array (N, D) of numbers",
            field="dataset",
        ) from None
    return table


def _as_table(given: Any) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    package = type(given).__module__.partition(".")[0]
    if package == "pandas":
        table = pa.Table.from_pandas(given)
        names = ["id" if name == _UNNAMED_INDEX else name for name in table.column_names]
        return table.rename_columns(names).replace_schema_metadata(None)
    if hasattr(given, "__arrow_c_stream__"):
        table = pa.table(given)
        return table.cast(
            pa.schema([field.with_type(_plain(field.type)) for field in table.schema])
        )
    if hasattr(given, "to_arrow"):
        return given.to_arrow()
    array = np.asarray(given)
    if array.ndim != 2 or array.dtype.kind not in "fiu" or array.shape[1] == 0:
        raise ValueError(f"an array {array.shape} of {array.dtype}")
    flat = pa.array(np.ascontiguousarray(array).reshape(-1))
    return pa.table({"vector": pa.FixedSizeListArray.from_arrays(flat, array.shape[1])})


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type without views, as polars has them in memory and few formats have on disk."""
    import pyarrow as pa

    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _plain(kind.value_type), kind.ordered)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    return kind
