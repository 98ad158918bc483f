"""What is no example is counted by reason, with its first names, and travels to whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from featurescape import cli
from featurescape.client import Client
from featurescape_jobs.artifacts import Manifest, PassedOverFiles
from featurescape_jobs.datasets import DATASETS, cached_listing
from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.datasets.sources import tree
from featurescape_jobs.datasets.sources.names import text
from featurescape_jobs.datasets.sources.passed_over import MAX_REASONS, OTHER_REASON, PassedOver
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import DatasetSpec
from helpers.service_fakes import FEATURES_SPEC, RunningService, running_service


def counted(*reasons: str) -> PassedOver:
    found = PassedOver()
    for number, reason in enumerate(reasons):
        found.add(reason, f"{number}.x")
    return found


# -- counting ----------------------------------------------------------------------------------


def test_counts_are_by_reason_the_commonest_first() -> None:
    found = counted("an HTML page", "a HEIC image: convert it", "a HEIC image: convert it")
    assert found.record().model_dump() == {
        "files": 3,
        "reasons": [
            {"reason": "a HEIC image: convert it", "count": 2, "names": ["1.x", "2.x"]},
            {"reason": "an HTML page", "count": 1, "names": ["0.x"]},
        ],
    }
    assert found.record().summary() == "3 files passed over: 2 HEIC images, 1 HTML page"
    assert PassedOver().record().summary() == ""


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("a link outside the allowed roots", "2 links outside the allowed roots"),
        ("an AppleDouble file of attributes", "2 AppleDouble files of attributes"),
        ("a directory", "2 directories"),
        ("an index", "2 indexes"),
        ("plain text", "2 of plain text"),
    ],
)
def test_a_reason_has_a_plural(reason: str, said: str) -> None:
    assert counted(reason, reason).record().reasons[0].counted == said


@pytest.mark.parametrize(
    ("remedy", "of_two"),
    [
        ("convert it to JPEG or PNG", "convert them to JPEG or PNG"),
        ("export its images as JPEG or PNG", "export their images as JPEG or PNG"),
        ("download the file itself again", "download the files themselves again"),
        ("run git lfs pull", "run git lfs pull"),
        ("", ""),
    ],
)
def test_a_remedy_has_a_plural(remedy: str, of_two: str) -> None:
    reason = f"a file: {remedy}" if remedy else "a file"
    assert counted(reason).record().reasons[0].remedy == remedy
    two = counted(reason, reason).record()
    assert two.reasons[0].remedy == of_two
    assert two.explained() == (f"2 files ({of_two})" if of_two else "2 files")


def test_names_and_reasons_are_bounded_and_the_counts_are_not() -> None:
    found = PassedOver()
    for number in range(100):
        for copy in range(7):
            found.add(f"a file of kind {number}", f"{copy}/{'x' * 500}.end")
    record = found.record()
    assert record.files == 700
    assert sum(reason.count for reason in record.reasons) == 700
    assert len(record.reasons) == MAX_REASONS
    assert record.reasons[0].reason == OTHER_REASON
    assert record.reasons[0].count == 7 * (100 - MAX_REASONS + 1)
    assert {len(reason.names) for reason in record.reasons} == {5}
    assert {len(name) for reason in record.reasons for name in reason.names} == {200}
    assert record.reasons[0].names[0].endswith("x.end")


def test_names_are_printable_whatever_bytes_they_have() -> None:
    found = PassedOver()
    found.add("a hidden file", "caf\udce9\x1b[31m\u202egpj.exe\n")
    assert found.record().reasons[0].names == ["caf\\xe9�[31m�gpj.exe�"]


def test_counts_are_merged_and_read_back() -> None:
    found = counted("a hidden file", "a hidden file")
    found.merge(counted("a hidden file", "an HTML page"))
    assert found.record().summary() == "4 files passed over: 3 hidden files, 1 HTML page"
    assert PassedOver.from_record(found.record()).record() == found.record()


def test_no_two_names_have_the_same_text() -> None:
    names = ["\udce9", "\\xe9", "\\\\xe9", "\\\udce9", "\\\\\udce9", "\\\\\\xe9", "é", "\\é", "\\"]
    texts = [text(name) for name in names]
    assert texts[:2] == ["\\xe9", "\\\\xe9"]
    assert len(set(texts)) == len(names)
    assert text("a\\b.jpg") == "a\\b.jpg"


# -- from the listing to the manifest ----------------------------------------------------------


class Counting:
    """A dataset of three examples that passes two files over, the last as its entries end."""

    name = "images"
    card = DatasetCard(name="images", title="", summary="", needs_root=True)

    def check(self, spec: DatasetSpec) -> None:
        pass

    def freeze(self, spec: DatasetSpec) -> Listing:
        passed_over = PassedOver()
        source = tree.LocalTree(Path(str(spec.root)))

        def entries() -> Iterator[Entry]:
            source.scan()
            passed_over.add("an HTML page", "a.html")
            yield from (Entry(name, name) for name in "abc")
            passed_over.add("an HTML page", "z.html")

        return Listing(entries(), (), source, passed_over, "the column label")


def frozen_twice(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[PassedOverFiles]:
    """By two jobs of one storage; the second finds the first one's listing where it was kept."""
    monkeypatch.setattr(tree, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(
        type(DATASETS["images"]), "freeze", lambda self, spec: Counting().freeze(spec)
    )
    storage, found = Storage(str(root / "storage")), []
    images = root / "images"
    images.mkdir(exist_ok=True)
    spec = DatasetSpec(name="images", root=str(images), limit=2)
    for number in (1, 2):
        context = RunContext(storage, f"features-00000000000{number}", 1, 0, {})
        frozen = freeze(spec, context)
        assert (frozen.examples, frozen.labels) == (2, "the column label")
        found.append(context.passed_over)
        again = RunContext(storage, context.job_id, 2, 0, {})
        assert freeze(spec, again) == frozen  # a later attempt reads what was frozen
        assert again.passed_over == context.passed_over
    return found


@pytest.mark.parametrize("kept", [True, False])
def test_every_job_of_a_dataset_knows_what_its_listing_passed_over(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_listing, "MIN_EXAMPLES", 1 if kept else 1000)
    first, second = frozen_twice(tmp_path, monkeypatch)
    assert first.summary() == "2 files passed over: 2 HTML pages"
    assert second == first
    assert len(Storage(str(tmp_path / "storage")).list_names("index")) == (2 if kept else 0)


# -- where people see it -----------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(tmp_path) as running:
        monkeypatch.setenv("FEATURESCAPE_URL", running.url)
        yield running


HEIC = "a HEIC image: convert it to JPEG or PNG"


def test_the_client_tells_what_was_passed_over(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(service.url) as client:
        job = client.submit(FEATURES_SPEC)
        assert job.passed_over.files == 0
        service.commit.manifest(job.id, passed_over=counted(HEIC, HEIC, "an HTML page").record())
        job.wait(timeout_seconds=20)
        assert job.passed_over.files == 3
        assert "3 files passed over: 2 HEIC images, 1 HTML page" in capsys.readouterr().out
        rows = job.errors().to_pylist()
        assert [row["code"] for row in rows] == ["passed_over", "passed_over"]
        assert rows[0] == {
            "example_id": None,
            "locator": "0.x",
            "code": "passed_over",
            "message": "2 HEIC images: convert them to JPEG or PNG: 0.x, 1.x",
        }
        assert rows[1]["message"] == "1 HTML page: 2.x"
        assert cli.main(["show", job.id]) == 0
        shown = capsys.readouterr().out
        assert "2 HEIC images" in shown
        assert "0.x, 1.x" in shown


def test_where_labels_are_from_is_told_where_nobody_asked(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(service.url) as client:
        job = client.submit(FEATURES_SPEC)
        assert job.labels == ""
        service.commit.manifest(job.id, details={"labels": "the column label"})
        job.wait(timeout_seconds=20)
        assert "examples; labels: the column label" in capsys.readouterr().out
        assert cli.main(["show", job.id]) == 0
        assert "the column label" in capsys.readouterr().out


def test_a_manifest_of_before_passed_nothing_over(service: RunningService) -> None:
    job_id = service.commit.started(FEATURES_SPEC)
    body = service.commit.manifest(job_id).model_dump(mode="json")
    del body["passed_over"]
    assert Manifest.model_validate(body).passed_over == PassedOverFiles(files=0, reasons=[])
