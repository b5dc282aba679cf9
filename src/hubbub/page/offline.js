// What can be read without the server: the last entries of each room, which this browser keeps until the reader leaves or logs out.
import { store } from "./saved.js";

const NAME = `hubbub ${new URL("..", import.meta.url).pathname}`; // as several servers may share a host
const KEPT = 200; // entries of a room
const EVERY = 3000; // milliseconds at least between two times that they are stored

const result = (request) => new Promise((done, fail) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => fail(request.error);
});

// A promise of whether this tab may go on with what is kept: two tabs that begin at once would both send what waits to be sent.
const claimed = () => new Promise((done) => {
  if (!navigator.locks) return done(true);
  const held = new Promise(() => {}); // as long as the tab is there
  navigator.locks.request(NAME, { ifAvailable: true }, (lock) => { done(Boolean(lock)); return lock && held; }).catch(() => done(true));
});

async function database() {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("kept");
  return result(opening);
}

export class Shelf {
  constructor(chat) {
    this.chat = chat;
    this.known = new Map(); // by address, the entries that are stored
    this.timer = 0;
    this.waiting = null; // what waited to be sent when it was last stored, or read
    this.open = database();
    this.open.catch(() => {}); // a browser may forbid it, as in a private window
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.save(); });
    navigator.serviceWorker?.register(new URL("../worker.js", import.meta.url)).catch(() => {});
    store.shelved = true;
    this.soon();
  }

  async table(mode) { return (await this.open).transaction("kept", mode).objectStore("kept"); }

  soon() {
    const { phase, sending } = this.chat;
    // Without the server, nobody else has what is typed: it is stored at once.
    if (phase === "lost" && this.waiting && this.waiting !== sending.items) this.save();
    else this.timer ||= setTimeout(() => this.save(), EVERY);
  }

  // Private conversations are kept for the owners of accounts alone.
  get state() {
    const { chat } = this, { resume, talks, ...state } = chat.saved;
    const own = chat.account.name ? talks.filter(({ stored }) => stored).map((talk) => ({ ...talk, entries: [] })) : [];
    return { ...state, talks: own, account: chat.account.name };
  }

  async save() {
    clearTimeout(this.timer);
    this.timer = 0;
    const { chat } = this;
    if (!chat.saved || !chat.tag) return;
    this.waiting = chat.sending.items;
    try {
      // By itself, so that what was sent since is not sent again if there is no space for the entries.
      await result((await this.table("readwrite")).put(this.state, "state"));
      const table = await this.table("readwrite");
      if (!chat.saved) return; // the reader has left meanwhile
      const talks = chat.account.name ? chat.talks.values().filter(({ stored }) => stored) : [], rooms = [...chat.rooms.values(), ...talks];
      const addresses = new Set(rooms.map(({ address }) => address));
      for (const { address, entries, live, user = "" } of rooms) {
        if (!live || !entries.length || this.known.get(address) === entries) continue;
        this.known.set(address, entries);
        table.put({ user, entries: entries.slice(-KEPT) }, `room ${address}`);
      }
      for (const key of await result(table.getAllKeys())) if (key !== "state" && !addresses.has(key.slice(5))) table.delete(key);
    } catch { this.known.clear(); /* forbidden, or full: tried again with the next change */ }
  }

  // The state of the chat when it was last here; undefined if nothing is kept.
  async last() {
    try { return await result((await this.table("readonly")).get("state")); } catch { return undefined; }
  }

  // The same as a tab has it; null if there is none, or another tab goes on with it.
  async restored() {
    const state = await this.last();
    if (!state || !(await claimed())) return null;
    const { account, ...tab } = state;
    return tab;
  }

  // Show what is kept of the rooms of which nothing is shown. The next hello asks for what follows it.
  async fill() {
    const { chat } = this, state = await this.last();
    if (!state || state.nick !== chat.nick) return;
    chat.account.name ||= state.account;
    for (const room of [...chat.rooms.values(), ...chat.talks.values()]) {
      const kept = await result((await this.table("readonly")).get(`room ${room.address}`)).catch(() => null);
      if (!kept || room.entries.length || chat.phase === "here" || (room.isPrivate && kept.user !== room.user)) continue;
      const { entries } = kept, isThere = entries[0].seq <= room.restoring;
      Object.assign(room, { entries, seq: entries.at(-1).seq, start: false, live: true, place: isThere ? room.place : 0, restoring: 0 });
      this.known.set(room.address, entries);
      if (isThere) chat.target = { room: room.name, seq: room.place, top: true };
    }
    this.waiting ??= chat.sending.items;
    chat.changed();
  }

  async forget() {
    clearTimeout(this.timer);
    store.shelved = false;
    try { await result((await this.table("readwrite")).clear()); } catch { /* there is nothing */ }
  }
}
