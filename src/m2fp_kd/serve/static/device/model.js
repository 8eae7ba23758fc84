/** The model of this page: its card, its facts and its engine. */

import { ApiError } from "../errors.js";
import { broken, file, missing, openEngine } from "./engine.js";

/** The layout of a card that this page reads, as `m2fp_kd.runtime.artefact.FORMAT`. */
const FORMAT = 2;

/**
 * Load the model.
 * @param {string|null} wanted engine, as in `openEngine`
 * @returns {Promise<{card: object, facts: object, limits: object, engine: object}>}
 */
export async function loadModel(wanted) {
  const [card, page] = [await json("card.json"), await json("facts.json")];
  if (card.format !== FORMAT)
    throw new ApiError(
      "device.card",
      `The model's card has format ${card.format}, but this page reads format ${FORMAT}. Export the page again.`,
    );
  const engine = await openEngine(wanted, card.precision);
  const facts = { ...page.facts, engine: engine.name, threads: engine.threads };
  return { card, facts, limits: page.limits, engine };
}

async function json(name) {
  const response = await file(name);
  if (!response) throw missing(name);
  return response.json().catch(() => {
    throw broken(name);
  });
}
