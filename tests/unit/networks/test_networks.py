"""Loading networks with the right weights, and reading layers without leaving a trace."""

from __future__ import annotations

import hashlib
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from featurescape_jobs.artifacts import ArtifactRef, Manifest, job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import (
    ArtifactError,
    InputJobError,
    LayerError,
    SpecError,
    UnknownNameError,
    WeightsError,
)
from featurescape_jobs.extraction.columns import plan_columns
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.capture import Capture, check_layer, layer_names, pool
from featurescape_jobs.networks.loading import LoadedNetwork, build_random, load_network
from featurescape_jobs.specs import FeaturesSpec, ModelSpec

TRAINING = "training-0123456789ab"


def lenet_file(path: Path, n_classes: int = 10, seed: int = 5) -> Path:
    """Weights of a random lenet, as the suffix says."""
    state = build_random(MODELS["lenet"], n_classes, seed).state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(**spec: Any) -> nn.Module:
    return load_network(ModelSpec(name="lenet", **spec), seed=0).module


def same(left: nn.Module, right: nn.Module) -> bool:
    a, b = left.state_dict(), right.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_random_weights_are_a_function_of_the_seed() -> None:
    spec = ModelSpec(name="lenet", weights="random")
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = load_network(spec, seed=7).module
    assert torch.equal(torch.random.get_rng_state(), state), "the global state was touched"
    assert same(first, load_network(spec, seed=7).module)
    assert not same(first, load_network(spec, seed=8).module)


def test_a_loaded_network_is_frozen_and_in_evaluation_mode() -> None:
    network = load_network(ModelSpec(name="lenet", weights="random"), seed=0)
    assert not network.module.training
    assert not any(value.requires_grad for value in network.module.parameters())
    assert network.classes is None


def test_a_model_that_was_never_trained_has_no_pretrained_weights() -> None:
    with pytest.raises(WeightsError, match=r"run a `training` job and name it in model\.training"):
        load()


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean resnet50"):
        load_network(ModelSpec(name="resnet52"), seed=0)


def test_a_safetensors_file_is_loaded_with_as_many_outputs_as_it_has(tmp_path: Path) -> None:
    path = lenet_file(tmp_path / "w.safetensors", n_classes=7)
    module = load(weights=str(path))
    assert same(module, build_random(MODELS["lenet"], 7, 5))
    assert module(torch.zeros(1, 1, 28, 28)).shape == (1, 7)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    state = build_random(MODELS["lenet"], 10, 0).half().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    values = load(weights=str(tmp_path / "w.safetensors")).parameters()
    assert {value.dtype for value in values} == {torch.float32}


def test_outputs_must_match_the_classes_that_are_needed(tmp_path: Path) -> None:
    path = lenet_file(tmp_path / "w.safetensors", n_classes=7)
    with pytest.raises(WeightsError, match="7 outputs and the dataset has 10 classes"):
        load_network(ModelSpec(name="lenet", weights=str(path)), seed=0, n_classes=10)


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_a_state_dict_needs_the_right_sha256(tmp_path: Path, suffix: str) -> None:
    path = lenet_file(tmp_path / f"w{suffix}")
    with pytest.raises(WeightsError, match="weights_sha256 is missing"):
        load(weights=str(path))
    with pytest.raises(WeightsError, match="the spec expects 0000"):
        load(weights=str(path), weights_sha256="0" * 64)
    module = load(weights=str(path), weights_sha256=sha256(path))
    assert same(module, build_random(MODELS["lenet"], 10, 5))


class _Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("this ran",))


def test_a_pickle_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"conv1.weight": _Evil()}, path)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load(weights=str(path), weights_sha256=sha256(path))
    path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load(weights=str(path), weights_sha256=sha256(path))
    assert "this ran" not in capsys.readouterr().out


def test_a_file_that_holds_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    path = tmp_path / "list.pt"
    with pytest.raises(WeightsError, match="holds no state dict"):
        load(weights=str(path), weights_sha256=sha256(path))


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x08" + bytes(7) + b"{}"])
def test_bytes_that_are_no_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        load(weights=str(path))


def test_missing_unexpected_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = build_random(MODELS["lenet"], 10, 0).state_dict()
    state["extra.weight"] = state.pop("conv2.weight")
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"missing conv2\.weight; unexpected extra\.weight"):
        load(weights=str(path))
    save_file(
        {**build_random(MODELS["lenet"], 10, 0).state_dict(), "fc1.bias": torch.zeros(3)}, path
    )
    with pytest.raises(WeightsError, match=r"size mismatch for fc1\.bias") as caught:
        load(weights=str(path))
    assert len(caught.value.detail["mismatches"]) == 1


def test_weights_of_another_model_are_refused_with_the_first_few_mismatches(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(build_random(MODELS["row_lstm"], 10, 0).state_dict(), path)
    with pytest.raises(WeightsError, match=r"missing conv1\.weight; .* … and \d+ more"):
        load(weights=str(path))


def test_a_weight_file_must_be_a_file_below_an_allowed_root(tmp_path: Path) -> None:
    for weights, reason in [
        (str(tmp_path / "none.safetensors"), "there is no file"),
        (str(tmp_path), "neither `pretrained` nor `random`"),
        ("Random", "neither `pretrained` nor `random`"),
        ("https://example.org/w.safetensors", "is a https: address"),
        ("s3://bucket/w.safetensors", "there is no file"),
    ]:
        with pytest.raises(WeightsError, match=reason):
            load(weights=weights)
    path = lenet_file(tmp_path / "w.safetensors")
    spec = ModelSpec(name="lenet", weights=str(path))
    with pytest.raises(WeightsError, match=r"model\.weights: .* is not below an allowed root"):
        load_network(spec, seed=0, allowed_roots=("/nowhere",))
    load_network(spec, seed=0, allowed_roots=(str(tmp_path),))


def trained(storage: Storage, tmp_path: Path, **changes: Any) -> bytes:
    """A training artifact of lenet with three classes."""
    data = lenet_file(tmp_path / "trained.safetensors", n_classes=3).read_bytes()
    folder = job_dir(TRAINING)
    written = storage.write(f"{folder}/data/weights.safetensors", data)
    ref = ArtifactRef(
        path="data/weights.safetensors",
        kind="weights",
        size_bytes=written.size_bytes,
        sha256=written.sha256,
    )
    body: dict[str, Any] = {
        "job_id": TRAINING,
        "job": "training",
        "attempt": 1,
        "spec": {},
        "seed": 0,
        "inputs": {},
        "created_at": datetime.now(UTC),
        "versions": {},
        "files": [ref],
        "rows": 9,
        "error_rows": 0,
        "timings_seconds": {},
        "details": {"model": "lenet", "n_classes": 3, "classes": ["a", "b", "c"]},
    }
    manifest = Manifest(**(body | changes))
    storage.write(f"{folder}/manifest.json", manifest.model_dump_json().encode())
    return data


def test_a_training_job_gives_its_weights_and_classes(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "store"))
    trained(storage, tmp_path)
    spec = ModelSpec(name="lenet", training=TRAINING)
    network = load_network(spec, seed=0, storage=storage)
    assert same(network.module, build_random(MODELS["lenet"], 3, 5))
    assert network.classes == ("a", "b", "c")


def test_a_training_job_of_another_model_is_refused(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "store"))
    trained(storage, tmp_path)
    spec = ModelSpec(name="row_lstm", training=TRAINING)
    with pytest.raises(WeightsError, match="trained lenet, not row_lstm"):
        load_network(spec, seed=0, storage=storage)


def test_a_training_job_that_is_not_there_or_damaged_is_an_error(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "store"))
    spec = ModelSpec(name="lenet", training=TRAINING)
    with pytest.raises(InputJobError):
        load_network(spec, seed=0, storage=storage)
    data = trained(storage, tmp_path)
    storage.write(f"{job_dir(TRAINING)}/data/weights.safetensors", data[:-4] + b"\0\0\0\1")
    with pytest.raises(ArtifactError, match="damaged"):
        load_network(spec, seed=0, storage=storage)


def test_an_unknown_layer_is_answered_with_the_nearest_and_all() -> None:
    module = load(weights="random")
    with pytest.raises(LayerError, match=r"no layer 'conv'\. Did you mean conv2, conv1") as caught:
        check_layer(module, "conv")
    assert caught.value.detail["layers"] == layer_names(module)
    assert layer_names(module)[0] == "conv1"
    with pytest.raises(LayerError):
        check_layer(module, "")
    with pytest.raises(LayerError):
        Capture(module, ["fc2", "nothing"])


class Inplace(nn.Module):
    """x + 1, then an in-place ReLU that runs twice; `unused` never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(2, 2, bias=False)
        self.unused = nn.Linear(2, 2)
        self.passes = 0
        with torch.no_grad():
            self.linear.weight.copy_(-torch.eye(2))
            self.last.weight.copy_(torch.eye(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.linear(x))
        y = self.relu(self.last(y + 1) - 2)
        self.passes += 1
        return y


def test_activations_are_those_before_a_later_in_place_change() -> None:
    module = Inplace().eval()
    capture = Capture(module, ["linear", "relu", "last"])
    x = torch.tensor([[1.0, -4.0]])
    for _ in range(2):  # the first pass runs to the end, the second stops early
        found = capture.run(x)
        assert found["linear"].tolist() == [[-1.0, 4.0]]
        assert found["last"].tolist() == [[1.0, 5.0]]
        assert found["relu"].tolist() == [[0.0, 3.0]]  # of two runs, the last


def test_the_pass_stops_when_the_layers_are_known_and_hooks_are_gone() -> None:
    module = Inplace().eval()
    capture = Capture(module, ["linear"])
    for _ in range(3):
        capture.run(torch.zeros(1, 2))
    assert module.passes == 1
    assert not any(part._forward_hooks for part in module.modules())


def test_hooks_are_gone_after_an_error_too() -> None:
    module = Inplace().eval()
    with pytest.raises(RuntimeError):
        Capture(module, ["last"]).run(torch.zeros(1, 3))
    assert not any(part._forward_hooks for part in module.modules())


def test_a_layer_that_does_not_run_is_an_error() -> None:
    with pytest.raises(LayerError, match="'unused' gives no activation"):
        Capture(Inplace().eval(), ["unused"]).run(torch.zeros(1, 2))


def test_activations_equal_the_network_cut_at_the_layer() -> None:
    module = load(weights="random")
    batch = torch.randn(3, 1, 28, 28)
    assert isinstance(module, nn.Sequential)
    with torch.inference_mode():
        for number, name in enumerate(layer_names(module)):
            expected = module[: number + 1](batch)
            assert torch.equal(Capture(module, [name]).run(batch)[name], expected)


def test_pooling_of_a_grid_a_sequence_and_a_vector() -> None:
    grid = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert pool(grid, "mean", sequence=False).tolist() == [[3.0]]
    assert pool(grid, "max", sequence=False).tolist() == [[6.0]]
    assert pool(grid, "flatten", sequence=False).tolist() == [[1.0, 2.0, 3.0, 6.0]]
    steps = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])
    assert pool(steps, "last", sequence=True).tolist() == [[3.0, 0.0]]
    assert pool(steps, "mean", sequence=True).tolist() == [[2.0, 1.0]]
    assert pool(steps, "max", sequence=True).tolist() == [[3.0, 2.0]]
    vector = torch.tensor([[1.0, 2.0]], dtype=torch.float16)
    for pooling in ("mean", "max", "flatten"):
        assert pool(vector, pooling, sequence=False).tolist() == [[1.0, 2.0]]
    assert pool(vector, "mean", sequence=False).dtype == torch.float32


def test_pooling_that_does_not_fit_is_an_error_by_field() -> None:
    for activation, pooling, sequence in [
        (torch.zeros(1, 2, 3, 3), "last", False),
        (torch.zeros(1, 2, 3, 3), "last", True),
        (torch.zeros(1, 2, 3), "last", False),
        (torch.zeros(5), "mean", False),
        (torch.zeros(1, 2, 3, 4, 5), "mean", False),
    ]:
        with pytest.raises(SpecError, match=r"^pooling: ") as caught:
            pool(activation, pooling, sequence=sequence)
        assert caught.value.detail["field"] == "pooling"


def dimensions_of(network: LoadedNetwork, layer: str, pooling: str) -> int:
    spec = FeaturesSpec(
        dataset={"name": "digits"}, model={"name": "lenet"}, layers=layer, pooling=pooling
    )
    [column] = plan_columns(network, spec, several_views=False)
    return column.dimensions


@pytest.mark.parametrize(
    ("name", "layer", "pooling", "dimensions"),
    [
        ("lenet", "fc2", "flatten", 84),
        ("lenet", "conv2", "mean", 32),
        ("lenet", "conv2", "flatten", 2048),
        ("row_lstm", "recurrent.0", "last", 128),
        ("row_lstm", "recurrent.0", "flatten", 3584),
        ("row_lstm", "head", "last", 10),
        ("resnet18", "layer4.1", "mean", 512),
    ],
)
def test_feature_dimensions(name: str, layer: str, pooling: str, dimensions: int) -> None:
    network = load_network(ModelSpec(name=name, weights="random"), seed=0)
    assert dimensions_of(network, layer, pooling) == dimensions


def test_too_many_features_are_refused_before_any_work() -> None:
    network = load_network(ModelSpec(name="resnet18", weights="random"), seed=0)
    with pytest.raises(SpecError, match="gives 802816 features per example, at most 262144"):
        dimensions_of(network, "conv1", "flatten")
