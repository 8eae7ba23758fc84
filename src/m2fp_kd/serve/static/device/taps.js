/** Bilinear resizes of one axis (`align_corners=False`, no antialiasing), as `m2fp_kd.runtime.resize`. */

/**
 * A resize: every target element is the sum of `taps` source elements times their weights.
 * @typedef {{index: Int32Array, weight: Float64Array, taps: number, length: number}} Taps
 */

/** The resize from `source` to `target` elements; border values repeat beyond the borders. */
export function bilinear(source, target) {
  const resize = { index: new Int32Array(2 * target), weight: new Float64Array(2 * target), taps: 2, length: target };
  for (let to = 0; to < target; to++) {
    const centre = Math.min(source - 1, Math.max(0, (to + 0.5) * (source / target) - 0.5));
    const below = Math.floor(centre);
    resize.index.set([below, Math.min(below + 1, source - 1)], 2 * to);
    resize.weight.set([1 - (centre - below), centre - below], 2 * to);
  }
  return resize;
}

/** The first `length` target elements. */
export const firstOf = ({ index, weight, taps }, length) => ({
  index: index.subarray(0, taps * length),
  weight: weight.subarray(0, taps * length),
  taps,
  length,
});

/** One resize followed by another, of two taps each, as one; source elements that both name are joined. */
export function then(one, other) {
  const taps = 4;
  const { length } = other;
  const resize = { index: new Int32Array(taps * length), weight: new Float64Array(taps * length), taps, length };
  for (let to = 0; to < length; to++) {
    const weights = new Map();
    for (let i = 2 * to; i < 2 * to + 2; i++)
      for (let j = 2 * other.index[i]; j < 2 * other.index[i] + 2; j++)
        weights.set(one.index[j], (weights.get(one.index[j]) ?? 0) + one.weight[j] * other.weight[i]);
    let tap = taps * to;
    for (const [index, weight] of weights) [resize.index[tap], resize.weight[tap++]] = [index, weight];
    for (; tap < taps * (to + 1); tap++) resize.index[tap] = resize.index[taps * to]; // with weight 0
  }
  return resize;
}

/** The resize of one axis (0: rows, 1: columns) from a grid over the canvas to the photo, M2FP's two in one. */
export function restoring(grid, { source, content, canvas }, axis) {
  const toCanvas = firstOf(bilinear(grid[axis], canvas[axis]), content[axis]);
  return then(toCanvas, bilinear(content[axis], source[axis]));
}
