"""People in the room ops, as terminals show it to them."""

from __future__ import annotations

from doubles import House, Peer
from hubbub.wire.line import encoder as line


def ops(*names: str, **limits: int) -> tuple[House, list[Peer]]:
    """Return people in a room whose first member is its operator."""
    house = House(**limits)
    people = [house.connect(line.RAW) for _ in names]  # type: ignore[arg-type]
    for one, name in zip(people, names, strict=True):
        one.session.host = f"~nc@{name.lower()}.nc"
        typed(house, one, name, "/join ops")
    house.forget()
    return house, people


def typed(house: House, peer: Peer, *lines: str) -> None:
    """Let a peer type lines, each after the outcome of the one before."""
    for one in lines:
        peer.types(one)
        house.settle()
