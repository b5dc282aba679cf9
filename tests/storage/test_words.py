"""What a search means: which texts hold which words, and that an index of tokens misses none of them."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.storage.words import Words, search_form, tokens


@pytest.mark.parametrize(
    ("words", "text", "found"),
    [
        ("page", "a page here", True),
        ("page", "pages", False),
        ("page*", "pages", True),
        ("page*", "homepages", False),
        ("*", "2 * 3", True),
        ("**", "a ** b", True),
        ("**", "a * b", False),
        ("C++", "C++", True),
        ("c++", "I like C++17", True),
        ("C++", "a?b=c", False),
        ("C++", "XC++", False),
        ("C++*", "C++17", False),
        ("->", "a->b", True),
        ("->", "a - > b", False),
        ("!=", "a!=b", True),
        ("$", "5 $", True),
        ("...", "well...", True),
        ("...", "a.b.c", False),
        ("🎉", "release 🎉 party", True),
        ("party 🎊", "release 🎉 party", False),
        ("👍", "👍🏽", True),
        ("❤", "❤\ufe0f", True),
        ("GRÖSSE", "Größe", True),
        ("strasse", "Straße", True),
        ("cafe", "Café", True),
        ("CAFÉ", "cafe\u0301", True),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ", True),
        ("istanbul", "İstanbul", True),
        ("ﬁle", "file", True),
        ("1/2", "½ litre", False),
        ("don't", "don\u2019t", True),
        ('"quoted"', "\u201cquoted\u201d", True),
        ("日本", "日本語", True),
        ("語", "日本語", True),
        ("本日", "日本語", False),
        ("สวัสดี", "ขอสวัสดีครับ", True),
        ("한국", "한국어", True),
        ("a日", "a日本", True),
        ("a日", "xa日本", False),
        ("हिन्दी", "हिन्दी में", True),
        ("हिन्", "हिन्दी में", False),
        ("a_b", "a_b", True),
        ("a", "a_b", True),
        ("tea  time", "time for tea", True),
        ("", "anything", True),
        ("\x00", "anything", False),
        ("any\x00thing", "anything", False),
    ],
)
def test_text_holds_words(words: str, text: str, found: bool) -> None:
    assert Words(words).are_in(text) is found
    assert bool(Words(words)) is bool(words)


def index(texts: list[str]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE found USING fts5 (text, content='', columnsize=0, tokenize='ascii')")
    rows = [(number, tokens(search_form(text))) for number, text in enumerate(texts)]
    db.executemany("INSERT INTO found (rowid, text) VALUES (?, ?)", rows)
    return db


CHARS = st.sampled_from("aBé ß-+*\"'_.?! \n\t\u2028\u00a0日本กะ🎉👍🏽\u0301\u093f\u200d\ufe0fﬁİ½한\ue02d\x00")
TEXTS = st.text(CHARS, max_size=12) | st.text(max_size=12)


@given(TEXTS, TEXTS)
def test_index_finds_every_text_that_holds_the_words(text: str, words: str) -> None:
    """It may find more: what it finds is compared once more."""
    text, words = (one.encode("utf-8", "replace").decode() for one in (text, words))  # lone surrogates are not stored
    wanted = Words(words)
    if not wanted or "\0" in wanted.match:
        return
    db = index([text])
    candidates = db.execute("SELECT rowid FROM found WHERE found MATCH ?", (wanted.match,)).fetchall()
    like = " AND ".join(["? LIKE ? ESCAPE '\\'"] * len(wanted.likes))
    values = [value for pattern in wanted.likes for value in (text, pattern)]
    liked = db.execute(f"SELECT {like}", values).fetchone()[0]
    if wanted.are_in(text):
        assert candidates
        assert liked or not text.isascii()


@given(TEXTS)
def test_a_text_holds_itself(text: str) -> None:
    assert Words(text).are_in(text)


@given(TEXTS)
def test_search_form_of_a_search_form_is_the_same(text: str) -> None:
    form = search_form(text)
    assert search_form(form) == form or not form.isascii()


@pytest.mark.parametrize("long", ["é" * 1_000, "needle é " + "漢" * 1_000, "é" + "\u0301\u0323" * 8_000 + " needle"])
def test_messages_are_searched_however_long_they_are(long: str) -> None:
    """They have far more characters than a name, to which the comparison of names is bounded."""
    assert Words("needle").are_in(long) is ("needle" in long)
    assert Words(long).are_in(f"{long} and more") or "\u0301" in long
