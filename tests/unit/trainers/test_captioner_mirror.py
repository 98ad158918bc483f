"""Mirror images: of a grid the columns, of a caption left and right."""

from __future__ import annotations

import numpy as np
import torch

from featurescape_jobs.models.captioner.grid import Grid
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN, Vocabulary
from featurescape_jobs.trainers.captioner.mirror import Mirror
from featurescape_jobs.trainers.word_pairs import IGNORED

WORDS = Vocabulary(("left", "a", "right"))
LEFT, A, RIGHT = 2, 3, 4


def test_columns_change_places_and_say_where_they_are_now() -> None:
    mirror = Mirror.of(Grid(2, 3, 3), WORDS)
    values = torch.arange(6.0).reshape(6, 1)
    places = torch.tensor([[r, c] for r in (-1.0, 1.0) for c in (-1.0, 0.0, 1.0)])
    grids = torch.cat([values, places], 1).expand(2, 6, 3)
    kept, mirrored = mirror.grids(grids, np.array([False, True]))
    assert torch.equal(kept, grids[0])
    assert mirrored[:, 0].tolist() == [2, 1, 0, 5, 4, 3]
    assert torch.equal(mirrored[:, 1:], places)


def test_left_and_right_change_places_in_what_is_said_of_the_mirror_image() -> None:
    mirror = Mirror.of(Grid(1, 2, 3), WORDS)
    said = np.array([[A, LEFT, END, IGNORED], [RIGHT, A, UNKNOWN, WORDS.start]])
    found = mirror.words(said, np.array([True, False]))
    assert found.tolist() == [[A, RIGHT, END, IGNORED], [RIGHT, A, UNKNOWN, WORDS.start]]
    assert mirror.words(said, np.array([False, True]))[1, 0] == LEFT


def test_a_side_whose_other_is_no_word_becomes_the_unknown_word() -> None:
    mirror = Mirror.of(Grid(1, 2, 3), Vocabulary(("left",)))
    found = mirror.words(np.array([[LEFT, UNKNOWN, END]]), np.array([True]))
    assert found.tolist() == [[UNKNOWN, UNKNOWN, END]]
