"""The layout of an atlas: vectors whitened, laid out by t-SNE, and kept so that no attempt makes another.

Memory: the vectors of all examples twice, as float32, and what `layouts.tsne` takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from featurescape_jobs import tables
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Written
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.layouts.neighbor_table import neighbor_table
from featurescape_jobs.layouts.tsne import LayoutOptions, layout
from featurescape_jobs.layouts.whitening import Whitening, fit_whitening
from featurescape_jobs.specs.atlas import EARLY_ITERATIONS, AtlasSpec
from featurescape_jobs.tiling.inputs import FeaturesFile

WHITENING = "input/whitening.safetensors"
LAYOUT = "input/layout.parquet"
"""Both beside the frozen input: what an earlier attempt made is taken over as it is."""
_POSITION = {"position_y": "y", "position_x": "x"}
_KL = b"kl_divergence"
_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Vectors:
    """The vectors of N examples, in the order of their files."""

    values: NDArray[np.float32]
    """(N, C)."""
    examples: pa.Table
    """N rows: example_id, label, locator, attributes, and y and x of the vector's position."""
    files: tuple[FeaturesFile, ...]
    """N rows in all."""

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """The values, some rows at a time."""
        for start in range(0, len(self.values), _BLOCK_ROWS):
            yield self.values[start : start + _BLOCK_ROWS]


def read_vectors(context: RunContext) -> Vectors:
    """All vectors that the first phase left."""
    columns = ["example_id", "label", "locator", "attributes"]
    values, examples = list[NDArray[np.float32]](), list[pa.Table]()
    refs = [ref for ref in context.files if ref.kind == "features"]
    files = tuple(FeaturesFile(context.path(ref.path), ref.rows or 0) for ref in refs)
    for file in files:
        table = context.storage.read_table(file.path, [*columns, *_POSITION, "features"])
        column = table["features"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        values.append(flat.reshape(len(column), column.type.list_size))
        examples.append(
            table.select([*columns, *_POSITION]).rename_columns([*columns, *_POSITION.values()])
        )
    return Vectors(np.concatenate(values), pa.concat_tables(examples), files)


@dataclass(frozen=True)
class Laid:
    """A layout of N vectors."""

    xy: NDArray[np.float32]
    """(N, 2)."""
    kl: float | None
    """KL divergence; None: laid out by PCA."""
    whitening: Whitening
    """Of the vectors, before they were laid out."""


def layout_options(spec: AtlasSpec, examples: int, context: RunContext) -> LayoutOptions:
    """t-SNE of so many examples by cosine, as the spec has it."""
    return LayoutOptions(
        perplexity=spec.perplexity_for(examples),
        metric="cosine",
        early_exaggeration_iterations=EARLY_ITERATIONS,
        iterations=spec.iterations,
        seed=context.seed,
        threads=context.threads,
    )


def lay_out(
    vectors: Vectors, whitening: Whitening, options: LayoutOptions, context: RunContext
) -> Laid:
    """Places of the whitened vectors; an embedding with its neighbors in the artifact.

    Raises:
        ArtifactError: an earlier attempt laid out other examples.
    """
    path = context.path(LAYOUT)
    if not context.storage.exists(path):
        context.storage.write_new(
            path, _encoded(_layout_table(vectors, whitening, options, context))
        )
    kept = context.storage.read_table(path)
    if not kept["example_id"].equals(vectors.examples["example_id"]):
        raise ArtifactError(f"{path} is of other examples; submit a new job", path=path)
    ids = vectors.examples.select(["example_id", "label"])
    places = ids.append_column("x", kept["x"]).append_column("y", kept["y"])
    context.add_table("data/embedding.parquet", places.cast(tables.EMBEDDING), "embedding")
    near = kept.select(tables.NEIGHBORS.names).cast(tables.NEIGHBORS)
    context.add_table("data/neighbors.parquet", near, "neighbors")
    xy = np.stack([kept[name].to_numpy() for name in ("x", "y")], 1)
    return Laid(xy, json.loads(kept.schema.metadata[_KL]), whitening)


def whiten(vectors: Vectors, context: RunContext) -> Whitening:
    """The whitening of the vectors, in the artifact too."""
    storage, path = context.storage, context.path(WHITENING)
    if not storage.exists(path):
        storage.write_new(path, fit_whitening(vectors.blocks()).to_bytes())
    context.add(Written(path, storage.size(path), storage.sha256(path)), "whitening")
    return Whitening.from_bytes(storage.read(path))


def _layout_table(
    vectors: Vectors, whitening: Whitening, options: LayoutOptions, context: RunContext
) -> pa.Table:
    """Columns of `tables.NEIGHBORS`, x and y; the KL divergence in the metadata."""
    found = layout(whitening(vectors.values), options, stages=context)
    table = neighbor_table(vectors.examples, found.neighbors)
    for name, values in zip(("x", "y"), found.xy.T, strict=True):
        table = table.append_column(name, pa.array(np.ascontiguousarray(values)))
    return table.replace_schema_metadata({_KL: json.dumps(found.kl).encode()})


def _encoded(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())
