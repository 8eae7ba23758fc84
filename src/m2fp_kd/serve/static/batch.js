/** Parse all photos in a row and save the results in one archive. */

import { save } from "./dom.js";
import { render, tell } from "./render.js";
import { labelsFor, runOf, state } from "./state.js";
import { attempt, begin, isFinal, parseMissing, reasonOf } from "./work.js";
import { number, say } from "./words.js";
import { zip } from "./zip.js";

const MOST_WAITS = 20;

/** Parse every photo with the model and label set chosen last, and save the part maps and results as a ZIP. */
export async function parseAll() {
  const signal = begin();
  await attempt(signal, () => parseEach([...state.photos], state.mode, signal), parseAll);
  if (!signal.aborted) render();
}

async function parseEach(photos, mode, signal) {
  const counts = { count: number(photos.length) };
  for (const [place, photo] of photos.entries()) {
    const words = { ...counts, number: number(place + 1), name: photo.name };
    const report = () => tell(() => say("busy.all", words), "busy");
    await parseOne(photo, () => parseMissing(photo, [mode], signal, report), signal);
  }
  const done = photos.filter((photo) => runOf(photo, mode));
  const failures = photos.filter((photo) => !done.includes(photo)).map(({ failure }) => failure);
  const origin = [mode, labelsFor(mode)].filter(Boolean).join("-");
  if (done.length) save(await zip(filesOf(done, mode)), `m2fp-kd-${origin}.zip`);
  const words = () => ({ ...counts, done: number(done.length), failed: failures.map((reason) => reason()).join(" ") });
  tell(() => say(failures.length ? "done.all.but" : "done.all", words()), failures.length ? "bad" : "done");
}

/** Parse a photo, waiting where the server asks for it. An error of the photo itself is kept with the photo. */
async function parseOne(photo, parse, signal) {
  for (let waits = 0; ; waits++) {
    try {
      return await parse();
    } catch (error) {
      if (isFinal(error)) return (photo.failure = reasonOf(error, photo));
      if (!error.retryAfter || waits === MOST_WAITS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
      signal.throwIfAborted();
    }
  }
}

function filesOf(photos, mode) {
  const stems = uniqueStems(photos);
  return photos.flatMap((photo, place) => {
    const { map, ...result } = runOf(photo, mode).answer;
    return [
      { name: `${stems[place]}-parts.png`, blob: map },
      { name: `${stems[place]}-result.json`, blob: new Blob([JSON.stringify(result, null, 1)]) },
    ];
  });
}

/** File names without ending; equal ones are told apart by a number. */
function uniqueStems(photos) {
  const taken = new Set();
  return photos.map(({ name }) => {
    const stem = name.replace(/\.[^.]*$/, "");
    let unique = stem;
    for (let copy = 2; taken.has(unique.toLowerCase()); copy++) unique = `${stem}-${copy}`;
    taken.add(unique.toLowerCase());
    return unique;
  });
}
