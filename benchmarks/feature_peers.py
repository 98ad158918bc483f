"""Feature extraction by others: a DataLoader and a network, in the popular way and in stronger ones; and Ray Data.

Each peer has a loader process fewer than threads, which decodes while the network runs on all threads. Loader and
network are warm before the clock starts: the loader's processes live on (``persistent_workers``), and some batches
have gone through both.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peers import folded

MODEL = "efficientnet_lite0"
BATCH = 32
WARM_BATCHES = 3
Forward = Callable[[Any], Any]
"""A batch of normalized images to features (N, D), or to its likeliest classes and their probabilities."""


def network(top: int = 0) -> Any:
    """EfficientNet-Lite0 in torch's own memory layout, without its last layer where no classes are wanted."""
    import torch

    from featurescape_jobs.networks.loading import load_network
    from featurescape_jobs.specs import ModelSpec

    module = load_network(ModelSpec(name=MODEL), seed=0).module
    if not top:
        module.classifier = torch.nn.Identity()
    return module


def _likeliest(outputs: Any, top: int) -> Any:
    """The features; or the ``top`` likeliest classes and behind them their probabilities, (N, 2 top)."""
    if not top:
        return outputs.numpy()
    best = outputs.softmax(1).topk(top)
    return np.concatenate([best.indices.numpy(), best.values.numpy()], 1)


def plain(top: int = 0) -> Forward:
    """Eager float32."""
    import torch

    module = network(top)

    def forward(batch: Any) -> Any:
        with torch.no_grad():
            return _likeliest(module(batch), top)

    return forward


def strong(top: int = 0, *, bfloat16: bool) -> Forward:
    """channels_last, batch norms folded, and autocast to bfloat16 or not."""
    import torch

    module = folded(network(top)).to(memory_format=torch.channels_last)

    def forward(batch: Any) -> Any:
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return _likeliest(module(batch).float(), top)

    return forward


def openvino(precision: str, threads: int) -> Forward:
    """OpenVINO's compiled network."""
    import openvino as ov
    import torch

    model = ov.convert_model(network(), example_input=torch.zeros(1, 3, 224, 224))
    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    compiled = ov.Core().compile_model(model, "CPU", hints)
    return lambda batch: compiled(batch.numpy())[0].copy()


class Images:
    """A map-style dataset, as every tutorial has it."""

    def __init__(self, files: list[Path]) -> None:
        self._files, self._transform = files, _transform()

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> Any:
        from PIL import Image

        return self._transform(Image.open(self._files[row]).convert("RGB"))


def _transform() -> Any:
    from featurescape_jobs.models.torchvision_shim import torchvision

    t = torchvision().transforms
    steps = [
        t.Resize(256, t.InterpolationMode.BICUBIC),
        t.CenterCrop(224),
        t.ToTensor(),
        t.Normalize([127 / 255] * 3, [128 / 255] * 3),
    ]
    return t.Compose(steps)


class Rows:
    """A sampler of some rows first, for warming up, and then of all."""

    def __init__(self, n: int) -> None:
        self.chosen = range(min(n, WARM_BATCHES * BATCH))
        self._n = n

    def all(self) -> None:
        self.chosen = range(self._n)

    def __iter__(self) -> Iterator[int]:
        return iter(self.chosen)

    def __len__(self) -> int:
        return len(self.chosen)


def run_loader(files: list[Path], load: Callable[[], Forward], threads: int) -> dict[str, Any]:
    """Seconds from warm loader and network to the closed Parquet file, and those before."""
    import pandas as pd
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(threads)
    begin = time.perf_counter()
    forward, rows = load(), Rows(len(files))
    loader = DataLoader(
        Images(files),
        BATCH,
        sampler=rows,
        num_workers=max(1, threads - 1),
        persistent_workers=True,
    )
    for batch in loader:
        forward(batch)
    start, warmed = time.perf_counter(), len(rows)
    rows.all()
    features = np.concatenate([forward(batch) for batch in loader])
    frame = pd.DataFrame({"name": [file.name for file in files], "features": list(features)})
    frame.to_parquet(files[0].parent.parent / f"loader-{os.getpid()}.parquet")
    seconds = time.perf_counter() - start
    startup = start - begin - warmed * seconds / len(files)
    names = [file.name for file in files]
    return {"seconds": seconds, "startup": startup, "names": names, "features": features}


def run_ray_data(files: list[Path], threads: int) -> dict[str, Any]:
    """``read_binary_files``, decoding in a task, the network in an actor; its start is in its time."""
    import pyarrow.parquet as pq
    import ray

    start = time.perf_counter()
    paths = [str(path) for path in files]
    data = ray.data.read_binary_files(paths, include_paths=True, override_num_blocks=32)
    data = data.map(_decoded).map_batches(
        _Network,
        batch_size=BATCH,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=max(1, threads - 1)),
    )
    target = files[0].parent.parent / f"ray_data-{os.getpid()}"
    data.write_parquet(str(target))
    seconds = time.perf_counter() - start
    table = pq.read_table(target)
    features = np.stack(table["features"].to_numpy(zero_copy_only=False))
    return {
        "seconds": seconds,
        "startup": 0.0,
        "names": table["name"].to_pylist(),
        "features": features,
    }


class _Network:
    """Ray Data's actor."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self._network = network()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import torch

        with torch.no_grad():
            features = self._network(torch.from_numpy(np.stack(batch["pixels"]))).numpy()
        return {"name": batch["name"], "features": features}


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    from PIL import Image

    image = Image.open(io.BytesIO(row["bytes"])).convert("RGB")
    return {"name": Path(row["path"]).name, "pixels": _transform()(image).numpy()}
