"""Corrections, answers, reactions and pins as IRC lines, for clients with and without message tags."""

from __future__ import annotations

import pytest
from msgspec import structs

from hubbub.model.entries import (
    Body,
    Braked,
    Edited,
    Entry,
    HandMoved,
    Kind,
    Pinned,
    PollClosed,
    Polled,
    Quote,
    Reacted,
    Said,
    TurnGiven,
    Unpinned,
    Unreacted,
    Voted,
)
from hubbub.wire.irc.encoder import form_of

PLAIN, TAGS = form_of(frozenset()), form_of(frozenset({"message-tags"}))
ECHO = form_of(frozenset({"message-tags", "echo-message"}))
ANN = ":Ann!~nc@ann.nc"


def entry(body: Body, tags: str = "", quote: Quote | None = None) -> Entry:
    return Entry("ops", 7, 5, 1.0, "Ann", "x.7", body, "~nc@ann.nc", tags, quote=quote)


def lines(form: object, one: Entry) -> list[str]:
    return form.encode(one).decode().split("\r\n")[:-1]  # type: ignore[attr-defined]


def test_correction_is_a_message_with_a_star_that_answers_the_corrected_one() -> None:
    corrected = entry(Edited("x.1", "tea at 5\nor 6"), "format=1b.2o")
    assert lines(PLAIN, corrected) == [f"{ANN} PRIVMSG #ops :* tea at 5", f"{ANN} PRIVMSG #ops :or 6"]
    assert lines(TAGS, entry(Edited("x.1", "tea"))) == [f"@msgid=x.7;+reply=x.1 {ANN} PRIVMSG #ops :* tea"]


@pytest.mark.parametrize(("text", "plain"), [("yes", "Bo: yes"), ("bo: yes", "bo: yes"), ("yes\nno", "Bo: yes|Bo: no")])
def test_answer_names_its_addressee_where_the_tag_is_not_shown(text: str, plain: str) -> None:
    answer = entry(Said(text), "+reply=x.1", Quote("Bo", "tea"))
    assert lines(PLAIN, answer) == [f"{ANN} PRIVMSG #ops :{one}" for one in plain.split("|")]
    assert lines(TAGS, answer)[0] == f"@msgid=x.7;+reply=x.1 {ANN} PRIVMSG #ops :{text.split(chr(10))[0]}"


def test_reaction_is_a_message_of_tags() -> None:
    assert lines(PLAIN, entry(Reacted("x.1", "👍"))) == []
    assert lines(TAGS, entry(Reacted("x 1", "👍"))) == [f"@msgid=x.7;+reply=x\\s1;+draft/react=👍 {ANN} TAGMSG #ops"]
    back = entry(Unreacted("x.1", "👍"), "+draft/reply=x.1;+typing=done")
    expected = f"@msgid=x.7;+draft/reply=x.1;+typing=done;+draft/unreact=👍 {ANN} TAGMSG #ops"
    assert lines(TAGS, back) == [expected]


@pytest.mark.parametrize("body", [Edited("x.1", "tea"), Reacted("x.1", "👍"), Unreacted("x.1", "👍"), Said("tea")])
def test_author_is_shown_these_with_echo_message_only(body: Body) -> None:
    assert TAGS.encode_own(entry(body)) == b"" and ECHO.encode_own(entry(body)) == ECHO.encode(entry(body)) != b""


def test_pin_is_a_notice_and_a_turn_a_mode() -> None:
    assert lines(PLAIN, entry(Pinned("x.1", "Bo: tea"))) == ["NOTICE #ops :Ann has pinned a message of Bo: tea"]
    assert lines(PLAIN, entry(Unpinned("x.1"))) == ["NOTICE #ops :Ann has taken a pin away"]
    assert lines(PLAIN, entry(HandMoved("up", "Ann!~nc@ann.nc"))) == []
    assert lines(PLAIN, entry(HandMoved("spoken", "Ann!~nc@ann.nc"))) == [f"{ANN} MODE #ops -v Ann"]
    told = "Too many messages came at once: for 60 s, only people chosen by the operators can speak here"
    assert lines(PLAIN, entry(Braked(60))) == [f"NOTICE #ops :{told}"]
    assert lines(PLAIN, entry(TurnGiven("Bo!~nc@bo.nc"))) == [f"{ANN} MODE #ops +v Bo"]
    poll = "Ann asks: tea? 1) yes 2) no (type !vote and a number)"
    assert lines(PLAIN, entry(Polled("tea?", ("yes", "no")))) == [f"NOTICE #ops :{poll}"]
    old = structs.replace(entry(Polled("tea?", ("yes", "no"))), tags="votes=abcdefghij.;closed")
    assert lines(PLAIN, old) == ["NOTICE #ops :Ann asks: tea? 1) yes 2) no [yes 1, no 0] (closed)"]
    assert PLAIN.lines(old, clock="[10:32] ")[0].startswith(b"NOTICE #ops :[10:32] Ann asks: tea? ")
    assert lines(PLAIN, entry(Voted("x.1", 1, "abcdefghij"))) == []
    assert lines(PLAIN, entry(PollClosed("x.1"))) == ["NOTICE #ops :Ann ends a poll"]
    ended = structs.replace(entry(PollClosed("x.1")), quote=Quote("Ann", "tea? yes 1, no 0"))
    assert lines(PLAIN, ended) == ["NOTICE #ops :Ann ends a poll: tea? yes 1, no 0"]
    assert Kind.PIN == entry(Pinned("x.1", "Bo: tea")).kind


def test_poll_with_its_votes_is_cut_into_notices_with_the_same_time() -> None:
    many = tuple(f"the answer {number} of ten" for number in range(10))
    poll = structs.replace(entry(Polled("Which of them?" * 5, many)), tags=f"votes={'abcdefghij' * 3}")
    first, second = form_of(frozenset({"server-time", "message-tags"})).lines(poll, "b1")
    assert first.startswith(b"@batch=b1;time=1970-01-01T00:00:01.000Z;msgid=x.7 NOTICE #ops :Ann asks: Which")
    assert second.startswith(b"@batch=b1;time=1970-01-01T00:00:01.000Z NOTICE #ops :")
    assert second.endswith(b" answer 9 of ten 0] (type !vote and a number)\r\n")
