/** From a photo's pixels to part map and people, as `m2fp_kd.runtime.Parser` does it. */

import { canvasMap, nearestMap, photoMap } from "./part_map.js";
import { findPersons } from "./persons.js";
import { stripsOf } from "./photo.js";
import { placed, placementOf } from "./placement.js";
import { connectedRegions } from "./regions.js";
import { partScores } from "./scores.js";

const SMALLEST_REGION = 0.001;

/**
 * Parse a photo.
 * @param {ImageBitmap} image
 * @param {{card: object, engine: object}} model
 * @param {Clock} clock gets the milliseconds of each step
 * @returns {Promise<{map: Uint8Array, size: number[], scores: Map, people: object[]}>}
 */
export async function parsePhoto(image, { card, engine }, clock) {
  const size = [image.height, image.width];
  const placement = placementOf(size, card.geometry);
  const canvas = placed(stripsOf(image), placement);
  clock.lap("place");
  const outputs = await engine.run(canvas, placement.canvas, wantedOutputs(card));
  clock.lap("network");
  const { map, scores } = restored(outputs, placement);
  clock.lap("restore");
  const persons = card.people === "persons";
  const people = persons ? personsIn(outputs, placement, card) : connectedRegions(map, size, halfEven(SMALLEST_REGION * map.length));
  if (persons) clock.lap("people");
  return { map, size, scores, people };
}

function wantedOutputs({ outputs, people }) {
  const dense = outputs.includes("part_logits") ? "part_logits" : "part_map";
  return [dense, ...(people === "persons" ? ["class_logits", "mask_logits"] : [])];
}

function restored({ part_logits: dense, part_map: coarse }, placement) {
  if (!dense) return { map: nearestMap(coarse.data, placement), scores: new Map() };
  const logits = { values: dense.data, parts: dense.dims[1], grid: dense.dims.slice(2) };
  const onCanvas = canvasMap(logits, placement.canvas);
  return { map: photoMap(logits, onCanvas, placement), scores: partScores(logits, onCanvas, placement.canvas) };
}

const personsIn = ({ class_logits: classes, mask_logits: masks }, placement, { label_set: { parts } }) =>
  findPersons(classes, masks, placement, parts.length);

/** Round to the nearest whole number, halves to the even one, as Python does. */
function halfEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
