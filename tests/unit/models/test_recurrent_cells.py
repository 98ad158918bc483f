"""The cells: one unit by hand, torch's numbers, padding that changes nothing, gates between 0 and 1."""

import math

import pytest
import torch
from torch import nn

from featurescape_jobs.models.recurrent.cells import (
    CELLS,
    Parameters,
    State,
    lstm_step,
    simple_recurrence,
    unroll,
    valid_steps,
)

MODULES = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def sigma(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def one_unit(blocks: int, theta_x: float, theta_h: float, bias: float) -> Parameters:
    """Of a cell with one unit and one input, all blocks alike."""
    return Parameters(
        torch.full((blocks, 1), theta_x),
        torch.full((blocks, 1), theta_h),
        torch.full((blocks,), bias),
        torch.zeros(blocks),
    )


def torch_module(cell: str, *, bidirectional: bool = False) -> nn.RNNBase:
    torch.manual_seed(0)
    return MODULES[cell](5, 7, batch_first=True, bidirectional=bidirectional)


def test_the_simple_recurrence_of_one_unit_by_hand() -> None:
    inputs = torch.tensor([[[1.0], [0.0], [2.0]]])
    trace = simple_recurrence(
        inputs, torch.tensor([[0.5]]), torch.tensor([[3.0]]), torch.tensor([[-1.0]])
    )
    assert trace.cell is not None
    assert trace.cell.flatten().tolist() == [3.0, 1.5, 6.75]
    assert trace.hidden.flatten().tolist() == [-3.0, -1.5, -6.75]
    assert trace.last.hidden.item() == -6.75


def test_without_input_the_simple_recurrence_is_a_power_of_its_matrix() -> None:
    torch.manual_seed(0)
    theta, start = torch.randn(4, 4) / 2, torch.randn(1, 1, 4)
    inputs = torch.cat([start, torch.zeros(1, 9, 4)], 1)
    trace = simple_recurrence(inputs, theta, torch.eye(4), torch.eye(4))
    assert trace.cell is not None
    expected = torch.linalg.matrix_power(theta, 9) @ start[0, 0]
    torch.testing.assert_close(trace.cell[0, 9], expected, atol=1e-6, rtol=1e-5)


def test_a_tanh_rnn_of_one_unit_by_hand() -> None:
    trace = unroll(CELLS["rnn"], one_unit(1, 2.0, 0.5, 0.1), torch.tensor([[[0.3], [-0.2]]]))
    first = math.tanh(2.0 * 0.3 + 0.1)
    second = math.tanh(2.0 * -0.2 + 0.1 + 0.5 * first)
    assert trace.hidden.flatten().tolist() == pytest.approx([first, second], abs=1e-6)
    assert trace.cell is None
    assert trace.gates == {}


def test_an_lstm_of_one_unit_by_hand() -> None:
    trace = unroll(CELLS["lstm"], one_unit(4, 2.0, 0.5, 0.1), torch.tensor([[[0.3], [-0.2]]]))
    hidden = cell = 0.0
    for step, x in enumerate([0.3, -0.2]):
        at = 2.0 * x + 0.1 + 0.5 * hidden
        cell = sigma(at) * cell + sigma(at) * math.tanh(at)
        hidden = sigma(at) * math.tanh(cell)
        assert trace.cell is not None
        assert trace.cell[0, step].item() == pytest.approx(cell, abs=1e-6)
        assert trace.hidden[0, step].item() == pytest.approx(hidden, abs=1e-6)
        for name, value in {"i": sigma(at), "f": sigma(at), "g": math.tanh(at)}.items():
            assert trace.gates[name][0, step].item() == pytest.approx(value, abs=1e-6)


def test_a_gru_of_one_unit_by_hand() -> None:
    trace = unroll(CELLS["gru"], one_unit(3, 2.0, 0.5, 0.1), torch.tensor([[[0.3], [-0.2]]]))
    hidden = 0.0
    for step, x in enumerate([0.3, -0.2]):
        r = z = sigma(2.0 * x + 0.1 + 0.5 * hidden)
        n = math.tanh(2.0 * x + 0.1 + r * 0.5 * hidden)
        hidden = (1 - z) * n + z * hidden
        assert trace.hidden[0, step].item() == pytest.approx(hidden, abs=1e-6)
        assert trace.gates["n"][0, step].item() == pytest.approx(n, abs=1e-6)


def test_blocks_are_in_the_order_of_torch() -> None:
    """Each block alone is moved by its bias: the gate of that name follows, the others stay."""
    for kind, names in {"lstm": ("i", "f", "g", "o"), "gru": ("r", "z", "n")}.items():
        assert CELLS[kind].gates == names
        for block, name in enumerate(names):
            parameters = one_unit(len(names), 0.0, 0.0, 0.0)
            parameters.bias_x[block] = 50.0
            gates = unroll(CELLS[kind], parameters, torch.zeros(1, 1, 1)).gates
            rest = {other: gates[other].item() for other in names if other != name}
            assert gates[name].item() == 1.0
            assert set(rest.values()) <= {0.0, 0.5}  # tanh and the logistic function at 0


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_states_equal_those_of_torch(cell: str, reverse: bool) -> None:
    module, inputs = torch_module(cell, bidirectional=True), torch.randn(3, 11, 5)
    states, last = module(inputs)
    trace = unroll(CELLS[cell], Parameters.of(module, reverse=reverse), inputs, reverse=reverse)
    half = slice(7, 14) if reverse else slice(0, 7)
    torch.testing.assert_close(trace.hidden, states[:, :, half], atol=1e-5, rtol=0)
    if cell == "lstm":
        assert trace.last.cell is not None
        torch.testing.assert_close(trace.last.cell, last[1][int(reverse)], atol=1e-5, rtol=0)
        last = last[0]
    torch.testing.assert_close(trace.last.hidden, last[int(reverse)], atol=1e-5, rtol=0)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_padded_states_equal_those_of_a_packed_sequence(cell: str, reverse: bool) -> None:
    module, inputs = torch_module(cell, bidirectional=True), torch.randn(3, 6, 5)
    lengths = torch.tensor([6, 1, 4])
    packed = nn.utils.rnn.pack_padded_sequence(
        inputs, lengths, batch_first=True, enforce_sorted=False
    )
    states, _ = nn.utils.rnn.pad_packed_sequence(module(packed)[0], batch_first=True)
    parameters = Parameters.of(module, reverse=reverse)
    trace = unroll(CELLS[cell], parameters, inputs, lengths, reverse=reverse)
    half = slice(7, 14) if reverse else slice(0, 7)
    torch.testing.assert_close(trace.hidden, states[:, :, half], atol=1e-5, rtol=0)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_alone_gives_the_same_as_padded_in_a_batch(cell: str, reverse: bool) -> None:
    parameters, lengths = Parameters.of(torch_module(cell)), torch.tensor([2, 9, 5])
    inputs = torch.randn(3, 9, 5)
    inputs[0, 2:] = 1e6  # padding is not read
    padded = unroll(CELLS[cell], parameters, inputs, lengths, reverse=reverse)
    for row, length in enumerate(lengths.tolist()):
        sequence = inputs[row : row + 1, :length]
        alone = unroll(CELLS[cell], parameters, sequence, reverse=reverse)
        pairs = [(alone.hidden, padded.hidden), (alone.cell, padded.cell)]
        pairs += [(alone.gates[name], padded.gates[name]) for name in alone.gates]
        for one, several in pairs:
            if one is not None and several is not None:
                torch.testing.assert_close(one[0], several[row, :length], atol=1e-6, rtol=0)
                assert not several[row, length:].any()
        torch.testing.assert_close(alone.last.hidden[0], padded.last.hidden[row], atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gates_lie_between_0_and_1_and_candidates_between_minus_1_and_1(cell: str) -> None:
    trace = unroll(CELLS[cell], Parameters.of(torch_module(cell)), 10 * torch.randn(4, 20, 5))
    for name, gate in trace.gates.items():
        assert gate.shape == (4, 20, 7)
        assert gate.abs().max() <= 1
        assert name in "gn" or gate.min() >= 0
        assert gate.std() > 0.1


def test_an_lstm_whose_gates_stay_open_keeps_its_cell_state() -> None:
    """f = 1 and i = 0: C, and the gradient along it, stay exactly as they are over 500 steps."""
    parameters = one_unit(4, 0.0, 0.0, 0.0)
    parameters.bias_x[0], parameters.bias_x[1] = -200.0, 200.0
    start = torch.tensor([[0.75]], requires_grad=True)
    state = State(torch.zeros(1, 1), start)
    for _ in range(500):
        state = lstm_step(parameters.bias_x[None], state, parameters).state
    assert state.cell is not None
    assert state.cell.item() == 0.75
    assert torch.autograd.grad(state.cell.sum(), start)[0].item() == 1.0


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_equal_those_of_torch(cell: str) -> None:
    module, inputs = torch_module(cell), torch.randn(2, 6, 5, requires_grad=True)
    expected = torch.autograd.grad(module(inputs)[0][:, -1].sum(), inputs)[0]
    trace = unroll(CELLS[cell], Parameters.of(module), inputs)
    found = torch.autograd.grad(trace.last.hidden.sum(), inputs)[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_lengths_beyond_the_batch_are_refused() -> None:
    assert valid_steps(torch.tensor([1, 3]), 3).tolist() == [[True, False, False], [True] * 3]
    for lengths in ([0, 2], [1, 4]):
        with pytest.raises(ValueError, match="a sequence has 1 to 3 steps"):
            valid_steps(torch.tensor(lengths), 3)
