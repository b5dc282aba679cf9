// What goes on in a room besides its messages: raised hands, questions, polls. classes.js and polls.js show it.
const CHANGING = new Set(["hand", "turn", "poll", "poll-end", "mode", "leave", "kick", "rename", "redact"]);
const SOON = 300; // milliseconds in which the changes of a class are asked for once

// What a room has for a class: those who have raised a hand (the first one first), questions {number, nick, text}, codes {code, expires, most, used},
// the ids of the open polls, and polls by id {id, nick, question, answers, votes, guests, mine}. `kit`: this is shown above the log.
export const ofClass = (room) => (room.ballots ? room : Object.assign(room, { codes: [], polls: [], ballots: new Map() }));

// Ask what goes on in a room, a little later.
export function survey(chat, room) {
  room.surveyed ??= setTimeout(async () => {
    room.surveyed = null;
    const found = await chat.ask({ type: "class", room: room.name });
    if (!found.failed) note(chat, room, found);
  }, SOON);
}

// Only readers who see it ask for it (told.js): a class of sixty would ask sixty times for each hand.
export function follow(chat, room, entry) {
  if (CHANGING.has(entry.kind)) survey(chat, room);
}

// Lines for the operators of a room: about a hand, or a question.
export function forOperators(chat, room, lines) {
  if (!room) return;
  survey(chat, room);
  chat.changed(lines.join(" "));
}

export function note(chat, room, { hands = [], questions = [], polls = [], codes = [] }) {
  Object.assign(ofClass(room), { hands, questions, codes, polls: polls.map(({ id }) => id) });
  for (const { id, nick, question, answers, votes, guests, mine } of polls) {
    room.ballots.set(id, { id, nick, question, answers, votes, guests, mine });
    room.change(id, { votes, guests, mine });
  }
  chat.changed();
}

// The number of votes for each answer of a poll, or the reader's own vote.
export function count(chat, room, id, how) {
  if (!room) return;
  const poll = ofClass(room).ballots.get(id);
  if (poll) room.ballots.set(id, { ...poll, ...how });
  room.change(id, how);
  chat.changed();
}
