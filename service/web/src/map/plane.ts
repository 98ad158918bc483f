/** The plane of a map in OpenLayers: its view, and how it is moved by mouse, touch and keyboard. */

import { defaults as defaultInteractions } from "ol/interaction/defaults";
import KeyboardPan from "ol/interaction/KeyboardPan";
import KeyboardZoom from "ol/interaction/KeyboardZoom";
import MouseWheelZoom from "ol/interaction/MouseWheelZoom";
import type BaseLayer from "ol/layer/Base";
import OlMap from "ol/Map";
import View from "ol/View";
import { reducedMotion } from "../lib/dom";
import { EXTENT, projection, resolutionOf, WORLD } from "./grid";

/** How many levels the view goes beyond the deepest tiles, so that single images are seen large. */
export const OVERZOOM = 3;
export const MIN_ZOOM = -2;

/** A view of the unit square, for tiles down to a zoom. */
export function planeView(maxZoom: number): View {
  return new View({
    projection,
    center: [WORLD / 2, WORLD / 2],
    resolution: 1,
    maxResolution: resolutionOf(MIN_ZOOM),
    minResolution: resolutionOf(maxZoom + OVERZOOM),
    extent: EXTENT,
    constrainOnlyCenter: true,
    enableRotation: false,
  });
}

/** A map that nothing but the person moves. */
export function planeMap(target: HTMLElement, view: View, layers: BaseLayer[]): OlMap {
  const still = reducedMotion();
  const interactions = defaultInteractions({
    altShiftDragRotate: false,
    pinchRotate: false,
    keyboard: false,
    mouseWheelZoom: false,
    ...(still ? { zoomDuration: 0 } : {}),
  }).extend([
    new MouseWheelZoom({ duration: still ? 0 : 180 }),
    new KeyboardPan({ duration: still ? 0 : 120, pixelDelta: 96 }),
    new KeyboardZoom({ duration: still ? 0 : 160, delta: 0.5 }),
  ]);
  return new OlMap({ target, view, layers, interactions, controls: [] });
}
