/** Persons of mask-classification models, as `m2fp_kd.runtime.persons.find_persons`. */

import { restoring } from "./taps.js";

const MOST = 100;
const THRESHOLD = 0.3;

/**
 * The persons in a photo, best first.
 * @param {{data: Float32Array, dims: number[]}} classes class logits (1, Q, C + 1); the last class is "no object"
 * @param {{data: Float32Array, dims: number[]}} masks mask logits (1, Q, h, w)
 * @param {number} human index of the class `Human`
 * @returns {{score: number, box: number[], area: number, runs: object[]}[]}
 */
export function findPersons(classes, masks, placement, human) {
  const grid = masks.dims.slice(2);
  const [down, along] = [0, 1].map((axis) => restoring(grid, placement, axis));
  const plane = grid[0] * grid[1];
  return candidates(classes)
    .filter(({ category }) => category === human)
    .map(({ query, probability }) => {
      const logits = masks.data.subarray(query * plane, (query + 1) * plane);
      return person(logits, grid, down, along, probability);
    })
    .filter((found) => found !== null && found.score >= THRESHOLD)
    .sort((one, other) => other.score - one.score);
}

/** The pairs of query and class that are probable, the most probable first. */
function candidates({ data, dims: [, queries, classes] }) {
  const found = [];
  for (let query = 0; query < queries; query++) {
    const logits = data.subarray(query * classes, (query + 1) * classes);
    const most = Math.max(...logits);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
    for (let category = 0; category < classes - 1; category++) {
      const probability = Math.exp(logits[category] - most) / total;
      if (probability >= THRESHOLD) found.push({ query, category, probability });
    }
  }
  return found.sort((one, other) => other.probability - one.probability).slice(0, MOST);
}

/** The person of a mask; null where the mask is empty. */
function person(logits, [height, width], down, along, probability) {
  const [runs, box] = [[], [Infinity, Infinity, 0, 0]];
  let [area, total] = [0, 0];
  const line = new Float64Array(width);
  for (let y = 0; y < down.length; y++) {
    if (!resizeRow(logits, width, down, y, line)) continue;
    let start = null;
    for (let x = 0; x <= along.length; x++) {
      const logit = x < along.length ? sample(line, along, x) : -1;
      if (logit > 0) {
        start ??= x;
        total += 1 / (1 + Math.exp(-logit));
      } else if (start !== null) {
        runs.push({ row: y, start, end: x });
        area += x - start;
        box.splice(0, 4, Math.min(box[0], start), Math.min(box[1], y), Math.max(box[2], x), y + 1);
        start = null;
      }
    }
  }
  return area ? { score: (probability * total) / area, box, area, runs } : null;
}

/** Resize one row of logits into `line`; return whether it is positive anywhere. */
function resizeRow(logits, width, { index, weight, taps }, row, line) {
  line.fill(0);
  for (let tap = row * taps; tap < (row + 1) * taps; tap++) {
    const start = index[tap] * width;
    for (let x = 0; x < width; x++) line[x] += logits[start + x] * weight[tap];
  }
  return line.some((logit) => logit > 0);
}

function sample(line, { index, weight, taps }, column) {
  let value = 0;
  for (let tap = column * taps; tap < (column + 1) * taps; tap++) value += line[index[tap]] * weight[tap];
  return value;
}
