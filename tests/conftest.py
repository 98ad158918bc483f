"""What lanes need, and what is said where it is missing."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
STAMPS = Path("/usr/share/tuxpaint/stamps")
CHROMIUM = Path("/usr/bin/chromium")


def needed(path: Path, package: str) -> Path:
    """``path``, or a skip that names the Debian package; in CI, where all are installed, a failure."""
    if path.exists():
        return path
    message = f"needs {path}: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    """The folder with Fashion-MNIST's four IDX files."""
    return needed(FASHION_MNIST, "dataset-fashion-mnist")


@pytest.fixture(scope="session")
def stamps() -> Path:
    """The folder with Tux Paint's stamps, one subfolder per topic."""
    return needed(STAMPS, "tuxpaint-stamps-default")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """A browser."""
    return needed(CHROMIUM, "chromium")
