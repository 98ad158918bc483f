"""Write the viewer's colormaps: the tables that the service colors tiles with, as TypeScript.

``python service/web/scripts/colormap_tables.py`` writes src/tiles/colormap-tables.ts.
"""

from __future__ import annotations

from pathlib import Path

from featurescape.server.colormaps import Pixels, diverging_table, lookup_table

TARGET = Path(__file__).parents[1] / "src/tiles/colormap-tables.ts"
SHOWN = ("magma", "viridis", "inferno", "plasma", "cividis", "gray")
"""Those whose lightness rises all the way, so that more is brighter in the dark and darker on paper."""
_COLORS_A_LINE = 16


def text() -> str:
    """The module's text: per colormap 256 colors, six hexadecimal digits each."""
    lines = [
        "// Written by scripts/colormap_tables.py: 256 colors a map, RRGGBB each, lowest first."
    ]
    lines += ["", "export const COLORMAPS = {"]
    for name in SHOWN:
        lines += _entry(name, lookup_table(name))
    lines += ["} as const;", "", "/** Neutral in the middle, for pages of each theme. */"]
    lines += ["export const DIVERGING = {"]
    lines += [*_entry("light", diverging_table("light")), *_entry("dark", diverging_table("dark"))]
    return "\n".join([*lines, "} as const;", ""])


def _entry(name: str, table: Pixels) -> list[str]:
    rows = table.reshape(-1, _COLORS_A_LINE * 3)
    lines = [f"  {name}:", *(f'    "{row.tobytes().hex()}" +' for row in rows)]
    lines[-1] = lines[-1].removesuffix(" +") + ","
    return lines


if __name__ == "__main__":
    TARGET.write_text(text())
