"""What axe-core finds wrong with a page for people who see, hear or move otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "service/web/node_modules/axe-core/axe.min.js"
"""Of the viewer's own packages, as ``make viewer`` installs them."""
_ALL_IN_SIGHT = """() => {
    // What is left out of the layout until it is in sight would keep the colors of the theme before.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("* { content-visibility: visible !important }");
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}"""
_RUN = """async () => {
    // What has changed is drawn, and no color is on its way to another.
    const frame = () => new Promise(requestAnimationFrame);
    const moving = () => document.getAnimations().some((each) => each instanceof CSSTransition);
    await frame().then(frame);
    while (moving()) await frame();
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html }) => html) }));
}"""
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")


def serious_findings(page: Page, theme: Theme) -> list[str]:
    """The rules of which a page breaks one so that it is serious or critical, each with its elements.

    The page is shown in the theme first; nothing is fetched.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
        page.evaluate(_ALL_IN_SIGHT)
    page.emulate_media(color_scheme=theme)
    page.wait_for_function(f"() => document.documentElement.dataset.theme === '{theme}'")
    return [
        f"{each['id']}: {each['help']}: {' '.join(each['nodes'][:5])}"
        for each in page.evaluate(_RUN)
    ]
