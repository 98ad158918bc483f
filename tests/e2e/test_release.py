"""What is released: wheel and sdist, and an environment in which nothing but the wheel and what it asks for is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from helpers.distributions import Distributions, build, empty_environment, install_linked
from helpers.free_ports import free_port

pytestmark = [pytest.mark.release, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
ROOT_PAGE = """
import asyncio, json, sys, tempfile
import httpx
from featurescape.server.api import create_app
from featurescape.server.settings import Settings

async def story():
    app = create_app(Settings(storage=tempfile.mkdtemp(), allowed_hosts=("here",)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        page = (await client.get("/jobs")).text
        found = {path: (await client.get(path)).status_code for path in sys.argv[1:]}
    print(json.dumps({"page": page, "found": found}))

asyncio.run(story())
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, released: Distributions) -> Path:
    """An environment that was empty before the wheel came with its extra ``server``."""
    folder = empty_environment(tmp_path_factory.mktemp("release") / "environment")
    install_linked(folder, released.wheel, "server")
    return folder


def files_of(wheel: Path) -> dict[str, str]:
    """Checksums of all that is installed, by name; that of the list of checksums follows from them."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/RECORD")
        }


def test_the_wheel_has_both_packages_the_viewer_and_the_license(released: Distributions) -> None:
    assert released.wheel.name == f"featurescape-{VERSION}-py3-none-any.whl"
    assert released.sdist.name == f"featurescape-{VERSION}.tar.gz"
    names = set(files_of(released.wheel))
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "featurescape",
        "featurescape_jobs",
    }
    assert {"featurescape/py.typed", "featurescape_jobs/py.typed"} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    viewer = {
        path.relative_to(ROOT / "service").as_posix()
        for path in (ROOT / "service/featurescape/static").rglob("*")
        if path.is_file()
    }
    assert "featurescape/static/index.html" in viewer
    assert viewer <= names
    assert not any(re.search(r"(^|/)(tests?|node_modules|web)/|\.pyc$", name) for name in names)


def test_the_sdist_alone_builds_the_same_wheel(released: Distributions, tmp_path: Path) -> None:
    with tarfile.open(released.sdist) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert not any("node_modules" in name or ".venv" in name for name in names)
    (source,) = tmp_path.iterdir()
    again = build(source, tmp_path / "dist")
    assert files_of(again.wheel) == files_of(released.wheel)


def test_the_demo_runs_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    settings = {"FEATURESCAPE_PORT": str(free_port()), "FEATURESCAPE_RAY_CPUS": "2"}
    homes = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    done = subprocess.run(
        [environment / "bin" / "featurescape", "demo", "--no-serve"],
        cwd=tmp_path,
        env={**only_the_system(), **homes, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (job,) = re.findall(r"The map is complete: (tiles-[0-9a-f]{12})", done.stdout)
    folder = tmp_path / "data/featurescape/demo/jobs" / job
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == 1797
    assert manifest["versions"]["featurescape"] == VERSION


def test_the_viewer_is_served_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    (package,) = environment.glob("lib/python*/site-packages/featurescape")
    files = (package / "static/assets").iterdir()
    assets = [f"/assets/{path.name}" for path in files if path.suffix not in (".br", ".gz")]
    command = [environment / "bin" / "python", "-c", ROOT_PAGE, *assets]
    done = subprocess.run(
        command, cwd=tmp_path, env=only_the_system(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answered = json.loads(done.stdout)
    select_examples = re.findall(r'(?:src|href)="(/assets/[^"]+)"', answered["page"])
    assert select_examples
    assert set(select_examples) <= set(assets)
    assert answered["found"] == dict.fromkeys(assets, 200)


def only_the_system() -> dict[str, str]:
    """The environment without what leads to this checkout or to a user's settings."""
    ours = ("PYTHON", "FEATURESCAPE_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def test_this_environment_is_not_the_one_that_is_tested(environment: Path) -> None:
    command = [
        environment / "bin" / "python",
        "-c",
        "import featurescape_jobs as f; print(f.__file__)",
    ]
    done = subprocess.run(
        command, cwd="/", env=only_the_system(), capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(environment)
    assert not environment.is_relative_to(sys.prefix)
