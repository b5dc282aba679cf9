// The WebSocket to the server: says hello, comes back by itself, and keeps what was not sent.

const FIRST_PAUSE = 500, LONGEST_PAUSE = 15000; // milliseconds between two tries
// A page is not shown the server's pings: after so much silence it asks for something, and then waits so long for the answer.
const QUIET = 40000, ANSWER = 15000;

export class Link {
  // on.open(), on.message(object), on.quiet(): ask for something, on.lost(): it will be tried again
  constructor(on) {
    this.on = on;
    this.pause = FIRST_PAUSE;
    this.wanted = false;
    this.socket = null;
  }

  start() {
    this.wanted = true;
    clearTimeout(this.timer);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = (this.socket = new WebSocket(`${scheme}//${location.host}/ws`));
    this.doomed();
    socket.onopen = () => { this.watch(); this.on.open(); };
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.watch();
      this.on.message(JSON.parse(event.data));
    };
    socket.onclose = () => socket === this.socket && this.lost();
  }

  welcomed() { this.pause = FIRST_PAUSE; }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
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
