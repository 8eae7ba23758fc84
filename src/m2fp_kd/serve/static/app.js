/** The page's event handlers. */

import { parseAll } from "./batch.js";
import { hasCamera } from "./camera.js";
import { byId } from "./dom.js";
import { download } from "./downloads.js";
import { letGo, listenToEntries, picture } from "./highlighting.js";
import { listenToLanguage, useLanguage } from "./language.js";
import { addExample, addFromCamera, addPhotos, clear, listenToDrops, remove, select } from "./photos.js";
import { render } from "./render.js";
import { offered } from "./sources.js";
import { SPLIT, state } from "./state.js";
import { cancel, connect, moveTo, update } from "./work.js";
import { percent } from "./words.js";

function listen() {
  byId("choose").onclick = () => byId("files").click();
  byId("files").onchange = ({ target }) => {
    addPhotos(target.files);
    target.value = "";
  };
  byId("camera").onclick = addFromCamera;
  byId("example").onclick = addExample;
  onButton(byId("photos"), ({ place }) => select(state.photos[place]));
  onButton(byId("places"), ({ where }) => moveTo(where));
  onButton(byId("downloads"), (data) => download(data.download));
  byId("retry").onclick = () => {
    state.message.again();
    byId("message").focus();
  };
  byId("cancel").onclick = cancel;
  byId("remove").onclick = remove;
  byId("clear").onclick = clear;
  byId("parse-all").onclick = parseAll;
  byId("opacity").oninput = showOpacity;
  byId("divider").oninput = showDivider;
  byId("labels").onchange = ({ target }) => chooseLabels(target.value);
  byId("views").onchange = ({ target }) => chooseView(target.value);
  byId("token").onsubmit = useToken;
  listenToLanguage(byId("languages"), render);
  listenToEntries(byId("side"));
  listenToDrops();
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") letGo();
  });
}

function onButton(list, act) {
  list.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button) act(button.dataset);
  });
}

function showOpacity() {
  const { value } = byId("opacity");
  byId("opacity-value").textContent = byId("opacity").ariaValueText = `${value} %`;
  picture.setOpacity(value / 100);
}

function showDivider() {
  const { value, max } = byId("divider");
  byId("divider").ariaValueText = percent(value / max);
  picture.setDivide(value / max);
}

function chooseView(view) {
  state.view = view;
  if (view !== SPLIT) state.mode = view;
  if (state.photo) update();
  else render();
}

/** Show and save results in another label set; its parts have other names, so none stays selected. */
function chooseLabels(labels) {
  Object.assign(state, { labels, pinned: null });
  update();
}

function useToken(event) {
  event.preventDefault();
  state.token = byId("token-text").value.trim();
  connect();
}

async function start() {
  [state.where] = offered();
  if (!offered().includes("server")) navigator.serviceWorker?.register("offline.js");
  useLanguage();
  listen();
  showOpacity();
  showDivider();
  render();
  byId("camera").hidden = !(await hasCamera());
  await connect();
}

start();
