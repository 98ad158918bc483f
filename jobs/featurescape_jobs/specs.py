"""The requests: one pydantic model per job type, one union discriminated by ``job``.

Unknown fields are refused. Every field says its unit and range. A spec names earlier jobs by id;
`input_jobs` lists them, so that the service can wait for them. What needs the machine that runs the
job (does the root exist, has the model such a layer) is checked there, before any work.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from featurescape_jobs.errors import RequestError, SpecError

JOB_ID_PATTERN = r"^[a-z]{3,16}-[0-9a-f]{12}$"
MIN_EMBEDDED = 8
"""Examples that an embedding needs at least."""
SHA256_PATTERN = r"^[0-9a-f]{64}$"

JobId = Annotated[
    str, Field(pattern=JOB_ID_PATTERN, description="Id of a job, as `features-0123456789ab`.")
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Spec(BaseModel):
    """Base of everything that is validated here: frozen, no unknown fields, no NaN."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


class DatasetSpec(Spec):
    """Which examples: a dataset of the catalog and where it lies."""

    name: Name = Field(description="A dataset of the catalog: digits, mnist, images, …")
    root: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Folder, file or s3://bucket/prefix that it is read from, on every machine that "
        "works on it; the service allows only roots below its own list. Not for embedded datasets.",
    )
    split: Name = Field(
        default="all", description="train, val, test or all, where the dataset has them."
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="At most this many examples, evenly spread over the listing; none: all.",
    )
    image_column: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="image",
        description="Parquet: the struct column {bytes, path}. "
        "WebDataset: the ending of the picture; image: any.",
    )
    label_column: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Parquet: the column with the label; none: unlabeled. "
        "WebDataset: ending, or field of the json, with the label; none: cls.",
    )


class ModelSpec(Spec):
    """Which network, and with which weights."""

    name: Name = Field(description="A model of the catalog: lenet, row_lstm, efficientnet_lite0, …")
    weights: str = Field(
        default="pretrained",
        min_length=1,
        max_length=4096,
        description="`pretrained` (what the model's card names), `random` (seeded; only where you "
        "ask for it), or a .safetensors or state dict file.",
    )
    weights_sha256: str | None = Field(
        default=None,
        pattern=SHA256_PATTERN,
        description="Expected sha256 of the file; required for a .pt or .pth file.",
    )
    training: JobId | None = Field(
        default=None, description="A `training` job of this model, whose weights are taken."
    )

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        if self.training is not None and self.weights != "pretrained":
            raise ValueError("give either `training` or `weights`, not both")
        return self


class Resources(Spec):
    """What the job may use. The defaults fit a laptop and a small cluster."""

    workers: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Worker processes; none: the CPUs of the cluster / cpus_per_worker.",
    )
    cpus_per_worker: int = Field(
        default=1, ge=1, le=256, description="CPU threads of one worker process."
    )


class _JobSpec(Spec):
    """Fields that every job has."""

    needs: ClassVar[dict[str, str]] = {}
    """Field with an input job id → the job type that it must be."""

    title: str | None = Field(
        default=None, min_length=1, max_length=200, description="A name for people."
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


class TrainingSpec(_JobSpec):
    """Train a network of the catalog on a labeled dataset."""

    job: Literal["training"] = "training"
    dataset: DatasetSpec = Field(description="Labeled examples to learn from.")
    model: ModelSpec = Field(description="A trainable model; its weights are the start.")
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Passes over the training part; none: 3, and more where the dataset is so small "
        "that they would be fewer than 200 steps.",
    )
    batch_size: int = Field(default=128, ge=1, le=65536, description="Examples per step.")
    learning_rate: float = Field(
        default=5e-3, gt=0, le=10, description="Peak of the one-cycle schedule (AdamW)."
    )
    validation_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Part held out to measure accuracy, drawn by example id.",
    )

    @model_validator(mode="after")
    def _starts_somewhere(self) -> TrainingSpec:
        if self.model.training is not None:
            raise ValueError("model.training: a training job starts from weights, not from a job")
        return self


class FeaturesSpec(_JobSpec):
    """Extract one feature vector per example from a layer of a network."""

    job: Literal["features"] = "features"
    dataset: DatasetSpec = Field(description="The examples.")
    model: ModelSpec = Field(description="The network.")
    layer: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Module path of the layer, as `layer4.2`; none: the card's choice.",
    )
    pooling: Literal["mean", "max", "flatten", "last"] | None = Field(
        default=None,
        description="How an activation becomes a vector: mean or max over positions (or steps), "
        "flatten, or the last step of a sequence; none: the card's choice.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Examples per forward pass; none: fits the size of the network's input.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: fits the dataset.",
    )
    dtype: Literal["float32", "float16"] = Field(
        default="float32", description="Type of the features as stored."
    )
    execution: Literal["auto", "float32", "folded", "bfloat16", "compiled"] = Field(
        default="auto",
        description="How the network is run: as it is, with batch norms folded, folded in bfloat16, "
        "or that compiled; auto: the fastest whose features have a cosine of 0.999 to float32.",
    )
    thumbnail_px: int = Field(
        default=64, ge=8, le=256, description="Longer side of the thumbnail, in pixels."
    )


class EmbeddingSpec(_JobSpec):
    """Lay features out in two dimensions with t-SNE."""

    job: Literal["embedding"] = "embedding"
    needs: ClassVar[dict[str, str]] = {"features": "features"}
    features: JobId = Field(description="The `features` job to lay out.")
    pca_components: int | None = Field(
        default=50,
        ge=2,
        le=4096,
        description="Reduce the features to this many principal components first; none: do not.",
    )
    perplexity: float = Field(
        default=30, ge=2, le=1000, description="Effective number of neighbors; below N / 3."
    )
    metric: Literal["euclidean", "cosine"] = Field(
        default="euclidean", description="Distance between features."
    )
    neighbors: Literal["auto", "exact", "approximate"] = Field(
        default="auto", description="How the neighbor graph is built (FAISS)."
    )
    early_exaggeration: float = Field(
        default=12, ge=1, le=100, description="Factor of the first phase."
    )
    early_exaggeration_iterations: int = Field(
        default=250, ge=0, le=10_000, description="Iterations of the first phase."
    )
    iterations: int = Field(default=500, ge=0, le=100_000, description="Iterations after that.")
    learning_rate: Annotated[float, Field(gt=0, le=1e7)] | Literal["auto"] = Field(
        default="auto", description="Step size; auto: N / exaggeration."
    )

    def check_examples(self, examples: int) -> None:
        """Raise `SpecError` unless three times the perplexity fits the number of examples."""
        if examples < MIN_EMBEDDED:
            raise SpecError(
                f"features: {examples} examples; an embedding needs at least {MIN_EMBEDDED}",
                field="features",
                examples=examples,
            )
        if 3 * self.perplexity > examples - 1:
            raise SpecError(
                f"perplexity: {self.perplexity:g} is too large for {examples} examples; "
                f"at most {(examples - 1) / 3:.3g} (a third of them)",
                field="perplexity",
                examples=examples,
            )


class TilesSpec(_JobSpec):
    """Draw an embedding as a tile pyramid: density, category and thumbnails."""

    job: Literal["tiles"] = "tiles"
    needs: ClassVar[dict[str, str]] = {"embedding": "embedding"}
    embedding: JobId = Field(description="The `embedding` job to draw.")
    color_layers: tuple[Name, ...] = Field(
        default=("density", "category", "thumbnails"),
        min_length=1,
        description="Color layers to draw; category is left out where there are no labels.",
    )
    max_zoom: int | None = Field(
        default=None,
        ge=0,
        le=12,
        description="Deepest zoom level; none: deep enough for every picture to have room.",
    )
    thumbnail_px: int = Field(
        default=64,
        ge=16,
        le=256,
        description="Cell of one picture in the thumbnails layer, in pixels.",
    )


JobSpec = Annotated[
    TrainingSpec | FeaturesSpec | EmbeddingSpec | TilesSpec, Field(discriminator="job")
]
JOB_SPECS: dict[str, type[_JobSpec]] = {
    spec.model_fields["job"].default: spec
    for spec in (TrainingSpec, FeaturesSpec, EmbeddingSpec, TilesSpec)
}
_ADAPTER: TypeAdapter[TrainingSpec | FeaturesSpec | EmbeddingSpec | TilesSpec] = TypeAdapter(
    JobSpec
)
_MAX_SPEC_BYTES = 1_000_000


def _explain(error: ValidationError) -> SpecError:
    """The first problem in one sentence; all of them in the detail."""
    problems = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        job, *path = [str(part) for part in item["loc"]] or [""]
        if job not in JOB_SPECS:
            job, path = "", [job, *path]
        message = item["msg"]
        if item["type"] == "extra_forbidden":
            message = _no_such_field(job, path)
        problems.append({"field": ".".join(path), "problem": message})
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    field = first["field"] or "job"
    return SpecError(f"{field}: {first['problem']}{more}", field=field, problems=problems)


def _no_such_field(job: str, path: list[str]) -> str:
    """What to say of an unknown field: the fields there are beside it, the nearest first."""
    spec: Any = JOB_SPECS.get(job)
    for part in path[:-1]:
        spec = spec.model_fields[part].annotation if spec is not None else None
    fields = list(getattr(spec, "model_fields", {}))
    near = difflib.get_close_matches(path[-1], fields, n=1)
    if near:
        return f"there is no such field; did you mean {near[0]}?"
    return f"there is no such field; there are {', '.join(fields)}"


def parse_spec(data: Any) -> AnyJobSpec:
    """A validated spec from a mapping or JSON text; raises `SpecError` that names the field."""
    try:
        if isinstance(data, str | bytes):
            if len(data) > _MAX_SPEC_BYTES:
                raise RequestError(f"a spec has at most {_MAX_SPEC_BYTES} bytes, this {len(data)}")
            return _ADAPTER.validate_json(data)
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise _explain(error) from None


def input_jobs(spec: AnyJobSpec) -> dict[str, str]:
    """Field path → id of the job it names, as ``{"features": "features-…"}``."""
    inputs = {field: str(getattr(spec, field)) for field in type(spec).needs}
    model = getattr(spec, "model", None)
    if isinstance(model, ModelSpec) and model.training is not None:
        inputs["model.training"] = model.training
    return inputs


def input_kinds(spec: AnyJobSpec) -> dict[str, str]:
    """Field path → the job type that the job it names must be."""
    return {**type(spec).needs, "model.training": "training"}


AnyJobSpec = TrainingSpec | FeaturesSpec | EmbeddingSpec | TilesSpec
