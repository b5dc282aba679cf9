// The rooms on one side, the people on the other.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { Own } from "./account.js";
import { Display, Face, Icon } from "./display.js";
import { Person } from "./manage.js";
import { Talk } from "./room.js";
import { hue, roomNamed } from "./text.js";

const MORE = 30; // other rooms that are listed

const Count = ({ room }) => html`<b class=${room.mentioned ? "count mention" : "count"}>${room.mentioned ? "@ " : ""}${room.unread}<span
  class="hidden"> unread${room.mentioned ? `, ${room.mentioned} for you` : ""}</span></b>`;

export function Rooms({ chat, close }) {
  const field = useRef(null), going = useRef("");
  const open = (name, key = "") => {
    going.current = name;
    chat.open(name, key, "rooms");
  };
  useEffect(() => { // the reader is in the requested room
    if (!going.current || going.current !== chat.current) return;
    going.current = field.current.value = "";
    close(true);
  });
  const join = (event) => {
    event.preventDefault();
    const [room, key, ...rest] = field.current.value.trim().split(/\s+/), name = roomNamed(room);
    const isKey = key && !rest.length && chat.directory.some((known) => known.name === name);
    if (isKey) open(name, key);
    else if (name) open(roomNamed(field.current.value));
  };
  const others = chat.directory.filter((room) => !chat.rooms.has(room.name));
  const more = Math.max(0, others.length - MORE) + chat.unlisted;
  const button = (room) => html`<li key=${room.name}><button class=${room.name === chat.current ? "current" : ""}
      aria-current=${room.name === chat.current ? "true" : undefined} onClick=${() => open(room.name)}>
      <span dir="auto">${room.title}</span>${room.unread > 0 && html`<${Count} room=${room} />`}</button></li>`;
  return html`<nav class="rooms" aria-label="Rooms">
    <h2>Rooms</h2>
    <ul>${[...chat.rooms.values()].map(button)}</ul>
    ${chat.talks.size > 0 && html`<h2>Private</h2><ul>${chat.talks.values().map(button)}</ul>`}
    ${others.length > 0 && html`<h2>More rooms</h2><ul>${others.slice(0, MORE).map((room) => html`<li key=${room.name}>
      <button onClick=${() => open(room.name)} title=${room.topic}><span dir="auto">${room.name}</span><i>${room.members}<span class="hidden"> people</span></i></button></li>`)}
      ${more > 0 && html`<li class="more" key=" more">and ${more.toLocaleString()} more</li>`}</ul>`}
    <form onSubmit=${join}><label for="room" class="hidden">Join or create a room</label>
      <input id="room" ref=${field} dir="auto" placeholder="Join or create" maxlength="66" autocapitalize="off" spellcheck=${false}
        aria-describedby="why-not" />
      <button aria-label="Join">+</button></form>
    <div id="why-not"><${Knock} chat=${chat} from="rooms" open=${open} /></div>
    <p class="me">You are <b class=${hue(chat.nick)}><bdi>${chat.nick}</bdi></b></p>
    <${Own} chat=${chat} />
    <${Display} chat=${chat} />
    ${"Notification" in window && Notification.permission === "default" && html`<button class="ask"
      onClick=${() => Notification.requestPermission().then(() => chat.changed())}>Notify me when I am mentioned</button>`}
  </nav>`;
}

// Why a room was not entered, and what would help: its key, or another name.
export function Knock({ chat, from, open }) {
  const field = useRef(null), knock = chat.knock;
  const wantsKey = knock?.code === "bad-key" && knock.from === from;
  useEffect(() => { if (wantsKey) field.current.focus(); }, [wantsKey, knock?.room]);
  if (!knock?.error || knock.from !== from) return null;
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

export function People({ chat, room, close }) {
  const members = room instanceof Talk ? [room.nick, chat.nick] : room?.members ?? [], more = room?.more ?? 0;
  const sign = (nick) => (room.operators.includes(nick) ? "@" : ""); // an operator, as in nc and IRC
  const name = (nick) => html`<${Face} nick=${nick} /><span>${sign(nick)}<bdi>${nick}</bdi>${nick === chat.nick ? " (you)" : ""}</span>`;
  const [whom, choose] = useState("");
  const acts = !(room instanceof Talk) && room?.may.some((action) => action === "kick" || action === "set modes");
  const write = (nick) => { chat.show(chat.talks.with(nick, room.users.get(nick)).name); close(true); };
  return html`<aside class="people" aria-label="People in the room">
    <h2>People (${(members.length + more).toLocaleString()})</h2>
    <ul>${[...members].sort((a, b) => a.localeCompare(b)).map((nick) => html`<li key=${nick}>${nick === chat.nick || room instanceof Talk
      ? html`<span class=${hue(nick)}>${name(nick)}</span>`
      : html`<button class=${hue(nick)} title=${`Write to ${nick} privately`} onClick=${() => write(nick)}>${name(nick)}</button>
        ${acts && html`<button class="acts-on" aria-label=${`What to do with ${nick}`} title=${`What to do with ${nick}`} onClick=${() => choose(nick)}><${Icon} name="more" /></button>`}`}</li>`)}
      ${more > 0 && html`<li class="more" key=" more">and ${more.toLocaleString()} more</li>`}</ul>
    ${whom && acts && html`<${Person} chat=${chat} room=${room} nick=${whom} close=${() => choose("")} write=${write} />`}
  </aside>`;
}
