import re

import pytest
from cutting import chopped, cuts
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.text.cleaning import clean
from hubbub.wire.line.incoming import MAX_HELD, Incoming
from hubbub.wire.line.reader import LineReader, LineSignal

Item = str | LineSignal
COLOUR = re.compile(r"\x03[0-9]{1,2}(?:,[0-9]{1,2})?")  # of IRC, with its numbers
NAME, CODE = "klaus\r\nBericht fertig: über 90 %\r\n", "utf-16-le"
MARK = b"\xff\xfe"


def arrived(*pieces: bytes) -> tuple[list[Item], str]:
    """Return the lines and signals of pieces that arrived one after the other, and the unfinished line."""
    incoming, reader, items = Incoming(), LineReader(1000), []
    for piece in pieces:
        reader.feed(incoming.feed(piece, bool(reader.telnet and reader.telnet.spoken)))
        while (item := reader.next_line()) is not None:
            items.append(clean(item) if isinstance(item, str) else item)
    return items, reader.end()


# --- UTF-16 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [b"", MARK])
@pytest.mark.parametrize(
    "text",
    [
        NAME,
        "Al\nüber\n",
        "K\r\nя\r\n",
        "Jürgen\nein 👋 Gruß\n",
    ],
)
def test_utf_16_is_read_however_it_is_cut(text: str, mark: bytes) -> None:
    for order in ("le", "be"):
        sent = (mark if order == "le" else mark[::-1]) + text.encode(f"utf-16-{order}")
        for pieces in cuts(sent):
            assert arrived(*pieces) == (text.split("\r\n" if "\r" in text else "\n")[:-1], "")


@pytest.mark.parametrize("name", ["Иван", "Ольга", "Γιώργος", "张伟", "סיגל", "さくら", "Ō"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_with_a_mark_is_read_in_every_script(name: str, order: str) -> None:
    text = f"{name}\r\nпривет 你好 שלום\r\n"
    sent = (MARK if order == "le" else MARK[::-1]) + text.encode(f"utf-16-{order}")
    for pieces in cuts(sent):
        assert arrived(*pieces) == ([name, "привет 你好 שלום"], "")


def test_utf_16_that_is_broken_is_replaced() -> None:
    assert arrived(MARK + "ab\r\n".encode(CODE) + b"\x00\xd8a\x00\n\x00") == (["ab", "\ufffda"], "")


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (MARK + b"\x01Alice\r\n", ["Alice"]),  # telnet's DONT ECHO
        (MARK + b"\x01\xff\xfe\x03Alice\n", ["Alice"]),
        (MARK + b"\x01" + b"a" * 99 + b"\n", ["a" * 99]),
        (b"\x00Alice\nhi\n", ["Alice", "hi"]),  # somebody's keepalive
        (b"\x00\x00Alice\n", ["Alice"]),
        (b"a\x00lice\n", ["alice"]),
        (b"a\x00b\x01\x00c\x00\n", ["abc"]),
        (b"\x00a\x00\x00bc\n", ["abc"]),
        (b"\nAlice\n", ["", "Alice"]),
        (b"\xfe\xfe\n", ["\ufffd" * 2]),
        (b"\xfe\xff\xe0\xe1\n", ["\ufffd" * 4]),
    ],
)
def test_stream_that_is_not_utf_16_is_left_as_it_is(sent: bytes, lines: list[str]) -> None:
    for pieces in cuts(sent):
        assert arrived(*pieces) == (lines, "")


def test_nothing_is_held_back_for_long() -> None:
    held = Incoming()
    assert held.feed(MARK + b"\x01" + b"a" * (MAX_HELD - 4), False) == b""
    assert held.feed(b"b", False) == MARK + b"\x01" + b"a" * (MAX_HELD - 4) + b"b"


# --- 8-bit text -----------------------------------------------------------------------------------------------

WRONG = "\ufffd"


@pytest.mark.parametrize(
    "word",
    [
        "прямо",
        "обычная",
        "меняется",
        "ямщик",
        "яркий",
        "язык",
        "я",
        "ям",
        "яр",
        "яп",
        "поясню",
        "сменяю ",
        "яшма",
        "объятье",
    ],
)
def test_cyrillic_of_8_bits_is_no_telnet(word: str) -> None:
    sent = word.encode("cp1251")
    assert arrived(b"ru\n" + sent + b"\nsecond\n") == (
        ["ru", WRONG * len(word.strip()) + word[len(word.strip()) :], "second"],
        "",
    )
    assert arrived(b"ru\n", sent + b"\n", b"second\n")[0][2] == "second"


def test_8_bit_text_is_known_once_it_was_seen() -> None:
    assert arrived(b"\xcf\xf0\n", b"\xff\xec\n", b"\xff\xfe\n") == ([WRONG * 2, WRONG * 2, WRONG * 2], "")


def test_8_bit_text_is_the_same_however_it_is_cut() -> None:
    sent = "ru\nпрямо, обычная мелодия\nsecond\n".encode("cp1251")
    for pieces in cuts(sent):
        assert arrived(*pieces)[0][2] == "second"
        assert len(arrived(*pieces)[0][1]) == len("прямо, обычная мелодия")


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (b"bob\n\xff\xf4\xff\xfd\x06still here\n", ["bob", "still here"]),  # ^C of a telnet client
        (b"caf\xe9\n\xff\xf4\xff\xfd\x06still here\n", ["caf" + WRONG, "still here"]),
        (b"hi\xff\xf1 there\r\n", ["hi there"]),
        (b"hi\xff\xf4ho\r\n", ["ho"]),
        (b"\xc3\xff\xf4a\n", ["Ãa"]),  # what Debian's telnet makes of a character
        (b"\xff\xfb\x1f\xff\xfd\x03\xd0\xafna\r\n", ["Яna"]),
    ],
)
def test_telnet_is_telnet_all_the_same(sent: bytes, lines: list[str]) -> None:
    assert arrived(sent) == (lines, "")


def test_telnet_that_was_spoken_has_every_command() -> None:
    assert arrived(b"\xff\xfb\x1f", b"\xff\xec") == ([LineSignal.QUIT], "")
    assert arrived(b"\xff\xfb\x1f", b"one two\x17\x12x\n") == ([LineSignal.REPRINT, "one x"], "")


# --- keys, and what devices mean by them ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "items"),
    [
        # what programs and devices send
        ([b"scale\n\x02 12.50 kg\x03\r\n"], ["scale", " 12.50 kg"]),
        ([b"scale\n", b"\x02 12.50 kg\x03\r\n\x02 12.75 kg\x03\r\n"], ["scale", " 12.50 kg", " 12.75 kg"]),
        ([b"scan\n", b"4006381\x03\r", b"4006382\x17\r"], ["scan", "4006381", "4006382"]),
        ([b"x\n", b" 12.50 kg", b"\x03\r\n"], ["x", " 12.50 kg"]),
        ([b"x\n", b"alpha\x15beta\n"], ["x", "alphabeta"]),
        ([b"x\n", b"\x03one\n\x04\ntwo\n"], ["x", "one", "", "two"]),
        ([b"x\n", b"\x04one\n"], ["x", "one"]),
        ([b"x\n", b"a \x12b \x17c\n"], ["x", "a b c"]),
        # what people type
        ([b"alpha", b"\x15", b"beta\n"], ["beta"]),
        ([b"alpha", b"\x15beta\n"], ["beta"]),
        ([b"alpha", b"\x03", b"\n"], [""]),
        ([b"one two", b"\x17", b"\n"], ["one "]),
        ([b"one", b"\x12"], [LineSignal.REPRINT]),
        ([b"\x04"], [LineSignal.QUIT]),
        ([b"one", b"\x7f\x7f\x7f\x04"], [LineSignal.QUIT]),
        # erasing is the same for both: what a terminal would show in the end
        ([b"foo\x7f\x7fbar\n"], ["fbar"]),
        ([b"12.5\x08\x08\x08\x0813.0\n"], ["13.0"]),
    ],
)
def test_keys_are_keys_where_somebody_types(pieces: list[bytes], items: list[Item]) -> None:
    assert arrived(*pieces)[0] == items


@example(["\x0304,12red\x03 \x030"])
@given(st.lists(st.text(st.characters(exclude_characters="\r\n/", exclude_categories=["Cs"]), max_size=5)))
def test_line_that_a_program_writes_is_cleaned_and_nothing_else(lines: list[str]) -> None:
    lines = [line.replace("\b", "").replace("\x7f", "").replace("\0", "") for line in ["me", *lines]]
    got = arrived("".join(line + "\n" for line in lines).encode())
    signs = str.maketrans(dict.fromkeys("\x03\x04\x12\x15\x17"))
    shown = [COLOUR.sub("", line).translate(signs) for line in lines]
    assert got == ([clean(line) for line in shown], "")


# --- lines that are overwritten -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"bar\n10 %\r50 %\r100 %\n"], ["bar", "100 %"]),
        ([b"bar\n10 %\r50 %\r100 %\r\nnext\r\n"], ["bar", "100 %", "next"]),
        ([b"bar\n50 %\r100 %\n"], ["bar", "100 %"]),
        ([b"bar\n", b"\r 10 %\r 50 %\r 100 %\ndone\n"], ["bar", " 100 %", "done"]),
        ([b"bar\n", b"\r 10 %", b"\r 50 %", b"\r100 %", b"\n"], ["bar", "100 %"]),
        ([b"bar\n", b"10 %", b"\r50 %", b"\r60 %\r100 %", b"\n"], ["bar", "100 %"]),
        # lines that end with a carriage return
        ([b"scan\n4006\r4007\r"], ["scan", "4006", "4007"]),
        ([b"scan\n", b"4006\r", b"4007\r"], ["scan", "4006", "4007"]),
        ([b"a\rb\n"], ["a", "b"]),
        ([b"a\nb\r\rc"], ["a", "b", ""]),
        ([b"ann\nfirst\r/me waves\n/who\rsecond\n"], ["ann", "first", "/me waves", "/who", "second"]),
        ([b"ann\r\nhi\r\n\r\nyou\r\n"], ["ann", "hi", "", "you"]),
        ([b"ann\nhi\r\0you\r\0"], ["ann", "hi", "you"]),
    ],
)
def test_line_that_is_overwritten_is_what_it_says_at_last(pieces: list[bytes], lines: list[str]) -> None:
    assert arrived(*pieces)[0] == lines


def test_many_carriage_returns_cost_little() -> None:
    """A search for each of them over what follows would take minutes."""
    for sent in (b"x\n" + b"a\r" * 200_000, b"x\n" + b"\r" * 400_000, b"x\n" + b"a\r" * 200_000 + b"b\n"):
        Incoming().feed(sent, False)


# --- how the first line ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "crlf"),
    [
        ([b"Bob\r\n"], True),
        ([b"Bob\r\nhi\n"], True),
        ([b"Bo", b"b\r", b"\n"], True),
        ([b"Bob\n"], False),
        ([b"Bob\nhi\r\n"], False),
        ([b"Bob\r"], False),
        ([b"Bob\r", b"hi\r\n"], False),
        ([b"Bob\rhi\r\n"], False),
        ([b"Bob"], False),
    ],
)
def test_first_line_tells_how_the_peer_ends_lines(pieces: list[bytes], crlf: bool) -> None:
    incoming = Incoming()
    for piece in pieces:
        incoming.feed(piece, False)
    assert incoming.ends_crlf is crlf


@given(st.lists(st.binary() | st.lists(st.sampled_from([255, 254, 251, 0, 13, 10, 3, 97, 240, 236])).map(bytes)))
def test_random_bytes_break_nothing(pieces: list[bytes]) -> None:
    arrived(*pieces)
    arrived(*chopped(b"".join(pieces), 1))
