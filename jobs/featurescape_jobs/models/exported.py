"""Networks that were exported from PyTorch: an archive of `torch.export`, or a TorchScript file, with a card.

A folder has ``card.json`` and the file that it names. Either kind of file is code: `torch.export.load` evaluates
expressions of the archive and compiles its graph, a TorchScript file has a program of its own, and neither
is confined. So it is read only by drivers and workers, only with the sha256 that the spec expects, and the entry
is none of the catalog's own: an operator adds it as a plug-in (``FEATURESCAPE_PLUGINS=featurescape:exported``).

Memory: the file twice, while it is read; then the weights.
"""

from __future__ import annotations

import io
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.models.base import CollectionCard, ImageCard, Model, WeightsCard
from featurescape_jobs.specs import ModelSpec

if TYPE_CHECKING:
    from torch import nn

CARD_FILE = "card.json"
_MAX_CARD_BYTES = 1_000_000
_FIELD = "model.weights"
_Side = Annotated[int, Field(ge=1, le=4096)]


class ExportedCard(BaseModel):
    """Card of an exported network: how it is fed, and what it gives."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    file: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}\.(pt2|ts|torchscript)$",
        description="In the same folder: an archive of torch.export (.pt2), or TorchScript (.ts, .torchscript).",
    )
    title: str = Field(default="exported", max_length=200)
    channels: Literal[1, 3] = 3
    input_px: _Side
    resize_px: _Side | None = Field(default=None, description="None: input_px.")
    resize: Literal["shorter_side", "square"] = "shorter_side"
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    layers: tuple[str, ...] = Field(
        default=(), description="Module paths; of TorchScript none can be read."
    )
    default_layer: str | None = Field(default=None, description="None: what the network gives.")
    default_pooling: Literal["mean", "max", "flatten", "first"] = "flatten"
    dream_layer: str | None = Field(
        default=None, description="Where dreams are made if nobody says; None: they name a layer."
    )
    outputs: int = Field(ge=1, le=1_000_000)
    classes: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _agrees(self) -> ExportedCard:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError("mean and std have a number per channel")
        if self.classes is not None and len(self.classes) != self.outputs:
            raise ValueError("classes has a name per output")
        if (self.resize_px or self.input_px) < self.input_px:
            raise ValueError("resize_px is at least input_px")
        named = self.layers or self.default_layer or self.dream_layer
        if not self.file.endswith(".pt2") and named:
            raise ValueError(
                "layers inside of TorchScript cannot be read; leave layers, default_layer and dream_layer out"
            )
        return self


CARD = CollectionCard(
    name="exported",
    title="Exported network",
    summary="A torch.export archive or TorchScript file with a card: a folder in model.weights.",
    package="torch",
    weights_in="folder",
)


class Exported:
    """The entry that a plug-in adds."""

    name = CARD.name
    card = CARD

    def model_of(self, spec: ModelSpec) -> Model:
        """The network of a folder, as its card says; nothing is loaded yet.

        Raises:
            WeightsError: no folder, no or a wrong card, no file, or no sha256 is expected of it.
        """
        if spec.weights in ("pretrained", "random"):
            raise WeightsError(
                f"{_FIELD}: give the folder of the exported network, with {CARD_FILE} in it; it has no weights "
                "but those of its file",
                field=_FIELD,
            )
        said = read_card(Path(spec.weights))
        if spec.weights_sha256 is None:
            raise WeightsError(
                f"model.weights_sha256 is missing: {said.file} is code, and is read only with its expected sha256",
                field="model.weights_sha256",
            )
        return ExportedModel(said, Path(spec.weights), spec.weights_sha256)


MODEL = Exported()


def read_card(folder: Path) -> ExportedCard:
    """The card of a folder, whose file is there; raises `WeightsError`."""
    card = folder / CARD_FILE
    if not card.is_file():
        raise WeightsError(
            f"{_FIELD}: there is no {CARD_FILE} in {str(folder)[:200]!r}", field=_FIELD
        )
    if card.stat().st_size > _MAX_CARD_BYTES:
        raise WeightsError(
            f"{_FIELD}: {CARD_FILE} has more than {_MAX_CARD_BYTES} bytes", field=_FIELD
        )
    try:
        said = ExportedCard.model_validate_json(card.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "card"
        raise WeightsError(
            f"{_FIELD}: {CARD_FILE}, {place}: {first['msg']}", field=_FIELD
        ) from None
    file = folder / said.file
    if file.is_symlink() or not file.is_file():
        raise WeightsError(
            f"{_FIELD}: {CARD_FILE} names {said.file}, which is no file of the folder", field=_FIELD
        )
    return said


@dataclass(frozen=True)
class ExportedModel:
    """An exported network; its module paths begin with ``network.``, and ``output`` is what it gives."""

    said: ExportedCard
    folder: Path
    sha256: str

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def card(self) -> ImageCard:
        said = self.said
        layer = "output" if said.default_layer is None else f"network.{said.default_layer}"
        inner = [f"network.{path}" for path in said.layers]
        return ImageCard(
            name=f"exported/{self.folder.name}",
            title=said.title,
            summary=f"Exported network, {said.file}.",
            paper="",
            weights_in="folder",
            channels=said.channels,
            input_px=said.input_px,
            resize_px=said.resize_px or said.input_px,
            resize=said.resize,
            mean=said.mean,
            std=said.std,
            interpolation=said.interpolation,
            layers=tuple(
                dict.fromkeys([*inner, *([layer] if layer != "output" else []), "output"])
            ),
            default_layer=layer,
            default_pooling=said.default_pooling,
            dream_layer=None if said.dream_layer is None else f"network.{said.dream_layer}",
            weights=WeightsCard(
                name=said.file, source="package", license="its owner's", sha256=self.sha256
            ),
            n_classes=said.outputs,
        )

    def build(self, n_classes: int) -> nn.Module:
        """Raise `SpecError`: an exported network has no other weights than its own."""
        raise SpecError(f"{_FIELD}: an exported network has its own weights only", field=_FIELD)

    def pretrained(self) -> nn.Module:
        """The network of the file; raises `WeightsError` where it is another file, or does not fit its card."""
        from torch import nn

        from featurescape_jobs.models.weights import MAX_FILE_BYTES, check_sha256

        file = self.folder / self.said.file
        if file.stat().st_size > MAX_FILE_BYTES:
            raise WeightsError(
                f"{_FIELD}: {file.name} has more than {MAX_FILE_BYTES} bytes", field=_FIELD
            )
        data = file.read_bytes()
        check_sha256(data, self.sha256, file.name)
        parts = OrderedDict(network=_loaded(data, file.name), output=nn.Identity())
        network = nn.Sequential(parts).eval()
        self._try(network)
        return network

    def _try(self, network: nn.Module) -> None:
        """Run two images of zeros and one, as any batch size has to do."""
        import torch

        said = self.said
        for n in (2, 1):
            try:
                with torch.no_grad():
                    shape = tuple(
                        network(torch.zeros(n, said.channels, said.input_px, said.input_px)).shape
                    )
            except Exception as error:  # noqa: BLE001 - the file's own program
                raise WeightsError(
                    f"{_FIELD}: {said.file} does not take {n} images of {said.channels} × {said.input_px} × "
                    f"{said.input_px} ({str(error)[:300]}); export it with a batch of any size, as dynamic_shapes="
                    "({0: torch.export.Dim('batch')},)",
                    field=_FIELD,
                ) from None
            if shape != (n, said.outputs):
                raise WeightsError(
                    f"{_FIELD}: {said.file} gives {shape} for {n} images, its card says {said.outputs} outputs",
                    field=_FIELD,
                )

    def classes(self) -> tuple[str, ...] | None:
        """Names of the outputs, as the card has them."""
        return self.said.classes


def _loaded(data: bytes, name: str) -> nn.Module:
    """The module of a file's bytes. Its code runs; the sha256 was compared before."""
    import torch

    source = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of formats that torch is about to change; errors still raise
            if name.endswith(".pt2"):
                return torch.export.unflatten(torch.export.load(source))
            loaded: nn.Module = torch.jit.load(source, map_location="cpu")  # type: ignore[no-untyped-call]
            return loaded
    except Exception as error:  # noqa: BLE001 - a damaged or foreign file raises nearly anything
        raise WeightsError(
            f"{_FIELD}: {name} cannot be loaded ({type(error).__name__}: {str(error)[:300]}); export it with this "
            f"version of torch, {torch.__version__}",
            field=_FIELD,
        ) from None
