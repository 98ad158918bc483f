"""``featurescape select``: points of a map from the command line, saved, counted, or written to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from featurescape.cli_options import AsJson, Url
from featurescape.client import Client
from featurescape.handles import Map
from featurescape.selecting import SelectFields
from featurescape.selection_handles import Selection
from featurescape_jobs.errors import SpecError
from featurescape_jobs.printable import printable

Folder = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Copy its images into this new folder.")
]


def select(
    map_id: Annotated[str, typer.Argument(metavar="MAP", help="Id of its tiles or atlas job.")],
    query: Annotated[
        str | None, typer.Argument(metavar="[QUERY]", help="A query as JSON, as '{\"class\": 3}'.")
    ] = None,
    class_: Annotated[str | None, typer.Option("--class", help="Name of a class.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Name of a cluster.")] = None,
    words: Annotated[str | None, typer.Option(help="Words, all of which are there.")] = None,
    where: Annotated[
        str | None, typer.Option(help="Conditions of attributes, as 'year > 1990'.")
    ] = None,
    saved: Annotated[
        str | None, typer.Option(metavar="NAME", help="A selection that is saved.")
    ] = None,
    save: Annotated[
        str | None, typer.Option(metavar="NAME", help="Save it under this name.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Give the name again.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write its rows as CSV.")] = None,
    parquet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write its rows as Parquet.")
    ] = None,
    copy_to: Folder = None,
    links: Annotated[
        bool, typer.Option("--links", help="With --copy-to: links to the dataset's files.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Select points of a map: count, save by name, write to files. Without a query, list those that are saved."""
    named = {"class_": class_, "cluster": cluster, "words": words, "where": where, "saved": saved}
    fields: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    with Client(url) as client:
        view = client.open_map(map_id)
        if query is None and not fields:
            return _list(view, as_json=as_json)
        chosen = view.select(_parsed(query), **SelectFields(**fields))  # type: ignore[typeddict-item]
        summary = chosen.summary()
        if save is not None:
            chosen = chosen.save(save, replace=replace)
        files = _written(chosen, {"csv": csv, "parquet": parquet})
        if copy_to is not None:
            files += map(str, chosen.copy_to(copy_to, links=links))
        if as_json:
            print(json.dumps({"summary": summary, "name": chosen.name, "files": files}))
        else:
            _say(summary, files)
    return 0


def _list(view: Map, *, as_json: bool) -> int:
    """Print the selections of a map that are saved."""
    saved = view.selections()
    if as_json:
        print(json.dumps([{"name": each.name, "count": each.count()} for each in saved]))
        return 0
    for each in saved:
        print(f"{each.count():>12,}  {printable(str(each.name))}")
    if not saved:
        print("no selection is saved")
    return 0


def _parsed(query: str | None) -> dict[str, Any] | None:
    if query is None:
        return None
    try:
        found = json.loads(query)
    except ValueError as error:
        raise SpecError(f"query: no JSON: {error}", field="query") from None
    if not isinstance(found, dict):
        raise SpecError('query: an object, as {"class": 3}', field="query")
    return found


def _written(chosen: Selection, files: dict[str, Path | None]) -> list[str]:
    writers = {"csv": chosen.to_csv, "parquet": chosen.to_parquet}
    return [str(writers[kind](path)) for kind, path in files.items() if path is not None]


def _say(summary: dict[str, Any], files: list[str]) -> None:
    print(f"{summary['count']:,} of {summary['of']:,} points")
    for each in summary["classes"]:
        name = "no label" if each["label"] is None else each["class_name"] or each["label"]
        print(f"{each['count']:>12,}  {printable(str(name))}")
    for file in files:
        print(file)
