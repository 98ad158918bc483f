"""EXIF of the images of a tree as attributes: the first `HEAD_BYTES` of each file are read while it is listed.

A file that cannot be read has none; what it is shows when its turn comes. Requests of a bucket go out several at a
time. Holds a few heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from featurescape_jobs.datasets.base import Attributes
from featurescape_jobs.datasets.sources.survey import SurveyedFile
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.images.exif import HEAD_BYTES, exif_attributes, exif_of


def with_exif(
    tree: Tree, files: Iterable[SurveyedFile]
) -> Iterator[tuple[SurveyedFile, Attributes]]:
    """The files in their order, images with what their EXIF says."""

    def look(file: SurveyedFile) -> tuple[SurveyedFile, Attributes]:
        return file, {} if file.reason is not None else read_exif(tree, file.path)

    return ordered_map(look, files, tree.threads)


def read_exif(tree: Tree, path: str) -> Attributes:
    """The attributes in the head of a file; empty where there are none."""
    try:
        if tree.threads == 1:  # of a bucket the listing says when a file was written
            note(tree, path)
        head = tree.read(path, 0, HEAD_BYTES)
    except OSError:
        return {}
    exif = exif_of(head)
    return {} if exif is None else exif_attributes(exif)
