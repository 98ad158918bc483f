"""Reading counts back from a density archive, with a reader that is not ours."""

import io
from collections import defaultdict

import numpy as np
from PIL import Image
from pmtiles.reader import MemorySource, all_tiles

from featurescape_jobs.engine.storage import Storage


def counts_by_level(storage: Storage, path: str) -> dict[int, int]:
    """Zoom level → sum of the counts of all tiles."""
    sums: dict[int, int] = defaultdict(int)
    for (zoom, _, _), tile in all_tiles(MemorySource(storage.read(path))):
        pixels = np.asarray(Image.open(io.BytesIO(tile)).convert("RGB")).astype(np.int64)
        sums[zoom] += int((pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]).sum())
    return dict(sums)
