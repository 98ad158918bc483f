"""Types of attributes, found over all values, and the table of typed columns."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.tables import attributes
from featurescape_jobs.tables.attributes import (
    AttributeTypes,
    attributes_table,
    column_names,
    parse_time,
)


def types_of(*values: Any) -> list[str]:
    """The type of an attribute with these values, one for each example."""
    types = AttributeTypes()
    types.add({"it": value} for value in values)
    return [info.type for info in types.infos()]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 2.5, -3), "number"),
        ((1, 2.5, "x"), "text"),
        (("12", "13"), "text"),
        (("2020-01-31", "2020-01-31T10:00:00Z"), "time"),
        (("2020-01-31", "2020-02-30"), "text"),
        (("2020-01-31", "soon", "soon", "soon"), "category"),
        (("a", "b", "a", "b"), "category"),
        (("a", "b", "c"), "text"),
        ((True, False), "category"),
        (("a" * 101,) * 4, "text"),
    ],
)
def test_the_type_follows_from_all_values(values: tuple[Any, ...], expected: str) -> None:
    assert types_of(*values) == [expected]


def test_lists_are_no_attributes_and_no_name_is_none() -> None:
    types = AttributeTypes()
    types.add([{"words": ["a", "b"], " ": 1, "n": 1}, None])
    assert [info.name for info in types.infos()] == ["n"]


def test_one_odd_value_in_a_later_batch_makes_numbers_text() -> None:
    types = AttributeTypes()
    types.add({"n": value} for value in range(100))
    assert types.infos()[0].type == "number"
    types.add([{"n": "unknown"}])
    assert types.infos()[0].type == "text"


def test_more_different_texts_than_a_legend_holds_are_no_category(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attributes, "MAX_CATEGORIES", 3)
    assert types_of(*"abcabc") == ["category"]
    assert types_of(*"abcdabcd") == ["text"]


def test_what_is_declared_comes_first_and_holds_where_all_values_fit() -> None:
    types = AttributeTypes()
    types.add([{"name": "x", "camera": "A", "iso": 100}, {"name": "y", "camera": "B", "iso": "?"}])
    declared = [
        AttributeInfo(name="iso", type="number", unit="ISO"),
        AttributeInfo(name="camera", type="category", about="Maker and model."),
        AttributeInfo(name="taken", type="time"),
    ]
    assert [(info.name, info.type, info.unit) for info in types.infos(declared)] == [
        ("iso", "text", "ISO"),
        ("camera", "category", ""),
        ("name", "text", ""),
    ]


def test_the_table_has_a_typed_column_for_each_attribute_in_the_order_of_the_rows() -> None:
    infos = [
        AttributeInfo(name="n", type="number", unit="nats"),
        AttributeInfo(name="when", type="time"),
        AttributeInfo(name="kind", type="category"),
        AttributeInfo(name="said", type="text"),
    ]
    rows = [
        {"n": 1, "when": "2020-01-31T10:00:00+02:00", "kind": "a", "said": "x"},
        {"n": "?", "when": "soon", "kind": True, "said": 7},
        None,
        {"n": 2.5, "when": "1969-12-31T23:59:59.5Z", "kind": "a", "more": []},
    ]
    texts = [None if row is None else json.dumps(row) for row in rows]
    table = attributes_table(pa.chunked_array([list("pqrs")]), pa.chunked_array([texts]), infos)
    assert table.schema.types[1:] == [
        pa.float64(),
        pa.timestamp("us", tz="UTC"),
        pa.dictionary(pa.int32(), pa.string()),
        pa.string(),
    ]
    assert table.schema.field("n").metadata[b"unit"] == b"nats"
    assert table.to_pydict() == {
        "example_id": ["p", "q", "r", "s"],
        "n": [1.0, None, None, 2.5],
        "when": [
            datetime(2020, 1, 31, 8, tzinfo=UTC),
            None,
            None,
            datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
        ],
        "kind": ["a", "true", None, "a"],
        "said": ["x", "7", None, None],
    }


def test_a_category_has_one_dictionary_over_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "_BATCH_ROWS", 2)
    texts = [json.dumps({"k": word}) for word in "abbcca"]
    ids = pa.chunked_array([[str(row) for row in range(6)]])
    table = attributes_table(
        ids, pa.chunked_array([texts]), [AttributeInfo(name="k", type="category")]
    )
    column = table["k"].combine_chunks()
    assert column.to_pylist() == list("abbcca")
    assert column.dictionary.to_pylist() == ["a", "b", "c"]


def test_hostile_names_of_columns_do_not_collide() -> None:
    names = ["example_id", "a.b", "a\nb", "example_id_2"]
    infos = [AttributeInfo(name=name, type="text") for name in names]
    assert column_names(infos) == ["example_id_2", "a.b", "a\nb", "example_id_2_2"]
    row = json.dumps({name: name for name in names})
    table = attributes_table(pa.chunked_array([["p"]]), pa.chunked_array([[row]]), infos)
    assert table.to_pylist() == [
        {"example_id": "p"} | dict(zip(column_names(infos), names, strict=True))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-31", datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-31 10:00", datetime(2020, 1, 31, 10, tzinfo=UTC)),
        ("2020-01-31T00:30:00+01:00", datetime(2020, 1, 30, 23, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", None),
        ("20200131", None),
        ("2020-01-31 noon", None),
        ("2020-13-01", None),
        ("٢٠٢٠-٠١-٣١", None),
    ],
)
def test_times_are_those_of_iso_8601(text: str, expected: datetime | None) -> None:
    assert parse_time(text) == expected
