"""Parameterizations of an image: pixel values, or spatial frequencies in decorrelated colors.

Pixels as in the Deep Visualization Toolbox (J. Yosinski et al. 2015): an offset to the mean image.
Frequencies as in Lucid (C. Olah et al., "Feature visualization", 2017; `optvis/param/spatial.py` and
`color.py`): steps in Fourier space move large shapes and fine detail alike, and colors vary along
the directions in which natural ones do.

Every image is started from its own generator, and computed on its own: vector instructions round the
end of an array otherwise than its middle. Memory: the parameters, as float32 or twice that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

COLOR_DIRECTIONS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))
"""Root of the covariance of ImageNet's colors: rows are red, green, blue (Lucid)."""


@dataclass(frozen=True)
class Canvas:
    """Images to be made: N of one size, one generator each."""

    channels: int
    height: int
    width: int
    generators: Sequence[np.random.Generator]
    device: torch.device

    def noise(self, shape: tuple[int, ...], std: float) -> list[torch.Tensor]:
        """N leaves of normal noise, each from its image's own generator."""
        draws = [std * g.standard_normal(shape, np.float32) for g in self.generators]
        return [torch.from_numpy(draw).to(self.device).requires_grad_() for draw in draws]


class Parameterization(Protocol):
    """Images as a function of parameters."""

    @property
    def parameters(self) -> list[torch.Tensor]:
        """The leaves that gradients are taken of, one for each image."""
        ...

    def images(self) -> torch.Tensor:
        """(N, C, H, W), 0 to 255, differentiable."""
        ...


class Pixels:
    """Offsets to a mean image.

    Args:
        canvas: what is to be made.
        mean: (C,) values 0 to 255.
        std: of the values at the start.
    """

    def __init__(self, canvas: Canvas, mean: Sequence[float], std: float = 10.0) -> None:
        shape = (canvas.channels, canvas.height, canvas.width)
        self.parameters = canvas.noise(shape, std)
        self.mean = torch.tensor(mean, device=canvas.device).reshape(1, -1, 1, 1)

    def images(self) -> torch.Tensor:
        """(N, C, H, W); not clipped, which would take the gradient away."""
        return torch.stack(self.parameters) + self.mean


class Frequencies:
    """Scaled spatial frequencies of decorrelated colors, through a sigmoid.

    Args:
        canvas: what is to be made; of one channel there are no colors to decorrelate.
        decay_power: how much weaker high frequencies are; 1: as in natural images.
        std: of the coefficients at the start.
    """

    def __init__(self, canvas: Canvas, decay_power: float = 1.0, std: float = 0.01) -> None:
        self._size = (canvas.height, canvas.width)
        scale = frequency_scale(*self._size, decay_power)
        self._scale = torch.from_numpy(scale).to(canvas.device)
        shape = (canvas.channels, *scale.shape, 2)
        self.parameters = canvas.noise(shape, std)
        self._colors = color_matrix() if canvas.channels == 3 else None

    def images(self) -> torch.Tensor:
        """(N, C, H, W), between 0 and 255."""
        return torch.stack([self._image(parameters) for parameters in self.parameters])

    def _image(self, parameters: torch.Tensor) -> torch.Tensor:
        spectrum = torch.view_as_complex(parameters) * self._scale
        planes = torch.fft.irfft2(spectrum, s=self._size) / 4
        if self._colors is not None:
            planes = _mixed(planes, self._colors)
        return 255 * torch.sigmoid(planes)


def frequency_scale(height: int, width: int, decay_power: float = 1.0) -> NDArray[np.float32]:
    """(H, W // 2 + 1): sqrt(w · h) / max(frequency, 1 / longer side) to the power of the decay."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequencies = np.sqrt(rows**2 + columns**2)
    least = 1 / max(height, width)
    scale = np.sqrt(width * height) / np.maximum(frequencies, least) ** decay_power
    return np.asarray(scale, np.float32)


def color_matrix() -> NDArray[np.float64]:
    """`COLOR_DIRECTIONS` over the length of its longest column."""
    matrix = np.array(COLOR_DIRECTIONS)
    found: NDArray[np.float64] = matrix / np.linalg.norm(matrix, axis=0).max()
    return found


def _mixed(planes: torch.Tensor, matrix: NDArray[np.float64]) -> torch.Tensor:
    """(3, H, W): each color the sum of the planes, weighted by its row."""
    rows = torch.from_numpy(matrix).to(planes)
    return torch.stack([(row.reshape(-1, 1, 1) * planes).sum(0) for row in rows])
