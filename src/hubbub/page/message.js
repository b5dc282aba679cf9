// A row of the log: a message with what it answers and its reactions, or something that happened.
import { html } from "./vendor/htm-preact.js";
import { Face } from "./display.js";
import { lazy } from "./lazy.js";
import { beginning, cut, endsInCode, fences, hue, linked, mentions, named, shown, timeOf, whenOf } from "./text.js";

const FOLD = 12, LONG = 2000; // lines and characters of a message beyond which it is folded
const QUOTED = 120; // characters of a message that is answered

const bdi = (text) => html`<bdi>${text}</bdi>`;
const words = (entry) => html`${bdi(entry.nick)} ${entry.words}`;
const Asked = lazy(() => import("./polls.js"), "Asked");
export const EVENTS = {
  join: (entry) => html`${bdi(entry.nick)} has joined`,
  leave: (entry) => html`${bdi(entry.nick)} has left${entry.text && html` (${bdi(entry.text)})`}`,
  rename: (entry) => html`${bdi(entry.nick)} is now ${bdi(entry.text)}`,
  topic: (entry) => html`${bdi(entry.nick)} ${entry.text ? html`set the topic: ${bdi(linked(entry.text))}` : "removed the topic"}`,
  mode: words, kick: words, redact: words, move: words, pin: words, unpin: words, turn: words,
  brake: ({ words }) => words,
  "poll-end": ({ nick, words, quote }) => html`${bdi(nick)} ${words} ${bdi(quote?.text)}`,
  meant: (entry) => html`From here on this is with the ${bdi(entry.nick)} who is here now`,
};

export const Time = ({ at }) => html`<time datetime=${new Date(at * 1000).toISOString()} title=${whenOf(at)}>${timeOf(at)}</time>`;

// What its buttons do is in menu.js: a log has many rows, and one listener.
export function Line({ entry, nick, old, next, forMe, chat }) {
  const seq = old ? undefined : entry.seq, event = EVENTS[entry.kind];
  // Joining and leaving is not read aloud.
  const live = entry.kind === "join" || entry.kind === "leave" ? "off" : undefined;
  if (event) return html`<li class=${old ? "event old" : "event"} data-seq=${seq} tabindex="-1" aria-live=${live}>
    <${Time} at=${entry.time} /> <div>${event(entry)}</div></li>`;
  if (entry.kind === "poll") return html`<${Asked} ...${{ chat, entry, old }} />`;
  const mine = entry.nick !== nick && (forMe || mentions(entry.text, nick));
  const kind = `said ${entry.kind}${next ? " next" : ""}${entry.nick === nick ? " mine" : ""}${mine ? " mention" : ""}${old ? " old" : ""}`;
  return html`<li class=${kind} data-seq=${seq} tabindex="-1"><${Face} nick=${entry.nick} /><${Time} at=${entry.time} /> <div>
    ${entry.re && html`<${Quote} entry=${entry} />`}${mine && html`<span class="hidden">For you: </span>`}<b class=${hue(entry.nick)} data-name=${entry.nick}>${
      entry.kind === "action" ? html`* ${bdi(entry.nick)}` : html`${bdi(entry.nick)}<span class="colon">:</span>`}</b> <${Text} text=${entry.text} />${
      entry.edited && html`<span class="edited"> edited</span>`}<${Reactions} entry=${entry} nick=${nick} old=${old} />${
      entry.refused && html`<p class="refused" role="alert">${entry.refused}</p>`}</div>${!old && html`<${Tools} entry=${entry} />`}</li>`;
}

// Their signs are in the style sheet: they are no part of a text.
function Tools({ entry }) {
  return html`<span class="tools">${entry.id && html`<button class="sign reply" data-act="reply" title="Reply" aria-label="Reply"></button>`}
    <button class="sign more-acts" data-act="menu" title="More" aria-label="What to do with this message" aria-haspopup="dialog"></button></span>`;
}

function Quote({ entry: { re, quote, unquoted } }) {
  return html`<button class="quote" data-jump=${unquoted ? undefined : re} disabled=${unquoted} dir="auto"><span class="hidden">In reply to </span>${
    quote ? html`<b class=${hue(quote.nick)}>${bdi(quote.nick)}</b> ${cut(quote.text.slice(0, 4 * QUOTED).replace(/\s+/g, " "), QUOTED)}`
    : unquoted ? "a deleted message" : "an earlier message"}</button>`;
}

function Reactions({ entry, nick, old }) {
  const all = Object.entries(entry.reactions ?? {});
  if (!all.length) return null;
  return html`<div class="reactions">${all.map(([reaction, nicks]) => html`<button key=${`r${reaction}`} data-reaction=${reaction} disabled=${old}
    aria-pressed=${nicks.includes(nick)} title=${named(nicks)} aria-label=${`${reaction} ${nicks.length}: ${named(nicks)}`}>${bdi(reaction)} ${nicks.length}</button>`)}</div>`;
}

// Lines of which some are indented were probably pasted: they keep their columns.
const isPasted = (rows) => rows.length > 1 && rows.some((row) => /^(\t| {2,})\S/.test(row));

function Text({ text }) {
  const rows = text.split("\n"), pasted = isPasted(rows) && !fences(text).length;
  const look = pasted ? "text pasted" : "text", copy = pasted && html`<button class="copy" data-copy="all" aria-label="Copy these lines"></button>`;
  let head = rows.slice(0, 4).join("\n");
  if (head.length > LONG / 4) head = beginning(head, LONG / 4);
  const rest = text.slice(head.length).replace(/^\n/, ""), count = rest.split("\n").length;
  if ((rows.length <= FOLD && text.length <= LONG) || !rest) return html`<span class=${look} dir="auto">${shown(text)}${copy}</span>`;
  const open = endsInCode(head), blocks = fences(head).length - (open ? 1 : 0);
  return html`<div class=${look} dir="auto">${shown(head)}<details>
    <summary>${count > 1 ? `${count} more lines` : `${rest.length} more characters`}</summary>${shown(rest, open, blocks)}</details>${copy}</div>`;
}
