"""The stored form of entries: what older versions wrote is read, and every body survives."""

from __future__ import annotations

import pytest

from hubbub.model.codec import body_of, entry_of, record, shown_record, stored, text_of
from hubbub.model.entries import (
    KINDS,
    Body,
    Ephemeral,
    Erased,
    Joined,
    Kicked,
    Kind,
    Left,
    ModeChange,
    ModesChanged,
    NickChanged,
    Redacted,
    RoomRenamed,
    Said,
    TopicSet,
    Unknown,
    kind_of,
)

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
    (Redacted("x.1", "a slip"), ("redact", "x.1 a slip", "")),
    (RoomRenamed("dev", "we build"), ("move", "dev we build", "")),
    (Erased(), ("gone", "", "")),
    (Unknown("poll", "tea or coffee?"), ("poll", "tea or coffee?", "")),
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
    assert body_of("message", "lost", "+a=lost") == (Said("lost"), "+a=lost")


@pytest.mark.parametrize(("id", "quits"), [("x.1", False), ("x.1~0", True), ("x.1-m1~2", True)])
def test_leave_of_all_rooms_at_once_is_a_quit(id: str, quits: bool) -> None:
    assert body_of("leave", "bye", "", id) == (Left("bye", quit=quits), "")


def test_entry_is_a_record_and_back() -> None:
    fields = ("ops", 7, 5, 1.5, "leave", "Al", "bye", "x.1~0", "~nc@x.nc", "bot;lost")
    entry = entry_of(*fields)
    assert record(entry) == fields and entry.kind is Kind.LEAVE
    assert shown_record(entry) == (*fields[:-1], "bot"), "the last tag is hubbub's own"


def test_kind_of_a_newer_version_is_kept_and_not_shown() -> None:
    entry = entry_of("ops", 7, 5, 1.5, "poll", "Al", "tea or coffee?", "x.1")
    assert entry.kind is Kind.UNKNOWN and text_of(entry.body) == ""
    assert record(entry)[4:7] == ("poll", "Al", "tea or coffee?")
    assert shown_record(entry)[4:7] == ("unknown", "Al", "")
