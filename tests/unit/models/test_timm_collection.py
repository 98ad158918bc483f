"""Models of timm: fed as its own transforms, with features of what its output layer reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from featurescape_jobs.errors import SpecError, UnknownNameError, WeightsError
from featurescape_jobs.extraction.columns import plan_columns
from featurescape_jobs.models import known_names, resolve
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.models.torchvision_shim import torchvision
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import FeaturesSpec, ModelSpec
from helpers.plain_features import plain_features, smooth

torchvision()
timm = pytest.importorskip("timm", reason="pip install featurescape[timm]")

# Small networks of three families that timm ships for tests; layer and pooling read off its sources.
FAMILIES = {
    "test_vit": ("norm", "first"),
    "test_convnext": ("head.flatten", "flatten"),
    "test_efficientnet": ("global_pool", "flatten"),
}


def named(architecture: str, weights: str = "random") -> ModelSpec:
    return ModelSpec(name="timm", architecture=architecture, weights=weights)


def card_of(architecture: str) -> ImageCard:
    card = resolve(named(architecture)).card
    assert isinstance(card, ImageCard)
    return card


@pytest.mark.parametrize("architecture", FAMILIES)
def test_features_equal_a_plain_hook_and_what_timm_gives_before_its_logits(
    architecture: str,
) -> None:
    network = load_network(named(architecture), seed=2)
    spec = FeaturesSpec(dataset={"name": "digits"}, model=named(architecture))
    columns = plan_columns(network, spec, several_views=False)
    layer, pooling = FAMILIES[architecture]
    assert [(column.layer, column.pooling) for column in columns] == [(layer, pooling)]
    inputs = prepare([smooth(170, 200), smooth(180, 160)[::-1].copy()], network.image_card)
    target = execution.Target(network, columns, torch.device("cpu"))
    (found,) = execution.build(target, "float32")(inputs)
    batch = torch.from_numpy(inputs)
    hooked = plain_features(network.module, layer, batch)
    expected = (hooked[:, 0] if pooling == "first" else hooked.flatten(1)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        module: object = network.module
        theirs = module.forward_head(module.forward_features(batch), pre_logits=True)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, theirs.numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-4


@pytest.mark.parametrize(
    "architecture", [*FAMILIES, "resnet18.a1_in1k", "mobilenetv3_small_050", "vit_tiny_patch16_224"]
)
def test_preprocessing_is_timms_own(architecture: str) -> None:
    settings = timm.get_pretrained_cfg(architecture).to_dict()
    fed = timm.data.resolve_data_config({}, pretrained_cfg=settings)
    image = smooth(300, 420)
    expected = timm.data.create_transform(**fed)(Image.fromarray(image))[None].numpy()
    card = card_of(architecture)
    levels = np.abs(prepare([image], card) - expected) * 255
    levels *= np.array(card.std, np.float32)[None, :, None, None]
    assert float((levels > 1.01).mean()) <= 2e-4, "as in test_torchvision_collection"
    assert levels.max() <= 2.01


def test_a_squashed_image_keeps_all_of_its_sides() -> None:
    card = card_of("test_vit").model_copy(update={"resize": "square", "resize_px": 160})
    image = np.zeros((40, 400, 3), np.uint8)
    image[:, :200] = 255
    halves = prepare([image], card.model_copy(update={"mean": (0.0,) * 3, "std": (1.0,) * 3}))
    assert halves[0, 0, :, :75].min() > 0.99
    assert halves[0, 0, :, 85:].max() < 0.01


def test_weights_without_a_head_give_pooled_features() -> None:
    model = resolve(named("vit_base_patch16_siglip_224"))
    assert model.classes() is None
    assert model.card.n_classes == 768
    assert model.card.layers[-1] == model.card.default_layer == "attn_pool"


def test_classes_are_imagenets() -> None:
    assert (resolve(named("test_vit")).classes() or ())[291].startswith("lion")


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("resnet19", "did you mean resnet18"),
        ("resnet18.a1_in2k", "did you mean resnet18.a1_in1k"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(architecture: str, said: str) -> None:
    with pytest.raises(UnknownNameError, match=said) as caught:
        resolve(named(architecture))
    assert caught.value.detail["field"] == "model.architecture"


@pytest.mark.parametrize("architecture", ["hf-hub:a/b", "local-dir:/etc", "../x", ""])
def test_no_name_leads_out_of_timms_list(architecture: str) -> None:
    with pytest.raises(SpecError) as caught:
        resolve(named(architecture))
    assert caught.value.detail["field"] == "model.architecture"


def test_weights_that_cannot_be_had_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def unreachable(name: str, *, pretrained: bool = False, **more: object) -> object:
        if pretrained:
            raise ConnectionError("no net here")
        return create(name, **more)

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(WeightsError, match=r"no net here.*random"):
        load_network(named("test_vit", "pretrained"), seed=0)


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(SpecError, match=r"pip install \"featurescape\[timm\]\""):
        known_names.import_package("no_such_package_here", "timm")
