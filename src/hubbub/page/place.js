// Where in a log one reads: that stays where it is, at the end or at the first line in view, whatever comes above or below it.

const NEAR = 80; // pixels from an end that count as being there
const PRESS = 10000; // milliseconds that a press may take
export const LINES = "li[data-seq]";

const fromEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight;

// The line of an entry; of one that is folded with others, the line with them.
function lineOf(log, seq) {
  const found = log.querySelector(`[data-seq="${seq}"]`);
  return found ?? [...log.querySelectorAll(LINES)].findLast?.((line) => Number(line.dataset.seq) <= seq);
}

function firstIn(log) {
  const all = log.querySelectorAll(LINES);
  let low = 0, high = all.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (all[middle].offsetTop + all[middle].offsetHeight > log.scrollTop) high = middle; else low = middle + 1;
  }
  return all[low] ?? null;
}

export class Place {
  constructor(chat, room, changed) {
    Object.assign(this, { chat, room, changed });
    this.log = null; // the element that is scrolled
    this.end = !room.place; // what comes is followed
    this.opened = false;
    this.top = 0; // how far it was scrolled
    this.anchor = null; // the first line in view, and where it was
    this.offset = 0;
    this.pressed = 0; // a timer
  }

  // After each drawing: scroll so that the same is in view as before, or what is asked for.
  hold() {
    const { chat, room, log } = this, target = chat.target?.room === room.name && chat.target;
    if (target) chat.target = null;
    if (target?.end) this.end = true;
    const line = target?.seq && lineOf(log, target.seq);
    if (line) this.goTo(line, target);
    else if (this.end) this.toEnd();
    else if (this.anchor?.isConnected) log.scrollTop += this.anchor.offsetTop - this.offset;
    if (target?.end) this.leaveEndFor(log.querySelector("ol > li.notice:last-child"), 0); // an answer that is longer than the window
    if (!this.opened && room.entries.length) this.open(line);
    this.note();
  }

  goTo(line, { top, seq }) {
    this.end = this.room.atEnd = false;
    line.scrollIntoView({ block: top ? "start" : "center" });
    if (!top) line.focus({ preventScroll: true });
    else if (seq === this.room.divider) this.leaveEndFor(this.log.querySelector(".unread"), NEAR / 2);
  }

  toEnd() { if (!this.pressed) this.log.scrollTop = this.log.scrollHeight; }

  // Nothing moves under a pointer that is down: a button would be away when the pointer is up.
  press() { this.release(PRESS); }

  release(wait = 0) {
    clearTimeout(this.pressed);
    this.pressed = setTimeout(() => {
      this.pressed = 0;
      if (this.log) this.resized();
    }, wait);
  }

  // Show a line that is above what is in view at the end.
  leaveEndFor(line, margin) {
    if (!line || line.offsetTop >= this.log.scrollTop) return;
    this.end = false;
    this.log.scrollTop = line.offsetTop - margin;
  }

  // A room is opened at the place that was kept over a reload, at the first unread message, or at the end.
  open(shown) {
    this.opened = true;
    if (shown) return;
    if (this.room.beginsUnread && !this.room.place) this.chat.jump(this.room.name, this.room.divider, true);
    else if (this.room.place) lineOf(this.log, this.room.place)?.scrollIntoView({ block: "start" });
    else this.leaveEndFor(this.log.querySelector(".unread"), NEAR / 2);
  }

  note() {
    const { log, room } = this;
    this.top = log.scrollTop;
    this.anchor = this.end ? null : firstIn(log);
    this.offset = this.anchor?.offsetTop;
    if (!room.restoring) room.place = this.end ? 0 : Number(this.anchor?.dataset.seq ?? room.entries[0]?.seq ?? 0);
  }

  // Only a reader who scrolls up leaves the end: the end may also move away, when lines come or the window changes.
  scrolled() {
    const { chat, room, log } = this;
    if (!log || room.restoring) return;
    if (room.live && fromEnd(log) < NEAR) this.end = true;
    else if (log.scrollTop < this.top - 1) this.end = false;
    room.atEnd = this.end;
    this.changed(this.end && room.live);
    this.note();
    if (this.end) chat.seen();
    if (log.scrollTop - (log.querySelector(".began")?.offsetTop ?? 0) < NEAR * 4) chat.back(room);
    if (fromEnd(log) < NEAR * 4) chat.forward(room);
  }

  // The window or a line has changed its size.
  resized() {
    if (!this.end || this.chat.target) return;
    this.toEnd();
    this.note();
  }

  // What is unfolded is read from its beginning, also at the end of the log.
  unfolded(event) {
    if (!event.target.closest("summary, [aria-expanded]")) return;
    this.end = false;
    this.note();
  }
}
