"""IRC's formatting: taken out of a text, kept beside it, and put in again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.text import formatting
from hubbub.text.bounds import FORMAT_CHARS
from hubbub.text.cleaning import said
from hubbub.text.formatting import Code, put_in, read, store, strip

TEXTS = [
    ("\x0304red\x03 plain", "red plain", "0c04+3c"),
    ("\x02bold\x02 \x1di\x1d \x1fu\x1f \x1es\x1e \x11m\x11 \x16r\x16\x0f.", "bold i u s m r.", None),
    ("\x0304,01both\x03", "both", "0c04-01+4c"),
    ("\x04ff0000,00FF00hex\x04", "hex", "0xff0000-00FF00+3x"),
    ("\x03\x0399 bottles", "99 bottles", "0c+0c"),
    ("\x03\x037 dwarfs", "7 dwarfs", "0c+0c"),
    ("\x0304red\x03\x0303green", "redgreen", "0c04+3c+3c03"),
    ("\x0304a\x0f\x03\x037b", "a7b", None),
    ("one\n\x02two\x02", "one\ntwo", "4b+7b"),
    ("x\x1cy", "xy", "1k"),
]


@pytest.mark.parametrize(("text", "plain", "stored"), TEXTS, ids=ascii)
def test_formatting_is_kept_beside_the_text(text: str, plain: str, stored: str | None) -> None:
    left, tag = said(text)
    value = tag.removeprefix("format=")
    assert left == plain == "\n".join(strip(line) for line in text.split("\n"))
    assert stored in (None, value)
    assert put_in(left, read(value)) == text


def test_digits_of_a_text_never_become_a_colour() -> None:
    left, tag = said("\x03\u200b99 and \x033\u200b4, \x0304\u200b,5")
    assert left == "99 and 4, ,5"
    formatted = put_in(left, read(tag.removeprefix("format=")))
    assert strip(formatted) == left


CODES = st.builds(
    Code, st.integers(0, 12), st.sampled_from(["\x02", "\x03", "\x034", "\x0304,11", "\x04abcdef", "\x0f", "\x1c"])
)


@given(st.text(st.sampled_from("a1,9f ")), st.lists(CODES))
def test_no_formatting_changes_a_text(text: str, codes: list[Code]) -> None:
    codes = sorted(codes, key=lambda one: one.at)
    assert read(store(codes)) == codes
    assert strip(put_in(text, codes)) == text


@pytest.mark.parametrize(
    "value", ["", "x", "0z", "b", "0c123", "0b5", "-1b", "0xff", "0c1-", "9" * 9 + "b", "0b;+1", "\u0661b"]
)
def test_formatting_that_is_not_understood_is_none(value: str) -> None:
    assert read(value) == []
    assert read(f"{value}+0b") == [Code(0, "\x02")]


def test_formatting_behind_the_end_is_left_out() -> None:
    assert put_in("ab", [Code(1, "\x02"), Code(3, "\x02")]) == "a\x02b"


def test_more_formatting_than_is_kept_is_dropped() -> None:
    assert said("\x02a" * FORMAT_CHARS) == ("a" * FORMAT_CHARS, "")
    assert formatting.store([]) == ""
