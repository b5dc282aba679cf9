"""IRC over a WebSocket at /irc: one line a message, and everything else as on an IRC connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from asking import Web, asking
from housing import housing
from serving import SECONDS, until
from test_probe import vanish
from test_standstill import web_socket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from hubbub.serve import probe
from hubbub.serve.web.irc_client import MAX_MESSAGE, OPCODES

TEXT, BINARY = OPCODES


class Chatter:
    """A browser's IRC client."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, *lines: str | bytes) -> None:
        for line in lines:
            await self.socket.send(line)

    async def sees(self, words: str) -> str:
        """Return the next line that contains these words."""
        async with asyncio.timeout(SECONDS):
            while words not in (line := await self.line()):
                pass
            return line

    async def line(self) -> str:
        data = await self.socket.recv()
        line = data if isinstance(data, str) else data.decode()
        assert isinstance(data, bytes) == (self.socket.subprotocol == BINARY)
        assert line and not set(line) & set("\r\n\0")
        return line

    async def closed(self) -> int | None:
        """Return the code of the close frame, which comes before the end of the connection."""
        async with asyncio.timeout(SECONDS):
            with suppress(ConnectionClosed):
                while True:
                    await self.line()
            await self.socket.wait_closed()
        return self.socket.close_code


@asynccontextmanager
async def chatting(web: Web, *subprotocols: str, nick: str = "", **headers: str) -> AsyncIterator[Chatter]:
    """Yield a client; with a nick, it is in #lobby."""
    names = [Subprotocol(name) for name in subprotocols or (TEXT,)]
    url = f"ws://127.0.0.1:{web.port}/irc"
    async with connect(url, subprotocols=names, additional_headers=headers, ping_interval=None) as socket:
        chatter = Chatter(socket)
        if nick:
            await chatter.say(f"NICK {nick}", "USER x 0 * :x", "JOIN #lobby")
            await chatter.sees(" 366 ")
        yield chatter


@pytest.mark.parametrize(
    ("offered", "chosen"), [((TEXT,), TEXT), ((BINARY,), BINARY), ((TEXT, BINARY), TEXT), ((BINARY, TEXT), BINARY)]
)
async def test_browsers_irc_clients_and_all_others_talk_to_each_other(offered: tuple[str, ...], chosen: str) -> None:
    async with asking() as web, chatting(web, *offered, nick="Kim") as kim:
        assert kim.socket.subprotocol == chosen
        al = await web.join("Al")
        assert await kim.sees(" JOIN ") == ":Al!~nc@" + web.house.cloaks.cloak("127.0.0.1") + ".nc JOIN #lobby"
        al.send("grüß dich\nand\n")
        assert (await kim.sees("PRIVMSG")).endswith("PRIVMSG #lobby :grüß dich")
        assert (await kim.sees("PRIVMSG")).endswith("PRIVMSG #lobby :and")
        await kim.say("PRIVMSG #lobby :hello", b"PRIVMSG Al psst")
        await al.sees(b"Kim: hello\n")
        await al.sees(b"psst")
        assert web.count("irc") == 1


async def test_without_a_known_subprotocol_messages_are_text() -> None:
    async with asking() as web, chatting(web, "x.example", nick="Kim") as kim:
        assert kim.socket.subprotocol is None


@pytest.mark.parametrize("line", ["PING a\r\n", "PING a\n", "NICK Kim\r\nPING a", "\n\nPING a"])
async def test_line_ends_in_a_message_do_no_harm(line: str) -> None:
    async with asking() as web, chatting(web) as kim:
        await kim.say(line)
        await kim.sees("PONG hubbub.local a")
        await kim.say("", b"", "PING b")
        await kim.sees("PONG hubbub.local b")


async def test_limits_and_encodings_are_those_of_irc() -> None:
    async with asking() as web, chatting(web, nick="Kim") as kim:
        await kim.say("PRIVMSG #lobby :" + "x" * 494)
        await kim.say("PRIVMSG #lobby :" + "x" * 495)
        await kim.sees(" 417 ")
        await kim.say("x" * MAX_MESSAGE)
        await kim.sees(" 417 ")
        await kim.say(b"PRIVMSG #lobby :caf\xe9")
        await kim.sees("FAIL PRIVMSG INVALID_UTF8")
        await kim.say("PING still")
        await kim.sees("still")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (Frame(Opcode.TEXT, b"\xff"), 1007),
        (Frame(Opcode.TEXT, b"x" * (MAX_MESSAGE + 1)), 1009),
        (Frame(Opcode.CLOSE, b"\x03\xe8"), 1000),
    ],
    ids=["not UTF-8", "far too long", "close"],
)
async def test_close_and_broken_frames_make_the_user_leave(data: Frame, code: int) -> None:
    async with asking() as web, chatting(web, nick="Kim") as kim:
        al = await web.join("Al")
        said = Frame(Opcode.TEXT, b"PRIVMSG #lobby :last words").serialize(mask=True)
        kim.socket.transport.write(said + data.serialize(mask=True))
        await al.sees(b"Kim: last words\n")
        await al.sees(b"Kim has left")
        assert await kim.closed() == code


async def test_end_has_an_error_and_a_code() -> None:
    async with asking() as web, chatting(web, nick="Quits") as quits, chatting(web, nick="Stays") as stays:
        await quits.say("QUIT :bye")
        await quits.sees("ERROR :Closing Link: ")
        assert await quits.closed() == 1000
        await stays.sees("QUIT :Quit: bye")
        for connection in list(web.connections):
            connection.client.shut_down()
        await stays.sees("ERROR :The server is shutting down")
        assert await stays.closed() == 1001


async def test_pings_of_the_websocket_are_answered_even_late() -> None:
    async with asking() as web, chatting(web, nick="Kim") as kim:
        await (await kim.socket.ping())
        (connection,) = web.connections
        connection.client.pause()
        pong = await kim.socket.ping()
        await until(lambda: connection.client._frames._pong)  # type: ignore[attr-defined]
        assert not pong.done()
        connection.client.resume()
        await pong


async def test_any_input_answers_an_irc_ping() -> None:
    async with asking() as web, chatting(web, nick="Kim") as kim:
        (connection,) = web.connections
        client: Any = connection.client
        assert client.ask_sign_of_life()
        await kim.sees("PING")
        client._pinged = True
        await (await kim.socket.ping())
        assert not client._pinged


async def test_client_that_does_not_read_misses_nothing() -> None:
    async with asking(no_limits=True, buffer=16384) as web, chatting(web, nick="Kim") as kim:
        kim.socket.transport.pause_reading()
        al = await web.join("Al")
        (session,) = web.house.hub.nicks.find("Kim").sessions  # type: ignore[union-attr]
        sent = 0
        while not session.paused:
            al.send("".join(f"{number} {'x' * 450}\n" for number in range(sent, sent + 100)) + "/time\n")
            sent += 100
            await al.sees(b" UTC ***\n")
        kim.socket.transport.resume_reading()
        for number in range(sent):
            assert f"#lobby :{number} xxx" in await kim.sees("PRIVMSG")


async def test_foreign_pages_are_refused_and_a_plain_request_is_told_what_this_is() -> None:
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
    handshake = {"Connection": "Upgrade", "Upgrade": "websocket", **key}
    async with asking() as web:
        assert (await web.ask("GET", "/irc", Origin="https://evil.example", **handshake)).status == 403
        assert (await web.ask("GET", "/irc", Origin="http://localhost", **handshake)).status == 101
        assert (await web.ask("GET", "/irc")).status == 426


async def test_pages_of_a_site_that_the_settings_name_may_connect() -> None:
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
    page = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_Fetch_Site": "cross-site", **key}
    async with asking(irc_origin=["https://Web.example/"]) as web:
        assert (await web.ask("GET", "/irc", Origin="https://web.example", **page)).status == 101
        assert (await web.ask("GET", "/irc", Origin="https://web.example.evil", **page)).status == 403
        assert (await web.ask("GET", "/irc", **page)).status == 403
        assert (await web.ask("GET", "/ws", Origin="https://web.example", **page)).status == 403


async def test_behind_a_proxy_the_clients_own_address_counts() -> None:
    async with asking(trust_proxy=["127.0.0.1"]) as web:
        async with chatting(web, nick="Kim", **{"X-Forwarded-For": "192.0.2.7"}) as kim:
            await kim.say("WHOIS Kim")
            assert web.house.cloaks.cloak("192.0.2.7") + ".irc" in await kim.sees(" 311 ")


async def test_name_of_a_client_that_has_vanished_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 1.5)
    async with housing(tmp_path / "data", ephemeral=True) as serving:
        witness = await serving.join("Witness")
        ghost = await web_socket(serving, "", path="/irc")
        for line in (b"NICK Kim", b"USER x 0 * :x", b"JOIN #lobby"):
            ghost.send(Frame(Opcode.TEXT, line).serialize(mask=True))
        await ghost.skips_to(b" 366 ")
        vanish(ghost)
        again = await serving.connect()
        again.send(b"Kim\nhello again\n")
        await witness.skips_to(b"Kim: hello again\n")
