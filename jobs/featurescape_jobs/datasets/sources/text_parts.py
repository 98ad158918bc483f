"""Parts of a dataset of texts: drawn by a hash, or those of its files, of which no two may have the same text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.errors import DatasetError

PARTS = ("train", "val", "test")
MAX_SHARED = 0.01
"""Largest share of a part that may be in an earlier one."""
_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "newsdev"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "devtest", "newstest"), "test"),
}


def text_digest(said: str) -> int:
    """Hash of a text, of 64 bits."""
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), "little")


def part_of(digest: int) -> int:
    """The part as an index of `PARTS`: a tenth each is `test` and `val`, by the hash."""
    tenth = digest // (2**64 // 10)
    return {0: PARTS.index("test"), 1: PARTS.index("val")}.get(tenth, PARTS.index("train"))


def parts_of_files(paths: list[str]) -> Mapping[str, str | None]:
    """Path → the part that its name says, or that of a folder above it; an earlier part first.

    Where some are of `val` or `test`, all others are of `train`. Where none is, no file has a part.
    """
    said = {path: _named_part(path) for path in paths}
    if not {"val", "test"} & set(said.values()):
        return dict.fromkeys(sorted(paths))
    order = sorted(paths, key=lambda path: (PARTS.index(said[path] or "train"), path))
    return {path: said[path] or "train" for path in order}


def _named_part(path: str) -> str | None:
    for piece in reversed(path.split("/")):
        for word in re.findall("[a-z]+", piece.lower()):
            if word in _WORDS:
                return _WORDS[word]
    return None


def check_shared(
    shared: NDArray[np.bool_], parts: NDArray[np.int8], id_of: Callable[[int], str]
) -> None:
    """Raise `DatasetError` where too many texts of a part are in an earlier one.

    Args:
        shared: (N,) those that are.
        parts: (N,) of each text its part, as an index of `PARTS`.
        id_of: a row.
    """
    for number, name in enumerate(PARTS):
        of_part = parts == number
        count, total = int((shared & of_part).sum()), int(of_part.sum())
        if count > MAX_SHARED * total:
            raise DatasetError(
                f"dataset.root: {count} of the {total} texts of {name} are in an earlier part, too, as "
                f"{id_of(int(np.flatnonzero(shared & of_part)[0]))[:200]!r}: at most "
                f"{MAX_SHARED:.0%} may be; take them out of one of the two",
                field="dataset.root",
            )
