"""``featurescape catalog``: what a service has, or the layers of one network."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from featurescape import tables
from featurescape.cli_options import AsJson, Url
from featurescape.client import Client
from featurescape.terminal import OUT
from featurescape_jobs.errors import RequestError
from featurescape_jobs.specs import model_fields


def catalog(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="List the layers of this network, as torchvision/convnext_tiny or lenet.",
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Folder or file of its weights; without it, random ones.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List datasets, models, jobs and color layers, or the layers of one network."""
    if model is None and weights is not None:
        raise RequestError("--weights: say which MODEL they are of")
    with Client(url) as client:
        if model is None:
            found = client.catalog()
        else:
            given = {} if weights is None else {"weights": weights}
            found = client.network({**model_fields(model), **given})
    if as_json:
        print(json.dumps(found))
        return 0
    for table in tables.catalog(found) if model is None else (tables.network(found),):
        OUT.print(table)
    return 0
