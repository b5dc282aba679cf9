"""Owners of accounts who stay in their rooms without a session, also after the server was started again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from test_account_users import Town

from doubles import NOON, FakePositions, FakeStays, House, Peer
from hubbub.chat.nodes.person import Person, Screen
from hubbub.chat.rooms.loaded_room import ABSENT
from hubbub.chat.session import User
from hubbub.chat.users.staying import SOON, TOO_LONG, Stay, StayedRoom
from hubbub.errors import BrokerError
from hubbub.model.accounts.account import host_of
from hubbub.model.entries import Draft, Joined, Kicked, Left, ModeChange, ModesChanged, Said
from hubbub.model.events import Missed
from records import text_in

DAY = 86_400.0


class Inn(Town):
    """A town in which Ann and Zoe may stay, with a store; `stop` and `start` make it a new process."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.stays = FakeStays()
        self.accounts.add("Ann", stays=True)
        self.accounts.add("Zoe", stays=True)
        self.house.broker.recalls = True
        self.failed: list[BrokerError | None] = []
        self.begin()

    def begin(self) -> None:
        self.hub.staying.begin(self.stays, self.failed.append)
        self.settle()

    def settle(self) -> None:
        super().settle()
        while self.stays.asked:
            self.stays.answer()
            super().settle()

    def pass_time(self) -> None:
        """Let everything happen that was to happen later."""
        while self.later:
            self.later.pop(0)[1]()
        self.settle()

    def crash(self, seconds: float = 0.0) -> None:
        """Start another server on the same log, accounts and store, with nothing stored by the last one."""
        broker, now = self.house.broker, self.house.now
        limits = self.hub.limits
        self.house = House(max_rooms=limits.max_rooms)
        self.house.now, self.house.broker._clock = now, broker._clock
        self.house.broker.log, self.house.broker.ids = broker.log, broker.ids
        self.house.broker.recalls = True
        self.house.broker.fault = broker.fault
        self.hub, self.later = self.house.hub, []
        self.hub._boot = "boot2-"
        self.hub.staying.seconds = seconds
        self.accounts.changed.clear()
        self.hub.use_accounts(self.accounts)
        self.hub.later = lambda seconds, call: self.later.append((seconds, call))
        self.begin()

    def restart(self) -> None:
        """Stop the server in order, and start another one."""
        self.hub.staying.end()
        self.hub.closing = True
        for peer in self.house.peers:
            peer.leave()
        self.crash()

    def stored(self, id: str = "idann") -> dict[str, int]:
        """Return the stored rooms of an account by name, with what its owner was given there."""
        return {room.name: room.given for room in self.stays.known[id].rooms}

    def members(self, room: str = "lobby") -> list[str]:
        loaded = self.hub.rooms.loaded.get(room)
        return [user.nick for user in loaded.members] if loaded else []

    def away(self, name: str = "Ann", *lines: str) -> User:
        """Let somebody log in, type lines, and lose the connection; their rooms are stored."""
        peer = self.log_in(name)
        user = peer.user
        for line in lines:
            peer.types(line)
            self.settle()
        peer.leave()
        self.pass_time()
        self.house.forget()
        return user


def texts(peer: Peer) -> list[str]:
    return [line for line in peer.sees() if isinstance(line, str)]


def test_rooms_are_stored_soon_and_once_for_many_changes() -> None:
    inn = Inn("Bo")
    ann = inn.log_in("Ann")
    ann.types("/join dev", "/join tea")
    inn.settle()
    assert [seconds for seconds, _ in inn.later] == [SOON] and not inn.stays.known
    inn.pass_time()
    assert list(inn.stored()) == ["lobby", "dev", "tea"] and inn.stays.kept == ["idann"]
    assert inn.stays.known["idann"].since == 0.0, "a session is connected"
    ann.types("/leave dev", "/join tea", "/rename coffee")
    inn.settle()
    inn.pass_time()
    assert list(inn.stored()) == ["lobby", "coffee"] and inn.stays.kept == ["idann"] * 2
    inn.house.now += 60
    ann.leave()
    inn.pass_time()
    assert inn.stays.known["idann"].since == NOON + 60
    assert inn.stored()["lobby"] == inn.hub.rooms.loaded["lobby"].end.seq
    bo = inn.log_in("Bo")
    bo.leave()
    assert [seconds for seconds, _ in inn.later] == [30.0], "only the time of grace: Bo does not stay"


def test_after_a_restart_they_are_members_again_and_nobody_sees_it() -> None:
    inn = Inn()
    inn.away("Ann", "/join dev")
    log = list(inn.house.broker.log)
    inn.restart()
    assert inn.failed == [None, None] and inn.house.broker.log == log
    user = inn.hub.nicks.find("ann")
    assert user and user.present and not user.sessions and user.id == "idann" and inn.hub.owners == {user.host: user}
    assert inn.members() == inn.members("dev") == ["Ann"]
    (bo,) = inn.house.enter("Bo")
    bo.types("/join dev", "psst", "/who")
    inn.settle()
    assert [type(entry.body) for entry in inn.house.broker.log[len(log) :]] == [Joined, Joined, Said]
    inn.pass_time()
    assert inn.stays.known["idann"].since == NOON
    ann = inn.house.connect()
    account = inn.accounts.find("Ann")
    assert account
    inn.hub.account_users.log_in(ann.session, account, lambda refusal: None)
    inn.settle()
    assert (
        Missed("dev", 1, NOON, inn.house.now, elsewhere=True) in ann.seen
        and ann.user is user
        and "[dev] Bo: psst" in ann.seen
    )
    ann.types("/leave dev")
    inn.settle()
    assert inn.members("dev") == ["Bo"] and texts(bo)[-1] == "-Ann"


def test_a_session_that_was_connected_at_the_stop_is_brought_up_to_date_too() -> None:
    inn = Inn("Cy")
    inn.log_in("Ann")
    inn.log_in("Ann")
    inn.log_in("Cy")
    inn.house.now += 5
    inn.restart()
    assert inn.stays.known["idann"].since == NOON + 5 and inn.members() == ["Ann"]
    (bo,) = inn.house.enter("Bo")
    bo.types("hi")
    inn.settle()
    ann = inn.log_in("Ann", forget=False)
    assert any(isinstance(event, Missed) for event in ann.seen)


def test_after_a_crash_the_time_counts_from_the_start_and_the_newest_messages_are_shown() -> None:
    inn = Inn()
    ann = inn.log_in("Ann")
    ann.types("hello")
    inn.settle()
    inn.pass_time()
    inn.house.now += 100 * DAY
    inn.crash(seconds=DAY)
    assert inn.members() == ["Ann"]
    inn.pass_time()
    assert inn.stays.known["idann"].since == NOON + 100 * DAY
    ann = inn.log_in("Ann", forget=False)
    assert not any(isinstance(event, Missed) for event in ann.seen)


def test_after_a_crash_while_away_all_is_counted_from_the_time_when_they_left() -> None:
    inn = Inn("Bo")
    inn.away("Ann")
    for restarted in (False, True):
        inn.house.now += 60
        if restarted:
            inn.crash()
        bo = inn.log_in("Bo")
        bo.types(*("more" for _ in range(15)), "Ann: wake up")
        inn.settle()
    ann = inn.log_in("Ann", forget=False)
    assert [event for event in ann.seen if isinstance(event, Missed)] == [Missed("lobby", 32, NOON, NOON + 120)]
    assert [line for line in texts(ann) if line.endswith("wake up")] == ["Bo: Ann: wake up"] * 2


@pytest.mark.parametrize("how", ["kick", "leave", "ban", "gone", "other", "unread"])
def test_who_is_out_of_a_room_is_not_put_back(how: str) -> None:
    """The process died before it stored that; the log knows it."""
    inn = Inn()
    user = inn.away("Ann", "/join dev")
    bodies = {
        "kick": Kicked("Ann", user="idann"),
        "leave": Left(),
        "ban": ModesChanged((ModeChange(True, "b", f"*!{user.host}"),)),
    }
    stay = inn.stays.known["idann"]
    rooms = {room.name: room for room in stay.rooms}
    if how == "gone":
        rooms["dev"] = StayedRoom("none", "none", 1, 1)
    elif how == "other":
        rooms["dev"] = rooms["dev"]._replace(id="another")
    inn.stays.known["idann"] = stay._replace(rooms=tuple(rooms.values()))
    if how in bodies:
        inn.house.broker.store([Draft("dev", "Ann", bodies[how], "x.1", user.host)])
    if how == "unread":
        inn.house.broker.fault = "away"
    inn.crash()
    inn.house.broker.fault = ""
    assert inn.members("dev") == [] and inn.members("none") == [] and "none" not in inn.hub.rooms.loaded
    assert inn.members() == ([] if how == "unread" else ["Ann"])
    assert bool(inn.hub.nicks.find("Ann")) is (how != "unread")


def test_a_server_operator_who_is_banned_stays() -> None:
    inn = Inn()
    user = inn.away("Ann")
    inn.house.broker.store([Draft("lobby", "Bo", ModesChanged((ModeChange(True, "b", f"*!{user.host}"),)), "x.1")])
    inn.accounts.add("Ann", stays=True, operator=True)
    inn.crash()
    assert inn.members() == ["Ann"]


@pytest.mark.parametrize("change", [{"suspended": True}, {"stays": False}, {"deleted": True}])
def test_who_may_not_stay_any_more_does_not_come_back(change: dict[str, bool]) -> None:
    inn = Inn()
    inn.away("Zoe")
    inn.away("Ann")
    inn.accounts.changed.clear()  # the server is stopped
    inn.accounts.add("Zoe", **{"stays": True} | change)
    inn.crash()
    assert inn.members() == ["Ann"] and list(inn.stays.known) == ["idann"] and len(inn.hub.users) == 1


def test_who_has_been_away_for_too_long_does_not_come_back_or_leaves() -> None:
    inn = Inn()
    inn.away("Ann")
    inn.house.now += DAY
    inn.away("Zoe")
    inn.restart()
    inn.hub.staying.expire()
    inn.pass_time()
    assert inn.members() == ["Ann", "Zoe"], "for ever"
    inn.hub.staying.seconds = 1.5 * DAY
    (bo,) = inn.house.enter("Bo")
    inn.house.now += DAY / 2
    inn.hub.staying.expire()
    inn.settle()
    assert texts(bo) == [f"-Ann {TOO_LONG}"] and inn.members() == ["Zoe", "Bo"] and list(inn.stays.known) == ["idzoe"]


def test_a_stay_that_is_too_old_ends_at_the_start() -> None:
    inn = Inn()
    inn.away("Ann")
    inn.house.now += DAY
    inn.crash(seconds=DAY)
    assert not inn.stays.known and not inn.hub.users


def test_who_stays_no_more_leaves_at_once_or_with_the_last_session() -> None:
    inn = Inn()
    (bo,) = inn.house.enter("Bo")
    inn.away("Ann")
    bo.sees()
    inn.accounts.add("Ann")
    inn.settle()
    assert texts(bo) == ["-Ann"] and not inn.stays.known
    zoe = inn.log_in("Zoe")
    inn.pass_time()
    assert list(inn.stays.known) == ["idzoe"]
    inn.accounts.add("Zoe")
    inn.pass_time()
    assert not inn.stays.known and zoe.user.present
    inn.accounts.add("Zoe", stays=True)
    zoe.types("/quit")
    inn.accounts.add("Zoe", suspended=True)
    inn.pass_time()
    assert not inn.stays.known and inn.members() == ["Bo"]


def test_rights_come_back_also_in_a_closed_room() -> None:
    inn = Inn()
    inn.away("Ann", "/join dev", "/mode +i")
    inn.restart()
    user = inn.hub.nicks.find("Ann")
    assert user and inn.hub.rooms.loaded["dev"].state.status == {user: "o"}


def test_another_node_may_win_and_a_guest_may_have_the_name() -> None:
    inn = Inn()
    inn.away("Ann")
    inn.stays.lost = True
    inn.crash()
    assert not inn.hub.users and list(inn.stays.known) == ["idann"]
    inn.stays.lost = False
    inn.accounts.changed.clear()
    (other,) = inn.house.enter("Bo")
    account = inn.accounts.add("Bo", stays=True)
    inn.stays.known = {account.id: Stay(account.id, (), NOON)}
    inn.begin()
    assert list(inn.hub.rooms.loaded["lobby"].members) == [other.user] and other.user.nick != "Bo"


def test_who_was_in_no_room_does_not_come_back() -> None:
    inn = Inn()
    inn.stays.known = {"idann": Stay("idann", (), NOON)}
    inn.crash()
    assert not inn.hub.users and not inn.stays.known


def test_somebody_who_is_on_another_node_is_stored_by_that_node() -> None:
    inn = Inn()
    ann = inn.log_in("Ann")
    inn.pass_time()
    inn.stays.kept.clear()
    visit(inn, ann.user)
    inn.hub.on_user_changed(ann.user)
    ann.user.sessions.clear()
    inn.pass_time()
    assert not inn.stays.kept


def visit(inn: Inn, user: User, home: str = "n2-1.", connected: bool = True) -> User:
    """Let a user be on another node as well, with a session or without; return the home there."""
    joined = inn.hub.rooms.loaded["lobby"].members[user]
    who = Person("Ann", user.host, id="idann", id_prefix=home, rooms=("lobby",), joins=(joined,))
    return inn.hub.remote.add(replace(who, screens=(Screen(f"{home}1.", "irc"),) if connected else ()))


@pytest.mark.parametrize("how", ["taken over", "unknown", "another node is faster", "not any more"])
def test_a_node_takes_over_those_who_stayed_on_a_node_that_is_gone(how: str) -> None:
    inn = Inn()
    host = inn.away("Ann").host
    stay, log = inn.stays.known.pop("idann"), list(inn.house.broker.log)
    inn.crash()  # and here is a node that has never had them
    home = inn.hub.remote.add(Person("Ann", host, id="idann", id_prefix="n2-1.", rooms=("lobby",), joins=(1,)))
    inn.stays.known = {} if how == "unknown" else {"idann": stay}
    inn.stays.lost = how == "another node is faster"
    if how == "not any more":
        inn.accounts.add("Ann")
    user = inn.hub.remote.user_at(home)
    user.account = None  # this node heard of them before it had read the accounts
    assert inn.hub.staying.keeps(user) is (how != "not any more")
    inn.hub.staying.take_over(user)
    assert not inn.stays.asked, "they are still there"
    inn.hub.remote.remove(home)
    inn.hub.staying.take_over(user)
    inn.settle()
    assert inn.members() == (["Ann"] if how == "taken over" else []) and inn.house.broker.log == log


@pytest.mark.parametrize("how", ["known", "unknown", "no store", "has come back there", "gone meanwhile"])
def test_a_login_here_shows_what_somebody_has_missed_whom_another_node_keeps(how: str) -> None:
    inn = Inn("Bo")
    host = inn.away("Ann", "/join ops").host
    stay = inn.stays.known["idann"]
    inn.stays.known.clear()
    inn.crash()  # and here is a node that has never had them
    bo = inn.log_in("Bo")
    bo.types("/join ops", "two", "/join lobby", "one")
    inn.settle()
    inn.stays.known = {"idann": stay} if how != "unknown" else {}
    if how == "no store":
        inn.hub.staying.store = None
    places = {"rooms": ("lobby", "ops"), "joins": tuple(one.joined for one in stay.rooms)}
    home = inn.hub.remote.add(Person("Ann", host, id="idann", id_prefix="n2-1.", **places))  # type: ignore[arg-type]
    ann = inn.house.connect()
    inn.house.now += DAY
    account = inn.accounts.find("Ann")
    assert account
    inn.hub.account_users.log_in(ann.session, account, lambda refusal: None)
    if how == "gone meanwhile":
        ann.leave()
    elif how == "has come back there":
        inn.hub.remote.update(
            home, Person("Ann", host, id="idann", id_prefix="n2-1.", **places, screens=(Screen("n2-1.1."),))
        )  # type: ignore[arg-type]
    inn.settle()
    missed = {one.room: (one.count, one.since) for one in ann.sees() if isinstance(one, Missed)}
    assert missed == ({"lobby": (1, stay.since), "ops": (1, stay.since)} if how == "known" else {})
    assert len(inn.house.broker.log) == len({one.seq for one in inn.house.broker.log})


def test_the_time_counts_from_the_leave_of_another_node() -> None:
    inn = Inn()
    user = inn.away("Ann")
    home = visit(inn, user)
    inn.house.now += DAY
    inn.hub.remote.remove(home)
    inn.pass_time()
    assert user.present and inn.stays.known["idann"].since == NOON + DAY


def test_somebody_whom_two_nodes_have_taken_over_is_stored_and_leaves_in_the_end() -> None:
    inn = Inn()
    user = inn.away("Ann")
    visit(inn, user, connected=False)
    inn.stays.kept.clear()
    inn.hub.on_user_changed(user)
    inn.pass_time()
    assert inn.stays.kept == ["idann"]
    inn.hub.staying.seconds = DAY
    inn.house.now += 2 * DAY
    inn.hub.staying.expire()
    assert user.is_remote, "this node leaves them to the other one, which does the same"
    inn.hub.remote.remove(inn.hub.remote.homes(user)[0])
    inn.settle()
    assert inn.members() == [] and type(inn.house.broker.log[-1].body) is Left


def test_stays_that_cannot_be_read_are_an_error() -> None:
    inn = Inn()
    inn.stays.fault = "away"
    inn.crash()
    assert str(inn.failed[-1]) == "away" and inn.hub.staying.store is None
    inn.log_in("Ann")
    inn.hub.staying.end()
    assert not inn.stays.known


def test_departures_are_remembered_while_a_room_is_loaded() -> None:
    inn = Inn()
    inn.house.enter("Bo")
    ids = [f"a{number}" for number in range(ABSENT + 1)]
    entries = inn.house.broker.store([Draft("lobby", id, Left(), f"{id}.1", host_of(id)) for id in ids])
    inn.house.commit(entries)
    assert list(inn.hub.rooms.loaded["lobby"].departed) == [host_of(id) for id in ids[1:]]
    inn.house.commit(inn.house.broker.store([Draft("lobby", "Bo", Kicked("x"), "x.1")]))
    assert len(inn.hub.rooms.loaded["lobby"].departed) == ABSENT


def test_private_messages_to_somebody_who_stays_are_shown_at_the_login_after_a_restart() -> None:
    inn = Inn("Bo")
    positions = FakePositions()
    inn.away("Ann")
    inn.restart()
    inn.hub.positions = positions
    bo = inn.log_in("Bo")
    bo.types("/msg Ann psst")
    while positions.asked:
        positions.answer()
        inn.settle()
    ann = inn.log_in("Ann")
    inn.hub.private_history.catch_up(ann.session)
    inn.settle()
    shown = [text_in(entry) for event in ann.sees() for entry in getattr(event, "entries", ()) if "@" in entry.room]
    assert shown == ["psst"]
