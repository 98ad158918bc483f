"""Signatures of file formats, read from the first `SNIFF_BYTES` of a file.

A suffix is a promise, a signature is a fact: collections hold JPEGs named .png, web pages named .jpg and
pointers in the place of files. `identify` names what it meets as a person would ("a HEIC image", "an HTML
page") and says what can be done; ``format`` is Pillow's name of the format where it is one that is read.
Pure functions of bytes without input or output.

Sources: the formats' own specifications; for ISO media (HEIC, AVIF, MP4) ISO/IEC 14496-12 and 23008-12.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SNIFF_BYTES = 512
"""How much of a file's head decides; a tar's magic lies at 257 to 262, the rest is nearer."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A kind of file."""

    name: str
    """For people, with its article: "a HEIC image"."""
    remedy: str = ""
    """What can be done so that it is read, as an imperative; empty where nothing can."""
    format: str | None = None
    """Pillow's name of the format, if it is one that is read."""

    @property
    def short(self) -> str:
        """The name without its article, as in "2 HEIC images passed over"."""
        return self.name.removeprefix("a ").removeprefix("an ")

    @property
    def is_image(self) -> bool:
        """True if the file is one image, be it of a kind that is not read."""
        return self.format is not None or self.remedy in (_CONVERT, _RENDER)

    @property
    def advice(self) -> str:
        """Name and remedy: "a Git LFS pointer: run git lfs pull"."""
        return f"{self.name}: {self.remedy}" if self.remedy else self.name


_CONVERT = "convert it to JPEG or PNG"
_RENDER = "render it as PNG"
_UNPACK = "unpack it"
_EXPORT = "export its images as JPEG or PNG"
_FRAMES = "extract its frames as JPEG or PNG"
_DOWNLOAD = "download the file itself again"

JPEG = Signature("a JPEG image", format="JPEG")
PNG = Signature("a PNG image", format="PNG")
WEBP = Signature("a WebP image", format="WEBP")
GIF = Signature("a GIF image", format="GIF")
BMP = Signature("a BMP image", format="BMP")
TIFF = Signature("a TIFF image", format="TIFF")
NETPBM = Signature("a Netpbm image", format="PPM")
AVIF = Signature("an AVIF image", format="AVIF")
JPEG_2000 = Signature("a JPEG 2000 image", format="JPEG2000")
ICO = Signature("a Windows icon", format="ICO")
TARGA = Signature("a Targa image", format="TGA")

GLTF = Signature("a glTF model", "read it with the dataset meshes")
PLY = Signature("a PLY model", "read it with the dataset meshes")
HEIC = Signature("a HEIC image", _CONVERT)
SVG = Signature("an SVG drawing", _RENDER)
HTML = Signature("an HTML page", _DOWNLOAD)
GIT_LFS = Signature("a Git LFS pointer", "run git lfs pull")
GIT_ANNEX = Signature("a git-annex pointer", "run git annex get")
JSON = Signature("JSON text")
XML = Signature("an XML document")
TEXT = Signature("plain text")
ZEROS = Signature("nothing but zero bytes", _DOWNLOAD)
GZIP = Signature("a gzip file", _UNPACK)
TAR = Signature("a tar archive", _UNPACK)
ZIP = Signature("a ZIP archive", _UNPACK)
IDX = Signature("an IDX file", "read it with the dataset mnist")
PARQUET = Signature("a Parquet file")
RAW_PHOTO = Signature("a camera's raw image", _CONVERT)
MP4 = Signature("an MP4 video", _FRAMES)

_CGBI = Signature("a PNG image in Xcode's own variant", _CONVERT)
READABLE = (JPEG, PNG, WEBP, GIF, BMP, TIFF, NETPBM, AVIF, JPEG_2000, ICO, TARGA)
"""The kinds of images that are read."""
TARGA_SUFFIXES = frozenset({".tga", ".icb", ".vda", ".vst"})

_AT_START: tuple[tuple[bytes, Signature], ...] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\x8bJNG\r\n\x1a\n", Signature("a JNG image", _CONVERT)),
    (b"\x8aMNG\r\n\x1a\n", Signature("an MNG animation", _CONVERT)),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", JPEG_2000),
    (b"\xff\x4f\xff\x51", JPEG_2000),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", Signature("a JPEG XL image", _CONVERT)),
    (b"\xff\x0a", Signature("a JPEG XL image", _CONVERT)),
    (b"\x01\xda\x00", Signature("an SGI image", _CONVERT)),
    (b"\x01\xda\x01", Signature("an SGI image", _CONVERT)),
    (b"\x59\xa6\x6a\x95", Signature("a Sun raster image", _CONVERT)),
    (b"\xb1\x68\xde\x3a", Signature("a DCX image", _CONVERT)),
    (b"BLP1", Signature("a BLP texture", _CONVERT)),
    (b"BLP2", Signature("a BLP texture", _CONVERT)),
    (b"FTEX", Signature("an FTEX texture", _CONVERT)),
    (b"GRIB", Signature("a GRIB file")),
    (b"BUFR", Signature("a BUFR file")),
    (b"FUJIFILMCCD-RAW", RAW_PHOTO),
    (b"IIRO", RAW_PHOTO),
    (b"IIRS", RAW_PHOTO),
    (b"MMOR", RAW_PHOTO),
    (b"IIU\x00", RAW_PHOTO),
    (b"II\x1a\x00\x00\x00HEAPCCDR", RAW_PHOTO),
    (b"8BPS", Signature("a Photoshop document", _EXPORT)),
    (b"gimp xcf", Signature("a GIMP document", _EXPORT)),
    (b"v/1\x01", Signature("an OpenEXR image", _CONVERT)),
    (b"#?RADIANCE", Signature("a Radiance HDR image", _CONVERT)),
    (b"#?RGBE", Signature("a Radiance HDR image", _CONVERT)),
    (b"DDS ", Signature("a DirectDraw texture", _CONVERT)),
    (b"\xabKTX ", Signature("a Khronos texture", _CONVERT)),
    (b"qoif", Signature("a QOI image", _CONVERT)),
    (b"BPG\xfb", Signature("a BPG image", _CONVERT)),
    (b"FLIF", Signature("a FLIF image", _CONVERT)),
    (b"icns", Signature("an Apple icon", _CONVERT)),
    (b"SIMPLE  =", Signature("a FITS image", _CONVERT)),
    (b"P7\n", Signature("a PAM image", _CONVERT)),
    (b"/* XPM */", Signature("an XPM image", _CONVERT)),
    (b"\xd7\xcd\xc6\x9a", Signature("a Windows metafile", _EXPORT)),
    (b"%PDF-", Signature("a PDF document", _EXPORT)),
    (b"%!PS", Signature("a PostScript document", _EXPORT)),
    (b"\xc5\xd0\xd3\xc6", Signature("a PostScript document", _EXPORT)),
    (b"{\\rtf", Signature("an RTF document", _EXPORT)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Signature("a Microsoft compound file")),
    (b"L\x00\x00\x00\x01\x14\x02\x00", Signature("a Windows shortcut", "copy the file itself")),
    (b"\x00\x05\x16\x07", Signature("an AppleDouble file of attributes")),
    (b"\x00\x05\x16\x00", Signature("an AppleSingle file of attributes")),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PK\x07\x08", ZIP),
    (b"\x1f\x8b\x08", GZIP),
    (b"\xfd7zXZ\x00", Signature("an xz file", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", Signature("a Zstandard file", _UNPACK)),
    (b"\x04\x22\x4d\x18", Signature("an LZ4 file", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Signature("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", Signature("a RAR archive", _UNPACK)),
    (b"PAR1", PARQUET),
    (b"ARROW1", Signature("an Arrow file")),
    (b"\x89HDF\r\n\x1a\n", Signature("an HDF5 file", _EXPORT)),
    (b"\x93NUMPY", Signature("a NumPy array", _EXPORT)),
    (b"SQLite format 3\x00", Signature("an SQLite database", _EXPORT)),
    (b"\x00\x00\x08\x01", IDX),
    (b"\x00\x00\x08\x03", IDX),
    (b"\x1aE\xdf\xa3", Signature("a Matroska video", _FRAMES)),
    (b"\x00\x00\x01\xba", Signature("an MPEG video", _FRAMES)),
    (b"\x00\x00\x01\xb3", Signature("an MPEG video", _FRAMES)),
    (b"FLV\x01", Signature("a Flash video", _FRAMES)),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Signature("a Windows Media file", _FRAMES)),
    (b"OggS", Signature("an Ogg file")),
    (b"fLaC", Signature("a FLAC recording")),
    (b"ID3", Signature("an MP3 recording")),
    (b"glTF", GLTF),
    (b"ply\n", PLY),
    (b"ply\r", PLY),
    (b"\x7fELF", Signature("a Linux program")),
    (b"\x00asm", Signature("a WebAssembly module")),
)
_AT: tuple[tuple[int, bytes, Signature], ...] = (
    (257, b"ustar", TAR),
    (128, b"DICM", Signature("a DICOM image", _CONVERT)),
    (344, b"n+1\x00", Signature("a NIfTI volume", _EXPORT)),
    (40, b" EMF", Signature("a Windows metafile", _EXPORT)),
    (4, b"\x11\xaf", Signature("an Autodesk animation", _FRAMES)),
    (4, b"\x12\xaf", Signature("an Autodesk animation", _FRAMES)),
    (4, b"1AY&SY", Signature("a bzip2 file", _UNPACK)),
    (4, b"moov", Signature("a QuickTime video", _FRAMES)),
    (4, b"mdat", Signature("a QuickTime video", _FRAMES)),
)
_RIFF = {
    b"WEBP": WEBP,
    b"AVI ": Signature("an AVI video", _FRAMES),
    b"WAVE": Signature("a WAV recording"),
}
# The brands of ISO media, the most telling first; what has none of them is a video.
_BRANDS: tuple[tuple[tuple[bytes, ...], Signature], ...] = (
    ((b"avif", b"avis"), AVIF),
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), HEIC),
    ((b"crx ",), RAW_PHOTO),
    ((b"qt  ",), Signature("a QuickTime video", _FRAMES)),
    ((b"M4A ", b"M4B "), Signature("an MPEG-4 recording")),
)
_TIFF_STARTS = (b"II\x2a\x00", b"MM\x00\x2a", b"II\x2b\x00", b"MM\x00\x2b")
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_PCX_VERSIONS = (b"\x00", b"\x02", b"\x03", b"\x04", b"\x05")
_PCX_CODINGS = (b"\x01\x01", b"\x01\x02", b"\x01\x04", b"\x01\x08")
# Mode, owner, group, size, time and checksum in octal digits: a tar from before "ustar".
_OLD_TAR = re.compile(
    rb"(?:[ 0-7]{5,7}[ \x00]{1,3}){3}(?:[ 0-7]{11}[ \x00]){2}[ 0-7]{4,7}[ \x00]{1,4}"
)
_NETPBM = re.compile(rb"P(?:[1-6]\s*(?:#|\s\d)|f\s+\d)")
_HTML = re.compile(
    rb"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|script|title|meta|div|iframe|h1)\b",
    re.IGNORECASE | re.DOTALL,
)
_BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def identify(head: bytes, suffix: str = "") -> Signature | None:
    """The kind of the file that starts with ``head``; None where no signature is known.

    ``head`` is the first `SNIFF_BYTES` or all that there are. ``suffix`` matters for Targa alone, which has
    no signature: with one of its suffixes, or none given, a sane header is enough.
    """
    if not head:
        return None
    for start, signature in _AT_START:
        if head.startswith(start):
            return _CGBI if head[12:16] == b"CgBI" else signature
    for offset, magic, signature in _AT:
        if head[offset : offset + len(magic)] == magic:
            return signature
    return _structured(head) or _text(head) or _without_signature(head, suffix)


def instead_of(expected: Signature, head: bytes) -> str:
    """Name and remedy of a file that should be of a certain kind; empty where nobody knows, or it is."""
    found = identify(head, ".")
    return "" if found is None or found == expected else found.advice


def kinds() -> list[Signature]:
    """Every kind that `identify` knows, by name."""
    found = {value for value in globals().values() if isinstance(value, Signature)}
    found |= {signature for _, signature in _AT_START} | {signature for *_, signature in _AT}
    found |= {*_RIFF.values()} | {signature for _, signature in _BRANDS}
    return sorted(found, key=lambda kind: kind.short.lower())


def is_readable_head(head: bytes, suffix: str = "") -> bool:
    """True if ``head`` starts an image of a format that is read."""
    signature = identify(head, suffix)
    return signature is not None and signature.format is not None


def _structured(head: bytes) -> Signature | None:
    """Formats whose first bytes alone would be found by chance, or are shared by several."""
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(_TIFF_STARTS):
        return RAW_PHOTO if head[8:10] == b"CR" else TIFF
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return BMP
    if head.startswith(b"\x00\x00\x01\x00") and _is_icon(head):
        return ICO
    if head.startswith(b"\x00\x00\x02\x00") and _is_icon(head):
        return Signature("a Windows cursor", _CONVERT)
    if head[:1] == b"\x0a" and head[1:2] in _PCX_VERSIONS and head[2:4] in _PCX_CODINGS:
        return Signature("a PCX image", _CONVERT)
    if _OLD_TAR.fullmatch(head[100:156]) and not head[156:157].strip(b"\x00012345"):
        return TAR
    if _NETPBM.match(head):
        return NETPBM
    return None


def _iso_media(head: bytes) -> Signature:
    """HEIC, AVIF, raw photos and videos share a container: its brands say which it is."""
    size = max(16, min(int.from_bytes(head[:4], "big"), len(head)))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}
    for names, signature in _BRANDS:
        if head[8:12] in names and signature is not HEIC:
            return signature
    for names, signature in _BRANDS:
        if brands.intersection(names):
            return signature
    return MP4


def _is_icon(head: bytes) -> bool:
    """Whether a directory of at least one icon follows, with its data behind the directory."""
    count = int.from_bytes(head[4:6], "little")
    offset = int.from_bytes(head[18:22], "little")
    return 0 < count < 1024 and offset >= 6 + 16 * count


def _text(head: bytes) -> Signature | None:
    """Web pages, drawings, pointers and other text."""
    text = _utf8(head)
    if _CONTROL.search(text):
        return None
    text = text.lstrip()
    if text.startswith(b"version https://git-lfs"):
        return GIT_LFS
    if text.startswith(b"/annex/objects/") or b".git/annex/objects/" in text:
        return GIT_ANNEX
    if text.startswith(b"<"):
        return _markup(text)
    if re.match(rb'[{\[]\s*(?:["{\[\]}\d-]|true|false|null)', text):
        return JSON
    return TEXT if _is_utf8(head, text) else None


def _markup(text: bytes) -> Signature:
    if _HTML.match(text):
        return HTML
    if re.search(rb"<(?:\w+:)?svg\b", text):
        return SVG
    return HTML if re.search(rb"<html\b", text, re.IGNORECASE) else XML


def _utf8(head: bytes) -> bytes:
    """``head`` in UTF-8 if a byte order mark says that it is text in UTF-8 or UTF-16."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            even = head[len(mark) :][: (len(head) - len(mark)) // 2 * 2]
            return (head[3:] if encoding == "utf-8" else even).decode(encoding, "replace").encode()
    return head


def _is_utf8(head: bytes, text: bytes) -> bool:
    """Whether ``text`` is UTF-8; where ``head`` was cut, up to its last character."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return len(head) >= SNIFF_BYTES and error.end == len(text) and error.start >= len(text) - 3
    return True


def _without_signature(head: bytes, suffix: str) -> Signature | None:
    if not head.strip(b"\x00"):
        return ZEROS
    if (not suffix or suffix.lower() in TARGA_SUFFIXES) and _is_targa(head):
        return TARGA
    return None


def _is_targa(head: bytes) -> bool:
    """Whether the 18 bytes of a Targa header agree with each other."""
    if len(head) < 18:
        return False
    map_type, image_type, entry_bits = head[1], head[2], head[7]
    depth, descriptor = head[16], head[17]
    mapped = image_type in (1, 9)
    gray = image_type in (3, 11)
    if image_type not in (1, 2, 3, 9, 10, 11) or map_type > 1 or (mapped and not map_type):
        return False
    if map_type and entry_bits not in (15, 16, 24, 32):
        return False
    depths = (8,) if mapped else (1, 8, 16) if gray else (15, 16, 24, 32)
    has_size = any(head[12:14]) and any(head[14:16])
    return depth in depths and has_size and descriptor & 0xC0 == 0
