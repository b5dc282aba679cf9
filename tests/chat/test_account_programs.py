"""Programs that act for an account without a session of its user: what they see, and under which name they speak."""

from __future__ import annotations

import pytest
from test_account_users import Town, codes

from doubles import Peer
from hubbub.errors import Refused
from hubbub.model.access import Action, may
from hubbub.model.entries import Said
from hubbub.model.events import Acknowledged, Goodbye


def program(town: Town, name: str = "Ann") -> Peer:
    peer = town.house.connect()
    account = town.accounts.find(name)
    assert account
    peer.session.acts_for, peer.session.host = account, account.host
    return peer


def test_it_speaks_under_the_name_of_its_account_whether_its_owner_is_here_or_not() -> None:
    town = Town("Ann")
    bot = program(town)
    for name in ("", "ANN"):
        town.hub.post(bot.session, name, "lobby", "hello", "r")
        town.settle()
    town.log_in("Ann")
    town.hub.post(bot.session, "", "lobby", "hello", "s")
    town.settle()
    said = [(entry.nick, entry.host) for entry in town.house.broker.log if isinstance(entry.body, Said)]
    account = town.accounts.find("Ann")
    assert account and said == [("Ann", account.host)] * 3
    with pytest.raises(Refused, match="your name is Ann"):
        town.hub.post(bot.session, "Bob", "lobby", "hello", "t")
    assert [type(event) for event in bot.sees()] == [Acknowledged]


def test_it_has_the_rooms_and_rights_of_its_owner() -> None:
    town = Town("Ann")
    town.accounts.add("Root", operator=True)
    bot, root = program(town), program(town, "Root")
    ann = town.log_in("Ann")
    ann.types("/join den", "/set secret on")
    town.settle()
    den = town.hub.rooms.loaded["den"]
    assert may(town.hub.viewer(bot.session), Action.READ, den.state) is None
    assert town.hub.may(root.session, Action.LIST, den) and not town.hub.may(root.session, Action.READ, den)
    town.hub.guests_read = True
    assert not town.hub.viewer(bot.session).reads_only and not town.hub.viewer(root.session).reads_only


def test_it_follows_a_closed_room_as_long_as_its_owner_is_in_it() -> None:
    town = Town("Ann", "Bo")
    bot, ann, bo = program(town), town.log_in("Ann"), town.log_in("Bo")
    ann.types("/join den", "/set secret on", "/invite Bo")
    bo.types("/join den")
    town.settle()
    town.hub.rooms.watch(bot.session, "den")
    town.settle()
    assert "den" in bot.session.watched
    bo.types("/leave den")
    town.settle()
    assert "den" in bot.session.watched
    ann.types("/leave den")
    town.settle()
    assert not bot.session.watched
    assert codes(bot) == ["hidden"]
    town.hub.depart(bot.session)
    assert isinstance(bot.sees()[-1], Goodbye)
