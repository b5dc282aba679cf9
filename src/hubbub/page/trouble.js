// What keeps the reader from a room or from somebody, and what would help.
import { html, useLayoutEffect, useRef } from "./vendor/htm-preact.js";
import { cut } from "./text.js";

// Why a room was not entered, and what would help: its key, or another name.
export function Knock({ chat, from, open }) {
  const field = useRef(null), knock = chat.knock;
  const wantsKey = knock?.code === "bad-key" && knock.from === from;
  useLayoutEffect(() => { if (wantsKey) field.current.focus(); }, [wantsKey, knock?.room]);
  const enter = (event) => {
    event.preventDefault();
    const key = field.current.value.trim();
    if (key) open(knock.room, key);
  };
  const text = !wantsKey ? knock.error : knock.key ? `That is not the key of ${knock.room}.` : `${knock.room} needs its key.`;
  return html`<div class="knock"><p role="alert" dir="auto">${text}</p>
    ${wantsKey && html`<form class="key" onSubmit=${enter}><label for=${`key-${from}`} class="hidden">The key of ${knock.room}</label>
      <input id=${`key-${from}`} ref=${field} dir="auto" placeholder="Key" autocomplete="off" autocapitalize="off" spellcheck=${false} />
      <button>Join</button></form>`}
    ${knock.offer && html`<button type="button" onClick=${() => open(knock.offer)}>Join ${knock.offer}</button>`}
    <button aria-label="Close this" onClick=${() => chat.dismiss()}>✕</button></div>`;
}

// It is not known whether the user whom a conversation is with has the name still.
export function Doubt({ chat, talk }) {
  const why = talk.former ? `This conversation was with an earlier ${talk.nick}.`
    : talk.doubt === "left" ? `${talk.nick} has left. Somebody else may take the name.`
    : `The ${talk.nick} who is here now may be somebody else. Nothing is sent until you say so.`;
  return html`<div class="doubt"><p role="status" dir="auto">${why}</p>
    <button onClick=${() => chat.show(chat.talks.mean(talk).name)}>Write to the ${talk.nick} who is here now</button></div>`;
}

// A room from before the connection broke refuses the reader.
export function shutOut(chat, name, code, text) {
  const room = chat.rooms.get(name), unsent = chat.sending.in(name);
  if (!room) return;
  chat.part(name);
  if (code === "bad-key") chat.knock = { room: name, key: room.key, from: "", error: text, code, offer: "" };
  else {
    chat.sending.drop(name);
    chat.note([`You are no longer in ${name}: ${text}`, ...unsent.map((item) => `Not sent there: ${cut(item.text, 300)}`)], true);
  }
  chat.changed();
}
