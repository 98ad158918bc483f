"""Images that compress as photos do: drawn things on backgrounds with fine grain, some 90 kB each."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

STAMPS = Path("/usr/share/tuxpaint/stamps")
FURNITURE = Path("/usr/share/sweethome3d/furniture")
WIDTH_PX, HEIGHT_PX = 500, 375


def make_images(folder: Path, n: int) -> None:
    """n JPEGs of 500 × 375 px: Tux Paint's stamps and Sweet Home 3D's furniture, placed at random."""
    folder.mkdir()
    things = read_things()
    for number in range(n):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(120, 255, (3, 4, 3), dtype=np.uint8))
        image = coarse.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC)
        thing = Image.open(io.BytesIO(things[number % len(things)])).convert("RGBA")
        scale = rng.uniform(0.5, 0.95) * HEIGHT_PX / max(thing.size)
        thing = thing.resize([max(1, round(side * scale)) for side in thing.size])
        room = [a - b for a, b in zip(image.size, thing.size, strict=True)]
        place = (int(rng.uniform(0, room[0])), int(rng.uniform(0, room[1])))
        image.paste(thing, place, thing)
        grainy = np.asarray(image) + rng.normal(0, 10, (HEIGHT_PX, WIDTH_PX, 3))
        image = Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))
        image.save(folder / f"{number:06d}.jpg", quality=90)


def read_things() -> list[bytes]:
    """PNG bytes of the stamps and of the renderings in the furniture's catalogs."""
    found = [path.read_bytes() for path in sorted(STAMPS.rglob("*.png"))]
    for library in sorted(FURNITURE.glob("*.sh3f")):
        with zipfile.ZipFile(library) as archive:
            found += [archive.read(name) for name in archive.namelist() if name.endswith(".png")]
    if not found:
        raise SystemExit("apt-get install tuxpaint-stamps-default sweethome3d-furniture")
    return found
