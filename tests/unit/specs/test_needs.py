"""A spec class declares everything that it reads; one that does not is refused."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field

from featurescape_jobs.specs import (
    JOB_SPECS,
    Artifact,
    BaseJobSpec,
    DatasetSpec,
    DreamsSpec,
    DynamicsSpec,
    Examples,
    FeaturesSpec,
    Files,
    JobCard,
    JobId,
    MatrixSpec,
    ModelSpec,
    Network,
    Spec,
    TilesSpec,
    input_jobs,
    input_kinds,
    parse_spec,
)
from featurescape_jobs.specs.declarations import check_declared
from featurescape_jobs.specs.needs import ColorLayers, Trainee

CARD = JobCard("Count", "How many there are.", 0)


class GuideSpec(Spec):
    dataset: DatasetSpec = Field(description="Read.")


class Undeclared(BaseJobSpec):
    job: Literal["counts"] = "counts"
    dataset: DatasetSpec = Field(description="Read.")


class Everything(BaseJobSpec):
    """Reads one of each; the tests take a need away."""

    job: Literal["counts"] = "counts"
    card = CARD
    needs = (
        Examples(),
        Examples("guide.dataset"),
        Network(),
        Network("others"),
        Artifact("before", "features"),
        Files("matrices"),
    )
    dataset: DatasetSpec = Field(description="Read.")
    guide: GuideSpec | None = Field(default=None, description="Read.")
    model: ModelSpec | None = Field(default=None, description="Read.")
    others: tuple[ModelSpec, ...] = Field(default=(), description="Read.")
    before: JobId | None = Field(default=None, description="Read.")
    matrices: tuple[MatrixSpec, ...] = Field(default=(), description="Read.")


def without(*fields: str) -> type[BaseJobSpec]:
    needs = tuple(need for need in Everything.needs if need.field not in fields)
    return type("Less", (Everything,), {"needs": needs, "card": CARD, "__module__": __name__})


@pytest.mark.parametrize("job", list(JOB_SPECS))
def test_every_job_type_declares_what_it_reads(job: str) -> None:
    check_declared(JOB_SPECS[job])
    assert JOB_SPECS[job].needs
    assert JOB_SPECS[job].card.title


def test_a_spec_that_declares_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="Undeclared declares no needs"):
        check_declared(Undeclared)


def test_what_the_class_above_declares_is_not_its_own() -> None:
    inherits = type("Inherits", (FeaturesSpec,), {"__module__": __name__})
    with pytest.raises(TypeError, match="Inherits declares no needs"):
        check_declared(inherits)


def test_a_spec_that_declares_everything_is_taken() -> None:
    check_declared(Everything)
    check_declared(without())


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("dataset", "a dataset: declare Examples"),
        ("guide.dataset", "a dataset: declare Examples"),
        ("model", "a model: declare Network or Trainee"),
        ("others", "a model: declare Network or Trainee"),
        ("before", "an input job: declare Artifact"),
        ("matrices", "a file: declare Files"),
    ],
)
def test_each_thing_left_out_is_named(field: str, what: str) -> None:
    with pytest.raises(TypeError, match=rf"Less\.{field} is {what} of it"):
        check_declared(without(field))


def test_a_need_of_another_kind_does_not_count() -> None:
    needs = (
        Artifact("dataset", "features"),
        *(n for n in Everything.needs if n.field != "dataset"),
    )
    wrong = type("Wrong", (Everything,), {"needs": needs, "card": CARD, "__module__": __name__})
    with pytest.raises(TypeError, match=r"Wrong\.dataset is a dataset"):
        check_declared(wrong)


def test_the_declarations_are_those_of_the_docs() -> None:
    assert DynamicsSpec.needs == (
        Examples(read_by=("model", "compare")),
        Network(recurrent=True),
        Network("compare", recurrent=True),
        Files("matrices"),
    )
    assert DreamsSpec.needs == (Examples(), Network(), Examples("guide.dataset"))
    assert {type(need) for spec in JOB_SPECS.values() for need in spec.needs} == {
        Artifact,
        Examples,
        Network,
        Trainee,
        ColorLayers,
        Files,
    }


def test_inputs_are_found_however_deep_they_lie() -> None:
    training, other = "training-0123456789ab", "training-0123456789cd"
    spec: dict[str, Any] = {
        "job": "features",
        "dataset": {"name": "features", "job": "features-0123456789ab"},
        "model": {
            "name": "captioner",
            "training": training,
            "shape": {"family": "captioner", "encoder": {"name": "lenet", "training": other}},
        },
    }
    found = parse_spec(spec)
    assert input_jobs(found) == {
        "dataset.job": "features-0123456789ab",
        "model.training": training,
        "model.shape.encoder.training": other,
    }
    assert input_kinds(found) == {
        "dataset.job": "features",
        "model.training": "training",
        "model.shape.encoder.training": "training",
    }
    tiles = TilesSpec(embedding="embedding-0123456789ab")
    assert input_kinds(tiles) == {"embedding": "embedding"}
