"""Other libraries open what is exported: DuckDB, Polars, pandas, Hugging Face's datasets and Embedding Atlas.

They are installed into an environment of their own, beside the packages of the tests' environment, which need not
be fetched again. A file is all that they get.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape.dataset_at import dataset_at
from featurescape_jobs import features
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.vectors import open_vectors
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import DatasetSpec, FeaturesSpec
from featurescape_jobs.tables import ERRORS, NEIGHBORS
from helpers.artifact_builders import EMBEDDING_ID, FEATURES_ID, TILES_ID, random_examples
from helpers.distributions import empty_environment, install
from helpers.map_builders import add_file, commit_map

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(900)]

LIBRARIES = ("datasets", "duckdb", "pandas", "pillow", "polars", "pyarrow")
ATLAS = "embedding-atlas"
BESIDE_ATLAS = (
    *("click", "cryptography", "fastapi", "inquirer", "narwhals", "platformdirs", "uvicorn"),
    "websockets",
)
"""Imports of Embedding Atlas where it opens a file. What it asks for beside them, torch and language models, is
for computing: embeddings, projections, and with ``--image`` ranks of the neighbors."""
EXAMPLES = random_examples(200)

ABOUT = """
def about(rows, names, xs, widths, numbers, vectors):
    print(json.dumps({
        "rows": rows, "names": dict(sorted(names.items())), "x": round(float(sum(xs)), 2),
        "widths": sorted(set(widths)), "numbers": int(sum(numbers)),
        "vector": [round(float(v), 4) for v in vectors],
    }))
"""
WIDTH = (
    "from PIL import Image; import io\nwidth = lambda data: Image.open(io.BytesIO(data)).width\n"
)
READERS = {
    "duckdb": """
import duckdb
ask = lambda sql: duckdb.sql(sql.replace("MAP", f"read_parquet('{sys.argv[1]}')")).fetchall()
(rows, x, numbers), = ask("SELECT count(*), sum(x), sum(row) FROM MAP")
names = dict(ask("SELECT label_name, count(*) FROM MAP GROUP BY label_name"))
widths = [width(data) for data, in ask("SELECT thumbnail.bytes FROM MAP")]
(vector,), = ask("SELECT features FROM MAP WHERE id = 'example-000007'")
about(rows, names, [x], widths, [numbers], vector)
""",
    "polars": """
import polars
found = polars.read_parquet(sys.argv[1])
assert found.schema["features"] == polars.Array(polars.Float32, 4), found.schema
names = dict(found["label_name"].value_counts().iter_rows())
vector = found.filter(polars.col("id") == "example-000007")["features"][0]
images = found["thumbnail"].struct.field("bytes")
about(len(found), names, found["x"], map(width, images), found["row"], vector)
""",
    "pandas": """
import pandas
found = pandas.read_parquet(sys.argv[1]).set_index("id")
names = {name: int(count) for name, count in found.label_name.value_counts().items()}
widths = [width(each["bytes"]) for each in found.thumbnail]
about(len(found), names, found.x, widths, found["row"], found.features["example-000007"])
""",
    "datasets": """
from collections import Counter
from datasets import ClassLabel, Image, load_dataset
found = load_dataset("parquet", data_files=sys.argv[1], split="train")
features = found.features
assert isinstance(features["label"], ClassLabel), features
assert isinstance(features["thumbnail"], Image), features
assert features["features"].length == 4, features
names = Counter(features["label"].int2str(found["label"][:]))
vector = found[7]["features"]
about(len(found), names, found["x"][:], [each.width for each in found["thumbnail"]], found["row"][:], vector)
""",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = empty_environment(tmp_path_factory.mktemp("libraries") / "environment")
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "beside.pth").write_text(sysconfig.get_path("purelib"))
    install(folder, *LIBRARIES, *BESIDE_ATLAS)
    install(folder, "--no-deps", ATLAS)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a storage in which there is a map, and its joined export, ``map.parquet``."""
    folder = tmp_path_factory.mktemp("exported")
    transport = commit_map(folder / "storage", EXAMPLES)
    near = {
        "example_id": EXAMPLES.ids,
        "neighbor_rows": [[(row + 1) % 200, (row + 2) % 200] for row in range(200)],
        "distances": [[0.5, 1.0]] * 200,
    }
    add_file(transport.storage, EMBEDDING_ID, pa.table(near, schema=NEIGHBORS), "neighbors")
    path = folder / "map.parquet"
    transport.artifact(TILES_ID).to_parquet(path, joined=True, features=True)
    return folder


def python_in(environment: Path, *arguments: str, cwd: Path) -> str:
    """What a command of the environment prints; nothing is asked of any hub."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "hub"), "HOME": str(cwd)}
    command = [str(environment / "bin" / arguments[0]), *arguments[1:]]
    done = subprocess.run(
        command, cwd=cwd, env=clean | offline, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("library", READERS)
def test_a_library_opens_the_joined_export(
    environment: Path, folder: Path, tmp_path: Path, library: str
) -> None:
    script = f"import json, sys\n{WIDTH}{ABOUT}{READERS[library]}"
    said = python_in(environment, "python", "-c", script, str(folder / "map.parquet"), cwd=tmp_path)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    labels = [f"class {label}" for label in EXAMPLES.labels]
    assert found["x"] == pytest.approx(float(EXAMPLES.xy[:, 0].sum()), abs=0.5)
    assert found == {
        "rows": 200,
        "names": {name: labels.count(name) for name in sorted(set(labels))},
        "x": found["x"],
        "widths": [8],
        "numbers": sum(range(200)),
        "vector": [round(float(value), 4) for value in EXAMPLES.features[7]],
    }


def test_datasets_reads_the_files_of_a_job_as_they_lie(environment: Path, tmp_path: Path) -> None:
    """Images as images, labels with their names: without a cast, and without an export."""
    spec = FeaturesSpec(
        dataset={"name": "digits", "limit": 100}, model={"name": "lenet", "weights": "random"}
    )
    features.run(spec, RunContext(Storage(str(tmp_path)), FEATURES_ID, 1, 0, {}))
    script = """
import sys
from datasets import load_dataset
found = load_dataset("parquet", data_files=sys.argv[1], split="train")
names = found.features["label"].int2str(found["label"][:])
print(len(found), found[0]["thumbnail"].size, len(found[0]["features"]), *sorted(set(names)))
"""
    files = str(tmp_path / "jobs" / FEATURES_ID / "data" / "features-*.parquet")
    said = python_in(environment, "python", "-c", script, files, cwd=tmp_path)
    assert said.splitlines()[-1] == "100 (8, 8) 84 0 1 2 3 4 5 6 7 8 9"


def test_an_errors_file_without_rows_is_opened(environment: Path, tmp_path: Path) -> None:
    """As a stream: loaded whole, the library takes no dataset without rows, whatever file it is of."""
    Storage(str(tmp_path)).write_table("errors.parquet", ERRORS.empty_table())
    script = """
import sys
from datasets import load_dataset
found = load_dataset("parquet", data_files=sys.argv[1], split="train", streaming=True)
print(list(found), *found.features)
"""
    said = python_in(
        environment, "python", "-c", script, str(tmp_path / "errors.parquet"), cwd=tmp_path
    )
    assert said.splitlines()[-1] == "[] example_id locator code message"


def test_what_datasets_saves_to_disk_is_vectors(environment: Path, tmp_path: Path) -> None:
    script = """
import sys
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
kinds = {"id": Value("string"), "clip": Sequence(Value("float32")), "label": ClassLabel(names=["cat", "dog"])}
columns = {"id": [f"r{n}" for n in range(50)], "clip": [[n, 1.0] for n in range(50)], "label": [0, 1] * 25}
rows = Dataset.from_dict(columns, features=Features(kinds))
rows.save_to_disk("whole", num_shards=3)
DatasetDict(train=rows.select(range(30)), test=rows.select(range(30, 50))).save_to_disk("split")
"""
    python_in(environment, "python", "-c", script, cwd=tmp_path)
    for name in ("whole", "split"):
        spec = DatasetSpec.model_validate(dataset_at(tmp_path / name))
        listing = DATASETS["vectors"].freeze(spec)
        listed = list(listing.entries)
        assert [one.example_id for one in listed] == [f"r{number}" for number in range(50)]
        assert [one.label for one in listed] == [0, 1] * 25
        assert tuple(listing.classes) == ("cat", "dog")
        assert open_vectors(spec).dimensions() == 2


def test_embedding_atlas_opens_the_joined_export(
    environment: Path, folder: Path, tmp_path: Path
) -> None:
    """Its command loads the file as for its server, and writes the application that would be served."""
    columns = ("--x", "x", "--y", "y", "--neighbors", "neighbors", "--text", "label_name")
    path, out = folder / "map.parquet", tmp_path / "application"
    options = (*columns, "--disable-projection", "--export-application", str(out))
    python_in(environment, "embedding-atlas", str(path), *options, cwd=tmp_path)
    props = json.loads((out / "data" / "metadata.json").read_text())["props"]
    projection = props["data"]["projection"]
    assert (projection["x"], projection["y"]) == ("x", "y")
    script = """
import json, sys, pandas
found = pandas.read_parquet(sys.argv[1])
print(json.dumps([len(found), float(found.x[7]), float(found.y[7])]))
"""
    written = str(out / "data" / "dataset.parquet")
    rows, x, y = json.loads(python_in(environment, "python", "-c", script, written, cwd=tmp_path))
    assert rows == 200
    assert np.allclose([x, y], EXAMPLES.xy[7])
