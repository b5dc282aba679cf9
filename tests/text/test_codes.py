"""Codes that people read out and type."""

from __future__ import annotations

import pytest

from hubbub.text.typed.codes import is_shown_code, read_code, shown_code


@pytest.mark.parametrize("typed", ["BCDF-GHJK", "bcdfghjk", "bcdf ghjk", " BCDF-GHJK "])
def test_code_is_read_in_any_form(typed: str) -> None:
    assert read_code(typed) == "BCDFGHJK" and shown_code(read_code(typed)) == "BCDF-GHJK"


@pytest.mark.parametrize("typed", ["", "BCDF-GHJ", "ABCD-FGHJ", "BCDF-GHJK-LMNP-QRST"])
def test_other_texts_are_no_code(typed: str) -> None:
    assert read_code(typed) == ""


def test_only_the_shown_form_takes_the_place_of_a_room() -> None:
    assert is_shown_code("bcdf-ghjk") and not is_shown_code("bcdfghjk") and not is_shown_code("#bcdf-ghjk")
