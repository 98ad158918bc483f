"""Tables for the terminal. Text that comes from elsewhere is never read as markup nor sent as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from featurescape.spec_fields import Field
from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.printable import printable, printable_lines
from featurescape_jobs.specs.perplexity import MIN_TSNE_EXAMPLES

_STYLES = {
    "PENDING": "dim",
    "RUNNING": "blue",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "STOPPED": "yellow",
}
_SECTIONS = (
    ("datasets", "Datasets"),
    ("models", "Models"),
    ("collections", "Collections of models"),
    ("jobs", "Jobs"),
    ("color_layers", "Color layers"),
)


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def jobs(states: list[dict[str, Any]]) -> Table:
    """The listing of jobs."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column, width in (("id", 22), ("status", 9)):  # ids are there to be copied
        table.add_column(column, no_wrap=True, min_width=width)
    table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=40)
    for column in ("examples", "errors", "seconds"):
        table.add_column(column, no_wrap=True, justify="right", min_width=len(column))
    for state in states:
        table.add_row(
            _text(state["id"]),
            _status(state),
            _text(str(state["title"] or "")),
            _number(state["rows"]),
            _number(state["error_rows"]),
            _seconds(state),
        )
    return table


def job(state: dict[str, Any], manifest: Manifest | None, url: str) -> Table:
    """One job, with what its manifest says."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("id", _text(state["id"]))
    table.add_row("status", _status(state))
    if state["title"]:
        table.add_row("title", _text(state["title"]))
    if state["reason"]:
        why = f"{state['reason']['code']}: {state['reason']['message']}"
        table.add_row("reason", Text(printable_lines(why)))
    if state.get("reused_from"):
        table.add_row("result", Text(same_as(state["reused_from"])))
    for field, job_id in state["inputs"].items():
        table.add_row(_text(field), _text(job_id))
    progress = state["progress"]
    if progress and state["status"] == "RUNNING":
        counted = f"{progress['done']:,} of {progress['total']:,}"
        table.add_row("progress", _text(f"{progress['stage']} {counted} {progress['message']}"))
    table.add_row("attempt", str(state["attempt"]))
    table.add_row("seconds", _seconds(state))
    if manifest is not None:
        table.add_row("examples", f"{manifest.rows:,} ({manifest.error_rows:,} error rows)")
        if manifest.passed_over.files:
            table.add_row("passed over", manifest.passed_over.total)
        for each in manifest.passed_over.reasons:
            remedy = f" – {each.remedy}" if each.remedy else ""
            names = ", ".join(each.names) + (", …" if each.count > len(each.names) else "")
            table.add_row("", _text(f"{each.counted}{remedy}: {names}"))
        for stage, spent in manifest.timings_seconds.items():
            table.add_row("", _text(f"{stage}: {spent:.1f} s"))
        for name, value in highlights(manifest):
            table.add_row(_text(name), _text(value))
        size = sum(ref.size_bytes for ref in manifest.files)
        table.add_row("files", f"{len(manifest.files)}, {size / 1e6:,.1f} MB")
    table.add_row("page", _text(url))
    return table


def same_as(job_id: str) -> str:
    """Sentence of a job whose artifact was there already."""
    return f"the same as {job_id}, not computed again"


def highlights(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Highlights of a result, as (name, text)."""
    details = manifest.details
    if manifest.job == "training":
        yield from _trained(details)
    if labels := labels_said(details):
        yield "labels", labels
    if manifest.job == "predictions" and details["summary"]["accuracy"] is not None:
        summary = details["summary"]
        yield "accuracy", f"{summary['accuracy']:.3f} of {summary['labeled']:,} with a label"
    for code, said in (details.get("remarks") or {}).items():
        more = ", …" if said["rows"] > len(said["first"]) else ""
        yield f"kept, {code}", f"{said['rows']:,}: {', '.join(said['first'])}{more}"
    if details.get("method") is not None:
        yield "layout", _layout(manifest)
    quality = details.get("quality", {})
    if quality.get("neighbors_kept_fraction") is not None:
        yield f"neighbors kept at {quality['k']}", f"{quality['neighbors_kept_fraction']:.3f}"
    if quality.get("label_accuracy_fraction") is not None:
        majority = f"{quality['majority_fraction']:.3f}"
        accuracy = f"{quality['label_accuracy_fraction']:.3f}"
        yield "label accuracy", f"{accuracy} (guessing the commonest: {majority})"
    if quality.get("kl_divergence") is not None:
        yield "KL divergence", f"{quality['kl_divergence']:.3f}"
    for layer in details.get("map", {}).get("layers", []):
        drawn = layer["drawn"][-1]
        yield layer["title"], f"zoom 0 to {layer['max_zoom']}, {drawn:,} of {manifest.rows:,} drawn"


def labels_said(details: dict[str, Any]) -> str:
    """Source of the labels, or of predictions how they were matched with outputs; empty: nothing is to be said."""
    said = details.get("labels") or ""
    if not isinstance(said, dict):
        return str(said)
    matched = f"matched with outputs by {said['matched_by']}"
    return str(said["why"] or matched)


def _trained(details: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Accuracies of a training, each with what its part was for."""
    if details.get("test_accuracy") is not None:
        examples = f"{details['test_examples']:,} examples that chose nothing"
        majority = f"guessing the commonest: {details['majority_rate']:.3f}"
        yield "test accuracy", f"{details['test_accuracy']:.3f} ({examples}; {majority})"
    if details.get("test_examples") and details.get("scores") is not None:
        scores = details["scores"]
        examples = f"{scores['examples']:,} examples that chose nothing"
        yield "test BLEU-4", f"{scores['bleu_4']:.3f} ({examples})"
    if details.get("validation_accuracy") is not None:
        chosen = f"chose epoch {details['best_epoch']}" if "best_epoch" in details else "held out"
        yield "validation accuracy", f"{details['validation_accuracy']:.3f} ({chosen})"


def _layout(manifest: Manifest) -> str:
    """How an embedding was laid out, and why not by t-SNE."""
    method, n = manifest.details["method"], manifest.rows
    if method != "PCA":
        return f"{method}, perplexity {manifest.details['perplexity']:.4g}"
    if n >= MIN_TSNE_EXAMPLES:
        return "PCA, as all examples are equally far from one another"
    return f"PCA, as {n} {'example is' if n == 1 else 'examples are'} too few for t-SNE"


def catalog(found: dict[str, Any]) -> Iterator[Table]:
    """The catalog, a table per kind."""
    for key, title in ((key, title) for key, title in _SECTIONS if key in found):
        table = _table("name", "title", "summary", title=title)
        for card in found[key]:
            table.add_row(_text(card["name"]), _text(card["title"]), _text(card["summary"]))
        yield table
    plugins = found.get("plugins")
    if plugins:
        table = _table("package", "entry point", "state", title="Plug-ins")
        for plugin in plugins:
            point = " ".join(filter(None, (plugin["group"], plugin["name"])))
            state = f"left out: {plugin['reason']}" if plugin["reason"] else "loaded"
            table.add_row(_text(plugin["distribution"]), _text(point), _text(state))
        yield table


def network(found: dict[str, Any]) -> Table:
    """The layers of a network, in the order in which they run."""
    channels, height, width = found["input"]
    title = f"{found['model']}, input {channels} × {height} × {width}"
    table = _table("layer", "channels × rows × columns", "", title=printable(title))
    suggested = set(found["suggested"])
    for row in found["layers"]:
        layer, shape = row["layer"], " × ".join(map(str, row["shape"]))
        table.add_row(
            _text(layer), _text(shape), _text("on its card" if layer in suggested else "")
        )
    return table


def spec(job: str, found: Iterable[Field]) -> Table:
    """The fields of a job's spec."""
    table = _table("field", "meaning", title=f"Spec of {job}")
    for name, values, default, meaning in found:
        allowed = values if default == "required" else f"{values}; default {default}"
        required = " (required)" if default == "required" else ""
        cell = Text(f"{allowed}{required}\n".replace("`", ""), style="dim")
        table.add_row(name, cell.append(meaning.replace("`", ""), style="default not dim"))
    return table


def _text(given: str) -> Text:
    """Text that comes from elsewhere, in a cell: one line, no markup."""
    return Text(printable(given))


def _status(state: dict[str, Any]) -> Text:
    return Text(printable(state["status"]), style=_STYLES.get(state["status"], ""))


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _seconds(state: dict[str, Any]) -> str:
    if not state["started_at"] or not state["ended_at"]:
        return ""
    spent = datetime.fromisoformat(state["ended_at"]) - datetime.fromisoformat(state["started_at"])
    return f"{spent.total_seconds():,.1f}"
