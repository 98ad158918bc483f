"""Vectors of images and texts as the features of a map: the same model, weights, layer, pooling and preprocessing.

Memory: the network, and its text tower where words are asked for; one decoded image, one forward pass.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.errors import ImageError, RowError, SpecError
from featurescape_jobs.extraction.columns import recurrent_runners
from featurescape_jobs.images.decode import decode
from featurescape_jobs.live.searchable import check_image, check_text
from featurescape_jobs.models.text_tower import TextTower, TwoTowerModel
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.specs import ModelSpec
from featurescape_jobs.tables import LayerColumn

Floats = NDArray[np.float32]

_MODES = ("float32", "folded", "bfloat16")
"""Modes that are ready in a moment; what was compiled is run folded, which it was compiled from."""


class QueryEncoder:
    """Encodes queries for a column of a features artifact. The network is loaded by the first that needs it.

    Raises:
        SpecError: by what is asked for: the features are of no model, of one that reads no images or has no
            text tower, or of several steps.
        WeightsError: the weights cannot be had any more.
    """

    def __init__(
        self, features: InputArtifact, column: LayerColumn, allowed_roots: tuple[str, ...] | None
    ) -> None:
        self._features = features
        self._column = column
        self._allowed_roots = allowed_roots

    def image(self, data: bytes) -> Floats:
        """The vector (D,) of an encoded image, from anybody; raises `ImageError` where it is none."""
        check_image(self._features.manifest, self._column)
        card = self._network.image_card
        try:
            pixels = decode(data)
        except RowError as error:
            raise ImageError(
                f"the image cannot be read: {error.message}", reason=error.code
            ) from None
        return self._checked(self._run(prepare([pixels], card))[0], "image")

    def text(self, text: str) -> Floats:
        """The vector (D,) of a text."""
        check_text(self._features.manifest, self._column)
        return self._checked(self._text_tower.encode([text]), "text")

    @cached_property
    def _network(self) -> LoadedNetwork:
        manifest = self._features.manifest
        spec = ModelSpec.model_validate(manifest.spec["model"])
        network = load_network(
            spec,
            seed=manifest.seed,
            storage=self._features.storage,
            allowed_roots=self._allowed_roots,
        )
        network.module.to(worker_device())
        return network

    @cached_property
    def _run(self) -> execution.Runner:
        """The network up to the layer, in the mode of the features job."""
        columns = (self._column,)
        chosen = (self._features.manifest.details.get("execution") or {}).get("mode")
        mode = "folded" if chosen == "compiled" else chosen if chosen in _MODES else "float32"
        if self._network.card.recurrent:
            state = str(self._features.manifest.spec.get("state", "hidden"))
            runners = recurrent_runners(self._network, state, columns, mode)
            return lambda images: [runner.run(images) for runner in runners]
        target = execution.Target(self._network, columns, worker_device())
        return execution.build(target, cast(execution.Mode, mode))

    @cached_property
    def _text_tower(self) -> TextTower:
        model = self._network.model
        if not isinstance(model, TwoTowerModel) or not self._network.pretrained:
            raise SpecError(
                f"text: the text tower of {model.name} belongs to its pretrained weights, and the features are "
                "of others; search by an image or an example",
                field="text",
            )
        return model.text_tower()

    def _checked(self, found: Any, field: str) -> Floats:
        """One vector of D finite numbers."""
        vectors = found.cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
        vector = vectors.astype(np.float32)[0]
        if vector.shape != (self._column.dimensions,):
            raise SpecError(
                f"{field}: it has {vector.size} features and the map's examples have "
                f"{self._column.dimensions}; the model has changed since: extract features again",
                field=field,
            )
        if not np.isfinite(vector).all():
            raise SpecError(
                f"{field}: its features are not finite; search by another one", field=field
            )
        return cast(Floats, vector)
