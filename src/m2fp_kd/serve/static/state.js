/** The page's state and functions that read it. */

/**
 * A photo that the visitor has chosen.
 * @typedef {object} Photo
 * @property {Blob} blob
 * @property {string} name
 * @property {string} address object URL of the blob, for its thumbnail
 * @property {Blob} [sent] what the server gets: the blob, or the browser's JPEG of it
 * @property {Object<string, {answer: object, layer: object}>} runs mode -> the API's answer and the decoded part map
 * @property {(() => string)|null} failure why the photo cannot be parsed, as a function that returns the text
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
  /** The label set of downloads; "" for the model's own. */
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

/** The finished runs of a photo in the models' order: mode, the API's answer, the part map. */
export const runsOf = (photo) =>
  state.models.map(({ mode }) => ({ mode, ...photo?.runs[mode] })).filter(({ answer }) => answer);

/** The finished runs that the view shows. */
export const shown = () => runsOf(state.photo).filter(({ mode }) => wantedModes().includes(mode));

/** The run to which the people and the downloads belong. */
export const current = () => shown().find(({ mode }) => mode === state.mode) ?? shown()[0];
