/** Link the picture with the lists beside it: a part or person under the pointer is shown alone. */

import { byId } from "./dom.js";
import { Picture } from "./picture.js";
import { current, state } from "./state.js";
import { partName, say } from "./words.js";
import { Zoom } from "./zoom.js";

/** On devices without hover, a second press on an entry releases it at once. */
export const CAN_HOVER = matchMedia("(hover: hover)").matches;

export const zoom = new Zoom(byId("frame"), byId("zoom"));
export const picture = new Picture(byId("frame"), describe, pressPicture);

/** Show one entry alone, {part} or {person}; null shows everything. */
function highlight(entry) {
  const answer = current()?.answer;
  const person = entry?.person === undefined ? null : answer?.people.found[entry.person];
  picture.setPart(entry?.part ?? null);
  picture.setBox(person?.box ?? null, answer?.size);
}

/** Name the part under the pointer in the legend and in the picture's tip. */
function describe(name) {
  for (const entry of document.querySelectorAll("[data-part]"))
    entry.classList.toggle("current", entry.dataset.part === name);
  return name === null ? "" : partName(name);
}

/** Show and mark the pressed entry, if there is one. */
export function showPinned() {
  highlight(state.pinned);
  for (const node of document.querySelectorAll(".entry"))
    node.ariaPressed = `${state.pinned !== null && sameEntry(entryOf(node), state.pinned)}`;
  const cutout = byId("cutout");
  cutout.hidden = byId("frame").hidden || !canCut(state.pinned);
  if (state.pinned) cutout.firstElementChild.textContent = say("download.cutout", { name: nameOf(state.pinned) });
}

/** Whether the model to which the downloads belong has found the entry; the other of two compared may have found more. */
function canCut(entry) {
  return entry !== null && (entry.part === undefined || current().answer.parts.some(({ name }) => name === entry.part));
}

function nameOf({ part, person }) {
  if (part !== undefined) return partName(part);
  return say(`people.${current().answer.people.kind}`, { number: person + 1 });
}

/** Show everything again. */
export function letGo() {
  state.pinned = null;
  showPinned();
}

/** A click on the picture selects the part there, the next one its person, the next one everything. */
function pressPicture(part, x, y) {
  const person = personAt(x, y);
  if (part === null) state.pinned = null;
  else if (state.pinned?.part === part && person !== null) state.pinned = { person };
  else state.pinned = state.pinned?.person === person && state.pinned !== null ? null : { part };
  showPinned();
}

/** The person with the smallest box around a position in shares of width and height; null without one. */
function personAt(x, y) {
  const { people, size } = current().answer;
  const [row, column] = [y * size[0], x * size[1]];
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  const around = ({ box: [left, top, right, bottom] }) => left <= column && column < right && top <= row && row < bottom;
  const [smallest] = people.found.filter(around).sort((a, b) => area(a.box) - area(b.box));
  return smallest ? people.found.indexOf(smallest) : null;
}

function press(entry) {
  state.pinned = sameEntry(entry, state.pinned) ? null : entry;
  showPinned();
  if (CAN_HOVER) highlight(entry);
}

const sameEntry = (one, other) => one?.part === other?.part && one?.person === other?.person;

function entryOf(node) {
  const data = node.closest(".entry")?.dataset;
  if (!data) return null;
  return data.part === undefined ? { person: Number(data.person) } : { part: data.part };
}

/** Follow the pointer, the focus and presses on the entries within `side`. */
export function listenToEntries(side) {
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
