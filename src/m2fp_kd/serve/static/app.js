/** The page: its state, and what happens when somebody does something. */

import { ApiError, getExample, getModels, parse } from "./api.js";
import { hasCamera, takePhoto } from "./camera.js";
import { blobOf, byId, el, rgb, save } from "./dom.js";
import * as panels from "./panels.js";
import { agreement, decodeMap } from "./part_map.js";
import { Picture } from "./picture.js";
import { milliseconds, number, partName, percent, preferredLanguage, say, sayCount, speak, spoken } from "./words.js";

/**
 * A photo of the visitor.
 * @typedef {object} Photo
 * @property {Blob} blob
 * @property {string} name
 * @property {string} address of the blob, for its thumbnail
 * @property {Object<string, {answer: object, layer: object}>} runs by mode: the API's answer and the decoded part map
 */

const SPLIT = "split";

const state = {
  models: [],
  limits: null,
  token: "",
  /** @type {Photo[]} */
  photos: [],
  /** @type {Photo|null} */
  photo: null,
  /** The photo that the picture shows: not yet the chosen one while that is being decoded. */
  drawn: null,
  /** A mode, or SPLIT. */
  view: null,
  /** The mode last chosen: what the people and the downloads are of. */
  mode: null,
  /** The legend's or people's entry that was pressed. */
  pinned: null,
  /** What is said under the picture, in whichever language; kind: "busy", "done" or "bad"; what to try again. */
  message: { text: () => "", kind: "done", again: null },
};

const picture = new Picture(byId("frame"), describe);
let controller = new AbortController();

// ---------------------------------------------------------------------------------------------------- the server

async function connect() {
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

/** Stop what is under way; the signal is for what comes now. */
function begin() {
  controller.abort();
  controller = new AbortController();
  return controller.signal;
}

const wantedModes = () => (state.view === SPLIT ? state.models.map(({ mode }) => mode) : [state.view]);

/** Ask for what the view needs of the photo and does not have yet; then show it. Until then the page stays as it is. */
async function update() {
  const { photo } = state;
  const signal = begin();
  const missing = wantedModes().filter((mode) => !(mode in photo.runs));
  const work = async () => {
    checkSize(photo);
    for (const mode of missing) {
      tell(() => say("busy", { mode: panels.inSentence(mode) }), "busy");
      photo.runs[mode] = await run(photo, mode, signal);
    }
    tell(summary(), "done");
  };
  await attempt(signal, work, update);
}

async function run(photo, mode, signal) {
  const answer = await parse(photo.blob, mode, "map", state.token, signal);
  const { label_set: labels } = state.models.find((model) => model.mode === mode);
  const layer = await decodeMap(answer.map, labels);
  signal.throwIfAborted();
  return { answer, layer };
}

/** Do `work`; say what went wrong and offer `again`, unless something else was begun meanwhile. */
async function attempt(signal, work, again) {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) fail(error, again);
  }
  if (!signal.aborted) render();
}

function fail(error, again) {
  if (!(error instanceof ApiError)) reportError(error);
  if (error.code === "unauthorized") askForToken();
  if (error.code === "unauthorized" && !state.token) return;
  tell(() => panels.errorWords(error), "bad", again);
}

function checkSize({ blob, name }) {
  const [megabytes, limit] = [blob.size / 1e6, state.limits.megabytes];
  if (megabytes <= limit) return;
  const values = { name, megabytes: number(megabytes, 1), limit };
  throw new ApiError("photo_too_large", say("too.large", values));
}

function askForToken() {
  byId("token").hidden = false;
  byId("token-text").focus();
}

// ---------------------------------------------------------------------------------------------------- photos

/** Take up photos and show the first of them. */
function addPhotos(blobs) {
  const added = [...blobs].map((blob) => ({
    blob,
    name: blob.name ?? "photo",
    address: URL.createObjectURL(blob),
    runs: {},
  }));
  if (!added.length) return;
  state.photos.push(...added);
  select(added[0]);
}

async function select(photo) {
  state.photo = photo;
  state.pinned = null;
  renderPhotos();
  if (state.models.length) update();
  await picture.load(photo.blob);
  if (state.photo !== photo) return;
  state.drawn = photo;
  showLayers();
}

function clear() {
  begin();
  state.photos.forEach(({ address }) => URL.revokeObjectURL(address));
  Object.assign(state, { photos: [], photo: null, drawn: null, pinned: null });
  tell(() => "", "done");
  render();
  byId("choose").focus();
}

async function addExample(name) {
  try {
    addPhotos([await getExample(name)]);
  } catch (error) {
    fail(error, () => addExample(name));
  }
}

async function addFromCamera() {
  try {
    const photo = await takePhoto(byId("viewfinder"));
    if (photo) addPhotos([photo]);
  } catch {
    tell(() => say("camera.refused"), "bad", addFromCamera);
  }
}

// ---------------------------------------------------------------------------------------------------- showing

/** Runs that the view shows and that are there: mode, its place among the models, the API's answer, the part map. */
function shown() {
  if (!state.photo) return [];
  return runsOf(state.photo).filter(({ mode }) => wantedModes().includes(mode));
}

const runsOf = (photo) =>
  state.models.map(({ mode }, place) => ({ mode, place, ...photo.runs[mode] })).filter((one) => one.answer);

/** The run that people and downloads are of. */
const current = () => shown().find(({ mode }) => mode === state.mode) ?? shown()[0];

function render() {
  const runs = shown();
  renderWords();
  renderModels();
  renderPhotos();
  showLayers();
  for (const id of ["side", "timings", "downloads"]) byId(id).hidden = runs.length === 0;
  if (runs.length) renderResults(runs);
  markPinned();
}

function renderWords() {
  document.title = `${say("title")} · m2fp-kd`;
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = say(node.dataset.label);
  for (const node of byId("languages").children) node.ariaPressed = `${node.dataset.language === spoken()}`;
  renderMessage();
}

function renderModels() {
  const { models } = state;
  byId("models").hidden = models.length === 0;
  byId("views").hidden = models.length < 2;
  if (!models.length) return;
  byId("models-title").textContent = say(models.length > 1 ? "models" : "models.one");
  byId("facts").replaceChildren(panels.facts(models));
  byId("ribbon").replaceChildren(...models[0].label_set.colours.slice(1).map(stripe));
  renderViews();
}

function stripe(colour) {
  const node = el("i");
  node.style.backgroundColor = rgb(colour);
  return node;
}

function renderViews() {
  const views = [...state.models.map(({ mode }) => mode), SPLIT];
  const box = byId("views");
  if (!box.querySelector("input")) box.append(...views.map(viewChoice));
  for (const input of box.querySelectorAll("input")) {
    input.checked = input.value === state.view;
    input.nextSibling.textContent = say(`mode.${input.value}`);
  }
}

const viewChoice = (view) => el("label", {}, el("input", { type: "radio", name: "view", value: view }), el("span"));

function renderPhotos() {
  document.body.classList.toggle("has-photo", state.photo !== null);
  byId("strip").hidden = state.photos.length < 2;
  const list = byId("photos");
  if (list.children.length !== state.photos.length) list.replaceChildren(...state.photos.map(thumbnail));
  list.querySelectorAll("button").forEach(labelThumbnail);
}

function thumbnail(photo, place) {
  const image = el("img", { src: photo.address, alt: "", decoding: "async", loading: "lazy" });
  image.onerror = () => image.remove();
  return el("li", {}, el("button", { type: "button", data: { place } }, image));
}

/** Its words and state; the button itself stays, and keeps the focus. */
function labelThumbnail(button, place) {
  const photo = state.photos[place];
  button.ariaLabel = say("photos.show", { number: place + 1, name: photo.name });
  button.ariaPressed = `${photo === state.photo}`;
}

function showLayers() {
  const runs = state.drawn === state.photo ? shown() : [];
  const split = runs.length > 1;
  picture.setLayers(runs.map(({ layer }) => layer));
  byId("divider").hidden = !split;
  byId("frame").classList.toggle("split", split);
  highlight(state.pinned);
}

function renderResults(runs) {
  const all = runsOf(state.photo);
  const { mode, answer } = current();
  renderParts(runs);
  renderPeople(answer);
  byId("tiles").replaceChildren(...panels.tiles(all));
  byId("steps").replaceChildren(panels.timings(all));
  const from = state.models.length > 1 ? "download.from" : "download";
  byId("download-from").textContent = say(from, { mode: panels.inSentence(mode) });
}

function renderParts(runs) {
  const answers = runs.map(({ answer }) => answer);
  const entries = panels.legend(answers);
  byId("legend").replaceChildren(...entries);
  byId("heads").hidden = entries.length === 0;
  byId("heads").replaceChildren(...panels.legendHead(runs.map(({ mode }) => mode), answers));
  byId("parts-hint").textContent = say(entries.length ? "parts.hint" : "parts.none");
  const same = sameShare(runs);
  byId("agreement").hidden = same === null;
  byId("agreement").textContent = same === null ? "" : say("agreement", { share: percent(same) });
}

/** Share of the pixels on which the two runs that are compared agree; null where nothing is compared. */
const sameShare = (runs) => (runs.length > 1 ? agreement(runs[0].layer, runs[1].layer) : null);

function renderPeople(answer) {
  const { kind, found } = answer.people;
  byId("people").replaceChildren(...panels.people(answer));
  byId("people-note").hidden = kind !== "regions" || found.length === 0;
  byId("people-none").hidden = found.length > 0;
}

/** What to say when all is there: what was found, or how two runs compare. */
function summary() {
  const runs = shown();
  const { answer } = current();
  return () => (runs.length > 1 ? comparison(runs) : findings(answer)).join(" · ");
}

const inMilliseconds = (answer) => `${milliseconds(answer.timings_ms.total)} ms`;

function findings(answer) {
  const { parts, people } = answer;
  const counts = [sayCount("done.parts", parts.length), sayCount(`done.${people.kind}`, people.found.length)];
  return [...counts, inMilliseconds(answer)];
}

function comparison(runs) {
  const times = runs.map(({ mode, answer }) => `${say(`mode.${mode}`)} ${inMilliseconds(answer)}`);
  const same = sameShare(runs);
  return same === null ? times : [...times, say("done.agreement", { share: percent(same) })];
}

function tell(text, kind, again = null) {
  state.message = { text, kind, again };
  renderMessage();
}

function renderMessage() {
  const { text, kind, again } = state.message;
  byId("message").textContent = text();
  byId("news").className = `news ${kind}`;
  byId("retry").hidden = again === null;
  document.body.classList.toggle("busy", kind === "busy");
}

// ---------------------------------------------------------------------------------------------------- highlighting

/** Show one entry of the legend or of the people alone: {part} or {person}; null: everything. */
function highlight(entry) {
  const answer = current()?.answer;
  const person = entry?.person === undefined ? null : answer?.people.found[entry.person];
  picture.setPart(entry?.part ?? null);
  picture.setBox(person?.box ?? null, answer?.size);
}

/** Name the part under the pointer, in the legend and in the picture's tip. */
function describe(name) {
  for (const entry of document.querySelectorAll("[data-part]"))
    entry.classList.toggle("current", entry.dataset.part === name);
  return name === null ? "" : partName(name);
}

/** Where nothing hovers, an entry that is pressed again shall let go at once. */
const CAN_HOVER = matchMedia("(hover: hover)").matches;

const sameEntry = (one, other) => one?.part === other?.part && one?.person === other?.person;

function entryOf(node) {
  const data = node.closest(".entry")?.dataset;
  if (!data) return null;
  return data.part === undefined ? { person: Number(data.person) } : { part: data.part };
}

function pin(entry) {
  state.pinned = entry;
  markPinned();
}

function markPinned() {
  for (const node of document.querySelectorAll(".entry"))
    node.ariaPressed = `${state.pinned !== null && sameEntry(entryOf(node), state.pinned)}`;
}

function press(entry) {
  pin(sameEntry(entry, state.pinned) ? null : entry);
  highlight(state.pinned ?? (CAN_HOVER ? entry : null));
}

function listenToEntries(side) {
  const look = ({ target }) => highlight(entryOf(target) ?? state.pinned);
  const lookAway = () => highlight(state.pinned);
  side.addEventListener("mouseover", look);
  side.addEventListener("mouseleave", lookAway);
  side.addEventListener("focusin", look);
  side.addEventListener("focusout", lookAway);
  side.addEventListener("click", ({ target }) => {
    const entry = entryOf(target);
    if (entry) press(entry);
  });
}

// ---------------------------------------------------------------------------------------------------- downloads

const DOWNLOADS = {
  map: ({ answer }) => [blobOf(answer.map, "image/png"), "parts.png"],
  json: ({ answer }) => {
    const { map, ...rest } = answer;
    return [new Blob([JSON.stringify(rest, null, 1)], { type: "application/json" }), "result.json"];
  },
  mosaic: async ({ photo, mode }) => {
    const signal = begin();
    let file = null;
    const work = async () => {
      tell(() => say("busy.mosaic"), "busy");
      const { mosaic } = await parse(photo.blob, mode, "mosaic", state.token, signal);
      file = [blobOf(mosaic, "image/jpeg"), "mosaic.jpg"];
      tell(summary(), "done");
    };
    await attempt(signal, work, () => download("mosaic"));
    return file;
  },
};

async function download(kind) {
  const { photo } = state;
  const run = current();
  if (!run) return; // another photo or model is under way
  const file = await DOWNLOADS[kind]({ photo, ...run });
  if (file) save(file[0], `${photo.name.replace(/\.[^.]*$/, "")}-${run.mode}-${file[1]}`);
}

// ---------------------------------------------------------------------------------------------------- events

function listen() {
  byId("choose").onclick = () => byId("files").click();
  byId("files").onchange = (event) => {
    addPhotos(event.target.files);
    event.target.value = "";
  };
  byId("camera").onclick = addFromCamera;
  byId("examples").onclick = ({ target }) => {
    const button = target.closest("button");
    if (button) addExample(button.dataset.example);
  };
  byId("retry").onclick = () => {
    state.message.again();
    byId("message").focus();
  };
  byId("clear").onclick = clear;
  byId("photos").onclick = ({ target }) => {
    const button = target.closest("button");
    if (button) select(state.photos[button.dataset.place]);
  };
  byId("opacity").oninput = ({ target }) => picture.setOpacity(target.value / 100);
  byId("divider").oninput = ({ target }) => divide(target.value / 1000);
  byId("views").onchange = ({ target }) => chooseView(target.value);
  byId("languages").onclick = ({ target }) => {
    if (target.dataset.language) chooseLanguage(target.dataset.language);
  };
  byId("token").onsubmit = useToken;
  document.querySelectorAll("[data-download]").forEach((node) => {
    node.onclick = () => download(node.dataset.download);
  });
  listenToEntries(byId("side"));
  listenToDrops();
  document.addEventListener("paste", ({ clipboardData }) => addPhotos(clipboardData.files));
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    pin(null);
    highlight(null);
  });
}

function listenToDrops() {
  const hover = (on) => document.body.classList.toggle("dragging", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    hover(true);
  });
  addEventListener("dragleave", (event) => hover(event.relatedTarget !== null));
  addEventListener("drop", (event) => {
    event.preventDefault();
    hover(false);
    addPhotos(event.dataTransfer.files);
  });
}

function chooseView(view) {
  state.view = view;
  if (view !== SPLIT) state.mode = view;
  if (state.photo) update();
}

function chooseLanguage(language) {
  speak(language);
  render();
}

function divide(share) {
  byId("frame").style.setProperty("--divide", share);
  picture.setDivide(share);
}

function useToken(event) {
  event.preventDefault();
  state.token = byId("token-text").value.trim();
  connect();
}

async function start() {
  speak(preferredLanguage());
  renderWords();
  listen();
  byId("camera").hidden = !(await hasCamera());
  await connect();
}

start();
