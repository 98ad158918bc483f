"""A fake of Ray, committed artifacts, and a service over real HTTP, for the tests of the service."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from featurescape.server.embedded import EmbeddedService
from featurescape.server.jobstore import JobStore
from featurescape.server.runner import RayAccess, RunnerStatus, RunnerUnavailableError, Submission
from featurescape.server.settings import Settings
from featurescape_jobs.artifacts import ArtifactRef, Failure, Manifest, Progress, job_dir
from featurescape_jobs.engine.storage import Storage, Written
from featurescape_jobs.errors import RequestError
from featurescape_jobs.specs import parse_spec
from featurescape_jobs.tables import (
    EMBEDDING,
    ERRORS,
    NEIGHBORS,
    POINTS,
    features_schema,
)
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from helpers.artifact_builders import features_column, features_details

FEATURES_SPEC: dict[str, Any] = {
    "job": "features",
    "dataset": {"name": "digits", "limit": 4},
    "model": {"name": "lenet", "weights": "random"},
}
ROWS = 4


class FakeRunner:
    """A Ray that does what the test says."""

    def __init__(self) -> None:
        self.up = True
        self.fresh = False
        self.states: dict[str, RunnerStatus] = {}
        self.submissions: list[Submission] = []
        self.stopped: list[str] = []
        self.text = ""
        self.ends_on_stop = True
        self.answers_submit = True
        self.refuses: str | None = None
        self.owns_cluster = False

    def connect(self) -> bool:
        self._check()
        fresh, self.fresh = self.fresh, False
        return fresh

    def submit(self, submission: Submission) -> None:
        self._check()
        if self.refuses is not None:
            raise RequestError(self.refuses)
        assert submission.submission_id not in self.states, "submitted twice"
        self.submissions.append(submission)
        self.states[submission.submission_id] = RunnerStatus("RUNNING")
        if not self.answers_submit:
            raise RunnerUnavailableError("the answer to the submit got lost")

    def status(self, submission_id: str) -> RunnerStatus | None:
        self._check()
        return self.states.get(submission_id)

    def stop(self, submission_id: str) -> None:
        self._check()
        self.stopped.append(submission_id)
        if self.ends_on_stop:
            self.states[submission_id] = RunnerStatus("STOPPED")

    def log(self, submission_id: str) -> str:
        self._check()
        return self.text

    def access(self) -> RayAccess:
        self._check()
        return RayAccess("nowhere", {})

    def close(self) -> bool:
        return self.owns_cluster

    def _check(self) -> None:
        if not self.up:
            raise RunnerUnavailableError("Ray is down")


class Committer:
    """Writes what jobs would have written."""

    def __init__(self, storage: Storage, store: JobStore) -> None:
        self.storage = storage
        self.store = store

    def progress(self, job_id: str, **values: Any) -> None:
        body = Progress(**values).model_dump_json().encode()
        self.storage.write(f"{job_dir(job_id)}/progress.json", body)

    def failure(self, job_id: str, attempt: int, code: str, message: str, **detail: object) -> None:
        failure = Failure(attempt=attempt, code=code, message=message, detail=detail)
        self.storage.write(f"{job_dir(job_id)}/failure.json", failure.model_dump_json().encode())

    def manifest(
        self, job_id: str, files: list[ArtifactRef] | None = None, /, **more: Any
    ) -> Manifest:
        record = self.store.get(job_id)
        values: dict[str, Any] = {
            "job_id": job_id,
            "job": record.job,
            "attempt": record.attempt,
            "spec": record.spec,
            "seed": 0,
            "inputs": record.inputs,
            "created_at": datetime.now(UTC),
            "versions": {},
            "files": files or [],
            "rows": ROWS,
            "error_rows": 0,
            "timings_seconds": {"work": 0.5},
            "details": {},
        }
        manifest = Manifest(**{**values, **more})
        path = f"{job_dir(job_id)}/manifest.json"
        self.storage.write(path, manifest.model_dump_json().encode())
        return manifest

    def started(self, spec: dict[str, Any]) -> str:
        record = self.store.create(parse_spec(spec))
        self.store.claim(record)  # or a service that runs has done it already
        assert self.store.get(record.id).status == "RUNNING"
        return record.id

    def finish(self, job_id: str, files: list[ArtifactRef] | None = None, **more: Any) -> None:
        manifest = self.manifest(job_id, files, **more)
        # A service that runs may have seen the manifest already.
        size_bytes = sum(ref.size_bytes for ref in manifest.files)
        done = manifest.rows, manifest.error_rows, None, size_bytes
        self.store.succeed(self.store.get(job_id), *done)
        assert self.store.get(job_id).status == "SUCCEEDED"

    def add_table(self, job_id: str, name: str, table: pa.Table, kind: str) -> ArtifactRef:
        written = self.storage.write_table(f"{job_dir(job_id)}/data/{name}", table, 2)
        return self._ref(written, job_id, kind, table.num_rows)

    def add_archive(self, job_id: str, name: str, kind: str, tile: bytes) -> ArtifactRef:
        """An archive with the one tile 0/0/0."""
        local = self.storage.local_path(f"{name}.pmtiles")
        media_type = "image/webp" if kind == "thumbnails" else "image/png"
        with ArchiveWriter(local, media_type) as writer:
            writer.add(int(hilbert_ids(0, np.array([0]), np.array([0]))[0]), tile)
            writer.finish({}, 1)
        written = self.storage.upload(local, f"{job_dir(job_id)}/data/{name}.pmtiles")
        return self._ref(written, job_id, kind, None)

    def _ref(self, written: Written, job_id: str, kind: str, rows: int | None) -> ArtifactRef:
        return ArtifactRef(
            path=written.path.removeprefix(f"{job_dir(job_id)}/"),
            kind=kind,
            size_bytes=written.size_bytes,
            sha256=written.sha256,
            rows=rows,
        )

    def digits_map(self, *, images: bool = True) -> str:
        """Four digits on a map with all three layers; returns the id of the tiles job."""
        features = self._features(images=images)
        embedding = self.started({"job": "embedding", "features": features, "perplexity": 2})
        ids = [f"digits-{row:04d}" for row in range(ROWS)]
        layout = {"example_id": ids, "label": [0, 1, None, 3], "x": [0.0] * 4, "y": [0.0] * 4}
        near = {
            "example_id": ids,
            "neighbor_rows": [[1, 2], [0, 2], [3, 1], [2, 0]],
            "distances": [[0.5, 1.0]] * 4,
        }
        files = [
            self.add_table(
                embedding,
                "embedding.parquet",
                pa.Table.from_pydict(layout, schema=EMBEDDING),
                "embedding",
            ),
            self.add_table(
                embedding,
                "neighbors.parquet",
                pa.Table.from_pydict(near, schema=NEIGHBORS),
                "neighbors",
            ),
        ]
        self.finish(embedding, files=files)
        return self._tiles(features, embedding, ids)

    def _features(self, *, images: bool) -> str:
        job_id = self.started(FEATURES_SPEC)
        ids = [f"digits-{row:04d}" for row in range(ROWS)]
        table = pa.Table.from_pydict(
            {
                "example_id": ids,
                "label": [0, 1, None, 3],
                "locator": ["0", "1", "2", "3"],
                "features": [[float(row), 0.0] for row in range(ROWS)],
                "thumbnail": [
                    {"bytes": png(row), "path": None} if images else None for row in range(ROWS)
                ],
                "width": [8 if images else None] * ROWS,
                "height": [8 if images else None] * ROWS,
                "attributes": [None] * ROWS,
            },
            schema=features_schema([features_column(2)], "float32"),
        )
        parts = [table.slice(0, 3), table.slice(3)]
        files = [
            self.add_table(job_id, f"features-0000{number}.parquet", part, "features")
            for number, part in enumerate(parts)
        ]
        errors = pa.Table.from_pylist(
            [{"example_id": "x", "locator": "9", "code": "truncated", "message": "short"}],
            schema=ERRORS,
        )
        files.append(self.add_table(job_id, "errors.parquet", errors, "errors"))
        self.finish(job_id, files=files, error_rows=1, details=features_details(list("0123"), 2))
        return job_id

    def _tiles(self, features: str, embedding: str, ids: list[str]) -> str:
        job_id = self.started({"job": "tiles", "embedding": embedding})
        points = pa.Table.from_pydict(
            {
                "example_id": ids,
                "label": [0, 1, None, 3],
                "x": [0.1, 0.2, 0.3, 0.4],
                "y": [0.5] * 4,
                "locator": ["0", "1", "2", "3"],
                "features_file": [0, 0, 0, 1],
                "features_row": [0, 1, 2, 0],
                "attributes": [None, '{"name":"a <b>one</b>","azimuth_degrees":30.5}', None, None],
                "grid_x": [0.4375, 0.5625, 0.4375, 0.5625],
                "grid_y": [0.4375, 0.4375, 0.5625, 0.5625],
            },
            schema=POINTS,
        )
        files = [
            self.add_table(job_id, "points.parquet", points, "points"),
            self.add_archive(job_id, "density", "density", data_tile((0, 0, 4))),
            self.add_archive(job_id, "category", "category", data_tile((3, 15, 25))),
            self.add_archive(job_id, "thumbnails", "thumbnails", webp()),
        ]
        self.finish(job_id, files=files, details={"map": map_info(features, embedding)})
        return job_id


def map_info(features: str, embedding: str) -> dict[str, Any]:
    """``details["map"]`` of the digits map."""
    colors = [
        {"index": index, "name": str(index), "color": f"#0000{index + 1:02x}", "count": 1}
        for index in range(4)
    ]
    legends = {
        "density": {"kind": "density", "classes": [], "count_max": [4, 4]},
        "category": {"kind": "category", "classes": colors, "count_max": []},
        "thumbnails": {"kind": "images", "classes": [], "count_max": []},
    }
    return {
        "tile_px": 512,
        "max_zoom": 1,
        "bounds": (0.0, 0.0, 1.0, 1.0),
        "examples": ROWS,
        "has_labels": True,
        "classes": ["0", "1", "2", "3"],
        "layers": [
            {
                "name": name,
                "title": name,
                "path": f"data/{name}.pmtiles",
                "media_type": "image/webp" if name == "thumbnails" else "image/png",
                "min_zoom": 0,
                "max_zoom": 1,
                "legend": legend,
                "drawn": [ROWS, ROWS],
            }
            for name, legend in legends.items()
        ],
        "points": "data/points.pmtiles",
        "points_zoom": 0,
        "embedding": embedding,
        "features": features,
    }


def png(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), value).save(out, "PNG")
    return out.getvalue()


def webp() -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (512, 512), (1, 2, 3, 255)).save(out, "WEBP")
    return out.getvalue()


def data_tile(pixel: tuple[int, int, int]) -> bytes:
    """A data tile that is empty but for its first pixel."""
    image = Image.new("RGB", (512, 512))
    image.putpixel((0, 0), pixel)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


class RunningService:
    """A service that listens on this machine, with a fake Ray behind it."""

    def __init__(self, settings: Settings, runner: FakeRunner) -> None:
        self.runner = runner
        self.embedded = EmbeddedService(settings, runner)
        services = self.embedded.app.state.services
        self.store: JobStore = services.store
        self.storage: Storage = services.storage
        self.commit = Committer(self.storage, self.store)

    @property
    def url(self) -> str:
        return self.embedded.url


@contextmanager
def running_service(folder: Path, **settings: Any) -> Iterator[RunningService]:
    """Serve a storage in ``folder`` on a free port; nothing runs unless the test says so."""
    values = {"port": 0, "poll_seconds": 0.02, **settings}
    made = Settings(storage=str(folder / "storage"), **values)
    service = RunningService(made, FakeRunner())
    with service.embedded:
        yield service
