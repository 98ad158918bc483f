"""Untrusted mesh files to triangles: OBJ with materials, GLB, PLY and OFF.

trimesh reads the geometry. Materials and textures are read here, through the caps of `materials` and
`textures`, and only from what `textures.Files` gives: trimesh never opens a file, an image or an address.
Whatever it raises on crafted bytes is the mesh's own error.

Holds the file, its text (twice, for OBJ), its triangles, and its textures: about 1.5 GB for the largest OBJ
that is read.
"""

from __future__ import annotations

import codecs
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.resolvers import Resolver

from featurescape_jobs.errors import RowError
from featurescape_jobs.images.signatures import GLTF, PLY, SNIFF_BYTES, TEXT, identify
from featurescape_jobs.rendering import glb, materials
from featurescape_jobs.rendering.materials import Material
from featurescape_jobs.rendering.mesh import (
    WHITE,
    Color,
    Floats,
    Mesh,
    Part,
    Texture,
    check_counts,
)
from featurescape_jobs.rendering.polygons import triangulated
from featurescape_jobs.rendering.textures import Files, NoFiles, Textures

MAX_BYTES = 128 << 20
MAX_LIBRARIES = 16
_UP_IS_Y = (".glb",)
_TEXTURE_FILE = re.compile(rb"^comment TextureFile ([^\r\n]{1,500})", re.MULTILINE)
_LIBRARY = re.compile(r"^mtllib[ \t]+([^\r\n]{1,500})", re.MULTILINE)
_LIBRARY_NAME = re.compile(r'"[^"]+"|[^\s"][^"]*?\.mtl(?!\S)', re.IGNORECASE)
_MAX_PLY_HEADER_BYTES = 1 << 16

logging.getLogger("trimesh").setLevel(
    logging.CRITICAL
)  # it tells of every odd line, with a traceback


@dataclass(frozen=True)
class Source:
    """A mesh file and what lies beside it."""

    data: bytes
    ending: str
    """``.obj`` and so on, in lower case."""
    files: Files


def load(source: Source) -> Mesh:
    """The mesh, with its materials and textures, as the file has it.

    Raises:
        RowError: with the code that says why there is no mesh.
    """
    if not source.data:
        raise RowError("empty_file", "the file has no bytes")
    if len(source.data) > MAX_BYTES:
        raise RowError("too_many_bytes", f"{len(source.data)} bytes; at most {MAX_BYTES} are read")
    textures = Textures(source.files)
    try:
        mesh = Mesh(tuple(_loaded(source, textures)), textures.missing)
    except RowError as error:
        raise _other_kind(source) or error from None
    if not mesh.faces and (problem := _other_kind(source)) is not None:
        raise problem
    return mesh


def _other_kind(source: Source) -> RowError | None:
    """What the file is, where its first bytes say that it is no mesh of its ending."""
    found = identify(source.data[:SNIFF_BYTES], source.ending)
    if found is None or found in (TEXT, _SIGNATURES.get(source.ending)):
        return None
    if found in _SIGNATURES.values():
        return RowError("not_a_mesh", f"{found.name} under the ending {source.ending}: rename it")
    return RowError("not_a_mesh", found.advice)


def _loaded(source: Source, textures: Textures) -> list[Part]:
    """The parts of the mesh; raises `RowError`, whatever its parser raises."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # numpy's, of lines that are no numbers
        try:
            return _LOADERS[source.ending](source, textures)
        except RowError:
            raise
        except MemoryError:
            raise RowError("out_of_memory", "the mesh needs more memory than there is") from None
        except Exception as error:  # noqa: BLE001 - parsers raise nearly anything on crafted bytes
            problem = f"{type(error).__name__}: {error}"[:300]
            raise RowError("decode_error", problem) from None


# -- formats -----------------------------------------------------------------------------------


def _load_obj(source: Source, textures: Textures) -> list[Part]:
    text = _text(source.data)
    if "v" not in text:
        raise RowError("not_a_mesh", "the file has no vertices")
    check_counts(text.count("\nf"), 0)  # before it takes time and memory
    found: dict[str, Material] = {}
    for references in _LIBRARY.findall(text)[:MAX_LIBRARIES]:
        found |= _libraries(references.strip(), textures)
    # trimesh learns the names only, and so keeps triangles apart by material.
    names = "".join(f"newmtl {name}\n" for name in found) + "newmtl \x01none\n"
    text = "mtllib names\n" + triangulated(_LIBRARY.sub("", text))
    scene = _scene(io.StringIO(text), "obj", _Constant(names.encode()))
    return list(_parts(scene, lambda name: found.get(" ".join(name.split()))))


def _libraries(references: str, textures: Textures) -> dict[str, Material]:
    """The materials of one line: of the library of that name, or else of several, the first first."""
    whole = _library(references, textures)
    if whole is not None:
        return whole
    found: dict[str, Material] = {}
    for name in (_LIBRARY_NAME.findall(references) or [references])[:MAX_LIBRARIES]:
        library = _library(name, textures)
        if library is None:
            textures.missing += 1
        else:
            found = library | found
    return found


def _library(reference: str, textures: Textures) -> dict[str, Material] | None:
    """The materials of a library; None where it cannot be read."""
    try:
        data = textures.files.read(materials.unquoted(reference), materials.MAX_LIBRARY_BYTES)
    except RowError:
        return None
    return materials.parse(_text(data), textures)


def _load_glb(source: Source, textures: Textures) -> list[Part]:
    checked = glb.read(source.data, textures)
    scene = _scene(io.BytesIO(checked.stripped), "glb", _Beside(source.files))
    return list(_parts(scene, lambda name: checked.materials[int(name)] if name else None))


def _load_ply(source: Source, textures: Textures) -> list[Part]:
    if not source.data.startswith(b"ply"):
        raise RowError("not_a_mesh", "the file does not start as a PLY")
    named = _TEXTURE_FILE.search(source.data[:_MAX_PLY_HEADER_BYTES])
    texture = textures.get(_text(named[1]).strip()) if named else None
    # trimesh keeps texture coordinates only where it has an image: any will do.
    scene = _scene(io.BytesIO(source.data), "ply", _Constant(_DOT))
    material = Material(WHITE, texture) if texture is not None else None
    return list(_parts(scene, lambda name: material))


def _load_off(source: Source, textures: Textures) -> list[Part]:
    text = _text(source.data)
    if "OFF" not in text[:1000]:
        raise RowError("not_a_mesh", "the file does not start as an OFF")
    scene = _scene(io.StringIO(text), "off", _Beside(NoFiles()))
    return list(_parts(scene, lambda name: None))


_LOADERS: dict[str, Callable[[Source, Textures], list[Part]]] = {
    ".obj": _load_obj,
    ".glb": _load_glb,
    ".ply": _load_ply,
    ".off": _load_off,
}


_SIGNATURES = {".glb": GLTF, ".ply": PLY}


def _text(data: bytes) -> str:
    """Text in UTF-16 by its mark, in UTF-8, or else in Latin-1, which takes any bytes; its lines end in LF."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


# -- from trimesh ------------------------------------------------------------------------------


_DOT = b"P6 1 1 255\n\xff\xff\xff"  # an image of one white pixel


class _Constant(Resolver):
    """Gives the same bytes for every name."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def get(self, key: str) -> bytes:
        return self._data

    def keys(self) -> list[str]:
        return []

    def namespaced(self, namespace: str) -> Resolver:
        return self

    def write(self, name: str, data: bytes) -> None:
        raise RowError("refused", "a mesh that writes files")


class _Beside(_Constant):
    """Gives the files beside the mesh, within the caps of the mesh itself."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def get(self, key: str) -> bytes:
        return self._files.read(str(key), MAX_BYTES)


def _scene(stream: Any, kind: str, resolver: Resolver) -> Any:
    return trimesh.load_scene(stream, file_type=kind, resolver=resolver, process=False)


def _parts(scene: Any, material_of: Callable[[str], Material | None]) -> Iterator[Part]:
    """One part per geometry and place that it has in the scene; raises `RowError`."""
    places = []
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name]
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            places.append((np.asarray(matrix, np.float64), geometry))
    check_counts(sum(len(geometry.faces) for _, geometry in places), len(places))
    for matrix, geometry in places:
        part = _part(geometry, material_of)
        yield part if np.array_equal(matrix, np.eye(4)) else _placed(part, matrix)


def _part(geometry: Any, material_of: Callable[[str], Material | None]) -> Part:
    visual = geometry.visual
    name = getattr(getattr(visual, "material", None), "name", None)
    material = material_of(str(name or "")) or Material()
    positions = np.asarray(geometry.vertices, np.float64)
    triangles = np.asarray(geometry.faces, np.int64)
    if positions.shape[1:] != (3,) or triangles.shape[1:] != (3,):
        raise RowError("decode_error", "vertices or triangles that have no three numbers")
    if triangles.min() < 0 or triangles.max() >= len(positions):
        raise RowError("decode_error", "a triangle names a vertex that there is not")
    normals = geometry._cache.cache.get("vertex_normals")  # those of the file, never computed
    coordinates = _fitting(getattr(visual, "uv", None), (len(positions), 2))
    if coordinates is None and material.texture is not None:
        material = _flat(material.color, material.texture)
    colors = _vertex_colors(visual, len(positions))
    part = Part(
        positions,
        triangles,
        color=material.color if colors is None or name else WHITE,
        normals=_fitting(normals, (len(positions), 3)),
        texture_coordinates=coordinates,
        colors=colors,
        texture=material.texture,
    )
    faces = getattr(visual, "face_colors", None) if visual.kind == "face" else None
    return part if faces is None else _by_face(part, np.asarray(faces, np.uint8))


def _flat(color: Color, texture: Texture) -> Material:
    """What is left of a texture where the mesh does not say how it lies: its mean color."""
    red, green, blue = (own * mean for own, mean in zip(color[:3], texture.mean, strict=True))
    return Material((red, green, blue, color[3]))


def _fitting(values: Any, shape: tuple[int, int]) -> Floats | None:
    """Finite numbers of that shape; None where they are not."""
    if values is None or np.shape(values) != shape:
        return None
    found = np.asarray(values, np.float64)
    return found if np.isfinite(found).all() else None


def _vertex_colors(visual: Any, n: int) -> NDArray[np.uint8] | None:
    """(V, 4) RGBA where the file has colors of vertices."""
    colors: Any = None
    if visual.kind == "vertex":
        colors = visual.vertex_colors
    elif visual.kind == "texture":
        colors = visual.vertex_attributes.get("color")
    if colors is None or np.ndim(colors) != 2 or len(colors) != n or np.shape(colors)[1] < 3:
        return None
    found = trimesh.visual.color.to_rgba(colors)
    return np.asarray(found, np.uint8).reshape(n, 4)


def _by_face(part: Part, colors: NDArray[np.uint8]) -> Part:
    """The part with a color for every triangle; its triangles share no vertices any more."""
    corners = part.triangles.reshape(-1)
    f = len(part.triangles)
    if colors.shape != (f, 4):
        return part
    normals = None if part.normals is None else part.normals[corners]
    return Part(
        part.positions[corners],
        np.arange(3 * f, dtype=np.int64).reshape(f, 3),
        color=WHITE,
        normals=normals,
        colors=np.repeat(colors, 3, axis=0),
    )


def _placed(part: Part, matrix: Floats) -> Part:
    """The part where a (4, 4) matrix puts it; normals follow from the triangles where it is skewed."""
    linear = matrix[:3, :3]
    rotated = Mesh((part,)).rotated(linear).parts[0]
    scales = np.linalg.norm(linear, axis=0)
    rigid = np.allclose(linear.T @ linear, np.eye(3) * scales[0] ** 2, atol=1e-6 * scales[0] ** 2)
    return Part(
        rotated.positions + matrix[:3, 3],
        rotated.triangles,
        color=part.color,
        normals=rotated.normals if rigid else None,
        texture=part.texture,
        texture_coordinates=part.texture_coordinates,
        colors=part.colors,
    )
