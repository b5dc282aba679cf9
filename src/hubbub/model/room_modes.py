"""The modes of a room: the rights to speak, to enter and to change modes. They result from the log's MODE entries.

A change is written as in IRC, `+o-k Bo!~nc@1f2e3d4c5a.nc *`: letters with a sign, then their parameters. For a ban that
ends, `until=SECONDS` (since the epoch) follows. LETTERS lists all letters.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from hubbub.model import mask_targets, room_keys
from hubbub.model.entries import Entry, Kind
from hubbub.model.mask_lists import LISTS, MaskLists
from hubbub.model.masks import MUTE
from hubbub.text.names import LOBBY, key_of

if TYPE_CHECKING:
    from hubbub.model.viewer import Principal, Viewer

SPEAKERS = 2000  # names for which slow mode remembers the time of the last message
MAX_STANDING = 500  # users whose rights a room remembers, present or not
# The kinds of entries that determine a room's modes; of the joins only the first, of the renames those of users with
# rights.
CHANGING = frozenset({Kind.JOIN, Kind.TOPIC, Kind.MODE, Kind.RENAME})


class ModeLetter(NamedTuple):
    """The meaning of a letter; the words are for users, with `{}` for the parameter."""

    parameter: str  # "always", "set" (only when it is set), or "" for none
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
CLOSED = "kis"  # letters that let only members read the room
SECRET = "s"
SHOWN_KEY = "*"  # shown in place of a key


class ModeChange(NamedTuple):
    """One letter of a change: `on` or off, with its parameter or ""."""

    on: bool
    letter: str
    param: str


def parse(text: str) -> tuple[list[ModeChange], float]:
    """Return the changes in an entry, and the time when its bans end (epoch seconds), 0 for never.

    Unknown letters are left out: the log may come from another server, or from a newer version.
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
    # The parameters that no letter has taken: a key or a mask may begin with the same word.
    until = params[0].removeprefix("until=") if params else ""
    return changes, float(_number(until))


def _number(text: str) -> int:
    return int(text[:15]) if text.isascii() and text.isdigit() else 0


def closed_after(letters: str, text: str) -> str:
    """Return the letters of CLOSED that are set after the changes of an entry."""
    on = set(letters)
    for change in parse(text)[0]:
        if change.letter in CLOSED:
            (on.add if change.on else on.discard)(change.letter)
    return "".join(sorted(on))


def write(changes: Iterable[ModeChange], until: float = 0.0) -> str:
    """Return changes as the text of an entry."""
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
    """Return entries as they are shown: without keys of rooms, hashed or not, and without addresses in masks."""
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
    """Return a description in words of the changes in an entry."""
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
    """The modes of one room, and the rights of its members.

    Args:
        room: its name.
        entries: the log entries that determine its modes (RoomState.rules).

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
        # The lobby has no operator who could open it to scripts.
        self.flags = set() if room == LOBBY else {"n"}
        self.key = ""  # as it is stored
        self.known_key = ""  # in plain text, if a user typed it since the room was loaded
        self.limit = 0  # members; 0: any number
        self.slow_seconds = 0  # seconds between two messages of a member
        self.lists = MaskLists()
        self.created = 0.0
        self.topic_by = ""
        self.topic_at = 0.0
        self.topic_tags = ""  # the topic's formatting
        self.saved_status: dict[tuple[str, str], str] = {}  # o or v of returning users, by folded nick and host
        self.status: dict[Principal, str] = {}  # of members with rights: letters of PREFIXES
        self.last_message_at: dict[Hashable, float] = {}  # in slow mode, seconds on a clock that never goes back
        for entry in entries:
            self.apply(entry, ())

    # --- what the log says ----------------------------------------------------------------------------------------

    def apply(self, entry: Entry, members: Iterable[Principal]) -> None:
        """Apply an entry of the log to the modes."""
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

    def _opened(self, entry: Entry, members: Iterable[Principal]) -> None:
        """Make the first member the room's operator, except in the lobby."""
        if not self.created:
            self.created = entry.time
            if entry.prev:  # scripts posted here before the first member came
                self.flags.discard("n")
            if self.room != LOBBY:
                self.saved_status[key_of(entry.nick), entry.host] = "o"
                for member in members:
                    if (member.nick, member.host) == (entry.nick, entry.host):
                        self.status[member] = "o"

    def _renamed(self, entry: Entry, members: Iterable[Principal]) -> None:
        """Move the rights of a renamed user to the new name."""
        before, now = key_of(entry.nick), key_of(entry.text)
        letters = self.saved_status.pop((before, entry.host), "")
        had = self.saved_status.get((now, entry.host), "")
        if letters := letters + "".join(letter for letter in had if letter not in letters):
            self.saved_status[now, entry.host] = letters
            self._bound_standing()
        for member in members:  # a member may have either name at this moment
            if member.host == entry.host and key_of(member.nick) in (before, now) and self._trusts(member):
                self._stand(member, letters)

    def move_status(self, user: Principal, before: str) -> None:
        """Record the new name of a member; the log entry of the rename may not have arrived yet."""
        if (key_of(before), user.host) not in self.saved_status:
            self.restore_status(user)

    def regained(self, user: Principal) -> str:
        """Return the rights that were saved for a returning user with this name and host.

        Other users may share the address, and any user can take a name. So in a closed room, name and host alone give
        no rights.
        """
        return self.saved_status.get((key_of(user.nick), user.host), "") if self._trusts(user) else ""

    def _trusts(self, user: Principal) -> bool:
        # For remote users, their own node has decided.
        return not self.closed or self.room in user.trusted or user.is_remote

    def restore_status(self, user: Principal) -> None:
        """Give a member the rights that were saved for their name and host."""
        if self._trusts(user):
            self._stand(user, self.regained(user))

    def _stand(self, user: Principal, letters: str) -> None:
        if letters:
            self.status[user] = letters
        else:
            self.status.pop(user, None)

    def _promote(self, change: ModeChange, members: Iterable[Principal]) -> None:
        nick, _, host = change.param.partition("!")
        _toggle(self.saved_status, (key_of(nick), host), change)
        self._bound_standing()
        for member in members:
            if key_of(member.nick) == key_of(nick):
                _toggle(self.status, member, change)

    def _bound_standing(self) -> None:
        """Forget the oldest saved rights if there are too many, at first those of users who have only a voice."""
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

    def admit(self, user: Principal) -> None:
        """Give a new member their saved rights, and use up their invitation."""
        user.invited.pop(self.room, None)
        if status := self.regained(user):
            self.status[user] = status

    def dismiss(self, user: Principal) -> None:
        """Forget the rights of a user who has left the room."""
        self.status.pop(user, None)

    # --- what is shown --------------------------------------------------------------------------------------------

    def prefixes(self, user: Principal) -> str:
        """Return a member's prefix signs, the highest first."""
        status = self.status.get(user, "")
        return "".join(sign for letter, sign in PREFIXES.items() if letter in status)

    def is_operator(self, user: Principal) -> bool:
        """Return whether a user may change the modes: an operator of the room or of the server."""
        return "o" in self.status.get(user, "") or user.operator

    # --- what access.py asks --------------------------------------------------------------------------------------

    @property
    def closed(self) -> str:
        """The letters of CLOSED that are set: "" for a room that all users can read."""
        return "".join(sorted(self.flags.intersection(CLOSED) | ({"k"} if self.key else set())))

    @property
    def is_secret(self) -> bool:
        """Whether the room is hidden from all users but its members."""
        return SECRET in self.flags

    @property
    def members_only(self) -> bool:
        """Whether only members speak here; false until a first member has opened the room."""
        return "n" in self.flags and self.created > 0

    def slow_for(self, viewer: Viewer) -> float:
        """Return the seconds until slow mode lets a user speak again; not positive if they may speak now."""
        if not self.slow_seconds:
            return 0.0
        last = max(self.last_message_at.get(key, -inf) for key in _names(viewer))
        return last + self.slow_seconds - viewer.ticks

    def note_message(self, viewer: Viewer) -> None:
        """Record the time of a user's message for slow mode."""
        if not self.slow_seconds:
            return
        for key in _names(viewer):
            self.last_message_at.pop(key, None)
            self.last_message_at[key] = viewer.ticks
        while len(self.last_message_at) > SPEAKERS:
            del self.last_message_at[next(iter(self.last_message_at))]

    def accepts_key(self, key: str) -> bool:
        """Return whether this is the room's key."""
        return bool(self.key) and room_keys.fits(key, self.key)

    def learn_key(self, key: str) -> None:
        """Remember the room's key in plain text, to show it to operators."""
        if self.accepts_key(key):
            self.known_key = key

    def modes(self, shows_key: bool) -> str:
        """Return the room's settings in the form of a change, without its lists; with the plain key if it is known.

        Args:
            shows_key: whether to show the key; otherwise SHOWN_KEY stands in its place.

        """
        changes = [ModeChange(True, letter, "") for letter in LETTERS if letter in self.flags]
        key = (self.known_key if shows_key else "") or SHOWN_KEY
        for letter, value in (("k", key if self.key else ""), ("l", self.limit or ""), ("d", self.slow_seconds or "")):
            if value:
                changes.append(ModeChange(True, letter, str(value)))
        return write(changes) if changes else "+"


def _names(viewer: Viewer) -> list[Hashable]:
    """Return the keys under which slow mode remembers a speaker, so that leaving and returning does not evade it.

    The name of a user who posts from outside can differ in each message, so only the address counts.
    """
    nick, _, host = viewer.mask.partition("!")
    return [viewer.user.id, (key_of(nick), host)] if viewer.user else [host]


def _toggle(store: dict, key: object, change: ModeChange) -> None:  # type: ignore[type-arg]
    letters = store.get(key, "").replace(change.letter, "") + (change.letter if change.on else "")
    if letters:
        store[key] = letters
    else:
        store.pop(key, None)
