"""Images in the cells of a table: bytes, a path below the root, or a struct {bytes, path} of either.

Where a cell has no bytes, its path is read below the root, or below the folder of the table's file. Holds one
image.
"""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.datasets.sources.image_files import ImageReader
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.errors import RowError
from featurescape_jobs.images import decode
from featurescape_jobs.images.image_array import ImageArray


class ImageCells:
    """Reader of the images of cells.

    Args:
        tree: that paths lie in.
        root: as the spec has it, which absolute paths may begin with.
    """

    def __init__(self, tree: Tree, root: str) -> None:
        self._images = ImageReader(tree)
        self._root = root

    def read(self, value: object, file: str) -> ImageArray:
        """The image of a cell of the table ``file``; raises `RowError`."""
        data = value.get("bytes") if isinstance(value, dict) else value
        if isinstance(data, bytes):
            return decode.decode(data)
        name = value.get("path") if isinstance(value, dict) else value
        if not isinstance(name, str) or not name:
            raise RowError("empty_file", "the row has no image bytes and no path")
        return self._images.read_first(self.places(file, name))

    def places(self, file: str, name: str) -> list[str]:
        """Paths at which an image that a row names may lie: below the root, or below its file's folder."""
        below_root = name.removeprefix(f"{self._root.rstrip('/')}/")
        parts = [part for part in below_root.replace("\\", "/").split("/") if part not in ("", ".")]
        leads_out = below_root.startswith("/") or ".." in parts or "\0" in name
        if leads_out or not parts or ":" in parts[0]:
            raise RowError("refused", f"a path that leads outside: {name[:200]!r}")
        below, folder = "/".join(parts), file.rpartition("/")[0]
        is_absolute = below_root != name
        return [below, f"{folder}/{below}"] if folder and not is_absolute else [below]


def is_image_cell(kind: pa.DataType) -> bool:
    """True if values of this type can be images: a struct with bytes or path, paths, or bytes."""
    named = struct_fields(kind)
    is_struct = is_binary(named.get("bytes")) or is_text(named.get("path"))
    return is_struct or is_text(kind) or is_binary(kind)


def struct_fields(kind: pa.DataType) -> dict[str, pa.DataType]:
    """Type of each field of a struct; none of another type."""
    return {f.name: f.type for f in kind} if pa.types.is_struct(kind) else {}


def is_binary(kind: pa.DataType | None) -> bool:
    """True for a type of bytes."""
    return kind is not None and bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def is_text(kind: pa.DataType | None) -> bool:
    """True for a type of texts."""
    return kind is not None and bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
