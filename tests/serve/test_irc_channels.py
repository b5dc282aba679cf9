"""Channels for IRC clients: what somebody learns of a room that is not for them."""

from __future__ import annotations

import pytest
from irc_peering import IrcPeer, irc_house
from virtual_time import virtual_time

TOPIC = "the plan"


async def told(peer: IrcPeer, line: str) -> str:
    """Return what somebody is answered, which is something."""
    answer = await peer.ask(line)
    assert answer
    return "\n".join(map(str, answer))


@pytest.mark.parametrize("closed", ["+s", "+i", "+si"])
@pytest.mark.parametrize(
    "line", ["TOPIC #ops", "LIST", "LIST #ops", "LIST *ops*", "NAMES #ops", "WHO #ops", "WHOIS Ada", "KNOCK #ops"]
)
@virtual_time
async def test_stranger_is_not_told_the_topic_of_a_closed_room(line: str, closed: str) -> None:
    async with irc_house() as house:
        ada, eve = await house.irc("Ada", join="#ops"), await house.irc("Eve")
        await ada.ask(f"TOPIC #ops :{TOPIC}", f"MODE #ops {closed}")
        assert TOPIC not in await told(eve, line)


@virtual_time
async def test_topic_of_an_open_room_is_for_everybody_and_of_a_closed_one_for_its_members() -> None:
    async with irc_house() as house:
        ada, bea = await house.irc("Ada", join="#ops"), await house.irc("Bea", join="#ops")
        eve = await house.irc("Eve")
        await ada.ask(f"TOPIC #ops :{TOPIC}")
        assert TOPIC in await told(eve, "TOPIC #ops") and TOPIC in await told(eve, "LIST #ops")
        await ada.ask("MODE #ops +s")
        await bea.sync()
        assert TOPIC in await told(bea, "TOPIC #ops") and TOPIC in await told(bea, "LIST #ops")
        assert TOPIC not in await told(eve, "TOPIC #ops") and TOPIC not in await told(eve, "LIST #ops")
