/** Photos in formats that the server does not read, which the browser encodes again. */

import { el } from "./dom.js";

/** First bytes of the formats that the server reads. */
const SIGNATURES = [/^\xff\xd8\xff/, /^\x89PNG/, /^RIFF[^]{4}WEBP/, /^BM/, /^GIF8/];
const QUALITY = 0.95;

/** The photo itself where the server reads its format, else a JPEG of it; itself where the browser cannot decode it. */
export async function readable(photo) {
  const head = String.fromCharCode(...new Uint8Array(await photo.slice(0, 12).arrayBuffer()));
  if (SIGNATURES.some((signature) => signature.test(head))) return photo;
  const image = await createImageBitmap(photo).catch(() => null);
  return image ? asJpeg(image, photo.name) : photo;
}

async function asJpeg(image, name) {
  const canvas = el("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  image.close();
  const blob = await encoded(canvas, "image/jpeg", QUALITY);
  return new File([blob], `${name}.jpg`, { type: "image/jpeg" });
}

/** A canvas as a Blob of this type. */
export const encoded = (canvas, type, quality) => new Promise((resolve) => canvas.toBlob(resolve, type, quality));
