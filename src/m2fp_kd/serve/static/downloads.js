/** Results as files. */

import { parse } from "./api.js";
import { blobOf, save } from "./dom.js";
import { summary, tell } from "./render.js";
import { current, isBusy, state } from "./state.js";
import { attempt, begin } from "./work.js";
import { say } from "./words.js";

const KINDS = {
  map: ({ answer }) => [blobOf(answer.map, "image/png"), "parts.png"],
  json: ({ answer: { map, ...rest } }) => [
    new Blob([JSON.stringify(rest, null, 1)], { type: "application/json" }),
    "result.json",
  ],
  mosaic: async ({ photo, mode }) => {
    const signal = begin();
    let file = null;
    const work = async () => {
      tell(() => say("busy.mosaic"), "busy");
      const { mosaic } = await parse(photo.blob, mode, "mosaic", state.token, signal);
      file = [blobOf(mosaic, "image/jpeg"), "mosaic.jpg"];
      tell(summary(), "done");
    };
    await attempt(signal, work, () => download("mosaic"));
    return file;
  },
};

/** Save the "map", the "json" or the "mosaic" of the current run. */
export async function download(kind) {
  const { photo } = state;
  const run = current();
  if (!run || isBusy()) return;
  const file = await KINDS[kind]({ photo, ...run });
  if (file) save(file[0], `${photo.name.replace(/\.[^.]*$/, "")}-${run.mode}-${file[1]}`);
}
