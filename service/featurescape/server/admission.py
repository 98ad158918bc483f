"""Whether a spec can be run at all: everything that can be known before any work.

The pydantic model has checked types and ranges; here the names are looked up in the registries, the
inputs in the record, roots and weight files against what this service may read. What only a loaded
network knows (its layers) is checked by the job before its work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from featurescape.server.jobstore import JobStore
from featurescape.server.settings import Settings
from featurescape_jobs.captioning.checks import check_states
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import check_split
from featurescape_jobs.datasets.frozen_input import check_job, check_reads
from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.errors import (
    DatasetError,
    InputJobError,
    NotFoundError,
    SpecError,
    UnknownNameError,
    WeightsError,
    under_field,
)
from featurescape_jobs.models import MODELS, check_recurrent
from featurescape_jobs.models.base import check_captioner, check_gives, shaped, untrained
from featurescape_jobs.models.captioner.entry import CARD as CAPTIONER_CARD
from featurescape_jobs.models.downloads import check_download
from featurescape_jobs.registry import Named, Registry
from featurescape_jobs.specs import (
    ActivationsSpec,
    AnyJobSpec,
    AtlasSpec,
    CaptionerSpec,
    CaptionsSpec,
    DatasetSpec,
    DreamsSpec,
    DynamicsSpec,
    FeaturesSpec,
    FiltersSpec,
    GradientsSpec,
    ModelSpec,
    RendersSpec,
    TilesSpec,
    TrainingSpec,
    UnitsSpec,
    input_jobs,
    input_kinds,
)
from featurescape_jobs.trainers import trainer_of

_WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth")
_WEIGHTS = "model.weights"
_OnPictures = (
    TrainingSpec
    | FeaturesSpec
    | DreamsSpec
    | ActivationsSpec
    | GradientsSpec
    | UnitsSpec
    | AtlasSpec
)


@dataclass(frozen=True)
class Admission:
    """Checks specs against one service's record and settings."""

    settings: Settings
    store: JobStore

    def check(self, spec: AnyJobSpec) -> None:
        """Raise the error that a user should see now rather than in an hour.

        Raises:
            InputJobError: an input job is missing, of the wrong type, or ended without a result.
            SpecError: a field is wrong; or a `DatasetError`, `WeightsError`, `UnknownNameError`.
        """
        self._check_inputs(spec)
        if isinstance(spec, _OnPictures):
            self._check_on_pictures(spec)
        elif isinstance(spec, RendersSpec):
            self._check_dataset(spec.dataset)
        elif isinstance(spec, FiltersSpec):
            self._check_model(spec.model, training=False)
        elif isinstance(spec, TilesSpec):
            for name in spec.color_layers:
                _known(COLOR_LAYERS, name, "color_layers")
        elif isinstance(spec, DynamicsSpec):
            self._check_dynamics(spec)
        elif isinstance(spec, CaptionsSpec):
            self._check_dataset(spec.dataset)
            self._check_model(spec.model, training=False, gives="captions")
            check_reads(spec.dataset, MODELS[spec.model.name].card)

    def _check_on_pictures(self, spec: _OnPictures) -> None:
        self._check_dataset(spec.dataset)
        gives = "classes"
        if isinstance(spec, FeaturesSpec) and spec.model.name == CAPTIONER_CARD.name:
            check_states(spec)
            gives = CAPTIONER_CARD.gives
        self._check_model(spec.model, isinstance(spec, TrainingSpec), gives)
        check_reads(spec.dataset, MODELS[spec.model.name].card)
        if isinstance(spec, TrainingSpec):
            trainer_of(spec.model.name).check(spec)
        if isinstance(spec, DreamsSpec) and spec.guide is not None:
            self._check_dataset(spec.guide.dataset)

    def _check_dynamics(self, spec: DynamicsSpec) -> None:
        if spec.dataset is not None:
            self._check_dataset(spec.dataset)
        for field, model in (("model", spec.model), ("compare", spec.compare)):
            if model is not None:
                with under_field("model", field):
                    self._check_model(model, training=False)
                    check_recurrent(model.name)
                if spec.dataset is not None:
                    check_reads(spec.dataset, MODELS[model.name].card)
        for matrix in spec.matrices:
            if matrix.file is not None:
                check_root(matrix.file, self.settings.roots, WeightsError, "matrices.file")

    def check_network(self, model: ModelSpec) -> None:
        """As `check`, for a network that is to look at pictures now, outside of any job."""
        if model.training is not None:
            self._check_finished(model.training)
        self._check_model(model, training=False)
        card = MODELS[model.name].card
        if card.reads != "pictures":
            raise SpecError(
                f"model.name: {model.name} reads {card.reads}; choose a model that reads pictures",
                field="model.name",
            )

    def _check_finished(self, job_id: str) -> None:
        """Whether a training job has left weights."""
        field = "model.training"
        detail = {"field": field, "job_id": job_id}
        try:
            record = self.store.get(job_id)
        except NotFoundError:
            raise InputJobError(f"{field}: there is no job {job_id}", **detail) from None
        if record.job != "training" or record.status != "SUCCEEDED":
            raise InputJobError(
                f"{field}: {job_id} is a {record.job} job that is {record.status}; name a training "
                "job that SUCCEEDED",
                **detail,
            )

    def _check_inputs(self, spec: AnyJobSpec) -> None:
        kinds = input_kinds(spec)
        for field, job_id in input_jobs(spec).items():
            detail = {"field": field, "job_id": job_id}
            try:
                source = self.store.get(job_id)
            except NotFoundError:
                raise InputJobError(f"{field}: there is no job {job_id}", **detail) from None
            if source.job != kinds[field]:
                raise InputJobError(
                    f"{field}: {job_id} is a {source.job} job, a {kinds[field]} job is needed",
                    **detail,
                )
            if source.status in ("FAILED", "STOPPED"):
                raise InputJobError(
                    f"{field}: job {job_id} is {source.status} and has no result; "
                    "submit it again and name the new job",
                    **detail,
                )
            if source.rows is not None:  # else the scheduler asks once the listing is frozen
                spec.check_input(field, source.rows)

    def _check_dataset(self, spec: DatasetSpec) -> None:
        field = "dataset.root"
        dataset = _known(DATASETS, spec.name, "dataset.name")
        if spec.job is not None:
            check_job(dataset.card, spec.job)
            check_split(dataset.card, spec)
            return  # the artifact need not be there yet
        if spec.root is None or not dataset.card.needs_root:
            dataset.check(spec)  # says which of the two it is
            return
        root = check_root(spec.root, self.settings.roots, DatasetError, field)
        if "://" not in root and not Path(spec.root).is_absolute():
            raise DatasetError(f"{field}: give an absolute path, not {spec.root!r}", field=field)
        # A folder on the machines of a cluster need not be on this one: there, the job looks.
        if self.settings.embedded or root.startswith("s3://"):
            dataset.check(spec.placed(spec.root, self.settings.roots))

    def _check_model(self, spec: ModelSpec, training: bool, gives: str = "classes") -> None:
        card = _known(MODELS, spec.name, "model.name").card
        check_captioner(card, spec.captioner)
        if not training:
            check_gives(card, gives)
        if training and card.gives == "captions":
            encoder = (spec.captioner or CaptionerSpec()).encoder
            with under_field("model", "model.captioner.encoder"):
                self._check_model(encoder.as_model(), training=False)
        if training:
            trainer_of(spec.name)  # says so where there is none
        if spec.recurrent is not None and not card.recurrent:
            shaped(MODELS[spec.name], spec.recurrent, None)  # says so
        if spec.training is not None:
            self._check_trained(spec, spec.training)
        elif spec.weights == "pretrained":
            if card.weights is None and not training:
                raise untrained(spec.name)
            # What the machines of a cluster can reach is not known here: there, the job looks.
            if self.settings.embedded:
                check_download(card)
        elif spec.weights != "random":
            self._check_weights_file(spec)

    def _check_trained(self, spec: ModelSpec, job_id: str) -> None:
        trained = self.store.get(job_id).spec["model"]["name"]
        if trained != spec.name:
            raise InputJobError(
                f"model.training: job {job_id} trained {trained}, not {spec.name}",
                field="model.training",
                job_id=job_id,
            )

    def _check_weights_file(self, spec: ModelSpec) -> None:
        path = Path(check_root(spec.weights, self.settings.roots, WeightsError, _WEIGHTS))
        if path.suffix.lower() not in _WEIGHT_SUFFIXES or not Path(spec.weights).is_absolute():
            raise WeightsError(
                f"{_WEIGHTS}: `pretrained`, `random` or the absolute path of a .safetensors, .pt "
                f"or .pth file, not {spec.weights[:200]!r}",
                field=_WEIGHTS,
            )
        if path.suffix.lower() != ".safetensors" and spec.weights_sha256 is None:
            raise WeightsError(
                "model.weights_sha256: needed for a .pt or .pth file (or use .safetensors)",
                field="model.weights_sha256",
            )
        if self.settings.embedded and not path.is_file():
            raise WeightsError(f"{_WEIGHTS}: there is no file {path}", field=_WEIGHTS)


T = TypeVar("T", bound=Named)


def _known(registry: Registry[T], name: str, field: str) -> T:
    """The entry, or an `UnknownNameError` that says which field named it."""
    try:
        return registry[name]
    except UnknownNameError as error:
        raise UnknownNameError(f"{field}: {error.message}", **error.detail, field=field) from None
