/** Cut a part or a person out of the photo, as a PNG with a transparent background. */

import { el } from "./dom.js";
import { encoded } from "./encoding.js";
import { indicesWithin } from "./part_map.js";
import { decodeMask } from "./run_lengths.js";

/**
 * Cut out a part at the photo's own size.
 * @param {Blob} photo
 * @param {{map: Blob, parts: object[]}} answer
 * @param {object} labels label set of the answer
 * @param {string} name name of the part
 */
export async function cutPart(photo, answer, labels, name) {
  const { index, box } = answer.parts.find((part) => part.name === name);
  const indices = await indicesWithin(answer.map, labels, box);
  return cut(photo, box, (x, y, width) => indices[y * width + x] === index);
}

/**
 * Cut out a person or region, from an answer with run lengths.
 * @param {Blob} photo
 * @param {{box: number[], rle: object}} person
 */
export async function cutPerson(photo, { box, rle }) {
  const mask = decodeMask(rle);
  const [left, top] = box;
  return cut(photo, box, (x, y) => mask[(y + top) * rle.size[1] + x + left]);
}

/** The box of the photo as PNG; pixels for which `isInside(x, y, width of the box)` is false are transparent. */
async function cut(photo, [left, top, right, bottom], isInside) {
  const [width, height] = [right - left, bottom - top];
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = await createImageBitmap(photo);
  context.drawImage(image, -left, -top);
  image.close();
  const pixels = context.getImageData(0, 0, width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) if (!isInside(x, y, width)) pixels.data[4 * (y * width + x) + 3] = 0;
  context.putImageData(pixels, 0, 0);
  return encoded(canvas, "image/png");
}
