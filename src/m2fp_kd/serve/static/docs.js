/** Show the OpenAPI document as a page on which every operation can be tried. */

import { byId, el } from "./dom.js";
import { listenToLanguage, useLanguage } from "./language.js";
import { bearer } from "./server.js";
import { number, say } from "./words.js";

const LONGEST = 200;

/** The card of one operation. The document's own texts are English. */
function operation(path, method, { summary, parameters = [], requestBody, responses }) {
  const output = el("pre", { role: "status", tabIndex: 0, ariaLabel: path, hidden: true });
  const fields = parameters.map(control);
  if (requestBody) fields.push(photoField(path.endsWith("/batch")));
  const button = el("button", { className: "primary", data: { say: "api.try" } });
  const form = el("form", {}, el("div", { className: "fields" }, ...fields), button);
  form.onsubmit = async (event) => {
    event.preventDefault();
    output.hidden = false;
    output.textContent = "…";
    output.textContent = await ask(path, method, form);
  };
  const rows = Object.entries(responses).map(([status, { description }]) =>
    el("tr", {}, el("th", { scope: "row" }, status), el("td", {}, description)),
  );
  const answers = el("details", {}, el("summary", { data: { say: "api.answers" } }), el("table", {}, ...rows));
  const title = el("h2", {}, el("span", { className: "method" }, method.toUpperCase()), el("code", {}, path));
  answers.lang = title.lang = "en";
  return el("section", { className: "card" }, title, el("p", { lang: "en" }, summary), form, output, answers);
}

/** A control for a query parameter: a selection where the document lists values, else a text field. */
function control({ name, schema, description = "" }) {
  const field = schema.enum
    ? el("select", { name }, ...schema.enum.map((value) => el("option", {}, value)))
    : el("input", { name, value: schema.default });
  return el("label", {}, el("code", {}, name), field, el("small", { lang: "en" }, description));
}

const photoField = (multiple) =>
  el("label", {}, el("code", {}, "photo"), el("input", { type: "file", accept: "image/*", multiple }));

/** Send a form and return the answer as text. */
async function ask(path, method, form) {
  const query = new URLSearchParams([...form.querySelectorAll("[name]")].map(({ name, value }) => [name, value]));
  const start = performance.now();
  try {
    const answer = await fetch(`${path.slice(1)}?${query}`, { method, headers: byId("token").hidden ? {} : bearer(byId("token-text").value), body: bodyOf(form) });
    const text = JSON.stringify(await answer.json(), shortened, 2);
    return `${answer.status} ${answer.statusText}, ${number(performance.now() - start)} ms\n${text}`;
  } catch (error) {
    return `${say("error.unreachable")}\n${error}`;
  }
}

/** The chosen photos as a form; undefined where the operation takes no photos. */
function bodyOf(form) {
  const files = form.querySelector("[type=file]")?.files;
  if (!files) return undefined;
  const body = new FormData();
  for (const file of files) body.append("photo", file);
  return body;
}

/** Shorten long strings of an answer, such as base64, for display. */
function shortened(key, value) {
  if (typeof value !== "string" || value.length <= LONGEST) return value;
  return say("api.long", { start: value.slice(0, LONGEST), count: number(value.length) });
}

const { paths } = await (await fetch("openapi.json")).json();
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, details]) => operation(path, method, details)),
);
byId("token").hidden = !Object.values(paths).some((methods) => Object.values(methods).some(({ security }) => security));
byId("token").onsubmit = (event) => event.preventDefault();
byId("operations").append(...operations);
useLanguage();
listenToLanguage(byId("languages"));
