/** Part maps in the page's memory: one byte a pixel, at the displayed size. */

import { el } from "./dom.js";

const LONGEST = 1600;
const EXACT = { colorSpaceConversion: "none", premultiplyAlpha: "none" };

/** Width and height with the longest side at most `LONGEST`. */
export function shownSize(width, height) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  return [Math.max(1, Math.round(scale * width)), Math.max(1, Math.round(scale * height))];
}

/** A canvas with `image` drawn at its displayed size. */
export function drawn(image, smooth) {
  const [width, height] = shownSize(image.width, image.height);
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: !smooth });
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return canvas;
}

/**
 * Decode the part map of an answer. A browser gives a palette PNG's colours only, which are converted back to
 * part indices.
 * @param {Blob} map a palette PNG
 * @param {{parts: string[], colours: number[][]}} labels
 * @returns {Promise<{width: number, height: number, indices: Uint8Array, labels: object}>}
 */
export async function decodeMap(map, labels) {
  const image = await createImageBitmap(map, EXACT);
  const canvas = drawn(image, false);
  image.close();
  const { width, height } = canvas;
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer);
  return { width, height, indices: indicesOf(pixels, labels.colours), labels };
}

/**
 * The part indices within a box (left, top, right, bottom) at the photo's own size, row by row.
 * @param {Blob} map a palette PNG
 * @param {{colours: number[][]}} labels
 * @param {number[]} box
 * @returns {Promise<Uint8Array>}
 */
export async function indicesWithin(map, labels, [left, top, right, bottom]) {
  const [width, height] = [right - left, bottom - top];
  const image = await createImageBitmap(map, left, top, width, height, EXACT);
  const context = el("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  image.close();
  return indicesOf(new Uint32Array(context.getImageData(0, 0, width, height).data.buffer), labels.colours);
}

function indicesOf(pixels, colours) {
  const known = new Map(colours.map((colour, index) => [packed(...colour, 255), index]));
  const indices = new Uint8Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) {
    let index = known.get(pixels[i]);
    if (index === undefined) known.set(pixels[i], (index = nearest(pixels[i], colours)));
    indices[i] = index;
  }
  return indices;
}

/** The index of the nearest colour, because some browsers add noise to the pixels that a page reads from a canvas. */
function nearest(pixel, colours) {
  const distance = ([r, g, b]) =>
    (r - (pixel & 255)) ** 2 + (g - ((pixel >> 8) & 255)) ** 2 + (b - ((pixel >> 16) & 255)) ** 2;
  const distances = colours.map(distance);
  return distances.indexOf(Math.min(...distances));
}

/** A pixel as a canvas stores it, read as one little-endian number. */
export const packed = (red, green, blue, alpha) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/** Share of the pixels on which two part maps agree; null where their sizes or label sets differ. */
export function agreement(one, other) {
  const comparable =
    one.width === other.width && one.height === other.height && `${one.labels.parts}` === `${other.labels.parts}`;
  if (!comparable) return null;
  let same = 0;
  for (let i = 0; i < one.indices.length; i++) same += one.indices[i] === other.indices[i];
  return same / one.indices.length;
}
