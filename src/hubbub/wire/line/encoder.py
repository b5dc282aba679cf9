"""Lines of text, as nc and telnet show them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, tzinfo
from typing import Any

from hubbub.model.client import Encoder
from hubbub.model.codec import text_of
from hubbub.model.entries import (
    Body,
    Braked,
    Edited,
    Entry,
    Ephemeral,
    Erased,
    HandMoved,
    Joined,
    Kicked,
    Kind,
    Left,
    ModesChanged,
    NickChanged,
    Pinned,
    PollClosed,
    Polled,
    Reacted,
    Redacted,
    RoomRenamed,
    Said,
    TopicSet,
    TurnGiven,
    Unknown,
    Unpinned,
    Unreacted,
    Voted,
)
from hubbub.model.events import (
    Acknowledged,
    ClassShown,
    Clock,
    Event,
    ForOperators,
    Goodbye,
    HistoryShown,
    Invited,
    Knocked,
    LoggedIn,
    MarkerMoved,
    MembersListed,
    Mentioned,
    Missed,
    NickAssigned,
    Notice,
    PollCounted,
    Private,
    PrivateShown,
    QueryResult,
    ReactionsAdded,
    Refusal,
    RoomEntered,
    RoomExited,
    RoomNameChanged,
    RoomsListed,
    SettingsListed,
)
from hubbub.model.messages import polls, reactions
from hubbub.model.room.modes import HANDS, describe, rest
from hubbub.text.names import LOBBY
from hubbub.text.tags import EDITED, reply_to
from hubbub.text.typed.times import shown_time
from hubbub.wire.line.wrap import columns, wrap

PROMPT = "Enter your name: "
BELL = b"\a"  # behind a line that mentions the reader


def _where(entry: Entry) -> str:
    return "the chat" if entry.room == LOBBY else entry.room


def _said(entry: Entry, body: Said) -> str:
    # Each line names its author; otherwise it could pose as another user's message.
    text = body.text
    if entry.tags:
        text += _remarks(entry.tags)
        if reply_to(entry.tags):
            return _in_front(f"{entry.nick} (re {_quoted(entry)}): ", text)
    if body.style is Kind.MESSAGE and "\n" not in text:
        return f"{entry.nick}: {text}"
    if body.style is Kind.MESSAGE:
        return _in_front(f"{entry.nick}: ", text)
    return _in_front(f"* {entry.nick} " if body.style is Kind.ACTION else f"-{entry.nick}- ", text)


def _remarks(tags: str) -> str:
    """Return the remarks behind a message in a history: that it was corrected, and the number of each reaction."""
    counts = [f"{reaction} {len(nicks)}" for reaction, nicks in reactions.read(tags).items()]
    edited = EDITED in tags.split(";")
    return (" (corrected)" if edited else "") + (f" [{', '.join(counts)}]" if counts else "")


QUOTED = 20  # characters of a message that a reply to it shows


def _quoted(entry: Entry) -> str:
    """Return the author and the beginning of the message that an entry is about, as far as they are known."""
    if entry.quote is None:
        return "an earlier message"
    return f'{entry.quote.nick}: "{_short(entry.quote.text)}"'


def _short(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= QUOTED else f"{line[:QUOTED].rstrip()}…"


def _reacted(entry: Entry, body: Reacted | Unreacted) -> str:
    verb = "reacts with" if type(body) is Reacted else "takes back"
    return f"*** {entry.nick} {verb} {body.reaction} (re {_quoted(entry)}) ***"


def _topic(entry: Entry, body: TopicSet) -> str:
    what = f"set the topic: {body.text}" if body.text else "removed the topic"
    return f"*** {entry.nick} {what} ***"


def _nothing(entry: Entry, body: Body) -> str:
    return ""


def _polled(entry: Entry, body: Polled) -> str:
    return f"*** {entry.nick} asks: {polls.asked(entry, body, 'type /vote and a number')} ***"


def _result(entry: Entry) -> str:
    return f": {entry.quote.text}" if entry.quote else ""


def _reason(text: str) -> str:
    return f" ({text})" if text else ""


# mypy cannot see that each function gets the body of its row.
ENTRIES: dict[type[Body], Callable[[Entry, Any], str]] = {
    Said: _said,
    Joined: lambda entry, body: f"*** {entry.nick} has joined {_where(entry)} ***",
    Left: lambda entry, body: f"*** {entry.nick} has left {_where(entry)}{_reason(body.reason)} ***",
    NickChanged: lambda entry, body: f"*** {entry.nick} is now {body.nick} ***",
    TopicSet: _topic,
    ModesChanged: lambda entry, body: f"*** {entry.nick} {describe(body.changes)} ***",
    Kicked: lambda entry, body: f"*** {entry.nick} has kicked {body.nick}{_reason(body.reason)} ***",
    RoomRenamed: lambda entry, body: f"*** {entry.nick} has renamed {entry.room}: it is {body.to} now ***",
    Redacted: lambda entry, body: f"*** {entry.nick} has deleted a message ***",
    Edited: lambda entry, body: _in_front(f"{entry.nick} corrects: ", body.text),
    Reacted: _reacted,
    Unreacted: _reacted,
    Pinned: lambda entry, body: f"*** {entry.nick} has pinned a message of {body.text} ***",
    Unpinned: lambda entry, body: f"*** {entry.nick} has taken a pin away ***",
    HandMoved: lambda entry, body: f"*** {entry.nick} {HANDS.get(body.step, body.step)} ***",
    TurnGiven: lambda entry, body: f"*** {entry.nick} lets {body.who.partition('!')[0]} speak ***",
    Braked: lambda entry, body: notice(rest(body.seconds)),
    Polled: _polled,
    Voted: lambda entry, body: f"*** {entry.nick} votes ***",
    PollClosed: lambda entry, body: f"*** {entry.nick} ends a poll{_result(entry)} ***",
    Erased: _nothing,
    Unknown: _nothing,
    Ephemeral: _nothing,
}


# Reactions, votes and hands are many: a terminal shows none of others. chat/notices/ tells the author of a message or
# of a poll, and chat/classroom/hands.py the operators.
QUIET: Collection[type[Body]] = frozenset({Reacted, Unreacted, HandMoved, Voted})
_ANSWERED = frozenset(
    {ModesChanged, Kicked, Redacted, Edited, Reacted, Unreacted, Pinned, Unpinned, TurnGiven, Polled, PollClosed}
)  # that their author is shown


class LineEncoder:
    """Encode entries for a terminal: one line each, with the room before it if it is not the current one."""

    __slots__ = ("_end", "_prefixed", "for_other_room")

    echo = False
    dedupes = False

    def __init__(self, end: str, prefixed: bool = False) -> None:
        self._end = end
        self._prefixed = prefixed
        self.for_other_room: Encoder = self if prefixed else type(self)(end, True)

    def encode(self, entry: Entry, hidden: Collection[type[Body]] = QUIET) -> bytes:
        """Return the entry's lines; b"" for the hidden kinds, and for others that a terminal does not show."""
        text = "" if type(entry.body) in hidden else ENTRIES[type(entry.body)](entry, entry.body)
        if not text:
            return b""
        if self._prefixed:
            text = _in_front(f"[{entry.room}] ", text)
        return (text.replace("\n", self._end) + self._end).encode("utf-8", "replace")

    def encode_own(self, entry: Entry) -> bytes:
        """Return b"" for the author's own text, which is on their screen already, and lines for their other acts."""
        return self.encode(entry, ()) if type(entry.body) in _ANSWERED else b""

    join = staticmethod(b"".join)  # lines one after the other

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return a line that tells how many entries were skipped."""
        prefix = f"[{room}] " if self._prefixed else ""
        return encode(f"{prefix}*** {count} messages skipped; /history shows the latest ***", self._end)


RAW = LineEncoder("\n")
TELNET = LineEncoder("\r\n")


def encode(text: str, end: str) -> bytes:
    """Return a text as bytes, with `end` after each of its lines."""
    return (text.replace("\n", end) + end).encode("utf-8", "replace")


def _in_front(prefix: str, text: str) -> str:
    return prefix + (text.replace("\n", "\n" + prefix) if "\n" in text else text)


def notice(text: str) -> str:
    """Return a line that comes from the server."""
    return f"*** {text} ***"


def _unseen(entry: Entry) -> str:
    if type(entry.body) is Unknown:
        return "A newer version of hubbub wrote an entry here"
    return f"A message by {entry.nick} was deleted"


def stamped(entry: Entry, now: float, tz: tzinfo | None = None) -> str:
    """Return an entry's line with its time before it; the date is included unless it is today's.

    A redacted message and an entry of a newer version have a line here, although no terminal shows one: a reader of the
    log sees where they are.

    Args:
        entry: an entry of any kind.
        now: epoch seconds.
        tz: the time zone; None for the system's.

    """
    text = ENTRIES[type(entry.body)](entry, entry.body) or notice(_unseen(entry))
    return _in_front(shown_time(entry.time, now, tz), text)


FOLDED = 4  # lines of a longer message that a new member is shown


def _folded(text: str) -> str:
    """Return the first lines of a message, and the number of further ones."""
    lines = text.split("\n")
    if len(lines) <= FOLDED + 1:
        return text
    return "\n".join([*lines[:FOLDED], f"… {len(lines) - FOLDED} more lines, /history shows them"])


def _past(event: HistoryShown) -> str:
    lines = [stamped(entry, event.now) for entry in event.entries]
    if event.folds:
        lines = [_folded(line) for line in lines]
    if event.elsewhere:
        lines = [_in_front(f"[{entry.room}] ", line) for entry, line in zip(event.entries, lines, strict=True)]
    lines += [notice(line) for line in event.tail]
    return "\n".join(lines)


def _members(event: MembersListed, width: int = 78) -> str:
    count = len(event.nicks) + event.more
    lines = [f"*** In {event.room}: {count} ***"]
    for nick in event.nicks:
        nick = f"@{nick}" if nick in event.operators else nick
        if len(lines) == 1 or columns(lines[-1]) + columns(nick) + 2 > width:
            lines.append(f"  {nick}")
        else:
            lines[-1] += f", {nick}"
    return "\n".join(lines + ([f"  and {event.more} more"] if event.more else []))


def _rooms(event: RoomsListed) -> str:
    lines = []
    for room in event.rooms:
        here = "*" if room.name == event.current else " "
        lines.append(f"{here} {room.name} ({room.members})" + (f": {room.topic}" if room.topic else ""))
    return "\n".join(
        [
            "*** Rooms, and how many people are in them ***",
            *lines,
            *([f"  and {event.more} more"] if event.more else []),
        ]
    )


def _joined(event: RoomEntered) -> str:
    if event.current:
        return notice(f"You are also in {event.room}. Type /join {event.room} to speak there")
    lines = [] if event.first else [notice(f"You are in {event.room}")]
    if event.operator:
        lines.append(notice(f"You are an operator of {event.room}. /help operators lists what you can do"))
    lines += [notice(f"Topic: {event.topic}")] if event.topic else []
    lines += [
        notice(f"{poll.nick} asks: {polls.ballot(poll)} (type /vote and a number)") for poll in event.further_polls
    ]
    lines += [notice(f"Pinned: {pin.text}") for pin in event.pins[-PINS:]]
    return "\n".join([*lines, notice("/pins shows all pinned messages")] if len(event.pins) > PINS else lines)


PINS = 3  # pinned messages that a new member is shown


def _reactions(event: ReactionsAdded) -> str:
    first, *others = event.nicks
    names = f"{first} and {len(others)} others" if len(others) > 1 else " and ".join(event.nicks)
    return notice(f'{names} reacted with {event.reaction} to "{_short(event.text)}"')


def _left(event: RoomExited) -> str:
    current = f" and are in {event.current}" if event.current else ""
    return notice(f"You have left {event.room}{current}")


def _private(event: Private) -> str:
    author = f"{event.nick} -> {event.to}" if event.to else event.nick
    match event.entry.body if event.entry else None:
        case Redacted():
            return notice(f"{event.nick} has deleted a private message")
        case Edited(text=text):
            return _in_front(f"{author} corrects (private): ", text)
        case Reacted(reaction=reaction):
            return notice(f"{event.nick} reacts with {reaction} to a private message")
        case Unreacted(reaction=reaction):
            return notice(f"{event.nick} takes back {reaction} from a private message")
    return _in_front(f"{author} (private): ", event.text)


def _notice(event: Notice) -> str:
    return notice(event.lines[0]) if len(event.lines) == 1 else "\n".join(event.lines)


def _missed(event: Missed) -> str:
    what = "new" if event.room else "private message" if event.count == 1 else "private messages"
    number = f"{event.count} or more" if event.more else event.count
    where = f" in {event.room}" if event.elsewhere else ""
    return f"--- {number} {what}{where} since {shown_time(event.since, event.now).strip(' []')} ---"


def _private_past(event: PrivateShown) -> str:
    lines = []
    for entry in event.entries:
        to = entry.room.removeprefix("@")
        author = entry.nick if to == event.reader else f"{entry.nick} -> {to}"
        text = _in_front(f"{author} (private): ", text_of(entry.body) + _remarks(entry.tags))
        lines.append(_in_front(shown_time(entry.time, event.now), text))
    return "\n".join([*lines, *(notice(line) for line in event.tail)])


EVENTS: dict[type[Event], Callable[[Any], str]] = {
    Notice: _notice,
    Refusal: lambda event: event.text,
    Acknowledged: lambda event: "",
    QueryResult: lambda event: "",
    RoomEntered: _joined,
    ReactionsAdded: _reactions,
    PollCounted: lambda event: notice(event.text) if event.told else "",
    Mentioned: lambda event: "",
    MarkerMoved: lambda event: "",
    ForOperators: lambda event: notice(f"[{event.room}] {event.text}"),
    RoomExited: _left,
    RoomNameChanged: lambda event: "",
    LoggedIn: lambda event: notice(f"You are logged in as {event.name}"),
    Missed: _missed,
    NickAssigned: lambda event: notice(f"You are {event.nick} now"),
    Private: lambda event: _private(event) if event.text else "",
    PrivateShown: _private_past,
    Invited: lambda event: notice(f"{event.nick} invites you to {event.room}. Type /join {event.room}"),
    Knocked: lambda event: notice(event.text),
    HistoryShown: _past,
    MembersListed: _members,
    RoomsListed: _rooms,
    SettingsListed: lambda event: "",
    ClassShown: lambda event: "",
    Clock: lambda event: notice(datetime.fromtimestamp(event.now).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")),
    Goodbye: lambda event: "",
}


MESSAGES = (HistoryShown, Private, PrivateShown)  # shown without wrapping
COLUMNS = 79  # at which lists are wrapped if the width of the terminal is unknown, as that of nc


def render(event: Event, end: str, width: int = 0) -> bytes:
    """Return an event as bytes; b"" if a terminal does not show it.

    Args:
        event: an event of any type.
        end: the end of a line.
        width: columns of the terminal, at which the server's own lines are wrapped at words; 0 if unknown: then only
            lists are wrapped, such as that of /help.

    """
    if isinstance(event, Mentioned):
        return BELL if event.rings else b""
    if not width and isinstance(event, Notice) and len(event.lines) > 1:
        width = COLUMNS
    text = _members(event, width) if width and isinstance(event, MembersListed) else EVENTS[type(event)](event)
    if width and not isinstance(event, MESSAGES):
        text = wrap(text, width)
    return encode(text, end) if text else b""
