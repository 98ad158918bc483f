/** Images that people bring to a page: dropped, pasted, or chosen in the browser's own dialog. */

import { h } from "./dom";

function imageIn(data: DataTransfer | null): File | null {
  return [...(data?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}

/** Takes images that are pasted or dropped until the signal; `target` is marked while one is held over the page. */
export function takeImages(target: HTMLElement, onImage: (file: Blob) => void, signal: AbortSignal): void {
  const take = (event: Event, data: DataTransfer | null): void => {
    target.classList.remove("dropping");
    const file = imageIn(data);
    if (file || event.type === "drop") event.preventDefault(); // a browser would leave the page for any other file
    if (file) onImage(file);
  };
  const holding = (event: Event): void => {
    event.preventDefault();
    target.classList.add("dropping");
  };
  const leaving = (event: DragEvent): void => {
    if (!event.relatedTarget) target.classList.remove("dropping");
  };
  document.addEventListener("paste", (event) => take(event, event.clipboardData), { signal });
  document.addEventListener("drop", (event) => take(event, event.dataTransfer), { signal });
  document.addEventListener("dragover", holding, { signal });
  document.addEventListener("dragleave", leaving, { signal });
}

/** A hidden field whose `click` opens the browser's dialog for an image. */
export function imageField(testid: string, onImage: (file: Blob) => void): HTMLInputElement {
  const field = h("input", {
    type: "file",
    class: "visually-hidden",
    testid,
    tabIndex: -1,
    attrs: { accept: "image/*", "aria-hidden": "true" },
  });
  field.addEventListener("change", () => {
    const chosen = field.files?.[0];
    field.value = "";
    if (chosen) onImage(chosen);
  });
  return field;
}
