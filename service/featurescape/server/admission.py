"""Admission of specs: everything that can be known before any work.

The pydantic model has checked types and ranges; here the names are looked up in the registries, the
inputs in the record, roots and weight files against what this service may read. What only a loaded
network knows (its layers) is checked by the job before its work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, assert_never

from featurescape.server.jobstore import JobStore
from featurescape.server.settings import Settings
from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.datasets import DATASETS, check_reads, check_split
from featurescape_jobs.datasets.frozen_input import check_job, check_meant_for, check_unread
from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.errors import (
    ArtifactError,
    DatasetError,
    InputJobError,
    NotFoundError,
    SpecError,
    UnknownNameError,
    WeightsError,
    under_field,
)
from featurescape_jobs.models import MODELS, check_recurrent
from featurescape_jobs.models.base import (
    EntryCard,
    ModelCard,
    check_gives,
    check_options,
    untrained,
)
from featurescape_jobs.models.downloads import check_download
from featurescape_jobs.registry import Named, Registry
from featurescape_jobs.specs import (
    Artifact,
    BaseJobSpec,
    ColorLayers,
    DatasetSpec,
    Examples,
    Files,
    ModelSpec,
    Network,
    Trainee,
    TrainingSpec,
    input_jobs,
    input_kinds,
    layer_and_attribute,
)
from featurescape_jobs.specs.needs import Need
from featurescape_jobs.specs.references import at, parts
from featurescape_jobs.tiling.asked_layers import check_asked, check_known
from featurescape_jobs.trainers import check_training

_WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth")
_WEIGHTS = "model.weights"


@dataclass(frozen=True)
class Admission:
    """Checks specs against one service's record and settings."""

    settings: Settings
    store: JobStore
    manifest: Callable[[str], Manifest] | None = None
    """That of a job that SUCCEEDED; None: what jobs have made is not looked at."""

    def check(self, spec: BaseJobSpec) -> None:
        """Raise the error that a user should see now rather than in an hour.

        What is checked follows from what the spec's class declares (`specs.needs`): it names no job type.

        Raises:
            InputJobError: an input job is missing, of the wrong type, or ended without a result.
            SpecError: a field is wrong; or a `DatasetError`, `WeightsError`, `UnknownNameError`.
        """
        self._check_inputs(spec)
        for need in type(spec).needs:
            if at(spec, need.field) is not None:
                self._check(need, spec)
        for need in type(spec).needs:
            if isinstance(need, Examples):
                _check_examples(need, spec)

    def _check(self, need: Need, spec: BaseJobSpec) -> None:
        """Check one thing that the spec names, by itself."""
        match need:
            case Artifact():
                pass  # with all the jobs that the spec names
            case Examples():
                with under_field("dataset", need.field):
                    self._check_dataset(at(spec, need.field))
            case Network():
                with under_field("model", need.field):
                    self._check_network(need, spec)
            case Trainee():
                self._check_trainee(need, spec)
            case ColorLayers():
                self._check_layers(need, spec)
            case Files():
                self._check_files(need, spec)
            case _:
                assert_never(need)

    def check_network(self, model: ModelSpec) -> None:
        """Run `check` for a network that is to look at images now, outside of any job."""
        if model.training is not None:
            self._check_finished(model.training)
        card = _known(MODELS, model.name, "model.name").card
        check_gives(card, "classes")
        self._check_weights(model)
        if card.reads != "images":
            raise SpecError(
                f"model.name: {model.name} reads {card.reads}; choose a model that reads images",
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

    def _check_inputs(self, spec: BaseJobSpec) -> None:
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
        check_split(dataset.card, spec)
        if spec.job is not None:
            check_job(dataset.card, spec.job)
            return  # the artifact need not be there yet
        if spec.root is None or not dataset.card.needs_root:
            dataset.check(spec)  # says which of the two it is
            return
        root = check_root(spec.root, self.settings.roots, DatasetError, field)
        if "://" not in root and not Path(spec.root).is_absolute():
            raise DatasetError(f"{field}: give an absolute path, not {spec.root!r}", field=field)
        # A folder on the machines of a cluster need not be on this one: there, the job looks.
        if self.settings.embedded or root.startswith("s3://"):
            dataset.check(spec.resolved(spec.root, self.settings.roots))

    def _check_network(self, need: Network, spec: BaseJobSpec) -> None:
        model: ModelSpec = at(spec, need.field)
        card = _known(MODELS, model.name, "model.name").card
        if card.gives not in need.gives:
            check_gives(card, need.gives[0])
        spec.check_network(need.field, card.gives)
        if need.recurrent:
            check_recurrent(model.name)
        self._check_weights(model)

    def _check_trainee(self, need: Trainee, spec: BaseJobSpec) -> None:
        model: ModelSpec = at(spec, need.field)
        card = _known(MODELS, model.name, f"{need.field}.name").card
        assert isinstance(spec, TrainingSpec)
        for field, network in check_training(spec).networks(spec).items():
            with under_field("model", field):
                check_gives(_known(MODELS, network.name, "model.name").card, "classes")
                self._check_weights(network)
        if (
            model.weights != "pretrained"
            or not isinstance(card, ModelCard)
            or card.weights is not None
        ):
            self._check_weights(model)

    def _check_weights(self, model: ModelSpec) -> None:
        """Whether the options are the entry's, and weights can be had.

        What a collection's network is, only those who can load it know: there, the job looks.
        """
        card = MODELS[model.name].card
        check_options(card, model)
        if model.training is not None:
            self._check_trained(model, model.training)
        elif model.weights == "pretrained" and isinstance(card, ModelCard):
            if card.weights is None:
                raise untrained(model.name)
            # What the machines of a cluster can reach is not known here: there, the job looks.
            if self.settings.embedded:
                check_download(card)
        elif model.weights not in ("pretrained", "random"):
            self._check_weights_place(model, card)

    def _check_trained(self, spec: ModelSpec, job_id: str) -> None:
        trained = self.store.get(job_id).spec["model"]["name"]
        if trained != spec.name:
            raise InputJobError(
                f"model.training: job {job_id} trained {trained}, not {spec.name}",
                field="model.training",
                job_id=job_id,
            )

    def _check_weights_place(self, spec: ModelSpec, card: EntryCard) -> None:
        path = Path(check_root(spec.weights, self.settings.roots, WeightsError, _WEIGHTS))
        if card.weights_in == "file":
            self._check_weights_file(spec, path)
        elif not Path(spec.weights).is_absolute() or (self.settings.embedded and not path.is_dir()):
            raise WeightsError(
                f"{_WEIGHTS}: `pretrained`, `random` or the absolute path of a folder that is there, not "
                f"{spec.weights[:200]!r}",
                field=_WEIGHTS,
            )

    def _check_weights_file(self, spec: ModelSpec, path: Path) -> None:
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

    def _check_layers(self, need: ColorLayers, spec: BaseJobSpec) -> None:
        """Whether there are such layers, and where all inputs are there already, such attributes."""
        named = map(layer_and_attribute, at(spec, need.field))
        asked = [(_known(COLOR_LAYERS, name, need.field), of) for name, of in named]
        for layer, attribute in asked:
            check_asked(layer.card, attribute)
        inputs = input_jobs(spec)
        layout = inputs.pop(need.layout)
        made = self._made([layout, *inputs.values()])
        source = self._made([made[0].inputs["features"]]) if made else []
        if source:  # else the job looks
            check_known(asked, made[0], source[0], made[1:])

    def _made(self, job_ids: Sequence[str]) -> list[Manifest]:
        """What these jobs have made; empty where one of them has not, or it cannot be read."""
        if self.manifest is None:
            return []
        try:
            return [self.manifest(job_id) for job_id in job_ids]
        except (NotFoundError, ArtifactError):
            return []

    def _check_files(self, need: Files, spec: BaseJobSpec) -> None:
        for path, part in parts(spec):
            for name in type(part).places if path == need.field else ():
                if (place := getattr(part, name)) is not None:
                    check_root(place, self.settings.roots, WeightsError, f"{path}.{name}")


T = TypeVar("T", bound=Named)


def _known(registry: Registry[T], name: str, field: str) -> T:
    """The entry, or an `UnknownNameError` that says which field named it."""
    try:
        return registry[name]
    except UnknownNameError as error:
        raise UnknownNameError(f"{field}: {error.message}", **error.detail, field=field) from None


def _check_examples(need: Examples, spec: BaseJobSpec) -> None:
    """Whether what reads the examples reads what the dataset gives."""
    dataset: DatasetSpec | None = at(spec, need.field)
    if dataset is None:
        return
    with under_field("dataset", need.field):
        if need.gives is not None:
            check_meant_for(dataset, need.gives, spec.name)
        models = [model for field in need.read_by if (model := at(spec, field)) is not None]
        for model in models:
            check_reads(dataset, MODELS[model.name].card)
        if need.unread is not None and not models:
            check_unread(dataset, need.unread)
