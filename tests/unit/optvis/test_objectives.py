"""Objectives in numbers that can be checked by hand."""

from __future__ import annotations

import pytest
import torch

from featurescape_jobs.errors import SpecError
from featurescape_jobs.optvis.objectives import (
    Channel,
    Direction,
    Energy,
    Guided,
    LayerObjective,
    Neuron,
    check_channel,
    values_of,
)

ACTIVATION = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, -1.0], [0.0, 5.0]]])
"""Two channels of 2 × 2 positions."""


def gradient(objective: LayerObjective, activation: torch.Tensor = ACTIVATION) -> torch.Tensor:
    leaf = activation.clone().requires_grad_()
    objective(leaf).backward()
    assert leaf.grad is not None
    return leaf.grad


def test_energy_is_half_the_mean_square_and_its_gradient_the_activation() -> None:
    assert Energy()(ACTIVATION).item() == pytest.approx((1 + 4 + 9 + 16 + 1 + 25) / 8 / 2)
    assert torch.allclose(gradient(Energy()) * 8, ACTIVATION)


def test_a_channel_counts_in_the_mean_and_a_neuron_at_its_position() -> None:
    assert Channel(0)(ACTIVATION).item() == 2.5
    assert Neuron(1)(ACTIVATION).item() == 5.0  # row 1, column 1 of 2 × 2 is the middle
    assert Neuron(0, (0, 1))(ACTIVATION).item() == 2.0
    assert gradient(Neuron(0, (0, 1))).nonzero().tolist() == [[0, 0, 1]]


def test_of_a_vector_a_channel_is_one_value() -> None:
    vector = torch.tensor([3.0, -1.0])
    assert Channel(1)(vector).item() == Neuron(1)(vector).item() == -1.0


def test_a_guide_pulls_each_position_to_the_column_that_it_agrees_with_most() -> None:
    guide = Guided(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))  # columns (1, 0) and (0, 2)
    # Dot products with the columns: 1, 0; 2, -2; 3, 0; 4, 10.
    assert guide(ACTIVATION).item() == pytest.approx((1 + 2 + 3 + 10) / 4)
    pulled = gradient(guide) * 4
    assert pulled[0].tolist() == [[1, 1], [1, 0]]
    assert pulled[1].tolist() == [[0, 0], [0, 2]]


def test_a_direction_weighs_the_dot_product_by_the_cosine() -> None:
    column = torch.tensor([3.0, 4.0]).reshape(2, 1, 1)
    plain = Direction(torch.tensor([1.0, 0.0]), power=0)
    assert plain(column).item() == pytest.approx(3.0, rel=1e-5)
    assert Direction(torch.tensor([1.0, 0.0]), power=2)(column).item() == pytest.approx(
        3 * 0.6**2, rel=1e-4
    )


def test_a_direction_at_a_right_angle_or_behind_still_pulls() -> None:
    column = torch.tensor([-1.0, 0.0]).reshape(2, 1, 1)
    found = Direction(torch.tensor([1.0, 0.0]), power=1)
    assert found(column).item() == pytest.approx(-0.1)
    assert gradient(found, column)[0].item() == pytest.approx(0.1)


def test_each_image_of_a_batch_has_its_own_objective() -> None:
    batch = torch.stack([ACTIVATION, 2 * ACTIVATION])
    assert values_of([Channel(0), Neuron(1)], {"conv": batch}).tolist() == [2.5, 10.0]


def test_a_channel_that_the_layer_has_not_is_refused() -> None:
    check_channel(111, 112, "blocks.10")
    with pytest.raises(SpecError, match=r"channel: 112 is not in blocks\.10, .* 0 to 111"):
        check_channel(112, 112, "blocks.10")
