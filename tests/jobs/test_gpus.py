"""Workers that run a network take a GPU where the cluster has one, and CPUs where it has none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from featurescape_jobs.engine.shard_worker import ShardOutput
from featurescape_jobs.engine.worker_pools import PoolSize, fitting_workers, open_pool, worker_gpus
from featurescape_jobs.specs import Resources
from helpers.bulk_fakes import SCHEMA, SquareSetup


@pytest.fixture
def with_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of eight CPUs and two GPUs, as Ray tells of it."""
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0})


@pytest.mark.parametrize(
    ("asked", "gpus", "workers"),
    [
        ({}, 1.0, 2),
        ({"gpus_per_worker": 0.5}, 0.5, 4),
        ({"gpus_per_worker": 0.25, "cpus_per_worker": 2}, 0.25, 4),
        ({"gpus_per_worker": 0}, 0.0, 8),
        ({"gpus_per_worker": 2}, 2.0, 1),
    ],
)
def test_workers_share_the_gpus_that_there_are(
    with_gpus: None, asked: dict[str, float], gpus: float, workers: int
) -> None:
    resources = Resources(**asked)
    assert worker_gpus(resources) == gpus
    assert fitting_workers(resources, gpus) == workers


@pytest.mark.ray
def test_a_worker_with_a_network_takes_a_gpu_where_there_is_one(tmp_path: Path) -> None:
    """Ray counts a GPU that is only said to be there; the worker is shown it by its number."""
    ray = pytest.importorskip("ray")
    ray.shutdown()
    tests = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[1])}}  # where bulk_fakes is
    options = {"include_dashboard": False, "log_to_driver": False, "runtime_env": tests}
    ray.init(num_cpus=2, num_gpus=1, **options)
    try:
        output = ShardOutput(str(tmp_path), "jobs/features-0123456789ab", "squares", SCHEMA)
        for network, free in ((True, 0), (False, 1)):
            size = PoolSize(Resources(workers=1), shards=1, network=network)
            with open_pool(SquareSetup(), output, size, "auto") as pool:
                deadline = time.monotonic() + 60
                while pool.problem and time.monotonic() < deadline:
                    pool.wait()
                assert ray.available_resources().get("GPU", 0) == free
        too_many = PoolSize(Resources(gpus_per_worker=3), shards=1, network=True)
        with open_pool(SquareSetup(), output, too_many, "auto") as pool:
            assert "resources.gpus_per_worker" in pool.problem
    finally:
        ray.shutdown()
