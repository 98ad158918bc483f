import { afterEach, describe, expect, it, vi } from "vitest";
import type { Catalog, Job, ModelCard, NetworkInfo, UnitAnswer } from "../src/api/types";
import { parseRoute } from "../src/app/router";
import {
  formatLiveState,
  type LiveState,
  livePath,
  modelChoice,
  modelLabel,
  parseLiveState,
  sourceUrl,
} from "../src/lib/live-path";
import { tileShare } from "../src/live/grid-view";
import { boxShare, spread } from "../src/live/image-card";
import { modelOptions, neighborLayer, shapeText } from "../src/live/network-bar";
import { isGivenUp, Session } from "../src/live/session";
import { modelOf } from "../src/live/source-model";
import { unitFacts } from "../src/live/unit-card";
import { collectionCard, job, manifest, map, modelCard, weights } from "./helpers/builders";
import { Service } from "./helpers/service";

const open: LiveState = { model: null, layer: null, channel: null, method: "saliency", source: null };

describe("the address of the live page", () => {
  it("is empty where all is open", () => {
    expect(formatLiveState(open)).toBe("");
    expect(parseLiveState("")).toEqual(open);
    expect(parseRoute("/live")).toEqual({ page: "live" });
  });

  it("gives back every state it was given", () => {
    const states: Partial<LiveState>[] = [
      { model: { name: "lenet", weights: "random" }, layer: "conv1", channel: 0 },
      { model: { name: "lenet", weights: "pretrained", training: "training-0123456789ab" }, method: "deconvolution" },
      { source: { map: "tiles-0123456789ab", row: 7 } },
      { source: { job: "dreams-0123456789ab", kind: "dreams", row: 0, at: "octaves.1" } },
    ];
    for (const change of states) {
      const state = { ...open, ...change };
      expect(parseLiveState(formatLiveState(state))).toEqual(state);
    }
  });

  it("leaves open what is malformed", () => {
    const odd = "?channel=-1&method=lime&map=../x&row=1&job=a&kind=&training=%00";
    expect(parseLiveState(odd)).toEqual(open);
    expect(parseLiveState("?channel=1e3&row=7").channel).toBeNull();
  });

  it("keeps what a collection asks for beside the name, and nothing that is no option", () => {
    const clip = { name: "transformers", weights: "/models/clip", revision: "v1" };
    const model = { name: "timm", weights: "random", architecture: "resnet18" };
    expect(formatLiveState({ ...open, model })).toBe("?model=timm&weights=random&model.architecture=resnet18");
    for (const each of [clip, model]) {
      expect(parseLiveState(formatLiveState({ ...open, model: each })).model).toEqual(each);
    }
    const odd = `?model=timm&model.name=x&model.__proto__=y&model.A=z&model.version=${"v".repeat(5000)}`;
    expect(parseLiveState(odd).model).toEqual({ name: "timm", weights: "pretrained" });
    expect([model, clip].map(modelLabel)).toEqual(["timm/resnet18", "transformers"]);
  });

  it("takes the model of a spec, unless texts do not name it", () => {
    const said = { name: "lenet", weights: "pretrained", weights_sha256: null, training: "training-1", shape: null };
    expect(modelChoice(said)).toEqual({ name: "lenet", weights: "pretrained", training: "training-1" });
    const shape = { family: "recurrent", hidden_units: 8 };
    expect(modelChoice({ name: "row_lstm", weights: "random", shape })).toBeNull();
    expect(modelChoice({ name: "row_lstm", training: "training-1", shape })).not.toBeNull();
    expect([modelChoice(null), modelChoice({})]).toEqual([null, null]);
  });

  it("asks the map of an image for its network", async () => {
    const details = { map: map({ features: "features-1" }) };
    const model = { name: "timm", architecture: "resnet18", weights: "random" };
    const catalog = { datasets: [], models: [card("lenet", null)], collections: [collectionCard({ name: "timm" })] };
    const spec = { dataset: { name: "images" }, model };
    const service = new Service()
      .on(/tiles-1\/manifest$/, manifest({ details }))
      .on(/features-1$/, job({ spec }))
      .on(/catalog$/, catalog);
    expect(await modelOf({ map: "tiles-1", row: 3 })).toEqual(model);
    service.on(/features-1$/, job({ spec: { dataset: { name: "vectors" }, model: null } }));
    expect(await modelOf({ map: "tiles-1", row: 3 })).toBeNull();
    expect(await modelOf(null)).toBeNull();
  });

  it("leads to the bytes of an image", () => {
    expect(sourceUrl({ map: "tiles-1", row: 3 })).toBe("/v1/maps/tiles-1/examples/3/image");
    expect(sourceUrl({ job: "d-1", kind: "a/b", row: 3, at: "x&y" })).toBe("/v1/jobs/d-1/rows/a%2Fb/3/image?at=x%26y");
    expect(livePath({ map: "tiles-1", row: 3 })).toBe("/live?map=tiles-1&row=3");
  });
});

type Source = Parameters<typeof weights>[0];
const card = (name: string, source: Source | null, reads: ModelCard["reads"] = "images") =>
  modelCard({ name, reads, weights: source && weights(source) });

describe("networks to choose from", () => {
  it("are shipped ones, trained ones, and those that are downloaded", () => {
    const catalog: Catalog = {
      datasets: [],
      collections: [],
      models: [
        card("lenet", null),
        card("vgg16", "download"),
        card("efficientnet_lite0", "package"),
        card("view_lstm", null, "features"),
      ],
    };
    const training = (id: string, name: string) =>
      ({ id, title: null, spec: { model: { name }, dataset: { name: "digits" } } }) as unknown as Job;
    const found = modelOptions(catalog, [training("training-1", "lenet"), training("training-2", "view_lstm")]);
    expect(found.map(({ model }) => model)).toEqual([
      { name: "efficientnet_lite0", weights: "pretrained" },
      { name: "lenet", weights: "pretrained", training: "training-1" },
      { name: "vgg16", weights: "pretrained" },
    ]);
  });

  it("have layers before and after each that people ask for", () => {
    const network = { suggested: ["a", "b", "c"] } as unknown as NetworkInfo;
    expect(neighborLayer(network, "b", 1)).toBe("c");
    expect(neighborLayer(network, "c", 1)).toBeNull();
    expect(neighborLayer(network, "other", 1)).toBe("a");
    expect([shapeText([32, 7, 7]), shapeText([10, 1, 1])]).toEqual(["32 × 7 × 7", "10"]);
  });
});

describe("what is drawn over images", () => {
  it("lies where the tile lies", () => {
    // Two tiles of 2 × 2 with lines of one pixel: 7 × 4 px.
    expect(tileShare({ count: 2, height: 2, width: 2 }, 1)).toEqual([400 / 7, 25, 200 / 7, 50]);
  });

  it("ends where the image ends", () => {
    expect(boxShare([-5, 5, 5, 15], [3, 10, 10])).toEqual([50, 0, 50, 50]);
  });

  it("spreads samples over a map", () => {
    expect(spread(8, 4)).toEqual([1, 3, 5, 7]);
    expect(spread(2, 8)).toEqual([0, 1]);
    expect(spread(0, 8)).toEqual([]);
  });
});

describe("the facts of a unit", () => {
  const answer = {
    cell: [3, 4],
    activation: 2.34567,
    low: 0,
    high: 2.34567,
    map: { width: 7, height: 7 },
  } as unknown as UnitAnswer;

  it("say where it is strongest", () => {
    expect(unitFacts(answer, 83.6)).toContain("2.35 at row 3, column 4");
    expect(unitFacts(answer, 83.6)).toContain("84 ms");
  });

  it("say that it is silent", () => {
    expect(unitFacts({ ...answer, high: 0 }, 83.6)).toMatch(/^silent/);
  });
});

describe("questions", () => {
  afterEach(() => vi.unstubAllGlobals());

  const answer = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });

  /** A fetch that answers by path, after a turn, unless it is given up. */
  function serve(routes: (path: string, body: string) => Response): { asked: string[]; aborted: number } {
    const seen = { asked: [] as string[], aborted: 0 };
    vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
      seen.asked.push(path.replace("/v1/live/", ""));
      await new Promise((done) => setTimeout(done, 5));
      if (init.signal?.aborted) {
        seen.aborted += 1;
        throw new DOMException("given up", "AbortError");
      }
      return routes(path, String(init.body));
    });
    return seen;
  }

  it("of one kind: the latest wins", async () => {
    const seen = serve((path, body) =>
      answer(path.endsWith("images") ? { image: "p" } : { said: JSON.parse(body).channel }),
    );
    const session = new Session({ name: "lenet", weights: "random" });
    await session.use(new Blob(["x"]));
    const asked = [1, 2, 3].map((channel) => session.unit({ layer: "a", channel, method: "saliency", cell: null }));
    const ends = await Promise.allSettled(asked);
    expect(ends.map((end) => end.status)).toEqual(["rejected", "rejected", "fulfilled"]);
    expect(isGivenUp((ends[0] as PromiseRejectedResult).reason)).toBe(true);
    expect((ends[2] as PromiseFulfilledResult<unknown>).value).toEqual({ said: 3 });
    expect(seen.aborted).toBe(2);
  });

  it("send a forgotten image again", async () => {
    let known = false;
    const seen = serve((path) => {
      if (path.endsWith("images")) return answer({ image: "p" });
      if (!known) {
        known = true;
        return answer({ error: { code: "not_found", message: "gone" } }, 404);
      }
      return answer({ layer: "a" });
    });
    const session = new Session({ name: "lenet", weights: "random" });
    await session.use(new Blob(["x"]));
    expect(await session.activations("a")).toEqual({ layer: "a" });
    expect(seen.asked).toEqual(["images", "activations", "images", "activations"]);
  });

  it("keep an image that is being sent while another network is chosen", async () => {
    serve((path) => (path.endsWith("images") ? answer({ image: "p" }) : answer({ layer: "a" })));
    const session = new Session({ name: "lenet", weights: "random" });
    const sent = session.use(new Blob(["x"]));
    session.change({ name: "resnet18", weights: "random" });
    await sent;
    expect(session.hasImage).toBe(true);
    expect(session.model.name).toBe("resnet18");
    expect(await session.activations("a")).toEqual({ layer: "a" });
  });
});
