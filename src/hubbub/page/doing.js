// What acts on messages ask of the server: see acts.js. And what is written above the field meanwhile.
import { isSecret } from "./account.js";
import { cut } from "./text.js";
import { html } from "./vendor/htm-preact.js";

const TOO_LONG = "Not done: a message has at most 16,384 bytes.";

// Go to a message of which only the id is known.
export async function goTo(chat, room, id) {
  let seq = room.entries.find((entry) => entry.id === id)?.seq, failed = "That message is no longer there.";
  if (!seq) {
    const page = await chat.ask({ type: "history", room: room.address, around: id, limit: 1 });
    seq = page.entries.find((entry) => entry.id === id)?.seq;
    failed = page.failed ?? failed;
  }
  if (seq) chat.jump(room.name, seq); else chat.trouble(failed);
}

// Give the reader's own message the text in the field.
export async function correct(chat, room) {
  const { about } = room, text = about.text.trimEnd();
  if (about.busy) return;
  if (text === about.before) return chat.acts.end(room);
  about.failed = isSecret(text) ? "Not done: this is a command with a password." : new TextEncoder().encode(text).length > 16384 ? TOO_LONG : "";
  if (!about.failed) {
    about.busy = true;
    const { failed = "" } = await chat.ask({ type: "edit", room: room.address, id: about.id, text });
    Object.assign(about, { busy: false, failed });
    if (!failed && room.about === about) room.about = null;
  }
  chat.changed(about.failed);
}

// What is in the field is an answer or a correction, and why that was refused.
export function About({ about, close }) {
  return html`<div class="about"><p id="about" dir="auto">${about.edit ? "Correcting your message" : html`Replying to <b><bdi>${about.nick}</bdi></b>: ${
      cut(about.before.slice(0, 400).replace(/\s+/g, " "), 100)}`}</p>
    <button type="button" aria-label=${about.edit ? "Keep the message as it is" : "Do not reply"} onClick=${close}>✕</button>
    ${about.failed && html`<p role="alert" class="failed">${about.failed}</p>`}</div>`;
}
