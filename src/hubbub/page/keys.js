// The keys of the page, as a dialogue and for /help.
import { Dialogue } from "./dialogue.js";
import { html } from "./vendor/htm-preact.js";

const KEYS = [
  ["Ctrl+K", "Search."], ["Alt+Up, Alt+Down", "Go to the next room."], ["Up", "In an empty field, correct your last message."],
  ["Up, Down", "Bring back what you said; in the messages, go to the next one."], ["Enter", "On a message, open its menu."],
  ["Tab", "Complete a name or a command."], ["Shift+Enter", "Begin a new line."], ["Escape", "Go back to the message field."],
  ["?", "Show these keys."],
];

// The lines that /help shows of them, in the form of the server's lines.
export const keyLines = () => ["", "Keys on this page:", ...KEYS.map(([key, what]) => `${key}: ${what}`)];

export const Keys = ({ close }) => html`<${Dialogue} title="Keys" close=${close}><dl class="keys">${KEYS.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl><//>`;
