"""Captions of pictures, against beam search of one picture at a time as tutorials write it.

    python benchmarks/captions.py [--n 768] [--peer-n 64] [--repeats 3] [--threads 2] [--model resnet50]

Input: n JPEG pictures of 256 px, each with two colored shapes in two of its corners, and what is where as
the caption (15 words). The encoder is ResNet-50 up to layer3, a grid of 14 × 14 × 1024, with random weights
(seed 0; its own are a download); the decoder has 512 units throughout, and learns on other such pictures first
(not timed), so that captions are as long and as certain as of a trained captioner.

Peer: for each picture by itself the encoder in fp32, then beam search of width 5 over the same weights, in which
attention projects the grid anew at every step for every beam, and goes on until all beams have ended;
all threads. Its time per picture does not depend on their number, so it is timed on the first ``--peer-n``. Ours
is the `captions` job on Ray, one worker of one thread per ``--threads``: start of the workers, self-test of the
encoder, attention maps, alternatives and pictures in the output included. The decoder is also timed alone, on
grids that are there already, in this process on all threads.

Quality first: with the encoder in fp32 the words of 99.5 % of the pictures must be the peer's, else the
benchmark ends with status 1 and no ratio. Two tables: the decoder alone, then end to end, whose ratio is last.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pairs import Timings, interleave, print_table
from PIL import Image, ImageDraw
from torch.nn import functional

from featurescape_jobs import captions
from featurescape_jobs.captioning.beam import BeamOptions
from featurescape_jobs.captioning.decoder import Decoder
from featurescape_jobs.captioning.describing import Describer, batch_size
from featurescape_jobs.captioning.loading import LoadedCaptioner, load_captioner
from featurescape_jobs.captioning.vocabulary import END, UNKNOWN
from featurescape_jobs.context import RunContext
from featurescape_jobs.images.decode import decode
from featurescape_jobs.networks import Capture
from featurescape_jobs.preprocessing import prepare
from featurescape_jobs.run import execute
from featurescape_jobs.specs import CaptionsSpec, ModelSpec, parse_spec
from featurescape_jobs.storage import Storage

BEAM, MAX_WORDS = 5, 30
MIN_EQUAL = 0.995
SIDE_PX = 256
TRAINING, JOB = "training-0123456789ab", "captions-0123456789ab"
LAYERS = {"resnet50": "layer3", "resnet18": "layer3", "efficientnet_lite0": "blocks.10"}
COLORS = {"red": (200, 30, 30), "green": (30, 160, 50), "blue": (40, 60, 210), "white": (240,) * 3}
SHAPES = ("circle", "square", "bar", "ring")
CORNERS = {"upper left": (0, 0), "upper right": (0, 1), "lower left": (1, 0), "lower right": (1, 1)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check quality, then time; the exit status."""
    options = _parser().parse_args(arguments)
    import ray

    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        write_pictures(options.folder / "learned", options.learned, seed=1)
        write_pictures(options.folder / "described", options.n, seed=2)
        captioner = train(options)
        ray.init("local", num_cpus=options.threads, include_dashboard=False, log_to_driver=False)
        try:
            return _compare(options, captioner)
        finally:
            ray.shutdown()


def _compare(options: argparse.Namespace, captioner: LoadedCaptioner) -> int:
    files = sorted((options.folder / "described").glob("*.jpg"))[: options.peer_n]
    torch.set_num_threads(options.threads)
    expected = Loop(captioner).run(files)
    exact = equal_share(run_ours(options, "float32"), expected)
    print(f"words as the loop's, encoder in fp32: {exact:.2%} of {len(expected)} pictures")
    if exact < MIN_EQUAL:
        print(f"quality: below {MIN_EQUAL:.1%}, so no ratio")
        return 1
    _time_decoder(options, captioner, files)
    fast = run_ours(options, options.execution)
    mode = fast.outcome.details["execution"]["mode"]
    print(
        f"\nend to end; words as the loop's, encoder in {mode}: {equal_share(fast, expected):.2%}"
    )
    timings = interleave(
        lambda: Loop(captioner).run(files),
        lambda: run_ours(options, options.execution),
        options.repeats,
    )
    scale = options.n / len(files)
    timings = Timings([scale * value for value in timings.peer_seconds], timings.ours_seconds)
    print(f"the loop's times are those of {len(files)} pictures, times {scale:g}")
    _print_speeds(timings, options.n)
    print_table(timings, "one at a time")
    return 0


def _time_decoder(
    options: argparse.Namespace, captioner: LoadedCaptioner, files: list[Path]
) -> None:
    loop = Loop(captioner)
    grids = torch.cat([loop.see(file) for file in files])
    describer = Describer(captioner.decoder, captioner.vocabulary, torch.device("cpu"))
    size = batch_size(grids.shape[1])

    def ours() -> list[list[int]]:
        chosen = BeamOptions(BEAM, MAX_WORDS)
        parts = (
            describer.describe(grids[at : at + size], chosen) for at in range(0, len(grids), size)
        )
        return [best.words for part in parts for best, *_ in part]

    def peer() -> list[list[int]]:
        return [loop.search(grid[None]) for grid in grids]

    found, expected = ours(), peer()
    same = np.mean([a == b for a, b in zip(found, expected, strict=True)])
    length = statistics.mean(len(words) for words in expected)
    print(
        f"\ndecoder alone; same words {same:.2%}, {length:.1f} in the mean, grids {tuple(grids.shape[1:])}"
    )
    timings = interleave(peer, ours, options.repeats)
    _print_speeds(timings, len(grids))
    print_table(timings, "one at a time")


# -- the peer ----------------------------------------------------------------------------------


class Loop:
    """What tutorials do, with the same weights."""

    def __init__(self, captioner: LoadedCaptioner) -> None:
        self.captioner = captioner
        encoder = captioner.encoder
        self.capture = Capture(encoder.network.module, list(encoder.shapes))

    def run(self, files: list[Path]) -> list[list[str]]:
        """Captions, picture by picture."""
        decode_words = self.captioner.vocabulary.decode
        return [decode_words(self.search(self.see(file))) for file in files]

    def see(self, file: Path) -> torch.Tensor:
        """The grid of one picture, (1, L, D)."""
        encoder = self.captioner.encoder
        pixels = prepare([decode(file.read_bytes())], encoder.network.picture_card)
        found = self.capture.run(torch.from_numpy(pixels))
        return encoder.grid([found[layer] for layer in encoder.shapes]).contiguous()

    @torch.no_grad()
    def search(self, grid: torch.Tensor) -> list[int]:
        """Beam search of one picture."""
        net: Decoder = self.captioner.decoder
        k = BEAM
        grid = (grid - net.get_buffer("mean")) / net.get_buffer("deviation")
        h, c = torch.tanh(net.start[0](grid.mean(1))).expand(k, -1).chunk(2, 1)
        grid = grid.expand(k, *grid.shape[1:])
        words = torch.full((k, 1), net.vocabulary_size)
        scores, done = torch.zeros(k), list[tuple[float, list[int]]]()
        for step in range(MAX_WORDS + 1):
            chances, h, c = self._step(net, grid[:k], words[:, -1], h, c)
            chances[:, UNKNOWN] = -torch.inf
            if step == 0:
                chances[:, END] = -torch.inf
                chances[1:] = -torch.inf  # all beams are the same yet
            scores, best = (scores[:, None] + chances).flatten().topk(k)
            rows, following = best // chances.shape[1], best % chances.shape[1]
            words = torch.cat([words[rows], following[:, None]], 1)
            ended = following == END
            done += zip(scores[ended].tolist(), words[ended, 1:-1].tolist(), strict=True)
            left = ~ended
            k = int(left.sum())
            if k == 0:
                break
            words, scores, h, c = words[left], scores[left], h[rows[left]], c[rows[left]]
        if not done:
            done = [(float(scores[0]), words[0, 1:-1].tolist())]
        return max(done, key=lambda one: one[0])[1]

    def _step(
        self, net: Decoder, grid: torch.Tensor, words: torch.Tensor, *state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h, c = state
        attention = net.attention
        keys = attention.key(grid)  # (k, L, A), anew at every step
        together = torch.tanh(keys + attention.query(h)[:, None])
        weights = attention.score(together)[:, :, 0].softmax(1)
        context = torch.sigmoid(net.gate(h)) * (grid * weights[:, :, None]).sum(1)
        embedded = net.embedding(words)
        lstm: Any = net.cells[0]
        h, c = torch.lstm_cell(
            torch.cat([embedded, context], 1),
            (h, c),
            lstm.weight_ih_l0,
            lstm.weight_hh_l0,
            lstm.bias_ih_l0,
            lstm.bias_hh_l0,
        )
        logits = net.output(torch.tanh(embedded + net.from_hidden(h) + net.from_context(context)))
        return functional.log_softmax(logits, 1), h, c


# -- ours --------------------------------------------------------------------------------------


class Ours:
    """A finished `captions` job."""

    def __init__(self, context: RunContext, outcome: Any) -> None:
        self.context, self.outcome = context, outcome

    def words(self) -> dict[str, list[str]]:
        """By picture."""
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
            "resources": {"workers": options.threads},
        }
    )
    context = RunContext(storage, JOB, 1, 0, {}, ray_address="local")
    return Ours(context, captions.run(spec, context))


def equal_share(ours: Ours, expected: list[list[str]]) -> float:
    """The part of the pictures, from the first on, whose captions are the same; 0 if one is missing."""
    found = ours.words()
    names = sorted(found)
    if ours.outcome.error_rows or len(names) < len(expected):
        return 0.0
    return float(np.mean([found[n] == words for n, words in zip(names, expected, strict=False)]))


def train(options: argparse.Namespace) -> LoadedCaptioner:
    """A captioner of such pictures."""
    storage = Storage(str(options.folder / "storage"))
    weights = "pretrained" if options.model == "efficientnet_lite0" else "random"
    encoder = {"name": options.model, "weights": weights, "layers": LAYERS[options.model]}
    model = {"name": "captioner", "captioner": {"encoder": encoder, "dropout": 0.1}}
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


def write_pictures(folder: Path, n: int, seed: int) -> None:
    """Pictures and a table of their captions."""
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


def _print_speeds(timings: Timings, pictures: int) -> None:
    for name, seconds in (("peer", timings.peer_seconds), ("ours", timings.ours_seconds)):
        print(f"{name}: {pictures / statistics.median(seconds):,.1f} pictures a second")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=list(LAYERS), default="resnet50")
    parser.add_argument("--n", type=int, default=768, help="pictures that are described")
    parser.add_argument("--peer-n", type=int, default=64, help="of them by the loop")
    parser.add_argument("--learned", type=int, default=600, help="pictures for the training before")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--execution", default="auto", choices=("auto", "float32", "bfloat16"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
