"""``featurescape export``: a map as a table, as a page that needs no service, or as an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featurescape.cli_options import Url
from featurescape.client import Client
from featurescape.export_forms import FormName
from featurescape.export_image import ImageFields, side_of
from featurescape.export_sheet import NamesKind
from featurescape.export_strips import ArrangementName, Theme
from featurescape_jobs.errors import RequestError

_TABLE, _PAGE = "A table (FILE.parquet)", "A page that needs no service"
_IMAGE = "An image (FILE.png, .pdf, .jpg, .webp)"


def export(
    map_id: Annotated[str, typer.Argument(metavar="MAP", help="Id of its tiles or atlas job.")],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Table or image to write."),
    ] = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="With the features that were laid out.", rich_help_panel=_TABLE
        ),
    ] = False,
    static: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for a web host that answers range requests: nginx, Apache, S3, GitHub Pages.",
            rich_help_panel=_PAGE,
        ),
    ] = None,
    xyz: Annotated[
        bool,
        typer.Option(
            "--xyz",
            help="With --static: a file for each tile, for a host that answers no ranges.",
            rich_help_panel=_PAGE,
        ),
    ] = False,
    files: Annotated[
        bool,
        typer.Option(
            "--files",
            help="With --static: index.html opens as a file; up to 20,000 examples.",
            rich_help_panel=_PAGE,
        ),
    ] = False,
    with_images: Annotated[
        bool,
        typer.Option(
            "--with-images",
            help="With --static: the full images; without it, thumbnails. Up to 100,000 examples.",
            rich_help_panel=_PAGE,
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="One HTML file that has everything; up to 5,000 examples.",
            rich_help_panel=_PAGE,
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="The map as an image of this size, as 20000x20000, in FILE.",
            rich_help_panel=_IMAGE,
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Color layer; without it, the images, else the first.",
            rich_help_panel=_IMAGE,
        ),
    ] = None,
    colormap: Annotated[
        str, typer.Option(help="Of layers of counts and numbers.", rich_help_panel=_IMAGE)
    ] = "magma",
    theme: Annotated[Theme, typer.Option(help="Background.", rich_help_panel=_IMAGE)] = "dark",
    arrangement: Annotated[
        ArrangementName,
        typer.Option(help="Exact places, or the filled grid.", rich_help_panel=_IMAGE),
    ] = "exact",
    names: Annotated[
        NamesKind | None,
        typer.Option(help="Names on the map.", show_default="none", rich_help_panel=_IMAGE),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Above the map.", rich_help_panel=_IMAGE)
    ] = None,
    legend: Annotated[
        bool,
        typer.Option(
            "--legend",
            help="Below the map: classes with colors and counts, how many are drawn, the date.",
            rich_help_panel=_IMAGE,
        ),
    ] = False,
    font: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A font for letters that the fonts at hand have not.",
            rich_help_panel=_IMAGE,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there already.")
    ] = False,
    url: Url = None,
) -> int:
    """Take a map away: as a Parquet file, as a page that needs no service, or as an image.

    A folder that is an earlier export is replaced; one with anything else in it is refused.
    """
    chosen = [each for each in (file, static, html) if each is not None]
    if len(chosen) != 1:
        raise RequestError(
            "name what to write: FILE.parquet, --static DIR, --html FILE or --image WxH FILE"
        )
    if (xyz or files or with_images) and static is None:
        raise RequestError("--xyz, --files and --with-images go with --static DIR")
    if xyz and files:
        raise RequestError("--xyz or --files, not both")
    if features and (file is None or image is not None):
        raise RequestError("--features goes with a Parquet file")
    if image is not None and file is None:
        raise RequestError("--image 20000x20000: name the file, too, as map.png")
    form: FormName = "xyz" if xyz else "files" if files else "range"
    with Client(url) as client:
        view = client.open_map(map_id)
        if static is not None:
            print(view.export_static(static, form=form, images=with_images))
        elif html is not None:
            print(view.export_html(html, overwrite=overwrite))
        elif file is not None and image is not None:
            look = ImageFields(layer=layer, arrangement=arrangement, colormap=colormap, theme=theme)
            look |= ImageFields(names=names, title=title, legend=legend, font=font)
            look |= ImageFields(size=side_of(image), overwrite=overwrite)
            print(view.export_image(file, **look))
        elif file is not None:
            print(view.to_parquet(file, features=features, overwrite=overwrite))
    return 0
