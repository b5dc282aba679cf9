"""What holds a session back: the outbox, its own turn, and what it waits for."""

import pytest

from doubles import House, Peer
from hubbub.chat import outbox as outbox_module
from hubbub.chat.session import TURN_LIMIT, UNSETTLED_LIMIT, Posting
from hubbub.model.entries import Draft, Kind
from hubbub.model.events import Acknowledged, Notice, Refusal


def test_outbox_that_is_full_holds_everybody_back_until_it_is_emptied() -> None:
    house = House(gathered=10)
    al, bo = house.enter("Al", "Bo")
    al.types("x" * 11, "more")
    bo.types("hi")
    assert (al.untaken, bo.untaken) == (1, 1)
    assert not house.hub.session_ready(bo.session)
    house.commit()
    assert (al.untaken, bo.untaken) == (0, 0)
    house.commit()
    assert bo.sees() == [f"Al: {'x' * 11}", "Al: more"] and al.sees() == ["Bo: hi"]


def test_outbox_that_is_full_is_emptied_by_a_failure_too() -> None:
    house = House(gathered=10)
    al, bo = house.enter("Al", "Bo")
    al.types("x" * 11)
    bo.types("hi")
    house.fail()
    house.commit()
    assert al.sees()[1:] == ["Bo: hi"]


def test_outbox_that_stays_full_relieves_nobody() -> None:
    house = House(gathered=10)
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("x" * 11)
    batch = house.hub.outbox.gather()
    house.hub.say(cy.session, "y" * 11)
    bo.types("hi")
    house.hub.commits.stored(house.broker.store(batch))
    assert bo.untaken == 1
    house.commit()
    assert bo.untaken == 0


def test_who_left_while_held_back_is_not_told_to_go_on() -> None:
    house = House(gathered=10)
    al, bo = house.enter("Al", "Bo")
    al.types("x" * 11)
    bo.types("hi")
    bo.leave()
    house.settle()
    assert bo.untaken == 1 and al.sees() == ["-Bo"]


def test_session_waits_when_so_much_of_its_own_is_not_settled() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("x" * (UNSETTLED_LIMIT + 1), "more")
    assert al.untaken == 1
    bo.types("hi")
    assert bo.untaken == 0, "nobody else waits"
    house.commit()
    assert al.untaken == 0
    al.types("and", "more")
    assert al.untaken == 0, "that is settled"


def test_session_waits_when_so_many_of_its_own_are_not_settled() -> None:
    house = House()
    al, _ = house.enter("Al", "Bo")
    al.types(*["x"] * (TURN_LIMIT + 5))
    assert al.untaken == 5
    house.commit()
    assert al.untaken == 0


def pong(house: House, peer: Peer) -> None:
    house.hub.after_earlier_entries(peer.session)
    house.hub.reply(peer.session, Notice(("pong",)))


def test_answer_that_waits_for_all_comes_after_what_others_said_before() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("one")
    batch = house.hub.outbox.gather()
    pong(house, bo)
    al.types("two")
    pong(house, cy)
    assert (bo.sees(), cy.sees()) == ([], [])
    house.hub.commits.stored(house.broker.store(batch))
    assert (bo.sees(), cy.sees()) == (["Al: one", Notice(("pong",))], ["Al: one"])
    pong(house, bo)
    house.commit()
    assert (bo.sees(), cy.sees()) == (["Al: two", Notice(("pong",))], ["Al: two", Notice(("pong",))])


def test_answer_that_waits_for_all_comes_at_once_when_all_is_settled() -> None:
    house = House()
    (al,) = house.enter("Al")
    pong(house, al)
    assert al.sees() == [Notice(("pong",))]


def test_answer_that_waits_for_all_does_not_wait_for_what_cannot_be_stored() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("lost")
    cy.leave()
    pong(house, bo)
    house.fail()
    assert bo.sees() == [Notice(("pong",))]
    pong(house, bo)
    assert bo.sees() == [Notice(("pong",))], "the leave is tried again, and nobody waits for it"


def test_idle_is_when_everything_has_its_outcome() -> None:
    house = House()
    (al,) = house.enter("Al")
    outbox = house.hub.outbox
    assert outbox.idle and not outbox.queued
    al.types("hi")
    assert outbox.queued and not outbox.idle
    batch = outbox.gather()
    assert not outbox.queued and not outbox.idle
    house.hub.commits.stored(house.broker.store(batch))
    assert outbox.idle


def test_what_is_insisted_on_is_gathered_again_first_and_wakes() -> None:
    house = House()
    al, bo, _ = house.enter("Al", "Bo", "Cy")
    al.leave()
    batch = house.hub.outbox.gather()
    bo.types("after")
    house.woken = 0
    house.hub.commits.failed(batch, "no")
    assert house.woken
    assert [draft.nick for draft in house.hub.outbox.gather()] == ["Al", "Bo"]


def test_failure_with_nothing_to_keep_wakes_nobody() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("lost")
    house.woken = 0
    house.fail()
    assert house.woken == 0 and house.hub.outbox.idle


def test_entry_that_is_nobodys_here_is_delivered_all_the_same() -> None:
    """It comes from another server of a cluster, or is of a session that no longer waits."""
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("hi")
    (draft,) = house.hub.outbox.gather()
    (entry,) = house.broker.store([draft])
    house.hub.commits.stored(
        [entry._replace(id="other-1.1", nick="Zed"), entry._replace(room="elsewhere", id="other-1.2")]
    )
    assert al.sees() == bo.sees() == ["Zed: hi"]
    assert not house.hub.outbox.idle


def test_draft_of_nobody_is_stored_or_lost() -> None:
    house = House()
    (al,) = house.enter("Al")
    for outcome, seen in ((house.commit, ["Server: hi"]), (house.fail, [])):
        house.hub.outbox.add(Posting(Draft("lobby", Kind.MESSAGE, "Server", "hi", "boot-0.1")))
        outcome()
        assert al.sees() == seen and house.hub.outbox.idle


# --- what is not sure -----------------------------------------------------------------------------------------------


def test_who_is_told_that_it_is_not_sure_is_told_again_when_it_is_stored() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("perhaps", "two\tlines " + "x" * 100)
    batch = house.hub.outbox.gather()
    house.hub.commits.failed(batch, "nobody answered", False)
    first, second = al.sees()
    assert first == Refusal("not-confirmed", "Not confirmed: nobody answered. It may still appear: perhaps")
    assert isinstance(second, Refusal) and second.text.endswith("xxx…") and bo.sees() == []
    assert house.hub.outbox.idle
    house.hub.commits.stored(house.broker.store(batch))
    assert bo.sees()[0] == "Al: perhaps"
    first, second = al.sees()
    assert first == Notice(("This was sent after all: perhaps",))
    assert isinstance(second, Notice) and second.lines[0].endswith("…") and len(second.lines[0]) < 100


def test_who_went_on_after_a_topic_that_was_not_sure_goes_on_when_it_is_stored() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    for line, number in (("/topic tea", 0), ("/nick Ann", 1)):
        al.types(line)
        batch = house.hub.outbox.gather()
        house.hub.commits.failed(batch, "nobody answered", False)
        house.hub.commits.stored(house.broker.store(batch))
        assert house.hub.session_ready(al.session), line
        al.types(f"hi {number}")
        house.settle()
        assert bo.sees()[-1].endswith(f": hi {number}")  # type: ignore[union-attr]


def test_label_is_told_as_stored_when_that_is_sure_at_last() -> None:
    house = House()
    (al,) = house.enter("Al")
    house.hub.say(al.session, "perhaps", label="x1")
    batch = house.hub.outbox.gather()
    house.hub.commits.failed(batch, "no", False)
    assert [event.label for event in al.sees() if isinstance(event, Refusal)] == ["x1"]
    (entry,) = house.broker.store(batch)
    house.hub.commits.stored([entry])
    assert al.sees()[0] == Acknowledged("x1", entry)


def test_who_left_is_not_told_what_became_of_it() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("perhaps")
    batch = house.hub.outbox.gather()
    house.hub.commits.failed(batch, "no", False)
    al.leave()
    house.settle()
    house.forget()
    house.hub.commits.stored(house.broker.store(batch))
    assert bo.sees() == ["Al: perhaps"] and al.sees() == []


def test_what_is_not_sure_is_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_UNSURE", 2)
    house = House()
    (al,) = house.enter("Al")
    al.types("a", "b", "c")
    batch = house.hub.outbox.gather()
    house.hub.commits.failed(batch, "no", False)
    al.sees()
    house.hub.commits.stored(house.broker.store(batch))
    assert [event for event in al.sees() if isinstance(event, Notice)] == [
        Notice(("This was sent after all: b",)),
        Notice(("This was sent after all: c",)),
    ]


def test_all_that_has_no_outcome_yet_can_be_looked_at() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("one")
    house.hub.outbox.gather()
    al.types("two")
    assert [posting.draft.text for posting in house.hub.outbox] == ["one", "two"]
