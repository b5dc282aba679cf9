import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from hubbub.model.client import Encoder
from hubbub.model.entries import (
    KINDS,
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
    Redacted,
    Said,
    TurnGiven,
    Unpinned,
    Unreacted,
    Voted,
)
from hubbub.model.events import (
    Acknowledged,
    Clock,
    Event,
    Goodbye,
    HistoryShown,
    Invited,
    Knocked,
    LoggedIn,
    MembersListed,
    Mentioned,
    Missed,
    NickAssigned,
    Notice,
    OpenPoll,
    PollCounted,
    Private,
    PrivateShown,
    QueryResult,
    ReactionsAdded,
    Refusal,
    RoomEntered,
    RoomExited,
    RoomNameChanged,
    RoomsListed,
    RoomSummary,
)
from hubbub.model.queries import LogPage
from hubbub.wire.line.encoder import ENTRIES, EVENTS, PROMPT, RAW, TELNET, encode, render, stamped
from records import entry_of

NOW = datetime(2026, 11, 24, 9, 15, 30, tzinfo=UTC).timestamp()


def entry(kind: Kind | str, text: str = "", room: str = "lobby", at: float = NOW) -> Entry:
    return entry_of(room, 7, 3, at, kind, "Alice", text, "x1.1")


@pytest.fixture(autouse=True)
def greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the system's clock show UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


SHOWN = [
    (Kind.MESSAGE, "hi", "lobby", "Alice: hi"),
    (Kind.MESSAGE, "naïve 漢字", "lobby", "Alice: naïve 漢字"),
    (
        Kind.MESSAGE,
        "one\ntwo\n\n*** Bob has left the chat ***",
        "lobby",
        "Alice: one|Alice: two|Alice: |Alice: *** Bob has left the chat ***",
    ),
    (Kind.ACTION, "waves", "lobby", "* Alice waves"),
    (Kind.ACTION, "waves\n*** forged ***", "lobby", "* Alice waves|* Alice *** forged ***"),
    (Kind.NOTICE, "tea\n*** forged ***", "lobby", "-Alice- tea|-Alice- *** forged ***"),
    (Kind.MODE, "+o Bo!~nc@x.nc", "lobby", "*** Alice has made Bo an operator ***"),
    (Kind.KICK, "Bo", "lobby", "*** Alice has kicked Bo ***"),
    (Kind.KICK, "Bo too loud", "lobby", "*** Alice has kicked Bo (too loud) ***"),
    (Kind.ROOM_RENAMED, "dev why not", "ops", "*** Alice has renamed ops: it is dev now ***"),
    (Kind.REDACT, "x.1 rude", "lobby", "*** Alice has deleted a message ***"),
    (Kind.JOIN, "", "lobby", "*** Alice has joined the chat ***"),
    (Kind.JOIN, "", "ops", "*** Alice has joined ops ***"),
    (Kind.LEAVE, "", "lobby", "*** Alice has left the chat ***"),
    (Kind.LEAVE, "bye", "lobby", "*** Alice has left the chat (bye) ***"),
    (Kind.LEAVE, "", "ops", "*** Alice has left ops ***"),
    (Kind.RENAME, "Bob", "lobby", "*** Alice is now Bob ***"),
    (Kind.TOPIC, "tea", "lobby", "*** Alice set the topic: tea ***"),
    (Kind.TOPIC, "", "lobby", "*** Alice removed the topic ***"),
]


@pytest.mark.parametrize(("kind", "text", "room", "lines"), SHOWN)
@pytest.mark.parametrize(
    ("form", "end", "prefixed"),
    [
        (RAW, "\n", False),
        (TELNET, "\r\n", False),
        (RAW.for_other_room, "\n", True),
        (TELNET.for_other_room, "\r\n", True),
    ],
)
def test_entry(kind: Kind, text: str, room: str, lines: str, form: Encoder, end: str, prefixed: bool) -> None:
    prefix = f"[{room}] " if prefixed else ""
    expected = "".join(prefix + line + end for line in lines.split("|"))
    assert form.encode(entry(kind, text, room)) == expected.encode()


def test_every_kind_and_every_event_is_shown() -> None:
    assert set(ENTRIES) == {Said, *KINDS}
    assert set(EVENTS) == set(Event.__args__)


def test_form_for_other_rooms_is_one_and_its_own() -> None:
    for form in (RAW, TELNET):
        assert form.for_other_room is form.for_other_room.for_other_room is not form
        assert not form.echo and not form.for_other_room.echo


def test_skipped() -> None:
    assert RAW.encode_skipped("ops", 12) == b"*** 12 messages skipped; /history shows the latest ***\n"
    assert (
        TELNET.for_other_room.encode_skipped("ops", 12)
        == b"[ops] *** 12 messages skipped; /history shows the latest ***\r\n"
    )


def test_prompt_has_no_end() -> None:
    assert PROMPT == "Enter your name: "


def test_what_cannot_be_encoded_is_replaced() -> None:
    assert encode("a\ud800b", "\n") == b"a?b\n"


@pytest.mark.parametrize(
    ("age", "stamp"),
    [
        (timedelta(0), "[09:15] "),
        (timedelta(hours=9), "[00:15] "),
        (timedelta(hours=10), "[2026-11-23 23:15] "),
        (timedelta(days=365), "[2025-11-24 09:15] "),
    ],
)
def test_time_is_in_front_with_the_date_of_another_day(age: timedelta, stamp: str) -> None:
    old = entry(Kind.MESSAGE, "one\ntwo", at=NOW - age.total_seconds())
    assert stamped(old, NOW, UTC) == f"{stamp}Alice: one\n{stamp}Alice: two"


def test_day_is_that_of_the_clock_on_the_wall() -> None:
    old = entry(Kind.ACTION, "waves", at=NOW - 10 * 3600)
    assert stamped(old, NOW, timezone(timedelta(hours=2))) == "[01:15] * Alice waves"


def test_entry_that_no_terminal_shows_has_a_line_in_a_print_of_the_log() -> None:
    gone, newer = entry(Kind.REDACTED, "", at=NOW), entry("raffle", "tea?", at=NOW)
    assert RAW.encode(gone) == RAW.encode(newer) == b""
    assert stamped(gone, NOW, UTC).endswith("*** A message by Alice was deleted ***")
    assert stamped(newer, NOW, UTC).endswith("*** A newer version of hubbub wrote an entry here ***")


def acted(body: Body, to: str = "") -> Private:
    return Private("Alice", "a", Entry("@Bob", 5, 0, NOW, "Alice", "x.2", body), "alice", to)


def past(*texts: str, tail: tuple[str, ...] = ()) -> HistoryShown:
    return HistoryShown([entry(Kind.MESSAGE, text) for text in texts], NOW, tail)


EVENTS_SHOWN: list[tuple[Event, str]] = [
    (Notice(("You are in ops",)), "*** You are in ops ***\n"),
    (Notice(("/help  help", "/quit  quit")), "/help  help\n/quit  quit\n"),
    (Refusal("name-taken", "The name Alice is taken."), "The name Alice is taken.\n"),
    (Private("Alice", "psst"), "Alice (private): psst\n"),
    (Private("Alice", "a\nb", to="Bob"), "Alice -> Bob (private): a\nAlice -> Bob (private): b\n"),
    (acted(Redacted("x.1"), "Bob"), "*** Alice has deleted a private message ***\n"),
    (acted(Edited("x.1", "a\nb"), "Bob"), "Alice -> Bob corrects (private): a\nAlice -> Bob corrects (private): b\n"),
    (acted(Edited("x.1", "tea")), "Alice corrects (private): tea\n"),
    (acted(Reacted("x.1", "👍")), "*** Alice reacts with 👍 to a private message ***\n"),
    (acted(Unreacted("x.1", "👍")), "*** Alice takes back 👍 from a private message ***\n"),
    (past("a", "b"), "[09:15] Alice: a\n[09:15] Alice: b\n"),
    (RoomEntered("ops", 7, "tea", False), "*** You are in ops ***\n*** Topic: tea ***\n"),
    (RoomEntered("ops", 7, "", False), "*** You are in ops ***\n"),
    (
        RoomEntered("ops", 7, "tea", False, operator=True),
        "*** You are in ops ***\n*** You are an operator of ops. /help operators lists what you can do ***\n"
        "*** Topic: tea ***\n",
    ),
    (RoomEntered("lobby", 7, "tea", True), "*** Topic: tea ***\n"),
    (RoomEntered("lobby", 7, "", True), ""),
    (
        RoomEntered("ops", 7, "tea", False, current="lobby"),
        "*** You are also in ops. Type /join ops to speak there ***\n",
    ),
    (
        HistoryShown([entry(Kind.MESSAGE, "a\nb")], NOW, elsewhere=True),
        "[lobby] [09:15] Alice: a\n[lobby] [09:15] Alice: b\n",
    ),
    (RoomExited("ops", ""), "*** You have left ops ***\n"),
    (RoomExited("ops", "lobby"), "*** You have left ops and are in lobby ***\n"),
    (NickAssigned("Max"), "*** You are Max now ***\n"),
    (LoggedIn("Max"), "*** You are logged in as Max ***\n"),
    (Acknowledged("m1", entry_of("ops", 7, 5, 0.0, Kind.MESSAGE, "Al", "hi", "x.1-m1")), ""),
    (QueryResult("h", LogPage([])), ""),
    (past("a", tail=("There is more",)), "[09:15] Alice: a\n*** There is more ***\n"),
    (MembersListed("ops", ["Alice", "Bob"]), "*** In ops: 2 ***\n  Alice, Bob\n"),
    (MembersListed("ops", ["Alice"], 41), "*** In ops: 42 ***\n  Alice\n  and 41 more\n"),
    (MembersListed("ops", ["x" * 32] * 3), f"*** In ops: 3 ***\n  {'x' * 32}, {'x' * 32}\n  {'x' * 32}\n"),
    (
        RoomsListed([RoomSummary("lobby", 3, ""), RoomSummary("ops", 0, "tea")], "ops"),
        "*** Rooms, and how many people are in them ***\n  lobby (3)\n* ops (0): tea\n",
    ),
    (
        RoomsListed([RoomSummary("ops", 1, "")], "", 5),
        "*** Rooms, and how many people are in them ***\n  ops (1)\n  and 5 more\n",
    ),
    (Clock(NOW), "*** 2026-11-24 09:15:30 UTC ***\n"),
    (Goodbye(), ""),
]


@pytest.mark.parametrize(("event", "text"), EVENTS_SHOWN)
def test_event(event: Event, text: str) -> None:
    assert render(event, "\n") == text.encode()
    assert render(event, "\r\n") == text.replace("\n", "\r\n").encode()


def test_lists_are_cut_at_words_where_the_width_is_unknown_and_single_lines_are_not() -> None:
    long = " ".join(["word"] * 20)
    assert render(Notice(("list:", f"  {long}")), "\n").decode().splitlines() == [
        "list:", f"  {' '.join(['word'] * 15)}", f"  {' '.join(['word'] * 5)}"
    ]  # fmt: skip
    assert render(Notice((long,)), "\n").decode() == f"*** {long} ***\n"


def test_list_of_members_fits_eighty_columns() -> None:
    shown = render(MembersListed("ops", [f"member{number}" for number in range(100)]), "\n").decode()
    assert max(map(len, shown.splitlines())) <= 80
    assert all(f"member{number}" in shown for number in range(100))


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Notice(("You are in a room of many names",)), "*** You are in a|room of many names|***|"),
        (Refusal("x", "Names can't contain spaces."), "Names can't contain|spaces.|"),
        (MembersListed("ops", ["Alice", "Bob", "Carol", "Dave"]), "*** In ops: 4 ***|  Alice, Bob, Carol|  Dave|"),
        (Private("Alice", "what was said is as it was"), "Alice (private): what was said is as it was|"),
        (past("what was said is as it was"), "[09:15] Alice: what was said is as it was|"),
        (Goodbye(), ""),
    ],
)
def test_what_the_server_says_is_cut_at_words_to_a_width_that_is_known(event: Event, text: str) -> None:
    assert render(event, "\r\n", 20) == text.replace("|", "\r\n").encode()


def test_newcomer_is_shown_the_first_lines_of_a_long_message() -> None:
    long = past("\n".join(str(number) for number in range(300)), "a\nb\nc\nd\ne")
    lines = render(replace(long, folds=True), "\n").decode().splitlines()
    assert lines[:4] == [f"[09:15] Alice: {number}" for number in range(4)]
    assert lines[4:6] == ["… 296 more lines, /history shows them", "[09:15] Alice: a"]
    assert lines[-1] == "[09:15] Alice: e", "one line more is no shorter when it is folded"
    assert len(render(long, "\n").splitlines()) == 305, "who asks for it is shown all of it"


def test_lines_of_a_batch_follow_each_other() -> None:
    assert RAW.join([b"a\n", b"b\n"]) == b"a\nb\n" and RAW.join([]) == b""


@pytest.mark.parametrize("kind", [Kind.EPHEMERAL, Kind.REDACTED])
def test_what_a_terminal_does_not_show(kind: Kind) -> None:
    assert RAW.encode(entry(kind)) == b""


def test_encode_own_shows_only_actions_on_others() -> None:
    assert RAW.encode_own(entry(Kind.REDACT, "a.1")) == RAW.encode(entry(Kind.REDACT, "a.1"))
    assert RAW.encode_own(entry(Kind.KICK, "Bo")) == RAW.encode(entry(Kind.KICK, "Bo"))
    assert RAW.encode_own(entry(Kind.MESSAGE, "hi")) == b""
    assert not RAW.dedupes


def test_private_lines_cannot_be_taken_for_the_servers() -> None:
    assert render(Private("Bo", "a\n*** b ***"), "\n") == b"Bo (private): a\nBo (private): *** b ***\n"
    assert render(Private("Bo", ""), "\n") == b""
    redaction = Private("Bo", "x.1 rude", entry(Kind.REDACT, "x.1 rude"))
    assert render(redaction, "\n") == b"*** Bo has deleted a private message ***\n"
    assert render(Invited("Bo", "~nc@x.nc", "ops"), "\n") == b"*** Bo invites you to ops. Type /join ops ***\n"
    knocked = b"*** Bo asks to be let into ops. To let them in, type /invite Bo there ***\n"
    assert render(Knocked("Bo", "~nc@x.nc", "ops"), "\n") == knocked
    assert render(RoomNameChanged("ops", "dev", entry(Kind.ROOM_RENAMED, "dev")), "\n") == b""
    assert b"  @Al, Bo\n" in render(MembersListed("ops", ["Al", "Bo"], 0, ["Al"]), "\n")


def test_missed_messages_are_announced_with_their_number_and_time() -> None:
    shown = render(Missed("lobby", 14, 1_800_000_000.0, 1_800_000_000.0), "\n").decode()
    assert re.fullmatch(r"--- 14 new since \d\d:\d\d ---\n", shown)


def test_private_messages_of_the_past_name_author_and_recipient() -> None:
    at = datetime(2026, 11, 30, 10, 32).timestamp()
    entries = [
        Entry("@Ann", 3, 0, at, "Bo", "x.1", Said("one\ntwo")),
        Entry("@Bo", 4, 3, at + 60, "Ann", "x.2", Said("three")),
    ]
    event = PrivateShown(entries, at + 90, "Ann", "Bo", tail=("There is more",))
    assert render(event, "\n").decode() == (
        "[10:32] Bo (private): one\n[10:32] Bo (private): two\n[10:33] Ann -> Bo (private): three\n"
        "*** There is more ***\n"
    )
    assert render(Missed("", 1, at, at + 90), "\n") == b"--- 1 private message since 10:32 ---\n"
    assert render(Missed("", 2, at, at + 90), "\n") == b"--- 2 private messages since 10:32 ---\n"
    assert render(Missed("ops", 2, at, at + 90), "\n") == b"--- 2 new since 10:32 ---\n"
    away = Missed("ops", 9, at, at + 2 * 86_400, more=True, elsewhere=True)
    assert render(away, "\n") == b"--- 9 or more new in ops since 2026-11-30 10:32 ---\n"


def test_acts_on_messages_are_lines() -> None:
    def shown(body: Body, **more: Any) -> str:
        return RAW.encode_own(Entry("ops", 7, 5, 1.0, "Al", "x.7", body, **more)).decode()

    assert shown(Edited("x.1", "tea\nor cake")) == "Al corrects: tea\nAl corrects: or cake\n"
    assert shown(Reacted("x.1", "👍")) == "*** Al reacts with 👍 (re an earlier message) ***\n"
    assert shown(Unreacted("x.1", "👍"), quote=Quote("Bo", "tea\n4")) == '*** Al takes back 👍 (re Bo: "tea") ***\n'
    assert shown(Pinned("x.1", "Bo: tea")) == "*** Al has pinned a message of Bo: tea ***\n"
    assert shown(Unpinned("x.1")) == "*** Al has taken a pin away ***\n"
    assert RAW.encode(Entry("ops", 7, 5, 1.0, "Al", "x.7", Braked(0))) == b"*** Everybody can speak here again ***\n"
    assert shown(TurnGiven("Bo!~nc@bo.nc")) == "*** Al lets Bo speak ***\n"
    assert shown(HandMoved("up", "Al!~nc@al.nc")) == shown(Said("tea")) == shown(Voted("x.1", 1, "abcdefghij")) == ""
    tea = Polled("tea?", ("yes", "no"))
    assert shown(tea) == "*** Al asks: tea? 1) yes 2) no (type /vote and a number) ***\n"
    assert shown(tea, tags="votes=abcdefghij.").endswith("2) no [yes 1, no 0] (type /vote and a number) ***\n")
    assert shown(tea, tags="votes=abcdefghij.;closed").endswith("2) no [yes 1, no 0] (closed) ***\n")
    assert shown(PollClosed("x.1")) == "*** Al ends a poll ***\n"
    assert (
        shown(PollClosed("x.1"), quote=Quote("Al", "tea? yes 1, no 0")) == "*** Al ends a poll: tea? yes 1, no 0 ***\n"
    )
    assert RAW.encode(Entry("ops", 7, 5, 1.0, "Al", "x.7", Reacted("x.1", "👍"))) == b""


def test_votes_are_told_to_the_author_of_a_poll() -> None:
    counted = PollCounted("ops", "x.7", [1, 0], 0, "tea? yes 1, no 0", True)
    assert render(counted, "\n") == b"*** tea? yes 1, no 0 ***\n" and render(replace(counted, told=False), "\n") == b""
    entered = RoomEntered("ops", 7, "", True, polls=[OpenPoll("x.7", "Al", "tea?", ("yes", "no"), [1, 0])])
    assert render(entered, "\n") == b"*** Al asks: tea? 1) yes 2) no (type /vote and a number) ***\n"
    assert render(replace(entered, past_polls=["x.7"]), "\n") == b"", "the history that follows shows it"


def test_reactions_are_told_with_names() -> None:
    def shown(*nicks: str) -> str:
        return render(ReactionsAdded("ops", "tea", "👍", nicks), "\n").decode()

    assert shown("Bo") == '*** Bo reacted with 👍 to "tea" ***\n'
    assert shown("Bo", "Cy") == '*** Bo and Cy reacted with 👍 to "tea" ***\n'
    assert shown("Bo", "Cy", "Di") == '*** Bo and 2 others reacted with 👍 to "tea" ***\n'


def test_bell_rings_only_if_it_is_wanted() -> None:
    entry = Entry("ops", 3, 0, 0.0, "Bo", "z-1.1", Said("@ann"))
    assert render(Mentioned(entry, True), "\n") == b"\a"
    assert render(Mentioned(entry), "\n") == b""
