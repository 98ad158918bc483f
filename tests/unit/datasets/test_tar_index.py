"""The parser of tars: members as tarfile has them, links and damage."""

from __future__ import annotations

import gzip
import io
import tarfile

import numpy as np
import pytest

from featurescape_jobs.datasets.sources.tar_index import Member
from featurescape_jobs.errors import DatasetError
from helpers.tar_builders import entry, jpeg, tar_bytes
from helpers.tar_listings import listed


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_offsets_and_sizes_are_those_of_tarfile(format: int) -> None:
    names = ["a.jpg", "folder/b.jpg", "x" * 60 + "/" + "y" * 80 + ".jpg"]
    if format != tarfile.USTAR_FORMAT:
        names += ["z" * 300 + ".jpg", "käse.png"]
    data = tar_bytes(
        {name: bytes(range(7 + n * 600 % 251)) for n, name in enumerate(names)}, format
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        theirs = [(info.name, info.offset_data, info.size) for info in archive.getmembers()]
    assert [(m.name, m.offset, m.size) for m in listed(data)] == theirs
    assert [name for name, _, _ in theirs] == names


def test_an_archive_of_many_windows_is_read_whole() -> None:
    data = tar_bytes({f"{n:04d}.jpg": bytes(n * 37 % 9000) for n in range(300)})
    assert [m.size for m in listed(data)] == [n * 37 % 9000 for n in range(300)]


def test_links_devices_and_names_that_lead_outside_are_listed_with_the_reason() -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, kind in (("s.jpg", tarfile.SYMTYPE), ("h.jpg", tarfile.LNKTYPE)):
            info = entry(name, kind=kind)
            info.linkname = "/etc/passwd"
            archive.addfile(info)
        for name, kind in (("c.jpg", tarfile.CHRTYPE), ("p.jpg", tarfile.FIFOTYPE)):
            archive.addfile(entry(name, kind=kind))
        for name in ("../../up.jpg", "/etc/abs.jpg", "a/../../b.jpg"):
            archive.addfile(entry(name, b"x"), io.BytesIO(b"x"))
        archive.addfile(entry("folder", kind=tarfile.DIRTYPE))
    outside = "name that leads outside"
    assert [m.problem for m in listed(sink.getvalue())] == [
        *("link", "link", "device", "pipe"),
        *(outside, outside, outside),
    ]


def absurd(size: int) -> bytes:
    """A header that announces ``size`` bytes, in base 256, and little after it."""
    header = bytearray(entry("big.jpg").tobuf())
    header[124:136] = b"\x80" + size.to_bytes(11)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + bytes(2048)


@pytest.mark.parametrize("size", [10_000, 10**15, 2**87])
def test_a_size_beyond_the_archive_is_refused_at_once(size: int) -> None:
    with pytest.raises(DatasetError, match=r"a\.tar is cut off: 'big\.jpg' announces \d+ bytes"):
        listed(absurd(size))


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.999])
def test_an_archive_that_is_cut_off_names_itself_and_the_place(keep: float) -> None:
    data = tar_bytes({f"{n}.jpg": jpeg(n) for n in range(9)})
    whole = data.rstrip(b"\0")
    with pytest.raises(DatasetError, match=r"a\.tar is cut off.*, at byte \d+; write or copy"):
        listed(whole[: int(len(whole) * keep)])


def pax(record: bytes) -> bytes:
    """An extended header with a body of ours, and a file after it."""
    return (
        entry("x", record, tarfile.XHDTYPE).tobuf()
        + record.ljust(-(-len(record) // 512) * 512, b"\0")
        + tar_bytes({"a.jpg": b"x"})
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is cut off"),
        (b"no tar at all".ljust(1024, b"?"), "is no tar but plain text"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "but a Git LFS pointer: run git lfs pull",
        ),
        (b"\xfe\x01 nothing known ".ljust(1024, b"\xfe"), "is no tar, or damaged"),
        (tar_bytes({"a.jpg": b"x"})[:512].replace(b"a", b"b") + bytes(2048), "is no tar"),
        (gzip.compress(np.random.default_rng(0).bytes(4096), mtime=0), "is packed with gzip"),
        (pax(b"9999 path=a.jpg\n"), "damaged extended header"),
        (pax(b"-9 path=a\n"), "damaged extended header"),
        (pax(b"1" * 5000), "damaged extended header"),
        (pax(b"13 size=-999\n"), "damaged extended header"),
        (pax(b"2058 path=" + b"a" * 2047 + b"\n"), "has a name of 2047 characters"),
        (
            entry("x", bytes(2 << 20), tarfile.XHDTYPE).tobuf() + bytes(4 << 20),
            "has an extended header of 2097152 bytes",
        ),
    ],
    ids=[
        "empty",
        "text",
        "pointer",
        "unknown",
        "checksum",
        "gzip",
        "length",
        "minus",
        "digits",
        "size",
        "name",
        "huge",
    ],
)
def test_what_is_no_archive_or_damaged_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        listed(data)
    assert caught.value.detail["field"] == "dataset.root"


def test_random_damage_ends_in_an_error_or_a_list_and_never_otherwise() -> None:
    data = tar_bytes({f"{n}.jpg": jpeg(n) for n in range(4)}, tarfile.PAX_FORMAT)
    random = np.random.default_rng(1)
    for _ in range(300):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 6):
            broken[place] = random.integers(256)
        try:
            assert all(m.offset + m.size <= len(data) for m in listed(bytes(broken)))
        except DatasetError:
            continue


def test_headers_of_old_tars_without_magic_are_read() -> None:
    header = bytearray(entry("a.jpg", b"abc").tobuf(tarfile.USTAR_FORMAT))
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    data = bytes(header) + b"abc".ljust(512, b"\0") + bytes(1024)
    assert listed(data) == [Member("a.jpg", 512, 3)]
