"""Common parts of all specs: strict models, ids, and the fields that several jobs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)

from featurescape_jobs.printable import find_unprintable
from featurescape_jobs.specs.needs import Need

JOB_ID_PATTERN = r"^[a-z]{3,16}-[0-9a-f]{12}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"

JobId = Annotated[
    str, Field(pattern=JOB_ID_PATTERN, description="Id of a job, as `features-0123456789ab`.")
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
LayerName = Annotated[str, Field(min_length=1, max_length=200)]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) < len(value):
        raise ValueError("a layer is named twice")
    return value


def _printable(value: str) -> str:
    found = find_unprintable(value)
    if found is not None:
        place, character = found
        raise ValueError(
            f"no control or bidirectional characters: U+{ord(character):04X} at character {place + 1}"
        )
    return value


Title = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
"""A name for people."""

LayerNames = Annotated[
    tuple[LayerName, ...], BeforeValidator(_one_or_more), AfterValidator(_distinct)
]
"""Layers of one pass; one name will do."""


def _counts(weight: float) -> float:
    if not 0.001 <= abs(weight) <= 1000:
        raise ValueError(f"a weight has a size from 0.001 to 1,000, not {weight:g}")
    return weight


Weight = Annotated[float, AfterValidator(_counts)]
"""Of a term of a sum."""


ExampleId = Annotated[str, Field(min_length=1, max_length=4096)]


class Spec(BaseModel):
    """Base of everything that is validated here: frozen, no unknown fields, no NaN."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )

    places: ClassVar[tuple[str, ...]] = ()
    """Fields that name a folder, file or address outside of the storage."""
    inputs: ClassVar[Mapping[str, str | None]] = {}
    """Fields with the id of an input job → the type that it must be; None: any, as the id has it."""


class Resources(Spec):
    """Resources that the job may use. The defaults fit a laptop and a small cluster."""

    workers: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Worker processes; none: the CPUs of the cluster / cpus_per_worker.",
    )
    cpus_per_worker: int = Field(
        default=1, ge=1, le=256, description="CPU threads of one worker process."
    )
    gpus_per_worker: float | None = Field(
        default=None,
        ge=0,
        le=8,
        description="GPUs of one worker, 0.5 for two workers on one GPU, 0 for none; none: 1 where "
        "the cluster has GPUs and the job runs a network.",
    )

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole_or_share(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("a share of one GPU (up to 1), or a whole number")
        return value


@dataclass(frozen=True)
class JobCard:
    """Catalog card of a job type, and how it is run."""

    title: str
    summary: str
    driver_cpus: int
    """CPUs that the driver itself uses, at most; 0: it only directs workers (a bulk job)."""
    draws_map: bool = False
    """Whether its artifact is a map: ``details["map"]`` is a `artifacts.MapInfo`."""
    module: str | None = None
    """That has ``run(spec, context) -> Outcome``, imported when it runs; None: that of the library, by name."""


class BaseJobSpec(Spec):
    """Fields that every job has."""

    card: ClassVar[JobCard]
    needs: ClassVar[tuple[Need, ...]]
    """All that the job reads; see `specs.needs`."""
    name: ClassVar[str]
    """Of the job type: the one value of ``job``."""

    title: Title | None = Field(
        default=None,
        description="A name for people; no control or bidirectional characters.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="All randomness is a function of seed and example id.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="Worker processes and threads."
    )
    reuse: bool = Field(
        default=True,
        description="Whether an artifact of the same spec, input and code, where there is one, is taken "
        "instead of computing it again.",
    )
    job: str

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.name = cls.model_fields["job"].default

    def check_input(self, field: str, examples: int) -> None:
        """Raise `SpecError` where an input of at most so many examples cannot be enough.

        Asked as soon as the number is known, which may be long before the input job ends.

        Args:
            field: that names the input job.
            examples: that it has, or at most will have.
        """

    def check_network(self, field: str, gives: str) -> None:
        """Raise `SpecError` where the spec asks a network for what one of its kind does not have.

        Args:
            field: that names the model.
            gives: what the model gives, as its card says.
        """
