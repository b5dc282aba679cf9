// The page: what Chat knows, drawn; what the reader does, told to Chat.
import { html, render, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { Chat } from "./chat.js";
import { Icon } from "./display.js";
import { lazy } from "./lazy.js";
import { Knock, People, RoomButtons, Rooms } from "./lists.js";
import { Log } from "./log.js";
import { store, Tabs } from "./saved.js";
import { linked, listed } from "./text.js";
import { composes, Writer } from "./writer.js";

const SAVED_EVERY = 1000; // milliseconds at least between two times that the tab's state is saved
const NO_FILES = "Pictures and files can't be sent here. Put them where others can reach them, and send a link.";

const Doubt = lazy(() => import("./trouble.js"), "Doubt"), Keys = lazy(() => import("./keys.js"), "Keys"), Search = lazy(() => import("./search.js"), "Search");
const Pins = lazy(() => import("./pins.js"), "Pins"), Kit = lazy(() => import("./classes.js"), "Kit"), Credentials = lazy(() => import("./credentials.js"), "Credentials");

// The code in the address, which must not stay there; "" if there is none.
function codeInAddress() {
  const found = /^#link=([a-z]{8})$/i.exec(location.hash);
  if (found) history.replaceState(null, "", location.pathname + location.search);
  return found ? found[1].toUpperCase().replace(/^.{4}/, "$&-") : "";
}

const CODE = codeInAddress(); // of /link, with which this device is to be logged in

const icon = (name) => new URL(name, import.meta.url).pathname;
const isField = (node) => node.matches?.("input, textarea");

// Where the focus goes when what had it is gone; a phone would show its keyboard in the field.
const home = () => document.querySelector(matchMedia("(pointer: fine)").matches ? "#write" : ".log")?.focus();

// --- over a reload, and beside other tabs ---

function keep(chat) {
  let timer = 0;
  const id = store.tab?.id ?? Math.random().toString(36).slice(2);
  const self = { id, others: [] };
  const save = (closed = false) => {
    clearTimeout(timer);
    timer = 0;
    const state = chat.saved;
    store.tab = state && { ...state, id: self.id, closed };
  };
  self.soon = () => { timer ||= setTimeout(save, SAVED_EVERY); chat.shelf?.soon(); };
  self.tabs = new Tabs(() => ({ id: self.id, nick: chat.phase === "name" ? "" : chat.nick, rooms: [...chat.rooms.keys()] }));
  addEventListener("pagehide", () => save(true));
  addEventListener("pageshow", ({ persisted }) => { if (persisted) { save(); chat.reconnect(); } });
  document.addEventListener("visibilitychange", () => { if (document.hidden) save(); if (document.hidden && chat.phase === "here") chat.stay(); });
  self.begin = async () => {
    const saved = store.tab;
    if (store.shelved) await chat.shelve();
    const copied = (tab) => tab.id === self.id;
    const asked = chat.account.load();
    if (saved?.closed) return go(saved);
    const [others, { failed }] = await Promise.all([self.tabs.ask(), asked]);
    if (saved && !others.some(copied)) return go(saved);
    if (chat.phase !== "name") return;
    const kept = failed && !others.length && (await chat.shelf?.restored()); // there is no server
    if (kept) return go(kept);
    if (chat.account.name) {
      if (saved) self.id = Math.random().toString(36).slice(2);
      return chat.enter(chat.account.name);
    }
    if (!others.length) return;
    // Another tab is here by that name: this one takes another, and the same rooms.
    self.id = Math.random().toString(36).slice(2);
    self.others = others;
    const { nick, rooms } = others.find(copied) ?? others[0];
    chat.restore({ current: saved?.current?.[0] === "@" ? "" : saved?.current ?? "", rooms: rooms.map((name) => ({ name })), drafts: saved?.drafts ?? {} });
    chat.taken = nick;
    chat.changed();
  };
  const go = async (saved) => {
    if (saved.talks?.length && !(await chat.privately())) return; // they would be forgotten
    chat.restore(saved);
    chat.enter(saved.nick);
  };
  return self;
}

function useChat() {
  const [, draw] = useState(0);
  const [spoken, speak] = useState("");
  const made = useRef(null);
  if (!made.current) {
    const chat = new Chat((text) => { draw((n) => n + 1); if (text) speak(text); made.current.kept.soon(); });
    made.current = { chat };
    made.current.kept = keep(chat);
  }
  useEffect(() => { made.current.kept.begin(); }, []);
  return [made.current.chat, spoken];
}

function useEvent(name, act) {
  useLayoutEffect(() => {
    addEventListener(name, act);
    return () => removeEventListener(name, act);
  });
}

function App() {
  const [chat, spoken] = useChat();
  useLayoutEffect(() => {
    const watch = () => { chat.away = document.hidden; if (!chat.away) { chat.seen(); chat.link.retry(); chat.refresh(); } chat.changed(); };
    const leave = (event) => { if (chat.sending.items.length) event.preventDefault(); }; // the browser asks first
    const back = ({ state }) => { if (chat.rooms.has(state?.room) || chat.talks.get(state?.room)) chat.show(state.room); };
    document.addEventListener("visibilitychange", watch);
    addEventListener("online", () => chat.link.retry());
    addEventListener("beforeunload", leave);
    addEventListener("popstate", back);
    addEventListener("hashchange", () => chat.follow());
  }, []);
  const { unread, mentioned } = chat.total;
  useEffect(() => {
    document.title = (mentioned ? `(${mentioned}) ` : unread ? "• " : "") + (chat.door?.name ?? "hubbub");
    document.getElementById("icon").href = icon(mentioned ? "icon-mention.svg" : "icon.svg");
  }, [unread, mentioned, chat.door]);
  useEffect(() => { chat.account.ask("door").then((said) => { if (!said.failed) { chat.door = said; chat.changed(); } }); }, []);
  useEffect(() => { if (chat.phase === "here") store.name = chat.nick; }, [chat.nick, chat.phase]);
  // A room's address, to be kept or passed on: at once, so that no step back comes before it.
  useLayoutEffect(() => {
    if (!chat.room) return;
    const name = chat.room.isPrivate || chat.current === "lobby" ? "" : `#${encodeURIComponent(chat.current)}`;
    const place = name || location.pathname + location.search, state = { room: chat.current };
    try { // Back and Forward lead through the rooms that one has looked at
      if (history.state?.room === chat.current && location.hash === name) return;
      if (history.state?.room && !location.hash.includes("?key=")) history.pushState(state, "", place); else history.replaceState(state, "", place);
    } catch { /* too often */ }
  }, [chat.current]);
  return html`<div class="hidden" role="status">${spoken}</div>
    ${chat.named ? html`<${House} chat=${chat} />` : html`<${Door} chat=${chat} />`}`;
}

// Who is in the lobby, as far as one may see it from outside.
function presence({ people, names }) {
  const shown = names.slice(0, 3), others = people - shown.length;
  return html`${people === 1 ? "One person is" : `${people.toLocaleString()} people are`} here: ${others ? html`${shown.flatMap((name, index) => [index ? ", " : "",
    html`<bdi>${name}</bdi>`])} and ${others.toLocaleString()} more` : listed(shown)}.`;
}

function keeping(door) {
  if (door && !door.kept) return "Messages are kept only while the server runs; people who join later can read them.";
  const days = door?.keep_days ? ` for ${door.keep_days.toLocaleString()} ${door.keep_days === 1 ? "day" : "days"}` : "";
  return `Messages in the rooms are kept${days}, and people who join later can read them.`;
}

function Door({ chat }) {
  const { door } = chat;
  const field = useRef(null), secret = useRef(null), invitation = useRef(null);
  const [wants, want] = useState(CODE && "login"), [code, setCode] = useState(CODE);
  const mode = wants || { "name-registered": "login", "account-required": "login" }[chat.code] || "";
  useLayoutEffect(() => { // before anybody types
    if (!code) field.current.value = chat.nick || store.name;
  }, [code]);
  useLayoutEffect(() => { if (chat.taken && field.current?.value === chat.taken) field.current.value = `${chat.taken}2`; }, [chat.taken]);
  useLayoutEffect(() => (secret.current ?? field.current)?.focus(), [chat.error, chat.taken]);
  const enter = async (event) => {
    event.preventDefault();
    const name = code ? "" : field.current.value.trim();
    if (!(name || code || (mode === "login" && secret.current.value))) return;
    if (!mode) return chat.enter(name);
    const { account } = chat;
    const { failed } = await (mode === "login" ? account.logIn(name, secret.current.value)
      : account.register(name, secret.current.value, invitation.current?.value));
    if (failed) chat.refuseLogin(failed);
  };
  const onlyOwners = chat.account.guests === "no";
  const turn = (to) => { want(to); chat.forgive(); };
  const other = () => { if (mode === "login" && chat.code === "name-registered") turn(""); }; // another name
  const { offer } = chat, joining = chat.phase === "joining";
  const accept = () => { field.current.value = offer; chat.enter(offer); };
  return html`<main class="door"><form onSubmit=${enter}>
    <h1 dir="auto">${door?.name ?? "hubbub"}</h1>
    ${door?.description && html`<p class="what" dir="auto">${door.description}</p>`}
    ${door?.motd && html`<p class="motd" dir="auto">${door.motd}</p>`}
    <p class="here">${door?.people > 0 && html`<span>${presence(door)}</span> `}${keeping(door)}</p>
    ${chat.taken && html`<p>You are here as <bdi>${chat.taken}</bdi> in another tab. Take another name for this one.</p>`}
    ${code ? html`<p>The code of your other device logs you in here, under your name.</p>` : html`<label for="name">Your name</label>
    <input id="name" ref=${field} dir="auto" maxlength="64" autocomplete=${mode ? "username" : "nickname"} autocapitalize="off" spellcheck=${false}
      aria-describedby="why" aria-invalid=${Boolean(chat.error)} onInput=${other} />`}
    ${mode && html`<${Credentials} chat=${chat} mode=${mode} code=${code} secret=${secret} invitation=${invitation} close=${() => want("")} />`}
    <p id="why" role="alert">${chat.error}</p>
    ${offer && html`<button type="button" class="offer" onClick=${accept}>Join as <bdi>${offer}</bdi></button>`}
    <button disabled=${joining}>${joining ? "Joining…" : { login: "Log in", register: "Register and join" }[mode] ?? "Join the chat"}</button>
    ${!code && mode !== "register" && chat.account.registration !== "closed" && chat.code !== "name-registered" && html`<button type="button" class="offer"
      onClick=${() => turn("register")}>Register this name</button>`}
    ${!mode && html`<button type="button" class="offer" onClick=${() => turn("login")}>Log in with a password or a code</button>`}
    ${wants === "login" && !code && !onlyOwners && html`<button type="button" class="offer" onClick=${() => turn("")}>Come as a guest</button>`}
    ${code && html`<button type="button" class="offer" onClick=${() => { setCode(""); turn(""); }}>Use a name instead</button>`}
    ${mode === "register" && html`<button type="button" class="offer" onClick=${() => turn(onlyOwners ? "login" : "")}>
      ${onlyOwners ? "Log in instead" : "Join without registering"}</button>`}
  </form></main>`;
}

// Keys that work wherever the focus is.
function houseKeys(event, { chat, panel, close, toggle, showKeys }) {
  if (composes(event)) return;
  const command = event.ctrlKey || event.metaKey, step = event.altKey && { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (event.key === "Escape") {
    if (panel) close();
    else {
      if (chat.flash || chat.knock?.error) chat.dismiss();
      home();
    }
  } else if (command && event.key === "k") {
    event.preventDefault();
    toggle("search");
  } else if (step) {
    const names = [...chat.rooms.keys(), ...chat.talks.values().map((talk) => talk.name)];
    event.preventDefault();
    chat.show(names[(names.indexOf(chat.current) + step + names.length) % names.length]);
  } else if (event.key === "?" && !isField(event.target)) {
    event.preventDefault();
    showKeys();
  } else if (event.key.length === 1 && event.key !== " " && !command && !event.altKey && !isField(event.target)) {
    document.getElementById("write")?.focus(); // and the character goes there
  }
}

// Files can be dropped and pasted anywhere: nowhere else would the browser leave the page for them.
function useFiles(chat) {
  const hasFiles = (data) => [...(data?.types ?? [])].includes("Files");
  useEvent("dragover", (event) => { if (hasFiles(event.dataTransfer)) event.preventDefault(); });
  useEvent("drop", (event) => { if (hasFiles(event.dataTransfer)) { event.preventDefault(); chat.trouble(NO_FILES); } });
  useEvent("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain"), field = document.getElementById("write");
    if (hasFiles(event.clipboardData) && !text) { event.preventDefault(); chat.trouble(NO_FILES); }
    else if (text && field && !field.disabled && !isField(event.target)) {
      event.preventDefault();
      field.focus();
      field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
      field.dispatchEvent(new Event("input"));
    }
  });
}

function House({ chat }) {
  const [panel, setPanel] = useState(""); // on a narrow screen: rooms or people; anywhere: search
  const [keys, setKeys] = useState(false);
  const opener = useRef(null), focused = useRef(null);
  const room = chat.room, isOpen = panel === "search" || panel === "mentions"; // beside the room, and not in its place
  const toggle = (name) => {
    if (!panel) opener.current = document.activeElement;
    setPanel(panel === name ? "" : name);
  };
  const close = (goHome) => { setPanel(""); if (goHome) home(); else opener.current?.focus(); };
  useLayoutEffect(() => { // into the panel
    const inside = panel && !isOpen && document.querySelector(`.${panel} .current, .${panel} button`);
    if (inside) inside.focus();
  }, [panel]);
  useEffect(() => { // what had the focus may be gone
    if (document.activeElement === document.body && focused.current?.isConnected === false) home();
  });
  useEvent("focusin", (event) => { focused.current = event.target; });
  useEvent("keydown", (event) => houseKeys(event, { chat, panel, close, toggle, showKeys: () => setKeys(true) }));
  useFiles(chat);
  return html`<div class=${`house show-${panel}`}>
    <${Rooms} chat=${chat} close=${close} show=${toggle} />
    <main onClick=${(event) => { if (panel && !isOpen && !event.target.closest("header")) close(true); }}>
      <${Header} chat=${chat} room=${room} panel=${panel} toggle=${toggle} />
      ${room?.pins.length > 0 && html`<${Pins} key=${`pins ${room.name}`} chat=${chat} room=${room} />`}
      ${room?.kit && html`<${Kit} key=${`kit ${room.name}`} chat=${chat} room=${room} />`}
      ${chat.phase === "lost" && html`<${Banner} chat=${chat} />`}
      ${isOpen && html`<${Search} key=${panel} chat=${chat} close=${close} mentioned=${panel === "mentions"} />`}
      ${room ? html`<${Log} key=${room.name} chat=${chat} room=${room} />`
        : html`<div class="empty"><p>Choose a room, or join one.</p><p role="status">${chat.notices.at(-1)?.lines.join(" ")}</p></div>`}
      <${Knock} chat=${chat} from="" open=${(name, key) => chat.open(name, key)} />
      ${(room?.doubt || room?.former) && html`<${Doubt} chat=${chat} talk=${room} />`}
      ${chat.flash && html`<div class="flash"><p role=${chat.flash.error ? "alert" : "status"} dir="auto">${chat.flash.text}</p>
        <button aria-label="Close this" onClick=${() => chat.dismiss()}>✕</button></div>`}
      <${Writer} chat=${chat} room=${room} />
    </main>
    <${People} chat=${chat} room=${room} close=${close} />
    ${keys && html`<${Keys} chat=${chat} close=${() => setKeys(false)} />`}
  </div>`;
}

function Header({ chat, room, panel, toggle }) {
  const button = (name, icon, label, narrow, more) => html`<button class=${narrow ? "narrow" : ""} aria-expanded=${panel === name}
    title=${narrow ? label : "Ctrl+K"} onClick=${() => toggle(name)}><${Icon} name=${icon} /> <span class="label">${label}</span>${more}</button>`;
  const others = chat.total.unread + chat.calls.length - (room?.unread ?? 0);
  return html`<header>
    ${button("rooms", "menu", "Rooms", true, others > 0 && html` <b class="count">${others}<span class="hidden"> unread</span></b>`)}
    <div class="title"><h1 dir="auto">${room?.title ?? "No room"}</h1><p class="topic" dir="auto">${room?.topic && linked(room.topic)}</p></div>
    <${RoomButtons} chat=${chat} room=${room} />
    ${button("search", "search", "Search")}
    ${button("people", "people", "People", true)}
  </header>`;
}

function Banner({ chat }) {
  return html`<div class="banner"><span role="alert">Connection lost. ${chat.link.wanted ? "Reconnecting… " : ""}${chat.error}</span>
    <button onClick=${() => chat.reconnect()}>Try now</button>
    ${chat.error && html`<button onClick=${() => chat.rename()}>Take another name</button>`}</div>`;
}

const root = document.getElementById("app");
root.textContent = "";
render(html`<${App} />`, root);
