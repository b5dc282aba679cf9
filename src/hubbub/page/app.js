// The page: what Chat knows, drawn; what the reader does, told to Chat.
import { html, render, useEffect, useLayoutEffect, useRef, useState } from "/page/vendor/htm-preact.js";
import { Chat, roomNamed } from "/page/chat.js";
import { dayOf, hue, linked, mentions, timeOf, whenOf } from "/page/text.js";

const FOLD = 12, LONG = 2000; // lines and characters of a message beyond which it is folded
const MOST = 50; // messages that a search shows
const NEAR = 80; // pixels from an end that count as being there

// Where the focus goes when what had it is gone; a phone would show its keyboard in the field.
const home = () => document.querySelector(matchMedia("(pointer: fine)").matches ? "#write" : ".log")?.focus();

const store = { // a browser may forbid it
  get name() { try { return localStorage.getItem("name") ?? ""; } catch { return ""; } },
  set name(name) { try { localStorage.setItem("name", name); } catch { /* then it is asked for again */ } },
};

function useChat() {
  const [, draw] = useState(0);
  const [spoken, speak] = useState("");
  const chat = useRef(null);
  chat.current ??= new Chat((text) => { draw((n) => n + 1); if (text) speak(text); });
  return [chat.current, spoken];
}

function useKeys(keys) {
  useLayoutEffect(() => {
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });
}

function App() {
  const [chat, spoken] = useChat();
  useEffect(() => {
    const watch = () => { chat.away = document.hidden; if (!chat.away) { chat.seen(); chat.link.retry(); chat.refresh(); } chat.changed(); };
    const online = () => chat.link.retry();
    const leave = (event) => { if (chat.waiting.length) event.preventDefault(); }; // the browser asks first
    document.addEventListener("visibilitychange", watch);
    addEventListener("online", online);
    addEventListener("beforeunload", leave);
  }, []);
  const { unread, mentioned } = chat.total;
  useEffect(() => {
    document.title = (mentioned ? `(${mentioned}) ` : unread ? "• " : "") + "hubbub";
    document.getElementById("icon").href = mentioned ? "/page/icon-mention.svg" : "/page/icon.svg";
  }, [unread, mentioned]);
  useEffect(() => { if (chat.phase === "here") store.name = chat.nick; }, [chat.nick, chat.phase]);
  const named = chat.phase !== "name" && (chat.rooms.size || chat.phase === "here");
  return html`<div class="hidden" role="status">${spoken}</div>
    ${named ? html`<${House} chat=${chat} />` : html`<${Door} chat=${chat} />`}`;
}

function Door({ chat }) {
  const field = useRef(null);
  useEffect(() => field.current?.focus(), [chat.error]);
  const enter = (event) => {
    event.preventDefault();
    const name = field.current.value.trim();
    if (name) chat.enter(name);
  };
  const joining = chat.phase === "joining";
  return html`<main class="door"><form onSubmit=${enter}>
    <h1>hubbub</h1>
    <label for="name">Your name</label>
    <input id="name" ref=${field} maxlength="64" autocomplete="nickname" autocapitalize="off" spellcheck=${false}
      value=${store.name} aria-describedby="why" aria-invalid=${Boolean(chat.error)} />
    <p id="why" role="alert">${chat.error}</p>
    <button disabled=${joining}>${joining ? "Joining…" : "Join the chat"}</button>
  </form></main>`;
}

function House({ chat }) {
  const [panel, setPanel] = useState(""); // on a narrow screen: rooms or people; anywhere: search
  const opener = useRef(null), focused = useRef(null);
  const room = chat.room;
  const toggle = (name) => {
    if (!panel) opener.current = document.activeElement;
    setPanel(panel === name ? "" : name);
  };
  const close = (goHome) => { setPanel(""); if (goHome) home(); else opener.current?.focus(); };
  useEffect(() => { // into the panel
    const inside = panel && panel !== "search" && document.querySelector(`.${panel} .current, .${panel} button`);
    if (inside) inside.focus();
  }, [panel]);
  useEffect(() => { // what had the focus may be gone
    if (document.activeElement === document.body && focused.current?.isConnected === false) home();
  });
  useEffect(() => {
    const note = (event) => { focused.current = event.target; };
    addEventListener("focusin", note);
    return () => removeEventListener("focusin", note);
  }, []);
  useKeys((event) => {
    if (event.key === "Escape") { if (panel) close(); else home(); }
    if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); toggle("search"); }
    const step = event.altKey && { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step) {
      const names = [...chat.rooms.keys(), ...chat.privates.keys()];
      event.preventDefault();
      chat.show(names[(names.indexOf(chat.current) + step + names.length) % names.length]);
    }
  });
  const button = (name, shown, narrow, keys) => html`<button class=${narrow ? "narrow" : ""} aria-expanded=${panel === name} title=${keys}
    onClick=${() => toggle(name)}>${shown}</button>`;
  const others = chat.total.unread - (room?.unread ?? 0);
  return html`<div class=${`house show-${panel}`}>
    <${Rooms} chat=${chat} close=${close} />
    <main onClick=${(event) => { if (panel && panel !== "search" && !event.target.closest("header")) close(true); }}>
      <header>
        ${button("rooms", html`Rooms${others > 0 && html` <b class="count">${others}<span class="hidden"> unread</span></b>`}`, true)}
        <div class="title"><h1>${chat.current || "No room"}</h1><p class="topic">${room?.topic && linked(room.topic)}</p></div>
        ${button("search", "Search", false, "Ctrl+K")}
        ${button("people", "People", true)}
      </header>
      ${chat.phase !== "here" && html`<div class="banner"><span role="alert">Connection lost. Trying to come back… ${chat.error}</span>
        <button onClick=${() => chat.link.retry()}>Try now</button>
        ${chat.error && html`<button onClick=${() => chat.rename()}>Take another name</button>`}</div>`}
      ${panel === "search" && html`<${Search} chat=${chat} close=${close} />`}
      ${room ? html`<${Log} key=${room.name} chat=${chat} room=${room} />`
        : html`<div class="empty"><p>Choose a room, or join one.</p><p role="status">${chat.notices.at(-1)?.lines.join(" ")}</p></div>`}
      <${Writer} chat=${chat} room=${room} />
    </main>
    <${People} chat=${chat} room=${room} close=${close} />
  </div>`;
}

function Rooms({ chat, close }) {
  const field = useRef(null);
  const open = (name) => { chat.open(name); close(true); };
  const join = (event) => {
    event.preventDefault();
    const name = roomNamed(field.current.value);
    if (name) open(name);
    field.current.value = "";
  };
  const others = chat.directory.filter((room) => !chat.rooms.has(room.name)).slice(0, 30);
  const button = (room) => html`<li key=${room.name}><button class=${room.name === chat.current ? "current" : ""}
      aria-current=${room.name === chat.current ? "true" : undefined} onClick=${() => open(room.name)}>
      <span>${room.name}</span>${room.unread > 0 && html`<b class=${room.mentioned ? "count mention" : "count"}>
        ${room.mentioned ? "@ " : ""}${room.unread}<span class="hidden"> unread${room.mentioned ? `, ${room.mentioned} for you` : ""}</span></b>`}
    </button></li>`;
  return html`<nav class="rooms" aria-label="Rooms">
    <h2>Rooms</h2>
    <ul>${[...chat.rooms.values()].map(button)}</ul>
    ${chat.privates.size > 0 && html`<h2>Private</h2><ul>${[...chat.privates.values()].map(button)}</ul>`}
    ${others.length > 0 && html`<h2>More rooms</h2><ul>${others.map((room) => html`<li key=${room.name}>
      <button onClick=${() => open(room.name)} title=${room.topic}><span>${room.name}</span><i>${room.members}<span class="hidden"> people</span></i></button></li>`)}</ul>`}
    <form onSubmit=${join}><label for="room" class="hidden">Join or create a room</label>
      <input id="room" ref=${field} placeholder="Join or create" maxlength="33" autocapitalize="off" spellcheck=${false} />
      <button aria-label="Join">+</button></form>
    <p class="me">You are <b class=${hue(chat.nick)}>${chat.nick}</b></p>
    ${"Notification" in window && Notification.permission === "default" && html`<button class="ask"
      onClick=${() => Notification.requestPermission().then(() => chat.changed())}>Notify me when I am mentioned</button>`}
  </nav>`;
}

function People({ chat, room, close }) {
  const members = [...(room?.members ?? [])].sort((a, b) => a.localeCompare(b));
  const sign = (nick) => (room.operators?.includes(nick) ? "@" : ""); // an operator, as in nc and IRC
  return html`<aside class="people" aria-label="People in the room">
    <h2>People (${members.length})</h2>
    <ul>${members.map((nick) => html`<li key=${nick}>${nick === chat.nick ? html`<span class=${hue(nick)}>${sign(nick)}${nick} (you)</span>`
      : html`<button class=${hue(nick)} title=${`Write to ${nick} privately`}
          onClick=${() => { chat.show(chat.talk(nick).name); close(true); }}>${sign(nick)}${nick}</button>`}</li>`)}</ul>
  </aside>`;
}

function Log({ chat, room }) {
  const box = useRef(null);
  const kept = useRef({ end: true, first: 0, top: 0 });
  const [atEnd, setAtEnd] = useState(true);
  const first = room.entries[0]?.seq;
  useLayoutEffect(() => {
    const log = box.current, was = kept.current;
    const at = (seq) => log.querySelector(`[data-seq="${seq}"]`);
    const target = chat.target > 0 && at(chat.target);
    if (chat.target < 0) was.end = true; // he said something
    chat.target = 0;
    if (target) {
      was.end = room.atEnd = false;
      target.scrollIntoView({ block: "center" });
      target.focus({ preventScroll: true });
    } else if (was.first && first < was.first) log.scrollTop += at(was.first).offsetTop - was.top; // older ones came above
    else if (was.end) {
      log.scrollTop = log.scrollHeight;
      const mark = !was.first && log.querySelector(".unread"); // he opens the room
      if (mark && mark.offsetTop < log.scrollTop) log.scrollTop = mark.offsetTop - NEAR / 2;
    }
    was.first = first;
    was.top = at(first)?.offsetTop;
  });
  useEffect(() => {
    const grown = new ResizeObserver(() => { if (kept.current.end) box.current.scrollTop = box.current.scrollHeight; });
    grown.observe(box.current);
    return () => grown.disconnect();
  }, []);
  const scrolled = () => {
    const log = box.current;
    if (!log) return;
    const end = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
    kept.current.end = room.atEnd = end;
    setAtEnd(end);
    if (end) chat.seen();
    if (log.scrollTop < NEAR * 4) chat.back(room);
  };
  useEffect(scrolled, [first]);
  const newest = () => { box.current.scrollTop = box.current.scrollHeight; scrolled(); home(); };
  return html`<div class="frame"><div class="log" ref=${box} onScroll=${scrolled} tabindex="0" role="log" aria-live=${atEnd ? "polite" : "off"}
      aria-label=${`Messages in ${room.name}`}>
      ${room.start && html`<p class="start">This is where ${room.name} begins.</p>`}
      <ol>${lines(room, chat)}</ol>
      ${chat.waiting.filter((item) => item.room === room.name).map((item) => html`<div class="waiting" key=${item.label}><p>${item.text}</p>
        ${item.failed ? html`<span class="failed">${item.failed.startsWith("Not ") ? "" : "Not sent: "}${item.failed}</span>
          <button onClick=${() => chat.retry(item)}>Send again</button><button onClick=${() => chat.discard(item)}>Discard</button>`
          : html`<span>${item.sent ? "sending…" : "will be sent when the connection is back"}</span>`}</div>`)}
    </div>
    ${!atEnd && html`<button class="newest" onClick=${newest}>Jump to the newest${room.unread > 0 && ` (${room.unread} unread)`} ↓</button>`}</div>`;
}

// A room's entries with what stands between them. What was drawn once is kept: it does not change.
const drawn = new WeakMap();

function lines(room, chat) {
  const out = [];
  const notices = chat.notices.filter((notice) => notice.room === room.name);
  const tell = (before) => {
    while (notices[0]?.after < before) {
      const { key, lines } = notices.shift();
      out.push(html`<li class="notice" key=${`n${key}`}>${lines.join("\n")}</li>`);
    }
  };
  let today = "", divided = !room.divider;
  for (const entry of room.entries) {
    let line = drawn.get(entry);
    if (line?.nick !== chat.nick) {
      line = { nick: chat.nick, day: dayOf(entry.time), node: html`<${Line} key=${entry.seq} entry=${entry} nick=${chat.nick} />` };
      drawn.set(entry, line);
    }
    tell(entry.seq);
    if (line.day !== today) out.push(html`<li class="day" key=${`d${line.day}`}>${(today = line.day)}</li>`);
    if (!divided && entry.seq >= room.divider) {
      divided = true;
      out.push(html`<li class="unread" key="unread">New messages</li>`);
    }
    out.push(line.node);
  }
  tell(Infinity);
  return out;
}

const words = (entry) => `${entry.nick} ${entry.words}`;
const EVENTS = {
  join: (entry) => `${entry.nick} has joined`,
  leave: (entry) => `${entry.nick} has left${entry.text ? ` (${entry.text})` : ""}`,
  rename: (entry) => `${entry.nick} is now ${entry.text}`,
  topic: (entry) => `${entry.nick} ${entry.text ? `set the topic: ${entry.text}` : "took the topic away"}`,
  mode: words, kick: words, redact: words, move: words,
};

function Line({ entry, nick }) {
  const time = html`<time datetime=${new Date(entry.time * 1000).toISOString()} title=${whenOf(entry.time)}>${timeOf(entry.time)}</time>`;
  const event = EVENTS[entry.kind];
  if (event) return html`<li class="event" data-seq=${entry.seq} tabindex="-1">${time}<div>${event(entry)}</div></li>`;
  const mine = entry.nick !== nick && mentions(entry.text, nick);
  const name = html`<b class=${hue(entry.nick)}>${entry.kind === "action" ? `* ${entry.nick}` : `${entry.nick}:`}</b>`;
  return html`<li class=${`said ${entry.kind}${mine ? " mention" : ""}`} data-seq=${entry.seq} tabindex="-1">${time}<div>
    ${mine && html`<span class="hidden">For you: </span>`}${name} <${Text} text=${entry.text} /></div></li>`;
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);

function Text({ text }) {
  const rows = text.split("\n");
  if (rows.length <= FOLD && text.length <= LONG) return html`<span class="text">${linked(text)}</span>`;
  let head = rows.slice(0, 4).join("\n");
  if (head.length > LONG / 4) head = head.slice(0, LONG / 4).replace(/\S{1,99}$/, "");
  const rest = text.slice(head.length).replace(/^\n/, "");
  const count = rest.split("\n").length;
  return html`<div class="text">${linked(head)}<details>
    <summary>${count > 1 ? `${count} more lines` : `${rest.length} more characters`}</summary>${linked(rest)}</details></div>`;
}

function Search({ chat, close }) {
  const field = useRef(null);
  const [found, setFound] = useState(null);
  useEffect(() => field.current.focus(), []);
  const search = (event) => {
    event.preventDefault();
    const words = field.current.value.trim();
    if (words) chat.ask({ type: "search", words, limit: MOST }).then(setFound);
  };
  const go = (entry) => { close(true); chat.jump(entry.room, entry.seq); };
  const told = ({ failed, entries, more }) => failed ?? (more ? `The newest ${MOST} that were found, the newest last`
    : entries.length ? `${entries.length} found, the newest last` : "Nothing found");
  return html`<section class="search" aria-label="Search"><form onSubmit=${search} role="search">
      <label for="words" class="hidden">Words to look for</label>
      <input id="words" type="search" ref=${field} placeholder="Words to look for, in all rooms" /><button>Search</button>
      <button type="button" aria-label="Close the search" onClick=${() => close()}>✕</button></form>
    <div role="status">${found && told(found)}</div>
    <ul>${found?.entries.map((entry) => html`<li key=${entry.id}><button onClick=${() => go(entry)}>
      <i>${entry.room}, ${whenOf(entry.time)}</i> <b class=${hue(entry.nick)}>${entry.nick}:</b> ${cut(entry.text, 300)}</button></li>`)}</ul>
  </section>`;
}

function Writer({ chat, room }) {
  const field = useRef(null);
  const state = useRef({ drafts: {}, said: [], at: 0, typed: "", completing: null });
  useEffect(() => {
    field.current.value = state.current.drafts[chat.current] ?? "";
    fit();
    if (matchMedia("(pointer: fine)").matches && !document.activeElement.closest(".log")) field.current.focus();
  }, [chat.current]);
  const fit = () => { field.current.style.height = "auto"; field.current.style.height = `${Math.min(field.current.scrollHeight, 200)}px`; };
  const put = (text) => { field.current.value = state.current.drafts[chat.current] = text; fit(); };
  const say = () => {
    const text = field.current.value.replace(/\s+$/, "");
    if (!text.trim()) return;
    put("");
    if (chat.say(text) === false) return put(text);
    state.current.said.push(text);
    state.current.at = state.current.said.length;
  };
  const complete = () => {
    const { value, selectionStart: at } = field.current;
    let round = state.current.completing;
    if (!round || round.value !== value) {
      const [, before, word] = /^([^]*?)(\S*)$/.exec(value.slice(0, at));
      const names = word && (room?.members ?? []).filter((nick) => nick !== chat.nick && nick.toLowerCase().startsWith(word.toLowerCase()));
      if (!names?.length) return false;
      round = state.current.completing = { before, after: value.slice(at), names: names.sort(), next: 0 };
    }
    const name = round.names[round.next++ % round.names.length];
    const head = round.before + name + (round.before ? " " : ": ");
    put(head + round.after);
    field.current.setSelectionRange(head.length, head.length);
    round.value = field.current.value;
    return true;
  };
  const recall = (step) => {
    const { said } = state.current;
    const at = state.current.at + step;
    if (at < 0 || at > said.length) return false;
    if (state.current.at === said.length) state.current.typed = field.current.value;
    state.current.at = at;
    put(said[at] ?? state.current.typed);
    return true;
  };
  const key = (event) => {
    const { value, selectionStart: at } = field.current;
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") state.current.completing = null; // and Tab leaves the field again
    const done =
      event.key === "Enter" && !event.shiftKey ? (say(), true)
      : event.key === "Tab" && !event.shiftKey ? complete()
      : event.key === "ArrowUp" && !value.slice(0, at).includes("\n") ? recall(-1)
      : event.key === "ArrowDown" && !value.slice(at).includes("\n") ? recall(1)
      : false;
    if (done) event.preventDefault();
  };
  const typed = () => { state.current.drafts[chat.current] = field.current.value; fit(); };
  return html`<form class="writer" onSubmit=${(event) => { event.preventDefault(); say(); }}>
    <label for="write" class="hidden">Message to ${chat.current}</label>
    <textarea id="write" ref=${field} rows="1" placeholder=${`Message to ${chat.current || "…"}`} onKeyDown=${key} onInput=${typed}
      enterkeyhint="send" disabled=${!room}></textarea>
    <button disabled=${!room}>Send</button></form>`;
}

render(html`<${App} />`, document.getElementById("app"));
