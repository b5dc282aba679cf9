import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.line.wrap import columns, wrap


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("short", 20, ["short"]),
        ("", 20, [""]),
        ("one two three four", 9, ["one two", "three", "four"]),
        ("one two three four", 18, ["one two three four"]),
        ("  one two three", 9, ["  one two", "  three"]),
        ("one\n  two three four\nfive", 11, ["one", "  two three", "  four", "five"]),
        ("a verylongwordthatdoesnotfit b", 10, ["a", "verylongwordthatdoesnotfit", "b"]),
        ("漢字 漢字 漢字", 9, ["漢字 漢字", "漢字"]),
        ("e\u0301e\u0301 e\u0301 ab", 4, ["e\u0301e\u0301 e\u0301", "ab"]),
        (" " * 50, 20, [" " * 50]),
    ],
)
def test_lines_are_cut_at_words(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width).split("\n") == lines


@given(st.text(st.sampled_from("ab 漢é\n"), max_size=200), st.integers(20, 80))
def test_no_word_is_lost_and_no_line_too_long(text: str, width: int) -> None:
    wrapped = wrap(text, width)
    assert wrapped.split() == text.split()
    for line in wrapped.split("\n"):
        assert columns(line) <= width or len(line.split()) <= 1
