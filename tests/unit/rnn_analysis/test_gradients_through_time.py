"""Gradients through time: Jacobians and their products, beside autograd's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from featurescape_jobs.models.recurrent.cells import CELLS, Parameters, State, unroll
from featurescape_jobs.rnn_analysis import jacobians
from featurescape_jobs.rnn_analysis.jacobians import Recurrence, path_norms
from featurescape_jobs.rnn_analysis.spectra import log10_powers, spectrum
from helpers.recurrences import MODULES, D, H


def parameters_of(kind: str, scale: float = 1.0) -> Parameters:
    torch.manual_seed(0)
    module = MODULES[kind](D, H, batch_first=True).double().requires_grad_(False)
    values = vars(Parameters.of(module))
    return Parameters(**{**values, "theta_h": scale * values["theta_h"]})


def recurrence_of(kind: str, steps: int, scale: float = 1.0, n: int = 3) -> Recurrence:
    parameters = parameters_of(kind, scale)
    trace = unroll(CELLS[kind], parameters, torch.randn(n, steps, D, dtype=torch.float64))
    return Recurrence(kind, parameters, trace, torch.full((n,), steps))


def joined(state: State) -> torch.Tensor:
    return state.hidden if state.cell is None else torch.cat([state.hidden, state.cell], 1)


def parted(kind: str, joint: torch.Tensor) -> State:
    return State(*joint.chunk(2, 1)) if kind == "lstm" else State(joint)


@pytest.mark.parametrize("kind", MODULES)
def test_the_jacobian_of_a_step_is_that_of_autograd(kind: str) -> None:
    done = recurrence_of(kind, 6, scale=2.0)
    row, step = torch.tensor([1]), torch.tensor([4])
    before = done.state(row, step - 1)
    torch.manual_seed(0)
    MODULES[kind](
        D, H
    )  # draws as `parameters_of` does, so that the inputs that follow are the same
    inputs = torch.randn(3, 6, D, dtype=torch.float64)
    from_x = nn.functional.linear(inputs[1:2, 4], done.parameters.theta_x, done.parameters.bias_x)

    def after(joint: torch.Tensor) -> torch.Tensor:
        return joined(CELLS[kind].step(from_x, parted(kind, joint), done.parameters).state)[0]

    expected = torch.autograd.functional.jacobian(after, joined(before))[:, 0]
    torch.testing.assert_close(done.jacobian(row, step)[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", MODULES)
def test_the_product_of_jacobians_is_the_gradient_of_autograd(kind: str) -> None:
    parameters = parameters_of(kind, 1.5)
    inputs = torch.randn(1, 20, D, dtype=torch.float64)
    from_x = nn.functional.linear(inputs, parameters.theta_x, parameters.bias_x)
    states = [State(torch.zeros(1, H).double(), torch.zeros(1, H).double())]
    if kind != "lstm":
        states = [State(states[0].hidden)]
    for step in range(20):
        states.append(CELLS[kind].step(from_x[:, step], states[-1], parameters).state)
    trace = unroll(CELLS[kind], parameters, inputs)
    found = path_norms(Recurrence(kind, parameters, trace, torch.tensor([20])), 19)
    for distance in (1, 7, 19):

        def last(joint: torch.Tensor, distance: int = distance) -> torch.Tensor:
            state = parted(kind, joint)
            for step in range(20 - distance, 20):
                state = CELLS[kind].step(from_x[:, step], state, parameters).state
            return joined(state)[0]

        whole = torch.autograd.functional.jacobian(last, joined(states[20 - distance]))[:, 0]
        blocks = {"hidden": whole[:H, :H], "cell": whole[H:, H:]}
        for path in set(blocks) & set(found):
            expected = torch.linalg.matrix_norm(blocks[path], 2)
            torch.testing.assert_close(found[path][0, distance], expected, rtol=1e-5, atol=1e-12)


def test_at_rest_a_tanh_rnn_is_a_linear_one() -> None:
    """Without input and bias h stays 0, where tanh has slope 1: the gradient is the matrix's power."""
    parameters = parameters_of("rnn", 1.5)
    still = Parameters(
        parameters.theta_x, parameters.theta_h, 0 * parameters.bias_x, 0 * parameters.bias_h
    )
    trace = unroll(CELLS["rnn"], still, torch.zeros(1, 60, D, dtype=torch.float64))
    found = path_norms(Recurrence("rnn", still, trace, torch.tensor([60])), 59)["hidden"][0]
    expected = log10_powers(still.theta_h.numpy(), 59)
    assert found.log10().numpy() == pytest.approx(expected, abs=1e-9)


def test_a_tanh_rnn_with_norm_below_1_vanishes_at_least_that_fast() -> None:
    done = recurrence_of("rnn", 80)
    sigma = spectrum(done.parameters.theta_h.numpy()).norm
    done = recurrence_of("rnn", 80, scale=0.95 / sigma)
    norms = path_norms(done, 79)["hidden"].numpy()
    assert (norms <= 0.95 ** np.arange(80) * (1 + 1e-12)).all()
    assert norms[:, 79].max() < 1e-3


def test_the_cell_of_an_lstm_carries_a_gradient_over_500_steps_and_an_rnn_does_not() -> None:
    """f = 1, i = 0: ∂C_T/∂C_t stays exactly 1."""
    parameters = parameters_of("lstm")
    bias = torch.zeros(4 * H, dtype=torch.float64)
    bias[:H], bias[H : 2 * H] = -800.0, 800.0
    open_gates = Parameters(parameters.theta_x, parameters.theta_h, bias, 0 * bias)
    inputs = torch.randn(2, 501, D, dtype=torch.float64)
    trace = unroll(CELLS["lstm"], open_gates, inputs)
    found = path_norms(Recurrence("lstm", open_gates, trace, torch.tensor([501, 501])), 500)
    assert found["cell"].shape == (2, 501)
    assert (found["cell"] == 1).all()
    assert (found["carousel"] == 1).all()
    vanished = path_norms(recurrence_of("rnn", 501), 500)["hidden"]
    assert vanished[:, 500].max() < 1e-50


def test_the_carousel_is_the_product_of_the_forget_gates() -> None:
    done = recurrence_of("lstm", 9)
    products = done.trace.gates["f"].flip(1).cumprod(1).amax(2)
    torch.testing.assert_close(path_norms(done, 8)["carousel"][:, 1:], products[:, :8])


@pytest.mark.parametrize("kind", MODULES)
def test_a_sequence_alone_has_the_gradients_it_has_in_a_batch(kind: str) -> None:
    parameters, lengths = parameters_of(kind), torch.tensor([2, 9, 5, 1])
    inputs = torch.randn(4, 9, D, dtype=torch.float64)
    trace = unroll(CELLS[kind], parameters, inputs, lengths)
    together = path_norms(Recurrence(kind, parameters, trace, lengths), 100)
    for row, length in enumerate(lengths.tolist()):
        alone = unroll(CELLS[kind], parameters, inputs[row : row + 1, :length])
        one = path_norms(Recurrence(kind, parameters, alone, lengths[row : row + 1]), 100)
        for path, norms in together.items():
            assert one[path].shape == (1, length)
            torch.testing.assert_close(norms[row, :length], one[path][0])
            assert norms[row, length:].isnan().all()


def test_products_are_the_same_however_many_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    done = recurrence_of("lstm", 9, n=5)
    whole = path_norms(done, 8)
    monkeypatch.setattr(jacobians, "PRODUCT_BYTES", 2 * 8 * (2 * H) ** 2)
    for path, norms in path_norms(done, 8).items():
        torch.testing.assert_close(norms, whole[path])


def test_gradients_are_followed_no_further_than_asked() -> None:
    assert path_norms(recurrence_of("gru", 9), 4)["hidden"].shape == (3, 5)
