"""Needs of a job, declared beside the fields of its spec: what it reads, and what that is checked for.

The service loops over them before it accepts a job (`featurescape.server.admission`). A spec class that leaves
out a dataset, a model, an input job or a file of its own is refused when it is registered.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Artifact:
    """The artifact of an earlier job, or of several, by id. `BaseJobSpec.check_input` is asked for its size."""

    field: str
    job: str | None
    """Type of that job; None: any."""


@dataclass(frozen=True)
class Examples:
    """Examples of a dataset: its name, root, job, split and options are checked."""

    field: str = "dataset"
    gives: str | None = None
    """What the dataset has to give, as `DatasetCard.gives`; None: what the models read."""
    read_by: tuple[str, ...] = ("model",)
    """Fields of the models that read it."""
    unread: str | None = None
    """What the dataset has to give where none of these is named, as `DatasetCard.gives`."""


@dataclass(frozen=True)
class Network:
    """A model with weights: its name, shape, weights and training are checked."""

    field: str = "model"
    gives: tuple[str, ...] = ("classes",)
    """What the model may give, as `ModelCard.gives`; `BaseJobSpec.check_network` is told which."""
    recurrent: bool = False
    """Whether it has to be recurrent."""


@dataclass(frozen=True)
class Trainee:
    """A model that is trained: its card names a trainer, which checks the spec."""

    field: str = "model"


@dataclass(frozen=True)
class ColorLayers:
    """Names of color layers, some of an attribute that the spec's input jobs know of the examples."""

    field: str = "color_layers"
    layout: str = "embedding"
    """Field with the job whose layout is drawn; its input is the features."""


@dataclass(frozen=True)
class Files:
    """Parts of the spec that name files (`Spec.places`), which lie below the service's roots."""

    field: str


Need = Artifact | Examples | Network | Trainee | ColorLayers | Files
