"""QR codes as pictures and as text."""

from __future__ import annotations

import re

import segno

from hubbub.serve import qr
from hubbub.wire.web.credentials import QR_CHARS

TEXT = "http://192.0.2.1:8888/#link=BCDFGHJK"


def test_the_picture_has_the_dark_modules_and_a_light_margin() -> None:
    size, path = qr.picture(TEXT)
    assert re.fullmatch(r"(M\d+ \d+h\d+v1h-\d+z)+", path)
    drawn = set()
    for x, y, width in (map(int, run) for run in re.findall(r"M(\d+) (\d+)h(\d+)v1", path)):
        drawn |= {(column, y) for column in range(x, x + width)}
    rows = segno.make(TEXT, micro=False, error="l").matrix
    assert size == len(rows) + 8
    assert drawn == {(x + 4, y + 4) for y, row in enumerate(rows) for x, dark in enumerate(row) if dark}


def test_a_terminal_gets_half_blocks() -> None:
    lines = qr.half_blocks(TEXT)
    assert set("".join(lines)) <= set("█▀▄ ") and {len(line) for line in lines} == {qr.picture(TEXT).size}


def test_the_longest_text_fits() -> None:
    assert qr.picture("\N{SNOWMAN}" * QR_CHARS).size > 100
