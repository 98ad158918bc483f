/** The JSON of the live routes. */

/** Which network: part of a spec. */
export interface ModelChoice {
  name: string;
  weights: string;
  training?: string;
}

/** A picture inside an answer. */
export interface Encoded {
  media_type: string;
  width: number;
  height: number;
  /** Base64. */
  data: string;
}

export type Shape = [channels: number, height: number, width: number];

export interface NetworkInfo {
  model: string;
  title: string;
  /** In the order in which they run. */
  layers: { layer: string; shape: Shape }[];
  suggested: string[];
  default_layer: string | null;
  input: Shape;
  device: string;
}

export interface Grid extends Encoded {
  columns: number;
  padding_px: number;
  /** Height and width of a tile. */
  tile: [number, number];
}

export interface Output {
  index: number;
  name: string | null;
  probability: number | null;
}

export interface Activations {
  layer: string;
  shape: Shape;
  low: number | null;
  high: number | null;
  grid: Grid;
  /** Largest value of each channel. */
  largest: (number | null)[];
  strongest: { channel: number; largest: number | null }[];
  outputs: Output[];
  picture: Encoded & { size_px: [number, number] };
}

export const METHODS = ["saliency", "guided_backprop", "deconvolution"] as const;
export type Method = (typeof METHODS)[number];
export type Cell = [row: number, column: number];

export interface UnitAnswer {
  layer: string;
  channel: number;
  method: Method;
  map: Encoded;
  low: number | null;
  high: number | null;
  cell: Cell;
  activation: number | null;
  /** Of a class, where the layer is the output. */
  name: string | null;
  /** Top, left, bottom, right: what the cell sees, in pixels of the input; may leave it. */
  box: [number, number, number, number] | null;
  explanation: Encoded | null;
  problem: string | null;
}

/** An address for an `img`. */
export function dataUrl(picture: Encoded): string {
  return `data:${picture.media_type};base64,${picture.data}`;
}
