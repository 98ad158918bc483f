"""Shapes of networks, a module per family of models: a model's card names its family.

A new family is a module with a spec, and a member of the union `Shape`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from featurescape_jobs.specs.shapes.captioner import CaptionerSpec
from featurescape_jobs.specs.shapes.recurrent import RecurrentSpec
from featurescape_jobs.specs.shapes.translator import TranslatorSpec

Shape = Annotated[RecurrentSpec | CaptionerSpec | TranslatorSpec, Field(discriminator="family")]
