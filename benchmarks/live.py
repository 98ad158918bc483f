"""Answers of the live page: what a question takes over HTTP, through service, bridge and actor.

    featurescape serve &
    python benchmarks/live.py [--url http://127.0.0.1:8090] [--questions 20]

Input: scikit-learn's photo of a temple, and `efficientnet_lite0` with its ImageNet weights. Asked are the
grid of a layer, and a channel with its gradient, for a layer near the input, one in the middle and one near
the end; the first question of a layer, which makes its graph, is timed by itself. Printed are medians, of the
channels one after the other, as the arrow keys ask for them. Other work on the machine counts in full.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx
from machine import describe
from PIL import Image
from sklearn.datasets import load_sample_image

MODEL = {"name": "efficientnet_lite0"}
LAYERS = ("blocks.1", "blocks.10", "blocks.15")


def main() -> None:
    """Ask, and print a table and the machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8090", help="of the service")
    parser.add_argument("--questions", type=int, default=20, help="to each layer")
    options = parser.parse_args()
    load = os.getloadavg()
    with httpx.Client(base_url=options.url, timeout=120) as http:
        image = ask(http, "images", content=_photo())["image"]
        seconds, _ = timed(lambda: ask(http, "networks", json={"model": MODEL}))
        print(f"start of the network: {seconds:.1f} s")
        print(
            f"{'layer':<10} {'channels':>8} {'first, ms':>10} {'grid, ms':>9} {'channel, ms':>12}"
        )
        for layer in LAYERS:
            measure(http, {"model": MODEL, "image": image, "layer": layer}, options.questions)
    print(describe(1, load))


def measure(http: httpx.Client, question: dict[str, Any], questions: int) -> None:
    """Print the line of one layer."""
    channels = ask(http, "activations", json=question)["shape"][0]

    def channel(number: int) -> Callable[[], Any]:
        return lambda: ask(http, "unit", json={**question, "channel": number % channels})

    first, _ = timed(channel(0))
    grids = [timed(lambda: ask(http, "activations", json=question))[0] for _ in range(questions)]
    units = [timed(channel(number + 1))[0] for number in range(questions)]
    grid, unit = (1000 * statistics.median(found) for found in (grids, units))
    print(f"{question['layer']:<10} {channels:8} {1000 * first:10.0f} {grid:9.0f} {unit:12.0f}")


def ask(http: httpx.Client, route: str, **content: Any) -> Any:
    headers = {"Content-Type": "image/png"} if "content" in content else {}
    answer = http.post(f"/v1/live/{route}", headers=headers, **content)
    answer.raise_for_status()
    return answer.json()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _photo() -> bytes:
    sink = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).save(sink, "PNG")
    return sink.getvalue()


if __name__ == "__main__":
    main()
