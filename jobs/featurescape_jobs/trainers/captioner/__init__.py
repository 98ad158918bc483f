"""Trainer of captioners: the encoder's features once, words it is asked to find, then the decoder."""

from featurescape_jobs.trainers.captioner.training import run

__all__ = ["run"]
