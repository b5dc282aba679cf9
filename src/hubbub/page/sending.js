// What the reader said and the server has not confirmed yet: it is sent once, and never lost.

const UNKNOWN = "It is not known whether this was sent: the connection broke.";
const DOUBT = "Not sent: it is not sure who has this name now.";

export class Sending {
  constructor(chat) {
    this.chat = chat;
    this.items = []; // {label, room, text, re, sent, tag, failed}
    this.held = true; // private messages are: it is not known yet who is here under which name
  }

  in(room) { return this.items.filter((item) => item.room === room); }

  // `re`: the id of the message that it answers.
  add(room, text, re) {
    const item = { label: `m${++this.chat.count}`, room, text, re };
    this.items = [...this.items, item];
    this.transmit(item);
    this.chat.changed();
  }

  transmit(item) {
    const { rooms, talks, link, tag } = this.chat, talk = talks.get(item.room);
    Object.assign(item, { failed: "", tag, sent: false });
    if (talk && !talk.open) item.failed = DOUBT;
    else if (talk) {
      const message = { type: "msg", to: talk.nick, text: item.text, label: item.label, ...(item.re && { re: item.re }) };
      item.sent = !this.held && link.send(talk.user ? { ...message, user: talk.user } : message);
    } else if (rooms.get(item.room)?.joined) {
      item.sent = link.send({ type: "say", room: item.room, text: item.text, label: item.label, ...(item.re && { re: item.re }) });
    }
  }

  // Send what waits for a room. What was sent before the connection broke is in the log by now, or never will be.
  flush(room) {
    for (const item of this.in(room)) if (!item.failed) this.transmit(item);
  }

  // Send private messages once all rooms have said who is in them. They are in no log: what was on its way when the connection
  // broke may have arrived.
  flushPrivate() {
    const { phase, rooms } = this.chat;
    if (!this.held || phase !== "here" || [...rooms.values()].some(({ joined }) => !joined)) return;
    this.held = false;
    for (const item of this.items) {
      if (!this.chat.talks.get(item.room) || item.failed) continue;
      if (item.sent) item.failed = UNKNOWN;
      else this.transmit(item);
    }
  }

  // An entry of the log may be one of these.
  settle({ id }) {
    const item = this.items.find(({ sent, tag, label }) => sent && tag && id.startsWith(tag) && id.endsWith(`-${label}`));
    if (item) this.discard(item);
  }

  // The server says why not: there is nothing to be seen in it, or the name of a private message is somebody else's.
  refuse(item, code, text) {
    if (code === "no-text") return this.discard(item);
    item.failed = text;
    const talk = this.chat.talks.get(item.room);
    if (talk && code === "somebody-else") talk.doubt = "other";
    if (talk && code === "no-such-name") talk.doubt = "left";
  }

  find(label) { return label && this.items.find((item) => item.label === label); }
  discard(item) { this.items = this.items.filter((other) => other !== item); }
  drop(room) { this.items = this.items.filter((item) => item.room !== room); }

  // Nobody knows what was left out.
  doubt(room) {
    for (const item of this.in(room)) if (item.sent) item.failed ||= UNKNOWN;
  }

  // Send it again; a private message, to the user who has the name now if that was in doubt.
  retry(item) {
    const talk = this.chat.talks.get(item.room);
    if (talk?.doubt || talk?.former) item.room = this.chat.talks.mean(talk).name;
    this.transmit(item);
  }
}
