"""What holds in a room: who may speak, come in and change that. Made from the log's entries of Kind.MODE.

A change is written as IRC writes it, `+o-k Bo!~nc@1f2e3d4c5a.nc *`: letters with a sign, then their parameters. A ban
that ends has `until=SECONDS` (since the epoch) behind all that. LETTERS says what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from hubbub.core.masks import MUTE, NOBODY, Mask, read_mask
from hubbub.core.model import LOBBY, Entry, Kind
from hubbub.core.names import key_of
from hubbub.core.text import fold_text
from hubbub.errors import Refused

if TYPE_CHECKING:
    from hubbub.core.session import Session

VERDICTS = 256  # people of whom a room remembers whether its lists mean them


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
    mask: Mask


class Verdict(NamedTuple):
    """Whether the lists of a room bar somebody, and until when (seconds since the epoch) that holds."""

    banned: bool
    muted: bool
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


class Rules:
    """The rules of one room, and what its members may do.

    Args:
        room: its name.
        entries: what the log says of its rules (RoomState.rules).

    """

    __slots__ = (
        "_verdicts",
        "created",
        "flags",
        "key",
        "limit",
        "lists",
        "room",
        "said",
        "slow",
        "standing",
        "status",
        "topic_at",
        "topic_by",
        "topic_tags",
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
        self.topic_tags = ""  # its formatting
        self.standing: dict[tuple[str, str], str] = {}  # by folded nick and host: o or v, for who comes back
        self.status: dict[Session, str] = {}  # of members that have one: letters of PREFIXES
        self.said: dict[Session, float] = {}  # when, in slow mode
        self._verdicts: dict[Sequence[str], Verdict] = {}  # about those who were looked at last, until a list changes
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
            if self.room != LOBBY:
                self.standing[key_of(entry.nick), entry.host] = "o"
                for session in members:
                    if (session.nick, session.host) == (entry.nick, entry.host):
                        self.status[session] = "o"

    def _renamed(self, entry: Entry, members: Iterable[Session]) -> None:
        """What somebody may do here goes with him to his new name."""
        before, now = key_of(entry.nick), key_of(entry.text)
        letters = self.standing.pop((before, entry.host), "")
        had = self.standing.get((now, entry.host), "")
        if letters := letters + "".join(letter for letter in had if letter not in letters):
            self.standing[now, entry.host] = letters
        for session in members:  # he may be known by either name just now
            if session.host == entry.host and key_of(session.nick) in (before, now):
                self._stand(session, letters)

    def recall(self, session: Session, before: str) -> None:
        """Note that a member is known by a new name; of what its rename has made of the log, nothing may have come."""
        if (key_of(before), session.host) not in self.standing:
            self.stand(session)

    def stand(self, session: Session) -> None:
        """Give a member what somebody of its name and host may do."""
        self._stand(session, self.standing.get((key_of(session.nick), session.host), ""))

    def _stand(self, session: Session, letters: str) -> None:
        if letters:
            self.status[session] = letters
        else:
            self.status.pop(session, None)

    def _promote(self, change: Change, members: Iterable[Session]) -> None:
        nick, _, host = change.param.partition("!")
        for key, store in [((key_of(nick), host), self.standing)]:
            _toggle(store, key, change)
        for session in members:
            if key_of(session.nick) == key_of(nick):
                _toggle(self.status, session, change)

    def _set(self, change: Change, entry: Entry, until: float) -> None:
        on, letter, param = change
        if letter in LISTS:
            self._verdicts.clear()
            if known := self.find(letter, param):
                del self.lists[letter][known]
            if on:
                self.lists[letter][param] = Listed(entry.nick, entry.time, until, read_mask(param.removeprefix(MUTE)))
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
        if status := self.standing.get((key_of(session.nick), session.host)):
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

    def find(self, letter: str, mask: str) -> str | None:
        """Return a mask of a list as it was set; in any case."""
        masks = self.lists[letter]
        mute, read = mask.startswith(MUTE), read_mask(mask.removeprefix(MUTE))
        known = (one for one in masks if masks[one].mask == read != NOBODY and one.startswith(MUTE) is mute)
        return mask if mask in masks else next(known, None)

    def _hits(self, letter: str, who: Sequence[str], now: float) -> Iterator[str]:
        """Yield the masks of a list that mean somebody now."""
        folded = [fold_text(one) for one in who]
        for mask, one in self.lists[letter].items():
            if not 0 < one.until <= now and one.mask.matches(folded):
                yield mask

    def verdict(self, who: tuple[str, ...], now: float) -> Verdict:
        """Return whether somebody is banned or muted, and not exempt from both.

        For whoever was looked at since the lists changed, a hundred bans cost as little as one.
        """
        if not self.lists["b"]:
            return NOTHING
        known = self._verdicts.get(who)
        if known is None or known.until <= now:
            known = self._verdicts[who] = self._judge(who, now)
            if len(self._verdicts) > VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
        return known

    def _judge(self, who: tuple[str, ...], now: float) -> Verdict:
        ends = (one.until for letter in "be" for one in self.lists[letter].values() if one.until > now)
        masks = list(self._hits("b", who, now))
        if masks and any(self._hits("e", who, now)):
            masks = []
        mutes = sum(mask.startswith(MUTE) for mask in masks)
        return Verdict(len(masks) > mutes, mutes > 0, min(ends, default=inf))

    def silent(self, session: Session, now: float) -> bool:
        """Return whether a member was told to be silent, or is banned: by another name it might not be."""
        if not self.lists["b"] or self.status.get(session) or (session.user and session.user.operator):
            return False
        verdict = self.verdict(session.masks, now)
        return verdict.banned or verdict.muted

    def check_join(self, session: Session, key: str, count: int, now: float) -> None:
        """Raise Refused if a session may not come in, where there are `count` members."""
        if self.room in session.invited or (session.user and session.user.operator):
            return
        who = session.masks
        if self.verdict(who, now).banned:
            raise Refused("banned", f"You are banned from {self.room}.")
        if "o" in self.standing.get((key_of(session.nick), session.host), ""):
            return  # it comes back as an operator: there may be nobody else to let it in
        if "i" in self.flags and not any(self._hits("I", who, now)):
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

    def check_outsider(self, who: tuple[str, ...], now: float) -> None:
        """Raise Refused if somebody who is not in the room may not post to it."""
        verdict = self.verdict(who, now)
        if self.key or self.flags & {"i", "m"} or verdict.banned or verdict.muted:
            raise Refused("not-allowed", f"Not sent: only people in {self.room} can post there.")

    def modes(self, shows_key: bool) -> str:
        """Return the room's settings as a change would make them, without lists."""
        changes = [Change(True, letter, "") for letter in LETTERS if letter in self.flags]
        for letter, value in (("k", self.key), ("l", self.limit or ""), ("d", self.slow or "")):
            if value:
                changes.append(Change(True, letter, str(value) if letter != "k" or shows_key else "*"))
        return write(changes) if changes else "+"


NOTHING = Verdict(False, False, inf)


def made_by(room: str, entries: Iterable[Entry]) -> list[Entry]:
    """Return of entries those that make a room's rules: of the renames, those of people who may do something."""
    rules = Rules(room)
    made = []
    for entry in entries:
        if entry.kind is not Kind.RENAME or (key_of(entry.nick), entry.host) in rules.standing:
            rules.apply(entry, ())
            made.append(entry)
    return made


def _toggle(store: dict, key: object, change: Change) -> None:  # type: ignore[type-arg]
    letters = store.get(key, "").replace(change.letter, "") + (change.letter if change.on else "")
    if letters:
        store[key] = letters
    else:
        store.pop(key, None)
