/** What the numbers of a `dynamics` job say, in sentences; all numbers are those of the job. */

import { formatFigure } from "../lib/format";
import type { GateInfo, GradientInfo, Headlines, MatrixInfo, ParameterInfo, RadiusInfo } from "./data";

const SUPERSCRIPTS: Record<string, string> = {
  "-": "⁻",
  "0": "⁰",
  "1": "¹",
  "2": "²",
  "3": "³",
  "4": "⁴",
  "5": "⁵",
  "6": "⁶",
  "7": "⁷",
  "8": "⁸",
  "9": "⁹",
};

/** 10 to a whole power: "10⁻³". */
export function powerOfTen(exponent: number): string {
  return `10${[...String(exponent)].map((digit) => SUPERSCRIPTS[digit] ?? digit).join("")}`;
}

/** A number by its logarithm, as people read it: 0.39, 24, "2 · 10⁻⁷". */
export function fromLog10(log: number): string {
  if (log > -3 && log < 4) return formatFigure(10 ** log);
  const exponent = Math.floor(log);
  const lead = (10 ** (log - exponent)).toFixed(1);
  if (lead === "10.0") return powerOfTen(exponent + 1);
  return lead === "1.0" ? powerOfTen(exponent) : `${lead} · ${powerOfTen(exponent)}`;
}

function percent(fraction: number): string {
  const value = 100 * fraction;
  return `${value > 0 && value < 1 ? formatFigure(value) : Math.round(value)} %`;
}

/** "theta_hf" → "θ of gate f, from h"; a given name stays as it is. */
export function matrixName(matrix: string): string {
  const found = /^theta_([xh])([a-z]?)$/.exec(matrix);
  if (!found) return matrix;
  return `θ${found[1] === "h" ? "ₕ" : "ₓ"}${found[2] ? ` ${found[2]}` : ""}`;
}

/** The gate that a block of an LSTM's or GRU's θ feeds, as "f" of "theta_hf"; none of a matrix that is multiplied step by step. */
export function gateOf(matrix: string): string | null {
  return /^theta_[xh]([a-z])$/.exec(matrix)?.[1] ?? null;
}

const PATHS: Record<string, string> = { hidden: "∂h_T/∂h_t", cell: "∂C_T/∂C_t", carousel: "along C alone" };

export function pathName(path: string): string {
  return PATHS[path] ?? path;
}

/** The name of a network for people: RNN, LSTM, GRU; "matrix" of the spec's own. */
export function networkName(network: string): string {
  return network.replace(/^(rnn|lstm|gru)\b/, (cell) => cell.toUpperCase());
}

/** A layer's part of a label; of networks with one layer it needs none. */
export function placeName(network: string, layer: string | null, several: boolean): string {
  return several && layer ? `${networkName(network)} ${layer}` : networkName(network);
}

/** What a matrix of this radius says of the past: nothing where it feeds a gate, since no state is multiplied by it. */
function fate({ network, matrix, spectral_radius }: MatrixInfo): string {
  const radius = spectral_radius ?? 0;
  if (gateOf(matrix))
    return "the largest of its gates’ blocks: it is squashed into a gate, and no state is multiplied by it";
  if (radius > 1.005)
    return network === "matrix"
      ? "so that its past explodes"
      : "so that its past would explode if tanh did not bend it";
  return `so that its past ${radius < 0.995 ? "vanishes" : "stays"}`;
}

/** Of each network and layer, the matrix from state to state with the largest radius. */
export function largestMatrices(matrices: readonly MatrixInfo[]): MatrixInfo[] {
  const found = new Map<string, MatrixInfo>();
  for (const each of matrices) {
    if (each.spectral_radius === null || each.matrix.startsWith("theta_x")) continue;
    const key = each.network === "matrix" ? each.matrix : `${each.network} ${each.layer ?? ""}`;
    const known = found.get(key);
    if (!known || (known.spectral_radius ?? 0) < each.spectral_radius) found.set(key, each);
  }
  return [...found.values()];
}

const SHOWN = 4;

export function spectraSentence({ matrices }: Headlines): string {
  const parts = largestMatrices(matrices)
    .slice(0, SHOWN)
    .map((each) => {
      const radius = each.spectral_radius ?? 0;
      const owner =
        each.network === "matrix" ? each.matrix : `the ${networkName(each.network)}’s ${matrixName(each.matrix)}`;
      return `${owner} has ${formatFigure(radius)}, ${fate(each)}`;
    });
  if (parts.length === 0) return "";
  return `Aₜ = θᵗ A₀: each eigenvalue λ multiplies its part of the past at every step, and the largest |λ| decides in the end. Of the matrices alone, ${parts.join("; ")}.`;
}

export function powersSentence(
  { matrices }: Headlines,
  powers: readonly {
    matrix: string;
    network: string;
    layer: string | null;
    power: number;
    log10_norm: number | null;
  }[],
): string {
  const last = Math.max(0, ...powers.map((row) => row.power));
  const multiplied = largestMatrices(matrices).filter((each) => !gateOf(each.matrix));
  const parts = multiplied.slice(0, SHOWN).flatMap((each) => {
    const row = powers.find(
      (one) =>
        one.power === last && one.matrix === each.matrix && one.network === each.network && one.layer === each.layer,
    );
    if (!row) return [];
    const owner =
      each.network === "matrix" ? each.matrix : `the ${networkName(each.network)}’s ${matrixName(each.matrix)}`;
    return [`${fromLog10(row.log10_norm ?? -Infinity)} for ${owner}`];
  });
  if (parts.length === 0) return "";
  return `After ${last} steps ‖θᵗ‖ is ${parts.join(", ")}. The dotted lines are the largest |λ|ᵗ: a norm may start elsewhere, but it follows them.`;
}

/** Whether a gradient of this norm is of use: to people who look at a chart. */
export function verdict(log10Norm: number): string {
  if (log10Norm < -2) return "vanishes";
  return log10Norm > 2 ? "explodes" : "lives on";
}

function gradientPart(each: GradientInfo): string {
  const norm = each.log10_norm ?? -300;
  const owner = `${networkName(each.network)}’s gradient`;
  const how = each.path === "cell" ? "along its cell" : "of h";
  const factor = each.factor_per_step === null ? "" : `, a factor of ${formatFigure(each.factor_per_step)} a step`;
  return `the ${owner} ${how} ${verdict(norm)} (${fromLog10(norm)}${factor})`;
}

export function gradientsSentence({ gradients }: Headlines): string {
  const told = gradients.filter((each) => each.path !== "carousel").slice(0, 2 * SHOWN);
  if (told.length === 0) return "";
  const distance = Math.max(...told.map((each) => each.distance));
  const why =
    "Every step back multiplies the gradient: in an RNN by θ and the slope of tanh, along a cell by its forget gate, which can be near 1.";
  return `${why} Over ${distance} steps back ${told.map(gradientPart).join("; ")}.`;
}

export function jacobiansSentence({ jacobian_radii, matrices }: Headlines): string {
  const alone = largestMatrices(matrices);
  const parts = jacobian_radii.slice(0, SHOWN).map((each: RadiusInfo) => {
    const matrix = alone.find((one) => one.network === each.network && one.layer === each.layer);
    const beside =
      matrix?.spectral_radius && !gateOf(matrix.matrix)
        ? ` (its matrix alone ${formatFigure(matrix.spectral_radius)})`
        : "";
    return `${formatFigure(each.median)} for the ${networkName(each.network)}${beside}`;
  });
  if (parts.length === 0) return "";
  return `On data a step’s Jacobian is the matrix with every row scaled by how open its unit is. Its median radius is ${parts.join(", ")}; an LSTM adds its forget gates on the diagonal, which move the eigenvalues of its cell towards 1.`;
}

const GATES: Record<string, string> = {
  i: "input gate",
  f: "forget gate",
  o: "output gate",
  g: "candidate",
  n: "candidate",
  r: "reset gate",
  z: "update gate",
  h: "state",
};

export function gateName(gate: string): string {
  return GATES[gate] ?? gate;
}

function gatePart(each: GateInfo): string {
  const owner = networkName(each.network);
  if (each.gate === "h") return `the ${owner}’s units are saturated in ${percent(each.low + each.high)} of all steps`;
  return `the ${owner}’s ${gateName(each.gate)} is open in ${percent(each.high)} of all steps and shut in ${percent(each.low)}, ${formatFigure(each.mean)} in the mean`;
}

const GATE_COLORS = ["f", "i", "o", "g", "h", "r", "z"];

/** The place of a gate in the palette: it has one color on the page; the candidate of a GRU has that of an LSTM's. */
export function gateColor(gate: string): number {
  return Math.max(0, GATE_COLORS.indexOf(gate === "n" ? "g" : gate));
}

/** The gate that keeps the past, or the state where there is none. */
const KEEPERS = ["f", "z", "h"];

export function gatesSentence({ gates }: Headlines): string {
  const parts = gates
    .filter((each) => KEEPERS.includes(each.gate))
    .slice(0, SHOWN)
    .map(gatePart);
  if (parts.length === 0) return "";
  return `What is saturated lets little gradient through itself, but a forget gate that is open keeps the cell’s: ${parts.join("; ")}.`;
}

function clippedPart(each: ParameterInfo): string {
  const figures = `${each.median_norm === null ? "–" : formatFigure(each.median_norm)} in the median and ${each.largest_norm === null ? "not finite" : formatFigure(each.largest_norm)} at most`;
  const clipped = each.clipped === 0 ? "none clipped" : `${each.clipped} of ${each.batches} batches clipped`;
  return `${networkName(each.network)} ${figures}, ${clipped}`;
}

export function clippingSentence({ parameter_gradients, clip_norm, left_out }: Headlines): string {
  if (left_out["clipping"]) return `Not measured: ${left_out["clipping"]}.`;
  if (parameter_gradients.length === 0) return "";
  return `The norm of the parameters’ gradient, against a clip at ${formatFigure(clip_norm)}: ${parameter_gradients.map(clippedPart).join("; ")}.`;
}
