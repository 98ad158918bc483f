"""Specs refuse what is wrong and name the field."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from featurescape_jobs.errors import FeaturescapeError, SpecError, error_classes, from_json
from featurescape_jobs.specs import (
    JOB_SPECS,
    EmbeddingSpec,
    FeaturesSpec,
    ModelSpec,
    Spec,
    input_jobs,
    input_kinds,
    parse_spec,
)

FEATURES = {"job": "features", "dataset": {"name": "digits"}, "model": {"name": "lenet"}}
TRAINING_ID = "training-0123456789ab"


def nested_specs(spec: type[BaseModel]) -> set[type[BaseModel]]:
    found = {spec}
    for field in spec.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Spec):
            found |= nested_specs(kind)
    return found


@pytest.mark.parametrize("job", list(JOB_SPECS))
def test_every_field_is_described(job: str) -> None:
    for spec in nested_specs(JOB_SPECS[job]):
        for name, field in spec.model_fields.items():
            assert name == "job" or field.description, f"{spec.__name__}.{name}"


def test_a_spec_survives_json() -> None:
    spec = parse_spec(FEATURES)
    assert parse_spec(spec.model_dump_json()) == spec
    assert parse_spec(json.loads(spec.model_dump_json())) == spec


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": -1}, "batch_size"),
        ({"colour": 1}, "colour"),
        ({"dataset": {"name": "digits", "limit": 0}}, "dataset.limit"),
        ({"dataset": {"name": "../digits"}}, "dataset.name"),
        ({"dataset": {"name": "digits", "example_ids": []}}, "dataset.example_ids"),
        ({"dataset": {"name": "digits", "example_ids": ["a", "a"]}}, "dataset.example_ids"),
        ({"dataset": {"name": "digits", "example_ids": ["a"] * 1001}}, "dataset.example_ids"),
        ({"model": {"name": "lenet", "training": "training-xyz"}}, "model.training"),
        ({"model": {"name": "lenet", "weights_sha256": "abc"}}, "model.weights_sha256"),
        ({"seed": -1}, "seed"),
        ({"pooling": "median"}, "pooling"),
        ({"resources": {"workers": 0}}, "resources.workers"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec({**FEATURES, **change})
    assert caught.value.detail["field"] == field
    assert caught.value.message.startswith(field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    text = f'{{"job": "embedding", "features": "features-0123456789ab", "perplexity": {number}}}'
    with pytest.raises(SpecError, match=r"perplexity|JSON"):
        parse_spec(text)


def test_an_unknown_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"batchsize: there is no such field; did you mean batch_s"):
        parse_spec({**FEATURES, "batchsize": 3})
    with pytest.raises(SpecError, match=r"resources.wrokers: .* did you mean workers\?"):
        parse_spec({**FEATURES, "resources": {"wrokers": 1}})


def test_an_unknown_job_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"job: there is no job type called 'featurs'.*features"):
        parse_spec({"job": "featurs"})
    with pytest.raises(SpecError, match=r"job: name a job type: .*training, features, embedding"):
        parse_spec({"dataset": {"name": "digits"}})
    for nonsense in ("[1]", b"null", 7, "{"):
        with pytest.raises(SpecError, match="job: "):
            parse_spec(nonsense)


def test_weights_have_one_source() -> None:
    with pytest.raises(ValueError, match="not both"):
        ModelSpec(name="lenet", training=TRAINING_ID, weights="random")


def test_inputs_are_the_jobs_a_spec_names() -> None:
    spec = FeaturesSpec.model_validate(
        {**FEATURES, "model": {"name": "lenet", "training": TRAINING_ID}}
    )
    assert input_jobs(spec) == {"model.training": TRAINING_ID}
    assert input_kinds(spec)["model.training"] == "training"
    embedding = EmbeddingSpec(features="features-0123456789ab")
    assert input_jobs(embedding) == {"features": "features-0123456789ab"}


@pytest.mark.parametrize("code", list(error_classes()))
def test_an_error_survives_json(code: str) -> None:
    kind = error_classes()[code]
    error = kind("what happened", field="dataset.root")
    back = from_json(error.to_json(), "fallback")
    assert type(back) is kind
    assert (back.message, back.detail) == ("what happened", {"field": "dataset.root"})


def test_codes_are_unique_and_in_the_docstring() -> None:
    import featurescape_jobs.errors as module

    def tree(kind: type[FeaturescapeError]) -> list[type[FeaturescapeError]]:
        return [kind, *(found for sub in kind.__subclasses__() for found in tree(sub))]

    kinds = tree(FeaturescapeError)
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert module.__doc__ is not None
    for kind in kinds[1:]:
        assert f"{kind.__name__} " in module.__doc__
        assert kind.code in module.__doc__


def test_an_answer_of_another_shape_becomes_the_base_error() -> None:
    assert type(from_json(["no", "error"], "HTTP 502")) is FeaturescapeError
    assert from_json("<html>", "HTTP 502").message == "HTTP 502"


def test_the_ways_to_be_right_of_one_value_are_said_in_one_sentence() -> None:
    spec = {"job": "embedding", "features": "features-0123456789ab", "perplexity": 1}
    with pytest.raises(SpecError) as caught:
        parse_spec(spec)
    assert caught.value.message == (
        "perplexity: Input should be greater than or equal to 2, or input should be 'auto'"
    )
    assert [problem["field"] for problem in caught.value.detail["problems"]] == ["perplexity"]
