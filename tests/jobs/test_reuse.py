"""The same job again: its artifact is taken over, and computed anew where anything differs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from featurescape_jobs import features, reuse
from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.engine.context import Outcome, RunContext, read_manifest
from featurescape_jobs.engine.fingerprints import fingerprint
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import NotFoundError
from featurescape_jobs.run import execute
from featurescape_jobs.specs import parse_spec, places
from featurescape_jobs.specs.base import Spec
from helpers.extras import needs

JOBS = "featurescape_jobs."
"""Questions of the service are none of a job's specs."""

Run = Callable[..., Manifest]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "storage"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for shade in range(4):
        Image.new("L", (8, 8), shade * 60).save(folder / f"{shade}.png")
    return folder


@pytest.fixture
def run(storage: Storage, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a job under a new id; `computed` on the function lists the jobs that were computed."""
    computed: list[str] = []
    real = features.run

    def counted(spec: object, context: RunContext) -> Outcome:
        computed.append(context.job_id)
        return real(spec, context)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "run", counted)
    spec = {
        "job": "features",
        "dataset": {"name": "images", "root": str(photos)},
        "model": {"name": "lenet", "weights": "random"},
    }
    numbers = iter(range(100))

    def run(inputs: dict[str, str] | None = None, attempt: int = 1, **changes: object) -> Manifest:
        made = parse_spec(changes if "job" in changes else {**spec, **changes})
        job_id = f"{made.job}-{next(numbers):012x}"
        body = {"spec": made.model_dump(mode="json"), "inputs": inputs or {}, "attempt": attempt}
        storage.write(f"jobs/{job_id}/spec.json", json.dumps(body).encode())
        manifest = execute(storage, job_id, attempt)
        assert manifest is not None
        assert manifest == read_manifest(storage, job_id)
        return manifest

    run.computed = computed  # type: ignore[attr-defined]
    return run


def times_computed(run: Run) -> int:
    return len(run.computed)  # type: ignore[attr-defined]


def test_the_same_job_again_has_the_same_files_without_work(run: Run, storage: Storage) -> None:
    first, again = run(), run(title="another name")
    assert times_computed(run) == 1
    assert first.reused_from is None
    assert again.reused_from == first.job_id
    assert (again.rows, again.error_rows, again.details) == (4, 0, first.details)
    assert again.spec["title"] == "another name"
    assert set(again.timings_seconds) == {"reuse"}
    assert again.files == first.files
    for ref in again.files:
        assert storage.sha256(f"jobs/{again.job_id}/{ref.path}") == ref.sha256
        links = storage.local_path(f"jobs/{again.job_id}/{ref.path}").stat().st_nlink
        assert links == 2
    third = run()
    assert third.reused_from == first.job_id


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"layers": ["conv1"]},
        {"reuse": False},
        {"model": {"name": "row_lstm", "weights": "random"}},
    ],
)
def test_another_spec_is_computed(run: Run, changes: dict[str, object]) -> None:
    run()
    assert run(**changes).reused_from is None
    assert times_computed(run) == 2


def test_what_was_computed_on_purpose_is_what_is_used_from_then_on(run: Run) -> None:
    run()
    fresh = run(reuse=False)
    assert run().reused_from == fresh.job_id


def rewrite(folder: Path) -> None:
    """Another image of the same name and size, with the time of the old one."""
    path = folder / "2.png"
    before, data = path.stat(), (folder / "1.png").read_bytes()
    assert len(data) == before.st_size
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def add(folder: Path) -> None:
    (folder / "more").mkdir()
    Image.new("L", (8, 8)).save(folder / "more" / "x.png")


@pytest.mark.parametrize("change", [rewrite, add, lambda folder: (folder / "3.png").unlink()])
def test_other_files_are_computed(run: Run, photos: Path, change: Callable[[Path], None]) -> None:
    run()
    change(photos)
    assert run().reused_from is None


def test_files_that_change_while_they_are_read_are_not_used_again(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = features.run

    def slow(spec: object, context: RunContext) -> Outcome:
        outcome = real(spec, context)  # type: ignore[arg-type]
        rewrite(photos)
        return outcome

    with monkeypatch.context() as patched:
        patched.setattr(features, "run", slow)
        run()
    assert run().reused_from is None


@pytest.mark.parametrize(
    ("code", "again"), [("timeout", False), ("out_of_memory", False), ("truncated", True)]
)
def test_rows_that_may_come_out_well_another_time_are_tried_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, code: str, again: bool
) -> None:
    real = features.run

    def with_error(spec: object, context: RunContext) -> Outcome:
        outcome = real(spec, context)  # type: ignore[arg-type]
        return replace(outcome, details={**outcome.details, "error_codes": {code: 1}})

    with monkeypatch.context() as patched:
        patched.setattr(features, "run", with_error)
        run()
    assert (run().reused_from is not None) is again


def test_what_an_earlier_attempt_began_counts_from_then(
    run: Run, storage: Storage, photos: Path
) -> None:
    """Its shards may be of files that were other ones."""
    job_id = f"features-{0:012x}"
    storage.write(f"jobs/{job_id}/input/reuse.json", json.dumps({"key": "0" * 64}).encode())
    assert run(attempt=2).job_id == job_id
    assert run().reused_from is None


def test_other_code_is_another_artifact(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.setattr(reuse, "source_sha256", lambda _: "edited")
    assert run().reused_from is None
    monkeypatch.setattr(reuse, "package_versions", lambda: {"torch": "99"})
    assert run().reused_from is None


def damage_entry(storage: Storage, first: Manifest) -> None:
    (name,) = storage.list_names("reuse")
    storage.write(f"reuse/{name}", b'{"job_id": "features-')


def point_elsewhere(storage: Storage, first: Manifest) -> None:
    (name,) = storage.list_names("reuse")
    storage.write(f"reuse/{name}", b'{"job_id": "../../etc/passwd"}')


def remove_manifest(storage: Storage, first: Manifest) -> None:
    storage.delete(f"jobs/{first.job_id}/manifest.json")


def damage_manifest(storage: Storage, first: Manifest) -> None:
    storage.write(f"jobs/{first.job_id}/manifest.json", b"{")


def shorten_file(storage: Storage, first: Manifest) -> None:
    storage.write(f"jobs/{first.job_id}/{first.files[0].path}", b"PAR1")


def remove_file(storage: Storage, first: Manifest) -> None:
    storage.delete(f"jobs/{first.job_id}/{first.files[0].path}")


@pytest.mark.parametrize(
    "damage",
    [
        damage_entry,
        point_elsewhere,
        remove_manifest,
        damage_manifest,
        shorten_file,
        remove_file,
    ],
)
def test_what_is_damaged_or_gone_is_computed(
    run: Run, storage: Storage, damage: Callable[[Storage, Manifest], None]
) -> None:
    first = run()
    damage(storage, first)
    again = run()
    assert again.reused_from is None
    assert run().reused_from == again.job_id


def test_a_later_attempt_takes_files_under_names_of_its_own(run: Run, storage: Storage) -> None:
    first, again = run(), run(attempt=2)
    assert again.reused_from == first.job_id
    assert all("-attempt2." in ref.path for ref in again.files)
    for ref in again.files:
        assert storage.sha256(f"jobs/{again.job_id}/{ref.path}") == ref.sha256


def test_a_file_that_cannot_be_linked_is_copied(
    run: Run, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run()

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Storage, "write_new", Storage.write)  # which needs a link as well
    again = run()
    assert again.reused_from == first.job_id
    for ref in again.files:
        path = storage.local_path(f"jobs/{again.job_id}/{ref.path}")
        assert path.stat().st_nlink == 1
        assert storage.sha256(f"jobs/{again.job_id}/{ref.path}") == ref.sha256


def test_linking_what_is_not_there_or_is_there_already(storage: Storage) -> None:
    with pytest.raises(NotFoundError):
        storage.link("a/none", "b/none")
    storage.write("a/x", b"x")
    storage.write("b/x", b"old")
    storage.link("a/x", "b/x")
    storage.link("a/x", "b/x")
    assert storage.read("b/x") == b"x"
    assert [path.name for path in storage.local_path("b").iterdir()] == ["x"]


def test_an_embedding_of_reused_features_is_reused_and_names_the_new_ones(run: Run) -> None:
    """And a map of it names both: what a viewer opens from it are the jobs of this map."""
    digits = {"name": "digits", "limit": 40}
    first, again, fresh = run(dataset=digits), run(dataset=digits), run(dataset=digits, reuse=False)

    def embed(source: Manifest) -> Manifest:
        inputs = {"features": source.job_id}
        return run(inputs, job="embedding", perplexity=5.0, **inputs)

    def draw(source: Manifest) -> Manifest:
        inputs = {"embedding": source.job_id}
        return run(inputs, job="tiles", **inputs)

    laid, laid_again = embed(first), embed(again)
    drawn, drawn_again = draw(laid), draw(laid_again)
    assert (laid_again.reused_from, drawn_again.reused_from) == (laid.job_id, drawn.job_id)
    assert laid_again.inputs == {"features": again.job_id}
    assert drawn_again.details["map"]["embedding"] == laid_again.job_id
    assert drawn_again.details["map"]["features"] == again.job_id
    assert drawn_again.details["map"]["layers"] == drawn.details["map"]["layers"]
    assert embed(fresh).reused_from is None


def test_every_text_of_the_length_of_a_path_is_a_place_or_an_id() -> None:
    """A new field that names a file must be looked at, or an old artifact would be taken for it."""
    kinds = {kind for kind in _spec_classes(Spec) if kind.__module__.startswith(JOBS)}
    found = {
        (kind.__name__, name)
        for kind in kinds
        for name, field in kind.model_fields.items()
        if any(getattr(rule, "max_length", 0) == 4096 for rule in field.metadata)
    }
    declared = {(kind.__name__, name) for kind in kinds for name in kind.places}
    assert found - declared == {("GuideSpec", "example_id")}
    assert ("DatasetSpec", "root") in declared


def _spec_classes(kind: type[Spec]) -> set[type[Spec]]:
    own = set(kind.__subclasses__())
    return own.union(*(_spec_classes(sub) for sub in own))


def test_places_are_found_in_every_part_of_a_spec() -> None:
    spec = parse_spec(
        {
            "job": "dreams",
            "objective": "guided",
            "dataset": {"name": "images", "root": "/a"},
            "model": {"name": "resnet50", "weights": "/w.safetensors"},
            "guide": {"dataset": {"name": "images", "root": "/guide"}},
        }
    )
    assert sorted(places(spec)) == ["/a", "/guide", "/w.safetensors"]
    matrices = [{"name": "m", "file": "/m.safetensors"}, {"name": "n", "values": [[1.0]]}]
    assert places(parse_spec({"job": "dynamics", "matrices": matrices})) == ["/m.safetensors"]


def test_a_fingerprint_follows_links_once_and_only_where_it_may(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "a").mkdir(parents=True)
    other.mkdir()
    (root / "a" / "loop").symlink_to(root)
    (root / "out").symlink_to(other)
    (root / "broken").symlink_to("nowhere")
    anywhere, only_root = fingerprint(str(root), None), fingerprint(str(root), (str(root),))
    assert anywhere is not None
    assert only_root is not None
    (other / "x.png").write_bytes(b"x")
    assert fingerprint(str(root), None) != anywhere
    assert fingerprint(str(root), (str(root),)) == only_root
    (root / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    assert fingerprint(str(root), (str(root),)) not in (None, only_root)


def test_what_cannot_be_looked_at_has_no_fingerprint(tmp_path: Path) -> None:
    assert fingerprint(str(tmp_path / "none"), None) is None
    assert fingerprint(str(tmp_path), ("/elsewhere",)) is None
    assert fingerprint("gs://bucket/x", None) is None
    (tmp_path / "w.safetensors").write_bytes(b"1")
    assert fingerprint(str(tmp_path / "w.safetensors"), None) is not None


@needs("huggingface_hub")
def test_a_repository_of_the_hub_is_part_of_the_key(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub does not answer: the cache says which commit its main branch was at."""
    from huggingface_hub import HfApi, constants

    def silent(*_: object, **__: object) -> None:
        raise OSError("no net")

    monkeypatch.setattr(HfApi, "model_info", silent)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    branch = tmp_path / "hub/models--openai--clip/refs/main"

    def key(**model: str) -> str | None:
        named = {"name": "transformers", "architecture": "openai/clip", **model}
        spec = parse_spec({"job": "features", "dataset": {"name": "digits"}, "model": named})
        return reuse.key_of(spec, RunContext(storage, "features-000000000001", 1, 0, {}))

    assert key() is None, "nobody knows what it is"
    assert key(revision="c" * 40) is not None, "a commit is what it is"
    branch.parent.mkdir(parents=True)
    branch.write_text("a" * 40)
    before = key()
    assert before == key() is not None
    branch.write_text("b" * 40)
    assert key() not in (None, before)
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: SimpleNamespace(sha="a" * 40))
    assert key() == before, "the hub says more than the cache"
    assert key(weights=str(tmp_path)) not in (None, before), "a folder is of no repository"
