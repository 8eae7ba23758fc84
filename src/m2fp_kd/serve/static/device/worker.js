/** The worker that parses photos. Messages are {id, action, ...}; it answers {id, result} or {id, error}. */

import { ApiError } from "../errors.js";
import { answerOf } from "./answer.js";
import { Clock } from "./clock.js";
import { loadModel } from "./model.js";
import { parsePhoto } from "./parse.js";
import { decoded } from "./photo.js";

const ACTIONS = { load, parse };

let model = null;
/** The last photo's key and result, of which more kinds of answers may be wanted. */
let last = { key: null };
let turn = Promise.resolve();

onmessage = ({ data: { id, action, ...values } }) => {
  turn = turn.then(async () => {
    try {
      postMessage({ id, result: await ACTIONS[action](values) });
    } catch (error) {
      postMessage({ id, error: described(error) });
    }
  });
};

async function load({ engine }) {
  model = await loadModel(engine);
  return { models: [model.facts], limits: model.limits, token: false };
}

async function parse({ key, blob, wants }) {
  const wanted = new Set(wants.split(","));
  const clock = new Clock();
  const image = last.key === key && !wanted.has("mosaic") ? null : await decoded(blob, model.limits);
  clock.lap("read");
  try {
    if (last.key !== key) last = { key, result: await parsePhoto(image, model, clock), timings: clock.timings };
    return await answerOf({ ...last.result, timings: last.timings }, wanted, model.facts, image);
  } finally {
    image?.close();
  }
}

function described(error) {
  if (error instanceof ApiError) return { code: error.code, message: error.message };
  if (error instanceof RangeError)
    return { code: "device.memory", message: "This device has too little free memory for this photo. Choose a smaller one." };
  return { code: "device.failed", message: `This browser cannot parse the photo: ${error.message}` };
}
