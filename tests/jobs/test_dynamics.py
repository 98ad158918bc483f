"""The job `dynamics`: from networks, matrices and a dataset to tables and plots."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs import datasets, dynamics, training
from featurescape_jobs.datasets import DATASETS, frozen_input
from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, RowError, SpecError, WeightsError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.registry import Registry
from featurescape_jobs.run import _commit
from featurescape_jobs.specs import DatasetSpec, input_jobs, input_kinds, parse_spec
from featurescape_jobs.tables import check_schema
from featurescape_jobs.tables.dynamics import SCHEMAS
from featurescape_jobs.trainers import inputs

JOB_ID = "dynamics-000000000001"
DIGITS = {"name": "digits"}
FEW = {"examples": 40, "gradient_examples": 6, "jacobian_examples": 2, "powers": 20}


def row_model(cell: str, **shape: Any) -> dict[str, Any]:
    shape = {"family": "recurrent", "cell": cell, "hidden_units": 8, **shape}
    return {"name": "row_lstm", "weights": "random", "shape": shape}


def run_job(root: Path, job_id: str = JOB_ID, **fields: Any) -> tuple[Outcome, RunContext]:
    """Run and commit a job."""
    spec = parse_spec({"job": job_id.partition("-")[0], **fields})
    context = RunContext(Storage(str(root)), job_id, 1, spec.seed, {})
    module = {"dynamics": dynamics, "training": training}[spec.job]
    outcome = module.run(spec, context)
    assert _commit(spec, context, outcome) is not None
    return outcome, context


def tables_of(context: RunContext) -> dict[str, pa.Table]:
    return {
        file.kind: context.storage.read_table(context.path(file.path))
        for file in context.files
        if file.path.endswith(".parquet")
    }


def test_an_rnn_and_an_lstm_side_by_side(tmp_path: Path) -> None:
    fields = {"model": row_model("rnn"), "compare": row_model("lstm"), "dataset": DIGITS, **FEW}
    outcome, context = run_job(tmp_path, **fields)
    tables = tables_of(context)
    assert set(tables) == {*SCHEMAS, "errors"}
    for kind, schema in SCHEMAS.items():
        check_schema(tables[kind].schema, schema, kind)
        assert set(tables[kind]["network"].to_pylist()) == {"rnn", "lstm"}
    plots = [file.path for file in context.files if file.kind == "plot"]
    assert plots == [f"data/plots/{kind}.png" for kind in SCHEMAS]
    assert (outcome.rows, outcome.error_rows) == (2 + 8, 0)
    assert tables["spectra"]["matrix"].to_pylist() == [
        *("theta_x", "theta_h"),
        *(f"theta_{side}{gate}" for side in "xh" for gate in "ifgo"),
    ]
    assert tables["powers"].num_rows == 5 * 21
    assert tables["gradient_norms"].num_rows == (1 + 3) * 28
    assert set(tables["gradient_norms"]["examples"].to_pylist()) == {6}
    assert tables["jacobians"].num_rows == 2 * 2 * 16
    lengths = {len(row) for row in tables["jacobians"]["eigenvalues_real"].to_pylist()}
    assert lengths == {8, 16}  # h of the RNN; h and C of the LSTM
    assert tables["saturation"].num_rows == (1 + 4) * 8
    assert tables["clipping"]["examples"].to_pylist() == [32, 8, 32, 8]
    details = outcome.details
    assert (details["examples"], details["steps"], details["left_out"]) == (40, 28, {})
    assert [network["cell"] for network in details["networks"]] == ["rnn", "lstm"]
    slopes = {(row["network"], row["path"]): row["factor_per_step"] for row in details["gradients"]}
    assert slopes["rnn", "hidden"] < slopes["lstm", "cell"]


def test_the_same_spec_gives_the_same_tables(tmp_path: Path) -> None:
    fields = {"model": row_model("gru", layers=2), "dataset": DIGITS, **FEW}
    one = tables_of(run_job(tmp_path / "a", **fields)[1])
    two = tables_of(run_job(tmp_path / "b", **fields)[1])
    assert all(one[kind].equals(two[kind]) for kind in one)


def test_matrices_need_no_network(tmp_path: Path) -> None:
    grows, turns = [[1.1, 0], [0, 0.5]], [[0, -1], [1, 0]]
    matrices = [{"name": "grows", "values": grows}, {"name": "turns", "values": turns}]
    outcome, context = run_job(tmp_path, matrices=matrices, powers=50)
    tables = tables_of(context)
    assert set(tables) == {"spectra", "powers", "errors"}
    radii = {row["matrix"]: row["spectral_radius"] for row in outcome.details["matrices"]}
    assert radii == pytest.approx({"grows": 1.1, "turns": 1.0})
    last = [row for row in tables["powers"].to_pylist() if row["power"] == 50]
    assert [row["log10_norm"] for row in last] == pytest.approx([50 * math.log10(1.1), 0])
    assert (outcome.rows, outcome.details["examples"]) == (2, 0)


def test_without_a_dataset_the_weights_alone_are_looked_at(tmp_path: Path) -> None:
    outcome, context = run_job(tmp_path, model=row_model("lstm"))
    assert set(tables_of(context)) == {"spectra", "powers", "errors"}
    assert outcome.details["gradients"] == []


def test_two_networks_of_one_kind_have_two_names(tmp_path: Path) -> None:
    wide = {**row_model("rnn"), "shape": {"family": "recurrent", "cell": "rnn", "hidden_units": 12}}
    outcome, _ = run_job(tmp_path, model=row_model("rnn"), compare=wide)
    assert [n["network"] for n in outcome.details["networks"]] == ["rnn", "rnn compare"]
    assert [n["hidden_units"] for n in outcome.details["networks"]] == [8, 12]


def test_a_trained_network_is_measured_with_its_weights(tmp_path: Path) -> None:
    shape = {"cell": "rnn", "hidden_units": 8}
    trained = "training-00000000000a"
    model = {"name": "row_lstm", "shape": {"family": "recurrent", **shape}}
    few = {"dataset": {"name": "digits", "limit": 200}, "epochs": 1}
    run_job(tmp_path, trained, **few, model=model, batch_size=64, learning_rate=0.01)
    fields = {"model": {"name": "row_lstm", "training": trained}, "dataset": DIGITS, **FEW}
    outcome, context = run_job(tmp_path, **fields)
    assert outcome.details["networks"][0]["training"] == trained
    fresh = run_job(tmp_path, "dynamics-00000000000b", model=row_model("rnn"))[1]
    spectra = [tables_of(each)["spectra"]["singular_values"] for each in (context, fresh)]
    assert not spectra[0].equals(spectra[1])
    spec = parse_spec({"job": "dynamics", **fields, "compare": fields["model"]})
    assert input_jobs(spec) == {"model.training": trained, "compare.training": trained}
    assert {input_kinds(spec)[field] for field in input_jobs(spec)} == {"training"}


class Striped:
    """Twenty striped images; one is broken, none is labeled."""

    name = "striped"
    broken: tuple[str, ...] = ("7",)
    card = DatasetCard(name=name, title="", summary="", needs_root=False)

    def check(self, spec: DatasetSpec) -> None:
        pass

    def freeze(self, spec: DatasetSpec) -> Listing:
        def entries() -> Iterator[Entry]:
            for number in range(20):
                yield Entry(f"stripes-{number:02d}", str(number))

        return Listing(entries(), ())

    def open_reader(self, spec: DatasetSpec) -> Striped:
        return self

    def read(self, locator: str) -> ImageArray:
        if locator in self.broken:
            raise RowError("truncated", "the last stripe is missing")
        return np.arange(28 * 28, dtype=np.uint8).reshape(28, 28) % (int(locator) + 2)


@pytest.fixture
def striped(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    registry = Registry("dataset", (*DATASETS.values(), Striped()))
    for module in (frozen_input, inputs, datasets):
        monkeypatch.setattr(module, "DATASETS", registry)
    return {"name": "striped"}


def test_unreadable_examples_are_error_rows_and_labels_are_not_needed(
    tmp_path: Path, striped: dict[str, Any]
) -> None:
    fields = {"model": row_model("lstm"), "dataset": striped, **FEW}
    outcome, context = run_job(tmp_path, **fields)
    tables = tables_of(context)
    assert outcome.error_rows == 1
    assert tables["errors"]["example_id"].to_pylist() == ["stripes-07"]
    assert outcome.details["examples"] == 19
    assert "clipping" not in tables
    assert outcome.details["left_out"] == {"clipping": "some examples have no label"}
    assert "stripes-07" not in tables["jacobians"]["example_id"].to_pylist()


def test_a_dataset_that_cannot_be_read_at_all_is_an_error(
    tmp_path: Path, striped: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Striped, "broken", tuple(str(number) for number in range(20)))
    with pytest.raises(DatasetError, match="none of 20 examples can be read; the first: the last"):
        run_job(tmp_path, model=row_model("lstm"), dataset=striped, **FEW)


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"model": {"name": "lenet", "weights": "random"}}, SpecError, "no recurrent model"),
        ({"model": {"name": "row_lstm"}}, WeightsError, "has no pretrained weights"),
        ({"model": row_model("lstm", hidden_units=1025)}, SpecError, "1025 hidden units"),
        (
            {"model": row_model("lstm"), "compare": {"name": "lenet", "weights": "random"}},
            SpecError,
            r"^compare\.name: lenet",
        ),
        ({"model": {"name": "view_lstm", "weights": "random"}}, SpecError, "^dataset: view_lstm"),
        (
            {"model": {"name": "view_lstm", "weights": "random"}, "dataset": DIGITS},
            SpecError,
            "dataset: digits gives images",
        ),
    ],
)
def test_what_cannot_be_measured_is_said_before_any_work(
    tmp_path: Path, fields: dict[str, Any], error: type[SpecError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        run_job(tmp_path, **fields)
    assert not list(tmp_path.rglob("*.parquet"))
