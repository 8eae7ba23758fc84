/** What stands beside the picture: parts, people, timings, facts. Functions from results to elements. */

import { el, rgb } from "./dom.js";
import { knows, milliseconds, number, partName, percent, say } from "./words.js";

const STEPS = ["queue", "read", "place", "network", "restore", "people", "total"];
const ENGINES = { openvino: "OpenVINO", onnxruntime: "ONNX Runtime", torchscript: "TorchScript" };

/**
 * The legend: one button for every part that any of the results has, largest first.
 * @param {object[]} results answers of the API: one, or two to compare
 * @returns {HTMLElement[]}
 */
export function legend(results) {
  const names = [...new Set(results.flatMap((result) => result.parts.map((part) => part.name)))];
  const rows = names.map((name) => row(name, results)).sort((a, b) => b.largest - a.largest);
  const top = rows.length ? rows[0].largest : 1;
  return rows.map((one) => legendEntry(one, one.largest / top, results.length > 1));
}

function row(name, results) {
  const found = results.map((result) => result.parts.find((part) => part.name === name));
  const shares = found.map((part) => part?.share ?? 0);
  const { colour, score } = found.find(Boolean);
  return { name, colour, score, shares, largest: Math.max(...shares) };
}

function legendEntry({ name, colour, score, shares, largest }, length, compared) {
  const swatch = el("span", { className: "swatch" });
  const bar = el("i");
  swatch.style.backgroundColor = bar.style.backgroundColor = rgb(colour);
  bar.style.width = `${100 * length}%`;
  const scored = !compared && score !== null;
  const figures = compared ? shares.map(percent) : [percent(largest), ...(scored ? [number(score, 2)] : [])];
  const shown = partName(name);
  const label = entryLabel(shown, compared ? figures.join(" / ") : figures[0], scored ? score : null);
  const button = el(
    "button",
    { type: "button", className: "entry part", ariaLabel: label, ariaPressed: "false", data: { part: name } },
    swatch,
    el("span", { className: "name" }, shown),
    el("span", { className: "bar" }, bar),
    ...figures.map((figure) => el("span", { className: "figure" }, figure)),
  );
  return el("li", {}, button);
}

/** What a screen reader says of an entry. */
const entryLabel = (name, share, score) =>
  score === null ? say("entry", { name, share }) : say("entry.score", { name, share, score: number(score, 2) });

/** The heads of the legend's columns; there is no score where the artefact does not give it. */
export function legendHead(modes, results) {
  const scored = results.some(({ parts }) => parts.some(({ score }) => score !== null));
  const compared = modes.map((mode) => say(`mode.${mode}`));
  const figures = modes.length > 1 ? compared : [say("share"), ...(scored ? [say("score")] : [])];
  return [say("part"), ...figures].map((text) => el("span", {}, text));
}

/** One button for every person or region. */
export function people({ people: { kind, found }, size }) {
  const pixels = size[0] * size[1];
  return found.map((person, place) => {
    const name = say(`people.${kind}`, { number: place + 1 });
    const share = percent(person.area / pixels);
    const ariaLabel = entryLabel(name, share, person.score);
    const button = el(
      "button",
      { type: "button", className: "entry person", ariaLabel, ariaPressed: "false", data: { person: place } },
      el("span", { className: "name" }, name),
      el("span", { className: "figure" }, share),
      ...(person.score === null ? [] : [el("span", { className: "figure" }, number(person.score, 2))]),
    );
    return el("li", {}, button);
  });
}

/** Total times as tiles. */
export function tiles(runs) {
  const totals = runs.map(({ answer }) => answer.timings_ms.total);
  const slowest = Math.max(...totals);
  return runs.map(({ mode, place }, i) => {
    const bar = el("i", { className: `m${place + 1}` });
    bar.style.width = `${(100 * totals[i]) / slowest}%`;
    const words = totals[i] < slowest ? fasterWords(slowest / totals[i], runs[1 - i].mode) : "";
    const compared = [el("span", { className: "bar" }, bar), el("small", {}, words)];
    return el(
      "div",
      { className: "tile", data: { mode } },
      el("small", {}, el("span", { className: `dot m${place + 1}` }), say(`mode.${mode}`)),
      el("b", {}, milliseconds(totals[i]), el("span", { className: "unit" }, " ms")),
      ...(runs.length > 1 ? compared : []),
    );
  });
}

const fasterWords = (factor, than) =>
  say("timings.compared", { factor: number(factor, 1), mode: inSentence(than) });

/** A mode's name inside a sentence. */
export const inSentence = (mode) => say(`mode.${mode}`).toLowerCase();

/** Milliseconds by step, one column for each run. */
export function timings(runs) {
  const asked = (step) => runs.some(({ answer }) => step in answer.timings_ms);
  const value = (answer, step) => (step in answer.timings_ms ? number(answer.timings_ms[step], 1) : "–");
  const rows = STEPS.filter(asked).map((step) => [
    say(`step.${step}`),
    ...runs.map(({ answer }) => value(answer, step)),
  ]);
  return table([say("timings.step"), ...runs.map(({ mode }) => say(`mode.${mode}`))], rows);
}

/** What the server says of its models. */
export function facts(models) {
  const labels = (set) => say("fact.parts", { name: set.name, count: set.parts.length });
  const rows = {
    title: (model) => model.title,
    precision: (model) => model.precision.toUpperCase(),
    megabytes: (model) => `${number(model.megabytes, model.megabytes < 10 ? 1 : 0)} MB`,
    engine: (model) => ENGINES[model.engine] ?? model.engine,
    arithmetic: (model) => model.arithmetic,
    input: (model) => `${model.input} px`,
    labels: (model) => labels(model.label_set),
    people: (model) => say(model.people === "persons" ? "yes" : "no"),
    teacher: (model) => model.teacher ?? "–",
    licence: (model) => model.licence ?? say("unknown"),
  };
  return table(
    ["", ...models.map(({ mode }) => say(`mode.${mode}`))],
    Object.entries(rows).map(([name, value]) => [say(`fact.${name}`), ...models.map(value)]),
  );
}

function table(head, rows) {
  const cell = (tag, scope) => (text) => el(tag, scope ? { scope } : {}, text);
  const heads = el("thead", {}, el("tr", {}, ...head.map(cell("th", "col"))));
  const lines = rows.map(([first, ...rest]) => el("tr", {}, cell("th", "row")(first), ...rest.map(cell("td"))));
  return el("table", {}, heads, el("tbody", {}, ...lines));
}

/** What an error says in the page's language, with the server's own words, and when to try again. */
export function errorWords({ code, message, retryAfter }) {
  const own = code === "unreachable" ? [say("unreachable")] : [message];
  const translated = knows(`error.${code}`) ? [say(`error.${code}`)] : [];
  const later = retryAfter ? [say("retry.after", { seconds: retryAfter })] : [];
  return [...translated, ...own, ...later].join(" ");
}
