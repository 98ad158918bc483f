"""Selecting points of a map: queries from keywords, and the requests for counts, names, tables, files and images.

``pyarrow`` is loaded where tables are read, and by nothing else.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast
from urllib.parse import quote

from featurescape import operations
from featurescape.steps import Steps, copy, delete, get, post, put, work
from featurescape_jobs.artifacts import MapInfo
from featurescape_jobs.errors import NotFoundError, RequestError, SpecError
from featurescape_jobs.specs import DatasetSpec

if TYPE_CHECKING:
    import pyarrow as pa

Query = dict[str, Any]
State = dict[str, Any]
"""A selection as the service's JSON has it."""
Format = Literal["csv", "parquet"]
_LONGEST = 60
_SUFFIXES = {"image/png": ".png", "image/webp": ".webp", "image/jpeg": ".jpg"}


class SelectFields(TypedDict, total=False):
    """Kinds of a selection, as keywords; of several the points that are in all of them are meant."""

    polygon: Sequence[tuple[float, float]]
    """Corners of a lasso in the unit square, y downwards."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1."""
    class_: str | int | None
    """Name or index of a class; None: without a label."""
    cluster: str
    attribute: tuple[str, str]
    """Name of an attribute, and the value."""
    words: str
    where: str
    """Conditions of attributes, as ``year > 1990``."""
    neighbors_of: int
    """Row of an example, which is taken with those nearest to it."""
    k: int
    """Of these how many."""
    rows: Sequence[int]
    saved: str
    """Name of a selection."""
    arrangement: Literal["exact", "grid"]
    """Positions that polygon and box are drawn on."""


def query_of(
    given: Mapping[str, Any] | None, fields: SelectFields, classes: Sequence[str]
) -> Query:
    """The query that is given, and what keywords say.

    Raises:
        SpecError: nothing is said, or a class that there is not.
    """
    queries = [] if given is None else [dict(given)]
    said = cast("dict[str, Any]", dict(fields))
    arrangement = {"arrangement": said.pop("arrangement")} if "arrangement" in said else {}
    for name in ("polygon", "box"):
        if name in said:
            queries.append({name: _listed(said.pop(name)), **arrangement})
    if "class_" in said:
        queries.append({"class": _label(said.pop("class_"), classes)})
    if "attribute" in said:
        name, value = said.pop("attribute")
        queries.append({"attribute": name, "value": str(value)})
    for group in (("words", "where"), ("neighbors_of", "k")):
        if group[0] in said or (group == ("words", "where") and "where" in said):
            queries.append({name: said.pop(name) for name in group if name in said})
    for name in ("cluster", "rows", "saved"):
        if name in said:
            value = said.pop(name)
            queries.append({name: _listed(value) if name == "rows" else value})
    if said:
        raise SpecError(
            f"{next(iter(said))}: no kind of a selection; there are "
            f"{', '.join(SelectFields.__annotations__)}",
            field=next(iter(said)),
        )
    if not queries:
        raise SpecError("selection: say which points, as class_='cat' or box=…", field="selection")
    return queries[0] if len(queries) == 1 else {"intersection": queries}


def _listed(values: Any) -> list[Any]:
    """Numbers of lists, tuples and arrays as JSON has them."""
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    return [_listed(value) if isinstance(value, Sequence) else value for value in plain]


def _label(given: str | int | None, classes: Sequence[str]) -> int | None:
    if not isinstance(given, str):
        return given
    if given not in classes:
        known = ", ".join(classes[:20]) or "none"
        raise SpecError(
            f"class: the map has no class {given[:80]!r}; it has {known}", field="class"
        )
    return list(classes).index(given)


def selecting(map_id: str, given: Mapping[str, Any] | None, fields: SelectFields) -> Steps[Query]:
    """The query that keywords mean on a map."""
    named = isinstance(fields.get("class_"), str)
    info = (yield from operations.map_info(map_id)) if named else None
    return query_of(given, fields, () if info is None else info.classes)


def summary(map_id: str, query: Query) -> Steps[dict[str, Any]]:
    """Counts of all points that are selected, and the ends of the contact sheet."""
    return cast("dict[str, Any]", (yield from post(_path(map_id), query)).json())


def saved(map_id: str, name: str) -> Steps[State]:
    """A selection that is saved; raises `NotFoundError`."""
    return cast(State, (yield from get(_path(map_id, name))).json())


def all_saved(map_id: str) -> Steps[list[State]]:
    """The selections of a map."""
    return cast("list[State]", (yield from get(_path(map_id))).json()["selections"])


def save(map_id: str, name: str, query: Query, *, replace: bool) -> Steps[State]:
    """Save a selection; raises `ConflictError` where the name is taken."""
    answer = yield from put(_path(map_id, name), query, replace=str(replace).lower())
    return cast(State, answer.json())


def rename(map_id: str, name: str, new: str) -> Steps[State]:
    """Give a saved selection another name."""
    answer = yield from post(f"{_path(map_id, name)}/rename?to={quote(new, safe='')}")
    return cast(State, answer.json())


def remove(map_id: str, name: str) -> Steps[None]:
    """Delete a saved selection."""
    yield from delete(_path(map_id, name))


def export(
    map_id: str, query: Query, path: str | Path, form: Format, *, overwrite: bool = False
) -> Steps[Path]:
    """Write the selected rows as a file, which is there when it is whole; returns its path."""
    target = Path(path).expanduser()
    if target.exists() and not overwrite:
        raise RequestError(
            f"{target}: it is there already; name another file, or say overwrite=True", field="path"
        )
    if not target.parent.is_dir():
        raise RequestError(f"{target}: there is no folder {target.parent}", field="path")
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        yield from copy(f"{_path(map_id)}/export?format={form}", part, query)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def table(map_id: str, query: Query) -> Steps[pa.Table]:
    """The selected rows, in memory."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="featurescape-") as folder:
        path = yield from export(map_id, query, Path(folder) / "rows.parquet", "parquet")
        return (yield from work(partial(pq.read_table, path)))


def dataset_of(state: State) -> DatasetSpec:
    """The dataset that a saved selection is; raises `SpecError` where it is none."""
    if state["dataset"] is None:
        raise SpecError(f"dataset: {state['dataset_problem']}", field="dataset")
    return DatasetSpec.model_validate(state["dataset"])


def check_same_map(one: str, other: str) -> None:
    """Raise `SpecError` where two selections are of two maps."""
    if one != other:
        raise SpecError(f"selection: one is of {one}, one of {other}", field="selection")


def described(map_id: str, query: Query, state: State | None) -> str:
    """A selection in a word, for its ``repr``."""
    if state is not None:
        return f"<Selection {state['name']!r} of {map_id}: {state['count']} points>"
    text = json.dumps(query, ensure_ascii=False)
    return f"<Selection of {map_id}: {text[:60]}{'…' if len(text) > 60 else ''}>"


# -- images ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copies:
    """Images of a selection as files of a folder."""

    map_id: str
    folder: Path
    links: bool
    """Whether they are links to the dataset's own files."""

    def make(self, query: Query) -> Steps[list[Path]]:
        """Write them, in a folder of each class; returns their paths, in the order of the map.

        Raises:
            RequestError: there is something in the folder already, or an image has no file to link to.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            raise RequestError(f"{self.folder}: it is not empty; name a new folder", field="folder")
        info = yield from operations.map_info(self.map_id)
        rows = yield from table(self.map_id, query)
        root = yield from self._root(info)
        names = class_folders(info.classes)
        made = []
        for row in rows.select(["row", "id", "label", "locator"]).to_pylist():
            label = row["label"]
            known = label is not None and 0 <= label < len(names)
            folder = self.folder / (names[label] if known else "no-label") if names else self.folder
            folder.mkdir(parents=True, exist_ok=True)
            stem = folder / f"{row['row']:07d}-{plain_name(row['id'])}"
            made.append((yield from self._one(row, stem, root)))
        return made

    def _root(self, info: MapInfo) -> Steps[Path | None]:
        """The folder that the map's dataset is read from, if it is on this machine."""
        features = yield from operations.manifest(info.features)
        root = (features.spec.get("dataset") or {}).get("root")
        return Path(root) if root and "://" not in root and Path(root).is_dir() else None

    def _one(self, row: dict[str, Any], stem: Path, root: Path | None) -> Steps[Path]:
        source = file_of(root, row["locator"])
        if source is not None:
            target = stem.with_name(f"{stem.name}{source.suffix.lower()}")
            yield from work(partial(_linked if self.links else shutil.copyfile, source, target))
            return target
        if self.links:
            raise RequestError(
                f"links: the image of {row['id'][:200]!r} is no file of its own on this machine; leave links "
                "out, for copies",
                field="links",
            )
        answer = yield from get(f"/v1/maps/{self.map_id}/examples/{row['row']}/image")
        kind = answer.headers.get("content-type", "").partition(";")[0]
        target = stem.with_name(f"{stem.name}{_SUFFIXES.get(kind, '.bin')}")
        yield from work(partial(target.write_bytes, answer.content))
        return target


def _linked(source: Path, target: Path) -> None:
    target.symlink_to(source.absolute())


def file_of(root: Path | None, locator: str | None) -> Path | None:
    """The file below a root that a locator is the path of; None: it is none, or lies elsewhere."""
    if root is None or not locator or "\0" in locator:
        return None
    path = root / locator
    try:
        inside = path.resolve().is_relative_to(root.resolve())
        return path if inside and path.is_file() else None
    except OSError:  # as a name that is too long
        return None


def plain_name(text: str) -> str:
    """Letters, digits, ``-``, ``_`` and ``.`` of a text, which are a name on every system."""
    last = re.sub(r"\.[A-Za-z]{2,5}$", "", text.replace("\\", "/").rpartition("/")[2])
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", last).strip("-.")
    return plain[:_LONGEST].rstrip("-.") or "image"


def class_folders(classes: Sequence[str]) -> list[str]:
    """A folder for each class, by its name; no two alike."""
    taken, names = {"no-label"}, list[str]()
    for label, name in enumerate(classes):
        plain = plain_name(name)
        if plain.casefold() in taken:
            plain = f"{plain}-{label}"
        taken.add(plain.casefold())
        names.append(plain)
    return names


def _path(map_id: str, name: str | None = None) -> str:
    base = f"/v1/maps/{quote(map_id, safe='')}/selections"
    if name is None:
        return base
    if name.strip(".") == "" or "/" in name:
        raise NotFoundError(f"no selection is called {name[:100]!r}")
    return f"{base}/{quote(name, safe='')}"
