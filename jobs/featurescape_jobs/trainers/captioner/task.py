"""Task of a captioner's training: its spec, its listings, its words, and where its checkpoints lie.

Everything that a process needs lies in the storage; between the driver and its workers only a `Task` goes.

Holds the words, and a listing while it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa

from featurescape_jobs.captioning.encoder import Encoder, Place, open_encoder
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.models.captioner.entry import Captioner
from featurescape_jobs.networks.loading import build_random
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.vocabulary import Vocabulary
from featurescape_jobs.specs import CaptionerSpec, CaptionTrainingSpec, TrainingSpec
from featurescape_jobs.tables import read_input
from featurescape_jobs.trainers.captioner.examples import CaptionedExamples
from featurescape_jobs.trainers.captioner.word_objective import HEAD, NETWORK
from featurescape_jobs.trainers.checkpoints import Checkpoints, Progress, starting_with
from featurescape_jobs.trainers.listings import Listing, shares_of

_NO_WORDS = Vocabulary(())


@dataclass(frozen=True)
class Task:
    """A training; small (but for the words) and picklable."""

    spec: TrainingSpec
    listings: tuple[Listing, ...]
    """With a second one, validation and test part are drawn from that."""
    source: Source
    """Of the first listing."""
    input_sha256: str
    vocabulary: Vocabulary = _NO_WORDS

    @property
    def shape(self) -> CaptionerSpec:
        return self.spec.model.shape_as(CaptionerSpec) or CaptionerSpec()

    @property
    def hyperparameters(self) -> CaptionTrainingSpec:
        options = self.spec.options
        return options if isinstance(options, CaptionTrainingSpec) else CaptionTrainingSpec()

    @property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints of the decoder."""
        return self._checkpoints("work/checkpoints")

    @property
    def encoder_checkpoints(self) -> Checkpoints:
        """Checkpoints of an encoder that learns."""
        return self._checkpoints("work/encoder_checkpoints")

    def _checkpoints(self, folder: str) -> Checkpoints:
        source = self.source
        root, path = source.storage_root, source.path(folder)
        return Checkpoints.of(self.spec, self.input_sha256, root, path)

    def encoder(self) -> Encoder:
        """The image encoder, as it is before it learns."""
        source = self.source
        place = Place(source.storage_root, source.seed, source.allowed_roots)
        return open_encoder(self.shape.encoder, place)

    def load_fine_tuned(self, encoder: Encoder) -> Progress:
        """Put what an encoder has learned into it; how it learned."""
        progress = self.encoder_checkpoints.newest()
        encoder.network.module.load_state_dict(starting_with(NETWORK, progress.last))
        return progress

    def decoder(self, encoder: Encoder) -> Decoder:
        """The network with fresh weights, which follow from the seed; what an encoder learned with stays."""
        model = cast(Captioner, MODELS["captioner"]).configured(self.shape, encoder.layout)
        decoder = cast(Decoder, build_random(model, self.vocabulary.size, self.spec.seed))
        if decoder.tags is not None:
            learned = self.encoder_checkpoints.newest().last
            decoder.tags.load_state_dict(starting_with(HEAD, learned))
            decoder.tags.requires_grad_(False)
        return decoder

    def captioned(self) -> list[CaptionedExamples]:
        """Examples with captions of every listing, and which part each is in."""
        source, shares = self.source, shares_of(self.spec, self.listings)
        return [
            CaptionedExamples.drawn(
                read_input(source.storage.read_table(source.path(one.examples))),
                *share,
                self.spec.seed,
            )
            for one, share in zip(self.listings, shares, strict=True)
        ]


def joined(captioned: list[CaptionedExamples]) -> CaptionedExamples:
    """All listings as one, whose rows `CachedTensors.rows` are."""
    return CaptionedExamples(
        pa.concat_tables([one.table for one in captioned]),
        np.concatenate([one.parts for one in captioned]),
    )
