"""The recurrent networks: torch's numbers for every shape, last valid steps, padding, layers by name."""

import itertools
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.models.recurrent.network import RecurrentNetwork, as_steps, reversed_steps
from featurescape_jobs.models.row_lstm import RowLstm
from featurescape_jobs.models.view_lstm import ViewLstm
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.loading import build_random
from featurescape_jobs.specs import RecurrentSpec

MODULES: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
SHAPES = [
    RecurrentSpec(cell=cell, layers=layers, bidirectional=both, hidden_units=6)
    for cell, layers, both in itertools.product(MODULES, (1, 2, 4), (False, True))
]


def network_of(shape: RecurrentSpec, size: int = 5, n_classes: int = 3) -> RecurrentNetwork:
    torch.manual_seed(0)
    return RecurrentNetwork(size, shape, n_classes).eval()


def as_torch(network: RecurrentNetwork, shape: RecurrentSpec, size: int = 5) -> Any:
    """One torch module with all layers and directions, and the same weights."""
    module = MODULES[shape.cell](
        size,
        shape.hidden_units,
        shape.layers,
        batch_first=True,
        bidirectional=shape.bidirectional,
    )
    with torch.no_grad():
        for number, layer in enumerate(network.layers):
            for suffix, direction in zip(("", "_reverse"), layer.directions, strict=False):
                for name, value in direction.cell.named_parameters():
                    module.get_parameter(name.replace("_l0", f"_l{number}{suffix}")).copy_(value)
    return module.eval()


def name_of(shape: RecurrentSpec) -> str:
    return f"{shape.cell}-{shape.layers}-{'both' if shape.bidirectional else 'ahead'}"


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_every_shape_equals_torchs_own_stack(shape: RecurrentSpec) -> None:
    network, inputs = network_of(shape), torch.randn(4, 9, 5)
    with torch.inference_mode():
        expected, last = as_torch(network, shape)(inputs)
        steps = network.layers[-1](network.inputs_of(shape.layers - 1, inputs))
        torch.testing.assert_close(steps, expected, atol=1e-5, rtol=0)
        hidden = last[0] if shape.cell == "lstm" else last
        ends = hidden[-2:] if shape.bidirectional else hidden[-1:]
        logits = network.head(torch.cat(list(ends), 1))
        torch.testing.assert_close(network(inputs), logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_step_by_step_equals_the_fast_path(shape: RecurrentSpec) -> None:
    network, steps = network_of(shape), torch.randn(4, 9, 5)
    lengths = torch.tensor([9, 1, 4, 8])
    with torch.inference_mode():
        for layer in network.layers:
            traces = [direction.trace(steps, lengths) for direction in layer.directions]
            steps = layer(steps, lengths)
            traced = torch.cat([trace.hidden for trace in traces], 2)
            torch.testing.assert_close(traced, steps, atol=1e-5, rtol=0)
            last = torch.cat([trace.last.hidden for trace in traces], 1)
            torch.testing.assert_close(layer.last(steps, lengths), last, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_a_sequence_alone_gives_the_same_as_padded_in_a_batch(shape: RecurrentSpec) -> None:
    network, inputs = network_of(shape), torch.randn(4, 9, 5)
    lengths = torch.tensor([9, 1, 4, 8])
    for row, length in enumerate(lengths.tolist()):
        inputs[row, length:] = torch.nan  # what lies there is never read
    with torch.inference_mode():
        together = network(inputs, lengths)
        alone = [network(inputs[k : k + 1, :length]) for k, length in enumerate(lengths.tolist())]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=0)


def test_padding_has_no_gradient_and_gives_none() -> None:
    shape = RecurrentSpec(layers=2, bidirectional=True, hidden_units=6)
    network = ViewLstm(shape, 5).build(3)
    inputs, lengths = torch.full((2, 4, 5), torch.nan), torch.tensor([4, 2])
    inputs[0], inputs[1, :2] = 1.0, torch.randn(2, 5)
    inputs.requires_grad_()
    network(inputs, lengths).sum().backward()
    assert inputs.grad is not None
    assert not inputs.grad[1, 2:].any()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_the_last_valid_step_by_hand() -> None:
    """States 1 to 4 and 10 to 40: ahead ends at the last valid step, back at step 0."""
    layer = network_of(RecurrentSpec(bidirectional=True, hidden_units=1)).layers[0]
    states = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]).expand(2, 4, 2)
    assert layer.last(states).tolist() == [[4.0, 10.0], [4.0, 10.0]]
    assert layer.last(states, torch.tensor([1, 3])).tolist() == [[1.0, 10.0], [3.0, 10.0]]


def test_turning_leaves_the_padding_behind() -> None:
    steps = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]])[:, :, None]
    found = reversed_steps(steps, torch.tensor([3, 2]))
    assert found[:, :, 0].tolist() == [[3.0, 2.0, 1.0], [5.0, 4.0, 0.0]]
    assert reversed_steps(steps, None)[:, :, 0].tolist() == [[3.0, 2.0, 1.0], [0.0, 5.0, 4.0]]


def test_rows_of_images_are_steps() -> None:
    gray = torch.arange(6.0).view(1, 1, 3, 2)
    assert as_steps(gray)[0].tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    colors = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # (1, 2 channels, 1 row, 2 columns)
    assert as_steps(colors)[0].tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_the_forget_gate_starts_open_in_every_layer_and_direction() -> None:
    network = network_of(RecurrentSpec(layers=2, bidirectional=True, hidden_units=6))
    for layer in network.layers:
        for direction in layer.directions:
            names = ("bias_ih_l0", "bias_hh_l0")
            bias = sum(direction.cell.get_parameter(name) for name in names)
            assert torch.equal(bias[6:12], torch.ones(6))  # torch's order of gates: i, f, g, o
            assert bias[:6].std() > 0


def test_layers_have_names_and_their_states_the_order_of_the_input() -> None:
    model = RowLstm(RecurrentSpec(layers=2, bidirectional=True, hidden_units=6))
    ways = ("recurrent.{}", "recurrent.{}.ahead", "recurrent.{}.back")
    paths = [way.format(k) for k in (0, 1) for way in ways]
    assert model.card.layers == (*paths, "head")
    assert model.card.default_layer == "recurrent.1"
    assert RowLstm().card.layers == ("recurrent.0", "head")
    network, image = model.build(3).eval(), torch.randn(1, 1, 28, 28)
    found = Capture(network, paths).run(image)
    for k in (0, 1):
        pair = torch.cat([found[f"recurrent.{k}.ahead"], found[f"recurrent.{k}.back"]], 2)
        assert torch.equal(found[f"recurrent.{k}"], pair)
    changed = image.clone()
    changed[:, :, 20:] = 0
    after = Capture(network, paths).run(changed)
    same = [torch.isclose(found[path], after[path]).all(2)[0] for path in paths[:3]]
    assert same[1].tolist() == [True] * 20 + [False] * 8  # ahead knows what came, back what comes
    assert not same[2].any()


def test_weights_have_names_that_a_file_keeps() -> None:
    model = RowLstm(RecurrentSpec(bidirectional=True, hidden_units=6))
    network = build_random(model, 3, 0)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    cells = [f"recurrent.0.{way}.cell.{name}" for way in ("ahead", "back") for name in names]
    assert list(network.state_dict()) == [*cells, "head.weight", "head.bias"]
    other = build_random(model, 3, 1)
    other.load_state_dict(load(save(network.state_dict())))
    image = torch.randn(2, 1, 28, 28)
    assert torch.equal(other(image), network(image))


def test_a_recurrent_model_takes_the_shape_that_the_spec_asks_for() -> None:
    shape = RecurrentSpec(cell="gru", layers=3, hidden_units=16)
    rows = RowLstm().configured(shape, None)
    assert rows.recurrent == shape
    assert rows.build(4)(torch.randn(2, 1, 28, 28)).shape == (2, 4)
    views = ViewLstm().configured(shape, 12)
    assert (views.recurrent, views.dimensions, views.name) == (shape, 12, "view_lstm")
    assert views.build(4)(torch.randn(2, 24, 12)).shape == (2, 4)
    for model in (rows, views):
        assert model.card.recurrent
        assert model.classes() is None
        with pytest.raises(WeightsError, match="run a `training` job"):
            model.pretrained()


def test_views_without_features_to_read_say_what_to_give() -> None:
    with pytest.raises(SpecError, match=r'give the dataset \{"name": "features"') as caught:
        ViewLstm().build(4)
    assert caught.value.detail["field"] == "dataset"


def test_views_are_read_alike_whatever_the_scale_of_their_features() -> None:
    network, views = ViewLstm(dimensions=12).build(4).eval(), torch.randn(2, 24, 12)
    with torch.inference_mode():
        scaled = network(1000 * views + 7)
        torch.testing.assert_close(scaled, network(views), atol=1e-4, rtol=0)


@pytest.mark.parametrize("cell", MODULES)
def test_a_network_learns_which_of_two_steps_was_larger(cell: str) -> None:
    torch.manual_seed(0)
    network = RecurrentNetwork(1, RecurrentSpec(cell=cell, hidden_units=16), 2)
    inputs = torch.randn(256, 2, 1)
    labels = (inputs[:, 0, 0] > inputs[:, 1, 0]).long()
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(network(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float((network(inputs).argmax(1) == labels).float().mean()) > 0.95
