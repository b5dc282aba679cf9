// What this reader knows of the chat: rooms with their entries, and what he said that is not stored yet.
import { Link } from "/page/link.js";
import { mentions } from "/page/text.js";

const PAGE = 60; // entries fetched at once when scrolling back
const KEPT = 3000; // entries kept in a room when its end is in view
const SAID = new Set(["message", "action"]);

class Room {
  constructor(name) {
    this.name = name;
    this.topic = "";
    this.members = [];
    this.entries = []; // by seq, without a gap
    this.seq = 0; // the last entry seen: where to resume
    this.start = false; // the log's beginning is here
    this.unread = 0;
    this.mentioned = 0;
    this.read = 0; // the last entry that was in view: the unread divider is behind it
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
    this.privates = new Map(); // by name: lines of this page's life, stored nowhere
    this.current = "lobby";
    this.waiting = []; // said and not stored: {label, room, text, sent, failed, time}
    this.notices = []; // answers of the server, shown in the current room: {key, room, lines, time}
    this.directory = []; // rooms that there are
    this.count = 0;
    this.asked = new Map(); // label: what to do with the answer
    this.away = document.hidden;
    this.link = new Link({
      open: () => this.hello(),
      message: (message) => this[`on_${message.type}`]?.(message),
      lost: (seconds) => this.lost(seconds),
    });
  }

  // --- in and out ---------------------------------------------------------------------------------------------

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
    this.nick = nick;
    this.before = this.tag; // what was sent under the old tag may be stored
    this.tag = tag;
    this.phase = "here";
    this.asked.clear();
    for (const room of this.rooms.keys()) if (room !== "lobby") this.link.send({ type: "join", room });
    if (this.rooms.size && !this.rooms.has("lobby")) this.link.send({ type: "leave", room: "lobby" });
    this.link.send({ type: "rooms" });
    this.changed();
  }

  lost(seconds) {
    if (this.phase === "here" || this.phase === "joining") this.phase = this.rooms.size ? "lost" : "joining";
    for (const room of this.rooms.values()) room.joined = false;
    this.changed(`Connection lost; trying again in ${Math.ceil(seconds)} s`);
  }

  ask(message, answer) {
    const label = `q${++this.count}`;
    this.asked.set(label, answer);
    if (!this.link.send({ ...message, label })) this.asked.delete(label);
  }

  // --- rooms ----------------------------------------------------------------------------------------------------

  room(name) {
    if (!this.rooms.has(name)) this.rooms.set(name, new Room(name));
    return this.rooms.get(name);
  }

  // The newest messages follow as "past"; what was missed since the last entry seen is asked for.
  async on_joined({ room: name, seq, topic }) {
    if (!this.rooms.has(name)) this.current = name;
    const room = this.room(name);
    const seen = room.seq;
    Object.assign(room, { topic, joined: true });
    this.link.send({ type: "members", room: name });
    if (!seen) room.read = seq;
    room.seq = Math.max(room.seq, seq);
    if (seen && seen < seq) await this.fill(room, seen, seq);
    this.resend(room);
    if (!this.rooms.has(this.current) && !this.privates.has(this.current)) this.current = name;
    this.changed();
  }

  // What was missed between two numbers, a page at a time; what comes meanwhile is merged behind it.
  async fill(room, after, upto) {
    for (let from = after; from < upto; ) {
      const page = await new Promise((resolve) =>
        this.ask({ type: "history", room: room.name, after: from, limit: 200 }, resolve));
      this.merge(room, page.entries);
      if (!page.more || !page.entries.length) break;
      from = page.entries.at(-1).seq;
    }
  }

  on_past({ entries, lines }) {
    if (entries.length && this.rooms.has(entries[0].room)) this.merge(this.rooms.get(entries[0].room), entries);
    if (lines.length) this.note(lines);
    this.changed();
  }

  on_left({ room }) {
    this.rooms.delete(room);
    if (this.current === room) this.current = this.rooms.keys().next().value ?? "";
    this.changed();
  }

  open(name) {
    if (this.rooms.has(name) || this.privates.has(name)) {
      this.current = name;
      this.seen();
    } else {
      this.current = name;
      this.link.send({ type: "join", room: name });
    }
    this.changed();
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
    const lines = [];
    for (const entry of this.merge(room, entries)) {
      this.apply(room, entry);
      if (!SAID.has(entry.kind) || entry.nick === this.nick) continue;
      if (room.name === this.current && !this.away) continue;
      room.unread += 1;
      if (mentions(entry.text, this.nick)) {
        room.mentioned += 1;
        notify(`${entry.nick} in ${room.name}`, entry.text);
      }
    }
    if (room.entries.length > KEPT && room.atEnd !== false) {
      room.entries = room.entries.slice(-KEPT / 2);
      room.start = false;
    }
    if (room.name === this.current && !this.away && room.atEnd !== false) room.read = room.seq;
    this.changed(lines.join("\n"));
  }

  apply(room, entry) {
    if (entry.kind === "join" && !room.members.includes(entry.nick)) room.members = [...room.members, entry.nick];
    if (entry.kind === "leave") room.members = room.members.filter((nick) => nick !== entry.nick);
    if (entry.kind === "rename") room.members = room.members.map((nick) => (nick === entry.nick ? entry.text : nick));
    if (entry.kind === "topic") room.topic = entry.text;
  }

  back(room) {
    if (room.loading || room.start || this.phase !== "here") return;
    room.loading = true;
    const before = room.entries[0]?.seq ?? 0;
    this.ask({ type: "history", room: room.name, before, limit: PAGE }, ({ entries, more }) => {
      room.loading = false;
      room.start = !more;
      this.merge(room, entries);
      this.changed();
    });
  }

  // Go to an entry that may be far back: fetch what lies between, then show it.
  async jump(name, seq) {
    this.open(name);
    const room = this.room(name);
    while (!room.start && !(room.entries[0]?.seq <= seq)) {
      const before = room.entries[0]?.seq ?? 0;
      const page = await new Promise((resolve) =>
        this.ask({ type: "history", room: name, before, limit: 200 }, resolve));
      room.start = !page.more;
      this.merge(room, page.entries);
      if (!page.entries.length) break;
    }
    this.target = seq;
    this.changed();
  }

  seen() {
    const room = this.rooms.get(this.current) ?? this.privates.get(this.current);
    if (!room || this.away) return;
    room.unread = room.mentioned = 0;
  }

  leaveView() {
    const room = this.rooms.get(this.current);
    if (room) room.read = room.seq;
  }

  // --- saying ---------------------------------------------------------------------------------------------------

  say(text) {
    if (this.current.startsWith("@")) return this.whisper(this.current.slice(1), text);
    if (text.startsWith("/") && !text.startsWith("//") && !text.includes("\n")) return this.command(text);
    const item = { label: `m${++this.count}`, room: this.current, text: text.replace(/^\/\//, "/"), time: Date.now() / 1000 };
    this.waiting = [...this.waiting, item];
    this.transmit(item);
    this.changed();
  }

  transmit(item) {
    const room = this.rooms.get(item.room);
    item.failed = "";
    item.sent = Boolean(room?.joined) && this.link.send({ type: "say", room: item.room, text: item.text, label: item.label });
  }

  // After a join: what was sent before the connection broke is in the log by now, or never will be.
  resend(room) {
    const stored = new Set(room.entries.filter((entry) => this.before && entry.id.startsWith(this.before)).map((entry) => entry.id));
    const isStored = (item) => [...stored].some((id) => id.endsWith(`-${item.label}`));
    this.waiting = this.waiting.filter((item) => item.room !== room.name || !item.sent || !isStored(item));
    for (const item of this.waiting) if (item.room === room.name && !item.failed) this.transmit(item);
  }

  retry(item) { this.transmit(item); this.changed(); }
  discard(item) { this.waiting = this.waiting.filter((other) => other !== item); this.changed(); }

  command(line) {
    if (this.phase !== "here") return this.note(["Not done: there is no connection just now."]);
    this.link.send({ type: "command", room: this.current, line });
  }

  whisper(to, text) {
    const talk = this.talk(to);
    const line = { kind: "message", nick: this.nick, text, time: Date.now() / 1000, seq: ++this.count };
    if (!this.link.send({ type: "msg", to, text })) return this.note(["Not sent: there is no connection just now."]);
    talk.entries = [...talk.entries, line];
    this.changed();
  }

  talk(nick) {
    const key = `@${nick}`;
    if (!this.privates.has(key)) this.privates.set(key, { name: key, entries: [], members: [], topic: "", start: true, unread: 0, mentioned: 0 });
    return this.privates.get(key);
  }

  on_private({ nick, text }) {
    const talk = this.talk(nick), time = Date.now() / 1000;
    talk.entries = [...talk.entries, { nick, text, time, kind: "message", seq: ++this.count }];
    if (this.current !== talk.name || this.away) {
      talk.unread += 1;
      talk.mentioned += 1;
      notify(`${nick} (private)`, text);
    }
    this.changed();
  }

  on_stored({ label }) {
    this.waiting = this.waiting.filter((item) => item.label !== label);
    this.asked.delete(label);
    this.changed();
  }

  on_error({ code, text, label }) {
    const item = this.waiting.find((waiting) => waiting.label === label);
    if (item) item.failed = text;
    else if (this.phase === "joining") {
      this.error = text;
      this.phase = this.rooms.size ? "lost" : "name";
      if (this.rooms.size && code === "name-taken") setTimeout(() => this.enter(this.nick), 2000); // the old session may linger
    } else this.note([text]);
    this.asked.delete(label);
    this.changed();
  }

  answer(message) {
    const done = this.asked.get(message.label);
    this.asked.delete(message.label);
    done?.(message);
    this.changed();
  }

  on_page(message) {
    if (this.asked.has(message.label)) return this.answer(message);
  }

  on_notice({ lines }) { this.note(lines); }
  on_clock({ time }) { this.note([new Date(time * 1000).toString()]); }
  on_rooms({ rooms }) { this.directory = rooms; this.changed(); }
  on_members({ room, nicks }) { if (this.rooms.has(room)) this.rooms.get(room).members = nicks; this.changed(); }
  on_nick({ nick }) { this.nick = nick; this.changed(); }
  on_skipped({ room: name }) {
    const room = this.rooms.get(name);
    if (room) this.fill(room, room.seq, Infinity).then(() => this.changed());
  }

  note(lines) {
    this.notices = [...this.notices.slice(-50), { key: ++this.count, room: this.current, lines, time: Date.now() / 1000 }];
    this.changed(lines.join("\n"));
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

function notify(title, body) {
  if (document.hidden && "Notification" in window && Notification.permission === "granted") {
    new Notification(title, { body: body.slice(0, 200), icon: "/page/icon.svg", tag: title });
  }
}
