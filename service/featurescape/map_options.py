"""Options of the jobs of a map, as `Client.map` takes them; by ``python docs/option_types.py``.

Each is a dict: ``EmbeddingOptions(metric="cosine")`` and ``{"metric": "cosine"}`` are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Required, TypedDict


class ResourcesOptions(TypedDict, total=False):
    """Resources that the job may use. The defaults fit a laptop and a small cluster."""

    workers: int | None
    """Worker processes; none: the CPUs of the cluster / cpus_per_worker."""
    cpus_per_worker: int
    """CPU threads of one worker process."""
    gpus_per_worker: float | None
    """GPUs of one worker, 0.5 for two workers on one GPU, 0 for none; none: 1 where the cluster has
    GPUs and the job runs a network."""


class BackgroundOptions(TypedDict, total=False):
    """An image that is drawn beneath a map."""

    image: Required[str]
    """The file, or s3://bucket/key; the service allows only places below its own list of roots."""
    extent: Required[Sequence[float]]
    """x of its left edge, y of its bottom edge, x of its right edge, y of its top edge, in the
    units of the embedding's coordinates."""


class FeaturesOptions(TypedDict, total=False):
    """Options of the features job."""

    layers: str | Sequence[str] | None
    """Module paths of the layers, as `layer4.2`, all of one pass; the first is the column
    `features`, the others `features_2` and so on. One name will do; none: the card's choice."""
    pooling: Literal["mean", "max", "flatten", "first", "last", "steps"] | None
    """How an activation becomes a vector: mean or max over positions (or steps), flatten, the first
    token of a transformer, the last valid step of a sequence, or every step of it; none: the card's
    choice, for other layers than the card's own mean or last."""
    view_pooling: Literal["max", "mean", "steps"]
    """Where an example is several views: the largest value over them, the mean, or the features of
    every view as a sequence."""
    state: Literal["hidden", "cell", "gates"]
    """What is taken from a recurrent layer at each step."""
    batch_size: int | None
    """Examples per forward pass; none: fits the size of the network's input."""
    shard_size: int | None
    """Examples per shard, the unit of retry and commit; none: fits the dataset."""
    dtype: Literal["float32", "float16"]
    """Type of the features as stored."""
    execution: Literal["auto", "float32", "folded", "bfloat16", "compiled"]
    """How the network is run: as it is, folded (batch norms, and on CPUs activations, in the
    kernels of the convolutions), that in bfloat16, or that compiled; auto: the fastest whose
    features keep directions, sizes and neighbors of float32's."""
    thumbnail_px: int
    """Longer side of the thumbnail, in pixels."""
    title: str | None
    """A name for people; no control or bidirectional characters."""
    seed: int
    """All randomness is a function of seed and example id."""
    resources: ResourcesOptions
    """Worker processes and threads."""
    reuse: bool
    """Whether an artifact of the same spec, input and code, where there is one, is taken instead of
    computing it again."""


class EmbeddingOptions(TypedDict, total=False):
    """Options of the embedding job."""

    layer: str | None
    """Which layer of the features job; none: its first."""
    max_states: int | None
    """For features of every step (pooling or view_pooling steps): lay out each step as a state of
    its own, `<example id>#<step>`, at most this many, drawn by seed and id; none: one vector per
    example."""
    pca_components: int | None
    """Reduce the features to this many principal components first; none: do not."""
    perplexity: float | Literal["auto"]
    """Effective number of neighbors, at most (N - 1) / 3; auto: 30, or (N - 1) / 3 where that is
    less, and below 8 examples a layout by PCA."""
    metric: Literal["euclidean", "cosine"]
    """Distance between features."""
    neighbors: Literal["auto", "exact", "approximate"]
    """How the neighbor graph is built (FAISS)."""
    early_exaggeration: float
    """Factor of the first phase."""
    early_exaggeration_iterations: int
    """Iterations of the first phase."""
    iterations: int
    """Iterations after that."""
    learning_rate: float | Literal["auto"]
    """Step size; auto: N / exaggeration."""
    coordinates: Sequence[str] | None
    """Two attributes of the examples, numbers, that are x and y in place of t-SNE: another
    program's layout, a city, a floor plan; none: t-SNE."""
    aligned_to: str | None
    """An `embedding` job of the same examples, as of another layer, model, perplexity or
    checkpoint: t-SNE starts from its positions, the layout is turned and mirrored onto it, and each
    example gets `drift`, the share of its nearest neighbors that are others than there; none: it
    stands by itself."""
    placed_in: str | None
    """An `embedding` job by t-SNE, of the same layer of the same model: the examples are placed
    among those of it, which stay where they are (openTSNE's transform); its metric and reduction
    are taken. none: they are laid out by themselves."""
    y_axis: Literal["up", "down"]
    """Where larger y of coordinates are on the map: up as in plots and of latitudes, or down as in
    pixels."""
    title: str | None
    """A name for people; no control or bidirectional characters."""
    seed: int
    """All randomness is a function of seed and example id."""
    resources: ResourcesOptions
    """Worker processes and threads."""
    reuse: bool
    """Whether an artifact of the same spec, input and code, where there is one, is taken instead of
    computing it again."""


class TilesOptions(TypedDict, total=False):
    """Options of the tiles job."""

    color_layers: Sequence[str]
    """Color layers to draw, those of an attribute as `value:NAME` or `category:NAME`; category is
    left out where there are no labels."""
    attributes: Sequence[str]
    """Jobs that say something of each example, as `captions`: their columns become attributes of
    the points, joined by the example's id."""
    captions: str | None
    """A `captions` job of the same dataset, whose captions become an attribute of the points, to be
    read and searched."""
    max_zoom: int | None
    """Deepest zoom level; none: deep enough for every image to have room."""
    thumbnail_px: int
    """Cell of one image in the thumbnails layer, in pixels."""
    arrangements: Sequence[Literal["exact", "grid"]]
    """How the examples are arranged: `exact`, where the embedding has them (of every map), and
    `grid`, a filled grid where every image has a cell of its own; left out where no images are
    drawn."""
    square_of: str | None
    """A `tiles` job whose part of the plane this map shows, too, so that the two lie over each
    other: of an embedding that is `placed_in` or `aligned_to` the one of that map. none: the map
    fits its own points."""
    background: BackgroundOptions | None
    """An image beneath all layers, as a floor plan or a city map under `coordinates`; none: there
    is none."""
    names: bool
    """Find clusters of the layout, the attribute `cluster` of the points, and write the names of
    classes and clusters on the map."""
    whole_up_to: int
    """Examples that the driver draws by itself, as it takes about 1 KB of memory for each. Maps of
    more are drawn by workers in parts of a tenth of it."""
    min_cluster_size: int | None
    """Examples of a cluster, at least; none: half of the root of their number, at least 10."""
    title: str | None
    """A name for people; no control or bidirectional characters."""
    seed: int
    """All randomness is a function of seed and example id."""
    resources: ResourcesOptions
    """Worker processes and threads."""
    reuse: bool
    """Whether an artifact of the same spec, input and code, where there is one, is taken instead of
    computing it again."""
