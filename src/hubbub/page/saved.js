// What a tab keeps over a reload, and what it knows of the other tabs.

const KEY = `hubbub ${new URL("..", import.meta.url).pathname}`; // several servers may share a host
const SOON = 300; // milliseconds in which another tab answers

// A browser may forbid to store anything: then it is asked for again.
export const store = {
  get name() { try { return localStorage.getItem("name") ?? ""; } catch { return ""; } },
  set name(name) { try { localStorage.setItem("name", name); } catch { /* forbidden */ } },
  get view() { try { return JSON.parse(localStorage.getItem("view")) ?? {}; } catch { return {}; } },
  set view(view) { try { localStorage.setItem("view", JSON.stringify(view)); } catch { /* forbidden */ } },
  get shelved() { try { return Boolean(localStorage.getItem(`${KEY} kept`)); } catch { return false; } }, // entries, for reading offline
  set shelved(on) { try { if (on) localStorage.setItem(`${KEY} kept`, "yes"); else localStorage.removeItem(`${KEY} kept`); } catch { /* forbidden */ } },
  get tab() { try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; } },
  set tab(state) {
    try {
      if (state) sessionStorage.setItem(KEY, JSON.stringify(state));
      else sessionStorage.removeItem(KEY);
    } catch { /* forbidden, or full */ }
  },
};

// The other tabs of this browser: each says who is in it. A copy of a tab has the same id as the tab.
export class Tabs {
  constructor(about) { // about(): {id, nick, rooms}
    this.about = about;
    this.found = [];
    this.channel = globalThis.BroadcastChannel ? new BroadcastChannel(KEY) : null;
    if (this.channel) this.channel.onmessage = ({ data }) => this.hear(data);
  }

  hear(message) {
    if (message.asks) this.channel.postMessage({ ...this.about(), answers: message.asks });
    else if (message.answers === this.question && message.nick) this.found.push(message);
  }

  // Those that answer soon.
  async ask() {
    this.question = Math.random().toString(36).slice(2);
    this.found = [];
    this.channel?.postMessage({ asks: this.question });
    await new Promise((done) => setTimeout(done, this.channel ? SOON : 0));
    return this.found;
  }
}
