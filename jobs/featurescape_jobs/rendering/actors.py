"""A mesh as VTK draws it: parts with one texture become one actor, with colors at the vertices.

A model of a thousand materials is then drawn as fast as one of two. Surfaces are lit from both sides: triangles
are turned to the side that the file's normals point to, and where it has none, edges sharper than
`CREASE_DEGREES` stay sharp. Holds the mesh a second time, in VTK's arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkAppendPolyData, vtkPolyDataNormals
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkTexture

from featurescape_jobs.rendering import arrays
from featurescape_jobs.rendering.mesh import Floats, Mesh, Part, Texture

CREASE_DEGREES = 40.0
_CUTOUT = """
if (gl_FragData[0].a < 0.5) discard;
gl_FragData[0].a = 1.0;
"""


def actors_of(mesh: Mesh) -> list[Any]:
    """``vtkActor``s of a normalized mesh, in a fixed order."""
    groups: dict[tuple[int, bool], list[Part]] = {}
    for part in mesh.parts:
        key = (id(part.texture) if _is_textured(part) else 0, _is_clear(part))
        groups.setdefault(key, []).append(part)
    return [_actor(parts, is_clear) for (_, is_clear), parts in groups.items()]


def _is_textured(part: Part) -> bool:
    return part.texture is not None and part.texture_coordinates is not None


def _is_clear(part: Part) -> bool:
    """Whether one sees through it; a cutout is drawn like what is solid."""
    texture = part.texture if _is_textured(part) else None
    by_texture = texture is not None and texture.pixels.shape[2] == 4 and not texture.is_cutout
    by_vertices = part.colors is not None and bool((part.colors[:, 3] < 255).any())
    return part.color[3] < 1 or by_texture or by_vertices


def _actor(parts: Sequence[Part], is_clear: bool) -> Any:
    data = _joined(map(_surface, parts))
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(data)
    mapper.SetColorModeToDirectScalars()
    mapper.SetScalarModeToUsePointData()
    actor = vtkActor()
    actor.SetMapper(mapper)
    if is_clear:
        actor.ForceTranslucentOn()
    else:
        actor.ForceOpaqueOn()
    texture = parts[0].texture
    if texture is not None and _is_textured(parts[0]):
        actor.SetTexture(_texture(texture))
        if texture.is_cutout:
            where = "//VTK::TCoord::Impl"
            shaders = actor.GetShaderProperty()
            shaders.AddFragmentShaderReplacement(where, True, where + _CUTOUT, False)
    return actor


def _joined(surfaces: Iterable[Any]) -> Any:
    append = vtkAppendPolyData()
    for surface in surfaces:
        append.AddInputData(surface)
    append.Update()
    return append.GetOutput()


def _surface(part: Part) -> Any:
    """``vtkPolyData`` with normals, colors and, where there are any, texture coordinates."""
    normals = _unit(part.normals)
    triangles = part.triangles if normals is None else _facing(part, normals)
    points = vtkPoints()
    points.SetData(arrays.floats(part.positions))
    cells = vtkCellArray()
    cells.SetData(3, arrays.rows(triangles))
    surface = vtkPolyData()
    surface.SetPoints(points)
    surface.SetPolys(cells)
    data = surface.GetPointData()
    data.SetScalars(arrays.colors(_colors(part), "colors"))
    if part.texture is not None and part.texture_coordinates is not None:
        data.SetTCoords(arrays.floats(part.texture_coordinates, "coordinates"))
    if normals is None:
        return _with_normals(surface)
    data.SetNormals(arrays.floats(normals, "Normals"))
    return surface


def _unit(normals: Floats | None) -> Floats | None:
    """Normals of length 1; None where one of them has no direction."""
    if normals is None:
        return None
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / lengths if (lengths > 1e-12).all() else None


def _facing(part: Part, normals: Floats) -> NDArray[np.int64]:
    """The triangles, each turned to the side that its normals point to."""
    a, b, c = (part.positions[part.triangles[:, corner]] for corner in range(3))
    says = normals[part.triangles].sum(axis=1)
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), says) < 0
    return np.where(inward[:, None], part.triangles[:, ::-1], part.triangles)


def _with_normals(surface: Any) -> Any:
    normals = vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SetFeatureAngle(CREASE_DEGREES)
    normals.SplittingOn()
    normals.ConsistencyOff()
    normals.AutoOrientNormalsOff()
    normals.Update()
    return normals.GetOutput()


def _colors(part: Part) -> NDArray[np.uint8]:
    """(V, 4) RGBA: the part's color times those of its vertices."""
    own = np.full((len(part.positions), 4), 255, np.uint8) if part.colors is None else part.colors
    colors: NDArray[np.uint8] = np.rint(own * np.array(part.color)).astype(np.uint8)
    return colors


def _texture(texture: Texture) -> Any:
    height, width, channels = texture.pixels.shape
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    pixels = texture.pixels[::-1].reshape(-1, channels)
    image.GetPointData().SetScalars(arrays.colors(pixels))
    found = vtkTexture()
    found.SetInputData(image)
    found.SetColorModeToDirectScalars()
    found.InterpolateOn()
    found.MipmapOn()
    found.RepeatOn()
    return found
