"""Color layers: what a map is colored by, each drawn as an archive of tiles.

The public names are what a color layer's module needs; each is imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featurescape_jobs.artifacts import Legend as Legend
    from featurescape_jobs.artifacts import LegendClass as LegendClass
    from featurescape_jobs.color_layers.category import encode_categories as encode_categories
    from featurescape_jobs.color_layers.data_tiles import write_data_tiles as write_data_tiles
    from featurescape_jobs.color_layers.registered import COLOR_LAYERS as COLOR_LAYERS
    from featurescape_jobs.tiling.aggregates import Cells as Cells
    from featurescape_jobs.tiling.aggregates import Points as Points
    from featurescape_jobs.tiling.aggregates import largest_classes as largest_classes
    from featurescape_jobs.tiling.aggregates import pyramid as pyramid
    from featurescape_jobs.tiling.geometry import aggregate_zoom as aggregate_zoom
    from featurescape_jobs.tiling.scene import NO_LABEL as NO_LABEL
    from featurescape_jobs.tiling.scene import ColorLayer as ColorLayer
    from featurescape_jobs.tiling.scene import ColorLayerCard as ColorLayerCard
    from featurescape_jobs.tiling.scene import LayerSummary as LayerSummary
    from featurescape_jobs.tiling.scene import MapScene as MapScene
else:
    from featurescape_jobs.registry.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "featurescape_jobs.artifacts": ("Legend", "LegendClass"),
            "featurescape_jobs.color_layers.category": ("encode_categories",),
            "featurescape_jobs.color_layers.data_tiles": ("write_data_tiles",),
            "featurescape_jobs.color_layers.registered": ("COLOR_LAYERS",),
            "featurescape_jobs.tiling.aggregates": (
                *("Cells", "Points", "largest_classes", "pyramid"),
            ),
            "featurescape_jobs.tiling.geometry": ("aggregate_zoom",),
            "featurescape_jobs.tiling.scene": (
                *("NO_LABEL", "ColorLayer", "ColorLayerCard", "LayerSummary", "MapScene"),
            ),
        },
    )
