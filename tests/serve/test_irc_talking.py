"""What IRC clients say to each other: long lines, tags, how people leave, and what a bot does."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest
from irc_peering import irc_house
from virtual_time import virtual_time

from hubbub.serve.irc.commands.table import COMMANDS
from hubbub.text.refusals import LOGINS_BUSY
from irc_messages import ANY, fits, only, the, told

# --- long lines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["PRIVMSG", "NOTICE"])
@pytest.mark.parametrize("target", ["#ops", "Nina"])
@pytest.mark.parametrize("colon", [":", ""])
@pytest.mark.parametrize("fill", ["a", "é", "word ", "👍"])
@virtual_time
async def test_a_line_that_keeps_to_512_bytes_arrives_whole(verb: str, target: str, colon: str, fill: str) -> None:
    async with irc_house() as house:
        nina, ida = await house.irc("Nina", join="#ops"), await house.irc("Ida", join="#ops")
        head = f"{verb} {target} {colon}"
        text = fill * ((510 - len(head)) // len(fill.encode()))
        if " " in text and not colon:
            return
        assert not await ida.ask(head + text)
        lines = await nina.sync()
        assert {(line.verb, line.params[0], line.nick) for line in lines} == {(verb, target, "Ida")}
        assert "".join(line.params[1] for line in lines) == text and len(lines) == 2


@pytest.mark.parametrize("said", ["x" * 5_000, "word " * 800 + "end"])
@virtual_time
async def test_a_long_message_of_another_wire_comes_in_several_lines(said: str) -> None:
    async with irc_house(line_limit=16384) as house:
        nina, ann = await house.irc("Nina", join="#lobby"), await house.nc("Ann")
        ann.say(said)
        await ann.sync()
        came = [line for line in await nina.sync() if line.verb == "PRIVMSG"]
        assert "".join(line.params[1] for line in came) == said and len(came) == len(said) // 480 + 1


@pytest.mark.parametrize(
    "line",
    [
        "PING " + "x" * 600,
        "TOPIC #ops :" + "x" * 600,
        "PRIVMSG " + "x" * 600 + " :hi",
        "PRIVMSG #ops :" + "x" * 498,  # with CR LF 513 bytes
        "NOTICE #ops :" + "x" * 600,
        "PRIVMSG Nina :" + "é" * 250,
        "@+a=b PRIVMSG #ops :" + "x" * 498,
        "PRIVMSG #ops :\x01ACTION " + "y" * 600 + "\x01",
        "PRIVMSG #ops :" + "x" * 17_000,
    ],
)
@virtual_time
async def test_what_is_longer_than_512_bytes_is_refused_and_reaches_nobody(line: str) -> None:
    async with irc_house(line_limit=16384) as house:
        nina, ida = await house.irc("Nina", join="#ops"), await house.irc("Ida", join="#ops")
        assert fits((await ida.ask(line))[0], "417", "Ida")
        assert not await ida.ask("PRIVMSG #ops :hi")
        assert [line.params[1] for line in await nina.sync()] == ["hi"]


# --- tags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("+draft/reply=abc", {"+draft/reply": "abc"}),
        ("+example.com/key=a\\sb\\:c", {"+example.com/key": "a b;c"}),
        ("+x=\u009b31mred", {"+x": "red"}),
        ("+x=\x1b]0\\:title\x07rest", {"+x": "rest"}),
        ("+x=\u202eabc\u2066", {"+x": "abc"}),
        ("+x=two\\nlines", {"+x": "two\nlines"}),
        ("+\x1b[31m=1;+ok", {"+ok": ""}),
        ("+\u202e=1;+ok=1", {"+ok": "1"}),
        ("+a\u009bb=1", {}),
        ("+=1;+/x=1;+a/b/c=1", {}),
        ("bot=1;time=x;msgid=forged;cut=1;lost", {}),
    ],
)
@pytest.mark.parametrize("verb", ["PRIVMSG #ops :hi", "TAGMSG #ops", "PRIVMSG Nina :hi"])
@virtual_time
async def test_tags_for_others_are_clean(sent: str, shown: dict[str, str], verb: str) -> None:
    async with irc_house() as house:
        nina, ida = (
            await house.irc("Nina", "message-tags", join="#ops"),
            await house.irc("Ida", "message-tags", join="#ops"),
        )
        await ida.ask(f"@{sent} {verb}")
        (message,) = await nina.sync()
        assert {name: value for name, value in message.tags.items() if name != "msgid"} == shown
        assert message.tags.get("msgid") != "forged"


@virtual_time
async def test_everything_that_a_bot_does_is_marked() -> None:
    caps = ("message-tags", "away-notify", "setname", "invite-notify", "draft/message-redaction", "extended-join")
    async with irc_house() as house:
        nina = await house.irc("Nina", *caps, join="#ops")
        plain = await house.irc("Plain", join="#ops")
        bot = await house.irc("Bot", *caps, "echo-message")
        await nina.ask("JOIN #bots")
        (mode,) = await bot.ask("MODE Bot +B")
        assert "bot" in mode.tags
        assert "bot" in the(await bot.ask("JOIN #bots"), "JOIN").tags
        await nina.ask("MODE #bots +o Bot")
        await bot.sync()
        await bot.ask(
            "PRIVMSG #bots :hi", "NOTICE Nina :psst", "TOPIC #bots :tea", "MODE #bots +m", "AWAY :lunch",
            "SETNAME :Robot", "INVITE Plain #bots", "@+typing=active TAGMSG #bots",
            "NICK Robot", "PRIVMSG #bots :\x01ACTION rests\x01",
        )  # fmt: skip
        did = await nina.sync()
        assert len(did) == 10 and all("bot" in message.tags for message in did), [*map(str, did)]
        assert not [message for message in await plain.sync() if message.tags]
        bot.say("JOIN #ops", "KICK #bots Nina", "PART #ops", "JOIN #ops", "QUIT")
        await bot.ends()
        did = await nina.sync()
        assert {"JOIN", "KICK", "PART", "QUIT"} <= {message.verb for message in did}
        assert all("bot" in message.tags for message in did), [*map(str, did)]
        await nina.ask("PRIVMSG #ops :I am none")
        assert not [message for message in await plain.sync() if "bot" in message.tags]


# --- leaving --------------------------------------------------------------------------------------------------------


@virtual_time
async def test_oper_whose_password_cannot_be_checked_is_asked_to_try_again() -> None:
    async with irc_house(operator=["root:x"]) as house:
        house.hub.verify = lambda name, password, done: done(None)
        nina = await house.irc("Nina")
        assert the(await nina.ask("OPER root x"), "263").params[1:] == ("OPER", LOGINS_BUSY().text)


@virtual_time
async def test_only_who_quits_is_said_to_have_quit() -> None:
    async with irc_house(operator=["root:x"]) as house:
        house.hub.verify = lambda name, password, done: done(True)
        nina = await house.irc("Nina", join="#ops")
        await nina.ask("OPER root x")

        async def reason() -> str:
            await asyncio.sleep(1)
            return only(told(await nina.sync(), "QUIT"), "QUIT", ANY).params[0]

        (await house.irc("Ida", join="#ops")).say("QUIT :see you")
        assert await reason() == "Quit: see you"
        (await house.irc("Ida", join="#ops")).say("QUIT")
        assert await reason() == "Quit: "
        (await house.irc("Ida", join="#ops")).say("QUIT :Ping timeout: 180 seconds")
        assert await reason() == "Quit: Ping timeout: 180 seconds"
        (await house.irc("Ida", join="#ops")).vanish()
        assert await reason() == "Connection closed"
        ida = await house.irc("Ida", join="#ops")
        nina.say("KILL Ida :spam")
        assert await reason() == "Killed (Nina (spam))" and ida.ended
        ida = await house.irc("Ida", join="#ops")
        ida.answers = False
        await asyncio.sleep(300)
        assert await reason() == "Ping timeout: 180 seconds"
        (await house.nc("Ann", join="ops")).say("/quit off I go")
        assert await reason() == "Quit: off I go"
        (await house.nc("Ann", join="ops")).send(b"\x04")
        assert await reason() == "Quit: "
        (await house.nc("Ann", join="ops")).vanish()
        assert await reason() == "Connection closed"


# --- channels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["#c++", "##chan", "#a/b", "#a@b", "#", "#" + "x" * 40, "#a*"])
@virtual_time
async def test_a_channel_that_cannot_be_is_refused_with_the_reason(name: str) -> None:
    async with irc_house() as house:
        ida = await house.irc("Ida")
        (refusal,) = await ida.ask(f"JOIN {name}")
        assert fits(refusal, "476", "Ida", name)
        assert refusal.params[-1].startswith("Bad Channel Mask. ") and "letters" in refusal.params[-1]


@pytest.mark.parametrize("name", ["ops", "&ops", "+ops"])
@virtual_time
async def test_what_is_no_channel_does_not_exist(name: str) -> None:
    async with irc_house() as house:
        ida = await house.irc("Ida")
        assert fits((await ida.ask(f"JOIN {name}"))[0], "403", "Ida", name)


@virtual_time
async def test_names_of_several_channels() -> None:
    async with irc_house() as house:
        nina, ida = await house.irc("Nina", join="#a"), await house.irc("Ida", join="#b")
        came = await nina.ask("NAMES #a,#b,#nowhere,#a")
        assert [(one.verb, one.params[-2]) for one in came] == [
            ("353", "#a"), ("353", "#b"), ("366", "#a,#b,#nowhere,#a"),
        ]  # fmt: skip
        assert ida


@virtual_time
async def test_a_bouncer_comes_back_to_fifty_channels() -> None:
    async with irc_house() as house:
        assert house.settings.max_rooms == 50
        bouncer = await house.irc("Znc", "server-time", "batch")
        rooms = [f"#r{number}" for number in range(50)]
        for first in (True, False):
            bouncer.say(
                f"JOIN {','.join(rooms)}", *(f"MODE {room}" for room in rooms), *(f"WHO {room}" for room in rooms)
            )
            came = [await bouncer.next() for _ in range(4)]
            came += await bouncer.sync()
            assert len(told(came, "JOIN")) == len(told(came, "324")) == len(told(came, "315")) == 50
            assert fits((await bouncer.ask("JOIN #onemore"))[0], "405", "Znc", "#onemore")
            if first:
                await bouncer.ask("JOIN 0")


@virtual_time
async def test_whois_tells_who_is_encrypted() -> None:
    async with irc_house() as house:
        nina = await house.irc("Nina")
        ida = await house.connect(secure=True)
        await ida.register("Ida")
        assert told(await nina.ask("WHOIS Ida"), "671")[0].params[1] == "Ida"
        assert not told(await ida.ask("WHOIS Nina"), "671")


@pytest.mark.parametrize("command", ["NS identify x", "NICKSERV help", "CS op", "chanserv"])
@virtual_time
async def test_message_to_services_is_answered_that_there_are_none(command: str) -> None:
    async with irc_house() as house:
        ida = await house.irc("Ida")
        assert "accounts" in only(await ida.ask(command), "NOTICE", "Ida", ANY).params[1]


# --- knocking -------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_knock_is_told_to_the_operators() -> None:
    async with irc_house() as house:
        nina, bea = await house.irc("Nina", join="#ops"), await house.irc("Bea", join="#ops")
        ida = await house.irc("Ida", origin="198.51.100.3")
        assert fits((await ida.ask("KNOCK #ops"))[0], "713", "Ida", "#ops")
        assert fits((await bea.ask("KNOCK #ops"))[0], "714", "Bea", "#ops")
        assert fits((await ida.ask("KNOCK #nowhere"))[0], "403", "Ida", "#nowhere")
        assert fits((await ida.ask("KNOCK"))[0], "461", "Ida", "KNOCK")
        for mode in ("+i", "-i+k key", "-k+l key 2"):
            await nina.ask(f"MODE #ops {mode}")
            await bea.sync()
            await asyncio.sleep(61)
            assert fits((await ida.ask("KNOCK #ops :please"))[0], "711", "Ida", "#ops")
            assert fits((await nina.sync())[0], "710", "#ops", "#ops", "Ida!~user@198.51.100.3-cloak.irc")
            assert not await bea.sync()
        assert fits((await ida.ask("KNOCK #ops"))[0], "712", "Ida", "#ops")
        await nina.ask("MODE #ops +b Ida!*@*")
        assert fits((await ida.ask("KNOCK #ops"))[0], "474", "Ida", "#ops")
        await nina.ask("MODE #ops +s-b Ida!*@*")
        assert fits((await ida.ask("KNOCK #ops"))[0], "403", "Ida", "#ops")


@virtual_time
async def test_a_knock_reaches_operators_with_nc_and_needs_one() -> None:
    async with irc_house() as house:
        ann = await house.nc("Ann", join="ops")
        ann.say("/set invite-only on")
        await ann.sync()
        ida = await house.irc("Ida")
        assert fits((await ida.ask("KNOCK #ops"))[0], "711", "Ida", "#ops")
        assert "Ida asks to be let into ops" in await ann.sync()
        bea = await house.irc("Bea", origin="198.51.100.3")
        ann.say("/invite Bea")
        await ann.sync()
        await bea.join("#ops")
        ann.say("/leave")
        await ann.sync()
        await asyncio.sleep(61)
        assert fits((await ida.ask("KNOCK #ops"))[0], "480", "Ida", "#ops")


# --- help -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", sorted(COMMANDS))
@virtual_time
async def test_every_command_is_explained_in_a_line(subject: str) -> None:
    async with irc_house() as house:
        ida = await house.irc("Ida")
        came = await ida.ask(f"HELP {subject}")
        assert [one.verb for one in came] == ["704", "705", "706"] and len(came[1].params[-1]) > 10


# --- a user with several sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caps", "shown"),
    [((), False), (("echo-message", "message-tags"), True), (("znc.in/self-message",), True), (("batch",), False)],
)
@virtual_time
async def test_what_one_session_sends_is_shown_to_the_others_of_its_user(caps: tuple[str, ...], shown: bool) -> None:
    async with irc_house() as house:
        ida, nina = await house.irc("Ida", join="#ops"), await house.irc("Nina", join="#ops")
        user = house.hub.users["ida"]
        with patch.object(house.hub.nicks, "claim", lambda name: (user, user.nick)):
            too = await house.irc("Second", *caps)
        await house.settle()
        ida.say("PRIVMSG Nina :psst", "NOTICE Nina :note", "PRIVMSG #ops :hi")
        assert not await ida.sync() and len(await nina.sync()) == 3
        came = await too.sync()
        lines = [(one.nick, one.verb, *one.params) for one in came]
        private = [("Ida", "PRIVMSG", "Nina", "psst"), ("Ida", "NOTICE", "Nina", "note")]
        assert lines == private * shown + [("Ida", "PRIVMSG", "#ops", "hi")]
        assert all(one.tags.get("msgid") for one in came) == ("message-tags" in caps)
