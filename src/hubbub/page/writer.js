// The field in which the reader writes.
import { html, useEffect, useRef } from "./vendor/htm-preact.js";
import { isSecret } from "./account.js";
import { Talk } from "./room.js";
import { folded } from "./text.js";

const HIGHEST = 200; // pixels of the field; in a low window a third of that

// A key that is part of the composition of a character belongs to the input method. Safari says so by the code alone.
export const composes = (event) => event.isComposing || event.keyCode === 229;

// Names that may be meant: the people in the room, and those who have spoken there if not everybody is listed.
function names(room, nick) {
  if (!room) return [];
  if (room instanceof Talk) return [room.nick];
  const spoke = room.more ? room.entries.map((entry) => entry.nick) : [];
  return [...new Set([...room.members, ...spoke])].filter((name) => name !== nick).sort();
}

// The field with what it holds for each room, what was said before, and the name that is completed.
class Field {
  constructor(chat) {
    this.chat = chat;
    this.node = null;
    this.said = [];
    this.at = 0; // in what was said; behind it is what is typed now
    this.typed = "";
    this.round = null; // of a completion: {before, after, names, next, value}
  }

  fit() {
    this.node.style.height = "auto";
    this.node.style.height = `${Math.min(this.node.scrollHeight, HIGHEST, innerHeight / 3)}px`;
  }

  put(text) {
    this.node.value = text;
    this.keep();
  }

  keep() {
    this.chat.drafts[this.chat.current] = this.node.value;
    this.fit();
  }

  open() {
    this.put(this.chat.drafts[this.chat.current] ?? "");
    const reads = document.activeElement.closest(".log, .search, .knock");
    if (matchMedia("(pointer: fine)").matches && !reads) this.node.focus();
  }

  say() {
    const text = this.node.value.replace(/\s+$/, ""), { chat } = this, { current } = chat;
    if (!text.trim()) return;
    this.put("");
    if (chat.say(text) === false) {
      chat.drafts[current] = text;
      if (chat.current === current) this.put(text);
      return;
    }
    if (!isSecret(text)) this.said.push(text);
    this.at = this.said.length;
  }

  // Complete the name before the cursor, and with each call give the next one that begins so.
  complete(room) {
    const { value, selectionStart: at } = this.node;
    if (this.round?.value !== value) {
      const [, before, word] = /^([^]*?)@?([^\s@]*)$/.exec(value.slice(0, at));
      const found = word && names(room, this.chat.nick).filter((name) => folded(name).startsWith(folded(word)));
      if (!found?.length) return false;
      this.round = { before, after: value.slice(at), names: found, next: 0 };
    }
    const { round } = this, name = round.names[round.next++ % round.names.length];
    const head = round.before + name + (round.before ? " " : ": ");
    this.put(head + round.after);
    this.node.setSelectionRange(head.length, head.length);
    round.value = this.node.value;
    return true;
  }

  // Bring back what was said before, or what is typed now.
  recall(step) {
    const at = this.at + step;
    if (at < 0 || at > this.said.length) return false;
    if (this.at === this.said.length) this.typed = this.node.value;
    this.at = at;
    this.put(this.said[at] ?? this.typed);
    return true;
  }

  press(event, room) {
    const { value, selectionStart: at } = this.node;
    if (composes(event) || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") this.round = null; // and Tab leaves the field again
    const done =
      event.key === "Enter" && !event.shiftKey ? (this.say(), true)
      : event.key === "Tab" && !event.shiftKey ? this.complete(room)
      : event.key === "ArrowUp" && !value.slice(0, at).includes("\n") ? this.recall(-1)
      : event.key === "ArrowDown" && !value.slice(at).includes("\n") ? this.recall(1)
      : false;
    if (done) event.preventDefault();
  }

  // For a phone, whose Enter sends.
  breakLine() {
    this.node.setRangeText("\n", this.node.selectionStart, this.node.selectionEnd, "end");
    this.keep();
    this.node.focus();
  }
}

export function Writer({ chat, room }) {
  const node = useRef(null), made = useRef(null);
  made.current ??= new Field(chat);
  const field = made.current, title = room?.title ?? "…";
  useEffect(() => {
    field.node = node.current;
    field.open();
  }, [chat.current]);
  useEffect(() => {
    const fit = () => field.fit();
    addEventListener("resize", fit);
    return () => removeEventListener("resize", fit);
  }, []);
  return html`<form class="writer" onSubmit=${(event) => { event.preventDefault(); field.say(); }}>
    <label for="write" class="hidden">Message to ${title}</label>
    <textarea id="write" ref=${node} rows="1" dir="auto" placeholder=${`Message to ${title}`} enterkeyhint="send" disabled=${!room}
      onKeyDown=${(event) => field.press(event, room)} onInput=${() => field.keep()}></textarea>
    <button type="button" class="break" aria-label="New line" disabled=${!room} onClick=${() => field.breakLine()}>↵</button>
    <button disabled=${!room}>Send</button></form>`;
}
