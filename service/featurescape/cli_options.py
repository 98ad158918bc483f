"""Options of the ``featurescape`` command that several commands have, or that need many words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str | None, typer.Option(help="Address of the service (FEATURESCAPE_URL).", metavar="URL")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Storage = Annotated[
    str | None, typer.Option(help="Folder or s3://… for everything that jobs make.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Compute anew what is there already.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Job id.")]
ReadAs = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="Dataset of the catalog that a folder is; without it, told by the names in it.",
    ),
]
IdColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="Where the ids are, of vectors.")
]
TextColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="Where the texts are, of vectors.")
]
LabelColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where the label is, of Parquet, tar shards or vectors."),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where the image is, of Parquet, tar shards or vectors."),
]
VectorColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Where vectors of your own are; x_* for one column a component."
    ),
]
ClassNames = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Names of the classes, one per line, the first of class 0."),
]
Exif = Annotated[
    bool, typer.Option("--exif", help="Date, camera and place of photos become attributes.")
]
Metadata = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE",
        help="CSV, JSON lines or Parquet in the folder, with a column file_name; its columns become "
        "attributes.",
    ),
]
