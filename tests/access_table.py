"""docs/access.md as data: what is answered to whom, in which room."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "access.md"
OUTSIDE = ("script", "guest", "banned guest", "invited", "asked in", "root outside")
INSIDE = ("member", "voice", "operator", "muted", "banned", "root inside")
SETTINGS = {  # of a room: how an operator of it makes it so, as IRC writes that; {} is how many people are there
    "open": "",
    "invite-only": "+i",
    "key": "+k sesame",
    "secret": "+s",
    "moderated": "+m",
    "members-only off": "-n",
    "topic-lock": "+t",
    "full": "+l {}",
    "slow": "+d 1000",
    "locked": "+L",
    "announcements": "+A",
}


def read() -> dict[tuple[str, str, str], str]:
    """Return the answer for each action, kind of people and setting."""
    cells: dict[tuple[str, str, str], str] = {}
    special: set[tuple[str, str]] = set()  # of whom a row tells that is not about all
    for line in PAGE.read_text("utf-8").splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if len(row) != 4 or row[2] not in ("yes", "no", "hidden"):
            continue
        but = {}
        for part in filter(None, re.split("; *", row[3])):
            settings, _, answer = part.rpartition(":")
            but |= dict.fromkeys(re.split(", *", settings), answer.strip())
        assert set(but) <= set(SETTINGS) and set(but.values()) <= {"yes", "no", "hidden"}, line
        for action in re.split(", *", row[0]):
            for who in re.split(", *", row[1]):
                named = {"outside": OUTSIDE, "inside": INSIDE}.get(who, (who,))
                assert set(named) <= {*OUTSIDE, *INSIDE}, line
                for one in named:
                    if len(named) == 1:
                        special.add((action, one))
                    elif (action, one) in special:
                        continue
                    for setting in SETTINGS:
                        cells[action, one, setting] = but.get(setting, row[2])
    return cells
