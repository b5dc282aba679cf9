// The commands that begin with what is typed after a slash, with the help that the server has for them.
import { html } from "./vendor/htm-preact.js";

const SHOWN = 8;
let table = null; // a promise of the server's table, which does not change while it runs

const load = (chat) => (table ??= chat.account.ask("commands").then((said) => {
  if (said.failed) table = null;
  return said.commands ?? [];
}));

// A promise of the commands that begin with a part of a name.
export async function matching(chat, part) {
  return (await load(chat)).filter(({ name }) => name.startsWith(part)).slice(0, SHOWN);
}

export function Offers({ found, choose }) {
  return html`<ul class="offers" aria-label="Commands">${found.map(({ name, usage, help }) => html`<li key=${name}><button type="button"
    onClick=${() => choose(name)}><b>/${name}</b> <i>${usage}</i> <span>${help}</span></button></li>`)}</ul>`;
}
