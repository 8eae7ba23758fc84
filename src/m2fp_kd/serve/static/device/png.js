/** Palette PNGs, which a canvas cannot write. */

import { crc32 } from "../zip.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * A part map as a palette PNG whose pixel values are the part indices.
 * @param {Uint8Array} map row by row
 * @param {number[]} size height and width
 * @param {number[][]} colours RGB of every part
 * @returns {Promise<Blob>}
 */
export async function indexPng(map, [height, width], colours) {
  const rows = new Uint8Array(height * (width + 1)); // each begins with 0, no filter
  for (let row = 0; row < height; row++)
    rows.set(map.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  const header = Uint8Array.of(...big(width), ...big(height), 8, 3, 0, 0, 0);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const pixels = new Uint8Array(await new Response(packed).arrayBuffer());
  const chunks = [
    chunk("IHDR", header),
    chunk("PLTE", Uint8Array.from(colours.flat())),
    chunk("IDAT", pixels),
    chunk("IEND", new Uint8Array()),
  ];
  return new Blob([Uint8Array.from(SIGNATURE), ...chunks], { type: "image/png" });
}

function chunk(kind, data) {
  const bytes = new Uint8Array(data.length + 12);
  bytes.set(big(data.length));
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(data, 8);
  bytes.set(big(crc32(bytes.subarray(4, -4))), data.length + 8);
  return bytes;
}

const big = (value) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
