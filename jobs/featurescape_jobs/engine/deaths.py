"""Deaths of workers that their work may have caused, noted for later attempts of the job.

The driver that lost the worker writes the note. A try without marker and without note ended with its driver,
which says nothing against the shard.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

from featurescape_jobs.engine.storage import Storage


def write_death(storage: Storage, folder: str, shard: int, reason: str) -> None:
    """Note that a worker died with the shard."""
    body = json.dumps({"shard": shard, "reason": reason}).encode()
    storage.write(f"{folder}/{shard:05d}-{secrets.token_hex(4)}.json", body)


def read_deaths(storage: Storage, folder: str) -> Iterator[int]:
    """The shard of every death that was noted."""
    for name in storage.list_names(folder):
        number = name.partition("-")[0]
        if number.isdecimal():
            yield int(number)
