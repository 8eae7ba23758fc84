/** COCO's compressed run lengths. */

/**
 * Decode the mask of a person or region.
 * @param {{size: number[], counts: string}} rle height and width; runs down the columns, zeros first
 * @returns {Uint8Array} 0 and 1, row by row
 */
export function decodeMask({ size: [height, width], counts }) {
  const mask = new Uint8Array(height * width);
  let start = 0;
  runLengths(counts).forEach((length, turn) => {
    if (turn % 2)
      for (let i = start; i < start + length; i++) mask[(i % height) * width + Math.floor(i / height)] = 1;
    start += length;
  });
  return mask;
}

/** Five bits a character, lowest first; from the fourth on, a run is the difference to the run two before. */
function runLengths(text) {
  const lengths = [];
  let [value, weight] = [0, 1];
  for (const character of text) {
    const bits = character.charCodeAt(0) - 48;
    value += (bits & 31) * weight;
    weight *= 32;
    if (bits & 32) continue;
    if (bits & 16) value -= weight;
    lengths.push(value + (lengths.length > 2 ? lengths.at(-2) : 0));
    [value, weight] = [0, 1];
  }
  return lengths;
}

/** Encode a mask, 0 and 1 row by row, as `decodeMask` reads it. */
export function encodeMask(mask, [height, width]) {
  const runs = [];
  let [value, length] = [0, 0];
  for (let x = 0; x < width; x++)
    for (let y = 0; y < height; y++, length++) {
      if (mask[y * width + x] === value) continue;
      runs.push(length);
      [value, length] = [1 - value, 0];
    }
  runs.push(length);
  const counts = runs.map((run, place) => characters(place > 2 ? run - runs[place - 2] : run)).join("");
  return { size: [height, width], counts };
}

function characters(value) {
  let text = "";
  for (let more = true; more; ) {
    const bits = value & 31;
    value >>= 5;
    more = value !== (bits & 16 ? -1 : 0);
    text += String.fromCharCode(bits + 32 * more + 48);
  }
  return text;
}
