"""Attribution of an output to the pixels, by nine methods of Captum and attention rollout.

Every method gives one map per image, for a target per image. Nothing depends on the batch: the noise
of SmoothGrad is drawn per image from its own seed (Captum's ``NoiseTunnel`` draws from torch's global
state, for the batch as a whole). Hooks are Captum's and end with each call. Attention rollout has no target: its
map is the same for all.

Sources: K. Simonyan et al. 2013 (saliency); A. Shrikumar et al. 2016 (input × gradient); M. Sundararajan
et al. 2017 (integrated gradients); D. Smilkov et al. 2017 (SmoothGrad); J. Springenberg et al. 2014 (guided
backpropagation); M. Zeiler, R. Fergus 2013 (deconvolution, occlusion); R. Selvaraju et al. 2017 (Grad-CAM,
guided Grad-CAM); S. Abnar, W. Zuidema 2020 (attention rollout); N. Kokhlikyan et al. 2020 (Captum).

Memory: a batch of images with the activations of one forward and backward pass.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from captum import attr
from torch import nn

from featurescape_jobs.errors import SpecError
from featurescape_jobs.networks.attention import roll_out
from featurescape_jobs.networks.relu_modules import Explainable

MAX_COMPLETENESS_ERROR = 0.01
"""Above it, integrated gradients take twice the steps, as often as `_DOUBLINGS`."""
_DOUBLINGS = 2
_PIECES = (0.0, 1 / 64, 1 / 16, 1 / 4, 1.0)

Target = int | tuple[int, ...]
"""An output of the network, or a cell (channel, y, x) of a layer's activation."""


@dataclass(frozen=True)
class Options:
    """Numbers that the methods need."""

    baseline: float | tuple[float, ...] = 0.0
    """What integrated gradients start from and occlusion puts in, normalized, per channel."""
    integration_steps: int = 50
    smoothgrad_samples: int = 50
    smoothgrad_noise_fraction: float = 0.15
    """Standard deviation of the noise over the range (largest - smallest) of the image's values."""
    occlusion_px: int = 32
    occlusion_stride_px: int = 16
    images_per_pass: int = 8
    """Steps of integrated gradients are taken together up to so many images; the batch at least."""


@dataclass(frozen=True)
class AttributionInputs:
    """N images and what is asked of each."""

    inputs: torch.Tensor
    """(N, C, H, W), normalized."""
    targets: Sequence[Target]
    seeds: Sequence[int]
    """One for each image, of job seed and example id."""

    def __post_init__(self) -> None:
        n = len(self.inputs)
        if self.inputs.ndim != 4 or len(self.targets) != n or len(self.seeds) != n:
            raise ValueError(
                f"inputs {tuple(self.inputs.shape)} with {len(self.targets)} targets and "
                f"{len(self.seeds)} seeds: every image needs one of each"
            )


@dataclass(frozen=True)
class _MethodInputs:
    """One method's work on one batch, in the form Captum takes."""

    explainable: Explainable
    inputs: torch.Tensor
    targets: list[tuple[int, ...]]
    seeds: Sequence[int]
    options: Options

    @classmethod
    def of_all(
        cls, explainable: Explainable, explained: AttributionInputs, options: Options
    ) -> _MethodInputs:
        targets = [t if isinstance(t, tuple) else (t,) for t in explained.targets]
        inputs = explained.inputs.detach().clone().requires_grad_()
        return cls(explainable, inputs, targets, explained.seeds, options)

    @property
    def network(self) -> nn.Module:
        return self.explainable.network

    @property
    def layer(self) -> nn.Module:
        if self.explainable.layer is None:
            raise ValueError("Grad-CAM needs a network with a marked layer")
        return self.explainable.layer

    def baseline(self) -> torch.Tensor:
        """(N, C, H, W)."""
        values = torch.as_tensor(self.options.baseline, dtype=self.inputs.dtype)
        return values.to(self.inputs.device).reshape(1, -1, 1, 1).expand_as(self.inputs)

    def of(self, chosen: torch.Tensor) -> _MethodInputs:
        """The work on some of the images: (N,) bool."""
        at = [n for n, is_chosen in enumerate(chosen.tolist()) if is_chosen]
        return replace(
            self,
            inputs=self.inputs.detach()[at],
            targets=[self.targets[n] for n in at],
            seeds=[self.seeds[n] for n in at],
        )

    def completeness_error(self, values: torch.Tensor) -> torch.Tensor:
        """(N,), as `completeness_error`."""
        with torch.no_grad():
            after, before = self.network(self.inputs), self.network(self.baseline())
        change = torch.stack([(after - before)[n][at] for n, at in enumerate(self.targets)])
        return (values.sum((1, 2, 3)) - change).abs() / change.abs().clamp_min(1e-12)


def _saliency(work: _MethodInputs) -> Any:
    return attr.Saliency(work.network).attribute(work.inputs, work.targets, abs=False)


def _input_x_gradient(work: _MethodInputs) -> Any:
    return attr.InputXGradient(work.network).attribute(work.inputs, work.targets)


def _integrated_gradients(work: _MethodInputs) -> torch.Tensor:
    """With more steps for the images whose sum is not what it has to be, up to four times as many."""
    steps = work.options.integration_steps
    found = _integral(work, steps)
    for _ in range(_DOUBLINGS):
        wrong = work.completeness_error(found) > MAX_COMPLETENESS_ERROR
        if not wrong.any():
            break
        steps *= 2
        found[wrong] = _integral(work.of(wrong), steps)
    return found


def _integral(work: _MethodInputs, steps: int) -> torch.Tensor:
    """Piece by piece: the output of a deep network changes most just behind the baseline."""
    method = attr.IntegratedGradients(work.network)
    inputs, baseline = work.inputs.detach(), work.baseline()
    path, total = inputs - baseline, torch.zeros_like(inputs)
    for start, end in itertools.pairwise(_PIECES):
        total += method.attribute(
            baseline + end * path,
            baseline + start * path,
            work.targets,
            n_steps=-(-steps // (len(_PIECES) - 1)),
            internal_batch_size=max(len(inputs), work.options.images_per_pass),
        ).detach()
    return total


def _smoothgrad(work: _MethodInputs) -> torch.Tensor:
    """The mean gradient over noisy copies; copy k of an image is the same in any batch."""
    clean, options = work.inputs.detach(), work.options
    sigma = options.smoothgrad_noise_fraction * (
        clean.amax((1, 2, 3), keepdim=True) - clean.amin((1, 2, 3), keepdim=True)
    )
    generators = [torch.Generator().manual_seed(seed % 2**63) for seed in work.seeds]
    saliency, total = attr.Saliency(work.network), torch.zeros_like(clean)
    for _ in range(options.smoothgrad_samples):
        draws = [torch.randn(clean.shape[1:], generator=source) for source in generators]
        noisy = clean + sigma * torch.stack(draws).to(clean)
        total += saliency.attribute(noisy.requires_grad_(), work.targets, abs=False)
    return total / options.smoothgrad_samples


def _guided_backprop(work: _MethodInputs) -> Any:
    return attr.GuidedBackprop(work.network).attribute(work.inputs, work.targets)


def _deconvolution(work: _MethodInputs) -> Any:
    return attr.Deconvolution(work.network).attribute(work.inputs, work.targets)


def _gradcam(work: _MethodInputs) -> Any:
    """(N, 1, h, w), in the layer's own size."""
    gradcam = attr.LayerGradCam(work.network, work.layer)
    return gradcam.attribute(work.inputs, work.targets, relu_attributions=True)


def _guided_gradcam(work: _MethodInputs) -> Any:
    return attr.GuidedGradCam(work.network, work.layer).attribute(
        work.inputs, work.targets, interpolate_mode="bilinear"
    )


def _occlusion(work: _MethodInputs) -> Any:
    """How much the output falls where a window covers the pixel, the mean over such windows."""
    n_channels, window = work.inputs.shape[1], work.options.occlusion_px
    stride = work.options.occlusion_stride_px
    return attr.Occlusion(work.network).attribute(
        work.inputs,
        (n_channels, window, window),
        (n_channels, stride, stride),
        work.baseline(),
        work.targets,
    )


def _rollout(work: _MethodInputs) -> torch.Tensor:
    """(N, 1, h, w), a cell for each patch; the same for every target."""
    return roll_out(work.network, work.inputs.detach()).maps


def _largest(values: torch.Tensor) -> torch.Tensor:
    return values.abs().amax(1)


def _sum(values: torch.Tensor) -> torch.Tensor:
    return values.sum(1)


def _first(values: torch.Tensor) -> torch.Tensor:
    return values[:, 0]


@dataclass(frozen=True)
class Method:
    """One way to explain."""

    compute: Callable[[_MethodInputs], Any]
    reduce: Callable[[torch.Tensor], torch.Tensor]
    """(N, C, h, w) to (N, h, w)."""
    reduction: str
    """``reduce`` in words."""
    signed: bool
    """Whether negative values speak against the target."""
    needs_layer: bool = False
    needs_relus: bool = False
    needs_attention: bool = False
    relief: bool = False
    """Whether its gradient is looked at as an image in color."""


_LARGEST = (_largest, "largest magnitude over channels")
_SUM = (_sum, "sum over channels")
METHODS: dict[str, Method] = {
    "saliency": Method(_saliency, *_LARGEST, signed=False),
    "input_x_gradient": Method(_input_x_gradient, *_SUM, signed=True),
    "integrated_gradients": Method(_integrated_gradients, *_SUM, signed=True),
    "smoothgrad": Method(_smoothgrad, *_LARGEST, signed=False),
    "guided_backprop": Method(
        _guided_backprop, *_LARGEST, signed=False, needs_relus=True, relief=True
    ),
    "deconvolution": Method(_deconvolution, *_LARGEST, signed=False, needs_relus=True, relief=True),
    "gradcam": Method(_gradcam, _first, "one channel", signed=False, needs_layer=True),
    "guided_gradcam": Method(
        _guided_gradcam,
        *_LARGEST,
        signed=False,
        needs_layer=True,
        needs_relus=True,
        relief=True,
    ),
    "occlusion": Method(_occlusion, _first, "the same in all channels", signed=True),
    "rollout": Method(_rollout, _first, "one channel", signed=False, needs_attention=True),
}


def check_methods(methods: Sequence[str], explainable: Explainable) -> None:
    """Raise `SpecError` where a method cannot be had of this network."""
    for name in methods:
        if METHODS[name].needs_relus and explainable.rectifiers == 0:
            raise SpecError(
                f"methods: {name} changes the gradient of ReLUs, and this network has none, or "
                "cannot be written as a graph; leave it out. A transformer has rollout",
                field="methods",
            )


def attribute(
    method: str, explainable: Explainable, explained: AttributionInputs, options: Options
) -> torch.Tensor:
    """Attribution of the targets to each value of the input.

    Args:
        method: one of `METHODS`.
        explainable: the network, on the device of the inputs.
        explained: N images, with a target and a seed each; targets may differ.
        options: of the methods.

    Returns:
        (N, C, H, W) float32 without gradient; of Grad-CAM and rollout (N, 1, h, w), a cell
        of the layer or a patch each.
    """
    # Captum says so on each call; its hooks do end with the call.
    warnings.filterwarnings("ignore", "Setting backward hooks on ReLU activations", UserWarning)
    work = _MethodInputs.of_all(explainable, explained, options)
    # cuDNN has no gradient of recurrent layers in evaluation mode.
    recurrent = any(isinstance(part, nn.RNNBase) for part in explainable.network.modules())
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and not recurrent):
        found: torch.Tensor = METHODS[method].compute(work)
        return found.detach()


def completeness_error(
    values: torch.Tensor, explainable: Explainable, explained: AttributionInputs, options: Options
) -> torch.Tensor:
    """(N,): |sum of the values - (F(x) - F(baseline))| / |F(x) - F(baseline)|, for F the target.

    Integrated gradients would have 0 with infinitely many steps; it says how far theirs were enough.
    """
    return _MethodInputs.of_all(explainable, explained, options).completeness_error(values)
