/** Results as files. */

import { cutPart, cutPerson } from "./cutout.js";
import { save } from "./dom.js";
import { ApiError } from "./errors.js";
import { summary, tell } from "./render.js";
import { current, isBusy, state } from "./state.js";
import { attempt, begin, request } from "./work.js";
import { say } from "./words.js";

const KINDS = {
  map: ({ answer }) => [answer.map, "parts.png"],
  json: ({ answer: { map, ...rest } }) => [
    new Blob([JSON.stringify(rest, null, 1)], { type: "application/json" }),
    "result.json",
  ],
  mosaic: (run) =>
    withAnswer(run, "mosaic", ({ mosaic }) => [mosaic, "mosaic.jpg"]),
  cutout: (run) => (state.pinned.part === undefined ? personFile(run) : partFile(run)),
};

async function partFile({ photo, answer, layer }) {
  const { part } = state.pinned;
  return [await cutPart(photo.blob, answer, layer.labels, part), `${part}.png`];
}

/** The masks of people are requested when one is cut out, because an answer would be large with all of them. */
function personFile(run) {
  const { person } = state.pinned;
  const { kind } = run.answer.people;
  return withAnswer(run, "rle", async ({ people }) => [
    await cutPerson(run.photo.blob, people.found[person]),
    `${{ persons: "person", regions: "region" }[kind]}-${person + 1}.png`,
  ]);
}

/** Request another kind of result and return the file that `make` makes of it; null after an error. */
async function withAnswer({ photo, mode, answer }, kind, make) {
  const signal = begin();
  let file = null;
  const work = async () => {
    const busy = () => tell(() => say(`busy.${kind}`), "busy");
    busy();
    const found = await request(photo, mode, kind, signal, busy);
    if (found.model !== answer.model) throw new ApiError("models_changed", found.model);
    file = await make(found);
    signal.throwIfAborted();
    tell(summary(), "done");
  };
  await attempt(signal, work, () => download(kind === "rle" ? "cutout" : kind), photo);
  return signal.aborted ? null : file;
}

/** Save the "map", the "json", the "mosaic" or the "cutout" of the current run. */
export async function download(kind) {
  const { photo } = state;
  const run = current();
  if (!run || isBusy()) return;
  const file = await KINDS[kind]({ photo, ...run });
  if (file) save(file[0], `${photo.name.replace(/\.[^.]*$/, "")}-${run.mode}-${file[1]}`);
}
