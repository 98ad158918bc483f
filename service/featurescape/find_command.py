"""``featurescape find``: examples of a map that have words and meet conditions."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from featurescape.cli_options import AsJson, Url
from featurescape.client import Client
from featurescape.terminal import ERR, OUT
from featurescape_jobs.printable import printable


def find(
    map_id: Annotated[str, typer.Argument(metavar="MAP", help="Id of its tiles or atlas job.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORDS]", help="Words of ids, classes and texts, all of them."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="CONDITIONS", help="As 'year > 1990 and kind = cat'."),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Find examples of a map by words and by conditions on their attributes."""
    with Client(url) as client:
        found = client.open_map(map_id).find(
            " ".join(words or ()) or None, where=where, limit=limit
        )
    total = json.loads(found.schema.metadata[b"find"])
    rows = found.to_pylist()
    if as_json:
        print(json.dumps({**total, "results": rows}))
        return 0
    OUT.print(_table(rows))
    shown = f", {len(rows):,} shown" if len(rows) < total["total"] else ""
    ERR.print(f"{total['total']:,} of {total['examples']:,} found{shown}", highlight=False)
    return 0


def _table(rows: list[dict[str, Any]]) -> Table:
    """The listing of what was found; its texts are hostile."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("row", justify="right", no_wrap=True)
    table.add_column("id", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("text", overflow="fold")
    for row in rows:
        said = "; ".join(
            f"{each['name']}: {each['text']}"
            for each in row["texts"]
            if each["name"] not in ("id", "class")
        )
        cells = (str(row["row"]), row["example_id"], row["class_name"] or "", said)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table
