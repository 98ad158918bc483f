"""What a cluster's processes write can be read by their user only, whatever umask the nodes have."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from featurescape_jobs.engine.storage import Storage

# Ray's Cluster leaves the socket that it chose a port with to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

JOB = "features-0123456789ab"
SPEC = {
    "job": "features",
    "dataset": {"name": "digits", "limit": 40},
    "model": {"name": "lenet", "weights": "random"},
    "shard_size": 20,
    "execution": "float32",
}


@pytest.fixture
def open_umask() -> Iterator[None]:
    """As most systems have it: others can read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def node(open_umask: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a node that was started with the open umask."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # of this test's own node, on loopback
    head = {"num_cpus": 2, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


@pytest.mark.ray
def test_workers_and_drivers_of_a_cluster_write_for_their_user_alone(
    tmp_path: Path, node: str
) -> None:
    job = tmp_path / "jobs" / JOB
    body = json.dumps({"spec": SPEC, "inputs": {}}).encode()
    Storage(str(tmp_path)).write(f"jobs/{JOB}/spec.json", body)
    environment = {**os.environ, "FEATURESCAPE_STORAGE": str(tmp_path), "RAY_ADDRESS": node}
    command = [sys.executable, "-m", "featurescape_jobs.run", "--job", JOB]
    subprocess.run(command, env=environment, check=True, timeout=240)
    marker = json.loads(next((job / "work/markers").glob("*.json")).read_text())
    written = {path.relative_to(job).as_posix(): path for path in job.rglob("*")}
    assert {"manifest.json", marker["path"]} <= written.keys()
    open_to_others = {
        name for name, path in written.items() if stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    assert open_to_others == {"spec.json"}, "the test's own file alone, written with the open umask"
