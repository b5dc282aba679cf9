"""IRC's lines: what they mean however they are cut, the limits, and what is sent."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cutting import cuts
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.wire.irc import lines
from hubbub.wire.irc.lines import (
    Broken,
    IrcFault,
    Message,
    Reader,
    cut,
    escape,
    fill,
    line,
    parse,
    parse_tags,
    unescape,
)
from hubbub.wire.irc.numerics import TEXTS

LINES = [
    ("PING x", Message("PING", ["x"], {})),
    ("privmsg  #a   :two  words ", Message("PRIVMSG", ["#a", "two  words "], {})),
    ("  NICK al  ", Message("NICK", ["al"], {})),
    (":me JOIN #a,#b", Message("JOIN", ["#a,#b"], {})),
    ("TOPIC #a :", Message("TOPIC", ["#a", ""], {})),
    ("TOPIC #a ::)", Message("TOPIC", ["#a", ":)"], {})),
    ("QUIT", Message("QUIT", [], {})),
    ("@a=1;+b;a=2;=x :me PRIVMSG #a hi", Message("PRIVMSG", ["#a", "hi"], {"a": "2", "+b": ""})),
    (r"@k=a\:b\sc\\d\r\n\e\  TAGMSG #a", Message("TAGMSG", ["#a"], {"k": "a;b c\\d\r\ne"})),
    ("", None),
    ("   ", None),
    (":me", None),
    ("@a=1", None),
    ("@a=1 ", None),
]


@pytest.mark.parametrize(("text", "message"), LINES)
def test_line_is_parsed(text: str, message: Message | None) -> None:
    assert parse(text) == message


def read(*pieces: bytes) -> list[Message | Broken]:
    reader = Reader()
    got: list[Message | Broken] = []
    for piece in pieces:
        reader.feed(piece)
        while (message := reader.next_message()) is not None:
            got.append(message)
    return got


STREAM = "PING one\r\n\r\nPRIVMSG #a :так\n@label=1 PING two\r\nPI\0NG three\r\n".encode()


@pytest.mark.parametrize("pieces", list(cuts(STREAM)))
def test_cuts_change_nothing(pieces: list[bytes]) -> None:
    got = read(*pieces)
    assert [message.params[-1] for message in got if isinstance(message, Message)] == ["one", "так", "two", "three"]


PIECE = st.one_of(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"@", b" ", b":", b"PING x", b"\xff", b"\0", b"@a=1 ", "я".encode()]),
    st.builds(lambda byte, size: byte * size, st.sampled_from([b"\r", b"x", b" ", b"\0"]), st.integers(0, 5000)),
)


@given(st.lists(PIECE, max_size=12).map(b"".join), st.lists(st.integers(0, 20_000), max_size=8))
@example(b"PING x" + b"\r" * 5000 + b"\n", [3000, 5000])
@example(b"PING x" + b"\r" * 4602 + b"\nPING y\n", [4608])
@example(b"PING x" + b"\r" * 4603 + b"\nPING y\n", [4609])
def test_arbitrary_cuts_change_nothing(data: bytes, places: list[int]) -> None:
    edges = sorted({0, *(place for place in places if place < len(data)), len(data)})
    assert read(*(data[low:high] for low, high in pairwise(edges))) == read(data)


def of(size: int, tags: int = 0) -> bytes:
    """Return a line of so many bytes with CR LF, after so many bytes of tags."""
    before = b"@" + b"t" * (tags - 2) + b" " if tags else b""
    return before + b"PING " + b"x" * (size - 7) + b"\r\n"


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (of(512), True),
        (of(513), False),
        (of(512, 4096), True),
        (of(20, 4097), False),
        (of(5000), False),
        (of(9000)[:-2] + b"more\r\n", False),
    ],
)
def test_limits(data: bytes, whole: bool) -> None:
    first, last = read(data, b"PING after\r\n")
    assert last == Message("PING", ["after"], {})
    assert isinstance(first, Message) if whole else first == Broken(IrcFault.TOO_LONG)


def test_what_never_ends_is_told_once_and_not_kept() -> None:
    reader = Reader()
    got = []
    for _ in range(100):
        reader.feed(b"x" * 1000)
        got += [reader.next_message()]
        assert len(reader._data) <= 6000
    assert [one for one in got if one] == [Broken(IrcFault.TOO_LONG)]
    reader.feed(b"\r\nPING x\r\n")
    assert reader.next_message() == Message("PING", ["x"], {})


@pytest.mark.parametrize(
    ("data", "verb", "label"),
    [
        (b"PRIVMSG #a :\xff", "PRIVMSG", ""),
        (b"@label=7 privmsg #a :\xff", "PRIVMSG", "7"),
        (b"PR\xff #a", "*", ""),
        (b"\xff", "*", ""),
        (b"TOPIC\0 \xff", "TOPIC", ""),
        (b"@\xff", "*", ""),
    ],
)
def test_what_is_not_utf8_is_told_with_what_can_be_seen_of_it(data: bytes, verb: str, label: str) -> None:
    assert read(data + b"\r\n") == [Broken(IrcFault.NOT_UTF8, verb, label)]


@pytest.mark.parametrize(
    ("data", "last"),
    [
        (b"USER jose 0 * :Jos\xe9", "Jos\ufffd"),
        (b"quit :adi\xf3s", "adi\ufffds"),
        (b":al PART #a \xff", "\ufffd"),
    ],
)
def test_what_only_adorns_a_command_need_not_be_utf8(data: bytes, last: str) -> None:
    (message,) = read(data + b"\r\n")
    assert isinstance(message, Message) and message.params[-1] == last


@pytest.mark.parametrize(
    "head", [b"PRIVMSG #a :", b"notice #a ", b":al!a@x PRIVMSG #a :", b"@+a=b PRIVMSG #a :", b"TOPIC #a :", b"PRIVMSG "]
)
@pytest.mark.parametrize("size", [511, 512, 513, 600, 4096, 4097, 9000])
def test_line_of_any_command_has_512_bytes_at_most(head: bytes, size: int) -> None:
    tags = head.split(b" ")[0] + b" " if head.startswith(b"@") else b""
    line = head.ljust(len(tags) + size - 2, b"x") + b"\r\n"
    message, after = read(line + b"PING x\r\n")
    assert isinstance(message, Message) if size <= 512 else message == Broken(IrcFault.TOO_LONG)
    assert after == Message("PING", ["x"], {})


# --- what is sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (("al", "PING"), ":al PING"),
        (("al", "PING", "x"), ":al PING x"),
        (("", "PING", "x"), "PING x"),
        (("al", "PING", "x", "two words"), ":al PING x :two words"),
        (("al", "PING", ""), ":al PING :"),
        (("al", "PING", ":)"), ":al PING ::)"),
    ],
)
def test_message_is_written(params: tuple[str, ...], expected: str) -> None:
    assert line(*params) == f"{expected}\r\n".encode()


def test_message_that_is_too_long_is_cut_between_characters() -> None:
    data = line("al", "TOPIC", "#a", "x" * 490 + "яяяяя", tags={"label": "1"})
    head, _, rest = data.partition(b" ")
    assert head == b"@label=1" and len(rest) in (511, 512) and rest.decode().endswith("я\r\n")


def test_tags_are_written() -> None:
    assert lines.tag_text(None) == lines.tag_text({}) == ""
    assert lines.tag_text({"a": "", "b": "x; y"}) == r"@a;b=x\:\sy "


@pytest.mark.parametrize(("size", "text"), [(3, "abc"), (2, "ab"), (0, "")])
def test_cut(size: int, text: str) -> None:
    assert cut("abc", size) == text


def test_words_are_filled_into_lines() -> None:
    assert fill([], 10) == []
    assert fill(["aa", "bb", "cc", "d" * 20], 7) == ["aa bb", "cc", "d" * 20]
    assert fill(["aa", "bb"], 7, ",") == ["aa,bb"]


@given(st.text())
def test_values_survive(value: str) -> None:
    assert unescape(escape(value)) == value
    assert not set(escape(value)) & set("; \r\n")


WORD = st.text(st.characters(codec="utf-8", exclude_characters=" \r\n\0"), min_size=1, max_size=10).filter(
    lambda word: word[0] != ":"
)


@given(st.lists(WORD, max_size=5), st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=30))
def test_what_is_written_is_read(words: list[str], last: str) -> None:
    (message,) = read(line("al", "PRIVMSG", *words, last))
    assert message == Message("PRIVMSG", [*words, last], {})


@given(st.dictionaries(st.from_regex(r"\+?[a-z/-]{1,8}", fullmatch=True), st.text(max_size=10), min_size=1, max_size=4))
def test_tags_survive(tags: dict[str, str]) -> None:
    text = lines.tag_text(tags)
    assert parse_tags(text[1:-1]) == tags


def test_every_numeric_has_a_text() -> None:
    assert all(isinstance(text, str) for text in TEXTS.values()) and TEXTS[401] == "No such nick/channel"


def test_reader_knows_whether_anything_waits() -> None:
    reader = Reader()
    reader.feed(b"PING 1\r\nPING 2\r\n")
    assert reader.next_message() and reader.waiting
    assert reader.next_message() and not reader.waiting
    # What was read is not kept when more arrives.
    reader.feed(b"PING 3\r\n")
    assert reader.state()["_data"] == b"PING 3\r\n"
