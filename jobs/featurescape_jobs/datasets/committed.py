"""The artifact of an earlier job as the root of a dataset: its files are found through the manifest only.

Holds the manifest.
"""

from __future__ import annotations

from pydantic import ValidationError

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.datasets.tree import Tree, read_small
from featurescape_jobs.errors import DatasetError

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
