"""Codes that let people into a room for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace
from test_classroom import told

from doubles import House, Peer
from hubbub.chat.classroom import join_codes
from hubbub.chat.classroom.join_codes import JoinCode
from hubbub.chat.commands import classroom as classes
from hubbub.errors import BrokerError, Refused
from hubbub.model.events import ClassShown, OpenCode
from hubbub.model.rates.throttle import Throttle
from hubbub.text import refusals
from ops_room import ops, typed


class Limits:
    """Limits for guessing that let nobody try again after a wrong code, and all together only a few times."""

    def __init__(self) -> None:
        self.wrong: set[tuple[str, str]] = set()
        self.all = Throttle(1.0, 3.0, 0.0)

    def delay(self, account: str, address: str) -> float:
        return 7.0 if (account, address) in self.wrong else 0.0

    def begin(self, account: str, address: str) -> None:
        self.wrong.add((account, address))

    def right(self, account: str, address: str) -> None:
        self.wrong.discard((account, address))

    def code_delay(self) -> float:
        return 0.0 if self.all.missing(0.0) < 3 else 9.0

    def wrong_code(self) -> None:
        self.all.charge(1.0, 0.0)


def code(house: House, al: Peer, *words: str) -> str:
    """Return a new code for the room ops."""
    house.forget()
    typed(house, al, " ".join(("/invite code", *words)))
    line, joining = told(al)
    assert joining == f"/join {line.split()[2]}"
    return line.split()[2]


def newcomer(house: House, name: str, *lines: str) -> Peer:
    peer = house.connect()
    peer.session.host = f"~nc@{name.lower()}.nc"
    peer.session.address = "192.0.2.1"
    typed(house, peer, name)
    peer.seen.clear()
    typed(house, peer, *lines)
    return peer


def is_in(peer: Peer) -> bool:
    return "ops" in [room.name for room in peer.user.rooms.values()]


@pytest.mark.parametrize("setting", ["invite-only on", "key sesame", "secret on", "limit 2"])
def test_code_lets_people_into_a_closed_room(setting: str) -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, f"/set {setting}")
    made = code(house, al)
    assert is_in(newcomer(house, "Cy", f"/join {made.lower()}"))
    assert is_in(newcomer(house, "Di", f"/join ops {made}"))
    assert is_in(newcomer(house, "Ed", f"/code {made.replace('-', '-')}"))


def test_code_without_its_hyphen_is_no_new_room() -> None:
    house, (al,) = ops("Al")
    typed(house, al, "/set invite-only on")
    letters = code(house, al).replace("-", "").lower()
    bo = newcomer(house, "Bo", f"/join {letters}")
    assert bo.user in house.hub.rooms.loaded["ops"].members and letters not in house.hub.rooms.loaded
    cy = newcomer(house, "Cy", "/join BCDFGHJK", "/join bcdfghjk")
    assert cy.session.current_name == "bcdfghjk", "no code, so it is a name"


def test_guesses_without_a_hyphen_count() -> None:
    house, (al,) = ops("Al")
    house.hub.rooms.codes.guesses = Limits()
    code(house, al)
    bo = newcomer(house, "Bo", "/join bcdfghjk", "/join bcdfghjl")
    assert told(bo)[-1] == "too-many-logins" and "bcdfghjl" not in house.hub.rooms.loaded


def test_code_is_told_with_its_lifetime_and_an_address() -> None:
    house, (al, _) = ops("Al", "Bo")
    house.hub.page_url = "http://192.0.2.7:8888/"
    house.forget()
    typed(house, al, "/invite code 90m 30 uses", "/invite code 1h", "/invite code 1m 1", "/codes")
    lines = told(al)
    assert lines[:3] == [
        "The code BBBB-BBBC lets 30 people into ops for 90 minutes:",
        "/join BBBB-BBBC",
        "http://192.0.2.7:8888/#ops?key=BBBB-BBBC",
    ]
    assert lines[3] == "The code BBBB-BBBD lets everybody who has it into ops for 60 minutes:"
    assert lines[6].startswith("The code BBBB-BBBF lets 1 person into ops for ")
    assert lines[9:] == [
        "BBBB-BBBC: for 90 minutes more, 0 of 30 used (by Al)",
        "BBBB-BBBD: for 60 minutes more (by Al)",
        "BBBB-BBBF: for 1 minute more, 0 of 1 used (by Al)",
    ]
    house.now += 61
    typed(house, al, "/codes end bbbb-bbbd", "/codes end bbbbbbbd", "/codes", "/codes end", "/codes stop x")
    assert told(al) == [
        "The code is over", "no-such-message", "BBBB-BBBC: for 89 minutes more, 0 of 30 used (by Al)",
        "argument-invalid", "argument-invalid",
    ]  # fmt: skip
    typed(house, al, "/invite code 5d 2", "/codes end all", "/codes")
    assert told(al)[0].startswith("The code BBBB-BBBG lets 2 people into ops for 5 days")


@pytest.mark.parametrize(
    ("words", "expected"),
    [("31d", "bad-value"), ("0m", "bad-value"), ("501", "bad-value"), ("soon", "argument-invalid")],
)
def test_lifetimes_that_are_refused(words: str, expected: str) -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, f"/invite code {words}")
    assert told(al) == [expected]


def test_only_operators_make_see_and_end_codes() -> None:
    house, (_, bo) = ops("Al", "Bo")
    typed(house, bo, "/invite code", "/codes", "/codes end all")
    assert told(bo) == ["not-operator"] * 3


def test_code_lets_in_so_many_people_and_nobody_twice() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "/set key sesame")
    made = code(house, al, "1 use")
    cy = newcomer(house, "Cy", f"/join {made}")
    typed(house, cy, "/leave", f"/join {made}")
    assert is_in(cy)
    di = newcomer(house, "Di", f"/join {made}")
    assert not is_in(di) and told(di) == ["wrong-password"]


def test_code_ends() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "/set key sesame")
    made = code(house, al, "1h")
    house.now += 3601
    cy = newcomer(house, "Cy", f"/join {made}", f"/join ops {made}")
    assert not is_in(cy) and told(cy) == ["wrong-password", "bad-key"]
    code(house, al)
    assert len(house.hub.rooms.codes._known) == 1, "the old one is gone"


def test_ban_stands_above_a_code() -> None:
    house, (al, bo) = ops("Al", "Bo")
    made = code(house, al)
    typed(house, al, "/ban Bo yes")
    house.forget()
    typed(house, bo, f"/join {made}")
    assert not is_in(bo) and told(bo) == ["banned"]


def test_code_is_spent_only_where_it_is_needed() -> None:
    house, (al, bo) = ops("Al", "Bo")
    made = code(house, al, "5")
    typed(house, bo, f"/join {made}", "/leave", f"/join {made}")
    assert house.hub.rooms.codes.of(made.replace("-", ""))[0].used == ()
    assert is_in(bo)


def test_code_is_for_its_own_room_even_if_that_is_renamed() -> None:
    house, (al, bo) = ops("Al", "Bo")
    made = code(house, al)
    typed(house, al, "/set key sesame", "/rename dev")
    typed(house, bo, "/join art", "/set key paint")
    cy = newcomer(house, "Cy", f"/join art {made}", f"/join {made}")
    assert told(cy)[0] == "bad-key" and [room.name for room in cy.user.rooms.values()] == ["lobby", "dev"]


def test_code_is_for_its_own_room_even_if_that_was_renamed_and_is_empty() -> None:
    house, (al,) = ops("Al")
    opens = code(house, al)
    typed(house, al, "/rename dev", "/leave")
    assert not house.hub.rooms.loaded.by_id.get(house.hub.rooms.codes.of(opens.replace("-", ""))[0].room)
    bo = newcomer(house, "Bo", f"/join {opens}")
    assert bo.session.current_name == "dev"


def test_code_for_an_empty_room_opens_nothing_for_who_has_left_or_is_in_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house, (al,) = ops("Al")
    opens = code(house, al)
    typed(house, al, "/leave")
    waiting: list[Callable[[object], None]] = []
    monkeypatch.setattr(house.hub, "read", lambda query, done: waiting.append(done))
    peers = [newcomer(house, name, f"/join {opens}") for name in ("Bo", "Cy")]
    house.hub.depart(peers[0].session)
    monkeypatch.setattr(house.hub.rooms, "_limits", replace(house.hub.limits, max_rooms=1))
    for done in waiting:
        done(BrokerError("the disk is full"))
    assert told(peers[1]) == ["too-many-rooms"] and "ops" not in house.hub.rooms.loaded


def test_guesses_are_limited_for_each_person_and_for_all() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "/set key sesame")
    made = code(house, al)
    house.hub.rooms.codes.guesses = Limits()
    joker = newcomer(house, "Joker", "/join zzzz-zzzz", f"/join {made}", f"/join ops {made}")
    assert told(joker) == ["wrong-password", "too-many-logins", "too-many-logins"]
    assert is_in(newcomer(house, "Cy", f"/join {made}")), "who comes from the same address"
    for name in ("J1", "J2"):
        newcomer(house, name, "/join zzzz-zzzz")
    assert not is_in(newcomer(house, "Di", f"/join {made}"))


def test_codes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_codes, "IN_ROOM", 1)
    house, (al, _) = ops("Al", "Bo")
    code(house, al)
    typed(house, al, "/invite code")
    assert told(al) == ["list-full"]


def test_codes_are_shown_to_operators_alone() -> None:
    house, (al, bo) = ops("Al", "Bo")
    code(house, al, "1h 2 uses")
    typed(house, bo, "/hand", "/ask when?")
    house.forget()
    for one in (al, bo):
        classes.show_class(house.hub, one.session, "ops")
    (of_al,), (of_bo,) = ([one for one in peer.sees() if isinstance(one, ClassShown)] for peer in (al, bo))
    assert of_al.codes == [OpenCode("BBBB-BBBC", house.now + 3600, 2, 0, "Al")] and of_bo.codes == []
    assert of_al.hands == of_bo.hands == ["Bo"] and [one.text for one in of_bo.questions] == ["when?"]


class Slow:
    """A store of codes that does everything later, or refuses it."""

    def __init__(self, house: House) -> None:
        self.codes = house.hub.rooms.codes
        self.codes.store = self
        self.waiting: list[Callable[[], None]] = []
        self.refuses = False

    def change(
        self,
        key: str,
        change: Callable[[Sequence[JoinCode]], Sequence[JoinCode]],
        done: Callable[[Sequence[JoinCode] | Refused], None],
    ) -> None:
        def later() -> None:
            if self.refuses:
                done(refusals.BUSY(reason="it is late"))
            else:
                self.codes.change(key, change, done)

        self.waiting.append(later)

    def run(self, house: House) -> None:
        while self.waiting:
            self.waiting.pop(0)()
        house.settle()


def test_store_that_fails_is_told_and_what_comes_late_harms_nothing() -> None:
    house, (al, _) = ops("Al", "Bo")
    typed(house, al, "/set key sesame")
    made, store = code(house, al, "2"), Slow(house)
    cy, di = newcomer(house, "Cy"), newcomer(house, "Di")
    for one in (cy, di):
        one.types(f"/join {made}")
    di.leave()
    house.settle()
    store.run(house)
    assert is_in(cy)
    store.refuses = True
    al.types("/invite code", "/codes end all")
    ed = newcomer(house, "Ed")
    ed.types(f"/join {made}", f"/join {made}")
    house.settle()
    store.run(house)
    house.settle()
    store.run(house)
    assert (not is_in(ed) and set(told(ed)) == {"busy", "wrong-password"}) or told(al)[-1] == "busy"
