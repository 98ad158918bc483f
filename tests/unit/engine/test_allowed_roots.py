"""Which roots a request may name: below the allowed ones, and never an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.errors import DatasetError, WeightsError


def check(root: str, allowed: tuple[str, ...] | None = None) -> str:
    return check_root(root, allowed, DatasetError, "dataset.root")


def test_a_folder_below_an_allowed_root_passes(tmp_path: Path) -> None:
    assert check(str(tmp_path / "a" / "b"), (str(tmp_path),)) == str(tmp_path / "a" / "b")
    assert check(str(tmp_path), (str(tmp_path),)) == str(tmp_path)


def test_none_allows_any_path_and_an_empty_list_none(tmp_path: Path) -> None:
    assert check(str(tmp_path)) == str(tmp_path)
    with pytest.raises(DatasetError, match="allowed: none"):
        check(str(tmp_path), ())


@pytest.mark.parametrize("outside", ["/etc", "{root}/../other", "{root}-evil", "/", "."])
def test_a_path_outside_is_refused_by_field(tmp_path: Path, outside: str) -> None:
    root = tmp_path / "data"
    with pytest.raises(DatasetError, match=r"^dataset\.root: .* is not below an allowed") as caught:
        check(outside.replace("{root}", str(root)), (str(root),))
    assert caught.value.detail["field"] == "dataset.root"


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "data"
    inside.mkdir()
    (inside / "link").symlink_to("/etc")
    with pytest.raises(DatasetError, match="not below"):
        check(str(inside / "link"), (str(inside),))
    assert check(str(inside / "link")) == str(Path("/etc").resolve())


def test_a_loop_of_links_is_an_error_or_a_path_outside(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DatasetError, match="cannot be resolved"):
        check(str(tmp_path / "a"), (str(tmp_path),))


@pytest.mark.parametrize(
    "root",
    [
        "file:///etc/passwd",
        "FILE:/etc",
        "http://example.org/data",
        "https://user:secret@example.org",
        "gs://bucket/x",
        "S3://bucket",
        " http://169.254.169.254/latest",
        "simplecache::s3://bucket/key",
        "zip://a::/etc",
        "s3://169.254.169.254/latest/meta-data",
        "s3://key:secret@bucket/data",
        "s3://bucket:9000/data",
        "s3://bucket/a/../../other",
        "s3://bucket/data?endpoint_override=169.254.169.254",
        "s3://",
        "s3:///data",
        "s3:/data",
        "/data\0/x",
        "/" + "a/" * 5000,
        "x" * 5000,
    ],
)
def test_other_addresses_are_refused_even_where_any_root_is_allowed(root: str) -> None:
    with pytest.raises(DatasetError, match=r"^dataset\.root: "):
        check(root)
    with pytest.raises(DatasetError, match=r"^dataset\.root: "):
        check(root, ("/",))


def test_buckets_are_compared_by_whole_names() -> None:
    allowed = ("s3://bucket/data/",)
    assert check("s3://bucket/data/train/", allowed) == "s3://bucket/data/train"
    assert check("s3://bucket", ("s3://bucket",)) == "s3://bucket"
    for outside in ("s3://bucket/database", "s3://bucket", "s3://bucket2/data", "/bucket/data"):
        with pytest.raises(DatasetError, match="not below"):
            check(outside, allowed)


def test_the_error_is_of_the_class_asked_for() -> None:
    with pytest.raises(WeightsError, match=r"^model\.weights: "):
        check_root("http://example.org/w.pth", None, WeightsError, "model.weights")
