"""Placement of new examples in an earlier embedding, which stays as it is.

The new features go through the reduction of the earlier ones, and `transform` finds their positions. How good
these are is measured against the known examples: of a new example's nearest known ones in the features, how many
are among its nearest known ones on the map (chance is k / N).

Memory: the reduced features of the earlier embedding and of the new examples, N × K and M × K float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.errors import SpecError
from featurescape_jobs.layouts.neighbors import Floats, NeighborIndex, NeighborOptions, search
from featurescape_jobs.layouts.pca import Pca
from featurescape_jobs.layouts.transform import Reference
from featurescape_jobs.tables import LayerColumn

_MEASURED = 10_000
"""New examples that the quality is measured on, drawn by the seed."""
_NEAREST = 10
_RECALLED = 512
"""New examples that the recall of an index is measured on, drawn by the seed."""


@dataclass(frozen=True)
class Recall:
    """Recall of the neighbors that placed the new examples."""

    method: str
    recall: float
    k: int
    examples: int
    """New examples that it was measured on."""


@dataclass(frozen=True)
class KnownLayout:
    """An earlier embedding that new examples are placed in."""

    job_id: str
    reference: Reference
    pca: Pca | None
    """Its reduction; None: its features were taken as they are."""

    def reduce(self, block: Floats) -> Floats:
        """(n, D) → (n, K), as the earlier embedding saw its own features."""
        return block if self.pca is None else self.pca.transform(block)

    def recall(self, index: NeighborIndex, reduced: Floats, seed: int) -> Recall:
        """Share of the true k nearest known examples that an index finds."""
        k = self.reference.k
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(len(reduced), min(_RECALLED, len(reduced)), replace=False))
        if index.method == "exact":
            return Recall("exact", 1.0, k, len(rows))
        near = NeighborOptions(self.reference.metric, "exact", self.reference.threads)
        truth = search(self.reference.features, reduced[rows], k, near).indices
        found = index.of(reduced[rows], k).indices
        share = (truth[:, :, None] == found[:, None, :]).any(axis=2).mean()
        return Recall("approximate", float(share), k, len(rows))

    def kept_fraction(self, reduced: Floats, xy: Floats, seed: int) -> tuple[float, int]:
        """Mean share of the k nearest known examples in the features that are so on the map; and k."""
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(len(xy), min(_MEASURED, len(xy)), replace=False))
        k = min(_NEAREST, len(self.reference.xy))
        threads = self.reference.threads
        near = NeighborOptions(self.reference.metric, "exact", threads)
        truth = search(self.reference.features, reduced[rows], k, near).indices
        flat = NeighborOptions("euclidean", "exact", threads)
        found = search(self.reference.xy, xy[rows], k, flat).indices
        return float((truth[:, :, None] == found[:, None, :]).any(axis=2).mean()), k


def read_known(artifact: InputArtifact, column: LayerColumn, threads: int) -> KnownLayout:
    """An `embedding` artifact that examples with features of ``column`` are placed in.

    Raises:
        SpecError: it is no t-SNE of that layer, or its features have another length.
    """
    manifest, storage = artifact.manifest, artifact.storage
    job_id, details = manifest.job_id, manifest.details
    if details["method"] != "t-SNE" or details.get("placed_in"):
        made = "places of another map" if details.get("placed_in") else details["method"]
        raise SpecError(
            f"placed_in: {job_id} was laid out by {made}; name an embedding by t-SNE",
            field="placed_in",
        )
    if details["layer"] != column.layer:
        raise SpecError(
            f"placed_in: {job_id} is of the layer {details['layer']}, and these features of {column.layer}; "
            "extract the same layer of the same model",
            field="placed_in",
        )
    kept = storage.read_table(artifact.one("reference"), ["features"])["features"].combine_chunks()
    features = kept.flatten().to_numpy().reshape(len(kept), -1)
    pca = None
    if manifest.of_kind("pca"):
        fitted = load(storage.read(artifact.one("pca")))
        pca = Pca(fitted["mean"], fitted["components"], details["explained_variance_fraction"])
    dimensions = features.shape[1] if pca is None else len(pca.mean)
    if dimensions != column.dimensions:
        raise SpecError(
            f"placed_in: {job_id} is of vectors of {dimensions} numbers, and these have {column.dimensions}; "
            "extract them with the same model, pooling and input size",
            field="placed_in",
        )
    table = storage.read_table(artifact.one("embedding"), ["x", "y"])
    xy: npt.NDArray[np.float32] = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    metric = manifest.spec["metric"]
    return KnownLayout(
        job_id, Reference(features, xy, float(details["perplexity"]), metric, threads), pca
    )
