"""Archives that were made to cost time, memory or a wrong reading are read, or refused by name."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.sources.tar_index import (
    Member,
    _records,
    archive_in_memory,
    members,
)
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import entry, png, tar_bytes, write

_END = bytes(1024)


def listed(data: bytes) -> list[Member]:
    return list(members(archive_in_memory(data, "a.tar")))


def header(
    name: str = "a.jpg", size: bytes = b"0" * 11 + b"\0", kind: bytes = b"0", map_goes_on: int = 0
) -> bytes:
    """A header with a right checksum, whatever its size field says."""
    found = bytearray(entry(name, kind=kind).tobuf(tarfile.USTAR_FORMAT))
    found[124:136] = size
    found[482] = map_goes_on
    found[148:156] = b" " * 8
    found[148:156] = b"%06o\0 " % sum(found)
    return bytes(found)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d %s=%s\n" % (length, key, value)) != length:
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def pax(body: bytes) -> bytes:
    """An extended header, without what follows it."""
    return header("x", b"%011o\0" % len(body), b"x") + body.ljust(-(-len(body) // 512) * 512, b"\0")


@pytest.mark.parametrize(
    "size",
    [b"\xff" * 12, b"-0000000001\0", b"+0000000001\0", b"0000_000001\0", b"0o000000001\0"],
    ids=["base 256 below zero", "minus", "plus", "underscore", "prefix"],
)
def test_a_size_that_is_no_octal_number_is_damage(size: bytes) -> None:
    with pytest.raises(DatasetError, match=r"a\.tar is no tar, or damaged, at byte 0;"):
        listed(header(size=size) + bytes(512) + _END)


@pytest.mark.parametrize("size", [b"9" * 21, b"9" * 1_000_000, b"1_0", b"+1", b"0x1", b""])
def test_a_size_of_pax_that_is_no_number_is_damage(size: bytes) -> None:
    with pytest.raises(DatasetError, match="has a damaged extended header"):
        listed(pax(record(b"size", size)) + header() + bytes(512) + _END)


@pytest.mark.parametrize("path", [b"a\0b.jpg", b"../a.jpg", b"/a.jpg", b"a/../../b.jpg"])
def test_a_path_of_pax_that_leads_outside_is_an_error_row(tmp_path: Path, path: bytes) -> None:
    write(tmp_path, {"a.tar": pax(record(b"path", path)) + header() + _END})
    spec = DatasetSpec(name="webdataset", root=str(tmp_path))
    (found,) = DATASETS["webdataset"].freeze(spec).entries
    with pytest.raises(RowError, match="name that leads outside"):
        DATASETS["webdataset"].open_reader(spec).read(found.locator)


class Counted(bytes):
    """Bytes that count how many of them are copied out."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(found, int):
            return found
        Counted.copied += len(found)
        return Counted(found)


def test_many_records_of_pax_are_copied_once() -> None:
    """By each record the rest of them would be millions of bytes here."""
    body = Counted(record(b"a", b"") * 2000)
    assert sum(1 for _ in _records(body)) == 2000
    assert 0 < Counted.copied <= len(body)
    rest, Counted.copied = body, 0
    while rest := rest[5:]:
        pass
    assert Counted.copied > 500 * len(body), "what the count would be"
    assert len(listed(pax(body) + header() + _END)) == 1


def test_a_long_name_without_its_end_is_as_long_as_it_says() -> None:
    long = header("././@LongLink", b"%011o\0" % 600, b"L") + b"b" * 600 + b"c" * 424
    assert listed(long + header() + _END) == [Member("b" * 600, 2048, 0)]
    with pytest.raises(DatasetError, match="cut off inside an extended header"):
        listed(header("././@LongLink", b"%011o\0" % (1 << 20), b"L") + b"b" * 1024)


def test_a_long_map_of_a_sparse_file_is_passed_over_whole() -> None:
    sparse = header("s.png", b"%011o\0" % 10, b"S", map_goes_on=1)
    more, last = b"0" * 504 + b"\1" + bytes(7), b"0" * 504 + bytes(8)
    data = sparse + more + last + b"x" * 512 + header("z.jpg") + _END
    assert listed(data) == [Member("s.png", 1536, 10, "sparse file"), Member("z.jpg", 2560, 0)]
    # As tarfile has it, which expands the file; it is read as a link is: not at all.
    with tarfile.open(fileobj=io.BytesIO(data)) as theirs:
        assert [info.name for info in theirs] == ["s.png", "z.jpg"]
    with pytest.raises(DatasetError, match="is cut off"):
        listed(sparse + more)


def test_an_archive_in_an_archive_is_counted_and_not_entered(tmp_path: Path) -> None:
    inner = tar_bytes({"0.png": png(1)})
    for _ in range(20):
        inner = tar_bytes({"0.tar": inner})
    write(tmp_path, {"a.tar": inner})
    listing = DATASETS["webdataset"].freeze(DatasetSpec(name="webdataset", root=str(tmp_path)))
    assert list(listing.entries) == []
    (reason,) = listing.passed_over.record().reasons
    assert (reason.reason, reason.count) == ("a group of a tar without an image", 1)
