"""What everything from one address may do together: a class notices nothing, a flood does, and memory is bounded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from doubles import House
from hubbub.errors import Refused
from hubbub.model.rates import budget as module
from hubbub.model.rates.budget import WIDER, Buckets, Budget, scopes
from records import text_in

HOME, NEIGHBOUR = "2001:db8:1:2::/64", "2001:db8:1:3::/64"  # of one /56
ELSEWHERE = "2001:db8:1:102::/64"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", (("192.0.2.7", 1),)),
        ("::1", (("::1", 1),)),
        (HOME, ((HOME, 1), ("2001:db8:1::/56", WIDER))),
        (ELSEWHERE, ((ELSEWHERE, 1), ("2001:db8:1:100::/56", WIDER))),
    ],
)
def test_an_address_is_counted_as_itself_and_as_its_wider_network(
    address: str, counted: tuple[tuple[str, int], ...]
) -> None:
    assert scopes(address) == counted


def test_a_burst_is_free_and_what_is_over_it_waits(clock: Clock) -> None:
    buckets = Buckets(20, 10.0, clock)
    assert [buckets.charge("192.0.2.7") for _ in range(20)] == [0.0] * 20
    assert [buckets.charge("192.0.2.7") for _ in range(3)] == [0.5, 1.0, 1.5], "each has its own place"
    assert buckets.charge("192.0.2.8") == 0.0, "others have a bucket of their own"
    clock.now += 1.5
    assert buckets.charge("192.0.2.7") == 0.5
    clock.now += 1000.0
    assert [buckets.charge("192.0.2.7") for _ in range(20)] == [0.0] * 20


def test_at_most_a_burst_is_owed(clock: Clock) -> None:
    buckets = Buckets(20, 10.0, clock)
    assert max(buckets.charge("192.0.2.7") for _ in range(1000)) == 10.0
    assert buckets.charge("192.0.2.7", cost=1e9) == 10.0
    clock.now += 20.0
    assert buckets.charge("192.0.2.7") == 0.0


def test_what_is_refused_costs_nothing(clock: Clock) -> None:
    buckets = Buckets(2, 4.0, clock)
    assert [buckets.take("192.0.2.7") for _ in range(5)] == [0.0, 0.0, 2.0, 2.0, 2.0]
    clock.now += 2.0
    assert [buckets.take("192.0.2.7") for _ in range(2)] == [0.0, 2.0]


def test_networks_of_ipv6_share_a_wider_bucket(clock: Clock) -> None:
    buckets = Buckets(10, 10.0, clock)
    homes = [f"2001:db8:1:{number:x}::/64" for number in range(2 * WIDER)]
    assert sum(buckets.take(home) == 0.0 for home in homes for _ in range(20)) == 10 * WIDER
    assert buckets.take(HOME) > 0 and buckets.take(ELSEWHERE) == 0.0
    clock.now += 1000.0
    assert sum(buckets.take(HOME) == 0.0 for _ in range(20)) == 10
    assert sum(buckets.take(NEIGHBOUR) == 0.0 for _ in range(20)) == 10


@pytest.mark.parametrize(("burst", "address"), [(0, "192.0.2.7"), (1, "")])
def test_without_a_limit_or_an_address_nothing_waits(clock: Clock, burst: float, address: str) -> None:
    buckets = Buckets(burst, 10.0, clock)
    assert not any(buckets.charge(address) or buckets.take(address) for _ in range(100))
    assert len(buckets) == 0


def test_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    buckets = Buckets(2, 10.0, clock)
    buckets.charge("192.0.2.7", 4.0)
    for number in range(50):
        buckets.charge(f"198.51.100.{number}")
    clock.now += 15.0  # all but the first are full again
    for number in range(60):
        buckets.charge(f"203.0.113.{number}")
    assert len(buckets) <= 100
    assert buckets.charge("192.0.2.7", 2.0) > 0, "it is remembered: it owes something"
    for number in range(1000):
        buckets.charge(f"10.0.{number // 256}.{number % 256}", 4.0)
    assert len(buckets) <= 100, "those that were used longest ago are forgotten"


def class_of_thirty(clock: Clock) -> Budget:
    return Budget(clock, lines=600, connections=300, joins=300, rooms=60)


def test_a_class_behind_one_router_notices_nothing(clock: Clock) -> None:
    budget = class_of_thirty(clock)
    router = "192.0.2.7"
    waits = [budget.connections.take(router) for _ in range(30 * 4)]  # thirty browsers at once
    waits += [budget.joins.charge(router) for _ in range(30 * 3)]
    waits += [budget.lines.charge(router) for _ in range(30 * 10)]
    for _ in range(45 * 60):  # a lesson in which each says something every other second
        clock.now += 1.0
        waits += [budget.lines.charge(router) for _ in range(15)]
    for _ in range(30):
        budget.open_room(router)
    assert not any(waits)


def test_a_flood_from_one_address_waits(clock: Clock) -> None:
    budget = class_of_thirty(clock)
    waits = [budget.lines.charge("192.0.2.7") for _ in range(30 * 100)]  # thirty connections, a burst each
    assert sum(wait == 0.0 for wait in waits) == 600
    accepted = joined = 0
    for _ in range(10_000):  # connect, join and leave, for ten seconds
        clock.now += 0.001
        if not budget.connections.take("192.0.2.7"):
            accepted += 1
            joined += not budget.joins.charge("192.0.2.7")
    assert accepted <= 501 and joined <= 351


def test_rooms_are_refused_with_a_sentence(clock: Clock) -> None:
    budget = Budget(clock, rooms=2)
    budget.open_room("192.0.2.7")
    budget.open_room("192.0.2.7")
    with pytest.raises(Refused, match=r"^Too many rooms .* Try again in 1800 s\.$") as caught:
        budget.open_room("192.0.2.7")
    assert caught.value.code == "too-many-new-rooms"
    budget.open_room("192.0.2.8")
    clock.now += 1800.0
    budget.open_room("192.0.2.7")


def test_many_joins_from_one_address_make_the_next_command_wait() -> None:
    """Whoever joins waits; others from there who do not, and others elsewhere, wait for nothing."""
    house = House()
    later: list[tuple[float, Callable[[], None]]] = []
    house.hub.later = lambda seconds, call: later.append((seconds, call))
    house.hub.budget.joins = Buckets(4, 8.0, Clock())
    alice, bob, carol = house.enter("Alice", "Bob", "Carol")
    alice.session.address = bob.session.address = "192.0.2.7"
    carol.session.address = "192.0.2.8"
    alice.types("/join a", "/join b", "/join c", "/join d", "/join e", "/join f", "hello")
    house.settle()
    assert [seconds for seconds, _ in later] == [2.0] and alice.untaken == 2
    bob.types("hi")
    carol.types("/join x", "/join y", "hi")
    house.settle()
    assert bob.untaken == carol.untaken == 0
    for _ in range(3):
        for _, call in later[:1]:
            del later[0]
            call()
        house.settle()
    assert "f" in alice.session.rooms and alice.untaken == 0 and not later
    assert text_in(house.broker.log[-1]) == "hello"


def test_a_session_that_leaves_while_it_is_held_up_is_not_called() -> None:
    house = House()
    later: list[Callable[[], None]] = []
    house.hub.later = lambda seconds, call: later.append(call)
    (alice,) = house.enter("Alice")
    house.hub.block(alice.session, 1.0)
    alice.types("never")
    alice.leave()
    house.settle()
    for call in later:
        call()
    assert alice.untaken == 1


def test_what_is_not_set_makes_nobody_wait() -> None:
    house = House()
    (alice,) = house.enter("Alice")
    house.hub.block(alice.session, 1.0)
    alice.types("hello")
    house.settle()
    assert alice.untaken == 0
