"""Whatever happens in whatever order: each member is given its rooms' log since its join, without its own, once."""

from collections import Counter
from random import Random

import pytest

from doubles import House, Look, Peer
from hubbub.model.entries import SAID, Entry, Kind
from hubbub.model.events import Event, HistoryShown

pytestmark = pytest.mark.untraced

ROOMS = ("lobby", "ops", "dev")
PEERS = 4


class Numbered(Look):
    """Shows of an entry which one it is."""

    def encode(self, entry: Entry) -> bytes:
        return f"{entry.room} {entry.seq}\n".encode()

    def encode_skipped(self, room: str, count: int) -> bytes:
        return f"{room} skipped {count}\n".encode()


LOOKS = (Numbered(), Numbered())


class Model:
    """A house in which everything is done at random; a peer that is gone is followed by a new one."""

    def __init__(self, **limits: int) -> None:
        self.house = House(**limits)
        self.house.broker.page = 3
        self.peers = [self._arrive() for _ in range(PEERS)]
        self.done: list[Peer] = []
        self._count = 0

    def _arrive(self) -> Peer:
        peer = self.house.connect(LOOKS[len(self.house.peers) % 2])
        peer.types(f"n{len(self.house.peers)}")
        return peer

    def act(self, what: str, who: int, number: int) -> None:
        peer = self.peers[who]
        match what:
            case "say":
                self._count += 1
                peer.types(*["x" * number, "/topic"][: 1 + number % 2])
            case "join" | "leave":
                peer.types(f"/{what} {ROOMS[number % 3]}")
            case "rename":
                peer.types(f"/nick free{number}")
            case "stall":
                peer.stall(number % 3)
            case "read":
                peer.read(number % 3 or -1)
            case "depart":
                peer.leave()
                self.done.append(peer)
                self.peers[who] = self._arrive()
            case _:
                self._broker(what, number)
        self._check_names()

    def _broker(self, what: str, number: int) -> None:
        house = self.house
        match what:
            case "fail":
                house.fail()
            case "half":
                batch = house.gather()
                house.commit(house.broker.store(batch[::2]))
                house.hub.pipeline.failed(batch[1::2], "no")
            case "look":
                house.look()
            case "answer" if house.broker.questions:
                house.broker.questions.rotate(-number)
                house.broker.questions.popleft().answer()
            case "commit":
                house.commit()

    def _check_names(self) -> None:
        here = [peer.session for peer in self.peers if peer.session.user]
        assert Counter(len(self.house.hub.users[session.nick.casefold()].sessions) for session in here) in (
            {},
            {1: len(here)},
        )
        assert len({session.nick.casefold() for session in here}) == len(here)

    def finish(self) -> None:
        """Let everybody read, and everything be stored."""
        for _ in range(500):
            for peer in (*self.peers, *self.done):
                if peer.session.paused:
                    peer.read()
            self.house.settle()
            if self.house.hub.settled and not any(peer.untaken for peer in self.peers):
                return
        raise AssertionError("it does not come to rest")

    def check(self) -> None:
        hub, broker = self.house.hub, self.house.broker
        for peer in self.peers:
            for room in peer.session.rooms:
                self._check_room(peer, room)
        for peer in (*self.peers, *self.done):
            shown = [seen for seen in peer.seen if isinstance(seen, str) and "skipped" not in seen]
            assert len(set(shown)) == len(shown), "something came twice"
        awake = {room for peer in self.peers for room in peer.session.rooms}
        assert set(hub.rooms.loaded) == set(broker.followed) == awake
        assert {user for peer in self.peers if (user := peer.session.user)} == set(hub.users.values())

    def _check_room(self, peer: Peer, room: str) -> None:
        log = self.house.broker.of(room)
        own = [entry for entry in log if entry.id.startswith(peer.session.id_prefix)]
        joined = [entry.seq for entry in own if entry.kind is Kind.JOIN][-1]
        due = [entry.seq for entry in log if entry.seq > joined and entry not in own]
        given = [seq for seq in self._given(peer, room) if seq > joined]
        skips = [seen for seen in peer.seen if isinstance(seen, str) and seen.startswith(f"{room} skipped")]
        if skips:
            assert given == [seq for seq in due if seq in set(given)], "out of order"
            assert len(due) - len(given) <= sum(int(seen.split()[-1]) for seen in skips)
        else:
            assert given == due

    def _given(self, peer: Peer, room: str) -> list[int]:
        lines = [seen.split() for seen in peer.seen if isinstance(seen, str) and "skipped" not in seen]
        return [int(seq) for name, seq in lines if name == room]


ACTIONS = (
    ["say"] * 12
    + ["commit"] * 8
    + "join join join leave rename rename stall read read depart depart fail half look answer answer".split()
)


def played(seed: int, **limits: int) -> Model:
    """Return a model after 200 random actions, everything settled."""
    chance = Random(seed)
    model = Model(**limits)
    for _ in range(200):
        model.act(chance.choice(ACTIONS), chance.randrange(PEERS), chance.randrange(10))
    model.finish()
    return model


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"write_bytes": 60, "recent": 1},
        {"write_bytes": 100, "recent": 2000, "max_behind": 6},
        {"gathered": 20, "history": 0},
    ],
    ids=["roomy", "tight", "skipping", "held back"],
)
def test_every_member_is_given_the_log_since_its_join_once(seed: int, limits: dict[str, int]) -> None:
    played(seed, **limits).check()


@pytest.mark.parametrize("seed", range(40))
def test_past_ends_where_the_live_begins(seed: int) -> None:
    model = played(seed, history=5, write_bytes=100, recent=1000)
    for peer in model.peers:
        for at, past in enumerate(peer.seen):
            if isinstance(past, HistoryShown) and past.entries:
                _check_past(model, past, peer.seen[at:])


def _check_past(model: Model, past: HistoryShown, after: list[str | Event]) -> None:
    room = past.entries[0].room
    said = [entry for entry in model.house.broker.of(room) if entry.kind in SAID]
    first = said.index(past.entries[0])
    assert list(past.entries) == said[first : first + len(past.entries)]
    live = [seen.split() for seen in after if isinstance(seen, str)]
    assert all(int(seq) > past.entries[-1].seq for name, seq in live if name == room)
