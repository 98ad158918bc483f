"""Allowed roots: one check of the folders and buckets that a request names, for datasets and weight files.

A root comes from a user. It is a path of this machine or ``s3://bucket/prefix``, nothing else: no
other URL, no chained file systems, no credentials, no link-local address (where clouds serve
theirs). Symbolic links are resolved before the comparison with the allowed roots.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from featurescape_jobs.errors import SpecError

_SCHEME = re.compile(r"^\s*([A-Za-z][A-Za-z0-9+.\-]*):/")
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.\-_]{1,62}$")
_ADDRESS = re.compile(r"^\d{1,3}(\.\d{1,3}){3}$")
_SHOWN = 200


def check_root(
    root: str, allowed: tuple[str, ...] | None, error: type[SpecError], field: str
) -> str:
    """The root with symbolic links resolved, if a request may read from it.

    Args:
        root: a path of this machine or ``s3://bucket/prefix``, as the user wrote it.
        allowed: roots below which it must lie; None: any; empty: none.
        error: the class to raise, `DatasetError` or `WeightsError`.
        field: the field of the spec, for the message.

    Raises:
        SpecError: of class ``error``, with ``detail["field"]``. The root need not exist.
    """
    try:
        checked = _normal(root)
        inside = allowed is None or any(_is_below(checked, _normal(base)) for base in allowed)
    except ValueError as problem:
        raise error(f"{field}: {root[:_SHOWN]!r} {problem}", field=field) from None
    if not inside:
        known = ", ".join(allowed or ()) or "none"
        raise error(
            f"{field}: {root[:_SHOWN]!r} is not below an allowed root (allowed: {known}); "
            "move the files there, or let the service's operator allow this root",
            field=field,
        )
    return checked


def _normal(root: str) -> str:
    """Absolute path without links, or the s3 address without a trailing slash."""
    if not root or "\0" in root:
        raise ValueError("is not a path")
    if "::" in root:
        raise ValueError(
            "chains file systems with '::'; give a folder, a file or s3://bucket/prefix"
        )
    scheme = _SCHEME.match(root)
    if scheme is None:
        try:
            path = Path(root).resolve()
            path.exists()  # asks the system, which refuses names that are too long
        except (OSError, RuntimeError):  # RuntimeError: a loop of links
            raise ValueError("cannot be resolved to a path that may be read") from None
        return str(path)
    if scheme[1] == "s3" and root.startswith("s3://"):
        return _normal_s3(root)
    raise ValueError(
        f"is a {scheme[1]}: address; give a folder, a file or s3://bucket/prefix "
        "(local paths without file://)"
    )


def _normal_s3(root: str) -> str:
    bucket, _, key = root.removeprefix("s3://").partition("/")
    if "@" in bucket or ":" in bucket:
        raise ValueError("has credentials or a port in it; those come from the environment (AWS_*)")
    if _ADDRESS.match(bucket):
        raise ValueError("is an address, not a bucket")
    if not _BUCKET.match(bucket):
        raise ValueError("does not name a bucket, as s3://bucket/prefix")
    if "?" in key or "#" in key or ".." in PurePosixPath(key).parts:
        raise ValueError("has '?', '#' or '..' in it; give s3://bucket/prefix")
    return f"s3://{bucket}/{PurePosixPath(key)}" if key.strip("/") else f"s3://{bucket}"


def _is_below(root: str, base: str) -> bool:
    if root.startswith("s3://") or base.startswith("s3://"):
        return root == base or root.startswith(f"{base}/")
    return Path(root).is_relative_to(base)
