"""No text costs more CPU than its length warrants: every command, with the worst that can be typed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from costing import least, worst
from doubles import House, Peer
from hubbub.chat.commands import slash
from hubbub.chat.commands.slash import COMMANDS
from hubbub.chat.private import direct
from hubbub.errors import Refused
from hubbub.model import searching
from hubbub.model.entries import Kind
from hubbub.model.room.masks.masks import read_mask
from hubbub.text import names
from hubbub.text.cleaning import beginning, clean, clean_exactly, clean_lines, cut, fold_text, reason_of
from hubbub.wire.line.reader import LineReader

SIZE = 16 * 1024  # bytes: as long as a line may be on any wire
PLAIN = "What do you think: shall we meet at nine, or rather at ten again?"
FACTOR = 4  # how much dearer a byte may be than one of a plain message of a line


def check(name: str, text: str, act: Callable[[str], object], usual: float) -> None:
    """Hold the cost of a byte of a text against the usual one."""
    size = len(text.encode())
    cost = least(lambda: act(text), FACTOR * usual * size) / size
    assert cost <= FACTOR * usual, f"{name}: {cost * 1e6:.2f} us a byte, usually {usual * 1e6:.2f}"


def says(house: House, peer: Peer) -> Callable[[str], object]:
    """Return what takes a line and gives it to everybody; what is refused is no less of a cost."""

    def act(line: str) -> None:
        try:
            slash.run(house.hub, peer.session, line)
        except Refused as refusal:
            assert len(refusal.text) < 200  # what was typed is not told back whole
        house.settle()
        house.forget()

    return act


@pytest.fixture(scope="module")
def usual() -> float:
    """Return what a byte of a plain message costs, with all that the hub does for it."""
    house = House()
    al, *_ = house.enter("Al", "Bo")
    act = says(house, al)
    return least(lambda: act(PLAIN)) / len(PLAIN)


@pytest.mark.parametrize("command", ["", *(f"/{name} " for name in COMMANDS), "/", "/nosuch ", "/msg Bo ", "/kick Bo "])
def test_command(command: str, usual: float) -> None:
    for name, text in worst(SIZE):
        house = House()
        al, *_ = house.enter("Al", "Bo")
        al.types("/join ops")
        house.settle()
        check(name, command + text, says(house, al), usual)


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "clean": clean,
    "clean_lines": clean_lines,
    "clean_exactly": clean_exactly,
    "beginning": beginning,
    "cut": lambda text: cut(text, 300),
    "reason_of": reason_of,
    "fold_text": fold_text,
    "key_of": names.key_of,
    "read_mask": read_mask,
    "parse": lambda text: searching.parse(text, 0.0),
    "check_name": names.check_name,
    "check_room": names.check_room,
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function(function: str, usual: float) -> None:
    def act(text: str) -> None:
        try:
            FUNCTIONS[function](text)
        except Refused:
            pass

    for size in (120, SIZE):
        for name, text in worst(size):
            check(name, text, act, usual)


def test_name_of_a_request(usual: float) -> None:
    """What programs send beside a text: a name or a room of any length."""

    def post(text: str) -> None:
        house = House()
        (al,) = house.enter("Al")
        for attempt in (
            lambda: house.hub.post(al.session, text, "ops", "hi", "r"),
            lambda: house.hub.post(al.session, "ci", text, "hi", "r"),
            lambda: house.hub.rooms.join(al.session, text),
            lambda: house.hub.rooms.watch(al.session, text),
            lambda: house.hub.naming.enter(house.connect().session, text),
            lambda: direct.send_private(house.hub, al.session, text, "hi", Kind.MESSAGE),
        ):
            with pytest.raises(Refused):
                attempt()

    for name, text in worst(SIZE):
        check(name, text, post, usual * 6)


def test_a_hundred_bans_cost_a_message_next_to_nothing() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    for peer in (al, bo):
        peer.types("/join ops")
        house.settle()
    room = house.hub.rooms.loaded["ops"]

    def speak() -> None:
        for _ in range(1000):
            house.hub.speak(house.hub.viewer(bo.session), room)

    with_none = least(speak)
    for number in range(100):
        al.types(f"/ban *!*@1f2e3d4c{number:02x}.* yes")
        house.settle()
    assert len(room.state.lists["b"]) == 100
    assert least(speak, with_none + 1000 * 20e-6) <= with_none + 1000 * 20e-6


def test_looking_whether_a_room_is_empty_costs_the_same_in_a_crowd() -> None:
    house = House()
    house.enter("Al")
    room = house.hub.rooms.loaded["lobby"]

    def ask() -> None:
        for _ in range(1000):
            assert room.count

    alone = least(ask)
    house.enter(*(f"x{number}" for number in range(1000)))
    assert room.count == 1001
    assert least(ask, 5 * alone) <= 5 * alone


@pytest.mark.parametrize(
    ("before", "unit"),
    [
        (b"", b"\x7f"),
        ("é".encode() * 1000, b"\x7f"),
        (b"a" * 10, "é\x7f".encode()),
        (b"x" * 3000, b"a\x17"),
        (b"a" + "\u0301".encode() * 1000, "é\x7f".encode()),
        ("🇩🇪".encode() * 100, "🇩\x7f".encode()),
        ("👩\u200d".encode() * 100, "👩\x7f".encode()),
        (b"\xe9" * 1000, b"\xe9\x7f"),
        (b"\xf0\x9f" * 1000, b"\xf0\x9f\x7f"),
    ],
    ids=ascii,
)
def test_keys_cost_what_the_bytes_of_short_lines_cost(before: bytes, unit: bytes) -> None:
    def take(data: bytes) -> Callable[[], None]:
        def act() -> None:
            reader = LineReader(4096)
            reader.feed(data)
            while reader.next_line() is not None:
                pass

        return act

    bound = 8 * least(take(b"a\n" * 8192))
    assert least(take(before + unit * (16384 // len(unit))), bound) <= bound
