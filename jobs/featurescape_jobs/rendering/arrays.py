"""Arrays of numpy as VTK's own, copied, and back. VTK types the classes, not these functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from vtkmodules.util import numpy_support


def floats(values: ArrayLike, name: str = "") -> Any:
    """``vtkFloatArray`` with a tuple per row."""
    return _copied(np.ascontiguousarray(values, np.float32), name)


def colors(values: NDArray[np.uint8], name: str = "") -> Any:
    """``vtkUnsignedCharArray`` with a tuple per row."""
    return _copied(np.ascontiguousarray(values), name)


def rows(values: NDArray[np.integer[Any]]) -> Any:
    """``vtkIdTypeArray``: numbers of rows, flat."""
    flat = np.ascontiguousarray(values, np.int64).ravel()
    return numpy_support.numpy_to_vtkIdTypeArray(flat, deep=1)  # type: ignore[no-untyped-call]


def from_vtk(array: Any) -> NDArray[Any]:
    """The memory of a VTK array; valid as long as that is."""
    found: NDArray[Any] = numpy_support.vtk_to_numpy(array)  # type: ignore[no-untyped-call]
    return found


def _copied(values: NDArray[Any], name: str) -> Any:
    array = numpy_support.numpy_to_vtk(values, deep=1)  # type: ignore[no-untyped-call]
    array.SetName(name)
    return array
