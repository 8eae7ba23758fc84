/** Small helpers for the document. */

/**
 * Create an element.
 * @param {string} tag
 * @param {object} properties properties to set; `data` sets its dataset
 * @param {...(Node|string)} children
 */
export function el(tag, { data = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  Object.assign(node.dataset, data);
  node.append(...children);
  return node;
}

export const byId = (id) => document.getElementById(id);

export const rgb = (colour) => `rgb(${colour.join(" ")})`;

/** Decode base64 text to a Blob. */
export function blobOf(base64, type) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type });
}

/** Let the browser save a Blob as a file. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
