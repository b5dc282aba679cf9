// The state of the chat as this page knows it, and the actions of the reader. told.js has those of the server.
import { Account, isSecret } from "./account.js";
import { Acts } from "./acts.js";
import { Link, LOST } from "./link.js";
import { Room } from "./room.js";
import { FAILED, fetchAll, later } from "./lazy.js";
import { store } from "./saved.js";
import { Sending } from "./sending.js";
import { TOLD } from "./told.js";
import { cleaned, roomNamed } from "./text.js";

const PAGE = 60; // entries fetched at once
const MOST = 16384; // bytes of a message
const NAME = 128; // characters of a name that the server looks at
const FOR_OWNERS = new Set(["name-registered", "account-required"]); // refusals that a login helps against
const ABOUT_TALKS = new Set(["delete", "history", "search"]); // commands that are about a stored conversation in it
const NOTICES = 50; // answers that are kept
const offline = later(() => import("./offline.js"));
const distant = later(() => import("./distant.js"));
const reading = later(() => import("./reading.js"));
const talks = later(() => import("./talks.js"));
const NONE = { size: 0, get() {}, values: () => [], restore() {}, follow() {}, compare() {}, recall() {} }; // no private conversations
const WAITS = "You have a private message, but a part of the page did not arrive that shows it. It is shown when the next one comes, or after a reload.";

export class Chat {
  constructor(changed) {
    this.changed = changed;
    this.phase = "name"; // name, joining, here, lost
    this.nick = "";
    this.error = "";
    this.code = ""; // of the refusal that `error` words
    this.offer = ""; // a name like the one that was refused
    this.tag = ""; // begins the id of everything that is said in this session
    this.resume = ""; // the secret with which this session can go on in another connection
    this.log = ""; // the identity of the server's log
    this.rooms = new Map();
    this.former = {}; // by the names that they had
    this.account = new Account(this);
    this.talks = NONE;
    this.heard = []; // private messages that wait for talks.js
    this.sending = new Sending(this);
    this.acts = new Acts(this);
    this.drafts = {}; // by room
    this.current = "";
    this.notices = []; // answers of the server: {key, room, lines, error, after: the entry before it}
    this.flash = null; // a notice for the reader in any room: {text, error, room}
    this.knock = null; // a room that is asked for: {room, key, from, label, error, code, offer}
    this.calls = []; // mentions that came while the page was closed, and were not read elsewhere either
    this.shelf = null; // keeps entries for reading without the server
    this.reader = null; // notes what the owner of an account reads
    this.target = null; // where the log is scrolled to: {room, seq, top} or {room, end}
    this.directory = []; // rooms that there are
    this.unlisted = 0; // and how many more
    this.listed = new Set(); // commands whose answer is to be shown
    this.count = 0;
    this.asked = new Map(); // label: what to do with the answer
    this.parts = new Set(); // the labels of questions for a part of a list
    this.away = document.hidden;
    this.door = null; // what the server says of itself: {name, description, motd, people, names, kept, keep_days}
    this.view = store.view; // how the reader likes to read: {compact, quiet}
    this.address = addressed(); // the room that is to be shown first, and the number of a message in it
    this.taken = ""; // the reader's name in another tab
    this.link = new Link({
      open: () => this.hello(),
      message: (message) => this.hear(message),
      quiet: () => this.refresh(),
      lost: () => this.lost(),
      refused: (why) => { this.error = why && `${why}${this.rooms.size ? "" : " Trying again…"}`; this.changed(); },
      replaced: () => { this.lost(); this.error = "This chat continues in another tab or window."; this.changed(); },
    });
  }

  get room() { return this.rooms.get(this.current) ?? this.talks.get(this.current); }
  get named() { return this.phase === "here" || (this.phase !== "name" && this.rooms.size > 0 && this.tag !== ""); }

  get total() {
    let unread = 0, mentioned = 0;
    for (const room of [...this.rooms.values(), ...this.talks.values()]) {
      unread += room.unread;
      mentioned += room.mentioned;
    }
    return { unread, mentioned: mentioned + this.calls.length };
  }

  // --- over a reload ---

  get saved() {
    if (!this.nick) return null;
    const { nick, tag, resume, log, current, count } = this;
    const drafts = Object.fromEntries(Object.entries(this.drafts).filter(([, text]) => !isSecret(text)));
    const rooms = [...this.rooms.values()].map((room) => room.saved), talks = this.talks.values().map((talk) => talk.saved);
    return { nick, tag, resume, log, current, drafts, count, rooms, talks, waiting: this.sending.items };
  }

  restore({ rooms = [], talks = [], waiting = [], ...rest }) {
    Object.assign(this, rest);
    for (const room of rooms) this.rooms.set(room.name, Room.restored(room, room.name === this.current));
    this.talks.restore(talks);
    this.sending.items = waiting;
  }

  // --- in and out ---

  enter(name) {
    this.nick = name;
    this.error = this.offer = this.code = "";
    this.phase = "joining";
    if (this.link.socket) this.hello(); else this.link.start();
    this.changed();
  }

  hello() {
    const rooms = {}, keys = {}, ids = {};
    for (const { name, seq, key, id } of this.rooms.values()) {
      rooms[name] = seq || null;
      if (id) ids[name] = id;
      if (key) keys[name] = key;
    }
    this.link.send({ type: "hello", name: this.nick, rooms, keys, ids, log: this.log, resume: this.resume });
  }

  // The numbers of the server's log mean other entries than those that were seen.
  outlive() {
    for (const room of [...this.rooms.values(), ...this.talks.values()]) if (room.stored) room.outlive();
    this.notices = this.notices.filter(({ room }) => !this.rooms.has(room));
  }

  // The reader has come to stay: fetch the other parts of the page.
  stay() {
    fetchAll();
    this.shelve();
  }

  // Keep what can be read offline from now on; newcomers do not wait for that part of the page.
  async shelve() {
    try { this.shelf ??= new (await offline()).Shelf(this); } catch { /* with the next message */ }
    return this.shelf;
  }

  lost() {
    if (this.rooms.size) this.phase = "lost";
    else this.error = "There is no connection to the server. Trying again…";
    for (const room of this.rooms.values()) room.joined = false;
    this.sending.held = true;
    for (const talk of this.talks.values()) talk.asked = false;
    const asked = [...this.asked.values()];
    this.asked.clear();
    for (const done of asked) done(LOST);
    this.shelf?.fill();
    this.changed();
  }

  quit(line) {
    this.link.send({ type: "command", line });
    this.leave();
  }

  // Come again as the owner of an account: the cookie that says so is sent with a new connection.
  comeAs(name) {
    this.link.stop();
    Object.assign(this, { resume: "", tag: this.nick === name ? this.tag : "" });
    for (const room of this.rooms.values()) room.joined = false;
    this.enter(name);
  }

  leave() {
    this.link.stop();
    this.shelf?.forget();
    Object.assign(this, { phase: "name", nick: "", tag: "", resume: "", current: "", notices: [], drafts: {} });
    Object.assign(this, { rooms: new Map(), talks: NONE, sending: new Sending(this), calls: [], reader: null, shelf: null });
    this.changed();
  }

  // Let the reader choose another name, and come back with it.
  rename() {
    clearTimeout(this.again);
    this.link.stop();
    this.phase = "name";
    this.changed();
  }

  reconnect() {
    if (this.link.wanted) this.link.retry(); else this.link.start();
  }

  refused(code, text, offer = "") {
    Object.assign(this, { error: text, offer, code });
    if (this.rooms.size && this.tag && !FOR_OWNERS.has(code)) {
      this.phase = "lost";
      if (code === "name-taken") this.again = setTimeout(() => this.enter(this.nick), 2000); // by the reader's old session, for a while
    } else {
      this.phase = "name";
      this.link.stop();
    }
  }

  // A login at the door has failed; what the form asks for stays.
  refuseLogin(text) {
    this.error = text;
    this.changed();
  }

  forgive() {
    Object.assign(this, { error: "", code: "", offer: "" });
    this.changed();
  }

  refresh() { this.link.send({ type: "rooms" }); }

  ask(message) {
    const label = `q${++this.count}`;
    if ("after" in message && message.type === "members") this.parts.add(label);
    return new Promise((resolve) => {
      if (this.link.send({ ...message, label })) this.asked.set(label, resolve);
      else resolve(LOST);
    });
  }

  // Give an answer to what asked for it; return whether that waits for it.
  answer(message) {
    const done = this.asked.get(message.label);
    this.asked.delete(message.label);
    done?.(message);
    return Boolean(done);
  }

  // --- rooms ---

  // Show a room that the reader is in, or a private conversation.
  show(name) {
    if (name !== this.current) {
      if (this.room) Object.assign(this.room, { divider: 0, place: 0, missed: null });
      this.flash = null;
      if (this.knock?.error) this.knock = null;
    }
    this.current = name;
    if (this.room) this.room.atEnd = !this.room.place;
    this.seen();
    this.changed();
  }

  // Go to a room, and join it if necessary. `from`: the place for the reason if that fails.
  open(name, key = "", from = "") {
    if (this.rooms.has(name) || this.talks.get(name)) return this.show(name);
    const label = `j${++this.count}`;
    key ||= /^[a-z]{4}-[a-z]{4}$/.test(name) ? name : ""; // a code lets in later, too
    this.knock = { room: name, key, from, label, error: "", code: "", offer: "" };
    if (name.length > NAME) this.refuse("Room names have at most 32 characters.");
    else if (!this.link.send({ type: "join", room: name, label, ...(key && { key }) })) this.refuse(LOST.failed);
    this.changed();
  }

  // Go to the room, or to the message, that the page's address names, with the key that it may have; later, if the reader is not in.
  follow(address = addressed()) {
    const { name, key, seq } = address;
    if (this.phase !== "here") return void (this.address = address);
    if (seq) {
      history.replaceState({ room: name }, "", `#${encodeURIComponent(name)}`); // so that the same link can be followed again
      this.jump(name, seq);
    } else if (name && name !== this.current) this.open(name, key);
  }

  // Ask what the reader may do in a room.
  async rights(room) {
    const { failed, settings, may } = await this.ask({ type: "settings", room: room.address });
    if (!failed && settings) Object.assign(room, { settings, may });
    this.changed();
  }

  // Take an answer out of the log.
  close(notice) {
    this.notices = this.notices.filter((other) => other !== notice);
    this.changed();
  }

  refuse(error, code = "", offer = "") { Object.assign(this.knock, { error, code, offer }); }

  // The reader has caught up with a room: what is said there is sent from now on.
  upToDate(room) {
    if (room.joined || !room.answered || room.seq < room.upto || this.phase !== "here") return;
    room.joined = true;
    this.sending.flush(room.name);
    this.sending.flushPrivate();
    if (this.aim?.room === room.name) this.jump(room.name, this.aim.seq, this.aim.top);
    else if (room.restoring) this.jump(room.name, room.restoring, true);
    this.changed();
  }

  // Be in a room no more.
  part(name) {
    this.rooms.delete(name);
    this.sending.flushPrivate();
    if (this.current === name) this.current = this.rooms.keys().next().value ?? "";
  }

  // A room has another name now: what is typed there or waits to be sent goes with it.
  moved(name, to) {
    const { rooms, drafts } = this, room = rooms.get(name);
    if (!room) return;
    room.name = to;
    this.former[name] = room;
    this.rooms = new Map([...rooms.values()].map((one) => [one.name, one]));
    for (const one of [...this.notices, ...this.sending.items]) if (one.room === name) one.room = to;
    drafts[to] = drafts[name] ?? "";
    if (this.current === name) history.replaceState({ room: this.current = to }, "", `#${to}`);
  }

  call(room, entry, forHim) {
    if (room.name === this.current && room.atEnd && !this.away) return;
    room.count(entry, forHim);
    const wanted = this.view.notify?.[room.name];
    if (wanted === "none" || !(forHim || wanted)) return;
    notify(room.isPrivate ? `${entry.nick} (private)` : `${entry.nick} in ${room.title}`, entry.words ?? entry.text, () => this.open(room.name));
  }

  seen() {
    const room = this.room;
    if (!room || this.away || !room.atEnd) return;
    this.reader?.note(room);
    const told = this.flash?.room === room.name;
    if (told) this.flash = null;
    if (!room.unread && !told) return;
    room.unread = room.mentioned = 0;
    this.changed();
  }

  // What the owner of an account has read, on all devices: fetched for owners alone.
  async recall() {
    if (!this.account.name) return;
    this.stay();
    try {
      this.reader ??= new (await reading()).Reader(this);
      await this.reader.recall();
    } catch { /* asked for again with the next connection */ }
  }

  // --- reading ---

  history(room, range) { return this.ask({ type: "history", room: room.address, limit: PAGE, ...range }); }

  // Fetch what is before the stretch that is shown.
  async back(room) {
    if (room.start || !room.seq) return;
    await this.fetch(room, { before: room.first ?? Math.floor(room.seq) + 1 }, (page) => room.mergeBefore(page));
  }

  // Fetch what is behind it.
  async forward(room, limit = PAGE) {
    if (room.live) return;
    await this.fetch(room, { after: Math.floor(room.entries.at(-1)?.seq ?? 0), limit }, (page) => room.mergeBehind(page));
  }

  // One fetch at a time: whoever wants more meanwhile waits for that.
  fetch(room, range, add) {
    if (room.restoring || !room.stored || this.phase !== "here") return null;
    room.loading ??= this.load(room, range, add).finally(() => { room.loading = null; });
    return room.loading;
  }

  async load(room, range, add) {
    const { stretch } = room, page = await this.history(room, range);
    if (!page.failed && stretch === room.stretch) add(page);
    this.changed();
  }

  // Go to an entry that may be far back, in a room that may not be joined. `top`: to the place before a reload.
  async jump(name, seq, top = false) {
    if (!top && this.rooms.has(name)) this.show(name);
    return distant().then(({ jump }) => jump(this, name, seq, top), () => this.trouble(FAILED));
  }

  newest(room) {
    if (!room.live) room.moveTo();
    this.target = { room: room.name, end: true };
    this.changed();
  }

  // The reader likes to read in another way, also the next time.
  like(view) {
    this.view = store.view = { ...this.view, ...view };
    this.changed();
  }

  // --- saying ---

  // Returns false if it is to stay in the field.
  say(text) {
    const command = !text.includes("\n") && /^\s*\/(?!\/)(\S*)\s*(.*)/.exec(text);
    if (command) return this.command(text, command[1].toLowerCase(), command[2]);
    if (isSecret(text)) {
      this.expecting = true;
      this.note(["Not sent: a command with a password is a single line."], true);
      return false;
    }
    const said = text.replace(/^\/\//, "/").trimEnd(); // the server cleans it: it knows whole sequences only
    if (!cleaned(said).trim()) return;
    if (new TextEncoder().encode(said).length > MOST) {
      this.expecting = true;
      this.note([`Not sent: a message has at most ${MOST.toLocaleString()} bytes.`], true);
      return false;
    }
    this.sending.add(this.current, said, this.room.about?.id);
    Object.assign(this.room, { divider: 0, missed: null, about: null });
    this.newest(this.room);
  }

  command(line, name, rest) {
    this.expecting = true;
    if (this.phase !== "here") {
      this.note(["Not done: there is no connection right now."], true);
      return false;
    }
    const [, to, text] = /^(\S*)\s*(.*)/.exec(rest), talk = this.talks.get(this.current);
    if (this.account.command(name, rest)) return;
    if (name === "quit") return this.quit(line);
    if (name === "join" && to) return this.open(roomNamed(to), text);
    if (name === "msg" && text && !isSecret(line)) {
      this.writeTo(to).then((talk) => { if (talk) this.sending.add(talk, text); else this.note([`Not sent to ${to}: ${text}`], true); });
      return;
    }
    this.listed.add(name); // who and rooms are asked for unseen, too
    for (const room of this.rooms.values()) room.past = "";
    const room = talk?.address ?? this.current, about = talk?.stored && ABOUT_TALKS.has(name) && rest[0] !== "@" ? `${talk.address} ` : "";
    const send = (line) => this.link.send({ type: "command", room, line });
    if (name !== "since" && name !== "search") return void send(about ? `/${name} ${about}${rest}` : line);
    const times = this.room?.entries.map((entry) => entry.time);
    import("./times.js").then(({ everywhere, search }) => send(`/${name} ${about}${name === "search" ? search(rest) : everywhere(rest, times) || rest}`),
      () => this.note([LOST.failed], true));
  }

  // --- in private ---

  // Return the private conversations; null if what they need does not arrive.
  async privately() {
    if (this.talks !== NONE) return this.talks;
    try {
      const { Talks, TOLD_IN_PRIVATE } = await talks();
      Object.assign(TOLD, TOLD_IN_PRIVATE);
      if (this.talks === NONE) this.talks = new Talks(this);
      return this.talks;
    } catch { this.trouble(this.heard.length ? WAITS : FAILED); }
    return null;
  }

  // Show the conversation with somebody; return its name, "" if that is not possible. `user`: the id of that user, if it is known.
  async writeTo(nick, user = "") {
    const before = this.current;
    if (this.talks === NONE) this.show(""); // what is typed meanwhile must not be said in the room
    const talks = await this.privately();
    const name = talks ? talks.with(nick, user || talks.idOf(nick)).name : "";
    if (name) this.show(name);
    else this.current ||= before;
    this.changed();
    return name;
  }

  // Take what the server tells. What is private waits for its part of the page, in its order.
  hear(message) {
    if (TOLD[message.type]) return void TOLD[message.type](this, message);
    this.heard.push(message);
    this.privately().then((ready) => { if (ready) for (const one of this.heard.splice(0)) TOLD[one.type]?.(this, one); });
  }

  // Something that is said in private. What is in no log gets a number between those that are. Return it if it is new.
  keep(talk, nick, text, { kind = "message", time = Date.now() / 1000, ...more } = {}) {
    const seq = Math.floor(talk.entries.at(-1)?.seq ?? 0) + ++this.count / 1e6;
    const entry = { nick, text: cleaned(text), time, kind, seq, ...more };
    return talk.take(entry) ? entry : null;
  }

  // --- being told ---

  // Show lines of the server. The page scrolls to an answer; other lines are also shown where the reader is.
  note(lines, error = false) {
    const room = this.room, after = room?.entries.at(-1)?.seq ?? room?.seq ?? 0;
    this.notices = [...this.notices.slice(-NOTICES), { key: ++this.count, room: this.current, lines, error, after }];
    if (room && this.expecting) this.newest(room);
    else if (room && !room.atEnd) this.flash = { text: lines.join(" "), error, room: room.name };
    this.expecting = false;
    this.changed();
  }

  // Say what went wrong; it belongs to no room's log.
  trouble(text) {
    if (this.named) this.flash = { text, error: true }; else this.error = text;
    this.changed();
  }

  dismiss() {
    Object.assign(this, { flash: null, knock: null });
    this.changed();
  }
}

function addressed() {
  try {
    const [, name, seq, key] = /^#([^/?]*)(?:\/(\d{1,15})|\?key=(.*))?/.exec(location.hash) ?? [];
    return { name: roomNamed(decodeURIComponent(name ?? "")), seq: Number(seq ?? 0), key: decodeURIComponent(key ?? "") };
  } catch { return { name: "", seq: 0, key: "" }; }
}

export function notify(...what) {
  if (document.hidden && globalThis.Notification?.permission === "granted") distant().then(({ notify: tell }) => tell(...what), () => {});
}
