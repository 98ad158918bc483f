"""What is imported where: the base install is light, and the API never loads what jobs need."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import featurescape_jobs

HEAVY = (
    *("torch", "ray", "openTSNE", "datashader", "numba", "fastapi", "pyarrow", "sklearn"),
    *("sqlalchemy", "alembic"),
)
JOBS_ONLY = ("torch", "torchvision", "ray", "openTSNE", "datashader", "numba", "sklearn", "faiss")

FACES = tuple(
    f"featurescape_jobs.{room}"
    for room in ("engine", "datasets", "models", "color_layers", "specs")
)

STRANGERS = """
print(*{name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - before)
"""


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tempfile.gettempdir(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(statement: str, modules: tuple[str, ...]) -> list[str]:
    """Which of the modules are there after the statement."""
    code = f"import sys\n{statement}\nprint(*(m for m in {modules!r} if m in sys.modules))"
    return run(code).split()


def strangers(statement: str) -> set[str]:
    """Packages outside the standard library that are loaded with the statement."""
    before = "import sys; before = {name.partition('.')[0] for name in sys.modules}"
    return set(run(f"{before}\n{statement}{STRANGERS}").split())


def test_importing_featurescape_costs_next_to_nothing() -> None:
    assert strangers("import featurescape") == {"featurescape"}
    assert strangers("import featurescape; featurescape.Client") >= {"featurescape", "httpx"}


@pytest.mark.parametrize(
    "statement",
    [
        "import featurescape; dir(featurescape)",
        "from featurescape import Client, FeaturesSpec, Job, Map, SpecError; Client().close()",
        "import featurescape.cli",
    ],
)
def test_client_and_command_line_load_nothing_heavy(statement: str) -> None:
    assert loaded(statement, HEAVY) == []


@pytest.mark.parametrize("room", FACES)
def test_a_room_with_public_names_loads_none_of_them_by_itself(room: str) -> None:
    assert strangers(f"import {room}; dir({room})") == {"featurescape_jobs"}


@pytest.mark.parametrize("room", FACES)
def test_the_public_names_of_a_room_are_those_that_type_checkers_see(room: str) -> None:
    module = importlib.import_module(room)
    source = ast.parse(Path(str(module.__file__)).read_text())
    guarded = next(node for node in source.body if isinstance(node, ast.If))
    imports = (node for node in guarded.body if isinstance(node, ast.ImportFrom))
    seen = {(node.module, alias.name) for node in imports for alias in node.names}
    assert {name for _, name in seen} <= set(dir(module))
    for home, name in seen:
        assert getattr(module, name) is getattr(importlib.import_module(str(home)), name)
    with pytest.raises(AttributeError, match=f"'{room}' has no attribute 'nothing'"):
        _ = module.nothing


def test_the_service_loads_nothing_that_only_jobs_need() -> None:
    statement = (
        "import tempfile\n"
        "from featurescape.server.api import create_app\n"
        "from featurescape.server.api.catalog import catalog\n"
        "from featurescape.server.settings import Settings\n"
        "create_app(Settings(storage=tempfile.mkdtemp()))\n"
        "catalog()"
    )
    assert loaded(statement, JOBS_ONLY) == []


def test_the_bridge_to_live_networks_loads_no_torch_and_ray_only_when_it_connects() -> None:
    statement = "import featurescape_jobs.live.bridge"
    assert loaded(statement, JOBS_ONLY) == []


def test_jobs_never_import_the_product() -> None:
    product = re.compile(r"^\s*(from|import) featurescape\b(?!_)", re.MULTILINE)
    sources = list(Path(featurescape_jobs.__file__).parent.rglob("*.py"))
    assert len(sources) > 20
    assert [path for path in sources if product.search(path.read_text())] == []


def test_every_public_name_can_be_imported() -> None:
    code = (
        "import featurescape\nfor n in featurescape.__all__: getattr(featurescape, n)\nprint('ok')"
    )
    assert run(code).strip() == "ok"
