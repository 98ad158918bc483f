"""Features of views and steps become rows of a features file."""

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs.extraction.rows import features_table, pool_views
from featurescape_jobs.tables import INPUT, LayerColumn, features_schema

FEATURES = np.array([[1, 8], [3, 2], [5, 5]], np.float32)
"""Two views of one example, one of the other."""
VIEWS = np.array([2, 1])


@pytest.mark.parametrize(
    ("pooling", "expected"), [("max", [[3, 8], [5, 5]]), ("mean", [[2, 5], [5, 5]])]
)
def test_views_are_pooled_by_hand(pooling: str, expected: list[list[float]]) -> None:
    found = pool_views(FEATURES, VIEWS, pooling)
    assert np.array_equal(found, np.array(expected, np.float32))


def test_the_features_of_every_view_stay_in_their_order() -> None:
    one, other = pool_views(FEATURES, VIEWS, "steps")
    assert one.tolist() == [[1, 8], [3, 2]]
    assert other.tolist() == [[5, 5]]


def test_a_table_holds_vectors_of_one_layer_and_lists_of_another() -> None:
    rows = [
        {"example_id": name, "label": 0, "locator": name, "size": 1, "attributes": None}
        for name in "ab"
    ]
    images = {
        "thumbnail": pa.array([{"bytes": b"x", "path": None}] * 2),
        "width": pa.array([3, 3]),
        "height": pa.array([2, 2]),
    }
    pooled = LayerColumn("features", "conv", "mean", 3)
    steps = LayerColumn("features_2", "recurrent.0", "steps", 2, steps=True)
    columns = {pooled: np.eye(2, 3, dtype=np.float32), steps: pool_views(FEATURES, VIEWS, "steps")}
    examples = pa.Table.from_pylist(rows, schema=INPUT)
    table = features_table(examples, columns, images, "float16")
    assert table.schema.equals(features_schema([pooled, steps], "float16"))
    assert table["features"].to_pylist() == [[1, 0, 0], [0, 1, 0]]
    assert table["features_2"].to_pylist() == [[[1, 8], [3, 2]], [[5, 5]]]
