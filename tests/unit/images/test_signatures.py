"""What bytes are is said by their signature, whatever the name of the file."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from featurescape_jobs.images.signatures import (
    READABLE,
    SNIFF_BYTES,
    TARGA,
    identify,
    is_readable_head,
)


def saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    sink = io.BytesIO()
    Image.new(mode, (5, 3)).save(sink, kind, **options)
    return sink.getvalue()[:SNIFF_BYTES]


def media(*brands: bytes) -> bytes:
    """The first box of an ISO media file: the major brand, a version, the compatible brands."""
    body = brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(body) + 8).to_bytes(4, "big") + b"ftyp" + body + bytes(20)


def name_of(head: bytes, suffix: str = "") -> str | None:
    signature = identify(head, suffix)
    return signature.name if signature else None


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"),
        ("PNG", "RGB"),
        ("WEBP", "RGB"),
        ("GIF", "L"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
        ("PPM", "RGB"),
        ("PPM", "1"),
        ("PPM", "F"),
        ("ICO", "RGB"),
        ("TGA", "RGB"),
        ("TGA", "L"),
        ("TGA", "P"),
    ],
)
def test_an_image_that_is_read_has_the_format_that_pillow_calls_it(kind: str, mode: str) -> None:
    head = saved(kind, mode)
    signature = identify(head)
    assert signature is not None
    assert signature.format == kind
    assert is_readable_head(head)


@pytest.mark.parametrize(
    ("head", "format_name"),
    [
        (media(b"avif", b"mif1", b"miaf"), "AVIF"),
        (media(b"avis", b"msf1"), "AVIF"),
        (media(b"mif1", b"avif", b"miaf"), "AVIF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
        (b"\xff\x4f\xff\x51\0\x29", "JPEG2000"),
        (b"MM\0\x2b\0\x08\0\0", "TIFF"),
        (b"P5# made by hand\n2 2\n255\n", "PPM"),
    ],
)
def test_formats_that_not_every_pillow_writes(head: bytes, format_name: str) -> None:
    signature = identify(head)
    assert signature is not None
    assert signature.format == format_name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (media(b"heic", b"mif1", b"heic"), "a HEIC image"),
        (media(b"mif1", b"mif1", b"heic"), "a HEIC image"),
        (media(b"isom", b"iso2", b"avc1", b"mp41"), "an MP4 video"),
        (media(b"qt  "), "a QuickTime video"),
        (media(b"crx ", b"isom"), "a camera's raw image"),
        (b"II\x2a\0\x10\0\0\0CR\x02\0", "a camera's raw image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"8BPS\0\x01", "a Photoshop document"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\n\n  <!-- 404 -->\n<HTML lang=en>", "an HTML page"),
        (b"\xef\xbb\xbf<html>", "an HTML page"),
        ("\ufeff<html><body>no</body></html>".encode("utf-16-le"), "an HTML page"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "x"><html xmlns="y">', "an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b'<?xml version="1.0"?>\n<!-- by hand -->\n<svg:svg>', "an SVG drawing"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s3--ab.jpg\n", "a git-annex pointer"),
        (b'{"error": "no such key"}', "JSON text"),
        (b"[1, 2]", "JSON text"),
        (b"BMW, Audi and others\n", "plain text"),
        (b"P5 is a name", "plain text"),
        ("Äpfel und Birnen".encode(), "plain text"),
        (("x" + "é" * SNIFF_BYTES).encode()[:SNIFF_BYTES], "plain text"),
        (bytes(SNIFF_BYTES), "nothing but zero bytes"),
        (gzip.compress(b"x", mtime=0), "a gzip file"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\0\0\x08\x03\0\0\xea\x60\0\0\0\x1c\0\0\0\x1c", "an IDX file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Microsoft compound file"),
        (b"\0\x05\x16\x07\0\x02\0\0", "an AppleDouble file of attributes"),
        (b"RIFF\x10\0\0\0AVI LIST", "an AVI video"),
        (b"", None),
        (b"\xc3\x28\xa0\xa1 no text, no image", None),
        (b"\x80\x03}q\0.", None),
    ],
)
def test_what_is_no_image_is_named(head: bytes, name: str | None) -> None:
    assert name_of(head) == name
    assert not is_readable_head(head)


def test_archives_are_named() -> None:
    tar, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.jpg", b"")
    assert name_of(tar.getvalue()[:SNIFF_BYTES]) == "a tar archive"
    assert name_of(zipped.getvalue()) == "a ZIP archive"


def test_a_remedy_is_said_behind_the_name() -> None:
    pointer = identify(b"version https://git-lfs.github.com/spec/v1\n")
    assert pointer is not None
    assert pointer.advice == "a Git LFS pointer: run git lfs pull"
    assert pointer.short == "Git LFS pointer"
    text, page = identify(b"hello"), identify(b"<html>")
    assert text is not None
    assert page is not None
    assert (text.advice, text.short, page.short) == ("plain text", "plain text", "HTML page")


def test_targa_has_no_signature_so_the_suffix_has_a_say() -> None:
    head = saved("TGA")
    assert identify(head, ".tga") is TARGA
    assert identify(head, ".TGA") is TARGA
    assert identify(head, ".dat") is None
    depth_of_13_bits = head[:16] + b"\x0d" + head[17:]
    assert identify(depth_of_13_bits, ".tga") is None


def test_chance_finds_hardly_an_image() -> None:
    """Of 20,000 heads of random bytes at most one is taken for an image."""
    heads = np.random.default_rng(0).integers(0, 256, (20_000, 64), np.uint8)
    assert sum(is_readable_head(head.tobytes()) for head in heads) <= 1


def test_no_head_of_any_length_is_an_exception() -> None:
    heads = [
        saved("TGA"),
        saved("ICO"),
        saved("BMP"),
        media(b"heic", b"mif1"),
        b"<svg",
        b"\xff\xfe<",
    ]
    for head in heads:
        for length in range(len(head) + 1):
            identify(head[:length])


def test_names_carry_their_article_and_formats_are_named_once() -> None:
    assert all(kind.name.startswith(("a ", "an ")) for kind in READABLE)
    assert len({kind.format for kind in READABLE}) == len(READABLE)
