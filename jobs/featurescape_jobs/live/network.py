"""A network that answers questions about images: what a layer gives, and what a unit owes to which pixels.

What was computed for an image is kept, so that the next unit of the same layer costs one backward pass:
the inputs of `KEPT_IMAGES` images, `KEPT_BYTES` of maps, and the graphs of `KEPT_GRAPHS` layers, which
share the weights. Memory: that, the weights, one forward and backward pass, and one decoded image.

Sources: J. Yosinski et al., "Understanding neural networks through deep visualization", 2015 (the
Deep Visualization Toolbox); the methods as `interpret.attribution` names them.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ImageError, RowError, SpecError
from featurescape_jobs.images import overlays
from featurescape_jobs.images.decode import decode
from featurescape_jobs.images.grids import finite_range
from featurescape_jobs.interpret.attribution import METHODS, AttributionInputs, Options, attribute
from featurescape_jobs.live import answers
from featurescape_jobs.live.layers import LayerShape, shapes_of
from featurescape_jobs.live.requests import NetworkSetup, Unit
from featurescape_jobs.networks.capture import Capture, zero_input
from featurescape_jobs.networks.channel_maps import channel_map, strongest
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.networks.receptive_field import ReceptiveField, receptive_field
from featurescape_jobs.networks.relu_modules import Explainable, explain_layer
from featurescape_jobs.networks.worker_process import keep_freed_memory, worker_device

KEPT_IMAGES = 16
KEPT_BYTES = 64 << 20
KEPT_GRAPHS = 8
_SEED = 0
_WARM_PX = 64
_STRONGEST = 9
_OUTPUTS = 5


@dataclass(frozen=True)
class PreparedImage:
    """An image as the network takes it."""

    inputs: torch.Tensor
    """(1, C, input_px, input_px), normalized, on the network's device."""
    size_px: tuple[int, int]
    """Height and width of the image itself."""


@dataclass(frozen=True)
class LayerMaps:
    """Activation of a layer for one image, as maps."""

    values: NDArray[np.float32]
    """(C, H, W)."""
    n_axes: int
    """Of the activation as it is: 4 for maps, 3 for steps, 2 for a vector."""

    def target(self, channel: int, cell: tuple[int, int]) -> tuple[int, ...]:
        """A cell's place in the activation."""
        return {4: (channel, *cell), 3: (cell[0], channel), 2: (channel,)}[self.n_axes]


@dataclass(frozen=True)
class Graph:
    """The network up to a layer, ready to be explained."""

    explainable: Explainable
    field: ReceptiveField


class LiveNetwork:
    """One network with what it has computed lately. One call at a time.

    Raises:
        SpecError: the model reads no images; or a `WeightsError`, `UnknownNameError`.
    """

    def __init__(self, setup: NetworkSetup) -> None:
        torch.set_num_threads(setup.threads)
        keep_freed_memory()
        network = load_network(
            setup.model,
            seed=_SEED,
            storage=Storage(setup.storage_root),
            allowed_roots=setup.allowed_roots,
        )
        self._start(network)
        self._warm_up()

    @classmethod
    def of(cls, network: LoadedNetwork) -> LiveNetwork:
        """Wrap a network that is loaded already."""
        made = cls.__new__(cls)
        made._start(network)
        return made

    def _start(self, network: LoadedNetwork) -> None:
        self._network, self._card = network, network.image_card
        self._classes = network.classes
        self._device = worker_device()
        network.module.to(self._device)
        self._shapes = {s.layer: s for s in self._measured()}
        self._prepared_images: LRUCache[str, PreparedImage] = LRUCache(KEPT_IMAGES)
        self._outputs: LRUCache[str, list[dict[str, Any]]] = LRUCache(KEPT_IMAGES)
        self._maps: LRUCache[tuple[str, str], LayerMaps] = LRUCache(
            KEPT_BYTES, lambda m: m.values.nbytes
        )
        self._captures: LRUCache[str, Capture] = LRUCache(KEPT_GRAPHS)
        self._graphs: LRUCache[str, Graph] = LRUCache(KEPT_GRAPHS)

    def describe(self) -> dict[str, Any]:
        """Layers with their shapes in the order in which they run, those people ask for, and the input."""
        card = self._card
        return {
            "model": card.name,
            "title": card.title,
            "layers": [
                {"layer": s.layer, "shape": [s.channels, s.height, s.width]}
                for s in self._shapes.values()
            ],
            "suggested": [layer for layer in card.layers if layer in self._shapes],
            "default_layer": self._default_layer,
            "input": [card.channels, card.input_px, card.input_px],
            "methods": ["saliency", "guided_backprop", "deconvolution"],
            "device": self._device.type,
        }

    def load_image(self, image: str, data: bytes | None) -> bool:
        """Make sure that an image is kept; False: it is not, and ``data`` is not given.

        Args:
            image: sha256 of the encoded image.
            data: the encoded image, from anybody.

        Raises:
            ImageError: ``data`` is no image that is read, or not the one named.
        """
        if self._prepared_images.get(image) is not None:
            return True
        if data is None:
            return False
        if hashlib.sha256(data).hexdigest() != image:
            raise ImageError("the image is not the one that was named", reason="mixed_up")
        self._prepared_images.get_or_make(image, lambda: self._decode(data))
        return True

    def activations(self, image: str, layer: str) -> dict[str, Any]:
        """Every channel of a layer, for an image that `load_image` took.

        Returns:
            ``shape`` (C, H, W), ``low`` and ``high`` of the layer, ``grid`` (see `answers.layer_grid`),
            ``largest`` (C numbers), ``strongest`` (rows of channel, largest, mean, y, x), ``outputs``
            (the five most probable), ``image`` (what the network sees).

        Raises:
            LayerError: there is no such layer, or it gives no channels.
        """
        prepared, maps = self._prepared(image), self._layer_maps(image, layer).values
        low, high = finite_range(maps)
        seen = overlays.denormalized(prepared.inputs[0].cpu().numpy(), self._card)
        return {
            "layer": layer,
            "shape": list(maps.shape),
            "low": answers.number(low),
            "high": answers.number(high),
            "grid": answers.layer_grid(maps),
            "largest": answers.numbers(maps.max((1, 2))),
            "strongest": [
                {
                    **row,
                    "largest": answers.number(row["largest"]),
                    "mean": answers.number(row["mean"]),
                }
                for row in strongest(maps, _STRONGEST)
            ],
            "outputs": self._outputs.get_or_make(image, lambda: self._most_probable(prepared)),
            "image": {**answers.photo(seen), "size_px": list(prepared.size_px)},
        }

    def unit(self, image: str, asked: Unit) -> dict[str, Any]:
        """One channel, and what its cell owes to the pixels, for an image that `load_image` took.

        Returns:
            ``map`` (an image of (H, W)), ``low`` and ``high`` of the channel, ``cell`` (row, column), its
            ``activation``, ``name`` (of a class, where the layer is the output), ``box`` (top, left,
            bottom, right: what the cell sees, in pixels of the input; it may leave it), ``explanation``
            (the gradient, zero mid-gray) or null with the ``problem``.

        Raises:
            LayerError: there is no such layer, or it gives no channels.
            SpecError: it has no such channel or cell.
        """
        prepared, maps = self._prepared(image), self._layer_maps(image, asked.layer)
        values = _channel(maps.values, asked.channel)
        cell = _cell(values, asked.cell)
        low, high = finite_range(values)
        answer = {
            "layer": asked.layer,
            "channel": asked.channel,
            "method": asked.method,
            "map": answers.channel_image(values),
            "low": answers.number(low),
            "high": answers.number(high),
            "cell": list(cell),
            "activation": answers.number(float(values[cell])),
            "name": self._class_name(asked),
        }
        try:
            return {
                **answer,
                **self._explanation(prepared, asked, maps.target(asked.channel, cell), cell),
            }
        except SpecError as error:  # the map can be looked at all the same
            return {**answer, "box": None, "explanation": None, "problem": error.message}

    # -- what is kept --------------------------------------------------------------------------

    @property
    def _default_layer(self) -> str | None:
        """Where dreams are made, or the last map of those on the card, or any."""
        known = [self._shapes[layer] for layer in self._card.layers if layer in self._shapes]
        maps = [shape.layer for shape in known if shape.positions > 1] or list(self._shapes)
        return self._card.dream_layer or (maps[-1] if maps else None)

    def _warm_up(self) -> None:
        """What only a first answer waits for: kernels are chosen, graphs are made, modules are read."""
        layer = self._default_layer
        if layer is None:
            return
        buffer = io.BytesIO()
        Image.new("RGB", (_WARM_PX, _WARM_PX)).save(buffer, "PNG")
        data = buffer.getvalue()
        image = hashlib.sha256(data).hexdigest()
        self.load_image(image, data)
        self.activations(image, layer)
        self.unit(image, Unit(layer, 0))

    def _decode(self, data: bytes) -> PreparedImage:
        try:
            image = decode(data)
        except RowError as error:
            raise ImageError(
                f"the image cannot be read: {error.message}", reason=error.code
            ) from None
        inputs = torch.from_numpy(prepare([image], self._card)).to(self._device)
        height, width = image.shape[:2]
        return PreparedImage(inputs, (height, width))

    def _prepared(self, image: str) -> PreparedImage:
        prepared = self._prepared_images.get(image)
        if prepared is None:
            raise ValueError(f"the image {image} was not looked at")
        return prepared

    def _layer_maps(self, image: str, layer: str) -> LayerMaps:
        return self._maps.get_or_make((image, layer), lambda: self._run(image, layer))

    def _run(self, image: str, layer: str) -> LayerMaps:
        capture = self._captures.get_or_make(layer, lambda: Capture(self._network.module, (layer,)))
        found = capture.run(self._prepared(image).inputs)[layer]
        LayerShape.of(layer, found, self._network.module)
        return LayerMaps(channel_map(found)[0].float().cpu().numpy(), found.ndim)

    def _graph(self, layer: str) -> Graph:
        module = self._network.module
        explainable = explain_layer(module, layer)
        return Graph(explainable, receptive_field(module, layer, self._zeros()))

    def _measured(self) -> list[LayerShape]:
        """Layers whose channels can be looked at."""
        hidden = set(self._card.positions_first)
        found = shapes_of(self._network.module, self._zeros())
        return [shape for shape in found if shape.layer not in hidden]

    def _zeros(self) -> torch.Tensor:
        return zero_input(self._network.model).to(self._device)

    # -- answers -------------------------------------------------------------------------------

    def _explanation(
        self, prepared: PreparedImage, asked: Unit, target: tuple[int, ...], cell: tuple[int, int]
    ) -> dict[str, Any]:
        graph = self._graphs.get_or_make(asked.layer, lambda: self._graph(asked.layer))
        box = graph.field.box(*cell)
        if METHODS[asked.method].needs_relus and graph.explainable.rectifiers == 0:
            problem = f"There is no ReLU before {asked.layer} that {asked.method} could change."
            return {**_boxed(box), "explanation": None, "problem": problem}
        explained = AttributionInputs(prepared.inputs, [target], [_SEED])
        gradient = attribute(asked.method, graph.explainable, explained, Options())[0].cpu().numpy()
        relief = overlays.relief(gradient, overlays.scale_of(gradient))
        return {**_boxed(box), "explanation": answers.photo(relief), "problem": None}

    def _most_probable(self, prepared: PreparedImage) -> list[dict[str, Any]]:
        with torch.inference_mode():
            logits = self._network.module(prepared.inputs)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
            return []
        found, at = logits[0].float().softmax(0).topk(min(_OUTPUTS, logits.shape[1]))
        names = self._classes
        return [
            {
                "index": index,
                "name": names[index] if names else None,
                "probability": answers.number(probability),
            }
            for probability, index in zip(found.tolist(), at.tolist(), strict=True)
        ]

    def _class_name(self, asked: Unit) -> str | None:
        """The class, where the layer is the last one and so its channels are the outputs."""
        names, shape = self._classes, self._shapes.get(asked.layer)
        last = next(reversed(self._shapes), None)
        if not names or shape is None or last != asked.layer or shape.channels != len(names):
            return None
        return names[asked.channel]


def _boxed(box: Any) -> dict[str, Any]:
    return {"box": [box.top, box.left, box.bottom, box.right]}


def _channel(values: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    """(H, W) of one channel."""
    if channel >= len(values):
        raise SpecError(
            f"channel: {channel} is not among the {len(values)} channels of the layer, 0 to "
            f"{len(values) - 1}",
            field="channel",
        )
    found: NDArray[np.float32] = values[channel]
    return found


def _cell(values: NDArray[np.float32], asked: tuple[int, int] | None) -> tuple[int, int]:
    """The cell asked for, or the first of the largest."""
    height, width = values.shape
    if asked is None:
        y, x = divmod(int(np.nan_to_num(values, nan=-np.inf).argmax()), width)
        return y, x
    if asked[0] >= height or asked[1] >= width:
        raise SpecError(
            f"cell: row {asked[0]}, column {asked[1]} is outside of a map of {height} × {width}",
            field="cell",
        )
    return asked
