"""Five hundred people in a room, of whom three hundred react to one message within two seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import hubbub
from doubles import House, Peer, refusing
from hubbub.chat import messages
from hubbub.chat.messages import Which
from hubbub.model.entries import Kind
from hubbub.model.events import ReactionsAdded
from hubbub.model.messages import reactions
from hubbub.model.queries import LogPage
from hubbub.wire.line import encoder as line

MEMBERS, REACTING = 500, 300
SOURCE = (str(Path(hubbub.__file__).parent), str(Path(__file__).parent.parent / "doubles.py"))


def calls(act: Callable[[], object]) -> int:
    """Return how many calls of hubbub's functions, and of the screens that it writes to, an act takes."""
    made = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal made
        made += event == "call" and frame.f_code.co_filename.startswith(SOURCE)

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return made


@pytest.mark.untraced
def test_reactions_of_many_are_few_lines_and_cost_no_more_than_messages() -> None:
    house = House()
    people = [house.connect(line.RAW) for _ in range(MEMBERS)]  # type: ignore[arg-type]
    for number, one in enumerate(people):
        one.types(f"P{number}")
    house.settle()
    author, others = people[0], people[1 : REACTING + 1]
    author.types("tea?")
    house.settle()
    message, room = house.broker.log[-1], house.hub.rooms.loaded["lobby"]
    # The log of the double is slow, and counts as hubbub's code.
    house.broker.log = [message]
    house.broker.read = lambda query, done: done(LogPage([message]))  # type: ignore[method-assign]
    later: list[Callable[[], None]] = []
    nicks: set[str] = set()
    house.hub.later = lambda seconds, call: later.append(call)
    house.forget()

    def react(peer: Peer) -> None:
        def refuse(refusal: Exception) -> None:
            raise refusal

        messages.react(peer.session, room, Which(id=message.id), "👍", True, refused=refusing(peer.session, refuse))

    def settled(act: Callable[[Peer], None], people: list[Peer]) -> Callable[[], None]:
        def run() -> None:
            for one in people:
                act(one)
                house.settle()
                nicks.update(entry.nick for entry in house.broker.log[1:] if entry.kind is Kind.REACT)
                del house.broker.log[1:-1]

        return run

    by_reactions = calls(settled(react, others))
    assert len(nicks) == REACTING
    (shown,) = room.latest
    assert reactions.read(shown.tags) == {"👍": [one.session.nick for one in others]}
    told, *lines = [one.sees() for one in people]
    assert told == [ReactionsAdded("lobby", "tea?", "👍", ("P1",))], "the author is told of the first one at once"
    assert lines == [[f'*** {one.session.nick} reacts with 👍 (re P0: "tea?") ***'] for one in others] + [[]] * (
        MEMBERS - REACTING - 1
    ), "the others see their own one"
    for end in later:  # the pause is over
        end()
    assert author.sees() == [ReactionsAdded("lobby", "tea?", "👍", tuple(one.session.nick for one in others[1:]))]
    few = others[: REACTING // 10]  # each of them costs the same
    by_messages = 10 * calls(settled(lambda one: one.types("yes"), few))
    assert sum(len(one.sees()) for one in people) == len(few) * (MEMBERS - 1)
    assert by_reactions <= by_messages
