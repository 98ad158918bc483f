"""Trainer of translators: subwords of both languages, then encoder and decoder together."""

from featurescape_jobs.trainers.translator.training import run

__all__ = ["run"]
