"""Any network of torchvision: fed as its weights say, with features of what its output layer reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from featurescape_jobs.errors import LayerError, SpecError, UnknownNameError, WeightsError
from featurescape_jobs.extraction.columns import plan_columns
from featurescape_jobs.models import resolve
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.models.structure import study
from featurescape_jobs.models.torchvision_shim import torchvision
from featurescape_jobs.models.weightless import Weightless
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import FeaturesSpec, ModelSpec
from helpers.plain_features import photo, plain_features, smooth

FAMILIES = {
    # Layer and pooling read off torchvision's sources: the input of the last layer.
    "squeezenet1_1": ("features", "mean"),
    "mobilenet_v3_small": ("classifier.1", "flatten"),
    "shufflenet_v2_x0_5": ("conv5", "mean"),
    "regnet_x_400mf": ("avgpool", "flatten"),
    "convnext_tiny": ("classifier.1", "flatten"),
}
OTHERS = {
    "vit_b_32": ("encoder", "first"),
    "swin_t": ("flatten", "flatten"),
    "densenet121": ("features", "mean"),
    "inception_v3": ("avgpool", "flatten"),
    "maxvit_t": ("classifier.4", "flatten"),
}


def named(architecture: str, **options: Any) -> ModelSpec:
    return ModelSpec(name="torchvision", architecture=architecture, weights="random", **options)


def card_of(architecture: str, **options: Any) -> ImageCard:
    card = resolve(named(architecture, **options)).card
    assert isinstance(card, ImageCard)
    return card


@pytest.mark.parametrize("architecture", [*FAMILIES, *OTHERS])
def test_features_are_what_the_output_layer_reads(architecture: str) -> None:
    card = card_of(architecture)
    assert (card.default_layer, card.default_pooling) == {**FAMILIES, **OTHERS}[architecture]
    assert card.default_layer in card.layers


@pytest.mark.parametrize("architecture", FAMILIES)
def test_features_equal_a_plain_hook(architecture: str) -> None:
    network = load_network(named(architecture), seed=1)
    layer, pooling = FAMILIES[architecture]
    spec = FeaturesSpec(dataset={"name": "digits"}, model=named(architecture))
    columns = plan_columns(network, spec, several_views=False)
    images = [photo(240, 300, seed) for seed in (0, 1)]
    inputs = prepare(images, network.image_card)
    target = execution.Target(network, columns, torch.device("cpu"))
    (found,) = execution.build(target, "float32")(inputs)
    expected = plain_features(network.module, layer, torch.from_numpy(inputs))
    axes = (2, 3) if pooling == "mean" else ()
    expected = (expected.mean(axes) if axes else expected.flatten(1)).numpy()
    largest = np.abs(expected).max()  # random weights leave little of an image
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * largest)
    assert np.abs(found[0] - found[1]).max() > 1e-3 * largest, "other images have other features"


@pytest.mark.parametrize("architecture", [*FAMILIES, "vit_h_14", "efficientnet_b2"])
def test_preprocessing_is_that_of_the_weights(architecture: str) -> None:
    models = torchvision().models
    transform = models.get_model_weights(architecture).DEFAULT.transforms()
    image = smooth(300, 420)
    expected = transform(Image.fromarray(image))[None].numpy()
    card = card_of(architecture)
    found = prepare([image], card)
    levels = np.abs(found - expected) * np.array(card.std, np.float32)[None, :, None, None] * 255
    # Pillow rounds between its two passes, whose order depends on the box that is read: one value in 10,000 of
    # a bicubic filter may be two levels off.
    assert float((levels > 1.01).mean()) <= (1e-4 if card.interpolation == "bicubic" else 0)
    assert levels.max() <= 2.01


def test_a_version_of_the_weights_says_how_it_is_fed() -> None:
    assert card_of("resnet50").resize_px == 232  # IMAGENET1K_V2, torchvision's default
    assert card_of("resnet50", version="IMAGENET1K_V1").resize_px == 256
    assert card_of("vit_b_16", version="IMAGENET1K_SWAG_E2E_V1").input_px == 384


def test_classes_are_those_of_the_weights() -> None:
    assert resolve(named("regnet_x_400mf")).classes()[291] == "lion"


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"architecture": "convnex_tiny"}, "architecture", "did you mean convnext_tiny"),
        ({"architecture": "fcn_resnet50"}, "architecture", "has no 'fcn_resnet50'"),
        ({"architecture": "resnet50", "version": "IMAGENET1K_V3"}, "version", "IMAGENET1K_V2"),
        ({"architecture": "resnet50", "versoin": "x"}, "versoin", "did you mean version"),
        ({}, "architecture", "Field required"),
    ],
)
def test_what_is_not_there_is_named(options: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        resolve(ModelSpec(name="torchvision", **options))
    assert caught.value.detail["field"] == f"model.{field}"


def test_an_unknown_architecture_is_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError) as caught:
        resolve(ModelSpec(name="torchvision", architecture="resnet19"))
    assert "resnet18" in caught.value.detail["known"]


def test_a_model_without_options_refuses_one() -> None:
    with pytest.raises(SpecError, match="lenet has no such option; did you mean weights"):
        resolve(ModelSpec(name="lenet", weihgts="/x"))
    with pytest.raises(SpecError, match="resnet18 has no such option") as caught:
        resolve(ModelSpec(name="resnet18", architecture="resnet50"))
    assert caught.value.detail["field"] == "model.architecture"


def test_weights_come_from_a_file(tmp_path: Any) -> None:
    from safetensors.torch import save_file

    first = load_network(named("squeezenet1_1"), seed=3, n_classes=7)
    state = {name: value.contiguous() for name, value in first.module.state_dict().items()}
    save_file(state, tmp_path / "seven.safetensors")
    spec = named("squeezenet1_1").model_copy(
        update={"weights": str(tmp_path / "seven.safetensors")}
    )
    again = load_network(spec, seed=0)
    inputs = torch.zeros(1, 3, 224, 224)
    assert again.module(inputs).shape == (1, 7)
    torch.testing.assert_close(again.module(inputs), first.module(inputs))
    with pytest.raises(WeightsError, match="do not fit"):
        load_network(spec.model_copy(update={"architecture": "squeezenet1_0"}), seed=0)


def test_layers_with_positions_first_are_refused_and_the_others_not() -> None:
    card = card_of("swin_t")
    assert "features.7" in card.positions_first
    assert "permute" not in card.positions_first
    assert "permute" in card.channel_layers
    network = load_network(named("swin_t"), seed=0)
    spec = FeaturesSpec(dataset={"name": "digits"}, model=named("swin_t"), layers="features.7")
    with pytest.raises(LayerError, match="positions before channels"):
        plan_columns(network, spec, several_views=False)
    assert card_of("resnet18").positions_first == ()


class Counted(nn.Module):
    """Computes its width from a tensor, as RegNet does, and pools by a function of its own."""

    def __init__(self) -> None:
        super().__init__()
        width = int((torch.ones(3) * 2).sum().item())
        self.conv = nn.Conv2d(1, width, 3)
        self.drop = nn.Dropout()
        self.head = nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.conv(x).mean((2, 3))))


def test_a_network_is_built_without_weights_whatever_it_counts_with() -> None:
    with Weightless():
        module = Counted()
    assert {p.device.type for p in module.parameters() if p.ndim > 1} == {"meta"}
    found = study(module.to("meta"), torch.zeros(1, 1, 8, 8, device="meta"))
    assert (found.penultimate, found.pooling) == ("conv", "mean")
    assert found.layers == ("conv", "head")


@pytest.mark.parametrize(
    ("architecture", "layer"),
    [
        ("resnet18", "layer3"),  # the last stage with 14 × 14 positions
        ("inception_v3", "Mixed_6e"),  # the last one before Mixed_7a reduces 17 × 17
        ("vit_b_16", None),  # tokens
        ("swin_t", None),  # positions before channels
    ],
)
def test_dreams_are_made_at_the_last_fine_stage(architecture: str, layer: str | None) -> None:
    card = resolve(ModelSpec(name="torchvision", architecture=architecture)).card
    assert isinstance(card, ImageCard)
    assert card.dream_layer == layer


def test_the_label_has_the_architecture() -> None:
    network: LoadedNetwork = load_network(named("squeezenet1_1"), seed=0)
    assert network.card.name == named("squeezenet1_1").label == "torchvision/squeezenet1_1"
