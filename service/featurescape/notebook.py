"""Notebook views of jobs and maps. Every text that comes from elsewhere is escaped."""

from __future__ import annotations

import html
from typing import Any

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


def map_html(state: dict[str, Any], url: str) -> str:
    """A map as an embedded view once it is complete, as the state of its last job before."""
    if state["status"] != "SUCCEEDED":
        return job_html(state, url)
    return (
        f'<iframe src="{escape(url)}" title="featurescape map" width="100%" height="640" '
        'style="border:1px solid #8884;border-radius:6px" allowfullscreen></iframe>'
        f'<div><a href="{escape(url)}" target="_blank" rel="noopener">{escape(url)}</a></div>'
    )


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
