"""Commit that a repository of the Hugging Face hub is at, which tells its files from those of later ones.

It is asked of the hub, for three seconds at most, and where that does not answer of the cache, whose files are
then the ones that are used. Memory: one answer.
"""

from __future__ import annotations

import re
from pathlib import Path

ASK_SECONDS = 3.0
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


def commit_of(repository: str, revision: str | None = None) -> str | None:
    """The commit of a tag or branch, as things are now; None where neither hub nor cache know it.

    Args:
        repository: as openai/clip-vit-base-patch32.
        revision: commit, tag or branch; None: main.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    try:
        from huggingface_hub import HfApi
    except ImportError:
        return None
    try:
        found = HfApi().model_info(repository, revision=revision, timeout=ASK_SECONDS).sha
    except Exception:  # noqa: BLE001 - a request raises what its library likes; then the cache is read
        return _cached(repository, revision or "main")
    return None if found is None else str(found)


def _cached(repository: str, revision: str) -> str | None:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repository, repo_type="model")
    try:
        said = (Path(constants.HF_HUB_CACHE) / folder / "refs" / revision).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return said if _COMMIT.fullmatch(said) else None
