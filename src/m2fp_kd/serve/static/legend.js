/** The lists of parts and people beside the picture, as functions from the API's answers to elements. */

import { el, rgb } from "./dom.js";
import { number, partName, percent, say } from "./words.js";

/**
 * One button for every part that is in any of the answers, largest first.
 * @param {object[]} answers one, or two to compare
 * @returns {HTMLElement[]}
 */
export function partEntries(answers) {
  const names = [...new Set(answers.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  const rows = names.map((name) => row(name, answers)).sort((a, b) => b.largest - a.largest);
  const top = rows.length ? rows[0].largest : 1;
  return rows.map((one) => partEntry(one, one.largest / top, answers.length > 1));
}

function row(name, answers) {
  const found = answers.map(({ parts }) => parts.find((part) => part.name === name));
  const shares = found.map((part) => part?.share ?? 0);
  const { colour, score } = found.find(Boolean);
  return { name, colour, score, shares, largest: Math.max(...shares) };
}

function partEntry({ name, colour, score, shares, largest }, length, compared) {
  const swatch = el("span", { className: "swatch" });
  const bar = el("i");
  swatch.style.backgroundColor = bar.style.backgroundColor = rgb(colour);
  bar.style.width = `${100 * length}%`;
  const share = (compared ? shares : [largest]).map(percent);
  const marks = { before: [swatch], after: [el("span", { className: "bar" }, bar)] };
  return entry({ part: name }, partName(name), share, compared ? null : score, marks);
}

/** One button for every person or region. */
export function peopleEntries({ people: { kind, found }, size }) {
  const pixels = size[0] * size[1];
  return found.map(({ area, score }, place) =>
    entry({ person: place }, say(`people.${kind}`, { number: place + 1 }), [percent(area / pixels)], score),
  );
}

function entry(data, name, shares, score, { before = [], after = [] } = {}) {
  const scored = score === null ? [] : [number(score, 2)];
  const values = { name, share: shares.join(" / "), score: scored[0] };
  const button = el(
    "button",
    { type: "button", className: "entry", ariaPressed: "false", data },
    ...before,
    el("span", { className: "name" }, name),
    ...after,
    ...[...shares, ...scored].map((figure) => el("span", { className: "figure" }, figure)),
  );
  button.ariaLabel = say(scored.length ? "entry.score" : "entry", values);
  return el("li", {}, button);
}

/** The column heads of the parts; without the score where the artefact gives none. */
export function partHeads(modes, answers) {
  const scored = answers.some(({ parts }) => parts.some(({ score }) => score !== null));
  const compared = modes.map((mode) => say(`mode.${mode}`));
  return heads(say("part"), modes.length > 1 ? compared : [say("share"), ...(scored ? [say("score")] : [])]);
}

/** The column heads of the people. */
export function peopleHeads({ people: { found } }) {
  const scored = found.some(({ score }) => score !== null);
  return heads("", [say("share"), ...(scored ? [say("score")] : [])]);
}

const heads = (first, figures) => [first, ...figures].map((text) => el("span", {}, text));
