"""Weights from files and bytes, and whether they fit a network.

Nothing is ever unpickled: ``.safetensors`` holds tensors only, and a ``.pt`` or ``.pth`` state dict
is read with ``weights_only=True`` and only with the sha256 that the spec expects. Memory: the file
once, and its tensors; the network shares them.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import nn

from featurescape_jobs.errors import WeightsError
from featurescape_jobs.models.weightless import Weightless

MAX_FILE_BYTES = 4 << 30
STATE_DICT_SUFFIXES = (".pt", ".pth")
_FIELD = "model.weights"
_SHOWN = 5

State = dict[str, torch.Tensor]


def read_file(path: str, sha256: str | None) -> State:
    """The tensors of a weight file by name.

    Args:
        path: a ``.safetensors``, ``.pt`` or ``.pth`` file; checked against the allowed roots.
        sha256: expected checksum; required for ``.pt`` and ``.pth``.

    Raises:
        WeightsError: no such file, other suffix, too large, wrong sha256, or no weights.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in (".safetensors", *STATE_DICT_SUFFIXES):
        raise WeightsError(
            f"{_FIELD}: {path[:200]!r} is neither `pretrained` nor `random` nor a file "
            "that ends in .safetensors, .pt or .pth",
            field=_FIELD,
        )
    if not file.is_file():
        raise WeightsError(f"{_FIELD}: there is no file {path[:200]!r}", field=_FIELD)
    if suffix in STATE_DICT_SUFFIXES and sha256 is None:
        raise WeightsError(
            f"model.weights_sha256 is missing: a {suffix} file is read only with its expected "
            "sha256 (or save the weights as .safetensors)",
            field="model.weights_sha256",
        )
    size = file.stat().st_size
    if size > MAX_FILE_BYTES:
        raise WeightsError(f"{_FIELD}: {size} bytes, at most {MAX_FILE_BYTES}", field=_FIELD)
    data = file.read_bytes()
    check_sha256(data, sha256, file.name)
    return parse_state(data, suffix, file.name)


def check_sha256(data: bytes, expected: str | None, source: str) -> None:
    """Raise `WeightsError` unless ``data`` has the expected checksum (None: any)."""
    found = hashlib.sha256(data).hexdigest()
    if expected is not None and found != expected:
        raise WeightsError(
            f"{source} has the sha256 {found}, the spec expects {expected}: "
            "another file, or damaged",
            field="model.weights_sha256",
            sha256=found,
        )


def parse_state(data: bytes, suffix: str, source: str) -> State:
    """Tensors by name from the bytes of a weight file; raises `WeightsError`."""
    try:
        if suffix == ".safetensors":
            return dict(safetensors.load(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle protocols; errors still raise
            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(
            f"{source} cannot be read as weights ({str(error).splitlines()[0][:300]})", field=_FIELD
        ) from None
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    ):
        raise WeightsError(
            f"{source} holds no state dict (tensors by name); save `model.state_dict()`",
            field=_FIELD,
        )
    return dict(loaded)


def output_layer(module: nn.Module) -> str:
    """Module path of the layer whose rows are the classes: the last linear one, or the last convolution."""
    parts = list(module.named_modules())
    names = [name for name, part in parts if isinstance(part, nn.Linear)]
    return str((names or [name for name, part in parts if isinstance(part, nn.Conv2d)])[-1])


def count_classes(build: Callable[[int], nn.Module], state: State) -> int | None:
    """Classes of a state dict: rows of its output layer's weight; None if it has no such tensor."""
    with Weightless():
        weight = state.get(f"{output_layer(build(1))}.weight")
    return None if weight is None or weight.ndim not in (2, 4) else int(weight.shape[0])


def load_state(build: Callable[[], nn.Module], state: State, source: str) -> nn.Module:
    """A network that owns these tensors, as float32.

    It is built without memory and without drawing initial weights, then given the tensors.

    Raises:
        WeightsError: names missing, left over or of other shape; ``detail["mismatches"]`` has all.
    """
    with Weightless():
        module = build()
    values = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    problems: list[str] = []
    try:
        module.load_state_dict(values, assign=True)
    except RuntimeError as error:
        problems = _mismatches(str(error))
    if problems:
        more = f" … and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise WeightsError(
            f"the weights of {source} do not fit the network: {'; '.join(problems[:_SHOWN])}{more}",
            field=_FIELD,
            mismatches=problems[:1000],
        )
    return module


def _mismatches(report: str) -> list[str]:
    """torch's report as one line per tensor."""
    problems: list[str] = []
    for line in report.splitlines()[1:]:
        kind = re.match(r"\s*(Missing|Unexpected) key\(s\)", line)
        if kind is None:
            problems.append(line.strip())
        else:
            problems += [f"{kind[1].lower()} {key}" for key in re.findall(r'"([^"]*)"', line)]
    return problems
