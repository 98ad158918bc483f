"""Answers that browsers may keep: strong tags of their bytes, and 304 for who has them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fastapi import Request, Response

IMMUTABLE = "private, max-age=31536000, immutable"


@dataclass(frozen=True)
class Tagged:
    """A body with its strong tag."""

    body: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> Tagged:
        """The body, tagged by its checksum."""
        return cls(body, media_type, f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')

    def __len__(self) -> int:
        return len(self.body)


def is_known(request: Request, tag: str) -> bool:
    """True if the caller has the body with this tag."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    known = {each.strip().removeprefix("W/") for each in given.split(",")}
    return tag in known or "*" in known


def immutable_response(request: Request, found: Tagged) -> Response:
    """The body, to be kept for good; only its tag for who has it."""
    headers = {"ETag": found.tag, "Cache-Control": IMMUTABLE}
    if is_known(request, found.tag):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
