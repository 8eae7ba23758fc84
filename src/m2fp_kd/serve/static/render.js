/** Render the state. Elements that can have the focus are kept; only their texts change. */

import { byId, el, rgb } from "./dom.js";
import { CAN_HOVER, picture, showPinned } from "./highlighting.js";
import { partEntries, partHeads, peopleEntries, peopleHeads } from "./legend.js";
import { describeView, facts, timings, title, viewChoice } from "./models.js";
import { agreement } from "./part_map.js";
import { offered } from "./sources.js";
import { current, isBusy, labelsFor, runsOf, shown, SPLIT, state, translationsOf, wantedModes } from "./state.js";
import { milliseconds, modeName, percent, say, sayCount } from "./words.js";

export function render() {
  const runs = shown();
  renderMessage();
  renderPlaces();
  renderModels();
  renderPhotos();
  for (const id of ["side", "timings", "downloads"]) byId(id).hidden = runs.length === 0;
  if (runs.length) renderResults(runs);
  showLayers();
}

/** Say where photos are parsed. */
function renderPlaces() {
  byId("places").hidden = offered().length < 2;
  document.querySelector("[data-page=docs]").hidden = !offered().includes("server");
  byId("private").textContent = say(`private.${state.where}`);
  for (const button of byId("places").querySelectorAll("button"))
    button.ariaPressed = `${button.dataset.where === state.where}`;
}

/** Make the switch between the models again when it is next rendered. */
export const forgetModels = () => byId("views").querySelectorAll("label").forEach((label) => label.remove());

function renderModels() {
  const { models, limits } = state;
  byId("models").hidden = models.length === 0;
  byId("views").hidden = models.length < 2;
  byId("invite").textContent = say(CAN_HOVER ? "invite" : "invite.touch");
  if (!models.length) return;
  byId("limits").textContent = say(`limits.${state.where}`, limits);
  byId("models-title").textContent = say(models.length > 1 ? "models" : "models.one");
  byId("facts").replaceChildren(facts(models));
  byId("ribbon").replaceChildren(...models[0].label_set.colours.slice(1).map(stripe));
  byId("answering").replaceChildren(...wantedModes().map(answering));
  renderDemo(models.find(({ demo }) => demo));
  renderViews();
  renderLabels(models.find(({ mode }) => mode === state.mode));
}

/** Offer the label sets of the model chosen last, its own first. */
function renderLabels(model) {
  const translations = translationsOf(model);
  const own = el("option", { value: "" }, model.label_set.name);
  byId("labels-choice").hidden = translations.length === 0;
  byId("labels").replaceChildren(own, ...translations.map((value) => el("option", { value }, value)));
  byId("labels").value = labelsFor(model.mode);
}

function renderDemo(model) {
  byId("demo").hidden = !model;
  if (!model) return;
  const score = model.score ? say("demo.score", { ...model.score, miou: percent(model.score.miou) }) : "";
  byId("demo").textContent = [say("demo"), score, model.licence && say("demo.terms", model)].filter(Boolean).join(" ");
}

function stripe(colour) {
  const node = el("i");
  node.style.backgroundColor = rgb(colour);
  return node;
}

function answering(wanted) {
  const dot = el("span", { className: `dot ${wanted}` });
  const words = title(state.models.find(({ mode }) => mode === wanted));
  return el("span", {}, ...(state.models.length > 1 ? [dot] : []), words);
}

function renderViews() {
  const views = [...state.models.map(({ mode }) => mode), SPLIT];
  const box = byId("views");
  if (!box.querySelector("label")) box.append(...views.map(viewChoice));
  const runs = runsOf(state.photo);
  for (const label of box.querySelectorAll("label")) {
    const input = label.querySelector("input");
    input.checked = input.value === state.view;
    describeView(label, input.value, runs);
  }
}

export function renderPhotos() {
  document.body.classList.toggle("has-photo", state.photo !== null);
  byId("strip").hidden = state.photos.length < 2 && !state.photo?.failure;
  byId("parse-all").hidden = byId("clear").hidden = state.photos.length < 2;
  const list = byId("photos");
  const shown = [...list.querySelectorAll("button")].map(({ dataset }) => dataset.address);
  if (`${shown}` !== `${state.photos.map(({ address }) => address)}`)
    list.replaceChildren(...state.photos.map(thumbnail));
  list.querySelectorAll("button").forEach(labelThumbnail);
}

function thumbnail(photo, place) {
  const image = el("img", { src: photo.address, alt: "", decoding: "async", loading: "lazy" });
  image.onerror = () => image.replaceWith(el("small", {}, photo.name));
  return el("li", {}, el("button", { type: "button", data: { place, address: photo.address } }, image));
}

function labelThumbnail(button, place) {
  const photo = state.photos[place];
  const words = { number: place + 1, name: photo.name };
  button.ariaLabel = say(photo.failure ? "photos.show.failed" : "photos.show", words);
  button.title = photo.failure?.() ?? photo.name;
  button.classList.toggle("failed", photo.failure !== null);
  button.ariaPressed = `${photo === state.photo}`;
}

/** Lay the part maps over the photo once it is decoded. */
export function showLayers() {
  const runs = state.drawn === state.photo ? shown() : [];
  const split = runs.length > 1;
  picture.setLayers(runs.map(({ layer }) => layer));
  byId("divider").hidden = !split;
  byId("frame").classList.toggle("split", split);
  showPinned();
}

function renderResults(runs) {
  const { mode, answer } = current();
  renderParts(runs);
  renderPeople(mode, answer);
  byId("steps").replaceChildren(timings(runsOf(state.photo)));
  const from = state.models.length > 1 ? "download.from" : "download";
  byId("download-from").textContent = say(from, { mode: modeName(mode) });
  renderDownloads(state.models.find((model) => model.mode === mode));
}

/** Offer the files that the model gives. A model in the browser gives no masks and polygons. */
function renderDownloads({ probabilities }) {
  byId("confidence").hidden = !probabilities;
  byId("masks").hidden = byId("polygons").hidden = state.where === "device";
}

function renderParts(runs) {
  const answers = runs.map(({ answer }) => answer);
  const entries = partEntries(answers);
  const hint = entries.length ? `parts.hint${CAN_HOVER ? "" : ".touch"}` : "parts.none";
  byId("legend").replaceChildren(...entries);
  byId("heads").hidden = entries.length === 0;
  byId("heads").replaceChildren(...partHeads(runs.map(({ mode }) => mode), answers));
  const scored = answers.length === 1 && entries.length && answers[0].parts.some(({ score }) => score !== null);
  byId("parts-hint").textContent = [say(hint), ...(scored ? [say("parts.score")] : [])].join(" ");
  const same = sameShare(runs);
  byId("agreement").hidden = same === null;
  byId("agreement").textContent = same === null ? "" : say("agreement", { share: percent(same) });
}

/** Share of the pixels on which the two compared runs agree; null without a comparison. */
const sameShare = (runs) => (runs.length > 1 ? agreement(runs[0].layer, runs[1].layer) : null);

function renderPeople(mode, answer) {
  const { kind, found } = answer.people;
  const which = state.view === SPLIT ? "people.of" : "people";
  byId("people-title").textContent = say(which, { mode: modeName(mode) });
  byId("people-heads").hidden = found.length === 0;
  byId("people-heads").replaceChildren(...peopleHeads(answer));
  byId("people").replaceChildren(...peopleEntries(answer));
  byId("people-note").hidden = kind !== "regions";
  byId("people-none").hidden = found.length > 0;
  byId("people-none").textContent = say(`people.none.${kind}`);
}

/** Show `text()` under the picture; "busy" shows activity until the next text; `again` is offered as a retry. */
export function tell(text, kind, again = null) {
  state.message = { text, kind, again };
  renderMessage();
}

function renderMessage() {
  const { text, kind, again } = state.message;
  byId("message").textContent = text();
  byId("news").className = `news ${kind}`;
  byId("retry").hidden = again === null;
  byId("cancel").hidden = !isBusy();
  document.body.classList.toggle("busy", isBusy());
  for (const button of byId("downloads").querySelectorAll("button")) button.ariaDisabled = `${isBusy()}`;
}

/** The text once all results are there: the result, or the comparison of two runs. */
export function summary() {
  const runs = shown();
  const run = current();
  return () => (runs.length > 1 ? comparison(runs) : findings(run)).join(" · ");
}

const timed = ({ mode, answer }) => `${say(`mode.${mode}`)} ${milliseconds(answer.timings_ms.total)}`;

function findings(run) {
  const { parts, people } = run.answer;
  const time = state.models.length > 1 ? timed(run) : milliseconds(run.answer.timings_ms.total);
  return [sayCount("done.parts", parts.length), sayCount(`done.${people.kind}`, people.found.length), time];
}

function comparison(runs) {
  const same = sameShare(runs);
  return [...runs.map(timed), ...(same === null ? [] : [say("done.agreement", { share: percent(same) })])];
}
