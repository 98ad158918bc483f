"""Dreams: specs without sense, and mistakes that are found before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from featurescape_jobs import dreams
from featurescape_jobs.errors import DatasetError, LayerError, SpecError
from featurescape_jobs.specs import parse_spec
from helpers.dream_runs import dream, images, photos, spec_of, write_photos
from helpers.pixel_networks import one_thread

__all__ = ["one_thread", "photos"]  # fixtures that work by being here

TERM = {"objective": "channel", "channel": 5}


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"layer": "blocks.99"}, LayerError, "no layer 'blocks.99'"),
        ({"layer": "pool", "max_px": 24}, SpecError, "max_px: .* from 32 px on"),
        ({"objective": "channel", "channel": 112}, SpecError, "channel: 112 is not in blocks.10"),
        (
            {"objective": "sum", "terms": [TERM, TERM | {"layer": "blocks.99"}]},
            LayerError,
            r"terms\.1\.layer: the network has no layer 'blocks.99'",
        ),
        (
            {"objective": "sum", "terms": [TERM, TERM | {"channel": 112}]},
            SpecError,
            r"terms\.1\.channel: 112 is not in blocks\.10",
        ),
        ({"dataset": {"name": "images", "root": "/nowhere"}}, DatasetError, "dataset.root"),
        (
            {"model": {"name": "row_lstm", "weights": "random"}, "execution": "auto"},
            SpecError,
            "layer: the card of row_lstm",
        ),
        (
            {"model": {"name": "row_lstm", "weights": "random"}, "layer": "head"},
            SpecError,
            "execution: bfloat16 is not possible",
        ),
    ],
)
def test_mistakes_are_found_before_any_work(
    tmp_path: Path, photos: Path, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        dream(tmp_path, spec_of(photos, **changes))
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.parametrize("example_id", ["missing.png", "bad.png"])
def test_a_guide_that_is_not_there_is_found_before_any_work(
    tmp_path: Path, photos: Path, example_id: str
) -> None:
    folder = write_photos(tmp_path / "guides", [(40, 40)])
    (folder / "bad.png").write_text("no image")
    guide = {"dataset": images(folder), "example_id": example_id}
    with pytest.raises(DatasetError, match="guide"):
        dream(tmp_path / "out", spec_of(photos, objective="guided", guide=guide))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"objective": "channel"}, "channel: objective channel needs a number"),
        ({"channel": 3}, "channel: objective layer takes none"),
        ({"objective": "guided"}, "guide: give it for objective guided"),
        ({"terms": [TERM]}, "terms: give them for objective sum, and for no other"),
        ({"objective": "sum"}, "terms: give them for objective sum"),
        ({"objective": "sum", "terms": [TERM], "channel": 3}, "channel: objective sum takes none"),
        (
            {"objective": "sum", "terms": [TERM | {"objective": "guided", "channel": None}]},
            "guide:",
        ),
        ({"octaves": 0}, "greater than or equal to 1"),
        ({"octave_scale": 1.0}, "greater than or equal to 1.05"),
        ({"iterations": -1}, "greater than or equal to 0"),
        ({"zoom": {"frames": 1}}, "greater than or equal to 2"),
        ({"step": float("nan")}, "finite number"),
    ],
)
def test_specs_that_mean_nothing_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec_of(Path("/photos"), **changes)


@pytest.mark.parametrize(
    ("terms", "field", "says"),
    [
        ([], "terms", "at least 1 item"),
        ([TERM] * 17, "terms", "at most 16 items"),
        ([TERM, TERM | {"weight": float("nan")}], "terms.1.weight", "finite number"),
        ([TERM, TERM | {"weight": float("inf")}], "terms.1.weight", "finite number"),
        ([TERM, TERM | {"weight": 0}], "terms.1.weight", "from 0.001 to 1,000, not 0"),
        ([TERM, TERM | {"weight": -1001}], "terms.1.weight", "from 0.001 to 1,000, not -1001"),
        ([TERM, {"objective": "channel"}], "terms.1", "channel: objective channel needs a number"),
        ([TERM, {"objective": "sum"}], "terms.1.objective", "'layer', 'channel'"),
        ([TERM, TERM | {"wieght": 1}], "terms.1.wieght", "did you mean weight?"),
    ],
)
def test_terms_that_mean_nothing_are_refused_by_their_name(
    terms: list[dict[str, Any]], field: str, says: str
) -> None:
    spec = spec_of(Path("/photos")).model_dump() | {"objective": "sum", "terms": terms}
    with pytest.raises(SpecError) as refused:
        parse_spec(spec)
    assert refused.value.detail["field"] == field
    assert says in refused.value.message


def test_a_sum_comes_back_from_json_and_older_specs_stay_valid() -> None:
    terms = [TERM, TERM | {"weight": -0.5, "layer": "blocks.8"}]
    spec = spec_of(Path("/photos"), objective="sum", terms=terms)
    assert parse_spec(spec.model_dump_json()) == spec
    older = spec_of(Path("/photos"), objective="channel", channel=3).model_dump()
    del older["terms"]
    assert parse_spec(older) == spec_of(Path("/photos"), objective="channel", channel=3)


def test_the_time_that_an_image_may_take_grows_with_its_work() -> None:
    small, large = spec_of(Path("/p"), max_px=64), spec_of(Path("/p"), max_px=4096, iterations=100)
    assert 60 < dreams.image_seconds(small) < 62
    assert dreams.image_seconds(large) > 3600
    zoom = spec_of(Path("/p"), max_px=64, zoom={"frames": 99})
    assert dreams.image_seconds(zoom) - 60 == pytest.approx(
        100 * (dreams.image_seconds(small) - 60)
    )
