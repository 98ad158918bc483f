"""The parameter randomization test of attribution maps: how much of a map is left as weights become random.

The modules with parameters are randomized one after the other from the output down (cascading
randomization); after some of them, the stages, every map is computed again and compared with that of the
given weights: by Spearman's rank correlation of magnitudes, of signed values where signs count, and by
SSIM. A method whose maps stay the same cannot have shown what the weights have learned.

Fresh weights, biases and running statistics are drawn as the model's own initialization draws them.

Source: J. Adebayo et al., "Sanity checks for saliency maps", 2018, section 4.1; SSIM: Z. Wang et al., "Image
quality assessment: from error visibility to structural similarity", 2004.

Memory: a second network, and the maps of one stage.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.stats import rankdata
from torch import nn

Map = NDArray[np.float32]

PASSES_BELOW = 0.3
FAILS_ABOVE = 0.7
SSIM_WINDOW = 7
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def cascade(module: nn.Module, inputs: torch.Tensor) -> list[str]:
    """Paths of the modules with parameters of their own, the one nearest to the output first.

    The order is that of a forward pass; a module that is used several times counts with its last use, one
    that is not called as a module (its weights are used by another) comes last.
    """
    owners = {
        name: part
        for name, part in module.named_modules()
        if next(part.parameters(recurse=False), None) is not None
    }
    calls: list[str] = []

    def note(name: str, *_: Any) -> None:
        calls.append(name)

    handles = [part.register_forward_hook(partial(note, name)) for name, part in owners.items()]
    try:
        with torch.no_grad():
            module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    called = list(dict.fromkeys(reversed(calls)))
    return called + [name for name in reversed(owners) if name not in called]


def stage_sizes(modules: int, stages: int) -> list[int]:
    """Number of random modules at each stage: the first alone, all at last, evenly between."""
    return [int(n) for n in np.unique(np.linspace(1, modules, min(stages, modules)).round())]


class Randomizer:
    """A copy of a network whose modules become random from the output down.

    Args:
        module: with the given weights; stays as it is.
        order: as of `cascade`.
        sizes: as of `stage_sizes`.
    """

    def __init__(self, module: nn.Module, order: Sequence[str], sizes: Sequence[int]) -> None:
        self.module = copy.deepcopy(module)
        self._given = module.state_dict()
        self._order, self._sizes = order, sizes

    def stages(self, fresh: nn.Module) -> Iterator[int]:
        """Randomize stage after stage; the stage's number, from 1, while ``module`` is in it."""
        self.module.load_state_dict(self._given)
        done = 0
        for stage, size in enumerate(self._sizes, start=1):
            for name in self._order[done:size]:
                _copy_own(fresh.get_submodule(name), self.module.get_submodule(name))
            done = size
            yield stage


def _copy_own(source: nn.Module, target: nn.Module) -> None:
    """Parameters and buffers of the module itself, not of its parts."""
    for tensors in ("named_parameters", "named_buffers"):
        given = dict(getattr(source, tensors)(recurse=False))
        for name, tensor in getattr(target, tensors)(recurse=False):
            with torch.no_grad():
                tensor.copy_(given[name])


# -- how alike two maps are --------------------------------------------------------------------


@dataclass(frozen=True)
class Agreement:
    """Similarity of two maps; None: not defined, as where a map has no differences."""

    spearman: float | None
    """Of the magnitudes."""
    spearman_signed: float | None
    """Of the values; None also where signs do not count."""
    ssim: float | None
    """Of the magnitudes over the largest; None also where a map is smaller than the window."""


def agreement(one: Map, two: Map, *, signed: bool) -> Agreement:
    """Compare two maps (h, w) of one size."""
    magnitudes = np.abs(one), np.abs(two)
    return Agreement(
        spearman(*magnitudes),
        spearman(one, two) if signed else None,
        ssim(*magnitudes),
    )


def spearman(one: Map, two: Map) -> float | None:
    """Rank correlation of the values at equal places; ties share their mean rank."""
    if not (_has_differences(one) and _has_differences(two)):
        return None
    ranks = rankdata(one.reshape(-1)), rankdata(two.reshape(-1))
    return float(np.corrcoef(*ranks)[0, 1])


def ssim(one: Map, two: Map) -> float | None:
    """Mean structural similarity of two maps of magnitudes, each over its largest, in square windows."""
    if min(one.shape) < SSIM_WINDOW or not (_has_differences(one) and _has_differences(two)):
        return None
    x, y = (values.astype(np.float64) / float(values.max()) for values in (one, two))
    mean: Callable[[Any], Any] = partial(uniform_filter, size=SSIM_WINDOW)
    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    values = likeness / ((mean_x**2 + mean_y**2 + _SSIM_C1) * (variances + _SSIM_C2))
    edge = SSIM_WINDOW // 2  # windows that leave the map do not count
    return float(values[edge:-edge, edge:-edge].mean())


def _has_differences(values: Map) -> bool:
    return bool(np.isfinite(values).all() and values.max() > values.min())


# -- over images and draws -------------------------------------------------------------------


def summarize(checks: Sequence[dict[str, Any]], n_stages: int) -> dict[str, Any]:
    """The verdict on one method, and of each stage what its correlations are.

    Args:
        checks: of all images, draws and stages: ``stage``, ``spearman``, ``spearman_signed``, ``ssim``.
        n_stages: random ones; stage 0 has the given weights.
    """
    stages = []
    for stage in range(1, n_stages + 1):
        rows = [row for row in checks if row["stage"] == stage]
        measured = [row["spearman"] for row in rows if row["spearman"] is not None]
        signed = [row["spearman_signed"] for row in rows if row["spearman_signed"] is not None]
        alike = [row["ssim"] for row in rows if row["ssim"] is not None]
        stages.append(
            {
                "stage": stage,
                "measured": len(measured),
                "undefined": len(rows) - len(measured),
                "spearman": _quartiles(measured),
                "spearman_signed": _quartiles(signed),
                "ssim": _quartiles(alike),
            }
        )
    last = [row["spearman"] for row in checks if row["stage"] == n_stages]
    return {"verdict": verdict(last), "stages": stages}


def verdict(correlations: Sequence[float | None]) -> str:
    """Verdict from the correlations with all weights random, by the quartiles of their magnitudes.

    ``passed``: three of four are below `PASSES_BELOW`; ``failed``: three of four are above `FAILS_ABOVE`;
    ``undecided``: neither; ``unmeasured``: fewer than half are defined.
    """
    measured = [abs(value) for value in correlations if value is not None]
    if 2 * len(measured) < max(1, len(correlations)):
        return "unmeasured"
    low, high = np.quantile(measured, (0.25, 0.75))
    if high < PASSES_BELOW:
        return "passed"
    return "failed" if low > FAILS_ABOVE else "undecided"


def _quartiles(values: Sequence[float]) -> dict[str, float] | None:
    """Median, quartiles and extremes; None: there are no values."""
    if not values:
        return None
    names = ("least", "low", "median", "high", "largest")
    quantiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
    return {name: round(float(value), 4) for name, value in zip(names, quantiles, strict=True)}
