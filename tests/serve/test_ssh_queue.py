"""The logins under way over ssh: how many, and in which turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from hubbub.serve.ssh.authentication import login_queue
from hubbub.serve.ssh.authentication.login_queue import PER_ADDRESS, LoginQueue


@dataclass(eq=False)
class Peer:
    """A peer whose turn takes some time."""

    house: House
    origin: str = "192.0.2.1"
    started: bool = False

    def start(self) -> None:
        self.started = True

    def take_turn(self) -> None:
        self.house.turns.append(self)
        self.house.now += self.house.cost


@dataclass
class House:
    """A loop whose time passes only in turns."""

    now: float = 0.0
    cost: float = 0.0
    turns: list[Peer] = field(default_factory=list)
    soon: list[Callable[[], None]] = field(default_factory=list)
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def queue(self, limits: bool = True) -> LoginQueue:
        return LoginQueue(self.soon.append, lambda delay, call: self.later.append((delay, call)), self.clock, limits)

    def clock(self) -> float:
        return self.now

    def run(self) -> None:
        """Call what is due now."""
        while self.soon:
            self.soon.pop(0)()


def test_peers_beyond_the_limit_of_an_address_wait_for_each_other() -> None:
    house = House()
    queue = house.queue()
    many = [Peer(house) for _ in range(PER_ADDRESS + 2)]
    other = Peer(house, "192.0.2.2")
    for peer in (*many, other):
        queue.enter(peer)
    assert [peer.started for peer in many] == [True] * PER_ADDRESS + [False] * 2 and other.started
    queue.leave(many[-1])  # one that waits goes
    queue.leave(other)
    assert not many[-2].started
    queue.leave(many[0])
    queue.leave(many[0])
    assert many[-2].started and not many[-1].started and len(queue) == PER_ADDRESS


def test_household_with_many_networks_has_one_limit() -> None:
    house = House()
    queue = house.queue()
    many = [Peer(house, f"2001:db8:0:{number:x}::/64") for number in range(200)]
    for peer in many:
        queue.enter(peer)
    begun = [peer for peer in many if peer.started]
    assert PER_ADDRESS <= len(begun) < 200
    queue.leave(begun[0])
    assert sum(peer.started for peer in many) == len(begun) + 1


def test_peers_beyond_the_limit_of_all_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_queue, "MOST", 3)
    house = House()
    queue = house.queue()
    many = [Peer(house, f"192.0.2.{number}") for number in range(5)]
    for peer in many:
        queue.enter(peer)
    assert [peer.started for peer in many] == [True] * 3 + [False] * 2
    queue.leave(many[1])
    assert many[3].started and not many[4].started


def test_without_limits_nobody_waits() -> None:
    house = House()
    queue = house.queue(limits=False)
    many = [Peer(house) for _ in range(3 * PER_ADDRESS)]
    for peer in many:
        queue.enter(peer)
    assert all(peer.started for peer in many)


def test_turns_come_one_by_one_and_leave_the_loop_as_much_time_as_they_take() -> None:
    house = House(cost=0.004)
    queue = house.queue()
    first, second, gone = (Peer(house) for _ in range(3))
    for peer in (first, second, gone):
        queue.enter(peer)
        queue.ask(peer)
    queue.leave(gone)
    house.run()
    assert house.turns == [first] and house.later.pop()[0] == pytest.approx(0.004)
    queue.ask(first)
    queue._next()
    house.run()
    house.later.clear()
    queue._next()
    house.run()
    assert house.turns == [first, second, first] and len(house.later) == 1
    queue._next()
    queue.ask(second)  # after a time without turns
    house.run()
    assert house.turns[-1] is second
