"""What holds in a room: who may speak, come in and change that. Made from the log's entries of Kind.MODE.

A change is written as IRC writes it, `+o-k Bo!~nc@1f2e3d4c5a.nc *`: letters with a sign, then their parameters. A ban
that ends has `until=SECONDS` (since the epoch) behind all that. LETTERS says what there is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from hubbub.core import keys, mask_targets
from hubbub.core.mask_lists import LISTS, MaskLists
from hubbub.core.masks import MUTE
from hubbub.core.model import LOBBY, Entry, Kind
from hubbub.core.names import key_of

if TYPE_CHECKING:
    from hubbub.core.session import Session
    from hubbub.core.viewer import Viewer

SPEAKERS = 2000  # names of people of whom slow mode remembers when they spoke
MAX_STANDING = 500  # people whose rights a room remembers, present or not
# What makes a room's rules; of the joins only the first, of the renames those of people who may do something.
CHANGING = frozenset({Kind.JOIN, Kind.TOPIC, Kind.MODE, Kind.RENAME})


class ModeLetter(NamedTuple):
    """What a letter means; the words are for people, with `{}` for the parameter."""

    parameter: str  # a parameter: "always", "set" (when it is set), or "" for never
    on: str
    off: str


LETTERS = {
    "o": ModeLetter("always", "has made {} an operator", "has taken back {}'s operator rights"),
    "v": ModeLetter("always", "has given {} a voice", "has taken back {}'s voice"),
    "b": ModeLetter("always", "has banned {}", "has lifted the ban of {}"),
    "e": ModeLetter("always", "has exempted {} from bans", "has ended the exemption of {}"),
    "I": ModeLetter("always", "lets {} in without an invitation", "no longer lets {} in without an invitation"),
    "k": ModeLetter("always", "has set a key", "has removed the key"),
    "l": ModeLetter("set", "has limited the room to {} members", "has removed the limit of members"),
    "d": ModeLetter("set", "has switched slow mode on: a message every {} s", "has switched slow mode off"),
    "i": ModeLetter("", "has made the room invite-only", "has opened the room to everybody"),
    "m": ModeLetter("", "has made the room moderated", "lets everybody here speak"),
    "n": ModeLetter("", "has closed the room to messages from outside", "has opened the room to messages from outside"),
    "s": ModeLetter("", "has made the room secret", "has made the room public"),
    "t": ModeLetter("", "has locked the topic", "has unlocked the topic"),
    "C": ModeLetter("", "has forbidden client commands (CTCP)", "has allowed client commands (CTCP)"),
}
PREFIXES = {"o": "@", "v": "+"}  # the highest first
CLOSED = "kis"  # letters of a room that is read by its members only
SECRET = "s"
SHOWN_KEY = "*"  # what is shown in the place of a key


class ModeChange(NamedTuple):
    """One letter of a change: `on` or off, with its parameter or ""."""

    on: bool
    letter: str
    param: str


def parse(text: str) -> tuple[list[ModeChange], float]:
    """Return the changes that an entry tells, and until when its bans hold, 0 for ever.

    What is not known is left out: the log may come from elsewhere, or from a newer version.
    """
    letters, *params = text.split(" ")
    changes = []
    on = True
    for letter in letters:
        if letter in "+-":
            on = letter == "+"
            continue
        if letter not in LETTERS:
            continue
        takes = LETTERS[letter].parameter
        wants = takes == "always" or (takes == "set" and on)
        changes.append(ModeChange(on, letter, params.pop(0) if wants and params else ""))
    # What the letters leave over: a key or a mask may begin with the same word.
    until = params[0].removeprefix("until=") if params else ""
    return changes, float(_number(until))


def _number(text: str) -> int:
    return int(text[:15]) if text.isascii() and text.isdigit() else 0


def closed_after(letters: str, text: str) -> str:
    """Return which of the letters in CLOSED are set after the changes of an entry."""
    on = set(letters)
    for change in parse(text)[0]:
        if change.letter in CLOSED:
            (on.add if change.on else on.discard)(change.letter)
    return "".join(sorted(on))


def write(changes: Iterable[ModeChange], until: float = 0.0) -> str:
    """Return changes as an entry tells them."""
    letters, params, sign = "", [], None
    for change in changes:
        if change.on is not sign:
            letters += "+" if change.on else "-"
            sign = change.on
        letters += change.letter
        if change.param:
            params.append(change.param)
    return " ".join([letters, *params, *([f"until={until:.0f}"] if until else [])])


def without_secrets(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return entries as they are shown: without the keys of rooms, hashed or not, and without addresses in masks."""
    if not any(entry.kind is Kind.MODE for entry in entries):
        return entries
    return [_without_secrets(entry) if entry.kind is Kind.MODE else entry for entry in entries]


def _without_secrets(entry: Entry) -> Entry:
    changes, until = parse(entry.text)
    shown = [change._replace(param=_shown(change)) for change in changes]
    return entry if shown == changes else entry._replace(text=write(shown, until))


def _shown(change: ModeChange) -> str:
    if change.letter in LISTS:
        return mask_targets.shown(change.param)
    return SHOWN_KEY if change.letter == "k" and change.param else change.param


def describe(text: str) -> str:
    """Return in words what the changes of an entry do."""
    changes, _ = parse(text)
    words = []
    for on, letter, param in changes:
        row = LETTERS[letter]
        phrase = row.on if on else row.off
        if letter == "b" and param.startswith(MUTE):
            phrase = "has muted {}" if on else "lets {} speak again"
        name = param.removeprefix(MUTE) if letter in LISTS else param.partition("!")[0]
        words.append(phrase.format(name.removesuffix("!*@*")))
    return ", ".join(words)


class RoomModes:
    """The rules of one room, and what its members may do.

    Args:
        room: its name.
        entries: what the log says of its rules (RoomState.rules).

    """

    __slots__ = (
        "created",
        "flags",
        "key",
        "known_key",
        "last_message_at",
        "limit",
        "lists",
        "room",
        "saved_status",
        "slow_seconds",
        "status",
        "topic_at",
        "topic_by",
        "topic_tags",
    )  # fmt: skip

    def __init__(self, room: str, entries: Sequence[Entry] = ()) -> None:
        self.room = room
        self.flags = set() if room == LOBBY else {"n"}  # the lobby has nobody who could open it to scripts
        self.key = ""  # as it is stored
        self.known_key = ""  # as it is typed, if somebody did that since the room woke
        self.limit = 0  # members; 0: any number
        self.slow_seconds = 0  # seconds between two messages of a member
        self.lists = MaskLists()
        self.created = 0.0
        self.topic_by = ""
        self.topic_at = 0.0
        self.topic_tags = ""  # its formatting
        self.saved_status: dict[tuple[str, str], str] = {}  # by folded nick and host: o or v, for who comes back
        self.status: dict[Session, str] = {}  # of members that have one: letters of PREFIXES
        self.last_message_at: dict[Hashable, float] = {}  # when, in slow mode, on a clock that never goes back
        for entry in entries:
            self.apply(entry, ())

    # --- what the log says ----------------------------------------------------------------------------------------

    def apply(self, entry: Entry, members: Iterable[Session]) -> None:
        """Let an entry take effect."""
        if entry.kind is Kind.TOPIC:
            self.topic_by, self.topic_at, self.topic_tags = entry.nick, entry.time, entry.tags
        elif entry.kind is Kind.JOIN:
            self._opened(entry, members)
        elif entry.kind is Kind.RENAME:
            self._renamed(entry, members)
        elif entry.kind is Kind.MODE:
            changes, until = parse(entry.text)
            for change in changes:
                if change.letter in PREFIXES:
                    self._promote(change, members)
                else:
                    self._set(change, entry, until)

    def _opened(self, entry: Entry, members: Iterable[Session]) -> None:
        """Who comes first is the room's operator; the lobby is everybody's."""
        if not self.created:
            self.created = entry.time
            if entry.prev:  # scripts have posted here before anybody came
                self.flags.discard("n")
            if self.room != LOBBY:
                self.saved_status[key_of(entry.nick), entry.host] = "o"
                for session in members:
                    if (session.nick, session.host) == (entry.nick, entry.host):
                        self.status[session] = "o"

    def _renamed(self, entry: Entry, members: Iterable[Session]) -> None:
        """What somebody may do here goes with him to his new name."""
        before, now = key_of(entry.nick), key_of(entry.text)
        letters = self.saved_status.pop((before, entry.host), "")
        had = self.saved_status.get((now, entry.host), "")
        if letters := letters + "".join(letter for letter in had if letter not in letters):
            self.saved_status[now, entry.host] = letters
            self._bound_standing()
        for session in members:  # he may be known by either name just now
            if session.host == entry.host and key_of(session.nick) in (before, now) and self._trusts(session):
                self._stand(session, letters)

    def move_status(self, session: Session, before: str) -> None:
        """Note that a member is known by a new name; of what its rename has made of the log, nothing may have come."""
        if (key_of(before), session.host) not in self.saved_status:
            self.restore_status(session)

    def regained(self, session: Session) -> str:
        """Return the letters that somebody of a session's name and host has who comes back.

        Others have the same address, and anybody can take a name. So in a closed room these two alone give nothing.
        """
        return self.saved_status.get((key_of(session.nick), session.host), "") if self._trusts(session) else ""

    def _trusts(self, session: Session) -> bool:
        abroad = session.user and session.user.is_remote  # there, its own node has decided
        return not self.closed or self.room in session.trusted or bool(abroad)

    def restore_status(self, session: Session) -> None:
        """Give a member what somebody of its name and host may do."""
        if self._trusts(session):
            self._stand(session, self.regained(session))

    def _stand(self, session: Session, letters: str) -> None:
        if letters:
            self.status[session] = letters
        else:
            self.status.pop(session, None)

    def _promote(self, change: ModeChange, members: Iterable[Session]) -> None:
        nick, _, host = change.param.partition("!")
        _toggle(self.saved_status, (key_of(nick), host), change)
        self._bound_standing()
        for session in members:
            if key_of(session.nick) == key_of(nick):
                _toggle(self.status, session, change)

    def _bound_standing(self) -> None:
        """Forget the oldest of those who may do something, first those who have a voice only, if they are too many."""
        if len(self.saved_status) > MAX_STANDING:
            voiced = (key for key, letters in self.saved_status.items() if "o" not in letters)
            del self.saved_status[next(voiced, next(iter(self.saved_status)))]

    def _set(self, change: ModeChange, entry: Entry, until: float) -> None:
        on, letter, param = change
        if letter in LISTS:
            if on:
                self.lists.add(letter, param, entry.nick, entry.time, until)
            else:
                self.lists.remove(letter, param)
        elif letter == "k":
            self.key, self.known_key = (param, "") if on else ("", "")
        elif letter == "l":
            self.limit = _number(param) if on else 0
        elif letter == "d":
            self.slow_seconds = _number(param) if on else 0
            self.last_message_at.clear()
        elif on:
            self.flags.add(letter)
        else:
            self.flags.discard(letter)

    def admit(self, session: Session) -> None:
        """Give a new member what it had before; an invitation is used up."""
        session.invited.pop(self.room, None)
        if status := self.regained(session):
            self.status[session] = status

    def dismiss(self, session: Session) -> None:
        """Forget who is no member any more."""
        self.status.pop(session, None)

    # --- what is shown --------------------------------------------------------------------------------------------

    def prefixes(self, session: Session) -> str:
        """Return a member's signs, the highest first."""
        status = self.status.get(session, "")
        return "".join(sign for letter, sign in PREFIXES.items() if letter in status)

    def is_operator(self, session: Session) -> bool:
        """Return whether a session may change the rules: an operator of the room or of the server."""
        return "o" in self.status.get(session, "") or bool(session.user and session.user.operator)

    # --- what access.py asks --------------------------------------------------------------------------------------

    @property
    def closed(self) -> str:
        """Those of the letters in CLOSED that are set: "" for a room that everybody reads."""
        return "".join(sorted(self.flags.intersection(CLOSED) | ({"k"} if self.key else set())))

    @property
    def is_secret(self) -> bool:
        """Whether it is hidden from everybody who is not in it."""
        return SECRET in self.flags

    @property
    def members_only(self) -> bool:
        """Whether only members speak here; as long as nobody has opened the room, there are none to say so."""
        return "n" in self.flags and self.created > 0

    def slow_for(self, viewer: Viewer) -> float:
        """Return for how many seconds slow mode still keeps somebody from speaking."""
        if not self.slow_seconds:
            return 0.0
        last = max(self.last_message_at.get(key, -inf) for key in _names(viewer))
        return last + self.slow_seconds - viewer.ticks

    def note_message(self, viewer: Viewer) -> None:
        """Note for slow mode that somebody speaks."""
        if not self.slow_seconds:
            return
        for key in _names(viewer):
            self.last_message_at.pop(key, None)
            self.last_message_at[key] = viewer.ticks
        while len(self.last_message_at) > SPEAKERS:
            del self.last_message_at[next(iter(self.last_message_at))]

    def accepts_key(self, key: str) -> bool:
        """Return whether this is the room's key."""
        return bool(self.key) and keys.fits(key, self.key)

    def learn_key(self, key: str) -> None:
        """Remember how the key is typed, for operators who ask."""
        if self.accepts_key(key):
            self.known_key = key

    def modes(self, shows_key: bool) -> str:
        """Return the room's settings as a change would make them, without lists; with the key, if it is known."""
        changes = [ModeChange(True, letter, "") for letter in LETTERS if letter in self.flags]
        key = (self.known_key if shows_key else "") or SHOWN_KEY
        for letter, value in (("k", key if self.key else ""), ("l", self.limit or ""), ("d", self.slow_seconds or "")):
            if value:
                changes.append(ModeChange(True, letter, str(value)))
        return write(changes) if changes else "+"


def _names(viewer: Viewer) -> list[Hashable]:
    """Return by what slow mode knows a speaker, so that leaving, and coming back, is no way around it.

    The name of somebody who posts from outside is made up for each message: the address counts.
    """
    nick, _, host = viewer.mask.partition("!")
    session = viewer.session
    return [session.id_prefix, (key_of(nick), host)] if session and session.user else [host]


def _toggle(store: dict, key: object, change: ModeChange) -> None:  # type: ignore[type-arg]
    letters = store.get(key, "").replace(change.letter, "") + (change.letter if change.on else "")
    if letters:
        store[key] = letters
    else:
        store.pop(key, None)
