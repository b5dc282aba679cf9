"""Corrections, reactions, pins and redactions: their effect on messages and rooms, in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.model.entries import (
    Body,
    Edited,
    Entry,
    Erased,
    HandMoved,
    Kind,
    ModeChange,
    ModesChanged,
    NickChanged,
    Pinned,
    Quote,
    Reacted,
    Redacted,
    Said,
    Unpinned,
    Unreacted,
)
from hubbub.model.messages import reactions
from hubbub.model.messages.overlays import erased, overlaid
from hubbub.model.messages.quotes import with_quotes
from hubbub.model.messages.redactions import REACTIONS, Redactions
from hubbub.model.room.state import MAX_PINS, Pin, RoomState, pin_text
from hubbub.text.tags import clean_tags, join, shown


def entry(body: Body, id: str = "x.1", nick: str = "Ann", tags: str = "", seq: int = 1) -> Entry:
    return Entry("ops", seq, seq - 1, float(seq), nick, id, body, "~nc@ann.nc", tags)


def after(message: Entry, *bodies: Body, nick: str = "Bo") -> Entry:
    for number, body in enumerate(bodies, 2):
        message = overlaid(message, entry(body, f"y.{number}", nick, seq=number))
    return message


TEA = entry(Said("tea at 4"))


def test_a_correction_replaces_the_text_and_keeps_style_and_client_tags() -> None:
    said = entry(Said("waves at 4", Kind.ACTION), tags="+reply=x.0;format=1b.5o;+typing=done")
    now = overlaid(said, entry(Edited("x.1", "waves at 5"), "y.2", tags="format=2i.4o"))
    assert now.body == Said("waves at 5", Kind.ACTION)
    assert now.tags == "+reply=x.0;+typing=done;edited;format=2i.4o"
    assert (now.seq, now.time, now.nick) == (said.seq, said.time, said.nick)
    twice = overlaid(now, entry(Edited("x.1", "waves"), "y.3"))
    assert twice.tags == "+reply=x.0;+typing=done;edited" and twice.body == Said("waves", Kind.ACTION)


@pytest.mark.parametrize(
    "body", [Edited("x.2", "no"), Reacted("x.2", "👍"), Redacted("x.2"), Pinned("x.1", "Ann: tea")]
)
def test_other_messages_stay_as_they_are(body: Body) -> None:
    assert after(TEA, body) is TEA


def test_a_correction_changes_only_messages() -> None:
    pinned = entry(Pinned("x.0", "Ann: tea"))
    assert overlaid(pinned, entry(Edited("x.1", "no"), "y.2")) is pinned


def test_a_redaction_wins_over_all_that_comes_before_and_after_it() -> None:
    gone = after(TEA, Edited("x.1", "coffee"), Reacted("x.1", "👍"), Redacted("x.1"))
    assert gone.body == Erased() and gone.tags == ""
    assert after(gone, Edited("x.1", "late"), Reacted("x.1", "👍")) is gone


@pytest.mark.parametrize("body", [Edited("x.1", "coffee"), Pinned("x.1", "Ann: tea at 4")])
def test_a_redaction_takes_the_text_out_of_corrections_and_pins(body: Body) -> None:
    copy = entry(body, "y.2")
    assert overlaid(copy, entry(Redacted("x.1"), "y.3")).body == Erased()
    assert overlaid(copy, entry(Redacted("x.2"), "y.3")) is copy
    assert erased(entry(Redacted("x.1"))).body == Redacted("x.1")


def test_a_redaction_takes_the_text_out_of_quotes() -> None:
    (answer,) = with_quotes([entry(Said("yes"), "x.2", "Bo", "+reply=x.1")], [TEA])
    assert answer.quote == Quote("Ann", "tea at 4")
    now = overlaid(answer, entry(Redacted("x.1"), "y.3"))
    assert now.quote is None and now.body == Said("yes")


def test_quotes_are_found_among_the_entries_and_before_them() -> None:
    answers = [
        entry(Said("yes"), "x.2", "Bo", "+draft/reply=x.1"),
        entry(Reacted("x.2", "👍"), "x.3"),
        entry(Said("no"), "x.4", "Bo", "+reply=nowhere"),
        entry(Said("plain"), "x.5", "Bo"),
    ]
    shown = with_quotes([TEA, *answers])
    assert [one.quote for one in shown] == [None, Quote("Ann", "tea at 4"), Quote("Bo", "yes"), None, None]
    assert with_quotes([TEA]) == [TEA]


# --- reactions --------------------------------------------------------------------------------------------------------


def test_reactions_are_counted_once_for_each_nick() -> None:
    tags = "+reply=x.0"
    for reaction, nick in (("👍", "Bo"), ("👍", "bo"), ("👍", "Cy"), ('a;b \\c"', "Bo")):
        tags = reactions.add(tags, reaction, nick)
    assert reactions.read(tags) == {"👍": ["Bo", "Cy"], 'a;b \\c"': ["Bo"]}
    assert tags.startswith("+reply=x.0;reactions=") and " " not in tags and tags.count(";") == 1
    tags = reactions.remove(reactions.remove(tags, "👍", "BO"), "👍", "Zoe")
    assert reactions.read(tags) == {"👍": ["Cy"], 'a;b \\c"': ["Bo"]}
    for reaction, nick in (("👍", "Cy"), ('a;b \\c"', "Bo"), ("🎉", "Bo")):
        tags = reactions.remove(tags, reaction, nick)
    assert tags == "+reply=x.0"


@pytest.mark.parametrize("damaged", ["reactions=", "reactions={", "reactions=[1]", "reactions", ""])
def test_damaged_reactions_are_none(damaged: str) -> None:
    assert reactions.read(damaged) == {}


def test_reactions_to_one_message_are_bounded() -> None:
    tags = ""
    for number in range(reactions.MOST):
        tags = reactions.add(tags, f"r{number}", "Bo")
    assert reactions.add(tags, "one more", "Bo") == tags and not reactions.has_room(tags, "one more")
    for number in range(reactions.MOST_NICKS):
        tags = reactions.add(tags, "r0", f"nick{number}")
    assert sum(map(len, reactions.read(tags).values())) == reactions.MOST_NICKS


ACTS = st.one_of(
    st.builds(Edited, st.just("x.1"), st.sampled_from(["a", "b", "c"])),
    st.builds(Reacted, st.just("x.1"), st.sampled_from(["👍", "🎉"])),
    st.builds(Unreacted, st.just("x.1"), st.sampled_from(["👍", "🎉"])),
    st.builds(Redacted, st.just("x.1")),
)


@given(st.lists(st.tuples(ACTS, st.sampled_from(["Bo", "Cy"])), max_size=20), st.integers(0, 20))
def test_a_page_read_in_the_middle_ends_like_one_read_before(acts: list[tuple[Body, str]], read: int) -> None:
    """Changes that an answer from the log contains already are applied to it once more."""
    changes = [entry(body, f"y.{number}", nick, seq=number) for number, (body, nick) in enumerate(acts, 2)]
    noted = Redactions()
    whole = page = TEA
    for number, by in enumerate(changes):
        whole = overlaid(whole, by)
        noted.note(by)
        page = whole if number < read else page
    (shown,) = noted.apply([page])
    assert shown.body == whole.body and by_reaction(shown) == by_reaction(whole)


def by_reaction(message: Entry) -> dict[str, set[str]]:
    return {reaction: set(nicks) for reaction, nicks in reactions.read(message.tags).items()}


def test_changes_of_one_message_are_remembered_up_to_a_bound() -> None:
    noted = Redactions()
    noted.note(entry(Edited("x.1", "coffee"), "y.1"))
    for number in range(3 * REACTIONS):
        noted.note(entry(Reacted("x.1", "👍"), f"z.{number}", f"nick{number}"))
    (shown,) = noted.apply([TEA])
    assert shown.body == Said("coffee") and 0 < len(reactions.read(shown.tags)["👍"]) <= REACTIONS + 1


# --- pins -------------------------------------------------------------------------------------------------------------


def room(*bodies: Body) -> RoomState:
    return RoomState("ops", [entry(body, f"y.{number}", "Bo", seq=number) for number, body in enumerate(bodies, 1)])


def test_pins_are_a_part_of_the_state_and_of_its_snapshot() -> None:
    state = room(Pinned("x.1", "Ann: tea"), Pinned("x.2", "Ann: cake"), Unpinned("x.1"), Unpinned("x.9"))
    assert state.pins == {"x.2": Pin("Ann: cake", "Bo")}
    assert RoomState("ops", state.snapshot()).pins == state.pins


def test_a_pin_has_the_corrected_text_and_ends_with_a_redaction() -> None:
    state = room(Pinned("x.1", pin_text("Ann", "tea")), Edited("x.1", "tea at 4"), Edited("x.2", "cake"))
    assert state.pins == {"x.1": Pin("Ann: tea at 4", "Bo")}
    assert RoomState("ops", state.snapshot()).pins == state.pins
    assert state.apply(entry(Redacted("x.1"), "y.9", seq=9))
    assert not state.pins and state.snapshot() == []


def test_a_pin_that_comes_after_the_redaction_has_no_effect() -> None:
    state = room(Redacted("x.1"), Pinned("x.1", "Ann: tea"), Pinned("x.2", "Ann: cake"))
    assert list(state.pins) == ["x.2"]


def test_the_oldest_pin_is_dropped_beyond_the_bound() -> None:
    state = room(*(Pinned(f"x.{number}", "Ann: tea") for number in range(MAX_PINS + 1)), Pinned("x.3", "Ann: tea"))
    assert list(state.pins) == [*(f"x.{number}" for number in (1, 2, *range(4, MAX_PINS + 1))), "x.3"]
    assert len(state.snapshot()) == MAX_PINS


def test_no_client_can_send_the_tags_of_the_server() -> None:
    own = join("edited", "reactions={}", "+reply=x.1")
    assert shown(own) == "+reply=x.1" and clean_tags("reactions={}") == ""


def test_a_hand_that_is_up_keeps_its_place() -> None:
    ann, bo = HandMoved("up", "Ann!~nc@ann.nc"), HandMoved("up", "Bo!~nc@bo.nc")
    state = room(ann, bo)
    assert not state.apply(entry(ann, "y.9", seq=9))
    assert [nick for nick, _ in state.hands] == ["ann", "bo"]


def test_a_hand_ends_with_a_name_that_has_a_voice() -> None:
    host = "~nc@ann.nc"
    bodies = [
        HandMoved("up", f"Bo!{host}"),
        ModesChanged((ModeChange(True, "v", f"Cy!{host}"),)),
        NickChanged("Cy"),
    ]
    state = RoomState("ops", [entry(body, f"y.{number}", "Bo", seq=number) for number, body in enumerate(bodies, 1)])
    assert not state.hands and state.rights[("cy", host)] == "v"
