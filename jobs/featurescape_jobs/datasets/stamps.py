"""The stamps of the drawing program Tux Paint that have a raster image, as Debian ships them.

Package ``tuxpaint-stamps-default``: PNG images, each with a caption in a text file of the same name. Its first
line is the English one, ``<locale>.utf8=…`` lines behind it are translations and left out. Where the program's own
package ``tuxpaint-data`` is installed, its six without captions are a topic more. The topic (the first
folder) is the label. ``_mirror`` and ``_flip`` are other sides of a stamp, and left out; stamps that are only
drawn as SVG, too. An id is the path of the image.

Source: tuxpaint.org, the stamps collection. Holds the names in the folders, and one text of at most 64 KiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing, check_split
from featurescape_jobs.datasets.sources.caption_text import Place, clean
from featurescape_jobs.datasets.sources.image_files import ImageReader, archive_path, walk
from featurescape_jobs.datasets.sources.tree import LocalTree, Tree, read_small
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

PLACES = ("/usr/share/tuxpaint/stamps", "/usr/local/share/tuxpaint/stamps")
CARD = DatasetCard(
    name="stamps",
    title="Tux Paint's stamps",
    summary="785 small images in 16 topics, each with a caption, of Debian's package "
    "tuxpaint-stamps-default.",
    needs_root=False,
    references=True,
    places=PLACES,
)
_OTHER_SIDE = re.compile(r"_(mirror|flip)$")
_LOCALE = re.compile(rb"[A-Za-z_@.]+\.utf8=")
_MAX_TEXT_BYTES = 64 << 10


class Stamps:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that the package is installed."""
        check_split(CARD, spec)
        if spec.root is not None:
            raise DatasetError(
                "dataset.root: stamps needs none; leave it out", field="dataset.root"
            )
        _tree()

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The stamps by topic and path."""
        self.check(spec)
        tree = _tree()
        topics = tuple(found.name for found in tree.scan() if found.is_folder)
        topics = tuple(name for name in topics if next(_stamps(tree, name), None) is not None)
        return Listing(_entries(tree, topics), topics)

    def open_reader(self, spec: DatasetSpec) -> ImageReader:
        """A reader of the images."""
        return ImageReader(_tree())


def _tree() -> LocalTree:
    """The folder of the package; raises `DatasetError` where it is not installed."""
    for place in PLACES:
        if Path(place).is_dir():
            return LocalTree(Path(place))
    raise DatasetError(
        f"dataset.name: stamps needs {PLACES[0]}; apt-get install tuxpaint-stamps-default, on every "
        "machine that works on the job",
        field="dataset.name",
    )


def _stamps(tree: Tree, topic: str) -> Iterator[str]:
    """The paths of a topic's images without the other sides."""
    paths = (archive_path(path) for path, _ in walk(tree, topic))
    return (
        path
        for path in paths
        if path.endswith(".png") and not _OTHER_SIDE.search(path.removesuffix(".png"))
    )


def _entries(tree: Tree, topics: tuple[str, ...]) -> Iterator[Entry]:
    for label, topic in enumerate(topics):
        for path in _stamps(tree, topic):
            beside = path.removesuffix(".png") + ".txt"
            said = _caption(tree, beside) if tree.stamp(beside) else None
            yield Entry(path, path, label, tree.size(path), references=(said,) if said else ())


def _caption(tree: Tree, path: str) -> str | None:
    """The first line, unless it is a translation; raises `DatasetError`."""
    first = read_small(tree, path, _MAX_TEXT_BYTES).partition(b"\n")[0]
    if _LOCALE.match(first):
        return None
    try:
        return clean(first.decode("utf-8-sig"), Place(path, "line 1"))
    except UnicodeDecodeError:
        raise Place(path, "line 1").wrong(
            "is not UTF-8; install the package tuxpaint-stamps-default again"
        ) from None


DATASET = Stamps()
