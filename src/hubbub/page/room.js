// A room as its reader knows it: a stretch of its log, and who is there. talks.js has private conversations.
import { cut, folded } from "./text.js";

export const SAID = new Set(["message", "action", "notice"]);
export const HISTORY = new Set([...SAID, "poll"]); // what newcomers are shown
export const MARKS = new Set(["edit", "react", "unreact", "hand"]); // change a message, and are no rows of the log
const ABOUT = new Set([...MARKS, "redact", "pin", "unpin"]); // have the id of a message before their text
const LATE = 100; // of these that are kept
const PINS = 10;
const KEPT = 3000; // entries that are kept
const OLD = 500; // entries that are kept of a log that the server has no more

// A message with a reaction more or less. Nobody has the same one twice.
function reacted(entry, reaction, nick, on) {
  const all = new Map(Object.entries(entry.reactions ?? {}));
  const others = (all.get(reaction) ?? []).filter((name) => folded(name) !== folded(nick));
  if (on) all.set(reaction, [...others, nick]);
  else if (others.length) all.set(reaction, others);
  else all.delete(reaction);
  return { ...entry, reactions: Object.fromEntries(all) };
}

export class Room {
  constructor(name) {
    this.name = name; // the key in the chat
    this.id = ""; // stays when it is renamed
    this.topic = "";
    this.members = [];
    this.more = 0; // members that are not listed
    this.operators = [];
    this.may = []; // what the reader may do here, as far as that is not open to everybody
    this.settings = {}; // of the room, by the names of /set
    this.users = new Map(); // ids of members by their names
    this.entries = []; // a stretch of the log: by seq, without a gap
    this.start = false; // it begins where the log does
    this.live = true; // it ends where the log does
    this.old = []; // what the server's log had before it started again
    this.seq = 0; // the last entry seen, in the stretch or behind it: where to resume
    this.upto = 0; // the entry up to which it is brought up to date
    this.loading = null; // what is being fetched of the log: a promise
    this.stretch = 0; // changes when another stretch of the log is shown
    this.place = 0; // the first entry in view, 0 at the end
    this.restoring = 0; // the place to go back to after a reload
    this.atEnd = true; // the newest entry is in view, if the room is
    this.unread = 0;
    this.mentioned = 0;
    this.divider = 0; // the first entry that was unread
    this.missed = null; // the messages since the reader was here last: {count, since, more}
    this.joined = false; // and up to date: what is said here is sent at once
    this.key = "";
    this.stored = true; // the server has its log
    this.isPrivate = false; // as a conversation of two people is
    this.pins = []; // messages: {id, text, by}, the oldest first
    this.about = null; // the message that is answered or corrected: {id, nick, edit, text, before, failed}
    this.hands = this.questions = []; // of a class; classroom.js has the rest
    this.marks = []; // the last entries that changed messages
  }

  get title() { return this.name; }
  get address() { return this.name; } // what it is called in requests
  get first() { return this.entries[0]?.seq; } // of the stretch
  // The first entry that was unread is before the stretch.
  get beginsUnread() { return this.divider > 0 && this.stored && !this.start && this.first > this.divider; }

  get people() { return this.members.length + this.more; }

  static restored(saved, current) {
    const room = Object.assign(new Room(saved.name), saved);
    if (current) room.restoring = room.place;
    room.place = room.restoring;
    room.atEnd = !room.place;
    return room;
  }

  get saved() {
    const { name, id, seq, place, unread, mentioned, divider, key, about, kit } = this;
    return { name, id, seq, place, unread, mentioned, divider, key, about, kit };
  }

  // Take entries that are in the log behind all that were seen; return those that are new.
  grow(entries) {
    const fresh = entries.filter(({ seq }) => seq > this.seq);
    if (!fresh.length) return fresh;
    this.seq = fresh.at(-1).seq;
    if (!this.live) return fresh;
    this.entries = [...this.entries, ...this.quoting(fresh)];
    if (this.entries.length > KEPT && this.atEnd) {
      this.entries = this.entries.slice(-KEPT / 2);
      this.start = false;
    }
    return fresh;
  }

  // Add entries that are just before the stretch, or just behind it, or in it.
  merge(entries) {
    const known = new Set(this.entries.map(({ seq }) => seq));
    const fresh = entries.filter(({ seq }) => !known.has(seq));
    this.entries = [...this.entries, ...fresh].sort((a, b) => a.seq - b.seq);
    this.seq = Math.max(this.seq, this.entries.at(-1)?.seq ?? 0);
    // A page may have been read before a change that came before the page.
    for (const entry of this.marks) this.mark(entry);
    this.entries = this.quoting(this.entries);
  }

  mergeBefore({ entries, more }) {
    this.merge(entries);
    this.start = !more;
    if (this.entries.length > KEPT) { // the reader's place is at the beginning
      this.entries = this.entries.slice(0, KEPT);
      this.live = false;
    }
  }

  mergeBehind({ entries, more }) {
    this.merge(entries);
    if (this.entries.length > KEPT) {
      this.entries = this.entries.slice(-KEPT);
      this.start = false;
    }
    // Others may have come between the question and the answer: they are asked for next.
    this.live = !more && (!entries.length || this.entries.at(-1).seq >= this.seq);
  }

  // Show another stretch of the log, or the end.
  moveTo(entries = []) {
    Object.assign(this, { entries: [], start: false, live: !entries.length, stretch: this.stretch + 1 });
    this.merge(entries);
  }

  // The server's log has started again: its numbers mean other entries.
  outlive() {
    this.old = [...this.old, ...this.entries].slice(-OLD);
    this.moveTo();
    Object.assign(this, { seq: 0, upto: 0, place: 0, restoring: 0, atEnd: true, divider: 0 });
  }

  // What an entry changes in the room.
  apply(entry) {
    const { kind, nick, text } = entry;
    const renamed = (name) => (name === nick ? text : name);
    if (kind === "join") this.enter(nick);
    else if (kind === "leave") this.lose(nick);
    else if (kind === "kick") this.lose(text.split(" ")[0]);
    else if (kind === "topic") this.topic = text;
    else if (ABOUT.has(kind)) {
      this.marks = [...this.marks, entry].slice(-LATE);
      this.mark(entry);
    } else if (kind === "poll-end") this.change(text.split(" ")[0], { closed: true });
    else if (kind === "rename") {
      this.members = this.members.map(renamed);
      this.operators = this.operators.map(renamed);
      if (this.users.has(nick)) this.users.set(text, this.users.get(nick));
      this.users.delete(nick);
    }
  }

  // Change the message that an entry is about; it may not be on the screen.
  mark({ kind, nick, text }) {
    const [id, ...words] = text.split(" "), rest = words.join(" "), others = this.pins.filter((pin) => pin.id !== id);
    if (kind === "edit") {
      this.change(id, { text: rest, edited: true });
      this.entries = this.entries.map((entry) => (entry.re === id && entry.quote ? { ...entry, quote: { ...entry.quote, text: rest } } : entry));
      this.pins = this.pins.map((pin) => (pin.id === id ? { ...pin, text: `${pin.text.split(": ")[0]}: ${cut(rest, 80)}` } : pin));
    } else if (kind === "redact") this.erase(id);
    else if (kind === "pin") this.pins = [...others, { id, text: rest, by: nick }].slice(-PINS);
    else if (kind === "unpin") this.pins = others;
    else this.entries = this.entries.map((entry) => (entry.id === id ? reacted(entry, rest, nick, kind === "react") : entry));
  }

  change(id, how) { this.entries = this.entries.map((entry) => (entry.id === id ? { ...entry, ...how } : entry)); }

  // Nothing of the text is left, also where it was quoted.
  erase(id) {
    this.entries = this.entries.filter((entry) => entry.id !== id)
      .map((entry) => (entry.re === id ? { ...entry, quote: null, unquoted: true } : entry));
    this.pins = this.pins.filter((pin) => pin.id !== id);
    if (this.about?.id === id && !this.about.edit) this.about = null;
  }

  // Entries with the messages that they answer, if the server has not sent these and they are at hand.
  quoting(fresh) {
    if (!fresh.some(({ re, quote }) => re && !quote)) return fresh;
    const known = new Map([...this.entries, ...fresh].map((entry) => [entry.id, entry]));
    return fresh.map((entry) => {
      const quote = entry.re && !entry.quote && known.get(entry.re);
      return quote ? { ...entry, quote } : entry;
    });
  }

  enter(nick) { if (!this.members.includes(nick)) this.members.push(nick); }

  lose(nick) {
    if (!this.members.includes(nick)) this.more = Math.max(0, this.more - 1);
    this.members = this.members.filter((name) => name !== nick);
    this.users.delete(nick);
  }

  // An entry that the reader does not see now.
  count(entry, forHim) {
    if (!this.unread) this.divider = entry.seq;
    this.unread += 1;
    if (forHim) this.mentioned += 1;
  }
}
