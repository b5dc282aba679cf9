// The pinned messages of a room, above its log.
import { html, useState } from "./vendor/htm-preact.js";

// The pinned messages of a room: the newest, or all of them.
export function Pins({ chat, room }) {
  const [open, setOpen] = useState(false);
  const pins = [...room.pins].reverse(), more = pins.length - 1;
  const row = ({ id, text, by }) => html`<li key=${id}><button class="pinned" dir="auto" title=${`Pinned by ${by}`} onClick=${() => chat.acts.goTo(room, id)}>
    <span class="hidden">Pinned: </span>${text}</button>${open && chat.acts.rules(room, "pin") && html`<button onClick=${() => chat.acts.pin(room, id, false)}>Unpin</button>`}</li>`;
  return html`<section class="pins" aria-label="Pinned messages"><ul>${(open ? pins : pins.slice(0, 1)).map(row)}</ul>
    ${(more > 0 || chat.acts.rules(room, "pin")) && html`<button aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "Less" : more > 0 ? `${more} more` : "Change"}</button>`}</section>`;
}
