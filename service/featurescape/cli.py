"""The ``featurescape`` command. Results go to stdout, everything else to stderr.

Exit status: 0 done, 1 it failed (one line says why), 2 wrong usage or a spec that is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from featurescape import __version__, tables
from featurescape.client import Client
from featurescape.watch import watch
from featurescape_jobs.errors import FeaturescapeError, RequestError, SpecError
from featurescape_jobs.printable import printable_lines

Command = Callable[[argparse.Namespace], int]

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
    for parser in (demo, serve):
        parser.add_argument("--port", type=int, help="TCP port (default 8090)")
        parser.add_argument("--storage", help="folder or s3://… for everything that jobs make")


def _add_submitters(commands: Any) -> None:
    parser = _add(commands, _map, "map", "Make a map: features, embedding and tiles.")
    parser.add_argument("dataset", help="dataset of the catalog, folder, or s3://bucket/prefix")
    parser.add_argument("--model", required=True, help="model of the catalog")
    parser.add_argument("--layer", help="module path of the layer (default: the model's choice)")
    parser.add_argument("--training", metavar="ID", help="training job whose weights are taken")
    parser.add_argument("--weights", help="pretrained, random, or a weights file")
    parser.add_argument("--split", help="train, test or all, where the dataset has them")
    parser.add_argument("--limit", type=int, help="at most this many examples")
    parser.add_argument(
        "--perplexity",
        type=_perplexity,
        default="auto",
        help="number, or auto (default): 30, or (N - 1) / 3 where that is less",
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--title", help="a name for people")
    parser.add_argument("--fresh", action="store_true", help="compute what is there already anew")
    parser.add_argument("--watch", action="store_true", help="wait and show progress")
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
    with Client(options.url) as client:
        dataset = client.dataset(options.dataset)
        for name in ("split", "limit"):
            if getattr(options, name) is not None:
                dataset[name] = getattr(options, name)
        model = {"name": options.model}
        if options.weights is not None:
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
        if options.watch:
            watch(made.jobs, console=_err)
        states = [job.refresh().state for job in made.jobs]
    print(json.dumps({"url": made.url, "jobs": states}) if options.json else made.url)
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
