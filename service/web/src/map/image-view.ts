/** An image that can be zoomed and moved: by wheel, keys, two fingers; by one finger or the mouse where it is enlarged. */

export interface ViewPlace {
  /** 1: fitted. */
  scale: number;
  /** Of the middle, in CSS pixels. */
  x: number;
  y: number;
}

const LARGEST = 16;
/** A fitted image that is wiped further than this goes to the next. */
const SWIPE_PX = 48;

/** Scales by `factor` so that the point (px, py), counted from the middle of the frame, stays where it is. */
export function zoomedAt(place: ViewPlace, factor: number, px: number, py: number): ViewPlace {
  const scale = Math.min(LARGEST, Math.max(1, place.scale * factor));
  if (scale === 1) return { scale: 1, x: 0, y: 0 };
  const by = scale / place.scale;
  return { scale, x: px - (px - place.x) * by, y: py - (py - place.y) * by };
}

/** Keeps the middle of an image within the frame. */
export function kept(place: ViewPlace, width: number, height: number): ViewPlace {
  const [across, down] = [(width * (place.scale - 1)) / 2, (height * (place.scale - 1)) / 2];
  const clamp = (value: number, most: number) => Math.min(most, Math.max(-most, value)) + 0;
  return { scale: place.scale, x: clamp(place.x, across), y: clamp(place.y, down) };
}

export class ImageView {
  private place: ViewPlace = { scale: 1, x: 0, y: 0 };
  private readonly fingers = new Map<number, { x: number; y: number }>();
  private began: { x: number; y: number } | null = null;

  constructor(
    private readonly frame: HTMLElement,
    private readonly image: HTMLImageElement,
    private readonly onSwipe: (by: number) => void,
  ) {
    frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    frame.addEventListener("dblclick", (event) => this.zoomBy(this.place.scale > 1 ? 0 : 3, event));
    frame.addEventListener("pointerdown", (event) => this.down(event));
    frame.addEventListener("pointermove", (event) => this.move(event));
    frame.addEventListener("pointerup", (event) => this.up(event));
    frame.addEventListener("pointercancel", (event) => this.up(event));
  }

  reset(): void {
    this.set({ scale: 1, x: 0, y: 0 });
  }

  /** Zooms about the pointer, or the middle; 0: fitted again. */
  zoomBy(factor: number, at?: { clientX: number; clientY: number }): void {
    const [px, py] = at ? this.fromMiddle(at.clientX, at.clientY) : [0, 0];
    this.set(factor === 0 ? { scale: 1, x: 0, y: 0 } : zoomedAt(this.place, factor, px, py));
  }

  get enlarged(): boolean {
    return this.place.scale > 1;
  }

  moveBy(x: number, y: number): void {
    this.set({ ...this.place, x: this.place.x + x, y: this.place.y + y });
  }

  private set(place: ViewPlace): void {
    this.place = kept(place, this.frame.clientWidth, this.frame.clientHeight);
    const { scale, x, y } = this.place;
    this.image.style.transform = scale === 1 ? "" : `translate(${x}px, ${y}px) scale(${scale})`;
    this.frame.classList.toggle("enlarged", scale > 1);
  }

  private fromMiddle(x: number, y: number): [number, number] {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    return [x - left - width / 2, y - top - height / 2];
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    this.zoomBy(2 ** (-event.deltaY / 240), event);
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.frame.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.began = this.fingers.size === 1 ? { x: event.clientX, y: event.clientY } : null;
  }

  private move(event: PointerEvent): void {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.fingers.set(event.pointerId, now);
    if (other) {
      const far = (from: { x: number; y: number }) => Math.max(1, Math.hypot(from.x - other.x, from.y - other.y));
      this.zoomBy(far(now) / far(before), { clientX: (now.x + other.x) / 2, clientY: (now.y + other.y) / 2 });
    } else if (this.enlarged) this.moveBy(now.x - before.x, now.y - before.y);
  }

  private up(event: PointerEvent): void {
    this.fingers.delete(event.pointerId);
    const { began } = this;
    this.began = null;
    if (!began || this.enlarged || event.type === "pointercancel") return;
    const [across, down] = [event.clientX - began.x, event.clientY - began.y];
    if (Math.abs(across) > SWIPE_PX && Math.abs(across) > 2 * Math.abs(down)) this.onSwipe(across < 0 ? 1 : -1);
  }
}
