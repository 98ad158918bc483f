"""Plots of `dynamics`, as PNG: what its tables say, for reports and for reading without a browser.

Drawn from the rows of the tables, by matplotlib. Holds one figure.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from featurescape_jobs.rnn_analysis.rows import Row, Tables, grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 144
_PANELS = 8
"""Of a plot with a panel per network and layer, at most; the tables have them all."""
_LINES = 24
_BLOCK = re.compile(r"theta_[xh]([a-z])")
_GATES = ("f", "i", "o", "g", "h", "r", "z")
_PATHS = {"hidden": "∂h_T/∂h_t", "cell": "∂C_T/∂C_t", "carousel": "along C alone"}


def plots(tables: Tables, clip_norm: float) -> dict[str, bytes]:
    """Name → PNG, of the tables that have rows."""
    drawn: dict[str, Callable[[list[Row]], Figure]] = {
        "spectra": _spectra,
        "powers": _powers,
        "gradient_norms": _gradient_norms,
        "jacobians": _jacobians,
        "saturation": _saturation,
        "clipping": lambda rows: _clipping(rows, clip_norm),
    }
    found = {}
    for name, draw in drawn.items():
        if tables.rows[name]:
            found[name] = _png(draw(tables.rows[name]))
    return found


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def _figure(columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(6.0, 4.0 * columns), 4.2), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _name(row: Row, *keys: str) -> str:
    words = [row["network"], row.get("layer"), *(row[key] for key in keys)]
    return " ".join(str(word) for word in words if word is not None)


def _gate_of(matrix: str) -> str | None:
    """The gate that a block of an LSTM's or GRU's θ feeds, as f of `theta_hf`; no state is multiplied by it."""
    found = _BLOCK.fullmatch(matrix)
    return found and found[1]


def _gate_color(gate: str) -> str:
    """The same in every panel and plot; the candidate of a GRU has that of an LSTM's."""
    return f"C{_GATES.index('g' if gate == 'n' else gate)}"


def _plane(axes: Axes, groups: list[list[Row]], key: str | None) -> None:
    """Eigenvalues in the complex plane, beside the unit circle."""
    turn = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color="gray", linewidth=1)
    for rows in groups:
        real = np.concatenate([row["eigenvalues_real"] for row in rows])
        imaginary = np.concatenate([row["eigenvalues_imaginary"] for row in rows])
        label = None if key is None else rows[0][key]
        gate = None if label is None else _gate_of(label)
        color = None if gate is None else _gate_color(gate)
        axes.scatter(real, imaginary, s=6, alpha=0.6, label=label, color=color, linewidths=0)
    axes.set(xlabel="real part of λ", ylabel="imaginary part of λ", aspect="equal")
    if key is not None:
        axes.legend(fontsize="small", markerscale=2)


def _spectra(rows: list[Row]) -> Figure:
    square = [row for row in rows if row["eigenvalues_real"] is not None]
    places = grouped(square)[:_PANELS]
    figure, panels = _figure(len(places))
    for axes, found in zip(panels, places, strict=True):
        _plane(axes, [[row] for row in found], "matrix")
        axes.set_title(_name(found[0]))
    return figure


def _jacobians(rows: list[Row]) -> Figure:
    places = grouped(rows)[:_PANELS]
    figure, panels = _figure(len(places))
    for axes, found in zip(panels, places, strict=True):
        _plane(axes, [found], None)
        axes.set_title(f"{_name(found[0])}: Jacobians of {len(found)} steps")
    return figure


def _powers(rows: list[Row]) -> Figure:
    figure, (axes,) = _figure()
    multiplied = [row for row in rows if _gate_of(row["matrix"]) is None]
    for found in grouped(multiplied, "matrix")[:_LINES]:
        powers = [row["power"] for row in found]
        (line,) = axes.plot(
            powers, [row["log10_norm"] for row in found], label=_name(found[0], "matrix")
        )
        radius = [row["log10_largest"] for row in found]
        axes.plot(powers, radius, color=line.get_color(), linestyle=":", linewidth=1)
    axes.axhline(0, color="gray", linewidth=1)
    axes.set(xlabel="t", ylabel="log₁₀ ‖W^t‖ (dotted: largest |λ|^t)", title="Powers")
    if multiplied:
        axes.legend(fontsize="x-small")
    return figure


def _gradient_norms(rows: list[Row]) -> Figure:
    figure, (axes,) = _figure()
    for found in grouped(rows, "path")[:_LINES]:
        distances = [row["distance"] for row in found]
        label = f"{_name(found[0])} {_PATHS[found[0]['path']]}"
        (line,) = axes.plot(distances, [row["log10_mean"] for row in found], label=label)
        low, high = ([row[key] for row in found] for key in ("log10_low", "log10_high"))
        axes.fill_between(distances, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axhline(0, color="gray", linewidth=1)
    axes.set(xlabel="T - t, steps back", ylabel="log₁₀ of the norm", title="Gradients through time")
    axes.legend(fontsize="small")
    return figure


def _saturation(rows: list[Row]) -> Figure:
    places = grouped(rows)[:_PANELS]
    figure, panels = _figure(len(places))
    for axes, found in zip(panels, places, strict=True):
        for gate in grouped(found, "gate"):
            low, high = ([row[key] for row in gate] for key in ("low", "high"))
            name = gate[0]["gate"]
            axes.scatter(
                low, high, s=10, alpha=0.6, label=name, color=_gate_color(name), linewidths=0
            )
        axes.plot([0, 1], [1, 0], color="gray", linewidth=1)
        axes.set(
            xlabel="share of steps at the low end",
            ylabel="share of steps at the high end",
            title=_name(found[0]),
        )
        axes.legend(fontsize="small")
    return figure


def _clipping(rows: list[Row], clip_norm: float) -> Figure:
    figure, (axes,) = _figure()
    for found in grouped(rows):
        batches = [row["batch"] for row in found]
        (line,) = axes.plot(batches, [row["norm"] for row in found], label=found[0]["network"])
        clipped = [row["clipped_norm"] for row in found]
        axes.plot(batches, clipped, color=line.get_color(), linestyle=":", label="clipped")
    axes.axhline(clip_norm, color="gray", linewidth=1)
    axes.set(
        yscale="log", xlabel="batch", ylabel="norm of the gradient", title="Parameter gradients"
    )
    axes.legend(fontsize="small")
    return figure
