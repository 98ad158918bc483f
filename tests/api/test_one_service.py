"""Services as processes: one per job record, and what they write is their user's only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from helpers.service_process import ServiceProcess


def test_a_second_service_on_a_record_is_told_who_has_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "storage")
    with ServiceProcess(tmp_path / "storage") as first:
        assert first.process is not None
        given = ("serve", "--port", "0", "--storage", str(tmp_path / "link"))
        done = subprocess.run(
            [sys.executable, "-m", "featurescape.cli", *given],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert f"process {first.process.pid} on " in done.stderr
        assert str(tmp_path / "storage" / "service" / "jobs.db") in done.stderr
        assert first.http.get("/livez").status_code == 200


def test_two_records_in_one_folder_are_served_side_by_side(tmp_path: Path) -> None:
    records = tmp_path / "records"
    with (
        ServiceProcess(tmp_path / "one", database=str(records / "one.db")) as one,
        ServiceProcess(tmp_path / "two", database=str(records / "two.db")) as two,
    ):
        for service in (one, two):
            assert service.http.get("/readyz").status_code == 200
        assert {path.name for path in records.glob("*.lock")} == {"one.db.lock", "two.db.lock"}


def test_what_a_service_leaves_is_its_users_only(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "new" / "storage") as service:
        assert service.http.get("/readyz").status_code == 200
        found = [service.storage, *service.storage.rglob("*")]
        assert "jobs.db" in {path.name for path in found}
        assert {
            path: oct(path.stat().st_mode) for path in found if path.stat().st_mode & 0o077
        } == {}
