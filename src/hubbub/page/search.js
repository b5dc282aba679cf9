// Looking for words in all rooms, or in a private conversation, and for what mentions the reader.
import { html, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { cut, hue, whenOf } from "./text.js";
import { search as searched } from "./times.js";

const MOST = 50; // messages that a search shows
const WHOLE = "Search finds whole words: page does not find pages.";
const FILTERS = "from:NAME in:ROOM before:2026-11-24 after:2h";

function summary({ failed, entries, more, mentions }) {
  if (failed) return failed;
  if (mentions) return entries.length ? "The newest messages that mention you, newest first" : "Nobody has mentioned you.";
  if (more) return `${MOST} most recent matches, newest first`;
  return { 0: `Nothing found. ${WHOLE}`, 1: "1 match" }[entries.length] ?? `${entries.length} matches, newest first`;
}

export function Search({ chat, close, mentioned }) {
  const field = useRef(null);
  const [found, setFound] = useState(null);
  const within = chat.room?.isPrivate && chat.room.stored ? chat.room : null;
  useLayoutEffect(() => {
    field.current.focus();
    if (mentioned) mentions();
  }, []);
  const search = (event) => {
    event.preventDefault();
    const words = searched(field.current.value.trim());
    if (words) chat.ask({ type: "search", words, limit: MOST, ...(within && { room: within.address }) }).then(setFound);
  };
  const mentions = () => chat.ask({ type: "mentions", limit: MOST }).then((page) => {
    setFound({ ...page, mentions: true });
    if (!page.failed) chat.reader?.listed();
  });
  const go = async (entry) => {
    close(true);
    const name = entry.room[0] === "@" ? (await chat.privately())?.of(entry).name : entry.room;
    if (name) chat.jump(name, entry.seq);
  };
  const hit = (entry) => html`<li key=${entry.id}><button onClick=${() => go(entry)}>
    <i><bdi>${entry.room}</bdi>, ${whenOf(entry.time)}</i> <b class=${hue(entry.nick)}><bdi>${entry.nick}</bdi>${entry.words ? "" : ":"}</b> <span dir="auto">${
      cut(entry.words ?? entry.text, 300)}</span></button></li>`;
  return html`<section class="search" aria-label="Search"><form onSubmit=${search} role="search">
      <label for="words" class="hidden">Words to look for</label>
      <input id="words" type="search" ref=${field} dir="auto" placeholder=${`Words to look for, ${within ? `with ${within.nick}` : "in all rooms"}`} /><button>Search</button>
      ${chat.account.name && html`<button type="button" onClick=${mentions}>Mentions</button>`}
      <button type="button" aria-label="Close the search" onClick=${() => close()}>✕</button></form>
    <div role="status">${found ? summary(found) : html`Filters: <code>${FILTERS}</code>`}</div>
    <ul>${found && [...found.entries].reverse().map(hit)}</ul>
  </section>`;
}
