"""Options of the ``featurescape`` command that several commands have, or that need many words."""

from __future__ import annotations

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
