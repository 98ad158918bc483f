"""Shapes of models and options of trainings: one of a family, and no field of another."""

from __future__ import annotations

from typing import Any

import pytest

from featurescape import spec_fields
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import check_shape
from featurescape_jobs.specs import (
    CaptionerSpec,
    CaptionTrainingSpec,
    ModelSpec,
    RecurrentSpec,
    TrainingSpec,
    TranslatorSpec,
    parse_spec,
)
from featurescape_jobs.trainers import TRAINERS, check_training

GRU = {"family": "recurrent", "cell": "gru"}
STAMPS = {"name": "stamps"}


def features(shape: Any) -> dict[str, Any]:
    model = {"name": "row_lstm", "weights": "random", "shape": shape}
    return {"job": "features", "dataset": {"name": "digits"}, "model": model}


def test_a_shape_is_of_the_family_that_it_names() -> None:
    spec = parse_spec(features(GRU))
    assert spec.model.shape == RecurrentSpec(cell="gru")
    assert spec.model.shape_as(RecurrentSpec) == RecurrentSpec(cell="gru")
    assert spec.model.shape_as(CaptionerSpec) is None
    assert parse_spec(spec.model_dump_json()) == spec
    assert ModelSpec(name="row_lstm", shape=RecurrentSpec(cell="gru")).shape == spec.model.shape


@pytest.mark.parametrize(
    ("shape", "field", "said"),
    [
        ({"cell": "gru"}, "model.shape", "'family'"),
        ({"family": "graph"}, "model.shape", "'recurrent', 'captioner'"),
        ({**GRU, "cel": 1}, "model.shape.cel", "did you mean cell"),
        ({**GRU, "dropout": 0.1}, "model.shape.dropout", "there are family, cell, layers"),
        ({**GRU, "layers": 9}, "model.shape.layers", "less than or equal to 4"),
        ({"family": "captioner", "cell": "gru"}, "model.shape.cell", "there are family, encoder"),
        (
            {"family": "captioner", "encoder": {"input_px": 1}},
            "model.shape.encoder.input_px",
            "greater than or equal to 16",
        ),
    ],
)
def test_what_is_wrong_is_named_as_a_user_wrote_it(shape: Any, field: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(features(shape))
    assert caught.value.detail["field"] == field
    assert caught.value.message.startswith(f"{field}: ")
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("model", "shape", "remedy"),
    [
        ("lenet", RecurrentSpec(), "leave it out"),
        ("captioner", RecurrentSpec(), "it takes one of the family captioner"),
        ("view_lstm", CaptionerSpec(), "it takes one of the family recurrent"),
    ],
)
def test_a_model_refuses_the_shape_of_another_family(model: str, shape: Any, remedy: str) -> None:
    with pytest.raises(SpecError, match=remedy) as caught:
        check_shape(MODELS[model].card, ModelSpec(name=model, shape=shape))
    assert caught.value.detail["field"] == "model.shape"


def test_each_model_takes_its_own() -> None:
    families = {
        "recurrent": RecurrentSpec(),
        "captioner": CaptionerSpec(),
        "translator": TranslatorSpec(),
    }
    found = {name: entry.card.family for name, entry in MODELS.items() if entry.card.family}
    recurrent = dict.fromkeys(("row_lstm", "view_lstm", "text_lstm"), "recurrent")
    assert found == {**recurrent, "captioner": "captioner", "translator": "translator"}
    for name, family in found.items():
        check_shape(MODELS[name].card, ModelSpec(name=name, shape=families[family]))


def test_options_of_a_training_are_those_of_its_trainer() -> None:
    captioner = TrainingSpec(
        dataset=STAMPS, model={"name": "captioner"}, options={"family": "captioner", "patience": 2}
    )
    assert captioner.options == CaptionTrainingSpec(patience=2)
    assert check_training(captioner) is TRAINERS["captioner"]
    classifier = {"dataset": {"name": "digits"}, "model": {"name": "lenet"}}
    assert check_training(TrainingSpec(**classifier)) is TRAINERS["classifier"]
    assert check_training(TrainingSpec(**classifier, options={"family": "classifier"}))
    wrong = TrainingSpec(**classifier, options={"family": "captioner", "patience": 2})
    with pytest.raises(SpecError, match="lenet is trained as a classifier, not as a captioner"):
        check_training(wrong)


def test_a_captioner_names_the_encoder_that_it_starts_from() -> None:
    encoder = {"name": "lenet", "weights": "random"}
    model = {"name": "captioner", "shape": {"family": "captioner", "encoder": encoder}}
    spec = TrainingSpec(dataset=STAMPS, model=model)
    found = TRAINERS["captioner"].networks(spec)
    assert found == {"model.shape.encoder": ModelSpec(name="lenet", weights="random")}
    assert TRAINERS["classifier"].networks(spec) == {}


def test_the_fields_of_each_family_are_told_apart() -> None:
    rows = [field for field in spec_fields.fields("features") if ".shape" in field.name]
    assert rows[0].values == "object of a family or null"
    cell = next(row for row in rows if row.name == "model.shape.cell")
    assert cell.meaning.startswith("`recurrent`: ")
    dropout = next(row for row in rows if row.name == "model.shape.dropout")
    assert dropout.meaning.startswith("`captioner`: ")
    assert [row.values for row in rows if row.name == "model.shape.family"] == [
        "`recurrent`",
        "`captioner`",
        "`translator`",
    ]
