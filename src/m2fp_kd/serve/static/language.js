/** The page's language. It is kept in the address, so nothing is stored. */

import { LANGUAGES, say, speak, spoken } from "./words.js";

const TAGS = { en: "en", zh: "zh-Hans" };

/** Use the language in the address, else the first of the browser's languages that the page supports. */
export function useLanguage() {
  const asked = new URLSearchParams(location.search).get("lang");
  const wanted = [asked, ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  speak(wanted.find((tag) => tag in LANGUAGES) ?? "en");
  translate();
}

/** Change the language when a button of `switcher` is pressed, then call `then` to render the rest again. */
export function listenToLanguage(switcher, then = () => {}) {
  switcher.addEventListener("click", ({ target }) => {
    if (!target.dataset.language) return;
    speak(target.dataset.language);
    history.replaceState(null, "", `?lang=${spoken()}`);
    translate();
    then();
  });
}

/** Fill in the texts that the document's markup names. */
function translate() {
  document.documentElement.lang = TAGS[spoken()];
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = say(node.dataset.label);
  for (const node of document.querySelectorAll("[data-language]"))
    node.ariaPressed = `${node.dataset.language === spoken()}`;
  for (const node of document.querySelectorAll("[data-page]")) node.href = `${node.dataset.page}?lang=${spoken()}`;
  document.title = `${say(document.body.dataset.title)} · m2fp-kd`;
}
