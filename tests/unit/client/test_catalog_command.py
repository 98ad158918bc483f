"""`featurescape catalog MODEL`: the layers of a network, as its service describes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from featurescape import cli
from featurescape.client import Client


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


def test_the_layers_of_a_network_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = list[Any]()

    def described(_: Client, model: dict[str, Any]) -> dict[str, Any]:
        asked.append(model)
        layers = [
            {"layer": "features", "shape": [512, 13, 13]},
            {"layer": "drop", "shape": [512, 1, 1]},
        ]
        return {
            "model": "torchvision/x",
            "input": [3, 224, 224],
            "layers": layers,
            "suggested": ["features"],
        }

    monkeypatch.setattr(Client, "network", described)
    assert run("catalog", "torchvision/squeezenet1_1") == 0
    shown = capsys.readouterr().out
    assert "input 3 × 224 × 224" in shown
    assert [line.split()[:6] for line in shown.splitlines() if "512" in line] == [
        ["features", "512", "×", "13", "×", "13"],
        ["drop", "512", "×", "1", "×", "1"],
    ]
    assert run("catalog", "transformers", "--weights", "/models/clip", "--json") == 0
    assert json.loads(capsys.readouterr().out)["suggested"] == ["features"]
    assert asked == [
        {"name": "torchvision", "architecture": "squeezenet1_1"},
        {"name": "transformers", "weights": "/models/clip"},
    ]
    assert run("catalog", "--weights", "/models/clip") != 0
