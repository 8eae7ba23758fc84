/** Part maps from part logits at stride 4, interpolating only where parts meet, as `m2fp_kd.runtime.part_map`. */

import { bilinear, restoring } from "./taps.js";

/**
 * Logits of a canvas.
 * @typedef {{values: Float32Array, parts: number, grid: number[]}} Logits `values` part by part, row by row
 */

/** The part of the largest logit at every sample. */
function largest({ values, parts, grid }) {
  const plane = grid[0] * grid[1];
  const found = new Uint8Array(plane);
  const best = values.slice(0, plane);
  for (let part = 1; part < parts; part++)
    for (let i = 0, at = part * plane; i < plane; i++, at++)
      if (values[at] > best[i]) {
        best[i] = values[at];
        found[i] = part;
      }
  return found;
}

/** The part map of the canvas. */
export function canvasMap(logits, canvas) {
  const [rows, columns] = [0, 1].map((axis) => bilinear(logits.grid[axis], canvas[axis]));
  return between(largest(logits), logits.grid[1], logits, rows, columns, rows, columns);
}

/** The part map of the photo from that of its canvas. */
export function photoMap(logits, onCanvas, placement) {
  const { source, content, canvas } = placement;
  const [rows, columns] = [0, 1].map((axis) => bilinear(content[axis], source[axis]));
  const values = [0, 1].map((axis) => restoring(logits.grid, placement, axis));
  return between(onCanvas, canvas[1], logits, rows, columns, ...values);
}

/**
 * The part at every pixel of a resize. A part that is the largest at all four corners of a cell is the largest
 * everywhere between them.
 * @param {Uint8Array} corners the parts at the corners, rows of `stride`
 * @param {Logits} logits
 * @param {Taps} rows which corners a pixel lies between
 * @param {Taps} columns
 * @param {Taps} down the resizes of the logits to the pixels
 * @param {Taps} along
 */
function between(corners, stride, logits, rows, columns, down, along) {
  const [height, width] = [rows.length, columns.length];
  const found = new Uint8Array(height * width);
  const row = new RowOf(logits, down);
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [stride * rows.index[2 * y], stride * rows.index[2 * y + 1]];
    for (let x = 0, at = y * width; x < width; x++, at++) {
      const [left, right] = [columns.index[2 * x], columns.index[2 * x + 1]];
      const part = corners[top + left];
      const same =
        part === corners[top + right] && part === corners[bottom + left] && part === corners[bottom + right];
      found[at] = same ? part : row.largest(y, along, x);
    }
  }
  return found;
}

/** The logits of one row of pixels, resized when the first of its pixels asks for them. */
class RowOf {
  constructor(logits, down) {
    Object.assign(this, { logits, down, row: null });
    this.values = new Float64Array(logits.parts * logits.grid[1]);
  }

  resize(row) {
    this.row = row;
    const { values: from, parts, grid: [height, width] } = this.logits;
    const { index, weight, taps } = this.down;
    this.values.fill(0);
    for (let tap = row * taps; tap < (row + 1) * taps; tap++) {
      if (weight[tap] === 0) continue;
      for (let part = 0; part < parts; part++) {
        const start = (part * height + index[tap]) * width;
        for (let x = 0, to = part * width; x < width; x++, to++) this.values[to] += from[start + x] * weight[tap];
      }
    }
  }

  largest(row, { index, weight, taps }, column) {
    if (this.row !== row) this.resize(row);
    const { parts, grid: [, width] } = this.logits;
    let [found, best] = [0, -Infinity];
    for (let part = 0; part < parts; part++) {
      let value = 0;
      for (let tap = column * taps; tap < (column + 1) * taps; tap++)
        value += this.values[part * width + index[tap]] * weight[tap];
      if (value > best) {
        best = value;
        found = part;
      }
    }
    return found;
  }
}

/** A part map of the canvas at the photo's size by nearest neighbour, for models without part logits. */
export function nearestMap(onCanvas, { source: [height, width], content, canvas }) {
  const from = (to, side, axis) => Math.floor(((to + 0.5) * content[axis]) / side);
  const columns = Int32Array.from({ length: width }, (_, x) => from(x, width, 1));
  const found = new Uint8Array(height * width);
  for (let y = 0, at = 0; y < height; y++) {
    const start = from(y, height, 0) * canvas[1];
    for (let x = 0; x < width; x++, at++) found[at] = onCanvas[start + columns[x]];
  }
  return found;
}
