"""Vectors with ids and labels in every format that the dataset `vectors` reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import save_file


@dataclass(frozen=True)
class Rows:
    """N vectors."""

    vectors: NDArray[np.float32]
    ids: list[int] | list[str]
    labels: list[int]


def random_rows(n: int = 40, d: int = 6, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    labels[:3] = range(3)  # every class is there
    values = rng.normal(size=(n, d)) + 4 * labels[:, None]
    return Rows(values.astype(np.float32), [100 + row for row in range(n)], labels.tolist())


def fixed(vectors: NDArray[Any]) -> pa.Array:
    """(N, D) as a column of lists of D."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def table(rows: Rows, column: str = "vector") -> pa.Table:
    return pa.table({"id": rows.ids, column: fixed(rows.vectors), "label": rows.labels})


def parquet(rows: Rows, folder: Path) -> dict[str, Any]:
    pq.write_table(table(rows), folder / "rows.parquet", row_group_size=7)
    return {"root": str(folder / "rows.parquet")}


def parquet_lists(rows: Rows, folder: Path) -> dict[str, Any]:
    lists = pa.array(rows.vectors.tolist(), pa.list_(pa.float32()))
    named = pa.table({"id": rows.ids, "clip": lists, "other": lists, "label": rows.labels})
    pq.write_table(named.slice(0, 15), folder / "a.parquet")
    pq.write_table(named.slice(15), folder / "b.parquet")
    return {"root": str(folder), "vector_column": "clip"}


def parquet_components(rows: Rows, folder: Path) -> dict[str, Any]:
    d = rows.vectors.shape[1]
    order = np.random.default_rng(0).permutation(d)  # the number counts, not the place
    columns = {f"x_{number}": rows.vectors[:, number] for number in order}
    pq.write_table(
        pa.table({**columns, "id": rows.ids, "label": rows.labels}), folder / "wide.parquet"
    )
    return {"root": str(folder / "wide.parquet"), "vector_column": "x_*"}


def npy(rows: Rows, folder: Path) -> dict[str, Any]:
    np.save(folder / "clip.npy", rows.vectors)
    (folder / "clip_ids.txt").write_text("\n".join(map(str, rows.ids)) + "\n")
    np.save(folder / "clip.labels.npy", np.array(rows.labels))
    return {"root": str(folder)}


def npz(rows: Rows, folder: Path) -> dict[str, Any]:
    ids = np.array([str(one) for one in rows.ids])
    np.savez(folder / "rows.npz", vectors=rows.vectors, ids=ids, labels=np.array(rows.labels))
    return {"root": str(folder / "rows.npz")}


def npz_compressed(rows: Rows, folder: Path) -> dict[str, Any]:
    np.savez_compressed(
        folder / "rows.npz", emb=rows.vectors, key=rows.ids, kind=np.array(rows.labels)
    )
    return {"root": str(folder / "rows.npz"), "id_column": "key", "label_column": "kind"}


def safetensors(rows: Rows, folder: Path) -> dict[str, Any]:
    arrays = {"vectors": rows.vectors, "label": np.array(rows.labels)}
    if isinstance(rows.ids[0], int):  # there are no texts in this format
        arrays["id"] = np.array(rows.ids)
    save_file(arrays, folder / "rows.safetensors")
    return {"root": str(folder / "rows.safetensors")}


def saved_dataset(rows: Rows, folder: Path) -> dict[str, Any]:
    """As Hugging Face's library saves one, in two files."""
    write_saved(
        {"data-0.arrow": table(rows).slice(0, 11), "data-1.arrow": table(rows).slice(11)}, folder
    )
    return {"root": str(folder)}


def write_saved(files: Mapping[str, pa.Table], folder: Path, **state: Any) -> None:
    """A folder as ``save_to_disk`` writes it."""
    folder.mkdir(exist_ok=True)
    for name, part in files.items():
        with (
            pa.OSFile(str(folder / name), "wb") as sink,
            pa.ipc.new_stream(sink, part.schema) as out,
        ):
            out.write_table(part, max_chunksize=4)
    said = {"_data_files": [{"filename": name} for name in files], "_split": None, **state}
    (folder / "state.json").write_text(json.dumps(said))
    (folder / "dataset_info.json").write_text("{}")


FORMATS: dict[str, Callable[[Rows, Path], dict[str, Any]]] = {
    "parquet": parquet,
    "parquet_lists": parquet_lists,
    "parquet_components": parquet_components,
    "npy": npy,
    "npz": npz,
    "npz_compressed": npz_compressed,
    "safetensors": safetensors,
    "saved_dataset": saved_dataset,
}
"""What writes each of them, and says where, and with which options, it is read."""
