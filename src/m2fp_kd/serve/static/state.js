/** What the page knows, and questions about it. */

/**
 * A photo of the visitor.
 * @typedef {object} Photo
 * @property {Blob} blob
 * @property {string} name
 * @property {string} address of the blob, for its thumbnail
 * @property {Object<string, {answer: object, layer: object}>} runs by mode: the API's answer and the decoded part map
 */

export const SPLIT = "split";

export const state = {
  models: [],
  limits: null,
  token: "",
  /** @type {Photo[]} */
  photos: [],
  /** @type {Photo|null} */
  photo: null,
  /** The photo that the picture shows: not yet the chosen one while that is being decoded. */
  drawn: null,
  /** A mode, or SPLIT. */
  view: null,
  /** The mode last chosen: what the people and the downloads are of. */
  mode: null,
  /** The legend's or people's entry that was pressed: {part} or {person}. */
  pinned: null,
  /** What is said under the picture, in whichever language; kind: "busy", "done" or "bad"; what to try again. */
  message: { text: () => "", kind: "done", again: null },
};

/** Whether an answer is waited for. */
export const isBusy = () => state.message.kind === "busy";

/** The modes that the view needs. */
export const wantedModes = () => (state.view === SPLIT ? state.models.map(({ mode }) => mode) : [state.view]);

/** Runs of a photo that are there, in the models' order: mode, the API's answer, the part map. */
export const runsOf = (photo) =>
  state.models.map(({ mode }) => ({ mode, ...photo?.runs[mode] })).filter(({ answer }) => answer);

/** Runs that the view shows and that are there. */
export const shown = () => runsOf(state.photo).filter(({ mode }) => wantedModes().includes(mode));

/** The run that people and downloads are of. */
export const current = () => shown().find(({ mode }) => mode === state.mode) ?? shown()[0];
