"""The figures that examples/furniture.py prints: the same models in both rows, with intervals."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "furniture.py"


@pytest.fixture(scope="module")
def furniture() -> ModuleType:
    found = importlib.util.spec_from_file_location("furniture_example", EXAMPLE)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_wilsons_interval_is_that_of_tables(
    furniture: ModuleType, hits: int, n: int, low: float, high: float
) -> None:
    assert furniture.wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_normal_interval(furniture: ModuleType) -> None:
    values = np.random.default_rng(1).normal(0.3, 1, 400)
    low, high = furniture.bootstrap(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def features(ids: list[str], labels: list[int], values: np.ndarray) -> pa.Table:
    return pa.table({"example_id": ids, "label": labels, "features": values.tolist()})


def test_both_features_are_asked_about_the_same_models(
    furniture: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    ids = [f"model-{number}" for number in range(300)]
    labels = [number % 3 for number in range(300)]
    told = np.eye(3)[labels] + random.normal(0, 0.05, (300, 3))
    noise = random.normal(0, 1, (300, 3))
    furniture.compare({"noise": features(ids, labels, noise), "told": features(ids, labels, told)})
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    accuracy = {row[0]: row[1] for row in rows}
    assert accuracy["told"] == "1.000"
    assert float(accuracy["noise"]) < 0.55
    (difference,) = (row for row in rows if row[0].startswith("second less first"))
    assert float(difference[1]) == pytest.approx(1 - float(accuracy["noise"]), abs=1e-3)
    assert float(difference[2].split(" to ")[0]) > 0
    with pytest.raises(AssertionError):
        furniture.compare(
            {"noise": features(ids, labels, noise), "told": features(ids[::-1], labels, told)}
        )
