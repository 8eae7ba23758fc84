/** The models: the switch between them, their timings, and the server's facts about them. */

import { el } from "./dom.js";
import { SPLIT } from "./state.js";
import { milliseconds, number, say, sayCount } from "./words.js";

const STEPS = ["queue", "read", "place", "network", "restore", "people", "labels", "total"];
const ENGINES = {
  openvino: "OpenVINO", onnxruntime: "ONNX Runtime", torchscript: "TorchScript",
  wasm: "ONNX Runtime Web, WebAssembly", webgpu: "ONNX Runtime Web, WebGPU",
};
const BACKBONES = {
  mobilenetv3: "MobileNetV3", mobilenetv3_small: "MobileNetV3-Small", shufflenetv2: "ShuffleNetV2",
  efficientnet_lite0: "EfficientNet-Lite0", efficientnet_lite1: "EfficientNet-Lite1",
  efficientnet_lite2: "EfficientNet-Lite2", resnet18: "ResNet-18", resnet34: "ResNet-34", resnet50: "ResNet-50",
  resnet101: "ResNet-101",
};

/** A choice of the view, a model or the comparison; `describeView` fills it in. */
export function viewChoice(view) {
  const words = ["name", "time", "what"].map((className) => el("span", { className }));
  const bar = el("span", { className: "bar", hidden: view === SPLIT }, el("i", { className: view }));
  const face = el("span", { className: "face" }, ...words, bar);
  return el("label", { className: "view" }, el("input", { type: "radio", name: "view", value: view }), face);
}

/** Fill in the name of a `viewChoice` and, once known, the time that it took for the photo of the runs. */
export function describeView(label, view, runs) {
  const times = runs.map(({ answer }) => answer.timings_ms.total);
  const time = times[runs.findIndex(({ mode }) => mode === view)] ?? null;
  const compared = view === SPLIT && runs.length > 1;
  label.querySelector(".name").textContent = say(`mode.${view}`);
  label.querySelector(".what").textContent = compared ? fasterWords(runs, times) : say(`what.${view}`);
  label.querySelector(".time").textContent = time === null ? "" : milliseconds(time);
  label.querySelector("i").style.width = time === null ? "0" : `${(100 * time) / Math.max(...times)}%`;
}

function fasterWords(runs, times) {
  const [least, most] = [Math.min(...times), Math.max(...times)];
  const { mode } = runs[times.indexOf(least)];
  return say("faster", { mode: say(`mode.${mode}`), factor: number(most / least, 1) });
}

/** The artefact that answers: backbone, kind, precision, engine. */
export function title({ backbone, head, precision, engine }) {
  const known = [backboneName(backbone), say(`head.${head}`), precision.toUpperCase(), engineName(engine)];
  return known.filter(Boolean).join(" · ");
}

const backboneName = (name) => BACKBONES[name] ?? name;
const engineName = (name) => ENGINES[name] ?? name;

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

/** The server's facts about its models. */
export function facts(models) {
  const rows = {
    backbone: ({ backbone }) => backboneName(backbone) ?? say("unknown"),
    head: ({ head }) => say(`head.${head}`),
    precision: ({ precision }) => precision.toUpperCase(),
    megabytes: ({ megabytes }) => `${number(megabytes, megabytes < 10 ? 1 : 0)} MB`,
    engine: ({ engine, threads }) => [engineName(engine), threads && sayCount("fact.threads", threads)].filter(Boolean).join(", "),
    compute_precision: ({ compute_precision }) => compute_precision,
    input: ({ input }) => `${input} px`,
    labels: ({ label_set: { name, parts } }) => say("fact.parts", { name, count: parts.length }),
    people: ({ people }) => say(people === "persons" ? "yes" : "no"),
    teacher: ({ teacher }) => teacher ?? "–",
    licence: ({ licence }) => licence ?? say("unknown"),
  };
  return table(
    ["", ...models.map(({ mode }) => say(`mode.${mode}`))],
    Object.entries(rows).map(([name, value]) => [say(`fact.${name}`), ...models.map(value)]),
  );
}

function table(head, rows) {
  const cell = (tag, scope) => (text) => el(tag, scope ? { scope } : {}, text);
  const heads = head.map((text) => (text ? cell("th", "col")(text) : el("td")));
  const lines = rows.map(([first, ...rest]) => el("tr", {}, cell("th", "row")(first), ...rest.map(cell("td"))));
  return el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...lines));
}
