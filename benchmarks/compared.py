"""Side by side: the same 10,000 images in featurescape, Embedding Atlas and PixPlot.

    apt-get install chromium dataset-fashion-mnist
    python -m venv ATLAS && ATLAS/bin/pip install embedding-atlas
    python benchmarks/compared.py --folder /tmp/compared [--atlas ATLAS/bin/embedding-atlas]
        [--pixplot PIXPLOT/bin/python]

Input: the 10,000 test images of Fashion-MNIST as PNG files with the names of their classes, and 128
principal components of their pixels as vectors, which each program is given: a hub with networks is not
needed. Each computes its own layout from them; Embedding Atlas a second time with featurescape's layout and
neighbors. PixPlot reads vectors only from its cache, which is filled here.

Printed for each: seconds and processor seconds until it serves, seconds from the address to a page that no
longer changes, what it says of the images that are drawn, bytes that the page took, its heap in JavaScript,
peak memory of all processes of the program until it serves, bytes to publish, and hosts that the page asked
beside this machine. The browser is Chromium without a graphics card and without WebGPU, in a window of
1440 × 900. There is no gate: nothing is right or wrong, layouts differ. Other work on the machine counts in
full: the load is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import describe, use_threads
from numpy.typing import NDArray
from PIL import Image
from sight import MB, Costs, Figures, look
from sklearn.decomposition import PCA

from featurescape import Client
from featurescape.handles import Map

ROOT = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
COMPONENTS = 128


@dataclass(frozen=True)
class Program:
    """Start of a program, and the folder that it publishes."""

    opened: Callable[[Path], AbstractContextManager[str]]
    published: Callable[[Path, str], Path]
    enter: str | None = None
    """Of the button in front of its page."""


def main() -> None:
    """Prepare the images, run each program, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="for everything that is made")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with the IDX files")
    parser.add_argument("--atlas", type=Path, help="command of Embedding Atlas")
    parser.add_argument("--pixplot", type=Path, help="Python that PixPlot is installed for")
    parser.add_argument("--only", help="name of one program; featurescape comes first")
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    use_threads(options.threads)
    load = os.getloadavg()
    options.folder.mkdir(parents=True, exist_ok=True)
    prepare(options.folder, options.root, options.limit)
    rows = {}
    asked = programs(options)
    for name, program in (
        asked.items() if not options.only else [(options.only, asked[options.only])]
    ):
        rows[name] = measured(program, options.folder, name)
        print(name, rows[name], flush=True)
    print(table(rows))
    print(describe(options.threads, load))


def programs(options: argparse.Namespace) -> dict[str, Program]:
    """Programs that are asked for, featurescape first: its layout is given to one of the others."""
    asked = {"featurescape": Program(ours, our_export)}
    if options.atlas:
        columns = ("--image", "image", "--vector", "vector")
        placed = ("--image", "image", "--x", "x", "--y", "y", "--neighbors", "neighbors")
        for name, table, chosen in (
            ("Embedding Atlas", "images.parquet", columns),
            ("Embedding Atlas, layout given", "placed.parquet", placed),
        ):
            command = [str(options.atlas), table, *chosen]
            asked[name] = Program(partial(atlas, command), partial(atlas_export, command))
    if options.pixplot:
        asked["PixPlot"] = Program(
            partial(pixplot, str(options.pixplot)),
            lambda folder, _: folder / "pixplot",
            "#enter-button.active",
        )
    return asked


def measured(program: Program, folder: Path, name: str) -> Figures:
    """Start a program, look at it, and write what it publishes."""
    figures = Figures()
    with Costs() as costs:
        begun = time.perf_counter()
        with program.opened(folder) as address:
            figures.serves_seconds = time.perf_counter() - begun
            costs.stop()
            figures.cpu_seconds, figures.peak_mb = costs.cpu_seconds, costs.peak_mb
            look(address, program.enter, folder / f"{name}.png", figures)
            published = program.published(folder, address)
    files = [each for each in published.rglob("*") if each.is_file()]
    kept = [each for each in files if "image-vectors" not in each.parts]
    figures.publish_mb = sum(each.stat().st_size for each in kept) / MB
    return figures


def table(rows: dict[str, Figures]) -> str:
    """The report."""
    columns = (
        "program", "s until it serves", "CPU s until then", "peak MB until then", "s to first sight",
        "says", "MB fetched", "MB heap", "asked beside this machine", "MB to publish",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for name, each in rows.items():
        hosts = ", ".join(sorted(each.hosts)) or "nobody"
        before = f"{each.serves_seconds:.0f} | {each.cpu_seconds:.0f} | {each.peak_mb:.0f}"
        seen = f"{each.sight_seconds:.1f} | {each.says} | {each.page_mb:.1f} | {each.heap_mb:.0f}"
        lines.append(f"| {name} | {before} | {seen} | {hosts} | {each.publish_mb:.1f} |")
    return "\n".join(lines)


# -- the images --------------------------------------------------------------------------------


def prepare(folder: Path, root: Path, limit: int) -> None:
    """PNG files, a table for PixPlot, and Parquet for the others; done once."""
    if (folder / "images.parquet").is_file():
        return
    pixels = idx(root / "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:limit]
    labels = idx(root / "t10k-labels-idx1-ubyte.gz", 8)[:limit]
    vectors = PCA(COMPONENTS, random_state=0).fit_transform(pixels.reshape(len(pixels), -1) / 255)
    vectors = vectors.astype(np.float32)
    (folder / "png").mkdir(exist_ok=True)
    names = [f"{n:05d}.png" for n in range(len(pixels))]
    encoded = [png(image) for image in pixels]
    for name, content in zip(names, encoded, strict=True):
        (folder / "png" / name).write_bytes(content)
    kinds = [CLASSES[label] for label in labels]
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("filename", "category"), *zip(names, kinds, strict=True)])
    images = pa.array(
        [{"bytes": each, "path": name} for each, name in zip(encoded, names, strict=True)]
    )
    lists = pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), COMPONENTS)
    columns = {"id": names, "label": kinds, "image": images, "vector": lists}
    pq.write_table(pa.table(columns), folder / "images.parquet")
    np.save(folder / "vectors.npy", vectors)


def idx(path: Path, header: int) -> NDArray[np.uint8]:
    """The bytes of an IDX file behind its header."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def png(image: NDArray[np.uint8]) -> bytes:
    """A PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


# -- the programs ------------------------------------------------------------------------------


@contextmanager
def ours(folder: Path) -> Iterator[str]:
    """A service of its own, and a map of the vectors."""
    url = f"http://127.0.0.1:{free_port()}"
    storage = folder / "storage"
    shutil.rmtree(storage, ignore_errors=True)
    environment = os.environ | {"FEATURESCAPE_ALLOWED_ROOTS": str(folder)}
    command = [sys.executable, "-m", "featurescape.cli"]
    serve = ["serve", "--port", url.rpartition(":")[2], "--storage", str(storage)]
    with running([*command, *serve], folder, environment):
        answering(f"{url}/v1/jobs")
        client = Client(url)
        view = client.map(
            str(folder / "images.parquet"), vector_column="vector", image_column="image"
        ).wait(show=False)
        give_layout(folder, view)
        yield view.url


def our_export(folder: Path, address: str) -> Path:
    """The map as a folder for a web host."""
    url, _, job = address.partition("/maps/")
    out = fresh(folder / "our-site")
    command = [sys.executable, "-m", "featurescape.cli", "export", job, "--static", str(out)]
    subprocess.run(
        command, check=True, env=os.environ | {"FEATURESCAPE_URL": url}, stdout=subprocess.DEVNULL
    )
    return out


def give_layout(folder: Path, view: Map) -> None:
    """Write the images with the places and neighbors that our map has, in its order, for who takes those."""
    embedding = view.jobs[1].artifact()
    places, neighbors = embedding.table(), embedding.table("neighbors")
    images = pq.read_table(folder / "images.parquet")
    row_of = {name: row for row, name in enumerate(images["id"].to_pylist())}
    ordered = images.take([row_of[name] for name in places["example_id"].to_pylist()])
    found = [
        {"ids": rows, "distances": distances}
        for rows, distances in zip(
            neighbors["neighbor_rows"].to_pylist(), neighbors["distances"].to_pylist(), strict=True
        )
    ]
    columns = {"x": places["x"], "y": places["y"], "neighbors": pa.array(found)}
    for name, column in columns.items():
        ordered = ordered.append_column(name, column)
    pq.write_table(ordered, folder / "placed.parquet")


@contextmanager
def atlas(command: list[str], folder: Path) -> Iterator[str]:
    """Its server; it answers when the layout is there."""
    port = free_port()
    fresh(folder / "cache")
    command = [*command, "--port", str(port), "--no-auto-port"]
    with running(command, folder, os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}):
        answering(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/"


def atlas_export(command: list[str], folder: Path, _address: str) -> Path:
    """Folder of its web application."""
    out = fresh(folder / "atlas-site")
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    export = [*command, "--export-application", str(out)]
    subprocess.run(export, cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)
    return out


PIXPLOT = """
import sys
from tensorflow.keras.applications import InceptionV3
import pixplot.pixplot as program
program.InceptionV3 = lambda include_top, weights: InceptionV3(include_top=include_top, weights=None)
program.parse()
"""
"""PixPlot downloads a network before it looks which vectors its cache has; here the cache has all."""


@contextmanager
def pixplot(python: str, folder: Path) -> Iterator[str]:
    """Its pages, written and then served by Python's own server, as its manual has it."""
    out = fresh(folder / "pixplot")
    cache = out / "data" / "image-vectors" / "inception"
    cache.mkdir(parents=True)
    for number, vector in enumerate(np.load(folder / "vectors.npy")):
        np.save(cache / f"{number:05d}.png.npy", vector)
    chosen = ["--images", "png/*.png", "--metadata", "metadata.csv", "--out_dir", "pixplot"]
    subprocess.run([python, "-c", PIXPLOT, *chosen], cwd=folder, check=True)
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(command, out):
        answering(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def running(
    command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """A process, ended when the block is left."""
    with (folder / "programs.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def answering(url: str) -> None:
    """Wait until the address answers."""
    end = time.monotonic() + 1800
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10):
            return
        if time.monotonic() > end:
            raise TimeoutError(url)
        time.sleep(0.1)


def fresh(folder: Path) -> Path:
    """A path where nothing is."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    main()
