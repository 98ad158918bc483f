import { defineConfig } from "vite";

/** The viewer of exported maps: one classic script and one style sheet, which a page opened as a file loads too. */
export default defineConfig({
  publicDir: false,
  // Fonts are part of the style sheet: a page that was opened as a file may not load them from beside it.
  build: {
    outDir: "../featurescape/static/exported",
    emptyOutDir: true,
    target: "es2022",
    reportCompressedSize: false,
    lib: {
      entry: "src/exported/main.ts",
      formats: ["iife"],
      name: "featurescape",
      fileName: () => "viewer.js",
      cssFileName: "viewer",
    },
  },
});
