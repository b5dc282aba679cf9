// What the server tells: a row for each type of message, with what it does to the chat. talks.js has those of private conversations.
import { later } from "./lazy.js";
import { LOST } from "./link.js";
import { HISTORY, Room } from "./room.js";
import { mentions, sentence, timeOf, whenOf } from "./text.js";

const classes = later(() => import("./classroom.js")), inClass = (act, ...about) => classes().then((all) => all[act](...about), () => {});
const beyond = (more) => (more ? [`and ${more.toLocaleString()} more`] : []);

// An entry that is new to the reader.
function take(chat, room, entry) {
  chat.acts.tick(entry.time);
  chat.sending.settle(entry);
  chat.talks.follow(room, entry);
  room.apply(entry);
  if (room.kit || room.operators.includes(chat.nick)) inClass("follow", chat, room, entry);
  if (entry.kind === "kick" && entry.text.split(" ")[0] === chat.nick) chat.out = entry;
  else if (entry.kind === "mode" || entry.kind === "kick") chat.link.send({ type: "members", room: room.name });
  if (HISTORY.has(entry.kind) && entry.nick !== chat.nick) chat.call(room, entry, mentions(entry.text, chat.nick));
}

const answer = (chat, message) => { chat.answer(message); };
const pastLine = (chat, entry) => `${whenOf(entry.time)}  ${entry.room === chat.current ? "" : `[${entry.room}] `}${sentence(entry)}`;

// An answer that is not about a label.
function list(chat, lines, error = false) {
  if (error) chat.listed.clear();
  chat.note(lines, error);
}

export const TOLD = {
  welcome(chat, { nick, tag, log = "", resume = "", edit_minutes: minutes = 0 }) {
    chat.link.welcomed();
    const again = chat.rooms.size > 0;
    if (again && chat.log && log && log !== chat.log) chat.outlive();
    Object.assign(chat, { nick, tag, log, resume, error: "", phase: "here" });
    chat.acts.minutes = minutes;
    if (again) chat.sending.flushPrivate();
    chat.refresh();
    chat.follow(chat.address);
    chat.address = {};
    chat.recall();
    chat.changed(again ? "Connected again" : "");
  },

  // `current`: another tab or device joined the room, and this one goes on in the room where it is.
  joined(chat, { room: name, id, seq, topic, current = "", pins = [], hands = [], polls = [] }) {
    let room = chat.rooms.get(name);
    const isNew = !room;
    if (isNew) {
      chat.rooms.set(name, (room = new Room(name)));
      if (!current) chat.show(name);
    }
    if (!chat.room) chat.show(name);
    if (chat.knock && [name, chat.knock.key].includes(chat.knock.room)) { // a code names no room
      room.key = chat.knock.key;
      chat.knock = null;
    }
    if (id && room.id && id !== room.id) {
      for (const item of chat.sending.in(name)) item.failed = "Not sent: another room has this name now.";
      room.outlive();
    }
    room.id = id ?? room.id;
    const known = room.seq > 0;
    Object.assign(room, { topic, pins, past: known ? "" : "new", upto: known ? seq : 0, seq: room.seq || seq });
    if (hands.length || polls.length) inClass("note", chat, room, { ...room, hands, polls });
    // What waits to be sent waits for this answer, too: what was on its way when a connection broke is shown before it.
    Object.assign(room, { answered: false, joined: false });
    chat.ask({ type: "members", room: name }).then(() => {
      room.answered = true;
      if (room.kit || room.operators.includes(chat.nick)) inClass("survey", chat, room);
      if (isNew && room === chat.room && room.operators.includes(chat.nick)) {
        chat.note([`You are an operator of ${name}. /help operators lists what you can do.`]);
      }
      chat.upToDate(room);
    });
    chat.changed();
  },

  // An answer to a command, or the newest messages of a room that is new to the page. The log fetches these for itself: here,
  // only messages are shown.
  past(chat, { entries, lines }) {
    const isNew = chat.rooms.get(entries[0]?.room)?.past === "new";
    if (isNew) for (const entry of entries) chat.sending.settle(entry);
    else chat.note([...entries.map((entry) => pastLine(chat, entry)), ...lines]);
    chat.changed();
  },

  // `to`: its new name.
  left(chat, { room, to }) {
    if (to) return chat.moved(room, to);
    chat.part(room);
    chat.sending.drop(room);
    if (chat.out) chat.note([`You are out of ${room}: ${chat.out.nick} ${chat.out.words}`], true);
    chat.out = null;
    chat.changed();
  },

  entries(chat, { entries }) {
    const { room: name } = entries[0], room = chat.rooms.get(name) ?? chat.former[name];
    if (!room) return;
    room.past = "";
    if (entries.some(({ kind }) => kind === "join")) room.members = [...room.members]; // another list: it is drawn again
    for (const entry of room.grow(entries)) take(chat, room, entry);
    chat.upToDate(room);
    chat.changed();
  },

  mention(chat, about) { import("./distant.js").then(({ mark }) => mark(chat, about), () => {}); },

  skipped(chat, { room: name, count }) {
    const room = chat.rooms.get(name);
    if (!room) return;
    chat.sending.doubt(name);
    room.moveTo();
    room.unread += count;
    chat.changed();
  },

  stored(chat, message) {
    if (!chat.shelf) chat.stay();
    const item = chat.sending.find(message.label);
    if (item) chat.sending.discard(item); else chat.answer(message);
    chat.changed();
  },

  error(chat, { code, text, label, room: name, offer }) {
    const item = chat.sending.find(label);
    if (item) chat.sending.refuse(item, code, text);
    else if (chat.answer({ ...LOST, label, failed: text })) return;
    else if (chat.phase !== "here") chat.refused(code, text, offer);
    else if (chat.knock && (name === chat.knock.room || (label && label === chat.knock.label))) chat.refuse(text, code, offer);
    else if (name && chat.rooms.get(name)?.joined === false) import("./trouble.js").then(({ shutOut }) => shutOut(chat, name, code, text), () => chat.trouble(text));
    else list(chat, [text], true);
    chat.changed();
  },

  page: answer, done: answer, settings: answer, class: answer,
  votes(chat, { room: name, id, votes, guests }) {
    inClass("count", chat, chat.rooms.get(name), id, { votes, guests });
  },

  clock(chat, { time }) { list(chat, [new Date(time * 1000).toString()]); },
  nick(chat, { nick }) { chat.nick = nick; chat.changed(); },
  invited(chat, { nick, room }) { chat.note([`${nick} invites you to ${room}. Type /join ${room}.`]); },
  notice(chat, { lines, label, room }) {
    if (room) return void inClass("forOperators", chat, chat.rooms.get(room), lines);
    if (chat.answer({ label, lines })) return;
    if (lines.length < 2 || !chat.listed.delete("help")) return list(chat, lines);
    import("./keys.js").then(({ keyLines }) => list(chat, [...lines, ...keyLines()]), () => list(chat, lines));
  },

  read(chat, { room, time }) { chat.reader?.elsewhere(room, time); },

  account(chat, { name }) {
    chat.account.name = name;
    chat.recall();
    chat.changed(`You are logged in as ${name}`);
  },

  missed(chat, { room: name, count, since, more }) {
    const room = chat.rooms.get(name);
    if (room) room.missed = { count, since, more };
    else if (!name) chat.note([`${count.toLocaleString()} private ${count === 1 ? "message" : "messages"} since ${timeOf(since)}`]);
    chat.changed();
  },

  rooms(chat, { rooms, more = 0 }) {
    Object.assign(chat, { directory: rooms, unlisted: more });
    const lines = rooms.map(({ name, members, topic }) => `${name} (${members})${topic && `: ${topic}`}`);
    if (chat.listed.delete("rooms")) list(chat, [...lines, ...beyond(more)]);
    chat.changed();
  },

  members(chat, message) {
    const { label, room: name, nicks, more = 0, operators, users = [] } = message;
    if (chat.parts.delete(label)) return void chat.answer(message);
    const room = chat.rooms.get(name), byName = new Map(users.map((id, index) => [nicks[index], id]));
    if (room) Object.assign(room, { members: nicks, more, operators, users: byName });
    chat.talks.compare(byName);
    if (room && !room.answered) {
      room.answered = true;
      chat.upToDate(room);
    }
    if (!chat.answer({ label }) && chat.listed.delete("who")) {
      const names = nicks.map((nick) => (operators.includes(nick) ? `@${nick}` : nick));
      list(chat, [`In ${name}: ${names.join(", ")}`, ...beyond(more)]);
    }
    chat.changed();
  },
};
