"""Each cell of docs/access.md, as access.may answers it. tests/serve/test_access_on_wires.py asks the wires."""

from __future__ import annotations

import pytest
from test_state import Rules, entry, person

from access_table import INSIDE, SETTINGS, read
from hubbub.chat.session import User
from hubbub.model.access import HIDDEN, Action, may
from hubbub.model.entries import Kind
from hubbub.model.viewer import Viewer

CELLS = read()
PEOPLE = 7


def room(setting: str) -> tuple[Rules, dict[str, User]]:
    """Return a room that is set so, and everybody who is in it or asks."""
    people = {who: person(who.replace(" ", "-"), f"~nc@{number:010x}.nc") for number, who in enumerate(INSIDE, 1)}
    people |= {who: person(who.replace(" ", "-")) for who in ("guest", "banned guest", "invited", "asked in")}
    people["root outside"] = person("root")
    for who in ("root inside", "root outside"):
        people[who].operator = True
    people["invited"].invite("ops", 1.0)
    people["asked in"].invite("ops", 0.0)
    rules = Rules("ops", [entry(Kind.JOIN, "", "Boss", "~nc@boss.nc")])
    inside = [people[who] for who in INSIDE]
    change = SETTINGS[setting].format(PEOPLE) or "+n"
    for text in (
        f"+o operator!{people['operator'].host}",
        f"+v voice!{people['voice'].host}",
        "+bbb m:muted!*@* banned!*@* banned-guest!*@*",
        change,
    ):
        rules.apply(entry(Kind.MODE, text), inside)
    return rules, people


def asking(who: str, user: User | None) -> Viewer:
    rooms = ("ops",) if who in INSIDE else ()
    mask = user.mask if user else "!~api@0123456789.api"
    return Viewer(rooms, mask, who.startswith("root"), 5.0, 5.0, user)


@pytest.mark.parametrize("setting", SETTINGS)
def test_cells(setting: str) -> None:
    wrong = []
    for (action, who, cell), answer in CELLS.items():
        if cell != setting:
            continue
        rules, people = room(setting)
        viewer = asking(who, people.get(who))
        if setting == "slow":
            rules.slow.note(viewer)
        refused = may(viewer, Action(action), rules, PEOPLE)
        # A hidden room is one that a wire does not find; but what makes a room cannot but say that there is one.
        found = may(viewer, Action.LIST, rules)
        hidden = found and found.code == HIDDEN and (action, who) != ("speak", "script") and action != "join"
        got = "yes" if not refused else "hidden" if hidden else "no"
        if got != answer:
            wrong.append((action, who, answer, got))
    assert wrong == []


def test_table_is_whole() -> None:
    actions = {action for action, *_ in CELLS}
    assert actions == {action.value for action in Action} - {"signal", "ctcp"}, "those two are speaking"
    assert len(CELLS) > 1000
