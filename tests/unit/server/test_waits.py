"""Nothing in the service waits for ever: each call that can block names its limit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import featurescape

_WAITS = frozenset({"wait", "join", "acquire", "communicate", "result", "drain", "serve_forever"})
_RUNS = frozenset({"run", "call", "check_call", "check_output"})
_BOUNDED = {
    "server/live.py: network.lock.acquire()": "each turn before it has live_call_seconds, and they are counted",
    "server/live_bridge.py: self._writer.drain()": "inside asyncio.wait_for",
    "server/api/live.py: answering.result()": "of a task that is done",
}
"""Calls without a limit of their own, and why they end."""


def _without_limit(path: Path, name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of = ast.unparse(node.func.value)
        named = {each.arg for each in node.keywords}
        waits = node.func.attr in _WAITS and not node.args and not node.keywords
        runs = of == "subprocess" and node.func.attr in _RUNS and "timeout" not in named
        if waits or runs:
            yield f"{name}: {ast.unparse(node)}"


def test_every_wait_of_the_service_has_a_limit() -> None:
    root = Path(featurescape.__file__).parent
    found = [
        call
        for path in sorted(root.rglob("*.py"))
        for call in _without_limit(path, path.relative_to(root).as_posix())
    ]
    assert sorted(found) == sorted(_BOUNDED)


def test_a_wait_without_a_limit_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        "import subprocess\nprocess.wait()\nthread.join(5)\n', '.join(names)\n"
        "subprocess.run(['a'])\nsubprocess.run(['a'], timeout=3)\n"
    )
    assert list(_without_limit(path, "a.py")) == [
        "a.py: process.wait()",
        "a.py: subprocess.run(['a'])",
    ]
