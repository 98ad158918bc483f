"""Matrices that a spec gives: written out, or a tensor of a .safetensors file.

Nothing is unpickled. Memory: the one tensor, at most `MAX_UNITS` squared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.errors import WeightsError
from featurescape_jobs.rnn_analysis.spectra import Matrix
from featurescape_jobs.specs import MatrixSpec

MAX_UNITS = 1024
"""Rows of a matrix, units of a layer: more are not decomposed here."""
_FIELD = "matrices.file"


def read_matrix(spec: MatrixSpec, allowed_roots: tuple[str, ...] | None) -> Matrix:
    """The square matrix, float64; raises `WeightsError` where there is none."""
    if spec.values is not None:
        return np.array(spec.values, np.float64)
    assert spec.file is not None, "the spec has one of the two"
    path = Path(check_root(spec.file, allowed_roots, WeightsError, _FIELD))
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        raise WeightsError(
            f"{_FIELD}: {spec.file[:200]!r} is no .safetensors file that is there", field=_FIELD
        )
    try:
        with safe_open(path, framework="numpy") as file:
            return _tensor(file, spec)
    except (SafetensorError, OSError, TypeError) as error:
        raise WeightsError(
            f"{_FIELD}: {path.name} cannot be read as safetensors ({str(error)[:200]})",
            field=_FIELD,
        ) from None


def _tensor(file: Any, spec: MatrixSpec) -> Matrix:
    names = sorted(file.keys())
    name = spec.tensor or (names[0] if len(names) == 1 else "")
    if name not in names:
        says = f"there is no tensor {spec.tensor[:80]!r}" if spec.tensor else "name one of several"
        raise WeightsError(
            f"matrices.tensor: {says}; the file has {', '.join(names[:10])}",
            field="matrices.tensor",
            tensors=names[:1000],
        )
    shape = tuple(file.get_slice(name).get_shape())
    if len(shape) != 2 or shape[0] != shape[1] or not 1 <= shape[0] <= MAX_UNITS:
        raise WeightsError(
            f"matrices.tensor: {name[:80]!r} has the shape {shape}; powers need a square matrix of at "
            f"most {MAX_UNITS} rows",
            field="matrices.tensor",
        )
    matrix: Matrix = np.asarray(file.get_tensor(name)).astype(np.float64)
    if not np.isfinite(matrix).all():
        raise WeightsError(
            f"matrices.tensor: {name[:80]!r} has values that are not finite",
            field="matrices.tensor",
        )
    return matrix
