// The commands that begin with what is typed after a slash, with the help that the server has for them.
import { html, useEffect, useState } from "./vendor/htm-preact.js";

const SHOWN = 8;
let table = null; // a promise of the server's table, which does not change while it runs

const load = (chat) => (table ??= chat.account.ask("commands").then((said) => {
  if (said.failed) table = null;
  return said.commands ?? [];
}));

const PART = /^\/([^\s/]*)$/;

// The commands that a text may become; [] if it is none, or has one already.
export function useCommands(chat, text) {
  const [all, setAll] = useState([]), part = PART.exec(text)?.[1].toLowerCase();
  useEffect(() => { if (part !== undefined) load(chat).then(setAll); }, [part === undefined]);
  return part === undefined ? [] : all.filter(({ name }) => name.startsWith(part)).slice(0, SHOWN);
}

export function Offers({ found, choose }) {
  if (!found.length) return null;
  return html`<ul class="offers" aria-label="Commands">${found.map(({ name, usage, help }) => html`<li key=${name}><button type="button"
    onClick=${() => choose(name)}><b>/${name}</b> <i>${usage}</i> <span>${help}</span></button></li>`)}</ul>`;
}
