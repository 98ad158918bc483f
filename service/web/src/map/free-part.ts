/** The largest part of the map that no card covers. */

export interface Rectangle {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

function apart(a: Rectangle, b: Rectangle): boolean {
  return a.right <= b.left || a.left >= b.right || a.bottom <= b.top || a.top >= b.bottom;
}

/** Side of the largest square in it; of equal ones the larger area wins by a hair. */
function worth({ left, top, right, bottom }: Rectangle): number {
  const [width, height] = [right - left, bottom - top];
  return Math.min(width, height) + 1e-3 * Math.max(width, height);
}

/** The rectangle of `whole` with room for the largest square that touches none of `covered`. */
export function freePart(whole: Rectangle, covered: readonly Rectangle[]): Rectangle {
  const near = covered.filter((each) => !apart(each, whole));
  const lefts = [whole.left, ...near.map((each) => each.right)];
  const rights = [whole.right, ...near.map((each) => each.left)];
  const tops = [whole.top, ...near.map((each) => each.bottom)];
  const bottoms = [whole.bottom, ...near.map((each) => each.top)];
  let best: Rectangle | null = null;
  for (const left of lefts) {
    for (const right of rights.filter((each) => each > left)) {
      for (const top of tops) {
        for (const bottom of bottoms.filter((each) => each > top)) {
          const part = { left, top, right, bottom };
          if (best && worth(part) <= worth(best)) continue;
          if (near.every((each) => apart(each, part))) best = part;
        }
      }
    }
  }
  return best ?? whole;
}
