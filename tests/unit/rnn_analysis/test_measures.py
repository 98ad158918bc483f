"""Networks on data: layers, saturation, parameter gradients, and what is told of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from featurescape_jobs.models.recurrent.cells import CELLS, Parameters, unroll
from featurescape_jobs.models.recurrent.network import RecurrentNetwork
from featurescape_jobs.rnn_analysis import figures
from featurescape_jobs.rnn_analysis.clipping import batch_gradients
from featurescape_jobs.rnn_analysis.figures import plots
from featurescape_jobs.rnn_analysis.jacobians import Recurrence, path_norms
from featurescape_jobs.rnn_analysis.measures import (
    Gate,
    Plan,
    Sequences,
    layers_of,
    measure,
    recurrence,
)
from featurescape_jobs.rnn_analysis.rows import Tables, by_distance, headlines
from featurescape_jobs.specs import RecurrentSpec
from featurescape_jobs.trainers.inputs import SequenceInputs
from helpers.recurrences import D, H, random_matrix


def network_of(**shape: Any) -> RecurrentNetwork:
    torch.manual_seed(0)
    network = RecurrentNetwork(D, RecurrentSpec(hidden_units=H, **shape), 3).double().eval()
    return network.requires_grad_(False)


def sequences_of(lengths: list[int]) -> Sequences:
    counts = np.array(lengths)
    steps = np.random.default_rng(0).standard_normal((counts.sum(), D)).astype(np.float32)
    inputs = SequenceInputs(steps, np.cumsum(counts) - counts, counts)
    return Sequences([f"e{n}" for n in range(len(counts))], inputs, int(counts.max()), D)


def nothing(_done: int) -> None:
    pass


def test_every_layer_and_direction_is_measured() -> None:
    network = network_of(layers=2, bidirectional=True)
    found = measure(network, sequences_of([4, 6, 3]), Plan(2, 1, 100), nothing)
    ways = ("ahead", "back")
    assert list(found) == [f"recurrent.{layer}.{way}" for layer in (0, 1) for way in ways]
    for layer in found.values():
        assert set(layer.gates) == set("ifgo")
        assert {gate.steps for gate in layer.gates.values()} == {4 + 6 + 3}
        assert layer.norms_of("cell").shape[0] == 2
        assert [each.step for each in layer.jacobians] == [0, 1, 2, 3]


def test_a_layer_that_reads_back_is_one_that_reads_the_turned_sequence() -> None:
    network, inputs = network_of(bidirectional=True), torch.randn(2, 6, D, dtype=torch.float64)
    lengths = torch.tensor([6, 4])
    _, (_, _, back) = layers_of(network)
    found = path_norms(recurrence(back, inputs, lengths), 9)["hidden"]
    for row, length in enumerate(lengths.tolist()):
        reversed_steps = inputs[row : row + 1, :length].flip(1)
        trace = unroll(CELLS["lstm"], Parameters.of(back.cell), reversed_steps)
        alone = Recurrence("lstm", Parameters.of(back.cell), trace, torch.tensor([length]))
        torch.testing.assert_close(found[row, :length], path_norms(alone, 9)["hidden"][0])


def test_measures_do_not_depend_on_how_many_traces_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, sequences, plan = network_of(), sequences_of([4, 6, 3, 5, 5]), Plan(5, 5, 100)
    whole = measure(network, sequences, plan, nothing)["recurrent.0"]
    monkeypatch.setattr("featurescape_jobs.rnn_analysis.measures.TRACE_BYTES", 1)
    done: list[int] = []
    single = measure(network, sequences, plan, done.append)["recurrent.0"]
    assert done == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(single.norms_of("hidden"), whole.norms_of("hidden"))
    for name, gate in whole.gates.items():
        assert np.array_equal(gate.low, single.gates[name].low)
        np.testing.assert_allclose(gate.total, single.gates[name].total)
    assert [j.example_id for j in whole.jacobians] == [j.example_id for j in single.jacobians]


def test_saturation_by_hand() -> None:
    gate = Gate.of(2)
    gate.add(torch.tensor([[0.05, 0.5], [0.95, 0.91], [0.1, 0.9]]), is_tanh=False)
    assert (gate.low.tolist(), gate.high.tolist()) == ([1, 0], [1, 1])
    candidate = Gate.of(2)
    candidate.add(torch.tensor([[-0.9, 0.5], [0.85, -0.7]]), is_tanh=True)
    assert (candidate.low.tolist(), candidate.high.tolist()) == ([1, 0], [1, 0])
    assert (candidate.total / candidate.steps).tolist() == pytest.approx([-0.025, -0.1])


def test_gates_that_are_held_shut_are_saturated() -> None:
    network = network_of()
    network.layers[0].ahead.cell.get_parameter("bias_ih_l0")[:H] = -50.0
    gates = measure(network, sequences_of([4, 6]), Plan(1, 1, 9), nothing)["recurrent.0"].gates
    assert gates["i"].low.tolist() == [10] * H
    assert gates["i"].high.tolist() == [0] * H
    assert gates["o"].low.sum() < 10 * H


def test_parameter_gradients_with_and_without_clipping() -> None:
    network, labels = network_of(cell="rnn"), torch.tensor([0, 2, 1, 0, 1])
    sequences = sequences_of([4, 6, 3, 5, 5])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    free = list(batch_gradients(network, sequences, labels, 2, 1e6))
    assert [each.examples for each in free] == [2, 2, 1]
    assert all(each.norm == pytest.approx(each.clipped_norm) for each in free)
    assert all(0 < each.recurrent_norm < each.norm for each in free)
    clipped = list(batch_gradients(network, sequences, labels, 2, 0.01))
    assert [each.norm for each in clipped] == [each.norm for each in free]
    assert [each.clipped_norm for each in clipped] == pytest.approx([0.01] * 3, rel=1e-3)
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())


def test_the_norm_of_a_batch_is_that_of_autograd() -> None:
    network, sequences = network_of(), sequences_of([4, 4])
    labels = torch.tensor([0, 2])
    [found] = batch_gradients(network, sequences, labels, 8, 5.0)
    network.requires_grad_(True)
    batch = sequences.batch(range(2))
    loss = nn.functional.cross_entropy(network(batch.inputs), labels)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
    assert found.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    assert found.norm == pytest.approx(norm, rel=1e-10)


def test_rows_by_distance_are_means_of_logarithms() -> None:
    rows = by_distance(np.array([[1.0, 0.1, 1e-4], [1.0, 0.001, math.nan], [1.0, 0.0, math.nan]]))
    assert [row["examples"] for row in rows] == [3, 3, 1]
    assert rows[0]["log10_mean"] == 0
    assert rows[1]["log10_mean"] == pytest.approx((-1 - 3 - 300) / 3)
    assert rows[2]["log10_low"] == rows[2]["log10_high"] == pytest.approx(-4)


def test_headlines_say_by_which_factor_a_gradient_changes() -> None:
    tables = Tables()
    place = {"network": "rnn", "layer": "recurrent.0", "path": "hidden"}
    norms = np.array([[1.0, 0.5, 0.25, 0.125]])
    tables.rows["gradient_norms"] = [{**place, **row} for row in by_distance(norms)]
    [found] = headlines(tables)["gradients"]
    assert found["factor_per_step"] == pytest.approx(0.5)
    assert (found["distance"], found["log10_norm"]) == (3, pytest.approx(math.log10(0.125)))


def saturated(network: str, gates: str) -> list[dict[str, Any]]:
    place = {"network": network, "layer": "recurrent.0", "unit": 0, "low": 0.1, "high": 0.2}
    return [{**place, "gate": gate} for gate in gates]


def colors_by_label(figure: Figure) -> dict[str, set[tuple[float, ...]]]:
    """Colors of everything that a legend names, over all panels."""
    found: dict[str, set[tuple[float, ...]]] = {}
    for axes in figure.axes:
        for drawn in axes.collections:
            color = tuple(np.asarray(drawn.get_facecolor())[0].tolist())
            found.setdefault(str(drawn.get_label()), set()).add(color)
    return found


def test_a_gate_has_one_color_in_every_panel_and_plot() -> None:
    rows = [*saturated("lstm", "ifgo"), *saturated("gru", "rzn"), *saturated("rnn", "h")]
    rows += saturated("lstm 2", "gfoi")
    colors = colors_by_label(figures._saturation(rows))
    assert all(len(found) == 1 for found in colors.values())
    assert colors["n"] == colors["g"], "both are the candidate"
    others = [color for gate, color in colors.items() if gate != "n"]
    assert len(set.union(*others)) == len(others) == 7
    tables = Tables()
    for block in ("theta_ho", "theta_hf"):
        place = {"network": "lstm", "layer": "recurrent.0"}
        tables.add_matrix(place, (block, block[-1]), random_matrix(4))
    blocks = colors_by_label(figures._spectra(tables.rows["spectra"]))
    assert blocks["theta_hf"] == colors["f"]
    assert blocks["theta_ho"] == colors["o"]


def test_no_power_is_drawn_of_a_block_that_multiplies_no_state() -> None:
    tables = Tables()
    for name in ("theta_h", "theta_hf", "theta_hg"):
        tables.add_powers({"network": "lstm", "layer": None}, name, 2 * np.eye(2), 3)
    (axes,) = figures._powers(tables.rows["powers"]).axes
    named = [str(line.get_label()) for line in axes.lines]
    assert [label for label in named if "theta" in label] == ["lstm theta_h"]


def test_plots_are_images_of_the_tables_that_have_rows() -> None:
    tables = Tables()
    assert plots(tables, 5.0) == {}
    tables.add_matrix({"network": "matrix", "layer": None}, ("theta", None), random_matrix(4))
    tables.add_powers({"network": "matrix", "layer": None}, "theta", random_matrix(4), 10)
    found = plots(tables, 5.0)
    assert set(found) == {"spectra", "powers"}
    assert all(png.startswith(b"\x89PNG\r\n") for png in found.values())
