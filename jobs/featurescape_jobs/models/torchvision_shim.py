"""The one place through which torchvision is imported.

torchvision on PyPI is linked against CUDA. Beside a CPU-only torch its compiled part cannot load,
and ``import torchvision`` stops with ``operator torchvision::nms does not exist``. The models,
weights and transforms need none of its operators; it is enough that the schemas of the two that
torchvision describes at import exist. They are registered here before the import, each only if it
is missing, and only where the compiled part cannot load: a sound installation stays as it is.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@functools.cache
def torchvision() -> Any:
    """The module `torchvision` with its submodules; raises ``ImportError``."""
    if not compiled_part_loads():
        register_missing()
    return importlib.import_module("torchvision")


@functools.cache
def imagenet_classes() -> tuple[str, ...]:
    """The 1,000 class names of ImageNet-1k, in the order of the outputs; from an installed file."""
    categories = torchvision().models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"]
    return tuple(str(name) for name in categories)


def compiled_part_loads() -> bool:
    """True if torchvision's operators can be loaded; loads them as torchvision does."""
    spec = importlib.util.find_spec("torchvision")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for library in [file for folder in folders for file in Path(folder).glob("_C.*")]:
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError:  # what the dynamic linker could not find, such as CUDA
            continue
        return True
    return False


@functools.cache
def register_missing() -> torch.library.Library | None:
    """Register the schemas that are missing; returns their owner, None if none was missing.

    The cache keeps the owner alive: torch forgets the schemas with it.
    """
    missing = [name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    if not missing:
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in missing:
        library.define(_SCHEMAS[name])  # type: ignore[no-untyped-call]
    return library
