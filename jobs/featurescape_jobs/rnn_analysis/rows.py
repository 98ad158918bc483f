"""Rows of the tables of `dynamics`, and the numbers of each table that say it in short.

Holds all rows: 4 numbers per unit for each gate's matrix, 8 per eigenvalue of each Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.rnn_analysis.clipping import BatchGradient
from featurescape_jobs.rnn_analysis.measures import LayerMeasures
from featurescape_jobs.rnn_analysis.spectra import Matrix, Spectrum, log10_powers, spectrum
from featurescape_jobs.tables.dynamics import SCHEMAS

Row = dict[str, Any]
_LOW, _HIGH = 10, 90


class Tables:
    """Rows by kind of table; ``place`` is network and layer, the first columns."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {kind: [] for kind in SCHEMAS}

    def table(self, kind: str) -> pa.Table:
        """Table as it is stored; numbers that are not finite are null."""
        rows = [{name: finite(value) for name, value in row.items()} for row in self.rows[kind]]
        return pa.Table.from_pylist(rows, schema=SCHEMAS[kind])

    def add_matrix(self, place: Row, names: tuple[str, str | None], matrix: Matrix) -> None:
        """Spectrum of a matrix called ``names[0]`` of the gate ``names[1]``."""
        found = spectrum(matrix)
        self.rows["spectra"].append(
            {
                **place,
                "matrix": names[0],
                "gate": names[1],
                "rows": matrix.shape[0],
                "columns": matrix.shape[1],
                **_described(found),
                "smallest_singular_value": float(found.singular_values[-1]),
                "condition": found.condition,
                "singular_values": found.singular_values.tolist(),
            }
        )

    def add_powers(self, place: Row, name: str, matrix: Matrix, largest: int) -> None:
        """Norms of the powers of a square matrix, and what its eigenvalues become."""
        norms = log10_powers(matrix, largest)
        sizes = np.abs(np.linalg.eigvals(matrix))
        with np.errstate(divide="ignore"):
            logs = {
                "log10_largest": np.log10(sizes.max()),
                "log10_median": np.log10(np.median(sizes)),
                "log10_smallest": np.log10(sizes.min()),
            }
        for power, norm in enumerate(norms.tolist()):
            grown = {key: power * log if power else 0.0 for key, log in logs.items()}
            self.rows["powers"].append(
                {**place, "matrix": name, "power": power, "log10_norm": norm, **grown}
            )

    def add_measures(self, place: Row, found: LayerMeasures) -> None:
        """Gates, gradients and Jacobians of one layer on data."""
        for gate, counted in found.gates.items():
            shares = zip(
                (counted.low / counted.steps).tolist(),
                (counted.high / counted.steps).tolist(),
                (counted.total / counted.steps).tolist(),
                strict=True,
            )
            self.rows["saturation"] += [
                {**place, "gate": gate, "unit": unit, "low": low, "high": high, "mean": mean}
                for unit, (low, high, mean) in enumerate(shares)
            ]
        for path in found.norms:
            self.rows["gradient_norms"] += [
                {**place, "path": path, **row} for row in by_distance(found.norms_of(path))
            ]
        self.rows["jacobians"] += [
            {**place, "example_id": each.example_id, "step": each.step, **_described(each.spectrum)}
            for each in found.jacobians
        ]

    def add_gradients(self, network: str, found: Iterable[BatchGradient]) -> None:
        """Parameter gradients of all batches."""
        self.rows["clipping"] += [
            {"network": network, "batch": number, **vars(each)} for number, each in enumerate(found)
        ]


def _described(found: Spectrum) -> Row:
    values = found.eigenvalues
    return {
        "spectral_radius": found.radius,
        "largest_singular_value": found.norm,
        "eigenvalues_real": None if values is None else values.real.tolist(),
        "eigenvalues_imaginary": None if values is None else values.imag.tolist(),
    }


def by_distance(norms: NDArray[np.float64]) -> list[Row]:
    """Rows of (N, D + 1) norms, NaN where an example has none; a norm of 0 counts as 1e-300."""
    with np.errstate(divide="ignore"):
        logs = np.log10(np.maximum(norms, 1e-300))
    rows = []
    for distance, column in enumerate(logs.T):
        known = column[~np.isnan(column)]
        low, high = np.percentile(known, (_LOW, _HIGH))
        rows.append(
            {
                "distance": distance,
                "examples": len(known),
                "log10_mean": float(known.mean()),
                "log10_low": float(low),
                "log10_high": float(high),
            }
        )
    return rows


def finite(value: Any) -> Any:
    """The value, or None for a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def headlines(tables: Tables) -> dict[str, list[Row]]:
    """The few numbers of each table that go into the manifest."""
    keys = ("network", "layer", "matrix", "spectral_radius", "largest_singular_value", "condition")
    return {
        "matrices": [{key: finite(row[key]) for key in keys} for row in tables.rows["spectra"]],
        "gradients": [_slope(rows) for rows in grouped(tables.rows["gradient_norms"], "path")],
        "jacobian_radii": [_radii(rows) for rows in grouped(tables.rows["jacobians"])],
        "gates": [_shares(rows) for rows in grouped(tables.rows["saturation"], "gate")],
        "parameter_gradients": [_norms(rows) for rows in grouped(tables.rows["clipping"])],
    }


def grouped(rows: list[Row], *keys: str) -> list[list[Row]]:
    """Rows of one network, layer and ``keys`` together, in the order of their first."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        place = (row["network"], row.get("layer"), *(row[key] for key in keys))
        groups.setdefault(place, []).append(row)
    return list(groups.values())


def _slope(rows: list[Row]) -> Row:
    """By which factor the gradient changes in one step: fitted to the mean logarithm."""
    distances = [row["distance"] for row in rows]
    logs = [row["log10_mean"] for row in rows]
    slope = float(np.polyfit(distances, logs, 1)[0]) if len(rows) > 1 else None
    place = {key: rows[0][key] for key in ("network", "layer", "path")}
    return {
        **place,
        "log10_per_step": slope,
        "factor_per_step": None if slope is None else finite(float(10.0**slope)),
        "distance": distances[-1],
        "log10_norm": finite(logs[-1]),
    }


def _radii(rows: list[Row]) -> Row:
    radii = [row["spectral_radius"] for row in rows]
    return {
        "network": rows[0]["network"],
        "layer": rows[0]["layer"],
        "median": float(np.median(radii)),
        "largest": float(max(radii)),
        "above_one_fraction": float(np.mean([radius > 1 for radius in radii])),
    }


def _shares(rows: list[Row]) -> Row:
    place = {key: rows[0][key] for key in ("network", "layer", "gate")}
    means = {key: float(np.mean([row[key] for row in rows])) for key in ("low", "high", "mean")}
    return {**place, **means}


def _norms(rows: list[Row]) -> Row:
    norms = [row["norm"] for row in rows]
    return {
        "network": rows[0]["network"],
        "batches": len(rows),
        "clipped": sum(row["clipped_norm"] < row["norm"] * (1 - 1e-6) for row in rows),
        "median_norm": finite(float(np.median(norms))),
        "largest_norm": finite(float(max(norms))),
    }
