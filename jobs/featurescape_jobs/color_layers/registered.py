"""The color layers there are. A new one is one file beside this one, and one entry in the tuple."""

from featurescape_jobs.color_layers.category import COLOR_LAYER as CATEGORY
from featurescape_jobs.color_layers.density import COLOR_LAYER as DENSITY
from featurescape_jobs.color_layers.step import COLOR_LAYER as STEP
from featurescape_jobs.color_layers.thumbnails import COLOR_LAYER as THUMBNAILS
from featurescape_jobs.color_layers.token import COLOR_LAYER as TOKEN
from featurescape_jobs.color_layers.value import COLOR_LAYER as VALUE
from featurescape_jobs.registry import Group, Registry, entry_with
from featurescape_jobs.tiling.scene import ColorLayer, ColorLayerCard

COLOR_LAYERS: Registry[ColorLayer] = Registry(
    "color layer",
    (DENSITY, CATEGORY, VALUE, STEP, TOKEN, THUMBNAILS),
    Group("featurescape.color_layers", entry_with(ColorLayerCard, "draw")),
)
