// The menu on a message, and the ways to it: a button, keys, a long press. And what the buttons in a row of the log do.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { toClipboard } from "./acts.js";
import { LINES } from "./place.js";
import { SAID } from "./room.js";
import { fences, named } from "./text.js";

const EMOJI = { "👍": "Thumbs up", "❤️": "Heart", "😂": "Laughing", "🎉": "Party", "👀": "Eyes", "✅": "Done" };
const LONG_PRESS = 450, MOVED = 10; // milliseconds, pixels
const COPIED = 2000; // milliseconds for which a button says so
const GAP = 4; // pixels around the menu
const REACTION = 32; // characters of a reaction that is typed

async function copyCode(button, entry) {
  const which = button.dataset.copy, text = which === "all" ? entry?.text : fences(entry?.text ?? "")[which];
  if (!(await toClipboard(text ?? button.previousSibling.textContent))) return;
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), COPIED);
}

// The listeners of a log, and its menu.
export function useMenu(chat, room) {
  const [at, open] = useState(null); // {seq, row, sure, x, top, bottom}
  const press = useRef(null);
  const { acts } = chat;
  const entryOf = (event) => {
    const seq = Number(event.target.closest?.(LINES)?.dataset.seq);
    return room.entries.find((entry) => entry.seq === seq);
  };
  const show = (event, more = {}) => {
    const entry = entryOf(event), row = event.target.closest(LINES);
    if (!SAID.has(entry?.kind)) return false;
    event.preventDefault();
    const { right, top, bottom } = (event.target.closest(".tools") ?? row).getBoundingClientRect();
    open({ seq: entry.seq, x: right, top, bottom, row, ...more });
    return true;
  };
  const release = () => { clearTimeout(press.current?.timer); press.current = null; };
  const onClick = (event) => {
    const on = (name) => event.target.closest(`[data-${name}]`), entry = entryOf(event);
    if (on("copy")) copyCode(on("copy"), entry);
    else if (on("jump")) acts.goTo(room, on("jump").dataset.jump);
    else if (on("reaction")) acts.react(room, entry, on("reaction").dataset.reaction);
    else if (on("act")?.dataset.act === "reply") acts.begin(room, entry, false);
    else if (on("act")) show(event);
  };
  // Return whether the key was one of the menu's.
  const onKey = (event) => {
    const isRow = event.target.matches(LINES);
    if (isRow && (event.key === "Enter" || event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey))) return show(event);
    const entry = event.key === "Delete" && isRow && entryOf(event);
    return Boolean(entry) && acts.on(room, entry).remove && show(event, { sure: true });
  };
  const onPointerDown = (event) => {
    release();
    if (event.pointerType !== "touch" || !event.isPrimary || event.target.closest("a")) return;
    const { clientX: x, clientY: y } = event;
    press.current = { x, y, timer: setTimeout(() => { release(); show(event, { x, top: y, bottom: y }); }, LONG_PRESS) };
  };
  const onPointerMove = ({ clientX, clientY }) => {
    if (press.current && Math.hypot(clientX - press.current.x, clientY - press.current.y) > MOVED) release();
  };
  const onContextMenu = (event) => { // the browser's own, by a finger
    if (event.pointerType !== "touch" || event.target.closest("a")) return;
    release();
    show(event, { x: event.clientX, top: event.clientY, bottom: event.clientY });
  };
  const entry = at && room.entries.find(({ seq }) => seq === at.seq);
  const close = () => open(null);
  useEffect(() => release, []);
  useEffect(() => { if (at && !entry) close(); }, [entry]);
  return {
    listeners: { onPointerDown, onPointerMove, onPointerUp: release, onPointerCancel: release, onContextMenu },
    onClick, onKey, menu: entry && html`<${Menu} key=${at.seq} chat=${chat} room=${room} entry=${entry} at=${at} close=${close} />`,
  };
}

// Arrows go from a button to the next.
function step(event) {
  event.stopPropagation(); // the page's own keys do nothing meanwhile
  const writes = event.target.matches("input"), by = { ArrowUp: -1, ArrowDown: 1, ...(!writes && { ArrowLeft: -1, ArrowRight: 1 }) }[event.key];
  if (!by) return;
  event.preventDefault();
  const all = [...event.currentTarget.querySelectorAll("button, input")];
  all[(all.indexOf(event.target) + by + all.length) % all.length].focus();
}

function Menu({ chat, room, entry, at, close }) {
  const node = useRef(null), field = useRef(null), pressed = useRef(false);
  const [sure, ask] = useState(Boolean(at.sure));
  const { acts } = chat, may = acts.on(room, entry), reactions = Object.entries(entry.reactions ?? {});
  useLayoutEffect(() => { // below or above what was pressed, but within the window
    node.current.showModal();
    node.current.querySelector(":scope > button")?.focus();
    const { offsetWidth: width, offsetHeight: height, style } = node.current;
    const below = at.bottom + GAP, above = at.top - GAP - height, last = innerHeight - GAP - height;
    style.setProperty("--x", `${Math.max(GAP, Math.min(at.x, innerWidth - GAP) - width)}px`);
    style.setProperty("--y", `${Math.max(GAP, below <= last ? below : above >= GAP ? above : last)}px`);
  }, []);
  useEffect(() => { if (sure) node.current.querySelector(".do").focus(); }, [sure]);
  // The buttons of a row are hidden again, and cannot have the focus back.
  const back = () => {
    const { activeElement: active } = document;
    if (at.row.isConnected && (active === document.body || node.current?.contains(active))) at.row.focus();
  };
  const act = (does) => () => {
    node.current.close();
    back();
    does();
  };
  const copy = (text) => async () => {
    const done = await toClipboard(text);
    act(() => (done ? chat.changed("Copied") : chat.trouble("This browser does not let the page copy.")))();
  };
  const button = (allowed, name, does) => allowed && html`<button onClick=${does}>${name}</button>`;
  const react = (reaction) => act(() => acts.react(room, entry, reaction));
  const add = (event) => {
    event.preventDefault();
    const reaction = field.current.value.trim();
    if (reaction) react(reaction)();
  };
  const own = (reaction) => reactions.some(([one, nicks]) => one === reaction && nicks.includes(chat.nick));
  const outside = (event) => event.target === node.current;
  return html`<dialog ref=${node} class="acts" aria-label=${`Message of ${entry.nick}`} onClose=${() => { back(); close(); }} onKeyDown=${step}
    onContextMenu=${(event) => { if (!event.target.matches("input")) event.preventDefault(); }}
    onPointerDown=${(event) => { pressed.current = outside(event); }} onClick=${(event) => { if (pressed.current && outside(event)) node.current.close(); }}>
    ${sure ? html`<p>Delete this message for everybody?</p>
      <button class="do" onClick=${act(() => acts.remove(room, entry))}>Delete for everybody</button>
      <button onClick=${() => node.current.close()}>Keep it</button>`
    : html`${may.react && html`<div class="emoji">${Object.entries(EMOJI).map(([sign, name]) => html`<button key=${sign} aria-label=${name} title=${name}
        aria-pressed=${own(sign)} onClick=${react(sign)}>${sign}</button>`)}</div>
      <form onSubmit=${add}><label class="hidden" for="reaction">Another reaction</label>
        <input id="reaction" ref=${field} maxlength=${REACTION} placeholder="Another reaction" autocomplete="off" /><button>Add</button></form>`}
      ${button(may.reply, "Reply", act(() => acts.begin(room, entry, false)))}
      ${button(may.correct, "Correct", act(() => acts.begin(room, entry, true)))}
      ${button(may.copy, "Copy text", copy(entry.text))}
      ${button(may.link, "Copy link", copy(acts.linkTo(room, entry)))}
      ${button(may.pin, "Pin", act(() => acts.pin(room, entry.id, true)))}
      ${button(may.unpin, "Unpin", act(() => acts.pin(room, entry.id, false)))}
      ${button(may.remove, "Delete…", () => ask(true))}
      ${reactions.length > 0 && html`<ul>${reactions.map(([reaction, nicks]) => html`<li key=${`r${reaction}`}><bdi>${reaction}</bdi> ${named(nicks)}</li>`)}</ul>`}`}
  </dialog>`;
}

// The pinned messages of a room: the newest, or all of them.
export function Pins({ chat, room }) {
  const [open, setOpen] = useState(false);
  const pins = [...(room?.pins ?? [])].reverse(), more = pins.length - 1;
  if (more < 0) return null;
  const row = ({ id, text, by }) => html`<li key=${id}><button class="pinned" dir="auto" title=${`Pinned by ${by}`} onClick=${() => chat.acts.goTo(room, id)}>
    <span class="hidden">Pinned: </span>${text}</button>${open && chat.acts.rules(room, "pin") && html`<button onClick=${() => chat.acts.pin(room, id, false)}>Unpin</button>`}</li>`;
  return html`<section class="pins" aria-label="Pinned messages"><ul>${(open ? pins : pins.slice(0, 1)).map(row)}</ul>
    ${(more > 0 || chat.acts.rules(room, "pin")) && html`<button aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "Less" : more > 0 ? `${more} more` : "Change"}</button>`}</section>`;
}
