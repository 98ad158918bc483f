"""Export of a map as a page that needs no service: a folder for a host or to open as a file, or one HTML file.

A folder is put together beside what is there and then takes its place, so that it is whole or as it was. Only a
folder that is new, empty, or an earlier export is written to; files in it that are not of the export stay.

Memory and disk: those of `export_rows`, `export_images` and `export_forms`; on disk, one archive of the map beside
the export.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from featurescape import operations
from featurescape.export_forms import (
    MOST_EXAMPLES,
    AsIs,
    Form,
    FormName,
    InPage,
    Scripts,
    Unpacked,
    library,
)
from featurescape.export_images import WrittenImages, check_images, write_images
from featurescape.export_page import folder_page, single_page_start, viewer_file
from featurescape.export_progress import ExportProgress, Shown, export_progress, say
from featurescape.export_target import MARKER, check_file, check_folder, part_of, take_place
from featurescape.map_files import fetch_tables
from featurescape.reading import fetch
from featurescape.steps import Steps, work
from featurescape_jobs.artifacts import Manifest, MapInfo
from featurescape_jobs.errors import RequestError

_FORMS: dict[FormName, Callable[[Path], Form]] = {
    "range": lambda folder: AsIs(folder),
    "xyz": lambda folder: Unpacked(folder),
    "files": lambda folder: Scripts(folder=folder),
}


@dataclass(frozen=True)
class _Map:
    """What is exported."""

    manifest: Manifest
    given: str | None
    """Title that someone gave it."""
    made_of: dict[str, str]
    """Names of dataset and model."""
    images: WrittenImages | None = None
    """Full images that are in the export; None: none."""

    @property
    def title(self) -> str:
        return self.given or " · ".join(self.made_of.values()) or self.manifest.job_id

    @property
    def info(self) -> MapInfo:
        return MapInfo.model_validate(self.manifest.details["map"])


@dataclass(frozen=True)
class StaticOptions:
    """Options of an exported folder."""

    form: FormName = "range"
    images: bool = False
    """Whether the full images are in it."""


class StaticFields(TypedDict, total=False):
    """The same as keywords."""

    form: FormName
    images: bool


def export_static(
    map_id: str, directory: str | Path, options: StaticOptions, shown: Shown
) -> Steps[Path]:
    """Write a folder with the viewer and a map's data; returns its path.

    Raises:
        RequestError: the folder holds something else, or the map is too large for the form.
    """
    form = options.form
    if form not in _FORMS:
        raise RequestError(f"form: one of {', '.join(_FORMS)}", field="form")
    if form == "xyz":
        library("pmtiles.reader")
    target = Path(directory).expanduser()
    exported = yield from _read_map(map_id, form)
    if options.images:
        check_images(map_id, exported.info.examples)
    check_folder(target)
    written = None
    with part_of(target) as part, export_progress(shown) as progress:
        made = _FORMS[form](part)
        if options.images:
            written = yield from write_images(map_id, exported.info.examples, made.put, progress)
        yield from _write(replace(exported, images=written), made, part, progress)
        for name in ("viewer.js", "viewer.css"):
            (part / name).write_bytes(viewer_file(f"exported/{name}"))
        (part / "index.html").write_text(folder_page(form, exported.title), "utf-8")
        marker = {"featurescape_export": 1, "form": form, "map": map_id}
        (part / MARKER).write_text(json.dumps(marker) + "\n", "utf-8")
        check_folder(target)
        yield from work(partial(take_place, part, target))
    say(written.remark() if written else None, shown)
    return target


def export_html(map_id: str, path: str | Path, overwrite: bool, shown: Shown) -> Steps[Path]:
    """Write a map of at most 5,000 examples as one HTML file; returns its path."""
    target = Path(path).expanduser()
    check_file(target, overwrite)
    exported = yield from _read_map(map_id, "page")
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    start, end = single_page_start(exported.title)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder,
            part.open("w", encoding="utf-8", newline="\n") as file,
            export_progress(shown) as progress,
        ):
            file.write(start)
            yield from _write(exported, InPage(file=file), Path(folder), progress)
            file.write(end)
        check_file(target, overwrite)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _read_map(map_id: str, form: str) -> Steps[_Map]:
    state = yield from operations.map_state(map_id)
    manifest = yield from operations.manifest(map_id)
    info = MapInfo.model_validate(manifest.details["map"])
    features = (
        manifest if info.features == map_id else (yield from operations.manifest(info.features))
    )
    found = _Map(manifest, state.get("title"), dict(_names(features.spec)))
    most = MOST_EXAMPLES.get(form)
    if most is not None and found.info.examples > most:
        wider = "--static with --files up to 20,000, else " if form == "page" else ""
        raise RequestError(
            f"{map_id} has {found.info.examples:,} examples; this form is for at most {most:,}. "
            f"Use {wider}--static",
            field="form",
        )
    return found


def _names(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of dataset and model in the spec of the features: all that an export says of them."""
    for field in ("dataset", "model"):
        given = spec.get(field)
        if isinstance(given, dict) and isinstance(given.get("name"), str):
            yield field, given["name"]


def _write(exported: _Map, form: Form, folder: Path, progress: ExportProgress) -> Steps[None]:
    """Give all files of a map to a form; ``folder`` is for what is there only meanwhile."""
    from featurescape.export_rows import write_rows

    manifest = exported.manifest
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=folder) as place:
        meanwhile = Path(place)
        drawn = [ref for ref in manifest.files if not ref.path.endswith(".parquet")]
        progress.stage("archives", sum(ref.size_bytes for ref in drawn))
        for ref in drawn:
            local = yield from fetch(manifest, ref, meanwhile)
            yield from work(partial(form.put_file, ref.path, local))
            progress.more(ref.size_bytes)
        tables = yield from fetch_tables(manifest, meanwhile)
        yield from write_rows(tables, meanwhile, form.put, progress)
        form.put("data/map.json", json.dumps(_described(exported)).encode())
        yield from work(form.finish)


def _described(exported: _Map) -> dict[str, Any]:
    """What the page asks of jobs: no paths, versions or machines."""
    from featurescape.export_rows import EXAMPLES_PER_FILE, THUMBNAILS_PER_FILE

    manifest = exported.manifest
    features = exported.info.features
    names = {field: {"name": name} for field, name in exported.made_of.items()}
    details = {
        name: manifest.details[name]
        for name in ("map", "no_attribution")
        if name in manifest.details
    }
    jobs = {
        features: {"id": features, "job": "features", "title": None, "spec": names},
        manifest.job_id: {
            "id": manifest.job_id,
            "job": manifest.job,
            "title": exported.given,
            "spec": {},
        },
    }
    spec = {k: v for k, v in manifest.spec.items() if k == "thumbnail_px"}
    said = {"job_id": manifest.job_id, "job": manifest.job, "spec": spec, "details": details}
    return {
        "map": manifest.job_id,
        "images": exported.images is not None,
        "manifest": said,
        "jobs": jobs,
        "examples_per_file": EXAMPLES_PER_FILE,
        "thumbnails_per_file": THUMBNAILS_PER_FILE,
    }
