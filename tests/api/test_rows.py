"""Rows of artifacts as JSON, and the images in them."""

from __future__ import annotations

import math
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from featurescape.server import row_files
from featurescape.server.row_files import RowFiles
from featurescape.server.rows import media_type
from featurescape_jobs.tables import IMAGE
from helpers.service_fakes import FEATURES_SPEC, RunningService, png, webp

MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(100)
WEBM = b"\x1aE\xdf\xa3" + bytes(100)
HTML = b"<html><script>alert(1)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
ROWS = 7
RECORD = pa.struct(
    [
        pa.field("name", pa.string()),
        pa.field("values", pa.list_(pa.float16()), metadata={"unit": "volts"}),
        pa.field("short", pa.list_(pa.int32(), 2)),
        pa.field("grid", IMAGE),
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), metadata={"description": "Its id."}),
        pa.field("channel", pa.int32()),
        pa.field("norm", pa.float32()),
        pa.field("even", pa.bool_()),
        pa.field("image", IMAGE),
        pa.field("film", pa.list_(IMAGE)),
        pa.field("parts", pa.list_(RECORD)),
        pa.field("vector", pa.list_(pa.float32(), 300)),
        pa.field("note", pa.binary()),
    ]
)
NORMS = [3.0, None, 1.0, float("nan"), 2.0, float("inf"), 0.0]
IMAGES = [png(1), webp(), MP4, WEBM, HTML, SVG, None]


def image(data: bytes | None) -> dict[str, Any] | None:
    return {"bytes": data, "path": None}


def example(row: int) -> dict[str, Any]:
    part = {"values": [float(row)] * 300, "short": [row, -row], "grid": image(png(row))}
    return {
        "example_id": f"id/{row} <b>&?",
        "channel": 10 * row,
        "norm": NORMS[row],
        "even": row % 2 == 0,
        "image": image(IMAGES[row]),
        "film": [image(png(10 + row)), None, image(png(20 + row))],
        "parts": [{"name": "first", **part}, {"name": None, **part}],
        "vector": [0.5] * 300,
        "note": b"\xff\x00",
    }


@pytest.fixture(scope="module")
def job(service: RunningService) -> str:
    """An artifact with rows in three files, of two, four and one row; four of them in two groups."""
    made = service.commit
    job_id = made.started(FEATURES_SPEC)
    table = pa.Table.from_pylist([example(row) for row in range(ROWS)], schema=SCHEMA)
    parts = [table.slice(0, 2), table.slice(2, 4), table.slice(6)]
    files = [
        made.add_table(job_id, f"part-{number}.parquet", part, "things")
        for number, part in enumerate(parts)
    ]
    empty = made.add_table(job_id, "none.parquet", SCHEMA.empty_table(), "nothing")
    archive = made.add_archive(job_id, "density", "density", png(1))
    made.finish(job_id, [*files, empty, archive])
    return job_id


def rows(http: httpx.Client, job: str, **query: Any) -> dict[str, Any]:
    answer = http.get(f"/v1/jobs/{job}/rows/things", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def numbers(found: dict[str, Any]) -> list[int]:
    return [each["row"] for each in found["rows"]]


def test_row_numbers_run_over_all_files(http: httpx.Client, job: str) -> None:
    found = rows(http, job, columns="example_id,channel")
    assert (found["total"], found["offset"], numbers(found)) == (ROWS, 0, list(range(ROWS)))
    for row, each in enumerate(found["rows"]):
        assert each["values"] == {"example_id": f"id/{row} <b>&?", "channel": 10 * row}
    part = rows(http, job, offset=1, limit=4)
    assert (part["total"], part["offset"], numbers(part)) == (ROWS, 1, [1, 2, 3, 4])
    assert rows(http, job, offset=10**12)["rows"] == []


def test_without_being_asked_long_lists_of_numbers_are_left_out(
    http: httpx.Client, job: str
) -> None:
    values = rows(http, job)["rows"][2]["values"]
    assert list(values) == [
        "example_id",
        "channel",
        "norm",
        "even",
        "image",
        "film",
        "parts",
        "note",
    ]
    assert values["note"] is None
    assert [sorted(part) for part in values["parts"]] == [["grid", "name", "short"]] * 2
    assert values["parts"][1]["short"] == [2, -2]


def test_a_column_or_a_field_in_a_list_of_records_is_given_when_asked_for(
    http: httpx.Client, job: str
) -> None:
    found = rows(http, job, columns="parts.values, vector", limit=2)
    values = found["rows"][1]["values"]
    assert values == {"parts": [{"values": [1.0] * 300}] * 2, "vector": [0.5] * 300}
    about = {each["name"]: each for each in found["columns"]}
    assert (about["parts.values"]["unit"], about["parts.values"]["given"]) == ("volts", True)
    assert (about["example_id"]["description"], about["example_id"]["given"]) == ("Its id.", False)


def test_images_come_as_addresses_with_their_type(http: httpx.Client, job: str) -> None:
    found = [each["values"]["image"] for each in rows(http, job, columns="image")["rows"]]
    types = [each and each["media_type"] for each in found]
    assert types == ["image/png", "image/webp", "video/mp4", "video/webm", None, None, None]
    for row in range(4):
        answer = http.get(found[row]["url"])
        assert (answer.status_code, answer.content) == (200, IMAGES[row])
        assert answer.headers["content-type"] == types[row]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in answer.headers["cache-control"]


def test_images_in_lists_and_records_have_their_own_address(http: httpx.Client, job: str) -> None:
    values = rows(http, job, columns="film,parts.grid", offset=3, limit=1)["rows"][0]["values"]
    assert values["film"][1] is None
    assert http.get(values["film"][2]["url"]).content == png(23)
    assert http.get(values["parts"][1]["grid"]["url"]).content == png(3)


def test_a_video_can_be_had_in_parts(http: httpx.Client, job: str) -> None:
    address = f"/v1/jobs/{job}/rows/things/2/image?at=image"
    part = http.get(address, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert part.headers["content-range"] == f"bytes 4-7/{len(MP4)}"
    assert part.headers["content-type"] == "video/mp4"
    assert http.get(address, headers={"Range": "bytes=9999-"}).status_code == 416


@pytest.mark.parametrize("row", [4, 5])
def test_bytes_of_another_type_are_not_served(http: httpx.Client, job: str, row: int) -> None:
    assert http.get(f"/v1/jobs/{job}/rows/things/{row}/image?at=image").status_code == 404


def test_rows_are_found_by_example_and_channel(http: httpx.Client, job: str) -> None:
    found = rows(http, job, example_id="id/4 <b>&?", columns="channel")
    assert (found["total"], found["rows"]) == (1, [{"row": 4, "values": {"channel": 40}}])
    assert numbers(rows(http, job, channel=60)) == [6]
    assert rows(http, job, example_id="id/4")["total"] == 0
    assert rows(http, job, channel=2**31 - 1)["total"] == 0


def test_rows_are_ordered_by_a_column_and_those_without_a_value_come_last(
    http: httpx.Client, job: str
) -> None:
    assert numbers(rows(http, job, order="norm", columns="norm"))[:5] == [6, 2, 4, 0, 5]
    largest = rows(http, job, order="-norm", limit=3, offset=1)
    assert (largest["total"], numbers(largest)) == (ROWS, [0, 4, 2])


def test_rows_are_those_where_all_conditions_hold(http: httpx.Client, job: str) -> None:
    address = f"/v1/jobs/{job}/rows/things"

    def rows(**query: Any) -> list[int]:
        page = http.get(address, params={"columns": "channel", **query}).json()
        assert page["total"] == len(page["rows"])
        return [row["row"] for row in page["rows"]]

    assert rows(where="channel=30") == [3]
    assert rows(where="example_id=id/2 <b>&?") == [2]
    assert rows(where=["channel=30", "example_id=id/2 <b>&?"]) == []
    assert rows(where="channel=-1") == []
    assert rows(where="even=true") == [0, 2, 4, 6]
    assert rows(where="even=false", order="-channel") == [5, 3, 1]
    assert rows(where="even=true", order="norm", offset=0) == [6, 2, 4, 0]


@pytest.mark.parametrize(
    "where", ["nobody=1", "channel=x", "channel", "norm=1", "even=1", "parts=1", "=", ""]
)
def test_a_condition_that_cannot_be_is_refused(http: httpx.Client, job: str, where: str) -> None:
    answer = http.get(f"/v1/jobs/{job}/rows/things", params={"where": where})
    assert answer.status_code == 422
    assert answer.json()["error"]["detail"]["field"] == "where"


def test_conditions_are_few(http: httpx.Client, job: str) -> None:
    answer = http.get(f"/v1/jobs/{job}/rows/things", params={"where": ["channel=1"] * 5})
    assert answer.status_code == 422


def test_what_is_not_finite_is_null(http: httpx.Client, job: str) -> None:
    found = [each["values"]["norm"] for each in rows(http, job, columns="norm")["rows"]]
    assert found == [
        value if value is not None and math.isfinite(value) else None for value in NORMS
    ]


def test_one_row_is_shown_with_all_or_some_columns(http: httpx.Client, job: str) -> None:
    one = http.get(f"/v1/jobs/{job}/rows/things/5").json()
    assert one == rows(http, job, offset=5, limit=1)["rows"][0]
    some = http.get(f"/v1/jobs/{job}/rows/things/5", params={"columns": "channel"}).json()
    assert some == {"row": 5, "values": {"channel": 50}}


def test_a_table_without_rows_has_none(http: httpx.Client, job: str) -> None:
    found = http.get(f"/v1/jobs/{job}/rows/nothing").json()
    assert (found["total"], found["rows"]) == (0, [])


@pytest.mark.parametrize("row", ["7", "-1", str(10**30)])
def test_a_row_outside_of_the_table_is_not_found(http: httpx.Client, job: str, row: str) -> None:
    for what in ("", "/image?at=image"):
        assert http.get(f"/v1/jobs/{job}/rows/things/{row}{what}").status_code == 404


@pytest.mark.parametrize(
    "kind", ["density", "other", "%2e%2e", "%2e%2e%5cspec", "things%00", "a" * 9000, "<script>"]
)
def test_only_tables_of_the_manifest_are_read(http: httpx.Client, job: str, kind: str) -> None:
    assert http.get(f"/v1/jobs/{job}/rows/{kind}").status_code == 404
    assert http.get(f"/v1/jobs/{job}/rows/{kind}/0/image?at=image").status_code == 404


def test_a_kind_that_is_not_there_is_answered_with_those_there_are(
    http: httpx.Client, job: str
) -> None:
    error = http.get(f"/v1/jobs/{job}/rows/grid").json()["error"]
    assert error["code"] == "not_found"
    assert "things, nothing" in error["message"]


@pytest.mark.parametrize(
    "at",
    ["film", "film.3", "film.1", "film.-1", "film.0.bytes", "image.bytes", "image.0", "parts",
     "parts.0", "parts.grid", "parts.9.grid", "note", "vector.0", "0", ".", "a..b", "film.٣",
     "film.99999999999999999999", "__class__", "../../spec.json", "image\x00"],
)  # fmt: skip
def test_a_place_without_an_image_is_not_found(http: httpx.Client, job: str, at: str) -> None:
    answer = http.get(f"/v1/jobs/{job}/rows/things/0/image", params={"at": at})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=101", "limit"), ("offset=-1", "offset"),
        ("offset=1e3", "offset"), ("columns=nothing", "columns"), ("columns=image.bytes", "columns"),
        ("columns=" + "a" * 20_000, "columns"), ("order=example_id", "order"),
        ("order=parts.values", "order"), ("order=--norm", "order"), ("order=", "order"),
        ("channel=-1", "channel"), (f"channel={2**31}", "channel"), ("channel=x", "channel"),
    ],
)  # fmt: skip
def test_a_wrong_query_is_answered_with_its_field(
    http: httpx.Client, job: str, query: str, field: str
) -> None:
    answer = http.get(f"/v1/jobs/{job}/rows/things?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["detail"]["field"] == field


def test_a_key_that_the_table_has_not_is_named(http: httpx.Client, map_id: str) -> None:
    answer = http.get(f"/v1/jobs/{map_id}/rows/points?channel=1")
    assert answer.status_code == 422
    assert "points has no such column" in answer.json()["error"]["message"]


def test_a_job_without_an_artifact_has_no_rows(http: httpx.Client, service: RunningService) -> None:
    job_id = service.commit.started(FEATURES_SPEC)
    assert http.get(f"/v1/jobs/{job_id}/rows/features").status_code == 404
    assert http.get("/v1/jobs/..%2f..%2fetc/rows/features").status_code == 404


def test_an_answer_has_at_most_a_million_numbers(
    http: httpx.Client, service: RunningService
) -> None:
    job_id = service.commit.started(FEATURES_SPEC)
    table = pa.table({"values": pa.array([np.zeros(600_000, np.float32)] * 2)})
    ref = service.commit.add_table(job_id, "large.parquet", table, "large")
    service.commit.finish(job_id, [ref])
    address = f"/v1/jobs/{job_id}/rows/large"
    assert http.get(address).json()["rows"] == [{"row": row, "values": {}} for row in range(2)]
    answer = http.get(address, params={"columns": "values"})
    assert (answer.status_code, answer.json()["error"]["detail"]["field"]) == (422, "columns")
    one = http.get(address, params={"columns": "values", "limit": 1}).json()
    assert len(one["rows"][0]["values"]["values"]) == 600_000


def test_a_damaged_file_is_an_error_of_ours(http: httpx.Client, service: RunningService) -> None:
    job_id = service.commit.started(FEATURES_SPEC)
    ref = service.commit.add_table(job_id, "a.parquet", SCHEMA.empty_table(), "things")
    service.storage.write(f"jobs/{job_id}/{ref.path}", b"PAR1 nothing PAR1")
    service.commit.finish(job_id, [ref])
    answer = http.get(f"/v1/jobs/{job_id}/rows/things")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "artifact_error")


def test_of_a_row_group_beyond_the_limit_one_row_is_read_at_a_time(
    service: RunningService, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "LARGEST_GROUP_BYTES", 0)
    path = f"jobs/{job}/data/part-1.parquet"
    files = RowFiles(service.storage)
    for row in range(4):
        found = files.row(path, row, ("example_id", "film"))
        assert found["example_id"].as_py() == f"id/{2 + row} <b>&?"
        assert found["film"].as_py()[0]["bytes"] == png(12 + row)


def test_types_are_known_by_their_first_bytes() -> None:
    assert media_type(b"RIFF1234WEBPVP8 ") == "image/webp"
    assert media_type(b"RIFF1234WAVEfmt ") is None
    assert media_type(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert media_type(b"GIF89a") is None
    assert media_type(b"") is None
