"""Units: what goes wrong, with a row or with the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from featurescape_jobs.errors import AllRowsFailedError, LayerError, SpecError
from helpers.unit_runs import COMBINED, SCAN_ONLY, png, run, spec_of


def test_a_bad_file_is_an_error_row_and_so_is_a_channel_whose_example_is_gone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(12):
        png(folder, f"{number:02d}.png", rng.integers(0, 256, (30 + number, 28)))
    (folder / "05.png").write_bytes(b"no image")
    dataset = {"name": "images", "root": str(folder)}
    changes = {"dataset": dataset, "shard_size": 5, "top": 2, **SCAN_ONLY}
    outcome, rows, context = run(tmp_path / "out", **changes)
    assert (outcome.rows, outcome.error_rows) == (32, 1)
    assert outcome.details["error_codes"] == {"not_an_image": 1}
    errors = context.storage.read_table(context.path("data/errors.parquet")).to_pylist()
    assert [row["example_id"] for row in errors] == ["05.png"]
    assert 5 not in {entry["row"] for row in rows for entry in row["top"]}
    gone = rows[0]["top"][0]["example_id"]
    (folder / gone).unlink()
    for marker in context.storage.list_files(context.path("work/channels/markers")):
        context.storage.delete(marker)
    outcome, left, context = run(tmp_path / "out", attempt=2, **changes)
    lost = [row for row in rows if gone in {entry["example_id"] for entry in row["top"]}]
    assert left == [row for row in rows if row not in lost]
    assert outcome.details["channels_error_codes"] == {"not_found": len(lost)}
    (file,) = [file for file in context.files if file.kind == "channels_errors"]
    errors = context.storage.read_table(context.path(file.path)).to_pylist()
    assert [row["example_id"] for row in errors] == [row["example_id"] for row in lost]


def test_where_nothing_can_be_read_the_job_fails_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no image")
    dataset = {"name": "images", "root": str(folder)}
    changes: dict[str, Any] = {"channels": (0,), "preferred": ["smooth"], "preferred_steps": 1}
    with pytest.raises(AllRowsFailedError, match=r"none of 1 examples .* 1 not_an_image"):
        run(tmp_path / "out", dataset=dataset, execution="auto", **changes)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        (
            {"combinations": (*COMBINED, {"terms": [{"channel": 3}, {"channel": 32}]})},
            SpecError,
            r"combinations\.1\.terms\.1\.channel: 32 is not in conv2",
        ),
        ({"layer": "conv9"}, LayerError, "no layer 'conv9'"),
        ({"channels": (3, 32)}, SpecError, "channel: 32 is not in conv2"),
        ({"preferred_channels": (40,)}, SpecError, "channel: 40 is not in conv2"),
        ({"layer": "fc1", "preferred_px": 20}, SpecError, "preferred_px: .* takes 28 px only"),
        ({"preferred_px": 9}, SpecError, "preferred_px: .* images from 14 px on"),
        (
            {"model": {"name": "row_lstm", "weights": "random"}, "layer": "head"},
            SpecError,
            "execution: folded is not possible",
        ),
        (
            {"model": {"name": "row_lstm", "weights": "random"}, "layer": None},
            LayerError,
            "layer: the card of row_lstm names no layer with positions",
        ),
    ],
)
def test_mistakes_are_found_before_any_work(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        run(tmp_path, **changes)
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": (1, 1)}, "a channel is named twice"),
        ({"channels": ()}, "at least 1 item"),
        ({"combinations": ({"terms": ()},)}, "at least 1 item"),
        (
            {"combinations": ({"terms": [{"channel": 1}, {"channel": 1}]},)},
            "a channel is named twice",
        ),
        ({"combinations": ({"terms": [{"channel": 1, "weight": 0}]},)}, "from 0.001 to 1,000"),
        ({"preferred": ("lucid", "lucid")}, "a recipe is named twice"),
        ({"preferred": ("deep",)}, "Input should be"),
        ({"channels": (1,), "preferred_channels": (2,)}, "2 is not among channels"),
        ({"top": 0}, "greater than or equal to 1"),
    ],
)
def test_specs_that_mean_nothing_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec_of(**changes)
