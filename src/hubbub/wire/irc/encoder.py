"""Encode entries for IRC clients: one encoder for each set of capabilities in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import regex
from msgspec.structs import replace

from hubbub.model.accounts.account import is_account
from hubbub.model.client import Encoder
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
from hubbub.model.messages import polls
from hubbub.model.room.modes import PREFIXES, rest, write
from hubbub.text import formatting
from hubbub.text.formatting import Code
from hubbub.text.tags import CUT, REACT, UNREACT, escape, join, reply_to, shown, value, without
from hubbub.wire.irc.lines import MAX_LINE, line, tag_text

FOREIGN = "~unknown@hubbub"  # of entries from before hosts were stored
CLOSED = "Connection closed"  # reason of a quit without another one
MULTILINE = "draft/multiline"
VOTING = "type !vote and a number"
# The capabilities that change how entries are encoded.
REDACTION = "draft/message-redaction"
RENAMING = "draft/channel-rename"
SHOWING = frozenset(
    {
        REDACTION,
        RENAMING,
        "message-tags",
        "server-time",
        "echo-message",
        "extended-join",
        "account-tag",
        "batch",
        MULTILINE,
    }
)


def channel(room: str) -> str:
    """Return the IRC channel of a room."""
    return f"#{room}"


def source(entry: Entry) -> str:
    """Return an entry's author as the source of an IRC message."""
    return f"{entry.nick}!{entry.host or FOREIGN}"


def account_of(nick: str, host: str) -> str:
    """Return the account of an author, whose nick and host these are; "" for a guest."""
    return nick if is_account(host) else ""


def stamp(time: float) -> str:
    """Return epoch seconds in the format of server-time: to the millisecond, rounded down."""
    whole = datetime.fromtimestamp(int(time * 1000) / 1000 + 0.0001, UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(time * 1000) % 1000:03d}Z"


def target(entry: Entry) -> str:
    """Return the target of an entry: a channel, or a nick (the room of a private entry is the nick after an @)."""
    return entry.room[1:] if entry.room.startswith("@") else f"#{entry.room}"


def mode_words(body: ModesChanged) -> list[str]:
    """Return changes of modes as IRC's parameters: nicks without their hosts."""
    return write(
        change._replace(param=change.param.partition("!")[0]) if change.letter in PREFIXES else change
        for change in body.changes
    )


_UNIT = regex.compile(rf"{formatting.CODE}|\X")  # units that are not cut: a code, a character as people see it


def _pieces(text: str, room_for: int) -> list[str]:
    """Cut a line so that each piece fits: between characters as people see them, at a space if there is one."""
    if len(text.encode()) <= room_for:
        return [text]
    pieces = []
    piece, size, space = "", 0, 0
    for unit in _units(text, room_for):
        width = len(unit.encode())
        if size + width > room_for:
            end = space if space > len(piece) // 2 else len(piece)
            pieces.append(piece[:end])
            piece, space = piece[end:], 0
            size = len(piece.encode())
        piece += unit
        size += width
        if unit == " ":
            space = len(piece)
    return [*pieces, piece]


def _units(text: str, room_for: int) -> Iterator[str]:
    for match in _UNIT.finditer(text):
        if len(match[0]) * 4 > room_for:  # longer than in any real text
            yield from match[0]
        else:
            yield match[0]


def formatted(text: str, tags: str) -> str:
    """Return a text with the formatting in the tags of its entry."""
    codes = formatting.read(value(tags, formatting.TAG)) if tags else ()
    return formatting.put_in(text, codes) if codes else text


_FURTHER = ("time", "batch", "account")  # tags that all lines of an entry have, not only the first one
_ECHOED = (Said, Edited, Reacted, Unreacted)  # that only a client with echo-message gets from its own user


class IrcEncoder:
    """Encode entries as IRC lines.

    Args:
        caps: the capabilities of SHOWING that a client has.

    """

    echo = False
    dedupes = True

    def __init__(self, caps: frozenset[str]) -> None:
        self.caps = caps
        self._tags = "message-tags" in caps
        self._time = "server-time" in caps
        self._account = "account-tag" in caps
        self._adds_tags = self._tags or self._time or self._account
        self._echo = "echo-message" in caps
        self._multiline = MULTILINE in caps and "batch" in caps

    @property
    def for_other_room(self) -> Encoder:
        """Return this encoder: each line names its channel."""
        return self

    def encode(self, entry: Entry) -> bytes:
        """Return the entry's lines as one text of bytes."""
        return b"".join(self.lines(entry))

    def _client(self, entry: Entry) -> str:
        """Return the tags that an entry's author set, as they are sent, and the tag of a bot.

        Return "" for a client without tags.
        """
        if not entry.tags or not self._tags:
            return ""
        tags = shown(entry.tags)
        return f";{tags}" if tags else ""

    def encode_own(self, entry: Entry) -> bytes:
        """Return the entry's lines for its author.

        Messages are returned only with echo-message; joins never, because the join itself has replies.
        """
        body = entry.body
        if type(body) is Joined or (isinstance(body, _ECHOED) and not self._echo):
            return b""
        return self.encode(entry)

    join = staticmethod(b"".join)  # lines one after the other

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return a notice that entries were skipped."""
        return line("", "NOTICE", channel(room), f"{count} messages skipped; see the channel's history")

    def tags(self, entry: Entry, batch: str = "") -> dict[str, str]:
        """Return the tags of an entry's first line."""
        tags = {"batch": batch} if batch else {}
        if self._time:
            tags["time"] = stamp(entry.time)
        if self._tags and entry.id:
            tags["msgid"] = entry.id
        if self._account and (account := account_of(entry.nick, entry.host)):
            tags["account"] = account
        return tags

    def lines(self, entry: Entry, batch: str = "", label: str = "", clock: str = "") -> list[bytes]:
        """Return the entry's lines, the first one with the label.

        Args:
            entry: the entry.
            batch: the name of the batch that the lines belong to; "" for none.
            label: the label of the request that this answers; "" for none.
            clock: a text before each line of a message, and before a poll.

        """
        tags = self.tags(entry, batch) if self._adds_tags or batch else {}
        if label:
            tags = {"label": label, **tags}
        body = entry.body
        if type(body) is Edited:
            entry, body = _as_message(entry, body)
        if type(body) is Said:
            if entry.quote and not self._tags:
                clock = f"{clock}{_addressed(entry.quote.nick, body.text)}"
            return self._said(entry, body, tags, batch, clock)
        if isinstance(body, Reacted | Unreacted):
            return [self._react(entry, body, tags)]
        if type(body) is Polled:
            return _asked(entry, body, tags, clock)
        client = self._client(entry)
        return [tagged(tags, _OTHERS[type(body)](self, entry, body), client)]

    def _said(self, entry: Entry, body: Said, tags: dict[str, str], batch: str, clock: str) -> list[bytes]:
        verb = "NOTICE" if body.style is Kind.NOTICE else "PRIVMSG"
        who, to = source(entry), target(entry)
        overhead = len(f":{who} {verb} {to} :{clock}".encode()) + 2
        action = body.style is Kind.ACTION
        room_for = MAX_LINE - overhead - (9 if action else 0)
        client = self._client(entry) if entry.tags else ""
        composition = composed(entry) if entry.tags or "\n" in body.text else [[body.text]]
        if self._multiline and (len(composition) > 1 or len(composition[0]) > 1) and not action:
            return self._batched(entry, tags, batch, verb, clock)
        lines = []
        for parts in composition:
            fits = len(parts) == 1 and 0 < len(parts[0]) * 4 <= room_for
            for piece in parts if fits else [p for part in parts for p in _pieces(part, room_for) if p]:
                text = f"\x01ACTION {clock}{piece}\x01" if action else f"{clock}{piece}"
                head = _with(tags, client) if tags or client else ""
                lines.append((head + f":{who} {verb} {to} :{text}\r\n").encode())
                tags = {name: value for name, value in tags.items() if name in _FURTHER}
        return lines

    def _batched(self, entry: Entry, tags: dict[str, str], batch: str, verb: str, clock: str) -> list[bytes]:
        who, to = source(entry), target(entry)
        ref = f"m{entry.seq or abs(hash(entry.id)) % 10**9}"
        client = self._client(entry)
        inner = f"@batch={ref} :{who} {verb} {to} :"
        room_for = MAX_LINE - len(f":{who} {verb} {to} :{clock}".encode()) - 2
        lines = [(_with(tags, client) + f":{who} BATCH +{ref} {MULTILINE} {to}\r\n").encode()]
        for text in composed(entry):
            for number, piece in enumerate([p for part in text for p in _pieces(part, room_for)]):
                start = inner if not number else inner.replace(" ", f";{MULTILINE}-concat ", 1)
                lines.append(f"{start}{'' if number else clock}{piece}\r\n".encode())
        lines.append(tagged({"batch": batch} if batch else {}, line(who, "BATCH", f"-{ref}")))
        return lines

    def _join(self, entry: Entry, body: Joined) -> bytes:
        if "extended-join" in self.caps:
            account = account_of(entry.nick, entry.host) or "*"
            return line(source(entry), "JOIN", channel(entry.room), account, body.real_name or entry.nick)
        return line(source(entry), "JOIN", channel(entry.room))

    def _leave(self, entry: Entry, body: Left) -> bytes:
        if body.quit:
            return line(source(entry), "QUIT", (body.reason or CLOSED) if body.lost else f"Quit: {body.reason}")
        return line(source(entry), "PART", channel(entry.room), *_optional(body.reason))

    def _redact(self, entry: Entry, body: Redacted) -> bytes:
        if REDACTION not in self.caps:
            return b""
        return line(source(entry), "REDACT", target(entry), body.target, *_optional(body.reason))

    def _move(self, entry: Entry, body: RoomRenamed) -> bytes:
        if RENAMING not in self.caps:
            return b""  # a PART and a JOIN are sent instead
        if body.to == entry.room:
            # In the history the room has its new name already, and the former one is not shown.
            return b""
        return line(source(entry), "RENAME", channel(entry.room), channel(body.to), body.reason)

    def _react(self, entry: Entry, body: Reacted | Unreacted, tags: dict[str, str]) -> bytes:
        if not self._tags:
            return b""
        name = REACT if type(body) is Reacted else UNREACT
        about = "" if reply_to(entry.tags) else f";+reply={escape(body.target)}"
        client = f"{self._client(entry)}{about};{name}={escape(body.reaction)}"
        return tagged(tags, line(source(entry), "TAGMSG", target(entry)), client)

    def _signal(self, entry: Entry, body: Ephemeral) -> bytes:
        if body.verb:  # a client-to-client request (CTCP)
            return line(source(entry), body.verb, target(entry), f"\x01{body.text}\x01")
        return line(source(entry), "TAGMSG", target(entry)) if self._tags else b""


def _as_message(entry: Entry, body: Edited) -> tuple[Entry, Said]:
    """Return a correction as a message with a star, which answers the corrected one: IRC has no command for it."""
    said = Said(f"* {body.text}")
    tags = join(without(entry.tags, formatting.TAG, CUT), f"+reply={escape(body.target)}")
    return replace(entry, body=said, tags=tags), said


def _asked(entry: Entry, body: Polled, tags: dict[str, str], clock: str) -> list[bytes]:
    """Return a poll as notices in the channel: with the votes of many it does not fit in one."""
    to, lines = channel(entry.room), []
    overhead = len(f"NOTICE {to} :".encode()) + 2
    for piece in _pieces(f"{clock}{entry.nick} asks: {polls.asked(entry, body, VOTING)}", MAX_LINE - overhead):
        lines.append(line("", "NOTICE", to, piece, tags=tags))
        tags = {name: value for name, value in tags.items() if name in _FURTHER}
    return lines


def _addressed(nick: str, text: str) -> str:
    """Return the text before an answer to `nick` for a client that is not shown which message it answers."""
    return "" if text.casefold().startswith(nick.casefold()) else f"{nick}: "


def composed(entry: Entry) -> list[list[str]]:
    """Return the lines of a message with their formatting, each as the pieces in which its author sent it."""
    assert isinstance(entry.body, Said)
    whole = entry.body.text
    if not entry.tags:
        return [[text] for text in whole.split("\n")]
    codes = formatting.read(value(entry.tags, formatting.TAG))
    cuts = {int(cut) for cut in value(entry.tags, CUT).split(".") if cut.isascii() and cut.isdigit()}
    codes = sorted([*codes, *(Code(cut, formatting.CUT) for cut in cuts)], key=lambda one: one.at)
    lines = formatting.put_in(whole, codes).split("\n")
    return [[piece for piece in line.split(formatting.CUT) if piece] or [""] for line in lines]


def _voice(entry: Entry, change: str, who: str) -> bytes:
    """Return the beginning or the end of a turn to speak as the change of modes that it is on IRC."""
    return line(source(entry), "MODE", channel(entry.room), change, who.partition("!")[0])


def _optional(text: str) -> list[str]:
    return [text] if text else []


_OTHERS: dict[type[Body], Callable[[IrcEncoder, Entry, Any], bytes]] = {
    Joined: IrcEncoder._join,
    Left: IrcEncoder._leave,
    NickChanged: lambda form, entry, body: line(source(entry), "NICK", body.nick),
    TopicSet: lambda form, entry, body: line(
        source(entry), "TOPIC", channel(entry.room), formatted(body.text, entry.tags)
    ),
    ModesChanged: lambda form, entry, body: line(source(entry), "MODE", channel(entry.room), *mode_words(body)),
    Kicked: lambda form, entry, body: line(
        source(entry), "KICK", channel(entry.room), body.nick, body.reason or entry.nick
    ),
    Ephemeral: IrcEncoder._signal,
    Redacted: IrcEncoder._redact,
    Pinned: lambda form, entry, body: line(
        "", "NOTICE", channel(entry.room), f"{entry.nick} has pinned a message of {body.text}"
    ),
    Unpinned: lambda form, entry, body: line("", "NOTICE", channel(entry.room), f"{entry.nick} has taken a pin away"),
    HandMoved: lambda form, entry, body: _voice(entry, "-v", body.who) if body.step == "spoken" else b"",
    Braked: lambda form, entry, body: line("", "NOTICE", channel(entry.room), rest(body.seconds)),
    Voted: lambda form, entry, body: b"",
    PollClosed: lambda form, entry, body: line(
        "",
        "NOTICE",
        channel(entry.room),
        f"{entry.nick} ends a poll" + (f": {entry.quote.text}" if entry.quote else ""),
    ),
    TurnGiven: lambda form, entry, body: _voice(entry, "+v", body.who),
    RoomRenamed: IrcEncoder._move,
    Erased: lambda form, entry, body: b"",
    Unknown: lambda form, entry, body: b"",
}


def tagged(tags: dict[str, str], data: bytes, client: str = "") -> bytes:
    """Return a line with tags before it; b"" if there is no line."""
    return _with(tags, client).encode() + data if data else b""


def _with(tags: dict[str, str], client: str) -> str:
    text = tag_text(tags) if tags else ""
    if not client:
        return text
    return f"{text[:-1]}{client} " if text else f"@{client[1:]} "


@lru_cache(256)
def form_of(caps: frozenset[str]) -> IrcEncoder:
    """Return the encoder for a set of capabilities: the same one for equal sets."""
    return IrcEncoder(caps)
