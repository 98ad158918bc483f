"""Availability of weights that are downloaded, known without loading torch.

They can where torch's cache has the file, or where its address answers. An address is asked by one HEAD request,
for three seconds at most (names that no server resolves included), and what came of it is remembered for a
minute. Memory: one answer per address of a card.
"""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from featurescape_jobs.errors import WeightsError
from featurescape_jobs.models.base import ModelCard

LOOK_SECONDS = 3.0
REMEMBER_SECONDS = 60.0
_NO_HEAD = frozenset({405, 501})
"""Answers of servers that know the address but not this kind of request."""

_seen: dict[str, tuple[float, str | None]] = {}


def check_download(card: ModelCard) -> None:
    """Raise `WeightsError` where the card's weights are neither in the cache nor to be downloaded."""
    url = None if card.weights is None else card.weights.url
    if url is None or cached_file(url).is_file():
        return
    problem = _problem(url)
    if problem is None:
        return
    raise WeightsError(
        f"model.weights: those of {card.name} are not on this machine, and {url} does not answer here "
        f"({problem}). Download it where there is a net and save it as {cached_file(url)}; or give a "
        'file: model.weights = its path and model.weights_sha256 = its sha256; or ask for weights: "random"',
        field="model.weights",
        url=url,
    )


def cached_file(url: str) -> Path:
    """Path where torch keeps what it downloaded from the address."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser()
    return home / "hub" / "checkpoints" / url.rpartition("/")[2]


def _problem(url: str) -> str | None:
    """Why the address gives nothing, as it was a minute ago at most; None: it does."""
    now = time.monotonic()
    until, problem = _seen.get(url, (now, None))
    if until <= now:
        problem = _problem_of(url)
        _seen[url] = (time.monotonic() + REMEMBER_SECONDS, problem)
    return problem


def _problem_of(url: str) -> str | None:
    found: list[str | None] = []

    def request_head() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=LOOK_SECONDS):
                found.append(None)
        except urllib.error.HTTPError as error:
            found.append(None if error.code in _NO_HEAD else f"{error.code} {error.reason}")
        except (OSError, ValueError) as error:
            found.append(str(getattr(error, "reason", error))[:200])

    # To look a name up has no time limit of its own: then the thread is left to end by itself.
    thread = threading.Thread(target=request_head, name="weights", daemon=True)
    thread.start()
    thread.join(LOOK_SECONDS)
    return found[0] if found else f"no answer within {LOOK_SECONDS:.0f} seconds"
