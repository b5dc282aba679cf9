// The field in which the reader writes.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { isSecret } from "./account.js";
import { later, lazy } from "./lazy.js";
import { folded } from "./text.js";

const HIGHEST = 200; // pixels of the field; in a low window a third of that

const commands = later(() => import("./commands.js")), Offers = lazy(() => import("./commands.js"), "Offers");
const About = lazy(() => import("./doing.js"), "About");
const PART = /^\/([^\s/]*)$/; // of a command

// A key that is part of the composition of a character belongs to the input method. Safari says so by the code alone.
export const composes = (event) => event.isComposing || event.keyCode === 229;

// Names that may be meant: the people in the room, and those who have spoken there if not everybody is listed.
function names(room, nick) {
  if (!room) return [];
  if (room.isPrivate) return [room.nick];
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
    this.offers = []; // commands that begin with what is typed
    this.changed = () => {}; // is called with the text
    this.round = null; // of a completion: {before, after, names, next, value}
  }

  fit() {
    this.node.style.height = "auto";
    this.node.style.height = `${Math.min(this.node.scrollHeight, HIGHEST, innerHeight / 3)}px`;
  }

  get about() { return this.chat.room?.about; }

  put(text) {
    this.node.value = text;
    this.keep();
  }

  // A correction leaves the draft as it is.
  keep() {
    if (this.about?.edit) this.about.text = this.node.value; else this.chat.drafts[this.chat.current] = this.node.value;
    this.fit();
    this.changed(this.node.value);
  }

  choose(name) {
    this.put(`/${name} `);
    this.node.focus();
    return true;
  }

  open() {
    this.put((this.about?.edit ? this.about.text : this.chat.drafts[this.chat.current]) ?? "");
    if (this.about) this.node.focus();
    const reads = document.activeElement.closest(".log, .search, .knock");
    if (matchMedia("(pointer: fine)").matches && !reads) this.node.focus();
  }

  say() {
    const text = this.node.value.replace(/\s+$/, ""), { chat } = this, { current } = chat;
    if (!text.trim()) return;
    if (this.about?.edit) return void chat.acts.correct(chat.room);
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
    if (this.about?.edit || at < 0 || at > this.said.length) return false;
    if (this.at === this.said.length) this.typed = this.node.value;
    this.at = at;
    this.put(this.said[at] ?? this.typed);
    return true;
  }

  // In an empty field, Up corrects what was said last; once more, it brings that back to be said again.
  up(room) {
    const { about, node: { value }, chat } = this;
    const last = !about && !value && this.at === this.said.length && !/^\s*\/(?!\/)/.test(this.said.at(-1) ?? "") && chat.acts.last(room);
    if (last) return void chat.acts.begin(room, last, true) ?? true;
    if (about?.edit && value === about.before) {
      chat.acts.end(room);
      this.open();
    }
    return this.recall(-1);
  }

  leave(event, room) {
    event.stopPropagation(); // the page closes nothing else by the same key
    this.chat.acts.end(room);
    return true;
  }

  press(event, room) {
    const { value, selectionStart: at } = this.node;
    if (composes(event) || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") this.round = null; // and Tab leaves the field again
    const done =
      event.key === "Enter" && !event.shiftKey ? (this.say(), true)
      : event.key === "Tab" && !event.shiftKey ? (this.offers.length ? this.choose(this.offers[0].name) : this.complete(room))
      : event.key === "Escape" && this.about ? this.leave(event, room)
      : event.key === "ArrowUp" && !value.slice(0, at).includes("\n") ? this.up(room)
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
  const [typed, type] = useState(""), [offered, offer] = useState({});
  const part = PART.exec(typed)?.[1].toLowerCase();
  useEffect(() => {
    if (part !== undefined) commands().then(({ matching }) => matching(chat, part)).then((found) => offer({ part, found }), () => {});
  }, [part]);
  made.current ??= new Field(chat);
  made.current.changed = type;
  made.current.offers = offered.part === part && part !== undefined ? offered.found : [];
  const field = made.current, title = room?.title ?? "…", about = room?.about;
  const wants = about?.edit ? "Correct your message" : about ? `Reply to ${about.nick}` : `Message to ${title}`;
  useLayoutEffect(() => {
    field.node = node.current;
    field.open();
  }, [chat.current, about?.id, about?.edit]);
  useEffect(() => {
    const fit = () => field.fit();
    addEventListener("resize", fit);
    return () => removeEventListener("resize", fit);
  }, []);
  return html`${about && html`<${About} chat=${chat} about=${about} close=${() => chat.acts.end(room)} />`}
    <form class="writer" onSubmit=${(event) => { event.preventDefault(); field.say(); }}>
    ${field.offers.length > 0 && html`<${Offers} chat=${chat} found=${field.offers} choose=${(name) => field.choose(name)} />`}
    <label for="write" class="hidden">${wants}</label>
    <textarea id="write" ref=${node} rows="1" dir="auto" placeholder=${wants} aria-describedby=${about ? "about" : undefined} enterkeyhint="send" disabled=${!room}
      onKeyDown=${(event) => field.press(event, room)} onInput=${() => field.keep()}></textarea>
    <button type="button" class="break" aria-label="New line" disabled=${!room} onClick=${() => field.breakLine()}>↵</button>
    <button disabled=${!room}>${about?.edit ? "Save" : "Send"}</button></form>`;
}
