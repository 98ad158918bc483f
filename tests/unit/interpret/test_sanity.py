"""Weights become random from the output down, and what is left of a map is measured, not guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import spearmanr
from torch import nn

from featurescape_jobs.interpret.sanity import (
    SSIM_WINDOW,
    Randomizer,
    agreement,
    cascade,
    spearman,
    ssim,
    stage_sizes,
    summarize,
    verdict,
)
from featurescape_jobs.specs import GradientsSpec


class Odd(nn.Module):
    """Defined in another order than it runs in; ``table`` is used by no module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.table = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.first = nn.Linear(3, 4)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.first(values)).relu()
        return self.head(nn.functional.linear(hidden, self.table.weight))


def odd(seed: int) -> Odd:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Odd()
        network.norm.running_mean.normal_()
    return network.eval().requires_grad_(False)


def test_the_cascade_goes_from_the_output_down() -> None:
    assert cascade(odd(0), torch.zeros(1, 3)) == ["head", "norm", "first", "table"]


def test_stages_go_from_the_last_module_to_all() -> None:
    assert stage_sizes(5, 3) == [1, 3, 5]
    assert stage_sizes(2, 6) == [1, 2]
    assert stage_sizes(50, 6)[::5] == [1, 50]


def test_a_stage_has_fresh_weights_above_and_the_given_ones_below() -> None:
    given, fresh, other = odd(0), odd(1), odd(2)
    before = {name: value.clone() for name, value in given.state_dict().items()}
    order = cascade(given, torch.zeros(1, 3))
    randomizer = Randomizer(given, order, [1, 2, 4])
    for source in (fresh, other):  # the second draw starts from the given weights again
        for stage in randomizer.stages(source):
            drawn = {1: ("head",), 2: ("head", "norm"), 3: ("head", "norm", "first", "table")}[
                stage
            ]
            for name, value in randomizer.module.state_dict().items():
                expected = source if name.split(".")[0] in drawn else given
                assert torch.equal(value, expected.state_dict()[name]), (stage, name)
    assert all(torch.equal(before[name], value) for name, value in given.state_dict().items())


def test_rank_correlation_is_that_of_scipy() -> None:
    source = np.random.default_rng(0)
    one = source.integers(-5, 6, (9, 11)).astype(np.float32)  # with ties
    two = one + source.normal(0, 4, one.shape).astype(np.float32)
    found = agreement(one, two, signed=True)
    assert found.spearman == pytest.approx(spearmanr(abs(one).ravel(), abs(two).ravel()).statistic)
    assert found.spearman_signed == pytest.approx(spearmanr(one.ravel(), two.ravel()).statistic)
    assert agreement(one, two, signed=False).spearman_signed is None


def test_a_map_with_the_signs_turned_has_the_same_magnitudes() -> None:
    values = np.arange(64, dtype=np.float32).reshape(8, 8) + 1
    found = agreement(values, -values, signed=True)
    assert found.spearman == pytest.approx(1)
    assert found.spearman_signed == pytest.approx(-1)
    assert found.ssim == pytest.approx(1)


def test_a_map_without_differences_agrees_with_nothing() -> None:
    flat, values = np.zeros((8, 8), np.float32), np.eye(8, dtype=np.float32)
    for one, two in ((flat, values), (values, flat), (flat, flat), (values, values * np.nan)):
        assert spearman(one, two) is None
        assert ssim(one, two) is None


def test_ssim_is_that_of_its_definition() -> None:
    source = np.random.default_rng(1)
    one, two = (source.random((10, 12)).astype(np.float32) for _ in range(2))
    x, y = one / one.max(), two / two.max()
    each = []
    for top in range(10 - SSIM_WINDOW + 1):
        for left in range(12 - SSIM_WINDOW + 1):
            at = np.s_[top : top + SSIM_WINDOW, left : left + SSIM_WINDOW]
            a, b = x[at].astype(np.float64), y[at].astype(np.float64)
            c = ((a - a.mean()) * (b - b.mean())).mean()
            each.append(
                (2 * a.mean() * b.mean() + 1e-4)
                * (2 * c + 9e-4)
                / ((a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4))
            )
    assert ssim(one, two) == pytest.approx(np.mean(each), abs=1e-6)
    assert ssim(one[:6], two[:6]) is None


@pytest.mark.parametrize(
    ("correlations", "found"),
    [
        ([0.1, 0.2, -0.1, 0.25], "passed"),
        ([1.0, 0.9, 0.8, 0.95], "failed"),
        ([-0.9, -0.8, -0.9, -0.95], "failed"),  # turned about is not another map
        ([0.1, 0.1, 0.9, 0.9], "undecided"),  # the spread decides, not the mean
        ([0.5] * 4, "undecided"),
        ([None, None, None, 0.1], "unmeasured"),
        ([None, 0.1], "passed"),
        ([], "unmeasured"),
    ],
)
def test_the_verdict_is_that_of_three_in_four(
    correlations: Sequence[float | None], found: str
) -> None:
    assert verdict(correlations) == found


def test_a_summary_has_the_quartiles_of_each_stage_and_says_what_was_undefined() -> None:
    values = {1: [0.8, 0.9, 1.0], 2: [0.1, 0.2, None]}
    checks: list[dict[str, Any]] = [
        {"stage": stage, "spearman": value, "spearman_signed": None, "ssim": 0.5}
        for stage, each in values.items()
        for value in each
    ]
    found = summarize(checks, 2)
    assert found["verdict"] == "passed"
    first, last = found["stages"]
    assert first["spearman"] == {
        "least": 0.8, "low": 0.85, "median": 0.9, "high": 0.95, "largest": 1.0
    }  # fmt: skip
    assert (last["measured"], last["undefined"]) == (2, 1)
    assert last["spearman"]["median"] == 0.15
    assert last["spearman_signed"] is None
    assert last["ssim"]["low"] == 0.5


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"sanity": {"examples": 16, "draws": 10, "stages": 32}},
            "35,840 maps are more than 5,000",
        ),
        ({"sanity": {"methods": ["occlusion"]}}, "occlusion is not in methods"),
        ({"methods": ["smoothgrad"], "sanity": {}}, "take many passes"),
    ],
)
def test_a_check_without_bound_or_methods_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        GradientsSpec(dataset={"name": "digits"}, model={"name": "lenet"}, **change)


def test_costly_methods_are_checked_only_where_they_are_named() -> None:
    def checked(**sanity: Any) -> tuple[str, ...]:
        methods = ("occlusion", "saliency", "gradcam")
        base = {"dataset": {"name": "digits"}, "model": {"name": "lenet"}, "methods": methods}
        return GradientsSpec(**base, sanity=sanity).sanity_methods

    assert checked() == ("saliency", "gradcam")
    assert checked(methods=["gradcam", "occlusion"]) == ("occlusion", "gradcam")
