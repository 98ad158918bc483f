"""``featurescape catalog``: what a service has, or the layers of one network."""

from __future__ import annotations

import json

from featurescape import tables
from featurescape.client import Client
from featurescape.terminal import OUT
from featurescape_jobs.errors import RequestError
from featurescape_jobs.specs import model_fields


def show_catalog(model: str | None, weights: str | None, url: str | None, *, as_json: bool) -> int:
    """Print the catalog, or what a live network says of itself."""
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
