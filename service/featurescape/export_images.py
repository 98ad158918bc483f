"""Full images in an exported map, by row: ``data/images/<row // 1000>/<row>.bin``.

They come as the service shows them, encoded anew, at most 4,096 pixels a side; file names are rows, since ids are
hostile. An image that cannot be read is counted. Memory: one image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from featurescape.export_progress import ExportProgress
from featurescape.steps import Steps, get
from featurescape_jobs.errors import NotFoundError, RequestError

MOST_IMAGES = 100_000
"""Of an export: each is a file."""
_GIVES_UP = 20
"""So many failures before anything came: the dataset cannot be read."""
_FILES_PER_FOLDER = 1000

Put = Callable[[str, bytes], None]
"""Takes a file by its path in the export."""


@dataclass(frozen=True)
class WrittenImages:
    """Count and size of the images of an export."""

    count: int
    missing: int
    size_bytes: int

    def remark(self) -> str:
        """Sentence for people."""
        missing = f"; {self.missing:,} could not be read" if self.missing else ""
        return f"{self.count:,} images, {self.size_bytes / 1e6:,.1f} MB{missing}"


def check_images(map_id: str, examples: int) -> None:
    """Raise `RequestError` where an export would have too many."""
    if examples > MOST_IMAGES:
        raise RequestError(
            f"{map_id} has {examples:,} examples; with their images an export has at most "
            f"{MOST_IMAGES:,}. Leave the images out, or export a map of a selection",
            field="images",
        )


def image_file(row: int) -> str:
    """Path of the image of a row."""
    return f"data/images/{row // _FILES_PER_FOLDER}/{row}.bin"


def write_images(
    map_id: str, examples: int, put: Put, progress: ExportProgress
) -> Steps[WrittenImages]:
    """Write the images of all rows; raises `RequestError` where the first ones cannot be read."""
    count = missing = size = 0
    progress.stage("images", examples)
    for row in range(examples):
        try:
            answer = yield from get(f"/v1/maps/{map_id}/examples/{row}/image")
        except NotFoundError as error:
            missing += 1
            if count == 0 and missing >= min(_GIVES_UP, examples):
                raise RequestError(
                    f"images: none of the first {missing:,} can be read: {error.message}",
                    field="images",
                ) from None
            continue
        finally:
            progress.more(1)
        put(image_file(row), answer.content)
        count, size = count + 1, size + len(answer.content)
    return WrittenImages(count, missing, size)
