/**
 * The map's plane in OpenLayers: the unit square scaled to 512, so that one tile pixel of zoom z is
 * 2^-z units. OpenLayers has y up; tiles and the API have y down.
 */

import type { Coordinate } from "ol/coordinate";
import Projection from "ol/proj/Projection";
import TileGrid from "ol/tilegrid/TileGrid";

export const WORLD = 512;
export const EXTENT: [number, number, number, number] = [0, 0, WORLD, WORLD];

export const projection = new Projection({ code: "featurescape:plane", units: "pixels", extent: EXTENT });

/** Place of the unit square, y down; of an example also the center of its cell in the filled grid. */
export interface Place {
  x: number;
  y: number;
  grid_x?: number | null;
  grid_y?: number | null;
}

/** Unit square → plane. */
export function toPlane(x: number, y: number): [number, number] {
  return [x * WORLD, WORLD - y * WORLD];
}

/** Plane → unit square. */
export function toUnit(coordinate: Coordinate): [number, number] {
  return [coordinate[0]! / WORLD, 1 - coordinate[1]! / WORLD];
}

/** Zoom of a resolution (plane units per screen pixel): zoom 0 shows the whole square in 512 px. */
export function zoomOf(resolution: number): number {
  return -Math.log2(resolution);
}

export function resolutionOf(zoom: number): number {
  return 2 ** -zoom;
}

export function createGrid(minZoom: number, maxZoom: number): TileGrid {
  return new TileGrid({
    extent: EXTENT,
    origin: [0, WORLD],
    tileSize: WORLD,
    minZoom,
    resolutions: Array.from({ length: maxZoom + 1 }, (_, z) => resolutionOf(z)),
  });
}
