"""The examples that a folder of meshes lists."""

from pathlib import Path

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.meshes import MeshReader
from featurescape_jobs.errors import RowError
from featurescape_jobs.specs import DatasetSpec

MESHES = DATASETS["meshes"]
TEXTURED = "newmtl wood\nKd 0 1 0\nmap_Kd {}\n"


def spec_of(root: Path) -> DatasetSpec:
    return DatasetSpec(name="meshes", root=str(root))


def reader(root: Path) -> MeshReader:
    opened = MESHES.open_reader(spec_of(root))
    assert isinstance(opened, MeshReader)
    return opened


def code_of(root: Path, locator: str) -> str:
    with pytest.raises(RowError) as caught:
        reader(root).read_mesh(locator)
    return caught.value.code
