"""What users, files and archives call things reaches no terminal, log or page as it is."""

from __future__ import annotations

import io
import logging
import pickle
from pathlib import Path

import pytest
from rich.console import Console

from featurescape import tables
from featurescape.notebook import job_html
from featurescape_jobs.engine.job_log import JobLog
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, RowError, SpecError
from featurescape_jobs.printable import (
    PrintableFormatter,
    find_unprintable,
    printable,
    printable_lines,
)
from featurescape_jobs.specs import parse_spec
from helpers.service_fakes import FEATURES_SPEC

HOSTILE = "cat\x1b[2J\u202egnp.exe\nroot"
SHOWN = "cat\\x1b[2J\\u202egnp.exe\\nroot"
RAW = ("\x1b", "\u202e", "\x9b", "\x07", "\r", "\u2066", "\u2028")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich 北京 🐈 a\u200db", "Zürich 北京 🐈 a\u200db"),
        (HOSTILE, SHOWN),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\u2066a\u2069\u200f\u061c", "\\u2066a\\u2069\\u200f\\u061c"),
        ("a\u2028b\udcffc", "a\\u2028b\\udcffc"),
        ("tab\tcr\r", "tab\\tcr\\r"),
    ],
)
def test_controls_and_bidi_are_shown_as_escapes_and_letters_stay(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    printable(text).encode()  # half surrogates would fail here


def test_lines_keep_breaks_and_tabs_only() -> None:
    assert printable_lines("a\n\tb\x1b[31m\r\u202e") == "a\n\tb\\x1b[31m\\r\\u202e"


def test_the_first_unprintable_is_found() -> None:
    assert find_unprintable("ab\u202ec\n") == (2, "\u202e")
    assert find_unprintable("Zürich") is None


@pytest.mark.parametrize("character", ["\n", "\x1b", "\x00", "\u202e", "\u2067", "\x85"])
def test_a_title_has_neither(character: str) -> None:
    with pytest.raises(
        SpecError, match=rf"title.*U\+{ord(character):04X} at character 3"
    ) as caught:
        parse_spec({**FEATURES_SPEC, "title": f"ab{character}c"})
    assert caught.value.detail["field"] == "title"
    assert parse_spec({**FEATURES_SPEC, "title": "Katze 猫 🐈"}).title == "Katze 猫 🐈"


def test_an_error_that_echoes_a_name_is_printable() -> None:
    error = DatasetError(f"dataset.root: there is no {HOSTILE}", field="dataset.root")
    assert error.message == str(error) == f"dataset.root: there is no {SHOWN[:-6]}\nroot"
    assert pickle.loads(pickle.dumps(error)).message == error.message
    assert RowError("refused", "a\x1bb").message == "a\\x1bb"


def test_no_text_forges_a_line_of_a_log() -> None:
    sink = io.StringIO()
    handler = logging.StreamHandler(sink)
    handler.setFormatter(PrintableFormatter("%(levelname)s %(message)s"))
    record = logging.LogRecord(
        "a", logging.INFO, "", 0, "class %s", ("x\x1b[1A\nERROR all lost",), None
    )
    handler.handle(record)
    assert sink.getvalue() == "INFO class x\\x1b[1A\n    ERROR all lost\n"


def test_the_log_of_a_job_has_no_raw_names(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    with JobLog(storage, "features-0123456789ab"):
        logging.getLogger("test").info("class %s", HOSTILE)
    text = storage.read("jobs/features-0123456789ab/job.log").decode()
    assert "cat\\x1b[2J\\u202egnp.exe\n    root" in text
    assert not any(raw in text for raw in RAW)


def _state(**more: object) -> dict[str, object]:
    return {
        "id": "features-0123456789ab",
        "job": "features",
        "title": HOSTILE,
        "status": "FAILED",
        "inputs": {},
        "attempt": 1,
        "reason": {"code": "dataset_error", "message": HOSTILE},
        "progress": {"stage": HOSTILE, "done": 1, "total": 2, "errors": 0, "message": HOSTILE},
        "rows": None,
        "error_rows": None,
        "started_at": None,
        "ended_at": None,
        **more,
    }


@pytest.mark.parametrize("status", ["FAILED", "RUNNING"])
def test_tables_and_notebooks_show_no_raw_names(status: str) -> None:
    state = _state(status=status)
    sink = io.StringIO()
    console = Console(file=sink, width=200, color_system=None)
    console.print(tables.jobs([state]))
    console.print(tables.job(state, None, "http://x/jobs/1"))
    for text in (sink.getvalue(), job_html(state, "http://x/jobs/1")):
        assert "cat\\x1b[2J\\u202egnp.exe" in text
        assert not any(raw in text for raw in RAW)
