"""The pages say what the code does: tables, links, examples, and every block of extending.md."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import sys
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape import client, handles
from featurescape_jobs import features, specs, tables, tiles
from featurescape_jobs.artifacts import MapInfo, job_dir
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.datasets import DATASETS, frozen_input
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.models import MODELS, registered
from featurescape_jobs.networks import worker_source
from featurescape_jobs.registry import Registry
from featurescape_jobs.run import JOBS
from featurescape_jobs.specs import FeaturesSpec, TilesSpec, parse_spec
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.trainers import TRAINERS
from helpers.artifact_builders import (
    TILES_ID,
    commit_embedding,
    commit_features,
    random_examples,
    tiles_context,
)

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "deploy").glob("*.md")])
SECTIONS = (
    "Spec",
    "Input",
    "Output",
    "Cost",
    "Failure modes",
    "Source of the method",
    "Example",
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(page.read_text()) if kind == language]


def anchor(heading: str) -> str:
    """The fragment that a Markdown renderer gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


# -- the pages ---------------------------------------------------------------------------------


def test_the_tables_are_what_the_code_says() -> None:
    writer = load(DOCS / "tables.py", "docs_tables")
    stale = [
        str(p.relative_to(ROOT)) for p in PAGES if writer.render(p.read_text()) != p.read_text()
    ]
    assert stale == [], "run: python docs/tables.py"


def test_every_table_that_follows_from_code_is_in_a_page() -> None:
    text = "".join(page.read_text() for page in DOCS.rglob("*.md"))
    marked = set(re.findall(r"<!-- table ([\w ]+) -->", text))
    schemas = {name for name, value in vars(tables).items() if isinstance(value, pa.Schema)}
    assert {f"spec {job}" for job in JOBS} <= marked
    assert {f"columns {name.lower()}" for name in schemas} | {"columns features"} <= marked
    everything_else = {"dataset_options", "settings", "errors", "row_errors", "routes", "commands"}
    assert everything_else | {"jobs", "datasets", "models", "color_layers"} <= marked


@pytest.mark.parametrize("job", list(JOBS))
def test_every_job_has_a_page_with_all_sections_and_examples_that_parse(job: str) -> None:
    page = DOCS / "jobs" / f"{job}.md"
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == list(SECTIONS)
    examples = blocks(page, "json")
    assert len(examples) == 1
    assert parse_spec(json.loads(examples[0])).job == job
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")


@pytest.mark.parametrize("job", list(JOBS))
def test_the_page_of_a_job_names_its_details_and_the_kinds_of_its_files(job: str) -> None:
    """What the module writes as literals: keys of details and measures, kinds of added files."""
    text = (DOCS / "jobs" / f"{job}.md").read_text()
    library = ROOT / "jobs" / "featurescape_jobs"
    sources = [library / f"{job}.py"]
    for trainer in TRAINERS if job == "training" else ():
        sources += library.glob(f"trainers/{trainer}.py")
        sources += library.glob(f"trainers/{trainer}/*.py")
    said: set[str] = set()
    for node in chain.from_iterable(ast.walk(ast.parse(one.read_text())) for one in sources):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in ("details", "measures"):
                said |= {k.value for k in node.value.keys if isinstance(k, ast.Constant)}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            last = node.args[-1] if node.args else None
            is_add = node.func.attr in ("add", "add_table", "add_bytes")
            if is_add and isinstance(last, ast.Constant):
                said.add(last.value)
    assert said
    assert {word for word in said if f"`{word}`" not in text} == set()


@pytest.mark.parametrize("job", list(JOBS))
def test_the_spec_in_the_python_example_is_valid(job: str) -> None:
    """What the example builds, it builds with the real classes; no service is asked."""
    source = "\n".join(blocks(DOCS / "jobs" / f"{job}.md", "python"))
    name = type(parse_spec(json.loads(blocks(DOCS / "jobs" / f"{job}.md", "json")[0]))).__name__
    start = source.index(f"{name}(", source.index("client = "))
    depth, end = 0, start + len(name)
    while True:
        depth += {"(": 1, ")": -1}.get(source[end], 0)
        end += 1
        if depth == 0:
            break
    build = source[start:end].replace("features.id", "'features-0123456789ab'")
    assert eval(build, {name: getattr(specs, name) for name in dir(specs)}).job == job


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(BLOCK.sub("", page.read_text())):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, fragment = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert fragment in [anchor(heading) for heading in headings], target


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, todo = set(), [DOCS / "index.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        paths = (target.partition("#")[0] for target in LINK.findall(page.read_text()))
        todo += [(page.parent / path).resolve() for path in paths if path and "://" not in path]
    assert set(DOCS.rglob("*.md")) <= seen


@pytest.mark.parametrize("owner", [client.Client, handles.Job, handles.Artifact, handles.Map])
def test_client_md_names_everything_public(owner: type) -> None:
    text = (DOCS / "client.md").read_text()
    for name, member in inspect.getmembers(owner):
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        assert re.search(rf"\.{name}\b", text), f"{owner.__name__}.{name}"


def test_the_python_blocks_compile() -> None:
    for page in PAGES:
        for code in blocks(page, "python"):
            compile(code, str(page), "exec")


def test_each_decision_says_context_choice_rejected_and_how_to_find_it_wrong() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{n + 1:04d}" for n in range(len(pages))]
    for page in pages:
        headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        wanted = ["Context", "Choice", "Rejected", "How we would know it was wrong"]
        assert headings == wanted, page.name


def test_pages_and_deployment_files_fetch_from_nowhere() -> None:
    known = {"127.0.0.1", "localhost", "ray-head", "api", "keepachangelog.com", "semver.org"}
    known |= {"github.com"}  # a specification that a page cites
    files = [*PAGES, ROOT / "docker-compose.yml", *(ROOT / "deploy").glob("Dockerfile*")]
    for file in files:
        text = file.read_text()
        hosts = {host.lower() for host in re.findall(r"https?://([A-Za-z0-9.-]+)", text)}
        strange = {host for host in hosts - known if not host.endswith("example.org")}
        assert strange == set(), file
        assert "index-url" not in text, file


# -- extending.md ------------------------------------------------------------------------------


def extending() -> dict[str, str]:
    """The blocks that are files, by path."""
    found = {}
    for code in blocks(DOCS / "extending.md", "python"):
        first, _, rest = code.partition("\n")
        if first.startswith("# jobs/"):
            found[first.removeprefix("# jobs/")] = rest
    return found


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All entries of the page, registered as the page says."""
    code = extending()
    loaded = {}
    for path, text in code.items():
        name = path.removesuffix(".py").replace("/", ".")
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        loaded[name.removeprefix("featurescape_jobs.")] = load(file, name)
    datasets = Registry("dataset", (*DATASETS.values(), loaded["datasets.gradients"].DATASET))
    for module in (frozen_input, worker_source, loaded["brightness"]):
        monkeypatch.setattr(module, "DATASETS", datasets)
    models = Registry("model", (*MODELS.values(), loaded["models.pocket"].MODEL))
    for module in (registered, features, worker_source):
        monkeypatch.setattr(module, "MODELS", models)
    layers = Registry(
        "color layer", (*COLOR_LAYERS.values(), loaded["color_layers.labeled"].COLOR_LAYER)
    )
    monkeypatch.setattr(tiles, "COLOR_LAYERS", layers)
    return loaded


def context(tmp_path: Path, job_id: str) -> RunContext:
    return RunContext(Storage(str(tmp_path / "storage")), job_id, attempt=1, seed=0, inputs={})


def test_the_dataset_and_the_model_of_the_page_give_features(
    tmp_path: Path, extended: dict[str, Any]
) -> None:
    spec = FeaturesSpec(
        dataset={"name": "gradients"}, model={"name": "pocket", "weights": "random"}
    )
    job = context(tmp_path, "features-0123456789ab")
    outcome = features.run(spec, job)
    assert (outcome.rows, outcome.error_rows) == (64, 0)
    assert outcome.details["classes"] == ["up", "right", "down", "left"]
    assert outcome.details["dimensions"] == 32
    table = job.storage.read_table(job.path(job.files[0].path))
    assert table["features"][0].values.to_numpy().any()


def test_the_color_layer_of_the_page_holds_every_example(
    tmp_path: Path, extended: dict[str, Any]
) -> None:
    storage = Storage(str(tmp_path / "storage"))
    examples = random_examples(50)
    examples.labels[:20] = [None] * 20
    commit_features(storage, examples)
    commit_embedding(storage, examples)
    spec = TilesSpec(embedding="embedding-000000000002", color_layers=("labeled",))
    outcome = tiles.run(spec, tiles_context(storage))
    layer = MapInfo.model_validate(outcome.details["map"]).layers[0]
    assert {entry.name: entry.count for entry in layer.legend.classes} == {
        "labeled": 30,
        "no label": 20,
    }
    assert set(layer.drawn) == {50}
    archive = ArchiveReader(storage, f"{job_dir(TILES_ID)}/{layer.path}")
    pixels = decode_rgb(archive.get(0, 0, 0) or b"")
    assert set(np.unique(pixels[pixels[..., 2] > 0][:, 0])) == {0, 1}


def test_the_job_of_the_page_measures_every_example(
    tmp_path: Path, extended: dict[str, Any]
) -> None:
    job = context(tmp_path, "brightness-0123456789ab")
    spec = extended["specs.brightness"].BrightnessSpec(dataset={"name": "gradients"})
    outcome = extended["brightness"].run(spec, job)
    assert (outcome.rows, outcome.error_rows) == (64, 0)
    table = job.storage.read_table(job.path(job.files[0].path))
    found = dict(zip(table["example_id"].to_pylist(), table["brightness"].to_pylist(), strict=True))
    assert found["gradient-up-00"] == pytest.approx(0.5, abs=0.01)
    assert found["gradient-up-00"] > found["gradient-up-15"]


def test_the_options_of_the_page_are_refused_where_they_are_wrong() -> None:
    space: dict[str, Any] = {"__name__": "extending"}
    (code,) = (code for code in blocks(DOCS / "extending.md", "python") if "steps=4" in code)
    exec(code, space)
    with pytest.raises(DatasetError, match=r"steps: .*31"):
        space["GradientsOptions"].of(space["DatasetSpec"](name="gradients", steps=99))


def test_the_page_names_files_that_the_tree_would_have() -> None:
    assert list(extending()) == [
        "featurescape_jobs/datasets/gradients.py",
        "featurescape_jobs/models/pocket.py",
        "featurescape_jobs/color_layers/labeled.py",
        "featurescape_jobs/specs/brightness.py",
        "featurescape_jobs/tables/brightness.py",
        "featurescape_jobs/brightness.py",
    ]


PUBLIC = {"engine", "datasets", "models", "color_layers", "specs", "tables", "errors"}


def test_the_page_imports_public_names_only() -> None:
    own = {path.removesuffix(".py").replace("/", ".") for path in extending()}
    public = {f"featurescape_jobs.{name}" for name in PUBLIC}
    used = {
        node.module
        for text in extending().values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("featurescape_jobs")
    }
    assert used - own == public


def test_what_the_page_shows_for_points_reads_point_tiles() -> None:
    space: dict[str, Any] = {}
    pages = blocks(DOCS / "artifacts.md", "python")
    exec(next(code for code in pages if "read_points" in code), space)
    tile = b"".join(
        np.array(values, kind).tobytes()
        for values, kind in (([2], "<u4"), ([0.25, 0.5], "<f4"), ([0.75, 1], "<f4"),
                             ([7, 8], "<u4"), ([3, 65535], "<u2"))
    )  # fmt: skip
    points = space["read_points"](tile)
    assert {name: values.tolist() for name, values in points.items()} == {
        "x": [0.25, 0.5],
        "y": [0.75, 1.0],
        "row": [7, 8],
        "class": [3, 65535],
    }
