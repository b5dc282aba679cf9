"""The names that a text addresses, and the words that it contains."""

from __future__ import annotations

import pytest

from hubbub.model.notices.mentions import KEPT, MOST_NAMES, Mention, addressed, merged, own_word, words_in


@pytest.mark.parametrize(
    "text",
    [
        "@ann", "hi @Ann", "hi @ANN.", "(@ann)", "@ann's tea", "@ann’s tea", "@ann: hi", "ann: hi", "Ann, hi", "ann:",
        "hey ann, look", "bob, ann: hi", "bob,ann: hi", "tea\nann: hi", "@ann/@bob", "“@ann”", "@ａｎｎ hi",
        "(ann, hi)",
    ],
)  # fmt: skip
def test_names_are_addressed(text: str) -> None:
    assert "ann" in addressed(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "ann", "hi ann", "me@ann", "me@ann.example", "@!?", "joann: hi", "@joann", "@annie", "ann:ok", "http://ann/x",
        "banner, x", "@ ann", "ann ,", "12:30, anna,", "@" + "ann" * 60,
    ],
)  # fmt: skip
def test_names_are_not_addressed(text: str) -> None:
    assert "ann" not in addressed(text)


def test_names_with_signs_are_found_whole() -> None:
    assert "o'brien" in addressed("@O'Brien") and "[bot]" in addressed("@[bot]") and "安" in addressed("@安 hi")
    assert "12" not in addressed("12,5 and 12:30")


@pytest.mark.parametrize(
    "text", ["@a " * 9_000, "a," * 9_000, "@" * 16_000, "@a" + "'" * 16_000 + "b", "#" * 16_000 + ":"]
)
def test_search_for_names_is_bounded(text: str) -> None:
    assert len(addressed(text)) <= 3 * MOST_NAMES


def test_words_are_folded_and_whole() -> None:
    assert words_in("DÉPLOY on-call: db1.example, ß!") == {
        "déploy", "on-call", "on", "call", "db1.example", "db1", "example", "ss",
    }  # fmt: skip
    assert "deploy" not in words_in("redeploy deployed")


def test_own_word() -> None:
    assert [own_word(one) for one in ("Deploy", "on-call", "db.1", "安")] == ["deploy", "on-call", "db.1", "安"]
    assert not any(own_word(one) for one in ("", "a b", "-x", "x-", "@ann", "x" * 33, "x" * 1000))


def test_newest_mentions_are_kept_once() -> None:
    many = [Mention(float(number), "ops", number) for number in range(KEPT + 5)]
    assert merged(many[:10], reversed(many)) == many[5:]
