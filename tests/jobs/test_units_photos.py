"""The pages of efficientnet_lite0, of crops of real photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from featurescape_jobs import units
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.images.decode import decode
from featurescape_jobs.interpret.unit_pages import PagesWorker
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import ModelSpec, UnitsSpec
from helpers.pixel_networks import one_thread, photo_crops

__all__ = ["one_thread"]  # a fixture that works by being here

LAYER, CHANNELS = "blocks.10", (3, 50, 111)


@pytest.fixture(scope="module")
def network() -> LoadedNetwork:
    return load_network(ModelSpec(name="efficientnet_lite0"), seed=0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photos of 240 px."""
    folder = tmp_path_factory.mktemp("photos")
    for number, photo in enumerate(photo_crops(8, 240).numpy().astype(np.uint8)):
        Image.fromarray(photo).save(folder / f"{number:02d}.png")
    return folder


def run(root: Path, photos: Path, **changes: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    base = {"dataset": {"name": "images", "root": str(photos)}, "execution": "folded"}
    spec = UnitsSpec.model_validate({**base, "model": {"name": "efficientnet_lite0"}, **changes})
    context = RunContext(Storage(str(root)), "units-0123456789ab", 1, spec.seed, {})
    outcome = units.run(spec, context)
    files = [file.path for file in context.files if file.kind == "units"]
    tables = [context.storage.read_table(context.path(path)) for path in files]
    return outcome.details, [row for table in tables for row in table.to_pylist()]


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory, photos: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    changes = {"layer": LAYER, "channels": CHANNELS, "preferred_steps": 24, "preferred_px": 64}
    return run(tmp_path_factory.mktemp("out"), photos, top=3, **changes)


def test_lists_and_values_are_those_of_the_network_as_it_is(
    pages: tuple[dict[str, Any], list[dict[str, Any]]], photos: Path, network: LoadedNetwork
) -> None:
    details, rows = pages
    paths = sorted(photos.iterdir())
    inputs = prepare([np.asarray(Image.open(path)) for path in paths], network.image_card)
    activation = Capture(network.module, [LAYER]).run(torch.from_numpy(inputs))[LAYER]
    assert details["positions"] == [14, 14]
    for row in rows:
        values, cells = activation[:, row["channel"]].flatten(1).max(1)
        order = values.argsort(descending=True)[:3]
        assert [entry["example_id"] for entry in row["top"]] == [paths[n].name for n in order]
        assert [14 * entry["y"] + entry["x"] for entry in row["top"]] == cells[order].tolist()
        found = [entry["activation"] for entry in row["top"]]
        assert found == pytest.approx(values[order].tolist(), rel=1e-3)


def test_patches_are_as_long_as_the_image_and_dark_where_the_cell_does_not_look(
    pages: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    details, rows = pages
    assert details["receptive_field"] == [339, 339]
    for entry in (entry for row in rows for entry in row["top"]):
        top, left, bottom, right = entry["box"]
        assert (bottom - top, right - left) == (339, 339)
        patch = decode(entry["patch"]["bytes"])
        assert patch.shape == (224, 224, 3)
        seen = np.zeros((224, 224), bool)
        seen[max(0, top) : bottom, max(0, left) : right] = True
        assert patch[~seen].size == 0 or patch[~seen].mean() < 4  # WebP blurs the edge
        for name in ("deconvolution", "guided"):
            relief = decode(entry[name]["bytes"]).astype(float)
            assert relief.shape == (224, 224, 3)
            assert relief[seen].std() > 5


def test_preferred_inputs_excite_their_units_more_than_any_photo(
    pages: tuple[dict[str, Any], list[dict[str, Any]]], network: LoadedNetwork
) -> None:
    _, rows = pages
    for row in rows:
        assert [made["recipe"] for made in row["preferred"]] == ["smooth", "lucid"]
        assert all(made["fraction"] > 0.7 for made in row["preferred"])
        assert row["preferred"][0]["fraction"] > 1.5


def test_units_of_the_output_have_the_names_of_the_classes(
    tmp_path: Path, photos: Path, network: LoadedNetwork
) -> None:
    changes = {"layer": "classifier", "channels": (985, 1), "preferred": (), "top": 1}
    details, rows = run(tmp_path, photos, **changes)
    assert network.classes is not None
    assert [row["name"] for row in rows] == [network.classes[985], network.classes[1]]
    assert details["positions"] == [1, 1]
    assert all(row["top"][0]["box"] == [0, 0, 224, 224] for row in rows)


def test_the_network_is_afterwards_as_it_was(tmp_path: Path, photos: Path) -> None:
    spec = UnitsSpec.model_validate(
        {
            "dataset": {"name": "images", "root": str(photos)},
            "model": {"name": "efficientnet_lite0"},
            "layer": "blocks.2",
            "channels": (0,),
            "top": 1,
            "preferred_steps": 2,
            "preferred_px": 32,
            "execution": "folded",
        }
    )
    context = RunContext(Storage(str(tmp_path)), "units-0123456789ab", 1, spec.seed, {})
    worker: list[PagesWorker] = []
    start = units.PagesSetup.start

    def kept(setup: units.PagesSetup) -> PagesWorker:
        worker.append(start(setup))
        return worker[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units.PagesSetup, "start", kept)
        units.run(spec, context)
    module = worker[0]._network.module
    fresh = load_network(spec.model, seed=0).module.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in module.state_dict().items())
    for part in module.modules():
        assert not part.training
        hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
        assert not any(hooks)
    assert not any(parameter.requires_grad for parameter in module.parameters())
