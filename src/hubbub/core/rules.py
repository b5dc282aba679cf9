"""What holds in a room: who may speak, come in and change that. Made from the log's entries of Kind.MODE.

A change is written as IRC writes it, `+o-k Bo!~nc@1f2e3d4c5a.nc *`: letters with a sign, then their parameters. A ban
that ends has `until=SECONDS` (since the epoch) behind all that. LETTERS says what there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hubbub.core.model import LOBBY, Entry, Kind
from hubbub.core.text import fold
from hubbub.errors import Refused

if TYPE_CHECKING:
    from hubbub.core.session import Session

MAX_LISTED = 100  # masks in each list of a room
MUTE = "m:"  # before a mask in the list of bans: may be there, may not speak


class Letter(NamedTuple):
    """What a letter means; the words are for people, with `{}` for the parameter."""

    takes: str  # a parameter: "always", "set" (when it is set), or "" for never
    on: str
    off: str


LETTERS = {
    "o": Letter("always", "has made {} an operator", "has taken back {}'s operator rights"),
    "v": Letter("always", "has given {} a voice", "has taken back {}'s voice"),
    "b": Letter("always", "has banned {}", "has lifted the ban of {}"),
    "e": Letter("always", "has exempted {} from bans", "has ended the exemption of {}"),
    "I": Letter("always", "lets {} in without an invitation", "no longer lets {} in without an invitation"),
    "k": Letter("always", "has set a key", "has removed the key"),
    "l": Letter("set", "has limited the room to {} members", "has removed the limit of members"),
    "d": Letter("set", "has switched slow mode on: a message every {} s", "has switched slow mode off"),
    "i": Letter("", "has made the room invite-only", "has opened the room to everybody"),
    "m": Letter("", "has made the room moderated", "lets everybody here speak"),
    "n": Letter("", "has closed the room to messages from outside", "has opened the room to messages from outside"),
    "s": Letter("", "has made the room secret", "has made the room public"),
    "t": Letter("", "has locked the topic", "has unlocked the topic"),
    "C": Letter("", "has forbidden client commands (CTCP)", "has allowed client commands (CTCP)"),
}
PREFIXES = {"o": "@", "v": "+"}  # the highest first
LISTS = "beI"
CLOSED = "kis"  # letters of a room that is read by its members only
SECRET = "s"


class Change(NamedTuple):
    """One letter of a change: `on` or off, with its parameter or ""."""

    on: bool
    letter: str
    param: str


class Listed(NamedTuple):
    """A mask in a list: who set it, when, and until when it holds (0: for ever); in seconds since the epoch."""

    by: str
    at: float
    until: float


def parse(text: str) -> tuple[list[Change], float]:
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
        takes = LETTERS[letter].takes
        wants = takes == "always" or (takes == "set" and on)
        changes.append(Change(on, letter, params.pop(0) if wants and params else ""))
    # What the letters leave over: a key or a mask may begin with the same word.
    until = params[0].removeprefix("until=") if params else ""
    return changes, float(_number(until))


def _number(text: str) -> int:
    return int(text[:15]) if text.isascii() and text.isdigit() else 0


def are_set(letters: str, texts: Iterable[str]) -> bool:
    """Return whether one of some letters is set, after the changes of these entries in their order."""
    on: set[str] = set()
    for text in texts:
        for change in parse(text)[0]:
            if change.letter in letters:
                (on.add if change.on else on.discard)(change.letter)
    return bool(on)


def write(changes: Iterable[Change], until: float = 0.0) -> str:
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


def told(text: str) -> str:
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


@lru_cache(4096)
def _glob(mask: str) -> re.Pattern[str]:
    # What is between two stars is looked for once, from the left: going back over it would take for ever.
    first, *others = [re.escape(part).replace(r"\?", ".") for part in mask.split("*")]
    last = [f".*{others.pop()}"] if others else []
    return re.compile("".join([first, *(f"(?>.*?{part})" for part in others if part), *last]), re.DOTALL)


def matches(mask: str, who: str) -> bool:
    """Return whether a mask with `*` and `?` is that of somebody, `nick!user@host`, in any case."""
    return _glob(fold(mask)).fullmatch(fold(who)) is not None


def whole_mask(mask: str) -> str:
    """Return a mask as `nick!user@host`, with `*` for what was left out."""
    mute = MUTE if mask.startswith(MUTE) else ""
    mask = mask.removeprefix(MUTE)
    nick, _, rest = mask.partition("!") if "!" in mask else ("", "", mask) if "@" in mask else (mask, "!", "")
    user, _, host = rest.partition("@")
    return f"{mute}{nick or '*'}!{user or '*'}@{host or '*'}"


class Rules:
    """The rules of one room, and what its members may do.

    Args:
        room: its name.
        entries: what the log says of its rules (RoomState.rules).

    """

    __slots__ = (
        "created", "flags", "key", "limit", "lists", "room", "said", "slow", "standing", "status",
        "topic_at", "topic_by",
    )  # fmt: skip

    def __init__(self, room: str, entries: Sequence[Entry] = ()) -> None:
        self.room = room
        self.flags = {"n"}
        self.key = ""
        self.limit = 0  # members; 0: any number
        self.slow = 0  # seconds between two messages of a member
        self.lists: dict[str, dict[str, Listed]] = {letter: {} for letter in LISTS}
        self.created = 0.0
        self.topic_by = ""
        self.topic_at = 0.0
        self.standing: dict[tuple[str, str], str] = {}  # by folded nick and host: o or v, for who comes back
        self.status: dict[Session, str] = {}  # of members that have one: letters of PREFIXES
        self.said: dict[Session, float] = {}  # when, in slow mode
        for entry in entries:
            self.apply(entry, ())

    # --- what the log says ----------------------------------------------------------------------------------------

    def apply(self, entry: Entry, members: Iterable[Session]) -> None:
        """Let an entry take effect."""
        if entry.kind is Kind.TOPIC:
            self.topic_by, self.topic_at = entry.nick, entry.time
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
                    self._set(change, Listed(entry.nick, entry.time, until))

    def _opened(self, entry: Entry, members: Iterable[Session]) -> None:
        """Who comes first is the room's operator; the lobby is everybody's."""
        if not self.created:
            self.created = entry.time
            if self.room != LOBBY:
                self.standing[fold(entry.nick), entry.host] = "o"
                for session in members:
                    if (session.nick, session.host) == (entry.nick, entry.host):
                        self.status[session] = "o"

    def _renamed(self, entry: Entry, members: Iterable[Session]) -> None:
        """What somebody may do here goes with him to his new name."""
        before, now = fold(entry.nick), fold(entry.text)
        letters = self.standing.pop((before, entry.host), "")
        had = self.standing.get((now, entry.host), "")
        if letters := letters + "".join(letter for letter in had if letter not in letters):
            self.standing[now, entry.host] = letters
        for session in members:  # he may be known by either name just now
            if session.host == entry.host and fold(session.nick) in (before, now):
                self._stand(session, letters)

    def recall(self, session: Session, before: str) -> None:
        """Note that a member is known by a new name; of what its rename has made of the log, nothing may have come."""
        if (fold(before), session.host) not in self.standing:
            self.stand(session)

    def stand(self, session: Session) -> None:
        """Give a member what somebody of its name and host may do."""
        self._stand(session, self.standing.get((fold(session.nick), session.host), ""))

    def _stand(self, session: Session, letters: str) -> None:
        if letters:
            self.status[session] = letters
        else:
            self.status.pop(session, None)

    def _promote(self, change: Change, members: Iterable[Session]) -> None:
        nick, _, host = change.param.partition("!")
        for key, store in [((fold(nick), host), self.standing)]:
            _toggle(store, key, change)
        for session in members:
            if fold(session.nick) == fold(nick):
                _toggle(self.status, session, change)

    def _set(self, change: Change, listed: Listed) -> None:
        on, letter, param = change
        if letter in LISTS:
            masks = self.lists[letter]
            key = fold(param)
            for mask in [mask for mask in masks if fold(mask) == key]:
                del masks[mask]
            if on:
                masks[param] = listed
        elif letter == "k":
            self.key = param if on else ""
        elif letter == "l":
            self.limit = _number(param) if on else 0
        elif letter == "d":
            self.slow = _number(param) if on else 0
            self.said.clear()
        elif on:
            self.flags.add(letter)
        else:
            self.flags.discard(letter)

    def admit(self, session: Session) -> None:
        """Give a new member what it had before; an invitation is used up."""
        session.invited.discard(self.room)
        if status := self.standing.get((fold(session.nick), session.host)):
            self.status[session] = status

    def dismiss(self, session: Session) -> None:
        """Forget who is no member any more."""
        self.status.pop(session, None)
        self.said.pop(session, None)

    # --- what may be done -----------------------------------------------------------------------------------------

    def prefixes(self, session: Session) -> str:
        """Return a member's signs, the highest first."""
        status = self.status.get(session, "")
        return "".join(sign for letter, sign in PREFIXES.items() if letter in status)

    def is_operator(self, session: Session) -> bool:
        """Return whether a session may change the rules: an operator of the room or of the server."""
        return "o" in self.status.get(session, "") or bool(session.user and session.user.operator)

    def banned(self, who: Sequence[str], now: float, mute: bool = False) -> bool:
        """Return whether somebody is banned, or `mute`, and not exempt."""

        def listed(letter: str) -> bool:
            masks = [mask for mask, listed in self.lists[letter].items() if not listed.until or listed.until > now]
            if letter == "e":  # who is exempt is so from both
                masks = [mask.removeprefix(MUTE) for mask in masks]
            elif mute:
                masks = [mask.removeprefix(MUTE) for mask in masks if mask.startswith(MUTE)]
            return any(matches(mask, one) for mask in masks for one in who)

        return listed("b") and not listed("e")

    def silent(self, session: Session, now: float) -> bool:
        """Return whether a member was told to be silent, or is banned: by another name it might not be."""
        if self.status.get(session) or (session.user and session.user.operator):
            return False
        return self.banned(session.masks, now) or self.banned(session.masks, now, mute=True)

    def check_join(self, session: Session, key: str, count: int, now: float) -> None:
        """Raise Refused if a session may not come in, where there are `count` members."""
        if self.room in session.invited or (session.user and session.user.operator):
            return
        who = session.masks
        if self.banned(who, now):
            raise Refused("banned", f"You are banned from {self.room}.")
        if "o" in self.standing.get((fold(session.nick), session.host), ""):
            return  # it comes back as an operator: there may be nobody else to let it in
        if "i" in self.flags and not any(matches(mask, one) for mask in self.lists["I"] for one in who):
            raise Refused("invite-only", f"{self.room} is invite-only. Ask an operator to invite you.")
        if key and not self.key and not session.exact:  # somebody typed a name of two words
            raise Refused("room-invalid", f"Room names can't contain spaces. Perhaps you mean {self.room}-{key}.")
        if self.key and key != self.key:
            raise Refused("bad-key", f"{self.room} needs its key: /join {self.room} KEY")
        if self.limit and count >= self.limit:
            raise Refused("room-full", f"{self.room} is full.")

    def check_say(self, session: Session, now: float) -> None:
        """Raise Refused if a session may not speak here; note that it does, for slow mode."""
        if self.status.get(session) or (session.user and session.user.operator):
            return
        if "m" in self.flags:
            text = f"Not sent: only people chosen by the room's operators can speak in {self.room} right now."
            raise Refused("moderated", text)
        if self.silent(session, now):
            raise Refused("muted", f"Not sent: you may not speak in {self.room}.")
        if self.slow:
            wait = self.said.get(session, -1e9) + self.slow - now
            if wait > 0:
                raise Refused("slow-mode", f"Not sent: {self.room} is in slow mode; wait {wait:.0f} s.")
            self.said[session] = now

    def check_outsider(self, who: Sequence[str], now: float) -> None:
        """Raise Refused if somebody who is not in the room may not post to it."""
        if self.key or self.flags & {"i", "m"} or self.banned(who, now) or self.banned(who, now, mute=True):
            raise Refused("not-allowed", f"Not sent: only people in {self.room} can post there.")

    def modes(self, shows_key: bool) -> str:
        """Return the room's settings as a change would make them, without lists."""
        changes = [Change(True, letter, "") for letter in LETTERS if letter in self.flags]
        for letter, value in (("k", self.key), ("l", self.limit or ""), ("d", self.slow or "")):
            if value:
                changes.append(Change(True, letter, str(value) if letter != "k" or shows_key else "*"))
        return write(changes) if changes else "+"


def made_by(room: str, entries: Iterable[Entry]) -> list[Entry]:
    """Return of entries those that make a room's rules: of the renames, those of people who may do something."""
    rules = Rules(room)
    made = []
    for entry in entries:
        if entry.kind is not Kind.RENAME or (fold(entry.nick), entry.host) in rules.standing:
            rules.apply(entry, ())
            made.append(entry)
    return made


def _toggle(store: dict, key: object, change: Change) -> None:  # type: ignore[type-arg]
    letters = store.get(key, "").replace(change.letter, "") + (change.letter if change.on else "")
    if letters:
        store[key] = letters
    else:
        store.pop(key, None)
