/** Requests for answers and messages about their progress. */

import { byId } from "./dom.js";
import { ApiError } from "./errors.js";
import { decodeMap } from "./part_map.js";
import { forgetModels, render, renderPhotos, summary, tell } from "./render.js";
import { source } from "./sources.js";
import { labelsFor, runOf, state, wantedModes } from "./state.js";
import { knows, modeName, number, say } from "./words.js";

/** Errors that a retry with the same photo would meet again. */
const FINAL = ["no_photo", "photo_broken", "photo_too_large", "too_many_pixels", "too_large_here"];

let controller = new AbortController();

/** Abort the request in flight; return the signal of the next one. */
export function begin() {
  controller.abort();
  controller = new AbortController();
  return controller.signal;
}

/** Stop what is being done and offer to do it again. */
export function cancel() {
  begin();
  tell(() => say("cancelled"), "done", update);
  render();
}

/** Parse on the "device" or by the "server" from now on. */
export function moveTo(where) {
  begin();
  Object.assign(state, { where, models: [] });
  forgetModels();
  connect();
}

/** Load the list of the models. */
export async function connect() {
  const { where } = state;
  tell(() => say(`connecting.${where}`), "loading");
  render();
  try {
    await learnModels();
    if (state.where !== where) return;
    tell(() => "", "done");
  } catch (error) {
    if (state.where === where) fail(error, connect);
  }
  render();
  if (state.photo && state.models.length) update();
}

/** Read the server's models. Results of models that it no longer has are dropped. */
async function learnModels() {
  const { where } = state;
  const { models, limits, token } = await source().getModels();
  if (state.where !== where) return;
  const known = models.map(({ id }) => id);
  if (`${known}` !== `${state.models.map(({ id }) => id)}`) forgetModels();
  Object.assign(state, { models, limits });
  for (const photo of state.photos) photo.runs = photo.runs.filter(({ answer }) => known.includes(answer.model));
  if (!models.some(({ mode }) => mode === state.mode)) state.view = state.mode = models[0].mode;
  byId("token").hidden = !token || state.token !== "";
}

/** Request the results that the view lacks for the photo, then show them. The page does not change until then. */
export async function update() {
  const { photo } = state;
  const signal = begin();
  await attempt(signal, () => complete(photo, signal), update, photo);
  if (!signal.aborted) render();
}

async function complete(photo, signal) {
  await parseMissing(photo, wantedModes(), signal, tellProgress);
  tell(summary(), "done");
}

function tellProgress(mode, sent) {
  const words = { mode: modeName(mode), share: number(100 * sent) };
  tell(() => say(sent < 1 ? "uploading" : "busy", words), "busy");
}

/**
 * Request the results of these modes that a photo lacks in the chosen label set.
 * @param {(mode: string, sent: number) => void} report called with the share of the photo that is sent
 * @throws {ApiError}
 */
export async function parseMissing(photo, modes, signal, report) {
  for (const mode of modes.filter((mode) => !runOf(photo, mode))) {
    report(mode, 0);
    const labels = labelsFor(mode);
    const answer = await request(photo, mode, "map", signal, (sent) => report(mode, sent), labels);
    const { label_set: own, label_sets: sets } = await modelOf(answer);
    const layer = await decodeMap(answer.map, labels ? sets.find(({ name }) => name === labels) : own);
    signal.throwIfAborted();
    photo.runs.push({ mode, labels, answer, layer });
  }
  photo.failure = null;
}

/** Return the answer for a photo, in the model's own label set unless the last argument names another. */
export const request = (...wish) => source().parse(...wish);

/** The model that gave an answer; where the server has changed its models since, they are loaded again. */
async function modelOf({ mode, model: id }) {
  const find = () => state.models.find((model) => model.mode === mode && model.id === id);
  if (!find()) await learnModels();
  if (!find()) throw new ApiError("models_changed", id);
  return find();
}

/** Run `work`; report an error and offer `again`, unless other work has started meanwhile. */
export async function attempt(signal, work, again, photo = null) {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) fail(error, again, photo);
  }
}

/** Report an error; offer `again` where a retry may help. An error of a photo is kept with it. */
function fail(error, again, photo = null) {
  if (!(error instanceof ApiError)) reportError(error);
  if (["unknown_mode", "models_changed"].includes(error.code)) again = connect;
  if (error.code === "unauthorized") askForToken();
  if (error.code === "unauthorized" && !state.token) return;
  const final = photo !== null && isFinal(error);
  if (final) photo.failure = reasonOf(error, photo);
  tell(final ? photo.failure : reasonOf(error), "bad", final ? null : again);
  renderPhotos();
}

/** Whether a retry with the same photo would meet the error again. */
export const isFinal = ({ code }) => FINAL.includes(code);

/** Why a request failed, as a function that returns the text; for an error of a photo, with its name. */
export function reasonOf(error, photo = null) {
  if (error.code === "too_large_here") return () => tooLarge(photo);
  return () => (photo ? say("photo.failed", { name: photo.name, reason: errorWords(error) }) : errorWords(error));
}

/** An error's text in the page's language, else the server's own, and the time of a retry. */
function errorWords({ code, message, retryAfter }) {
  const words = knows(`error.${code}`) ? say(`error.${code}`, state.limits) : message;
  return retryAfter ? `${words} ${say("retry.after", { seconds: retryAfter })}` : words;
}

function tooLarge({ sent, name }) {
  const { megabytes: limit } = state.limits;
  return say("too.large", { name, megabytes: number(sent.size / 1e6, 1), limit });
}

function askForToken() {
  byId("token").hidden = false;
  byId("token-text").focus();
}
