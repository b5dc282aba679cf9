"""A client may stop in the middle of a conversation: a new one that gets its state as plain data goes on with the peer.

Both clients are in one process here, so that they can share the session and the connection. The first one is not used
any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from asking import Talker, Web, asking
from irc_peering import House, IrcPeer, irc_house
from serving import until
from test_irc_accounts import logged_in, town
from virtual_time import virtual_time
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from hubbub.chat.hub import Hub
from hubbub.chat.operations import waiting
from hubbub.chat.session import Session
from hubbub.serve.irc.protocol import IrcProtocol
from hubbub.serve.line.line_client import LineClient
from hubbub.serve.sockets.connection import Connection
from hubbub.serve.web.irc_client import MAX_MESSAGE, IrcWebSocketClient
from hubbub.serve.web.websocket_client import WebSocketClient
from hubbub.wire.web.requests import MAX_FRAME
from hubbub.wire.web.websocket import FrameReader
from irc_messages import ANY, fits


def move(connection: Connection, session: Session, new: Any) -> None:
    """Let a new client go on with the peer of a connection."""
    old: Any = connection.client
    state = old.state()
    assert state is not None
    new.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(state)), session)
    connection.hand_over(new)
    assert session.client is connection.client is new and old is not new


async def arrived(connection: Connection, count: int) -> None:
    """Wait until the server has read so many bytes of a peer."""
    for _ in range(count):
        await asyncio.sleep(0.01)


# --- nc ---------------------------------------------------------------------------------------------------------------


async def move_nc(house: House, peer: Any, nick: str) -> None:
    await arrived(peer.connection, 5)
    session = house.hub.nicks.find(nick).sessions[0]  # type: ignore[union-attr]
    move(peer.connection, session, LineClient(house.hub, house.settings, 0.0))


TYPED = "first ä🙂\x7f\r\n/topic tea\r\n/msg Bo psst\r\nlast\r\n".encode()


@pytest.mark.parametrize("at", [0, 3, 7, 9, 12, 15, 16, 20, len(TYPED) - 1, len(TYPED)])
@virtual_time
async def test_nc_goes_on_in_the_middle_of_a_line(at: int) -> None:
    async with irc_house() as house:
        bo = await house.nc("Bo", join="ops")
        ann = await house.connect("nc")
        ann.send(b"Ann\r\n/join ops\r\n")
        await ann.sync()
        await house.settle()
        ann.send(TYPED[:at])
        await move_nc(house, ann, "Ann")
        ann.send(TYPED[at:])
        await arrived(ann.connection, 20)
        seen = await bo.sync()
        assert [seen.count(text) for text in ("Ann: first ä\r\n", "Ann: first ä\n", "tea", "psst", "Ann: last")] == [
            0, 1, 1, 1, 1,
        ]  # fmt: skip
        bo.say("hi Ann")
        while b"Bo: hi Ann" not in ann.seen:
            await ann.more()
        assert b"Bo: hi Ann\r\n" in ann.seen, "it is written with the line ends of before"
        ann.send(b"/quit\n")
        await ann.ends()


@virtual_time
async def test_nc_that_has_no_name_yet_is_not_moved() -> None:
    async with irc_house() as house:
        peer = await house.connect("nc")
        assert peer.connection.client.state() is None
        peer.say("Ann")
        await peer.sync()
        assert peer.connection.client.state() is not None
        peer.say("/quit")
        await peer.ends()
        assert peer.connection.client.state() is None


def held_reads(hub: Hub) -> list[Callable[[], None]]:
    """Let the log answer when the test calls what is returned."""
    held: list[Callable[[], None]] = []
    read = hub.log.read
    hub.log.read = lambda query, done: held.append(lambda: read(query, done))  # type: ignore[method-assign]
    return held


@virtual_time
async def test_nc_goes_on_while_it_waits_for_an_answer_of_the_log() -> None:
    async with irc_house() as house:
        ann, bo = await house.nc("Ann", join="ops"), await house.nc("Bo", join="ops")
        ann.say("said before")
        await bo.sync()
        held = held_reads(house.hub)
        ann.say("/history 5", "said after")
        await move_nc(house, ann, "Ann")
        assert len(held) == 1 and b"said before" not in ann.seen
        held.pop()()
        assert "Ann: said before" in await ann.sync()
        assert "Ann: said after" in await bo.sync()


# --- IRC --------------------------------------------------------------------------------------------------------------


async def move_irc(house: House, peer: IrcPeer, nick: str) -> None:
    await arrived(peer.connection, 5)
    old: Any = peer.connection.client
    # In another process it would not be in these lists.
    house.network.clients.discard(old)
    for watched in old.monitored.values():
        house.network.unwatch(watched, old)
    move(peer.connection, old.session, IrcProtocol(house.hub, house.network, 0.0))


CAPS = ("batch", "draft/multiline", "labeled-response", "message-tags", "echo-message", "server-time", "away-notify")
SENT = (
    b"@label=a1 PRIVMSG #ops :first \xc3\xa4\r\nMONITOR + Zoe\r\nMARKREAD #ops timestamp=2020-01-01T00:00:00.000Z\r\n"
    b"@label=m1 BATCH +1 draft/multiline #ops\r\n"
    b"@batch=1 PRIVMSG #ops :two\r\n@batch=1 PRIVMSG #ops :lines\r\nBATCH -1\r\n"
)
ENDS = [index + 1 for index, byte in enumerate(SENT) if byte == 10]


@pytest.mark.parametrize("at", [0, 5, 30, 33, *ENDS[:4], ENDS[3] + 7, *ENDS[4:]])
@virtual_time
async def test_irc_client_goes_on_in_the_middle_of_a_command(at: int) -> None:
    async with irc_house() as house:
        ann = await house.irc("Ann", *CAPS, join="#ops")
        bo = await house.irc("Bo", join="#ops")
        ann.send(SENT[:at])
        await move_irc(house, ann, "Ann")
        ann.send(SENT[at:])
        came = await ann.sync()
        labelled = [one for one in came if one.tags.get("label") == "a1"]
        assert [one.verb for one in labelled] == ["PRIVMSG"] and "time" in labelled[0].tags
        assert [one.verb for one in came if one.tags.get("label") == "m1"] == ["BATCH"]
        said = [one.params[-1] for one in await bo.sync() if one.verb == "PRIVMSG"]
        assert said == ["first ä", "two", "lines"]
        await house.irc("Zoe")
        came = await ann.ask("MARKREAD #ops")
        assert any(fits(one, "730", "Ann") for one in came)
        assert any(fits(one, "MARKREAD", "#ops", "timestamp=2020-01-01T00:00:00.000Z") for one in came)
        bo.say("AWAY :gone")
        await bo.sync()
        assert any(fits(one, "AWAY", "gone") for one in await ann.sync()), "its capabilities are those of before"
        assert len(house.network.clients) == 3
        ann.say("QUIT :bye")
        assert any(fits(one, "QUIT", ANY) for one in await bo.ask("PING x") + await bo.sync())
        await ann.ends()


@virtual_time
async def test_irc_client_is_not_moved_before_registration_or_during_a_login() -> None:
    async with irc_house() as house:
        peer: IrcPeer = await house.connect("irc")
        peer.say("NICK Ann")
        await arrived(peer.connection, 5)
        client: Any = peer.connection.client
        assert client.state() is None
        await peer.register("Ann")
        assert client.state() is not None
        client.exchange = object()
        assert client.state() is None
        client.exchange, client.registering = None, ("Ann", "secret")  # it has no invitation yet
        assert client.state() is None


@virtual_time
async def test_irc_client_goes_on_while_it_waits_for_an_answer_of_the_log() -> None:
    async with irc_house() as house:
        ann = await house.irc("Ann", "batch", "draft/chathistory", join="#ops")
        ann.say("PRIVMSG #ops :said before")
        await ann.sync()
        held = held_reads(house.hub)
        ann.say("CHATHISTORY LATEST #ops * 5", "PRIVMSG #ops :said after")
        await move_irc(house, ann, "Ann")
        assert len(held) == 1
        held.pop()()
        came = await ann.sync()
        assert [one.params[-1] for one in came if one.verb == "PRIVMSG"] == ["said before"]
        ann.say("CHATHISTORY LATEST #ops * 5")
        await arrived(ann.connection, 5)
        held.pop()()
        assert [one.params[-1] for one in await ann.sync() if one.verb == "PRIVMSG"] == ["said before", "said after"]


@virtual_time
async def test_irc_client_goes_on_in_the_middle_of_a_labelled_answer() -> None:
    async with irc_house() as house:
        ann = await house.irc("Ann", "batch", "labeled-response", "draft/chathistory", join="#ops")
        ann.say("PRIVMSG #ops :said before")
        await ann.sync()
        held = held_reads(house.hub)
        ann.say("@label=c1 CHATHISTORY LATEST #ops * 5", "@label=p1 PING after")
        await move_irc(house, ann, "Ann")
        assert len(held) == 1
        held.pop()()
        came = await ann.sync()
        assert [one.verb for one in came if one.tags.get("label") == "c1"] == ["BATCH"]
        assert [one.params[-1] for one in came if one.verb == "PRIVMSG"] == ["said before"]
        assert [one.verb for one in came if one.tags.get("label") == "p1"] == ["PONG"]


def held_opens(hub: Hub) -> list[Callable[[], None]]:
    """Let the log open rooms when the test calls what is returned."""
    held: list[Callable[[], None]] = []
    open = hub.log.open
    hub.log.open = lambda *args: held.append(lambda: open(*args))  # type: ignore[method-assign]
    return held


CAPS_OF_ANSWERS = ("batch", "labeled-response")


@virtual_time
async def test_irc_client_goes_on_in_another_process_between_the_channels_of_a_join() -> None:
    async with irc_house() as first, irc_house() as second:
        one, other = [await house.irc("Ann", *CAPS_OF_ANSWERS) for house in (first, second)]
        held = held_opens(first.hub)
        one.say("@label=j1 JOIN #tea,#ops")
        await arrived(one.connection, 5)
        old: Any = one.connection.client
        state, waits = old.state(), waiting.state(old.session)
        assert len(held) == 1 and state and waits and state["continuation"]
        state, waits = msgspec.msgpack.decode(msgspec.msgpack.encode((state, waits)))
        session = other.connection.client.session
        second.network.clients.discard(other.connection.client)  # type: ignore[arg-type]
        new = IrcProtocol(second.hub, second.network, 0.0)
        new.restore(state, session)
        other.connection.hand_over(new)
        waiting.restore(session, waits)
        held.pop()()
        first.hub.log.open = type(first.hub.log).open.__get__(first.hub.log)  # type: ignore[method-assign]
        seen = [await peer.sync() for peer in (one, other)]
        assert seen[0] == seen[1] and [line.params[0] for line in seen[1] if line.verb == "JOIN"] == ["#tea", "#ops"]
        assert [line.verb for line in seen[1] if line.tags.get("label") == "j1"] == ["BATCH"]


@virtual_time
async def test_no_key_of_a_channel_is_written_down() -> None:
    async with irc_house() as house:
        ann = await house.irc("Ann")
        held_opens(house.hub)
        ann.say("JOIN #tea,#ops x,secret")
        await arrived(ann.connection, 5)
        assert ann.connection.client.continuation and ann.connection.client.state() is None


@virtual_time
async def test_irc_client_goes_on_while_its_account_is_changed() -> None:
    async with irc_house() as first, irc_house() as second:
        accounts = [town(house, "Ann") for house in (first, second)]
        one, other = [await logged_in(house, "Ann") for house in (first, second)]
        accounts[0].asked = []  # no answer comes
        one.say("NS SET STAY on")
        await arrived(one.connection, 5)
        session = one.connection.client.session
        written = waiting.state(session)
        assert session.pending and written
        waiting.restore(other.connection.client.session, msgspec.msgpack.decode(msgspec.msgpack.encode(written)))
        assert (await other.awaits("NOTICE", "Ann", ANY)).params[-1] == "STAY is on."
        account = accounts[1].find("Ann")
        assert account and account.stays


@pytest.mark.parametrize("line", ["SET PASSWORD secret2", "CODE"])
@virtual_time
async def test_no_secret_of_an_account_is_written_down(line: str) -> None:
    async with irc_house() as house:
        accounts = town(house, "Ann")
        ann = await logged_in(house, "Ann")
        accounts.asked = []
        ann.say(f"NS {line}")
        await arrived(ann.connection, 5)
        session = ann.connection.client.session
        assert session.pending and waiting.state(session) is None and ann.connection.client.state() is None


# --- the WebSocket ----------------------------------------------------------------------------------------------------


def move_talker(web: Web, nick: str) -> WebSocketClient:
    session = web.house.hub.nicks.find(nick).sessions[0]  # type: ignore[union-attr]
    old: Any = session.client
    reader = FrameReader(MAX_FRAME, logging.getLogger("test"))
    new = WebSocketClient(web.house.hub, old._settings, old._tokens, reader, 0.0, old._visitor)
    move(old._connection, session, new)
    return new


def frame(opcode: Opcode, data: str, fin: bool = True) -> bytes:
    return Frame(opcode, data.encode(), fin).serialize(mask=True)


SAY = json.dumps({"type": "say", "room": "lobby", "text": "first ä", "label": "a1"}, ensure_ascii=False)
FRAMES = frame(Opcode.TEXT, SAY[:20], False) + frame(Opcode.PING, "x") + frame(Opcode.CONT, SAY[20:])


@pytest.mark.parametrize("at", [0, 1, 10, 27, 28, 36, 40, len(FRAMES) - 1, len(FRAMES)])
async def test_websocket_goes_on_in_the_middle_of_a_frame(at: int) -> None:
    async with asking() as web:
        ann, bo = await web.talk("Ann"), await web.talk("Bo")
        client: Any = web.house.hub.nicks.find("Ann").sessions[0].client  # type: ignore[union-attr]
        fed: list[bytes] = []
        feed = client._reader.feed
        client._reader.feed = lambda data: (fed.append(data), feed(data))
        ann.socket.transport.write(FRAMES[:at])
        await until(lambda: len(b"".join(fed)) == at and client.state() is not None)
        new = move_talker(web, "Ann")
        ann.socket.transport.write(FRAMES[at:])
        assert (await ann.sees("stored", label="a1"))["room"] == "lobby"
        entries = await sees_text(bo, "first ä")
        assert entries["nick"] == "Ann"
        # The session can be continued in another connection as before.
        again = await web.talk()
        welcome = await again.hello(name="Ann", resume=ann.welcome["resume"])
        assert welcome["nick"] == "Ann" and new._replaced


async def test_websocket_goes_on_while_a_request_is_answered() -> None:
    async with asking() as web:
        ann = await web.talk("Ann")
        held = held_reads(web.house.hub)
        await ann.say(type="rooms", label="r1")
        await until(lambda: bool(held))
        move_talker(web, "Ann")
        held.pop()()
        assert (await ann.sees_label("r1"))["type"] == "rooms"
        await ann.say(type="command", line="/time", label="r2")
        assert (await ann.sees("done"))["label"] == "r2"


async def sees_text(talker: Talker, text: str) -> dict[str, Any]:
    while True:
        found = [one for one in (await talker.sees("entries"))["entries"] if one.get("text") == text]
        if found:
            return found[0]


async def test_websocket_is_not_moved_before_its_hello() -> None:
    async with asking() as web:
        await web.talk()
        (connection,) = [one for one in web.connections if isinstance(one.client, WebSocketClient)]
        assert connection.client.state() is None


# --- IRC over a WebSocket ---------------------------------------------------------------------------------------------

LINE = frame(Opcode.BINARY, "PRIVMSG #lobby :fir", False) + frame(Opcode.CONT, "st ä")


@pytest.mark.parametrize("at", [0, 1, 12, 25, 26, 30, len(LINE)])
async def test_irc_over_a_websocket_goes_on_in_the_middle_of_a_frame(at: int) -> None:
    binary = Subprotocol("binary.ircv3.net")
    async with asking() as web:
        bo = await web.talk("Bo")
        async with connect(f"ws://127.0.0.1:{web.port}/irc", subprotocols=[binary], ping_interval=None) as ann:
            for line in ("NICK Ann", "USER x 0 * :x", "JOIN #lobby"):
                await ann.send(line)
            while b" 366 " not in await ann.recv():  # type: ignore[operator]
                pass
            session = web.house.hub.nicks.find("Ann").sessions[0]  # type: ignore[union-attr]
            client: Any = session.client
            fed: list[bytes] = []
            feed = client._frames.feed
            client._frames.feed = lambda data: (fed.append(data), feed(data))
            ann.transport.write(LINE[:at])
            await until(lambda: len(b"".join(fed)) == at and client.state() is not None)
            client.network.clients.discard(client)
            reader = FrameReader(MAX_MESSAGE, logging.getLogger("test"))
            new = IrcWebSocketClient(web.house.hub, client.network, reader, Opcode.TEXT, 0.0)
            move(client._socket, session, new)
            ann.transport.write(LINE[at:])
            assert (await sees_text(bo, "first ä"))["nick"] == "Ann"
            await bo.say(type="say", room="lobby", text="hi Ann")
            while b"hi Ann" not in (data := await ann.recv()):  # type: ignore[operator]
                pass
            assert isinstance(data, bytes), "it gets the kind of messages of before"
