"""Masks: what they match, and what that costs."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.model.room.masks.masks import NOBODY, read_mask, whole_mask
from hubbub.text.bounds import FOLDED_CHARS
from hubbub.text.cleaning import fold


def matches(mask: str, who: str) -> bool:
    return read_mask(mask).matches([fold(who)])


@pytest.mark.parametrize(
    ("mask", "whole"),
    [
        ("Bo", "Bo!*@*"),
        ("u@h", "*!u@h"),
        ("@h", "*!*@h"),
        ("n!u", "n!u@*"),
        ("n!u@h", "n!u@h"),
        ("!u", "*!u@*"),
        ("m:Bo", "m:Bo!*@*"),
    ],
)
def test_mask_is_made_whole(mask: str, whole: str) -> None:
    assert whole_mask(mask) == whole


def test_masks_match_in_any_case_and_nothing_else_is_special() -> None:
    assert matches("B?*!*@*", "BOB!~x@y") and not matches("B?", "B")
    assert matches("[a]!*@*", "[A]!~x@y") and not matches("[a]!*@*", "a!~x@y")


@pytest.mark.parametrize(
    ("mask", "fits", "not_so"),
    [
        ("", "", "a"),
        ("*", "", None),
        ("**", "anything", None),
        ("a*", "a", "ba"),
        ("*a", "ba", "ab"),
        ("a*a", "aba", "a"),
        ("*ab*ab", "abab", "ab"),
        ("*a?c*c", "aacabcc", "abc"),
        ("*?*", "a", ""),
    ],
)
def test_stars_stand_for_any_text(mask: str, fits: str, not_so: str | None) -> None:
    assert matches(mask, fits) and (not_so is None or not matches(mask, not_so))


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_masks_match_as_those_of_a_shell_do(mask: str, who: str) -> None:
    assert matches(mask, who) is fnmatch.fnmatchcase(who, mask)


def test_mask_of_many_stars_takes_no_longer_than_others() -> None:
    assert not matches("*" + "a*" * 40 + "b", "a" * 100)  # it would not end, if each star were tried everywhere


@pytest.mark.parametrize("mask", ["x" * (FOLDED_CHARS + 1), "\ufdfa" * 20], ids=["typed", "folded"])
def test_mask_that_is_too_long_matches_nobody(mask: str) -> None:
    assert read_mask(mask) is NOBODY
    assert not NOBODY.matches(["", "x", "x" * 129])
