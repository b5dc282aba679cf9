import sys
import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from hubbub.errors import Refused
from hubbub.text import formatting
from hubbub.text.bounds import FOLDED_CHARS, REAL_NAME_BYTES
from hubbub.text.cleaning import (
    clean,
    clean_lines,
    cut,
    fold,
    fold_text,
    is_blank,
    one_line,
    real_name,
    reason_of,
    said,
)

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HIDDEN = "\u200b\u200c\u200d\ufe0f\u3164\u180e\u034f\U000e0067\u0301\u0323\u20e3🏴❤👩ن\u094dक"
SPECIAL = (
    HIDDEN
    + "\x02\x03\x0412,\x1b\x07\x08\r\n\t\x00\x7f[]PX^_NO\\(#;0?mA \u2028"
    + BIDI
    + "".join(map(chr, range(0x80, 0xA0)))
)
ANY = st.text(st.one_of(st.sampled_from(SPECIAL), st.characters(), st.characters(categories=["Cs"])))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain", "plain"),
        ("", ""),
        ("naïve 漢字 🙂 עברית", "naïve 漢字 🙂 עברית"),
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("a\x1b[2J\x1b[1;1Hb", "ab"),
        ("a\x1b[?25lb", "ab"),
        ("a\x1b[ qb", "ab"),
        ("a\x1b[1", "a"),
        ("\x1b[A", ""),
        ("a\x1bOAb", "ab"),
        ("a\x1bNxb", "ab"),
        ("a\x1b]0;owned\x07b", "ab"),
        ("a\x1b]0;owned\x1b\\b", "ab"),
        ("a\x1b]0;owned\x9cb", "ab"),
        ("a\x1b]52;c;cm0gLXJm\x07b", "ab"),
        ("a\x1b]0;without an end", "a"),
        ("a\x1bPq#0;2\x1b\\b", "ab"),
        ("a\x1bXsos\x1b\\b\x1b^pm\x1b\\c\x1b_apc\x1b\\d", "abcd"),
        ("a\x1b]0;two\nlines\x07b", "ab"),
        ("a\x1b(Bb", "ab"),
        ("a\x1b#8b", "ab"),
        ("a\x1bcb", "ab"),
        ("a\x1b7b\x1b8c", "abc"),
        ("a\x1b", "a"),
        ("a\x1b\x1b[Ab", "ab"),
        ("a\x1b\x1b", "a"),
        ("a\x1b\nb", "ab"),
        ("a\x9b31mb", "ab"),
        ("a\x9d0;owned\x9cb", "ab"),
        ("a\x90q\x9cb\x98s\x9cc\x9ep\x9cd\x9fa\x9ce", "abcde"),
        ("a\x8fAb\x8eAc", "abc"),
        ("a\x84\x85\x8d\x80\x9cb", "ab"),
        ("a\x00\x07\x08\x0b\x0c\r\n\x0e\x0f\x7fb", "ab"),
        ("a\tb", "a b"),
        ("a\u2028b\u2029c", "a b c"),
        (f"a{BIDI}b", "ab"),
        ("a\ufeff\ufff9\ufffa\ufffb\u206a\u206fb", "ab"),
        ("a\ud800b", "a\ufffdb"),
        ("👩\u200d🔬 ❤\ufe0f", "👩\u200d🔬 ❤\ufe0f"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        # what shows nothing
        ("a\u200bb\u200e\u200f\u061cc\u00add\u034fe\u2060f\u115f\u3164\uffa0\u17b4g", "abcdefg"),
        ("a\U000e0073\U000e0065\U000e0001\U000e0100b", "ab"),
        ("a\ufe0fb\ufe00", "ab"),
        ("❤\ufe0f\ufe0f1\ufe0f\u20e3", "❤\ufe0f1\ufe0f\u20e3"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",) * 2,
        ("🏴\U000e0067\U000e0062\U000e0078\U000e0078\U000e0078\U000e007f", "🏴"),
        ("🏳\ufe0f\u200d🌈👩🏽\u200d🔬",) * 2,
        ("\u200da\u200c \u200d\u200db\u200d", "a b"),
        ("അവന്\u200d र\u200dा ر\u200d",) * 2,
        ("ᠠ\u180bᠠ\u180e x\u180b", "ᠠ\u180bᠠ\u180e x"),
        ("a\ufdd0b\ufdef", "ab"),
        # marks upon marks
        ("z" + "\u0301" * 300 + "\u0489" * 100 + "y", "z" + "\u0301" * 4 + "y"),
        ("z\u0301\u200d\u0301\u200d\u0301\u0301\u0301\u0301", "z\u0301\u200d\u0301\u200d\u0301\u0301"),
        ("\u302e" * 9, "\u302e" * 4),
        ("လျှော့ שׁ֥ ཧཱུྃ ภี่ किं",) * 2,
        # IRC's formatting
        ("\x0304red\x03 \x033,5green on brown\x0f end", "red green on brown end"),
        ("\x0304,01red\x03 \x02bold\x02", "red bold"),
        ("\x03\x0399 bottles", "99 bottles"),
        ("\x0304red\x03\x0303green", "redgreen"),
        ("\x04ff0000,00FF00x\x04y \x04ff", "xy ff"),
        ("\x02\x1d\x1f\x1e\x11\x16\x0fx", "x"),
        ("a\x031,b", "a,b"),
        ("\x03123", "3"),
        ("\x1b[3\x0304m", "m"),
    ],
)
def test_clean(text: str, left: str) -> None:
    assert clean(text) == left


@given(ANY)
def test_clean_text_is_one_line_that_moves_nothing(text: str) -> None:
    left = clean(text)
    assert clean(left) == left
    assert len(left.splitlines()) <= 1
    assert not {unicodedata.category(char) for char in left} & {"Cc", "Cs", "Zl", "Zp"}
    assert not regex.search(r"[[\p{Mn}\p{Me}]||\P{ccc=0}]{5}", left, regex.V1)
    assert not regex.search(r"[\p{DI}--[\u200c\u200d\ufe0e\ufe0f\u180b-\u180f]]", left, regex.V1)
    assert not set(left) & set(BIDI)
    left.encode()


@given(
    st.text(
        st.characters(exclude_categories=["C", "Zl", "Zp", "M"]).filter(lambda char: not regex.match(r"\p{DI}", char))
    )
)
def test_clean_keeps_all_that_can_be_printed(text: str) -> None:
    assert clean(text) == text


@given(st.text(st.sampled_from("abc;0123456789[]?")), st.sampled_from(["\x07", "\x1b\\", "\x9c"]))
def test_clean_drops_a_string_with_its_content(content: str, end: str) -> None:
    assert all(clean(f"<{start}{content}{end}>") == "<>" for start in ("\x1b]", "\x1bP", "\x1b_", "\x9d", "\x90"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "aLICE"),
        ("Straße", "STRASSE"),
        ("É", "e\u0301"),
        ("ﬁ", "FI"),
        ("Ａｌ", "al"),
        ("①", "1"),
        ("ΌΣΟΣ", "όσος"),
        ("\u1e9e", "ss"),
        ("Å", "å"),
    ],
)
def test_fold_makes_the_same_of(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("e", "é"), ("ı", "i"), ("а", "a")])
def test_fold_keeps_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text(st.characters(max_codepoint=sys.maxunicode, exclude_categories=["Cs"]), max_size=7))
def test_fold_twice_is_fold_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (" one ", " one"),
        ("\tone\ttwo\t", "\tone\ttwo"),
        ("one\ntwo", "one\ntwo"),
        ("one\r\ntwo\rthree\u2028four\x85five", "one\ntwo\nthree\nfour\nfive"),
        ("\n\n one\x1b[2J \n\n\ttwo\t\n\n", " one\n\n\ttwo"),
        ("    if x:\n\t    return\n", "    if x:\n\t    return"),
        (" \n\u200b\n  a\n \n", "  a"),
        ("\n \n", ""),
        ("\u3000a\u3000", "\u3000a"),
        ("\x02 12.50 kg\x03", "12.50 kg"),
        ("\x02  bold\x02", "  bold"),
    ],
)
def test_message_of_several_lines_keeps_them(text: str, cleaned: str) -> None:
    assert clean_lines(text) == cleaned
    assert clean_lines(cleaned) == cleaned


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("z" + "\u0301" * 3 + "\x02" + "\u0301" * 3, "z" + "\u0301" * 4),
        ("z" + "\u0301\x02" * 9, "z" + "\u0301" * 4),
        ("a\u200c\x02b", "ab"),
        ("❤\x02\ufe0f\x02\ufe0f", "❤"),
    ],
)
def test_code_between_marks_or_joiners_hides_nothing(text: str, plain: str) -> None:
    assert said(text).text == plain


@given(ANY)
def test_message_is_clean_line_by_line(text: str) -> None:
    for exact in (False, True):
        plain, tag = said(text, exact)
        assert said(plain, exact) == (plain, "")
        assert clean(plain.replace("\n", " ").replace("\t", " ")) == plain.replace("\n", " ").replace("\t", " ")
        assert tag.startswith("format=") or not tag
        codes = formatting.read(tag.removeprefix("format="))
        assert said(formatting.put_in(plain, codes), exact).text == plain


@pytest.mark.parametrize(
    ("text", "plain"), [(" \x02 tea\x02\tat five \x0f", "tea at five"), ("tea\nat five", "teaat five"), ("\x0304", "")]
)
def test_text_of_one_line(text: str, plain: str) -> None:
    left, tag = one_line(text)
    assert left == plain
    assert all(0 <= at <= len(left) for at, _ in formatting.read(tag.removeprefix("format=")))


@pytest.mark.parametrize("text", ["", " ", "\u2800", "\u3000", "\U0001d159", "\n \n"])
def test_blank(text: str) -> None:
    assert is_blank(text) and not is_blank(f"{text}.")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Al Bo", "Al Bo"),
        (b"Jos\xe9".decode("utf-8", "replace"), "Jos\ufffd"),
        (" \x0304Al\x03\x1b[2J\t", "Al"),
        ("\u200b\u3164", ""),
        ("é" * 200, "é" * (REAL_NAME_BYTES // 2)),
    ],
)
def test_real_name(text: str, name: str) -> None:
    assert real_name(text) == name


FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("text", "size", "left"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("", 0, ""),
        ("éé", 3, "é"),
        ("ae\u0301", 2, "a"),
        ("ae\u0301", 3, "a"),
        ("ae\u0301b", 4, "ae\u0301"),
        ("🇩🇪🇫🇷", 12, "🇩🇪"),
        (f"a{FAMILY}b", 20, "a"),
        (f"a{FAMILY}b", 1 + len(FAMILY.encode()), f"a{FAMILY}"),
        (FAMILY, 7, "👨\u200d"),  # it does not fit at all
    ],
)
def test_cut_is_made_between_characters_as_people_see_them(text: str, size: int, left: str) -> None:
    assert cut(text, size) == left


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 40))
def test_cut_fits_and_takes_all_that_fits(text: str, size: int) -> None:
    text = clean(text)
    left = cut(text, size)
    assert text.startswith(left) and len(left.encode()) <= size
    clusters = regex.findall(r"\X", text)
    ends = [len("".join(clusters[:count])) for count in range(len(clusters) + 1)]
    if ends[1:] and len(clusters[0].encode()) <= size:
        assert len(left) == max(end for end in ends if len(text[:end].encode()) <= size)


def test_fold_refuses_what_no_name_can_be() -> None:
    assert fold("x" * FOLDED_CHARS)
    with pytest.raises(Refused):
        fold("x" * (FOLDED_CHARS + 1))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_text_is_folded_as_names_are(text: str) -> None:
    assert fold_text(clean(text)) == fold(clean(text))


@pytest.mark.parametrize("text", ["", "  ", "\u2800", "\u3164 \u200b", "\x0304\x03"])
def test_reason_that_shows_nothing_is_none(text: str) -> None:
    assert reason_of(text) == ""
