"""The code that makes an artifact: versions of packages, and a checksum of this library's sources."""

from __future__ import annotations

import hashlib
import sys
from importlib import metadata
from pathlib import Path

from featurescape_jobs.registry import plugins

_PACKAGES = (
    *("featurescape", "torch", "torchvision", "captum", "ray", "pyarrow", "openTSNE", "numba"),
    *("vtk", "trimesh", "numpy", "pillow", "scikit-learn", "faiss-cpu", "timm", "transformers"),
)
_SOURCES = Path(__file__).parents[1]


def package_versions() -> dict[str, str]:
    """Package → installed version, of Python and of those that results depend on."""
    found = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def source_sha256(names: frozenset[str] = frozenset()) -> str:
    """Checksum of the names and bytes of all modules of `featurescape_jobs`, some 2 MB, and of plug-ins.

    The version alone does not change while the library is worked on.

    Args:
        names: of entries of registries; the code of the plug-ins that add them counts too.
    """
    digest = hashlib.sha256()
    for source in (_SOURCES, *map(Path, plugins.sources(names))):
        for path in sorted(source.rglob("*.py")) if source.is_dir() else (source,):
            data = path.read_bytes()
            digest.update(f"{path.relative_to(source.parent)}\0{len(data)}\0".encode())
            digest.update(data)
    return digest.hexdigest()
