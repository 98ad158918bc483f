"""The clusters of a map as an attribute of its examples, beside those that they have.

Where the examples have an attribute `CLUSTER` of their own it stays, and its values are the clusters.
Memory: that of `layouts.clusters`, and the JSON of all examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.layouts.clusters import find_clusters
from featurescape_jobs.tiling.cluster_names import cluster_names, distinct_names
from featurescape_jobs.tiling.geometry import fit_square
from featurescape_jobs.tiling.inputs import MapInputs
from featurescape_jobs.tiling.joined import with_attributes
from featurescape_jobs.tiling.scene import Attribute

CLUSTER = "cluster"
_INFO = AttributeInfo(
    name=CLUSTER, type="category", about="Group of examples that lie close together on the map."
)


@dataclass(frozen=True)
class Clusters:
    """The clusters of N examples."""

    of: NDArray[np.int32]
    """(N,) the cluster of each; -1: of none."""
    keys: list[str]
    """Values of the attribute, by cluster."""
    names: list[str]
    """What people read, by cluster."""


def with_clusters(
    inputs: MapInputs, min_cluster_size: int | None, seed: int
) -> tuple[MapInputs, Clusters]:
    """The inputs with the attribute, where there are clusters; raises `ArtifactError` for infinite places."""
    known = next((info for info in inputs.infos if info.name == CLUSTER), None)
    if known is not None:
        if known.type != "category":
            return inputs, Clusters(np.full(inputs.n, -1, np.int32), [], [])
        names, codes = Attribute(known, inputs.typed(known)).words()
        return inputs, Clusters(codes, names, names)
    x, y = fit_square(inputs.x, inputs.y).place(inputs.x, inputs.y)
    found = find_clusters(np.stack([x, y], axis=1), min_cluster_size, seed)
    names = cluster_names(inputs, found)
    keys = distinct_names(names)
    if not keys:
        return inputs, Clusters(found, [], [])
    column = pa.array([*keys, None], pa.string()).take(
        pa.array(np.where(found < 0, len(keys), found))
    )
    said = with_attributes(inputs.attributes, pa.table({CLUSTER: column}), [_INFO])
    return replace(inputs, attributes=said, infos=(*inputs.infos, _INFO)), Clusters(
        found, keys, names
    )
