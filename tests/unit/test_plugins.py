"""Plug-ins: what the operator names is added, what is broken is named and left out, the rest is not loaded."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from helpers.plugin_builders import EXTENDING, SHINY, distribution, extending_distribution
from helpers.plugin_processes import catalog, python

DATASET = """
from featurescape_jobs.datasets import DatasetCard

class Given:
    name = {name!r}
    card = DatasetCard(name={card!r}, title="Given", summary="Nothing.", needs_root=False)

    def check(self, spec): ...
    def freeze(self, spec): ...
    def open_reader(self, spec): ...

DATASET = Given()
"""


def given(folder: Path, package: str, name: str, entry: str | None = None, text: str = "") -> None:
    """A distribution with one dataset."""
    module = package.replace("-", "_")
    modules = {f"{module}.py": text or DATASET.format(name=name, card=name)}
    points = {"featurescape.datasets": {entry or name: f"{module}:DATASET"}}
    distribution(folder, package, modules, points)


def reasons(found: dict[str, Any]) -> dict[str, str]:
    """Package → why it was left out."""
    return {plugin["distribution"]: plugin["reason"] for plugin in found["plugins"]}


# -- what is loaded ----------------------------------------------------------------------------


def test_a_named_package_adds_to_all_four_registries(tmp_path: Path) -> None:
    extending_distribution(tmp_path)
    before, after = catalog(tmp_path, ""), catalog(tmp_path, "shiny-maps")
    for kind, added in (
        ("datasets", "gradients"),
        ("models", "pocket"),
        ("color_layers", "labeled"),
        ("jobs", "brightness"),
    ):
        assert after[kind] == [*before[kind], added]
    assert before["plugins"] == []
    assert {(p["distribution"], p["group"], p["name"], p["reason"]) for p in after["plugins"]} == {
        ("shiny-maps 1.0", group, name, "") for group in SHINY for name in SHINY[group]
    }


def test_a_package_that_is_not_named_is_not_imported(tmp_path: Path) -> None:
    given(tmp_path, "quiet-maps", "quiet", text="open('imported', 'w')")
    given(tmp_path, "other-maps", "other")
    assert "quiet" not in catalog(tmp_path, "other-maps")["datasets"]
    assert not (tmp_path / "imported").exists()
    assert "quiet" not in catalog(tmp_path, "quiet-maps")["datasets"]
    assert (tmp_path / "imported").exists(), (
        "what the test above looks for is there when it is named"
    )


def test_one_entry_point_of_a_package_can_be_named(tmp_path: Path) -> None:
    extending_distribution(tmp_path)
    found = catalog(tmp_path, " shiny-maps:gradients , shiny-maps:pocket")
    assert "gradients" in found["datasets"]
    assert "pocket" in found["models"]
    assert "brightness" not in found["jobs"]
    assert "labeled" not in found["color_layers"]


def test_a_job_of_a_plugin_is_checked_as_any_other(tmp_path: Path) -> None:
    extending_distribution(tmp_path)
    code = """
from featurescape.server.admission import Admission
from featurescape.server.settings import Settings
from featurescape_jobs.run import JOBS
from featurescape_jobs.specs import parse_spec
admission = Admission(Settings(), store=None)
admission.check(parse_spec({"job": "brightness", "dataset": {"name": "gradients"}}))
print(JOBS["brightness"].run.__module__)
try:
    admission.check(parse_spec({"job": "brightness", "dataset": {"name": "meshes", "root": "/x"}}))
except Exception as error:
    print(type(error).__name__)
"""
    done = python(tmp_path, "shiny-maps", code)
    assert done.stdout.split() == ["shiny.brightness", "DatasetError"], done.stderr


def test_a_plugin_may_import_the_registry_that_loads_it(tmp_path: Path) -> None:
    text = "from featurescape_jobs.datasets import DATASETS\nassert 'digits' in DATASETS\n"
    given(
        tmp_path, "curious", "curious", text=text + DATASET.format(name="curious", card="curious")
    )
    assert catalog(tmp_path, "curious")["datasets"][-1] == "curious"


def test_the_page_names_the_entry_points_of_its_own_package() -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", EXTENDING.read_text(), re.DOTALL | re.MULTILINE)
    project = tomllib.loads(block)["project"]
    assert (project["name"], project["version"]) == ("shiny-maps", "1.0")
    assert project["entry-points"] == SHINY


# -- what is left out --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import not_installed_anywhere", "ModuleNotFoundError: No module named 'not_installed"),
        ("def broken(:", "SyntaxError: "),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("DATASET = object()", "TypeError: its card is no DatasetCard"),
        ("OTHER = 1", "AttributeError: "),
        (
            DATASET.format(name="bad", card="good"),
            "ValueError: it is called 'bad', and its card 'good'",
        ),
        (
            DATASET.format(name="other", card="other"),
            "ValueError: it is called 'other', and its entry",
        ),
        (
            DATASET.format(name="bad", card="bad").replace("open_reader", "x"),
            "TypeError: it has no open_",
        ),
        ("raise ValueError('\\x1b[2J' + 'long ' * 1000)", "ValueError: \\x1b[2Jlong "),
    ],
)
def test_a_broken_one_is_named_and_the_others_are_there(
    tmp_path: Path, text: str, reason: str
) -> None:
    given(tmp_path, "bad-maps", "bad", text=text)
    given(tmp_path, "good-maps", "good")
    found = catalog(tmp_path, "bad-maps,good-maps")
    assert found["datasets"][-1] == "good"
    assert "bad" not in found["datasets"]
    why = reasons(found)
    assert why["good-maps 1.0"] == ""
    assert why["bad-maps 1.0"].startswith(reason)
    assert len(why["bad-maps 1.0"]) <= 300


def test_the_error_of_an_unknown_name_says_why_its_plugin_is_missing(tmp_path: Path) -> None:
    given(tmp_path, "bad-maps", "bad", text="import not_installed_anywhere")
    code = "from featurescape_jobs.datasets import DATASETS; DATASETS['bad']"
    done = python(tmp_path, "bad-maps", code)
    assert "there is no dataset called 'bad'" in done.stderr
    assert "plug-in bad-maps 1.0 was left out: ModuleNotFoundError" in done.stderr


def test_no_plugin_replaces_what_the_library_has(tmp_path: Path) -> None:
    given(tmp_path, "evil-maps", "digits")
    found = catalog(tmp_path, "evil-maps")
    assert reasons(found) == {"evil-maps 1.0": "ValueError: there is one of this name already"}
    assert found["datasets"] == catalog(tmp_path, "")["datasets"]


def test_of_two_plugins_with_one_name_the_first_named_stays(tmp_path: Path) -> None:
    for package in ("one-maps", "two-maps"):
        given(tmp_path, package, "same")
    for order in (["one-maps", "two-maps"], ["two-maps", "one-maps"]):
        found = catalog(tmp_path, ",".join(order))
        assert found["datasets"].count("same") == 1
        why = reasons(found)
        assert why[f"{order[0]} 1.0"] == ""
        assert why[f"{order[1]} 1.0"] == "ValueError: there is one of this name already"


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    given(tmp_path, "good-maps", "good")
    found = catalog(tmp_path, "gone-maps,good-maps:nothing,good-maps")
    assert found["datasets"][-1] == "good"
    why = reasons(found)
    assert why["gone-maps"] == "there is no such package on this machine"
    assert why["good-maps:nothing"].startswith("it has no such entry point")


def test_a_spec_that_declares_nothing_is_left_out(tmp_path: Path) -> None:
    text = """
from typing import Literal
from featurescape_jobs.specs import BaseJobSpec, DatasetSpec, Examples, JobCard

class CountsSpec(BaseJobSpec):
    job: Literal["counts"] = "counts"
    card = JobCard("Count", "How many.", 0, module="counts_maps")
    {needs}
    dataset: DatasetSpec
"""
    points = {"featurescape.jobs": {"counts": "counts_maps:CountsSpec"}}
    for folder, needs, reason in (
        ("without", "", "TypeError: CountsSpec declares no needs"),
        ("with", "needs = (Examples(read_by=()),)", ""),
    ):
        modules = {"counts_maps.py": text.format(needs=needs)}
        distribution(tmp_path / folder, "counts-maps", modules, points)
        found = catalog(tmp_path / folder, "counts-maps")
        assert found["plugins"][0]["reason"].startswith(reason)
        assert ("counts" in found["jobs"]) == (reason == "")


# -- what follows ------------------------------------------------------------------------------


def test_the_code_of_a_plugin_counts_where_its_entries_are_used(tmp_path: Path) -> None:
    extending_distribution(tmp_path)
    given(tmp_path, "other-maps", "other")
    code = """
from featurescape_jobs.engine.code_version import source_sha256
print(*(source_sha256(frozenset(names)) for names in ([], ["gradients"], ["other"])))
"""
    before = python(tmp_path, "shiny-maps,other-maps", code).stdout.split()
    assert len(set(before)) == 3
    module = tmp_path / "shiny" / "gradients.py"
    module.write_text(module.read_text() + "\n")
    after = python(tmp_path, "shiny-maps,other-maps", code).stdout.split()
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_settings_in_code_cannot_name_plugins(tmp_path: Path) -> None:
    code = """
from featurescape.server.settings import Settings
print(*Settings().plugins)
try:
    Settings(plugins="b-maps")
except ValueError as error:
    print("set FEATURESCAPE_PLUGINS before" in str(error))
"""
    done = python(tmp_path, "a-maps", code)
    assert done.stdout.split() == ["a-maps", "True"], done.stderr
