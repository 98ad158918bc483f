"""Repulsion between N points in the plane: by interpolation on a mesh, or exactly.

The repulsive force of t-SNE on point i is the slope of a potential,

    F_i = sum_j (y_i - y_j) / (1 + |y_i - y_j|^2)^2  =  -1/2 grad phi(y_i),
    phi(y) = sum_j 1 / (1 + |y - y_j|^2),       Z = sum_i phi(y_i) - N,

so one convolution gives the forces and the normalization Z. As in FIt-SNE (Linderman et al. 2019) the
points are spread over a regular mesh, convolved by FFT, and the result is interpolated back. Unlike
there, the interpolation is by cubic B-splines, whose slope is continuous: forces are slopes of the
interpolated potential, as in smooth particle-mesh Ewald sums (Essmann et al. 1995). That takes one
density and one potential, two real FFTs in place of eight, and is as accurate on half the mesh points
per axis. The FFT lengths have no prime factor above 5.

Memory: with a layout L units across, 2.5 L mesh points per axis: about 25 (7 + threads) L^2 bytes. A layout
that needs more than `MAX_MESH_POINTS` has flown apart, and is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft

from featurescape_jobs.kernels.numba_threads import Span, Workers, compiled, vectorized

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

SPACING = 0.4
"""Widest mesh, in units of the layout; the width of the kernel is 1. Errors of the force: 1 %."""

SPACING_OF_FEW = 0.25
"""The same for up to ``FEW`` points. There an error averages out less and the mesh costs little."""

FEW = 20_000

MIN_CELLS = 120
"""A small layout gets a finer mesh, with at least about this many cells across."""

EXACT_UP_TO = 4_000
"""Up to this many points the sum over all pairs is the faster way."""

MAX_MESH_POINTS = 1 << 25
"""About 3 GiB in all; a layout of ten million points needs a tenth of them."""

_ORDER = 4  # a cubic B-spline touches four mesh points per axis


class TooWideError(ValueError):
    """A layout that has flown apart."""


class Mesh(NamedTuple):
    """Location of the mesh: first mesh point and mesh points per unit."""

    x: float
    y: float
    per_unit: float


@dataclass(frozen=True)
class _Shape:
    spacing: float
    rows: int
    columns: int


class Field:
    """The potential of points in the plane, for repeated use while the points move.

    ``spread`` takes positions (N, 2) float32; then ``repulsion`` and ``at`` read the field.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._shape = _Shape(0.0, 0, 0)  # of the padded mesh
        self._spectrum = np.empty((0, 0), np.float32)
        self._shift = 0.0
        self._mass = 0
        self.mesh = Mesh(0.0, 0.0, 1.0)
        self.potential = np.empty((0, 0), np.float32)
        self._pair_sum = 0.0

    def repulsion(self, xy: Floats, forces: Floats) -> float:
        """Fill ``forces`` (N, 2) with F and return Z, both as in the module's docstring."""
        n = len(xy)
        if n <= EXACT_UP_TO:
            sums = np.zeros(n)
            self._workers.run(exact_repulsion, n, xy, forces, sums)
            return max(float(sums.sum()), np.finfo(np.float64).tiny)
        self.spread(xy)
        self._workers.run(_slopes, n, self.mesh, self.potential, xy, forces)
        return self._pair_sum - n

    def at(self, xy: Floats, forces: Floats, sums: Floats) -> None:
        """Fill ``forces`` (M, 2) and ``sums`` (M,) = phi with the field of the points last spread.

        The M points have to lie within :meth:`bounds`.
        """
        self._workers.run(_slopes, len(xy), self.mesh, self.potential, xy, forces)
        self._workers.run(_values, len(xy), self.mesh, self.potential, xy, sums)
        sums += np.float32(self._shift * self._mass)

    def bounds(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Lowest and highest (x, y) at which the field can be read."""
        low = np.array([self.mesh.x, self.mesh.y]) + 1.001 / self.mesh.per_unit
        cells = np.array(self.potential.shape) - 3.001
        return low, low + cells / self.mesh.per_unit

    def spread(self, xy: Floats, margin: float = 0.0) -> None:
        """Compute the potential of ``xy`` (N, 2), on a mesh reaching ``margin`` beyond them."""
        # One axis at a time: numpy is slow along an axis of two.
        low = np.array([xy[:, 0].min(), xy[:, 1].min()], np.float64) - margin
        high = np.array([xy[:, 0].max(), xy[:, 1].max()], np.float64) + margin
        rows, columns = self._fit(high - low, SPACING_OF_FEW if len(xy) <= FEW else SPACING)
        spacing = self._shape.spacing
        origin = low - 1.5 * spacing
        self.mesh = Mesh(float(origin[0]), float(origin[1]), 1 / spacing)
        density = np.zeros((self._workers.threads, rows, columns), np.float32)
        self._workers.run(_scatter, len(xy), self.mesh, xy, density)
        for other in density[1:]:
            density[0] += other
        self._mass = len(xy)
        self._convolve(density[0])

    def _convolve(self, density: Floats) -> None:
        # The mesh is padded to twice its size so that the convolution does not wrap around. Padding
        # is added to one axis at a time: the lines that are all zero are never transformed.
        padded, workers = self._shape, self._workers.threads
        rows, columns = density.shape
        waves = scipy.fft.rfft(density, n=padded.columns, axis=1, workers=workers)
        waves = scipy.fft.fft(waves, n=padded.rows, axis=0, workers=workers, overwrite_x=True)
        waves *= self._spectrum
        waves = scipy.fft.ifft(waves, axis=0, workers=workers, overwrite_x=True)[:rows]
        lines = scipy.fft.irfft(waves, n=padded.columns, axis=1, workers=workers)
        self.potential = np.ascontiguousarray(lines[:, :columns])
        pairs = np.einsum("ij,ij->", density, self.potential, dtype=np.float64)
        self._pair_sum = float(pairs) + self._shift * self._mass**2

    def _fit(self, extent: Doubles, coarsest: float) -> tuple[int, int]:
        """Choose spacing and padded size; returns the rows and columns in use."""
        widest = max(float(extent.max()), 1e-12)
        # Sizes go in steps, so that the kernel's transform serves many iterations.
        halvings = max(0.0, np.ceil(4 * np.log2(coarsest * MIN_CELLS / widest)) / 4)
        spacing = float(coarsest * 2.0**-halvings)
        if not np.prod(extent / spacing) <= MAX_MESH_POINTS:
            raise TooWideError(f"the layout is {widest:.3g} across, more than any layout needs")
        rows, columns = (int(side / spacing) + _ORDER + 1 for side in extent)
        now = self._shape
        if now.spacing != spacing or not (_suits(now.rows, rows) and _suits(now.columns, columns)):
            self._shape = _Shape(spacing, _padded(rows), _padded(columns))
            self._spectrum, self._shift = _kernel_spectrum(self._shape)
        return rows, columns


def _suits(padded: int, used: int) -> bool:
    return 2 * used <= padded <= 2.4 * used


def _padded(used: int) -> int:
    # 5 % of room to grow; even, which the transform of the kernel relies on.
    return 2 * int(scipy.fft.next_fast_len(int(1.05 * used) + 1, real=True))


def _kernel_spectrum(shape: _Shape) -> tuple[Floats, float]:
    """Transform of 1 / (1 + r^2) less a constant, and that constant.

    A constant in the potential moves no point but costs digits: in a small layout the potential is
    nearly N everywhere. Dividing by the B-spline's own transform, once for spreading and once for
    reading, makes the interpolated kernel exact at the mesh points.
    """
    half_rows, half_columns = shape.rows // 2 + 1, shape.columns // 2 + 1
    x = np.arange(half_rows)[:, None] * shape.spacing
    y = np.arange(half_columns)[None, :] * shape.spacing
    kernel = 1 / (1 + x * x + y * y)
    shift = float(kernel[-1, -1])
    # A function that is even about both ends: its DFT is the DCT-I of one quadrant.
    quadrant = scipy.fft.dctn(kernel - shift, type=1)
    quadrant /= _spline(shape.rows)[:half_rows, None] ** 2
    quadrant /= _spline(shape.columns)[None, :half_columns] ** 2
    mirrored = np.minimum(np.arange(shape.rows), shape.rows - np.arange(shape.rows))
    return quadrant[mirrored].astype(np.float32), shift


def _spline(n: int) -> Doubles:
    """DFT of the cubic B-spline at the mesh points, (1, 4, 1) / 6."""
    return (4 + 2 * np.cos(2 * np.pi * np.arange(n) / n)) / 6


@compiled
def _spline_weights(t: np.float32, weights: Floats) -> None:
    """Cubic B-spline at the four mesh points around a point ``t`` mesh widths past the second."""
    u = np.float32(1) - t
    sixth = np.float32(1 / 6)
    weights[0] = u * u * u * sixth
    weights[1] = (np.float32(4) + np.float32(3) * t * t * (t - np.float32(2))) * sixth
    weights[2] = (np.float32(4) + np.float32(3) * u * u * (u - np.float32(2))) * sixth
    weights[3] = t * t * t * sixth


@compiled
def _spline_slopes(t: np.float32, slopes: Floats) -> None:
    """Derivatives by t of :func:`_spline_weights`."""
    u = np.float32(1) - t
    half = np.float32(0.5)
    slopes[0] = -u * u * half
    slopes[1] = t * (np.float32(3) * t - np.float32(4)) * half
    slopes[2] = -u * (np.float32(3) * u - np.float32(4)) * half
    slopes[3] = t * t * half


@compiled
def _scatter(span: Span, mesh: Mesh, xy: Floats, density: Floats) -> None:
    wx = np.empty(4, np.float32)
    wy = np.empty(4, np.float32)
    own = density[span.part]
    for i in range(span.start, span.stop):
        x = (xy[i, 0] - mesh.x) * mesh.per_unit
        y = (xy[i, 1] - mesh.y) * mesh.per_unit
        row = np.uint64(x)
        column = np.uint64(y)
        _spline_weights(np.float32(x - row), wx)
        _spline_weights(np.float32(y - column), wy)
        for a in range(4):
            for b in range(4):
                own[row + np.uint64(a) - np.uint64(1), column + np.uint64(b) - np.uint64(1)] += (
                    wx[a] * wy[b]
                )


@compiled
def _slopes(span: Span, mesh: Mesh, potential: Floats, xy: Floats, forces: Floats) -> None:
    wx = np.empty(4, np.float32)
    wy = np.empty(4, np.float32)
    sx = np.empty(4, np.float32)
    sy = np.empty(4, np.float32)
    scale = np.float32(-0.5 * mesh.per_unit)
    for i in range(span.start, span.stop):
        x = (xy[i, 0] - mesh.x) * mesh.per_unit
        y = (xy[i, 1] - mesh.y) * mesh.per_unit
        row = np.uint64(x)
        column = np.uint64(y)
        _spline_weights(np.float32(x - row), wx)
        _spline_weights(np.float32(y - column), wy)
        _spline_slopes(np.float32(x - row), sx)
        _spline_slopes(np.float32(y - column), sy)
        fx = np.float32(0)
        fy = np.float32(0)
        for a in range(4):
            along = np.float32(0)
            across = np.float32(0)
            for b in range(4):
                value = potential[
                    row + np.uint64(a) - np.uint64(1), column + np.uint64(b) - np.uint64(1)
                ]
                along += wy[b] * value
                across += sy[b] * value
            fx += sx[a] * along
            fy += wx[a] * across
        forces[i, 0] = scale * fx
        forces[i, 1] = scale * fy


@compiled
def _values(span: Span, mesh: Mesh, potential: Floats, xy: Floats, sums: Floats) -> None:
    wx = np.empty(4, np.float32)
    wy = np.empty(4, np.float32)
    for i in range(span.start, span.stop):
        x = (xy[i, 0] - mesh.x) * mesh.per_unit
        y = (xy[i, 1] - mesh.y) * mesh.per_unit
        row = np.uint64(x)
        column = np.uint64(y)
        _spline_weights(np.float32(x - row), wx)
        _spline_weights(np.float32(y - column), wy)
        total = np.float32(0)
        for a in range(4):
            for b in range(4):
                total += (
                    wx[a]
                    * wy[b]
                    * potential[
                        row + np.uint64(a) - np.uint64(1), column + np.uint64(b) - np.uint64(1)
                    ]
                )
        sums[i] = total


@vectorized
def exact_repulsion(span: Span, xy: Floats, forces: Floats, sums: Doubles) -> None:
    """F of the points in ``span`` and, in ``sums`` (N,), each point's share of Z. O(N^2) time."""
    x = xy[:, 0].copy()
    y = xy[:, 1].copy()
    for i in range(span.start, span.stop):
        fx = np.float32(0)
        fy = np.float32(0)
        total = np.float32(0)
        for j in range(x.shape[0]):
            dx = x[i] - x[j]
            dy = y[i] - y[j]
            q = np.float32(1) / (np.float32(1) + dx * dx + dy * dy)
            total += q
            fx += q * q * dx
            fy += q * q * dy
        forces[i, 0] = fx
        forces[i, 1] = fy
        sums[i] = total - np.float32(1)
