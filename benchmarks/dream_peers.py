"""DeepDream as people write it: the original notebook's loop in torch, of one photo, and the same of a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.optvis.deepdream import DreamOptions, octave_sizes

OPTIONS = DreamOptions()


def normalized(pixels: torch.Tensor, network: LoadedNetwork) -> torch.Tensor:
    """(N, 3, H, W) from 0 to 255 as the network wants it."""
    card = network.image_card
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (card.mean, card.std))
    return (pixels / 255 - mean) / std


class UpTo:
    """Forward to a layer, which ends the pass there: ``net.forward(end=…)`` of the notebook."""

    class _Reached(Exception):
        pass

    def __init__(self, network: LoadedNetwork, layer: str) -> None:
        self.network = network
        network.module.get_submodule(layer).register_forward_hook(self._stop)

    def _stop(self, _module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        self.found = output
        raise self._Reached

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        with contextlib.suppress(self._Reached):
            self.network.module(normalized(pixels, self.network))
        return self.found


def plain_dream(photo: np.ndarray, up_to: UpTo, rng: np.random.Generator) -> np.ndarray:
    """The notebook's loop over octaves and steps, of one photo."""
    octaves = [photo.transpose(2, 0, 1).astype(np.float32)]
    for _ in range(OPTIONS.octaves - 1):
        scale = 1 / OPTIONS.octave_scale
        octaves.append(ndimage.zoom(octaves[-1], (1, scale, scale), order=1))
    detail = np.zeros_like(octaves[-1])
    for base in octaves[::-1]:
        h, w = base.shape[-2:]
        h1, w1 = detail.shape[-2:]
        if (h, w) != (h1, w1):
            detail = ndimage.zoom(detail, (1, h / h1, w / w1), order=1)
        source = base + detail
        for _ in range(OPTIONS.iterations):
            oy, ox = rng.integers(-OPTIONS.jitter_px, OPTIONS.jitter_px + 1, 2)
            source = np.roll(np.roll(source, ox, -1), oy, -2)
            image = torch.from_numpy(source[None]).requires_grad_()
            activation = up_to(image)
            activation.backward(gradient=activation.detach())  # the objective is L2
            assert image.grad is not None
            gradient = image.grad[0].numpy()
            source = source + OPTIONS.step / np.abs(gradient).mean() * gradient
            source = np.roll(np.roll(source, -ox, -1), -oy, -2)
            source = np.clip(source, 0, 255)
        detail = source - base
    return source.transpose(1, 2, 0)


def batch_dream(
    photos: torch.Tensor,
    up_to: UpTo,
    shifts: Sequence[np.random.Generator],
    options: DreamOptions = OPTIONS,
) -> torch.Tensor:
    """The same loop over (N, 3, H, W), each photo with its own shifts."""
    octaves = [photos]
    for size in octave_sizes(*photos.shape[2:], options)[-2::-1]:
        octaves.append(_zoomed(octaves[-1], size))
    detail = torch.zeros_like(octaves[-1])
    for base in reversed(octaves):
        detail = _zoomed(detail, (base.shape[2], base.shape[3]))
        source = base + detail
        for _ in range(options.iterations):
            jitter = options.jitter_px
            drawn = [rng.integers(-jitter, jitter + 1, 2).tolist() for rng in shifts]
            rolled = [
                torch.roll(one, offset, (1, 2)) for one, offset in zip(source, drawn, strict=True)
            ]
            image = torch.stack(rolled).contiguous(memory_format=torch.channels_last)
            image.requires_grad_()
            activation = up_to(image)
            (gradient,) = torch.autograd.grad(activation, image, activation.detach())
            with torch.no_grad():
                size = gradient.abs().mean((1, 2, 3), keepdim=True)
                stepped = image + options.step / size * gradient
                back = [
                    torch.roll(one, (-y, -x), (1, 2))
                    for one, (y, x) in zip(stepped, drawn, strict=True)
                ]
                source = torch.stack(back).clip(0, 255)
        detail = source - base
    return source


def _zoomed(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(images, size, mode="bilinear", align_corners=True)
