/** Pixels of a photo as the network sees them: upright, without colour profile, on white where it is transparent. */

import { ApiError } from "../errors.js";

const LONGEST_SIDE = 16384;
const STRIP = 1 << 20; // pixels that are copied at a time

/**
 * Decode a photo.
 * @param {Blob} blob
 * @param {{megapixels: number}} limits
 * @returns {Promise<ImageBitmap>}
 */
export async function decoded(blob, { megapixels }) {
  if (blob.size === 0) throw new ApiError("no_photo", "The photo is empty; choose another file.");
  const image = await createImageBitmap(blob, { colorSpaceConversion: "none" }).catch(() => null);
  if (image === null) throw new ApiError("photo_broken", "This browser cannot read the file as a photo; choose another file.");
  const { width, height } = image;
  if (width * height <= 1e6 * megapixels && Math.max(width, height) <= LONGEST_SIDE) return image;
  image.close();
  const most = `${megapixels} megapixels and sides of ${LONGEST_SIDE} pixels`;
  throw new ApiError("too_many_pixels", `The photo has too many pixels (${width} x ${height}); the limit is ${most}.`);
}

/** Yield the RGBA pixels of an image, some whole rows at a time. */
export function* stripsOf(image) {
  const rows = Math.max(1, Math.floor(STRIP / image.width));
  const canvas = new OffscreenCanvas(image.width, Math.min(rows, image.height));
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  for (let top = 0; top < image.height; top += rows) {
    const height = Math.min(rows, image.height - top);
    context.fillStyle = "white";
    context.fillRect(0, 0, image.width, height);
    context.drawImage(image, 0, -top);
    yield context.getImageData(0, 0, image.width, height).data;
  }
}
