"""Profile of `features`: processor time of each step for an image, ours and the peers', and the roof.

    apt-get install tuxpaint-stamps-default sweethome3d-furniture
    python benchmarks/steps.py [--n 96] [--repeats 5]

The images and the peers are those of `benchmarks/features.py`: JPEGs of 500 × 375 px, EfficientNet-Lite0 with
its ImageNet weights up to its features. Every step is called by itself on all images, in one thread, the steps
in turn; the median of the rounds is printed, in milliseconds of processor time, which other work on the machine
changes less than time on the clock. The roof is what the network's products would take at the speed of one large
product of float32 matrices.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import feature_peers
import numpy as np
import torch
from machine import describe, use_threads
from photos import make_images

from featurescape_jobs.images.decode import decode
from featurescape_jobs.images.thumbnails import encode_thumbnail
from featurescape_jobs.networks import execution, preprocessing
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.specs import ModelSpec
from featurescape_jobs.tables import LayerColumn

THUMBNAIL_PX = 64
LAYER = LayerColumn("features", "pool", "flatten", 1280)
OUR_BATCH = 6
"""As `features` chooses it on a CPU."""
MATRIX = 2048

Step = Callable[[], Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=96, help="images")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    load = os.getloadavg()
    use_threads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder) / "photos", options.n)
        files = sorted((Path(folder) / "photos").iterdir())
        spent = in_turn(steps_of(files), options.repeats)
    print(describe(1, load))
    print(f"weights: {feature_peers.MODEL}, ImageNet's")
    for name, seconds in spent.items():
        print(f"{name:48} {1e3 * seconds / options.n:7.2f} ms an image")
    print_roof(operations_per_image())


def steps_of(files: list[Path]) -> Mapping[str, Step]:
    """Each step on all images."""
    encoded = [file.read_bytes() for file in files]
    images = [decode(data) for data in encoded]
    network = load_network(ModelSpec(name=feature_peers.MODEL), seed=0)
    card = network.image_card
    inputs = preprocessing.prepare(images, card)
    target = execution.Target(network, (LAYER,), torch.device("cpu"))
    found: dict[str, Step] = {
        "ours: decoding": lambda: [decode(data) for data in encoded],
        "ours: resizing": lambda: [preprocessing.resize(one, card) for one in images],
        "ours: thumbnail": lambda: [encode_thumbnail(one, THUMBNAIL_PX) for one in images],
    }
    for mode in ("float32", "folded", "bfloat16"):
        run = execution.build(target, mode)
        found[f"ours: network, {mode}"] = batched(run, inputs, OUR_BATCH)
    peers: dict[str, Callable[[], feature_peers.Forward]] = {
        "eager float32": feature_peers.plain,
        "folded, channels_last, float32": lambda: feature_peers.strong(bfloat16=False),
        "folded, channels_last, autocast": lambda: feature_peers.strong(bfloat16=True),
        "OpenVINO, f32": lambda: feature_peers.openvino("f32", 1),
        "OpenVINO, bf16": lambda: feature_peers.openvino("bf16", 1),
    }
    loaded = feature_peers.Images(files)
    found["peers: decoding and transforms"] = lambda: [loaded[at] for at in range(len(files))]
    for name, load in peers.items():
        try:
            forward = load()
        except ModuleNotFoundError as error:
            print(f"{name} is left out: {error}")
            continue
        found[f"peer: network, {name}"] = batched(
            lambda batch, forward=forward: forward(torch.from_numpy(batch)),
            inputs,
            feature_peers.BATCH,
        )
    return found


def batched(run: Callable[[Any], Any], inputs: np.ndarray[Any, Any], size: int) -> Step:
    """All inputs, so many at a time."""
    return lambda: [run(inputs[at : at + size]) for at in range(0, len(inputs), size)]


def in_turn(steps: Mapping[str, Step], repeats: int) -> dict[str, float]:
    """Median seconds of processor time of each; the first round warms up."""
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = time.process_time()
            step()
            if turn:
                spent[name].append(time.process_time() - start)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def operations_per_image() -> int:
    """Multiplications and additions of one pass."""
    from torch.utils.flop_counter import FlopCounterMode

    network = feature_peers.network()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 224, 224))
    return int(counter.get_total_flops())


def print_roof(operations: int) -> None:
    """Speed of a large product, and what the network would take at it."""
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(MATRIX, MATRIX).to(dtype)
        spent = []
        for _ in range(10):
            start = time.process_time()
            matrix @ matrix
            spent.append(time.process_time() - start)
        speed = 2 * MATRIX**3 / min(spent)
        print(
            f"roof, {str(dtype).removeprefix('torch.')}: {operations / 1e9:.2f} GFLOP an image at "
            f"{speed / 1e9:.0f} GFLOP/s are {1e3 * operations / speed:.1f} ms"
        )


if __name__ == "__main__":
    main()
