"""A Ray of two CPUs, which the files of a process share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = str(Path(__file__).parents[1])


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """What `connect` takes to reach it."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        # In the environment and not in Ray's runtime_env, whose workers are started anew for each job.
        paths = filter(None, (TESTS, os.environ.get("PYTHONPATH")))
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))  # where workers find bulk_fakes
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield "auto"
    ray.shutdown()
