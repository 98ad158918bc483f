"""PNG that is written strip by strip, and the PDF around it: one page, lossless, at 300 dots an inch."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO, Any

from featurescape.export_forms import library

DPI = 300


class PngWriter:
    """An RGB image as PNG, strip by strip from the top."""

    def __init__(self, file: IO[bytes], width: int, height: int) -> None:
        self._file = file
        self._deflate = zlib.compressobj(6)
        self._above: Any = None
        """The last row; before the first, none, which counts as zeros."""
        file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        dots = round(DPI / 0.0254)
        self._chunk(b"pHYs", struct.pack(">IIB", dots, dots, 1))

    def add(self, strip: Any) -> None:
        """Write rows, each as the difference from the one above it (PNG's filter 2)."""
        image, chops = library("PIL.Image"), library("PIL.ImageChops")
        width, height = strip.size
        before = image.new("RGB", strip.size)
        before.paste(strip, (0, 1))
        if self._above is not None:
            before.paste(self._above, (0, 0))
        self._above = strip.crop((0, height - 1, width, height))
        rows = chops.subtract_modulo(strip, before).tobytes()
        filtered = b"".join(
            b"\x02" + rows[at : at + 3 * width] for at in range(0, len(rows), 3 * width)
        )
        if packed := self._deflate.compress(filtered):
            self._chunk(b"IDAT", packed)

    def finish(self) -> None:
        """Write what is left."""
        self._chunk(b"IDAT", self._deflate.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, name: bytes, body: bytes) -> None:
        checksum = zlib.crc32(name + body)
        self._file.write(struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum))


def into_pdf(part: Path) -> None:
    """Put a PNG into a PDF of one page, as it is."""
    img2pdf = library("img2pdf")
    made = part.with_name(f"{part.name}.pdf")
    try:
        with made.open("wb") as file:
            img2pdf.convert(str(part), outputstream=file)
        made.replace(part)
    finally:
        made.unlink(missing_ok=True)
