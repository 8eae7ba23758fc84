/** Link the picture with the lists beside it: a part or person under the pointer is shown alone. */

import { byId } from "./dom.js";
import { Picture } from "./picture.js";
import { current, state } from "./state.js";
import { partName } from "./words.js";

/** On devices without hover, a second press on an entry releases it at once. */
export const CAN_HOVER = matchMedia("(hover: hover)").matches;

export const picture = new Picture(byId("frame"), describe);

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
}

/** Show everything again. */
export function letGo() {
  state.pinned = null;
  showPinned();
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
