// The page: what Chat knows, drawn; what the reader does, told to Chat.
import { html, render, useEffect, useLayoutEffect, useRef, useState } from "/page/vendor/htm-preact.js";
import { Chat } from "/page/chat.js";
import { dayOf, hue, linked, mentions, timeOf, whenOf } from "/page/text.js";

const FOLD = 12; // lines of a message beyond which it is folded
const NEAR = 80; // pixels from an end that count as being there

function useChat() {
  const [, draw] = useState(0);
  const [spoken, speak] = useState("");
  const chat = useRef(null);
  chat.current ??= new Chat((text) => { draw((n) => n + 1); if (text) speak(text); });
  return [chat.current, spoken];
}

function App() {
  const [chat, spoken] = useChat();
  useEffect(() => {
    const watch = () => { chat.away = document.hidden; if (!chat.away) { chat.seen(); chat.link.retry(); } chat.changed(); };
    const online = () => chat.link.retry();
    document.addEventListener("visibilitychange", watch);
    addEventListener("online", online);
    return () => { document.removeEventListener("visibilitychange", watch); removeEventListener("online", online); };
  }, []);
  const { unread, mentioned } = chat.total;
  useEffect(() => {
    document.title = (mentioned ? `(${mentioned}) ` : unread ? "• " : "") + "hubbub";
    document.getElementById("icon").href = mentioned ? "/page/icon-mention.svg" : "/page/icon.svg";
  }, [unread, mentioned]);
  const named = chat.rooms.size || chat.phase === "here" || chat.phase === "lost";
  return html`${named ? html`<${House} chat=${chat} />` : html`<${Door} chat=${chat} />`}
    <div class="hidden" role="status" aria-live="polite">${spoken}</div>`;
}

function Door({ chat }) {
  const field = useRef(null);
  useEffect(() => field.current?.focus(), [chat.error]);
  const enter = (event) => {
    event.preventDefault();
    const name = field.current.value.trim();
    if (name) { localStorage.setItem("name", name); chat.enter(name); }
  };
  return html`<main class="door"><form onSubmit=${enter}>
    <h1>hubbub</h1>
    <label for="name">Your name</label>
    <input id="name" ref=${field} maxlength="64" autocomplete="nickname" autocapitalize="off" spellcheck=${false}
      value=${localStorage.getItem("name") ?? ""} aria-describedby="why" aria-invalid=${Boolean(chat.error)} />
    <p id="why" role="alert">${chat.error}</p>
    <button disabled=${chat.phase === "joining"}>${chat.phase === "joining" ? "Joining…" : "Join the chat"}</button>
  </form></main>`;
}

function House({ chat }) {
  const [panel, setPanel] = useState(""); // on a narrow screen: rooms or people; anywhere: search
  const room = chat.rooms.get(chat.current) ?? chat.privates.get(chat.current);
  useEffect(() => { chat.seen(); chat.changed(); }, [chat.current]);
  useEffect(() => {
    const keys = (event) => {
      if (event.key === "Escape") setPanel("");
      if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); setPanel("search"); }
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  return html`<div class="house show-${panel}">
    <${Rooms} chat=${chat} close=${() => setPanel("")} />
    <main>
      <header>
        <button class="narrow" aria-expanded=${panel === "rooms"}
          onClick=${() => setPanel(panel === "rooms" ? "" : "rooms")}>Rooms</button>
        <div class="title"><h1>${chat.current || "No room"}</h1><p class="topic">${room?.topic && linked(room.topic)}</p></div>
        <button aria-expanded=${panel === "search"}
          onClick=${() => setPanel(panel === "search" ? "" : "search")}>Search</button>
        <button class="narrow" aria-expanded=${panel === "people"}
          onClick=${() => setPanel(panel === "people" ? "" : "people")}>People</button>
      </header>
      ${chat.phase !== "here" && html`<p class="banner" role="alert">Connection lost. Trying to come back…
        <button onClick=${() => chat.link.retry()}>Try now</button></p>`}
      ${panel === "search" && html`<${Search} chat=${chat} close=${() => setPanel("")} />`}
      ${room ? html`<${Log} key=${room.name} chat=${chat} room=${room} />` : html`<p class="empty">Choose a room, or join one.</p>`}
      <${Writer} chat=${chat} room=${room} />
    </main>
    <${People} chat=${chat} room=${room} close=${() => setPanel("")} />
  </div>`;
}

function Rooms({ chat, close }) {
  const field = useRef(null);
  const open = (name) => { chat.leaveView(); chat.open(name); close(); };
  const join = (event) => {
    event.preventDefault();
    const name = field.current.value.trim().replace(/^#/, "");
    if (name) open(name.normalize("NFKC").toLowerCase());
    field.current.value = "";
  };
  const others = chat.directory.filter((room) => !chat.rooms.has(room.name)).slice(0, 30);
  const button = (room) => html`<li key=${room.name}><button class=${room.name === chat.current ? "current" : ""}
      aria-current=${room.name === chat.current ? "true" : undefined} onClick=${() => open(room.name)}>
      <span>${room.name}</span>${room.unread > 0 && html`<b class=${room.mentioned ? "mention" : ""}
        aria-label=${`${room.unread} unread${room.mentioned ? `, ${room.mentioned} for you` : ""}`}>${room.unread}</b>`}
    </button></li>`;
  return html`<nav class="rooms" aria-label="Rooms">
    <h2>Rooms</h2>
    <ul>${[...chat.rooms.values()].map(button)}</ul>
    ${chat.privates.size > 0 && html`<h2>Private</h2><ul>${[...chat.privates.values()].map(button)}</ul>`}
    ${others.length > 0 && html`<h2>More rooms</h2><ul>${others.map((room) => html`<li key=${room.name}>
      <button onClick=${() => open(room.name)} title=${room.topic}><span>${room.name}</span><i>${room.members}</i></button></li>`)}</ul>`}
    <form onSubmit=${join}><label for="room" class="hidden">Join or create a room</label>
      <input id="room" ref=${field} placeholder="Join or create a room" maxlength="33" autocapitalize="off" spellcheck=${false} />
      <button aria-label="Join">+</button></form>
    <p class="me">You are <b class=${hue(chat.nick)}>${chat.nick}</b>
      ${"Notification" in window && Notification.permission === "default" && html`<button
        onClick=${() => Notification.requestPermission().then(() => chat.changed())}>Notify me when I am mentioned</button>`}</p>
  </nav>`;
}

function People({ chat, room, close }) {
  const members = [...(room?.members ?? [])].sort((a, b) => a.localeCompare(b));
  return html`<aside class="people" aria-label="People in the room">
    <h2>People (${members.length})</h2>
    <ul>${members.map((nick) => html`<li key=${nick}>${nick === chat.nick ? html`<span class=${hue(nick)}>${nick} (you)</span>`
      : html`<button class=${hue(nick)} title=${`Write to ${nick} privately`}
          onClick=${() => { chat.current = chat.talk(nick).name; close(); chat.changed(); }}>${nick}</button>`}</li>`)}</ul>
  </aside>`;
}

function Log({ chat, room }) {
  const box = useRef(null);
  const kept = useRef({ end: true, height: 0, first: 0, read: room.read });
  const [atEnd, setAtEnd] = useState(true);
  const first = room.entries[0]?.seq;
  useLayoutEffect(() => {
    const log = box.current, was = kept.current;
    const target = chat.target && log.querySelector(`[data-seq="${chat.target}"]`);
    if (target) {
      chat.target = 0;
      target.scrollIntoView({ block: "center" });
      target.focus();
    } else if (was.first && first < was.first) log.scrollTop += log.scrollHeight - was.height; // older ones came above
    else if (was.end) log.scrollTop = log.scrollHeight;
    was.height = log.scrollHeight;
    was.first = first;
  });
  useEffect(() => {
    const grown = new ResizeObserver(() => { if (kept.current.end) box.current.scrollTop = box.current.scrollHeight; });
    grown.observe(box.current);
    return () => grown.disconnect();
  }, []);
  const scrolled = () => {
    const log = box.current;
    const end = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
    kept.current.end = room.atEnd = end;
    if (end !== atEnd) setAtEnd(end);
    if (end) { chat.seen(); }
    if (log.scrollTop < NEAR * 4) chat.back(room);
  };
  useEffect(scrolled, [first]);
  const newest = () => { kept.current.end = true; box.current.scrollTop = box.current.scrollHeight; scrolled(); };
  const waiting = chat.waiting.filter((item) => item.room === room.name);
  const notices = chat.notices.filter((notice) => notice.room === room.name);
  return html`<div class="log" ref=${box} onScroll=${scrolled} tabindex="0" role="log" aria-live="polite" aria-label=${`Messages in ${room.name}`}>
      ${room.start && html`<p class="start">This is where ${room.name} begins.</p>`}
      <ol>${lines(room, kept.current.read, chat)}</ol>
      ${notices.map((notice) => html`<pre class="notice" key=${notice.key}>${notice.lines.join("\n")}</pre>`)}
      ${waiting.map((item) => html`<div class="waiting" key=${item.label}><p>${item.text}</p>
        ${item.failed ? html`<span class="failed">${item.failed}</span>
          <button onClick=${() => chat.retry(item)}>Send again</button><button onClick=${() => chat.discard(item)}>Discard</button>`
          : html`<span>${item.sent ? "sending…" : "will be sent when the connection is back"}</span>`}</div>`)}
    </div>
    ${!atEnd && html`<button class="newest" onClick=${newest}>Jump to the newest ↓</button>`}`;
}

function lines(room, read, chat) {
  const out = [];
  let day = "", divided = !read || read >= room.seq;
  for (const entry of room.entries) {
    const today = dayOf(entry.time);
    if (today !== day) out.push(html`<li class="day" key=${`d${today}`}>${(day = today)}</li>`);
    if (!divided && entry.seq > read && entry.nick !== chat.nick) {
      divided = true;
      out.push(html`<li class="unread" key="unread" role="separator">New</li>`);
    }
    out.push(html`<${Line} key=${entry.seq} entry=${entry} nick=${chat.nick} />`);
  }
  return out;
}

const EVENTS = {
  join: (entry) => `${entry.nick} has joined`,
  leave: (entry) => `${entry.nick} has left${entry.text ? ` (${entry.text})` : ""}`,
  rename: (entry) => `${entry.nick} is now ${entry.text}`,
  topic: (entry) => `${entry.nick} set the topic: ${entry.text}`,
};

function Line({ entry, nick }) {
  const time = html`<time datetime=${new Date(entry.time * 1000).toISOString()} title=${whenOf(entry.time)}>${timeOf(entry.time)}</time>`;
  const event = EVENTS[entry.kind];
  if (event) return html`<li class="event" data-seq=${entry.seq} tabindex="-1">${time}<span>${event(entry)}</span></li>`;
  const mine = entry.nick !== nick && mentions(entry.text, nick) ? " mention" : "";
  const name = html`<b class=${hue(entry.nick)}>${entry.kind === "action" ? `* ${entry.nick}` : `${entry.nick}:`}</b>`;
  return html`<li class=${`said ${entry.kind}${mine}`} data-seq=${entry.seq} tabindex="-1">${time}${name} <${Text} text=${entry.text} /></li>`;
}

function Text({ text }) {
  const rows = text.split("\n");
  if (rows.length <= FOLD) return html`<span class="text">${linked(text)}</span>`;
  return html`<span class="text">${linked(rows.slice(0, 4).join("\n"))}<details><summary>${rows.length - 4} more lines</summary>
    ${linked(rows.slice(4).join("\n"))}</details></span>`;
}

function Search({ chat, close }) {
  const field = useRef(null);
  const [found, setFound] = useState(null);
  useEffect(() => field.current.focus(), []);
  const search = (event) => {
    event.preventDefault();
    const words = field.current.value.trim();
    if (words) chat.ask({ type: "search", words, limit: 50 }, ({ entries }) => setFound(entries));
  };
  const go = (entry) => { close(); chat.jump(entry.room, entry.seq); };
  return html`<section class="search" aria-label="Search"><form onSubmit=${search} role="search">
      <label for="words" class="hidden">Words to look for</label>
      <input id="words" type="search" ref=${field} placeholder="Words to look for, in all rooms" /><button>Search</button>
      <button type="button" aria-label="Close the search" onClick=${close}>✕</button></form>
    <div role="status">${found && (found.length ? `${found.length} found, the newest last` : "Nothing found")}</div>
    <ul>${found?.map((entry) => html`<li key=${entry.seq}><button onClick=${() => go(entry)}>
      <i>${entry.room}, ${whenOf(entry.time)}</i> <b class=${hue(entry.nick)}>${entry.nick}:</b> ${entry.text}</button></li>`)}</ul>
  </section>`;
}

function Writer({ chat, room }) {
  const field = useRef(null);
  const state = useRef({ drafts: {}, said: [], at: 0, completing: null });
  useEffect(() => {
    field.current.value = state.current.drafts[chat.current] ?? "";
    fit();
    if (matchMedia("(pointer: fine)").matches) field.current.focus();
  }, [chat.current]);
  const fit = () => { field.current.style.height = "auto"; field.current.style.height = `${Math.min(field.current.scrollHeight, 200)}px`; };
  const put = (text) => { field.current.value = state.current.drafts[chat.current] = text; fit(); };
  const say = () => {
    const text = field.current.value.replace(/\s+$/, "");
    if (!text.trim()) return;
    state.current.said.push(text);
    state.current.at = state.current.said.length;
    put("");
    chat.say(text);
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
    state.current.at = at;
    put(said[at] ?? "");
    return true;
  };
  const key = (event) => {
    const { value, selectionStart: at } = field.current;
    if (event.isComposing) return;
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
      disabled=${!room}></textarea>
    <button disabled=${!room}>Send</button></form>`;
}

render(html`<${App} />`, document.getElementById("app"));
