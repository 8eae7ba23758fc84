/** Results as files. */

import { cutPart, cutPerson } from "./cutout.js";
import { blobOf, save } from "./dom.js";
import { ApiError } from "./errors.js";
import { summary, tell } from "./render.js";
import { current, isBusy, state } from "./state.js";
import { attempt, begin, request } from "./work.js";
import { knows, say } from "./words.js";
import { zip } from "./zip.js";

/** Kind of a file -> the function that makes it of a run. */
const KINDS = {
  map: ({ answer }) => [answer.map, "parts.png"],
  json: ({ answer }) => jsonFile(answer, "result.json"),
  mosaic: (run) => requested(run, "mosaic", ({ mosaic }) => [mosaic, "mosaic.jpg"]),
  masks: (run) => requested(run, "masks", async (answer) => [await masksOf(answer), "masks.zip"]),
  polygons: (run) => requested(run, "polygons", (answer) => jsonFile(answer, "polygons.json")),
  confidence: (run) => requested(run, "confidence", ({ confidence }) => [confidence, "confidence.png"]),
  cutout: (run) => (state.pinned.part === undefined ? personFile(run) : partFile(run)),
};

function jsonFile({ map, ...rest }, name) {
  return [new Blob([JSON.stringify(rest, null, 1)], { type: "application/json" }), name];
}

/** The masks of parts and persons as a ZIP, with the names that `m2fp-kd parse --write masks` gives them. */
function masksOf({ parts, people }) {
  const three = (number) => `${number}`.padStart(3, "0");
  const safe = (name) => name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64) || "x";
  const ofPart = ({ index, name, mask }) => ({ name: `${three(index)}_${safe(name)}.png`, blob: blobOf(mask, "image/png") });
  const ofPerson = ({ mask }, place) => ({ name: `person_${three(place + 1)}.png`, blob: blobOf(mask, "image/png") });
  const persons = people.found.filter(({ mask }) => mask);
  return zip([...parts.map(ofPart), ...persons.map(ofPerson)]);
}

/** Request the results that bear the name of a kind of file, and make the file of them. */
const requested = (run, kind, make) => withAnswer(run, kind, kind, make);

async function partFile({ photo, answer, layer }) {
  const { part } = state.pinned;
  return [await cutPart(photo.blob, answer, layer.labels, part), `${part}.png`];
}

/** The masks of people are requested when one is cut out, because an answer would be large with all of them. */
function personFile(run) {
  const { person } = state.pinned;
  const { kind } = run.answer.people;
  return withAnswer(run, "cutout", "rle", async ({ people }) => [
    await cutPerson(run.photo.blob, people.found[person]),
    `${{ persons: "person", regions: "region" }[kind]}-${person + 1}.png`,
  ]);
}

/**
 * Request results in the run's label set and return the file that `make` makes of them; null after an error.
 * @param {object} run
 * @param {string} kind kind of the file
 * @param {string} wants results to request
 * @param {(answer: object) => [Blob, string]|Promise<[Blob, string]>} make
 */
async function withAnswer({ photo, mode, labels, answer }, kind, wants, make) {
  const signal = begin();
  let file = null;
  const work = async () => {
    const words = knows(`busy.${wants}`) ? `busy.${wants}` : "busy.file";
    const busy = () => tell(() => say(words), "busy");
    busy();
    const found = await request(photo, mode, wants, signal, busy, labels);
    if (found.model !== answer.model) throw new ApiError("models_changed", found.model);
    file = await make(found);
    signal.throwIfAborted();
    tell(summary(), "done");
  };
  await attempt(signal, work, () => download(kind), photo);
  return signal.aborted ? null : file;
}

/** Save a file of the current run; `kind` is a key of `KINDS`. */
export async function download(kind) {
  const { photo } = state;
  const run = current();
  if (!run || isBusy()) return;
  const file = await KINDS[kind]({ photo, ...run });
  if (!file) return;
  const [blob, name] = file;
  const origin = [photo.name.replace(/\.[^.]*$/, ""), run.mode, run.labels].filter(Boolean);
  save(blob, [...origin, name].join("-"));
}
