// Places that are far back in a log, and notifications of the browser.
import { notify as tell } from "./chat.js";
import { cut, mentions } from "./text.js";

const MOST_AT_ONCE = 200; // entries fetched at once
const FOLLOWING = 5; // pages fetched behind a place that one goes to

// Go to an entry of a room or a private conversation; see Chat.jump.
export async function jump(chat, name, seq, top) {
  const talk = chat.talks.get(name);
  chat.aim = talk || chat.rooms.get(name)?.joined ? null : { room: name, seq, top };
  if (!top) chat.open(name);
  const room = chat.rooms.get(name) ?? talk;
  if (!room || chat.aim) return;
  if (!(room.entries[0]?.seq <= seq && seq <= room.entries.at(-1).seq)) {
    const [before, behind] = await Promise.all([chat.history(room, { before: seq + 1 }), chat.history(room, { after: seq })]);
    room.restoring = 0;
    if (before.failed || behind.failed) return chat.trouble(before.failed ?? behind.failed);
    room.moveTo(before.entries);
    room.start = !before.more;
    room.mergeBehind(behind);
  }
  chat.target = { room: name, seq, top };
  chat.changed();
  // What follows is fetched by itself if it is not much.
  for (let pages = 0, { stretch } = room; pages < FOLLOWING && !room.live && stretch === room.stretch; pages += 1) await chat.forward(room, MOST_AT_ONCE);
}

export function notify(title, body, open) {
  try {
    const shown = new Notification(title, { body: cut(body, 200), icon: new URL("icon.svg", import.meta.url).href, tag: title });
    shown.onclick = () => { focus(); open(); };
  } catch { /* Android allows it to service workers alone */ }
}

// An entry that was just told is for the reader: by a word of their own, or as an answer to them.
export function mark(chat, { room: name, seq }) {
  const room = chat.rooms.get(name), entry = room?.entries.findLast?.((one) => one.seq === seq);
  if (!entry || mentions(entry.text, chat.nick)) return;
  entry.forMe = true;
  if (room.unread && seq >= room.divider) {
    room.mentioned += 1;
    if (!chat.view.notify?.[name]) tell(`${entry.nick} in ${room.title}`, entry.text, () => chat.open(name));
  }
  chat.changed();
}
