"""``featurescape serve``: the service as the process's only work, until a signal ends it."""

from __future__ import annotations

import logging
import signal
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from featurescape.server.api import create_app
from featurescape.server.background import noted
from featurescape.server.connections import make_server, raise_descriptor_limit
from featurescape.server.embedded import bind
from featurescape.server.settings import Settings, unknown_variables
from featurescape_jobs.engine.private_files import keep_files_private
from featurescape_jobs.errors import SpecError
from featurescape_jobs.printable import PrintableFormatter, printable

_GRACE_SECONDS = 20


def make_settings(overrides: dict[str, Any]) -> Settings:
    """Settings from the environment and the command line; raises `SpecError` in one sentence."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        where = f"FEATURESCAPE_{name.upper()}: " if name else ""
        raise SpecError(f"settings: {where}{first['msg']}", field=name) from None


def log_to_stderr(level: int) -> None:
    """Show this process's log, without what could disturb a terminal or forge a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


def serve(overrides: dict[str, Any], console: Console) -> int:
    """Serve until SIGINT or SIGTERM; requests under way get 20 seconds to end."""
    settings = make_settings(overrides)
    log_to_stderr(logging.INFO)
    for library in ("httpx", "alembic"):
        logging.getLogger(library).setLevel(logging.WARNING)
    for name in unknown_variables():
        console.print(
            f"{printable(name)} is no setting of featurescape", style="yellow", markup=False
        )
    raise_descriptor_limit()
    keep_files_private()
    with bind(settings.host, settings.port) as listening:
        port = listening.getsockname()[1]
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        server = make_server(create_app(settings), settings, _GRACE_SECONDS)
        where = "a local Ray" if settings.embedded else f"Ray at {settings.ray_address}"
        console.print(
            f"featurescape serves http://{shown}:{port} "
            f"(storage {printable(settings.storage)}, {where})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        # uvicorn ends gracefully and then raises the signal once more, for whoever comes after it.
        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, lambda *_: None)
        with noted(settings, f"http://{shown}:{port}"):
            server.run(sockets=[listening])
    return 0 if server.started else 1
