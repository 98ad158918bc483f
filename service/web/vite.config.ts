import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig } from "vitest/config";

const TEXT = /\.(js|css|svg|html|json)$/;
/** Less is not worth another file. */
const LEAST_BYTES = 1000;

/** Writes text beside itself as brotli and gzip: the service gives out what the browser takes. */
function precompressed(folder: string) {
  return {
    name: "precompressed",
    apply: "build" as const,
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        if (!TEXT.test(name)) continue;
        const path = join(folder, name);
        const bytes = readFileSync(path);
        if (bytes.length < LEAST_BYTES) continue;
        writeFileSync(`${path}.br`, brotliCompressSync(bytes));
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

const OUT = "../featurescape/static";

export default defineConfig({
  base: "/",
  plugins: [precompressed(OUT)],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    // Fonts and images stay files: the Content-Security-Policy allows no data: fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // `FEATURESCAPE_URL=http://127.0.0.1:8765 npm run dev` develops against a running service.
    proxy: { "/v1": process.env.FEATURESCAPE_URL ?? "http://127.0.0.1:8765" },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
