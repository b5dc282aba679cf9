"""People of other nodes, and names that other nodes must agree on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from doubles import House, Look, Peer, refusing
from hubbub.chat import moderation
from hubbub.chat.nodes import orphans
from hubbub.chat.nodes.person import Person, person
from hubbub.chat.private import direct
from hubbub.chat.rooms import delivery as delivery_module
from hubbub.chat.session import Posting, User
from hubbub.errors import Refused
from hubbub.model.accounts.account import host_of
from hubbub.model.entries import Draft, Entry, Joined, Kind, Left
from hubbub.model.events import (
    Acknowledged,
    Event,
    Goodbye,
    Invited,
    MembersListed,
    NickAssigned,
    Notice,
    Private,
    Refusal,
)
from hubbub.model.ids import leave_for
from records import draft_of, entry_of, text_in


class Outlet:
    """Keeps what somebody elsewhere is told."""

    def __init__(self) -> None:
        self.told: list[object] = []


ZOE = Person("Zoe", "~nc@1a.nc", "10.0.0.1", "Zoe Z", "", "B", False, 5.0, 6.0, ("lobby",), id_prefix="zoe.")


def arrive(house: House, who: Person = ZOE) -> tuple[Outlet, User]:
    outlet = Outlet()
    user, others = house.hub.remote.add(who), house.hub.remote.send

    def send(to: User, event: Event) -> None:
        if to is user:
            outlet.told.append(event)
        else:
            others(to, event)

    house.hub.remote.send = send
    return outlet, user


@pytest.mark.parametrize(("rule", "code"), [("", ""), ("+k tea", "closed"), ("+s", "not-in-room")])
def test_people_of_a_room_that_only_others_are_in_are_listed_if_it_is_open(rule: str, code: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    house.broker.store(
        [draft_of("tea", Kind.JOIN, "Zoe", "", "z.1"), draft_of("tea", Kind.MODE, "Zoe", rule or "+m", "z.2")]
    )
    arrive(house, replace(ZOE, rooms=("tea",)))
    al.types("/who tea", "hi")
    house.settle()
    (told,) = al.sees()
    assert (told.code if isinstance(told, Refusal) else "") == code
    if isinstance(told, MembersListed):
        assert list(told.nicks) == ["Zoe"]
    assert "tea" not in house.hub.rooms.loaded and text_in(house.broker.log[-1]) == "hi"


class Others:
    """The other nodes: they answer when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Callable[[Refused | None], None]]] = []
        self.released: list[str] = []

    def claim(self, key: str, done: Callable[[Refused | None], None], wait: Callable[[], None]) -> None:
        self.asked.append((key, done))
        self.wait = wait

    def release(self, key: str) -> None:
        self.released.append(key)

    def answer(self, taken: bool = False) -> str:
        key, done = self.asked.pop(0)
        done(Refused("name-taken", f"The name {key} is taken.") if taken else None)
        return key


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def house(others: Others) -> House:
    house = House()
    house.hub.nicks.names = others
    return house


def come(house: House, others: Others, name: str) -> Peer:
    peer = house.connect()
    peer.types(name)
    others.answer()
    house.settle()
    house.forget()
    return peer


# --- names ----------------------------------------------------------------------------------------------------------


def test_newcomer_waits_until_the_others_agree(house: House, others: Others) -> None:
    al = house.connect()
    al.types("Al", "hi")
    assert al.session.user is None and al.untaken == 1
    assert others.answer() == "al"
    house.settle()
    assert al.session.nick == "Al" and [text_in(entry) for entry in house.broker.log] == ["", "hi"]


def test_long_wait_for_a_name_is_announced(house: House, others: Others) -> None:
    al, bo = house.connect(), house.connect()
    al.types("Al")
    others.wait()
    assert al.sees() == [Notice(("One moment: checking whether Al is still here",))]
    bo.types("Bo")
    bo.leave()
    others.wait()
    assert bo.sees() == [Goodbye()]


def test_outcome_is_told_when_it_is_known(house: House, others: Others) -> None:
    outcomes: list[Refused | None] = []
    for name, taken in (("Al", True), ("Bo", False)):
        peer = house.connect()
        house.hub.naming.enter(peer.session, name, outcome=refusing(peer.session, outcomes.append))
        others.answer(taken)
    assert [outcome and outcome.code for outcome in outcomes] == ["name-taken", None]
    assert "al" in others.released and "al" not in house.hub.users


def test_session_that_leaves_during_a_claim_holds_no_name(house: House, others: Others) -> None:
    al = house.connect()
    al.types("Al")
    al.leave()
    others.answer()
    assert others.released == ["al"] and not house.hub.users and al.session.user is None


def test_rename_waits_for_the_others_but_for_another_spelling(house: House, others: Others) -> None:
    al = come(house, others, "Al")
    al.types("/nick Bo", "hi")
    house.settle()
    assert al.session.nick == "Al" and al.untaken == 1
    assert others.answer() == "bo"
    house.settle()
    assert al.session.nick == "Bo" and others.released == ["al"]
    al.types("/nick BO")
    house.settle()
    assert al.session.nick == "BO" and not others.asked


def test_rename_that_the_others_refuse_is_told(house: House, others: Others) -> None:
    al = come(house, others, "Al")
    al.types("/nick Bo")
    others.answer(taken=True)
    assert al.sees() == [Refusal("name-taken", "The name Bo is taken.")]
    refused: list[Refused] = []
    house.hub.naming.rename(al.session, "Bo", refusing(al.session, refused.append))
    others.answer(taken=True)
    assert [one.code for one in refused] == ["name-taken"] and al.sees() == []
    assert al.session.nick == "Al" and list(house.hub.users) == ["al"]


def test_session_that_leaves_during_a_rename_holds_no_name(house: House, others: Others) -> None:
    al = come(house, others, "Al")
    al.types("/nick Bo")
    al.leave()
    others.answer()
    house.settle()
    assert not house.hub.users and {"al", "bo"} <= set(others.released)


def test_session_that_returns_during_its_rename_gets_both_names(house: House, others: Others) -> None:
    al = come(house, others, "Al")
    al.types("/nick Zoe")
    al.leave()
    again = house.connect(), house.connect()
    for peer, name in zip(again, ("Al", "Zoe"), strict=True):
        peer.types(name)
    others.released.clear()
    others.answer()
    assert not others.released
    others.answer()
    others.answer()
    house.settle()
    assert [house.hub.nicks.find(name) for name in ("al", "zoe")] == [peer.user for peer in again]


def test_name_that_is_lost_becomes_the_next_one_that_is_free(house: House, others: Others) -> None:
    al = come(house, others, "Al")
    come(house, others, "Al2")
    house.hub.nicks.losing.add("al")
    house.hub.naming.lose_name("al")
    house.commit([entry_of("lobby", 900, 0, 1.0, Kind.LEAVE, "Al", "connection lost", "other.1")])
    assert others.answer(taken=True) == "al3"
    assert others.answer() == "al4"
    house.settle()
    assert al.session.nick == "Al4"
    entries = [(entry.kind, entry.nick) for entry in house.broker.of("lobby")]
    assert entries[-1] == (Kind.JOIN, "Al4") and Kind.RENAME not in [kind for kind, _ in entries]
    told = al.sees()
    assert Notice(("The name Al was taken while the chat could not be reached",)) in told
    assert [event.alone for event in told if isinstance(event, NickAssigned)] == [True]
    house.hub.naming.lose_name("nobody")
    user = User("Gone")
    house.hub.users["gone"] = user
    house.hub.naming.lose_name("gone")


def test_user_that_lost_the_name_and_gets_no_other_leaves(house: House, others: Others) -> None:
    al, bo = come(house, others, "Al"), come(house, others, "Bo")
    house.hub.naming.lose_name("al")
    _, done = others.asked.pop()
    done(Refused("broker", "no answer"))
    assert al.session.closed and not others.asked
    house.hub.naming.lose_name("bo")
    for _ in range(2, 100):
        others.answer(taken=True)
    assert bo.session.closed and not others.asked


# --- who is elsewhere -----------------------------------------------------------------------------------------------


def test_somebody_elsewhere_is_listed_and_holds_his_name() -> None:
    house = House()
    (al,) = house.enter("Al")
    seen: list[tuple[str, str, bool]] = []
    house.hub.presence.append(lambda user, before: seen.append((user.nick, before, user.present)))
    _, zoe = arrive(house)
    al.types("/who", "/nick zoe")
    who, refusal = al.sees()
    assert list(who.nicks) == ["Al", "Zoe"] and isinstance(refusal, Refusal)
    assert (zoe.real, zoe.since, zoe.address) == ("Zoe Z", 5.0, "10.0.0.1")
    house.hub.remote.update(zoe, replace(ZOE, nick="Yve", away="tea"))
    assert house.hub.nicks.find("yve") is zoe and house.hub.nicks.find("zoe") is None
    assert zoe.away == "tea"
    house.hub.remote.remove(zoe)
    assert house.hub.nicks.find("yve") is None
    assert seen == [("Zoe", "", True), ("Yve", "Zoe", True), ("Yve", "", False)]
    al.types("/who")
    (who,) = al.sees()
    assert list(who.nicks) == ["Al"]


def test_local_user_keeps_a_name_that_a_remote_user_claims() -> None:
    house = House()
    (al,) = house.enter("Zoe")
    _, zoe = arrive(house)
    assert house.hub.nicks.find("zoe") is al.user
    house.hub.remote.remove(zoe)
    assert house.hub.nicks.find("zoe") is al.user


def test_name_belongs_to_the_last_announced_remote_user_until_they_leave() -> None:
    """It may be known of somebody that he came before it is known that who had the name has left."""
    house = House()
    directory = house.hub.nicks
    (_, old), (_, new), (_, third) = arrive(house), arrive(house), arrive(house)
    assert directory.find("zoe") is third
    house.hub.remote.remove(old)
    assert directory.find("zoe") is third
    house.hub.remote.remove(third)
    assert directory.find("zoe") is new
    house.hub.remote.update(new, replace(ZOE, nick="Yve"))
    assert directory.find("zoe") is None and directory.find("yve") is new


def test_name_returns_to_the_user_that_announced_it_before() -> None:
    house = House()
    one, two, three, four = (arrive(house)[1] for _ in range(4))
    for gone, left in ((two, four), (four, three), (three, one), (one, None)):
        house.hub.remote.remove(gone)
        assert house.hub.nicks.find("Zoe") is left


def test_name_of_somebody_elsewhere_is_known_when_it_is_let_go_here(house: House, others: Others) -> None:
    al = come(house, others, "Zoe")
    _, zoe = arrive(house)
    al.leave()
    house.settle()
    assert house.hub.nicks.find("zoe") is zoe


def test_rooms_that_are_asleep_count_who_is_elsewhere() -> None:
    house = House()
    (al,) = house.enter("Al")
    _, zoe = arrive(house, replace(ZOE, rooms=("tea", "lobby")))
    house.hub.say(al.session, "x", "lobby")
    house.settle()
    assert set(house.hub.remote.members.rooms) == {"tea", "lobby"} and list(zoe.rooms) == ["lobby"]
    al.types("/join tea")
    house.settle()
    assert set(zoe.rooms) == {"tea", "lobby"}
    al.types("/leave tea")
    house.settle()
    assert list(zoe.rooms) == ["lobby"] and set(house.hub.remote.members.rooms) == {"tea", "lobby"}
    house.hub.remote.update(zoe, replace(ZOE, rooms=()))
    assert not zoe.rooms and not house.hub.remote.members.rooms
    al.leave()
    house.settle()
    assert not house.hub.remote.members.rooms


def test_user_that_opens_a_room_elsewhere_is_its_operator_here() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join tea")
    house.settle()
    _, zoe = arrive(house, replace(ZOE, rooms=("den",)))
    al.types("/join den")
    house.commit([entry_of("den", 900, 0, 1.0, Kind.JOIN, "Zoe", "", "x.1", ZOE.host)])
    house.settle()
    room = house.hub.rooms.loaded["tea"]
    assert not room.state.is_operator(zoe)
    house.hub.remote.update(zoe, replace(ZOE, rooms=("tea",)))
    moderation.change(house.hub, al.session, room, [moderation.ModeChange(True, "v", "Zoe")])
    house.settle()
    assert room.state.prefixes(zoe) == "+"


def test_first_join_may_come_after_who_made_it() -> None:
    house = House()
    watcher = house.connect()
    house.hub.rooms.watch(watcher.session, "den")
    house.settle()
    _, zoe = arrive(house, replace(ZOE, rooms=("den",)))
    _, other = arrive(house, replace(ZOE, nick="Yve", rooms=("den",)))
    house.commit([entry_of("den", 900, 0, 1.0, Kind.JOIN, "Zoe", "", "x.1", ZOE.host)])
    rules = house.hub.rooms.loaded["den"].state
    assert rules.is_operator(zoe) and not rules.is_operator(other)


def test_message_to_a_remote_user_goes_to_its_node() -> None:
    house = House()
    (al,) = house.enter("Al")
    outlet, zoe = arrive(house, replace(ZOE, id="z1"))
    assert zoe.id == "z1" and person(al.user).id == al.user.id
    al.types("/join den", "/set invite-only on", "/invite Zoe", "/invite Al")
    house.settle()
    assert outlet.told == [Invited("Al", al.session.host, "den")] and list(zoe.invited) == ["den"]
    expelled: list[tuple[User, str]] = []
    house.hub.remote.expel = lambda user, reason: expelled.append((user, reason))
    house.hub.expel(zoe, "enough")
    house.hub.expel(al.user, "you too")
    assert expelled == [(zoe, "enough")] and al.session.closed
    assert Notice(("You are cut off: you too",)) in al.sees()
    house.hub.expel(al.user, "twice")
    assert al.sees() == []


def test_signal_goes_to_other_nodes_that_have_members() -> None:
    house = House()
    (al,) = house.enter("Al")
    signals: list[Entry] = []
    house.hub.remote.signal = signals.append
    direct.signal(house.hub, al.session, "lobby", "+typing=active")
    assert signals == []
    arrive(house)
    direct.signal(house.hub, al.session, "lobby", "+typing=active")
    assert [entry.tags for entry in signals] == ["+typing=active"]


def test_kick_of_somebody_elsewhere_is_published() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join den")
    house.settle()
    arrive(house, replace(ZOE, rooms=("den",)))
    al.types("/kick Zoe out")
    house.settle()
    assert house.broker.log[-1].kind is Kind.KICK and text_in(house.broker.log[-1]) == "Zoe out"


def test_people_go_along_with_a_room_that_is_renamed() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops")
    house.settle()
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",)))
    moderation.move(house.hub, al.session, house.hub.rooms.loaded["ops"], "dev")
    bo.user.invite("ops", 1.0)
    house.settle()
    assert [room.name for room in zoe.rooms.values()] == ["dev"] and bo.user.invited == {"ops": 1.0}
    assert zoe in house.hub.rooms.loaded["dev"].members
    house.hub.remote.update(zoe, replace(ZOE, rooms=("dev",), room_ids=("ops",)))
    house.hub.remote.remove(zoe)
    assert zoe not in house.hub.rooms.loaded["dev"].members


def test_announced_member_of_a_room_that_is_renamed_here_later_is_in_it() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    room = house.hub.rooms.loaded["ops"]
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",)))
    moderation.move(house.hub, al.session, room, "dev")
    house.answer()
    house.hub.remote.update(zoe, replace(ZOE, rooms=("dev",), room_ids=("ops",)))
    assert zoe in room.members
    house.settle()
    assert room.name == "dev" and zoe in room.members and list(zoe.rooms.values()) == [room]


def test_announcement_for_a_new_room_of_an_old_name_holds_after_the_rename() -> None:
    """Zoe's node says that she is in ops, and means the next room of that name; what she left is the one before."""
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",), joins=(6,)))
    moderation.move(house.hub, al.session, house.hub.rooms.loaded["ops"], "dev")
    house.answer()
    house.commit(house.broker.store([draft_of("ops", Kind.LEAVE, "Zoe", "", "zoe.9")]))
    assert "ops" not in house.hub.remote.members.rooms
    house.settle()
    house.hub.remote.update(zoe, replace(ZOE, rooms=("ops",), joins=(900,), room_ids=("ops=2",)))
    assert zoe in house.hub.remote.members.of_room("ops") and zoe not in house.hub.rooms.loaded["dev"].members


def test_reports_that_are_ahead_of_the_renames_of_two_rooms_change_no_members() -> None:
    """A report may come before the log says that one room got a new name, and another one its old name."""
    house = House()
    al, _ = house.enter("Al", "Bo")
    al.types("/join den", "/join ops")
    house.settle()
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",), joins=(100,)))
    _, yan = arrive(house, replace(ZOE, nick="Yan", id_prefix="yan.", rooms=("den",), joins=(103,)))
    rooms = house.hub.rooms.loaded
    ops, den = rooms["ops"], rooms["den"]
    house.hub.remote.update(zoe, replace(ZOE, rooms=("dev",), joins=(100,), room_ids=("ops",)))
    house.hub.remote.update(
        yan, replace(ZOE, nick="Yan", id_prefix="yan.", rooms=("ops",), joins=(103,), room_ids=("den",))
    )
    assert zoe in ops.members and yan in den.members
    for before, to in (("ops", "dev"), ("den", "ops")):
        al.types(f"/join {before}", f"/rename {to}")
        house.settle()
    assert (ops.name, den.name) == ("dev", "ops")
    assert zoe in ops.members and yan not in ops.members and yan in den.members and zoe not in den.members
    assert (house.hub.remote.members.places(zoe), house.hub.remote.members.places(yan)) == ({"ops": 100}, {"den": 103})


def test_report_of_an_older_node_means_the_loaded_room_of_that_name() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops", "/rename dev")
    house.settle()
    _, zoe = arrive(house, replace(ZOE, rooms=("dev", "tea"), joins=(100,)))
    assert zoe in house.hub.rooms.loaded["dev"].members and house.hub.remote.members.places(zoe) == {
        "ops": 100,
        "tea": 0,
    }


def test_room_that_is_not_loaded_here_is_known_by_its_present_name() -> None:
    """It was renamed before this node unloaded it, and is renamed once more elsewhere."""
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",), joins=(100,), room_ids=("ops",)))
    al.types("/rename dev", "/leave")
    house.settle()
    remote = house.hub.remote
    assert "ops" not in house.hub.loaded.by_id and list(remote.members.of_room("dev")) == [zoe]
    remote.update(zoe, replace(ZOE, rooms=("den",), joins=(100,), room_ids=("ops",)))
    assert (
        remote.members.counts() == {"den": 1}
        and not remote.members.of_room("dev")
        and list(remote.members.of_room("den")) == [zoe]
    )
    # Another room has the former name by now.
    _, yan = arrive(house, replace(ZOE, nick="Yan", id_prefix="yan.", rooms=("dev",), joins=(103,), room_ids=("dev",)))
    remote.members.publish_leaves("zoe-1.9", "Zoe", "host", remote.members.places(zoe))
    assert [(draft.room, draft.room_id) for draft in house.gather()] == [("den", "ops")]
    remote.remove(zoe)
    assert list(remote.members.of_room("dev")) == [yan] and remote.members.counts() == {"dev": 1}


def test_room_that_is_given_the_name_that_it_has_keeps_who_comes_later() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    house.commit(house.broker.store([draft_of("ops", Kind.ROOM_RENAMED, "Zoe", "ops", "zoe.9")]))
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",)))
    assert zoe in house.hub.rooms.loaded["ops"].members


def test_entries_of_a_former_holder_do_not_affect_the_present_one() -> None:
    """Zoe's node said that Kim is Zoe now; the log of the room is behind: the Zoe before her leaves only now."""
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",)))
    past = [draft_of("ops", Kind.LEAVE, "Zoe", "", "other.9"), draft_of("ops", Kind.RENAME, "Kim", "Zoe", "zoe.2")]
    house.commit(house.broker.store(past))
    assert zoe in house.hub.rooms.loaded["ops"].members


def test_highest_number_says_who_is_in_a_room_whoever_says_it() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    room = house.hub.rooms.loaded["ops"]
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",), joins=(100,)))
    assert room.members[zoe] == 100
    house.commit([entry_of("ops", 103, 0, 1.0, Kind.LEAVE, "Zoe", "", "zoe.2", ZOE.host)])
    house.hub.remote.update(zoe, replace(ZOE, rooms=("ops",), joins=(100,), away="tea"))  # sent before the leave
    assert zoe not in room.members
    house.hub.remote.update(zoe, replace(ZOE, rooms=("ops",), joins=(106,)))
    assert room.members[zoe] == 106 == house.hub.remote.members.rooms["ops"][zoe]
    house.commit([entry_of("ops", 106, 0, 1.0, Kind.JOIN, "Zoe", "", "zoe.3", ZOE.host)])
    assert room.members[zoe] == 106
    house.hub.remote.update(zoe, replace(ZOE, rooms=("ops",), joins=(109,)))
    assert room.members[zoe] == 109 == house.hub.remote.members.rooms["ops"][zoe]
    house.hub.remote.update(zoe, replace(ZOE, rooms=("ops", "tea"), joins=(109, 112)))
    assert house.hub.remote.members.places(zoe) == {"ops": 109, "tea": 112}
    house.hub.remote.update(zoe, replace(ZOE, rooms=("ops",), joins=(109,)))
    assert house.hub.remote.members.places(zoe) == {"ops": 109} and list(house.hub.remote.members.rooms) == ["ops"]
    for seq in (115, 118):
        house.commit([entry_of("ops", seq, 0, 1.0, Kind.LEAVE, "Zoe", "", f"zoe.{seq}", ZOE.host)])
    assert zoe not in room.members and not house.hub.remote.members.rooms


def test_join_that_the_log_alone_tells_is_not_ended_by_an_older_report() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    room = house.hub.rooms.loaded["ops"]
    _, zoe = arrive(house, replace(ZOE, rooms=()))
    house.commit([entry_of("ops", 100, 0, 1.0, Kind.JOIN, "Zoe", "", "zoe.1", ZOE.host)])
    house.hub.remote.update(zoe, replace(ZOE, rooms=(), away="tea"))
    assert room.members[zoe] == 100
    house.hub.remote.update(zoe, replace(ZOE, rooms=("ops",), joins=(100,)))
    house.hub.remote.update(zoe, replace(ZOE, rooms=()))
    assert zoe not in room.members and "ops" not in house.hub.remote.members.rooms


def test_kick_of_a_former_holder_of_a_nick_is_put_right_by_the_next_report() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.settle()
    room = house.hub.rooms.loaded["ops"]
    _, zoe = arrive(house, replace(ZOE, rooms=("ops",), joins=(100,)))
    arrive(house, replace(ZOE, nick="Kim", rooms=()))
    kicks = [entry_of("ops", seq, 0, 1.0, Kind.KICK, "Bo", nick, "bo.1") for seq, nick in ((103, "Zoe"), (106, "Kim"))]
    house.commit(kicks)
    assert zoe not in room.members
    house.hub.remote.update(zoe, replace(ZOE, rooms=("ops",), joins=(100,)))
    assert zoe in room.members


def test_user_of_an_older_node_is_where_that_says() -> None:
    """It gives no numbers, and no prefix of ids."""
    house = House()
    house.enter("Al")
    room = house.hub.rooms.loaded["lobby"]
    _, zoe = arrive(house, replace(ZOE, id_prefix=""))
    house.commit([entry_of("lobby", 100, 0, 1.0, Kind.LEAVE, "Zoe", "", "nothing", ZOE.host)])
    assert room.members[zoe] == 0
    house.hub.remote.update(zoe, replace(ZOE, id_prefix="", rooms=()))
    assert zoe not in room.members
    house.hub.remote.remove(zoe)


def test_announcement_of_a_local_user_is_complete() -> None:
    house = House()
    (al,) = house.enter("Al")
    touched: list[str] = []
    house.hub.user_changes.append(lambda user: touched.append(user.nick))
    al.types("/join tea", "/nick Bo")
    house.settle()
    user = al.user
    user.modes = frozenset("wB")
    assert person(user) == Person(
        "Bo",
        modes="Bw",
        since=user.since,
        active=user.active,
        rooms=("lobby", "tea"),
        joins=(3, 6),
        id=user.id,
        id_prefix=user.id_prefix,
        version=1,
        room_ids=("lobby", "tea"),
    )
    assert user.id and user.id_prefix and person(user).version == 1
    user.away = "tea"
    assert person(user).version == 2
    assert touched
    touched.clear()
    house.hub.touch(house.connect().session)
    al.leave()
    assert touched and not user.present


def test_announcement_reaches_everybody_here_once() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    outlet, _ = arrive(house)
    bo.stall()
    house.hub.announce("The chat is back")
    assert al.sees() == [Notice(("The chat is back",))] and not bo.sees() and not outlet.told


# --- one event of another node in several rooms ---------------------------------------------------------------------


class Once(Look):
    """A wire that shows one event in several rooms once."""

    def __init__(self, echo: bool = False, prefixed: bool = False) -> None:
        super().__init__(echo, prefixed)
        self.dedupes = True


def test_event_of_another_node_in_two_rooms_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "EVENTS", 1)
    house = House()
    (al,) = house.enter("Al", look=Once())
    al.types("/join tea")
    house.settle()
    al.sees()
    for seq, room in ((900, "lobby"), (903, "tea")):
        house.commit([entry_of(room, seq, 0, 1.0, Kind.RENAME, "Zoe", "Yve", "x.1")])
    assert len(al.sees()) == 1
    for seq, id in ((906, "x.2"), (909, "x.3"), (912, "x.1")):
        house.commit([entry_of("tea", seq, 0, 1.0, Kind.RENAME, "Yve", "Zoe", id)])
    assert len(al.sees()) == 3  # the first event is forgotten by now


def test_own_name_is_told_before_and_after_for_a_user_in_no_room(house: House, others: Others) -> None:
    al = come(house, others, "Al")
    al.types("/leave", "/nick Bo")
    house.settle()
    others.answer()
    house.settle()
    assert NickAssigned("Bo") in al.sees()


def test_name_of_somebody_elsewhere_is_asked_for_and_stays_his_if_refused(house: House, others: Others) -> None:
    _, zoe = arrive(house)
    al, bo = house.connect(), house.connect()
    al.types("zoe")
    bo.types("Zoe")
    assert bo.sees() == [Refusal("name-taken", "The name Zoe is taken.")] and len(others.asked) == 1
    others.answer(taken=True)
    assert house.hub.nicks.find("zoe") is zoe
    al.types("zoe")
    others.answer()
    house.settle()
    assert house.hub.nicks.find("zoe") is al.user
    house.hub.remote.remove(zoe)  # his node is gone
    assert house.hub.nicks.find("zoe") is al.user


def test_joins_leaves_and_kicks_of_people_elsewhere_take_effect_with_their_entries() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join tea")
    house.settle()
    _, zoe = arrive(house)
    room = house.hub.rooms.loaded["tea"]
    house.commit([entry_of("tea", 900, 0, 1.0, Kind.JOIN, "Zoe", "", "zoe.1", ZOE.host)])
    assert zoe in room.members
    house.commit([entry_of("tea", 903, 0, 1.0, Kind.LEAVE, "Zoe", "", "zoe.2", ZOE.host)])
    assert zoe not in room.members and zoe in house.hub.rooms.loaded["lobby"].members
    house.commit([entry_of("tea", 906, 0, 1.0, Kind.JOIN, "Zoe", "", "zoe.3", ZOE.host)])
    house.broker.log.append(entry_of("tea", 906, 0, 1.0, Kind.JOIN, "Zoe", "", "zoe.3", ZOE.host))
    al.types("/kick zoe")
    house.settle()
    assert zoe not in room.members


@pytest.mark.parametrize("typed", ["/topic tea", "/set secret on", "/leave", "/nick Bo"])
def test_kicked_session_continues_when_its_drafts_are_stored(typed: str) -> None:
    """Its room sleeps by then: nobody else here is in it."""
    house = House()
    (al,) = house.enter("Al")
    al.types("/join tea", "/leave lobby")
    house.settle()
    al.types(typed, "/join den", "hi")
    house.commit([entry_of("tea", 900, 0, 1.0, Kind.KICK, "Zoe", "Al", "x.1", ZOE.host)])
    assert "tea" not in house.hub.rooms.loaded and al.untaken
    house.settle()
    assert not al.untaken and text_in(house.broker.log[-1]) == "hi"
    assert al.session.nick == ("Bo" if "nick" in typed else "Al")


@pytest.mark.parametrize("typed", ["/topic tea", "/leave", "/nick Alf"])
def test_kicked_session_continues_although_the_room_was_loaded_again(typed: str) -> None:
    """They read what he did with the room, before it is told to be stored."""
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join tea", "/leave lobby")
    house.settle()
    al.types(typed, "hi")
    house.commit([entry_of("tea", 100, 0, 1.0, Kind.KICK, "Zoe", "Al", "x.1", ZOE.host)])
    entries = house.broker.store(house.gather())
    bo.types("/join tea")
    house.answer()
    assert "tea" in house.hub.rooms.loaded and al.untaken
    house.commit(entries)
    house.settle()
    assert not al.untaken and al.session.pending == []


def test_local_member_that_the_log_says_has_left_joins_again() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    claiming = User("Cy")
    house.hub.users["cy"] = claiming
    gone = f"{al.user.id_prefix}x3.0"
    for seq, nick, id in ((900, "Al", gone), (903, "Nobody", "other.2"), (906, "Cy", "other.3")):
        house.commit([entry_of("lobby", seq, 0, 1.0, Kind.LEAVE, nick, "connection lost", id)])
    assert [(draft.body, draft.nick, draft.host) for draft in house.gather()] == [(Joined(), "Al", "")]
    assert "-Al connection lost" in bo.sees() and al.session.rooms
    assert person(al.user).rooms == (), "until the new join is stored"


def test_who_joins_again_and_leaves_does_so_once() -> None:
    house = House()
    al, _ = house.enter("Al", "Bo")
    house.commit(house.broker.store([draft_of("lobby", Kind.LEAVE, "Al", "", f"{al.user.id_prefix}x3.0")]))
    al.types("/leave")
    house.settle()
    kinds = [entry.kind for entry in house.broker.of("lobby") if entry.nick == "Al"]
    assert kinds == [Kind.JOIN, Kind.LEAVE, Kind.JOIN, Kind.LEAVE] and not al.user.rooms


def test_number_of_the_new_join_is_what_others_are_told() -> None:
    house = House()
    al, _ = house.enter("Al", "Bo")
    house.commit([entry_of("lobby", 907, 0, 1.0, Kind.LEAVE, "Al", "", f"{al.user.id_prefix}x3.0")])
    (join,) = house.gather()
    house.commit([entry_of("lobby", 910, 0, 1.0, Kind.JOIN, "Al", "", join.id)])
    assert person(al.user).joins == (910,)


def test_member_that_the_log_says_has_left_joins_again_when_its_node_may_publish() -> None:
    house = House()
    may = False
    house.hub.remote.members.may_speak = lambda: may
    *_, gone, out = people = house.enter("Al", "Bo", "Cy", "Di")
    house.hub.nicks.losing.add("bo")
    for seq, peer in enumerate(people, 900):
        entry = entry_of(
            "lobby", seq, 0, 1.0, Kind.LEAVE, peer.session.nick, "connection lost", f"{peer.user.id_prefix}x3.0"
        )
        house.commit([entry])
    gone.leave()
    house.hub.rooms.remove(out.user, house.hub.rooms.loaded["lobby"])
    house.settle()
    assert [entry.nick for entry in house.broker.of("lobby") if entry.kind is Kind.JOIN].count("Al") == 1
    may = True
    house.hub.remote.members.rejoin()
    assert [(draft.body, draft.nick) for draft in house.gather()] == [(Joined(), "Al")]


# --- members in the log whom no node has ------------------------------------------------------------------------------


def came(house: House, id: str, room: str = "lobby", kind: Kind = Kind.JOIN) -> int:
    """Store a join of somebody elsewhere, or a leave; return its number."""
    (entry,) = house.broker.store([draft_of(room, kind, "Zoe", "", id)])
    house.commit([entry])
    return entry.seq


def ended(house: House, seconds: float = 60.0) -> list[tuple[str, str, str]]:
    """Let time pass, and return the leaves that are published then: nick, room and id."""
    house.now += seconds
    house.hub.remote.members.orphans.end(30.0)
    drafts = house.gather()
    assert all(draft.body == Left("connection lost", quit=True) for draft in drafts)
    return [(draft.nick, draft.room, draft.id) for draft in drafts]


def test_user_whose_node_died_before_it_announced_the_join_leaves() -> None:
    """The join was on its way into the log; no other node knew of the user, so none could publish a leave."""
    house = House()
    (al,) = house.enter("Al")
    al.types("/join tea")
    house.settle()
    seqs = [came(house, "z-1.1"), came(house, "z-1.2", "tea")]
    assert ended(house, 20.0) == [], "its node may say it yet"
    id = leave_for("z-1.", min(seqs))
    assert ended(house) == [("Zoe", "lobby", id), ("Zoe", "tea", id)]
    assert ended(house) == [], "once"


def test_clock_that_is_set_ahead_ends_nobody() -> None:
    house = House()
    house.enter("Al")
    came(house, "z-1.1")
    house.set_ahead = 3600.0
    assert ended(house, 1.0) == [], "its node may say it yet"
    assert len(ended(house)) == 1


def test_user_of_a_node_that_is_gone_leaves_if_the_log_has_no_leave() -> None:
    """The node that took the leave upon itself may have died, too."""
    house = House()
    house.enter("Al")
    _, zoe = arrive(house, replace(ZOE, joins=(3,)))
    house.hub.remote.remove(zoe)
    assert ended(house) == [("Zoe", "lobby", leave_for("zoe.", 3))]


@pytest.mark.parametrize(
    "how", ["the log", "its node", "a node that lives", "an older node", "an import", "a room asleep"]
)
def test_user_who_left_or_is_somewhere_does_not_leave_again(how: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    if how == "an import":
        house.commit([entry_of("lobby", 900, 0, 1.0, Kind.JOIN, "Zoe", "", "z-1.1")])
    else:
        came(house, "z-1.1")
    if how == "the log":
        came(house, "z-1.2", kind=Kind.LEAVE)
    elif how == "its node":
        arrive(house, replace(ZOE, id_prefix="z-1."))
    elif how == "a node that lives":
        arrive(house, replace(ZOE, nick="Cy", id_prefix="z-2."))
    elif how == "an older node":
        arrive(house, replace(ZOE, id_prefix=""))
    elif how == "a room asleep":
        al.types("/leave")
        house.settle()
    assert ended(house) == []


def test_member_whom_no_node_has_goes_along_with_the_room() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join tea")
    house.settle()
    came(house, "z-1.1", "tea")
    came(house, "y-1.1")
    al.types("/rename coffee")
    house.settle()
    assert [room for _, room, _ in ended(house)] == ["coffee", "lobby"]


def test_leaves_that_are_on_their_way_end_in_a_room_that_is_renamed_meanwhile() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join tea")
    house.settle()
    house.hub.remote.members.publish_leaves("z-1.9", "Zoe", "host", ["lobby", "tea"])
    leaves = house.gather()
    house.commit(house.broker.store([draft_of("tea", Kind.ROOM_RENAMED, "Al", "coffee", "y-1.1")]))
    house.commit(house.broker.store(leaves))
    assert [entry.room for entry in house.broker.log[-2:]] == ["lobby", "coffee"] and house.hub.pipeline.idle


def test_member_whom_no_node_has_leaves_only_the_rooms_that_the_log_does_not_end() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join tea")
    house.settle()
    came(house, "z-1.1")
    seq = came(house, "z-1.2", "tea")
    came(house, "z-1.3", kind=Kind.LEAVE)
    assert ended(house) == [("Zoe", "tea", leave_for("z-1.", seq))]


def after_an_outage(*lines: tuple[str, Kind, str, str]) -> House:
    """Return the house of a new node: the log has entries of nodes that are gone (id, kind, nick, text)."""
    house = House()
    house.broker.recalls = house.hub.remote.members.orphans.has_nodes = True
    house.broker.store([draft_of("lobby", kind, nick, text, id) for id, kind, nick, text in lines])
    return house


def test_members_of_nodes_that_all_died_at_once_leave_when_a_room_is_loaded_again() -> None:
    zoe, yan = ("z-1.1", Kind.JOIN, "Zoe", ""), ("z-2.1", Kind.JOIN, "Yan", "")
    house = after_an_outage(zoe, yan, ("z-2.2", Kind.LEAVE, "Yan", ""), ("y-1.1", Kind.JOIN, "Kim", ""))
    house.enter("Al")
    seqs = {entry.id: entry.seq for entry in house.broker.log}
    arrive(house, replace(ZOE, nick="Kim", id_prefix="y-1."))
    assert ended(house, 20.0) == [], "its node may say it yet"
    assert ended(house) == [("Zoe", "lobby", leave_for("z-1.", seqs["z-1.1"]))]


def test_return_under_the_same_name_after_an_outage_comes_behind_the_leave() -> None:
    house = after_an_outage(("z-1.1", Kind.JOIN, "Zoe", ""))
    (al,) = house.enter("Al")
    house.connect().types("zoe")
    house.settle()
    assert [(type(one.body), one.nick) for one in house.broker.log] == [
        (Joined, "Zoe"), (Joined, "Al"), (Left, "Zoe"), (Joined, "zoe"),
    ]  # fmt: skip
    assert al.sees() == ["-Zoe connection lost", "+zoe"]
    assert ended(house) == []


def test_owner_of_an_account_who_is_here_has_left_no_room_in_an_outage() -> None:
    house = after_an_outage()
    host = host_of("idann")
    house.broker.store([Draft("lobby", "Ann", Joined(), "z-1.1", host)])
    house.hub.owners[host] = User("Ann")
    house.enter("Al")
    assert ended(house) == []
    house.commit(house.broker.store([Draft("lobby", "Ann", Joined(), "y-1.1", host)]))
    house.enter("Ann")
    assert [type(one.body) for one in house.broker.log] == [Joined] * 4


def test_leave_that_is_on_its_way_is_not_published_by_another_name_too() -> None:
    house = House()
    house.enter("Al")
    came(house, "z-1.1")
    house.now += 60
    house.hub.pipeline.add(Posting(Draft("lobby", "Zoe", Left(), "z-1.2", "host", room_id="lobby")))
    house.hub.remote.members.orphans.end(30.0)
    assert [draft.id for draft in house.gather()] == ["z-1.2"]


def test_members_whom_no_node_has_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "ORPHANS", 1)
    house = House()
    house.enter("Al")
    seq = came(house, "z-1.1")
    came(house, "y-1.1")
    assert [id for _, _, id in ended(house)] == [leave_for("z-1.", seq)]


# --- private messages to another node ---------------------------------------------------------------------------------


class Post:
    """Takes private messages to another node, and says what became of them when the test does."""

    def __init__(self, house: House) -> None:
        self.sent: list[tuple[User, Private, Callable[[bool | None], None]]] = []
        house.hub.remote.deliver = lambda *one: self.sent.append(one)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (True, []),
        (False, [Refusal("not-reading", "Not sent: Zoe is not reading messages right now.")]),
        (None, [Refusal("not-confirmed", "Not confirmed: Zoe cannot be reached right now.")]),
    ],
)
def test_private_message_to_another_node_ends_as_that_says(outcome: bool | None, told: list[object]) -> None:
    house = House()
    (al,) = house.enter("Al")
    _, zoe = arrive(house)
    post = Post(house)
    al.types("before", "/msg Zoe psst", "after")
    assert not post.sent and al.untaken == 1, "it keeps its place"
    house.settle()
    ((user, event, done),) = post.sent
    assert user is zoe and (event.nick, event.text) == ("Al", "psst") and al.untaken == 1
    done(outcome)
    house.settle()
    assert al.sees() == told and [text_in(entry) for entry in house.broker.log][-1] == "after"


def test_label_of_a_private_message_to_another_node_is_told_when_it_arrived() -> None:
    house = House()
    (al,) = house.enter("Al")
    arrive(house)
    post = Post(house)
    direct.send_private(house.hub, al.session, "Zoe", "psst", label="x1")
    post.sent[0][2](True)
    (stored,) = al.sees()
    assert isinstance(stored, Acknowledged) and stored.label == "x1" and stored.entry.room == "@Zoe"


def test_session_that_left_gets_only_goodbye_for_an_undelivered_private_message() -> None:
    house = House()
    (al,) = house.enter("Al")
    arrive(house)
    post = Post(house)
    al.types("/msg Zoe psst")
    al.leave()
    house.settle()
    assert al.sees() == []
    post.sent[0][2](False)
    assert al.sees() == [Goodbye()]


def test_without_other_nodes_nothing_is_sent_there() -> None:
    house = House()
    (al,) = house.enter("Al")
    arrive(house)
    al.types("/msg Zoe psst")
    assert [event.code for event in al.sees() if isinstance(event, Refusal)] == ["not-confirmed"]


def test_change_of_a_remote_user_is_reported_with_the_old_value() -> None:
    house = House()
    _, zoe = arrive(house)
    told: list[tuple[User, str, str]] = []
    house.hub.remote.described.append(lambda *one: told.append(one))
    house.hub.remote.update(zoe, replace(ZOE, away="tea"))
    house.hub.remote.update(zoe, replace(ZOE, away="tea", active=9.0))
    house.hub.remote.update(zoe, replace(ZOE, real="Z"))
    assert told == [(zoe, "", "Zoe Z"), (zoe, "tea", "Zoe Z")]


def test_remote_join_of_a_loaded_room_is_reported() -> None:
    house = House()
    told: list[tuple[str, str]] = []
    house.hub.remote.members.on_arrival.append(lambda user, room: told.append((user.nick, room.name)))
    house.enter("Al")
    _, zoe = arrive(house, replace(ZOE, rooms=("tea", "lobby")))
    house.hub.remote.update(zoe, replace(ZOE, rooms=("tea",)))
    house.hub.remote.update(zoe, replace(ZOE, rooms=("tea", "lobby"), away="out"))
    assert told == [("Zoe", "lobby"), ("Zoe", "lobby")]


def test_remote_holder_is_found_while_a_local_user_claims_the_name(house: House, others: Others) -> None:
    _, zoe = arrive(house)
    peer = house.connect()
    told: list[Refused | None] = []
    house.hub.naming.enter(peer.session, "Zoe", outcome=refusing(peer.session, told.append))
    assert house.hub.nicks.find("zoe") is zoe
    others.answer(taken=True)
    assert house.hub.nicks.find("zoe") is zoe
    assert [str(refusal) for refusal in told] == ["The name Zoe is taken."]


def test_name_is_lost_no_more_when_its_user_has_left_or_has_the_next_one(house: House, others: Others) -> None:
    al, long = come(house, others, "Al"), come(house, others, "x" * 28 + "2")
    house.hub.nicks.losing |= {"al", "x" * 28 + "2"}
    house.hub.naming.lose_name("al")
    al.leave()
    assert others.answer() == "al2"
    house.hub.naming.lose_name("x" * 28 + "2")
    assert others.answer() == "x" * 28 + "3"
    assert long.session.nick == "x" * 28 + "3" and not house.hub.nicks.losing


def test_name_that_looks_like_that_of_two_users_elsewhere_is_refused(house: House, others: Others) -> None:
    """Two nodes may let look-alikes in at the same moment; a refused claim leaves both where they are."""
    _, bill = arrive(house, replace(ZOE, nick="bill", id_prefix="b1."))
    arrive(house, replace(ZOE, nick="bi11", id_prefix="b2."))
    for name in ("bill", "bi11", "bi1l"):
        with pytest.raises(Refused):
            house.hub.nicks.claim(name)
    assert house.hub.nicks.find("bill") is bill
