"""What was taken back is handed out no more: by no way in which it was still waiting somewhere."""

from __future__ import annotations

import pytest

from doubles import House, Look, Peer, ask_raw
from hubbub.chat import messages
from hubbub.chat.messages import Which
from hubbub.chat.operations.pages import PageAsked
from hubbub.model.entries import Entry, Kind
from hubbub.model.events import HistoryShown, QueryResult
from hubbub.model.messages.redactions import REMEMBERED, Redactions
from hubbub.model.viewer import ASKER
from records import draft_of, entry_of, text_in
from system_queries import Latest

ECHO = Look(echo=True)


def said(house: House, peer: Peer, text: str = "psst") -> str:
    """Say something in the lobby, and return its id."""
    peer.types(text)
    house.settle()
    return house.broker.log[-1].id


def take_back(house: House, peer: Peer, id: str) -> None:
    """Take a message back; questions that were asked before stay open."""
    asked = list(house.broker.questions)
    house.broker.questions.clear()
    messages.redact(peer.session, house.hub.rooms.loaded["lobby"], Which(id=id))
    house.settle()
    house.broker.questions.extend(asked)


def hears(peer: Peer) -> bool:
    return any("psst" in str(one) for one in peer.sees())


@pytest.mark.parametrize("recent", [1, 1 << 20])
def test_reader_from_an_earlier_entry_does_not_get_a_redacted_text(recent: int) -> None:
    house = House(recent=recent)
    al, bo = house.enter("Al", "Bo")
    id = said(house, al)
    said(house, al, "after")
    assert hears(bo)
    take_back(house, al, id)
    watcher = house.connect(ECHO)
    house.hub.rooms.watch(watcher.session, "lobby", 0)
    house.settle()
    assert watcher.sees() == ["+Al", "+Bo", "Al (gone)", "Al: after", f"Al - {id}"]


def test_paused_reader_does_not_get_a_redacted_text() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    id = said(house, al)
    take_back(house, al, id)
    bo.read()
    assert bo.sees() == ["Al (gone)", f"Al - {id}"]


def test_message_redacted_in_the_same_batch_is_shown_to_nobody() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    drafts = [
        draft_of("lobby", Kind.MESSAGE, "Zoe", "psst", "z.1"),
        draft_of("lobby", Kind.REDACT, "Zoe", "z.1", "z.2"),
    ]
    house.commit(house.broker.store(drafts))
    assert not hears(al) and not hears(bo)


def test_page_that_was_read_before_is_shown_without_it() -> None:
    house = House(recent=1)
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    id = said(house, al)
    said(house, al, "after")
    bo.read()
    house.look()
    take_back(house, al, id)
    house.settle()
    assert bo.sees() == ["Al (gone)", "Al: after", f"Al - {id}"]


def test_past_that_waits_for_a_newcomer_is_shown_without_it() -> None:
    house = House()
    (al,) = house.enter("Al")
    id = said(house, al)
    said(house, al, "after")
    (bo,) = (house.connect(),)
    bo.types("Bo")
    house.answer()
    bo.stall()
    house.settle()
    take_back(house, al, id)
    bo.read()
    (past,) = [one for one in bo.sees() if isinstance(one, HistoryShown)]
    assert [text_in(entry) for entry in past.entries] == ["after"]


def test_answers_that_wait_are_shown_without_it() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    id = said(house, al)
    house.forget()
    pages: list[list[Entry]] = []
    bo.session.queue(PageAsked(Latest("lobby", 5, viewer=ASKER), "q"))
    ask_raw(bo.session, Latest("lobby", 5, viewer=ASKER), lambda page: pages.append(list(page.entries)))
    house.look()
    bo.stall()
    house.answer()
    take_back(house, al, id)
    bo.read()
    (answer,) = [one for one in bo.sees() if isinstance(one, QueryResult)]
    assert [entry.kind for entry in answer.page.entries] == [Kind.REDACTED] == [entry.kind for entry in pages[0]]


def test_other_answers_are_as_they_were() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    take_back(house, al, said(house, al))
    said(house, al, "after")
    house.forget()
    bo.types("/history")
    bo.session.queue(PageAsked(Latest("lobby", 5, viewer=ASKER), "q"))
    house.settle()
    past, answer = bo.sees()
    assert isinstance(past, HistoryShown) and isinstance(answer, QueryResult)
    assert [text_in(entry) for entry in past.entries] == [text_in(entry) for entry in answer.page.entries] == ["after"]


def test_so_many_are_remembered() -> None:
    redactions = Redactions()
    for number in range(REMEMBERED + 1):
        redactions.note(entry_of("lobby", 2, 1, 1.0, Kind.REDACT, "Al", f"x.{number}", "y.1"))
    old, new, redact = (
        entry_of("lobby", 1, 0, 1.0, kind, "Al", "psst", id)
        for kind, id in ((Kind.MESSAGE, "x.0"), (Kind.MESSAGE, "x.1"), (Kind.REDACT, "x.1"))
    )
    assert redactions.apply([old]) == [old]
    assert [one.kind for one in redactions.apply([new, redact])] == [Kind.REDACTED, Kind.REDACT]
