// The ways to the menu on a message: a button, keys, a long press. And what the buttons in a row of the log do.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { FAILED, lazy } from "./lazy.js";
import { LINES } from "./place.js";
import { SAID } from "./room.js";
import { fences } from "./text.js";

const Menu = lazy(() => import("./choose.js"), "Menu"), Person = lazy(() => import("./person.js"), "Person");

const LONG_PRESS = 450, MOVED = 10; // milliseconds, pixels
const COPIED = 2000; // milliseconds for which a button says so

async function copyCode(chat, button, entry) {
  const which = button.dataset.copy, text = which === "all" ? entry?.text : fences(entry?.text ?? "")[which];
  const done = import("./choose.js").then(({ toClipboard }) => toClipboard(text ?? button.previousSibling.textContent), () => chat.trouble(FAILED));
  if (!(await done)) return;
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), COPIED);
}

// The listeners of a log, and its menu.
export function useMenu(chat, room) {
  const [at, open] = useState(null); // {seq, row, sure, x, top, bottom}
  const [whom, about] = useState(""); // the name whose menu is open
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
    if (on("copy")) copyCode(chat, on("copy"), entry);
    else if (on("jump")) acts.goTo(room, on("jump").dataset.jump);
    else if (on("reaction")) acts.react(room, entry, on("reaction").dataset.reaction);
    else if (on("act")?.dataset.act === "reply") acts.begin(room, entry, false);
    else if (on("act")) show(event);
    else if (on("name") && entry && entry.nick !== chat.nick && getSelection().isCollapsed) about(entry.nick);
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
    onClick, onKey, menu: html`${entry && html`<${Menu} key=${at.seq} chat=${chat} room=${room} entry=${entry} at=${at} close=${close} about=${about} />`}
      ${whom && html`<${Person} chat=${chat} room=${room} nick=${whom} close=${() => about("")} />`}`,
  };
}
