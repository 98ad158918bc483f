"""A trained translator, from the artifact of its training: network and subwords belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from featurescape_jobs.engine.context import InputArtifact, open_input
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, SpecError, WeightsError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import check_gives
from featurescape_jobs.models.translator.entry import TranslatorModel
from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.models.weights import load_state
from featurescape_jobs.networks.loading import state_of
from featurescape_jobs.sequences.subwords import Subwords
from featurescape_jobs.specs import ModelSpec, TranslatorSpec

SUBWORDS = "subwords"
"""Kind of the file with the vocabulary."""


@dataclass(frozen=True)
class LoadedTranslator:
    """All that translates sentences."""

    network: Translator
    subwords: Subwords


def load_translator(spec: ModelSpec, storage: Storage) -> LoadedTranslator:
    """The translator that ``spec.training`` trained.

    Raises:
        SpecError: no such training is named, or the shape given is not the one that was trained.
        WeightsError: that job trained another model.
        InputJobError, ArtifactError: it has no artifact, or a damaged one.
    """
    check_gives(MODELS[spec.name].card, "translations")
    if spec.training is None:
        raise SpecError(
            "model.training: name the `training` job of the translator", field="model.training"
        )
    trained, job_id = open_input(storage, spec.training), spec.training
    shape = _trained_shape(spec, trained)
    subwords = Subwords(storage.read(trained.one(SUBWORDS)), f"job {job_id}")
    model = cast(TranslatorModel, MODELS["translator"]).configured(shape)
    try:
        network = load_state(
            lambda: model.build(subwords.size), state_of(trained, "weights"), job_id
        )
    except WeightsError as error:
        raise ArtifactError(f"the weights of job {job_id} are damaged: {error.message}") from None
    return LoadedTranslator(cast(Translator, network), subwords)


def _trained_shape(spec: ModelSpec, trained: InputArtifact) -> TranslatorSpec:
    """The shape of a training, which has to be a translator's, and that of the spec where it has one."""
    details, job_id = trained.manifest.details, trained.manifest.job_id
    if trained.manifest.job != "training" or "translator" not in details:
        raise WeightsError(
            f"model.training: {job_id} trained no translator; name a training of the model translator",
            field="model.training",
        )
    shape = TranslatorSpec.model_validate(details["translator"])
    if spec.shape not in (None, shape):
        raise SpecError(
            f"model.shape: {job_id} trained another shape; leave it out", field="model.shape"
        )
    return shape
