"""Memory of an RNN and of an LSTM: both fresh and trained, their gradients measured on the same
images.

    apt-get install dataset-fashion-mnist
    FEATURESCAPE_ALLOWED_ROOTS=/usr/share/datasets featurescape serve &
    python examples/dynamics.py [--root FOLDER] [--limit 9000] [--epochs 8] [--url http://127.0.0.1:8090]

`row_lstm` of 128 units reads images of 28 × 28 row by row, once as a simple RNN and once as an LSTM.
Printed are the table of docs/jobs/dynamics.md, how well both learned, and the addresses of the charts; table
and charts are of one run.
"""

from __future__ import annotations

import argparse
from typing import Any

from featurescape import Client, Job

ROOT = "/usr/share/datasets/fashion-mnist"
CELLS = ("rnn", "lstm")
Details = dict[str, Any]


def main() -> None:
    """Submit all jobs, wait, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default=ROOT, help="folder of four IDX files")
    parser.add_argument("--limit", type=int, default=9000, help="images to learn from")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--url", default=None, help="of the service")
    options = parser.parse_args()
    client = Client(options.url)
    learned = {"name": "mnist", "root": options.root, "split": "train", "limit": options.limit}
    trained = [client.submit(training_spec(learned, cell, options.epochs)) for cell in CELLS]
    models = {
        "fresh": [
            {"weights": "random", "shape": {"family": "recurrent", "cell": cell}} for cell in CELLS
        ],
        "trained": [{"training": job.id} for job in trained],
    }
    seen = {"name": "mnist", "root": options.root, "split": "test", "limit": 512}
    jobs = {name: client.submit(dynamics_spec(seen, name, pair)) for name, pair in models.items()}
    for job in (*trained, *jobs.values()):
        job.wait()
    report_training(trained)
    report(jobs)


def training_spec(dataset: Details, cell: str, epochs: int) -> Details:
    """Images to weights."""
    return {
        "job": "training",
        "dataset": dataset,
        "model": {"name": "row_lstm", "shape": {"family": "recurrent", "cell": cell}},
        "epochs": epochs,
        "title": f"Dynamics, {cell}",
    }


def dynamics_spec(dataset: Details, name: str, pair: list[Details]) -> Details:
    """Two networks to measures."""
    first, second = ({"name": "row_lstm", **model} for model in pair)
    title = f"Dynamics, {name}"
    return {
        "job": "dynamics", "model": first, "compare": second, "dataset": dataset, "title": title
    }  # fmt: skip


def report(jobs: dict[str, Job]) -> None:
    """Print the table, and where the charts are."""
    details = {name: job.manifest().details for name, job in jobs.items()}
    columns = [(cell, name) for cell in CELLS for name in jobs]
    print("| |" + "".join(f" {cell.upper()}, {name} |" for cell, name in columns))
    print("| --- |" + " --- |" * len(columns))
    figures = [figures_of(details[name], cell) for cell, name in columns]
    for row in dict.fromkeys(row for each in figures for row in each):
        print(f"| {row} |" + "".join(f" {each.get(row, '')} |" for each in figures))
    print(*(f"{job.url}/gallery" for job in jobs.values()), sep="\n")


def report_training(jobs: list[Job]) -> None:
    """Print accuracy and seconds of each."""
    for cell, job in zip(CELLS, jobs, strict=True):
        manifest = job.manifest()
        accuracy, examples = (manifest.details[f"test_{name}"] for name in ("accuracy", "examples"))
        seconds = manifest.timings_seconds["train"]
        print(f"{cell}: {accuracy:.3f} of {examples} test images right, trained in {seconds:.0f} s")


def figures_of(details: Details, cell: str) -> dict[str, str]:
    """Rows of the table, of one network. An RNN lacks those of gates and cell."""
    block = "theta_h" if cell == "rnn" else "theta_hg"
    keeper = "h" if cell == "rnn" else "f"
    radius = one(details["matrices"], network=cell, matrix=block)["spectral_radius"]
    of = "θ_h" if cell == "rnn" else "the block of g, which multiplies no state"
    jacobian = one(details["jacobian_radii"], network=cell)["median"]
    gate = one(details["gates"], network=cell, gate=keeper)
    saturated = gate["high"] if cell == "lstm" else gate["low"] + gate["high"]
    found = {
        f"spectral radius of {of}": f"{radius:.2f}",
        "median radius of the Jacobian of a step": f"{jacobian:.2f}",
    }
    for path, name in (("hidden", "h"), ("cell", "C")):
        rows = [
            row for row in details["gradients"] if (row["network"], row["path"]) == (cell, path)
        ]
        for row in rows:
            found[f"gradient of {name}, factor per step"] = f"{row['factor_per_step']:.2f}"
            found[f"over {row['distance']} steps, {name}"] = f"{10 ** row['log10_norm']:.2g}"
    if cell == "lstm":
        found["mean forget gate"] = f"{gate['mean']:.2f}"
    found["steps with the unit saturated (of an LSTM its forget gate open)"] = f"{saturated:.0%}"
    return found


def one(rows: list[Details], **wanted: str) -> Details:
    """The first row with these values."""
    return next(row for row in rows if wanted.items() <= row.items())


if __name__ == "__main__":
    main()
