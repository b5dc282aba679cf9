// The WebSocket to the server: says hello, comes back by itself, and finds out why it is refused.
import { later } from "./lazy.js";
import { wellFormed } from "./text.js";

const FIRST_PAUSE = 500, LONGEST_PAUSE = 15000; // milliseconds between two tries
// A page is not shown the server's pings: after so much silence it asks for something, and then waits so long for the answer.
const QUIET = 40000, ANSWER = 15000;
const REPLACED = 4001; // the code with which the server closes a connection whose session goes on in another one
const why = later(() => import("./refusal.js"));
const ADDRESS = new URL("../ws", import.meta.url); // beside the page, whatever path that has
export const LOST = { entries: [], more: true, failed: "There is no connection right now." }; // an answer that does not come

export class Link {
  // on.open(), on.message(object), on.quiet(): ask for something, on.lost(): it will be tried again,
  // on.refused(why): what is known about the last try, on.replaced(): it will not be tried again
  constructor(on) {
    this.on = on;
    this.pause = FIRST_PAUSE;
    this.wanted = false;
    this.socket = null;
  }

  start() {
    this.wanted = true;
    clearTimeout(this.timer);
    const address = new URL(ADDRESS);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = (this.socket = new WebSocket(address));
    let opened = false;
    this.doomed();
    socket.onopen = () => { opened = true; this.watch(); this.on.open(); };
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.watch();
      this.on.message(JSON.parse(event.data));
    };
    socket.onclose = ({ code }) => {
      if (socket !== this.socket) return;
      if (code === REPLACED) { this.stop(); this.on.replaced(); return; }
      this.lost();
      const tell = (why) => { if (!this.socket?.readyState) this.on.refused(why); };
      if (!opened) why().then(({ refusal }) => refusal(ADDRESS)).then(tell, () => tell(navigator.onLine ? "The server does not answer." : "Your network is down."));
    };
  }

  welcomed() { this.pause = FIRST_PAUSE; }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message, (_, value) => (typeof value === "string" ? wellFormed(value) : value)));
    return true;
  }

  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { this.on.quiet(); this.doomed(); }, QUIET);
  }

  doomed() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.drop(), ANSWER);
  }

  drop() {
    const socket = this.socket;
    this.lost();
    socket?.close();
  }

  lost() {
    clearTimeout(this.silence);
    this.socket = null;
    if (!this.wanted) return;
    const pause = this.pause * (0.75 + Math.random() / 2); // not everybody at once
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    this.timer = setTimeout(() => this.start(), pause);
    this.on.lost();
  }

  retry() {
    if (!this.socket && this.wanted) this.start();
  }

  stop() {
    this.wanted = false;
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.socket?.close();
    this.socket = null;
  }
}
