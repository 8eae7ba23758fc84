/** The service's HTTP API. */

/** An error answer. `retryAfter`: seconds after which the same request may succeed; absent if it never will. */
export class ApiError extends Error {
  constructor(code, message, retryAfter = null) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The server's models and limits, and whether it requires a token. */
export const getModels = (token) => ask("api/models", { headers: bearer(token) });

/**
 * Parse a photo.
 * @param {Blob} photo
 * @param {string} mode
 * @param {string} wants kinds of results, separated by commas
 * @param {string} token "" without a token
 * @param {AbortSignal} signal
 */
export function parse(photo, mode, wants, token, signal) {
  const body = new FormData();
  body.append("photo", photo, photo.name ?? "photo");
  const query = new URLSearchParams({ mode, return: wants });
  return ask(`api/parse?${query}`, { method: "POST", headers: bearer(token), body, signal });
}

const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

async function ask(address, options) {
  const response = await reach(address, options);
  const answer = await response.json().catch(unlessAborted(null));
  if (response.ok && answer) return answer;
  const { code, message } = answer?.error ?? { code: "internal", message: `HTTP ${response.status}` };
  throw new ApiError(code, message, Number(response.headers.get("Retry-After")) || null);
}

async function reach(address, options) {
  const response = await fetch(address, options).catch(unlessAborted(null));
  if (response === null) throw new ApiError("unreachable", address);
  return response;
}

/** Return a handler that turns a failure into `value`, except where we aborted the request ourselves. */
const unlessAborted = (value) => (error) => {
  if (error.name === "AbortError") throw error;
  return value;
};
