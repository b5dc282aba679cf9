"""IRC clients that fall silent, and those that do not come in."""

from __future__ import annotations

import asyncio
import logging

import pytest
from irc_peering import irc_house
from virtual_time import virtual_time

from irc_messages import told


@pytest.mark.parametrize("rooms", [0, 1, 3])
@virtual_time
async def test_a_client_that_answers_no_ping_is_ended_once(rooms: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hubbub")
    async with irc_house() as house:
        ida = await house.irc("Ida")
        nina = await house.irc("Nina")
        for number in range(rooms):
            await ida.join(f"#r{number}")
            await nina.join(f"#r{number}")
        await house.settle()
        ida.answers = False
        ida.say("PRIVMSG nobody :x")
        await asyncio.sleep(179)
        assert not ida.ended and not told(await nina.sync(), "QUIT")
        await asyncio.sleep(2)
        (error,) = told(await ida.rest(), "ERROR")
        assert "Ping timeout: 180 seconds" in error.params[-1]
        quits = told(await nina.sync(), "QUIT")
        assert [quit.nick for quit in quits] == ["Ida"] * min(rooms, 1)
        await asyncio.sleep(600)
        assert sum("Ida" in record.getMessage() and "has left" in record.getMessage() for record in caplog.records) == 1
        assert not told(await nina.sync(), "QUIT")


@virtual_time
async def test_a_ping_timeout_is_told_to_nc_once() -> None:
    async with irc_house() as house:
        nina = await house.nc("Nina", join="ops")
        ida = await house.irc("Ida", join="#ops")
        ida.answers = False
        await asyncio.sleep(300)
        assert ida.ended
        assert await nina.sync() == "*** Ida has left ops (Ping timeout: 180 seconds) ***\n"


@virtual_time
async def test_a_client_that_answers_stays() -> None:
    async with irc_house() as house:
        ida = await house.irc("Ida", join="#ops")
        await asyncio.sleep(3600)
        assert not await ida.sync()


@pytest.mark.parametrize(
    "said", [[], ["CAP LS 302"], ["NICK ida"], ["USER ida 0 * :Ida"], ["CAP LS", "NICK i", "USER i 0 * :i"]]
)
@virtual_time
async def test_clients_have_so_long_to_register(said: list[str]) -> None:
    async with irc_house(name_timeout=30) as house:
        ida = await house.connect()
        ida.say(*said)
        await asyncio.sleep(29)
        assert not ida.ended
        await asyncio.sleep(2)
        assert (await ida.rest())[-1].params[-1] == "Closing Link: unknown (Registration timed out)"
