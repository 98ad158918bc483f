"""The artifact of an earlier job as the root of a dataset: its files are found through the manifest only.

Holds the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import ValidationError

from featurescape_jobs.artifacts import ArtifactRef, Manifest
from featurescape_jobs.datasets.base import DatasetCard
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.tree import Found, Tree, open_tree, read_small
from featurescape_jobs.engine.input_files import check_input_file
from featurescape_jobs.engine.storage import ReadableFile
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 256 << 20


def read_artifact(tree: Tree) -> Manifest | None:
    """The manifest at the root of a tree; None where the tree is no artifact.

    Raises:
        DatasetError: there is one that cannot be read.
    """
    if not tree.stamp(MANIFEST):
        return None
    try:
        return Manifest.model_validate_json(read_small(tree, MANIFEST, _MAX_MANIFEST_BYTES))
    except ValidationError:
        raise DatasetError(
            f"dataset.root: {MANIFEST} is not the manifest of an artifact; is the root the folder "
            "of a job?",
            field="dataset.root",
        ) from None


def open_checked_tree(card: DatasetCard, spec: DatasetSpec) -> Tree:
    """The tree at the spec's root; of an artifact each file is checked before it is first read.

    Raises:
        DatasetError: there is nothing, or a manifest that cannot be read.
    """
    tree = open_tree(card, spec)
    manifest = read_artifact(tree)
    return tree if manifest is None else CheckedTree(tree, str(spec.root), manifest)


@dataclass
class CheckedTree:
    """An artifact's tree. A worker that reads ranges of an archive reads all of it once, to check it.

    Reading raises `ArtifactError` where a file is not as the manifest says.
    """

    tree: Tree
    root: str
    manifest: Manifest
    passed_over: PassedOver = field(init=False)
    stamps: dict[str, str] = field(init=False)
    threads: int = field(init=False)
    _refs: dict[str, ArtifactRef] = field(init=False)

    def __post_init__(self) -> None:
        self.passed_over = self.tree.passed_over
        self.stamps, self.threads = self.tree.stamps, self.tree.threads
        self._refs = {ref.path: ref for ref in self.manifest.files}

    @property
    def settled(self) -> bool:
        return self.tree.settled

    @settled.setter
    def settled(self, settled: bool) -> None:
        self.tree.settled = settled

    def scan(self, folder: str = "") -> list[Found]:
        return self.tree.scan(folder)

    def stamp(self, path: str) -> str:
        return self.tree.stamp(path)

    def size(self, path: str) -> int:
        return self.tree.size(path)

    def read(self, path: str, start: int, length: int) -> bytes:
        self._check(path)
        return self.tree.read(path, start, length)

    def open(self, path: str) -> ReadableFile:
        self._check(path)
        return self.tree.open(path)

    def _check(self, path: str) -> None:
        """Files that the manifest does not name, as itself, are read as they are."""
        ref = self._refs.get(path)
        if ref is not None:
            name = f"{self.root}/{path}"
            check_input_file(name, ref, self.manifest.job_id, lambda: self.tree.open(path))
