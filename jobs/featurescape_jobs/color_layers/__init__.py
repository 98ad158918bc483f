"""The color layers there are. A new one: one file that exports ``COLOR_LAYER``, one name here."""

from featurescape_jobs.color_layers import category, density, thumbnails
from featurescape_jobs.color_layers.base import ColorLayer
from featurescape_jobs.registry import Registry

COLOR_LAYERS: Registry[ColorLayer] = Registry(
    "color layer",
    (density.COLOR_LAYER, category.COLOR_LAYER, thumbnails.COLOR_LAYER),
)
