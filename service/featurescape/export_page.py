"""The page of an exported map: the built viewer of one map, and the policy that it may load nothing else by."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from featurescape.notebook import escape
from featurescape_jobs.errors import FeaturescapeError

_STATIC = Path(__file__).parent / "static"
_COMMON = (
    "default-src 'none'; img-src blob: data:; font-src data:; base-uri 'none'; form-action 'none'"
)
_BESIDE = f"{_COMMON}; script-src 'self'; style-src 'self'; connect-src 'self'"
POLICIES = {
    "range": _BESIDE,
    "xyz": _BESIDE,
    # A page from file:// has no origin that 'self' could mean.
    "files": f"{_COMMON}; script-src 'self' file:; style-src 'self' file:",
}


def viewer_file(name: str) -> bytes:
    """A file of the viewer; raises `FeaturescapeError` where it is not built."""
    path = _STATIC / name
    if not path.is_file():
        raise FeaturescapeError(
            f"the viewer of exported maps is not built ({path} is missing); in a checkout of "
            "featurescape: make viewer"
        )
    return path.read_bytes()


def folder_page(form: str, title: str) -> str:
    """The page of a folder with ``viewer.js`` and ``viewer.css`` in it."""
    head = '<link rel="stylesheet" href="viewer.css">'
    start = _start(form, title, POLICIES[form], head)
    return f'{start}<script src="viewer.js"></script>\n{END}'


def single_page_start(title: str) -> tuple[str, str]:
    """The beginning of a page that holds all it needs, and what comes behind its data."""
    style, script = _inlined("exported/viewer.css"), _inlined("exported/viewer.js")
    policy = f"{_COMMON}; script-src {_hashed(script)}; style-src {_hashed(style)}"
    start = _start("page", title, policy, f"<style>{style}</style>")
    return start, f"<script>{script}</script>\n{END}"


END = "</body>\n</html>\n"


def _start(form: str, title: str, policy: str, head: str) -> str:
    icon = base64.b64encode(viewer_file("favicon.svg")).decode("ascii")
    return f"""<!doctype html>
<html lang="en" data-form="{form}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta name="color-scheme" content="dark light">
<meta name="generator" content="featurescape">
<title>{escape(title)}</title>
<link rel="icon" href="data:image/svg+xml;base64,{icon}" type="image/svg+xml">
{head}
</head>
<body>
<div id="app"></div>
<noscript>This map needs JavaScript.</noscript>
"""


def _inlined(name: str) -> str:
    """Text of a file that goes between tags, which nothing in it may end."""
    text = viewer_file(name).decode("utf-8")
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _hashed(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
