/** Pillow's bilinear resampling with antialiasing, in its fixed-point arithmetic, so that canvases are the same. */

const BITS = 22; // Pillow's precision of a weight
const HALF = 1 << (BITS - 1);

/**
 * The weights of one axis.
 * @returns {{first: Int32Array, count: Int32Array, weights: Int32Array, most: number}} first source element and number
 *     of source elements of each target element, and `most` weights for each, of which the first `count` are used
 */
export function weightsOf(source, target) {
  const scale = source / target;
  const support = Math.max(scale, 1);
  const most = Math.ceil(support) * 2 + 1;
  const [first, count] = [new Int32Array(target), new Int32Array(target)];
  const weights = new Int32Array(target * most);
  for (let to = 0; to < target; to++) {
    const centre = (to + 0.5) * scale;
    first[to] = Math.max(0, Math.trunc(centre - support + 0.5));
    count[to] = Math.min(source, Math.trunc(centre + support + 0.5)) - first[to];
    const from = first[to] - centre + 0.5;
    const shares = Array.from({ length: count[to] }, (_, tap) => Math.max(0, 1 - Math.abs((tap + from) / support)));
    const total = shares.reduce((sum, share) => sum + share, 0);
    shares.forEach((share, tap) => (weights[to * most + tap] = Math.trunc(0.5 + (share / total) * 2 ** BITS)));
  }
  return { first, count, weights, most };
}

/** Whether Pillow (13) resizes the columns first, which saves work on tall photos. Sizes are [height, width]. */
export const columnsFirst = ([height, width], [rows, columns]) =>
  rows < height && height - rows > 2 * (width - columns);

/**
 * Resize rows.
 * @param {Uint8ClampedArray|Uint8Array} rgba rows of `width` pixels
 * @param {Uint8Array} into rows of `stride` bytes, RGB, written from row `first` on
 */
export function resizeRows(rgba, width, into, first, stride, axis) {
  const rows = rgba.length / 4 / width;
  const target = axis.first.length;
  for (let row = 0; row < rows; row++) {
    for (let to = 0, at = (first + row) * stride; to < target; to++, at += 3) {
      let [red, green, blue] = [HALF, HALF, HALF];
      let pixel = 4 * (row * width + axis.first[to]);
      const end = pixel + 4 * axis.count[to];
      for (let tap = to * axis.most; pixel < end; pixel += 4, tap++) {
        const weight = axis.weights[tap];
        red += rgba[pixel] * weight;
        green += rgba[pixel + 1] * weight;
        blue += rgba[pixel + 2] * weight;
      }
      into[at] = red >> BITS;
      into[at + 1] = green >> BITS;
      into[at + 2] = blue >> BITS;
    }
  }
}

/**
 * Resize columns.
 * @param {Uint8Array} rows of `length` bytes each
 * @param {Uint8Array} into rows of `stride` bytes, of which the first `length` are written
 */
export function resizeColumns(rows, length, into, stride, axis) {
  const target = axis.first.length;
  const sums = new Int32Array(length);
  for (let to = 0; to < target; to++) {
    sums.fill(HALF);
    for (let tap = 0; tap < axis.count[to]; tap++) {
      const weight = axis.weights[to * axis.most + tap];
      const start = (axis.first[to] + tap) * length;
      for (let i = 0; i < length; i++) sums[i] += rows[start + i] * weight;
    }
    for (let i = 0; i < length; i++) into[to * stride + i] = sums[i] >> BITS;
  }
}

/**
 * Resize columns of which only some rows are in memory at a time.
 * @param {Iterable<Uint8ClampedArray>} strips some whole rows of `length` bytes each, from top to bottom
 * @returns {Uint8Array} rows of `length` bytes
 */
export function resizeStrips(strips, length, axis) {
  const sums = new Int32Array(axis.first.length * length).fill(HALF);
  let from = 0;
  let lowest = 0; // the first target row that may need the source row `from`
  for (const strip of strips)
    for (let start = 0; start < strip.length; start += length, from++) {
      while (axis.first[lowest] + axis.count[lowest] <= from) lowest++;
      for (let to = lowest; axis.first[to] <= from; to++) {
        const weight = axis.weights[to * axis.most + from - axis.first[to]];
        for (let i = 0, at = to * length; i < length; i++, at++) sums[at] += strip[start + i] * weight;
      }
    }
  return Uint8Array.from(sums, (sum) => sum >> BITS);
}
