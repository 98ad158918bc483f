"""Spec of the job that looks at a recurrent network through time: `dynamics`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, Name, Spec
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Files, Network

MAX_SIDE = 256
"""Rows and columns that a matrix may have that is written out in a spec."""

MatrixRow = Annotated[tuple[float, ...], Field(min_length=1, max_length=MAX_SIDE)]


class MatrixSpec(Spec):
    """A square matrix of a linear recurrence: written out, or a tensor of a file."""

    places: ClassVar[tuple[str, ...]] = ("file",)

    name: Name = Field(description="What it is called in tables and plots.")
    values: Annotated[tuple[MatrixRow, ...], Field(min_length=1, max_length=MAX_SIDE)] | None = (
        Field(default=None, description="Its rows, at most 256 of 256 numbers.")
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="A .safetensors file that has it, below one of the service's roots.",
    )
    tensor: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Which tensor of the file; none: its only one.",
    )

    @model_validator(mode="after")
    def _is_one_square(self) -> MatrixSpec:
        if (self.values is None) == (self.file is None):
            raise ValueError("give either `values` or `file`")
        if self.values is not None:
            if self.tensor is not None:
                raise ValueError("tensor: it names a tensor of `file`; leave it out")
            sides = {len(row) for row in self.values}
            if sides != {len(self.values)}:
                raise ValueError(
                    f"values: {len(self.values)} rows of {', '.join(map(str, sorted(sides)))} "
                    "numbers; powers need a square matrix, as [[0.9, 0], [0, 1.1]]"
                )
        return self


class DynamicsSpec(BaseJobSpec):
    """Measure what a recurrent network does with its past: eigenvalues, gradients, gates."""

    job: Literal["dynamics"] = "dynamics"
    card = JobCard("Measure dynamics", "Why a recurrent network remembers or forgets.", 4)
    needs = (
        Examples(read_by=("model", "compare")),
        Network(recurrent=True),
        Network("compare", recurrent=True),
        Files("matrices"),
    )
    model: ModelSpec | None = Field(
        default=None, description="A recurrent model; none: only `matrices`."
    )
    compare: ModelSpec | None = Field(
        default=None,
        description="A second one, measured on the same examples and drawn beside the first, as an "
        "RNN beside an LSTM.",
    )
    matrices: tuple[MatrixSpec, ...] = Field(
        default=(),
        max_length=16,
        description="Matrices of linear recurrences, beside the models or in place of them.",
    )
    dataset: DatasetSpec | None = Field(
        default=None,
        description="What the models read; none: only what the weights say is measured, eigenvalues "
        "and powers.",
    )
    examples: int = Field(
        default=512,
        ge=1,
        le=10_000,
        description="Examples that gates and parameter gradients are measured on, at most, evenly "
        "spread over the dataset.",
    )
    gradient_examples: int = Field(
        default=64,
        ge=1,
        le=1_000,
        description="Of these, how many the gradients through time are measured on.",
    )
    jacobian_examples: int = Field(
        default=4,
        ge=1,
        le=100,
        description="Of these, how many have the eigenvalues of the step's Jacobian measured, at 16 "
        "steps at most.",
    )
    powers: int = Field(default=100, ge=1, le=1_000, description="The largest power of a matrix.")
    max_distance: int = Field(
        default=256,
        ge=1,
        le=4_096,
        description="Gradients are followed over at most this many steps, from the last one back.",
    )
    batch_size: int = Field(
        default=32, ge=1, le=4_096, description="Examples of one parameter gradient."
    )
    clip_norm: float = Field(
        default=5, gt=0, le=1e6, description="Norm that parameter gradients are clipped to."
    )

    @model_validator(mode="after")
    def _has_something_to_measure(self) -> DynamicsSpec:
        if self.model is None and not self.matrices:
            raise ValueError("model: give a recurrent model, or `matrices`")
        if self.model is None and self.compare is not None:
            raise ValueError("compare: a second model needs a first; name it in `model`")
        if self.model is None and self.dataset is not None:
            raise ValueError("dataset: there is no model to read it; leave it out")
        names = [matrix.name for matrix in self.matrices]
        if len(set(names)) < len(names):
            raise ValueError("matrices: a name is given twice")
        return self
