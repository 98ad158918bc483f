"""Decoding of plain JPEGs, and with their scaling to 224 px, against Pillow alone.

    python benchmarks/decoding.py [--n 400] [--repeats 9] [--threads 2] [--controls]

Parts of scikit-learn's two photos at 640 × 480 and 2,000 × 1,500 px, with noise, quality 90 and an EXIF block that
says upright: what most collections hold. Peers: Pillow as loaders use it (EXIF's orientation, then ``convert``),
and Pillow without a look at anything else in the file. CPU seconds, of a new process in each round, as where
a process' memory lies alone moves a decode by some percent; all keep freed memory, as workers do.

Gate: every pixel is Pillow's. Controls that must fail: one level of one pixel, and an image not turned upright.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from harness import (
    Comparison,
    Contender,
    Gate,
    Outputs,
    Role,
    Run,
    Verdict,
    compare,
    finish,
    parser,
)
from numpy.typing import NDArray
from PIL import Image, ImageOps

SIZES = ((640, 480), (2_000, 1_500))
TARGET_PX = 224
_ORIENTATION, _MAKER = 0x0112, 0x010F
_DIFFERENT = 20
"""How many images there are; they are decoded over and over."""
Pixels = NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> int:
    """Decode, and decode and scale, at both sizes; the exit status."""
    made = parser(__doc__, repeats=9)
    made.add_argument("--n", type=int, default=400)
    made.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = made.parse_args(arguments)
    if options.worker:
        name, width, height, side = options.worker
        work(name, (int(width), int(height)), int(side), options.n)
        return 0
    if options.controls:
        options.n = 2
    found = []
    for size in SIZES:
        for side in (0, TARGET_PX):
            found.append(compare(comparison(size, side, options.n), options))
    return finish(found, options)


def comparison(size: tuple[int, int], side_px: int, n: int) -> Comparison:
    """Images of one size, scaled to ``side_px`` afterwards if that is not 0."""
    scaled = f", scaled to {side_px}" if side_px else ""
    contenders = [
        Contender(name, role, partial(in_process, name, size, side_px, n))
        for name, role in (
            ("Pillow as in loaders", Role.POPULAR),
            ("Pillow alone", Role.STRONG),
            ("featurescape", Role.OURS),
        )
    ]
    stage = f"decoding of {n} JPEGs of {size[0]} × {size[1]} px{scaled}, CPU time"
    gate = Gate(judge, partial(controls, size))
    return Comparison(stage, "no network", contenders, gate, items=n)


def judge(digests: list[str], outputs: Outputs) -> Verdict:
    """True if all pixels are those of Pillow alone."""
    equal = [a == b for a, b in zip(digests, outputs["Pillow alone"], strict=True)]
    return Verdict(all(equal), f"{sum(equal)} of {len(equal)} images have Pillow's pixels")


def controls(size: tuple[int, int], outputs: Outputs) -> Mapping[str, list[str]]:
    """Images that are wrong in the least and in the most common way."""
    right: list[str] = outputs["Pillow alone"]
    level = by_pillow(jpeg(0, size))
    level[0, 0, 0] ^= 1
    return {
        "one level of one pixel": [digest(level), *right[1:]],
        "not turned upright": [digest(featurescape()(jpeg(0, size, orientation=6))), *right[1:]],
    }


def digest(pixels: Pixels) -> str:
    """Digest of shape and pixels."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def jpeg(number: int, size: tuple[int, int], orientation: int = 1) -> bytes:
    """A part of one of two photos, scaled to ``size``, with noise of its own."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(number)
    photo = Image.fromarray(load_sample_images().images[number % 2])
    width, height = size
    scale = min(photo.width / width, photo.height / height) * rng.uniform(0.6, 1.0)
    left = rng.uniform(0, photo.width - scale * width)
    top = rng.uniform(0, photo.height - scale * height)
    part = photo.resize(size, box=(left, top, left + scale * width, top + scale * height))
    noisy = np.asarray(part) + rng.normal(0, 4, (height, width, 3))
    exif = Image.Exif()
    exif[_ORIENTATION], exif[_MAKER] = orientation, "a camera"
    file = io.BytesIO()
    clipped = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    clipped.save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()


def by_pillow(data: bytes) -> Pixels:
    """Pixels as they are stored."""
    return np.array(Image.open(io.BytesIO(data)))


def as_in_loaders(data: bytes) -> Pixels:
    """Pixels upright and in RGB."""
    return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def featurescape() -> Callable[[bytes], Pixels]:
    """The decoder of all jobs."""
    from featurescape_jobs.images.decode import decode

    return decode


def work(name: str, size: tuple[int, int], side_px: int, n: int) -> None:
    """Decode ``n`` images twice, once to be warm, and print the CPU seconds of the second time."""
    from featurescape_jobs.networks.worker_process import keep_freed_memory

    keep_freed_memory()
    peers = {"Pillow alone": by_pillow, "Pillow as in loaders": as_in_loaders}
    decode = peers.get(name) or featurescape()
    images = [jpeg(number, size) for number in range(min(n, _DIFFERENT))]
    seconds = 0.0
    for _ in range(2):
        start = time.process_time()
        for number in range(n):
            pixels = decode(images[number % len(images)])
            if side_px:
                Image.fromarray(pixels).resize((side_px, side_px))
        seconds = time.process_time() - start
    digests = [digest(decode(image)) for image in images]
    print(json.dumps({"seconds": seconds, "digests": digests}))


def in_process(name: str, size: tuple[int, int], side_px: int, n: int) -> Run:
    """`work` in a new process."""
    options: list[Any] = ["--worker", name, *size, side_px, "--n", n]
    command = [sys.executable, __file__, *map(str, options)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return Run(said["seconds"], said["digests"])


if __name__ == "__main__":
    sys.exit(main())
