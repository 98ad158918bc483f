"""Questions to a live network. Light: the service checks requests with these, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import SHA256_PATTERN, ModelSpec, Spec
from featurescape_jobs.specs.base import JobId, LayerName

ExplainMethod = Literal["saliency", "guided_backprop", "deconvolution"]
Place = Annotated[int, Field(ge=0, lt=10_000_000)]


class NetworkQuestion(Spec):
    """Question of what can be asked of a network."""

    model: ModelSpec


class ActivationsQuestion(NetworkQuestion):
    """Question of a layer's activation for an image."""

    image: str = Field(pattern=SHA256_PATTERN, description="Id of an image, its sha256.")
    layer: LayerName


@dataclass(frozen=True)
class Unit:
    """One channel of a layer, how it is to be explained, and where."""

    layer: str
    channel: int
    method: ExplainMethod = "saliency"
    cell: tuple[int, int] | None = None
    """Row and column of the map; None: where it is largest."""


class UnitQuestion(ActivationsQuestion):
    """Question of one channel of a layer for an image, and of the attribution of its strongest cell."""

    channel: Place
    method: ExplainMethod = "saliency"
    cell: tuple[Place, Place] | None = Field(
        default=None, description="Row and column of the map; none: where it is largest."
    )

    @property
    def unit(self) -> Unit:
        return Unit(self.layer, self.channel, self.method, self.cell)


class NetworkSetup(Spec):
    """Configuration of an actor that loads its network."""

    model: ModelSpec
    storage_root: str
    allowed_roots: tuple[str, ...] | None
    threads: int = Field(ge=1)


MOST_FOUND = 200
SearchText = Annotated[str, Field(min_length=1, max_length=1000)]


class SearchQuestion(Spec):
    """Question of the examples of a map that are nearest to a text, an image, or one of them."""

    text: SearchText | None = None
    image: str | None = Field(default=None, pattern=SHA256_PATTERN)
    row: int | None = Field(default=None, ge=0, lt=2**31)
    k: int = Field(default=20, ge=1, le=MOST_FOUND)

    @model_validator(mode="after")
    def _one(self) -> SearchQuestion:
        if sum(each is not None for each in (self.text, self.image, self.row)) != 1:
            raise ValueError("ask by one of text, image and row")
        return self


class SearchSetup(Spec):
    """Configuration of an actor that searches a map."""

    map: JobId
    embedding: JobId
    features: JobId
    storage_root: str
    allowed_roots: tuple[str, ...] | None
    threads: int = Field(ge=1)


Q = TypeVar("Q", bound=Spec)


def parse_question(kind: type[Q], data: Any) -> Q:
    """The question that ``data`` is; raises `SpecError`, which names the first wrong field."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:200] or "body"
        known = f"; there are {', '.join(kind.model_fields)}" if _is_unknown(first) else ""
        raise SpecError(f"{field}: {first['msg']}{known}", field=field) from None


def _is_unknown(problem: Any) -> bool:
    return problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1
