"""Features from recurrent networks: states, gates and poolings against what the cells give."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.extraction.recurrent_states import RecurrentRunner
from featurescape_jobs.models.recurrent.network import RecurrentNetwork
from featurescape_jobs.models.row_lstm import RowLstm
from featurescape_jobs.networks.fidelity import fidelity
from featurescape_jobs.networks.graphs import NoGraphError
from featurescape_jobs.specs import RecurrentSpec

LENGTHS = np.array([6, 1, 4], np.int64)
POOLINGS = ("last", "mean", "max", "steps")


def network_of(cell: str = "lstm", layers: int = 2, both: bool = True) -> RecurrentNetwork:
    torch.manual_seed(0)
    shape = RecurrentSpec(cell=cell, layers=layers, bidirectional=both, hidden_units=4)
    return RecurrentNetwork(5, shape, 3).eval().requires_grad_(False)


def sequences() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)


def arrays(found: NDArray[np.float32] | list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    return list(found)


def test_hidden_states_cell_states_and_gates_are_those_of_the_cells() -> None:
    network = network_of()
    steps = network.inputs_of(1, torch.from_numpy(sequences()))
    ahead, back = (direction.trace(steps) for direction in network.layers[1].directions)
    assert ahead.cell is not None
    assert back.cell is not None
    gates = [trace.gates[name] for trace in (ahead, back) for name in ("i", "f", "g", "o")]
    expected = {
        "hidden": torch.cat([ahead.hidden, back.hidden], 2),
        "cell": torch.cat([ahead.cell, back.cell], 2),
        "gates": torch.cat(gates, 2),
    }
    for state, values in expected.items():
        found = RecurrentRunner(network, "recurrent.1", state, "flatten").run(sequences())
        np.testing.assert_allclose(np.asarray(found), values.flatten(1), atol=1e-6)


def test_a_direction_has_states_of_its_own() -> None:
    for state, width in (("hidden", 4), ("cell", 4), ("gates", 16)):
        both, ahead, back = (
            np.asarray(RecurrentRunner(network_of(), f"recurrent.0{way}", state).run(sequences()))
            for way in ("", ".ahead", ".back")
        )
        assert ahead.shape == (3, width)
        np.testing.assert_array_equal(both, np.concatenate([ahead, back], 1))


def test_gates_of_a_gru_are_three() -> None:
    network = network_of("gru", layers=1, both=False)
    found = RecurrentRunner(network, "recurrent.0", "gates", "steps").run(sequences(), LENGTHS)
    assert [steps.shape for steps in found] == [(6, 12), (1, 12), (4, 12)]
    trace = network.layers[0].ahead.trace(torch.from_numpy(sequences()))
    expected = torch.cat([trace.gates[name][0] for name in ("r", "z", "n")], 1)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


@pytest.mark.parametrize("state", ["hidden", "cell", "gates"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_sequence_alone_gives_the_same_as_padded_in_a_batch(state: str, pooling: str) -> None:
    inputs = sequences()
    for row, length in enumerate(LENGTHS):
        inputs[row, length:] = np.nan
    runner = RecurrentRunner(network_of(), "recurrent.1", state, pooling)
    together = arrays(runner.run(inputs, LENGTHS))
    for row, length in enumerate(LENGTHS):
        alone = runner.run(inputs[row : row + 1, :length].copy())
        np.testing.assert_allclose(together[row], alone[0], atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_poolings_follow_from_the_steps(cell: str) -> None:
    network = network_of(cell)
    of = {
        pooling: arrays(
            RecurrentRunner(network, "recurrent.0", "hidden", pooling).run(sequences(), LENGTHS)
        )
        for pooling in POOLINGS
    }
    for row, length in enumerate(LENGTHS):
        steps = of["steps"][row]
        assert steps.shape == (length, 8)
        np.testing.assert_allclose(of["mean"][row], steps.mean(0), atol=1e-6)
        np.testing.assert_allclose(of["max"][row], steps.max(0), atol=1e-6)
        last = np.concatenate([steps[-1, :4], steps[0, 4:]])  # ahead ends there, back at step 0
        np.testing.assert_array_equal(of["last"][row], last)


def test_the_largest_state_of_a_padded_sequence_may_be_negative() -> None:
    network = network_of("rnn", layers=1, both=False)
    with torch.no_grad():
        network.layers[0].ahead.cell.get_parameter("bias_ih_l0").fill_(-50.0)
    found = RecurrentRunner(network, "recurrent.0", pooling="max").run(sequences(), LENGTHS)
    assert np.asarray(found).max() == -1.0  # not the 0 of the padding


def test_all_features_are_float32_and_their_own() -> None:
    for pooling in (*POOLINGS, "flatten"):
        inputs = sequences()
        first = arrays(RecurrentRunner(network_of(), "recurrent.0", "cell", pooling).run(inputs))
        assert all(part.dtype == np.float32 for part in first)
        kept = [part.copy() for part in first]
        inputs[:] = 0
        assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))


def test_images_are_read_row_by_row() -> None:
    network = RowLstm().build(10).eval()
    images = np.random.default_rng(0).normal(size=(4, 1, 28, 28)).astype(np.float32)
    runner = RecurrentRunner(network, "recurrent.0")
    found = np.asarray(runner.run(images))
    assert found.shape == (4, 128)
    assert np.array_equal(found, runner.run(images[:, 0]))
    logits = network.head(torch.from_numpy(found))
    head = RecurrentRunner(network, "head", pooling="mean").run(images)
    np.testing.assert_allclose(np.asarray(head), logits.detach(), atol=1e-6)


def test_features_do_not_depend_on_the_size_of_the_batch() -> None:
    network = RowLstm().build(10).eval()
    images = np.random.default_rng(0).normal(size=(300, 1, 28, 28)).astype(np.float32)
    for state in ("hidden", "cell"):
        runner = RecurrentRunner(network, "recurrent.0", state)
        whole = np.asarray(runner.run(images))
        for size in (1, 7, 128):
            part = np.asarray(runner.run(images[:size]))
            np.testing.assert_allclose(part, whole[:size], atol=1e-5)


def test_layers_above_the_one_asked_for_are_not_run() -> None:
    network = network_of(layers=3)
    runs = [0, 0, 0]
    for number, layer in enumerate(network.layers):
        layer.register_forward_hook(
            lambda *_, number=number: runs.__setitem__(number, runs[number] + 1)
        )
    RecurrentRunner(network, "recurrent.1").run(sequences())
    assert runs == [1, 1, 0]
    RecurrentRunner(network, "recurrent.1.back", "gates").run(sequences())
    assert runs == [2, 1, 0]


def test_bfloat16_keeps_the_direction_of_hidden_states() -> None:
    network = RowLstm().build(10).eval()
    images = np.random.default_rng(0).normal(size=(64, 1, 28, 28)).astype(np.float32)
    plain = np.asarray(RecurrentRunner(network, "recurrent.0").run(images))
    half = RecurrentRunner(network, "recurrent.0", dtype=torch.bfloat16).run(images)
    assert np.asarray(half).dtype == np.float32
    assert fidelity(np.asarray(half), plain).centered_cosine > 0.99
    again = RecurrentRunner(network, "recurrent.0").run(images)
    assert np.array_equal(again, plain), "the plain network was changed"
    with pytest.raises(NoGraphError, match="gates is computed in float32"):
        RecurrentRunner(network, "recurrent.0", "gates", dtype=torch.bfloat16)


def test_an_unknown_layer_is_refused_with_those_there_are() -> None:
    with pytest.raises(LayerError, match="Did you mean") as caught:
        RecurrentRunner(network_of(), "recurent.0")
    assert "recurrent.0" in caught.value.detail["layers"]
    with pytest.raises(
        LayerError, match=r"choose one of recurrent\.0, recurrent\.0\.ahead"
    ) as caught:
        RecurrentRunner(network_of(), "recurrent.0.ahead.cell")
    assert caught.value.detail["layers"][-1] == "head"


@pytest.mark.parametrize(
    ("cell", "layer", "state", "message"),
    [
        ("rnn", "recurrent.0", "gates", "only the recurrent layers of lstm and gru have"),
        ("rnn", "recurrent.0", "cell", "only the recurrent layers of lstm have"),
        ("gru", "recurrent.1.back", "cell", r"recurrent.1.back \(cell: gru\) has no cell state"),
        ("lstm", "head", "gates", r"head \(the head\) has no gates"),
    ],
)
def test_a_state_that_is_not_there_is_refused(
    cell: str, layer: str, state: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        RecurrentRunner(network_of(cell), layer, state)
    assert caught.value.detail["field"] == "state"


def test_steps_that_are_not_there_are_refused() -> None:
    with pytest.raises(SpecError, match="the head has no steps") as caught:
        RecurrentRunner(network_of(), "head", pooling="steps")
    assert caught.value.detail["field"] == "pooling"
    runner = RecurrentRunner(network_of(), "recurrent.0", pooling="flatten")
    with pytest.raises(SpecError, match=r"flatten needs sequences of one length, .* 1 to 6 steps"):
        runner.run(sequences(), LENGTHS)
    same = np.full(3, 4, np.int64)
    assert np.asarray(runner.run(sequences(), same)).shape == (3, 4 * 8)
