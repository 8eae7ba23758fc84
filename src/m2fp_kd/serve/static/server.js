/** Answers from the service, by its HTTP API. */

import { blobOf } from "./dom.js";
import { readable } from "./encoding.js";
import { ApiError } from "./errors.js";
import { state } from "./state.js";

/** The server's models and limits, and whether it requires a token. */
export async function getModels() {
  const response = await fetch("api/models", { headers: bearer(state.token) }).catch(() => null);
  if (response === null) throw unreachable("api/models");
  return checked(response.status, await response.text().catch(() => ""), response.headers.get("Retry-After"));
}

/**
 * Parse a photo.
 * @param {import("./state.js").Photo} photo
 * @param {string} mode
 * @param {string} wants kinds of results, separated by commas
 * @param {AbortSignal} signal
 * @param {(share: number) => void} uploaded called with the share of the photo that is sent, 0 to 1
 * @param {string} labels label set of the answer; "" for the model's own
 * @returns {Promise<object>} the API's answer, with Blobs for its images
 */
export async function parse(photo, mode, wants, signal, uploaded, labels = "") {
  photo.sent ??= await readable(photo.blob);
  if (photo.sent.size > 1e6 * state.limits.megabytes) throw new ApiError("too_large_here", photo.name);
  const body = new FormData();
  body.append("photo", photo.sent, photo.sent.name ?? "photo");
  const query = new URLSearchParams({ mode, return: wants, ...(labels && { labels }) });
  const request = await post(`api/parse?${query}`, body, bearer(state.token), signal, uploaded);
  return withBlobs(checked(request.status, request.responseText, request.getResponseHeader("Retry-After")));
}

/** A header carries bytes: the token's text is sent as UTF-8. */
export function bearer(token) {
  if (!token) return {};
  return { Authorization: `Bearer ${String.fromCharCode(...new TextEncoder().encode(token))}` };
}

/** Send a form. `fetch` would not report the progress of an upload. */
function post(address, body, headers, signal, uploaded) {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => uploaded(total ? loaded / total : 1);
    request.onload = () => resolve(request);
    request.onerror = () => reject(unreachable(address));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

function checked(status, text, retryAfter) {
  const answer = parsed(text);
  if (status < 300 && answer) return answer;
  const { code, message } = answer?.error ?? { code: "internal", message: `HTTP ${status}` };
  throw new ApiError(code, message, Number(retryAfter) || null);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const IMAGES = { map: "image/png", confidence: "image/png", mosaic: "image/jpeg" };

function withBlobs(answer) {
  for (const [name, type] of Object.entries(IMAGES)) if (answer[name]) answer[name] = blobOf(answer[name], type);
  return answer;
}

const unreachable = (address) => new ApiError("unreachable", address);
