"""Images of one mesh after another in one window: lit, with a clear background, smooth at the edges.

The lights go around with the camera, so that every side is lit alike, and stay above when it rises or sinks: the
main one from above on the left, one from where the camera is, and an even share from everywhere, so that
nothing is black. What is on top is bright and what is below is dark, from wherever one looks. The same mesh and
camera give the same bytes in every process of one machine type.

Cost: 7.5 ms of one core for a view of 137 px, of a mesh of 9,000 triangles; half of it does not depend on the
mesh. Holds one mesh, its textures and a window of 2 × 2 times the pixels.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from vtkmodules.vtkRenderingCore import vtkLight, vtkRenderer

from featurescape_jobs.rendering.actors import actors_of
from featurescape_jobs.rendering.cameras import FIELD_OF_VIEW_DEGREES, Camera
from featurescape_jobs.rendering.mesh import Mesh
from featurescape_jobs.rendering.window import Window

SCALE = 2
"""Pixels of the window per pixel of an image, in each direction."""
_AMBIENT = 0.4
_FROM_CAMERA, _FROM_ABOVE = 0.5, 0.7
"""How strong the lights are."""
_ABOVE = (-0.5, 0.8, 0.6)
"""Where the main light comes from, as a level camera sees it: x right, y up, z towards the camera."""
_RADIUS = 0.51
"""Of a normalized mesh, and a little."""

Rgba = NDArray[np.uint8]
"""(H, W, 4), not premultiplied; where nothing is, all four are 0."""
Vector = tuple[float, float, float]


class Renderer:
    """Made once per process; shows one mesh at a time.

    Args:
        image_px: side of the images.

    Raises:
        FeaturescapeError: there is no library to render with.
    """

    def __init__(self, image_px: int) -> None:
        self.image_px = image_px
        self._window = Window(image_px * SCALE)
        self._scene = vtkRenderer()
        self._scene.SetBackground(0, 0, 0)
        self._scene.SetBackgroundAlpha(0)
        self._scene.SetAutomaticLightCreation(False)
        self._scene.GetActiveCamera().SetViewAngle(FIELD_OF_VIEW_DEGREES)
        self._from_camera, self._from_above = _light((0.0, 0.0, 1.0)), _light(_ABOVE)
        self._scene.AddLight(self._from_camera)
        self._scene.AddLight(self._from_above)
        self._window.show(self._scene)
        self._actors: list[Any] = []

    def load(self, mesh: Mesh) -> None:
        """Show a normalized mesh, in place of the last."""
        self.clear()
        self._actors = actors_of(mesh)
        for actor in self._actors:
            self._scene.AddActor(actor)

    def clear(self) -> None:
        """Show nothing, and give back what the last mesh took."""
        for actor in self._actors:
            self._scene.RemoveActor(actor)
            actor.ReleaseGraphicsResources(self._window.handle)
        self._actors = []

    def image(self, camera: Camera) -> Rgba:
        """The mesh from there."""
        self._light(1.0)
        return _averaged(self._look(camera), SCALE)

    def colors(self, camera: Camera) -> NDArray[np.uint8]:
        """(P, 3) RGB of what is seen from there, without light and shade; P = 0 where nothing is.

        What is solid counts; of a thing of glass, all of it.
        """
        self._light(0.0)
        pixels = self._look(camera).reshape(-1, 4)
        solid = pixels[:, 3] > 250
        if solid.any():
            return pixels[solid, :3]
        clear = pixels[pixels[:, 3] > 5].astype(np.float32)
        colors = np.rint(np.minimum(255.0 * clear[:, :3] / clear[:, 3:], 255.0))
        found: NDArray[np.uint8] = colors.astype(np.uint8)
        return found

    def _light(self, share: float) -> None:
        """Light the mesh, or show its colors as they are."""
        self._from_camera.SetIntensity(_FROM_CAMERA * share)
        self._from_above.SetIntensity(_FROM_ABOVE * share)
        for actor in self._actors:
            actor.GetProperty().SetAmbient(_AMBIENT if share else 1.0)
            actor.GetProperty().SetDiffuse(1.0 - _AMBIENT if share else 0.0)

    def _look(self, camera: Camera) -> NDArray[np.uint8]:
        self._from_above.SetPosition(*_as_seen(_ABOVE, camera.elevation_degrees))
        view = self._scene.GetActiveCamera()
        view.SetPosition(*camera.position)
        view.SetFocalPoint(0, 0, 0)
        view.SetViewUp(*camera.up)
        view.SetClippingRange(camera.distance - _RADIUS, camera.distance + _RADIUS)
        return self._window.pixels()


def _as_seen(level: Vector, elevation_degrees: float) -> Vector:
    """What a level camera sees in this direction, as one sees it that looks down by so much."""
    x, y, z = level
    cos, sin = math.cos(math.radians(elevation_degrees)), math.sin(math.radians(elevation_degrees))
    return x, y * cos - z * sin, y * sin + z * cos


def _light(position: Vector) -> Any:
    light = vtkLight()
    light.SetLightTypeToCameraLight()
    light.SetPosition(*position)
    light.SetFocalPoint(0, 0, 0)
    return light


def _averaged(premultiplied: NDArray[np.uint8], scale: int) -> Rgba:
    """The mean of ``scale`` × ``scale`` pixels, with its color as it would be if it hid everything."""
    # Slices are added, not an axis of blocks summed: that takes numpy twenty times as long.
    shifts = [premultiplied[y::scale, x::scale] for y in range(scale) for x in range(scale)]
    sums = np.zeros(shifts[0].shape, np.float32)
    for shifted in shifts:
        sums += shifted
    alpha = sums[:, :, 3:]
    colors = 255.0 * sums[:, :, :3] / np.maximum(alpha, 1.0)
    mean = np.concatenate([np.minimum(colors, 255.0), alpha / scale**2], axis=2)
    return np.where(alpha > 0, np.rint(mean), 0.0).astype(np.uint8)


def png(image: NDArray[np.uint8]) -> bytes:
    """The image as PNG."""
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "PNG", compress_level=6)
    return sink.getvalue()


def over_white(image: Rgba) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: the image on white."""
    alpha = image[:, :, 3:].astype(np.uint16)
    mixed = image[:, :, :3] * alpha + 255 * (255 - alpha)
    found: NDArray[np.uint8] = ((mixed + 127) // 255).astype(np.uint8)
    return found
