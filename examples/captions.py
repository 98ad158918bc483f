"""Captions of 820 meshes: render furniture, learn to describe it, and measure what is said of other models.

    apt-get install sweethome3d-furniture
    pip install ./examples/furniture_captions
    export FEATURESCAPE_PLUGINS=furniture-captions FEATURESCAPE_ALLOWED_ROOTS=/usr/share/sweethome3d
    featurescape serve &
    python examples/captions.py [--limit 820] [--epochs 8] [--url http://127.0.0.1:8090]

Each model is rendered from its four sides, at eye level, slightly above and high above. A captioner learns the
captions that a grammar gives the views ("a brown armchair seen from the left, slightly above"), and describes
models that it has not seen (splits final, by which nothing was chosen, test, and combinations, which has pairs of
color and noun that no model in training has). Its captions are read back by the grammar, and printed is how often
noun, color, side and height are right, beside how often the best constant guess would be; BLEU-4; and how much
more of the noun's attention lies on the object than if it were spread evenly over the image.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape import Client, Job
from featurescape_jobs.models import MODELS
from furniture_captions.grammar import Scene, parse
from furniture_captions.nouns import noun_of

FURNITURE = "/usr/share/sweethome3d/furniture"
ENCODER = {
    "name": "efficientnet_lite0",
    "layers": ["blocks.15", "blocks.10"],
    "input_px": 112,
    "fine_tuned": True,
}
"""The end of it knows things, and learns how they stand; blocks.10 says where in a grid of 7 × 7."""
UNITS = {"embedding_units": 128, "attention_units": 128, "hidden_units": 128}
SHAPE = {**UNITS, "dropout": 0.3}
CAMERAS = {
    "views": 12,
    "rings": 3,
    "azimuth_start_degrees": 0,
    "elevation_min_degrees": 0,
    "elevation_max_degrees": 66,
}
"""The four sides at three heights: a word for each."""
HOW = {
    "attention_penalty": 0,
    "captions_per_example": "one",
    "encoder_epochs": 12,
    "keep": "last",
    "learning_rate_schedule": "cosine",
    "mirrored": True,
    "patience": 8,
}
"""An image shows one thing on white: attention is not asked to go everywhere. The last epoch is kept, since the
held-out loss mostly tells how sure the captioner is of nouns that it does not know."""
EPOCHS = 8
SPLITS = ("final", "test", "combinations")
MIN_MODELS = 10
"""Nouns of fewer models are not counted, nor the sides of such things: there would be next to nothing to learn
from, or to ask for."""
OF_NOUNS = ("noun", "side")

Row = dict[str, Any]
Masks = dict[str, NDArray[np.float32]]
"""By example id: what part of each pixel of the encoder's image the object covers, (H, W)."""


def main() -> None:
    """Submit all jobs, wait, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default=None, help="of the service")
    parser.add_argument("--limit", type=int, default=None, help="only that many models")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    client = Client(options.url)
    renders = client.submit(renders_spec(options.limit))
    training = client.submit(training_spec(renders.id, options.epochs))
    described = {
        split: client.submit(captions_spec(renders.id, training.id, split)) for split in SPLITS
    }
    for job in (renders, training, *described.values()):
        job.wait()
    report_training(training)
    nouns = frequent_nouns(renders.artifact().table().to_pylist())
    print(f"nouns of {MIN_MODELS} models and more: {', '.join(sorted(nouns))}")
    with tempfile.TemporaryDirectory() as folder:
        masks = read_masks(renders.artifact().download(folder, "renders_tar"))
        for split, job in described.items():
            print(f"\n{split}: BLEU-4 {job.manifest().details['scores']['bleu_4']:.3f}")
            report(job.artifact().table().to_pylist(), nouns, masks)


def renders_spec(limit: int | None) -> dict[str, Any]:
    """Meshes to views."""
    meshes = {"name": "meshes", "root": FURNITURE, "limit": limit}
    return {"job": "renders", "dataset": meshes, "image_px": 160, **CAMERAS}


def training_spec(renders: str, epochs: int) -> dict[str, Any]:
    """Views and their captions to a captioner."""
    return {
        "job": "training",
        "dataset": {"name": "renders", "job": renders, "split": "train"},
        "model": {
            "name": "captioner",
            "shape": {"family": "captioner", "encoder": ENCODER, **SHAPE},
        },
        "epochs": epochs,
        "learning_rate": 2e-3,
        "options": {"family": "captioner", "validation_split": "val", **HOW},
    }


def captions_spec(renders: str, training: str, split: str) -> dict[str, Any]:
    """Views of models that were not learned from to captions."""
    return {
        "job": "captions",
        "dataset": {"name": "renders", "job": renders, "split": split},
        "model": {"name": "captioner", "training": training},
    }


def report_training(training: Job) -> None:
    """Print how long it took, and on how much."""
    manifest = training.manifest()
    details, seconds = manifest.details, sum(manifest.timings_seconds.values())
    print(
        f"trained on {details['training_examples']} views in {seconds / 60:.1f} minutes, "
        f"{details['epochs']} epochs, the best {details['best_epoch']}"
    )


def frequent_nouns(renders: Iterable[Row]) -> set[str]:
    """Nouns of enough models."""
    counts = Counter(noun_of(row["name"], row["category"]) for row in renders)
    return {noun for noun, count in counts.items() if count >= MIN_MODELS}


def report(rows: list[Row], nouns: set[str], masks: Masks) -> None:
    """Print what is right of the captions of some views."""
    known = [(parse(row["caption"]), json.loads(row["attributes"])) for row in rows]
    for name in ("noun", "color", "side", "height"):
        counted = [(said, true) for said, true in known if name in true]
        if name in OF_NOUNS:
            counted = [(said, true) for said, true in counted if true["noun"] in nouns]
        pairs = [(getattr(said, name), true[name]) for said, true in counted]
        right = np.mean([said == true for said, true in pairs])
        ((_, most),) = Counter(true for _, true in pairs).most_common(1)
        print(
            f"{name:7} {right:.3f} right, best constant guess {most / len(pairs):.3f} ({len(pairs)})"
        )
    report_sides(known)
    ratios = [(of_row, even) for row in rows for of_row, even in _on_object(row, masks)]
    of_noun, evenly = np.mean(ratios, axis=0)
    print(
        f"attention of the noun on the object {of_noun:.3f}, spread evenly {evenly:.3f}, "
        f"ratio {of_noun / evenly:.2f}"
    )


def report_sides(known: list[tuple[Scene, Row]]) -> None:
    """Print what the side is taken for where it is wrong, and of which nouns it is wrong most often."""
    asked = [(said.side, true["side"], true["noun"]) for said, true in known if "side" in true]
    wrong = [(side, true, noun) for side, true, noun in asked if side != true]
    for name, counts in (
        ("sides taken for others", Counter(f"{true} for {side}" for side, true, _ in wrong)),
        ("nouns with most of them", Counter(noun for _, _, noun in wrong)),
    ):
        print(f"{name}: {', '.join(f'{what} {n}' for what, n in counts.most_common(5))}")


def _on_object(row: Row, masks: Masks) -> Iterable[tuple[float, float]]:
    """Of every word of the noun, the attention on the object, and what even attention would have there."""
    noun = (parse(row["caption"]).noun or "").split()
    height, width = row["grid"]
    mask = Image.fromarray(masks[row["example_id"]])
    covered = np.asarray(mask.resize((width, height), Image.Resampling.BOX)).reshape(-1)
    for word, weights in zip(row["words"], row["attention"], strict=True):
        if word in noun:
            yield float(np.dot(np.asarray(weights, np.float32), covered)), float(covered.mean())


def read_masks(archives: list[Path]) -> Masks:
    """The opacity of every rendered view, cut as the encoder's images are."""
    card: Any = MODELS[ENCODER["name"]].card
    masks: Masks = {}
    for path in archives:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".png") else None
                if file is not None:
                    model, name = member.name.split("/rendering/")
                    masks[f"{model}/{name.removesuffix('.png')}"] = _cut(file.read(), card)
    return masks


def _cut(image: bytes, card: Any) -> NDArray[np.float32]:
    opacity = Image.open(io.BytesIO(image)).convert("RGBA").getchannel("A")
    side = opacity.width * card.input_px / card.resize_px
    edge = (opacity.width - side) / 2
    values = np.asarray(opacity.crop((edge, edge, edge + side, edge + side)), np.float32)
    return values / 255


if __name__ == "__main__":
    main()
