/** Icons as inline SVG: 20 × 20, 1.5 px strokes in the current color. */

const PATHS = {
  plus: ["M10 4.5v11M4.5 10h11"],
  minus: ["M4.5 10h11"],
  fit: ["M4 7.5V4h3.5M12.5 4H16v3.5M16 12.5V16h-3.5M7.5 16H4v-3.5"],
  close: ["M5.5 5.5l9 9M14.5 5.5l-9 9"],
  search: ["M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM13 13l3.5 3.5"],
  help: ["M7.6 7.7c0-1.4 1-2.4 2.4-2.4s2.4.9 2.4 2.2c0 1.7-2.4 2-2.4 3.8", "M10 14.4v.1"],
  sun: [
    "M10 13.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4z",
    "M10 2.6v1.6M10 15.8v1.6M2.6 10h1.6M15.8 10h1.6M4.8 4.8l1.1 1.1M14.1 14.1l1.1 1.1M15.2 4.8l-1.1 1.1M5.9 14.1l-1.1 1.1",
  ],
  moon: ["M16 11.8A6.4 6.4 0 0 1 8.2 4a6.4 6.4 0 1 0 7.8 7.8z"],
  system: ["M3.5 4.5h13v9h-13zM7.5 16.5h5M10 13.5v3"],
  copy: ["M7.5 7.5h8v8h-8z", "M5 12.5h-.5v-8h8V5"],
  check: ["M4.5 10.5l3.6 3.6 7.4-8"],
  arrow: ["M4 10h12M11.5 5.5L16 10l-4.5 4.5"],
  back: ["M16 10H4M8.5 5.5L4 10l4.5 4.5"],
  chevron: ["M5.5 8l4.5 4.5L14.5 8"],
  download: ["M10 3.5v9M6.2 9l3.8 3.8L13.8 9M4 16.2h12"],
  stop: ["M6 6h8v8H6z"],
  layers: ["M10 3.5l7 3.6-7 3.6-7-3.6zM3.6 10.4L10 13.7l6.4-3.3M3.6 13.4L10 16.7l6.4-3.3"],
  density: [
    "M5.2 6.2h.1M9 5h.1M6 10h.1M14.6 14.2h.1",
    "M10.8 12.6a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2z",
    "M10.8 15.6a5.6 5.6 0 0 0 5.5-4.6M14 5.4a5.6 5.6 0 0 0-2.2-.9",
  ],
  category: [
    "M7 9.2a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4z",
    "M11.5 4.4h4.6V9h-4.6z",
    "M7 11.3l2.9 4.9H4.1z",
    "M13.8 11.6l2.4 2.4-2.4 2.4-2.4-2.4z",
  ],
  value: ["M3.8 8.2h12.4v3.6H3.8z", "M6.2 14.2v1.6M10 14.2v1.6M13.8 14.2v1.6M7.9 8.2v3.6M12 8.2v3.6"],
  lasso: [
    "M9.6 12.4c-4 .3-6.8-1.3-6.8-3.8 0-2.7 3.3-4.8 7.3-4.8s7.1 1.9 7.1 4.5c0 1.7-1.4 3.1-3.5 3.8",
    "M11.6 13.6a1.9 1.9 0 1 0 0-3.8 1.9 1.9 0 0 0 0 3.8zM11.4 13.6c-.3 1.6-1.4 2.4-3 2.4",
  ],
  box: ["M4 7V4h3M9 4h2M13 4h3v3M16 9v2M16 13v3h-3M11 16H9M7 16H4v-3M4 11V9"],
  invert: ["M10 16.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z", "M10 3.5v13M10 6.5h4.8M10 10h6.4M10 13.5h4.8"],
  neighbors: [
    "M10 11.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6z",
    "M4.8 5.9h.1M15.2 5.4h.1M4.6 14.4h.1M15 14.8h.1M10 3.6h.1M6 6.8l2.6 2M14.3 6.4l-2.8 2.3M5.8 13.6l2.7-2.3M14 13.9l-2.6-2.5",
  ],
  images: ["M3.8 4.2h5v5h-5zM11.2 4.2h5v5h-5zM3.8 11.2h5v5h-5zM11.2 11.2h5v5h-5z"],
  eye: [
    "M2.8 10S5.4 5.2 10 5.2 17.2 10 17.2 10 14.6 14.8 10 14.8 2.8 10 2.8 10z",
    "M10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  ],
  alert: ["M10 3.6l7 12.4H3z", "M10 8.4v3.4M10 13.8v.1"],
  play: ["M7 5l8 5-8 5z"],
  pause: ["M7.5 5.5v9M12.5 5.5v9"],
  compare: ["M3.5 4.5h6v11h-6z", "M10.5 4.5h6v11h-6z"],
  names: ["M4 6.5V4.5h12v2M10 4.5v11M7.8 15.5h4.4"],
  more: ["M4.6 10h.1M10 10h.1M15.4 10h.1"],
  pen: ["M4 16l.8-3.4L13.2 4.2l2.6 2.6-8.4 8.4z"],
  trash: ["M4.5 6h11M8 6V4.2h4V6M5.8 6l.7 9.8h7l.7-9.8"],
  again: ["M15.6 11a5.7 5.7 0 1 1-1.5-5L16 7.8M16 4v3.8h-3.8"],
  link: [
    "M8.6 11.4a2.8 2.8 0 0 0 4 0l2.6-2.6a2.8 2.8 0 0 0-4-4l-1 1",
    "M11.4 8.6a2.8 2.8 0 0 0-4 0l-2.6 2.6a2.8 2.8 0 0 0 4 4l1-1",
  ],
  grid: ["M4 5.5h12M4 10h12M4 14.5h12"],
} as const;

export type IconName = keyof typeof PATHS;

const SVG = "http://www.w3.org/2000/svg";

/** A decorative icon; the element around it carries the accessible name. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

const DOTS: readonly [number, number, number, string][] = [
  [7, 8, 3.1, "mark-a"],
  [13.4, 4.9, 1.5, "mark-a soft"],
  [4.6, 14, 1.3, "mark-a soft"],
  [17, 16.6, 3.7, "mark-b"],
  [10.6, 18.9, 1.7, "mark-b soft"],
  [20, 9.8, 1.4, "mark-b soft"],
];

/** The mark: two clusters. */
export function mark(): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  for (const [cx, cy, r, name] of DOTS) {
    const circle = document.createElementNS(SVG, "circle");
    for (const [key, value] of Object.entries({ cx, cy, r })) circle.setAttribute(key, String(value));
    circle.setAttribute("class", name);
    svg.append(circle);
  }
  return svg;
}
