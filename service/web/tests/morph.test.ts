import { describe, expect, it } from "vitest";
import { drawnText, placeText } from "../src/compare/morph";
import { disc, paintDots } from "../src/compare/morph-layer";
import { emptyMoment, moveTo, nearestAt, parseMoves } from "../src/compare/moves";

/** Three examples in three maps; the second is not in the second map, the third only in the first. */
function packed(): ArrayBuffer {
  const places = [
    [0, 0.5, 1],
    [0, 0.5, 1],
    [1, Number.NaN, Number.NaN],
    [0.5, Number.NaN, Number.NaN],
    [1, 0.25, Number.NaN],
    [1, 0.75, Number.NaN],
  ];
  const buffer = new ArrayBuffer(4 + 4 * 3 * 8);
  new Uint32Array(buffer, 0, 4).set([3, 7, 8, 9]);
  new Int32Array(buffer, 16, 3).set([2, -1, 0]);
  places.forEach((values, i) => {
    new Float32Array(buffer, 28 + 12 * i, 3).set(values);
  });
  return buffer;
}

describe("examples on their way between maps", () => {
  const moves = parseMoves(packed(), 3);
  const at = (place: number) => {
    const moment = emptyMoment(3);
    const seen = moveTo(moves, place, moment);
    return { seen, x: [...moment.x], y: [...moment.y], shown: [...moment.shown], moment };
  };

  it("are read as the service packs them", () => {
    expect([...moves.rows]).toEqual([7, 8, 9]);
    expect([...moves.labels]).toEqual([2, -1, 0]);
    expect([...moves.places[2]!.y].slice(0, 2)).toEqual([1, 0.75]);
    expect(() => parseMoves(packed(), 2)).toThrow(RangeError);
    expect(() => parseMoves(new ArrayBuffer(2), 3)).toThrow(RangeError);
  });

  it("go straight, and fade where the next map does not have them", () => {
    expect(at(0)).toMatchObject({ seen: 3, x: [0, 0.5, 1], shown: [1, 1, 1] });
    expect(at(0.25)).toMatchObject({ seen: 3, x: [0.25, 0.5, 1], y: [0.125, 0.5, 1], shown: [1, 0.75, 0.75] });
    expect(at(1)).toMatchObject({ seen: 1, shown: [1, 0, 0] });
    expect(at(1.5)).toMatchObject({ seen: 2, y: [0.75, 0.75, Number.NaN], shown: [1, 0.5, 0] });
    expect(at(2)).toMatchObject({ seen: 2, shown: [1, 1, 0] });
  });

  it("are found where they are", () => {
    const { moment } = at(0.25);
    expect(nearestAt(moment, 0.26, 0.12, 0.05)).toBe(0);
    expect(nearestAt(moment, 0.4, 0.12, 0.05)).toBe(-1);
  });

  it("are painted as discs, faint where they are not selected", () => {
    const out = new Uint8ClampedArray(4 * 5 * 5);
    const placed = { width: 5, height: 5, scale: 4, left: 0, top: 0 };
    const colors = Uint8Array.from([200, 0, 0, 0, 200, 0, 0, 0, 200]);
    paintDots(out, placed, { moment: at(0).moment, colors, selected: Uint8Array.from([1, 0, 1]) }, 0.5);
    const pixel = (x: number, y: number) => [...out.slice(4 * (5 * y + x), 4 * (5 * y + x) + 3)];
    expect([pixel(0, 0), pixel(2, 2), pixel(4, 4), pixel(3, 1)]).toEqual([
      [200, 0, 0],
      [0, 32, 0],
      [0, 0, 200],
      [0, 0, 0],
    ]);
    expect(disc(0.5)).toEqual([[0, 0, 1]]);
    expect(disc(1).length).toBe(9);
  });
});

describe("what is said of the one map", () => {
  it("is how far it is", () => {
    expect(placeText(0, ["A", "B", "C"])).toBe("A");
    expect(placeText(2, ["A", "B", "C"])).toBe("C");
    expect(placeText(1.25, ["A", "B", "C"])).toBe("25 % of the way from B to C");
  });

  it("is how many are drawn of how many", () => {
    expect(drawnText(1797, 1797, 1797)).toBe("1,797 of 1,797 drawn");
    expect(drawnText(100_000, 100_000, 1_050_000)).toBe("100,000 of 1,050,000 drawn, a fair sample");
    expect(drawnText(60, 1797, 1797)).toBe("60 of 1,797 drawn: this map does not have the others");
  });
});
