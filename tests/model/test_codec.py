"""The stored form of entries: what older versions wrote is read, and every body survives."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import astuple

from hubbub.model.codec import Record, body_of, entry_of, record, shown_record, stored, text_of
from hubbub.model.entries import (
    KINDS,
    Body,
    Braked,
    Edited,
    Ephemeral,
    Erased,
    HandMoved,
    Joined,
    Kicked,
    Kind,
    Left,
    ModeChange,
    ModesChanged,
    NickChanged,
    Pinned,
    PollClosed,
    Polled,
    Reacted,
    Redacted,
    RoomRenamed,
    Said,
    TopicSet,
    TurnGiven,
    Unknown,
    Unpinned,
    Unreacted,
    Voted,
    kind_of,
)
from hubbub.model.room import modes
from hubbub.model.room.state import RoomState

# The stored kind, text and tags of each body, as versions before typed bodies wrote them.
STORED: list[tuple[Body, tuple[str, str, str]]] = [
    (Said("hi\nthere"), ("message", "hi\nthere", "")),
    (Said("waves", Kind.ACTION), ("action", "waves", "")),
    (Said("beep", Kind.NOTICE), ("notice", "beep", "")),
    (Joined("Al Bo"), ("join", "Al Bo", "")),
    (Left("bye"), ("leave", "bye", "")),
    (Left("bye", lost=True), ("leave", "bye", "lost")),
    (NickChanged("Zoe"), ("rename", "Zoe", "")),
    (TopicSet("tea at 4"), ("topic", "tea at 4", "")),
    (TopicSet(""), ("topic", "", "")),
    (ModesChanged((ModeChange(True, "o", "Bo!~a@b"), ModeChange(False, "k", "*"))), ("mode", "+o-k Bo!~a@b *", "")),
    (ModesChanged((ModeChange(True, "b", "x!*@*"),), 9.0), ("mode", "+b x!*@* until=9", "")),
    (Kicked("Bo"), ("kick", "Bo", "")),
    (Kicked("Bo", "too loud"), ("kick", "Bo too loud", "")),
    (Kicked("Bo", "too loud", user="x-1"), ("kick", "Bo too loud", "kicked=x-1")),
    (Redacted("x.1", "a slip"), ("redact", "x.1 a slip", "")),
    (RoomRenamed("dev", "we build"), ("move", "dev we build", "")),
    (Edited("x.1", "tea at 4\nor 5"), ("edit", "x.1 tea at 4\nor 5", "")),
    (Edited("x.1", "", "x.1 "), ("edit", "x.1 ", "")),
    (Reacted("x.1", "👍"), ("react", "x.1 👍", "")),
    (Unreacted("x.1", "👍"), ("unreact", "x.1 👍", "")),
    (Pinned("x.1", "Al: tea at 4"), ("pin", "x.1 Al: tea at 4", "")),
    (Unpinned("x.1"), ("unpin", "x.1", "")),
    (HandMoved("up", "Bo!~nc@bo.nc"), ("hand", "up Bo!~nc@bo.nc", "")),
    (TurnGiven("Bo!~nc@bo.nc"), ("turn", "Bo!~nc@bo.nc", "")),
    (Braked(60), ("brake", "60", "")),
    (Braked(0, "soon"), ("brake", "soon", "")),
    (Polled("tea?", ("yes", "no")), ("poll", "tea? | yes | no", "")),
    (Voted("x.1", 2, "abc"), ("vote", "x.1 2 abc", "")),
    (PollClosed("x.1"), ("poll-end", "x.1", "")),
    (Unknown("poll", "tea?"), ("poll", "tea?", "")),
    (Unknown("vote", "x.1 two"), ("vote", "x.1 two", "")),
    (Erased(), ("gone", "", "")),
    (Unknown("raffle", "tea or coffee?"), ("raffle", "tea or coffee?", "")),
    (Ephemeral(), ("signal", "", "")),
    (Ephemeral("PRIVMSG", "VERSION 1"), ("signal", "PRIVMSG VERSION 1", "")),
]


@pytest.mark.parametrize(("body", "form"), STORED)
def test_body_is_written_and_read_as_it_was_before_bodies_had_types(body: Body, form: tuple[str, str, str]) -> None:
    assert stored(body, "") == form
    assert body_of(*form) == (body, "")


def test_every_body_has_a_stored_form_and_a_kind() -> None:
    assert {type(body) for body, _ in STORED} == {Said, *KINDS}
    assert set(KINDS) | {Said} == {body for body in Body.__subclasses__() if body.__module__ == Body.__module__}
    assert {kind_of(body) for body, _ in STORED} == set(Kind)


def test_tags_of_the_client_stay_with_the_entry() -> None:
    assert stored(Left("bye", lost=True), "bot") == ("leave", "bye", "bot;lost")
    assert body_of("leave", "bye", "bot;lost", "x.1") == (Left("bye", lost=True), "bot")
    assert body_of("leave", "bye", "bot") == (Left("bye"), "bot")
    assert stored(Left("bye", quit=True, lost=True), "bot") == ("leave", "bye", "bot;quit;lost")
    assert body_of("leave", "bye", "bot;quit", "x.1") == (Left("bye", quit=True), "bot")
    assert body_of("message", "lost", "+a=lost") == (Said("lost"), "+a=lost")
    assert body_of("kick", "Bo", "bot;kicked=x-1") == (Kicked("Bo", user="x-1"), "bot")
    assert body_of("kick", "Bo", "kicked=x-1;bot") == (Kicked("Bo"), "kicked=x-1;bot")


@pytest.mark.parametrize(("id", "quits"), [("x.1", False), ("x.1~0", True), ("x.1-m1~2", True)])
def test_leave_of_all_rooms_at_once_is_a_quit_by_its_id_in_older_logs(id: str, quits: bool) -> None:
    assert body_of("leave", "bye", "", id) == (Left("bye", quit=quits), "")


@pytest.mark.parametrize(
    ("text", "changes", "until"),
    [
        ("+b x!*@* 9", "+b x!*@*", 0.0),
        ("+b x!*@* until=9 until=10", "+b x!*@*", 9.0),
        ("+b x!*@* until=x", "+b x!*@*", 0.0),
        ("+oXv Bo Al", "+ov Bo Al", 0.0),
        ("+i-X", "+i", 0.0),
        ("+o+v Bo Al", "+ov Bo Al", 0.0),
        ("+l", "+l", 0.0),
        ("", "", 0.0),
    ],
)
def test_modes_are_written_again_as_they_were_read(text: str, changes: str, until: float) -> None:
    """Also those with letters that only newer versions know, and with words that no letter takes."""
    body, _ = body_of("mode", text)
    assert isinstance(body, ModesChanged) and (" ".join(modes.write(body.changes)), body.until) == (changes, until)
    assert stored(body, "") == ("mode", text, "")
    assert "X" not in text_of(body) and text_of(body).startswith(changes)


def test_source_of_a_change_of_modes_is_not_shown() -> None:
    entry = entry_of("ops", 7, 5, 1.5, "mode", "Al", "+kX hunter2", "x.1")
    (shown,) = modes.without_secrets([entry])
    assert record(shown).text == shown_record(shown).text == "+k *"


def test_letters_of_a_newer_version_stay_in_the_state_with_those_of_their_entry() -> None:
    entry = entry_of("ops", 7, 5, 1.5, "mode", "Al", "+iX", "x.1")
    assert RoomState("ops", [entry]).snapshot() == [entry]


_texts = st.lists(st.sampled_from([*"+-obvklX 9\n*;", "until=", "Bo", " ", "lost", "bot"]) | st.text(), max_size=8)
_texts = _texts.map("".join)


@given(st.sampled_from([*Kind, "raffle"]), _texts, _texts, st.sampled_from(["x.1", "x.1~0"]))
@example(Kind.LEAVE, "", "lost;bot", "x.1")
@example(Kind.LEAVE, "", "lost;lost", "x.1")
@example(Kind.LEAVE, "", ";lost", "x.1")
@example(Kind.KICK, "Bo ", "", "x.1")
@example(Kind.MODE, "+o", "lost", "x.1")
def test_every_text_is_written_again_as_it_was_read(kind: str, text: str, tags: str, id: str) -> None:
    assume(kind != Kind.EPHEMERAL and (kind != Kind.REDACTED or not text))  # no log has these
    body, left = body_of(kind, text, tags, id)
    assert stored(body, left, id) == (kind, text, tags)


def test_entry_is_a_record_and_back() -> None:
    fields = ("ops", 7, 5, 1.5, "leave", "Al", "bye", "x.1", "~nc@x.nc", "bot;quit;lost")
    entry = entry_of(*fields)
    assert record(entry) == Record(*fields) and entry.kind is Kind.LEAVE
    assert shown_record(entry) == Record(*fields[:-1], "bot"), "the last tags are hubbub's own"


def test_kind_of_a_newer_version_is_kept_and_not_shown() -> None:
    entry = entry_of("ops", 7, 5, 1.5, "raffle", "Al", "tea or coffee?", "x.1")
    assert entry.kind is Kind.UNKNOWN and text_of(entry.body) == ""
    assert astuple(record(entry))[4:7] == ("raffle", "Al", "tea or coffee?")
    assert astuple(shown_record(entry))[4:7] == ("unknown", "Al", "")


def test_choice_of_a_vote_is_not_shown() -> None:
    shown = shown_record(entry_of("ops", 7, 5, 1.5, "vote", "Al", "x.1 2 abc", "x.2"))
    assert (shown.kind, shown.text) == ("vote", "x.1")


def test_brake_without_its_seconds_is_unknown() -> None:
    assert body_of("brake", "") == (Unknown("brake", ""), "")
