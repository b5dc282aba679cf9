// What a reader may do with a message, and the requests for it.
import { FAILED, later } from "./lazy.js";
import { SAID } from "./room.js";

const doing = later(() => import("./doing.js"));

export class Acts {
  constructor(chat) {
    this.chat = chat;
    this.minutes = 0; // for which a message can be corrected
    this.ahead = Infinity; // seconds of this clock before the server's, at most
  }

  // Compare the clocks: an entry comes after its time.
  tick(time) { this.ahead = Math.min(this.ahead, Date.now() / 1000 - time); }

  isRecent({ time }) { return Date.now() / 1000 - (isFinite(this.ahead) ? this.ahead : 0) < time + 60 * this.minutes; }

  isOwn(room, { id, nick, host }) {
    const { account, tag, nick: own } = this.chat;
    return Boolean((tag && id?.startsWith(tag)) || (account.name && nick === own && (room.isPrivate || host?.endsWith(".account"))));
  }

  // `action`: as the server calls it, which says of it whether this reader may do it.
  rules(room, action) { return room.operators.includes(this.chat.nick) || Boolean(room.may?.includes(action)); }

  // The acts that are offered on a message.
  on(room, entry) {
    const said = SAID.has(entry.kind), kept = said && Boolean(entry.id), here = kept && !room.isPrivate, open = kept && room.open !== false;
    const own = kept && this.isOwn(room, entry), pins = here && this.rules(room, "pin"), pinned = room.pins.some(({ id }) => id === entry.id);
    return {
      reply: open, react: open, copy: said, link: here, correct: open && own && this.isRecent(entry), remove: own || (here && this.rules(room, "redact")),
      pin: pins && !pinned, unpin: pins && pinned,
    };
  }

  // Ask for an act; a refusal is shown at the message.
  async ask(room, id, request) {
    const { failed = "" } = await this.chat.ask({ room: room.address, id, ...request });
    room.change(id, { refused: failed });
    this.chat.changed(failed);
  }

  remove(room, { id }) { return this.ask(room, id, { type: "redact" }); }
  pin(room, id, on) { return this.ask(room, id, { type: "pin", on }); }

  react(room, { id, reactions }, reaction) {
    const mine = new Map(Object.entries(reactions ?? {})).get(reaction)?.includes(this.chat.nick);
    return this.ask(room, id, { type: "react", reaction, on: !mine });
  }

  linkTo(room, { seq }) { return `${location.href.split("#")[0]}#${encodeURIComponent(room.name)}/${seq}`; }

  // Go to a message of which only the id is known; give the reader's own one its new text.
  goTo(...what) { doing().then(({ goTo }) => goTo(this.chat, ...what), () => this.chat.trouble(FAILED)); }
  correct(room) { doing().then(({ correct }) => correct(this.chat, room), () => this.chat.trouble(FAILED)); }

  // --- in the field: an answer or a correction ---

  begin(room, { id, nick, text }, edit) {
    room.about = { id, nick, edit, text, before: text, failed: "" };
    this.chat.changed();
  }

  end(room) {
    room.about = null;
    this.chat.changed();
  }

  // The reader's own last message, if it can be corrected.
  last(room) {
    const own = room.entries.findLast?.((entry) => SAID.has(entry.kind) && this.isOwn(room, entry));
    return own && this.on(room, own).correct ? own : null;
  }
}
