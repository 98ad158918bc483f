"""t-SNE of Fashion-MNIST: openTSNE's default and openTSNE with FAISS's neighbors against featurescape.

    python benchmarks/embedding.py [--root FOLDER] [--n 70000] [--repeats 1] [--threads 2] [--controls]

Input: the four IDX files of Fashion-MNIST (Debian: dataset-fashion-mnist), pixels / 255, PCA to 50; no
network. Timed from these features in memory to the final layout, neighbor search included, all kernels
compiled before.

- popular: ``openTSNE.TSNE(n_jobs=threads, random_state=seed).fit``;
- strong: the same with the neighbors of FAISS's inverted lists (1,024 cells, of which 32 are visited) handed
  over by ``openTSNE.nearest_neighbors.PrecomputedNeighbors``; both interpolate by FFT from 10,000 examples
  on;
- ours: `layouts.tsne.layout`, as the `embedding` job calls it.

Gate: the KL divergence of every layout is computed in the same way, exactly (all pairs), for the affinities
of the exact neighbor graph. It may be at most 0.5 % above the popular peer's, and neighbors kept and label
accuracy at most 0.01 below (with ``--controls`` 10 % and 0.03: of a thousand examples the optima that are
found differ by some percent). Controls: a layout that is stopped after 20 iterations of its second phase, and
the popular peer's layout with its rows shuffled.

A round takes minutes, and rounds differ by a few percent where the machine is quiet: by default there is one.
"""

from __future__ import annotations

import argparse
import gzip
import math
import sys
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import openTSNE
from harness import (
    Comparison,
    Contender,
    Gate,
    Outputs,
    Role,
    Verdict,
    compare,
    finish,
    parser,
)
from scipy import sparse
from sklearn.decomposition import PCA

from featurescape_jobs.kernels.numba_threads import Workers
from featurescape_jobs.layouts.affinities import joint_affinities
from featurescape_jobs.layouts.field import exact_repulsion
from featurescape_jobs.layouts.neighbors import NeighborOptions, kneighbors
from featurescape_jobs.layouts.quality import QualityOptions, quality
from featurescape_jobs.layouts.tsne import LayoutOptions, layout, neighbors_for

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

PERPLEXITY = 30.0
KL_MARGIN, SHARE_MARGIN = 1.005, 0.01
SMALL_MARGINS = 1.1, 0.03
CELLS, VISITED_CELLS = 1024, 32
ROOT = Path("/usr/share/datasets/fashion-mnist")
POPULAR = "openTSNE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare times and layouts; the exit status."""
    options = _parser().parse_args(arguments)
    if options.controls:
        options.n = min(options.n or 1000, 1000)
    features, labels = read(options.root, options.n)
    few = LayoutOptions(early_exaggeration_iterations=50, iterations=1, threads=options.threads)
    layout(features[:5000], few)  # compiles
    return finish([compare(comparison_of(features, labels, options), options)], options)


def comparison_of(features: Floats, labels: Labels, options: argparse.Namespace) -> Comparison:
    """Three layouts of the same features."""

    def ours(**changed: int) -> Floats:
        chosen = LayoutOptions(PERPLEXITY, seed=options.seed, threads=options.threads, **changed)
        return layout(features, chosen).xy

    contenders = [
        Contender("featurescape", Role.OURS, ours),
        Contender(POPULAR, Role.POPULAR, lambda: lay_out_by_default(features, options)),
        Contender("openTSNE + FAISS", Role.STRONG, lambda: lay_out_with_faiss(features, options)),
    ]

    def controls(found: Outputs) -> dict[str, Floats]:
        order = np.random.default_rng(0).permutation(len(features))
        return {"stopped early": ours(iterations=20), "shuffled rows": found[POPULAR][order]}

    n, d = features.shape
    margins = SMALL_MARGINS if options.controls else (KL_MARGIN, SHARE_MARGIN)
    gate = Gate(Judge(features, labels, margins, options.threads), controls)
    return Comparison(f"t-SNE of {n:,} × {d}", "no network", contenders, gate, items=n)


# -- the peers ---------------------------------------------------------------------------------


def lay_out_by_default(features: Floats, options: argparse.Namespace) -> Floats:
    """Lay out as openTSNE's documentation begins."""
    tsne = openTSNE.TSNE(n_jobs=options.threads, random_state=options.seed)
    return np.asarray(tsne.fit(features), dtype=np.float32)


def lay_out_with_faiss(features: Floats, options: argparse.Namespace) -> Floats:
    """openTSNE with the neighbors that FAISS finds."""
    n, d = features.shape
    faiss.omp_set_num_threads(options.threads)
    flat = faiss.IndexFlatL2(d)
    index = flat
    if n >= 40 * CELLS:  # below, FAISS has too few examples to learn the cells from
        index = faiss.IndexIVFFlat(flat, d, CELLS)
        index.train(features)
        index.nprobe = VISITED_CELLS
    index.add(features)
    squares, found = index.search(features, neighbors_for(PERPLEXITY, n) + 1)
    neighbors = openTSNE.nearest_neighbors.PrecomputedNeighbors(
        found[:, 1:], np.sqrt(np.maximum(squares[:, 1:], 0))
    )
    affinities = openTSNE.affinity.PerplexityBasedNN(
        perplexity=PERPLEXITY, knn_index=neighbors, n_jobs=options.threads
    )
    tsne = openTSNE.TSNE(n_jobs=options.threads, random_state=options.seed)
    start = openTSNE.initialization.pca(features, random_state=options.seed)
    return np.asarray(tsne.fit(affinities=affinities, initialization=start), dtype=np.float32)


# -- what came out -----------------------------------------------------------------------------


class Judge:
    """Compares a layout's exact divergence and what it keeps with the popular peer's."""

    def __init__(
        self, features: Floats, labels: Labels, margins: tuple[float, float], threads: int
    ) -> None:
        self._features, self._labels, self._threads = features, labels, threads
        self._kl_margin, self._share_margin = margins
        self._measured_peer = cache(lambda number: self._measure(self._peer))

    def __call__(self, xy: Floats, found: Outputs) -> Verdict:
        """KL divergence, neighbors kept, label accuracy, distance correlation."""
        self._peer: Floats = found[POPULAR]
        kl, kept, accuracy, correlation = self._measure(xy)
        peer_kl, peer_kept, peer_accuracy, _ = self._measured_peer(id(self._peer))
        passes = (
            kl <= self._kl_margin * peer_kl
            and kept >= peer_kept - self._share_margin
            and accuracy >= peer_accuracy - self._share_margin
        )
        return Verdict(
            passes,
            f"KL {kl:.4f}, neighbors kept {kept:.3f}, label accuracy {accuracy:.3f}, "
            f"distance correlation {correlation:.3f}",
        )

    def _measure(self, xy: Floats) -> tuple[float, float, float, float]:
        said = quality(self._features, xy, self._labels, QualityOptions(threads=self._threads))
        assert said.neighbors_kept_fraction is not None
        assert said.label_accuracy_fraction is not None
        assert said.distance_correlation is not None
        return (
            self.divergence(xy),
            said.neighbors_kept_fraction,
            said.label_accuracy_fraction,
            said.distance_correlation,
        )

    def divergence(self, xy: Floats) -> float:
        """KL divergence of a layout (N, 2), with the normalization summed over all pairs."""
        joint = self._joint
        sums = np.zeros(len(xy))
        with Workers(self._threads) as workers:
            workers.run(exact_repulsion, len(xy), xy, np.empty_like(xy), sums)
        p = joint.data.astype(np.float64)
        squares = ((xy[joint.row] - xy[joint.col]).astype(np.float64) ** 2).sum(axis=1)
        cross = float((p * np.log(p.clip(1e-300) * (1 + squares))).sum())
        return cross + float(p.sum()) * math.log(sums.sum())

    @cached_property
    def _joint(self) -> sparse.coo_array:
        """Affinities of the exact neighbor graph."""
        k = neighbors_for(PERPLEXITY, len(self._features))
        chosen = NeighborOptions(method="exact", threads=self._threads)
        with Workers(self._threads) as workers:
            found = kneighbors(self._features, k, chosen)
            return joint_affinities(found, PERPLEXITY, workers).tocoo()


# -- input -------------------------------------------------------------------------------------


def read(root: Path, n: int | None) -> tuple[Floats, Labels]:
    """The first n examples, (n, 50) after PCA of all of them, and their labels."""
    parts = [read_images(root, part) for part in ("train", "t10k")]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255
    reduced = PCA(50, random_state=0).fit_transform(pixels).astype(np.float32)
    return reduced[:n], labels[:n]


def read_images(root: Path, part: str) -> tuple[npt.NDArray[np.uint8], Labels]:
    """(N, 28, 28) pixels of a part and their labels."""
    images = _idx(root / f"{part}-images-idx3-ubyte.gz", 16)
    labels = _idx(root / f"{part}-labels-idx1-ubyte.gz", 8)
    return images.reshape(-1, 28, 28), labels[:, 0].astype(np.int64)


def _idx(path: Path, header_bytes: int) -> npt.NDArray[np.uint8]:
    """An IDX file's bytes, one row per example."""
    if not path.is_file():
        raise SystemExit(
            f"{path} is missing. Give the folder of Fashion-MNIST's four .gz files with --root; "
            "Debian and Ubuntu have them in the package dataset-fashion-mnist."
        )
    data = gzip.decompress(path.read_bytes())
    count = int.from_bytes(data[4:8], "big")
    return np.frombuffer(data, np.uint8, offset=header_bytes).reshape(count, -1)


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__, repeats=1)
    made.add_argument("--root", type=Path, default=ROOT)
    made.add_argument("--n", type=int, default=None, help="only the first N examples")
    made.add_argument("--seed", type=int, default=0)
    return made


if __name__ == "__main__":
    sys.exit(main())
