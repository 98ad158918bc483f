"""The example of languages: sentences out of catalogs of gettext, and how often their first characters tell."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def languages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("languages", ROOT / "examples/languages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def catalog(path: Path, messages: dict[str, str]) -> None:
    """A catalog as msgfmt writes it: a header, two tables of lengths and offsets, texts that end with a zero."""
    messages = {"": "Content-Type: text/plain; charset=UTF-8\n", **messages}
    pairs = sorted((key.encode(), value.encode()) for key, value in messages.items())
    texts = [key for key, _ in pairs] + [value for _, value in pairs]
    start = 28 + 16 * len(pairs)
    places, body = [], b""
    for text in texts:
        places += [len(text), start + len(body)]
        body += text + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + struct.pack(f"<{len(places)}I", *places) + body)


def test_sentences_are_those_that_are_translated_and_plain(
    languages: ModuleType, tmp_path: Path
) -> None:
    long = "Please choose one of the files"
    catalog(
        tmp_path / "x.mo",
        {
            long: "Bitte _wählen Sie eine der Dateien",
            "Copyright of all the authors": "Copyright of all the authors",
            "It cannot open the file %s now": "Die Datei %s kann nicht geöffnet werden",
            "Short text": "Kurzer Text",
            "See the option --verbose for more": "Mehr dazu bei der Option --verbose",
        },
    )
    assert list(languages.sentences(tmp_path / "x.mo")) == [
        (long, "Bitte wählen Sie eine der Dateien")
    ]
    (tmp_path / "bad.mo").write_bytes(b"no catalog at all, not even of gettext")
    assert list(languages.sentences(tmp_path / "bad.mo")) == []


def test_languages_with_few_sentences_are_left_out(
    languages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(languages, "FEWEST", 3)
    monkeypatch.setattr(languages, "MOST", 4)
    catalogs = tmp_path / "locale"
    said = {f"This is the sentence number {n}": f"Dies ist der Satz Nummer {n}" for n in range(6)}
    catalog(catalogs / "de_AT/LC_MESSAGES/a.mo", said)
    catalog(catalogs / "no/LC_MESSAGES/a.mo", {k: f"Dette er {v}" for k, v in said.items()})
    catalog(catalogs / "sv/LC_MESSAGES/a.mo", dict([*said.items()][:2]))
    catalog(catalogs / "fr/LC_MESSAGES/iso_639.mo", said)
    counts = languages.write_texts(catalogs, tmp_path / "texts")
    assert counts == {"de": 4, "nb": 4, "en": 4}
    lines = (tmp_path / "texts/de/catalogs.txt").read_text().splitlines()
    assert len(lines) == 4
    assert set(lines) <= set(said.values())


def test_the_report_counts_texts_that_are_long_enough(
    languages: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(languages, "LENGTHS", (2, 3))
    rows: dict[str, Any] = {
        "label": [0, 0, 1, 2],
        "step_predictions": [[1, 0, 0], [1, 0], [1, 1, 0], [0, 0, 0]],
    }
    details = {"classes": ["de", "en", "xx"], "outputs": ["de", "en"]}
    manifest = SimpleNamespace(details=details)
    languages.report(SimpleNamespace(manifest=manifest, table=lambda: pa.table(rows)))
    assert capsys.readouterr().out.splitlines() == [
        "2 characters: 1.000 of 3 texts, 1.000 as the mean over 2 languages",
        "3 characters: 0.500 of 2 texts, 0.500 as the mean over 2 languages",
    ]
