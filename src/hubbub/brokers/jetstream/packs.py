"""How a room's log looks in a stream: a message is a pack of entries that one node published together.

Pure. A message has the stream's number; its entries count up to the last of its STEP numbers, so that the number
before an entry is known without reading the message before it: the entry numbers of a room rise and are not dense.

JetStream cannot be read backwards, and knows no state of a room. So each pack tells what its node knew of the room
when it was published: up to where it had seen all (`after`), where the newest WINDOW entries begin (`back`), which
message was the last that changed the room's state (`ruling`), and the latest time of an entry (`high`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from hubbub.core.model import LOBBY, Draft, Entry, Kind, RoomState
from hubbub.core.names import key_of
from hubbub.core.rules import PREFIXES, Change, Rules, closed_after, parse, write
from hubbub.core.rulings import MAX_RULING, compact
from hubbub.core.text import fold_text
from hubbub.errors import BrokerError

STEP = 1024  # numbers that a message has for its entries: products with it stay exact in JavaScript for 8e12 messages
MAX_ENTRIES = 512
MAX_BYTES = 256 * 1024  # of text in a pack; the server's own default for a message is 1 MiB
WINDOW = 64  # entries that the hint `back` reaches back
T = TypeVar("T", Draft, Entry)
# What changes a room's state. Of the joins, only its first; of the renames, those of people who may do something.
RULING = frozenset({Kind.JOIN, Kind.TOPIC, Kind.MODE, Kind.RENAME, Kind.REDACT, Kind.MOVE})


class Line(msgspec.Struct, array_like=True, frozen=True):
    """An entry without what is known from its place."""

    kind: Kind
    time: float
    nick: str
    text: str
    id: str
    host: str = ""
    tags: str = ""


class Pack(msgspec.Struct, frozen=True):
    """A message of the stream. `after`, `back` and `ruling` are numbers of messages, 0 for none."""

    entries: list[Line]
    after: int = 0
    back: int = 0
    ruling: int = 0
    high: float = 0.0  # the latest time of an entry of the room, up to the end of this pack; 0 if that is not known

    @property
    def reached(self) -> float:
        """The latest time of an entry of the room up to here, as far as its node knew: it rises from pack to pack."""
        return max([self.high, *(one.time for one in self.entries)])


class _Newer(msgspec.Struct):
    """A pack of which not every entry is known."""

    entries: list[list[Any]]
    after: int = 0
    back: int = 0
    ruling: int = 0
    high: float = 0.0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Pack)
_newer_decoder = msgspec.json.Decoder(_Newer)


def encode(pack: Pack) -> bytes:
    """Return the message of a pack."""
    return _encoder.encode(pack)


def decode(data: bytes) -> Pack:
    """Return the pack of a message; an empty one for what hubbub did not write.

    An entry of a kind that only newer versions know keeps its place, and shows nothing.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:
        pack = _newer_decoder.decode(data)
        return Pack([_known(one) for one in pack.entries], pack.after, pack.back, pack.ruling, pack.high)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Pack([])


def _known(one: list[Any]) -> Line:
    try:
        return msgspec.convert(one, Line)
    except msgspec.ValidationError:
        time, nick, _, id = msgspec.convert(one[1:5], tuple[float, str, str, str])
        return Line(Kind.GONE, time, nick, "", id)


def line(what: Draft | Entry, time: float) -> Line:
    """Return a draft, or an entry, as it is stored."""
    return Line(what.kind, time, what.nick, what.text, what.id, what.host, what.tags)


def entry(room: str, number: int, prev: int, one: Line) -> Entry:
    """Return what is stored as an entry of a room."""
    return Entry(room, number, prev, one.time, one.kind, one.nick, one.text, one.id, one.host, one.tags)


def cut(drafts: Sequence[T], same: Callable[[T], Any]) -> Sequence[T]:
    """Return the first of some drafts that fit in one pack: of one sort, as many as its bounds allow, at least one."""
    sort = same(drafts[0])
    size = 0
    for index, draft in enumerate(drafts):
        size += len(draft.text) * 4 + len(draft.tags) + 200
        if index and (size > MAX_BYTES or index == MAX_ENTRIES or same(draft) != sort):
            return drafts[:index]
    return drafts


def end_of(message: int) -> int:
    """Return the number of a message's last entry; 0 for no message."""
    return message * STEP + STEP - 1 if message else 0


def message_of(number: int) -> int:
    """Return the message that holds an entry number."""
    return number // STEP


def entries(room: str, message: int, previous: int, pack: Pack) -> Iterator[Entry]:
    """Yield the entries of a message, numbered; `previous` is the room's message before it."""
    prev = end_of(previous)
    number = end_of(message) - len(pack.entries)
    for one in pack.entries:
        number += 1
        yield entry(room, number, prev, one)
        prev = number


# --- a room's state -------------------------------------------------------------------------------------------------


class State(msgspec.Struct):
    """What the entries of a room up to message `upto` made of it."""

    key: str  # in the subject of its messages: its first name, encoded
    name: str  # its name now: a room may be renamed
    upto: int = 0
    ruling: int = 0  # the last message that changed it
    topic: str = ""
    opened: tuple[int, Line] | None = None  # with the entry's number
    scripted: bool = False  # something was said before that: by scripts
    closed: str | None = None  # the letters that close it; None in what older versions have noted
    titled: tuple[int, Line] | None = None
    modes: list[tuple[int, Line]] = []
    gone: dict[str, None] = {}  # ids of what was taken back

    def fold(self, made: Entry) -> bool:
        """Let an entry take effect; return whether it changed anything. It must follow all others."""
        kind = made.kind
        if kind not in RULING or (kind is Kind.JOIN and self.opened):
            return False
        one = made.seq, line(made, made.time)
        if kind is Kind.RENAME:
            if not (changes := self._taken_along(made)):
                return False
            one = made.seq, msgspec.structs.replace(one[1], kind=Kind.MODE, text=write(changes))
            kind = Kind.MODE
        if kind is Kind.JOIN:
            self.opened, self.scripted = one, made.prev > 0
        elif kind is Kind.TOPIC:
            self.topic, self.titled = made.text, one
        elif kind is Kind.MODE:
            self.closed = closed_after(self.letters, one[1].text)
            self.modes.append(one)
            if len(self.modes) > MAX_RULING:
                self._compact()
        elif kind is Kind.REDACT:
            self.gone[made.text.partition(" ")[0]] = None
        elif kind is Kind.MOVE:
            self.name = made.text.partition(" ")[0]
        self.ruling = message_of(made.seq)
        return True

    def _taken_along(self, made: Entry) -> list[Change]:
        """Return what somebody's rename changes: what he may do goes with him to his new name."""
        nick = key_of(made.nick)
        letters: dict[str, bool] = {}
        if self.opened and self.name != LOBBY:
            _, first = self.opened
            letters["o"] = (key_of(first.nick), first.host) == (nick, made.host)
        for _, one in self.modes:
            if f"{nick}!" in fold_text(one.text):
                for on, letter, param in parse(one.text)[0]:
                    name, _, host = param.partition("!")
                    if letter in PREFIXES and (key_of(name), host) == (nick, made.host):
                        letters[letter] = on
        has = [letter for letter, on in letters.items() if on]
        before, now = f"{made.nick}!{made.host}", f"{made.text}!{made.host}"
        return [Change(on, letter, who) for on, who in ((False, before), (True, now)) for letter in has]

    def rules(self, room: str) -> list[Entry]:
        """Return the entries that made the room's rules, as RoomState has them."""
        first = [entry(room, number, int(self.scripted), one) for number, one in filter(None, [self.opened])]
        kept = sorted((one for one in (self.titled, *self.modes) if one), key=itemgetter(0))
        return [*first, *(entry(room, number, 0, one) for number, one in kept)]

    @property
    def letters(self) -> str:
        """The letters that close the room."""
        if self.closed is None:
            self.closed = Rules(self.name, self.rules(self.name)).closed
        return self.closed

    def _compact(self) -> None:
        """Forget what was overruled of the modes."""
        kept = compact(self.name, self.rules(self.name))
        self.modes = [(one.seq, line(one, one.time)) for one in kept if one.kind is Kind.MODE]

    def shown(self, found: Iterable[Entry]) -> Iterator[Entry]:
        """Yield entries as they are after what was taken back."""
        for one in found:
            yield one._replace(kind=Kind.GONE, text="", tags="") if one.id in self.gone else one

    def seen(self, room: str, latest: Sequence[Entry]) -> RoomState:
        """Return what the hub is told of the room."""
        return RoomState(end_of(self.upto), self.topic, latest, self.rules(room))

    def encode(self) -> bytes:
        """Return it for the stream of states."""
        return _encoder.encode(self)


_state_decoder = msgspec.json.Decoder(State)


def decode_state(data: bytes) -> State:
    """Return a state. Raises BrokerError for what hubbub did not write."""
    try:
        return _state_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BrokerError("what is noted of a room cannot be read") from error


def read_state(data: bytes) -> State | None:
    """Return a state, None for what hubbub did not write: where many are read, one must not hide the others."""
    try:
        return decode_state(data)
    except BrokerError:
        return None
