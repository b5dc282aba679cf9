// Private conversations: with whom each of them is, whatever that user is called by now.
import { Talk } from "./room.js";
import { folded } from "./text.js";

export class Talks {
  constructor(chat) {
    this.chat = chat;
    this.all = new Map(); // by their keys: an @ and a number
  }

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
    if (!(talk instanceof Talk) || talk.asked || !talk.open || !chat.account.name || chat.sending.held || chat.phase !== "here") return;
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
