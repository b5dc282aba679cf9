"""Whoever comes from the address of a name's holder has the name if the holder turns out to be gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from doubles import House, Peer, refusing
from hubbub.chat.nodes.person import Person
from hubbub.chat.session import Session
from hubbub.errors import Refused
from hubbub.model.events import NickAssigned, Refusal

HOME = "192.0.2.7"
Answer = Callable[[bool], None]


class Asking:
    """A house in which it is asked whether somebody is there, and a test says what the answer is."""

    def __init__(self) -> None:
        self.house = House()
        self.asked: list[tuple[Session, Answer]] = []
        self.house.hub.probe = lambda session, answer: self.asked.append((session, answer))

    def come(self, address: str = HOME) -> Peer:
        peer = self.house.connect()
        peer.session.address = address
        return peer

    def enter(self, name: str, address: str = HOME) -> Peer:
        peer = self.come(address)
        peer.types(name)
        self.house.settle()
        return peer

    def answer(self, there: bool) -> Session:
        (session, answer), *self.asked = self.asked
        answer(there)
        self.house.settle()
        return session


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_somebody_who_is_muted_during_the_probe_keeps_the_name(asking: Asking) -> None:
    asking.enter("Ada")
    (witness,) = asking.house.enter("Witness")
    bo = asking.come()
    bo.session.host = "~nc@bo.nc"
    bo.types("Bo")
    for peer in (witness, bo):
        peer.types("/join ops")
        asking.house.settle()
    bo.types("/nick Ada")
    witness.types("/mute Bo yes")
    asking.house.settle()
    bo.sees()
    asking.answer(False)
    assert bo.session.nick == "Bo" and [one.code for one in bo.sees() if isinstance(one, Refusal)] == ["name-kept"]
    assert asking.house.hub.nicks.find("Ada") is None


def test_a_holder_who_is_gone_leaves_and_the_name_is_had(asking: Asking) -> None:
    (witness,) = asking.house.enter("Witness")
    ghost = asking.enter("Ada")
    ada = asking.come()
    ada.types("Ada", "hello")
    assert ada.untaken == 1 and ada.session.user is None
    witness.sees()
    assert asking.answer(False) is ghost.session
    assert ghost.session.closed and ada.session.nick == "Ada" and ada.untaken == 0
    assert witness.sees() == ["-Ada", "+Ada", "Ada: hello"]


def test_a_holder_who_is_there_keeps_the_name(asking: Asking) -> None:
    holder = asking.enter("Ada")
    outcomes: list[Refused | None] = []
    other = asking.come()
    asking.house.hub.naming.enter(other.session, "ada", outcome=refusing(other.session, outcomes.append))
    assert outcomes == []
    asking.answer(True)
    (refusal,) = outcomes
    assert refusal and refusal.code == "name-taken"
    assert not holder.session.closed and other.session.user is None and not other.session.pending


def test_session_that_leaves_before_the_probe_ends_does_not_enter(asking: Asking) -> None:
    asking.enter("Ada")
    other = asking.come()
    other.types("Ada")
    other.leave()
    asking.answer(False)
    assert other.session.user is None and not asking.house.hub.nicks.users


@pytest.mark.parametrize(("mine", "theirs"), [("", ""), (HOME, "192.0.2.8"), ("", HOME)])
def test_somebody_at_another_address_asks_nobody(asking: Asking, mine: str, theirs: str) -> None:
    asking.enter("Ada", theirs)
    other = asking.come(mine)
    with pytest.raises(Refused):
        asking.house.hub.naming.enter(other.session, "Ada")
    assert not asking.asked


def test_names_that_are_refused_for_another_reason_ask_nobody(asking: Asking) -> None:
    other = asking.come()
    with pytest.raises(Refused):
        asking.house.hub.naming.enter(other.session, "not a name")
    asking.house.hub.nicks.claim("Ada")  # it is held by a client that has not come in yet
    with pytest.raises(Refused):
        asking.house.hub.naming.enter(other.session, "Ada")
    assert not asking.asked


def test_people_of_other_nodes_are_not_asked(asking: Asking) -> None:
    asking.house.hub.remote.add(Person("Ada", address=HOME))
    with pytest.raises(Refused):
        asking.house.hub.naming.enter(asking.come().session, "Ada")
    assert not asking.asked


def test_another_name_is_had_if_its_holder_is_gone(asking: Asking) -> None:
    asking.enter("Ada")
    other = asking.enter("Bea")
    other.types("/nick Ada")
    asking.answer(False)
    assert other.session.nick == "Ada"
    assert any(isinstance(seen, NickAssigned) for seen in other.sees())


@pytest.mark.parametrize("told", [False, True])
def test_another_name_is_not_had_if_its_holder_is_there(asking: Asking, told: bool) -> None:
    asking.enter("Ada")
    other = asking.enter("Bea")
    other.sees()
    refusals: list[Refused] = []
    asking.house.hub.naming.rename(other.session, "Ada", refusing(other.session, refusals.append) if told else None)
    asking.answer(True)
    assert other.session.nick == "Bea"
    assert len(refusals) == told
    assert [type(seen) for seen in other.sees()] == ([] if told else [Refusal])


def test_a_name_of_ones_own_asks_nobody(asking: Asking) -> None:
    other = asking.enter("Bea")
    other.types("/nick Bea")
    assert not asking.asked


def test_without_a_probe_everybody_is_there() -> None:
    house = House()
    (ada,) = house.enter("Ada")
    answers: list[bool] = []
    house.hub.probe(ada.session, answers.append)
    assert answers == [True]
