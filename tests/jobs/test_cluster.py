"""A features job over a Ray cluster of two nodes on one machine."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.run import execute
from featurescape_jobs.specs import parse_spec
from helpers.killing import Try, Work, killing

# Ray's Cluster leaves the socket that it chose a port with to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

JOB = "features-0123456789ab"
SPEC = {
    "job": "features",
    "dataset": {"name": "digits"},
    "model": {"name": "lenet", "weights": "random"},
    "shard_size": 60,
    "batch_size": 4,
    "execution": "float32",
}


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import ray
    from ray.cluster_utils import Cluster

    # Ray keeps in this process what its first cluster was started with: a local one asks for a token.
    monkeypatch.setenv("RAY_AUTH_MODE", os.environ.get("RAY_AUTH_MODE", "disabled"))
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


def run_job(root: Path, ray_address: str | None) -> tuple[Manifest, pa.Table]:
    storage = Storage(str(root))
    spec = parse_spec(SPEC)
    body = {"spec": spec.model_dump(mode="json"), "inputs": {}}
    storage.write(f"jobs/{JOB}/spec.json", json.dumps(body).encode())
    manifest = execute(storage, JOB, 1, ray_address)
    assert manifest is not None
    files = [f"jobs/{JOB}/{file.path}" for file in manifest.of_kind("features")]
    return manifest, pa.concat_tables([storage.read_table(path) for path in files])


class SecondShardBesideAnother:
    """Chooses the worker that began first, at its second shard or later, once the other node works.

    It is halted until then: how long a worker takes to start differs by more than the job lasts.
    """

    def __init__(self) -> None:
        self.halted: psutil.Process | None = None

    def __call__(self, work: Work) -> Try | None:
        tries = work.tries()
        if not tries:
            return None
        first = tries[0]
        if len({each.node for each in tries}) == 1:
            if self.halted is None:
                self.halted = psutil.Process(first.pid)
                self.halted.suspend()
            return None
        if self.halted is not None:
            self.halted.resume()
        later = [each for each in tries if each.pid == first.pid][1:]
        return next((each for each in later if not work.is_done(each)), None)


@pytest.mark.ray
def test_both_nodes_work_and_a_killed_worker_loses_nothing(tmp_path: Path, two_nodes: str) -> None:
    work = tmp_path / f"cluster/jobs/{JOB}/work"
    with killing(work, 1, SecondShardBesideAnother()) as killed:
        manifest, table = run_job(tmp_path / "cluster", two_nodes)
    assert len(killed) == 1
    assert manifest.details["nodes"] == 2
    assert len(list((work / "tries").iterdir())) == 30 + 1  # only the killed worker's shard, twice
    assert (manifest.rows, manifest.error_rows) == (1797, 0)
    _, undisturbed = run_job(tmp_path / "alone", None)
    assert table.sort_by("example_id").equals(undisturbed.sort_by("example_id"))
