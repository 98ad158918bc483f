"""A window without a screen: VTK on Mesa's software renderer, through EGL or OSMesa.

No X server, no graphics card and no rights are needed, only Mesa's libraries: on Debian ``libegl1`` with
``libgl1-mesa-dri`` (EGL), or ``libosmesa6``, in this order. A graphics card is left alone, as the
same mesh has to give the same bytes on every worker; images this small gain nothing from one.

VTK's own classes are used, not PyVista's plotter around them, which adds 1.1 s to the start of a worker (1.4 s
of import for 0.3 s) and packages that nothing here needs. Smooth edges come from rendering larger and
averaging: with multisampling a view takes 233 ms on Mesa 22, over 2 × 2 pixels 6 ms.

Holds the window's pixels, and about 100 MB of Mesa's and VTK's code and buffers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.errors import FeaturescapeError

_WINDOWS = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow")
_MESA = Path("/usr/share/glvnd/egl_vendor.d/50_mesa.json")
PACKAGES = "libegl1 libgl1-mesa-dri"


@contextmanager
def _software() -> Iterator[None]:
    """What Mesa reads when it is loaded: its software renderer, in this very thread, no display."""
    wanted = {
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "LP_NUM_THREADS": "0",
        "EGL_PLATFORM": "surfaceless",
        "EGL_LOG_LEVEL": "fatal",
    }
    if _MESA.exists():  # else the first vendor answers, which may be that of a card
        wanted["__EGL_VENDOR_LIBRARY_FILENAMES"] = str(_MESA)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Window:
    """Shows one scene at a time; made once per process.

    Args:
        size_px: side of its square.

    Raises:
        FeaturescapeError: there is no library to render with; names the packages.
    """

    def __init__(self, size_px: int) -> None:
        from vtkmodules import vtkRenderingOpenGL2
        from vtkmodules.vtkCommonCore import (
            vtkLogger,
            vtkObject,
            vtkSMPTools,
            vtkUnsignedCharArray,
        )

        # To stderr it would write a line for every odd mesh.
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
        vtkObject.GlobalWarningDisplayOff()
        vtkSMPTools.Initialize(1)
        self.size_px = size_px
        with _software():
            self._window = _open(vtkRenderingOpenGL2, size_px)
        self._pixels = vtkUnsignedCharArray()

    @property
    def handle(self) -> Any:
        """The ``vtkRenderWindow``."""
        return self._window

    def show(self, renderer: Any) -> None:
        """Have the window show this ``vtkRenderer`` only."""
        for other in list(self._window.GetRenderers()):
            self._window.RemoveRenderer(other)
        self._window.AddRenderer(renderer)

    def pixels(self) -> NDArray[np.uint8]:
        """(size, size, 4) RGBA of the scene, premultiplied, the first row on top; valid until the next."""
        from featurescape_jobs.rendering.arrays import from_vtk

        self._window.Render()
        last = self.size_px - 1
        self._window.GetRGBACharPixelData(0, 0, last, last, 0, self._pixels)
        flat: NDArray[np.uint8] = from_vtk(self._pixels)
        return flat.reshape(self.size_px, self.size_px, 4)[::-1]


def _open(classes: Any, size_px: int) -> Any:
    for name in _WINDOWS:
        kind = getattr(classes, name, None)
        if kind is None:
            continue
        window = kind()
        window.SetOffScreenRendering(1)
        window.SetMultiSamples(0)
        window.SetAlphaBitPlanes(1)
        window.SetSize(size_px, size_px)
        if window.SupportsOpenGL():
            window.Render()  # makes the context, without which asking for its library crashes
            return window
    raise FeaturescapeError(
        "renders: no library to render with on this machine; install Mesa's: "
        f"apt-get install {PACKAGES}"
    )
