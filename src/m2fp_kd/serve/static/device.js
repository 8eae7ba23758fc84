/** Answers from this device: a worker runs the model, and no photo leaves the browser. */

import { ApiError } from "./errors.js";

/** The smallest WebAssembly module with a SIMD instruction. */
const SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
);
const NEEDED = ["Worker", "OffscreenCanvas", "CompressionStream"];

/** Errors after which the worker is started again. */
const FATAL = ["device.memory", "device.failed"];

let worker = null;
const waiting = new Map();
let calls = 0;

/** The model and limits of this page; loads the model. */
export async function getModels() {
  checkBrowser();
  return call("load", { engine: new URLSearchParams(location.search).get("engine") });
}

/**
 * Parse a photo.
 * @param {import("./state.js").Photo} photo
 * @param {string} mode the page's one model
 * @param {string} wants kinds of results, separated by commas
 * @param {AbortSignal} signal
 * @param {(share: number) => void} uploaded called with 1, because nothing is sent
 * @returns {Promise<object>} an answer as the service's API gives it, with Blobs for its images
 */
export async function parse(photo, mode, wants, signal, uploaded) {
  signal.throwIfAborted();
  uploaded(1);
  if (worker === null) await getModels(); // after an error that ended it
  return call("parse", { key: photo.address, blob: photo.blob, wants }, signal);
}

function checkBrowser() {
  const lacks = NEEDED.filter((name) => !(name in globalThis));
  if (!globalThis.WebAssembly?.validate(SIMD)) lacks.push("WebAssembly SIMD");
  if (lacks.length)
    throw new ApiError(
      "device.browser",
      `This browser lacks ${lacks.join(", ")}. Use Chrome or Edge 91, Firefox 114, Safari 16.4, or a later one.`,
    );
}

function call(action, values, signal = null) {
  worker ??= started();
  const id = calls++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    worker.postMessage({ id, action, ...values });
  });
}

function started() {
  const one = new Worker(new URL("device/worker.js", import.meta.url), { type: "module" });
  one.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (!error) return resolve(result);
    if (FATAL.includes(error.code)) stop();
    reject(new ApiError(error.code, error.message));
  };
  one.onerror = ({ message }) => {
    stop();
    const error = new ApiError("device.failed", `This browser cannot start the parser: ${message ?? "worker.js"}`);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  return one;
}

function stop() {
  worker?.terminate();
  worker = null;
}
