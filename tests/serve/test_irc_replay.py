"""What IRC clients are shown of the past when they join: marked as old, not twice, and nothing to bots."""

from __future__ import annotations

import asyncio
import re

import pytest
from irc_peering import House, IrcPeer, irc_house, wall_clock
from virtual_time import virtual_time

from hubbub.storage.memory import MemoryBroker
from irc_messages import CORE, Message, batch, fits, told

DAY = 86_400


async def say(peer: IrcPeer, *texts: str, to: str = "#ops") -> None:
    for text in texts:
        await peer.ask(f"PRIVMSG {to} :{text}")


def texts(messages: list[Message]) -> list[str]:
    return [message.params[1] for message in told(messages, "PRIVMSG", "NOTICE")]


async def seen_on_joining(peer: IrcPeer, channel: str = "#ops") -> list[str]:
    return texts(await peer.join(channel))


# --- marked as old --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caps", [("batch",), CORE, ("batch", "server-time", "draft/multiline")])
@virtual_time
async def test_the_past_comes_in_a_batch(caps: tuple[str, ...]) -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, "!deploy", "\x01ACTION waves\x01", "three")
        ida = await house.irc("Ida", *caps)
        came = await ida.join("#ops")
        start = next(number for number, message in enumerate(came) if message.verb == "BATCH")
        inside = batch(came[start:], "chathistory", "#ops")
        assert len(inside) == 3 and {message.nick for message in inside} == {"Nina"}
        assert not texts(came[:start])
        assert ("time" in inside[0].tags) is ("server-time" in caps)
        assert inside[0].params[1].startswith("[") is ("server-time" not in caps)


@virtual_time
async def test_no_past_no_batch() -> None:
    async with irc_house() as house:
        ida = await house.irc("Ida", "batch")
        assert not told(await ida.join("#ops"), "BATCH")


@virtual_time
async def test_a_labelled_join_is_answered_with_the_past_in_it() -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, "one", "two")
        ida = await house.irc("Ida", *CORE)
        came = batch(await ida.ask("@label=j JOIN #ops"), "labeled-response")
        inner = [number for number, message in enumerate(came) if message.verb == "BATCH"]
        assert len(inner) == 2
        assert texts(batch([m for m in came[inner[0] : inner[1] + 1]], "chathistory", "#ops")) == ["one", "two"]


@virtual_time
async def test_a_bot_is_shown_nothing_of_the_past() -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, "!deploy")
        bot = await house.irc("Bot", *CORE)
        await bot.ask("MODE Bot +B")
        assert await seen_on_joining(bot) == []
        await say(nina, "!now")
        assert texts(await bot.sync()) == ["!now"]


@pytest.mark.parametrize(("days", "shown"), [(0, r"\[\d\d:\d\d\] "), (1, r"\[2027-01-\d\d \d\d:\d\d\] ")])
@virtual_time
async def test_the_time_in_front_has_its_date_on_another_day(days: int, shown: str) -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, "two years old" if days else "just now")
        await asyncio.sleep(days * DAY)
        ida = await house.irc("Ida")
        (text,) = await seen_on_joining(ida)
        assert re.fullmatch(f"{shown}(two years old|just now)", text), text


@pytest.mark.parametrize("caps", [(), ("batch",), ("batch", "draft/multiline")])
@pytest.mark.parametrize("said", ["x" * 470, "word " * 90, "é" * 235, "\x01ACTION " + "y" * 450 + "\x01"])
@virtual_time
async def test_each_line_of_a_long_message_has_its_time_in_front(said: str, caps: tuple[str, ...]) -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, said)
        ida = await house.irc("Ida", *caps)
        lines = await seen_on_joining(ida)
        assert lines and all(re.match(r"(\x01ACTION )?\[\d\d:\d\d\] ", line) for line in lines)
        bare = "".join(re.sub(r"^(\x01ACTION )?\[\d\d:\d\d\] |\x01$", "", line) for line in lines)
        assert bare == said.replace("\x01ACTION ", "").rstrip("\x01")


# --- going on from where one left -----------------------------------------------------------------------------------


async def leave(peer: IrcPeer, how: str, house: House) -> None:
    match how:
        case "PART":
            await peer.ask("PART #ops")
        case "JOIN 0":
            await peer.ask("JOIN 0")
        case "QUIT":
            peer.say("QUIT :bye")
            await peer.ends()
        case "vanish":
            peer.vanish()
            await asyncio.sleep(1)
        case "KICK":
            (op,) = [one for one in house.peers if isinstance(one, IrcPeer) and one.nick == "Nina"]
            await op.ask(f"KICK #ops {peer.nick}")
            await peer.sync()


async def come_back(house: House, peer: IrcPeer, *caps: str, nick: str = "Ida") -> IrcPeer:
    return peer if not peer.ended else await house.irc(nick, *caps)


@pytest.mark.parametrize("how", ["PART", "JOIN 0", "QUIT", "vanish", "KICK"])
@virtual_time
async def test_who_comes_back_is_shown_what_was_said_meanwhile(how: str) -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, "old 1", "old 2")
        ida = await house.irc("Ida", "server-time")
        assert await seen_on_joining(ida) == ["old 1", "old 2"]
        await say(nina, "live")
        for round in range(3):
            await ida.sync()
            await leave(ida, how, house)
            await say(nina, *(f"missed {round}.{number}" for number in range(round)))
            ida = await come_back(house, ida, "server-time")
            assert await seen_on_joining(ida) == [f"missed {round}.{number}" for number in range(round)]


@pytest.mark.parametrize("how", ["PART", "QUIT"])
@virtual_time
async def test_also_where_nobody_else_was(how: str) -> None:
    async with irc_house() as house:
        ida = await house.irc("Ida", join="#ops")
        await say(ida, "alone")
        await leave(ida, how, house)
        ida = await come_back(house, ida)
        assert await seen_on_joining(ida) == []
        nina = await house.irc("Nina")
        assert len(await seen_on_joining(nina)) == 1


@virtual_time
async def test_returning_client_sees_more_than_a_newcomer() -> None:
    async with irc_house(no_limits=True) as house:
        nina = await house.irc("Nina", join="#ops")
        ida = await house.irc("Ida", *CORE, join="#ops")
        await ida.ask("PART #ops")
        said = [f"number {number}" for number in range(60)]
        await say(nina, *said)
        assert await seen_on_joining(ida) == said
        bea = await house.irc("Bea", "server-time")
        assert await seen_on_joining(bea) == said[-20:]
        await ida.ask("PART #ops")
        said = [f"again {number}" for number in range(250)]
        await say(nina, *said)
        assert await seen_on_joining(ida) == said[-200:]


@pytest.mark.parametrize(("hours", "shown"), [(23, ["new"]), (25, ["old", "new"])])
@virtual_time
async def test_after_a_day_one_is_a_newcomer(hours: int, shown: list[str]) -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, "old")
        ida = await house.irc("Ida", "server-time", join="#ops")
        await ida.ask("PART #ops")
        await asyncio.sleep(hours * 3600)
        await say(nina, "new")
        assert await seen_on_joining(ida) == shown


@virtual_time
async def test_somebody_else_is_a_newcomer() -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, "old")
        for nick, origin, user in [
            ("Ida", "198.51.100.1", "user"),
            ("Bea", "203.0.113.7", "user"),
            ("Ida", "203.0.113.7", "u2"),
        ]:
            ida = await house.irc("Ida", "server-time", join="#ops")
            await leave(ida, "QUIT", house)
            other = await house.irc(nick, "server-time", origin=origin, user=user)
            assert await seen_on_joining(other) == ["old"]
            await leave(other, "QUIT", house)


@virtual_time
async def test_nc_is_shown_the_newest_messages_each_time() -> None:
    """A terminal keeps nothing for the next time."""
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#lobby")
        await say(nina, "one", to="#lobby")
        for _ in range(2):
            ann = await house.connect("nc")
            ann.say("Ann")
            assert re.search(r"\[..:..\] Nina: one\n", await ann.sync())
            ann.vanish()
            await asyncio.sleep(1)


@virtual_time
async def test_a_change_of_nick_goes_along() -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await say(nina, "old")
        ida = await house.irc("Ida", "server-time", join="#ops")
        await ida.ask("NICK Ada")
        await leave(ida, "QUIT", house)
        ida = await house.irc("Ada", "server-time")
        assert await seen_on_joining(ida) == []


@virtual_time
async def test_what_was_said_while_a_client_did_not_answer_is_shown_again() -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        ida = await house.irc("Ida", "server-time", join="#ops")
        await say(nina, "heard")
        await asyncio.sleep(1)
        await ida.sync()
        ida.answers = False
        await asyncio.sleep(60)
        await say(nina, "lost on the way")
        await asyncio.sleep(180)
        assert ida.ended
        await say(nina, "after it was gone")
        ida = await house.irc("Ida", "server-time")
        assert await seen_on_joining(ida) == ["lost on the way", "after it was gone"]


@pytest.mark.parametrize("meanwhile", [[], ["after the restart", "and this"]])
@virtual_time
async def test_a_restart_of_the_server_shows_nothing_twice(meanwhile: list[str]) -> None:
    broker = MemoryBroker(wall_clock)
    async with irc_house(broker, "first-") as house:
        nina, ida = await house.irc("Nina", join="#ops"), await house.irc("Ida", "server-time", join="#ops")
        bea = await house.irc("Bea", join="#ops")
        await bea.ask("PART #ops")
        await say(nina, "old")
        await ida.sync()
    async with irc_house(broker, "second-") as house:
        nina = await house.irc("Nina", "server-time")
        assert await seen_on_joining(nina) == []
        await say(nina, *meanwhile)
        ida = await house.irc("Ida", "server-time")
        assert await seen_on_joining(ida) == meanwhile
        bea = await house.irc("Bea", "server-time")
        assert await seen_on_joining(bea) == ["old", *meanwhile]
        new = await house.irc("New", "server-time")
        assert await seen_on_joining(new) == ["old", *meanwhile]


@virtual_time
async def test_a_server_that_shows_newcomers_nothing_shows_nothing() -> None:
    async with irc_house(history=0) as house:
        nina, ida = await house.irc("Nina", join="#ops"), await house.irc("Ida", join="#ops")
        await ida.ask("PART #ops")
        await say(nina, "missed")
        assert await seen_on_joining(ida) == []


@virtual_time
async def test_a_client_that_asks_for_history_is_shown_nothing_unasked() -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        ida = await house.irc("Ida", *CORE, "draft/chathistory", join="#ops")
        await ida.ask("PART #ops")
        await say(nina, *map(str, range(30)))
        assert not told(await ida.join("#ops"), "PRIVMSG", "BATCH")
        assert fits((await ida.ask("CHATHISTORY LATEST #ops * 5"))[0], "BATCH")
