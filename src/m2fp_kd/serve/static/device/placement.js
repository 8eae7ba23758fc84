/** Where a photo lies on the network's canvas; sizes are [height, width], the content is top-left. */

import { columnsFirst, resizeColumns, resizeRows, resizeStrips, weightsOf } from "./resample.js";

const MULTIPLE = 32;
const PADDING = [124, 116, 104];

/** The placement of a photo of this size, as `m2fp_kd.runtime.geometry.place` computes it. */
export function placementOf(source, { size, fixed }) {
  const longest = Math.max(...source);
  const content = source.map((side) => Math.max(1, Math.floor((side * size + Math.floor(longest / 2)) / longest)));
  const canvas = content.map((side) => (fixed ? size : MULTIPLE * Math.ceil(side / MULTIPLE)));
  return { source, content, canvas };
}

/**
 * Fit a photo into the canvas.
 * @param {Iterable<Uint8ClampedArray>} strips RGBA pixels of the photo, some whole rows each, from top to bottom
 * @returns {Uint8Array} the canvas, RGB
 */
export function placed(strips, { source, content, canvas }) {
  const [[height, width], columns] = [source, content[1]];
  const [down, along] = [0, 1].map((axis) => weightsOf(source[axis], content[axis]));
  const stride = canvas[1] * 3;
  const pixels = new Uint8Array(canvas[0] * stride);
  for (let i = 0; i < pixels.length; i++) pixels[i] = PADDING[i % 3];
  if (columnsFirst(source, content)) {
    resizeRows(resizeStrips(strips, 4 * width, down), width, pixels, 0, stride, along);
    return pixels;
  }
  const narrow = new Uint8Array(height * columns * 3);
  let row = 0;
  for (const strip of strips) {
    resizeRows(strip, width, narrow, row, columns * 3, along);
    row += strip.length / 4 / width;
  }
  resizeColumns(narrow, columns * 3, pixels, stride, down);
  return pixels;
}
