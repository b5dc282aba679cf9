"""What a peer speaks is seen from its first line, at once or late; nobody is let in who greets another server."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from housing import PROMPT, Client, Serving, housing
from serving import until

from hubbub.serve.accept import dispatcher, sniffer
from hubbub.text.refusals import NOT_SPOKEN
from hubbub.wire.sniff import Wire
from hubbub.wire.ssh import refusal

First = TypeVar("First")

REGISTRATION = b"NICK joe\r\nUSER joe 0 * :Joe X\r\n"
IRC = [
    REGISTRATION,
    b"CAP LS 302\r\nCAP END\r\n" + REGISTRATION,
    b"PASS \r\n" + REGISTRATION,
    b"PASS\r\n" + REGISTRATION,
    b"pass x\r\n" + REGISTRATION.lower(),
    b"CAP\r\n" + REGISTRATION,
    b"NICK\r\n" + REGISTRATION,
    b"STARTTLS\r\n" + REGISTRATION,
    b"PING :x\r\n" + REGISTRATION,
    b"JOIN #lobby\r\n" + REGISTRATION,
    b":joe " + REGISTRATION,
    b"\r\n" + REGISTRATION,
    b"nick joe\r\nuser joe 0 * :Joe\r\n",
]
GREETINGS = [
    b"EHLO there\r\nMAIL FROM:<a@b>\r\nDATA\r\nhi\r\n",
    b"HELO there\r\nQUIT\r\n",
    b"EHLO\r\n",
    b"HELP\r\n",
    b"HELP\r\nHELP\r\n",
    b"STATS\r\nquit\r\n",
    b"version\r\nquit\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"GET /\r\n\r\n",
    b"HEAD\r\nx\r\n",
    b"a001 CAPABILITY\r\na002 LOGOUT\r\n",
    b"\x10\x16\0\x04MQTT\x04\x02\0\x3c\0\x0aDIGI0001DF",
    b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
    b"\0\0\0\x85\xffSMBr",
    b"\x01default\n",
]


@asynccontextmanager
async def serving(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Serving, Client]]:
    """Serve, with somebody in the lobby."""
    async with housing(tmp_path / "data", **{"ephemeral": True, "idle_timeout": 0, **settings}) as server:
        yield server, await server.join("Witness")


def trusting(*protocols: str) -> ssl.SSLContext:
    """Return a client's context that takes any certificate, and asks for these protocols."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def comes(server: Serving, late: bool, encrypted: bool = False) -> Client:
    """Return a new peer; a late one was shown the prompt."""
    client = await server.connect(**({"ssl": trusting()} if encrypted else {}))
    if late:
        assert await client.skips_to(PROMPT) == b""
    return client


async def come(
    server: Serving, firsts: Sequence[First], late: bool, encrypted: bool
) -> AsyncIterator[tuple[Client, First]]:
    """Yield a new peer for each of `firsts`; late ones were shown the prompt, all at the same time.

    The others come one by one, because a peer that waits for its turn is shown the prompt meanwhile.
    """
    waiting = await asyncio.gather(*(comes(server, late, encrypted) for _ in firsts if late))
    for index, first in enumerate(firsts):
        yield waiting[index] if late else await comes(server, late, encrypted), first


async def seen_by(witness: Client) -> bytes:
    witness.send(b"/nick Marker\n")
    before = await witness.skips_to(b"*** You are Marker now ***\n")
    witness.send(b"/nick Witness\n")
    await witness.skips_to(b"*** You are Witness now ***\n")
    return before


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
async def test_an_irc_client_is_let_in_whatever_it_says_first(tmp_path: Path, late: bool, encrypted: bool) -> None:
    async with serving(tmp_path, tls="self-signed") as (server, witness):
        async for client, first in come(server, IRC, late, encrypted):
            client.send(first)
            await client.skips_to(b" 001 joe ")
            client.send(b"QUIT\r\n")
            await client.rest()
        assert await seen_by(witness) == b""


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
async def test_what_is_not_spoken_gets_a_sentence_and_the_end(tmp_path: Path, late: bool, encrypted: bool) -> None:
    async with serving(tmp_path, tls="self-signed") as (server, witness):
        async for client, first in come(server, GREETINGS, late, encrypted):
            client.send(first)
            assert await client.rest() == f"{NOT_SPOKEN().text}\n".encode(), first
        assert await seen_by(witness) == b""
        assert server.house.front.admission.turned_away == (0 if encrypted else len(GREETINGS))


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
async def test_what_looks_like_http_is_refused_as_http(tmp_path: Path, late: bool, encrypted: bool) -> None:
    async with serving(tmp_path, tls="self-signed") as (server, witness):
        requests = (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"OPTIONS sip:nm SIP/2.0\r\n\r\n",
            b"OPTIONS / RTSP/1.0\r\n\r\n",
        )
        async for client, first in come(server, requests, late, encrypted):
            client.send(first)
            assert re.match(rb"HTTP/1\.[01] 4", await client.rest())
        client = await comes(server, late, encrypted)
        client.send(b"WEBIRC pass gateway host 192.0.2.1\r\n" + REGISTRATION)
        assert (await client.rest()).startswith(b"ERROR :")
        assert await seen_by(witness) == b""


async def test_a_person_who_types_such_a_word_is_asked_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, witness):
        client = await comes(server, late=True)
        for word in ("help", "stats", "ehlo", "Get"):
            client.send(f"{word}\n".encode())
            assert b"is reserved" in await client.skips_to(PROMPT)
        client.send(b"Hella\n")
        await witness.skips_to(b"*** Hella has joined the chat ***\n")


async def test_a_person_may_be_called_like_a_command(tmp_path: Path) -> None:
    names = ("Nick", "Cap", "Ping", "Pat", "join")
    async with serving(tmp_path) as (server, witness):
        async for client, name in come(server, names, True, False):
            client.send(f"{name}\n".encode())
            await witness.skips_to(f"*** {name} has joined the chat ***\n".encode())


async def test_a_pipe_may_come_from_somebody_called_nick(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, witness):
        client = await comes(server, late=False)
        client.send(b"Nick\nhello\n")
        await witness.skips_to(b"*** Nick has joined the chat ***\nNick: hello\n")


async def test_a_person_who_types_an_empty_line_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, witness):
        client = await comes(server, late=True)
        client.send(b"\n")
        await client.skips_to(PROMPT)
        client.send(b"Ann\n")
        await witness.skips_to(b"*** Ann has joined the chat ***\n")


async def test_a_name_that_is_typed_key_by_key_is_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, witness):
        client = await comes(server, late=True)
        for key in b"NIKC\x08\x7fCK\x7f\x7fLAS\r\n":
            client.send(bytes([key]))
            await asyncio.sleep(0)
        await witness.skips_to(b"*** NILAS has joined the chat ***\n")


REQUEST = b"GET /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
POST = b"POST /api/v1/rooms/lobby/messages?name=ci HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_a_request_that_comes_a_little_late_is_answered_like_one_that_comes_at_once(
    tmp_path: Path, encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a tunnel its first bytes come a journey after the connection, and a lost packet takes as long."""
    monkeypatch.setattr(sniffer, "PATIENCE", 60.0)
    monkeypatch.setattr(sniffer, "MAX_PATIENCE", 60.0)
    async with housing(tmp_path / "data", ephemeral=True, tls="self-signed") as server:
        client = await comes(server, False, encrypted)
        await until(lambda: server.house.front.dispatcher.arrivals)
        for piece in (b"G", REQUEST[1:9], REQUEST[9:]):
            await asyncio.sleep(0.1)
            client.send(piece)
        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_prompt_waits_for_some_round_trips() -> None:
    """A quarter of a second, and four round trips; of a tunnel the kernel knows the near end only."""
    wait = sniffer.PATIENCE + sniffer.ROUND_TRIPS * sniffer.HIDDEN_TRIP
    assert 0.5 <= wait <= 1.0
    assert waits_for(rtt=0.0) == waits_for(rtt=0.001) == wait
    assert waits_for(rtt=0.3) == pytest.approx(sniffer.PATIENCE + 1.2)
    assert waits_for(rtt=5.0) == sniffer.MAX_PATIENCE


def waits_for(rtt: float) -> float:
    class Socket:
        def getsockopt(self, *_: int) -> bytes:
            return bytes(68) + int(rtt * 1e6).to_bytes(4, "little")

    class Dispatcher:
        def seconds_from_browser(self, _: object) -> float:
            return math.inf

    anything: Any = None
    peer = sniffer.Sniffer(Dispatcher(), anything, Socket(), False)  # type: ignore[arg-type]
    return peer._patience()


async def test_the_prompt_waits_longest_for_further_connections_of_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens them ahead, and does not understand the prompt."""
    async with serving(tmp_path) as (server, _):
        program = await server.connect()
        program.send(REQUEST)
        await program.rest()
        front = server.house.front.dispatcher
        assert front.seconds_from_browser(dispatcher.Caller((), "127.0.0.1", front.shared.clock())) == math.inf
        browser = await server.connect()
        browser.send(REQUEST.replace(b"Connection", b"User-Agent: Mozilla/5.0 (X11)\r\nConnection"))
        assert (await browser.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
        monkeypatch.setattr(sniffer, "PATIENCE", 0.0)
        monkeypatch.setattr(sniffer, "ROUND_TRIPS", 0)
        waiting = server.house.front.dispatcher.arrivals
        monkeypatch.setattr(sniffer, "BROWSING", 3600.0)
        for together, patience in ((0.0, sniffer.MAX_PATIENCE), (3600.0, front.shared.settings.name_timeout)):
            monkeypatch.setattr(sniffer, "TOGETHER", together)
            ahead = await server.connect()
            await until(lambda: waiting)
            assert [one._patience() for one in waiting] == [patience]
            ahead.send(REQUEST)
            assert (await ahead.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
        monkeypatch.setattr(sniffer, "BROWSING", 0.0)
        monkeypatch.setattr(sniffer, "TOGETHER", 0.0)
        await comes(server, late=True)


async def test_person_near_browsers_is_sent_the_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniffer, "BROWSING", 3600.0)
    monkeypatch.setattr(sniffer, "MAX_PATIENCE", 0.0)
    async with serving(tmp_path) as (server, _):
        front = server.house.front.dispatcher
        front.note_browser(dispatcher.Caller((), "127.0.0.1", front.shared.clock() - 2 * sniffer.TOGETHER))
        await comes(server, late=True)


async def test_connection_that_a_browser_opens_with_its_first_one_is_sent_no_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sniffer, "PATIENCE", 60.0)
    monkeypatch.setattr(sniffer, "BROWSING", 3600.0)
    monkeypatch.setattr(sniffer, "TOGETHER", 3600.0)
    async with serving(tmp_path) as (server, _):
        front = server.house.front.dispatcher
        ahead, browser = await server.connect(), await server.connect()
        await until(lambda: len(front.arrivals) == 2)
        browser.send(REQUEST.replace(b"Connection", b"User-Agent: Mozilla/5.0 (X11)\r\nConnection"))
        assert (await browser.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
        (waiting,) = front.arrivals
        waiting.on_timer()  # type: ignore[attr-defined]
        ahead.send(REQUEST)
        assert (await ahead.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
        late = await server.connect()
        await until(lambda: len(front.arrivals) == 1)
        (waiting,) = front.arrivals
        waiting._caller.since -= front.shared.settings.name_timeout  # type: ignore[attr-defined]
        waiting.on_timer()  # type: ignore[attr-defined]
        assert await late.rest() == b"", "Chromium would send a request behind the prompt"


async def test_a_later_connection_of_a_browser_does_not_hide_an_earlier_one(tmp_path: Path) -> None:
    """The one that it opened with the earlier one is still not sent the prompt."""
    async with serving(tmp_path) as (server, _):
        front = server.house.front.dispatcher
        ahead = dispatcher.Caller((), "192.0.2.1", 100.1)
        assert front.seconds_from_browser(ahead) == math.inf
        for since in (100.0, 101.0, 105.0):
            front.note_browser(dispatcher.Caller((), "192.0.2.1", since))
        assert front.seconds_from_browser(ahead) == pytest.approx(0.1)
        for _ in range(dispatcher.BROWSER_CONNECTIONS):
            front.note_browser(dispatcher.Caller((), "192.0.2.1", 200.0))
        assert front.seconds_from_browser(ahead) == pytest.approx(99.9)


async def test_request_that_came_while_the_server_stood_still_is_answered_without_a_prompt(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, _):
        front = server.house.front.dispatcher
        browser = await server.connect()
        await until(lambda: len(front.arrivals) == 1)
        (waiting,) = front.arrivals
        browser.send(REQUEST)
        waiting.on_timer()  # type: ignore[attr-defined]
        assert (await browser.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_socket_is_closed_if_the_server_stops_before_its_wire_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopping:
        def create_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            task = asyncio.get_running_loop().create_task(work)
            task.cancel()
            return task

    async with serving(tmp_path) as (server, _):
        front = server.house.front.dispatcher
        monkeypatch.setattr(front, "_tasks", Stopping())
        ours, theirs = socket.socketpair()
        with theirs:
            front.dispatch(Wire.LINE, ours, dispatcher.Caller((), "10.0.0.1", front.shared.clock()))
            await until(lambda: ours.fileno() < 0)


async def test_addresses_of_browsers_are_forgotten_when_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "BROWSERS", 2)
    async with serving(tmp_path) as (server, _):
        front = server.house.front.dispatcher
        callers = [dispatcher.Caller((), f"10.0.0.{at}", front.shared.clock()) for at in range(3)]
        for caller in callers:
            front.note_browser(caller)
        assert [front.seconds_from_browser(caller) for caller in callers] == [math.inf, 0.0, 0.0]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_a_request_behind_the_prompt_is_done_if_it_changes_nothing(tmp_path: Path, encrypted: bool) -> None:
    """The client cannot understand the answer, so it must not believe that what was done was not."""
    async with serving(tmp_path, tls="self-signed") as (server, witness):
        client = await comes(server, True, encrypted)
        client.send(REQUEST)
        assert re.match(rb'HTTP/1\.1 200 OK\r\n(?s:.*)"name":"lobby"', await client.rest())
        client = await comes(server, True, encrypted)
        client.send(POST)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert await seen_by(witness) == b""


async def test_a_tls_hello_behind_the_prompt_is_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, tls="self-signed") as (server, _):
        client = await comes(server, True)
        client.send(b"\x16\x03\x01\x02\x00\x01")
        assert await client.rest() == b""


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize("first", [REQUEST, REGISTRATION + b"JOIN #lobby\r\n", b"Pia\n"], ids=["http", "irc", "line"])
async def test_a_balancer_may_speak_late(tmp_path: Path, late: bool, first: bytes) -> None:
    async with serving(tmp_path, trust_proxy=["127.0.0.0/8"]) as (server, witness):
        client = await comes(server, late)
        client.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 8888\r\n" + first)
        if first is REQUEST:
            assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
        else:
            joined = await witness.skips_to(b" has joined the chat ***\n")
            assert joined in (b"*** Pia", b"*** joe")


# --- TLS ---------------------------------------------------------------------------------------------------------


def client_hello(*protocols: str) -> bytes:
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        trusting(*protocols).wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "tls:127.0.0.1:0"])
async def test_a_protocol_that_is_not_spoken_inside_is_refused_by_an_alert(tmp_path: Path, listen: str) -> None:
    async with housing(tmp_path / "data", ephemeral=True, tls="self-signed", listen=[listen]) as server:
        client = await server.connect()
        client.send(client_hello("h2", "foo"))
        assert await client.rest() == b"\x15\x03\x03\x00\x02\x02\x78"
        for protocols, first, answer in (
            (["h2", "http/1.1"], REQUEST, b"HTTP/1.1 200 OK"),
            (["irc"], REGISTRATION, b" 001 joe "),
            ([], b"Ann\n/time\n", PROMPT),
        ):
            client = await server.connect(ssl=trusting(*protocols))
            client.send(first)
            await client.skips_to(answer)


async def test_half_a_hello_is_no_handshake(tmp_path: Path) -> None:
    """It would cost a hundred kilobytes."""
    async with serving(tmp_path, tls="self-signed", name_timeout=1) as (server, witness):
        data = client_hello()
        halves = [await server.connect() for _ in range(20)]
        for client in halves:
            client.send(data[:-1])
        await until(lambda: len(server.house.front.dispatcher.arrivals) == 20)
        assert not server.house.front.dispatcher.handshakes
        halves.pop().send(data[-1:])
        await until(lambda: server.house.front.dispatcher.handshakes)
        for client in halves:
            assert await client.rest() == b""
        assert await seen_by(witness) == b""


async def test_unfinished_handshakes_of_one_address_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "HANDSHAKES", 3)
    async with housing(tmp_path / "data", ephemeral=True, tls="self-signed") as server:
        half = [await server.connect() for _ in range(3)]
        for client in half:
            client.send(client_hello())
            await client.skips_to(b"\x16\x03")  # the server's part, which is never answered
        refused = await server.connect()
        refused.send(client_hello())
        assert await refused.rest() == b""
        other = await server.connect(local_addr=("127.0.0.2", 0))
        other.send(client_hello())
        await other.skips_to(b"\x16\x03")
        for client in half:
            client.close()
        await until(lambda: server.house.front.dispatcher.encrypting.total() == 1)
        await (await comes(server, False, encrypted=True)).skips_to(PROMPT)


# --- many from one address ---------------------------------------------------------------------------------------


async def test_new_connections_from_one_address_are_refused_with_a_sentence(tmp_path: Path) -> None:
    async with housing(tmp_path / "data", ephemeral=True, address_connections=3) as server:
        for number in range(3):
            client = await server.connect()
            client.send(f"Ann{number}\n/quit\n".encode())
            await client.rest()
        client = await server.connect()
        client.send(b"Ann\n/quit\n")
        sentence = rb"There are too many new connections from your address; try again in [1-5] s\.\n"
        assert re.fullmatch(sentence, await client.rest())
        other = await server.connect(local_addr=("127.0.0.2", 0))
        await other.skips_to(PROMPT)


async def test_a_balancers_clients_are_counted_for_themselves(tmp_path: Path) -> None:
    async with housing(tmp_path / "data", ephemeral=True, address_connections=2, trust_proxy=["127.0.0.1"]) as server:
        for number in range(6):
            client = await server.connect()
            client.send(f"PROXY TCP4 192.0.2.{number // 2} 127.0.0.1 5555 8888\r\nAnn\n/quit\n".encode())
            assert await client.rest() == PROMPT
        client = await server.connect()
        client.send(b"PROXY TCP4 192.0.2.0 127.0.0.1 5555 8888\r\nAnn\n/quit\n")
        assert b"too many new connections" in await client.rest()


async def test_networks_of_ipv6_are_counted_together(tmp_path: Path) -> None:
    """Eight households of one /56 do not fill the house."""
    async with housing(tmp_path / "data", ephemeral=True, max_per_address=2, trust_proxy=["127.0.0.1"]) as server:
        answers = []
        for number in range(16):
            client = await server.connect()
            client.send(f"PROXY TCP6 2001:db8:0:{number // 2:x}::{number} ::1 5555 8888\r\n\n".encode())
            answers.append(await client.skips_to(b"." if number >= 8 else PROMPT))
        assert answers[8:] == [b"There are too many connections from your address"] * 8
        client = await server.connect()
        client.send(b"PROXY TCP6 2001:db8:0:100::1 ::1 5555 8888\r\n\n")
        await client.skips_to(PROMPT)


async def test_no_limits_lifts_them(tmp_path: Path) -> None:
    limits = {"address_connections": 1, "address_lines": 1, "address_joins": 1, "address_rooms": 1}
    async with housing(tmp_path / "data", ephemeral=True, no_limits=True, **limits) as server:
        for number in range(5):
            client = await server.connect()
            client.send(f"Ann{number}\n/join a{number}\n/join b{number}\n/time\n".encode())
            await client.skips_to(f"*** You are in b{number} ***\n".encode())


# --- addresses that are fixed to a wire --------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (REQUEST, b"HTTP/1.1 403 Forbidden\r\n"),
        (POST, b"HTTP/1.1 4"),
        (REGISTRATION, b"ERROR :This address is for nc and telnet clients only.\r\n"),
        (b"SSH-2.0-x\r\n", refusal("This address is for nc and telnet clients only.")),
        (b"EHLO there\r\n", b"This address is for nc and telnet clients only.\n"),
        (b"\x16\x03\x01\x02\x00\x01", b""),
    ],
)
async def test_an_address_for_lines_turns_others_away(tmp_path: Path, late: bool, first: bytes, answer: bytes) -> None:
    async with housing(tmp_path / "data", ephemeral=True, listen=["line:127.0.0.1:0"]) as server:
        client = await server.connect()
        if late:
            await client.skips_to(PROMPT)
        client.send(first)
        seen = (await client.rest()).removeprefix(PROMPT).removeprefix(b"\r\n")
        assert seen.startswith(answer) and (answer or not seen)
        assert not server.house.hub.users


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (REQUEST, b"HTTP/1.1 403 Forbidden\r\n"),
        (POST[:-2] + REGISTRATION + b"JOIN #lobby\r\n", b"HTTP/1.1 403 Forbidden\r\n"),
        (b"SSH-2.0-x\r\n", refusal("This address is for IRC clients only.")),
    ],
)
async def test_an_address_for_irc_turns_others_away(tmp_path: Path, first: bytes, answer: bytes) -> None:
    """A page of any site can make its visitors' browsers send such a request, and would talk through them."""
    async with housing(tmp_path / "data", ephemeral=True, listen=["irc:127.0.0.1:0"]) as server:
        client = await server.connect()
        client.send(first)
        assert (await client.rest()).startswith(answer)
        assert not server.house.hub.users


@pytest.mark.parametrize("first", [REGISTRATION, b"HELP\r\n" + REGISTRATION, b"\r\nfoo\r\n" + REGISTRATION])
async def test_an_address_for_irc_takes_irc_however_it_begins(tmp_path: Path, first: bytes) -> None:
    async with housing(tmp_path / "data", ephemeral=True, listen=["irc:127.0.0.1:0"]) as server:
        client = await server.connect()
        for at in range(len(first)):
            client.send(first[at : at + 1])
            await asyncio.sleep(0)
        await client.skips_to(b" 001 joe ")
