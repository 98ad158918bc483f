/** The first images of a gallery, when the row of its job comes into sight. */

import { getManifest, getRows } from "../api/client";
import type { Job } from "../api/types";
import { imageElement } from "../galleries/image";
import { loadGallery } from "../galleries/index";
import { fill, h } from "../lib/dom";
import { galleryPath } from "../lib/paths";

const SHOWN = 4;

async function images(job: Job): Promise<HTMLElement[]> {
  const gallery = await loadGallery(job.job);
  if (!gallery || !("kind" in gallery)) return [];
  const about = { job, manifest: await getManifest(job.id) };
  const { rows } = await getRows<never>(job.id, gallery.kind, { limit: SHOWN, columns: gallery.wallColumns });
  return rows.flatMap((row) => {
    const { image } = gallery.tile(row, about);
    return image ? [imageElement(image, { alt: "" })] : [];
  });
}

export class GalleryPreview {
  readonly element: HTMLAnchorElement;
  private readonly seen: IntersectionObserver;

  constructor(private readonly job: Job) {
    this.element = h("a", {
      class: "preview gallery-preview",
      href: galleryPath(job.id),
      label: "Open the gallery",
      attrs: { tabindex: "-1" },
    });
    this.seen = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) void this.start();
    });
    this.seen.observe(this.element);
  }

  destroy(): void {
    this.seen.disconnect();
  }

  private async start(): Promise<void> {
    this.seen.disconnect();
    const found = await images(this.job).catch(() => []);
    this.element.classList.toggle("single", found.length < SHOWN);
    fill(this.element, ...found.slice(0, found.length < SHOWN ? 1 : SHOWN));
  }
}
