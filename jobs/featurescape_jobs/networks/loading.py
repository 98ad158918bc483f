"""Networks ready for use: built in their shape, with the right weights. Memory: the weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import nn

from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.engine.context import InputArtifact, open_input
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, SpecError, WeightsError
from featurescape_jobs.models import resolve
from featurescape_jobs.models.base import (
    ImageCard,
    Model,
    ModelCard,
    RecurrentModel,
    check_gives,
    shaped,
)
from featurescape_jobs.models.weights import (
    State,
    check_sha256,
    count_classes,
    load_state,
    parse_state,
    read_file,
)
from featurescape_jobs.networks.capture import zero_input
from featurescape_jobs.specs import ModelSpec, RecurrentSpec


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
    def image_card(self) -> ImageCard:
        """Card of a network that reads images; raises `SpecError` where it reads none."""
        return image_card(self.model)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the outputs; None: not known (random weights, or a file)."""
        return self.model.classes() if self.pretrained else self.trained_classes


def image_card(model: Model) -> ImageCard:
    """The card of a model that reads images; raises `SpecError` where it does not."""
    check_gives(model.card, "classes")
    if not isinstance(model.card, ImageCard):
        raise SpecError(
            f"model.name: {model.name} reads the features of another job, not images: give the "
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
        dimensions: D of the features that it is to read; None: it reads images.
        storage: where the artifact of ``spec.training`` lies.
        allowed_roots: roots that a weight file may lie below; None: any.

    Raises:
        UnknownNameError: no such model.
        SpecError: a shape is given that the model does not have, or not as it was trained; or
            the model writes captions.
        WeightsError: the weights cannot be had or do not fit.
        InputJobError, ArtifactError: the training job has no artifact, or a damaged one.
    """
    model = resolve(spec, dimensions, allowed_roots)
    check_gives(model.card, "classes")
    if spec.training is not None:
        network = _trained(model, spec, _open_training(spec, spec.training, storage))
    elif spec.weights == "random":
        outputs = n_classes or model.card.n_classes
        network = LoadedNetwork(build_random(model, outputs, seed), model)
    else:
        network = _with_weights(model, spec, allowed_roots)
    if n_classes is not None:
        _check_outputs(network.module, network.model, n_classes)
    _freeze(network)
    return network


def _with_weights(
    model: Model, spec: ModelSpec, allowed_roots: tuple[str, ...] | None
) -> LoadedNetwork:
    """The network with its own weights, also those of the folder that it was resolved with, or a file's."""
    if spec.weights == "pretrained" or model.card.weights_in == "folder":
        return LoadedNetwork(model.pretrained(), model, pretrained=True)
    return LoadedNetwork(_from_file(model, spec, allowed_roots), model)


def _freeze(network: LoadedNetwork) -> None:
    """Evaluation mode, no gradient, and the memory layout in which color images run fastest."""
    network.module.eval().requires_grad_(False)
    card = network.card
    if isinstance(card, ImageCard) and card.channels == 3:
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
    if spec.shape not in (None, recurrent):
        raise SpecError(
            f"model.shape: {spec.training} trained {recurrent}; leave it out",
            field="model.shape",
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


def count_outputs(network: LoadedNetwork) -> int:
    """Outputs of the network; raises `SpecError` where they are no vector."""
    with torch.no_grad():
        outputs = network.module(zero_input(network.model))
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2:
        shape = f"shape {tuple(outputs.shape)}" if isinstance(outputs, torch.Tensor) else "no shape"
        raise SpecError(
            f"model: its output has {shape}; only a vector of outputs, a score per class, will do",
            field="model",
        )
    return int(outputs.shape[1])


def state_sha256(module: nn.Module) -> str:
    """Checksum of all weights: names, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name}\0{tuple(value.shape)}\0{value.dtype}\0".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
