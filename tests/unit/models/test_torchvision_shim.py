"""torchvision imports beside any torch, and a sound installation stays as it is.

Each test runs in a fresh process: operators are registered once per process.
"""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_imports_and_builds_models() -> None:
    code = """
from featurescape_jobs.models import torchvision_shim as shim
network = shim.torchvision().models.resnet18(weights=None, num_classes=3)
assert network.fc.out_features == 3
names = shim.imagenet_classes()
print(len(names), names[0], names[-1], sep="|")
"""
    assert run(code) == "1000|tench|toilet tissue"


def test_a_schema_that_exists_is_left_alone() -> None:
    code = """
import torch
theirs = torch.library.Library("torchvision", "DEF")
theirs.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from featurescape_jobs.models import torchvision_shim as shim
owner = shim.register_missing()
print(sorted(owner._op_defs))
"""
    assert run(code) == "['torchvision::qnms']"


def test_nothing_is_registered_where_the_compiled_part_loads() -> None:
    code = """
import sys, types
from featurescape_jobs.models import torchvision_shim as shim
shim.compiled_part_loads = lambda: True
sys.modules["torchvision"] = sound = types.ModuleType("torchvision")
assert shim.torchvision() is sound
import torch
print(hasattr(torch.ops.torchvision, "qnms"), shim.register_missing.cache_info().misses)
"""
    assert run(code) == "False 0"


def test_a_library_that_the_linker_refuses_does_not_count_as_loaded() -> None:
    code = """
import importlib.util, pathlib, tempfile, types
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "_C.so").write_bytes(b"not a library")
from featurescape_jobs.models import torchvision_shim as shim
importlib.util.find_spec = lambda name: types.SimpleNamespace(
    submodule_search_locations=[str(folder)])
print(shim.compiled_part_loads())
"""
    assert run(code) == "False"
