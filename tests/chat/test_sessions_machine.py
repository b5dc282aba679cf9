"""Whatever two users with up to three sessions do: each session is shown each entry of its rooms once, in order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from doubles import House, Look, Peer
from hubbub.model import ids
from hubbub.model.entries import Entry, Joined, Kicked, Left

ROOMS = ("lobby", "ops", "den")
SESSIONS = 3


class Numbered(Look):
    """Shows of an entry its room and its number."""

    def encode(self, entry: Entry) -> bytes:
        return f"{entry.room} {entry.seq}\n".encode()


class Screen:
    """A session of a user, and the ends of the logs when it came."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.user = peer.user
        self.stalled = False
        self.began = {name: room.end.seq for name, room in peer.user.rooms.items()}

    def given(self, room: str) -> list[int]:
        lines = (seen.split() for seen in self.peer.seen if isinstance(seen, str))
        return [int(seq) for name, seq in lines if name == room]


class Sessions(RuleBasedStateMachine):
    """Two users; when the last session of one ends, the next one is a new user."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House(history=0, write_bytes=200)
        self.look = Numbered(echo=True)
        self.names = 0
        self.here: tuple[list[Screen], list[Screen]] = ([], [])
        self.all: list[Screen] = []

    @rule(user=st.integers(0, 1))
    def come(self, user: int) -> None:
        screens = self.here[user]
        if len(screens) >= SESSIONS:
            return
        peer = self.house.connect(self.look)
        if screens:
            self.house.hub.naming.attach(peer.session, screens[0].user)
        else:
            self.names += 1
            peer.types(f"n{self.names}")
        screen = Screen(peer)
        # Of a room that the user left before, it is due only what follows the next join.
        for room in ROOMS:
            screen.began.setdefault(room, self._due(screen, room)[1])
        screens.append(screen)
        self.all.append(screen)

    @rule(
        user=st.integers(0, 1),
        number=st.integers(0, SESSIONS - 1),
        line=st.sampled_from(["hi", "/topic tea", "/nick max", "/nick moritz", "/nick zoe", "/kick"])
        | st.builds("{} {}".format, st.sampled_from(["/join", "/leave"]), st.sampled_from(ROOMS)),
    )
    def type(self, user: int, number: int, line: str) -> None:
        if number < len(self.here[user]):
            other = self.here[1 - user]
            nick = other[0].user.nick if other else "nobody"
            self.here[user][number].peer.types(f"{line} {nick}" if line == "/kick" else line)

    @rule(user=st.integers(0, 1), number=st.integers(0, SESSIONS - 1))
    def go(self, user: int, number: int) -> None:
        if number < len(self.here[user]):
            self.here[user].pop(number).peer.leave()

    @rule(user=st.integers(0, 1), number=st.integers(0, SESSIONS - 1), writes=st.integers(0, 2))
    def stall(self, user: int, number: int, writes: int) -> None:
        if number < len(self.here[user]):
            self.here[user][number].stalled = True
            self.here[user][number].peer.stall(writes)

    @rule(user=st.integers(0, 1), number=st.integers(0, SESSIONS - 1))
    def read(self, user: int, number: int) -> None:
        if number < len(self.here[user]):
            self.here[user][number].peer.read()

    @rule()
    def answer(self) -> None:
        self.house.answer()

    @rule()
    def commit(self) -> None:
        self.house.commit()

    @rule()
    def fail(self) -> None:
        self.house.fail()

    def teardown(self) -> None:
        for _ in range(50):
            for screen in self.all:
                if screen.peer.session.paused:
                    screen.peer.read()
            self.house.settle()
            if self.house.hub.settled and not any(one.peer.untaken for one in (*self.here[0], *self.here[1])):
                break
        else:
            raise AssertionError("it does not come to rest")
        for screen in self.all:
            for room in ROOMS:
                self._check(screen, room)
        for screens in self.here:
            assert len({frozenset(one.peer.session.rooms) for one in screens}) <= 1

    def _check(self, screen: Screen, room: str) -> None:
        due, last = self._due(screen, room)
        given = screen.given(room)
        assert given == sorted(set(given)), "twice, or out of order"
        assert set(given) <= set(due), "of a room that the user is not in"
        missed = [seq for seq in due if seq not in given]
        if not screen.peer.session.closed:
            assert not [seq for seq in missed if seq > last or not screen.stalled]

    def _due(self, screen: Screen, room: str) -> tuple[list[int], int]:
        """Return the entries that the session is to be given, and the number of the user's last end in the room."""
        due, inside, last = [], False, 0
        for entry in self.house.broker.of(room):
            own = ids.user_of(entry.id) == screen.user.id_prefix
            if inside and entry.seq > screen.began.get(room, 0):
                due.append(entry.seq)
            if isinstance(entry.body, Joined) and own:
                inside = True
            elif (isinstance(entry.body, Left) and own) or (
                isinstance(entry.body, Kicked) and entry.body.user == screen.user.id
            ):
                inside, last = False, entry.seq
        return due, last


TestSessions = pytest.mark.untraced(Sessions.TestCase)
TestSessions.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
