"""Acts on messages that were said: answers, corrections, reactions and pins, as the people in a room see them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from doubles import NOON, Peer, refusing
from hubbub.chat import messages
from hubbub.chat.messages import Which
from hubbub.chat.pipeline import after_all
from hubbub.errors import Refused
from hubbub.model.entries import Edited, Entry, Kind, Said
from hubbub.model.events import HistoryShown, Notice, PinnedMessage, ReactionsAdded, Refusal, RoomEntered
from hubbub.model.messages import reactions
from hubbub.text.bounds import MESSAGE_BYTES
from hubbub.text.tags import reply_to
from hubbub.wire.line import encoder as line
from ops_room import ops, typed
from records import text_in


def told(peer: Peer) -> str:
    seen = peer.sees()
    refusals = [one.code for one in seen if isinstance(one, Refusal)]
    assert len(refusals) == 1, seen
    return refusals[0]


@pytest.mark.parametrize(
    ("typo", "typed_next", "shown"),
    [
        ("I pay chess", "s/pay/play/", "I play chess"),
        ("I pay chess", "s/pay/play", "I play chess"),
        ("aa a", "s/a/b/", "ba a"),
        ("aa a", "s/a/b/g", "bb b"),
        ("1/2 done", r"s/1\/2/all/", "all done"),
        ("so so", "s/ so//", "so"),
        ("I pay", "/fix I play", "I play"),
        ("/me pays", "s/pay/play/", "plays"),
    ],
)
def test_author_corrects_the_last_message(typo: str, typed_next: str, shown: str) -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, typo, typed_next)
    assert bo.sees()[-1] == f"Al corrects: {shown}" == al.sees()[-1]
    typed(house, bo, "/history 5")
    (past,) = [one for one in bo.sees() if isinstance(one, HistoryShown)]
    assert [text_in(one) for one in past.entries] == [shown]
    assert house.hub.rooms.loaded["ops"].latest[-1].body == Said(
        shown, Kind.ACTION if typo.startswith("/me") else Kind.MESSAGE
    )


@pytest.mark.parametrize("said", ["s/tea/cake/", "s/old/new", "s/a", "s//x/", "s/a/b/c", "as/a/b/", "s/a/b/ and more"])
def test_line_that_corrects_nothing_is_a_message(said: str) -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "tea")
    typed(house, al, said, "a new subject", said)
    assert bo.sees() == [f"Al: {said}", "Al: a new subject", f"Al: {said}"]


def test_correction_of_a_message_that_is_too_old_is_refused() -> None:
    house, (al, bo) = ops("Al", "Bo", edit_minutes=15)
    typed(house, al, "tea")
    house.now += 15 * 60
    typed(house, al, "/fix tea at 4")
    assert bo.sees() == ["Al: tea", "Al corrects: tea at 4"]
    house.now += 1
    house.forget()
    typed(house, al, "/fix tea at 5", "s/4/5/")
    assert told(al) == "too-late" and bo.sees() == ["Al: s/4/5/"]


def test_somebody_who_may_not_speak_does_not_learn_whether_a_correction_comes_too_late() -> None:
    house, (al, bo) = ops("Al", "Bo", edit_minutes=15)
    typed(house, bo, "tea")
    typed(house, al, "/mute Bo yes")
    for late in (0, 15 * 60 + 1):
        house.now += late
        bo.seen.clear()
        typed(house, bo, "/fix tea at 4")
        assert told(bo) == "muted"


def test_correction_needs_a_visible_text() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "tea", "s/tea/ /", "/fix  ")
    assert bo.sees() == ["Al: tea"]
    assert [one.code for one in al.sees() if isinstance(one, Refusal)] == ["no-text", "argument-missing"]


def test_substitution_does_not_make_a_message_too_long() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "a" * 10_000, "s/a/bbb/g")
    assert told(al) == "text-too-long"


def test_text_of_a_correction_has_the_bound_of_a_message() -> None:
    house, (al, bo) = ops("Al", "Bo")
    half = "é" * (MESSAGE_BYTES // 2)
    typed(house, al, "tea", f"s/tea/{half}/", "s/é/éé/")
    assert told(al) == "text-too-long" and bo.sees() == ["Al: tea", f"Al corrects: {half}"]


def test_nobody_corrects_the_message_of_somebody_else() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "tea")
    refused: list[str] = []
    room = house.hub.rooms.loaded["ops"]
    id = house.broker.of("ops")[-1].id
    told = refusing(al.session, lambda one: refused.append(one.code))
    messages.correct(al.session, room, Which(id=id), "cake", refused=told)
    messages.correct(al.session, room, Which(id="x.1"), "cake", refused=told)
    house.settle()
    assert refused == ["not-yours", "no-such-message"]


@pytest.mark.parametrize("silence", ["/mute Bo yes", "/set moderated on"])
@pytest.mark.parametrize("act", ["/fix spam", "s/tea/spam/", "/+ 👍"])
def test_silenced_member_neither_corrects_nor_reacts(silence: str, act: str) -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "tea")
    typed(house, al, "cake", silence)
    house.forget()
    stored = len(house.broker.log)
    typed(house, bo, act)
    assert told(bo) in ("muted", "moderated") and len(house.broker.log) == stored


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("/re yes", 'Al (re Cy: "cake, with cream and…"): yes'),
        ("/re Bo yes", 'Al (re Bo: "tea"): yes'),
        ("/re @bo: yes please", 'Al (re Bo: "tea"): yes please'),
        ("/re Bo", 'Al (re Cy: "cake, with cream and…"): Bo'),
        ("/re yes or no", 'Al (re Cy: "cake, with cream and…"): yes or no'),
        ("/re #{0} yes", 'Al (re Bo: "tea"): yes'),
        ("/reply yes", 'Al (re Cy: "cake, with cream and…"): yes'),
    ],
)
def test_answer_names_the_message(answer: str, shown: str) -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, bo, "tea")
    seq = house.broker.log[-1].seq
    typed(house, cy, "cake, with cream and cherries")
    typed(house, al, "biscuits")
    house.forget()
    typed(house, al, answer.format(seq))
    assert bo.sees() == cy.sees() == [shown]
    assert reply_to(house.broker.log[-1].tags)


def test_answer_to_a_message_that_is_not_there_is_refused() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "/re yes")
    assert told(al) == "no-such-message"
    typed(house, al, "/re #99999 yes")
    assert told(al) == "no-such-message"


def test_answer_to_a_redacted_message_quotes_nothing() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "psst")
    typed(house, al, "/re what?")
    typed(house, bo, "/delete")
    house.forget()
    typed(house, al, "/history 5")
    (past,) = [one for one in al.sees() if isinstance(one, HistoryShown)]
    assert line._past(past).endswith("Al (re an earlier message): what?") and "psst" not in str(past)
    watcher = house.connect(line.RAW)  # type: ignore[arg-type]
    house.hub.rooms.watch(watcher.session, "ops", 0)
    house.settle()
    assert "psst" not in str(watcher.sees())


# --- reactions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "reaction"), [("/+", "👍"), ("/+1", "👍"), ("/+ 1", "👍"), ("/+ 🎉 Al", "🎉"), ("/react tea", "tea")]
)
def test_reaction_is_shown_to_its_author_and_to_that_of_the_message(act: str, reaction: str) -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, al, "tea at four, or rather later?")
    house.forget()
    typed(house, bo, act)
    assert bo.sees() == [f'*** Bo reacts with {reaction} (re Al: "tea at four, or rath…") ***']
    assert al.sees() == [ReactionsAdded("ops", "tea at four, or rather later?", reaction, ("Bo",))]
    assert cy.sees() == []
    typed(house, cy, "/history 1")
    (past,) = [one for one in cy.sees() if isinstance(one, HistoryShown)]
    assert line._past(past).endswith(f"Al: tea at four, or rather later? [{reaction} 1]")
    typed(house, bo, act.replace("/+1", "/-1").replace("/+", "/-").replace("/react", "/unreact"))
    typed(house, cy, "/history 1")
    assert line._past(cy.sees()[-1]).endswith("later?")  # type: ignore[arg-type]


def test_author_is_told_of_many_reactions_in_few_lines() -> None:
    house, people = ops("Al", *(f"Bo{number}" for number in range(9)))
    al, *others = people
    waiting: list[object] = []
    house.hub.later = lambda seconds, call: waiting.append((seconds, call))
    typed(house, al, "tea")
    house.forget()
    for one in others:
        typed(house, one, "/+1")
    typed(house, al, "/+ 🎉 Al")
    typed(house, others[0], "/+ 🎉 Al")
    assert [one for one in al.sees() if isinstance(one, ReactionsAdded)] == [
        ReactionsAdded("ops", "tea", "👍", ("Bo0",))
    ]
    ((seconds, call),) = waiting
    assert seconds == 5.0
    waiting.clear()
    call()  # type: ignore[operator]
    (event,) = al.sees()
    assert event == ReactionsAdded("ops", "tea", "👍 🎉", (*(f"Bo{number}" for number in range(1, 9)), "Bo0"))
    shown = line.render(event, "\n")  # type: ignore[arg-type]
    assert shown.decode() == '*** Bo1 and 8 others reacted with 👍 🎉 to "tea" ***\n'
    waiting.pop()[1]()  # type: ignore[index]
    assert al.sees() == [] and waiting == []
    typed(house, others[1], "/+ 🎉 Al")
    assert al.sees() == [ReactionsAdded("ops", "tea", "🎉", ("Bo1",))]


def test_paused_author_and_one_who_has_gone_are_told_nothing() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "tea")
    house.forget()
    al.stall()
    typed(house, bo, "/+1")
    al.read()
    assert not [one for one in al.sees() if isinstance(one, ReactionsAdded)]
    typed(house, al, "/quit")
    typed(house, bo, "/+ 🎉 Al")
    assert house.broker.log[-1].kind is Kind.REACT


def test_reaction_is_visible_and_short() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "tea")
    typed(house, bo, f"/+ {'👍' * 40}")
    assert text_in(house.broker.log[-1]).split(" ")[1] == "👍" * 16
    refused: list[str] = []
    room = house.hub.rooms.loaded["ops"]
    told = refusing(bo.session, lambda one: refused.append(one.code))
    messages.react(bo.session, room, Which(), "\u200b", True, refused=told)
    house.settle()
    assert refused == ["bad-value"]


def test_message_has_a_bounded_number_of_reactions() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "tea")
    for number in range(20):
        typed(house, bo, f"/+ r{number}")
    house.forget()
    typed(house, bo, "/+ more")
    assert told(bo) == "bad-value"


# --- pins -------------------------------------------------------------------------------------------------------------


def test_operator_pins_a_message_and_newcomers_are_shown_it() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, bo, "tea at 4")
    typed(house, al, "I agree", "/pin Bo", "/pin")
    assert bo.sees()[-2:] == [
        "*** Al has pinned a message of Bo: tea at 4 ***",
        "*** Al has pinned a message of Al: I agree ***",
    ]
    (cy,) = house.enter("Cy", look=line.RAW)  # type: ignore[arg-type]
    typed(house, cy, "/join ops")
    entered = next(one for one in cy.sees() if isinstance(one, RoomEntered))
    assert [(pin.text, pin.by) for pin in entered.pins] == [("Bo: tea at 4", "Al"), ("Al: I agree", "Al")]
    house.forget()
    typed(house, bo, "/pins")
    assert bo.sees()[0] == Notice(("1. Al: I agree", "2. Bo: tea at 4"))
    typed(house, al, "/unpin 3", "/unpin x", "/unpin 2", "/unpin", "/unpin", "/pins")
    codes = [one.code for one in al.sees() if isinstance(one, Refusal)]
    assert codes == ["no-such-message"] * 3
    assert not house.hub.rooms.loaded["ops"].pins


@pytest.mark.parametrize("line", ["/fix pssst", "/pin Bo"])
def test_text_of_a_message_that_is_deleted_at_the_same_time_is_not_shown_again(line: str) -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    typed(house, bo, "psst")
    other, deleting = (al, bo) if line.startswith("/pin") else (bo, al)
    house.forget()
    deleting.types("/delete Bo")
    other.types(line)
    house.look()
    house.broker.questions.popleft().answer()
    deletion = house.broker.store(house.gather())  # its outcome is still to come
    house.answer()
    house.commit(deletion)
    house.settle()
    assert cy.sees() == [f"*** {deleting.session.nick} has deleted a message ***"]
    assert not house.hub.rooms.loaded["ops"].pins
    typed(house, cy, "/history")
    assert "pss" not in str(cy.sees())


def test_members_do_not_pin() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "tea")
    house.forget()
    typed(house, bo, "/pin")
    assert told(bo) == "not-operator"
    typed(house, al, "/pin")
    house.forget()
    typed(house, bo, "/unpin")
    assert told(bo) == "not-operator"


def test_terminal_shows_the_newest_pins() -> None:
    pins = [PinnedMessage(f"x.{number}", f"Bo: {number}", "Al") for number in range(5)]
    shown = line.render(RoomEntered("ops", 7, "tea", False, pins=pins), "\n")
    assert shown.decode() == (
        "*** You are in ops ***\n*** Topic: tea ***\n*** Pinned: Bo: 2 ***\n*** Pinned: Bo: 3 ***\n"
        "*** Pinned: Bo: 4 ***\n*** /pins shows all pinned messages ***\n"
    )


def test_unconfirmed_correction_is_told_when_it_is_stored_after_all() -> None:
    entry = Entry("ops", 9, 8, NOON, "Al", "x.9", Edited("x.1", "tea"))
    assert after_all(entry) == "Your message was corrected after all"


def test_message_is_corrected_by_its_number() -> None:
    house, (al, bo) = ops("Al", "Bo")
    typed(house, al, "tea")
    seq = house.broker.log[-1].seq
    typed(house, al, "cake", f"/fix #{seq} tea at 4")
    assert bo.sees()[-1] == "Al corrects: tea at 4"
    assert [text_in(one) for one in house.hub.rooms.loaded["ops"].latest] == ["tea at 4", "cake"]


def test_message_that_is_not_pinned_cannot_be_unpinned_by_its_id() -> None:
    house, (al, _) = ops("Al", "Bo")
    with pytest.raises(Refused) as refused:
        messages.unpin(house.hub, al.session, house.hub.rooms.loaded["ops"], "x.9")
    assert refused.value.code == "no-such-message"


def test_room_that_is_on_the_screen_already_becomes_the_current_one() -> None:
    house, (al, _) = ops("Al", "Bo")
    room = house.hub.rooms.loaded["ops"]
    house.hub.rooms.focus(al.session, house.hub.rooms.loaded["lobby"].id)
    house.hub.rooms._enter(al.session, room, None)
    assert al.session.current == room.id


def test_substitution_that_would_make_a_huge_text_is_refused_before_the_text_is_made() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "a" * 16_000)
    tracemalloc.start()
    typed(house, al, f"s/a/{'b' * 16_000}/g")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told(al) == "text-too-long" and peak < 10_000_000


def test_waiting_notice_of_a_reaction_shows_no_text_that_was_deleted() -> None:
    house, (al, bo, cy) = ops("Al", "Bo", "Cy")
    waiting: list[Callable[[], None]] = []
    house.hub.later = lambda seconds, call: waiting.append(call)
    typed(house, al, "psst")
    typed(house, bo, "/+1")
    typed(house, cy, "/+1")
    house.forget()
    typed(house, al, "/delete")
    waiting.pop()()
    assert not [one for one in al.sees() if isinstance(one, ReactionsAdded)]


def test_reaction_reaches_a_message_in_memory_that_is_not_among_the_newest_or_in_no_batch() -> None:
    house, (al, bo) = ops("Al", "Bo", history=1)
    typed(house, al, "tea", "cake")
    room = house.hub.rooms.loaded["ops"]
    tea, cake = (one for one in house.broker.of("ops") if one.kind is Kind.MESSAGE)
    for one in (tea, cake):
        messages.react(bo.session, room, Which(id=one.id), "x", True)
        house.settle()
        room.recent_batches.pop(cake.prev, None)
    (batch,) = [batch for batch in room.recent_batches.values() if any(one.id == tea.id for one in batch.entries)]
    assert reactions.read(batch.entries[0].tags) == {"x": ["Bo"]} == reactions.read(room.latest[-1].tags)
