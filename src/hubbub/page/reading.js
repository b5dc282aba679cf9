// What the owner of an account has read, on all devices: the server keeps how far that is in each room.

const EVERY = 3000; // milliseconds at least between two times that the server learns of it
const MOST = 200; // mentions that are asked for

const newest = (room) => room.entries.at(-1)?.time ?? 0;

export class Reader {
  constructor(chat) {
    this.chat = chat;
    this.told = new WeakMap(); // by room, the time up to which the server knows it to be read
    this.waiting = new Set(); // rooms that were read since then
    this.timer = 0;
    addEventListener("pagehide", () => this.tell());
  }

  // The reader sees the newest of a room.
  note(room) {
    const { chat } = this, time = newest(room);
    chat.calls = chat.calls.filter((call) => call.room !== room.name);
    if (!chat.account.name || !room.stored || chat.phase !== "here" || time <= (this.told.get(room) ?? 0)) return;
    this.told.set(room, time);
    this.waiting.add(room);
    this.timer ||= setTimeout(() => this.tell(), EVERY);
  }

  tell() {
    clearTimeout(this.timer);
    this.timer = 0;
    for (const room of this.waiting) this.chat.link.send({ type: "read", room: room.address, time: this.told.get(room) });
    this.waiting.clear();
  }

  // Another device has shown a room up to a time.
  elsewhere(name, time) {
    const { chat } = this, room = chat.rooms.get(name) ?? chat.talks.values().find((talk) => talk.address === name);
    chat.calls = chat.calls.filter((call) => (name && call.room !== name) || call.time > time);
    if (room && newest(room) <= time) room.unread = room.mentioned = 0;
    chat.changed();
  }

  // Ask for what mentioned the reader while the page was closed. The rooms themselves count what came since.
  async recall() {
    const { chat } = this, page = await chat.ask({ type: "mentions", unread: true, limit: MOST });
    const counted = ({ room, seq }) => chat.rooms.get(room)?.unread && seq >= chat.rooms.get(room).divider;
    if (!page.failed) chat.calls = page.entries.filter((entry) => !counted(entry));
    chat.seen();
    chat.changed();
  }

  // The reader sees the list of mentions.
  listed() {
    this.chat.link.send({ type: "read" });
    this.chat.calls = [];
    this.chat.changed();
  }
}
