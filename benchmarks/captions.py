"""Captions of images: beam search of one image at a time, in batches, and by the `captions` job.

    python benchmarks/captions.py [--n 512] [--peer-n 64] [--repeats 3] [--threads 2] [--model efficientnet_lite0]

Input: n JPEG images of 256 px, each with two colored shapes in two of its corners, and what is where as the
caption (15 words). The encoder is EfficientNet-Lite0 up to blocks.10 with its ImageNet weights, a grid of 14 ×
14 × 112 (or ResNet-50 up to layer3, a grid of 14 × 14 × 1024, with random weights: its own are a download); the
decoder has 512 units throughout, and learns on other such images first (not timed), so that captions are as
long and as certain as of a trained captioner.

Popular peer: for each image by itself the encoder in float32, then beam search of width 5 over the same
weights, in which attention projects the grid anew at every step for every beam, and goes on until all beams have
ended. Its time per image does not depend on their number, so it is timed on the first ``--peer-n``. Strong
peers: the encoder in batches and channels_last, in ``autocast`` to bfloat16 or in float32, keys of the attention
once per image, all beams of 32 images in one tensor, images that are done leave it. All use all threads.
Ours is the `captions` job on Ray, one worker of one thread per ``--threads``: start of the workers, self-test of
the encoder, attention maps, alternatives and images in the output included.

Two comparisons: the decoder alone, on grids that are there already, in this process on all threads; then end to
end.

Gate (`caption_gate`), of the first ``--peer-n`` images: captions that ended have the popular peer's words, of
99.5 % of the images where the encoder runs in float32 and of 95 % else; captions that are cut at 30 words are,
in the same parts, by the plain decoder's score not less probable than the popular peer's. Controls: the captions
of other images (shuffled), and those of a beam search over the mean grid of all images.

Where the time goes: the first table has the share of the search; the rest end to end is decoding, the encoder,
and for ours the start of the workers and what is written beside the words, which no peer writes. How long that
start is, and from how many images on ours is ahead in spite of it, is printed after the second table.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from caption_gate import PLAIN, Captions, Judge, shuffled
from caption_peers import BEAM, MAX_WORDS, Batched, Loop
from harness import Comparison, Contender, Gate, Outputs, Role, Run, Timings
from PIL import Image, ImageDraw
from steady import break_even, steady_seconds

from featurescape_jobs import captions
from featurescape_jobs.captioning.describing import Describer, batch_size
from featurescape_jobs.captioning.loading import LoadedCaptioner, load_captioner
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.run import execute
from featurescape_jobs.sequences.beam_search import BeamOptions
from featurescape_jobs.specs import CaptionsSpec, ModelSpec, parse_spec

MIN_EQUAL, MIN_EQUAL_HALF = 0.995, 0.95
"""Of the captions; the second with an encoder in bfloat16."""
SIDE_PX = 256
SHARD = 64
"""Images of a shard, at most: as many as ours describes together."""
TRAINING, JOB = "training-0123456789ab", "captions-0123456789ab"
LAYERS = {"efficientnet_lite0": "blocks.10", "resnet50": "layer3", "resnet18": "layer3"}
COLORS = {"red": (200, 30, 30), "green": (30, 160, 50), "blue": (40, 60, 210), "white": (240,) * 3}
SHAPES = ("circle", "square", "bar", "ring")
CORNERS = {"upper left": (0, 0), "upper right": (0, 1), "lower left": (1, 0), "lower right": (1, 1)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a captioner, then compare; the exit status."""
    options = _parser().parse_args(arguments)
    if options.controls:
        options.n = options.peer_n = 24
        options.learned, options.epochs = 128, 12
    import ray

    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        write_images(options.folder / "learned", options.learned, seed=1)
        write_images(options.folder / "described", options.n, seed=2)
        captioner = train(options)
        ray.init("local", num_cpus=options.threads, include_dashboard=False, log_to_driver=False)
        try:
            return compare(options, captioner)
        finally:
            ray.shutdown()


def compare(options: argparse.Namespace, captioner: LoadedCaptioner) -> int:
    """Both comparisons; the exit status."""
    files = sorted((options.folder / "described").glob("*.jpg"))
    torch.set_num_threads(options.threads)
    found = [harness.compare(decoder_alone(options, captioner, files), options)]
    steady: list[float] = []
    found.append(harness.compare(end_to_end(options, captioner, files, steady), options))
    if found[1] is not None and not options.controls:
        if steady:
            print_startup(found[1], statistics.median(steady), len(files))
        else:
            print("every worker had one shard only: the start is told apart with more images (--n)")
    return harness.finish(found, options)


def print_startup(timings: Timings, steady: float, n: int) -> None:
    """Print the start-up cost before the workers are warm, and how many images make up for it."""
    startup = timings.seconds("featurescape") - steady
    print(f"ours starts for {startup:.1f} s, then {n / steady:.1f} images/s: {steady:.1f} s of all")
    strongest = timings.fastest(Role.STRONG)
    assert strongest is not None
    peer = timings.seconds(strongest)
    print(
        f"{strongest} has {n / peer:.1f} images/s: {peer / steady:.2f} times as long as ours warm"
    )
    ahead = break_even(n, startup, steady, peer)
    said = "never ahead" if ahead is None else f"ahead from {ahead:,.0f} images on"
    print(f"with its start, ours is {said}")


def weights_of(options: argparse.Namespace) -> str:
    """The encoder's weights."""
    own = "ImageNet's" if options.model == "efficientnet_lite0" else "random"
    return f"{options.model}, {own}"


def decoder_alone(
    options: argparse.Namespace, captioner: LoadedCaptioner, files: list[Path]
) -> Comparison:
    """Beam search over grids that are there, of the first ``--peer-n`` images."""
    loop, strong = Loop(captioner), Batched(captioner, bfloat16=False)
    grids = strong.encode(files[: options.peer_n])
    describer = Describer(captioner.decoder, captioner.vocabulary, torch.device("cpu"))
    contenders = [
        Contender(PLAIN, Role.POPULAR, lambda: [loop.search(grid[None]) for grid in grids]),
        Contender("hoisted and batched", Role.STRONG, lambda: in_parts(strong.search, grids, 32)),
        Contender(
            "featurescape",
            Role.OURS,
            lambda: in_parts(partial(describe, describer), grids, batch_size(grids.shape[1])),
        ),
    ]
    elsewhere = grids.mean(0, keepdim=True).expand_as(grids)

    def controls(outputs: Outputs) -> Mapping[str, Captions]:
        return {
            **shuffled(outputs[PLAIN]),
            "search from the mean grid": in_parts(strong.search, elsewhere, 32),
        }

    stage = f"beam search of {len(grids)} images, beam {BEAM}, same words"
    judge = Judge(lambda at, words: loop.score(grids[at][None], words), MIN_EQUAL)
    gate = Gate(judge, controls)
    return Comparison(stage, weights_of(options), contenders, gate, items=len(grids))


def end_to_end(
    options: argparse.Namespace, captioner: LoadedCaptioner, files: list[Path], steady: list[float]
) -> Comparison:
    """Caption files end to end; a run of ours without its start goes to ``steady``."""
    loop = Loop(captioner)

    def popular() -> Run:
        few = files[: options.peer_n]
        start = time.perf_counter()
        said = loop.run(few)
        return Run((time.perf_counter() - start) * len(files) / len(few), said)

    def strong(bfloat16: bool) -> Captions:
        return Batched(captioner, bfloat16=bfloat16).run(files)

    def ours() -> Captions:
        job = run_ours(options, options.execution)
        seconds = steady_seconds(options.folder / "storage" / "jobs" / JOB, time.time())
        steady.extend([] if seconds is None else [seconds])
        print(f"execution: {json.dumps(job.outcome.details['execution'])}")
        words = job.words()
        return [words[name] for name in sorted(words)]

    contenders = [
        Contender(PLAIN, Role.POPULAR, popular),
        Contender("batched in bfloat16", Role.STRONG, partial(strong, True)),
        Contender("batched in float32", Role.STRONG, partial(strong, False)),
        Contender("featurescape", Role.OURS, ours),
    ]
    grids = Batched(captioner, bfloat16=False).encode(files[: options.peer_n])
    elsewhere = grids.mean(0, keepdim=True).expand_as(grids)

    def controls(outputs: Outputs) -> Mapping[str, Captions]:
        search = Batched(captioner, bfloat16=False).search
        said = [captioner.vocabulary.decode(words) for words in in_parts(search, elsewhere, 32)]
        return {**shuffled(outputs[PLAIN]), "search from the mean grid": said}

    stage = f"captions of {len(files)} images, beam {BEAM}, same words"

    def score(at: int, words: Sequence[str]) -> float:
        return loop.score(grids[at][None], [captioner.vocabulary.number(word) for word in words])

    gate = Gate(Judge(score, MIN_EQUAL_HALF), controls)
    return Comparison(stage, weights_of(options), contenders, gate, items=len(files))


def in_parts(
    search: Callable[[torch.Tensor], list[list[int]]], grids: torch.Tensor, size: int
) -> list[list[int]]:
    """Words of all grids, so many at a time."""
    parts = (search(grids[at : at + size]) for at in range(0, len(grids), size))
    return [words for part in parts for words in part]


def describe(describer: Describer, grids: torch.Tensor) -> list[list[int]]:
    """Ours: the best caption of each."""
    return [best.words for best, *_ in describer.describe(grids, BeamOptions(BEAM, MAX_WORDS))]


# -- ours --------------------------------------------------------------------------------------


class Ours:
    """A finished `captions` job."""

    def __init__(self, context: RunContext, outcome: Any) -> None:
        self.context, self.outcome = context, outcome

    def words(self) -> dict[str, list[str]]:
        """Words by image."""
        found: dict[str, list[str]] = {}
        for file in self.context.files:
            if file.kind == "captions":
                path = self.context.path(file.path)
                table = self.context.storage.read_table(path, ["example_id", "words"])
                found |= dict(zip(*table.to_pydict().values(), strict=True))
        return found


def run_ours(options: argparse.Namespace, execution: str) -> Ours:
    """The `captions` job, in place of its last output."""
    storage = Storage(str(options.folder / "storage"))
    shutil.rmtree(options.folder / "storage" / "jobs" / JOB, ignore_errors=True)
    spec = CaptionsSpec.model_validate(
        {
            "dataset": {"name": "images", "root": str(options.folder / "described")},
            "model": {"name": "captioner", "training": TRAINING},
            "beam": BEAM,
            "max_words": MAX_WORDS,
            "execution": execution,
            "shard_size": min(SHARD, max(1, options.n // (4 * options.threads))),
            "resources": {"workers": options.threads},
        }
    )
    context = RunContext(storage, JOB, 1, 0, {}, ray_address="local")
    return Ours(context, captions.run(spec, context))


def train(options: argparse.Namespace) -> LoadedCaptioner:
    """A captioner of such images."""
    storage = Storage(str(options.folder / "storage"))
    weights = "pretrained" if options.model == "efficientnet_lite0" else "random"
    encoder = {"name": options.model, "weights": weights, "layers": LAYERS[options.model]}
    model = {
        "name": "captioner",
        "shape": {"family": "captioner", "encoder": encoder, "dropout": 0.1},
    }
    spec = parse_spec(
        {
            "job": "training",
            "dataset": {"name": "caption_table", "root": str(options.folder / "learned")},
            "model": model,
            "epochs": options.epochs,
            "learning_rate": 1e-3,
        }
    )
    body = {"spec": spec.model_dump(mode="json"), "inputs": {}, "threads": options.threads}
    storage.write(f"jobs/{TRAINING}/spec.json", json.dumps(body).encode())
    manifest = execute(storage, TRAINING, 1)
    assert manifest is not None
    said = manifest.details
    print(f"trained in {sum(manifest.timings_seconds.values()):.0f} s, {said['scores']}")
    return load_captioner(ModelSpec(name="captioner", training=TRAINING), storage, None)


def write_images(folder: Path, n: int, seed: int) -> None:
    """Images and a table of their captions."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    with (folder / "captions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "caption"])
        for number in range(n):
            image = Image.new("RGB", (SIDE_PX, SIDE_PX), tuple(random.integers(90, 150, 3)))
            said = []
            for corner in sorted(random.choice(list(CORNERS), 2, replace=False)):
                color, shape = random.choice(list(COLORS)), random.choice(SHAPES)
                _draw(image, shape, COLORS[color], CORNERS[corner], random)
                said.append(f"a {color} {shape} in the {corner}")
            image.save(folder / f"{number:05d}.jpg", quality=90)
            table.writerow([f"{number:05d}.jpg", " and ".join(said)])


def _draw(
    image: Image.Image,
    shape: str,
    color: tuple[int, ...],
    corner: tuple[int, int],
    random: np.random.Generator,
) -> None:
    side = int(random.integers(50, 90))
    row, column = (int(SIDE_PX * (0.28 + 0.44 * at) + random.integers(-15, 16)) for at in corner)
    box = (column - side // 2, row - side // 2, column + side // 2, row + side // 2)
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse(box, fill=color)
    elif shape == "ring":
        draw.ellipse(box, outline=color, width=side // 5)
    elif shape == "square":
        draw.rectangle(box, fill=color)
    else:
        draw.rectangle((box[0], row - side // 8, box[2], row + side // 8), fill=color)


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__, repeats=3)
    parser.add_argument("--model", choices=list(LAYERS), default="efficientnet_lite0")
    parser.add_argument("--n", type=int, default=512, help="images that are described")
    parser.add_argument("--peer-n", type=int, default=64, help="of them by the loop")
    parser.add_argument("--learned", type=int, default=256, help="images for the training before")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--execution", default="auto", choices=("auto", "float32", "bfloat16"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
