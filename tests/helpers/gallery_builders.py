"""Artifacts of the jobs that galleries show: run in this process, on a service with a fake Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file

from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.run import JOBS
from featurescape_jobs.specs import ModelSpec, parse_spec
from helpers.service_fakes import RunningService, running_service

LENET = {"name": "lenet", "weights": "random"}
DIGITS = {"name": "digits", "limit": 3}
DEAD = 5


def run_job(service: RunningService, spec: dict[str, Any]) -> str:
    """Submit the job, run it here, and commit what it made; returns its id."""
    job_id = service.commit.started(spec)
    finish_job(service, job_id)
    return job_id


def finish_job(service: RunningService, job_id: str) -> None:
    """Run a job of the record here, and commit what it made."""
    record = service.store.get(job_id)
    spec = parse_spec(record.spec)
    context = RunContext(service.storage, job_id, record.attempt, spec.seed, record.inputs)
    outcome = JOBS[spec.job].run(spec, context)
    service.commit.finish(
        job_id,
        context.files,
        rows=outcome.rows,
        error_rows=outcome.error_rows,
        details=outcome.details,
        timings_seconds=context.timings_seconds,
    )


def write_photos(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    """Parts of scikit-learn's two sample photos, in these widths and heights."""
    from sklearn.datasets import load_sample_images

    folder.mkdir()
    photos = load_sample_images().images
    for number, (width, height) in enumerate(sizes):
        photo = Image.fromarray(photos[number % 2])
        left, top = 30 * number % 90, 20 * number % 60
        scale = min((photo.width - left) / width, (photo.height - top) / height)
        box = (left, top, int(left + scale * width), int(top + scale * height))
        photo.resize((width, height), box=box).save(folder / f"photo-{number}.png")
    return folder


@dataclass
class Galleries:
    """A service with an artifact of every kind, made by small jobs when it is first asked for."""

    service: RunningService
    folder: Path
    made: dict[str, str]

    def url(self, kind: str, rest: str = "gallery") -> str:
        """Address of a page of the kind's job."""
        if kind not in self.made:
            self.made[kind] = run_job(self.service, getattr(self, f"_{kind}")())
        return f"{self.service.url}/jobs/{self.made[kind]}/{rest}"

    def _filters(self) -> dict[str, Any]:
        """Of a LeNet whose filter `DEAD` is dead."""
        network = load_network(ModelSpec(**LENET), seed=0)
        state = network.module.state_dict()
        state["conv1.weight"][DEAD] = 0
        save_file({name: value.contiguous() for name, value in state.items()}, self.weights)
        return {"job": "filters", "model": {"name": "lenet", "weights": str(self.weights)}}

    @property
    def weights(self) -> Path:
        return self.folder / "lenet.safetensors"

    def _activations(self) -> dict[str, Any]:
        layers = ["relu2", "conv1"]
        return {"job": "activations", "dataset": DIGITS, "model": LENET, "layers": layers}

    def _gradients(self) -> dict[str, Any]:
        methods = ["saliency", "input_x_gradient", "guided_backprop", "gradcam"]
        common = {"job": "gradients", "dataset": DIGITS, "model": LENET}
        sanity = {"examples": 2, "draws": 2, "stages": 3}
        return {**common, "methods": methods, "target": "label", "sanity": sanity}

    def _dreams(self) -> dict[str, Any]:
        root = write_photos(self.folder / "photos", [(60, 48), (48, 60)])
        (root / "not <b>an image.png").write_bytes(b"nothing")
        common = {"job": "dreams", "title": "Two <i>dreams</i>", "execution": "folded"}
        quick = {"iterations": 3, "octaves": 2, "zoom": {"frames": 3}}
        dataset = {"name": "images", "root": str(root)}
        return {**common, **quick, "dataset": dataset, "model": {"name": "efficientnet_lite0"}}

    def _predictions(self) -> dict[str, Any]:
        """Of random weights: some are right by chance."""
        dataset = {"name": "digits", "limit": 40}
        return {"job": "predictions", "dataset": dataset, "model": LENET, "thumbnail_px": 8}

    def _units(self) -> dict[str, Any]:
        common = {"job": "units", "dataset": {"name": "digits", "limit": 20}, "model": LENET}
        made = {"preferred_channels": [0, 1], "preferred_steps": 4, "execution": "float32"}
        return {**common, **made, "layer": "relu2", "channels": [0, 1, 2, 7], "top": 4}


@contextmanager
def served_galleries(folder: Path) -> Iterator[Galleries]:
    """A service that may read ``folder``, for as long as the block lasts."""
    torch.set_num_threads(1)
    with running_service(folder, allowed_roots=(str(folder),)) as service:
        yield Galleries(service, folder, {})
