/** The page's state and functions that read it. */

/**
 * A photo that the visitor has chosen.
 * @typedef {object} Photo
 * @property {Blob} blob
 * @property {string} name
 * @property {string} address object URL of the blob, for its thumbnail
 * @property {Blob} [sent] what the server gets: the blob, or the browser's JPEG of it
 * @property {Run[]} runs finished runs
 * @property {(() => string)|null} failure why the photo cannot be parsed, as a function that returns the text
 */

/**
 * What a model has found in a photo.
 * @typedef {object} Run
 * @property {string} mode
 * @property {string} labels label set of the answer; "" for the model's own
 * @property {object} answer the API's answer
 * @property {object} layer the decoded part map
 */

export const SPLIT = "split";

export const state = {
  /** Where photos are parsed, "device" or "server". */
  where: null,
  models: [],
  limits: null,
  token: "",
  /** @type {Photo[]} */
  photos: [],
  /** @type {Photo|null} */
  photo: null,
  /** The photo in the picture; the previous one while the chosen photo is being decoded. */
  drawn: null,
  /** A mode, or SPLIT. */
  view: null,
  /** The mode chosen last, to which the people and the downloads belong. */
  mode: null,
  /** The label set in which models answer that know it; "" for the model's own. */
  labels: "",
  /** The pressed entry of the legend or of the people: {part} or {person}. */
  pinned: null,
  /** The text under the picture as a function, its kind ("busy", "done" or "bad") and the action of a retry. */
  message: { text: () => "", kind: "done", again: null },
};

/** Whether the page waits for an answer. */
export const isBusy = () => state.message.kind === "busy";

/** The modes that the view needs. */
export const wantedModes = () => (state.view === SPLIT ? state.models.map(({ mode }) => mode) : [state.view]);

/** The names of the label sets to which a model's answers can be translated. A model in the browser has none. */
export const translationsOf = ({ label_set: own, label_sets: sets = [own] }) =>
  sets.map(({ name }) => name).filter((name) => name !== own.name);

/** The label set to request of a mode: the chosen one if its model knows it, else "" for its own. */
export function labelsFor(mode) {
  const model = state.models.find((one) => one.mode === mode);
  return model && translationsOf(model).includes(state.labels) ? state.labels : "";
}

/** The finished run of a mode in the chosen label set. */
export const runOf = (photo, wanted) =>
  photo?.runs.find(({ mode, labels }) => mode === wanted && labels === labelsFor(mode));

/** The finished runs of a photo in the chosen label set, in the models' order. */
export const runsOf = (photo) => state.models.map(({ mode }) => runOf(photo, mode)).filter(Boolean);

/** The finished runs that the view shows. */
export const shown = () => runsOf(state.photo).filter(({ mode }) => wantedModes().includes(mode));

/** The run to which the people and the downloads belong. */
export const current = () => shown().find(({ mode }) => mode === state.mode) ?? shown()[0];
