/** Pieces of files where a page may fetch nothing: in scripts of their own, or in the page itself. */

import type { LoadPiece } from "./files";

declare global {
  interface Window {
    /** Called by the script of a piece. */
    featurescapePiece?: (name: string, base64: string) => void;
  }
}

/** Pieces in scripts below `data/`: those of a page that was opened as a file may be loaded, files may not. */
export function scriptPieces(): LoadPiece {
  const waiting = new Map<string, (text: string) => void>();
  window.featurescapePiece = (name, text) => waiting.get(name)?.(text);
  return (name) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const done = () => {
        waiting.delete(name);
        script.remove();
      };
      waiting.set(name, (text) => {
        done();
        resolve(text);
      });
      script.addEventListener("error", () => {
        done();
        reject(new Error(`${name}.js is not beside this page; the whole folder belongs to the map`));
      });
      script.src = `pieces/${name}.js`;
      document.head.append(script);
    });
}

/** Pieces in elements of the page. */
export const pagePieces: LoadPiece = async (name) => {
  const element = document.getElementById(`piece:${name}`);
  if (!element) throw new Error(`${name} is not in this page; the whole file belongs to the map`);
  return element.textContent ?? "";
};
