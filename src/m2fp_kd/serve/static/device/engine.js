/** ONNX Runtime Web: WebGPU for fp32 weights where there is a graphics processor, else WebAssembly. */

import { ApiError } from "../errors.js";

/** Folder of the model and of ONNX Runtime Web, which `m2fp-kd export web` writes. */
const FOLDER = new URL("../../device/", import.meta.url);
const MOST_THREADS = 4;
const LOG_LEVEL = "error";

/** A file of the folder as a Response; null where it is missing. */
export async function file(name) {
  const response = await fetch(new URL(name, FOLDER)).catch(() => null);
  return response?.ok ? response : null;
}

/**
 * Load the model.
 * @param {string|null} wanted "wasm" or "webgpu"; null for the better one
 * @param {string} precision "fp32" or "int8"
 * @returns {Promise<{name: string, threads: number, run: Function}>} `run` takes a canvas, its size and the names of
 *     outputs, and returns these
 */
export async function openEngine(wanted, precision) {
  const model = await bytes("model.onnx");
  const name = wanted ?? (precision === "fp32" && (await hasGpu()) ? "webgpu" : "wasm");
  try {
    return await open(name, model);
  } catch (error) {
    if (name === "wasm" || wanted) throw failure(error);
    return open("wasm", model).catch((again) => Promise.reject(failure(again)));
  }
}

async function open(name, model) {
  const [ort, wasmBinary] = await Promise.all([import(new URL(`ort.${name}.js`, FOLDER)), binary(`ort.${name}.wasm.xz`)]);
  const threads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = LOG_LEVEL;
  Object.assign(ort.env.wasm, { numThreads: threads, wasmBinary });
  const session = await ort.InferenceSession.create(model, { executionProviders: [name], logSeverityLevel: 3 });
  const run = async (canvas, [height, width], outputs) => {
    try {
      return await session.run({ images: new ort.Tensor("uint8", canvas, [1, height, width, 3]) }, outputs);
    } catch (error) {
      throw failure(error);
    }
  };
  return { name, threads, run };
}

/** Whether there is a graphics processor that is not imitated by the main one. */
async function hasGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

async function bytes(name) {
  const response = await file(name);
  if (!response) throw missing(name);
  return new Uint8Array(await response.arrayBuffer());
}

async function binary(name) {
  const [packed, { XzReadableStream }] = await Promise.all([bytes(name), import(new URL("xz.js", FOLDER))]);
  try {
    const unpacked = new Response(new XzReadableStream(new Blob([packed]).stream()));
    return new Uint8Array(await unpacked.arrayBuffer());
  } catch (error) {
    throw error instanceof RangeError ? error : broken(name);
  }
}

/** The error of a file that the folder lacks. */
export const missing = (name) =>
  new ApiError("device.missing", `The file device/${name} of this page cannot be loaded; is its folder complete?`);

/** The error of a file that is cut off or broken. */
export const broken = (name) =>
  new ApiError("device.broken", `The file device/${name} of this page is broken. Export the page again.`);

/** What an error of the engine means for a visitor. */
function failure(error) {
  if (error instanceof ApiError) return error;
  const text = String(error?.message ?? error);
  if (error instanceof RangeError || /memory|alloc/i.test(text))
    return new ApiError("device.memory", "This device has too little free memory. Close other tabs and try again.");
  return new ApiError("device.failed", `This browser cannot run the model: ${text}`);
}
