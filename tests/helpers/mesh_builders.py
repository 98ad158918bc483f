"""Meshes of a few triangles, as files: what a test can reckon with by hand."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from featurescape_jobs.errors import RowError
from featurescape_jobs.rendering import loading
from featurescape_jobs.rendering.mesh import Mesh

_CORNERS = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
SIDES = {
    "left": (1, 2, 4, 3),
    "right": (5, 7, 8, 6),
    "bottom": (1, 5, 6, 2),
    "top": (3, 4, 8, 7),
    "back": (1, 3, 7, 5),
    "front": (2, 6, 8, 4),
}
"""Side of a box → its corners in `box_obj`, counterclockwise from outside. Front is +Z, right is +X."""


def box_obj(
    size: tuple[float, float, float] = (1, 1, 1), materials: Mapping[str, str] | str = "red"
) -> str:
    """A box in OBJ; a material for all sides, or for each. Its library is ``box.mtl``."""
    lines = ["mtllib box.mtl"]
    for corner in _CORNERS:
        lines.append("v " + " ".join(f"{c * s / 2}" for c, s in zip(corner, size, strict=True)))
    for side, corners in SIDES.items():
        lines.append(f"usemtl {materials if isinstance(materials, str) else materials[side]}")
        lines.append("f " + " ".join(map(str, corners)))
    return "\n".join(lines) + "\n"


COLORS_MTL = (
    "newmtl red\nKd 1 0 0\nnewmtl green\nKd 0 1 0\nnewmtl blue\nKd 0 0 1\n"
    "newmtl white\nKd 1 1 1\nnewmtl glass\nKd 1 0 0\nd 0.5\n"
)


def square_obj(material: str = "wood") -> str:
    """A square that faces the front, with a texture on it; its library is ``square.mtl``."""
    return (
        "mtllib square.mtl\nv -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        f"usemtl {material}\nf 1/1 2/2 3/3 4/4\n"
    )


def png(pixels: np.ndarray) -> bytes:
    """Pixels as PNG."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def halves(top: tuple[int, ...], bottom: tuple[int, ...], side_px: int = 16) -> np.ndarray:
    """A square image of two colors."""
    pixels = np.empty((side_px, side_px, len(top)), np.uint8)
    pixels[: side_px // 2], pixels[side_px // 2 :] = top, bottom
    return pixels


def glb(header: dict[str, object], binary: bytes) -> bytes:
    """A GLB of a header and bytes."""
    body = json.dumps(header).encode()
    body += b" " * (-len(body) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = struct.pack("<2I", len(body), 0x4E4F534A) + body
    chunks += struct.pack("<2I", len(binary), 0x004E4942) + binary
    return struct.pack("<4s2I", b"glTF", 2, 12 + len(chunks)) + chunks


def triangle_glb(**changes: object) -> bytes:
    """One triangle in GLB, its corners (0 0 0), (1 0 0), (0 1 0), its base color linear 0.5 red."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32).tobytes()
    header: dict[str, object] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0, 0, 1]}}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": len(points)}],
        "buffers": [{"byteLength": len(points)}],
    }
    return glb({**header, **changes}, points)


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Files below ``root`` by their paths."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def sh3f(path: Path, files: Mapping[str, str | bytes], catalog: str) -> Path:
    """A furniture library with a catalog."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("PluginFurnitureCatalog.properties", catalog.encode("latin-1"))
        for name, data in files.items():
            archive.writestr(name, data)
    return path


LIBRARY = """# Furniture
id=Library
id#1=Library#box
name#1=A bo\\u0078 \\
  of wood
category#1=Living room
model#1=/models/box/box.obj
id#2=Library#tall
name#2=T\\u00fcr
category#2=Doors
model#2=/models/box/tall.obj
modelRotation#2=1 0 0 0 0 1 0 -1 0
category#3=Doors
model#3=/models/other.dae
"""
LIBRARY_FILES = {
    "models/box/box.obj": box_obj(),
    "models/box/box.mtl": COLORS_MTL,
    "models/box/tall.obj": box_obj(size=(1, 1, 4)),
    "models/other.dae": "<xml>",
}


class Beside:
    """Files by name; ``a_png`` is a.png."""

    def __init__(self, **files: str | bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}

    def read(self, reference: str, limit_bytes: int) -> bytes:
        if reference not in self.files:
            raise RowError("not_found", reference)
        data = self.files[reference]
        return data.encode() if isinstance(data, str) else data


def load(text: str | bytes, ending: str = ".obj", **files: str | bytes) -> Mesh:
    """A mesh file, with what lies beside it."""
    data = text.encode() if isinstance(text, str) else text
    return loading.load(loading.Source(data, ending, Beside(**files)))
