"""Networks ready for use: loading with the right weights, and reading the activation of any layer.

Forward hooks live inside one call. The forward pass stops as soon as the layers asked for are
known, and an activation that later modules could change in place is copied. Memory: the weights,
and what one batch needs up to the deepest layer asked for.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from featurescape_jobs.context import InputArtifact, open_input
from featurescape_jobs.errors import ArtifactError, LayerError, SpecError, WeightsError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import (
    Model,
    ModelCard,
    PictureCard,
    RecurrentModel,
    check_captioner,
    check_gives,
    shaped,
)
from featurescape_jobs.roots import check_root
from featurescape_jobs.specs import ModelSpec, RecurrentSpec
from featurescape_jobs.storage import Storage
from featurescape_jobs.weights import (
    State,
    check_sha256,
    count_classes,
    load_state,
    parse_state,
    read_file,
)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network in evaluation mode whose weights need no gradient."""

    module: nn.Module
    model: Model
    trained_classes: tuple[str, ...] | None = None
    """Class names of the training job that the weights are from."""
    pretrained: bool = False

    @property
    def card(self) -> ModelCard:
        return self.model.card

    @property
    def picture_card(self) -> PictureCard:
        """How pictures are fed to it; raises `SpecError` where it reads none."""
        return picture_card(self.model)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the outputs; None: not known (random weights, or a file)."""
        return self.model.classes() if self.pretrained else self.trained_classes


def picture_card(model: Model) -> PictureCard:
    """The card of a model that reads pictures; raises `SpecError` where it does not."""
    check_gives(model.card, "classes")
    if not isinstance(model.card, PictureCard):
        raise SpecError(
            f"model.name: {model.name} reads the features of another job, not pictures: give the "
            'dataset {"name": "features", "job": "features-…"}, or another model',
            field="model.name",
        )
    return model.card


def load_network(
    spec: ModelSpec,
    *,
    seed: int,
    n_classes: int | None = None,
    dimensions: int | None = None,
    storage: Storage | None = None,
    allowed_roots: tuple[str, ...] | None = None,
) -> LoadedNetwork:
    """The network with the weights that the spec asks for, frozen, in evaluation mode, on the CPU.

    Args:
        spec: model and source of the weights.
        seed: of the job; random weights are a function of it.
        n_classes: outputs that are needed; None: as many as the weights have.
        dimensions: D of the features that it is to read; None: it reads pictures.
        storage: where the artifact of ``spec.training`` lies.
        allowed_roots: roots that a weight file may lie below; None: any.

    Raises:
        UnknownNameError: no such model.
        SpecError: `model.recurrent` is given for a model that is not, or not as it was trained; or
            the model writes captions.
        WeightsError: the weights cannot be had or do not fit.
        InputJobError, ArtifactError: the training job has no artifact, or a damaged one.
    """
    model = _classifier(spec, dimensions)
    if spec.training is not None:
        network = _trained(model, spec, _open_training(spec, spec.training, storage))
    elif spec.weights == "pretrained":
        network = LoadedNetwork(model.pretrained(), model, pretrained=True)
    elif spec.weights == "random":
        outputs = n_classes or model.card.n_classes
        network = LoadedNetwork(build_random(model, outputs, seed), model)
    else:
        network = LoadedNetwork(_from_file(model, spec, allowed_roots), model)
    if n_classes is not None:
        _check_outputs(network.module, network.model, n_classes)
    _freeze(network)
    return network


def _classifier(spec: ModelSpec, dimensions: int | None) -> Model:
    """The model of the catalog in the shape that the spec asks for; raises `SpecError`."""
    entry = MODELS[spec.name]
    check_gives(entry.card, "classes")
    check_captioner(entry.card, spec.captioner)
    return shaped(entry, spec.recurrent, dimensions)


def _freeze(network: LoadedNetwork) -> None:
    """Evaluation mode, no gradient, and the memory layout in which color pictures run fastest."""
    network.module.eval().requires_grad_(False)
    card = network.card
    if isinstance(card, PictureCard) and card.channels == 3:
        network.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def build_random(model: Model, n_classes: int, seed: int) -> nn.Module:
    """Fresh weights that depend on the seed only; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model.build(n_classes)


def _from_file(model: Model, spec: ModelSpec, allowed_roots: tuple[str, ...] | None) -> nn.Module:
    """The network with as many outputs as the output layer in the file has rows."""
    path = check_root(spec.weights, allowed_roots, WeightsError, "model.weights")
    state = read_file(path, spec.weights_sha256)
    n_classes = count_classes(model.build, state) or model.card.n_classes
    return load_state(partial(model.build, n_classes), state, spec.weights)


def _open_training(spec: ModelSpec, job_id: str, storage: Storage | None) -> InputArtifact:
    """The artifact of the training job, which must have trained this model."""
    if storage is None:
        raise ValueError("a spec with `training` needs the storage")
    artifact = open_input(storage, job_id)
    details = artifact.manifest.details
    if artifact.manifest.job != "training" or details.get("model") != spec.name:
        trained = details.get("model", f"a {artifact.manifest.job} job")
        raise WeightsError(
            f"model.training: {job_id} trained {trained}, not {spec.name}; "
            f"name a training job of {spec.name}",
            field="model.training",
        )
    return artifact


def _as_trained(model: Model, spec: ModelSpec, trained: InputArtifact) -> Model:
    """The model in the shape that was trained, where it has one."""
    if not model.card.recurrent:
        return model
    details = trained.manifest.details
    recurrent = RecurrentSpec.model_validate(details["recurrent"])
    if spec.recurrent not in (None, recurrent):
        raise SpecError(
            f"model.recurrent: {spec.training} trained {recurrent}; leave it out",
            field="model.recurrent",
        )
    dimensions = cast(RecurrentModel, model).dimensions
    if dimensions != details["dimensions"]:
        raise WeightsError(
            f"model.training: {spec.training} was trained on {details['dimensions']} features a step, "
            f"these have {dimensions}; give features of the same model and layer",
            field="model.training",
        )
    return shaped(model, recurrent, dimensions)


def _trained(model: Model, spec: ModelSpec, trained: InputArtifact) -> LoadedNetwork:
    """The network that a training job left, in its shape and with its classes."""
    model = _as_trained(model, spec, trained)
    classes = tuple(str(name) for name in trained.manifest.details["classes"])
    return LoadedNetwork(_from_training(model, trained), model, classes)


def _from_training(model: Model, trained: InputArtifact) -> nn.Module:
    """The network that a training job left."""
    job_id = trained.manifest.job_id
    try:
        state = state_of(trained, "weights")
    except WeightsError as error:
        raise ArtifactError(f"the weights of job {job_id} are damaged: {error.message}") from None
    n_classes = int(trained.manifest.details["n_classes"])
    return load_state(partial(model.build, n_classes), state, job_id)


def state_of(trained: InputArtifact, kind: str) -> State:
    """The tensors of a training's file; raises `WeightsError` where it is not what was written."""
    data, job_id = trained.storage.read(trained.one(kind)), trained.manifest.job_id
    check_sha256(data, trained.manifest.of_kind(kind)[0].sha256, job_id)
    return parse_state(data, ".safetensors", job_id)


def _check_outputs(module: nn.Module, model: Model, n_classes: int) -> None:
    logits = module.eval()(zero_input(model))
    if logits.shape[1] != n_classes:
        raise WeightsError(
            f"the weights have {logits.shape[1]} outputs and the dataset has {n_classes} classes: "
            "give weights for as many classes",
            field="model.weights",
        )


def layer_names(module: nn.Module) -> list[str]:
    """Module paths of all layers, in the order they were defined."""
    return [name for name, _ in module.named_modules() if name]


def check_layer(module: nn.Module, layer: str) -> nn.Module:
    """The layer called ``layer``; raises `LayerError`, which lists all in detail."""
    parts = dict(module.named_modules())
    if layer and layer in parts:
        part: nn.Module = parts[layer]
        return part
    names = layer_names(module)
    near = difflib.get_close_matches(layer, names, n=3, cutoff=0.4) or names[:10]
    raise LayerError(
        f"layer: the network has no layer {layer[:80]!r}. Did you mean {', '.join(near)}? "
        f"It has {len(names)} layers; the error's detail lists them.",
        field="layer",
        layers=names,
    )


class _Reached(Exception):
    """The last layer that was asked for has its output: the rest of the pass is not needed."""


class Capture:
    """Runs a network up to some of its layers and hands out their activations.

    A layer that runs several times in one pass (a shared ReLU) counts with its last output; a layer
    with several outputs (``nn.LSTM``) with the first. The first pass runs to the end, and says how
    often each layer runs; later ones stop when all are known. Hooks are there only while `run`
    runs.

    Args:
        module: the network.
        layers: module paths; `LayerError` if one does not exist.
    """

    def __init__(self, module: nn.Module, layers: Sequence[str]) -> None:
        self._module = module
        self._targets = {layer: check_layer(module, layer) for layer in layers}
        self._calls: Counter[str] | None = None

    def run(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Activations by layer, without gradient, for a batch (N, C, H, W).

        Raises:
            LayerError: a layer takes no part in the forward pass, or gives no tensor.
        """
        with torch.inference_mode():
            return self.follow(batch)

    def follow(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """As `run`, but can be differentiated where the weights can."""
        found: dict[str, torch.Tensor] = {}
        calls: Counter[str] = Counter()
        with self._hooked(found, calls):
            try:
                self._module(batch)
            except _Reached:
                return found
        for layer in self._targets:
            if layer not in found:
                raise LayerError(
                    f"layer: {layer!r} gives no activation in a forward pass; choose another one",
                    field="layer",
                    layers=layer_names(self._module),
                )
        self._calls = calls
        return found

    @contextmanager
    def _hooked(self, found: dict[str, torch.Tensor], calls: Counter[str]) -> Iterator[None]:
        def keep(layer: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
            calls[layer] += 1
            first = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(first, torch.Tensor):
                return
            if calls == self._calls:
                found[layer] = first
                raise _Reached
            found[layer] = first.clone()  # a later in-place module would change it

        handles = [
            part.register_forward_hook(partial(keep, layer))
            for layer, part in self._targets.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def pool(activation: torch.Tensor, pooling: str, *, sequence: bool) -> torch.Tensor:
    """Activations as one vector per example.

    Args:
        activation: (N, C, H, W), (N, T, H) or (N, D).
        pooling: mean or max over positions or steps, flatten, or last (the last step).
        sequence: whether the network reads steps; only then is there a last one.

    Returns:
        (N, D) float32: D is C or H, or all values for flatten. A vector (N, D) stays as it is.

    Raises:
        SpecError: the pooling does not fit the shape.
    """
    if pooling in ("last", "steps") and not sequence:
        raise SpecError(
            f"pooling: {pooling} is for sequences, and this network reads no sequence; "
            "use mean, max or flatten",
            field="pooling",
        )
    if activation.ndim not in (2, 3, 4):
        shape = tuple(activation.shape)
        raise SpecError(
            f"pooling: the layer's activation has shape {shape}, which {pooling} does not fit; "
            "choose a layer with (N, C, H, W), (N, T, H) or (N, D)",
            field="pooling",
        )
    values = activation.float()
    if values.ndim == 2 or pooling == "flatten":
        return values.flatten(1)
    if pooling == "last":
        if values.ndim != 3:
            raise SpecError(
                "pooling: last needs steps (N, T, H), and the layer has positions; use mean or max",
                field="pooling",
            )
        return values[:, -1]
    positions = (2, 3) if values.ndim == 4 else (1,)
    return values.mean(positions) if pooling == "mean" else values.amax(positions)


def zero_input(model: Model) -> torch.Tensor:
    """The smallest input of zeros: one picture (1, C, H, W), or two steps of features (1, 2, D)."""
    card = model.card
    if isinstance(card, PictureCard):
        return torch.zeros(1, card.channels, card.input_px, card.input_px)
    return torch.zeros(1, 2, cast(RecurrentModel, model).dimensions or 1)


def state_sha256(module: nn.Module) -> str:
    """Checksum of all weights: names, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name}\0{tuple(value.shape)}\0{value.dtype}\0".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
