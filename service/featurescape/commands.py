"""The ``featurescape`` command's frame: where commands register, and what becomes of their errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer

from featurescape.terminal import ERR
from featurescape_jobs.errors import FeaturescapeError, RequestError, SpecError
from featurescape_jobs.printable import printable_lines

app = typer.Typer(
    help="Zoomable maps of what neural networks see in images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Command = Callable[..., int]


def command(name: str) -> Callable[[Command], Command]:
    """Make a function a command: what it returns is the exit status, and an error is one line."""

    def register(function: Command) -> Command:
        @app.command(name)
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            raise typer.Exit(_status(lambda: function(*args, **kwargs)))

        return function

    return register


def _status(command: Callable[[], int]) -> int:
    try:
        return command()
    except FeaturescapeError as error:
        _say_error(error.message)
        return 2 if isinstance(error, SpecError | RequestError) else 1
    except TimeoutError as error:
        _say_error(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _say_error(message: str) -> None:
    line = f"featurescape: {printable_lines(message)}"
    ERR.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
