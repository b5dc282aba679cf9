// Private conversations: with whom each of them is, whatever that user is called by now. Fetched with the first of them.
import { Room } from "./room.js";
import { folded } from "./text.js";

const PRIVATE = 100_000; // characters of a private conversation that outlive a reload

// What one says to a user and nobody else hears. It belongs to the user and not to the name, which somebody else may get.
class Talk extends Room {
  constructor(key, nick) {
    super(key);
    this.isPrivate = true;
    this.nick = nick;
    this.user = ""; // the user's id; unknown until something was said
    this.start = true;
    this.stored = false; // as a conversation of two accounts is
    this.asked = false; // and was asked for the newest of it
    this.doubt = ""; // why it is not sure that the user has the name still: "left", or "other" people have it
    this.former = false; // there is another conversation with the user who has the name now
  }

  get title() { return `@${this.nick}${this.former ? " (earlier)" : ""}`; }
  get address() { return `@${this.nick}`; }
  get first() { return this.entries.find(({ id }) => id)?.seq; }
  get unstored() { return this.entries.filter(({ id }) => !id); }
  get open() { return !this.former && this.doubt !== "other" && !(this.doubt && !this.user); }

  static restored(saved) { return Object.assign(new Talk(saved.name, saved.nick), saved, { start: !saved.stored }); }

  // What the server has stored it is asked for again.
  get saved() {
    const { nick, user, doubt, former, stored } = this;
    let size = 0;
    const entries = this.unstored.reverse().filter(({ text }) => (size += text.length) < PRIVATE);
    const known = stored ? { seq: 0, place: 0 } : {};
    return { ...super.saved, ...known, nick, user, doubt, former, stored, entries: entries.reverse() };
  }

  // Take the newest of the log; what was shown of it and does not reach there is dropped.
  learn({ entries, more }) {
    const last = this.entries.findLast?.(({ id }) => id)?.seq ?? 0, gap = more && !(entries[0]?.seq <= last);
    if (gap || !last) this.start = !more;
    if (gap) this.entries = this.unstored;
    this.stored = true;
    this.merge(entries);
  }

  // What is not stored stands where its time is, with a number between those of its neighbours.
  merge(entries) {
    const { unstored } = this;
    this.entries = this.entries.filter(({ id }) => id);
    super.merge(entries);
    for (const entry of unstored) {
      const before = this.entries.findLast?.(({ id, time }) => id && time <= entry.time)?.seq ?? 0;
      entry.seq = before + (entry.seq % 1);
    }
    this.entries = [...this.entries, ...unstored].sort((a, b) => a.seq - b.seq);
    for (const { kind, text } of entries) if (kind === "redact") this.erase(text.split(" ")[0]);
  }

  moveTo(entries = []) {
    const { unstored } = this;
    super.moveTo(entries);
    this.entries = [...this.entries, ...unstored];
    this.merge([]);
  }

  outlive() {
    this.moveTo();
    Object.assign(this, { seq: 0, asked: false });
  }

  // Take a message that was sent now, or a redaction; return whether it is new.
  take(entry) {
    if (entry.id && this.entries.some(({ id }) => id === entry.id)) return false;
    if (entry.id && entry.seq) {
      this.stored = true;
      // Of several nodes, one may send a message before that of another with a lower number.
      if (entry.seq <= this.seq && entry.seq > this.first) this.merge([entry]);
      return this.grow([entry]).length > 0 || this.entries.includes(entry);
    }
    this.entries = [...this.entries, entry];
    return true;
  }

  isWith(nick) { return !this.former && folded(this.nick) === folded(nick); }
}

export class Talks {
  constructor(chat) {
    this.chat = chat;
    this.all = new Map(); // by their keys: an @ and a number
  }

  restore(saved) { for (const talk of saved) this.all.set(talk.name, Talk.restored(talk)); }

  get(key) { return this.all.get(key); }
  get size() { return this.all.size; }
  values() { return [...this.all.values()]; }

  open(nick) {
    const talk = new Talk(`@${++this.chat.count}`, nick);
    this.all.set(talk.name, talk);
    return talk;
  }

  // The conversation with the user who has a name now; with `user`, that user's id, it is sure who that is.
  with(nick, user = "") {
    const named = this.values().find((talk) => talk.isWith(nick));
    const known = user && this.values().find((talk) => talk.user === user);
    const talk = known || (named && (!user || !named.user) ? named : this.open(nick));
    if (user) this.recognise(talk, nick, user);
    return talk;
  }

  // It is known that this user has this name now.
  recognise(talk, nick, user) {
    this.name(talk, nick);
    Object.assign(talk, { user, doubt: "", former: false });
  }

  // Ask for the newest of a conversation if it may be stored, once it is known who is here under which name.
  async recall(talk) {
    const { chat } = this;
    if (!talk.isPrivate || talk.asked || !talk.open || !chat.account.name || chat.sending.held || chat.phase !== "here") return;
    talk.asked = true;
    const { stretch } = talk, page = await chat.history(talk, {});
    if (page.failed || stretch !== talk.stretch) return;
    for (const entry of page.entries) chat.sending.settle(entry);
    talk.learn(page);
    chat.changed();
  }

  // The conversation in which a stored message is: its room is called after the recipient.
  of({ room, nick }) { return this.with(folded(room) === folded(`@${this.chat.nick}`) ? nick : room.slice(1)); }

  // Call a conversation by its user's new name; another one with that name was with somebody else.
  name(talk, nick) {
    for (const other of this.values()) if (other !== talk && other.isWith(nick)) other.former = true;
    if (folded(talk.nick) !== folded(nick)) talk.nick = nick;
  }

  // The id of somebody in a room that both are in, if it is known.
  idOf(nick) {
    const sought = folded(nick);
    for (const room of this.chat.rooms.values()) {
      for (const [name, id] of room.users) if (folded(name) === sought) return id;
    }
    return "";
  }

  // Somebody in a room changes names, leaves, or comes: what that says about a conversation.
  follow(room, { kind, nick, text }) {
    const talk = this.values().find((one) => one.isWith(nick));
    if (!talk || nick === this.chat.nick) return;
    const id = room.users.get(nick);
    const sure = !talk.doubt && (!id || !talk.user || id === talk.user);
    if (kind === "rename" && sure) this.name(talk, text);
    if (kind === "leave" && sure && !this.seesElsewhere(nick, room)) talk.doubt = "left";
    if (kind === "join" && talk.doubt) this.chat.link.send({ type: "members", room: room.name }); // it may be the same user
  }

  seesElsewhere(nick, left) {
    return [...this.chat.rooms.values()].some((room) => room !== left && room.members.includes(nick));
  }

  // Those who are in a room, by name: each conversation is with one id.
  compare(users) {
    for (const [nick, id] of users) {
      const known = this.values().find((talk) => talk.user === id);
      const named = this.values().find((talk) => talk.isWith(nick));
      if (known) this.recognise(known, nick, id);
      else if (named?.user) named.doubt = "other";
    }
  }

  // The reader means the user who has the name now. Return the conversation with that user.
  mean(talk) {
    const other = this.values().find((one) => one !== talk && one.isWith(talk.nick));
    if (other) return other;
    if (talk.doubt || talk.former) this.chat.keep(talk, talk.nick, "", { kind: "meant" });
    return Object.assign(talk, { user: "", doubt: "", former: false });
  }
}

// A change of a private message, which stands in the conversation like one in a room.
function act(chat, kind, what, { id, nick, user, to, time, seq }) {
  const talk = chat.talks.with(to ?? nick, user), text = `${id} ${what}`;
  talk.mark({ kind, nick, text });
  chat.keep(talk, nick, text, { kind, id: `-${seq}`, time, seq });
  chat.changed();
}

// What the server tells of private conversations, as in told.js.
export const TOLD_IN_PRIVATE = {
  // With `to`, another session of this user has sent it.
  private(chat, { nick, text, user, to, type, ...more }) {
    const talk = chat.talks.with(to ?? nick, user), entry = chat.keep(talk, nick, text, more);
    if (entry && !to) chat.call(talk, entry, true);
    chat.changed();
  },

  // The author of a private message has deleted it.
  deleted(chat, { id, nick, user, to, time, seq }) {
    const talk = chat.talks.with(to ?? nick, user);
    talk.erase(id);
    if (seq) chat.keep(talk, nick, id, { kind: "redact", words: "has deleted a message", id: `-${id}`, time, seq });
    chat.changed();
  },

  // The author of a private message has given it a new text.
  corrected(chat, { text, ...frame }) { act(chat, "edit", text, frame); },

  reacted(chat, { reaction, on, ...frame }) { act(chat, on ? "react" : "unreact", reaction, frame); },

  sent(chat, { label, nick, user, type, ...more }) {
    const item = chat.sending.find(label), talk = chat.talks.get(item?.room);
    if (!talk) return;
    chat.sending.discard(item);
    chat.talks.recognise(talk, nick, user);
    chat.keep(talk, chat.nick, item.text, { ...more, re: item.re });
    chat.changed();
  },
};
