import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/",
  build: {
    outDir: "../featurescape/static",
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
