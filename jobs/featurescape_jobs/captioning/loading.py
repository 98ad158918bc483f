"""A trained captioner, from the artifact of its training: decoder, words and encoder belong together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

from featurescape_jobs.captioning.encoder import Encoder, Place, reopen_encoder
from featurescape_jobs.engine.context import InputArtifact, open_input
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, SpecError, WeightsError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.models.base import check_gives
from featurescape_jobs.models.captioner.entry import Captioner
from featurescape_jobs.models.captioner.grid import Grid
from featurescape_jobs.models.weights import load_state
from featurescape_jobs.networks.loading import state_of
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.vocabulary import Vocabulary
from featurescape_jobs.specs import CaptionerSpec, ModelSpec

ENCODER_WEIGHTS = "encoder_weights"
"""Kind of the file with the weights of an encoder that was fine-tuned."""
ENCODER_HISTORY = "encoder_history"
"""Kind of the file that says how it learned."""


@dataclass(frozen=True)
class LoadedCaptioner:
    """All that describes images."""

    decoder: Decoder
    vocabulary: Vocabulary
    encoder: Encoder

    @property
    def grid(self) -> Grid:
        """Grid that the attention of a word lies on."""
        return self.encoder.layout


def captioner_of(source: Source) -> LoadedCaptioner:
    """The captioner of a job's workers, as `load_captioner`."""
    return load_captioner(source.model, source.storage, source.allowed_roots)


def load_captioner(
    spec: ModelSpec, storage: Storage, allowed_roots: tuple[str, ...] | None
) -> LoadedCaptioner:
    """The captioner that ``spec.training`` trained.

    Raises:
        SpecError: no such training is named, or the shape given is not the one that was trained.
        WeightsError: that job trained another model, or the encoder has other weights by now.
        InputJobError, ArtifactError: it has no artifact, or a damaged one.
    """
    check_gives(MODELS[spec.name].card, "captions")
    if spec.training is None:
        raise SpecError(
            "model.training: name the `training` job of the captioner", field="model.training"
        )
    trained = open_input(storage, spec.training)
    details, job_id = trained.manifest.details, spec.training
    shape = _trained_shape(spec, trained)
    vocabulary = Vocabulary.parse(storage.read(trained.one("vocabulary")), f"job {job_id}")
    model = cast(Captioner, MODELS["captioner"])
    grid = Grid(*(int(details["encoder"][name]) for name in Grid._fields))
    model = model.configured(shape, grid)
    try:
        state = state_of(trained, "weights")
        decoder = load_state(partial(model.build, vocabulary.size), state, job_id)
        tuned = state_of(trained, ENCODER_WEIGHTS) if shape.encoder.fine_tuned else None
    except WeightsError as error:
        raise ArtifactError(f"the weights of job {job_id} are damaged: {error.message}") from None
    place = Place(storage.root, trained.manifest.seed, allowed_roots)
    encoder = reopen_encoder(shape.encoder, place, details["encoder"], tuned)
    return LoadedCaptioner(cast(Decoder, decoder), vocabulary, encoder)


def _trained_shape(spec: ModelSpec, trained: InputArtifact) -> CaptionerSpec:
    """The shape of a training, which has to be a captioner's, and that of the spec where it has one."""
    details, job_id = trained.manifest.details, trained.manifest.job_id
    if trained.manifest.job != "training" or "captioner" not in details:
        raise WeightsError(
            f"model.training: {job_id} trained no captioner; name a training of the model captioner",
            field="model.training",
        )
    shape = CaptionerSpec.model_validate(details["captioner"])
    if spec.shape not in (None, shape):
        raise SpecError(
            f"model.shape: {job_id} trained another shape or encoder; leave it out",
            field="model.shape",
        )
    return shape
