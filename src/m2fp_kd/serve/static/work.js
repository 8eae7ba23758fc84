/** Requests to the server and messages about their progress. */

import { ApiError, getModels, parse } from "./api.js";
import { byId } from "./dom.js";
import { decodeMap } from "./part_map.js";
import { render, summary, tell } from "./render.js";
import { state, wantedModes } from "./state.js";
import { knows, modeName, number, say } from "./words.js";

/** Errors that a retry with the same photo would meet again. */
const FINAL = ["no_photo", "photo_broken", "photo_too_large", "too_many_pixels"];

let controller = new AbortController();

/** Abort the request in flight; return the signal of the next one. */
export function begin() {
  controller.abort();
  controller = new AbortController();
  return controller.signal;
}

/** Load the list of the server's models. */
export async function connect() {
  try {
    const { models, limits, token } = await getModels(state.token);
    Object.assign(state, { models, limits });
    state.view ??= state.mode ??= models[0].mode;
    byId("token").hidden = !token || state.token !== "";
    tell(() => "", "done");
  } catch (error) {
    fail(error, connect);
  }
  render();
  if (state.photo && state.models.length) update();
}

/** Request the results that the view lacks for the photo, then show them. The page does not change until then. */
export async function update() {
  const { photo } = state;
  const signal = begin();
  if (photo.blob.size > 1e6 * state.limits.megabytes) tellTooLarge(photo);
  else await attempt(signal, () => complete(photo, signal), update);
  if (!signal.aborted) render();
}

async function complete(photo, signal) {
  const missing = wantedModes().filter((mode) => !(mode in photo.runs));
  for (const mode of missing) {
    tell(() => say("busy", { mode: modeName(mode) }), "busy");
    photo.runs[mode] = await run(photo, mode, signal);
  }
  tell(summary(), "done");
}

async function run(photo, mode, signal) {
  const answer = await parse(photo.blob, mode, "map", state.token, signal);
  const { label_set: labels } = state.models.find((model) => model.mode === mode);
  const layer = await decodeMap(answer.map, labels);
  signal.throwIfAborted();
  return { answer, layer };
}

/** Run `work`; report an error and offer `again`, unless other work has started meanwhile. */
export async function attempt(signal, work, again) {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) fail(error, again);
  }
}

/** Report an error; offer `again` where a retry may help. */
function fail(error, again) {
  if (!(error instanceof ApiError)) reportError(error);
  if (error.code === "unauthorized") askForToken();
  if (error.code === "unauthorized" && !state.token) return;
  tell(() => errorWords(error), "bad", FINAL.includes(error.code) ? null : again);
}

/** An error's text in the page's language, else the server's own, and the time of a retry. */
function errorWords({ code, message, retryAfter }) {
  const words = knows(`error.${code}`) ? say(`error.${code}`, state.limits) : message;
  return retryAfter ? `${words} ${say("retry.after", { seconds: retryAfter })}` : words;
}

function tellTooLarge({ blob, name }) {
  const { megabytes: limit } = state.limits;
  tell(() => say("too.large", { name, megabytes: number(blob.size / 1e6, 1), limit }), "bad");
}

function askForToken() {
  byId("token").hidden = false;
  byId("token-text").focus();
}
