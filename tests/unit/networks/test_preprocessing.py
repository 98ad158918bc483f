"""Images as a network wants them: the same values as torchvision's presets, in any batch."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch

from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.models.torchvision_shim import torchvision
from featurescape_jobs.networks.preprocessing import normalize, prepare, resize


def card(**changes: Any) -> ImageCard:
    return MODELS["resnet18"].card.model_copy(update=changes)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth noise: some structure, every color."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return coarse.repeat(8, 0).repeat(8, 1)[:height, :width].astype(np.uint8)


@pytest.mark.parametrize("shape", [(375, 500), (500, 333), (256, 256), (100, 700), (1, 1)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_equals_torchvisions_preset_but_for_rounding(
    shape: tuple[int, int], interpolation: Literal["bilinear", "bicubic"]
) -> None:
    from PIL import Image

    presets = torchvision().transforms._presets
    mode = torchvision().transforms.InterpolationMode(interpolation)
    image = photo(*shape)
    expected = presets.ImageClassification(crop_size=224, resize_size=256, interpolation=mode)(
        Image.fromarray(image)
    )
    ours = torch.from_numpy(prepare([image], card(interpolation=interpolation)))[0]
    difference = (ours - expected).abs()
    level = 1.01 / 255 / 0.224  # one of 255 over the smallest deviation
    # Pillow rounds and clips between its two passes, and their order depends on the box: where
    # bicubic overshoots at a hard edge, a few values in a thousand differ by more.
    assert float((difference > level).float().mean()) <= 0.004
    assert float(difference.max()) <= (1 if interpolation == "bilinear" else 12) * level


def test_a_large_photo_is_reduced_in_blocks_first_and_looks_the_same() -> None:
    image = photo(3000, 4000)
    whole = prepare([image], card())
    from PIL import Image

    small = np.asarray(Image.fromarray(image).resize((341, 256), Image.Resampling.BILINEAR))[
        16:240, 58:282
    ]
    expected = normalize(small[None], card())
    assert float(np.abs(whole - expected).mean()) < 0.02


def test_normalization_is_value_minus_mean_over_deviation() -> None:
    net = card(channels=1, mean=(0.25,), std=(0.5,), input_px=2, resize_px=2)
    values = normalize(np.array([[[0], [255]], [[51], [102]]], np.uint8)[None], net)
    assert values.shape == (1, 1, 2, 2)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[0, 0], [[-0.5, 1.5], [-0.1, 0.3]], atol=1e-6)


def test_gray_becomes_three_equal_channels_and_color_becomes_gray() -> None:
    gray = np.full((224, 224), 128, np.uint8)
    same = card(mean=(0.0,) * 3, std=(1.0,) * 3)
    three = prepare([gray], same)
    assert three.shape == (1, 3, 224, 224)
    np.testing.assert_allclose(three, 128 / 255, atol=1e-6)
    red = np.zeros((28, 28, 3), np.uint8)
    red[..., 0] = 255
    one = resize(red, MODELS["lenet"].card)
    assert one.shape == (28, 28, 1)
    assert set(one.ravel().tolist()) == {76}  # 0.299 of 255, the luma of Rec. 601


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    image = np.random.default_rng(1).integers(0, 256, (28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(resize(image, MODELS["lenet"].card)[..., 0], image)


def test_a_digit_of_8_pixels_grows_to_28() -> None:
    image = np.full((8, 8), 200, np.uint8)
    assert prepare([image], MODELS["lenet"].card).shape == (1, 1, 28, 28)


def test_an_image_is_prepared_the_same_alone_and_in_a_batch() -> None:
    images = [photo(300, 400), photo(90, 80, 1), photo(224, 224, 2)[..., 0].copy()]
    together = prepare(images, card())
    for number, image in enumerate(images):
        np.testing.assert_array_equal(prepare([image], card())[0], together[number])


def test_the_tensor_is_channels_last_without_a_copy() -> None:
    tensor = torch.from_numpy(prepare([photo(224, 224)] * 2, card()))
    assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_no_image_is_an_empty_batch() -> None:
    assert prepare([], card()).shape == (0, 3, 224, 224)
