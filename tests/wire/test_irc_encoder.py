"""How entries look to IRC clients, by what they can do."""

from __future__ import annotations

import pytest
import regex
from msgspec import structs

from hubbub.model.entries import Entry, Kind
from hubbub.wire.irc.encoder import FOREIGN, SHOWING, composed, form_of, formatted, stamp, target
from records import changed, entry_of

TIME = 1_800_000_000.1239
HOST = "~nc@1f2e3d4c5a.nc"
RICH = "@time=2027-01-15T08:00:00.123Z;msgid=x.1 "


def entry(kind: Kind, text: str = "", room: str = "ops", id: str = "x.1", tags: str = "") -> Entry:
    return entry_of(room, 7, 5, TIME, kind, "Al", text, id, HOST, tags)


def shown(what: Entry, *caps: str) -> str:
    return form_of(frozenset(caps)).encode(what).decode()


KINDS = [
    (entry(Kind.MESSAGE, "hi"), "PRIVMSG #ops :hi"),
    (entry(Kind.ACTION, "waves"), "PRIVMSG #ops :\x01ACTION waves\x01"),
    (entry(Kind.NOTICE, "hi"), "NOTICE #ops :hi"),
    (entry(Kind.MESSAGE, "psst", room="@Bo"), "PRIVMSG Bo :psst"),
    (entry(Kind.JOIN, "Al Real"), "JOIN #ops"),
    (entry(Kind.LEAVE), "PART #ops"),
    (entry(Kind.LEAVE, "bye all"), "PART #ops :bye all"),
    (entry(Kind.LEAVE, id="x.1~0"), "QUIT :Quit: "),
    (entry(Kind.LEAVE, "bye", id="x.1~1"), "QUIT :Quit: bye"),
    (entry(Kind.LEAVE, "Ping timeout", id="x.1~1", tags="bot;lost"), "QUIT :Ping timeout"),
    (entry(Kind.LEAVE, id="x.1~1", tags="lost"), "QUIT :Connection closed"),
    (entry(Kind.RENAME, "Max"), "NICK Max"),
    (entry(Kind.TOPIC, ""), "TOPIC #ops :"),
    (entry(Kind.MODE, "+o-b Bo!~nc@x.nc a!*@* until=99"), "MODE #ops +o-b Bo a!*@*"),
    (entry(Kind.KICK, "Bo"), "KICK #ops Bo Al"),
    (entry(Kind.KICK, "Bo too loud"), "KICK #ops Bo :too loud"),
    (entry(Kind.EPHEMERAL, "PRIVMSG VERSION"), "PRIVMSG #ops \x01VERSION\x01"),
]


@pytest.mark.parametrize(("what", "expected"), KINDS)
def test_each_kind(what: Entry, expected: str) -> None:
    assert shown(what) == f":Al!{HOST} {expected}\r\n"


def test_rename_of_the_past_of_which_the_name_before_is_not_known_is_not_shown() -> None:
    form = form_of(frozenset({"draft/channel-rename"}))
    assert form.encode(entry(Kind.ROOM_RENAMED, "ops why")) == b""


@pytest.mark.parametrize("kind", [Kind.EPHEMERAL, Kind.REDACT, Kind.ROOM_RENAMED, Kind.REDACTED])
def test_what_needs_more_is_not_shown(kind: Kind) -> None:
    assert shown(entry(kind, "" if kind is Kind.EPHEMERAL else "x y")) == ""


@pytest.mark.parametrize(
    ("what", "cap", "expected"),
    [
        (entry(Kind.JOIN, "Al Real"), "extended-join", "JOIN #ops * :Al Real"),
        (entry(Kind.JOIN), "extended-join", "JOIN #ops * Al"),
        (entry(Kind.REDACT, "x.9"), "draft/message-redaction", "REDACT #ops x.9"),
        (entry(Kind.REDACT, "x.9 so rude"), "draft/message-redaction", "REDACT #ops x.9 :so rude"),
        (entry(Kind.ROOM_RENAMED, "dev"), "draft/channel-rename", "RENAME #ops #dev :"),
        (entry(Kind.ROOM_RENAMED, "dev new team"), "draft/channel-rename", "RENAME #ops #dev :new team"),
    ],
)
def test_what_a_capability_shows(what: Entry, cap: str, expected: str) -> None:
    assert shown(what, cap) == f":Al!{HOST} {expected}\r\n"


def test_tags() -> None:
    said = entry(Kind.MESSAGE, "hi", tags="bot;+a=b;cut=")
    line = f":Al!{HOST} PRIVMSG #ops :hi\r\n"
    assert shown(said, "server-time") == f"@time=2027-01-15T08:00:00.123Z {line}"
    assert shown(said, "message-tags") == f"@msgid=x.1;bot;+a=b {line}"
    assert shown(changed(said, id=""), "message-tags") == f"@bot;+a=b {line}"
    assert shown(entry(Kind.MESSAGE, "hi"), "message-tags", "server-time") == RICH + line
    form = form_of(frozenset({"server-time", "message-tags"}))
    assert form.lines(entry(Kind.MESSAGE, "hi"), "r1", "abc") == [f"@label=abc;batch=r1;{RICH[1:]}{line}".encode()]
    typing = entry(Kind.EPHEMERAL, tags="+typing=active")
    assert form.encode(typing).decode() == f"{RICH[:-1]};+typing=active :Al!{HOST} TAGMSG #ops\r\n"


def test_source_of_what_was_stored_before_hosts_were() -> None:
    assert shown(changed(entry(Kind.RENAME, "Max"), host="")) == f":Al!{FOREIGN} NICK Max\r\n"


# --- long texts, and several lines ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["a", "ab ", "я", "😃"])
@pytest.mark.parametrize("kind", [Kind.MESSAGE, Kind.ACTION])
def test_long_text_is_several_lines_of_whole_characters(word: str, kind: Kind) -> None:
    text = (word * 2000).strip()
    lines = shown(entry(kind, text), "message-tags", "server-time").encode().split(b"\r\n")[:-1]
    bodies = []
    for number, line in enumerate(lines):
        tags, _, rest = line.partition(b" ")
        assert len(rest) <= 510 and (b"msgid" in tags) is (number == 0) and b"time=" in tags
        bodies.append(rest.decode().partition(" :")[2].removeprefix("\x01ACTION ").removesuffix("\x01"))
    assert "".join(bodies) == text and len(lines) > 1


@pytest.mark.parametrize("caps", [(), ("batch", "draft/multiline")])
@pytest.mark.parametrize("text", ["one", "one\ntwo", "a" * 450, "a" * 2000, "b " * 900 + "c"])
def test_a_time_stands_in_front_of_each_line(text: str, caps: tuple[str, ...]) -> None:
    lines = form_of(frozenset(caps)).lines(entry(Kind.MESSAGE, text), clock="[12:00] ")
    said = [line.partition(b" PRIVMSG #ops :") for line in lines if b" PRIVMSG " in line]
    whole = ""
    for head, _, body in said:
        assert len(head + body) <= 512
        joined = b"multiline-concat" in head
        assert body.startswith(b"[12:00] ") is not joined
        whole += ("" if joined or not whole or "\n" not in text else "\n") + body.decode()[0 if joined else 8 : -2]
    assert whole == text


FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize("unit", [FAMILY, "🇩🇪", "e\u0301", "a\u0301\u0323", "क्षि", "👍🏽", "❤\ufe0f"], ids=ascii)
@pytest.mark.parametrize("offset", range(8))
def test_long_text_is_cut_between_characters_as_people_see_them(unit: str, offset: int) -> None:
    text = "x" * offset + unit * 300
    bodies = [line.partition(" :")[2] for line in shown(entry(Kind.MESSAGE, text)).split("\r\n")[:-1]]
    assert "".join(bodies) == text and len(bodies) > 1
    assert all(len(body.encode()) <= 512 for body in bodies)
    assert all(set(regex.findall(r"\X", body)) <= {unit, "x"} for body in bodies)


def test_long_text_is_cut_behind_a_space_that_is_no_part_of_a_character() -> None:
    text = ("x" * 300 + " \u0301" + "y" * 100) * 2
    bodies = [line.partition(" :")[2] for line in shown(entry(Kind.MESSAGE, text)).split("\r\n")[:-1]]
    assert "".join(bodies) == text and not any(body.startswith("\u0301") for body in bodies)


def test_one_character_that_does_not_fit_in_a_line_is_cut_all_the_same() -> None:
    text = "👩\u200d" * 500
    bodies = [line.partition(" :")[2] for line in shown(entry(Kind.MESSAGE, text)).split("\r\n")[:-1]]
    assert "".join(bodies) == text and all(len(body.encode()) <= 500 for body in bodies)


# --- formatting -------------------------------------------------------------------------------------------------


def test_formatting_is_put_in_again_and_its_tag_is_not_shown() -> None:
    said = entry(Kind.MESSAGE, "red bold", tags="format=0c04-01+3c+4b+8b;+a=1")
    assert shown(said, "message-tags") == f"@msgid=x.1;+a=1 :Al!{HOST} PRIVMSG #ops :\x0304,01red\x03 \x02bold\x02\r\n"
    topic = entry(Kind.TOPIC, "tea", tags="format=0b")
    assert shown(topic) == f":Al!{HOST} TOPIC #ops \x02tea\r\n"
    assert formatted("tea", "") == formatted("tea", "bot;+a=1") == "tea"


def test_long_text_is_not_cut_within_a_code() -> None:
    text = "x" * 470
    for at in range(440, 470):
        bodies = shown(entry(Kind.MESSAGE, text, tags=f"format={at}c04-12")).split("\r\n")[:-1]
        assert sum("\x0304,12" in body for body in bodies) == 1


# --- several lines ----------------------------------------------------------------------------------------------


def test_lines_are_messages_without_multiline() -> None:
    said = entry(Kind.MESSAGE, "one\n\ntwo", tags="+a=1")
    start = f":Al!{HOST} PRIVMSG #ops :"
    assert shown(said) == f"{start}one\r\n{start}two\r\n"
    assert shown(said, "message-tags") == f"@msgid=x.1;+a=1 {start}one\r\n@+a=1 {start}two\r\n"


MULTI = ("batch", "draft/multiline", "message-tags")


def test_lines_are_a_batch_with_multiline() -> None:
    said = entry(Kind.MESSAGE, "one\n\ntwo and on", tags="+a=1;cut=12")
    start = f":Al!{HOST} PRIVMSG #ops :"
    assert shown(said, *MULTI).split("\r\n") == [
        f"@msgid=x.1;+a=1 :Al!{HOST} BATCH +m7 draft/multiline #ops",
        f"@batch=m7 {start}one",
        f"@batch=m7 {start}",
        f"@batch=m7 {start}two and",
        f"@batch=m7;draft/multiline-concat {start} on",
        f":Al!{HOST} BATCH -m7",
        "",
    ]
    inner = form_of(frozenset(MULTI)).lines(said, "outer")
    assert inner[0].startswith(b"@batch=outer;msgid=x.1;+a=1 ") and inner[-1].startswith(b"@batch=outer ")


def test_long_line_of_a_batch_goes_on() -> None:
    lines = shown(entry(Kind.MESSAGE, "a\n" + "x" * 1000), *MULTI).split("\r\n")
    assert len(lines) == 7 and ["concat" in line for line in lines] == [False, False, False, True, True, False, False]


def test_private_lines_have_a_batch_of_their_own() -> None:
    assert " BATCH +m" in shown(changed(entry(Kind.MESSAGE, "a\nb", room="@Bo"), seq=0), *MULTI)


def test_action_of_several_lines_is_no_batch() -> None:
    assert shown(entry(Kind.ACTION, "a\nb"), *MULTI).count("ACTION") == 2


@pytest.mark.parametrize(
    ("text", "cut", "pieces"),
    [
        ("a", "", [["a"]]),
        ("ab\ncd", "1.4", [["a", "b"], ["c", "d"]]),
        ("abc", "1.2", [["a", "b", "c"]]),
        ("abc", "x.9", [["abc"]]),
    ],
)
def test_composition(text: str, cut: str, pieces: list[list[str]]) -> None:
    assert composed(entry(Kind.MESSAGE, text, tags=f"+a;cut={cut}")) == pieces


# --- the rest of a form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "caps", "is_shown"),
    [
        (Kind.MESSAGE, (), False),
        (Kind.MESSAGE, ("echo-message",), True),
        (Kind.TOPIC, (), True),
        (Kind.JOIN, ("echo-message",), False),
        (Kind.LEAVE, (), True),
    ],
)
def test_own_entries(kind: Kind, caps: tuple[str, ...], is_shown: bool) -> None:
    form = form_of(frozenset(caps))
    assert form.encode_own(entry(kind, "x")) == (form.encode(entry(kind, "x")) if is_shown else b"")


def test_form() -> None:
    form = form_of(frozenset())
    assert form.for_other_room is form and form.dedupes and not form.echo
    assert form_of(frozenset(["batch"])) is form_of(frozenset(["batch"])) is not form
    assert form.join([b"a", b"b"]) == b"ab"
    assert form.encode_skipped("ops", 3) == b"NOTICE #ops :3 messages skipped; see the channel's history\r\n"
    assert {"message-tags", "draft/multiline"} <= SHOWING


def test_small_ones() -> None:
    assert target(entry(Kind.MESSAGE, room="@@#ops")) == "@#ops"
    assert [stamp(TIME), stamp(0.9999)] == ["2027-01-15T08:00:00.123Z", "1970-01-01T00:00:00.999Z"]


def test_the_account_of_an_author() -> None:
    said = structs.replace(entry(Kind.MESSAGE, "hi"), host="~user@x1.account")
    assert shown(said, "account-tag").startswith("@account=Al :Al!~user@x1.account PRIVMSG")
    assert shown(said, "extended-join").startswith(":Al!")
    assert shown(entry(Kind.MESSAGE, "hi"), "account-tag").startswith(":Al!")
    joined = structs.replace(entry(Kind.JOIN), host="~user@x1.account")
    assert shown(joined, "extended-join") == ":Al!~user@x1.account JOIN #ops Al Al\r\n"
