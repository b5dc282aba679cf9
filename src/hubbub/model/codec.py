"""Bodies of entries as texts, and back: the form in which logs, NATS messages, exports and the API hold them.

Only this module knows that form: a kind, one text and the tags. The text depends on the kind:

- a message, a topic: itself; a join: the user's real name; a leave: the reason; a change of nick: the new nick.
- a change of modes: as in IRC, `+o-k Bo!~nc@1f2e3d4c5a.nc *`. For a ban that ends, `until=SECONDS` (since the epoch)
  follows.
- a kick: the nick of the kicked member, a space and the reason; a redaction: the id of the message, a space and the
  reason; a rename of the room: the new name, a space and the reason.
- a correction, a reaction, a pin, and the end of one: the id of the message, a space and the new text, the reaction, or
  the author with the beginning of the text.
- a raised or lowered hand: `up`, `down` or `spoken`, a space and the user as `nick!host`; a turn to speak: the user.
- a brake: the number of its seconds, 0 at its end.
- a poll: the question and the answers, with ` | ` between them; a vote: the id of the poll, the number of the answer
  and the voter; the end of a poll: its id.

Every text is written again as it was read. A kind that this version does not know becomes Unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hubbub.model.entries import (
    SAID,
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
    kind_of,
)
from hubbub.model.room import modes
from hubbub.text.tags import KICKED, LOST, QUIT, join, shown, value

_UNTIL = "until="
# The attributes and calls of an enumeration are slow.
_STYLES = {kind.value: kind for kind in SAID}
_NAMES = {kind: kind.value for kind in SAID}
_Sourced = (
    ModesChanged
    | Kicked
    | Redacted
    | RoomRenamed
    | Edited
    | Reacted
    | Unreacted
    | Pinned
    | Unpinned
    | HandMoved
    | Braked
    | PollClosed
)


class Record(Struct):
    """An entry with its content as texts. The fields are in the order in which users of the API see them.

    `prev` is the number of the entry of this room before it; `time` is in seconds since the epoch.
    """

    room: str
    seq: int
    prev: int
    time: float
    kind: str
    nick: str
    text: str
    id: str
    host: str = ""
    tags: str = ""


def record(entry: Entry) -> Record:
    """Return an entry as it is stored."""
    body = entry.body
    kind, text, tags = stored(body, entry.tags, entry.id)
    return Record(entry.room, entry.seq, entry.prev, entry.time, kind, entry.nick, text, entry.id, entry.host, tags)


def entry_of(  # noqa: PLR0913 - the fields of a record
    room: str,
    seq: int,
    prev: int,
    time: float,
    kind: str,
    nick: str,
    text: str,
    id: str,
    host: str = "",
    tags: str = "",
    room_id: str = "",
) -> Entry:
    """Return the entry of a record, by the record's fields and the id of its room."""
    body, tags = body_of(kind, text, tags, id)
    return Entry(room, seq, prev, time, nick, id, body, host, tags, room_id)


def shown_record(entry: Entry) -> Record:
    """Return an entry as users of the API see it: without hubbub's own tags and unknown kinds.

    Of a vote, only the poll is shown.
    """
    body = entry.body
    kind, text = (body.style.value, body.text) if type(body) is Said else (kind_of(body).value, text_of(body))
    if type(body) is Voted:
        text = body.target
    tags = shown(entry.tags) if entry.tags else ""
    return Record(entry.room, entry.seq, entry.prev, entry.time, kind, entry.nick, text, entry.id, entry.host, tags)


# --- writing ----------------------------------------------------------------------------------------------------------


def stored(body: Body, tags: str, id: str = "") -> tuple[str, str, str]:
    """Return the kind, the text and the tags under which a body is stored; `tags` and `id` are those of its entry."""
    if type(body) is Said:
        return _NAMES[body.style], body.text, tags
    if type(body) is Unknown:
        return body.stored_kind, body.stored_text, tags
    if type(body) is Left:
        # In logs of older versions, the id of a quit has a `~` instead of the tag.
        own = (QUIT if body.quit and "~" not in id else "", LOST if body.lost else "")
        tags = join(tags, *(tag for tag in own if tag not in tags.split(";")))
    if type(body) is Kicked and body.user:
        tags = join(tags, f"{KICKED}={body.user}")
    text = isinstance(body, _Sourced) and body.source
    return kind_of(body).value, text or text_of(body), tags


def text_of(body: Body) -> str:
    """Return the text of a body, as users of the API and of exports see it."""
    return body.text if type(body) is Said else _TEXTS[type(body)](body)


def _modes(body: ModesChanged) -> str:
    words = modes.write(body.changes)
    return " ".join([*words, f"{_UNTIL}{body.until:.0f}"] if body.until else words)


def _pair(first: str, reason: str) -> str:
    return f"{first} {reason}" if reason else first


_BAR = " | "  # between the parts of a poll
_TEXTS: dict[type[Body], Callable[[Any], str]] = {
    Joined: lambda body: body.real_name,
    Left: lambda body: body.reason,
    NickChanged: lambda body: body.nick,
    TopicSet: lambda body: body.text,
    ModesChanged: _modes,
    Kicked: lambda body: _pair(body.nick, body.reason),
    Redacted: lambda body: _pair(body.target, body.reason),
    RoomRenamed: lambda body: _pair(body.to, body.reason),
    Edited: lambda body: _pair(body.target, body.text),
    Reacted: lambda body: _pair(body.target, body.reaction),
    Unreacted: lambda body: _pair(body.target, body.reaction),
    Pinned: lambda body: _pair(body.target, body.text),
    Unpinned: lambda body: _pair(body.target, body.reason),
    HandMoved: lambda body: _pair(body.step, body.who),
    TurnGiven: lambda body: body.who,
    Braked: lambda body: str(body.seconds),
    Polled: lambda body: _BAR.join((body.question, *body.answers)),
    Voted: lambda body: f"{body.target} {body.choice} {body.voter}",
    PollClosed: lambda body: _pair(body.target, body.reason),
    Erased: lambda body: "",
    Unknown: lambda body: "",
    Ephemeral: lambda body: _pair(body.verb, body.text),
}


# --- reading ----------------------------------------------------------------------------------------------------------


def body_of(kind: str, text: str, tags: str = "", id: str = "") -> tuple[Body, str]:
    """Return the body that was stored under a kind, a text and tags, and the tags that are left for its entry.

    Args:
        kind: the public kind, or one that only newer versions know.
        text: the stored text; any text is accepted.
        tags: the stored tags.
        id: the id of the entry: in the logs of older versions, it has a `~` if the user left all rooms at once.

    """
    if style := _STYLES.get(kind):
        return Said(text, style), tags
    if kind == Kind.LEAVE:
        known = tags.split(";") if tags else []
        quit, lost = QUIT in known, LOST in known
        left = _without_own(tags, (QUIT if quit else "", LOST if lost else "")) if quit or lost else tags
        return Left(text, quit or "~" in id, lost), left
    if kind == Kind.KICK and (user := value(tags, KICKED)):
        left = tags.removesuffix(f"{KICKED}={user}").removesuffix(";")
        if join(left, f"{KICKED}={user}") == tags:
            return replace(_BODIES[kind](text), user=user), left
    read = _BODIES.get(kind)
    return (read(text) if read else Unknown(kind, text)), tags


def _braked(text: str) -> Body:
    if not text:
        return Unknown(Kind.BRAKE, text)
    seconds = modes.number(text)
    return Braked(seconds, "" if str(seconds) == text else text)


def _polled(text: str) -> Body:
    question, *answers = text.split(_BAR)
    return Polled(question, tuple(answers)) if answers else Unknown(Kind.POLL, text)


def _voted(text: str) -> Body:
    target, _, rest = text.partition(" ")
    choice, _, voter = rest.partition(" ")
    body = Voted(target, modes.number(choice), voter)
    return body if text_of(body) == text else Unknown(Kind.VOTE, text)


def _without_own(tags: str, own: Sequence[str]) -> str:
    """Return tags without hubbub's own ones if these are where they would be written again, else all tags."""
    left = tags
    for tag in reversed(own):
        left = left.removesuffix(tag).removesuffix(";") if tag else left
    return left if join(left, *own) == tags and not set(filter(None, own)).intersection(left.split(";")) else tags


def _modes_of(text: str) -> ModesChanged:
    changes, rest = modes.parse(text.split(" "))
    # Only a word that no letter has taken is the end: a key or a mask may begin with the same word.
    until = modes.number(rest[0].removeprefix(_UNTIL)) if rest and rest[0].startswith(_UNTIL) else 0
    body = ModesChanged(tuple(changes), float(until))
    return body if _modes(body) == text else replace(body, source=text)


def _two(body: Callable[[str, str, str], Body]) -> Callable[[str], Body]:
    """Return a function that makes a body of a text of one word, a space and a second text."""

    def read(text: str) -> Body:
        first, space, reason = text.partition(" ")
        return body(first, reason, text if space and not reason else "")

    return read


_BODIES: dict[str, Callable[[str], Body]] = {
    Kind.JOIN: Joined,
    Kind.RENAME: NickChanged,
    Kind.TOPIC: TopicSet,
    Kind.MODE: _modes_of,
    Kind.KICK: _two(Kicked),
    Kind.REDACT: _two(Redacted),
    Kind.ROOM_RENAMED: _two(RoomRenamed),
    Kind.EDIT: _two(Edited),
    Kind.REACT: _two(Reacted),
    Kind.UNREACT: _two(Unreacted),
    Kind.PIN: _two(Pinned),
    Kind.UNPIN: _two(Unpinned),
    Kind.HAND: _two(HandMoved),
    Kind.TURN: TurnGiven,
    Kind.BRAKE: lambda text: _braked(text),
    Kind.POLL: _polled,
    Kind.VOTE: _voted,
    Kind.POLL_CLOSED: _two(PollClosed),
    Kind.REDACTED: lambda text: Erased(),
    Kind.EPHEMERAL: lambda text: Ephemeral(*text.partition(" ")[::2]),
}
