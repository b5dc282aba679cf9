// How the page looks: icons, and the initials of people.
import { html } from "./vendor/htm-preact.js";
import { hue } from "./text.js";

const SHAPES = {
  menu: "M3 6h18M3 12h18M3 18h18",
  search: "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12M15 15l6 6",
  people: "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M2 20c0-4 3-6 7-6s7 2 7 6M16 5.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2.5.8 4 2.7 4 5.5",
  share: "M9 13l6 4M15 7l-6 4M6 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M18 3.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M18 15.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
  hand: "M6 12V7M10 11V4M14 11V4M18 12V7M6 12c0 12 12 12 12 0",
  more: "M5 11.5v1M12 11.5v1M19 11.5v1",
};

// A small picture on a button, whose name stands beside it in words.
export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${SHAPES[name]} /></svg>`;

// The first letters of a name: of two words of it, or the first one alone.
function initials(nick) {
  const words = nick.split(/[^\p{L}\p{N}\p{M}]+/u).filter(Boolean);
  return (words.length > 1 ? words.slice(0, 2) : [nick]).map((word) => [...word][0]).join("").toUpperCase();
}

// They are drawn by the style sheet: nobody reads or copies them as text.
export const Face = ({ nick }) => html`<i class=${`face ${hue(nick)}`} aria-hidden="true" data-initials=${initials(nick)}></i>`;
