"""A browser has a token, so that a mute finds it again under another name, and nobody else at the same address."""

from __future__ import annotations

import logging

import pytest
from asking import Talker, Web, asking
from websockets.asyncio.client import ClientConnection


def cookie_of(socket: ClientConnection) -> str:
    """Return the cookie that a handshake has given, "" if it has given none."""
    assert socket.response
    return socket.response.headers.get("Set-Cookie", "").partition(";")[0]


async def browse(web: Web, name: str, cookie: str = "") -> Talker:
    talker = await web.talk(headers={"Cookie": cookie} if cookie else {})
    await talker.hello(name=name, rooms={"ops": None})
    return talker


async def speaks(talker: Talker, label: str) -> bool:
    await talker.say(type="say", room="ops", text="hi", label=label)
    answer = await talker.sees_label(label)
    assert answer["type"] == "stored" or answer["code"] == "muted", answer
    return bool(answer["type"] == "stored")


async def test_muted_joker_is_muted_under_another_name_and_the_neighbour_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with asking() as web:
        teacher, joker, neighbour = [await browse(web, name) for name in ("Teacher", "Joker", "Neighbour")]
        assert await speaks(joker, "a")
        await teacher.say(type="command", line="/mute Joker yes", room="ops", label="b")
        await teacher.sees_label("b")
        cookie = cookie_of(joker.socket)
        await joker.socket.close()
        somebody = await browse(web, "Somebody", cookie)
        assert cookie_of(somebody.socket) == "", "a browser keeps its token"
        assert not await speaks(somebody, "c")
        assert await speaks(neighbour, "d") and cookie_of(neighbour.socket) not in ("", cookie)
        await somebody.socket.close()
        forged = await browse(web, "Else", cookie.partition("=")[0] + "=x")
        assert cookie_of(forged.socket), "no token of this server"
        for one in (teacher, neighbour, forged):
            await one.socket.close()
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("hubbub")]
    assert logged and not any(cookie.partition("=")[2] in line for line in logged)


@pytest.mark.parametrize(("proto", "secure"), [("http", False), ("https", True)])
async def test_token_is_for_the_server_alone(proto: str, secure: bool) -> None:
    async with asking(trust_proxy=["127.0.0.1"]) as web:
        talker = await web.talk(headers={"X-Forwarded-Proto": proto})
        assert talker.socket.response
        value, *attributes = talker.socket.response.headers["Set-Cookie"].split("; ")
        assert value.startswith(f"hubbub-{web.port}-browser=")
        assert {"Path=/", "HttpOnly", "SameSite=Strict"} < set(attributes)
        assert ("Secure" in attributes) is secure
        await talker.socket.close()
