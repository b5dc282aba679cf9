"""A class of browsers and phones behind one address, with a joker who leaves and comes back under new names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asking import Talker, Web, asking
from test_browsers import cookie_of

NAMES = ("Tim", "Tommy", "T0m")  # of the joker, one after the other


async def browser(web: Web, name: str, cookie: str = "") -> Talker:
    """Return a browser in the room of the class."""
    talker = await web.talk(name, headers={"Cookie": cookie} if cookie else None)
    await talker.say(type="join", room="class", label="in")
    await talker.sees("joined", room="class")
    return talker


async def does(talker: Talker, line: str, label: str) -> dict[str, Any]:
    """Return what answers a command: a notice, an error, or that it is stored."""
    await talker.say(type="command", room="class", line=line, label=label)
    await talker.say(type="class", room="class", label=f"{label}-after")
    await talker.sees_label(f"{label}-after")
    return next((one for one in talker.before if one["type"] == "error" or one.get("label") == label), {})


async def known(talker: Talker) -> dict[str, Any]:
    """Return what goes on in the class."""
    await talker.say(type="class", room="class", label="k")
    return await talker.sees_label("k")


@pytest.mark.parametrize("size", [30, 60])
async def test_class_behind_one_address_with_a_joker(size: int) -> None:
    async with asking() as web:
        tess = await browser(web, "Tess")
        pupils = [await browser(web, f"Pupil{number}") for number in range(size)]
        joker = await browser(web, NAMES[0])
        cookie = cookie_of(joker.socket)
        assert (await does(tess, f"/mute {NAMES[0]} yes", "m"))["type"] == "done"
        for name in NAMES[1:]:
            joker.socket.transport.abort()
            joker = await browser(web, name, cookie)
            for line in ("/me is back", "/hand", "/ask why?"):
                assert (await does(joker, line, "j"))["code"] == "muted", (name, line)

        # The others behind that address raise their hands, and speak in turn.
        await does(tess, "/quiet on", "q")
        await asyncio.gather(*(does(pupil, "/hand", "h") for pupil in pupils))
        hands = (await known(tess))["hands"]
        assert sorted(hands) == sorted(f"Pupil{number}" for number in range(size))
        first = pupils[int(hands[0].removeprefix("Pupil"))]
        await does(tess, "/next", "n")
        await first.say(type="say", room="class", text="tea!", label="s")
        assert (await first.sees_label("s"))["type"] == "stored"
        await first.say(type="say", room="class", text="and cake!", label="t")
        assert (await first.sees_label("t"))["code"] == "moderated"
        assert (await known(tess))["hands"] == hands[1:]

        # All vote at once; the joker has no vote, and few frames tell the numbers.
        await tess.say(type="poll", room="class", question="tea?", answers=["yes", "no"], label="p")
        await tess.sees_label("p")
        (poll,) = (await known(tess))["polls"]
        before = web.house.hub.delivery.delivered
        await asyncio.gather(*(does(pupil, f"/vote {1 + index % 2}", "v") for index, pupil in enumerate(pupils)))
        assert (await does(joker, "/vote 1", "v"))["code"] == "muted"
        counted = [one for one in tess.before if one["type"] == "votes"]
        assert len(counted) <= 10 and web.house.hub.delivery.delivered > before
        await tess.say(type="close", room="class", id=poll["id"], label="c")
        await tess.sees_label("c")
        ended = next(
            one for frame in tess.before if frame["type"] == "entries" for one in frame["entries"]
            if one["kind"] == "poll-end"
        )  # fmt: skip
        assert ended["quote"]["text"] == f"tea? yes {size // 2}, no {size // 2}"

        # Too many messages at once let the room rest, except for the teacher.
        await does(tess, "/quiet off", "q")
        await does(tess, "/set flood 20", "f")
        for label in ("noise", "more"):
            for pupil in pupils:
                await pupil.say(type="say", room="class", text=label, label=label)
            answers = [await pupil.sees_label(label) for pupil in pupils]
            while label == "noise" and "brake" not in [one["kind"] for one in (await tess.sees("entries"))["entries"]]:
                pass
        assert {one.get("code") for one in answers} == {"moderated"}, "messages that are on their way still pass"
        await tess.say(type="say", room="class", text="quiet, please", label="s")
        assert (await tess.sees_label("s"))["type"] == "stored"
