"""JSON over a WebSocket: frames in and out."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

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
    Redacted,
    Said,
    TurnGiven,
    Unpinned,
    Unreacted,
    Voted,
)
from hubbub.model.events import (
    Acknowledged,
    ClassShown,
    Clock,
    Event,
    ForOperators,
    Goodbye,
    HistoryShown,
    Knocked,
    LoggedIn,
    MarkerMoved,
    MembersListed,
    Mentioned,
    Missed,
    NickAssigned,
    Notice,
    OpenCode,
    OpenPoll,
    OpenQuestion,
    PinnedMessage,
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
    SettingsListed,
)
from hubbub.model.messages import reactions
from hubbub.model.queries import LogPage
from hubbub.wire.web.frames import FORM, encode, frame, render
from hubbub.wire.web.requests import BadFrame, History, Join, Msg, Request, Say, parse
from records import changed, entry_of

ENTRY = entry_of("lobby", 7, 5, 1.5, Kind.MESSAGE, "Zoë", "tea?\nyes", "x.1-m1")
OBJECT = {
    "room": "lobby",
    "seq": 7,
    "prev": 5,
    "time": 1.5,
    "kind": "message",
    "nick": "Zoë",
    "text": "tea?\nyes",
    "id": "x.1-m1",
    "host": "",
    "tags": "",
}


def payload(data: bytes) -> bytes:
    """Return what is in a frame, and nothing else is behind it."""
    assert data[0] == 0x81
    size, start = data[1], 2
    if size > 125:
        start = 4 if size == 126 else 10
        size = int.from_bytes(data[2:start], "big")
    assert len(data) == start + size
    return data[start:]


DEEP = '{"type":"say","room":"ops","label":"e1","more":' + "[" * 50_000 + "]" * 50_000 + "}"


def test_request_is_read_with_its_defaults() -> None:
    assert parse('{"type":"say","room":"ops","text":"hi"}') == Say("ops", "hi", "")
    assert parse('{"type":"join","room":"ops"}') == Join("ops", "", None)
    assert parse('{"type":"msg","to":"Bo","text":"hi"}') == Msg("Bo", "hi", "", "")
    assert parse('{"type":"history","room":"ops","after":3,"limit":9}') == History("ops", 0, 3, 9, "")


@pytest.mark.parametrize(
    "data",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"type":"nope"}',
        '{"type":"say","room":"ops"}',
        '{"type":"say","room":7,"text":"hi"}',
        '{"type":"say","room":"ops","text":"hi","label":"a b"}',
        '{"type":"say","room":"ops","text":"hi","label":"' + "x" * 37 + '"}',
        '{"type":"history","room":"ops","limit":0}',
        '{"type":"history","room":"ops","limit":201}',
        '{"type":"history","room":"ops","after":-1}',
        '{"type":"hello","name":"' + "x" * 200 + '"}',
        '{"type":"say"' + "[" * 5000,
        DEEP,
        '{"type":"hello","name":"\ud800"}',
        '{"type":"hello","name":"\\ud800"}',
    ],
)
def test_what_is_no_request_is_said(data: str) -> None:
    with pytest.raises(BadFrame):
        parse(data)


def test_frame_that_is_nested_too_deeply_is_refused_in_words() -> None:
    with pytest.raises(BadFrame) as caught:
        parse(DEEP)
    assert (str(caught.value), caught.value.label) == ("It is nested too deeply", "e1")


@pytest.mark.parametrize(
    ("data", "label"),
    [
        ('{"type":"say","room":"ops","text":"half \\ud83d","label":"e1"}', "e1"),
        (
            '{"label" : "550e8400-e29b-41d4-a716-446655440000","type":"say","room":"ops","text":7}',
            "550e8400-e29b-41d4-a716-446655440000",
        ),
        ('{"type":"nope","label":"e2"}', "e2"),
        ('{"type":"say","room":"ops","text":"\\"label\\":\\"x\\" \\udc00"}', ""),
        ('{"type":"say","room":"ops","text":"hi","label":"a b"}', ""),
        ('{"type":"say","label":"e3"', "e3"),
        ("", ""),
    ],
)
def test_bad_frame_is_told_with_its_label(data: str, label: str) -> None:
    with pytest.raises(BadFrame) as caught:
        parse(data)
    assert caught.value.label == label


def test_every_request_takes_a_label() -> None:
    label = "550e8400-e29b-41d4-a716-446655440000"
    for request in Request.__args__:
        fields = {
            "name": "Ann",
            "room": "ops",
            "to": "Bo",
            "text": "hi",
            "line": "/who",
            "words": "tea",
            "id": "x.1",
            "reaction": "👍",
            "question": "tea?",
            "answers": ["yes", "no"],
            "choice": 1,
        }
        data = {"type": request.__struct_config__.tag, "label": label, **fields}
        got = parse(
            json.dumps({key: value for key, value in data.items() if key in ("type", *request.__struct_fields__)})
        )
        assert (type(got), got.label) == (request, label)


@given(st.text())
def test_random_frame_is_a_request_or_bad(data: str) -> None:
    try:
        parse(data)
    except BadFrame:
        pass


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frame_tells_its_length(size: int) -> None:
    assert payload(frame(b"x" * size)) == b"x" * size


def test_batch_is_one_frame() -> None:
    rendered = [FORM.encode(ENTRY), FORM.encode(changed(ENTRY, seq=8))]
    got = json.loads(payload(FORM.join(rendered)))
    assert got == {"type": "entries", "entries": [OBJECT, OBJECT | {"seq": 8}]}
    assert FORM.join([]) == b"" and FORM.for_other_room is FORM and FORM.echo
    assert json.loads(payload(FORM.encode_skipped("ops", 9))) == {"type": "skipped", "room": "ops", "count": 9}


EVENTS: list[tuple[Event, dict[str, object]]] = [
    (Notice(("a", "b")), {"type": "notice", "lines": ["a", "b"]}),
    (
        Knocked("Bo", "~nc@x.nc", "ops"),
        {"type": "notice", "lines": ["Bo asks to be let into ops. To let them in, type /invite Bo there"]},
    ),
    (Refusal("c", "no", "m1"), {"type": "error", "code": "c", "text": "no", "label": "m1"}),
    (Refusal("c", "no", room="ops"), {"type": "error", "code": "c", "text": "no", "label": "", "room": "ops"}),
    (
        Refusal("c", "no", offer="Mary-Ann"),
        {"type": "error", "code": "c", "text": "no", "label": "", "offer": "Mary-Ann"},
    ),
    (
        Acknowledged("m1", entry_of("ops", 7, 5, 0.0, Kind.MESSAGE, "Al", "hi", "x.1-m1")),
        {"type": "stored", "label": "m1", "room": "ops", "seq": 7, "id": "x.1-m1"},
    ),
    (
        RoomEntered("dev", 7, "tea", True, room_id="ops"),
        {"type": "joined", "room": "dev", "id": "ops", "seq": 7, "topic": "tea"},
    ),
    (
        RoomEntered("ops", 7, "tea", False, current="lobby", room_id="ops"),
        {"type": "joined", "room": "ops", "id": "ops", "seq": 7, "topic": "tea", "current": "lobby"},
    ),
    (RoomExited("ops", "lobby"), {"type": "left", "room": "ops"}),
    (NickAssigned("Max"), {"type": "nick", "nick": "Max"}),
    (LoggedIn("Max"), {"type": "account", "name": "Max"}),
    (Missed("lobby", 3, 1.5, 2.5), {"type": "missed", "room": "lobby", "count": 3, "since": 1.5}),
    (Missed("tea", 3, 1.5, 2.5, True), {"type": "missed", "room": "tea", "count": 3, "since": 1.5, "more": True}),
    (Private("Max", "psst"), {"type": "private", "nick": "Max", "text": "psst"}),
    (Private("Max", "psst", user="u1"), {"type": "private", "nick": "Max", "text": "psst", "user": "u1"}),
    (
        Private("Max", "psst", user="u1", to="Bo"),
        {"type": "private", "nick": "Max", "text": "psst", "user": "u1", "to": "Bo"},
    ),
    (
        Acknowledged("m1", entry_of("@Max", 0, 0, 0.0, Kind.MESSAGE, "Al", "hi", "x.1"), "u1"),
        {"type": "sent", "label": "m1", "nick": "Max", "user": "u1"},
    ),
    (
        Refusal("bad-key", "no", room="ops"),
        {"type": "error", "code": "bad-key", "text": "no", "label": "", "room": "ops"},
    ),
    (
        MembersListed("ops", ["Al", "Bo"], users=["u1", "u2"]),
        {"type": "members", "room": "ops", "nicks": ["Al", "Bo"], "more": 0, "operators": [], "users": ["u1", "u2"]},
    ),
    (QueryResult("h", LogPage([ENTRY], True)), {"type": "page", "label": "h", "entries": [OBJECT], "more": True}),
    (
        QueryResult("h", LogPage([], note="One is left out")),
        {"type": "page", "label": "h", "entries": [], "more": False, "note": "One is left out"},
    ),
    (HistoryShown([ENTRY], 2.0, ("end",)), {"type": "past", "entries": [OBJECT], "lines": ["end"]}),
    (
        MembersListed("ops", ["Al"], 0, ["Al"], watching=2),
        {"type": "members", "room": "ops", "nicks": ["Al"], "more": 0, "operators": ["Al"], "watching": 2},
    ),
    (MembersListed("ops", ["Al"], 3), {"type": "members", "room": "ops", "nicks": ["Al"], "more": 3, "operators": []}),
    (
        RoomsListed([RoomSummary("ops", 2, "tea")], "ops"),
        {"type": "rooms", "rooms": [{"name": "ops", "members": 2, "topic": "tea"}], "more": 0},
    ),
    (RoomsListed([], "ops", 0, "r1"), {"type": "rooms", "rooms": [], "more": 0, "label": "r1"}),
    (MarkerMoved("ops", 2.5), {"type": "read", "room": "ops", "time": 2.5}),
    (Clock(2.5), {"type": "clock", "time": 2.5}),
]


@pytest.mark.parametrize(("event", "told"), EVENTS)
def test_event(event: Event, told: dict[str, object]) -> None:
    assert json.loads(payload(render(event))) == told


def test_goodbye_is_told_by_closing() -> None:
    assert render(Goodbye()) == b""


def test_encode_is_json() -> None:
    assert msgspec.json.decode(payload(encode("x", a="ü"))) == {"type": "x", "a": "ü"}


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Kind.MODE, "+o Bo!~nc@x.nc", "has made Bo an operator"),
        (Kind.KICK, "Bo", "has kicked Bo"),
        (Kind.KICK, "Bo too loud", "has kicked Bo (too loud)"),
        (Kind.REDACT, "x.9", "has deleted a message"),
        (Kind.ROOM_RENAMED, "dev now", "has renamed the room: it is dev now"),
    ],
)
def test_what_was_done_is_told_in_words(kind: Kind, text: str, words: str) -> None:
    (told,) = json.loads(payload(FORM.join([FORM.encode(changed(ENTRY, kind=kind, text=text))])))["entries"]
    assert told["words"] == words and told["text"] == text


def test_what_a_browser_is_not_told() -> None:
    gone = changed(ENTRY, kind=Kind.REDACTED)
    assert FORM.encode(gone) == FORM.encode(changed(ENTRY, kind=Kind.EPHEMERAL)) == FORM.encode_own(ENTRY) == b""
    assert FORM.join([b"", b""]) == b"" and not FORM.dedupes
    assert json.loads(payload(render(QueryResult("h", LogPage([gone, ENTRY])))))["entries"] == [OBJECT]
    assert render(Private("Max", "")) == render(Private("Max", "to some", to="@#ops")) == b""


def test_room_with_another_name_is_left_and_joined() -> None:
    moved = render(RoomNameChanged("ops", "dev", 7, topic="tea"))
    first = frame(moved[2 : 2 + moved[1]])
    assert json.loads(payload(first)) == {"type": "left", "room": "ops", "to": "dev"}
    assert json.loads(payload(moved[len(first) :])) == {"type": "joined", "room": "dev", "seq": 7, "topic": "tea"}


def objects(data: bytes) -> list[object]:
    """Return the objects of several frames, each of more than 125 bytes or fewer."""
    found = []
    while data:
        size, start = (int.from_bytes(data[2:4], "big"), 4) if data[1] == 126 else (data[1], 2)
        found.append(json.loads(data[start : start + size]))
        data = data[start + size :]
    return found


def test_stored_private_messages_have_their_time_and_id() -> None:
    bo = Entry("@Ann", 3, 0, 5.0, "Bo", "x.1", Said("one"))
    ann = Entry("@Bo", 4, 3, 6.0, "Ann", "x.2", Said("two"))
    first = {"type": "private", "nick": "Bo", "text": "one", "user": "idbo", "time": 5.0, "id": "x.1", "seq": 3}
    second = {"type": "private", "nick": "Ann", "text": "two", "user": "idbo", "to": "Bo", "time": 6.0, "id": "x.2"}
    assert objects(render(PrivateShown([bo, ann], 9.0, "Ann", "Bo", "idbo", tail=("more",)))) == [
        first,
        second | {"seq": 4},
        {"type": "notice", "lines": ["more"]},
    ]
    assert objects(render(PrivateShown([bo], 9.0, "Ann", "Bo", "idbo"))) == [first]
    assert objects(render(Private("Bo", "one", bo, "idbo"))) == [first]
    waves = Entry("@Ann", 3, 0, 5.0, "Bo", "x.1", Said("one", Kind.ACTION))
    assert objects(render(Private("Bo", "one", waves, "idbo"))) == [first | {"kind": "action"}]
    answer = replace(waves, tags="+reply=x.1")
    assert objects(render(Private("Bo", "one", answer, "idbo"))) == [first | {"kind": "action", "re": "x.1"}]


def test_the_redaction_of_a_private_message_names_both_people_and_the_message() -> None:
    entry = Entry("@Bo", 5, 4, 6.0, "Ann", "x.3", Redacted("x.2", "rude"))
    deleted = {"type": "deleted", "id": "x.2", "nick": "Ann", "user": "idann", "time": 6.0, "seq": 5}
    assert objects(render(Private("Ann", "x.2 rude", entry, "idann"))) == [deleted]
    copy = deleted | {"to": "Bo", "user": "idbo"}
    assert objects(render(Private("Ann", "x.2 rude", entry, "idbo", "Bo"))) == [copy]
    stored = {"type": "stored", "label": "d1", "room": "@Bo", "seq": 5, "id": "x.3"}
    assert objects(render(Acknowledged("d1", entry, "idbo"))) == [copy, stored]
    edit = replace(entry, body=Edited("x.2", "too"))
    corrected = deleted | {"type": "corrected", "text": "too"}
    assert objects(render(Private("Ann", "x.2 too", edit, "idann"))) == [corrected]
    assert objects(render(Acknowledged("d1", edit, "idbo"))) == [corrected | {"to": "Bo", "user": "idbo"}, stored]
    for body, on in ((Reacted("x.2", "👍"), True), (Unreacted("x.2", "👍"), False)):
        reacted = deleted | {"type": "reacted", "reaction": "👍", "on": on}
        assert objects(render(Private("Ann", "x.2 👍", replace(entry, body=body), "idann"))) == [reacted]
    said = Entry("@Bo", 4, 3, 6.0, "Ann", "x.2", Said("two"))
    sent = {"type": "sent", "label": "m1", "nick": "Bo", "user": "idbo", "time": 6.0, "id": "x.2", "seq": 4}
    assert objects(render(Acknowledged("m1", said, "idbo"))) == [sent]


def test_message_has_its_reactions_its_quote_and_whether_it_was_corrected() -> None:
    tags = reactions.add("+reply=x.1;edited", "👍", "Bo")
    entry = Entry("ops", 7, 5, 1.0, "Al", "x.7", Said("yes"), tags=tags, quote=Quote("Bo", "tea"))
    shown = json.loads(FORM.encode(entry))
    assert shown["re"] == "x.1" and shown["reactions"] == {"👍": ["Bo"]} and shown["edited"] is True
    assert shown["quote"] == {"nick": "Bo", "text": "tea"} and shown["tags"] == "+reply=x.1"
    plain = json.loads(FORM.encode(Entry("ops", 7, 5, 1.0, "Al", "x.7", Said("yes"))))
    assert not {"re", "reactions", "edited", "quote"} & set(plain)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (Edited("x.1", "tea"), "has corrected a message"),
        (Reacted("x.1", "👍"), "has reacted with 👍"),
        (Unreacted("x.1", "👍"), "has taken the reaction 👍 back"),
        (Pinned("x.1", "Bo: tea"), "has pinned a message of Bo: tea"),
        (Unpinned("x.1"), "has taken a pin away"),
        (HandMoved("up", "Al!~nc@al.nc"), "raises a hand"),
        (HandMoved("waves", "Al!~nc@al.nc"), "waves"),
        (TurnGiven("Bo!~nc@bo.nc"), "lets Bo speak"),
        (Polled("tea?", ("yes", "no")), "asks: tea? 1) yes 2) no"),
        (PollClosed("x.1"), "has ended a poll"),
        (Braked(0), "(Everybody can speak here again)"),
    ],
)
def test_act_on_a_message_has_words(body: Body, words: str) -> None:
    assert json.loads(FORM.encode(Entry("ops", 7, 5, 1.0, "Al", "x.7", body)))["words"] == words


def test_polls_have_counts_and_no_voters() -> None:
    poll = Entry("ops", 7, 5, 1.0, "Al", "x.7", Polled("tea?", ("yes", "no")), tags="votes=abcdefghij.;closed")
    shown = json.loads(FORM.encode(poll))
    assert (shown["question"], shown["answers"], shown["votes"], shown["closed"]) == (
        "tea?",
        ["yes", "no"],
        [1, 0],
        True,
    )
    assert "abcdefghij" not in str(shown) and shown["words"] == "asks: tea? 1) yes 2) no [yes 1, no 0] (closed)"
    assert FORM.encode(Entry("ops", 7, 5, 1.0, "Al", "x.8", Voted("x.7", 1, "abcdefghij"))) == b""
    counted = PollCounted("ops", "x.7", [1, 0], 1, "tea? yes 1, no 0")
    assert json.loads(payload(render(counted))) == {
        "type": "votes", "room": "ops", "id": "x.7", "votes": [1, 0], "guests": 1
    }  # fmt: skip
    assert render(replace(counted, told=True)) == b""
    entered = RoomEntered("ops", 7, "", False, polls=[OpenPoll("x.7", "Al", "tea?", ("yes", "no"), [1, 0], 1)])
    (open_poll,) = json.loads(payload(render(entered)))["polls"]
    assert open_poll == {
        "id": "x.7", "nick": "Al", "question": "tea?", "answers": ["yes", "no"], "votes": [1, 0], "mine": 1, "guests": 0
    }  # fmt: skip


def test_class_is_a_frame() -> None:
    shown = ClassShown(
        "ops", ["Bo"], [OpenQuestion(1, "Bo", "tea?", 5.0)], [], [OpenCode("BCDF-GHJK", 9.0, 2, 1, "Al")], "k1"
    )
    assert json.loads(payload(render(shown))) == {
        "type": "class",
        "room": "ops",
        "hands": ["Bo"],
        "questions": [{"number": 1, "nick": "Bo", "text": "tea?", "time": 5.0}],
        "polls": [],
        "codes": [{"code": "BCDF-GHJK", "expires": 9.0, "most": 2, "used": 1, "nick": "Al"}],
        "label": "k1",
    }


def test_pins_of_a_room_are_in_the_frame_of_a_member() -> None:
    entered = RoomEntered("ops", 7, "", False, pins=[PinnedMessage("x.1", "Bo: tea", "Al")])
    pins = [{"id": "x.1", "text": "Bo: tea", "by": "Al"}]
    assert json.loads(payload(render(entered)))["pins"] == pins
    _, joined = objects(render(RoomNameChanged("ops", "dev", 7, pins=entered.pins)))
    assert joined == {"type": "joined", "room": "dev", "seq": 7, "topic": "", "pins": pins}
    assert json.loads(payload(render(RoomEntered("ops", 7, "", False, hands=["Bo"]))))["hands"] == ["Bo"]
    told = json.loads(payload(render(ForOperators("ops", "Bo raises a hand"))))
    assert told == {"type": "notice", "room": "ops", "lines": ["Bo raises a hand"]}
    assert render(ReactionsAdded("ops", "tea", "👍", ("Bo",))) == b""


def test_settings_of_a_room_are_a_frame_with_the_label_of_the_request() -> None:
    listed = SettingsListed("ops", {"moderated": True, "slow": 5}, ["kick"], label="s1")
    assert json.loads(payload(render(listed))) == {
        "type": "settings",
        "room": "ops",
        "settings": {"moderated": True, "slow": 5},
        "may": ["kick"],
        "label": "s1",
    }
    assert json.loads(payload(render(Notice(("no",), label="s2"))))["label"] == "s2"


def test_mention_names_its_entry() -> None:
    shown = json.loads(payload(render(Mentioned(Entry("ops", 3, 0, 0.0, "Bo", "z-1.1", Said("@ann"))))))
    assert shown == {"type": "mention", "room": "ops", "seq": 3, "id": "z-1.1"}
