/** Making SVG elements. Looks are classes, so that the theme and the strict policy hold. */

const SVG = "http://www.w3.org/2000/svg";

export type Shape = SVGElement;

/** An element with attributes; strings become text nodes. */
export function s(
  tag: string,
  attributes: Record<string, string | number> = {},
  ...children: (Shape | string)[]
): Shape {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, typeof value === "number" ? String(Math.round(value * 10) / 10) : value);
  }
  element.append(...children);
  return element;
}

/** A drawing of so many pixels, which says what it shows. */
export function drawing(width: number, height: number, label: string): Shape {
  return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
}

/** The path through points; a gap where one is not finite. */
export function pathThrough(points: readonly (readonly [x: number, y: number])[]): string {
  let [path, pen] = ["", "M"];
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) {
      pen = "M";
      continue;
    }
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  }
  return path;
}

/** Draws anew whenever the width of `host` changes; returns what ends that. */
export function onWidth(host: HTMLElement, draw: (width: number) => void): () => void {
  let known = 0;
  const observer = new ResizeObserver(() => {
    const width = Math.floor(host.clientWidth);
    if (width === known || width === 0) return;
    known = width;
    draw(width);
  });
  observer.observe(host);
  return () => observer.disconnect();
}
