/** A mosaic: the photo, the parts laid over it, and a legend; laid out as `m2fp_kd.runtime.mosaic`. */

const [LONGEST, SHORTEST] = [1024, 512];
const [GAP, SWATCH, LINE] = [12, 14, 24];
const OPACITY = 0.75;
const BACKGROUND_BRIGHTNESS = 0.45;
const FONT = "15px sans-serif";
const INK = "rgb(30 30 30)";

/**
 * Draw a mosaic.
 * @param {ImageBitmap} image
 * @param {Uint8Array} map part map of the image's size
 * @param {{index: number, name: string, share: number}[]} parts parts present
 * @param {number[][]} colours RGB of every part of the label set
 * @returns {Promise<Blob>} JPEG
 */
export async function mosaic(image, map, parts, colours) {
  const longest = Math.max(image.width, image.height);
  const scale = Math.min(Math.max(longest, SHORTEST), LONGEST) / longest;
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  const room = Math.max(2 * width + GAP, SHORTEST);
  const entries = legend(parts, room);
  const sheet = new OffscreenCanvas(room + 2 * GAP, height + entries.height + 3 * GAP);
  const context = sheet.getContext("2d", { alpha: false, willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, GAP, GAP, width, height);
  const pixels = context.getImageData(GAP, GAP, width, height);
  overlay(pixels, map, image, colours);
  context.putImageData(pixels, width + 2 * GAP, GAP);
  drawLegend(context, entries, height + 2 * GAP, colours);
  return sheet.convertToBlob({ type: "image/jpeg", quality: 0.9 });
}

/** Lay the parts over the pixels in grey, with light lines where parts meet. */
function overlay({ data, width, height }, map, image, colours) {
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * image.width) / width));
  const at = (x, y) => map[Math.floor(((y + 0.5) * image.height) / height) * image.width + columns[x]];
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i += 4) {
      const grey = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
      const part = at(x, y);
      const edge = (x && at(x - 1, y) !== part) || (y && at(x, y - 1) !== part);
      for (let channel = 0; channel < 3; channel++) {
        const value = part ? OPACITY * colours[part][channel] + (1 - OPACITY) * grey : BACKGROUND_BRIGHTNESS * grey;
        data[i + channel] = edge ? 0.3 * value + 0.7 * 255 : value;
      }
    }
}

/** Place a swatch and a text for each part, largest part first, wrapped at `room` pixels. */
function legend(parts, room) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.font = FONT;
  const entries = [];
  let [x, y] = [0, 0];
  for (const { index, name, share } of [...parts].sort((one, other) => other.share - one.share)) {
    const text = `${name}  ${share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`}`;
    const needed = SWATCH + 6 + context.measureText(text).width + 2 * GAP;
    if (x && x + needed - 2 * GAP > room) [x, y] = [0, y + LINE];
    entries.push({ x, y, index, text });
    x += needed;
  }
  return { entries, height: y + LINE };
}

function drawLegend(context, { entries }, top, colours) {
  Object.assign(context, { font: FONT, textBaseline: "middle" });
  if (!entries.length) {
    context.fillStyle = INK;
    context.fillText("no part found", GAP, top + LINE / 2);
  }
  for (const { x, y, index, text } of entries) {
    context.fillStyle = `rgb(${colours[index].join(" ")})`;
    context.beginPath();
    context.roundRect(GAP + x, top + y + (LINE - SWATCH) / 2, SWATCH, SWATCH, 3);
    context.fill();
    context.fillStyle = INK;
    context.fillText(text, GAP + x + SWATCH + 6, top + y + LINE / 2);
  }
}
