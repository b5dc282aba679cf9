// The messages of a room, drawn.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { LINES, Place } from "./place.js";
import { Talk } from "./room.js";
import { Face } from "./display.js";
import { beginning, cleaned, dayOf, endsInCode, hue, linked, listed, mentions, shown, timeOf, whenOf } from "./text.js";

const FOLD = 12, LONG = 2000; // lines and characters of a message beyond which it is folded
const TOGETHER = 300; // seconds between two messages of a speaker that are shown as one group

export function Log({ chat, room }) {
  const box = useRef(null), kept = useRef(null);
  const [atEnd, setAtEnd] = useState(true);
  kept.current ??= new Place(chat, room, setAtEnd);
  const place = kept.current, scrolled = () => place.scrolled();
  useLayoutEffect(() => {
    place.log = box.current;
    place.hold();
  });
  useEffect(() => {
    const sizes = new ResizeObserver(() => place.resized());
    sizes.observe(box.current);
    sizes.observe(box.current.querySelector("ol"));
    return () => { sizes.disconnect(); place.log = null; };
  }, []);
  useEffect(() => { chat.talks.recall(room); }, [room.asked, chat.account.name, chat.sending.held, chat.phase]);
  useEffect(scrolled, [room.entries[0]?.seq, room.entries.at(-1)?.seq, room.seq > 0, room.joined, room.restoring]);
  const newest = () => { chat.newest(room); document.getElementById("write").focus(); };
  return html`<div class="frame"><div class=${chat.view.compact ? "log compact" : "log"} ref=${box} onScroll=${scrolled} onKeyDown=${step} onCopy=${copy}
      onClick=${(event) => place.unfolded(event)} onToggleCapture=${scrolled}
      tabindex="0" role="log" aria-live=${atEnd ? "polite" : "off"} aria-label=${`Messages in ${room.title}`}>
      ${room.start && !room.old.length && html`<${Start} room=${room} />`}
      <ol>${lines(room, chat)}</ol>
      ${chat.sending.in(room.name).map((item) => html`<${Waiting} key=${item.label} chat=${chat} item=${item} />`)}
    </div>
    ${!atEnd && html`<button class="newest" onClick=${newest}>Jump to the newest${room.unread > 0 && ` (${room.unread} unread)`} ↓</button>`}</div>`;
}

// Up and Down go from a message to the next, Delete to what takes it back.
function step(event) {
  const log = event.currentTarget, current = event.target.closest(LINES);
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.key === "Delete") current?.querySelector(".tools button")?.focus();
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
    for (const unseen of piece.querySelectorAll(".hidden, .tools, summary")) unseen.remove();
    for (const time of piece.querySelectorAll("time")) time.replaceWith(`[${time.textContent}]`);
    return piece.textContent.trimEnd();
  });
  event.clipboardData.setData("text/plain", texts.filter(Boolean).join("\n"));
  event.preventDefault();
}

function Start({ room }) {
  const text = room instanceof Talk ? `This is the start of your private conversation with ${room.nick}.${room.stored ? "" : " It isn't stored."}`
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

// A room's entries with what stands between them. What was drawn once is kept: it does not change.
const drawn = new WeakMap();

// `next`: the message follows another one of the same speaker.
function draw(entry, chat, room, next = false) {
  const mine = chat.mayRedact(room, entry);
  let line = drawn.get(entry);
  if (line?.nick !== chat.nick || line.mine !== mine || line.next !== next) {
    const redact = mine ? () => chat.redact(room, entry) : null;
    const node = html`<${Line} key=${entry.seq} entry=${entry} nick=${chat.nick} redact=${redact} next=${next} />`;
    line = { nick: chat.nick, mine, next, day: dayOf(entry.time), node };
    drawn.set(entry, line);
  }
  return line;
}

// Whether a message is one more of the same speaker.
const belongs = (entry, last) => last?.kind === "message" && entry.kind === "message" && entry.nick === last.nick
  && entry.time - last.time < TOGETHER;

function lines(room, chat) {
  const out = room.old.map((entry, index) => html`<${Line} key=${`o${index}`} entry=${entry} nick=${chat.nick} old=${true} />`);
  if (room.old.length) {
    out.push(html`<li class="began" key="began">The server's log has started again here. What is above is no longer in it.</li>`);
  }
  const oldest = room.start ? -1 : room.entries[0]?.seq ?? -1;
  const notices = chat.notices.filter(({ room: name, after }) => name === room.name && after >= oldest);
  let passing = [], today = "", divided = !room.divider, { missed } = room, last = null;
  const flush = () => {
    if (passing.length === 1) out.push(draw(passing[0], chat, room).node);
    else if (passing.length) out.push(html`<${Passing} key=${`p${passing[0].seq}`} entries=${passing} />`);
    passing = [];
  };
  const between = (node) => { flush(); out.push(node); last = null; };
  const tell = (before) => {
    while (notices[0]?.after < before) between(html`<${Notice} key=${`n${notices[0].key}`} notice=${notices.shift()} />`);
  };
  for (const entry of room.entries) {
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
      const { node } = draw(entry, chat, room, belongs(entry, last));
      between(node);
      last = entry;
    }
  }
  if (room.live) tell(Infinity);
  flush();
  return out;
}

function Notice({ notice }) {
  return html`<li class=${notice.error ? "notice error" : "notice"}>${notice.lines.map((line, index) => html`${index ? "\n" : ""}<span dir="auto">${line}</span>`)}</li>`;
}

const bdi = (text) => html`<bdi>${text}</bdi>`;
const words = (entry) => html`${bdi(entry.nick)} ${entry.words}`;
const EVENTS = {
  join: (entry) => html`${bdi(entry.nick)} has joined`,
  leave: (entry) => html`${bdi(entry.nick)} has left${entry.text && html` (${bdi(entry.text)})`}`,
  rename: (entry) => html`${bdi(entry.nick)} is now ${bdi(entry.text)}`,
  topic: (entry) => html`${bdi(entry.nick)} ${entry.text ? html`set the topic: ${bdi(linked(entry.text))}` : "removed the topic"}`,
  mode: words, kick: words, redact: words, move: words,
  meant: (entry) => html`From here on this is with the ${bdi(entry.nick)} who is here now`,
};

const Time = ({ at }) => html`<time datetime=${new Date(at * 1000).toISOString()} title=${whenOf(at)}>${timeOf(at)}</time>`;

function Line({ entry, nick, redact, old, next }) {
  const seq = old ? undefined : entry.seq, event = EVENTS[entry.kind];
  // Who comes and goes is not read aloud.
  const live = entry.kind === "join" || entry.kind === "leave" ? "off" : undefined;
  if (event) return html`<li class=${old ? "event old" : "event"} data-seq=${seq} tabindex="-1" aria-live=${live}>
    <${Time} at=${entry.time} /> <div>${event(entry)}</div></li>`;
  const mine = entry.nick !== nick && mentions(entry.text, nick);
  const kind = `said ${entry.kind}${next ? " next" : ""}${entry.nick === nick ? " mine" : ""}${mine ? " mention" : ""}${old ? " old" : ""}`;
  return html`<li class=${kind} data-seq=${seq} tabindex="-1"><${Face} nick=${entry.nick} /><${Time} at=${entry.time} /> <div>
    ${mine && html`<span class="hidden">For you: </span>`}<b class=${hue(entry.nick)}>${
      entry.kind === "action" ? html`* ${bdi(entry.nick)}` : html`${bdi(entry.nick)}<span class="colon">:</span>`}</b> <${Text} text=${entry.text} /></div>${redact && html`<${Redact} redact=${redact} />`}</li>`;
}

// It cannot be undone, so it takes two steps.
function Redact({ redact }) {
  const [sure, ask] = useState(false);
  return html`<span class="tools"><button onClick=${() => (sure ? redact() : ask(true))} onBlur=${() => ask(false)}
    aria-label=${sure ? "Delete this message for everybody" : "Delete this message"}>${sure ? "Delete for everybody?" : "Delete"}</button></span>`;
}

function Text({ text }) {
  const rows = text.split("\n");
  if (rows.length <= FOLD && text.length <= LONG) return html`<span class="text" dir="auto">${shown(text)}</span>`;
  let head = rows.slice(0, 4).join("\n");
  if (head.length > LONG / 4) head = beginning(head, LONG / 4);
  const rest = text.slice(head.length).replace(/^\n/, ""), count = rest.split("\n").length;
  if (!rest) return html`<span class="text" dir="auto">${shown(text)}</span>`;
  return html`<div class="text" dir="auto">${shown(head)}<details>
    <summary>${count > 1 ? `${count} more lines` : `${rest.length} more characters`}</summary>${shown(rest, endsInCode(head))}</details></div>`;
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
    groups.set(way, [...(groups.get(way) ?? []), nick]);
  }
  const parts = [...groups].map(([way, nicks], index) => html`${index ? "; " : ""}${listed(nicks)} ${way}`);
  return html`<li class="event" data-seq=${entries[0].seq} tabindex="-1" aria-live="off"><${Time} at=${entries[0].time} /> <div>
    ${!open && parts}
    ${open && entries.map((entry) => html`<div><${Time} at=${entry.time} /> ${EVENTS[entry.kind](entry)}${"\n"}</div>`)}
  </div><span class="tools"><button aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "Less" : "Details"}</button></span></li>`;
}
