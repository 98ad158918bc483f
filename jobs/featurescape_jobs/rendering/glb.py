"""Binary glTF: its header checked, its materials and textures read here, the rest left to trimesh.

A GLB is a JSON header and a block of bytes. The header may announce arrays without bytes behind them, of any
size, and images of any kind: both are checked before anything is made of them. What goes on to trimesh has
materials that are only numbers, and no images.

Source of the format: Khronos, "glTF 2.0 Specification". Base colors count (factor and first texture
coordinates), opacity where ``alphaMode`` says so; roughness, normal maps and animations do not. Compressed
meshes (Draco, meshopt) are refused, as their bytes are read by extensions.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from featurescape_jobs.errors import RowError
from featurescape_jobs.rendering.materials import Material
from featurescape_jobs.rendering.mesh import Texture
from featurescape_jobs.rendering.textures import MAX_BYTES, Textures

_MAX_HEADER_BYTES = 32 << 20
_MAX_NUMBERS = 50_000_000
"""Of all arrays without bytes, together."""
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_PER_ITEM = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_COMPRESSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")


@dataclass(frozen=True)
class Glb:
    """A checked file."""

    stripped: bytes
    """For trimesh: material i is named i."""
    materials: list[Material]


def read(data: bytes, textures: Textures) -> Glb:
    """The file, checked; raises `RowError`."""
    header, binary = _chunks(data)
    try:
        _check(header)
        materials = _Materials(header, binary, textures).all()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        problem = f"glTF header: {type(error).__name__}: {error}"
        raise RowError("decode_error", problem[:300]) from None
    left = {key: value for key, value in header.items() if key not in ("images", "textures")}
    left["materials"] = [{"name": str(number)} for number in range(len(materials))]
    return Glb(_packed(left, binary), materials)


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON header and the bytes."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise RowError("not_a_mesh", "the file does not start as a GLB")
    version, _, length, kind = struct.unpack("<4I", data[4:20])
    if version != 2 or kind != _JSON:
        raise RowError("not_a_mesh", f"GLB version {version}; only version 2 is read")
    if length > _MAX_HEADER_BYTES:
        raise RowError("too_many_bytes", f"a glTF header of {length} bytes")
    if len(data) < 20 + length:
        raise RowError("truncated", "the GLB ends inside its header")
    try:
        header = json.loads(data[20 : 20 + length])
    except (ValueError, RecursionError) as error:
        raise RowError("decode_error", f"glTF header: {error}"[:300]) from None
    if not isinstance(header, dict):
        raise RowError("decode_error", "the glTF header is no object")
    start = 20 + length
    if len(data) < start + 8:
        return header, b""
    length, kind = struct.unpack("<2I", data[start : start + 8])
    if kind != _BIN:
        return header, b""
    if len(data) < start + 8 + length:
        raise RowError("truncated", "the GLB ends inside its bytes")
    return header, data[start + 8 : start + 8 + length]


def _check(header: dict[str, Any]) -> None:
    used = [name for name in _COMPRESSED if name in header.get("extensionsRequired", [])]
    if used:
        raise RowError("not_a_mesh", f"the mesh is compressed with {used[0]}; save it without")
    numbers = sum(
        int(accessor["count"]) * _PER_ITEM[accessor["type"]]
        for accessor in header.get("accessors", [])
        if "bufferView" not in accessor
    )
    if numbers > _MAX_NUMBERS or any(a["count"] < 0 for a in header.get("accessors", [])):
        raise RowError("too_many_bytes", "glTF arrays that have no bytes and no sane size")


def _packed(header: dict[str, Any], binary: bytes) -> bytes:
    body = json.dumps(header).encode()
    body += b" " * (-len(body) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = struct.pack("<2I", len(body), _JSON) + body
    if binary:
        chunks += struct.pack("<2I", len(binary), _BIN) + binary
    return struct.pack("<4s2I", b"glTF", 2, 12 + len(chunks)) + chunks


class _Materials:
    """Materials of a header; raises what wrong headers make Python raise."""

    def __init__(self, header: dict[str, Any], binary: bytes, textures: Textures) -> None:
        self._header, self._binary, self._textures = header, binary, textures
        self._decoded: dict[int, Texture | None] = {}

    def all(self) -> list[Material]:
        return [self._material(said) for said in self._header.get("materials", [])]

    def _material(self, said: dict[str, Any]) -> Material:
        metallic = said.get("pbrMetallicRoughness", {})
        red, green, blue, opacity = (float(x) for x in metallic.get("baseColorFactor", [1] * 4))
        if said.get("alphaMode", "OPAQUE") == "OPAQUE":
            opacity = 1.0
        texture = None
        if "baseColorTexture" in metallic:
            number = self._header["textures"][metallic["baseColorTexture"]["index"]]["source"]
            texture = self._texture(int(number), with_alpha=opacity < 1 or "alphaMode" in said)
        return Material(
            (linear_to_srgb(red), linear_to_srgb(green), linear_to_srgb(blue), min(1.0, opacity)),
            texture,
        )

    def _texture(self, number: int, with_alpha: bool) -> Texture | None:
        if number not in self._decoded:
            self._decoded[number] = self._read(self._header["images"][number])
        found = self._decoded[number]
        if found is not None and not with_alpha:
            return Texture(found.pixels[:, :, :3])
        return found

    def _read(self, image: dict[str, Any]) -> Texture | None:
        if "bufferView" not in image:
            uri = str(image["uri"])
            if not uri.startswith("data:"):
                return self._textures.get(unquote(uri))
            encoded = uri.partition(",")[2]
            return self._textures.embedded(base64.b64decode(encoded[: 2 * MAX_BYTES]))
        view = self._header["bufferViews"][image["bufferView"]]
        start, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
        if view["buffer"] != 0 or start < 0 or length < 0:
            raise ValueError("an image outside of the file's bytes")
        return self._textures.embedded(self._binary[start : start + length])


def linear_to_srgb(linear: float) -> float:
    """Encode a linear color value in sRGB, 0 to 1."""
    linear = min(1.0, max(0.0, linear))
    return 12.92 * linear if linear <= 0.0031308 else float(1.055 * linear ** (1 / 2.4) - 0.055)
