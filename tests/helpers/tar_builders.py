"""Tar archives and images for tests, good and bad."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def png(value: int) -> bytes:
    """An image of 3 × 2 px that is told by its red."""
    sink = io.BytesIO()
    Image.new("RGB", (3, 2), (value, 0, 0)).save(sink, "PNG")
    return sink.getvalue()


def jpeg(value: int) -> bytes:
    """A gray image of 8 × 8 px."""
    sink = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(sink, "JPEG", quality=95)
    return sink.getvalue()


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """The header of an entry."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(data)
    return info


def tar_bytes(
    contents: dict[str, bytes] | list[tuple[str, bytes]], format: int = tarfile.GNU_FORMAT
) -> bytes:
    """An archive of plain files."""
    sink = io.BytesIO()
    pairs = contents.items() if isinstance(contents, dict) else contents
    with tarfile.open(fileobj=sink, mode="w", format=format) as archive:
        for name, data in pairs:
            archive.addfile(entry(name, data), io.BytesIO(data))
    return sink.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Files below ``root``, by path."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@contextmanager
def bucket(name: str) -> Iterator[str]:
    """A bucket of moto's server, as ``s3://name``; the environment points at it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_REGION", "us-east-1")
        client = boto3.client("s3", region_name="us-east-1", endpoint_url=endpoint)
        client.create_bucket(Bucket=name)
        yield f"s3://{name}"
    server.stop()


def upload(folder: Path, root: str) -> str:
    """Every file of a folder as an object below ``root``, which is returned."""
    import boto3

    name, _, prefix = root.removeprefix("s3://").partition("/")
    client = boto3.client(
        "s3", region_name="us-east-1", endpoint_url=os.environ["AWS_ENDPOINT_URL"]
    )
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = "/".join(part for part in (prefix, str(path.relative_to(folder))) if part)
            client.put_object(Bucket=name, Key=key, Body=path.read_bytes())
    return root
