"""Three maps at first sight: stamps, handwritten digits, and some thousands of Fashion-MNIST.

    apt-get install tuxpaint-stamps-default dataset-fashion-mnist
    featurescape serve &
    python examples/first_sight.py [stamps digits fashion] [--url http://127.0.0.1:8090]

Printed are the maps by name, as `docs/screenshots.py --sights` takes them. The stamps go through
`efficientnet_lite0` with its weights; a LeNet learns the digits, another 10,000 training images of
Fashion-MNIST, of which 4,000 test images are shown.
"""

from __future__ import annotations

import argparse
from typing import Any

from featurescape import Client
from featurescape.handles import Map

STAMPS = "/usr/share/tuxpaint/stamps"
FASHION = {"name": "mnist", "root": "/usr/share/datasets/fashion-mnist"}
LEARNED, SHOWN = 10_000, 4_000


def main() -> None:
    """Submit the maps that are asked for, wait, and print where they are."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("maps", nargs="*", metavar="MAP", help=f"of {', '.join(MAPS)}; all")
    parser.add_argument("--url", default=None, help="of the service")
    options = parser.parse_args()
    client = Client(options.url)
    views = {name: MAPS[name](client) for name in options.maps or MAPS}
    for name, view in views.items():
        view.wait(show=False)
        print(f"map-{name}={view.url}")


def stamps(client: Client) -> Map:
    """796 small colored images."""
    return client.map(STAMPS, {"name": "efficientnet_lite0"}, title="Stamps")


def digits(client: Client) -> Map:
    """The 1,797 digits of scikit-learn."""
    dataset = {"name": "digits"}
    return client.map(dataset, learned(client, dataset), title="Digits")


def fashion(client: Client) -> Map:
    """Pieces of clothing that the network did not learn from."""
    model = learned(client, {**FASHION, "split": "train", "limit": LEARNED})
    return client.map(
        {**FASHION, "split": "test", "limit": SHOWN}, model, title="Fashion-MNIST, test images"
    )


def learned(client: Client, dataset: dict[str, Any]) -> dict[str, Any]:
    """A LeNet that has learned a dataset."""
    training = client.submit({"job": "training", "dataset": dataset, "model": {"name": "lenet"}})
    return {"name": "lenet", "training": training.id}


MAPS = {"stamps": stamps, "digits": digits, "fashion": fashion}


if __name__ == "__main__":
    main()
