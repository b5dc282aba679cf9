import pytest

from hubbub.wire.terminal.colours import PALETTE, has_colours, is_dumb, painted

LEVELS = (0, 95, 135, 175, 215, 255)  # of each colour in xterm's cube of 216


def luminance(colour: int) -> float:
    """Return the relative luminance (WCAG 2.2) of one of the 256 colours."""
    parts = [LEVELS[(colour - 16) // step % 6] / 255 for step in (36, 6, 1)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", PALETTE)
def test_colours_can_be_read_on_black_and_on_white(colour: int) -> None:
    assert (luminance(colour) + 0.05) / 0.05 >= 4.5
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_name_has_one_colour_and_nothing_after_it_has() -> None:
    name = painted("Ann", "ann")
    assert name == painted("Ann", "ann")
    assert name.startswith("\x1b[38;5;")
    assert name.endswith("mAnn\x1b[39m")
    assert {painted("x", str(n)).split("m")[0] for n in range(50)} == {f"\x1b[38;5;{n}" for n in PALETTE}


@pytest.mark.parametrize(
    ("terminal", "colours", "dumb"),
    [("xterm-256color", True, False), ("xterm", True, False), ("vt220", False, False), ("dumb", False, True),
     ("DUMB", False, True), ("", False, True), ("unknown", False, True)],
)  # fmt: skip
def test_abilities_of_a_terminal_by_its_name(terminal: str, colours: bool, dumb: bool) -> None:
    assert has_colours(terminal) is colours
    assert is_dumb(terminal) is dumb
