"""The live page with networks of collections: what `featurescape catalog MODEL` lists."""

from __future__ import annotations

import hashlib
import io

from PIL import Image

from featurescape_jobs.live.network import LiveNetwork
from featurescape_jobs.live.requests import Unit
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.specs import ModelSpec, model_fields
from helpers.extras import needs


def live(label: str) -> LiveNetwork:
    return LiveNetwork.of(load_network(ModelSpec(**model_fields(label), weights="random"), seed=0))


def shapes(network: LiveNetwork) -> dict[str, list[int]]:
    return {row["layer"]: row["shape"] for row in network.describe()["layers"]}


def photo() -> tuple[str, bytes]:
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(buffer, "PNG")
    return hashlib.sha256(buffer.getvalue()).hexdigest(), buffer.getvalue()


def test_layers_are_listed_with_their_shapes() -> None:
    network = live("torchvision/squeezenet1_1")
    found = shapes(network)
    # 224 px: a convolution of 3 with stride 2, then three poolings of 3 with stride 2, rounded up.
    assert found["features.0"] == [64, 111, 111]
    assert found["features"] == [512, 13, 13]
    assert found["classifier.1"] == [1000, 13, 13]
    described = network.describe()
    assert described["model"] == "torchvision/squeezenet1_1"
    assert described["input"] == [3, 224, 224]
    assert "features" in described["suggested"]


@needs("timm")
def test_a_unit_of_a_transformer_has_a_channel_of_tokens() -> None:
    network = live("timm/test_vit")
    tokens = (160 // 16) ** 2 + 1
    assert shapes(network)["blocks.1"][1:] == [tokens, 1]
    image, data = photo()
    assert network.load_image(image, data)
    answer = network.activations(image, "blocks.1")
    assert answer["shape"][1:] == [tokens, 1]
    assert network.unit(image, Unit("blocks.1", 3))["channel"] == 3
