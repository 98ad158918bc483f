"""The ``featurescape`` command. Results go to stdout, everything else to stderr.

Exit status: 0 done, 1 it failed (one line says why), 2 wrong usage or a spec that is refused, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from featurescape import __version__, spec_fields, tables
from featurescape.catalog_command import catalog
from featurescape.cli_options import (
    AsJson,
    ClassNames,
    Exif,
    Fresh,
    IdColumn,
    ImageColumn,
    JobId,
    LabelColumn,
    Metadata,
    ReadAs,
    Storage,
    TextColumn,
    Url,
    VectorColumn,
)
from featurescape.client import Client
from featurescape.commands import app, command
from featurescape.export_command import export
from featurescape.find_command import find
from featurescape.job_commands import rename, rm
from featurescape.map_command import MapOptions, make_map
from featurescape.select_command import select
from featurescape.set_options import read_options
from featurescape.tables_at import VECTORS
from featurescape.terminal import ERR, OUT, say, server_module
from featurescape.watch import watch
from featurescape_jobs.errors import RequestError
from featurescape_jobs.printable import printable_lines
from featurescape_jobs.specs import model_fields
from featurescape_jobs.specs.class_names import read_class_names


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    try:
        app(arguments, prog_name="featurescape")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _version(asked: bool) -> None:
    if asked:
        print(f"featurescape {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Zoomable maps of what neural networks see in images."""


# -- the service ------------------------------------------------------------------------------


def _given(**settings: Any) -> dict[str, Any]:
    """Settings that were given on the command line."""
    return {name: value for name, value in settings.items() if value is not None}


@command("demo")
def demo(
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="End when the map is complete.")
    ] = False,
    port: Annotated[int | None, typer.Option(help="TCP port; 8091 if none is given.")] = None,
    storage: Storage = None,
) -> int:
    """Map scikit-learn's digits from start to end, then serve."""
    settings = _given(port=port, storage=storage)
    return int(server_module("demo").demo(settings, serve=not no_serve, console=OUT))


@command("serve")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 8090 if none is given.")] = None,
    storage: Storage = None,
) -> int:
    """Run the service: API, viewer and scheduler."""
    settings = _given(host=host, port=port, storage=storage)
    return int(server_module("serve").serve(settings, console=ERR))


@command("stop-service")
def stop_service(storage: Storage = None) -> int:
    """Stop this machine's service."""
    settings = server_module("serve").make_settings(_given(storage=storage))
    say(server_module("background").stop(settings))
    return 0


# -- jobs -------------------------------------------------------------------------------------


def _perplexity(text: str) -> float | Literal["auto"]:
    return "auto" if text == "auto" else float(text)


@command("map")
def map_(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="Dataset of the catalog, folder, or s3://bucket/prefix."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Model of the catalog, as lenet or torchvision/convnext_tiny; without it, what suits the dataset."
        ),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Module path of the layer; without it, the model's choice.")
    ] = None,
    training: Annotated[
        str | None, typer.Option(metavar="ID", help="Training job whose weights are taken.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="pretrained, random, or a weights file.")
    ] = None,
    read_as: ReadAs = None,
    split: Annotated[
        str | None, typer.Option(help="train, test or all, where the dataset has them.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most this many examples.")] = None,
    label_column: LabelColumn = None,
    image_column: ImageColumn = None,
    vector_column: VectorColumn = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    class_names: ClassNames = None,
    exif: Exif = False,
    metadata: Metadata = None,
    perplexity: Annotated[
        Any,
        typer.Option(
            parser=_perplexity,
            metavar="NUMBER|auto",
            help="auto: 30, or (N - 1) / 3 where that is less.",
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn at random.")] = 0,
    title: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="JOB.FIELD=VALUE",
            help="Any field of features, embedding or tiles, as embedding.metric=cosine; several "
            "times. `featurescape spec embedding` lists them.",
        ),
    ] = None,
    fresh: Fresh = False,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--no-watch",
            help="Wait and show progress; by default where there is a terminal.",
            show_default=False,
        ),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Make a map: features, embedding and tiles. Starts the service where none answers."""
    if model is None and weights is not None:
        raise RequestError("--weights: say which --model they are of")
    if vector_column is not None and read_as is None:
        read_as = VECTORS
    of_dataset = {
        "label_column": label_column,
        "image_column": image_column,
        "vector_column": vector_column,
        "id_column": id_column,
        "text_column": text_column,
        "exif": exif or None,
        "metadata": metadata,
        "class_names": None
        if class_names is None
        else read_class_names(class_names, "--class-names"),
    }
    return make_map(
        MapOptions(
            dataset=dataset,
            fields=_given(name=read_as, split=split, limit=limit, **of_dataset),
            model=None if model is None else {**model_fields(model), **_given(weights=weights)},
            made_with={
                "layer": layer,
                "training": training,
                "perplexity": perplexity,
                "seed": seed,
                "title": title,
                "reuse": not fresh,
                **read_options(options or ()),
            },
            watch=ERR.is_terminal if watch is None else watch,
            url=url,
            as_json=as_json,
        )
    )


@command("submit")
def submit(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The spec as JSON; - reads standard input.")
    ],
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same key gives the same job.")
    ] = None,
    fresh: Fresh = False,
    watched: Annotated[bool, typer.Option("--watch", help="Wait and show progress.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Submit a job from a JSON file."""
    try:
        spec = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except (OSError, ValueError) as error:
        raise RequestError(f"{file}: {error}") from None
    if fresh and isinstance(spec, dict):
        spec["reuse"] = False
    with Client(url) as client:
        job = client.submit(spec, key)
        if watched:
            watch([job], console=ERR)
        print(json.dumps(job.refresh().state) if as_json else job.id)
    return 0


@command("spec")
def spec(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Type of the job, as features.")],
    as_json: AsJson = False,
) -> int:
    """Show what a job's spec may say: every field with its values and default."""
    if as_json:
        print(json.dumps(spec_fields.schema(job)))
    else:
        OUT.print(tables.spec(job, spec_fields.fields(job)))
    return 0


@command("jobs")
def jobs(
    limit: Annotated[int, typer.Option(help="At most this many.")] = 20,
    status: Annotated[
        str | None, typer.Option(help="PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List the newest jobs."""
    with Client(url) as client:
        states = [job.state for job in client.jobs(limit, status=status)]
    if as_json:
        print(json.dumps(states))
    else:
        OUT.print(tables.jobs(states))
    return 0


@command("show")
def show(job_id: JobId, url: Url = None, as_json: AsJson = False) -> int:
    """Show one job: state, result, what went wrong."""
    with Client(url) as client:
        job = client.job(job_id)
        manifest = job.manifest() if job.status == "SUCCEEDED" else None
    if as_json:
        body = None if manifest is None else manifest.model_dump(mode="json")
        print(json.dumps({**job.state, "manifest": body}))
    else:
        OUT.print(tables.job(job.state, manifest, job.url))
    return 0


command("find")(find)
command("export")(export)
command("select")(select)
command("rename")(rename)
command("rm")(rm)


@command("logs")
def logs(job_id: JobId, url: Url = None, as_json: AsJson = False) -> int:
    """Print the end of a job's log."""
    with Client(url) as client:
        text = client.job(job_id).logs()
    sys.stdout.write(json.dumps({"log": text}) + "\n" if as_json else printable_lines(text))
    return 0


@command("stop")
def stop(job_id: JobId, url: Url = None, as_json: AsJson = False) -> int:
    """Stop a job."""
    with Client(url) as client:
        job = client.job(job_id).stop()
    print(json.dumps(job.state) if as_json else f"{job.id} {job.status}")
    return 0


command("catalog")(catalog)


if __name__ == "__main__":
    sys.exit(main())
