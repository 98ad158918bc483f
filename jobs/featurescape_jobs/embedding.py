"""Job ``embedding``: lay features out in two dimensions, with t-SNE or by coordinates that the examples have.

Input: a `features` artifact, one layer of it: a vector per example, or with `max_states` one per step. With
`coordinates` two attributes of the examples are x and y as they are.

Output: kind ``embedding``, one row per example in the order of the features: example_id, label, x, y
(float32). Kind ``neighbors``: the nearest examples of each, by row number, with their distances in feature
space. Kind ``states``, only of steps: which step of which example each row is. Kinds ``reference`` (the
reduced features) and ``pca`` (mean and components): what is needed to place new examples later. Details:
quality (neighbors kept, label accuracy, distance correlation, KL divergence), KL per 50 iterations, states
(how many there were to choose from). With coordinates also ``errors``: the examples that have none. With
`aligned_to` also ``drift``: of each example the share of its neighbors that changed, an attribute for maps. With
`placed_in` neither ``reference`` nor ``pca``: those of the other embedding are what the examples lie among. From
`bulk_placement.ON_RAY_FROM` examples they are placed in shards by workers on Ray.

Cost: PCA reads the features twice; the neighbor graph is FAISS; the descent is linear in N per iteration.
70,000 examples take well under a minute on two cores. Holds N × K reduced features (K components) and the
neighbor graph, never all N × D features where PCA is on.

Failure modes: no such layer (`LayerError`), one with features of every step, perplexity too large for N
(`SpecError`), all before any work; features that are not finite, a learning rate that makes the layout fly
apart, too many features per example for PCA.

Source of the method: L. van der Maaten, G. Hinton, "Visualizing Data using t-SNE", 2008; defaults as
recommended by openTSNE (P. Poličar et al., 2019; D. Kobak, P. Berens, 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from safetensors.numpy import save

from featurescape_jobs import tables
from featurescape_jobs.artifacts import AttributeTable, job_dir
from featurescape_jobs.engine.context import InputArtifact, Outcome, RunContext
from featurescape_jobs.engine.row_failures import all_failed
from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.layouts.alignment import DRIFT, EarlierLayout, read_earlier
from featurescape_jobs.layouts.bulk_placement import Placed, PlacementSetup, check_finite, place_all
from featurescape_jobs.layouts.coordinates import PlacedVectors, placed_layout, read_places
from featurescape_jobs.layouts.neighbor_table import neighbor_table
from featurescape_jobs.layouts.pca import MAX_DIMENSIONS, fit_pca
from featurescape_jobs.layouts.quality import QualityOptions, quality
from featurescape_jobs.layouts.tsne import Layout, LayoutOptions, initial_positions, layout
from featurescape_jobs.layouts.vectors import (
    ExampleVectors,
    StateVectors,
    Vectors,
    choose_states,
)
from featurescape_jobs.specs import EmbeddingSpec
from featurescape_jobs.tables import LayerColumn

MAX_MATRIX_BYTES = 8 << 30
"""Largest N × D matrix that is laid out without PCA."""

Floats = NDArray[np.float32]


def run(spec: EmbeddingSpec, context: RunContext) -> Outcome:
    """Reduce, lay out, measure and store; the module says what comes out."""
    features = context.input("features")
    column = layer_column(features, spec)
    vectors = _vectors(spec, features, column, context)
    perplexity = None if spec.coordinates or spec.placed_in else spec.perplexity_for(vectors.n)
    base = _base(spec, vectors, column, context)
    reduced, explained = _reduced(spec, base, vectors, column, context)
    ids = vectors.ids()
    options = _options(spec, perplexity, context)
    found = _laid_out(reduced, vectors, options, base, context)
    with context.stage("measure"):
        measured = QualityOptions(options.metric, seed=context.seed, threads=context.threads)
        report = quality(reduced, found.xy, _labels(ids["label"]), measured, context.progress)
    with context.stage("write"):
        context.class_names["label"] = features.manifest.details["classes"]
        _write(ids, found, context)
        if isinstance(vectors, StateVectors):
            context.add_table("data/states.parquet", vectors.table(), "states")
        of_base = _of_base(base, ids, reduced, found, context)
    errors = len(vectors.errors) if isinstance(vectors, PlacedVectors) else 0
    details = {
        "method": found.method,
        "perplexity": perplexity if found.method == "t-SNE" else None,
        "quality": {**asdict(report), "kl_divergence": found.kl},
        "kl_history": [list(point) for point in found.kl_history],
        "layout_seconds": {name: round(value, 3) for name, value in found.seconds.items()},
        "explained_variance_fraction": explained,
        "layer": column.layer,
        "column": column.column,
        "classes": features.manifest.details["classes"],
        "states": vectors.total if isinstance(vectors, StateVectors) else None,
        "coordinates": spec.coordinates,
        "y_axis": spec.y_axis if spec.coordinates else "up",
        "error_codes": {"no_coordinates": errors} if errors else {},
        **of_base,
    }
    return Outcome(len(found.xy), errors, details)


def _base(
    spec: EmbeddingSpec, vectors: Vectors, column: LayerColumn, context: RunContext
) -> EarlierLayout | Placed | None:
    """The earlier embedding that this one starts from, or lies in."""
    if spec.aligned_to:
        with context.stage("earlier layout"):
            return read_earlier(context.input("aligned_to"), vectors.ids()["example_id"])
    if not spec.placed_in:
        return None
    setup = PlacementSetup(
        context.storage.root,
        job_dir(context.job_id),
        context.inputs["features"],
        context.inputs["placed_in"],
        column,
        context.threads,
        spec.neighbors,
        context.seed,
    )
    return place_all(vectors, setup, spec.resources, context)


def _reduced(
    spec: EmbeddingSpec,
    base: EarlierLayout | Placed | None,
    vectors: Vectors,
    column: LayerColumn,
    context: RunContext,
) -> tuple[Floats, float | None]:
    """(N, K) features for the layout, and the variance that they keep, where it is known."""
    if isinstance(base, Placed):
        return base.reduced, None
    with context.stage("reduce", _reduced_rows(spec, vectors, column)):
        return _reduce(spec, vectors, column, context)


def _laid_out(
    reduced: Floats,
    vectors: Vectors,
    options: LayoutOptions,
    base: EarlierLayout | Placed | None,
    context: RunContext,
) -> Layout:
    """By t-SNE, where the vectors have their places, or among those of another embedding."""
    if isinstance(vectors, PlacedVectors):
        with context.stage("neighbors"):
            return placed_layout(reduced, vectors.xy, options.neighbor_options())
    if isinstance(base, Placed):
        near = replace(options.neighbor_options(), metric=base.known.reference.metric)
        with context.stage("neighbors"):
            return replace(placed_layout(reduced, base.xy, near), method="placement")
    if base is None:
        return layout(reduced, options, stages=context)
    start = base.start(initial_positions(reduced, options.seed))
    found = layout(reduced, replace(options, start=start), stages=context)
    return replace(found, xy=base.rotated(found.xy))


def _of_base(
    base: EarlierLayout | Placed | None,
    ids: pa.Table,
    reduced: Floats,
    found: Layout,
    context: RunContext,
) -> dict[str, Any]:
    """The details that say how the embedding lies to the one that it starts from, or lies in."""
    if isinstance(base, EarlierLayout):
        return _write_drift(ids, found, base, context)
    if base is None:
        return {}
    known = base.known
    kept, k = known.kept_fraction(reduced, found.xy, context.seed)
    said = {"job": known.job_id, "known_examples": len(known.reference.xy), "shards": base.shards}
    search = asdict(base.recall)
    return {"placed_in": {**said, "neighbors_kept_fraction": kept, "k": k, "search": search}}


def _write_drift(
    ids: pa.Table, found: Layout, earlier: EarlierLayout, context: RunContext
) -> dict[str, Any]:
    """Write how much the neighbors of each example changed; the details that say so."""
    drift = earlier.drift(found.neighbors)
    table = pa.Table.from_arrays([ids["example_id"], drift], schema=tables.DRIFT)
    context.add_table("data/drift.parquet", table, "drift")
    known = int(earlier.known.sum())
    return {
        "attributes": AttributeTable(kind="drift", columns=[DRIFT]).model_dump(mode="json"),
        "aligned_to": {
            "job": context.inputs["aligned_to"],
            "examples": known,
            "new_examples": len(drift) - known,
            "mean_drift": pc.mean(drift).as_py(),
        },
    }


def _options(spec: EmbeddingSpec, perplexity: float | None, context: RunContext) -> LayoutOptions:
    return LayoutOptions(
        perplexity=perplexity,
        metric=spec.metric,
        early_exaggeration=spec.early_exaggeration,
        early_exaggeration_iterations=spec.early_exaggeration_iterations,
        iterations=spec.iterations,
        learning_rate=spec.learning_rate,
        neighbors=spec.neighbors,
        seed=context.seed,
        threads=context.threads,
    )


def layer_column(features: InputArtifact, spec: EmbeddingSpec) -> LayerColumn:
    """The column of the layer; raises `SpecError` or `LayerError` where it cannot be laid out."""
    layer = spec.layer
    columns = [LayerColumn(**fields) for fields in features.manifest.details["layers"]]
    names = [column.layer for column in columns]
    if layer is not None and layer not in names:
        raise LayerError(
            f"layer: {features.manifest.job_id} has the layers {', '.join(names)}, not {layer!r}",
            field="layer",
            layers=names,
        )
    column = columns[0] if layer is None else columns[names.index(layer)]
    if column.steps and spec.max_states is None:
        raise SpecError(
            f"features: {features.manifest.job_id} has a vector for every view or step of an "
            "example; say how many to lay out (max_states), pool them (view_pooling, pooling), or give "
            "them to view_lstm",
            field="features",
        )
    if spec.max_states is not None and not column.steps:
        raise SpecError(
            f"max_states: {features.manifest.job_id} has one vector per example, no steps; leave it "
            'out, or extract features with pooling "steps"',
            field="max_states",
        )
    return column


def _vectors(
    spec: EmbeddingSpec, features: InputArtifact, column: LayerColumn, context: RunContext
) -> Vectors:
    if spec.coordinates is not None:
        with context.stage("coordinates"):
            return _placed(spec.coordinates, features, column, context)
    if spec.max_states is None:
        return ExampleVectors(features, column)
    with context.stage("choose states"):
        return choose_states(features, column, spec.max_states, context.seed)


def _placed(
    names: tuple[str, str], features: InputArtifact, column: LayerColumn, context: RunContext
) -> PlacedVectors:
    """The examples that have coordinates; the others are named as error rows."""
    found = read_places(features, column, names)
    if found.errors:
        errors = tables.errors_table(found.errors)
        if not found.n:
            raise all_failed(errors)
        context.add_table("data/errors.parquet", errors, "errors")
    return found


def _stack(blocks: Iterator[Floats], shape: tuple[int, int]) -> Floats:
    """All blocks as one (N, K) array, without holding them twice."""
    whole = np.empty(shape, np.float32)
    used = 0
    for block in blocks:
        whole[used : used + len(block)] = block
        used += len(block)
    assert used == len(whole), f"{used} features of {len(whole)}"
    return whole


def _is_reduced(spec: EmbeddingSpec, column: LayerColumn) -> bool:
    return spec.pca_components is not None and spec.pca_components < column.dimensions


def _reduced_rows(spec: EmbeddingSpec, vectors: Vectors, column: LayerColumn) -> int:
    """Rows that `_reduce` reads: PCA reads all of them twice."""
    return (2 if _is_reduced(spec, column) else 1) * vectors.n


def _reduce(
    spec: EmbeddingSpec, vectors: Vectors, column: LayerColumn, context: RunContext
) -> tuple[Floats, float]:
    """(N, K) features for the layout, stored with what made them; and the variance kept."""
    n, d = vectors.n, column.dimensions
    blocks = _counted(vectors, context)
    if spec.pca_components is None or not _is_reduced(spec, column):
        if n * d * 4 > MAX_MATRIX_BYTES:
            raise SpecError(
                f"pca_components: {n} × {d} features do not fit in {MAX_MATRIX_BYTES >> 30} GiB; "
                "ask for 50 components",
                field="pca_components",
            )
        reduced, explained = _stack(blocks(0), (n, d)), 1.0
    else:
        if d > MAX_DIMENSIONS:
            raise SpecError(
                f"pca_components: PCA takes at most {MAX_DIMENSIONS} features per example, these are "
                f"{d}; extract with pooling mean or max, or from a smaller layer",
                field="pca_components",
            )
        pca = fit_pca(blocks(0), spec.pca_components)
        parts = (pca.transform(block) for block in blocks(n))
        reduced = _stack(parts, (n, len(pca.components)))
        explained = pca.explained_variance_fraction
        fitted = save({"mean": pca.mean, "components": np.ascontiguousarray(pca.components)})
        context.add_bytes("data/pca.safetensors", fitted, "pca")
    check_finite(reduced)
    kept = pa.FixedSizeListArray.from_arrays(pa.array(reduced.reshape(-1)), reduced.shape[1])
    context.add_table("data/reference.parquet", pa.table({"features": kept}), "reference")
    return reduced, explained


def _counted(vectors: Vectors, context: RunContext) -> Callable[[int], Iterator[Floats]]:
    """The blocks of a pass over the vectors, reported as rows after those of earlier passes."""

    def blocks(before: int) -> Iterator[Floats]:
        for block in vectors.blocks():
            yield block
            before += len(block)
            context.progress(before)

    return blocks


def _labels(column: pa.ChunkedArray) -> NDArray[np.int64] | None:
    """(N,) with -1 for no label; None where no example has one."""
    if column.null_count == len(column):
        return None
    labels: NDArray[np.int64] = column.fill_null(-1).to_numpy().astype(np.int64)
    return labels


def _write(ids: pa.Table, found: Layout, context: RunContext) -> None:
    table = ids.append_column("x", pa.array(found.xy[:, 0])).append_column(
        "y", pa.array(found.xy[:, 1])
    )
    context.add_table("data/embedding.parquet", table.cast(tables.EMBEDDING), "embedding")
    neighbors = neighbor_table(ids, found.neighbors)
    context.add_table("data/neighbors.parquet", neighbors, "neighbors")
