/**
 * Making elements. Text from outside (names, ids, messages) only ever becomes a text node, and styles
 * are set through the CSSOM, so the strict Content-Security-Policy holds.
 */

export type Child = Node | string | null | undefined | false;

export interface Props {
  class?: string;
  title?: string;
  href?: string;
  type?: string;
  role?: string;
  tabIndex?: number;
  testid?: string;
  /** Accessible name. */
  label?: string;
  attrs?: Record<string, string>;
  on?: { [name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[name]) => void };
}

function setAttributes(element: HTMLElement, props: Props): void {
  if (props.class) element.className = props.class;
  if (props.title) element.title = props.title;
  if (props.href) element.setAttribute("href", props.href);
  if (props.type) element.setAttribute("type", props.type);
  if (props.role) element.setAttribute("role", props.role);
  if (props.tabIndex !== undefined) element.tabIndex = props.tabIndex;
  if (props.testid) element.dataset.testid = props.testid;
  if (props.label) element.setAttribute("aria-label", props.label);
  for (const [name, value] of Object.entries(props.attrs ?? {})) element.setAttribute(name, value);
}

/** An element with properties, listeners and children; strings become text nodes. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, props);
  for (const [name, listener] of Object.entries(props.on ?? {})) {
    element.addEventListener(name, listener as EventListener);
  }
  element.append(...children.filter((child) => child || child === "").map((child) => child as Node));
  return element;
}

/** Replaces the children of `parent`. */
export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...(children.filter(Boolean) as (Node | string)[]));
}

/** Sets text only where it changed, so that a selection or a screen reader is not disturbed. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether the person asked for less motion. */
export function reducedMotion(): boolean {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Whether a key event belongs to a text field. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}
