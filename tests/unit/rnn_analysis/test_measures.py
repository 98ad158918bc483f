"""The dynamics of recurrent networks, in closed form: spectra, powers, gradients through time, gates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.numpy import save_file
from torch import nn

from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.models.recurrent.cells import CELLS, Parameters, State, unroll
from featurescape_jobs.models.recurrent.network import RecurrentNetwork
from featurescape_jobs.rnn_analysis import figures, jacobians
from featurescape_jobs.rnn_analysis.clipping import batch_gradients
from featurescape_jobs.rnn_analysis.figures import plots
from featurescape_jobs.rnn_analysis.jacobians import Recurrence, path_norms
from featurescape_jobs.rnn_analysis.measures import (
    Gate,
    Plan,
    Sequences,
    layers_of,
    matrices_of,
    measure,
    recurrence,
)
from featurescape_jobs.rnn_analysis.rows import Tables, by_distance, headlines
from featurescape_jobs.rnn_analysis.spec_matrices import read_matrix
from featurescape_jobs.rnn_analysis.spectra import log10_powers, spectral_norms, spectrum
from featurescape_jobs.specs import MatrixSpec, RecurrentSpec, parse_spec
from featurescape_jobs.trainers.inputs import SequenceInputs

MODULES: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
D, H = 5, 7


def random_matrix(side: int, seed: int = 0) -> np.ndarray:
    """Of independent normal values: for a large side the radius is about 1."""
    return np.random.default_rng(seed).standard_normal((side, side)) / math.sqrt(side)


def orthogonal(side: int) -> np.ndarray:
    return np.linalg.qr(random_matrix(side))[0]


def parameters_of(kind: str, scale: float = 1.0) -> Parameters:
    torch.manual_seed(0)
    module = MODULES[kind](D, H, batch_first=True).double().requires_grad_(False)
    values = vars(Parameters.of(module))
    return Parameters(**{**values, "theta_h": scale * values["theta_h"]})


def recurrence_of(kind: str, steps: int, scale: float = 1.0, n: int = 3) -> Recurrence:
    parameters = parameters_of(kind, scale)
    trace = unroll(CELLS[kind], parameters, torch.randn(n, steps, D, dtype=torch.float64))
    return Recurrence(kind, parameters, trace, torch.full((n,), steps))


# -- matrices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODULES)
def test_torchs_initial_weights_have_radius_0_577_and_norm_1_155(kind: str) -> None:
    """U(±1/√h) has the standard deviation 1/√(3h): Girko's circle has radius 1/√3, the norm is twice that."""
    torch.manual_seed(0)
    network = RecurrentNetwork(4, RecurrentSpec(cell=kind, hidden_units=384), 2)
    [(_, _, direction)] = layers_of(network)
    found = [spectrum(matrix) for name, _, matrix in matrices_of(direction) if "theta_h" in name]
    assert len(found) == max(1, len(CELLS[kind].gates))
    for each in found:
        assert each.radius == pytest.approx(1 / math.sqrt(3), rel=0.08)
        assert each.norm == pytest.approx(2 / math.sqrt(3), rel=0.08)


def test_an_orthogonal_matrix_keeps_every_length() -> None:
    theta = orthogonal(64)
    found = spectrum(theta)
    assert found.eigenvalues is not None
    assert np.abs(found.eigenvalues) == pytest.approx(1, abs=1e-12)
    assert found.singular_values == pytest.approx(1, abs=1e-12)
    assert found.condition == pytest.approx(1, abs=1e-12)
    assert log10_powers(theta, 100) == pytest.approx(0, abs=1e-10)


def test_powers_are_those_of_the_eigenvalues() -> None:
    """θ = Q Λ Qᵀ: A_t = Q Λ^t Qᵀ A_0, so the norm is the radius to the t, without end."""
    q, values = orthogonal(6), np.array([1.2, -1.1, 0.9, 0.5, -0.3, 0.1])
    theta, start = q @ np.diag(values) @ q.T, np.ones(6)
    after = np.linalg.matrix_power(theta, 9) @ start
    assert after == pytest.approx(q @ np.diag(values**9) @ q.T @ start, rel=1e-10)
    found = spectrum(theta)
    assert found.eigenvalues is not None
    assert found.eigenvalues.real == pytest.approx(values, abs=1e-12)
    exponents = np.arange(5001)
    assert log10_powers(theta, 5000) == pytest.approx(exponents * math.log10(1.2), rel=1e-9)
    assert log10_powers(theta / 2, 5000) == pytest.approx(exponents * math.log10(0.6), rel=1e-9)


def test_the_slope_of_a_linear_rnn_is_the_logarithm_of_its_radius() -> None:
    theta = 0.8 * random_matrix(40)
    radius = spectrum(theta).radius
    assert radius is not None
    logs = log10_powers(theta, 2000)
    assert (logs[2000] - logs[1000]) / 1000 == pytest.approx(math.log10(radius), rel=0.01)


def test_a_matrix_that_is_not_normal_grows_before_it_vanishes() -> None:
    theta = np.array([[0.9, 10.0], [0.0, 0.9]])
    logs = log10_powers(theta, 400)
    assert logs[1] > 1
    assert logs[400] < -14
    assert logs[1:] == pytest.approx(
        [math.log10(np.linalg.norm(np.linalg.matrix_power(theta, t), 2)) for t in range(1, 401)],
        abs=1e-9,
    )


def test_a_nilpotent_matrix_ends() -> None:
    theta = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert log10_powers(theta, 3).tolist() == [0.0, 0.0, -math.inf, -math.inf]
    assert spectrum(theta).condition is None
    tables = Tables()
    tables.add_powers({"network": "matrix", "layer": None}, "ends", theta, 3)
    rows = tables.table("powers").to_pylist()
    assert [row["log10_norm"] for row in rows] == [0.0, 0.0, None, None]
    assert [row["log10_largest"] for row in rows] == [0.0, None, None, None]


@pytest.mark.parametrize("shape", [(4, 9, 9), (3, 5, 2), (3, 2, 5)])
def test_spectral_norms_are_the_largest_singular_values(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for scale in (1.0, 1e-200, 1e200):
        matrices = scale * torch.randn(shape, dtype=torch.float64)
        expected = torch.linalg.matrix_norm(matrices, 2)
        torch.testing.assert_close(spectral_norms(matrices), expected, rtol=1e-10, atol=0)
    assert spectral_norms(torch.zeros(2, 3, 3, dtype=torch.float64)).tolist() == [0, 0]


def test_a_matrix_that_is_not_square_has_no_eigenvalues() -> None:
    found = spectrum(np.array([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]))
    assert (found.eigenvalues, found.radius) == (None, None)
    assert (found.singular_values.tolist(), found.norm, found.condition) == ([4, 3], 4, 4 / 3)


# -- gradients through time --------------------------------------------------------------------


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


# -- networks on data --------------------------------------------------------------------------


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
        turned = inputs[row : row + 1, :length].flip(1)
        trace = unroll(CELLS["lstm"], Parameters.of(back.cell), turned)
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


# -- parameter gradients -----------------------------------------------------------------------


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


# -- tables, headlines, plots ------------------------------------------------------------------


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


def test_plots_are_pictures_of_the_tables_that_have_rows() -> None:
    tables = Tables()
    assert plots(tables, 5.0) == {}
    tables.add_matrix({"network": "matrix", "layer": None}, ("theta", None), random_matrix(4))
    tables.add_powers({"network": "matrix", "layer": None}, "theta", random_matrix(4), 10)
    found = plots(tables, 5.0)
    assert set(found) == {"spectra", "powers"}
    assert all(png.startswith(b"\x89PNG\r\n") for png in found.values())


# -- given matrices ----------------------------------------------------------------------------


def given(**fields: Any) -> MatrixSpec:
    return MatrixSpec(name="theta", **fields)


def test_a_matrix_is_written_out_or_read_from_a_file(tmp_path: Path) -> None:
    file = str(tmp_path / "a.safetensors")
    save_file({"one": np.eye(3, dtype=np.float32)}, file)
    assert read_matrix(given(values=[[1, 2], [3, 4]]), None).tolist() == [[1, 2], [3, 4]]
    assert read_matrix(given(file=file), (str(tmp_path),)).tolist() == np.eye(3).tolist()
    assert read_matrix(given(file=file, tensor="one"), None).dtype == np.float64


def test_what_is_no_square_matrix_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    tensors = {"wide": np.zeros((2, 3)), "nan": np.full((2, 2), np.nan), "large": np.eye(1025)}
    save_file(tensors, str(file))
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    (tmp_path / "a.pt").write_bytes(b"junk")
    for fields, reason in (
        ({"file": str(file), "tensor": "wide"}, r"shape \(2, 3\)"),
        ({"file": str(file), "tensor": "large"}, "at most 1024 rows"),
        ({"file": str(file), "tensor": "nan"}, "not finite"),
        ({"file": str(file), "tensor": "none"}, "no tensor 'none'; the file has large, nan, wide"),
        ({"file": str(file)}, "name one of several"),
        ({"file": str(tmp_path / "junk.safetensors")}, "cannot be read as safetensors"),
        ({"file": str(tmp_path / "a.pt")}, "is no .safetensors file"),
        ({"file": str(tmp_path / "b.safetensors")}, "is no .safetensors file"),
        ({"file": "/etc/passwd"}, "not below an allowed root"),
    ):
        with pytest.raises(WeightsError, match=reason):
            read_matrix(given(**fields), (str(tmp_path),))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "give a recurrent model, or `matrices`"),
        ({"matrices": [{"name": "a", "values": [[1, 2], [3]]}]}, "2 rows of 1, 2 numbers"),
        ({"matrices": [{"name": "a"}]}, "give either `values` or `file`"),
        ({"matrices": [{"name": "a", "values": [[1]], "tensor": "x"}]}, "names a tensor of `file`"),
        ({"matrices": [{"name": "a", "values": [[1]]}] * 2}, "a name is given twice"),
        ({"matrices": [{"name": "a", "values": [[math.nan]]}]}, "finite"),
        (
            {"matrices": [{"name": "a", "values": [[1]]}], "dataset": {"name": "digits"}},
            "no model to read it",
        ),
        (
            {"matrices": [{"name": "a", "values": [[1]]}], "compare": {"name": "row_lstm"}},
            "a second model needs a first",
        ),
    ],
)
def test_a_spec_without_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        parse_spec({"job": "dynamics", **fields})
