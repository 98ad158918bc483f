"""Notebook views of jobs and maps. Every text that comes from elsewhere is escaped."""

from __future__ import annotations

import base64
import html
from typing import Any
from urllib.parse import quote

from featurescape import operations
from featurescape.steps import Steps, get
from featurescape_jobs.errors import FeaturescapeError
from featurescape_jobs.printable import printable_lines

_COLORS = {
    "PENDING": "#8a8a8a",
    "RUNNING": "#2f6fde",
    "SUCCEEDED": "#2a8a4a",
    "FAILED": "#c2362b",
    "STOPPED": "#a06a00",
}


def escape(text: str) -> str:
    """Text for a page: neither markup nor characters that turn it around."""
    return html.escape(printable_lines(text))


def job_html(state: dict[str, Any], url: str) -> str:
    """A job as a small card."""
    status = str(state["status"])
    lines = [_line(state)]
    if state.get("reason"):
        lines.append(escape(str(state["reason"]["message"])[:1000]))
    link = f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(state["id"])}</a>'
    body = "".join(f'<div style="margin-top:4px">{line}</div>' for line in lines if line)
    return (
        '<div style="font-family:system-ui,sans-serif;font-size:13px;padding:8px 12px;'
        f'border-left:3px solid {_COLORS.get(status, "#8a8a8a")}">'
        f"<b>{escape(str(state['title'] or state['job']))}</b> {link} "
        f'<span style="color:{_COLORS.get(status, "#8a8a8a")}">{escape(status)}</span>{body}</div>'
    )


def preview(map_id: str) -> Steps[str | None]:
    """The whole map in one tile, as a data URL: images, else classes or the first layer; None: there is none."""
    try:
        info = yield from operations.map_info(map_id)
        by_kind = {layer.legend.kind: layer for layer in reversed(info.layers)}
        layer = by_kind.get("images") or by_kind.get("category") or info.layers[0]
        suffix = layer.media_type.removeprefix("image/")
        path = f"/v1/maps/{map_id}/tiles/{quote(layer.name)}/{layer.min_zoom}/0/0.{suffix}"
        answer = yield from get(path, colormap="magma")
    except FeaturescapeError:
        return None
    image = base64.b64encode(answer.content).decode("ascii")
    return f"data:{answer.headers.get('content-type', layer.media_type)};base64,{image}"


def map_html(state: dict[str, Any], url: str, preview: str | None = None) -> str:
    """A map once it is complete, as the state of its last job before.

    What a notebook saves is the preview, which is an image in it, and a link; the view itself is a frame that is
    loaded when it is unfolded, from the service.
    """
    if state["status"] != "SUCCEEDED":
        return job_html(state, url)
    link, style = escape(url), "border:1px solid #8884;border-radius:6px"
    frame = (
        f'<iframe src="{link}" title="featurescape map" width="100%" height="640" loading="lazy" '
        f'style="{style}" allowfullscreen></iframe>'
    )
    named = f'<div><a href="{link}" target="_blank" rel="noopener">{link}</a></div>'
    if preview is None:
        return frame + named
    image = (
        f'<a href="{link}" target="_blank" rel="noopener"><img src="{escape(preview)}" '
        f'alt="featurescape map" width="512" style="background:#0b0d10;{style}"></a>'
    )
    return f"{image}<details><summary>Explore the map here</summary>{frame}</details>{named}"


def _line(state: dict[str, Any]) -> str:
    if state["status"] == "SUCCEEDED":
        errors = state["error_rows"]
        return f"{state['rows']:,} examples, {errors:,} error row{'' if errors == 1 else 's'}"
    progress = state.get("progress")
    if state["status"] != "RUNNING" or not progress:
        return ""
    total = f" of {progress['total']:,}" if progress["total"] else ""
    count = f" {progress['done']:,}{total}" if progress["done"] or total else ""
    return escape(f"{progress['stage']}{count} {progress['message']}"[:300])
