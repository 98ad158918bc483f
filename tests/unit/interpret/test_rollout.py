"""Attention rollout against the same written out by hand, on small networks of three libraries and of our own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.errors import SpecError
from featurescape_jobs.interpret.attribution import AttributionInputs, Options, attribute
from featurescape_jobs.models.torchvision_shim import torchvision
from featurescape_jobs.models.vision_tower import vision_tower
from featurescape_jobs.networks.attention import (
    check_rollout,
    fused_weights,
    mixed_with_identity,
    roll_out,
)
from featurescape_jobs.networks.relu_modules import explain_output
from helpers.extras import needs

SIDE, PATCH = 32, 8
GRID = SIDE // PATCH
NAMES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3}
VISION = {**NAMES, "num_attention_heads": 2, "image_size": SIDE, "patch_size": PATCH}


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    torchvision()  # before the other libraries import it
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        yield


def ready(network: nn.Module) -> Any:
    """With weights large enough that attention is far from even."""
    for name, weights in network.named_parameters():
        if weights.ndim == 2 and "head" not in name:
            weights.data.mul_(4 if float(weights.data.abs().max()) < 0.2 else 2)
    return network.eval().requires_grad_(False)


def photos() -> torch.Tensor:
    return torch.randn(2, 3, SIDE, SIDE)


def written_out(attentions: list[torch.Tensor]) -> np.ndarray[Any, Any]:
    """Abnar and Zuidema 2020, equation 1 and the recursion after it: (N, T, T), by loops."""
    n, _, tokens, _ = attentions[0].shape
    found = np.zeros((n, tokens, tokens))
    for image in range(n):
        flow = np.eye(tokens)
        for layer in attentions:
            heads = layer[image].double().numpy()
            mixed = 0.5 * sum(heads) / len(heads) + 0.5 * np.eye(tokens)
            for row in mixed:
                row /= row.sum()
            flow = mixed @ flow
        found[image] = flow
    return found


def grid_of(rows: Any) -> np.ndarray[Any, Any]:
    return np.asarray(rows)[:, -GRID * GRID :].reshape(-1, 1, GRID, GRID)


def same(network: nn.Module, inputs: torch.Tensor, expected: Any) -> None:
    found = roll_out(network, inputs).maps.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def inputs_of(network: nn.Module, kind: type[nn.Module], inputs: torch.Tensor) -> list[Any]:
    """Each such module, and what it is given in a pass."""
    calls: list[Any] = []
    handles = [
        part.register_forward_hook(lambda part, given, _: calls.append((part, given[0])))
        for part in network.modules()
        if isinstance(part, kind)
    ]
    with torch.no_grad():
        network(inputs)
    for handle in handles:
        handle.remove()
    return calls


# -- torchvision ---------------------------------------------------------------------------------


def torchvision_vit() -> Any:
    models = torchvision().models
    return ready(
        models.VisionTransformer(
            image_size=SIDE,
            patch_size=PATCH,
            num_layers=3,
            num_heads=2,
            hidden_dim=32,
            mlp_dim=64,
            num_classes=5,
        )
    )


def torchvision_weights(network: Any, inputs: torch.Tensor) -> list[torch.Tensor]:
    calls = inputs_of(network, nn.MultiheadAttention, inputs)
    return [part(x, x, x, need_weights=True, average_attn_weights=False)[1] for part, x in calls]


def test_rollout_of_torchvision_is_that_of_the_weights_it_gives() -> None:
    network, inputs = torchvision_vit(), photos()
    assert not network.heads.head.weight.any(), (
        "its head reads nothing, and the token is still found"
    )
    expected = written_out(torchvision_weights(network, inputs))
    same(network, inputs, grid_of(expected[:, 0]))
    same(explain_output(network).network, inputs, grid_of(expected[:, 0]))
    assert check_rollout(network, inputs[:1]) == "the class token"


def test_rollout_without_the_identity_or_of_the_largest_head_is_another() -> None:
    """The control: the comparison sees what it is there for."""
    network, inputs = torchvision_vit(), photos()
    weights = torchvision_weights(network, inputs)
    found = roll_out(network, inputs).maps.double().numpy()
    plain = weights[2].mean(1) @ weights[1].mean(1) @ weights[0].mean(1)
    largest = written_out([layer.amax(1, keepdim=True) for layer in weights])
    reversed_layers = written_out(weights[::-1])
    for other in (grid_of(plain[:, 0]), grid_of(largest[:, 0]), grid_of(reversed_layers[:, 0])):
        assert np.abs(found - other).max() > 0.02 * found.max()


# -- timm ----------------------------------------------------------------------------------------


def timm_vit(**options: Any) -> Any:
    timm = pytest.importorskip("timm", reason="pip install featurescape[timm]")
    return ready(
        timm.models.VisionTransformer(
            img_size=SIDE,
            patch_size=PATCH,
            embed_dim=32,
            depth=3,
            num_heads=2,
            num_classes=5,
            **options,
        )
    )


def timm_weights(network: Any, inputs: torch.Tensor) -> list[torch.Tensor]:
    """softmax(q kᵀ / √d) of what each qkv gives, by hand."""
    found = []
    for part, given in inputs_of(network, type(network.blocks[0].attn), inputs):
        query, key, _ = part.qkv(given).chunk(3, -1)
        query, key = (
            norm(x.unflatten(-1, (2, 16)).transpose(1, 2))
            for x, norm in ((query, part.q_norm), (key, part.k_norm))
        )
        scores = torch.einsum("nhqd,nhkd->nhqk", query, key) / 4.0
        found.append(scores.exp() / scores.exp().sum(-1, keepdim=True))
    return found


@pytest.mark.parametrize(
    ("options", "rows", "reads"),
    [
        ({}, [0], "the class token"),
        ({"reg_tokens": 3}, [0], "the class token"),
        (
            {"class_token": False, "reg_tokens": 2, "global_pool": "avg"},
            range(2, 18),
            "the mean of all patches",
        ),
        ({"class_token": False, "global_pool": "avg"}, range(16), "the mean of all patches"),
        (
            {"global_pool": "avg", "pool_include_prefix": True},
            range(17),
            "the mean of all tokens",
        ),
        ({"qk_norm": True, "norm_layer": nn.LayerNorm}, [0], "the class token"),
    ],
)
@needs("timm")
def test_rollout_of_timm_ends_at_what_its_output_reads(
    options: dict[str, Any], rows: Any, reads: str
) -> None:
    network, inputs = timm_vit(**options), photos()
    expected = written_out(timm_weights(network, inputs))[:, list(rows)].mean(1)
    same(network, inputs, grid_of(expected))
    assert check_rollout(network, inputs[:1]) == reads


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.3},
        {"is_causal": True},
        {"attn_mask": torch.eye(6, dtype=torch.bool).roll(1, 0) | torch.eye(6, dtype=torch.bool)},
        {"attn_mask": torch.linspace(-3, 3, 36).reshape(6, 6)},
        {"enable_gqa": True},
    ],
    ids=lambda options: next(iter(options), "plain"),
)
def test_fused_weights_times_the_values_are_torchs_fused_attention(options: dict[str, Any]) -> None:
    heads = 2 if "enable_gqa" in options else 4
    query, key, value = torch.randn(2, 4, 6, 8), *torch.randn(2, 2, heads, 6, 8)
    weights = fused_weights(query, key, value, **options)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 4, 6))
    values = value.repeat_interleave(4 // heads, 1)
    expected = functional.scaled_dot_product_attention(query, key, value, **options)
    assert torch.allclose(weights @ values, expected, atol=1e-5)


@needs("timm")
def test_fused_and_plain_attention_have_the_same_rollout() -> None:
    network, inputs = timm_vit(), photos()
    fused = roll_out(network, inputs).maps
    for block in network.blocks:
        block.attn.fused_attn = not block.attn.fused_attn
    assert torch.allclose(roll_out(network, inputs).maps, fused, rtol=1e-4)


@needs("timm")
def test_an_exported_network_has_the_rollout_of_the_one_it_was_made_of() -> None:
    network, inputs = timm_vit(), photos()
    batch = torch.export.Dim("batch", min=1, max=64)
    made = torch.export.export(network, (inputs,), dynamic_shapes=({0: batch},)).module()
    assert torch.allclose(roll_out(made, inputs).maps, roll_out(network, inputs).maps, rtol=1e-4)


# -- transformers --------------------------------------------------------------------------------


def tower(kind: str, attention: str) -> Any:
    t = pytest.importorskip("transformers", reason="pip install featurescape[transformers]")
    made = {
        "clip": lambda: t.CLIPVisionModelWithProjection._from_config(
            t.CLIPVisionConfig(**VISION, projection_dim=16), attn_implementation=attention
        ),
        "siglip": lambda: t.SiglipVisionModel._from_config(
            t.SiglipVisionConfig(**VISION), attn_implementation=attention
        ),
        "dinov2": lambda: t.Dinov2Model._from_config(
            t.Dinov2Config(**VISION, mlp_ratio=2), attn_implementation=attention
        ),
        "vit": lambda: t.ViTForImageClassification._from_config(
            t.ViTConfig(**VISION), attn_implementation=attention
        ),
    }
    torch.manual_seed(7)
    return ready(made[kind]())


@pytest.mark.parametrize("kind", ["clip", "dinov2", "vit", "siglip"])
@needs("transformers")
def test_rollout_of_transformers_is_that_of_its_output_attentions(kind: str) -> None:
    inputs = photos()
    eager = tower(kind, "eager")
    with torch.no_grad():
        said = eager(inputs, output_attentions=True)
    rows = written_out(list(said.attentions))
    if kind == "siglip":
        pool = eager.head if hasattr(eager, "head") else eager.vision_model.head
        tokens = said.last_hidden_state
        probe = pool.probe.repeat(2, 1, 1)
        pooling = pool.attention(probe, tokens, tokens)[1].double().numpy()
        expected = grid_of((pooling @ rows)[:, 0])
    else:
        expected = grid_of(rows[:, 0])
    for attention in ("eager", "sdpa"):
        network = vision_tower(tower(kind, attention))
        same(network, inputs, expected)
        reads = check_rollout(network, inputs[:1])
        assert reads == ("the pooling attention" if kind == "siglip" else "the class token")


# -- what it is, and where it cannot be had --------------------------------------------------------


def test_rows_sum_to_one_and_a_map_to_one_with_the_tokens_that_are_no_patch() -> None:
    attention = torch.rand(2, 7, 7)  # rows that do not
    assert torch.allclose(mixed_with_identity(attention).sum(-1), torch.ones(2, 7))
    network, inputs = torchvision_vit(), photos()
    rows = written_out(torchvision_weights(network, inputs))[:, 0]
    np.testing.assert_allclose(rows.sum(-1), 1)
    totals = roll_out(network, inputs).maps.sum((1, 2, 3)).numpy()
    np.testing.assert_allclose(totals + rows[:, 0], 1, rtol=1e-5)
    assert (totals < 0.999).all()


def test_rollout_is_the_same_for_every_target_and_in_every_batch() -> None:
    network, inputs = torchvision_vit(), photos()
    explainable = explain_output(network)
    maps = [
        attribute("rollout", explainable, AttributionInputs(inputs, targets, [0, 1]), Options())
        for targets in ([0, 1], [4, 2])
    ]
    assert torch.equal(*maps)
    alone = AttributionInputs(inputs[1:], [3], [9])
    found = attribute("rollout", explainable, alone, Options())
    assert torch.allclose(found, maps[0][1:], rtol=1e-4)
    assert not torch.allclose(maps[0][0], maps[0][1], rtol=0.01), "images differ"


def test_the_network_gives_the_same_before_and_after() -> None:
    network, inputs = torchvision_vit(), photos()
    network.heads.head.weight.data.normal_()
    before = network(inputs)
    roll_out(network, inputs)
    assert torch.equal(network(inputs), before)


class Windows(nn.Module):
    """Attention inside each quarter of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Conv2d(3, 8, PATCH, PATCH), nn.Linear(8, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.embed(images).unfold(2, 2, 2).unfold(3, 2, 2)
        tokens = patches.permute(0, 2, 3, 4, 5, 1).reshape(-1, 1, 4, 8)
        mixed = functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return self.head(mixed.reshape(len(images), -1, 8).mean(1))


def test_networks_without_attention_among_all_patches_are_refused_with_reason_and_remedy() -> None:
    convolutional = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    swin = torchvision().models.SwinTransformer(
        patch_size=[4, 4], embed_dim=8, depths=[2], num_heads=[2], window_size=[4, 4], num_classes=3
    )
    reasons = [(convolutional, "no attention"), (Windows(), "windows"), (swin, "windows")]
    for network, reason in reasons:
        with pytest.raises(SpecError, match=f"{reason}.*gradcam") as caught:
            check_rollout(network.eval(), torch.zeros(1, 3, SIDE, SIDE))
        assert caught.value.detail["field"] == "methods"


def test_a_pyramid_of_tokens_is_refused() -> None:
    class Pyramid(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found = images.mean(1, keepdim=True)
            for step in (4, 8):
                tokens = functional.avg_pool2d(found, step).flatten(2).transpose(1, 2)
                mixed = functional.scaled_dot_product_attention(tokens, tokens, tokens)
            return mixed.mean(1)

    with pytest.raises(SpecError, match="different tokens"):
        check_rollout(Pyramid(), torch.zeros(1, 3, SIDE, SIDE))
