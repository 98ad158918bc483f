"""A map of Fashion-MNIST by what a classifier says of it: where it is wrong, and where it is unsure.

    apt-get install dataset-fashion-mnist
    featurescape serve &
    python examples/predictions.py [--url http://127.0.0.1:8090]

A LeNet learns the 60,000 training images. What it says of the 10,000 test images is the page of a `predictions`
job, and its columns color the map of their features: by entropy, by whether the prediction is right, and by loss.
Printed are the accuracy, the most frequent confusions, and the pages by name, as `docs/screenshots.py` takes them.
"""

from __future__ import annotations

import argparse
from urllib.parse import quote

from featurescape import Artifact, Client

ROOT = "/usr/share/datasets/fashion-mnist"
TITLE = "Fashion-MNIST, test images"
LAYERS = ["density", "thumbnails", "category", "value:entropy", "category:correct", "value:loss"]
SHOWN = {"map-entropy": "value:entropy", "map-correct": "category:correct"}
PAIRS = 5


def main() -> None:
    """Train, predict, map, and print where to look."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default=None, help="of the service")
    parser.add_argument("--root", default=ROOT, help="folder with the IDX files")
    options = parser.parse_args()
    client = Client(options.url)
    dataset = {"name": "mnist", "root": options.root}
    learned, test = {**dataset, "split": "train"}, {**dataset, "split": "test"}
    training = client.submit({"job": "training", "dataset": learned, "model": {"name": "lenet"}})
    model = {"name": "lenet", "training": training.id}
    spec = {"job": "predictions", "dataset": test, "model": model, "title": TITLE}
    predictions = client.submit(spec)
    tiles = {"color_layers": LAYERS, "attributes": [predictions.id]}
    view = client.map(test, model, title=TITLE, tiles=tiles)
    for job in (training, predictions):
        job.wait(show=False)
    report(predictions.artifact())
    view.wait(show=False)
    for name, layer in SHOWN.items():
        print(f"{name}={view.url}?layer={quote(layer, safe='')}")
    print(f"predictions-job={predictions.url}")
    print(f"predictions-fashion-mnist={predictions.url}/gallery")


def report(artifact: Artifact) -> None:
    """Print how good the classifier is, and what it takes for what."""
    print(f"accuracy {artifact.manifest.details['summary']['accuracy']:.3f}")
    classes = artifact.table("classes").to_pylist()
    pairs = [
        (count, each["name"], classes[other]["name"])
        for each in classes
        for other, count in zip(each["confused_with"], each["confused_counts"], strict=True)
        if other != each["index"]
    ]
    for count, label, said in sorted(pairs, reverse=True)[:PAIRS]:
        print(f"{count} of {label} are called {said}")


if __name__ == "__main__":
    main()
