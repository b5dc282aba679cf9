// The rooms on one side, the people on the other.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { Own } from "./account.js";
import { Face, Icon } from "./display.js";
import { lazy } from "./lazy.js";
import { hue, roomNamed } from "./text.js";

const Display = lazy(() => import("./manage.js"), "Display"), Person = lazy(() => import("./person.js"), "Person");
const Share = lazy(() => import("./manage.js"), "Share"), RoomDialogue = lazy(() => import("./manage.js"), "RoomDialogue");
const Refused = lazy(() => import("./trouble.js"), "Knock");

const MORE = 30, PEOPLE = 500; // other rooms, and people, that are listed

const Count = ({ room }) => html`<b class=${room.mentioned ? "count mention" : "count"}>${room.mentioned ? "@ " : ""}${room.unread}<span
  class="hidden"> unread${room.mentioned ? `, ${room.mentioned} for you` : ""}</span></b>`;

export function Rooms({ chat, close, show }) {
  const field = useRef(null), going = useRef("");
  const [displays, display] = useState(false);
  const open = (name, key = "") => {
    going.current = name;
    chat.open(name, key, "rooms");
  };
  useLayoutEffect(() => { // the reader is in the requested room
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
  const others = chat.directory.filter((room) => !chat.rooms.has(room.name)), own = chat.directory.length - others.length;
  // The directory has the largest rooms: of those beyond it, the reader may be in some.
  const more = Math.max(0, others.length - MORE) + Math.max(0, chat.unlisted && chat.unlisted - (chat.rooms.size - own));
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
    ${chat.calls.length > 0 && html`<button class="calls" onClick=${() => show("mentions")}>Mentions <${Count} room=${{ unread: chat.calls.length, mentioned: chat.calls.length }} /></button>`}
    <p class="me">You are <b class=${hue(chat.nick)}><bdi>${chat.nick}</bdi></b></p>
    <${Own} chat=${chat} />
    <button class="display" onClick=${() => display(true)}>Display</button>
    ${displays && html`<${Display} chat=${chat} close=${() => display(false)} />`}
    ${"Notification" in window && Notification.permission === "default" && html`<button class="ask"
      onClick=${() => Notification.requestPermission().then(() => chat.changed())}>Notify me when I am mentioned</button>`}
  </nav>`;
}

// The buttons of a room in the header, and the dialogues that they open.
export function RoomButtons({ chat, room }) {
  const [open, go] = useState("");
  useLayoutEffect(() => go(""), [room?.name]);
  useEffect(() => { if (room && !room.isPrivate) chat.rights(room); }, [room?.name, room?.operators, room?.joined]);
  if (!room || room.isPrivate) return null;
  const close = () => go("");
  const waiting = room.hands.length + room.questions.length, teach = () => { room.kit = !room.kit; chat.changed(); };
  return html`<button aria-expanded=${Boolean(room.kit)} onClick=${teach}><${Icon} name="hand" /> <span class="label">Class</span>${waiting > 0 && html` <b class="count">${waiting}<span class="hidden"> waiting</span></b>`}</button>
    <button title="Share" onClick=${() => go("share")}><${Icon} name="share" /> <span class="label">Share</span></button>
    <button title="About this room" onClick=${() => go("room")}><${Icon} name="more" /><span class="hidden">About this room</span></button>
    ${open === "share" && html`<${Share} chat=${chat} room=${room} close=${close} />`}
    ${open === "room" && html`<${RoomDialogue} chat=${chat} room=${room} close=${close} go=${go} />`}`;
}

// Why a room was not entered: at the place where it was asked for.
export const Knock = ({ chat, from, open }) => chat.knock?.error && chat.knock.from === from && html`<${Refused} chat=${chat} from=${from} open=${open} />`;

export function People({ chat, room, close }) {
  const [whom, choose] = useState(""), drawn = useRef({ about: [] }), about = [room, room?.members, room?.operators, room?.nick, chat.nick];
  // Thousands of names are drawn when they change, and not with each message.
  if (about.some((one, index) => one !== drawn.current.about[index])) drawn.current = { about, ...namesOf(chat, room, choose, close) };
  const { rows, count } = drawn.current, people = count + (room?.more ?? 0), more = people - rows.length;
  return html`<aside class="people" aria-label="People in the room">
    <h2>People (${people.toLocaleString()})</h2>
    <ul>${rows}${more > 0 && html`<li class="more" key=" more">and ${more.toLocaleString()} more</li>`}</ul>
    ${whom && html`<${Person} chat=${chat} room=${room} nick=${whom} close=${() => choose("")} />`}
  </aside>`;
}

const byName = new Intl.Collator().compare;

// The rows of the first people of a room, and how many are known.
function namesOf(chat, room, choose, close) {
  const members = room?.isPrivate ? [room.nick, chat.nick] : room?.members ?? [], operators = new Set(room?.operators);
  const name = (nick) => html`<${Face} nick=${nick} /><span>${operators.has(nick) ? "@" : ""}<bdi>${nick}</bdi>${nick === chat.nick ? " (you)" : ""}</span>`; // @ as in nc and IRC
  const write = async (nick) => { await chat.writeTo(nick, room.users.get(nick)); close(true); };
  const rows = [...members].sort(byName).slice(0, PEOPLE).map((nick) => html`<li key=${nick}>${nick === chat.nick || room.isPrivate
    ? html`<span class=${hue(nick)}>${name(nick)}</span>`
    : html`<button class=${hue(nick)} title=${`Write to ${nick} privately`} onClick=${() => write(nick)}>${name(nick)}</button>
      <button class="acts-on" aria-label=${`What to do with ${nick}`} title=${`What to do with ${nick}`} onClick=${() => choose(nick)}><${Icon} name="more" /></button>`}</li>`);
  return { rows, count: members.length };
}
