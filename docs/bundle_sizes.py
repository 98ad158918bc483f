"""Sizes of the viewer's charts and of the libraries that could draw them, minified and gzipped.

``python docs/bundle_sizes.py`` bundles each entry below with the viewer's own Vite, in a temporary folder into
which npm installs the libraries, and prints a line per entry. It needs `npm ci` to have run in service/web.
"""

from __future__ import annotations

import gzip
import subprocess
import tempfile
from pathlib import Path

WEB = Path(__file__).parents[1] / "service/web"
_LIBRARIES = ("uplot@1.6.32", "@observablehq/plot@0.6.17")
_MARKS = "plot, lineY, areaY, ruleX, ruleY, dot, axisX, axisY, gridY"
ENTRIES = {
    "the charts of the viewer": f'export * from "{WEB}/src/charts/line-chart";\n'
    f'export * from "{WEB}/src/charts/plane";\n',
    "uPlot": 'export { default } from "uplot";\nimport "uplot/dist/uPlot.min.css";\n',
    "Observable Plot, with the marks that charts need": f'export {{ {_MARKS} }} from "@observablehq/plot";\n',
}


def bundled(entry: str, folder: Path) -> int:
    """Bytes of an entry with all that it imports: scripts and styles, gzipped."""
    (folder / "entry.ts").write_text(entry)
    library = "{ entry: 'entry.ts', formats: ['es'], fileName: 'made' }"
    (folder / "vite.config.mjs").write_text(
        f"export default {{ build: {{ lib: {library}, minify: true, outDir: 'out', emptyOutDir: true }} }};\n"
    )
    vite = WEB / "node_modules/.bin/vite"
    subprocess.run([vite, "build", "--logLevel", "warn"], cwd=folder, check=True)
    made = (folder / "out").glob("*.*")
    return sum(len(gzip.compress(file.read_bytes(), 9)) for file in made)


def main() -> None:
    """Print the sizes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "package.json").write_text('{"private": true}')
        subprocess.run(["npm", "install", "--silent", *_LIBRARIES], cwd=folder, check=True)
        for title, entry in ENTRIES.items():
            print(f"{bundled(entry, folder) / 1000:6.1f} kB  {title}")


if __name__ == "__main__":
    main()
