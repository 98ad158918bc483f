"""Files appear whole or not at all, and nothing leaves the root; on disk as on S3."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from featurescape_jobs.engine.fingerprints import fingerprint
from featurescape_jobs.engine.storage import Storage, check_path
from featurescape_jobs.errors import NotFoundError, RequestError
from featurescape_jobs.tables import ERRORS
from helpers.tar_builders import bucket


@pytest.fixture(scope="module")
def s3_root() -> Iterator[str]:
    with bucket("maps") as root:
        yield f"{root}/prefix"


@pytest.fixture(params=["disk", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "disk":
        return Storage(str(tmp_path / "root"))
    return Storage(f"{request.getfixturevalue('s3_root')}/{request.node.name.encode().hex()[:40]}")


def test_a_table_without_rows_has_columns_and_no_row_group(tmp_path: Path) -> None:
    """Other readers take the rows of the first row group for the size of a batch, and stop at 0."""
    storage = Storage(str(tmp_path))
    storage.write_table("errors.parquet", ERRORS.empty_table())
    with storage.parquet("errors.parquet") as file:
        assert (file.num_row_groups, file.schema_arrow.names) == (0, ERRORS.names)
    assert storage.read_table("errors.parquet").num_rows == 0
    table = pa.table({"label": pa.array([1, 2, 3])})
    storage.write_table("rows.parquet", table, 2, {"label": ["a", "b", "c", "d"]})
    with storage.parquet("rows.parquet") as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [2, 1]
    assert storage.read_table("rows.parquet").equals(table)


def test_what_was_written_is_read(storage: Storage) -> None:
    written = storage.write("jobs/a/file.bin", b"hello world")
    assert written.sha256 == hashlib.sha256(b"hello world").hexdigest()
    assert storage.read("jobs/a/file.bin") == b"hello world"
    assert storage.read("jobs/a/file.bin", 6, 3) == b"wor"
    assert (storage.size("jobs/a/file.bin"), storage.exists("jobs/a/file.bin")) == (11, True)
    assert storage.sha256("jobs/a/file.bin") == written.sha256


def test_listing_is_sorted_and_relative(storage: Storage) -> None:
    for name in ("b", "a/2", "a/1"):
        storage.write(f"jobs/{name}", b"x")
    assert storage.list_files("jobs") == ["jobs/a/1", "jobs/a/2", "jobs/b"]
    assert storage.list_names("jobs") == ["a", "b"]
    assert storage.list_files("nothing") == []


def test_a_missing_file_says_so(storage: Storage) -> None:
    with pytest.raises(NotFoundError, match="no file jobs/none"):
        storage.read("jobs/none")
    with pytest.raises(NotFoundError):
        storage.size("jobs/none")
    assert not storage.exists("jobs/none")


def test_tables_come_back_as_they_were(storage: Storage) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(range(12), pa.float32()), 4)
    table = pa.table({"example_id": ["a", "b", "c"], "features": vectors})
    storage.write_table("t.parquet", table, row_group_rows=2)
    assert storage.read_table("t.parquet").equals(table)
    assert storage.read_table("t.parquet", ["example_id"]).column_names == ["example_id"]
    with storage.parquet("t.parquet") as file:
        assert file.num_row_groups == 2


def test_an_upload_is_the_local_file(storage: Storage, tmp_path: Path) -> None:
    local = tmp_path / "big"
    local.write_bytes(bytes(range(256)) * 40_000)
    written = storage.upload(local, "jobs/big")
    assert written.size_bytes == storage.size("jobs/big") == 256 * 40_000
    assert storage.sha256("jobs/big") == written.sha256


def test_the_first_writer_wins(storage: Storage) -> None:
    assert storage.write_new("manifest.json", b"first") is not None
    assert storage.write_new("manifest.json", b"second") is None
    assert storage.read("manifest.json") == b"first"


def test_a_deleted_file_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    storage.write("x/file", b"1")
    storage.delete("x/file")
    storage.delete("x/file")
    assert not storage.exists("x/file")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    with pytest.raises(TypeError):
        storage.write("a/file", "not bytes")  # type: ignore[arg-type]
    assert storage.list_files("a") == []


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "a\\b", "a\0b", "./a", "a/"]
)
def test_nothing_leaves_the_root(path: str) -> None:
    with pytest.raises(RequestError):
        check_path(path)


def test_other_addresses_are_refused() -> None:
    with pytest.raises(RequestError, match="a folder or s3://"):
        Storage("gs://bucket")


def test_a_committed_file_gets_a_second_name(storage: Storage) -> None:
    storage.write("a/x", b"12345")
    storage.write("b/x", b"older")
    storage.copy("a/x", "b/x")
    storage.copy("a/x", "c/y/x")
    assert (storage.read("b/x"), storage.read("c/y/x")) == (b"12345", b"12345")
    storage.write("a/x", b"newer")
    assert storage.read("b/x") == b"12345"
    with pytest.raises((NotFoundError, OSError)):
        storage.copy("a/none", "b/none")
    assert not storage.exists("b/none")


def test_a_fingerprint_of_a_bucket_changes_with_its_files(s3_root: str) -> None:
    storage = Storage(f"{s3_root}/fingerprints")
    storage.write("a/1.png", b"1")
    storage.write("2.png", b"2")
    first = fingerprint(storage.root, None)
    assert first is not None
    assert fingerprint(storage.root, None) == first
    assert fingerprint(storage.root, (f"{s3_root}/other",)) is None
    storage.write("a/1.png", b"12")
    second = fingerprint(storage.root, None)
    storage.write("a/b/3.png", b"3")
    third = fingerprint(storage.root, None)
    assert len({first, second, third, fingerprint(f"{storage.root}/2.png", None)}) == 4


def test_a_folder_goes_with_all_that_is_in_it_and_nothing_beside_it(storage: Storage) -> None:
    for path in ("jobs/a/manifest.json", "jobs/a/data/deep/x", "jobs/ab/x", "jobs/b/x"):
        storage.write(path, b"x")
    storage.delete_folder("jobs/a")
    assert storage.list_files("jobs") == ["jobs/ab/x", "jobs/b/x"]
    assert storage.list_names("jobs") == ["ab", "b"]
    storage.delete_folder("jobs/a")
    for path in ("", "..", "/jobs", "jobs/../jobs"):
        with pytest.raises(RequestError):
            storage.delete_folder(path)
    assert storage.list_files("jobs") == ["jobs/ab/x", "jobs/b/x"]
