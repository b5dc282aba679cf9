// How text, names and times look.
import { html } from "/page/vendor/htm-preact.js";

const LINK = /\bhttps?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}]/g;

export function linked(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(at, match.index));
    parts.push(html`<a href=${match[0]} target="_blank" rel="noopener noreferrer nofollow">${match[0]}</a>`);
    at = match.index + match[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}

// One of 12 hues, the same for a name everywhere; the style sheet gives each a tone for either ground.
export function hue(name) {
  let sum = 7;
  for (const char of name.normalize("NFKC").toLowerCase()) sum = (sum * 31 + char.codePointAt(0)) % 9973;
  return `hue-${sum % 12}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const timeOf = (seconds) => clock.format(seconds * 1000);
export const dayOf = (seconds) => day.format(seconds * 1000);
export const whenOf = (seconds) => full.format(seconds * 1000);

export function mentions(text, nick) {
  if (!nick) return false;
  const within = text.toLowerCase(), sought = nick.toLowerCase(), letter = /[\p{L}\p{N}_]/u;
  for (let at = -1; (at = within.indexOf(sought, at + 1)) >= 0; ) {
    if (!letter.test(within[at - 1] ?? " ") && !letter.test(within[at + sought.length] ?? " ")) return true;
  }
  return false;
}
