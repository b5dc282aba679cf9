"""A user's memory of rooms that it is not in: invitations, former masks, and where its identity is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

INVITATIONS = 100  # invitations that a user remembers
FORMER_ROOMS = 1_000  # rooms for which a user remembers former masks, and trust
FORMER_NAMES = 4  # former masks per room
KEPT = 5_000  # browsers and accounts whose former masks are kept
KEPT_ROOMS = 20  # rooms for which they are kept
KEPT_SECONDS = 24 * 3600.0  # for which they are kept
RENEW_SECONDS = 3600.0  # after which a new use of a stored one is stored
RECALLED = 8  # memories of browsers and accounts that one user has


class FormerMasks(dict[str, tuple[str, ...]]):
    """By the ids of rooms: the masks that somebody had there. A ban or mute of such a mask still applies to them.

    Args:
        limit: the number of rooms beyond which the oldest are forgotten.
        key: the browser or account that they belong to; "" for a single user.

    """

    __slots__ = ("key", "limit", "used")

    def __init__(self, limit: int, key: str = "") -> None:
        super().__init__()
        self.limit = limit
        self.key = key
        self.used = 0.0  # epoch seconds of the last use

    def keep(self, room: str, mask: str, now: float) -> None:
        """Note a mask at a time (epoch seconds)."""
        known = self.pop(room, ())
        self[room] = (*(one for one in known if one != mask), mask)[-FORMER_NAMES:]
        if len(self) > self.limit:
            del self[next(iter(self))]
        self.used = now

    def absorb(self, other: Mapping[str, Sequence[str]]) -> None:
        """Add the masks of another memory as far as there is space: nobody can make this one forget by that."""
        for room, masks in other.items():
            if room in self or len(self) < self.limit:
                self[room] = tuple(dict.fromkeys((*self.get(room, ()), *masks)))[:FORMER_NAMES]


class Memories:
    """The former masks of browsers and accounts, which last for a day after their last use.

    Those of people who are banned or muted somewhere are kept apart, so that no crowd of others makes them forgotten,
    and are stored: a restart does not end them, and all nodes know them.
    """

    def __init__(self) -> None:
        self._kept: dict[str, FormerMasks] = {}  # the one asked for last is the last
        self.barred: dict[str, FormerMasks] = {}  # those that are stored; the one used first is the first
        # Called with the key of one that is to be stored, and of one that need not be stored any more.
        self.store: Callable[[str], None] = lambda key: None
        self.drop: Callable[[str], None] = lambda key: None

    def of(self, key: str, now: float) -> FormerMasks:
        """Return the memory of a browser or an account at a time (epoch seconds); all its users share it."""
        self.expire(now)
        if (barred := self.barred.get(key)) is not None:
            if now - barred.used >= RENEW_SECONDS:
                self.bar((barred,), now)
            return barred
        memory = self._kept.pop(key, None)
        if memory is None or now - memory.used >= KEPT_SECONDS:
            memory = FormerMasks(KEPT_ROOMS, key)
        memory.used = now
        self._kept[key] = memory
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return memory

    def bar(self, memories: Iterable[FormerMasks], now: float) -> None:
        """Store memories whose users are banned or muted in a room, at a time (epoch seconds)."""
        for memory in memories:
            memory.used = now
            self._kept.pop(memory.key, None)
            self._keep(memory)
            self.store(memory.key)

    def merge(self, key: str, masks: Mapping[str, Sequence[str]], used: float) -> None:
        """Add what is stored of a browser or an account, which was last used at a time (epoch seconds)."""
        memory = self.barred.get(key)
        if memory is None:
            memory = self._kept.pop(key, FormerMasks(KEPT_ROOMS, key))
        memory.absorb(masks)
        memory.used = max(used, memory.used)
        self._keep(memory)

    def _keep(self, memory: FormerMasks) -> None:
        self.barred.pop(memory.key, None)
        self.barred[memory.key] = memory
        if len(self.barred) > KEPT:
            self._drop(next(iter(self.barred)))

    def expire(self, now: float) -> None:
        """Forget the stored ones that were last used a day before a time (epoch seconds)."""
        while self.barred and now - self.barred[first := next(iter(self.barred))].used >= KEPT_SECONDS:
            self._drop(first)

    def _drop(self, key: str) -> None:
        del self.barred[key]
        self.drop(key)


class RoomMemory:
    """The memory of a user for rooms, by the ids of the rooms and of bounded size."""

    __slots__ = ("former", "invited", "recalled", "trusted")

    def __init__(self) -> None:
        # The rooms that it was invited to. The value is the time of an operator's invitation (epoch seconds), which
        # opens the room to the user, or 0 for an invitation by another member.
        self.invited: dict[str, float] = {}
        # Its masks in rooms that it has left.
        self.former = FormerMasks(FORMER_ROOMS)
        # The memories of its account and of the browsers that it comes from; other users may share them.
        self.recalled: tuple[FormerMasks, ...] = ()
        # The rooms in which its identity is known: it had rights there, or knows the key.
        self.trusted: dict[str, None] = {}

    def invite(self, room: str, opens: float) -> None:
        """Remember an invitation to a room; only the newest INVITATIONS are kept.

        `opens` is the time (epoch seconds) of an invitation by an operator, or 0 for one by another member.
        """
        self.invited[room] = max(opens, self.invited.pop(room, 0.0))
        while len(self.invited) > INVITATIONS:
            del self.invited[next(iter(self.invited))]

    def keep_mask(self, room: str, mask: str, now: float) -> None:
        """Remember its mask in a room at a time (epoch seconds): bans and mutes of it continue to apply."""
        for memory in (self.former, *self.recalled):
            memory.keep(room, mask, now)

    def recall(self, memory: FormerMasks) -> None:
        """Share the memory of a browser or an account; only the newest RECALLED are shared."""
        memory.absorb(self.former)
        if not any(one is memory for one in self.recalled):
            self.recalled = (*self.recalled, memory)[-RECALLED:]

    def absorb(self, other: RoomMemory) -> None:
        """Take over the former masks, and the rooms that know its identity, of the user that a session was before."""
        for memory in (self.former, *self.recalled):
            memory.absorb(other.former)
        for room in other.trusted:
            self.trust(room)

    def trust(self, room: str) -> None:
        """Remember that its identity is known in a room."""
        self.trusted[room] = None
        if len(self.trusted) > FORMER_ROOMS:
            del self.trusted[next(iter(self.trusted))]
