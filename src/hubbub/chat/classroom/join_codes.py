"""Codes that let people into a room for a while, without a key and without the name of the room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hubbub.chat.classroom.ballots import token_of
from hubbub.chat.classroom.lists import ListChanged, Lists
from hubbub.errors import Refused
from hubbub.text import refusals
from hubbub.text.typed.codes import LETTERS, read_code

if TYPE_CHECKING:
    from hubbub.chat.core import Core
    from hubbub.chat.session import Room, Session
    from hubbub.model.room.room_ids import NamedRoom

IN_ROOM = 10  # open codes of a room
OPEN = 1_000  # and of all rooms
MOST_USES = 500  # people that a code with a limit can let in
MOST_SECONDS = 30 * 86_400.0
DEFAULT_SECONDS = 86_400.0
INVITED = 1.0  # the time of the invitation that a code is: every ban is newer


class JoinCode(NamedTuple):
    """A code for the room with an id, and the name that the room had; `nick` made it. Times are epoch seconds.

    It lets in `most` people, any number if that is 0; `used` are those whom it has let in, if there is a limit
    (chat/classroom/ballots.py).
    """

    room: str
    name: str
    nick: str
    created: float
    expires: float
    most: int = 0
    used: tuple[str, ...] = ()


class GuessLimits(Protocol):
    """The limits for guessing; accounts/guessing.py has them."""

    def delay(self, account: str, address: str) -> float:
        """Return the seconds for which somebody at an address has to wait until the next attempt; 0.0 for none."""
        ...

    def begin(self, account: str, address: str) -> None:
        """Count an attempt as wrong until `right` is called."""
        ...

    def right(self, account: str, address: str) -> None:
        """Forget the wrong attempts at an account from an address: the last one was right."""
        ...

    def code_delay(self) -> float:
        """Return the seconds until the next code can be tried, whoever tries it; 0.0 for none."""
        ...

    def wrong_code(self) -> None:
        """Count a wrong code for all addresses."""
        ...


class JoinCodes(Lists[JoinCode]):
    """The open codes of all rooms, by their letters: a list has one code, or none."""

    def __init__(self, core: Core) -> None:
        super().__init__()
        self._core = core
        self._made = 0
        self.new_letters: Callable[[], str] = self._next_letters  # the owner sets one whose codes cannot be guessed
        self.guesses: GuessLimits | None = None  # the owner sets it

    def _next_letters(self) -> str:
        self._made += 1
        return "BBBBBB" + LETTERS[self._made // len(LETTERS)] + LETTERS[self._made % len(LETTERS)]

    def of_room(self, id: str) -> list[tuple[str, JoinCode]]:
        """Return the valid codes of the room with an id by their letters, the one made first first."""
        now = self._core.clock()
        return [(letters, one) for letters, (one, *_) in self._known.items() if one.room == id and one.expires > now]

    def check_has_space(self, room: Room) -> None:
        """Raise Refused if a room, or the server, has as many codes as it may have."""
        self._sweep()
        if len(self.of_room(room.id)) >= IN_ROOM or len(self._known) >= OPEN:
            raise refusals.JOIN_CODES_FULL(limit=IN_ROOM)

    def make(
        self, room: NamedRoom, nick: str, seconds: float, most: int, done: Callable[[str | Refused], None]
    ) -> None:
        """Store a new code for a room, and call `done` with its letters."""
        now, letters = self._core.clock(), self.new_letters()
        one = JoinCode(room.id, room.name, nick, now, now + seconds, most)
        self.store.change(letters, lambda _: (one,), lambda outcome: done(_letters(outcome, letters)))

    def end(self, letters: str, done: ListChanged[JoinCode]) -> None:
        """End a code: from now on, it lets nobody in."""
        self.store.change(letters, lambda _: (), done)

    def _sweep(self) -> None:
        now = self._core.clock()
        for letters in [letters for letters, (one, *_) in self._known.items() if one.expires <= now]:
            self.end(letters, lambda outcome: None)

    def find(self, session: Session, typed: str) -> JoinCode:
        """Return the code that somebody typed. Raises Refused, also if they have typed wrong ones too often."""
        # The limit is that of a person: others at the same address are not slowed by a joker, and all together are
        # limited, too.
        who, limits = token_of(session, "join"), self.guesses
        if limits and (wait := limits.delay(who, session.address) or limits.code_delay()):
            raise refusals.LOGINS_SLOWED(seconds=wait)
        one = self._valid(typed)
        if limits:
            limits.begin(who, session.address)
            if one:
                limits.right(who, session.address)
            else:
                limits.wrong_code()
        if one is None:
            raise refusals.CODE_WRONG()
        return one

    def _valid(self, typed: str) -> JoinCode | None:
        found = self.of(read_code(typed)) if typed else ()
        return next((one for one in found if one.expires > self._core.clock()), None)

    def are_for(self, room: Room, typed: str) -> bool:
        """Return whether a text is a valid code of a room."""
        one = self._valid(typed)
        return one is not None and one.room == room.id

    def spend(self, session: Session, typed: str, done: Callable[[Refused | None], None]) -> None:
        """Let a person in by a code, and call `done`, now or later; each person counts once."""
        person, letters, clock = token_of(session, read_code(typed)), read_code(typed), self._core.clock

        def use(codes: Sequence[JoinCode]) -> Sequence[JoinCode]:
            for one in codes:
                is_in = not one.most or person in one.used
                if one.expires > clock() and (is_in or len(one.used) < one.most):
                    return codes if is_in else (one._replace(used=(*one.used, person)),)
            raise refusals.CODE_WRONG()

        if any(not one.most or person in one.used for one in self.of(letters)):
            done(None)  # nothing is to be counted
            return
        self.store.change(letters, use, lambda outcome: done(outcome if isinstance(outcome, Refused) else None))


def _letters(outcome: Sequence[JoinCode] | Refused, letters: str) -> str | Refused:
    return outcome if isinstance(outcome, Refused) else letters
