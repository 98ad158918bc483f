"""The code that makes an artifact: versions of packages, and a checksum of this library's sources."""

from __future__ import annotations

import hashlib
import sys
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    *("featurescape", "torch", "torchvision", "captum", "ray", "pyarrow", "openTSNE", "datashader"),
    *("vtk", "trimesh", "numpy", "pillow", "scikit-learn", "faiss-cpu"),
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


def source_sha256() -> str:
    """Checksum of the names and bytes of all modules of `featurescape_jobs`, some 2 MB.

    The version alone does not change while the library is worked on.
    """
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.rglob("*.py")):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(_SOURCES)}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()
