// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { pixelPlaces, planePlaces } from "../src/map/find-marks";

const packed = (values: number[]) => btoa(String.fromCharCode(...new Uint8Array(new Float32Array(values).buffer)));

describe("marks of all that is found", () => {
  it("lie where the examples are: y of the plane grows upwards", () => {
    const exact = { count: 2, rows: "", x: packed([0, 0.5]), y: packed([0, 0.25]) };
    expect([...planePlaces({ ...exact, grid_x: null, grid_y: null }, "grid")]).toEqual([0, 512, 256, 384]);
    const both = { ...exact, grid_x: packed([1, 1]), grid_y: packed([1, 0]) };
    expect([...planePlaces(both, "grid")]).toEqual([512, 0, 512, 512]);
    expect([...planePlaces(both, "exact")]).toEqual([0, 512, 256, 384]);
  });

  it("are drawn once where several are one dot, and not at all out of sight", () => {
    const places = new Float64Array([10, 10, 10.4, 10.4, 60, 10, 5000, 5000, -200, 3]);
    expect(pixelPlaces(places, [1, 0, 0, 1, 0, 0], [100, 100], 2)).toEqual([10, 10, 60, 10]);
  });

  it("follow the map: scale, turned y and shift", () => {
    expect(pixelPlaces(new Float64Array([10, 20]), [2, 0, 0, -2, 5, 100], [100, 100], 2)).toEqual([25, 60]);
  });
});
