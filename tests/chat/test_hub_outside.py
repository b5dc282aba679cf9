"""Who is no member: posting under a name for the moment, watching a room; and coming back where one was."""

from __future__ import annotations

import pytest

from doubles import House, Look, Peer
from hubbub.chat import moderation
from hubbub.chat.rooms.opening import RoomsVisited
from hubbub.errors import Refused
from hubbub.model.entries import Kind
from hubbub.model.events import (
    Acknowledged,
    Goodbye,
    HistoryShown,
    MembersListed,
    Notice,
    Refusal,
    RoomEntered,
    RoomsListed,
)
from hubbub.model.rates.budget import Budget
from records import text_in

ECHO = Look(echo=True)


def watching(house: House, room: str = "lobby", after: int | None = None) -> Peer:
    peer = house.connect(ECHO)
    house.hub.rooms.watch(peer.session, room, after)
    return peer


def seqs(house: House, room: str = "lobby") -> list[int]:
    return [entry.seq for entry in house.broker.of(room)]


# --- posting --------------------------------------------------------------------------------------------------


def test_post_is_said_and_answered_when_it_is_stored() -> None:
    house = House()
    (al,) = house.enter("Al")
    poster = house.connect()
    house.hub.post(poster.session, "ci", "lobby", "done\n\x07now", "r")
    assert poster.sees() == []
    house.settle()
    assert al.sees() == ["ci: done", "now"]
    assert poster.sees() == [Acknowledged("r", house.broker.log[-1])]
    assert list(house.hub.users) == ["al"], "the name is not held"


def test_post_goes_to_a_room_that_nobody_is_in() -> None:
    house = House()
    poster = house.connect()
    house.hub.post(poster.session, "ci", "#Ops", "done", "r")
    house.settle()
    (entry,) = house.broker.of("ops")
    assert (entry.nick, text_in(entry)) == ("ci", "done") and not house.hub.rooms.loaded


@pytest.mark.parametrize(
    ("name", "room", "text", "code"),
    [
        ("AL", "lobby", "hi", "name-taken"),
        ("a b", "lobby", "hi", "name-invalid"),
        ("server", "lobby", "hi", "name-invalid"),
        ("ci", "a b", "hi", "room-invalid"),
        ("ci", "lobby", " \x1b[1m\n", "no-text"),
    ],
)
def test_post_follows_the_rules_for_all(name: str, room: str, text: str, code: str) -> None:
    house = House()
    house.enter("Al")
    with pytest.raises(Refused) as caught:
        house.hub.post(house.connect().session, name, room, text, "r")
    assert caught.value.code == code and not house.hub.pipeline.queued


def test_post_that_is_not_stored_is_refused() -> None:
    house = House()
    house.enter("Al")
    poster = house.connect()
    house.hub.post(poster.session, "ci", "lobby", "done", "r")
    house.fail()
    assert poster.sees() == [Refusal("not-stored", "Not sent: the disk is full.", "r")]


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("rule", ["key s3", "moderated on", "invite-only on"])
def test_post_follows_a_rooms_rules_whether_it_is_awake_or_not(rule: str, stays: bool) -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops", f"/set {rule}", "/join tea")
    house.settle()
    if not stays:
        al.types("/leave ops")
        house.settle()
    count = len(house.broker.of("ops"))
    poster = house.connect()
    house.hub.post(poster.session, "ci", "ops", "done", "r")
    house.settle()
    text = "Not sent: only people in ops can post there."
    assert poster.sees() == [Refusal("not-allowed", text, "r")] and len(house.broker.of("ops")) == count
    assert ("ops" in house.hub.rooms.loaded) is stays


def test_post_to_a_room_that_cannot_be_read_is_refused() -> None:
    house = House()
    house.broker.fault = "the log cannot be used right now"
    poster = house.connect()
    house.hub.post(poster.session, "ci", "ops", "done", "r")
    house.settle()
    assert poster.sees() == [Refusal("broker", "Not sent: ops cannot be read right now.", "r")]


def test_join_during_a_post_to_the_same_room_succeeds() -> None:
    house = House()
    (al,) = house.enter("Al")
    poster = house.connect()
    house.hub.post(poster.session, "ci", "ops", "done", "r")
    al.types("/join ops", "hi")
    house.settle()
    assert [text_in(entry) for entry in house.broker.of("ops") if entry.kind is Kind.MESSAGE] == ["done", "hi"]
    assert "ops" in al.session.rooms and "ops" in house.hub.rooms.loaded


# --- visiting ---------------------------------------------------------------------------------------------------


def test_rooms_stay_awake_for_a_visitor_also_under_a_new_name() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    bo.types("/join ops")
    house.settle()
    cy.session.start(RoomsVisited(("den",)))
    al.session.start(RoomsVisited(("ops", "tea")))
    assert not house.hub.session_ready(al.session)
    house.settle()
    assert house.hub.session_ready(al.session)
    bo.types("/rename dev", "/leave")
    house.settle()
    assert {"dev", "tea"} <= set(house.hub.rooms.loaded)
    house.hub.rooms.end_visit(al.session)
    assert not {"dev", "tea"} & set(house.hub.rooms.loaded)


def test_visit_of_a_session_that_leaves_ends_and_keeps_no_room() -> None:
    house = House()
    (al,) = house.enter("Al")
    came: list[None] = []
    house.hub.rooms.visit(al.session, ["tea"], came.append)
    al.leave()
    assert came == [None]
    house.settle()
    assert not house.hub.rooms.loaded


def test_new_rooms_of_an_address_are_bounded_for_people_and_scripts() -> None:
    house = House()
    house.hub.budget = Budget(lambda: 0.0, rooms=3)
    peers = house.enter("Al", "Bo")
    poster = house.connect()
    for peer in (*peers, poster):
        peer.session.address = "192.0.2.7"
    for peer in peers:
        peer.types("/join a")
    house.settle()
    peers[0].types("/join b", "/leave", "/join b")
    house.settle()
    house.hub.post(poster.session, "ci", "c", "x", "r")
    house.settle()
    house.forget()
    peers[0].types("/join d")
    house.hub.post(poster.session, "ci", "e", "x", "r")
    house.hub.post(house.connect().session, "ci", "c", "x", "r")
    house.settle()
    refused = [event.code for peer in (peers[0], poster) for event in peer.sees() if isinstance(event, Refusal)]
    assert refused == ["too-many-new-rooms"] * 2
    assert sorted({entry.room for entry in house.broker.log}) == ["a", "b", "c", "lobby"]


# --- watching -------------------------------------------------------------------------------------------------


def test_watcher_gets_new_entries_and_is_invisible() -> None:
    house = House()
    (al,) = house.enter("Al")
    peer = watching(house)
    al.types("hi", "/who", "/rooms")
    house.settle()
    assert peer.sees() == ["Al: hi"]
    who, rooms = al.sees()
    assert isinstance(who, MembersListed) and isinstance(rooms, RoomsListed)
    assert list(who.nicks) == ["Al"] and rooms.rooms[0].members == 1
    peer.leave()
    assert peer.sees() == [Goodbye()]
    house.settle()
    assert not house.hub.pipeline.queued and al.sees() == [], "nobody is told"


def test_watcher_keeps_a_room_loaded() -> None:
    house = House()
    peer = watching(house, "ops")
    house.settle()
    assert "ops" in house.hub.rooms.loaded and house.broker.of("ops") == []
    house.hub.post(house.connect().session, "ci", "ops", "done", "r")
    house.settle()
    assert peer.sees() == ["ci: done"]
    peer.leave()
    assert not house.hub.rooms.loaded


def test_watcher_that_leaves_before_the_room_is_loaded_gets_nothing() -> None:
    house = House()
    peer = watching(house, "ops")
    peer.leave()
    house.settle()
    assert not house.hub.rooms.loaded and not house.broker.followed


def test_room_that_cannot_be_watched_is_told() -> None:
    house = House()
    house.broker.fault = "the log cannot be used right now"
    peer = watching(house, "ops")
    house.settle()
    assert peer.sees() == [Refusal("broker", "The log cannot be read: the log cannot be used right now.")]
    with pytest.raises(Refused, match="Room names"):
        house.hub.rooms.watch(peer.session, "a b")
    assert house.hub.session_ready(peer.session)


@pytest.mark.parametrize("recent", [1, 1 << 20])
def test_watching_goes_on_after_any_number(recent: int) -> None:
    """Whether memory holds it, or half of it, or the disk alone."""
    house = House(recent=recent)
    (al,) = house.enter("Al")
    for text in "abcd":
        al.types(text)
        house.commit()
    al.types("e", "f")
    house.commit()
    all_of_it = ["+Al", *(f"Al: {text}" for text in "abcdef")]
    for index, seq in enumerate(seqs(house)):
        peer = watching(house, after=seq)
        house.settle()
        assert peer.sees() == all_of_it[index + 1 :]
        between = watching(house, after=seq - 1)  # numbers are not dense
        house.settle()
        assert between.sees() == all_of_it[index:]
    beyond = watching(house, after=seqs(house)[-1] + 100)
    house.settle()
    assert beyond.sees() == []
    al.types("g")
    house.settle()
    assert all(peer.sees() == ["Al: g"] for peer in house.peers if peer is not al)


def test_going_on_from_long_ago_skips_nothing() -> None:
    """However far that is: only who falls behind while it is here skips ahead."""
    house = House(recent=1, max_behind=5)
    (al,) = house.enter("Al")
    for number in range(20):
        al.types(str(number))
        house.commit()
    peer = watching(house, after=0)
    house.settle()
    assert peer.sees() == ["+Al", *(f"Al: {number}" for number in range(20))]


CLOSING = [("/set key s3", "closed"), ("/set invite-only on", "closed"), ("/set secret on", "hidden")]


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(("line", "code"), [*CLOSING, ("/ban *!~api@* yes", "banned")])
def test_watching_ends_when_the_room_is_closed(line: str, code: str, early: bool) -> None:
    """What is stored together with what closes it is not given any more, whether memory or the disk holds it."""
    house = House()
    peers = [watching(house, "board")] if early else []
    (al,) = house.enter("Al")
    al.types("/join board")
    house.settle()
    peers += [watching(house, "board") for _ in "ab"]
    for peer in peers:
        peer.session.host = "~api@aaaaaaaaaa.api"
    house.settle()
    peers[-1].stall()
    al.types("before")
    house.settle()
    al.types(line)
    house.hub.say(al.session, "plans", "board")
    house.settle()
    peers[-1].read()
    al.types("more plans")
    house.settle()
    for peer in peers:
        assert not peer.session.rooms and peer.session not in house.hub.delivery.behind
        seen = peer.sees()
        assert isinstance(seen[-1], Refusal) and seen[-1].code == code
        assert not any("plans" in str(one) for one in seen)
        assert "Al: before" in seen or peer is peers[-1], "what it did not read in time is kept from it, too"
    assert al.user in house.hub.rooms.loaded["board"].members and not house.hub.rooms.loaded["board"].watchers


def test_watching_goes_on_when_other_things_are_set() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join board")
    house.settle()
    peer = watching(house, "board")
    al.types("/set moderated on", "hi")
    house.settle()
    assert peer.sees() == ["Al + +m", "Al: hi"]


@pytest.mark.parametrize(("line", "code"), CLOSING[:2])
def test_closed_room_cannot_be_watched(line: str, code: str) -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join board", line)
    house.settle()
    peer = watching(house, "board", 0)
    house.settle()
    assert [event.code for event in peer.sees() if isinstance(event, Refusal)] == [code] and not peer.session.rooms


def test_secret_room_is_watched_like_one_that_is_not_there_yet() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join board", "/set secret on", "psst")
    house.settle()
    peer, other, gone = (watching(house, room, 0) for room in ("board", "nowhere", "board"))
    house.settle()
    gone.leave()
    al.types("more")
    house.settle()
    assert (
        peer.sees() == other.sees() == []
        and house.hub.session_ready(peer.session)
        and house.hub.session_ready(other.session)
    )
    assert house.hub.rooms.loaded["board"].watchers == set()
    al.types("/set moderated on")
    house.settle()
    assert peer.sees() == []
    al.types("/set secret off", "open now", "/join nowhere", "hi")
    house.settle()
    assert peer.sees() == ["Al: open now"] and other.sees() == ["+Al", "Al: hi"]


def test_who_waits_for_a_secret_room_watches_another_room_that_takes_its_name() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join board", "/set secret on", "/join open")
    house.settle()
    peer, other = watching(house, "board"), watching(house, "board")
    house.settle()
    other.leave()
    for before, to in (("board", "backroom"), ("open", "board")):
        moderation.move(house.hub, al.session, house.hub.rooms.loaded[before], to)
        house.settle()
    al.types("hi")
    house.settle()
    assert peer.sees() == ["Al: hi"] and list(house.hub.rooms.loaded["board"].watchers) == [peer.session]
    assert house.hub.rooms.loaded["backroom"].watchers == set()


def test_secret_room_that_is_opened_anew_by_others_is_watched() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join board", "/set secret on")
    house.settle()
    peer = watching(house, "board")
    house.settle()
    al.types("/leave board")
    house.settle()
    house.broker.log = [entry for entry in house.broker.log if entry.room != "board"]
    al.types("/join board", "hi")
    house.settle()
    assert peer.sees() == ["Al: hi"]


def test_watchers_that_go_when_the_room_is_renamed_disturb_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream ends as soon as it is told anything, in the midst of the renaming."""
    house = House()
    (al,) = house.enter("Al")
    al.types("/join board")
    house.settle()
    peers = [watching(house, "board") for _ in "abc"]
    house.settle()
    for peer in peers:
        monkeypatch.setattr(peer, "send_event", lambda event, peer=peer: peer.leave())
    house.forget()
    al.types("/rename table", "hi")
    house.settle()
    assert not house.hub.rooms.loaded["table"].watchers and "board" not in house.hub.rooms.loaded
    assert house.hub.session_ready(al.session) and [text_in(entry) for entry in house.broker.of("table")][-1] == "hi"
    assert not any(peer.session.rooms for peer in peers)


def test_watchers_are_counted() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    peers = [watching(house, "ops") for _ in "ab"]
    house.settle()
    house.forget()
    al.types("/who", "/set")
    house.settle()
    who, settings = al.sees()
    assert isinstance(who, MembersListed) and (list(who.nicks), who.watching) == (["Al"], 2)
    assert isinstance(settings, Notice) and settings.lines[-1] == "watching over HTTP: 2"
    peers[0].leave()
    al.types("/who")
    house.settle()
    (who,) = al.sees()
    assert isinstance(who, MembersListed) and who.watching == 1


def test_stranger_is_nobody() -> None:
    house = House()
    viewer = house.hub.stranger("~api@aaaaaaaaaa.api", "192.0.2.1")
    assert (viewer.mask, viewer.rooms, viewer.operator) == ("!~api@aaaaaaaaaa.api", (), False)


# --- coming back ----------------------------------------------------------------------------------------------


def test_returning_watcher_gets_the_missed_entries() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("one", "two")
    house.settle()
    at = seqs(house)[-2]
    bo.leave()
    al.types("three")
    house.settle()
    again = house.connect(ECHO)
    house.hub.naming.enter(again.session, "Bo", after=at)
    house.settle()
    assert again.sees() == ["Al: two", "-Bo", "Al: three", "+Bo"]
    al.types("four")
    house.settle()
    assert again.sees() == ["Al: four"]


def test_number_of_another_log_is_none() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("one")
    house.settle()
    again = house.connect(ECHO)
    house.hub.naming.enter(again.session, "Bo", after=10_000)
    house.settle()
    (past,) = again.sees()
    assert isinstance(past, HistoryShown) and [text_in(entry) for entry in past.entries] == ["one"]


def test_coming_back_to_another_room_than_the_lobby() -> None:
    house = House()
    again = house.connect(ECHO)
    house.hub.naming.enter(again.session, "Bo", "ops", after=0)
    house.settle()
    assert again.sees() == ["+Bo"] and list(house.hub.rooms.loaded) == ["ops"]
    assert not any(isinstance(event, RoomEntered) for event in again.seen)
