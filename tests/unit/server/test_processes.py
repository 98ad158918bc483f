"""A process is known again by what no clock can step, and ended with its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from featurescape.server import processes
from featurescape.server.processes import KnownProcess, birth_of, end_tree, known
from featurescape.server.ray_cluster import RayNote
from helpers.service_process import wait_for

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
_STEP_SECONDS = 3600


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A living process."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@linux
def test_a_living_process_is_the_same_after_the_clock_was_set(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = known(sleeper.pid)
    assert noted is not None
    created = psutil.Process(sleeper.pid).create_time()
    # What a step of the wall clock does: the kernel's time of the boot (btime) moves with it.
    boot = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + _STEP_SECONDS)
    wall = time.time
    monkeypatch.setattr("time.time", lambda: wall() + _STEP_SECONDS)
    moved = psutil.Process(sleeper.pid).create_time() - created
    assert abs(moved - _STEP_SECONDS) < 1, "by psutil it would be another process"
    assert noted.alive
    assert known(sleeper.pid) == noted


@linux
def test_another_process_with_the_pid_is_not_taken_for_it(
    sleeper: subprocess.Popen[bytes],
) -> None:
    birth = birth_of(sleeper.pid)
    assert birth is not None
    boot, ticks = birth.split("/")
    later = KnownProcess(sleeper.pid, f"{boot}/{int(ticks) + 1}")
    before_boot = KnownProcess(sleeper.pid, f"another-boot/{ticks}")
    assert not later.alive
    assert not before_boot.alive
    for other in (later, before_boot):
        other.send(signal.SIGKILL)
    assert sleeper.poll() is None
    assert KnownProcess(sleeper.pid, birth).alive


def test_who_has_ended_is_not_alive_even_while_nobody_waits_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    noted = known(process.pid) or KnownProcess(process.pid, "")
    wait_for(lambda: not noted.alive, 60)
    process.wait(30)
    assert known(process.pid) is None


@linux
def test_a_name_with_brackets_and_spaces_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a ) b"
    program.symlink_to(sys.executable)
    with subprocess.Popen([program, "-c", "import time; time.sleep(60)"]) as process:
        birth = birth_of(process.pid)
        assert birth is not None
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        started = int(birth.split("/")[1]) / os.sysconf("SC_CLK_TCK")
        assert abs(uptime - started) < 30
        process.kill()


def test_elsewhere_psutil_tells_them_apart(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes.sys, "platform", "darwin")
    noted = known(sleeper.pid)
    assert noted is not None
    assert noted.birth.startswith("created/")
    assert noted.alive
    assert sleeper.pid in processes._parents()


def test_a_tree_is_ended_with_children_that_do_not_listen(tmp_path: Path) -> None:
    child = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(3600)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent])
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 60)
    inner = known(int((tmp_path / "pid").read_text()))
    head = known(process.pid)
    assert inner is not None
    assert head is not None
    assert end_tree(head, 3.0) == []
    assert not inner.alive
    process.wait(30)


def test_a_note_of_a_later_version_is_read_and_of_an_earlier_one_is_not() -> None:
    note = {"pid": 7, "birth": "b/1", "dashboard": "http://x", "folder": "/f", "address": "a"}
    assert RayNote.parse(json.dumps({**note, "later": 1})) == RayNote(**note)
    assert RayNote.parse(json.dumps({"pid": 7, "started_at": 1.0})) is None
    assert RayNote.parse("") is None
    assert RayNote.parse("[]") is None
