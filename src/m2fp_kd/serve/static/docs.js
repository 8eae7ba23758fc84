// The OpenAPI document as a page on which every operation can be tried.

const document_ = await (await fetch("openapi.json")).json();
const token = document.querySelector("#token");
token.hidden = !Object.values(document_.paths).some((path) => Object.values(path).some((one) => one.security));

/** An element with attributes and children. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A control for a query parameter: a choice where the document lists values, else text. */
function control({ name, schema, description = "" }) {
  const input = schema.enum
    ? element("select", { name }, ...schema.enum.map((value) => element("option", {}, value)))
    : element("input", { name, value: schema.default ?? "" });
  return element("label", {}, `${name} `, input, element("small", {}, ` ${description}`));
}

/** Long texts of an answer, such as base64, cut short for reading. */
function shortened(key, value) {
  return typeof value === "string" && value.length > 80 ? `${value.slice(0, 60)}… (${value.length} characters)` : value;
}

async function ask(path, method, form, output) {
  const query = new URLSearchParams([...form.querySelectorAll("[name]")].map((one) => [one.name, one.value]));
  const headers = token.hidden ? {} : { Authorization: `Bearer ${token.querySelector("input").value}` };
  const files = form.querySelector("input[type=file]")?.files ?? [];
  let body;
  if (method === "post") {
    body = new FormData();
    for (const file of files) body.append("photo", file);
  }
  output.textContent = "…";
  const start = performance.now();
  try {
    const answer = await fetch(`${path.slice(1)}${query.size ? `?${query}` : ""}`, { method, headers, body });
    const said = JSON.stringify(await answer.json(), shortened, 2);
    output.textContent = `${answer.status} ${answer.statusText}, ${Math.round(performance.now() - start)} ms\n${said}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

/** The card of one operation. */
function operation(path, method, { summary, parameters = [], requestBody, responses }) {
  const output = element("pre", { "aria-live": "polite" });
  const form = element("form", {}, ...parameters.map(control));
  if (requestBody) {
    const several = path.endsWith("batch") ? { multiple: "" } : {};
    form.append(element("label", {}, "photo ", element("input", { type: "file", accept: "image/*", ...several })));
  }
  form.append(element("button", { class: "primary" }, "Try it"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(path, method, form, output);
  });
  const rows = Object.entries(responses).map(([status, { description }]) =>
    element("tr", {}, element("th", { scope: "row" }, status), element("td", {}, description)),
  );
  const answers = element("details", {}, element("summary", {}, "Answers"), element("table", {}, ...rows));
  const title = element("h2", {}, element("code", {}, `${method.toUpperCase()} ${path}`));
  return element("section", { class: "card operation" }, title, element("p", {}, summary), form, output, answers);
}

document.querySelector("#operations").append(
  ...Object.entries(document_.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, details]) => operation(path, method, details)),
  ),
);
