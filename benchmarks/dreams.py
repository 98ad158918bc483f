"""DeepDream of photos, against a loop of one image at a time as tutorials write it.

    python benchmarks/dreams.py [--model efficientnet_lite0] [--n 16] [--repeats 3] [--threads 2]

Input: n different crops of 224 px of scikit-learn's two sample photos, as PNG. Defaults of the method: 4
octaves of 1.4, 10 steps of 1.5, jitter of 32. Layers: blocks.10 of efficientnet_lite0, inception4c of
googlenet. GoogLeNet gets random weights (its own are a download), of He's scale, with which the signal
does not vanish on its way.

Peer: the original notebook's loop, in torch: fp32, one image, forward to the layer, backward, weights left
trainable; all threads. Ours: the `dreams` job with one worker, reading, self-test, encoding and
committing included. Both run in processes of their own, in turn, and time what comes after loading
the network.

Quality: the objective gained at full size in the eyes of the fp32 network. A dream is chaotic, so that one photo
gains 10 % more or less with other shifts; both therefore get the same shifts, other ones in each
repeat, and the means over photos and repeats must agree within 2 %, else the benchmark ends with
status 1 and no ratio. The roof is what a matrix product in bfloat16 reaches on these threads, over the
operations of the passes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy import ndimage
from sklearn.datasets import load_sample_images
from torch import nn

from featurescape_jobs import dreams
from featurescape_jobs.context import RunContext, seed_for
from featurescape_jobs.images.decode import decode
from featurescape_jobs.networks import LoadedNetwork, load_network
from featurescape_jobs.optvis.deepdream import DreamOptions, octave_sizes
from featurescape_jobs.specs import DatasetSpec, ModelSpec, Resources
from featurescape_jobs.specs.dreams import DreamsSpec
from featurescape_jobs.storage import Storage

SIDE_PX = 224
TOLERANCE = 0.02
MODELS = {"efficientnet_lite0": "blocks.10", "googlenet": "inception4c"}
OPTIONS = DreamOptions()


def main(arguments: Sequence[str] | None = None) -> int:
    """Check quality, then time; the exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.only:
        RUNS[options.only](options)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options.root = Path(folder)
        write_photos(options.root / "photos", options.n)
        write_weights(options)
        runs: dict[str, list[dict[str, Any]]] = {"peer": [], "ours": []}
        gains: dict[str, list[float]] = {"peer": [], "ours": []}
        for repeat in range(options.repeats):
            options.seed = repeat
            for name in ("peer", "ours") if repeat % 2 == 0 else ("ours", "peer"):
                runs[name].append(run_alone(name, options))
                said = ", ".join(f"{kind} {value:.1f}" for kind, value in runs[name][-1].items()
                                 if kind != "execution")  # fmt: skip
                print(f"{name}: {said}", flush=True)
            for name, gain in gained(options).items():
                gains[name].append(gain)
        if not same(gains):
            print(f"quality: the gains differ by more than {TOLERANCE:.0%}, so no ratio")
            return 1
        print_speed(options, runs)
    return 0


def run_alone(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One of the two in a process of its own: what it says of itself."""
    command = [sys.executable, __file__, "--only", name, "--root", str(options.root)]
    for field in ("model", "n", "threads", "seed"):
        command += [f"--{field}", str(getattr(options, field))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def write_photos(folder: Path, n: int) -> None:
    """Crops of the two photos, from different places and of different scales."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    photos = load_sample_images().images
    for number in range(n):
        photo = Image.fromarray(photos[number % 2])
        side = int(rng.integers(SIDE_PX, 400))
        x, y = (int(rng.integers(0, length - side + 1)) for length in photo.size)
        crop = photo.resize(
            (SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, (x, y, x + side, y + side)
        )
        crop.save(folder / f"{number:03d}.png")


def read_photos(root: Path) -> list[np.ndarray]:
    """All photos, (H, W, 3)."""
    return [np.asarray(Image.open(path)) for path in photo_paths(root)]


def photo_paths(root: Path) -> list[Path]:
    """Where they lie."""
    return sorted((root / "photos").iterdir())


def write_weights(options: argparse.Namespace) -> None:
    """GoogLeNet's: random, of a scale that neither swells nor shrinks from layer to layer."""
    if options.model == "efficientnet_lite0":
        return
    network = load_network(ModelSpec(name=options.model, weights="random"), seed=0)
    torch.manual_seed(0)
    for part in network.module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
    state = {name: value.contiguous() for name, value in network.module.state_dict().items()}
    save_file(state, options.root / "weights.safetensors")


def model_spec(options: argparse.Namespace) -> ModelSpec:
    """The model with its weights."""
    if options.model == "efficientnet_lite0":
        return ModelSpec(name=options.model)
    return ModelSpec(name=options.model, weights=str(options.root / "weights.safetensors"))


def normalized(pixels: torch.Tensor, network: LoadedNetwork) -> torch.Tensor:
    """(N, 3, H, W) from 0 to 255 as the network wants it."""
    card = network.picture_card
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (card.mean, card.std))
    return (pixels / 255 - mean) / std


class UpTo:
    """Forward to a layer, which ends the pass there: ``net.forward(end=…)`` of the notebook."""

    class _Reached(Exception):
        pass

    def __init__(self, network: LoadedNetwork, layer: str) -> None:
        self.network = network
        network.module.get_submodule(layer).register_forward_hook(self._stop)

    def _stop(self, _module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        self.found = output
        raise self._Reached

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        with contextlib.suppress(self._Reached):
            self.network.module(normalized(pixels, self.network))
        return self.found


def peer_dream(photo: np.ndarray, up_to: UpTo, rng: np.random.Generator) -> np.ndarray:
    """The notebook's loop over octaves and steps."""
    octaves = [photo.transpose(2, 0, 1).astype(np.float32)]
    for _ in range(OPTIONS.octaves - 1):
        scale = 1 / OPTIONS.octave_scale
        octaves.append(ndimage.zoom(octaves[-1], (1, scale, scale), order=1))
    detail = np.zeros_like(octaves[-1])
    for base in octaves[::-1]:
        h, w = base.shape[-2:]
        h1, w1 = detail.shape[-2:]
        if (h, w) != (h1, w1):
            detail = ndimage.zoom(detail, (1, h / h1, w / w1), order=1)
        source = base + detail
        for _ in range(OPTIONS.iterations):
            oy, ox = rng.integers(-OPTIONS.jitter_px, OPTIONS.jitter_px + 1, 2)
            source = np.roll(np.roll(source, ox, -1), oy, -2)
            image = torch.from_numpy(source[None]).requires_grad_()
            activation = up_to(image)
            activation.backward(gradient=activation.detach())  # the objective is L2
            assert image.grad is not None
            gradient = image.grad[0].numpy()
            source = source + OPTIONS.step / np.abs(gradient).mean() * gradient
            source = np.roll(np.roll(source, -ox, -1), -oy, -2)
            source = np.clip(source, 0, 255)
        detail = source - base
    return source.transpose(1, 2, 0)


def run_peer(options: argparse.Namespace) -> None:
    """Dream all photos one by one; the dreams go to peer.npy."""
    network = load_network(model_spec(options), seed=0)
    network.module.to(memory_format=torch.contiguous_format)  # as it comes, before our loader
    network.module.requires_grad_(True)
    up_to = UpTo(network, MODELS[options.model])
    seeds = [seed_for(options.seed, path.name) for path in photo_paths(options.root)]
    generators = [np.random.default_rng(seed) for seed in seeds]
    photos = read_photos(options.root)
    start, cpu_start = time.perf_counter(), time.process_time()
    found = [peer_dream(p, up_to, rng) for p, rng in zip(photos, generators, strict=True)]
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    np.save(options.root / "peer.npy", np.rint(np.stack(found)).astype(np.uint8))
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}))


def run_ours(options: argparse.Namespace) -> None:
    """The `dreams` job with one worker in this process; the dreams go to ours.npy."""
    spec = DreamsSpec(
        dataset=DatasetSpec(name="images", root=str(options.root / "photos")),
        model=model_spec(options),
        layer=MODELS[options.model],
        shard_size=16,
        format="png",
        seed=options.seed,
        resources=Resources(cpus_per_worker=options.threads),
    )
    cpu_start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(Storage(folder), "dreams-0123456789ab", 1, options.seed, {})
        outcome = dreams.run(spec, context)
        cpu_seconds = time.process_time() - cpu_start
        files = [file for file in context.files if file.kind == "dreams"]
        tables = [context.storage.read_table(context.path(file.path), ["dream"]) for file in files]
    pictures = [decode(row["dream"]["bytes"]) for table in tables for row in table.to_pylist()]
    np.save(options.root / "ours.npy", np.stack(pictures))
    said = {"seconds": context.timings_seconds["dream"], "cpu_seconds": cpu_seconds}
    print(json.dumps({**said, "execution": outcome.details["execution"]}))


RUNS = {"peer": run_peer, "ours": run_ours}


def gained(options: argparse.Namespace) -> dict[str, float]:
    """What the objective gained in the mean over photos, by the peer and by ours."""
    network = load_network(model_spec(options), seed=0)
    up_to = UpTo(network, MODELS[options.model])

    def objective(pictures: np.ndarray) -> float:
        planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            return statistics.mean(
                up_to(plane[None]).square().mean().item() / 2 for plane in planes
            )

    before = objective(np.stack(read_photos(options.root)))
    return {name: objective(np.load(options.root / f"{name}.npy")) - before for name in RUNS}


def same(gains: dict[str, list[float]]) -> bool:
    """Print what the objective gained, and whether both gained the same."""
    peer, ours = (statistics.mean(gains[name]) for name in ("peer", "ours"))
    print(f"objective gained by the peer {peer:.4g}, by ours {ours:.4g} ({ours / peer - 1:+.1%})")
    return abs(ours / peer - 1) <= TOLERANCE


def print_speed(options: argparse.Namespace, runs: dict[str, list[dict[str, Any]]]) -> None:
    """The table, the share of the roof, and last ``ratio: X.XX``."""
    print(f"execution: {runs['ours'][-1]['execution']}")
    medians = {
        name: statistics.median(run["seconds"] for run in found) for name, found in runs.items()
    }
    for name, seconds in medians.items():
        print(f"{name}: {seconds:.2f} s, {options.n / seconds:.2f} images a second")
    roof = 1 / roof_seconds(options)
    share = options.n / medians["ours"] / roof
    print(f"roof: {roof:.2f} images a second in bfloat16; ours is {share:.0%} of it")
    print(f"ratio: {medians['peer'] / medians['ours']:.2f}")


def roof_seconds(options: argparse.Namespace) -> float:
    """Seconds per image if every operation ran as fast as a large product of bfloat16 matrices."""
    from torch.utils.flop_counter import FlopCounterMode

    network = load_network(model_spec(options), seed=0)
    up_to = UpTo(network, MODELS[options.model])
    operations = 0
    for height, width in octave_sizes(SIDE_PX, SIDE_PX, OPTIONS):
        image = torch.zeros(1, 3, height, width, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            up_to(image).sum().backward()
        operations += OPTIONS.iterations * counter.get_total_flops()
    matrix = torch.randn(2048, 2048, dtype=torch.bfloat16)
    spent = []
    for _ in range(10):
        start = time.perf_counter()
        matrix @ matrix
        spent.append(time.perf_counter() - start)
    return operations / (2 * 2048**3 / min(spent))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=list(MODELS), default="efficientnet_lite0")
    parser.add_argument("--n", type=int, default=16, help="photos")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=list(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
