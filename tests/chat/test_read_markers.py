"""Read markers: they move forward only, and there is a bound."""

from __future__ import annotations

from test_account_users import Town

from hubbub.chat.users.read_markers import MARKERS, ReadMarkers, of_person, of_room
from hubbub.errors import BrokerError
from hubbub.model.events import MarkerMoved
from hubbub.model.notices.mentions import Mention


def test_a_marker_moves_forward_only() -> None:
    markers = ReadMarkers()
    moved: list[tuple[str, str, float]] = []
    kept: list[str] = []
    markers.moved.append(lambda *what: moved.append(what))
    markers.keep = kept.append
    assert markers.find("a", "#ops") == 0.0 and markers.of("a") == {}
    assert [markers.advance("a", "#ops", time) for time in (5.0, 3.0, 5.0, 7.0)] == [5.0, 5.0, 5.0, 7.0]
    assert moved == [("a", "#ops", 5.0), ("a", "#ops", 7.0)] and kept == ["a", "a"]
    markers.merge("a", {"#ops": 6.0, "bo": 1.0})
    assert markers.of("a") == {"#ops": 7.0, "bo": 1.0} and kept == ["a", "a"]
    assert markers.find("b", "#ops") == 0.0


def test_the_marker_that_has_not_moved_for_the_longest_time_is_forgotten() -> None:
    markers = ReadMarkers()
    for number in range(MARKERS):
        markers.advance("a", f"#{number}", 1.0)
    markers.advance("a", "#0", 2.0)
    markers.advance("a", "#new", 1.0)
    assert len(markers.of("a")) == MARKERS and markers.find("a", "#0") and not markers.find("a", "#1")


def test_what_one_session_reads_the_other_sessions_of_its_owner_learn() -> None:
    town = Town("Ann", "Bo")
    one, other, stalled = town.log_in("Ann"), town.log_in("Ann"), town.log_in("Ann")
    ann, bo = (town.hub.nicks.accounts.find(name) for name in ("Ann", "Bo"))
    stalled.stall()
    room = town.hub.rooms.of(one.session, "lobby").id
    town.house.forget()
    read = town.hub.reading.read
    assert ann and bo
    assert read(one.session, ann, of_room(room), 5.0) == 5.0 == read(one.session, ann, of_room(room), 3.0)
    read(one.session, ann, of_person(bo.id), 6.0)
    for nowhere in (of_room("gone"), of_person("gone")):
        read(one.session, ann, nowhere, 7.0)
    assert other.sees() == [MarkerMoved("lobby", 5.0), MarkerMoved("@Bo", 6.0)]
    assert one.sees() == stalled.sees() == []
    town.hub.read_markers.merge(ann.id, {of_room(room): 8.0})  # another node's
    assert one.sees() == other.sees() == [MarkerMoved("lobby", 8.0)]
    town.hub.read_markers.merge(bo.id, {of_room(room): 8.0})  # who is not here


def test_list_of_mentions_is_read_on_all_devices_at_once() -> None:
    town = Town("Ann")
    one, other = town.log_in("Ann"), town.log_in("Ann")
    account = one.session.account
    assert account is not None
    town.house.forget()
    for nothing in ((), BrokerError("no")):
        town.hub.reading.read_mentions(one.session, account, nothing)
    assert other.sees() == []
    town.hub.reading.read_mentions(one.session, account, [Mention(5.0, "gone", 1), Mention(6.0, "gone", 2)])
    assert other.sees() == [MarkerMoved("", 6.0)] and one.sees() == []
    assert town.hub.read_markers.find(account.id, of_room("gone")) == 6.0
