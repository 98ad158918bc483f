"""Exported networks: what their card says is what they do, and no file is read that is not the expected one."""

from __future__ import annotations

import hashlib
import json
import tomllib
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from featurescape_jobs.errors import SpecError, UnknownNameError, WeightsError
from featurescape_jobs.extraction.columns import plan_columns
from featurescape_jobs.models import MODELS, exported, registered
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.registry import Registry
from featurescape_jobs.specs import FeaturesSpec, ModelSpec
from helpers.plain_features import smooth

CARD = {"input_px": 16, "resize_px": 18, "mean": [0.5] * 3, "std": [0.25] * 3, "outputs": 5}
BATCH = ({0: torch.export.Dim("batch")},)


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry in the catalog, as an operator puts it there."""
    with_it = Registry("model", (*MODELS.values(), exported.MODEL))
    monkeypatch.setattr(registered, "MODELS", with_it)


def network() -> nn.Module:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    parts = OrderedDict(
        features=features, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), head=nn.Linear(4, 5)
    )
    return nn.Sequential(parts).eval()


def save(folder: Path, kind: str, dynamic: Any = BATCH, **card: Any) -> ModelSpec:
    """A folder with the network in one of the two forms."""
    file, example = folder / f"net.{kind}", (torch.zeros(2, 3, 16, 16),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "pt2":
            torch.export.save(
                torch.export.export(network(), example, dynamic_shapes=dynamic), str(file)
            )
        else:
            torch.jit.save(torch.jit.trace(network(), example), str(file))
    (folder / "card.json").write_text(json.dumps({"file": file.name, **CARD, **card}))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return ModelSpec(name="exported", weights=str(folder), weights_sha256=sha256)


def features_of(spec: ModelSpec, layers: Any = None) -> tuple[Any, np.ndarray[Any, Any]]:
    loaded = load_network(spec, seed=0)
    asked = FeaturesSpec(dataset={"name": "digits"}, model=spec, layers=layers)
    columns = plan_columns(loaded, asked, several_views=False)
    inputs = prepare([smooth(30, 40), smooth(50, 20)[::-1].copy()], loaded.image_card)
    target = execution.Target(loaded, columns, torch.device("cpu"))
    return inputs, np.asarray(execution.build(target, "float32")(inputs)[0])


@pytest.mark.parametrize("kind", ["pt2", "ts"])
def test_it_gives_what_the_network_gave(kind: str, tmp_path: Path) -> None:
    inputs, found = features_of(save(tmp_path, kind))
    with torch.no_grad():
        expected = network()(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_layers_of_an_archive_can_be_read(tmp_path: Path) -> None:
    spec = save(tmp_path, "pt2", layers=["features"], default_layer="pool")
    inputs, found = features_of(spec)
    with torch.no_grad():
        maps = network().features(torch.from_numpy(inputs))  # type: ignore[operator]
    np.testing.assert_allclose(found, maps.mean((2, 3)).numpy(), rtol=1e-5, atol=1e-6)
    assert load_network(spec, seed=0).card.layers == ("network.features", "network.pool", "output")


def test_the_card_names_the_classes(tmp_path: Path) -> None:
    spec = save(tmp_path, "pt2", classes=["a", "b", "c", "d", "e"])
    assert load_network(spec, seed=0).classes == ("a", "b", "c", "d", "e")


def test_another_file_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = save(tmp_path, "pt2")
    monkeypatch.setattr(exported, "_loaded", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(WeightsError, match="another file, or damaged") as caught:
        load_network(spec.model_copy(update={"weights_sha256": "0" * 64}), seed=0)
    assert caught.value.detail["field"] == "model.weights_sha256"
    with pytest.raises(WeightsError, match="is code"):
        load_network(spec.model_copy(update={"weights_sha256": None}), seed=0)


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    save(tmp_path, "pt2")
    (tmp_path / "net.pt2").write_bytes(b"no archive")
    sha256 = hashlib.sha256(b"no archive").hexdigest()
    spec = ModelSpec(name="exported", weights=str(tmp_path), weights_sha256=sha256)
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_network(spec, seed=0)


def test_a_batch_of_one_size_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="export it with a batch of any size"):
        load_network(save(tmp_path, "pt2", dynamic=None), seed=0)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"outputs": 6}, "its card says 6 outputs"),
        ({"mean": [0.5]}, "a number per channel"),
        ({"classes": ["a"]}, "a name per output"),
        ({"std": [0, 1, 1]}, r"std\.0"),
        ({"file": "../net.pt2"}, "file"),
        ({"file": "net.pkl"}, "file"),
        ({"file": "other.pt2"}, "no file of the folder"),
        ({"resize_px": 8}, "at least input_px"),
        ({"code": "x"}, "code"),
        ({"file": "net.ts", "layers": ["features"]}, "cannot be read"),
    ],
)
def test_a_wrong_card_is_named(card: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=said) as caught:
        load_network(save(tmp_path, "pt2", **card), seed=0)
    assert caught.value.detail["field"] == "model.weights"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    spec = save(tmp_path / "in", "pt2")
    (tmp_path / "in" / "net.pt2").rename(tmp_path / "net.pt2")
    (tmp_path / "in" / "net.pt2").symlink_to(tmp_path / "net.pt2")
    with pytest.raises(WeightsError, match="no file of the folder"):
        load_network(spec, seed=0)


def test_random_weights_are_none_of_its(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="folder of the exported network"):
        load_network(ModelSpec(name="exported", weights="random"), seed=0)


def test_the_package_offers_it_as_a_plug_in() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    (point,) = project["entry-points"]["featurescape.models"].items()
    assert point == (exported.MODEL.name, f"{exported.__name__}:MODEL")
    assert registered._accept(exported.MODEL) is exported.MODEL


def test_nobody_has_it_unless_an_operator_says_so() -> None:
    assert "exported" not in MODELS
    with pytest.raises(UnknownNameError):
        MODELS["exported"]
