/** The answer for a photo, with the fields of the service's API. */

import { encodeMask } from "../run_lengths.js";
import { mosaic } from "./mosaic.js";
import { indexPng } from "./png.js";
import { maskOf, placesOf } from "./regions.js";

/**
 * @param {object} parsed result of `parsePhoto`
 * @param {Set<string>} wants "map", "rle", "mosaic"
 * @param {object} facts facts of the model, as the API's list of models has them
 * @param {ImageBitmap} image
 */
export async function answerOf(parsed, wants, facts, image) {
  const { map, size, people, timings } = parsed;
  const { colours } = facts.label_set;
  const answer = {
    mode: facts.mode,
    model: facts.id,
    labels: facts.label_set.name,
    licence: facts.licence,
    size,
    parts: partsOf(parsed, facts.label_set),
    people: {
      kind: facts.people,
      found: people.map(({ box, score, area, runs }) => ({
        ...{ box, score, area },
        ...(wants.has("rle") && { rle: encodeMask(maskOf({ runs }, size), size) }),
      })),
    },
    timings_ms: timings,
  };
  if (wants.has("map")) answer.map = await indexPng(map, size, colours);
  if (wants.has("mosaic")) answer.mosaic = await mosaic(image, map, answer.parts, colours);
  return answer;
}

function partsOf({ map, size, scores }, { parts, colours }) {
  return placesOf(map, size)
    .filter(({ index }) => index)
    .map(({ index, area, box }) => ({
      index,
      name: parts[index],
      colour: colours[index],
      area,
      share: area / map.length,
      box,
      score: scores.get(index) ?? null,
    }));
}
