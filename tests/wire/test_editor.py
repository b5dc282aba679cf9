from collections.abc import Sequence

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.text.bounds import NAME_CHARS
from hubbub.wire.line.reader import LineSignal
from hubbub.wire.terminal.completion import LISTED, Completion, Vocabulary, complete
from hubbub.wire.terminal.editor import Editor
from hubbub.wire.terminal.history import CHARS, LINES, TypedHistory
from hubbub.wire.terminal.views import clamped, visible
from hubbub.wire.terminal.width import clusters
from terminals import Terminal

LIMIT = 200
FAMILY = "👨‍👩‍👧‍👦"
ANN = Vocabulary(["Ann", "anna", "Bob"], ["lobby", "ops", "ops-eu"], ["help", "join", "history"], {"join"})


class Desk:
    """Somebody at a terminal with an editor."""

    def __init__(self, columns: int = 40, plain: bool = False, vocabulary: Vocabulary = ANN) -> None:
        self.asked = 0
        self.editor = Editor(LIMIT, lambda: self._words(vocabulary), columns, plain)
        self.screen = Terminal(columns)
        self.written = b""
        self.done: list[str | LineSignal] = []
        self.show(self.editor.take_output())

    def _words(self, vocabulary: Vocabulary) -> Vocabulary:
        self.asked += 1
        return vocabulary

    def show(self, data: bytes) -> None:
        self.written += data
        self.screen.show(data)

    def types(self, *pieces: bytes | str) -> Sequence[str | LineSignal]:
        """Return the lines and signals that came of what is typed."""
        done: list[str | LineSignal] = []
        for piece in pieces:
            self.editor.feed(piece.encode() if isinstance(piece, str) else piece)
            while (one := self.editor.next_line()) is not None:
                done.append(one)
                self.show(self.editor.take_output())
            self.show(self.editor.take_output())
        self.done += done
        return done

    def hears(self, text: str) -> None:
        self.show(self.editor.above(text.encode()))


UP, DOWN, RIGHT, LEFT, HOME, END, DELETE = (
    b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[H", b"\x1b[F", b"\x1b[3~",
)  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"hello", "hello"),
        (b"hello\x7f\x08p", "help"),
        (b"\x7f\x1b[3~a", "a"),
        (b"ello\x01h", "hello"),
        (b"hllo\x1b[D\x02\x02e", "hello"),
        (b"hell\x01\x05o", "hello"),
        (b"hell" + HOME + END + b"o", "hello"),
        (b"hexllo" + LEFT * 3 + b"\x7f", "hello"),
        (b"hexllo" + LEFT * 4 + DELETE, "hello"),
        (b"hexllo" + LEFT * 4 + b"\x04", "hello"),
        (b"helloxx" + LEFT * 2 + b"\x0b", "hello"),
        (b"xxhello" + HOME + RIGHT + b"\x06\x15", "hello"),
        (b"one two  \x17", "one "),
        (b"one two-three\x17", "one "),
        (b"one two-three\x1b\x7f", "one "),  # the same: what is between spaces
        (b"one two\x17\x19\x19", "one twotwo"),
        (b"\x19\x17", ""),
        (b"\x17\x0b\x15", ""),
        (b"one two\x1bb\x1bb!", "!one two"),
        (b"one, two\x01\x1bf!\x1bf!", "one!, two!"),
        ("o\u0301ne tw\u00f6_\u0663\x1bb!\x1bb!", "o\u0301ne !tw\u00f6_!\u0663"),  # characters of several code points
        ("a\u0301b e\u0301\u0300-c\u0301\x17", "a\u0301b "),
        (b"one two\x01\x1bd", " two"),
        (b"one two\x01\x1b[1;5C\x1b[1;5C\x1b[1;5D!", "one !two"),
        (b"\x1bb\x1bfa", "a"),
        (b"ehllo" + HOME + RIGHT + b"\x14", "hello"),
        (b"helol\x14", "hello"),
        (b"a\x14\x01\x14", "a"),
        ("für".encode() + b"\x7f\x7f\x7f", ""),
        (("a" + FAMILY + "b").encode() + LEFT * 2 + DELETE, "ab"),
        (("e\u0301" * 3).encode() + b"\x7f", "e\u0301" * 2),
        (b"ab" + LEFT + "\u0301".encode(), "a\u0301b"),
        ("👩".encode() + "\u200d".encode() + "🔬x".encode() + LEFT * 2 + b"!", "!👩\u200d🔬x"),
        (b"a\x03b", "b"),
        (b"\x1b[200~a\tb\n\n\x1b[201~", "a\tb"),
        (b"\x1b[200~one\ntwo\x1b[201~ three", "one\ntwo three"),
        (b"a\x1bzb\x0c", "ab"),
        (b"x" * (LIMIT + 50), ""),  # too long at once: not taken
        (b"x" * LIMIT + b"y", "x" * LIMIT + "y"),
    ],
)  # fmt: skip
def test_line_is_edited(keys: bytes, line: str) -> None:
    desk = Desk()
    desk.types(keys[:LIMIT], keys[LIMIT:])
    assert desk.editor.pending == line[:LIMIT] if len(keys) <= LIMIT + 1 else desk.editor.pending == "x" * LIMIT
    assert desk.types(b"\r") == [desk.done[-1]]


def test_lines_and_signals_come_in_order() -> None:
    desk = Desk()
    assert desk.types(b"one\rtwo\r\n\x03\x04th") == ["one", "two", LineSignal.INTERRUPT, LineSignal.QUIT]
    assert desk.types(b"ree\r") == ["three"]
    assert desk.screen.rows[:3] == ["one", "two", "three"]


def test_input_waits_until_it_is_taken() -> None:
    editor = Editor(LIMIT)
    editor.feed(b"one\rtwo")
    assert editor.waiting
    assert editor.has_line()
    assert editor.next_line() == "one"
    assert editor.waiting
    assert not editor.has_line()
    assert editor.next_line() is None
    assert not editor.waiting
    editor.feed(b"\rthree")
    assert editor.take_rest() == "two\rthree"
    assert editor.pending == editor.take_rest() == ""


def test_text_that_arrives_is_above_what_is_typed() -> None:
    desk = Desk()
    desk.types(b"half a li")
    desk.hears("Bob: hello\r\nBob: there\r\n")
    assert desk.screen.rows == ["Bob: hello", "Bob: there"]
    assert desk.screen.row == "half a li"
    assert desk.types(b"ne\r") == ["half a line"]
    assert desk.screen.rows[2] == "half a line"


def test_nothing_is_redrawn_while_nothing_is_typed() -> None:
    desk = Desk()
    assert desk.written == b"\x1b[?2004h"
    assert desk.editor.above(b"Bob: hello\r\n") == b"Bob: hello\r\n"
    assert desk.editor.above(b"\a") == b"\a"
    desk.types(b"a")
    assert desk.editor.above(b"\a") == b"\a"
    assert desk.editor.above(b"x\r\n") == b"\r\x1b[Kx\r\na"
    assert desk.editor.take_output() == b""


def test_what_is_added_is_all_that_is_written() -> None:
    desk = Desk()
    desk.types(b"ab")
    before = len(desk.written)
    desk.types(b"c", b"\r")
    assert desk.written[before:] == b"c\r\n"


def test_long_line_is_shown_in_part_and_whole_when_it_is_sent() -> None:
    desk = Desk(20)
    text = "".join(f"{n:3}" for n in range(30))
    desk.types(text)
    assert desk.screen.row.startswith("<")
    assert desk.screen.row.endswith(" 29")
    desk.types(HOME)
    assert desk.screen.row == text[:17] + ">"
    assert desk.screen.cursor.x == 0
    desk.types(RIGHT * 40)
    assert desk.screen.row[0] + desk.screen.row[-1] == "<>"
    assert desk.screen.row[1:-1] in text
    assert desk.types(b"\r") == [text]
    assert "".join(row.ljust(20) for row in desk.screen.rows).rstrip() == text


@pytest.mark.parametrize("text", ["日本語", "e\u0301te\u0301", FAMILY * 3, "שלום עולם", "👍🏽❤️🇩🇪", "a\u200bb"])
def test_cursor_is_where_the_terminal_shows_the_text(text: str) -> None:
    desk = Desk()
    desk.types(text + "end", LEFT * 3)
    same = Terminal()
    same.show(text.encode())
    assert desk.screen.cursor.x == same.cursor.x
    desk.types("X")
    same.show(b"Xend")
    assert desk.screen.row == same.row


def test_prompt_stands_before_the_line_until_it_is_sent() -> None:
    desk = Desk()
    desk.editor.ask("Enter your name: ")
    desk.types(b"An")
    desk.hears("*** hello ***\r\n")
    assert desk.screen.row == "Enter your name: An"
    desk.types(b"n\r", b"hi")
    assert desk.screen.rows == ["*** hello ***", "Enter your name: Ann"]
    assert desk.screen.row == "hi"


@pytest.mark.parametrize("plain", [False, True])
def test_prompt_that_is_shown_already_is_not_written_again(plain: bool) -> None:
    desk = Desk(plain=plain)
    desk.show(b"Enter your name: A")
    desk.editor.adopt("Enter your name: ", "A")
    desk.types(b"nn")
    assert desk.screen.row == "Enter your name: Ann"


def test_long_prompt_is_cut_at_its_beginning() -> None:
    desk = Desk(20)
    desk.editor.ask("Ann is registered. Password or code: ")
    desk.types(b"ab")
    assert desk.screen.row == "word or code: ab"


@pytest.mark.parametrize("plain", [False, True])
def test_hidden_input_is_not_shown_kept_or_completed(plain: bool) -> None:
    desk = Desk(plain=plain)
    desk.editor.ask("Password: ", hides=True)
    assert desk.types(b"sec\t", UP, b"\x1b[200~ret\n\n\x1b[201~", LEFT, b"\r") == ["secret"]
    assert b"s" not in desk.written.replace(b"Password: ", b"")
    assert desk.asked == 0
    desk.types(UP, b"\x12")
    assert desk.editor.pending == ""


def test_narrow_and_unknown_windows() -> None:
    assert [clamped(n) for n in (-1, 0, 1, 20, 80, 500, 10_000)] == [80, 80, 20, 20, 80, 500, 500]


def test_resize_draws_the_line_again() -> None:
    desk = Desk(40)
    desk.types(b"x" * 30)
    desk.editor.resize(40)
    assert desk.editor.take_output() == b""
    desk.editor.resize(25)
    desk.screen.resize(columns=25)
    desk.show(desk.editor.take_output())
    assert len(desk.screen.row) < 25
    assert desk.screen.rows == []


def test_redraw_writes_the_row_again() -> None:
    desk = Desk()
    desk.types(b"abc")
    before = len(desk.written)
    desk.types(b"\x0c")
    assert desk.written[before:] == b"\r\x1b[Kabc"


def test_end_leaves_the_terminal_as_it_was() -> None:
    desk = Desk()
    desk.types(b"abc")
    assert desk.editor.close() == b"\r\x1b[K\x1b[?2004l"
    plain = Desk(plain=True)
    plain.types(b"abc")
    assert plain.editor.close() == b"\r\n"


# --- pastes -----------------------------------------------------------------------------------------------------


def pasted(text: str) -> bytes:
    return b"\x1b[200~" + text.encode() + b"\x1b[201~"


def test_paste_is_one_message() -> None:
    desk = Desk()
    desk.types(pasted("one\ntwo"))
    assert desk.screen.row == "one↵two"
    assert desk.types(b"\r") == ["one\ntwo"]
    assert desk.screen.rows == ["one", "two"]


@pytest.mark.parametrize("plain", [False, True])
def test_long_paste_is_sent_after_a_question(plain: bool) -> None:
    desk = Desk(plain=plain)
    text = "\n".join(f"line {n}" for n in range(11))
    desk.types(b"so: !", LEFT, pasted(text))
    assert desk.screen.row == "11 lines: Enter sends, Esc drops"
    desk.types(b"typed meanwhile\x04")
    assert desk.types(b"\r") == [f"so: {text}!" if not plain else f"so: !{text}"]
    assert desk.screen.row == ""


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("key", [b"\x1b", b"\x03"])
def test_long_paste_is_dropped(key: bytes, plain: bool) -> None:
    desk = Desk(plain=plain)
    desk.types(b"mine", pasted("\n" * 11 + "x"), key)
    assert desk.screen.row == "mine"
    assert desk.types(b"\r") == ["mine"]


@pytest.mark.parametrize("text", ["x" * (LIMIT + 1), "x" * LIMIT])
def test_paste_that_is_too_long_is_told(text: str) -> None:
    desk = Desk()
    assert desk.types(b"a", pasted(text)) == [LineSignal.TOO_LONG]
    assert desk.editor.pending == "a"


# --- history ----------------------------------------------------------------------------------------------------


def test_up_and_down_bring_earlier_lines_and_the_draft() -> None:
    desk = Desk()
    desk.types(b"one\rtwo\r\rdraft")
    seen = []
    for key in (UP, UP, UP, DOWN, DOWN, DOWN):
        desk.types(key)
        seen.append(desk.editor.pending)
    assert seen == ["two", "one", "one", "two", "draft", "draft"]
    desk.types(UP, b"!", UP)
    assert desk.editor.pending == "two"
    desk.types(DOWN)
    assert desk.editor.pending == "two!"
    desk.types(UP, b"\x7f\x19", UP)
    assert desk.editor.pending == "two"


def test_no_key_brings_back_a_command_with_a_password() -> None:
    desk = Desk()
    desk.types(b"one\r/login Ann secret\r", UP)
    assert desk.editor.pending == "one"
    desk.types(b"\x15sec\x12")
    assert desk.editor.pending == "sec"


def test_search_finds_older_lines_with_the_draft() -> None:
    desk = Desk()
    desk.types(b"deploy one\rother\rdeploy two\rdeploy two\rdep")
    seen = []
    for _ in range(3):
        desk.types(b"\x12")
        seen.append(desk.editor.pending)
    assert seen == ["deploy two", "deploy one", "deploy one"]


def test_history_is_bounded() -> None:
    history = TypedHistory()
    for n in range(LINES + 10):
        history.add(str(n))
    assert len(history._lines) == LINES
    history.add("x" * CHARS * 2)
    assert len(history._lines) == 1
    history.add("y")
    assert list(history._lines) == ["y"]
    assert history.newer("") is None


# --- completion -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("b", "Bob: "),
        ("hi b", "hi Bob "),
        ("hi @B", "hi @Bob "),
        ("a", "Ann"),
        ("x", "x"),
        ("/he", "/help "),
        ("/h", "/h"),
        ("/x", "/x"),
        ("/join l", "/join lobby "),
        ("/JOIN o", "/JOIN ops"),
        ("/help b", "/help Bob "),
        ("see #l", "see #lobby "),
        ("line\nb", "line\nBob: "),
        ("b" * (NAME_CHARS + 2), "b" * (NAME_CHARS + 2)),
    ],
)
def test_tab_completes(before: str, after: str) -> None:
    desk = Desk()
    desk.editor.insert(before)
    desk.types(b"\t")
    assert desk.editor.pending == after


def test_tab_completes_within_a_line() -> None:
    desk = Desk()
    desk.types(b"b, hello", HOME, RIGHT, b"\t")
    assert desk.editor.pending == "Bob: , hello"


def test_tab_lists_what_fits() -> None:
    desk = Desk()
    desk.types(b"Ann\t")
    assert desk.screen.rows == ["Ann, anna"]
    assert desk.screen.row == "Ann"
    many = Vocabulary([f"user{n:03}" for n in range(LISTED + 5)])
    assert complete("user0", many).choices[-1] == "and 5 more"
    assert complete("", Vocabulary(["Ann", "Bob"])) == Completion(0, "", ["Ann", "Bob"])


def test_words_are_asked_for_once_in_what_arrives_together() -> None:
    desk = Desk()
    desk.types(b"\t\t\t\t")
    assert desk.asked == 1
    desk.types(b"\t")
    assert desk.asked == 2
    desk.editor.ask("Enter your name: ")
    desk.types(b"\t")
    assert desk.asked == 2


# --- plain output -----------------------------------------------------------------------------------------------


def is_plain(data: bytes) -> bool:
    return b"\x1b" not in data and b"\r" not in data.replace(b"\r\n", b"")


def test_plain_output_writes_each_character_once() -> None:
    desk = Desk(plain=True)
    desk.types(b"half a li")
    desk.hears("Bob: hello\r\n")
    desk.types(b"ne", LEFT, HOME, b"!\r")
    desk.hears("Bob: bye\r\n")
    assert desk.written == b"half a li\r\nBob: hello\r\nne!\r\nBob: bye\r\n"
    assert desk.done == ["half a line!"]


def test_plain_output_takes_back_what_was_typed_last() -> None:
    desk = Desk(plain=True)
    desk.types("ab日".encode(), b"\x7f\x7f")
    assert desk.written == "ab日".encode() + b"\b\b\b   \b\b\b"
    assert desk.screen.row == "a"


@pytest.mark.parametrize(("typed", "left"), [(FAMILY, ""), ("x" * 45, "x" * 44)])
def test_plain_output_begins_a_row_for_what_cannot_be_taken_back(typed: str, left: str) -> None:
    desk = Desk(plain=True)
    desk.types(typed)
    before = len(desk.written)
    desk.types(b"\x7f")
    assert desk.written[before:] == b"\r\n" + left.encode()


def test_plain_output_begins_a_row_for_a_change_above_a_message() -> None:
    desk = Desk(plain=True)
    desk.types(b"abc")
    desk.hears("Bob: hello\r\n")
    desk.types(b"\x7f", b"\x7f", b"z")
    assert desk.written == b"abc\r\nBob: hello\r\nab\b \bz"


def test_plain_output_and_prompts() -> None:
    desk = Desk(plain=True)
    desk.editor.ask("Name: ")
    desk.types(b"An", b"\x7f")
    desk.hears("*** x ***\r\n")
    desk.types(b"nn\r")
    assert desk.written == b"Name: An\b \b\r\n*** x ***\r\nnn\r\n"
    desk.editor.ask("Password: ", hides=True)
    desk.show(desk.editor.take_output())
    desk.hears("*** y ***\r\n")
    assert desk.written.endswith(b"Password: \r\n*** y ***\r\n")


def test_mode_can_change_in_the_middle_of_a_line() -> None:
    desk = Desk()
    desk.types(b"abc", LEFT)
    desk.editor.set_plain(True)
    desk.editor.set_plain(True)
    desk.show(desk.editor.take_output())
    assert desk.screen.row == "abc"
    desk.types(b"d")
    assert desk.editor.pending == "abcd"
    desk.editor.set_plain(False)
    desk.show(desk.editor.take_output())
    desk.types(LEFT, b"!")
    assert desk.screen.row == "abc!d"


# --- any input --------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    [UP, DOWN, RIGHT, LEFT, HOME, END, DELETE, b"\x1bb", b"\x1bf", b"\x1bd", b"\x1b", b"\r", b"\t", b"\x03"]
    + [bytes([n]) for n in range(1, 32)]
)
TEXTS = st.text(st.sampled_from("ab cß日한́👍👩‍🔬אم\u200b🇩🇪"), max_size=30).map(str.encode)
HEARD = st.text(st.sampled_from("xyz 日é"), max_size=60)
PASTES = st.text(st.sampled_from("ab\n日"), max_size=40).map(pasted)
STEPS = st.lists(st.one_of(KEYS, KEYS, TEXTS, PASTES, HEARD, st.integers(0, 70), st.binary(max_size=4)), max_size=25)


def take(desk: Desk, other: Terminal, step: bytes | str | int) -> None:
    """Do one step; the other terminal shows what is to stand above the line."""
    if isinstance(step, int):
        desk.editor.resize(step)
        columns = clamped(step)
        desk.screen.resize(columns=columns)
        other.resize(columns=columns)
        desk.show(desk.editor.take_output())
    elif isinstance(step, str):
        desk.hears(step + "\r\n")
        other.show(step.encode() + b"\r\n")
    else:
        desk.editor.feed(step)
        while (line := desk.editor.next_line()) is not None:
            if isinstance(line, str):
                other.show("".join("\r\n" if c == "\n" else visible(c) for c in clusters(line)).encode() + b"\r\n")
            desk.show(desk.editor.take_output())
        desk.show(desk.editor.take_output())


@settings(deadline=None, max_examples=40)
@given(STEPS)
def test_screen_is_the_text_above_and_one_row(steps: list[bytes | str | int]) -> None:
    desk, other = Desk(vocabulary=Vocabulary()), Terminal()
    for step in steps:
        take(desk, other, step)
        assert desk.screen.rows == other.rows
        assert desk.screen.cursor.y == other.cursor.y
        shown = desk.screen.row
        if not desk.editor._pasted:  # else the row is the question, of which a narrow screen shows the end
            line = desk.editor._line
            text, before = ("".join(map(visible, row)) for row in (line.row, line.row[: line.cursor]))
            scratch = Terminal(500)
            scratch.show(before.encode())
            cursor = scratch.cursor.x
            scratch.show(text[len(before) :].encode())
            if not (shown.startswith("<") or shown.endswith(">")):
                assert shown == scratch.row
                assert desk.screen.cursor.x == cursor
            else:
                assert shown.removeprefix("<").removesuffix(">") in scratch.row
    assert b"?1049" not in desk.written
    assert len(desk.editor.pending.encode()) <= LIMIT


@settings(deadline=None, max_examples=40)
@given(STEPS)
def test_plain_output_is_plain_whatever_happens(steps: list[bytes | str | int]) -> None:
    desk, other = Desk(plain=True, vocabulary=Vocabulary()), Terminal()
    for step in steps:
        take(desk, other, step)
    assert is_plain(desk.written)
    for step in steps:
        if isinstance(step, str) and len(step) > 20:
            assert desk.written.count(step.encode() + b"\r\n") <= sum(
                one.encode().endswith(step.encode()) for one in steps if isinstance(one, str)
            )


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("x" * 8000, b"\x01\x1bf" * 50),  # ^A and Meta-F
        ("\u0e01" * 2000, b"\x15\x19" * 150),  # ^U and ^Y
        (" ", b"\x1b[" + b"1" * 50_000),
        (" ", b"\0" * 50_000),
        (" ", b"\x1b[200~\x1b[201~" * 2500),
        (" ", b"\x02" * 50_000),
    ],
)
def test_keys_that_take_long_count_as_lines(typed: str, keys: bytes) -> None:
    editor = Editor(16 * 1024)
    editor.feed(typed.encode())
    assert editor.next_line() is None
    editor.feed(keys)
    times = 0
    while (signal := editor.next_line()) is not None:
        assert signal is LineSignal.KEYS
        times += 1
    assert times >= 30 and not editor.waiting
    editor.feed(b"\x05\x15hi\r")  # ^E and ^U
    assert [one for one in iter(editor.next_line, None) if one is not LineSignal.KEYS] == ["hi"]


def test_what_people_type_counts_as_no_line() -> None:
    editor = Editor(16 * 1024)
    for key in b"a message as people write it " * 5:
        editor.feed(bytes([key]))
        assert editor.next_line() is None


@given(st.text(st.sampled_from("aé漢\u0e33\u0301\u200d👩👧🇩🇪\u1100\u1161\uac00\r\n\u0600 ")))
def test_characters_are_those_that_people_see(text: str) -> None:
    assert clusters(text) == regex.findall(r"\X", text)


def test_a_mark_without_a_letter_stands_on_a_space() -> None:
    assert [visible(char) for char in ("a", "\u0301", "e\u0301")] == ["a", " \u0301", "e\u0301"]


@pytest.mark.parametrize("plain", [False, True])
def test_text_above_an_empty_row_is_written_as_it_is(plain: bool) -> None:
    desk = Desk(plain=plain)
    text = b"hello\r\n"
    assert desk.editor.above(text) is text
    desk.types("half")
    desk.hears("hello\r\n")
    desk.types("\r")
    assert desk.editor.above(text) is text
    desk.editor.ask("Name: ")
    desk.show(desk.editor.take_output())
    assert desk.editor.above(text) != text
