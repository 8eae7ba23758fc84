/** Sources of photos (files, drops, clipboard, camera), and the choice of the photo that is shown. */

import { takePhoto } from "./camera.js";
import { byId } from "./dom.js";
import { picture, zoom } from "./highlighting.js";
import { render, renderPhotos, showLayers, tell } from "./render.js";
import { state } from "./state.js";
import { begin, update } from "./work.js";
import { say } from "./words.js";

/** Add photos and show the first of them. */
export function addPhotos(blobs) {
  const added = [...blobs].map((blob) => ({
    blob,
    name: blob.name,
    address: URL.createObjectURL(blob),
    runs: [],
    failure: null,
  }));
  if (!added.length) return;
  state.photos.push(...added);
  select(added[0]);
}

/** Show a photo and request its parsing. */
export async function select(photo) {
  state.photo = photo;
  state.pinned = null;
  zoom.reset();
  renderPhotos();
  if (state.models.length) update();
  await picture.load(photo.blob);
  if (state.photo !== photo) return;
  state.drawn = photo;
  showLayers();
}

/** Remove the photo that is shown, and show its neighbour. */
export function remove() {
  const place = state.photos.indexOf(state.photo);
  URL.revokeObjectURL(state.photo.address);
  state.photos.splice(place, 1);
  const next = state.photos[place] ?? state.photos.at(-1);
  if (!next) return clear();
  select(next);
  byId("photos").querySelectorAll("button")[state.photos.indexOf(next)].focus();
}

/** Remove all photos. */
export function clear() {
  begin();
  state.photos.forEach(({ address }) => URL.revokeObjectURL(address));
  Object.assign(state, { photos: [], photo: null, drawn: null, pinned: null });
  tell(() => "", "done");
  render();
  byId("choose").focus();
}

export async function addFromCamera() {
  try {
    const photo = await takePhoto(byId("viewfinder"));
    if (photo) addPhotos([photo]);
  } catch {
    tell(() => say("camera.refused"), "bad", addFromCamera);
  }
}

/** Add the page's own photo: Grace Hopper, by the US Navy, in the public domain. */
export async function addExample() {
  const response = await fetch("static/example.jpg").catch(() => null);
  if (!response?.ok) return tell(() => say("error.unreachable"), "bad", addExample);
  addPhotos([new File([await response.blob()], "grace-hopper.jpg", { type: "image/jpeg" })]);
}

/** Add photos that are pasted or dropped anywhere on the page. */
export function listenToDrops() {
  const hover = (on) => document.body.classList.toggle("dragging", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    hover(true);
  });
  addEventListener("dragleave", (event) => hover(event.relatedTarget !== null));
  addEventListener("drop", (event) => {
    event.preventDefault();
    hover(false);
    addPhotos(event.dataTransfer.files);
  });
  addEventListener("paste", ({ clipboardData }) => addPhotos(clipboardData.files));
}
