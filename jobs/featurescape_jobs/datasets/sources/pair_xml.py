"""Pairs of translation memories (TMX) and of XLIFF 1.2 and 2, streamed by a parser that defines no entities.

Codes of the format inside a text, as ``<bpt>`` and ``<ph>`` have them, are left out. A document type is taken
where it only names its DTD, which is never read.

Holds a unit, of at most `_MAX_UNIT_BYTES` and `_MAX_ELEMENTS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, iterparse

from featurescape_jobs.datasets.sources.caption_text import Place
from featurescape_jobs.datasets.sources.pair_columns import AskedPairs, is_language
from featurescape_jobs.datasets.sources.pair_listing import UNTRANSLATED, FoundPair, Side
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import DatasetError

LACKS = "a unit without one of the two languages"
_LANG = ("{http://www.w3.org/XML/1998/namespace}lang", "lang")
_CODES = {
    **dict.fromkeys(("bpt", "ept", "bx", "ex", "sc", "ec", "cp"), ""),
    **dict.fromkeys(("ph", "it", "ut", "x", "note", "annotation"), " "),
}
"""Elements that are no text → what stands for them."""
_RAW_STATES = frozenset({"new", "needs-translation", "initial"})
_BLOCK_BYTES = 1 << 18
_MAX_UNIT_BYTES = 16 << 20
"""From the end of a unit to that of the next: headers may have whole documents in them."""
_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 100
_MAX_LANGUAGES = 200


class _Unit(NamedTuple):
    """An element that has a text and its translations."""

    number: int
    """From 1."""
    element: Element
    above: list[Element]
    """Elements that it lies in, without their other children."""


def read_tmx(tree: Tree, path: str, asked: AskedPairs, part: str | None) -> Iterator[FoundPair]:
    """The pairs of a translation memory; raises `DatasetError`."""
    languages = dict[str, None]()
    for unit in _units(tree, path, frozenset({"tu"})):
        said = [
            (_attribute(variant, *_LANG), _text(_child(variant, "seg")))
            for variant in _children(unit.element, "tuv")
        ]
        _note_languages(languages, said)
        source, target = asked.source_language, asked.target_language
        if source is None or target is None:
            continue
        sources, targets = (
            [text for found, text in said if is_language(found, one)] for one in (source, target)
        )
        if not sources or not targets:
            tree.passed_over.add(LACKS, f"{path}#{unit.number}")
            continue
        for text in targets:
            yield FoundPair(path, unit.number, Side(sources[0]), Side(text), part)
    asked.languages([*languages], path)


def read_xliff(tree: Tree, path: str, asked: AskedPairs, part: str | None) -> Iterator[FoundPair]:
    """The pairs of an XLIFF file, in the direction asked for; raises `DatasetError`."""
    languages, fits = dict[str, None](), False
    for unit in _units(tree, path, frozenset({"trans-unit", "segment"})):
        found = [
            next((tag for one in reversed(unit.above) if (tag := _attribute(one, *names))), "")
            for names in (("source-language", "srcLang"), ("target-language", "trgLang"))
        ]
        sides = [_child(unit.element, name) for name in ("source", "target")]
        said = [*zip(found, map(_text, sides), strict=True)]
        _note_languages(languages, said)
        wanted = (asked.source_language, asked.target_language)
        ways = [way for way in (said, said[::-1]) if _fits(way, wanted)]
        if not ways:
            continue
        fits = True
        if sides[1] is None or {_state(sides[1]), _state(unit.element)} & _RAW_STATES:
            tree.passed_over.add(UNTRANSLATED, f"{path}#{unit.number}")
            continue
        (_, source), (_, target) = ways[0]
        yield FoundPair(path, unit.number, Side(source), Side(target), part)
    for name in ("source_language", "target_language"):
        if languages and not fits and getattr(asked, name) is not None:
            asked.language(name, [*languages], path)


def _fits(way: list[tuple[str, str]], wanted: tuple[str | None, str | None]) -> bool:
    """True if these are the languages asked for; what is not said fits all."""
    pairs = zip((found for found, _ in way), wanted, strict=True)
    return all(not one or not found or is_language(found, one) for found, one in pairs)


def _note_languages(known: dict[str, None], said: list[tuple[str, str]]) -> None:
    for language, _ in said:
        if language and len(known) < _MAX_LANGUAGES:
            known.setdefault(language[:50])


# -- elements ----------------------------------------------------------------------------------


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _attribute(element: Element, *names: str) -> str:
    return next((said for name in names if (said := element.get(name))), "")


def _state(element: Element) -> str:
    return _attribute(element, "state")


def _children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if _name(child) == name)


def _child(element: Element, name: str) -> Element | None:
    return next(_children(element, name), None)


def _text(element: Element | None) -> str:
    """The text of an element, without codes of the format."""
    if element is None:
        return ""
    parts = [element.text or ""]
    for child in element:
        code = _CODES.get(_name(child))
        parts += [_text(child) if code is None else code, child.tail or ""]
    return "".join(parts)


# -- the file ----------------------------------------------------------------------------------


class _Blocks:
    """A file as the parser reads it, which counts the bytes since the last unit."""

    def __init__(self, tree: Tree, path: str) -> None:
        note(tree, path)
        self._file, self._place, self.read_bytes = tree.open(path), Place(path), 0

    def read(self, _: int = 0, /) -> bytes:
        """The next block: as long tokens are looked at anew with each, it is a large one."""
        block = bytes(self._file.read(_BLOCK_BYTES))
        self.read_bytes += len(block)
        if self.read_bytes > _MAX_UNIT_BYTES:
            raise self._place.wrong(
                f"has more than {_MAX_UNIT_BYTES >> 20} MiB without a unit; is it what its name says?"
            )
        return block


def _units(tree: Tree, path: str, names: frozenset[str]) -> Iterator[_Unit]:
    """The units of a file; raises `DatasetError` where it is no XML, or defines entities."""
    try:
        blocks = _Blocks(tree, path)
        parser: Any = DefusedXMLParser()
        parser.parser.StartDoctypeDeclHandler = _check_document_type
        events = iterparse(blocks, ("start", "end"), parser)
        yield from _walk(events, names, blocks, Place(path))
    except DefusedXmlException:
        raise Place(path).wrong(
            "defines entities, or reads other files: it is not read; write it without a DTD of its own"
        ) from None
    except ParseError as error:
        raise Place(path).wrong(
            f"is no XML that can be read ({str(error)[:200]}); export it again"
        ) from None
    except (OSError, ValueError, LookupError) as error:
        raise Place(path).wrong(f"cannot be read ({str(error)[:200]}); export it again") from None


def _check_document_type(
    name: str, system: str | None, public: str | None, has_own: bool | int
) -> None:
    """Raise `DefusedXmlException` for a document type with declarations in the file itself."""
    if has_own:
        raise DefusedXmlException(f"{name} {system} {public}")


def _walk(
    events: Iterator[tuple[str, Element]], names: frozenset[str], blocks: _Blocks, place: Place
) -> Iterator[_Unit]:
    above, inside, elements, number = list[Element](), 0, 0, 0
    for event, element in events:
        if event == "start":
            above.append(element)
            elements += 1
            inside = inside or (len(above) if _name(element) in names else 0)
            if len(above) > _MAX_DEPTH or elements > _MAX_ELEMENTS:
                raise _too_large(place)
            continue
        above.pop()
        if inside and len(above) + 1 > inside:
            continue
        if inside:
            number += 1
            yield _Unit(number, element, above)
            inside, blocks.read_bytes = 0, 0
        element.clear()
        elements = len(above)
        if above:
            del above[-1][:]


def _too_large(place: Place) -> DatasetError:
    return place.wrong(
        f"has more than {_MAX_ELEMENTS} elements in a unit, or {_MAX_DEPTH} in one another; is it what its "
        "name says?"
    )
