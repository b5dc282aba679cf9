import pytest
from cutting import cuts
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.terminal.keys import Key, KeyReader, Paste

LIMIT = 100


def read(pieces: list[bytes], escapes: bool = False) -> list[object]:
    """Return the keys of a stream in these pieces, text joined; `Key.ESCAPE`, which depends on the cuts, on request.

    `Key.NOTHING` depends on them, too.
    """
    reader = KeyReader(LIMIT)
    keys: list[object] = []
    for piece in pieces:
        reader.feed(piece)
        while (key := reader.next_key()) is not None:
            if isinstance(key, str) and keys and isinstance(keys[-1], str):
                keys[-1] += key
            elif key is not Key.NOTHING and (escapes or key is not Key.ESCAPE):
                keys.append(key)
    return keys


STREAMS = [
    (b"abc", ["abc"]),
    ("für 日本 👍".encode(), ["für 日本 👍"]),
    (b"a\xffb\xc3", ["a\ufffdb"]),
    (b"\r", [Key.ENTER]),
    (b"\n", [Key.ENTER]),
    (b"a\r\nb\r\0c\n\rd", ["a", Key.ENTER, "b", Key.ENTER, "c", Key.ENTER, "d"]),
    (b"\r\r\n\n", [Key.ENTER] * 3),
    (b"\ra\n", [Key.ENTER, "a", Key.ENTER]),
    (b"\r\x01\n", [Key.ENTER, Key.HOME, Key.ENTER]),
    (b"\x01\x02\x03\x04\x05\x06\x08\t", [
        Key.HOME, Key.LEFT, Key.INTERRUPT, Key.DELETE_OR_END, Key.END, Key.RIGHT, Key.BACKSPACE, Key.COMPLETE,
    ]),
    (b"\x0b\x0c\x0e\x10\x12\x14\x15\x17\x19\x7f", [
        Key.CUT_TO_END, Key.REDRAW, Key.DOWN, Key.UP, Key.SEARCH, Key.TRANSPOSE, Key.CUT_TO_START, Key.CUT_WORD,
        Key.PUT_BACK, Key.BACKSPACE,
    ]),
    (b"\0\x07\x1c\x1f\xc2\x9b1", ["1"]),
    (b"\x1bb\x1bf\x1bd\x1b\x7f\x1b\x08", [
        Key.WORD_LEFT, Key.WORD_RIGHT, Key.CUT_WORD_RIGHT, Key.CUT_WORD, Key.CUT_WORD,
    ]),
    (b"\x1bxa", ["a"]),
    (b"\x1b\r", [Key.ENTER]),
    (b"\x1b\x1bb", [Key.WORD_LEFT]),
    (b"\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F", [Key.UP, Key.DOWN, Key.RIGHT, Key.LEFT, Key.HOME, Key.END]),
    (b"\x1bOA\x1bOB\x1bOC\x1bOD\x1bOH\x1bOF\x1bOMa", [
        Key.UP, Key.DOWN, Key.RIGHT, Key.LEFT, Key.HOME, Key.END, Key.ENTER, "a",
    ]),
    (b"\x1b[1~\x1b[7~\x1b[4~\x1b[8~\x1b[3~\x1b[5~\x1b[3;5~", [
        Key.HOME, Key.HOME, Key.END, Key.END, Key.DELETE, Key.CUT_WORD_RIGHT,
    ]),
    (b"\x1b[1;5C\x1b[1;3D\x1b[1;2C\x1b[1;5A\x1bOc\x1bOd", [
        Key.WORD_RIGHT, Key.WORD_LEFT, Key.RIGHT, Key.UP, Key.WORD_RIGHT, Key.WORD_LEFT,
    ]),
    (b"\x1b[Ia\x1b[O\x1b[24;80R\x1b[?1;2cb", ["ab"]),
    (b"\x1b[[Aa", ["a"]),  # F1 of the Linux console
    (b"\x1b[" + b"1;" * 500 + b"Aa", [Key.UP, "a"]),
    (b"\x1b[12\rb", [Key.ENTER, "b"]),  # a control character ends a sequence
    (b"\x1b]0;title\x07a\x1b]0;title\x1b\\b\x1bP$q\x1b\\c", ["abc"]),
    (b"\x1b]typed by mistake\rb", [Key.ENTER, "b"]),
    (b"\x1b(Ba\x1b %Gb", ["ab"]),
    (b"\x1b[200~one\r\ntwo\rthree\nfour\x1b[201~!", [Paste("one\ntwo\nthree\nfour"), "!"]),
    (b"\x1b[200~a\x1b[31mb\x03\x07c\td\x1b[201~", [Paste("a[31mbc\td")]),
    (b"\x1b[200~" + b"x" * LIMIT + b"\x1b[201~", [Paste("x" * LIMIT)]),
    (b"\x1b[200~" + b"x" * (LIMIT + 1) + b"\x1b[201~y", [Paste(None), "y"]),
    (b"\x1b[200~" + b"x" * 5000 + b"\x1b[201~\x1b[200~y\x1b[201~", [Paste(None), Paste("y")]),
    (b"\x1b[200~never ended \x1b[201", []),
    (b"\x1b[201~a", ["a"]),
    ("\u202eabc\u2066".encode(), ["abc"]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "keys"), STREAMS)
def test_keys_do_not_depend_on_the_network(data: bytes, keys: list[object]) -> None:
    for pieces in cuts(data):
        assert read(pieces) == keys


def test_lone_escape_is_told_at_once_and_once() -> None:
    reader = KeyReader(LIMIT)
    reader.feed(b"\x1b")
    assert [reader.next_key(), reader.next_key()] == [Key.ESCAPE, None]
    reader.feed(b"")
    assert reader.next_key() is None
    reader.feed(b"[A\x1b")
    assert [reader.next_key(), reader.next_key(), reader.next_key()] == [Key.UP, Key.ESCAPE, None]


def test_nothing_waits_within_a_paste_that_has_no_end_yet() -> None:
    reader = KeyReader(LIMIT)
    assert not reader.waiting
    reader.feed(b"ab\x1b[200~c")
    assert reader.waiting
    assert [reader.next_key(), reader.next_key()] == ["ab", None]
    assert not reader.waiting
    reader.feed(b"\x1b[2")
    assert reader.next_key() is None
    assert not reader.waiting
    reader.feed(b"01~d\r\rx")
    assert reader.waiting
    assert reader.next_key() == Paste("c")
    assert reader.has_enter()
    assert [reader.next_key(), reader.next_key(), reader.next_key()] == ["d", Key.ENTER, Key.ENTER]
    assert not reader.has_enter()


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_are_read_in_bounded_memory(pieces: list[bytes]) -> None:
    reader = KeyReader(LIMIT)
    for piece in pieces:
        reader.feed(piece)
        while (key := reader.next_key()) is not None:
            assert isinstance(key, Key | Paste) or not any(char < " " for char in key)
        assert len(reader._data) - reader._pos < 6
        assert len(reader._parameters) <= 16
        assert sum(map(len, reader._paste)) <= LIMIT
    whole = read([b"".join(pieces)])
    assert read(pieces) == whole
