"""Classes on each wire: hands and turns to speak."""

from __future__ import annotations

from asking import asking
from irc_peering import irc_house
from virtual_time import virtual_time

from irc_messages import batch, told

BY_GUESTS = " (2 votes by guests who can vote again under another name)"


@virtual_time
async def test_hands_at_a_terminal_and_over_irc() -> None:
    async with irc_house() as house:
        teacher = await house.irc("Tess", join="#class")
        ann, bo = await house.nc("Ann", join="class"), await house.irc("Bo", join="#class")
        assert told(await teacher.ask("PRIVMSG #class :!quiet on"), "MODE")[0].params == ("#class", "+m")
        await ann.sync()
        ann.say("/hand")
        assert await ann.sync() == "*** Your hand is up; you are next. /hand down lowers it ***\n"
        hand = told(await bo.ask("PRIVMSG #class :!HAND"), "NOTICE")
        assert [line.params[-1] for line in hand] == ["Your hand is up; 1 before you. /hand down lowers it"]
        asked = [line.params for line in told(await teacher.sync(), "NOTICE")]
        assert [one[0] for one in asked] == ["#class", "#class"] and asked[0][1].startswith(
            "Ann raises a hand (1 waiting)"
        )
        listed = told(await teacher.ask("PRIVMSG #class :!hands"), "NOTICE")
        assert [line.params[-1] for line in listed] == ["1. Ann", "2. Bo"]
        await teacher.ask("PRIVMSG #class :!next")
        assert await ann.sync() == "*** Tess lets Ann speak ***\n"
        assert [line.params for line in told(await bo.sync(), "MODE")][-1] == ("#class", "+v", "Ann")
        ann.say("tea?", "and cake?")
        assert "only people chosen" in await ann.sync()
        lines = [(line.verb, *line.params) for line in await bo.sync()]
        assert lines == [("PRIVMSG", "#class", "tea?"), ("MODE", "#class", "-v", "Ann")]
        (refused,) = await bo.ask("PRIVMSG #class :!next")
        assert refused.params[-1] == "You are not an operator of class."
        await teacher.ask("PRIVMSG #class :!!hands", "PRIVMSG #class :!handy")
        assert [line.params[-1] for line in await bo.sync()] == ["!!hands", "!handy"]


@virtual_time
async def test_a_question_goes_through_an_operator() -> None:
    async with irc_house() as house:
        tess = await house.irc("Tess", join="#class")
        ann, bo = await house.nc("Ann", join="class"), await house.irc("Bo", join="#class")
        await tess.ask("PRIVMSG #class :!quiet on")
        await ann.sync()
        ann.say("/ask when is tea?")
        assert await ann.sync() == "*** Your question is number 1; only the operators see it ***\n"
        assert told(await tess.sync(), "NOTICE")[-1].params[-1].startswith("Ann asks (1): when is tea?")
        await tess.ask("PRIVMSG #class :!ok 1")
        assert await ann.sync() == "Ann: when is tea?\n"
        assert [(line.verb, line.nick, line.params[-1]) for line in await bo.sync()][-1] == (
            "PRIVMSG",
            "Ann",
            "when is tea?",
        )


@virtual_time
async def test_a_locked_room_is_a_mode_on_irc() -> None:
    async with irc_house() as house:
        tess = await house.irc("Tess", join="#class")
        ann = await house.nc("Ann", join="class")
        assert told(await tess.ask("PRIVMSG #class :!lock"), "MODE")[0].params == ("#class", "+L")
        await tess.ask("MODE #class +Af 5")
        assert "lets only operators write here" in await ann.sync()
        ann.say("no")
        assert await ann.sync() == "Not sent: only operators of class can speak there right now.\n"
        assert told(await tess.ask("MODE #class"), "324")[0].params[2:] == ("+nLAf", "5")


async def test_hands_in_a_browser() -> None:
    async with asking() as web:
        tess, ann = await web.talk("Tess"), await web.talk("Ann")
        for one in (tess, ann):
            await one.say(type="join", room="class")
            assert "hands" not in await one.sees("joined")
        await ann.say(type="command", room="class", line="/hand", label="h1")
        notice = await tess.sees("notice")
        assert notice["room"] == "class" and notice["lines"][0].startswith("Ann raises a hand (1 waiting)")
        bo = await web.talk("Bo")
        await bo.say(type="join", room="class")
        while (joined := await bo.sees("joined"))["room"] != "class":
            pass
        assert joined["hands"] == ["Ann"]
        await tess.say(type="command", room="class", line="/next")
        seen = []
        while not seen or seen[-1]["kind"] != "turn":
            seen += (await bo.sees("entries"))["entries"]
        assert seen[-1]["words"] == "lets Ann speak"
        await bo.say(type="command", room="class", line="/ask when is tea?")
        while not (lines := (await tess.sees("notice"))["lines"])[0].startswith("Bo asks (1): when is tea?"):
            pass
        await tess.say(type="command", room="class", line="/ok 1")
        while seen[-1]["text"] != "when is tea?":
            seen += (await ann.sees("entries"))["entries"]
        assert seen[-1]["nick"] == "Bo" and lines


@virtual_time
async def test_everybody_reacts_to_announcements_over_irc() -> None:
    async with irc_house() as house:
        tess = await house.irc("Tess", "message-tags", "echo-message", join="#class")
        bo = await house.irc("Bo", "message-tags", "labeled-response", join="#class")
        (said,) = await tess.ask("PRIVMSG #class :tea at 4")
        await tess.ask("MODE #class +A")
        await bo.sync()
        await bo.ask(f"@+reply={said.tags['msgid']};+draft/react=x TAGMSG #class")
        (seen,) = await tess.sync()
        assert (seen.verb, seen.nick, seen.tags["+draft/react"]) == ("TAGMSG", "Bo", "x")
        await bo.ask("@+typing=active TAGMSG #class", "@+reply=unknown;+draft/react=x TAGMSG #class")
        assert await tess.sync() == []
        await tess.ask("MODE #class +L")
        (*_, refused) = await bo.ask(f"@+reply={said.tags['msgid']};+draft/react=y TAGMSG #class")
        assert refused.verb == "404"


@virtual_time
async def test_a_poll_at_a_terminal_and_over_irc() -> None:
    async with irc_house() as house:
        tess = await house.irc("Tess", join="#class")
        ann, bo = await house.nc("Ann", join="class"), await house.irc("Bo", join="#class")
        await tess.ask("PRIVMSG #class :!poll tea? | yes | no")
        assert await ann.sync() == "*** Tess asks: tea? 1) yes 2) no (type /vote and a number) ***\n"
        assert [one.params for one in told(await bo.sync(), "NOTICE")] == [
            ("#class", "Tess asks: tea? 1) yes 2) no (type !vote and a number)")
        ]
        ann.say("/vote 1")
        assert await ann.sync() == "*** tea? Your vote: yes ***\n"
        assert [one.params[-1] for one in told(await bo.ask("PRIVMSG #class :!vote no"), "NOTICE")] == [
            "tea? Your vote: no"
        ]
        assert [one.params for one in told(await tess.sync(), "NOTICE")][-1] == (
            "#class",
            f"tea? yes 1, no 1{BY_GUESTS}",
        )
        await tess.ask("PRIVMSG #class :!poll close")
        assert (await ann.sync()).endswith(f"*** Tess ends a poll: tea? yes 1, no 1{BY_GUESTS} ***\n")
        assert told(await bo.sync(), "NOTICE")[-1].params[-1] == f"Tess ends a poll: tea? yes 1, no 1{BY_GUESTS}"


@virtual_time
async def test_a_poll_is_part_of_the_history_at_a_terminal_and_over_irc() -> None:
    async with irc_house() as house:
        tess = await house.irc("Tess", "echo-message", "message-tags", join="#class")
        asked = [await tess.ask(f"PRIVMSG #class :!poll {name}? | yes | no") for name in ("tea", "cake", "pie")]
        await tess.ask("PRIVMSG #class :!vote 1 1", "PRIVMSG #class :!poll close 1", "PRIVMSG #class :!poll delete 2")
        guest = "(1 vote by guests who can vote again under another name)"
        closed, still = f"Tess asks: tea? 1) yes 2) no [yes 1, no 0 {guest}] (closed)", "Tess asks: cake? 1) yes 2) no"
        ann = await house.connect("line")
        ann.say("Ann", "/join class")
        seen = (await ann.sync()).splitlines()[-3:]
        assert seen[0].endswith("*** You are in class ***")
        assert [one.partition("] ")[2] for one in seen[1:]] == [
            f"*** {closed} ***",
            f"*** {still} (type /vote and a number) ***",
        ]
        plain = await house.irc("Bo")
        notices = [one.params[1] for one in told(await plain.join("#class"), "NOTICE")]
        assert [(one[0], one.partition("] ")[2]) for one in notices] == [
            ("[", closed),
            ("[", f"{still} (type !vote and a number)"),
        ], "each of them once, with its time"
        modern = await house.irc("Cy", "batch", "server-time", "message-tags", "draft/chathistory")
        greeted = told(await modern.join("#class"), "NOTICE")
        assert [one.params[1] for one in greeted] == [f"{still} (type !vote and a number)"]
        found = batch(await modern.ask("CHATHISTORY LATEST #class * 9"), "chathistory", "#class")
        assert [(one.verb, one.params[-1]) for one in found] == [
            ("NOTICE", closed),
            ("NOTICE", f"{still} (type !vote and a number)"),
        ]
        (poll,) = told(asked[0], "NOTICE")
        assert found[0].tags["msgid"] == poll.tags["msgid"] and found[0].tags["time"]
        targets = await modern.ask(
            "CHATHISTORY TARGETS timestamp=2020-01-01T00:00:00.000Z timestamp=2100-01-01T00:00:00.000Z 5"
        )
        assert [one.params[:2] for one in targets if one.verb == "CHATHISTORY"] == [("TARGETS", "#class")]


async def test_a_poll_is_part_of_the_history_in_a_browser_and_on_the_api() -> None:
    async with asking() as web:
        tess = await web.talk("Tess")
        await tess.say(type="join", room="class")
        await tess.sees("joined", room="class")
        for question in ("tea?", "cake?"):
            await tess.say(type="poll", room="class", question=question, answers=["yes", "no"], label="p1")
        for typing in ("/vote 2 1", "/poll delete 2", "/poll close 1"):
            await tess.say(type="command", room="class", line=typing)
        while (await tess.sees("entries"))["entries"][-1]["kind"] != "poll-end":
            pass
        ann = await web.talk("Ann")
        await ann.say(type="join", room="class")
        past = await ann.sees("past")
        await ann.say(type="search", words="tea", label="s1")
        page = await ann.sees_label("s1")
        found = [
            (await web.ask("GET", f"/api/v1/rooms/class/{path}")).json
            for path in ("messages", "messages?after=0", "search?q=tea")
        ]
        for entries in (past["entries"], page["entries"], *(one["entries"] for one in found)):
            ((poll),) = entries
            assert (poll["kind"], poll["nick"], poll["text"]) == ("poll", "Tess", "tea? | yes | no")
            assert (poll["question"], poll["answers"], poll["votes"], poll["closed"]) == (
                "tea?",
                ["yes", "no"],
                [0, 1],
                True,
            )
        lines = await web.ask("GET", "/api/v1/rooms/class/messages", None, Accept="text/plain")
        assert lines.body.decode().endswith("asks: tea? 1) yes 2) no [yes 0, no 1] (closed) ***\n")


async def test_a_poll_in_a_browser() -> None:
    async with asking() as web:
        tess, ann = await web.talk("Tess"), await web.talk("Ann")
        for one in (tess, ann):
            await one.say(type="join", room="class")
            assert "polls" not in await one.sees("joined")
        await tess.say(type="poll", room="class", question="tea?", answers=["yes", "no"], label="p1")
        seen: list[dict[str, object]] = []
        while not seen or seen[-1]["kind"] != "poll":
            seen += (await ann.sees("entries"))["entries"]
        poll = seen[-1]
        assert (poll["question"], poll["answers"], poll["votes"]) == ("tea?", ["yes", "no"], [0, 0])
        await ann.say(type="vote", room="class", id=poll["id"], choice=2, label="v1")
        assert (await ann.sees("votes")) == {
            "type": "votes",
            "room": "class",
            "id": poll["id"],
            "votes": [0, 1],
            "guests": 0,
        }
        assert (await ann.sees("stored"))["label"] == "v1"
        bo = await web.talk("Bo")
        await bo.say(type="join", room="class")
        while (joined := await bo.sees("joined"))["room"] != "class":
            pass
        assert [(one["votes"], one["mine"]) for one in joined["polls"]] == [([0, 1], 0)]
        await ann.say(type="close", room="class", id=poll["id"], label="c1")
        assert (await ann.sees("error"))["code"] == "not-yours"
        await tess.say(type="close", room="class", id=poll["id"], label="c2")
        while seen[-1]["kind"] != "poll-end":
            seen += (await ann.sees("entries"))["entries"]
        assert seen[-1]["quote"] == {"nick": "Tess", "text": "tea? yes 0, no 1"}


@virtual_time
async def test_words_of_a_class_are_irc_commands_too() -> None:
    async with irc_house() as house:
        tess, bo = await house.irc("Tess", join="#class"), await house.irc("Bo", join="#class")
        await tess.ask("POLL #class :tea? | yes | no")
        assert told(await bo.ask("VOTE #class 2"), "NOTICE")[-1].params[-1] == "tea? Your vote: no"
        assert told(await bo.ask("vote yes"), "NOTICE")[-1].params[-1] == "tea? Your vote: yes"
        assert [one.verb for one in await bo.ask("VOTE #art 1")] == ["442"]
        assert told(await bo.ask("NEXT #class"), "482")
        (_, help, _) = await bo.ask("HELP VOTE")
        assert help.params[-1].startswith("VOTE [#channel] N [POLL]: Choose answer N")


@virtual_time
async def test_a_code_is_a_key_on_every_wire() -> None:
    async with irc_house() as house:
        tess = await house.irc("Tess", join="#class")
        await tess.ask("MODE #class +ik sesame")
        ann, bo = await house.nc("Ann"), await house.irc("Bo")
        (refused,) = await bo.ask("JOIN #class BCDF-GHJK")
        assert refused.verb == "473"
        made = told(await tess.ask("PRIVMSG #class :!invite code 1h 2 uses"), "NOTICE")[0].params[-1]
        code = made.split()[2]
        assert told(await bo.ask(f"JOIN #class {code}"), "JOIN")
        ann.say(f"/join {code}")
        assert "You are in class" in await ann.sync()
        assert f"{code}: for 60 minutes more, 2 of 2 used (by Tess)" in [
            line.params[-1] for line in told(await tess.ask("PRIVMSG #class :!codes"), "NOTICE")
        ]


async def test_a_code_in_a_browser() -> None:
    async with asking() as web:
        tess, ann = await web.talk("Tess"), await web.talk("Ann")
        await tess.say(type="join", room="class")
        await tess.sees("joined")
        await tess.say(type="command", room="class", line="/set invite-only on")
        await tess.say(type="command", room="class", line="/invite code", label="c1")
        while "The code" not in (made := (await tess.sees("notice"))["lines"][0]):
            pass
        await ann.say(type="join", room="ZZZZ-ZZZZ", label="j1")
        assert (await ann.sees("error"))["code"] == "wrong-password"
        await ann.say(type="join", room=made.split()[2])
        while (await ann.sees("joined"))["room"] != "class":
            pass
