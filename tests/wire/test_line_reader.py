import pytest
import regex
from cutting import chopped, cuts
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.line.reader import LineReader, LineSignal

LIMIT = 40
Item = str | LineSignal


def read(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[Item], str]:
    """Return what comes out of a stream that came in these pieces, and its unfinished line."""
    reader = LineReader(limit)
    items: list[Item] = []
    for piece in pieces:
        reader.feed(piece)
        while (item := reader.next_line()) is not None:
            items.append(item)
    return items, reader.end()


STREAMS = [
    # data; lines and signals; what has no end
    (b"", [], ""),
    (b"hi\n", ["hi"], ""),
    (b"hi", [], "hi"),
    (b"\n\n", ["", ""], ""),
    (b"a\nb\nc", ["a", "b"], "c"),
    (b"a\r\nb\r\n", ["a", "b"], ""),
    (b"a\r\x00b\r\x00", ["a", "b"], ""),
    (b"a\rb\r", ["a", "b"], ""),
    (b"a\n\rb\n\r", ["a", "b"], ""),
    (b"a\r\n\r\nb\n", ["a", "", "b"], ""),
    (b"a\r\rb\n\nc", ["a", "", "b", ""], "c"),
    (b"a\r\n\nb", ["a", ""], "b"),
    (b"a\rb\n", ["a", "b"], ""),
    (b"a\x00b\x00\n\x00c\n", ["ab", "c"], ""),
    (b"caf\xc3\xa9 \xf0\x9f\x99\x82\n", ["café 🙂"], ""),
    (b"caf\xe9 \xf0\x9f\x99\n\xc3", ["caf\ufffd \ufffd"], "\ufffd"),
    (b"\xc0\xaf\xed\xa0\x80\n", ["\ufffd" * 5], ""),
    (b" \ttabs and spaces \n", [" \ttabs and spaces "], ""),
    # editing
    (b"ab\x08c\x7fd\n", ["ad"], ""),
    (b"\x08\x7f\x17\x15a\n", ["a"], ""),
    ("ae\u0301\x7fb\n".encode(), ["ab"], ""),
    ("a🇩🇪\x7fb\n".encode(), ["ab"], ""),
    ("a👩\u200d👩\u200d👧\x7fb\n".encode(), ["ab"], ""),
    ("a漢字\x7fb\n".encode(), ["a漢b"], ""),
    ("a漢字\x7f\u0301\x7fb\n".encode(), ["ab"], ""),
    (b"a\xc3\xa9\x7fb\n", ["ab"], ""),
    (b"a\xe9\x7fb\n", ["ab"], ""),
    (b"20\xb0\x7fC\n", ["20C"], ""),  # Latin-1's degree sign
    (b"a\x80\x81\x7f\x7fb\n", ["ab"], ""),
    (b"a\xef\xbf\xbd\x7fb\n", ["ab"], ""),
    (b"\xbf\xbf\x7f\n", ["\ufffd"], ""),
    (b"one two\x17x\n", ["one x"], ""),
    (b"one two  \x17x\n", ["one x"], ""),
    (b"one\ttwo\x17x\n", ["one\tx"], ""),
    (b"one\x17x\n", ["x"], ""),
    (b"one two\x15x\n", ["x"], ""),
    (b"one two\x03x\n", ["x"], ""),
    (b"ab\x12c\n", [LineSignal.REPRINT, "abc"], ""),
    (b"\x04", [LineSignal.QUIT], ""),
    (b"a\n\x04b", ["a", LineSignal.QUIT], "b"),
    (b"a\x04b\n", ["ab"], ""),
    (b"ab\x08\x08\x04", [LineSignal.QUIT], ""),
    (b"a\r\x08\nb", ["a", ""], "b"),
    # too long
    (b"x" * LIMIT + b"\n", ["x" * LIMIT], ""),
    (b"x" * LIMIT + b"\r\n", ["x" * LIMIT], ""),
    (b"a\n" + b"x" * (LIMIT + 1) + b"\nb\n", ["a", LineSignal.TOO_LONG, "b"], ""),
    (b"x" * 5 * LIMIT + b"\r\nb\r\n", [LineSignal.TOO_LONG, "b"], ""),
    (b"x" * (LIMIT + 1), [LineSignal.TOO_LONG], ""),
    (b"x" * LIMIT + b"\x7f" + b"yz\nb\n", [LineSignal.TOO_LONG, "b"], ""),
    (b"x" * LIMIT + b"\x7fy\n", ["x" * (LIMIT - 1) + "y"], ""),
    (b"x" * 2 * LIMIT + b"\x7f\x17\x08\x04y\nb\n", [LineSignal.TOO_LONG, "b"], ""),
    (b"x" * 2 * LIMIT + b"\x15y\n", [LineSignal.TOO_LONG, "y"], ""),
    (b"x" * 2 * LIMIT + b"\x03y\n", [LineSignal.TOO_LONG, "y"], ""),
    ((b"x" * 2 * LIMIT + b"\n") * 2 + b"y\n", [LineSignal.TOO_LONG, LineSignal.TOO_LONG, "y"], ""),
    # telnet
    (b"hi\xff\xf1 there\r\n", ["hi there"], ""),
    (b"hi\xff\xf4ho\r\n", ["ho"], ""),
    (b"hi\xff\xf8ho\xff\xf7a\r\n", ["ha"], ""),
    (b"hi\xff\xec", [LineSignal.QUIT], ""),
    (b"x" * 2 * LIMIT + b"\xff\xec", [LineSignal.TOO_LONG, LineSignal.QUIT], ""),
    (b"\xff\xfa\x1f\x00\x0a\x00\x0d\xff\xf0hi\n", ["hi"], ""),
    (b"a\xff\xffb\n", ["a\ufffdb"], ""),
    (b"bob\n\xff\xf4\xff\xfd\x06still here\n", ["bob", "still here"], ""),
]


@pytest.mark.parametrize(("data", "items", "rest"), STREAMS)
def test_lines_are_the_same_however_the_stream_is_cut(data: bytes, items: list[Item], rest: str) -> None:
    for pieces in cuts(data):
        assert read(pieces) == (items, rest)


def rest_of(text: str, erased: int) -> str:
    """Return what is left when the last characters are erased, as people see them, with a look at all of the text."""
    clusters = regex.findall(r"\X", text)
    return "".join(clusters[: max(0, len(clusters) - erased)])


PARTS = [*"a é e\u0301 \u0301 🇩 👩 \u200d 🏽 \u1100 \u1161 \u11a8 क \u094d \u0600 \u0e31".split(), " "]


@given(st.lists(st.tuples(st.lists(st.sampled_from(PARTS), max_size=5), st.integers(0, 3))))
def test_keys_erase_characters_as_people_see_them(typed: list[tuple[list[str], int]]) -> None:
    data, left = "", ""
    for parts, erased in typed:
        data += "".join(parts) + "\x7f" * erased
        left = rest_of(left + "".join(parts), erased)
    assert read([data.encode() + b"\n"], 4096) == ([left], "")


KEYS = b"\n\n\r\r\x00\x00\x03\x04\x08\x7f\x12\x15\x17\xff\xfa\xf0\xfd\x1f\xe9\xb0\xc3\xa9 \tabcdef"
KEYBOARD = st.lists(st.sampled_from(KEYS)).map(bytes)


@given(st.lists(KEYBOARD | st.binary()))
def test_random_bytes_give_the_same_however_they_are_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    expected = read([whole], 10)
    assert read(pieces, 10) == expected
    assert read(chopped(whole, 1), 10) == expected
    for item in expected[0]:
        assert isinstance(item, LineSignal) or (len(item) <= 10 and not set(item) & set("\n\r\0\x03\x04\x08\x7f"))


@given(
    st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=10)),
    st.sampled_from(["\n", "\r\n", "\r\0", "\r", "\n\r"]),
)
def test_lines_of_text_come_out_as_they_went_in(lines: list[str], end: str) -> None:
    data = "".join(line + end for line in lines).encode()
    assert read([data]) == (lines, "")


def test_reader_keeps_no_more_than_a_line_and_what_was_fed_last() -> None:
    reader = LineReader(LIMIT)
    for _ in range(100):
        reader.feed(b"x" * 16)
        reader.next_line()
        values = [getattr(reader, name) for name in LineReader.__slots__]
        assert sum(len(value) for value in values if isinstance(value, bytes | bytearray)) <= LIMIT + 16


def test_lines_may_be_taken_later() -> None:
    reader = LineReader(LIMIT)
    reader.feed(b"a\nb\nc")
    assert reader.next_line() == "a"
    assert reader.waiting
    reader.feed(b"d\n")
    assert [reader.next_line() for _ in range(3)] == ["b", "cd", None]
    assert not reader.waiting


def test_pending_is_the_line_so_far() -> None:
    reader = LineReader(LIMIT)
    assert reader.pending == ""
    reader.feed(b"a\nso f\xe9\x12r\n")
    assert [reader.next_line(), reader.next_line()] == ["a", LineSignal.REPRINT]
    assert reader.pending == "so f\ufffd"


def test_unfinished_line_is_given_once() -> None:
    reader = LineReader(LIMIT)
    reader.feed(b"so far")
    assert reader.next_line() is None
    assert [reader.end(), reader.end()] == ["so far", ""]


def test_telnet_is_there_from_its_first_byte_on() -> None:
    reader = LineReader(LIMIT)
    reader.feed(b"hi\n")
    assert reader.telnet is None
    reader.feed(b"\xff\xf6")
    assert reader.telnet is not None
    assert reader.telnet.take_replies().endswith(b"[yes]\r\n")


def test_reader_knows_of_a_line_that_waits() -> None:
    reader = LineReader(LIMIT)
    for data, waits in ((b"one\r\n\r\n", False), (b"one\ntwo", False), (b"\none\ntwo\n", True), (b"one\rtwo\r", True)):
        reader.feed(data)
        assert reader.next_line() is not None and reader.has_line() is waits
        while reader.next_line() is not None:
            pass


def test_rest_is_taken_as_it_is() -> None:
    reader = LineReader(100)
    reader.feed(b"one\nha")
    assert [reader.next_line(), reader.next_line()] == ["one", None]
    reader.feed(b"lf\nthree")
    assert reader.take_rest() == ("ha", b"lf\nthree")
    assert reader.take_rest() == ("", b"")
