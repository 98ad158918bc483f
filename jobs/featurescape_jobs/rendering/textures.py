"""Untrusted texture files to pixels: the formats and caps of `featurescape_jobs.images.decode`, reduced in size.

An image of a few hundred pixels shows no more of a texture than `TEXTURE_PX`, so more is not kept. Holds
one decoded file (`MAX_PIXELS`) beside what is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from PIL import Image

from featurescape_jobs.errors import RowError
from featurescape_jobs.images.decode import open_image
from featurescape_jobs.rendering.mesh import Texture

TEXTURE_PX = 1024
MAX_PIXELS = 50_000_000
MAX_TEXTURES = 64
"""Of one mesh: 256 MB at most."""
MAX_BYTES = 64 << 20


class Files(Protocol):
    """Reader of the files beside a mesh."""

    def read(self, reference: str, limit_bytes: int) -> bytes:
        """The file that the mesh names so; raises `RowError` where it is none that may be read."""
        ...


class NoFiles:
    """Nothing lies beside the mesh."""

    def read(self, reference: str, limit_bytes: int) -> bytes:
        raise RowError("not_found", f"nothing lies beside the mesh: {reference[:200]!r}")


@dataclass
class Textures:
    """The textures of one mesh, each read once; what cannot be read is counted and left out."""

    files: Files
    missing: int = 0
    _count: int = 0
    _cache: dict[tuple[str, str | None], Texture | None] = field(default_factory=dict)

    def get(self, color: str, alpha: str | None = None) -> Texture | None:
        """The texture of the file ``color``, clear where the file ``alpha`` is black."""
        key = (color, alpha)
        if key not in self._cache:
            self._cache[key] = self._read(color, alpha)
        return self._cache[key]

    def _read(self, color: str, alpha: str | None) -> Texture | None:
        pixels = self._file(color)
        if pixels is None or alpha is None or alpha == color:
            return None if pixels is None else Texture(np.asarray(pixels))
        clear = self._file(alpha)
        return Texture(np.asarray(pixels if clear is None else _with_alpha(pixels, clear)))

    def embedded(self, data: bytes) -> Texture | None:
        """The texture of an image that is inside the mesh's own file."""
        image = self._image(lambda: data)
        return None if image is None else Texture(np.asarray(image))

    def _file(self, reference: str) -> Image.Image | None:
        return self._image(lambda: self.files.read(reference, MAX_BYTES))

    def _image(self, read: Callable[[], bytes]) -> Image.Image | None:
        """RGB or RGBA, at most `TEXTURE_PX` long; None, and counted, where it cannot be read."""
        try:
            self._count += 1
            if self._count > MAX_TEXTURES:
                raise RowError("too_many_pixels", f"more than {MAX_TEXTURES} textures")
            return _decoded(read())
        except RowError:
            self.missing += 1
            return None


def _decoded(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        image = open_image(data)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise RowError("too_many_pixels", f"a texture of {width} × {height} px")
        try:
            return _reduced(image)
        except Exception as error:  # noqa: BLE001 - as in `open_image`
            raise RowError("decode_error", f"{type(error).__name__}: {error}"[:300]) from None


def _reduced(image: Image.Image) -> Image.Image:
    image.draft("RGB", (TEXTURE_PX, TEXTURE_PX))  # JPEG decodes to a half or a quarter at once
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    image = image.convert("RGBA" if has_alpha else "RGB")
    share = TEXTURE_PX / max(image.size)
    if share < 1:
        size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        # Premultiplied, so that what cannot be seen does not color what can.
        image = image.convert("RGBa") if has_alpha else image
        image = image.resize(size, Image.Resampling.BOX)
        image = image.convert("RGBA") if has_alpha else image
    if has_alpha and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    return image


def _with_alpha(color: Image.Image, clear: Image.Image) -> Image.Image:
    """``color``, with the alpha of ``clear``, or where it has none, its brightness."""
    alpha = clear.getchannel("A") if clear.mode == "RGBA" else clear.convert("L")
    both = color.convert("RGB")
    both.putalpha(alpha.resize(color.size))
    return both
