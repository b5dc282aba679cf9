// The messages of a room, drawn.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { useMenu } from "./menu.js";
import { EVENTS, Line, Time } from "./message.js";
import { LINES, Place } from "./place.js";
import { MARKS } from "./room.js";
import { cleaned, dayOf, listed, timeOf, whenOf } from "./text.js";

const TOGETHER = 300; // seconds between two messages of a speaker that are shown as one group

export function Log({ chat, room }) {
  const box = useRef(null), kept = useRef(null);
  const [atEnd, setAtEnd] = useState(true);
  kept.current ??= new Place(chat, room, setAtEnd);
  const place = kept.current, scrolled = () => place.scrolled();
  const { listeners, onClick, onKey, menu } = useMenu(chat, room);
  useLayoutEffect(() => {
    place.log = box.current;
    place.hold();
  });
  useEffect(() => {
    const sizes = new ResizeObserver(() => place.resized());
    sizes.observe(box.current);
    sizes.observe(box.current.querySelector("ol"));
    const ends = ["pointerup", "pointercancel"], release = () => { if (place.pressed) place.release(); };
    for (const end of ends) addEventListener(end, release);
    return () => {
      sizes.disconnect();
      for (const end of ends) removeEventListener(end, release);
      place.log = null;
    };
  }, []);
  useEffect(() => { chat.talks.recall(room); }, [room.asked, chat.account.name, chat.sending.held, chat.phase]);
  useEffect(scrolled, [room.entries[0]?.seq, room.entries.at(-1)?.seq, room.seq > 0, room.joined, room.restoring]);
  const newest = () => { chat.newest(room); document.getElementById("write").focus(); };
  return html`<div class="frame"><div class=${chat.view.compact ? "log compact" : "log"} ref=${box} onScroll=${scrolled} onKeyDown=${(event) => onKey(event) || step(event)} onCopy=${copy}
      ...${listeners} onPointerDownCapture=${(event) => { if (event.target !== box.current) place.press(); }} onClick=${(event) => { place.unfolded(event); onClick(event); }} onToggleCapture=${scrolled}
      tabindex="0" role="log" aria-live=${atEnd ? "polite" : "off"} aria-label=${`Messages in ${room.title}`}>
      ${room.start && !room.old.length && html`<${Start} room=${room} />`}
      <ol>${lines(room, chat)}</ol>
      ${chat.sending.in(room.name).map((item) => html`<${Waiting} key=${item.label} chat=${chat} item=${item} />`)}
    </div>
    ${!atEnd && html`<button class="newest" onClick=${newest}>Jump to the newest${room.unread > 0 && ` (${room.unread} unread)`} ↓</button>`}${menu}</div>`;
}

// Up and Down go from a message to the next.
function step(event) {
  const log = event.currentTarget, current = event.target.closest(LINES);
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!by) return;
  const all = [...log.querySelectorAll(LINES)];
  const seen = all.filter((line) => line.offsetTop < log.scrollTop + log.clientHeight && line.offsetTop + line.offsetHeight > log.scrollTop);
  const next = current ? all[all.indexOf(current) + by] : seen.at(by < 0 ? -1 : 0);
  if (!next) return;
  event.preventDefault();
  next.focus();
}

// Several messages are copied as lines of text, each with its time in front.
function copy(event) {
  const selection = getSelection(), range = selection.rangeCount && selection.getRangeAt(0);
  const chosen = [...event.currentTarget.querySelectorAll("li")].filter((line) => selection.containsNode(line, true));
  const time = chosen[0]?.querySelector("time");
  if (!range || (chosen.length < 2 && !(time && selection.containsNode(time, true)))) return; // a part of one
  const texts = chosen.map((line) => {
    const part = document.createRange();
    part.selectNodeContents(line);
    if (line.contains(range.startContainer)) part.setStart(range.startContainer, range.startOffset);
    if (line.contains(range.endContainer)) part.setEnd(range.endContainer, range.endOffset);
    const piece = part.cloneContents();
    for (const unseen of piece.querySelectorAll(".hidden, .tools, .shut, .quote, .edited, .reactions, .refused, summary")) unseen.remove();
    for (const time of piece.querySelectorAll("time")) time.replaceWith(`[${time.textContent}]`);
    return piece.textContent.trimEnd();
  });
  event.clipboardData.setData("text/plain", texts.filter(Boolean).join("\n"));
  event.preventDefault();
}

function Start({ room }) {
  const text = room.isPrivate ? `This is the start of your private conversation with ${room.nick}.${room.stored ? "" : " It isn't stored."}`
    : `This is the start of ${room.title}.`;
  return html`<p class="start" dir="auto">${text}</p>`;
}

function Waiting({ chat, item }) {
  const talk = chat.talks.get(item.room), other = talk?.doubt || talk?.former ? ` to the ${talk.nick} who is here now` : "";
  const retry = () => { chat.sending.retry(item); chat.changed(); };
  const discard = () => { chat.sending.discard(item); chat.changed(); };
  const comes = chat.phase === "here" ? "sending…" : "will be sent when the connection is back";
  return html`<div class="waiting"><p dir="auto">${cleaned(item.text)}</p>${item.failed
    ? html`<span class="failed">${/^(Not |It is not known)/.test(item.failed) ? "" : "Not sent: "}${item.failed}</span>
      <button onClick=${retry}>Send again${other}</button><button onClick=${discard}>Discard</button>`
    : html`<span>${comes}</span>`}</div>`;
}

// --- lines ---

// A room's entries with what stands between them. What was drawn once is kept: an entry that changes is another object.
const drawn = new WeakMap();

// `next`: the message follows another one of the same speaker.
function draw(entry, chat, next = false) {
  let line = drawn.get(entry);
  if (line?.nick !== chat.nick || line.next !== next || line.forMe !== entry.forMe) {
    line = { nick: chat.nick, next, forMe: entry.forMe, node: html`<${Line} key=${entry.seq} entry=${entry} nick=${chat.nick} next=${next} forMe=${entry.forMe} chat=${chat} />` };
    drawn.set(entry, line);
  }
  return line;
}

// Neighbours that came and went, as one line: kept by the last of them.
function fold(entries) {
  const [first] = entries, last = entries.at(-1);
  if (drawn.get(last)?.first !== first) drawn.set(last, { first, node: html`<${Passing} key=${`p${first.seq}`} entries=${entries} />` });
  return drawn.get(last).node;
}

// Whether a message is one more of the same speaker.
const belongs = (entry, last) => last?.kind === "message" && entry.kind === "message" && entry.nick === last.nick && !entry.re
  && entry.time - last.time < TOGETHER;

function lines(room, chat) {
  const out = room.old.map((entry, index) => html`<${Line} key=${`o${index}`} entry=${entry} nick=${chat.nick} old=${true} chat=${chat} />`);
  if (room.old.length) {
    out.push(html`<li class="began" key="began">The server's log has started again here. What is above is no longer in it.</li>`);
  }
  const oldest = room.start ? -1 : room.entries[0]?.seq ?? -1;
  const notices = chat.notices.filter(({ room: name, after }) => name === room.name && after >= oldest);
  let passing = [], today = "", divided = !room.divider || room.beginsUnread, { missed } = room, last = null;
  const flush = () => {
    if (passing.length === 1) out.push(draw(passing[0], chat).node);
    else if (passing.length) out.push(fold(passing));
    passing = [];
  };
  const between = (node) => { flush(); out.push(node); last = null; };
  const tell = (before) => {
    while (notices[0]?.after < before) between(html`<${Notice} key=${`n${notices[0].key}`} chat=${chat} notice=${notices.shift()} />`);
  };
  for (const entry of room.entries) {
    if (MARKS.has(entry.kind)) continue;
    const passes = entry.kind === "join" || entry.kind === "leave";
    tell(entry.seq);
    if (passes && chat.view.quiet) continue;
    const day = dayOf(entry.time);
    if (day !== today) between(html`<li class="day" key=${`d${day}`}><span>${(today = day)}</span></li>`);
    const since = missed && entry.time >= missed.since && missed, newer = !divided && entry.seq >= room.divider;
    if (since) {
      const at = dayOf(since.since) === dayOf(Date.now() / 1000) ? timeOf(since.since) : whenOf(since.since);
      between(html`<li class="unread" key="missed"><span>${since.count.toLocaleString()}${since.more && " or more"} new since ${at}</span></li>`);
      missed = null;
    } else if (newer) between(html`<li class="unread" key="unread"><span>New messages</span></li>`);
    divided ||= newer;
    if (passes) {
      passing.push(entry);
      last = null;
    } else {
      const { node } = draw(entry, chat, belongs(entry, last));
      between(node);
      last = entry;
    }
  }
  if (room.live) tell(Infinity);
  flush();
  return out;
}

// An answer of the server: nobody else sees it, and it can be closed.
function Notice({ chat, notice }) {
  return html`<li class=${notice.error ? "notice error" : "notice"}>${notice.lines.map((line, index) => html`${index ? "\n" : ""}<span dir="auto">${line}</span>`)}<button
    class="shut" aria-label="Close this answer" title="Only you see this. Close it" onClick=${() => chat.close(notice)}></button></li>`;
}

const WAYS = { "join join": "joined", "leave leave": "left", "join leave": "came and went", "leave join": "left and came back" };

// Neighbours that only say who came and went, in one line: "Ada, Ben and 28 others joined; Cy left".
function Passing({ entries }) {
  const [open, setOpen] = useState(false);
  const firsts = new Map(), lasts = new Map(), groups = new Map();
  for (const { nick, kind } of entries) {
    if (!firsts.has(nick)) firsts.set(nick, kind);
    lasts.set(nick, kind);
  }
  for (const [nick, kind] of firsts) {
    const way = WAYS[`${kind} ${lasts.get(nick)}`];
    if (!groups.has(way)) groups.set(way, []);
    groups.get(way).push(nick);
  }
  const parts = [...groups].map(([way, nicks], index) => html`${index ? "; " : ""}${listed(nicks)} ${way}`);
  return html`<li class="event" data-seq=${entries[0].seq} tabindex="-1" aria-live="off"><${Time} at=${entries[0].time} /> <div>
    ${!open && parts}
    ${open && entries.map((entry) => html`<div><${Time} at=${entry.time} /> ${EVENTS[entry.kind](entry)}${"\n"}</div>`)}
  </div><span class="tools"><button aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "Less" : "Details"}</button></span></li>`;
}
