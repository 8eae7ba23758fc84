/** Texts, part names and numbers in the page's language. */

import { CHINESE } from "./chinese.js";
import { ENGLISH } from "./english.js";
import { PARTS_ZH } from "./parts_zh.js";

export const LANGUAGES = { en: ENGLISH, zh: CHINESE };

let language = "en";

/** Set the language, "en" or "zh". */
export const speak = (chosen) => (language = chosen);

export const spoken = () => language;

/** The text for `key`, with {names} filled in from `values`; the key itself where there is no text. */
export function say(key, values = {}) {
  const words = LANGUAGES[language][key] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Like `say`, for a counted thing: "1 part", "2 parts". */
export function sayCount(key, count) {
  const form = new Intl.PluralRules(language).select(count);
  return say(`${key}.${form}`, { count: number(count) });
}

/** Whether the language has a text for `key`. */
export const knows = (key) => key in LANGUAGES[language];

/** A mode's name inside a sentence. */
export const modeName = (mode) => say(`mode.${mode}`).toLowerCase();

/** A part's name in the page's language; the label set's own name without a translation. */
export const partName = (name) => (language === "zh" && PARTS_ZH[name]) || name;

export const number = (value, digits = 0) =>
  value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** 0.1234 as "12.3 %". A part that is present never gets "0.0 %". */
export function percent(share) {
  if (share === 0) return "0 %";
  return share < 0.0005 ? `< ${number(0.1, 1)} %` : `${number(100 * share, 1)} %`;
}

/** Milliseconds with three significant figures. */
export const milliseconds = (value) => `${number(value, value < 10 ? 1 : 0)} ms`;
