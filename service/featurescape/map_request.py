"""Request of a map: what `Client.map` is given, as the specs of its jobs.

All that can be known to be wrong is found before the first job is submitted.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from featurescape import operations
from featurescape.dataset_at import dataset_at, is_word
from featurescape.job_state import JobState
from featurescape.operations import State
from featurescape.steps import Steps
from featurescape_jobs.errors import (
    DatasetError,
    InputJobError,
    NotFoundError,
    SpecError,
    UnknownNameError,
)
from featurescape_jobs.specs import (
    JOB_SPECS,
    Artifact,
    DatasetSpec,
    ModelSpec,
    model_fields,
    parse_spec,
)
from featurescape_jobs.specs.class_names import GivenNames

_DEFAULT_MODEL = "efficientnet_lite0"
_SOME_JOB = "0123456789ab"
GROUPS = ("features", "embedding", "tiles")
"""The jobs of a map, whose other options are groups of keywords."""
SUPPLIED: dict[str, dict[str, Any]] = {
    "features": {"dataset": {"name": "digits"}, "model": {"name": "lenet"}},
    "embedding": {"features": f"features-{_SOME_JOB}"},
    "tiles": {"embedding": f"embedding-{_SOME_JOB}"},
}
"""Fields that a map fills in itself, with values to check the others beside."""
SHORT = {("features", "layers"): "layer", ("embedding", "perplexity"): "perplexity"}
"""Options that have a keyword of their own."""

Given = str | Path | DatasetSpec | Mapping[str, Any]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class MapRequest:
    """Arguments of `Client.map`."""

    dataset: Given
    model: str | ModelSpec | Mapping[str, Any] | None
    layer: str | None = None
    class_names: GivenNames | None = None
    """None: those of the dataset."""
    training: JobState | str | None = None
    perplexity: float | None = None
    """None: auto, or what the group says."""
    common: Options = field(default_factory=dict)
    """Fields of all jobs: title, seed, reuse."""
    groups: Mapping[str, Options | None] = field(default_factory=dict)
    """Options of one job each, by its type."""

    def options(self, group: str) -> dict[str, Any]:
        """The fields of one job's spec but those that the map supplies, checked.

        Raises:
            SpecError: one of them is wrong; ``field`` names group and field.
        """
        given = self._given(group)
        short = {"layer": self.layer, "perplexity": self.perplexity}
        said = {
            name: short[keyword]
            for (of, name), keyword in SHORT.items()
            if of == group and short[keyword] is not None
        }
        for name in said.keys() & given.keys():
            keyword = SHORT[group, name]
            raise SpecError(
                f"{group}.{name}: {keyword} says the same; give one of the two",
                field=f"{group}.{name}",
            )
        options = {**self.common, **said, **given}
        try:
            parse_spec({**options, **SUPPLIED[group], "job": group})
        except SpecError as error:
            raise _in_group(error, group, given) from None
        return options

    def _given(self, group: str) -> Options:
        given = self.groups.get(group) or {}
        if not isinstance(given, Mapping):
            raise SpecError(
                f"{group}: options of the {group} job, as {{'name': value}}", field=group
            )
        for name in ("job", *SUPPLIED[group]):
            if name in given:
                raise SpecError(
                    f"{group}.{name}: the map says that itself; leave it out",
                    field=f"{group}.{name}",
                )
        return given


def _in_group(error: SpecError, group: str, given: Options) -> SpecError:
    """The error with its field where the user wrote it: in the group, if it was given there."""
    problems = list(error.detail.get("problems", ()))
    named = str(error.detail.get("field", ""))
    if named.partition(".")[0] not in given:
        return error
    renamed = [{**each, "field": f"{group}.{each['field']}"} for each in problems]
    return SpecError(f"{group}.{error.message}", field=f"{group}.{named}", problems=renamed)


def check_options(given: Mapping[str, Any]) -> None:
    """Raise `SpecError` where arguments of `Client.map` are wrong whatever the dataset and the service."""
    common = {name: given[name] for name in ("seed", "title", "reuse") if name in given}
    request = MapRequest(
        dataset="",
        model=None,
        layer=given.get("layer"),
        perplexity=None if given.get("perplexity") == "auto" else given.get("perplexity"),
        common=common,
        groups={group: given.get(group) for group in GROUPS},
    )
    for group in GROUPS:
        request.options(group)


def make_map(request: MapRequest) -> Steps[list[State]]:
    """Submit the jobs of a map: a training where one is needed, features, embedding, tiles.

    Raises:
        SpecError: an option is wrong; nothing was submitted then.
    """
    features, embedding, tiles = (request.options(group) for group in GROUPS)
    yield from _check_layers(tiles.get("color_layers"))
    for group, options in zip(GROUPS, (features, embedding, tiles), strict=True):
        yield from _check_inputs(group, options)
    source = yield from dataset(request.dataset)
    if request.class_names is not None:
        source = {**source, "class_names": _plain_names(request.class_names)}
    model, training, before = request.model, request.training, list[State]()
    if model is None and training is None:
        model, untrained = yield from _default_model(source["name"])
        if untrained:
            spec = {**request.common, "job": "training", "dataset": source, "model": model}
            before = [(yield from operations.submit(spec))]
            training = str(before[0]["id"])
    network = None if model is None and training is None else (yield from _network(model, training))
    spec = {**features, "job": "features", "model": network, "dataset": source}
    first = yield from operations.submit(spec)
    spec = {**embedding, "job": "embedding", "features": first["id"]}
    second = yield from operations.submit(spec)
    spec = {**tiles, "job": "tiles", "embedding": second["id"]}
    third = yield from operations.submit(spec)
    return [*before, first, second, third]


def add(map_id: str, given: Given, title: str | None) -> Steps[list[State]]:
    """Submit the jobs that place a dataset on a finished map: features, embedding, tiles.

    Raises:
        NotFoundError: there is no such map, or it is no map of a tiles job.
        SpecError: the map was not made of a dataset by a model.
    """
    drawn = yield from operations.manifest(map_id)
    if drawn.job != "tiles":
        raise NotFoundError(f"{map_id} is a {drawn.job} job; only the map of a tiles job grows")
    laid_out = yield from operations.manifest(drawn.inputs["embedding"])
    known = (yield from operations.manifest(laid_out.inputs["features"])).spec
    if known.get("model") is None:
        raise SpecError(
            "dataset: this map is of vectors, which no model made; submit features of new ones, an embedding with "
            "placed_in, and tiles with square_of",
            field="dataset",
        )
    source = yield from dataset(given)
    common = {"title": title, "seed": drawn.seed}
    first = yield from operations.submit({**known, **common, "dataset": source})
    kept = {name: laid_out.spec[name] for name in ("layer", "max_states", "neighbors")}
    spec = {**kept, **common, "job": "embedding", "features": first["id"]}
    second = yield from operations.submit({**spec, "placed_in": laid_out.job_id})
    # Layers of an attribute are left out: the new examples may not have it.
    layers = [name for name in drawn.spec["color_layers"] if ":" not in name] or ["density"]
    spec = {**common, "job": "tiles", "embedding": second["id"], "square_of": map_id}
    kept = {"color_layers": layers, "thumbnail_px": drawn.spec["thumbnail_px"]}
    third = yield from operations.submit({**spec, **kept})
    return [first, second, third]


def _plain_names(given: GivenNames) -> list[str] | dict[int, str]:
    return dict(given) if isinstance(given, Mapping) else list(given)


def dataset(given: Given) -> Steps[dict[str, Any]]:
    """The dataset field of a spec that is made of what a map is given."""
    if isinstance(given, DatasetSpec):
        return given.model_dump(mode="json")
    if isinstance(given, Mapping):
        return dict(given)
    found = dataset_at(given)
    if not isinstance(given, str) or ("root" in found and not is_word(given)):
        return found
    names = [card["name"] for card in (yield from operations.catalog())["datasets"]]
    if "root" in found:
        return {"name": given} if given in names else found
    if given not in names:
        raise DatasetError(
            f"dataset: there is no folder {given!r} here, and no dataset of that name "
            f"({', '.join(names)}); give the path of a folder, or one of these",
            field="dataset",
        )
    return found


def _check_layers(asked: Any) -> Steps[None]:
    """Raise `UnknownNameError` for a color layer that the service does not have, before anything runs."""
    names = [name for name in asked or () if isinstance(name, str)]
    if not names:
        return
    known = [card["name"] for card in (yield from operations.catalog())["color_layers"]]
    for name in (each.partition(":")[0] for each in names):  # value:NAME is of an attribute
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UnknownNameError(
                f"tiles.color_layers: there is no color layer {name[:80]!r}; {hint}",
                field="tiles.color_layers",
                known=known,
            )


def _check_inputs(group: str, options: Options) -> Steps[None]:
    """Raise `InputJobError` for a job that an option names, and that is missing or of another type."""
    needs = (need for need in JOB_SPECS[group].needs if isinstance(need, Artifact))
    for need in needs:
        given, place = options.get(need.field), f"{group}.{need.field}"
        for named in (given,) if isinstance(given, str) else given or ():
            try:
                job = (yield from operations.job_state(str(named)))["job"]
            except NotFoundError as error:
                raise InputJobError(f"{place}: {error.message}", field=place) from None
            if need.job not in (None, job):
                raise InputJobError(f"{place}: {named} is a {job} job, not {need.job}", field=place)


def _network(
    model: str | ModelSpec | Mapping[str, Any] | None, training: JobState | str | None
) -> Steps[dict[str, Any]]:
    """The model field of a spec, with the training whose weights are taken."""
    if isinstance(training, str) and model is None:
        model = (yield from operations.job_state(training))["spec"]["model"]["name"]
    if isinstance(training, JobState):
        model = training.spec["model"]["name"] if model is None else model
        training = training.id
    if isinstance(model, ModelSpec):
        spec = model.model_dump(mode="json")
    else:
        spec = model_fields(model) if isinstance(model, str) else dict(model or {})
    return spec if training is None else {**spec, "training": training}


def _default_model(name: str) -> Steps[tuple[dict[str, Any] | None, bool]]:
    """The model that the dataset's card names, None for vectors, and whether it has to be trained first."""
    catalog = yield from operations.catalog()
    cards = {card["name"]: card for card in catalog["datasets"]}
    model = cast("str | None", cards.get(name, {}).get("default_model", _DEFAULT_MODEL))
    if model is None:
        return None, False
    weights = {card["name"]: card["weights"] for card in catalog["models"]}
    return {"name": model}, weights.get(model) is None
