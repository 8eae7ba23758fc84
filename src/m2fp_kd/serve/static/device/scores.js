/** The mean probability of every part over its pixels on the canvas, as `Parsing.part_scores`. */

/** @returns {Map<number, number>} index of a part present -> 0..1 */
export function partScores({ values, parts, grid: [rows, columns] }, onCanvas, [height, width]) {
  const plane = rows * columns;
  const [share, total] = [new Float64Array(plane), new Float64Array(parts)];
  const most = new Float64Array(plane).fill(-Infinity);
  const pixels = new Uint32Array(parts);
  for (let i = 0; i < values.length; i++) most[i % plane] = Math.max(most[i % plane], values[i]);
  for (let i = 0; i < values.length; i++) share[i % plane] += Math.exp(values[i] - most[i % plane]);
  const [down, along] = [height / rows, width / columns];
  for (let y = 0; y < height; y++) {
    const start = Math.floor(y / down) * columns;
    for (let x = 0; x < width; x++) {
      const part = onCanvas[y * width + x];
      const sample = start + Math.floor(x / along);
      total[part] += Math.exp(values[part * plane + sample] - most[sample]) / share[sample];
      pixels[part]++;
    }
  }
  return new Map([...pixels].flatMap((count, part) => (count ? [[part, total[part] / count]] : [])));
}
