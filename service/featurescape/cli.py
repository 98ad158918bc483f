"""The ``featurescape`` command. Results go to stdout, everything else to stderr.

Exit status: 0 done, 1 it failed (one line says why), 2 wrong usage or a spec that is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from featurescape import __version__, tables
from featurescape.client import Client
from featurescape.dataset_at import dataset_at
from featurescape.reach import is_local, look, wait_for
from featurescape.transport import address
from featurescape.watch import watch
from featurescape_jobs.errors import (
    DatasetError,
    FeaturescapeError,
    RequestError,
    ServiceUnavailableError,
    SpecError,
)
from featurescape_jobs.printable import printable, printable_lines

Command = Callable[[argparse.Namespace], int]
_READY_SECONDS = 60.0
_PAUSE_SECONDS = 0.3

_out = Console()
_err = Console(stderr=True)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    command: Command = options.run
    try:
        return command(options)
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
    _err.print(line, style="red", markup=False, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="featurescape", description="Zoomable maps of what neural networks see in images."
    )
    parser.add_argument("--version", action="version", version=f"featurescape {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_servers(commands)
    _add_submitters(commands)
    _add_readers(commands)
    return parser


def _add(commands: Any, run: Command, name: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    return parser


def _add_client_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="address of the service (FEATURESCAPE_URL)")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def _add_servers(commands: Any) -> None:
    demo = _add(commands, _demo, "demo", "Map scikit-learn's digits from start to end, then serve.")
    demo.add_argument("--no-serve", action="store_true", help="end when the map is complete")
    serve = _add(commands, _serve, "serve", "Run the service: API, viewer and scheduler.")
    serve.add_argument("--host", help="address to listen on")
    stop = _add(commands, _stop_service, "stop-service", "Stop this machine's service.")
    for parser, port in ((demo, 8091), (serve, 8090)):
        parser.add_argument("--port", type=int, help=f"TCP port (default {port})")
    for parser in (demo, serve, stop):
        parser.add_argument("--storage", help="folder or s3://… for everything that jobs make")


def _add_submitters(commands: Any) -> None:
    parser = _add(commands, _map, "map", "Make a map: features, embedding and tiles.")
    parser.add_argument("dataset", help="dataset of the catalog, folder, or s3://bucket/prefix")
    parser.add_argument("--model", help="model of the catalog (default: what suits the dataset)")
    parser.add_argument("--layer", help="module path of the layer (default: the model's choice)")
    parser.add_argument("--training", metavar="ID", help="training job whose weights are taken")
    parser.add_argument("--weights", help="pretrained, random, or a weights file")
    parser.add_argument(
        "--dataset",
        dest="read_as",
        metavar="NAME",
        help="dataset of the catalog that a folder is (default: told by the names in it)",
    )
    parser.add_argument("--split", help="train, test or all, where the dataset has them")
    parser.add_argument("--limit", type=int, help="at most this many examples")
    parser.add_argument(
        "--label-column", metavar="NAME", help="of Parquet or tar shards, where the label is"
    )
    parser.add_argument(
        "--image-column", metavar="NAME", help="of Parquet or tar shards, where the picture is"
    )
    parser.add_argument(
        "--perplexity",
        type=_perplexity,
        default="auto",
        help="number, or auto (default): 30, or (N - 1) / 3 where that is less",
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--title", help="a name for people")
    parser.add_argument("--fresh", action="store_true", help="compute what is there already anew")
    parser.add_argument(
        "--watch",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="wait and show progress (default: where there is a terminal)",
    )
    _add_client_options(parser)
    parser = _add(commands, _submit, "submit", "Submit a job from a JSON file.")
    parser.add_argument("file", help="the spec as JSON; - reads standard input")
    parser.add_argument("--key", help="idempotency key: the same key gives the same job")
    parser.add_argument("--fresh", action="store_true", help="compute what is there already anew")
    parser.add_argument("--watch", action="store_true", help="wait and show progress")
    _add_client_options(parser)


def _perplexity(text: str) -> float | Literal["auto"]:
    return "auto" if text == "auto" else float(text)


def _add_readers(commands: Any) -> None:
    parser = _add(commands, _jobs, "jobs", "List the newest jobs.")
    parser.add_argument("--limit", type=int, default=20, help="default 20")
    parser.add_argument("--status", help="PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED")
    _add_client_options(parser)
    for run, name, about in (
        (_show, "show", "Show one job: state, result, what went wrong."),
        (_logs, "logs", "Print the end of a job's log."),
        (_stop, "stop", "Stop a job."),
    ):
        parser = _add(commands, run, name, about)
        parser.add_argument("id", help="job id")
        _add_client_options(parser)
    parser = _add(commands, _catalog, "catalog", "List datasets, models, jobs and color layers.")
    _add_client_options(parser)


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    """Settings that were given on the command line."""
    named = {name: getattr(options, name, None) for name in ("host", "port", "storage")}
    return {name: value for name, value in named.items() if value is not None}


def _server(name: str) -> Any:
    """A module that needs the extra; says so where that is not installed."""
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("featurescape"):
            raise
        raise FeaturescapeError(
            f"{error.name} is not installed; the service needs: pip install 'featurescape[server]'"
        ) from None


def _demo(options: argparse.Namespace) -> int:
    status: int = _server("featurescape.demo").demo(
        _overrides(options), serve=not options.no_serve, console=_out
    )
    return status


def _serve(options: argparse.Namespace) -> int:
    status: int = _server("featurescape.server").serve(_overrides(options), console=_err)
    return status


def _map(options: argparse.Namespace) -> int:
    wanted = dataset_at(options.dataset)  # what is wrong with it, before anything is started
    if options.model is None and options.weights is not None:
        raise RequestError("--weights: say which --model they are of")
    with Client(_service(options.url, wanted)) as client:
        dataset = client.dataset(options.dataset)
        if options.read_as is not None:
            dataset["name"] = options.read_as
        for name in ("split", "limit", "label_column", "image_column"):
            if getattr(options, name) is not None:
                dataset[name] = getattr(options, name)
        model = None if options.model is None else {"name": options.model}
        if model is not None and options.weights is not None:
            model["weights"] = options.weights
        made = client.map(
            dataset,
            model,
            layer=options.layer,
            training=options.training,
            perplexity=options.perplexity,
            seed=options.seed,
            title=options.title,
            reuse=not options.fresh,
        )
        if not options.json:
            print(f"The map: {made.url}" if _out.is_terminal else made.url, flush=True)
        if _err.is_terminal if options.watch is None else options.watch:
            _wait_for_ray(made.url)
            watch(made.jobs, console=_err)
            _say(f"The map is complete: {made.url}")
        if options.json:
            states = [job.refresh().state for job in made.jobs]
            print(json.dumps({"url": made.url, "jobs": states}))
    return 0


def _service(url: str | None, dataset: dict[str, Any]) -> str:
    """The address of a service that answers; started here where it is this machine's and nobody does.

    Raises:
        ServiceUnavailableError: nobody answers, and none can be started.
    """
    at = address(url)
    answer = look(at)
    if answer.state == "waiting":
        _say(f"Waiting for the service at {at} ({answer.reason}) …")
        wait_for(at, _READY_SECONDS, lambda: None)
    elif answer.state == "foreign":
        raise ServiceUnavailableError(
            f"{at}: {answer.reason}; give another address with --url", url=at
        )
    elif answer.state == "absent" and is_local(at):
        root = dataset.get("root", "")
        if root and "://" not in root and not Path(root).exists():
            raise DatasetError(f"dataset.root: there is no {root}", field="dataset.root")
        try:
            background = _server("featurescape.background")
            settings = _server("featurescape.server").make_settings({})
        except FeaturescapeError as error:
            raise type(error)(
                f"no service answers at {at}, and none can be started here: {error.message}; or give "
                "the address of one with --url or FEATURESCAPE_URL"
            ) from None
        started = background.ensure(at, settings, (root,) if root.startswith("/") else ())
        for line in started.said:
            _say(line)
        return str(started.url)
    return at  # where nobody answers, the first request says so


def _wait_for_ray(url: str) -> None:
    """Show what a service that takes jobs still waits for before it runs them."""
    deadline = time.monotonic() + _READY_SECONDS
    at = url.partition("/maps/")[0]
    with _err.status("starting Ray …"):
        while (answer := look(at)).reason and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
    if answer.reason:
        _say(f"The jobs have to wait: {answer.reason}")


def _say(line: str) -> None:
    _err.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _stop_service(options: argparse.Namespace) -> int:
    settings = _server("featurescape.server").make_settings(_overrides(options))
    _say(_server("featurescape.background").stop(settings))
    return 0


def _submit(options: argparse.Namespace) -> int:
    try:
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text()
        spec = json.loads(text)
        if options.fresh and isinstance(spec, dict):
            spec["reuse"] = False
    except (OSError, ValueError) as error:
        raise RequestError(f"{options.file}: {error}") from None
    with Client(options.url) as client:
        job = client.submit(spec, options.key)
        if options.watch:
            watch([job], console=_err)
        print(json.dumps(job.refresh().state) if options.json else job.id)
    return 0


def _jobs(options: argparse.Namespace) -> int:
    with Client(options.url) as client:
        jobs = client.jobs(options.limit, status=options.status)
    if options.json:
        print(json.dumps([job.state for job in jobs]))
    else:
        _out.print(tables.jobs([job.state for job in jobs]))
    return 0


def _show(options: argparse.Namespace) -> int:
    with Client(options.url) as client:
        job = client.job(options.id)
        manifest = job.manifest() if job.status == "SUCCEEDED" else None
    if options.json:
        body = None if manifest is None else manifest.model_dump(mode="json")
        print(json.dumps({**job.state, "manifest": body}))
    else:
        _out.print(tables.job(job.state, manifest, job.url))
    return 0


def _logs(options: argparse.Namespace) -> int:
    with Client(options.url) as client:
        text = client.job(options.id).logs()
    sys.stdout.write(json.dumps({"log": text}) + "\n" if options.json else printable_lines(text))
    return 0


def _stop(options: argparse.Namespace) -> int:
    with Client(options.url) as client:
        job = client.job(options.id).stop()
    print(json.dumps(job.state) if options.json else f"{job.id} {job.status}")
    return 0


def _catalog(options: argparse.Namespace) -> int:
    with Client(options.url) as client:
        found = client.catalog()
    if options.json:
        print(json.dumps(found))
    else:
        for table in tables.catalog(found):
            _out.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
