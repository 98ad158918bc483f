"""Base of the answers of the routes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of what the service itself puts together: no other fields than those named."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
