"""Bold and colours: whole for IRC clients, plain for everybody else, and gone with their numbers."""

from __future__ import annotations

import pytest
from irc_peering import irc_house
from virtual_time import virtual_time

from irc_messages import only, the

COLOURED = "\x0304,01red\x03 \x02bold\x02 \x1d\x1fx\x0f"
PLAIN = "red bold x"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (COLOURED, PLAIN),
        ("\x03\x0399 bottles", "99 bottles"),
        ("\x0304red\x03\x0303green \x04ff0000hex\x04", "redgreen hex"),
    ],
)
@virtual_time
async def test_message_is_whole_for_irc_clients_and_plain_for_others(sent: str, shown: str) -> None:
    async with irc_house() as house:
        nina, ann = await house.irc("Nina", "message-tags", join="#lobby"), await house.nc("Ann")
        ida = await house.irc("Ida", "message-tags", "echo-message", join="#lobby")
        await ann.sync()
        echo = await ida.ask(
            f"PRIVMSG #lobby :{sent}", f"NOTICE #lobby :{sent}", f"PRIVMSG #lobby :\x01ACTION {sent}\x01"
        )
        came = await nina.sync()
        for messages in (echo, came):
            assert [message.params[1] for message in messages] == [sent, sent, f"\x01ACTION {sent}\x01"]
            assert all(set(message.tags) == {"msgid"} for message in messages)
        assert await ann.sync() == f"Ida: {shown}\n-Ida- {shown}\n* Ida {shown}\n"
        await ida.ask(f"PRIVMSG Nina :{sent}", f"PRIVMSG Ann :{sent}")
        assert only(await nina.sync(), "PRIVMSG", "Nina", sent)
        assert await ann.sync() == f"Ida (private): {shown}\n"
        latecomer = await house.irc("Late", "batch", "server-time")
        past = [message for message in await latecomer.ask("JOIN #lobby") if message.verb in ("PRIVMSG", "NOTICE")]
        assert [message.params[1] for message in past] == [sent, sent, f"\x01ACTION {sent}\x01"]


@virtual_time
async def test_formatting_from_another_wire_is_shown_to_irc_clients() -> None:
    async with irc_house() as house:
        nina, ann = await house.irc("Nina", join="#lobby"), await house.nc("Ann")
        ann.say("all \x02bold\x02")
        await ann.sync()
        assert only(await nina.sync(), "PRIVMSG", "#lobby", "all \x02bold\x02")


@virtual_time
async def test_topic_is_whole_for_irc_clients_and_plain_for_others() -> None:
    async with irc_house() as house:
        nina, ann = await house.irc("Nina", join="#ops"), await house.nc("Ann", join="ops")
        await ann.sync()
        await nina.ask(f"TOPIC #ops :{COLOURED}")
        assert await ann.sync() == f"*** Nina set the topic: {PLAIN} ***\n"
        assert the(await nina.ask("TOPIC #ops"), "332", "Nina", "#ops", COLOURED)
        ida = await house.irc("Ida")
        assert the(await ida.ask("JOIN #ops"), "332", "Ida", "#ops", COLOURED)


@virtual_time
async def test_topic_that_is_too_long_is_cut_between_characters() -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina", join="#ops")
        await nina.ask("TOPIC #ops :" + "🇩🇪" * 60)
        assert the(await nina.ask("TOPIC #ops"), "332", "Nina", "#ops", "🇩🇪" * (390 // 8))


@virtual_time
async def test_reasons_and_real_names_lose_their_codes_with_the_numbers() -> None:
    async with irc_house() as house:
        nina, ann = await house.irc("Nina", join="#ops"), await house.nc("Ann", join="ops")
        ida = await house.irc("Ida", join="#ops")
        await nina.ask(f"AWAY :{COLOURED}", f"SETNAME :{COLOURED}")
        whois = await ida.ask("WHOIS Nina")
        assert the(whois, "301", "Ida", "Nina", PLAIN)
        assert [message.params[-1] for message in whois if message.verb == "311"] == [PLAIN]
        await ann.sync()
        await ida.ask(f"PART #ops :{COLOURED}", "JOIN #ops")
        await nina.ask(f"KICK #ops Ida :{COLOURED}")
        nina.say(f"QUIT :{COLOURED}")
        await nina.ends()
        seen = await ann.sync()
        assert seen.count(f"({PLAIN})") == 3 and "04" not in seen


@virtual_time
async def test_message_of_several_lines_is_composed_again_as_its_author_did() -> None:
    caps = ("batch", "draft/multiline")
    async with irc_house() as house:
        nina, plain = await house.irc("Nina", *caps, join="#ops"), await house.irc("Plain", join="#ops")
        ida, ann = await house.irc("Ida", *caps, join="#ops"), await house.nc("Ann", join="ops")
        await ann.sync()
        lines = [("", "\x02one\u200b\x02"), (";draft/multiline-concat", "\x0304two"), ("", "   three")]
        ida.say(
            "BATCH +1 draft/multiline #ops",
            *(f"@batch=1{more} PRIVMSG #ops :{text}" for more, text in lines),
            "BATCH -1",
        )
        await ida.sync()
        clean = [text.replace("\u200b", "") for _, text in lines]
        batched = [message for message in await nina.sync() if message.verb == "PRIVMSG"]
        assert [message.params[1] for message in batched] == clean
        assert ["draft/multiline-concat" in message.tags for message in batched] == [False, True, False]
        assert [message.params[1] for message in await plain.sync()] == clean
        assert await ann.sync() == "Ida: onetwo\nIda:    three\n"
