"""A network inspected: dreams of ten photos, why it names them so, what its units look for, and an atlas.

    apt-get install tuxpaint-stamps-default
    pip install scikit-image matplotlib
    FEATURESCAPE_ALLOWED_ROOTS=/tmp/photos featurescape serve &
    python examples/gallery.py --photos /tmp/photos [--url http://127.0.0.1:8090]

The photos are those that scikit-image, scikit-learn and matplotlib bring along, copied to the folder; units
and atlas look at the 785 stamps of Tux Paint. The network is efficientnet_lite0 with its ImageNet weights.
Printed are the addresses of the galleries, what the network calls each photo, and how many icons there are.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from featurescape import Client, Job

PHOTOS = {
    "skimage": [
        *("data/astronaut.png", "data/camera.png", "data/chelsea.png", "data/coffee.png"),
        *("data/hubble_deep_field.jpg", "data/motorcycle_left.png", "data/rocket.jpg"),
    ],
    "sklearn": ["datasets/images/china.jpg", "datasets/images/flower.jpg"],
    "matplotlib": ["mpl-data/sample_data/grace_hopper.jpg"],
}
UNITS = (7, 20, 24)


def main() -> None:
    """Submit all jobs, wait, and print where to look."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder that they are put in")
    parser.add_argument("--url", default=None, help="of the service")
    options = parser.parse_args()
    copy_photos(options.photos)
    client = Client(options.url)
    photos = {"name": "images", "root": str(options.photos)}
    stamps = {"name": "stamps"}
    model = {"name": "efficientnet_lite0"}
    specs = [
        {
            "job": "dreams",
            "dataset": photos,
            "model": model,
            "iterations": 20,
            "octaves": 5,
            "scale_levels": 4,
        },
        {"job": "gradients", "dataset": photos, "model": model},
        {"job": "filters", "model": model},
        {
            "job": "units",
            "dataset": stamps,
            "model": model,
            "channels": UNITS,
            "preferred_channels": "all",
        },
        {
            "job": "atlas",
            "dataset": stamps,
            "model": model,
            "edge": 3,
            "grid": 10,
            "least_vectors": 3,
            "steps": 192,
        },
    ]
    for job in [client.submit({**spec, "title": "Gallery"}) for spec in specs]:
        job.wait()
        print(job.url)
        report(job)


def report(job: Job) -> None:
    """Print what the network calls each photo, and how many icons an atlas has."""
    details = job.manifest().details
    if job.id.startswith("gradients"):
        for row in job.artifact().table().to_pylist():
            name = details["outputs"][row["target"]]
            print(f"  {row['example_id']}: {name}, {row['probability']:.0%}")
    if job.id.startswith("atlas"):
        print(f"  {sum(details['icons'])} icons of {job.manifest().rows} images")


def copy_photos(folder: Path) -> None:
    """The photos that come with the packages."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, names in PHOTOS.items():
        for name in names:
            source = files(package).joinpath(name)
            (folder / Path(name).name).write_bytes(source.read_bytes())


if __name__ == "__main__":
    main()
