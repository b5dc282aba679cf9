// How texts, names and times look, and how they are read and cut.
import { html } from "./vendor/htm-preact.js";

// --- cleaning ---

// What text/cleaning.py takes out of each line: escape sequences as a whole, IRC's colours, controls, marks that reorder text.
const ESCAPES = new RegExp([
  String.raw`(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f])[^]*?(?:\x07|\x1b\\|\x9c|$)`,
  String.raw`(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?`,
  String.raw`(?:\x1b[NO]|[\x8e\x8f])[ -~]?`,
  String.raw`\x1b[ -/]+[0-~]?`,
  String.raw`\x1b[0-~]?`,
  String.raw`\x03(?:\d\d?(?:,\d\d?)?)?|\x04(?:[0-9a-fA-F]{6}(?:,[0-9a-fA-F]{6})?)?`,
].join("|"), "g");
const UNSAFE = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]/g;

// Half of a character cannot be sent: JSON with it is refused.
export const wellFormed = (text) => text.replace(/\p{Cs}/gu, "\ufffd");

export function cleaned(text) {
  const lines = wellFormed(text).split(/\r\n|[\n\r\x85\u2028\u2029]/);
  return lines.map((line) => line.replace(ESCAPES, "").replace(UNSAFE, "")).join("\n");
}

// --- links ---

// The punctuation of other scripts ends a link, their letters do not.
const LINK = /(^|[^a-z0-9])((?:https?:\/\/|www\.)(?:(?!\]\()[^\s<>"'`\u060c\u061b\u061f\u0964\u2018-\u201f\u2026\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65])+)/giu;
const OPENED_BY = { ")": "(", "]": "[", "}": "{" };
const AFTER = /[.,;:!?*]|(?![\0-\x7f])\p{P}/u; // does not belong to a link that it follows
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2800]/u;

const count = (text, sign) => text.split(sign).length - 1;

// A link without the punctuation that follows it: a bracket belongs to it if it was opened in it.
function trimmed(link, before) {
  const spare = {};
  for (const [close, open] of Object.entries(OPENED_BY)) spare[close] = count(link, close) - count(link, open);
  let end = link.length;
  for (; end; end -= 1) {
    const last = link[end - 1];
    if (OPENED_BY[last]) {
      if (spare[last]-- <= 0) break;
    } else if (!AFTER.test(last) && !(/[_~]/.test(last) && before.endsWith(last))) break;
  }
  return link.slice(0, end);
}

// Where a link leads; null if it may lead elsewhere than it seems to.
function targetOf(link) {
  if (UNSEEN.test(link) || /^[a-z]+:\/\/[^/?#\\]*@/i.test(link)) return null;
  try {
    const url = new URL(/^www\./i.test(link) ? `http://${link}` : link);
    return url.hostname && (url.protocol === "http:" || url.protocol === "https:") ? url : null;
  } catch { return null; }
}

// The links of a text: {start, end, link, url}.
function linksIn(text) {
  const found = [];
  for (const match of text.matchAll(LINK)) {
    const link = trimmed(match[2], match[1]), start = match.index + match[1].length;
    if (/^www\./i.test(link) && (/[./@_-]/.test(match[1]) || !/^www\.[^./?#]+\.[^./?#]/i.test(link))) continue;
    const url = targetOf(link);
    if (url) found.push({ start, end: start + link.length, link, url });
  }
  return found;
}

// The host that is opened, if what is written is another one: letters of several scripts look the same.
function otherHost(link, url) {
  const written = link.replace(/^https?:\/\//i, "").split(/[/?#\\]/)[0].toLowerCase();
  return written.replace(/:(80|443)$/, "") === url.host ? "" : url.host;
}

export function linked(text) {
  const parts = [];
  let at = 0;
  for (const { start, end, link, url } of linksIn(text)) {
    const host = otherHost(link, url), href = /^www\./i.test(link) ? `http://${link}` : link;
    parts.push(text.slice(at, start));
    parts.push(html`<a href=${href} title=${`Opens ${url.host}`} target="_blank" rel="noopener noreferrer nofollow">${link}</a>`);
    if (host) parts.push(html`<span class="host"> (${host})</span>`);
    at = end;
  }
  parts.push(text.slice(at));
  return parts;
}

// --- lines, and code ---

const FENCE = /^\s*```[\w+#.-]*\s*$/;

// The blocks of code in a text.
export function fences(text) {
  const found = [];
  let code = null;
  for (const row of text.split("\n")) {
    if (!FENCE.test(row)) code?.push(row);
    else if (code) code = void found.push(code.join("\n"));
    else code = [];
  }
  return code ? [...found, code.join("\n")] : found;
}

export const endsInCode = (text) => text.split("\n").filter((line) => FENCE.test(line)).length % 2 === 1;

// A line with what stands between single backticks as code.
const marked = (line) => line.split(/`([^`]+)`/).map((part, index) => (index % 2 ? html`<code dir="auto">${part}</code>` : linked(part)));

// A text line by line, each in the direction of its own script; `inCode`: it begins within a block of code. `block`: the
// number of its first block in the message.
export function shown(text, inCode = false, block = 0) {
  const parts = [], rows = text.split("\n");
  let code = inCode ? [] : null;
  const end = () => {
    parts.push(html`<span class="fenced"><code class="block" dir="ltr">${code.join("\n")}${"\n"}</code><button class="copy" data-copy=${block++} aria-label="Copy this code"></button></span>`);
    code = null;
  };
  rows.forEach((row, index) => {
    const fence = FENCE.test(row);
    if (fence && code) end();
    else if (fence) code = [];
    else if (code) code.push(row);
    else parts.push(html`<span dir="auto">${marked(row)}</span>`, index < rows.length - 1 && !FENCE.test(rows[index + 1]) ? "\n" : "");
  });
  if (code?.length) end();
  return parts;
}

// --- cutting ---

const characters = globalThis.Intl?.Segmenter && new Intl.Segmenter();

// The beginning of a text: at most so many units of it, but whole words, links and characters.
export function beginning(text, most) {
  if (text.length <= most) return text;
  let at = most;
  const word = /\s\S{1,99}$/.exec(text.slice(0, at));
  if (word && /\S/.test(text[at])) at = word.index + 1;
  const split = linksIn(text).find(({ start, end }) => start < at && at < end);
  if (split) at = split.start || split.end;
  else if (characters) at = characters.segment(text).containing(at).index || at;
  if (/[\udc00-\udfff]/.test(text[at] ?? "")) at -= 1;
  return text.slice(0, at);
}

export const cut = (text, most) => (text.length > most ? `${beginning(text, most)}…` : text);

// --- names ---

// One of 12 hues, the same for a name everywhere; the style sheet gives each a tone for either ground.
export function hue(name) {
  let sum = 7;
  for (const char of name.normalize("NFKC").toLowerCase()) sum = (sum * 31 + char.codePointAt(0)) % 9973;
  return `hue-${sum % 12}`;
}

export const folded = (name) => name.normalize("NFKC").toLowerCase();
export const roomNamed = (text) => folded(text.trim().replace(/^#/, ""));

export function mentions(text, nick) {
  if (!nick) return false;
  const within = text.toLowerCase(), sought = nick.toLowerCase(), letter = /[\p{L}\p{N}_]/u;
  for (let at = -1; (at = within.indexOf(sought, at + 1)) >= 0; ) {
    if (!letter.test(within[at - 1] ?? " ") && !letter.test(within[at + sought.length] ?? " ")) return true;
  }
  return false;
}

// "Ada", "Ada and Ben", "Ada, Ben and Cy", "Ada, Ben and 28 others".
export function listed(names) {
  const first = names.length > 3 ? names.slice(0, 2) : names.slice(0, -1);
  const last = names.length > 3 ? `${(names.length - 2).toLocaleString()} others` : html`<bdi>${names.at(-1)}</bdi>`;
  const parts = first.flatMap((name, index) => [index ? ", " : "", html`<bdi>${name}</bdi>`]);
  return first.length ? [...parts, " and ", last] : [last];
}

// The same as plain text, for more of them.
export const named = (names) => names.slice(0, 20).join(", ") + (names.length > 20 ? ` and ${names.length - 20} more` : "");

// --- times ---

// Where the day has 24 hours, British English writes 0:10 and 23:53: two digits keep the texts in one column.
const { hour12 } = new Intl.DateTimeFormat(undefined, { hour: "numeric" }).resolvedOptions();
const clock = new Intl.DateTimeFormat(undefined, { hour: hour12 ? "numeric" : "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
const two = (number) => String(number).padStart(2, "0");

// A message, or a poll, with its author.
export const sentence = ({ nick, text, words }) => (words ? `${nick} ${words}` : `${nick}: ${text}`);

export const timeOf = (seconds) => clock.format(seconds * 1000);
export const dayOf = (seconds) => day.format(seconds * 1000);

// As in a terminal, and as /since takes it.
export function whenOf(seconds) {
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
