"""``featurescape serve`` as a process of its own, with a cluster that is not there: it starts no Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from helpers.free_ports import free_port

NO_CLUSTER = "http://127.0.0.1:1"


class ServiceProcess:
    """A service that serves within a ``with`` block.

    Args:
        storage: its storage; the log lies beside it.
        before: a command that is put before the service's own, as ``unshare -m``.
        settings: more of the environment, without the prefix.
    """

    def __init__(self, storage: Path, before: Sequence[str] = (), **settings: str) -> None:
        self.port = free_port()
        self.storage = storage
        self.log = storage.parent / f"{storage.name}.log"
        self._before = tuple(before)
        given = {"ray_address": NO_CLUSTER, **settings}
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FEATURESCAPE_")},
            **{f"FEATURESCAPE_{name.upper()}": value for name, value in given.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def start(self) -> None:
        """Start the process and wait until it answers."""
        served = ["serve", "--port", str(self.port), "--storage", str(self.storage)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._before, sys.executable, "-m", "featurescape.cli", *served],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        wait_for(self._answers, 60)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            return self.http.get("/livez").status_code == 200
        except httpx.TransportError:
            return False

    def end(self) -> int:
        """As an operator does it; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def __enter__(self) -> ServiceProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.end()


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    """Wait until the condition holds; the test fails if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)
