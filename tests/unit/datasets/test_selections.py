"""A dataset with a selection is exactly its examples, in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from featurescape_jobs.datasets import DATASETS, cached_listing
from featurescape_jobs.datasets.frozen_input import FrozenInput, freeze
from featurescape_jobs.datasets.sources import tree
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec, FeaturesSpec, input_jobs, parse_spec
from featurescape_jobs.specs.selected import selected_path
from helpers.artifact_builders import png
from helpers.frozen_selections import freeze_selection

IDS = ["digits-0042", "digits-0007", "digits-1700"]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "storage"))


def frozen(storage: Storage, number: int = 1, /, **dataset: Any) -> tuple[list[Any], FrozenInput]:
    context = RunContext(storage, f"features-{number:012x}", 1, 0, {})
    found = freeze(DatasetSpec(**{"name": "digits", **dataset}), context)
    return storage.read_table(context.path(EXAMPLES)).to_pylist(), found


def test_the_examples_are_those_of_the_selection_in_its_order(storage: Storage) -> None:
    everything = {row["example_id"]: row for row in frozen(storage)[0]}
    rows, found = frozen(storage, 2, selection=freeze_selection(storage, IDS))

    assert [row["example_id"] for row in rows] == IDS
    assert rows == [everything[name] for name in IDS], "with label and locator of the dataset"
    assert found.classes == tuple("0123456789")
    reader = DATASETS["digits"].open_reader(found.dataset)
    assert np.array_equal(reader.read(rows[1]["locator"]), reader.read("7"))


def test_an_example_with_several_points_is_there_once(storage: Storage) -> None:
    ids = [IDS[0], IDS[0], IDS[1], IDS[0]]
    rows, _ = frozen(storage, selection=freeze_selection(storage, ids))

    assert [row["example_id"] for row in rows] == IDS[:2]


def test_a_limit_is_of_the_selection(storage: Storage) -> None:
    rows, _ = frozen(storage, selection=freeze_selection(storage, IDS), limit=1)

    assert [row["example_id"] for row in rows] == IDS[:1]


def test_an_example_that_is_gone_from_the_dataset_is_named(storage: Storage) -> None:
    with pytest.raises(DatasetError, match=r"1 of its 2 examples .* 'digits-9999'"):
        frozen(storage, selection=freeze_selection(storage, [IDS[0], "digits-9999"]))


def test_a_selection_that_is_gone_or_damaged_is_named(storage: Storage) -> None:
    selection = freeze_selection(storage, IDS, "my cats")
    path = selected_path(selection["sha256"])
    storage.write(path, storage.read(path)[:-1])
    with pytest.raises(DatasetError, match="is damaged; save the selection anew") as error:
        frozen(storage, 1, selection=selection)
    assert error.value.detail["field"] == "dataset.selection"
    storage.delete(path)
    with pytest.raises(DatasetError, match="'my cats' of tiles-0123456789ab is not kept any more"):
        frozen(storage, 2, selection=selection)


def test_the_listing_of_the_whole_dataset_is_made_once(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_listing, "MIN_EXAMPLES", 1)
    monkeypatch.setattr(tree, "SETTLE_SECONDS", 0.0)
    root = tmp_path / "images"
    root.mkdir()
    for number in range(4):
        (root / f"{number}.png").write_bytes(png(np.full((4, 4), number, np.uint8)))
    at = {"name": "images", "root": str(root)}
    ids = [row["example_id"] for row in frozen(storage, 1, **at)[0]]
    kept = storage.list_names("index")
    rows, _ = frozen(storage, 2, **at, selection=freeze_selection(storage, ids[2:0:-1]))

    assert [row["example_id"] for row in rows] == [ids[2], ids[1]]
    assert storage.list_names("index") == kept


def test_the_map_is_an_input_of_the_job() -> None:
    selection = {"map": "tiles-0123456789ab", "name": "some", "sha256": "0" * 64}
    dataset = {"name": "digits", "selection": selection}
    model = {"name": "lenet", "weights": "random"}
    spec = parse_spec({"job": "features", "dataset": dataset, "model": model})

    assert isinstance(spec, FeaturesSpec)
    assert input_jobs(spec) == {"dataset.selection.map": "tiles-0123456789ab"}


@pytest.mark.parametrize("change", [{"sha256": "../../x"}, {"name": "a/b"}, {"map": "../x"}])
def test_a_reference_leads_to_no_other_file(change: dict[str, str]) -> None:
    good = {"map": "tiles-0123456789ab", "name": "some", "sha256": "0" * 64}
    with pytest.raises(ValidationError):
        DatasetSpec.model_validate({"name": "digits", "selection": {**good, **change}})
