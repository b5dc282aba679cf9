// What this reader knows of the chat: rooms with their entries, and what he said that is not stored yet.
import { Link } from "/page/link.js";
import { mentions, whenOf } from "/page/text.js";

const PAGE = 60; // entries fetched at once when scrolling back
const KEPT = 3000; // entries kept in a room when its end is in view
const MOST = 16384; // bytes of a message
const SAID = new Set(["message", "action", "notice"]);
const LOST = { entries: [], more: true, failed: "There is no connection just now." };

class Room {
  constructor(name) {
    this.name = name; // with an @ before it: whom one talks to privately, which lasts as long as this page
    this.topic = "";
    this.members = [];
    this.entries = []; // by seq, without a gap
    this.seq = 0; // the last entry seen: where to resume
    this.gap = 0; // what follows this one is being fetched, up to what was seen live
    this.start = false; // the log's beginning is here
    this.atEnd = true; // the newest entry is in view, if the room is
    this.unread = 0;
    this.mentioned = 0;
    this.divider = 0; // the first entry that was unread
    this.joined = false;
  }
}

export class Chat {
  constructor(changed) {
    this.changed = changed;
    this.phase = "name"; // name, joining, here, lost
    this.nick = "";
    this.error = "";
    this.tag = "";
    this.rooms = new Map();
    this.privates = new Map();
    this.current = "";
    this.waiting = []; // said and not stored: {label, room, text, sent, tag, failed}
    this.notices = []; // answers of the server: {key, room, lines, after: the entry before it}
    this.directory = []; // rooms that there are
    this.count = 0;
    this.asked = new Map(); // label: what to do with the answer
    this.away = document.hidden;
    this.link = new Link({
      open: () => this.hello(),
      message: (message) => this[`on_${message.type}`]?.(message),
      quiet: () => this.refresh(),
      lost: () => this.lost(),
    });
  }

  get room() { return this.rooms.get(this.current) ?? this.privates.get(this.current); }

  // --- in and out ---

  enter(name) {
    this.nick = name;
    this.error = "";
    this.phase = "joining";
    if (this.link.socket) this.hello(); else this.link.start();
    this.changed();
  }

  hello() {
    this.link.send({ type: "hello", name: this.nick });
  }

  on_welcome({ nick, tag }) {
    this.link.welcomed();
    const again = this.rooms.size > 0;
    Object.assign(this, { nick, tag, error: "", phase: "here" });
    for (const room of this.rooms.keys()) if (room !== "lobby") this.link.send({ type: "join", room });
    this.unwanted = again && !this.rooms.has("lobby"); // everybody enters the lobby first
    if (this.unwanted) this.link.send({ type: "leave", room: "lobby" });
    for (const item of this.waiting) if (item.room[0] === "@" && !item.failed) this.transmit(item);
    this.refresh();
    this.changed(again ? "Connected again" : "");
  }

  lost() {
    if (this.rooms.size) this.phase = "lost";
    else this.error = "There is no connection to the server. Trying again…";
    for (const room of this.rooms.values()) room.joined = false;
    const asked = [...this.asked.values()];
    this.asked.clear();
    for (const done of asked) done(LOST);
    this.changed();
  }

  quit(line) {
    this.link.send({ type: "command", line });
    this.link.stop();
    Object.assign(this, { phase: "name", current: "", waiting: [], notices: [], rooms: new Map(), privates: new Map() });
    this.changed();
  }

  // Let him choose another name, and come back with it.
  rename() {
    clearTimeout(this.again);
    this.link.stop();
    this.phase = "name";
    this.changed();
  }

  refresh() { this.link.send({ type: "rooms" }); }

  ask(message) {
    const label = `q${++this.count}`;
    return new Promise((resolve) => {
      if (this.link.send({ ...message, label })) this.asked.set(label, resolve);
      else resolve(LOST);
    });
  }

  // --- rooms ---

  // The newest messages follow as "past"; what was missed since the last entry seen is asked for.
  async on_joined({ room: name, seq, topic }) {
    if (this.unwanted && name === "lobby") return;
    if (!this.rooms.has(name)) {
      this.rooms.set(name, new Room(name));
      this.show(name);
    }
    const room = this.rooms.get(name);
    room.gap ||= room.seq;
    room.past = room.gap ? "known" : "wanted";
    Object.assign(room, { topic, joined: true, seq: Math.max(room.seq, seq) });
    this.link.send({ type: "members", room: name });
    this.changed();
    if (room.gap) await this.fill(room, seq);
    if (!room.gap) this.resend(room);
    if (this.aim?.room === name) this.jump(name, this.aim.seq);
    this.changed();
  }

  // What was missed after the gap's begin, a page at a time; what comes meanwhile is merged behind it.
  async fill(room, upto) {
    while (room.gap && room.gap < upto) {
      const page = await this.ask({ type: "history", room: room.name, after: room.gap, limit: 200 });
      if (page.failed) return;
      this.take(room, page.entries);
      room.gap = page.more ? (page.entries.at(-1)?.seq ?? 0) : 0;
    }
    room.gap = 0;
  }

  on_past({ entries, lines }) {
    const room = this.rooms.get(entries[0]?.room);
    if (room?.past === "wanted") this.merge(room, entries);
    else if (!room?.past) this.note([...entries.map(({ time, nick, text }) => `${whenOf(time)}  ${nick}: ${text}`), ...lines]);
    this.changed();
  }

  on_left({ room }) {
    if (this.unwanted && room === "lobby") { this.unwanted = false; return; }
    this.rooms.delete(room);
    if (this.current === room) this.current = this.rooms.keys().next().value ?? "";
    if (this.out) this.note([`${room}: ${this.out.nick} ${this.out.words}`]);
    this.out = 0;
    this.changed();
  }

  // Show a room that he is in, or somebody he talks to.
  show(name) {
    if (this.room && name !== this.current) this.room.divider = 0;
    this.current = name;
    if (this.room) this.room.atEnd = true;
    this.seen();
    this.changed();
  }

  open(name) {
    if (this.rooms.has(name) || this.privates.has(name)) this.show(name);
    else if (!this.link.send({ type: "join", room: name })) this.note(["Not joined: there is no connection just now."]);
  }

  merge(room, entries) {
    const known = new Set(room.entries.map((entry) => entry.seq));
    const fresh = entries.filter((entry) => !known.has(entry.seq));
    if (!fresh.length) return fresh;
    const ordered = !room.entries.length || fresh[0].seq > room.entries.at(-1).seq;
    room.entries = [...room.entries, ...fresh];
    if (!ordered) room.entries.sort((a, b) => a.seq - b.seq);
    room.seq = Math.max(room.seq, room.entries.at(-1).seq);
    return fresh;
  }

  on_entries({ entries }) {
    const room = this.rooms.get(entries[0].room);
    if (!room) return;
    room.past = "";
    this.take(room, entries);
    if (room.entries.length > KEPT && room.atEnd) {
      room.entries = room.entries.slice(-KEPT / 2);
      room.start = false;
    }
    this.changed();
  }

  // Entries that are new to him.
  take(room, entries) {
    for (const entry of this.merge(room, entries)) {
      this.apply(room, entry);
      if (SAID.has(entry.kind) && entry.nick !== this.nick) this.call(room, entry, mentions(entry.text, this.nick));
    }
  }

  apply(room, entry) {
    if (entry.kind === "join" && !room.members.includes(entry.nick)) room.members = [...room.members, entry.nick];
    if (entry.kind === "leave") room.members = room.members.filter((nick) => nick !== entry.nick);
    if (entry.kind === "rename") room.members = room.members.map((nick) => (nick === entry.nick ? entry.text : nick));
    if (entry.kind === "topic") room.topic = entry.text;
    if (entry.kind === "kick" && entry.text.split(" ")[0] === this.nick) this.out = entry;
    else if (entry.kind === "mode" || entry.kind === "kick") this.link.send({ type: "members", room: room.name });
    if (entry.kind === "redact") room.entries = room.entries.filter(({ id }) => id !== entry.text.split(" ")[0]);
  }

  // Count an entry that he does not see now.
  call(room, entry, forHim) {
    if (room.name === this.current && room.atEnd && !this.away) return;
    if (!room.unread) room.divider = entry.seq;
    room.unread += 1;
    if (!forHim) return;
    room.mentioned += 1;
    notify(room.name[0] === "@" ? `${entry.nick} (private)` : `${entry.nick} in ${room.name}`, entry.text, () => this.open(room.name));
  }

  async back(room) {
    if (room.loading || room.start || this.phase !== "here") return;
    room.loading = true;
    const { entries, more } = await this.ask({ type: "history", room: room.name, before: room.entries[0]?.seq ?? 0, limit: PAGE });
    room.loading = false;
    room.start = !more;
    this.merge(room, entries);
    this.changed();
  }

  // Go to an entry that may be far back, in a room that he may not be in: fetch what lies between, then show it.
  async jump(name, seq) {
    this.aim = this.rooms.has(name) ? null : { room: name, seq };
    this.open(name);
    const room = this.rooms.get(name);
    if (!room) return;
    while (!room.start && !(room.entries[0]?.seq <= seq)) {
      const page = await this.ask({ type: "history", room: name, before: room.entries[0]?.seq ?? 0, limit: 200 });
      room.start = !page.more;
      this.merge(room, page.entries);
      if (!page.entries.length) break;
    }
    this.target = seq;
    this.changed();
  }

  seen() {
    const room = this.room;
    if (!room?.unread || this.away || !room.atEnd) return;
    room.unread = room.mentioned = 0;
    this.changed();
  }

  // --- saying ---

  // Returns false if it is to stay in the field.
  say(text) {
    const command = !text.includes("\n") && /^\/(?!\/)(\S*)\s*(.*)/.exec(text);
    if (command) return this.command(text, command[1].toLowerCase(), command[2]);
    // Keys that no text has; those the server would take out.
    const plain = text.replace(/^\/\//, "/").replace(/[^\P{Cc}\n\t]/gu, "");
    if (new TextEncoder().encode(plain).length > MOST) {
      this.note([`Not sent: a message has at most ${MOST.toLocaleString()} bytes.`]);
      return false;
    }
    this.add(this.current, plain);
    this.room.divider = 0;
    this.target = -1;
  }

  add(room, text) {
    const item = { label: `m${++this.count}`, room, text };
    this.waiting = [...this.waiting, item];
    this.transmit(item);
    this.changed();
  }

  transmit(item) {
    item.failed = "";
    if (item.room[0] === "@") return this.whisper(item);
    item.tag = this.tag;
    item.sent = Boolean(this.rooms.get(item.room)?.joined) &&
      this.link.send({ type: "say", room: item.room, text: item.text, label: item.label });
  }

  // Nothing answers to what arrived, so it is taken for said until an error comes.
  whisper(item) {
    if (this.phase !== "here" || !this.link.send({ type: "msg", to: item.room.slice(1), text: item.text })) return;
    const talk = this.talk(item.room.slice(1));
    this.discard(item);
    this.whispered = { item, entry: this.keep(talk, this.nick, item.text) };
  }

  // After a join: what was sent before the connection broke is in the log by now, or never will be.
  resend(room) {
    const isStored = ({ tag, label }) => room.entries.some(({ id }) => id.startsWith(tag) && id.endsWith(`-${label}`));
    this.waiting = this.waiting.filter((item) => item.room !== room.name || !item.sent || !isStored(item));
    for (const item of this.waiting) if (item.room === room.name && !item.failed) this.transmit(item);
  }

  retry(item) { this.transmit(item); this.changed(); }
  discard(item) { this.waiting = this.waiting.filter((other) => other !== item); this.changed(); }

  command(line, name, rest) {
    if (this.phase !== "here") {
      this.note(["Not done: there is no connection just now."]);
      return false;
    }
    const [, to, text] = /^(\S*)\s*(.*)/.exec(rest);
    if (name === "quit") return this.quit(line);
    if (name === "join" && to) return this.open(roomNamed(to));
    if (name === "msg" && text) {
      this.show(this.talk(to).name);
      return this.add(this.current, text);
    }
    this.listed = name; // who and rooms are asked for unseen, too
    for (const room of this.rooms.values()) room.past = "";
    this.link.send({ type: "command", room: this.rooms.has(this.current) ? this.current : "", line });
  }

  talk(nick) {
    const asked = `@${nick}`;
    const key = [...this.privates.keys()].find((known) => known.toLowerCase() === asked.toLowerCase()) ?? asked;
    if (!this.privates.has(key)) this.privates.set(key, Object.assign(new Room(key), { start: true, members: [nick, this.nick] }));
    return this.privates.get(key);
  }

  keep(talk, nick, text) {
    const entry = { nick, text, time: Date.now() / 1000, kind: "message", seq: ++this.count };
    talk.entries = [...talk.entries, entry];
    return entry;
  }

  on_private({ nick, text }) {
    const talk = this.talk(nick);
    this.call(talk, this.keep(talk, nick, text), true);
    this.changed();
  }

  on_stored({ label }) {
    this.waiting = this.waiting.filter((item) => item.label !== label);
    this.changed();
  }

  on_error({ code, text, label }) {
    const item = this.waiting.find((waiting) => label && waiting.label === label);
    if (item) item.failed = text;
    else if (this.asked.has(label)) this.answer({ ...LOST, label, failed: text });
    else if (this.phase !== "here") this.refused(code, text);
    else if (this.whispered && ["no-such-name", "not-reading", "no-text"].includes(code)) {
      const { item, entry } = this.whispered, talk = this.talk(item.room.slice(1));
      talk.entries = talk.entries.filter((other) => other !== entry);
      this.waiting = [...this.waiting, { ...item, failed: text }];
      this.whispered = null;
    } else this.list([text]);
    this.changed();
  }

  refused(code, text) {
    this.error = text;
    if (this.rooms.size) {
      this.phase = "lost";
      if (code === "name-taken") this.again = setTimeout(() => this.enter(this.nick), 2000); // by his old session, for a while
    } else {
      this.phase = "name";
      this.link.stop();
    }
  }

  answer(message) {
    const done = this.asked.get(message.label);
    this.asked.delete(message.label);
    done?.(message);
  }

  on_page(message) { this.answer(message); }
  on_notice({ lines }) { this.note(lines); }
  on_clock({ time }) { this.note([new Date(time * 1000).toString()]); }

  on_rooms({ rooms }) {
    this.directory = rooms;
    if (this.listed === "rooms") this.list(rooms.map(({ name, members, topic }) => `${name} (${members})${topic && `: ${topic}`}`));
    this.changed();
  }

  on_members({ room: name, nicks, operators }) {
    const room = this.rooms.get(name);
    if (room) Object.assign(room, { members: nicks, operators });
    if (this.listed === "who") this.list([`In ${name}: ${nicks.map((nick) => operators.includes(nick) ? `@${nick}` : nick).join(", ")}`]);
    this.changed();
  }

  list(lines) {
    this.listed = "";
    this.note(lines);
  }

  on_nick({ nick }) { this.nick = nick; this.changed(); }

  on_skipped({ room: name }) {
    const room = this.rooms.get(name);
    if (!room) return;
    room.gap ||= room.seq;
    this.fill(room, Infinity).then(() => this.changed());
  }

  note(lines) {
    const after = this.room?.entries.at(-1)?.seq ?? 0;
    this.notices = [...this.notices.slice(-50), { key: ++this.count, room: this.current, lines, after }];
    this.changed();
  }

  get total() {
    let unread = 0, mentioned = 0;
    for (const room of [...this.rooms.values(), ...this.privates.values()]) {
      unread += room.unread;
      mentioned += room.mentioned;
    }
    return { unread, mentioned };
  }
}

export const roomNamed = (text) => text.trim().replace(/^#/, "").normalize("NFKC").toLowerCase();

function notify(title, body, open) {
  if (!document.hidden || !("Notification" in window) || Notification.permission !== "granted") return;
  try {
    const shown = new Notification(title, { body: body.slice(0, 200), icon: "/page/icon.svg", tag: title });
    shown.onclick = () => { focus(); open(); };
  } catch { /* Android allows it to service workers alone */ }
}
