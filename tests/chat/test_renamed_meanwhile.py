"""Requests about a room that is renamed before they are answered, while another room takes its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from doubles import House, Peer
from hubbub.chat.commands import slash
from hubbub.model.entries import Draft, Entry, RoomRenamed, Said
from hubbub.model.events import Event, HistoryShown, QueryResult
from hubbub.serve.web import requests
from hubbub.wire.web import requests as wire
from records import text_in

Ask = Callable[[Peer], None]


def page(request: Any) -> Ask:
    return lambda peer: requests.run(peer.hub, peer.session, request)


def command(line: str) -> Ask:
    return lambda peer: slash.run(peer.hub, peer.session, line)


def renamed_meanwhile(ask: Ask) -> list[Entry]:
    """Return the entries that somebody is shown whose room is renamed before the log answers."""
    house = House()
    al, bo = house.enter("Al", "Bo")
    for peer in (al, bo):
        peer.types("/join ops")
    house.settle()
    al.types("tea")
    house.settle()
    house.forget()
    ask(bo)
    room = house.hub.loaded["ops"]
    house.hub.publish(al.session, room.state, RoomRenamed("dev"))
    house.commit()
    house.broker.store([Draft("ops", "Cy", Said("tea in the next room"), "other.1")])
    house.settle()
    return [entry for event in bo.sees() for entry in entries_in(event)]


def entries_in(event: str | Event) -> Sequence[Entry]:
    match event:
        case HistoryShown(entries):
            return entries
        case QueryResult(_, page):
            return page.entries
    return ()


@pytest.mark.parametrize(
    "ask",
    [
        command("/history"),
        command("/since 1h"),
        command("/search tea"),
        command("/search tea in:ops"),
        page(wire.History("ops")),
        page(wire.History("ops", after=0)),
        page(wire.Find("tea", "ops")),
        page(wire.Find("tea in:ops")),
    ],
)
def test_room_that_was_meant_is_read_whatever_its_name_is_by_then(ask: Ask) -> None:
    found = renamed_meanwhile(ask)
    assert "tea" in [text_in(entry) for entry in found if entry.nick == "Al"]
    assert not [entry for entry in found if entry.nick == "Cy"]


def test_entry_that_was_meant_is_found_whatever_the_name_of_its_room_is_by_then() -> None:
    asked: list[str] = []

    def around(peer: Peer) -> None:
        (said,) = [entry for entry in peer.hub.loaded["ops"].latest if text_in(entry) == "tea"]
        asked.append(said.id)
        requests.run(peer.hub, peer.session, wire.History("ops", around=said.id))

    assert [entry.id for entry in renamed_meanwhile(around)] == asked
