"""The slash commands for codes that let people into a room (chat/classroom/join_codes.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from hubbub.chat.classroom.join_codes import DEFAULT_SECONDS, MOST_SECONDS, MOST_USES
from hubbub.chat.turns import OperationKind
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.events import Notice
from hubbub.model.room.room_ids import NamedRoom, RoomRef
from hubbub.text import refusals
from hubbub.text.typed.codes import read_code, shown_code

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Session

_LIFETIME = re.compile(r"(\d{1,4})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400}


def make_code(hub: Hub, session: Session, words: Sequence[str]) -> None:
    """Make a code for the current room and reply with it; `words` are its lifetime and number of people, if given.

    Raises Refused; a refusal may also follow as a reply.
    """
    room = hub.rooms.of(session)
    hub.check(session, Action.SET_MODES, room)
    seconds, most = DEFAULT_SECONDS, 0
    for word in words:
        if length := _LIFETIME.fullmatch(word):
            seconds = int(length[1]) * _SECONDS[length[2]]
        elif word.isdecimal() and len(word) < 5:
            most = int(word)
        elif word not in ("use", "uses"):
            raise refusals.ARGUMENT_INVALID(synopsis="/invite code [30m|1h|1d] [N uses]")
    if not 0 < seconds <= MOST_SECONDS or most > MOST_USES:
        raise refusals.JOIN_CODE_LIMITS(limit=MOST_USES)
    hub.rooms.codes.check_has_space(room)
    session.start(JoinCodeMade(RoomRef(room.id, room.name), seconds, most))


class JoinCodeMade(Struct, frozen=True):
    """A code for a room is to be made that lets `most` people in (0: any number) for a number of seconds."""

    room: RoomRef
    seconds: float
    most: int


def _make(hub: Hub, session: Session, asked: JoinCodeMade, done: Callable[[str | Refused], None]) -> None:
    hub.rooms.codes.make(asked.room, session.nick, asked.seconds, asked.most, done)


def _made(hub: Hub, session: Session, asked: JoinCodeMade, outcome: str | Refused) -> None:
    if isinstance(outcome, Refused):
        hub.refuse(session, outcome)
    else:
        hub.reply(session, Notice(tuple(_told(hub, hub.loaded.by_id.get(asked.room.id) or asked.room, outcome))))


def _told(hub: Hub, room: NamedRoom, letters: str) -> Iterator[str]:
    code = shown_code(letters)
    one = hub.rooms.codes.of(letters)[0]
    people = "1 person" if one.most == 1 else f"{one.most} people"
    whom = people if one.most else "everybody who has it"
    yield f"The code {code} lets {whom} into {room.name} for {_span(one.expires - one.created)}:"
    yield f"/join {code}"  # a line of its own, which is not wrapped
    if hub.page_url:
        yield f"{hub.page_url}#{quote(room.name)}?key={code}"


def _span(seconds: float) -> str:
    """Return a number of seconds in words, to the unit of which there are at least two."""
    minutes = max(1, round(seconds / 60))
    for unit, size in (("days", 1440), ("hours", 60)):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}"
    return f"{minutes} minutes" if minutes > 1 else "1 minute"


def list_codes(hub: Hub, session: Session, argument: str) -> None:
    """List the open codes of the current room, or end those that the argument names. Raises Refused."""
    room, codes = hub.rooms.of(session), hub.rooms.codes
    hub.check(session, Action.SET_MODES, room)
    known, now = codes.of_room(room.id), hub.clock()
    if argument:
        _end(hub, session, argument, [letters for letters, _ in known])
        return
    lines = [
        f"{shown_code(letters)}: for {_span(one.expires - now)} more"
        + (f", {len(one.used)} of {one.most} used" if one.most else "")
        + f" (by {one.nick})"
        for letters, one in known
    ]
    hub.reply(session, Notice(tuple(lines) or ("No code is open for this room",)))


def _end(hub: Hub, session: Session, argument: str, known: Sequence[str]) -> None:
    act, _, typed = argument.lower().partition(" ")
    if act != "end" or not typed:
        raise refusals.ARGUMENT_INVALID(synopsis="/codes [end CODE|end all]")
    wanted = [letters for letters in known if typed == "all" or letters == read_code(typed)]
    if not wanted:
        raise refusals.NO_SUCH_CODE()
    session.start(JoinCodesEnded(tuple(wanted)))


class JoinCodesEnded(Struct, frozen=True):
    """The codes with these letters are to let nobody in any more."""

    codes: tuple[str, ...]


def _end_all(hub: Hub, session: Session, asked: JoinCodesEnded, done: Callable[[Sequence[object]], None]) -> None:
    outcomes: list[object] = []

    def ended(outcome: object) -> None:
        outcomes.append(outcome)
        if len(outcomes) == len(asked.codes):
            done(outcomes)

    for letters in asked.codes:
        hub.rooms.codes.end(letters, ended)


def _ended(hub: Hub, session: Session, asked: JoinCodesEnded, outcomes: Sequence[object]) -> None:
    for refused in outcomes:
        if isinstance(refused, Refused):
            hub.refuse(session, refused)
    if not isinstance(outcomes[-1], Refused):
        hub.reply(session, Notice(("The code is over" if len(asked.codes) == 1 else "The codes are over",)))


# A code is a secret, so neither is written down.
OPERATIONS = (
    OperationKind(JoinCodeMade, _made, _make, at_once=True, moves=False),
    OperationKind(JoinCodesEnded, _ended, _end_all, at_once=True, moves=False),
)
