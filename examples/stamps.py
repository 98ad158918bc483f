"""Learn 704 captions by heart, and see what that is worth: a captioner on the stamps of a drawing program.

    apt-get install tuxpaint-stamps-default
    featurescape serve &
    python examples/stamps.py [--epochs 60] [--url http://127.0.0.1:8090]

785 small images with a line each, written by people ("A blue race car."), of which a tenth is held out. Printed
are BLEU-4 and CIDEr-D of what the captioner says of the images that it learned from, and of the others, with
some of both. So few captions can be learned by heart; they do not teach what other images show.
"""

from __future__ import annotations

import argparse
from typing import Any

from featurescape import Client
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.sequences.text_metrics import Pair, score
from featurescape_jobs.sequences.vocabulary import tokens

HELD_OUT = 0.1
SEED = 0
STAMPS = {"name": "stamps"}
SHOWN = 5


def main() -> None:
    """Train, describe all stamps, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default=None, help="of the service")
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    client = Client(options.url)
    training = client.submit(training_spec(options.epochs))
    captions = client.submit(captions_spec(training.id))
    training.wait()
    captions.wait()
    report(captions.artifact().table().to_pylist())


def training_spec(epochs: int) -> dict[str, Any]:
    """The last epoch is kept, not the best one: what is wanted is to know the captions by heart."""
    return {
        "job": "training",
        "dataset": STAMPS,
        "model": {"name": "captioner", "shape": {"family": "captioner", "dropout": 0.0}},
        "epochs": epochs,
        "seed": SEED,
        "validation_fraction": HELD_OUT,
        "test_fraction": 0,
        "options": {"family": "captioner", "keep": "last", "patience": 1000},
    }


def captions_spec(training: str) -> dict[str, Any]:
    """All stamps."""
    model = {"name": "captioner", "training": training}
    return {"job": "captions", "dataset": STAMPS, "model": model}


def report(rows: list[dict[str, Any]]) -> None:
    """Scores of what was learned from, and of what was held out."""
    known = [row for row in rows if row["references"]]
    held_out = [seed_for(SEED, row["example_id"]) < HELD_OUT * 2**64 for row in known]
    for name, wanted in (("learned from", False), ("held out", True)):
        chosen = [row for row, is_out in zip(known, held_out, strict=True) if is_out == wanted]
        found = score([_pair(row) for row in chosen])
        print(
            f"\n{len(chosen)} {name}: BLEU-4 {found.bleu_4:.3f}, CIDEr-D {found.cider:.2f}, "
            f"ROUGE-L {found.rouge_l:.3f}"
        )
        for row in chosen[:: max(1, len(chosen) // SHOWN)][:SHOWN]:
            print(f"  {row['caption']}\n    people: {row['references'][0]}")


def _pair(row: dict[str, Any]) -> Pair:
    return Pair(row["words"], [tokens(caption) for caption in row["references"]])


if __name__ == "__main__":
    main()
