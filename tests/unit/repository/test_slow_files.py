"""Files with slow tests: which they are, who runs beside whom, and what is said of them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import slow_files
from slow_files import Done, Files

MARKED = "import os\nimport pytest\n\n\n@pytest.mark.{mark}\ndef test_it() -> None:\n    {body}\n"


@pytest.fixture
def tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the tests of a project that has none yet."""
    monkeypatch.setattr(slow_files, "ROOT", tmp_path)
    monkeypatch.setattr(slow_files, "make_token", lambda: None)
    marks = "".join(f"  {mark}\n" for mark in (*slow_files.SLOW, slow_files.ALONE, slow_files.LONG))
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = -ra\nmarkers =\n{marks}")
    folder = tmp_path / "tests"
    folder.mkdir()
    return folder


def test_files_are_found_by_their_marks(tests: Path) -> None:
    for name, mark in {"a": "ray", "b": "parametrize", "c": "browser", "d": "data"}.items():
        (tests / f"test_{name}.py").write_text(MARKED.format(mark=mark, body="pass"))
    with (tests / "test_d.py").open("a") as file:
        file.write("\n\npytestmark = [pytest.mark.alone]\n")
    (tests / "jobs").mkdir()
    (tests / "jobs/test_captions_on_ray.py").write_text(MARKED.format(mark="ray", body="pass"))
    beside, alone = slow_files.slow_files()
    assert beside == [
        ("tests/jobs/test_captions_on_ray.py",),
        ("tests/test_a.py",),
        ("tests/test_c.py",),
    ]
    assert alone == [("tests/test_d.py",)]


def test_those_that_are_named_are_there() -> None:
    beside, alone = slow_files.slow_files()
    assert tuple(files[0] for files in beside[: len(slow_files.LONGEST)]) == slow_files.LONGEST
    assert set(slow_files.TOGETHER) <= set(beside)
    assert alone == [("tests/jobs/test_equal_rows.py",)]
    each = [file for files in (*beside, *alone) for file in files]
    assert len(each) == len(set(each))
    assert all((slow_files.ROOT / file).is_file() for file in each)


def test_what_failed_is_printed_whole_and_named_at_the_end(
    tests: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bodies = {
        "right": "print('nobody needs this')",
        "wrong": "assert 'the left' == 'the right'",
        "absent": "pytest.skip('needs a package')",
        "fast": "raise AssertionError('of another lane')",
        "crashing": "os._exit(3)",
    }
    for name, body in bodies.items():
        mark = "parametrize" if name == "fast" else "memory"
        (tests / f"test_{name}.py").write_text(MARKED.format(mark=mark, body=body))
    assert slow_files.main(["-k", "not unknown"]) == 1
    said = capfd.readouterr().out
    lines = said.splitlines()
    assert (
        sorted(line[:7] for line in lines if " s  tests/" in line)
        == ["FAILED "] * 2 + ["ok     "] * 2
    )
    assert "nobody needs this" not in said
    assert "AssertionError: assert 'the left' == 'the right'" in said
    assert any("needs a package" in line and "SKIPPED" in line for line in lines)
    assert "of another lane" not in said
    assert set(lines[-1].split()) == {"failed:", "tests/test_crashing.py", "tests/test_wrong.py"}
    (tests / "test_crashing.py").unlink()
    (tests / "test_wrong.py").unlink()
    assert slow_files.main([]) == 0
    assert slow_files.main(["-k", "unknown"]) == 0, "no test was asked for"


def test_what_is_long_is_left_out_unless_it_is_asked_for(
    tests: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    marks = "ray\n@pytest.mark.long"
    (tests / "test_size.py").write_text(MARKED.format(mark=marks, body="assert not 'run'"))
    assert slow_files.main([]) == 0
    assert slow_files.main(["--long"]) == 1
    assert "assert not 'run'" in capfd.readouterr().out


def test_some_at_a_time_and_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, beside_alone = set[Files](), 0, set[Files]()
    alone = ("alone",)
    lock, all_there = threading.Lock(), threading.Barrier(slow_files.AT_ONCE)

    def run(files: Files, options: list[str]) -> Done:
        nonlocal most
        with lock:
            running.add(files)
            most = max(most, len(running))
            if alone in running:
                beside_alone.update(running)
        if files != alone:
            all_there.wait(60)  # or there is never another beside it
        with lock:
            running.remove(files)
        return Done(files, 0, 1.0, "1 passed")

    monkeypatch.setattr(slow_files, "run", run)
    beside = [("a",), ("b", "bb"), ("c",), ("d",), ("e",), ("f",)]
    done = [each.files for each in slow_files.run_all(beside, [alone], [])]
    assert sorted(done[:6]) == beside
    assert done[6:] == [alone]
    assert most == slow_files.AT_ONCE
    assert beside_alone == {alone}
