"""Options of single datasets: beside the common fields in a spec, and known by the dataset's card."""

from __future__ import annotations

from typing import Any

import pytest

from featurescape_jobs.datasets import DATASETS, DatasetOptions, check_split
from featurescape_jobs.datasets.base import is_sequence, stored_dataset
from featurescape_jobs.datasets.caption_table import CaptionTableOptions
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec, parse_spec

NAMES = {
    "vectors": [
        *("vector_column", "id_column", "label_column"),
        *("image_column", "text_column", "zero_vectors"),
    ],
    "images": ["image_column", "label_column", "exif", "metadata", "attribute_columns"],
    "webdataset": ["image_column", "label_column"],
    "caption_table": ["image_column", "label_column", "caption_column"],
    "shapenet": ["example"],
    "text_table": ["max_characters", "text_column", "label_column"],
    "texts": ["max_characters", "example"],
    "udhr": ["max_characters", "example"],
    "parallel_texts": [
        *("max_characters", "source_language", "target_language"),
        *("source_column", "target_column", "group_column"),
    ],
}


def test_each_dataset_has_its_own() -> None:
    found = {name: list(entry.card.options.model_fields) for name, entry in DATASETS.items()}
    assert found == {name: NAMES.get(name, []) for name in DATASETS}


@pytest.mark.parametrize("name", list(DATASETS))
def test_no_option_is_called_as_a_common_field(name: str) -> None:
    options = DATASETS[name].card.options
    assert not set(options.model_fields) & set(DatasetSpec.model_fields)
    assert all(field.description for field in options.model_fields.values())


def test_they_stand_beside_the_common_fields_and_survive_json() -> None:
    given = {"name": "caption_table", "root": "/data", "caption_column": "said"}
    model = {"name": "lenet", "weights": "random"}
    spec = parse_spec({"job": "features", "dataset": given, "model": model})
    again = parse_spec(spec.model_dump_json())
    assert again == spec
    assert again.model_dump()["dataset"]["caption_column"] == "said"
    resolved = again.dataset.resolved("/elsewhere")
    assert CaptionTableOptions.of(resolved) == CaptionTableOptions(caption_column="said")


def test_what_is_left_out_has_its_default() -> None:
    options = CaptionTableOptions.of(DatasetSpec(name="caption_table"))
    assert options.image_column == "image"
    assert options.label_column is None


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"name": "digits", "label_column": "x"}, "label_column", "digits has no such option"),
        ({"name": "images", "rot": "/x"}, "rot", r"images has no such option; did you mean root\?"),
        ({"name": "images", "label_colum": "x"}, "label_colum", r"did you mean label_column\?"),
        ({"name": "images", "caption_column": "x"}, "caption_column", "images has no such option"),
        ({"name": "images", "image_column": ""}, "image_column", "at least 1 character"),
        ({"name": "images", "image_column": ["a"]}, "image_column", "valid string"),
        ({"name": "shapenet", "example": "mesh"}, "example", "'view' or 'model'"),
        ({"name": "stamps", "example": "model"}, "example", "stamps has no such option"),
        ({"name": "digits", "_allowed_roots": None}, "_allowed_roots", "no such option"),
        ({"name": "digits", "resolved": {"a": []}}, "resolved", "no such option"),
    ],
)
def test_a_wrong_one_is_named(given: dict[str, Any], field: str, said: str) -> None:
    spec = DatasetSpec.model_validate(given)
    with pytest.raises(DatasetError, match=said) as caught:
        check_split(DATASETS[spec.name].card, spec)
    assert caught.value.detail["field"] == f"dataset.{field}"


def test_the_way_to_ask_for_a_split_stays() -> None:
    spec = DatasetSpec.model_validate({"name": "shapenet", "split": "test"})
    check_split(DATASETS["shapenet"].card, spec)
    with pytest.raises(DatasetError, match=r"dataset\.split: digits has all, not 'test'"):
        check_split(DATASETS["digits"].card, spec.model_copy(update={"name": "digits"}))


def test_only_a_model_with_all_its_views_is_a_sequence() -> None:
    assert is_sequence(DatasetSpec(name="shapenet", example="model"))
    assert not is_sequence(DatasetSpec(name="shapenet", example="view"))
    assert not is_sequence(DatasetSpec(name="digits"))


def test_a_dataset_of_a_manifest_loses_what_is_not_known_now() -> None:
    kept = {"name": "images", "root": "/data", "label_column": "kind"}
    assert (
        stored_dataset(
            DATASETS["images"].card, {**kept, "later": 1, "caption_column": "x"}
        ).model_dump(exclude_defaults=True)
        == kept
    )


def test_the_card_says_their_schema() -> None:
    card = DATASETS["shapenet"].card.model_dump(mode="json")
    assert card["options"]["example"]["enum"] == ["view", "model"]
    assert DATASETS["digits"].card.model_dump(mode="json")["options"] == {}
    assert DATASETS["digits"].card.options is DatasetOptions
