"""The start of the server: it listens as soon as nc can be served, and loads the rest of its code when it is needed."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from housing import PROMPT, Client
from opening import opened
from serving import SECONDS, until

from hubbub.config import Settings
from hubbub.serve.accept.dispatcher import Caller
from hubbub.serve.late_wire import WaitingClient
from hubbub.serve.sockets.connection import Connection
from hubbub.startup import app, ssh_wire
from hubbub.startup.app import App
from hubbub.wire.sniff import Wire

# Prints the loaded modules at the moment at which the server says that it listens.
AT_LISTENING = """
import json, logging, os, sys
class Look(logging.Handler):
    def emit(self, record):
        if "server running" in record.getMessage():
            print(json.dumps(sorted(sys.modules)), file=sys.stderr, flush=True)
            os._exit(0)
logging.getLogger("hubbub").addHandler(Look())
from hubbub.cli import main
main(["serve", "--listen", "127.0.0.1:0", "--data", sys.argv[1]])
"""
# What nc does not need.
LATER = (
    "aiohttp", "argon2", "asyncssh", "attr", "cryptography", "ctypes", "encodings.idna", "hubbub.cluster.nats",
    "hubbub.serve.irc.protocol", "hubbub.serve.ssh", "hubbub.serve.web", "hubbub.subcommands.account", "hubbub.tools",
    "hubbub.wire.irc.encoder", "hubbub.wire.web", "nats", "prometheus_client", "regex", "segno", "shlex", "tempfile",
    "tomllib", "websockets", "yarl",
)  # fmt: skip
POST = b"POST /api/v1/rooms/tea/messages?name=Zed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\nlate"
IRC = b"NICK Ida\r\nUSER ida 0 * :Ida\r\nJOIN #lobby\r\nPING in\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_server_listens_before_it_loads_what_nc_does_not_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_LISTENING, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    modules = json.loads(found.stderr)
    assert not [name for name in modules if any(name == late or name.startswith(f"{late}.") for late in LATER)]
    others = [name for name in modules if name.partition(".")[0] != "hubbub"]
    assert len(others) <= 214, others


def test_first_clients_load_nothing_but_their_wires(tmp_path: Path) -> None:
    script = Path(__file__).parent / "first_clients.py"
    found = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout == "[]\n[]\nFalse\nTrue\n", found.stdout + found.stderr


async def peer(to: int | socket.socket, data: bytes, **options: ssl.SSLContext) -> Client:
    """Return a client of a port, or at the other end of a socket pair, that has sent its first bytes."""
    where: dict[str, Any] = {"sock": to} if isinstance(to, socket.socket) else {"host": "127.0.0.1", "port": to}
    client = Client(*await asyncio.open_connection(**where, **options))
    client.send(data)
    return client


def waiting(house: App) -> int:
    """Return how many peers have sent something to a wire that is not loaded."""
    clients = [connection.client for connection in house.shared.connections]
    return sum(bool(client._data) for client in clients if isinstance(client, WaitingClient))


async def test_clients_of_a_wire_that_is_not_loaded_wait_and_others_do_not(tmp_path: Path) -> None:
    async with opened(Settings(listen=["127.0.0.1:0"], data=str(tmp_path)), all_wires=False) as (house, port):
        ida, web, gone = await peer(port, IRC), await peer(port, GET), await peer(port, GET)
        await until(lambda: waiting(house) == 3)
        al = await peer(port, b"Al\n/time\n")
        await al.skips_to(PROMPT)
        await al.skips_to(b" ***\n")
        web.send(GET)
        gone.close()
        await house.open_wires()
        await ida.skips_to(b"PONG")
        for _ in range(2):
            await web.skips_to(b"200 OK")
        for client in (ida, web, al):
            client.close()


async def test_wire_that_is_loaded_while_a_client_gets_its_connection_serves_it(tmp_path: Path) -> None:
    async with opened(Settings(listen=["127.0.0.1:0"], data=str(tmp_path)), all_wires=False) as (house, _):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        caller = Caller(("127.0.0.1", 1), "127.0.0.1", house.shared.clock())
        assert house.front.admission.enter(caller.where) is None
        connection = house.front.dispatcher.connection(Wire.IRC, caller, ours)
        assert isinstance(connection, Connection)
        await house.open_wires()
        await house.shared.loop.connect_accepted_socket(lambda: connection, ours)
        ida = await peer(theirs, IRC)
        await ida.skips_to(b"PONG")
        ida.close()


async def test_ssh_client_that_comes_before_the_host_key_is_read_is_served(tmp_path: Path) -> None:
    async with opened(Settings(listen=["127.0.0.1:0"], data=str(tmp_path)), all_wires=False) as (house, port):
        ssh = await peer(port, b"SSH-2.0-early\r\n")
        await until(lambda: waiting(house) == 1)
        await house.open_wires()
        await ssh.skips_to(b"SSH-2.0-hubbub\r\n")
        ssh.close()


@pytest.mark.parametrize(
    ("wire", "data", "answer"),
    [("ssh", b"SSH-2.0-first\r\n", b"SSH-2.0-hubbub\r\n"), ("IRC", IRC, b"PONG"), ("web", GET, b"200 OK")],
)
async def test_chat_goes_on_while_the_code_of_a_wire_cannot_be_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wire: str,
    data: bytes,
    answer: bytes,
) -> None:
    async def broken(*modules: str) -> None:
        raise ImportError("half an installation")

    async with opened(Settings(listen=["127.0.0.1:0"], data=str(tmp_path))) as (_, port):
        al = await peer(port, b"Al\n")
        with monkeypatch.context() as patch:
            patch.setattr(ssh_wire, "load", broken)
            patch.setattr(app, "load", broken)
            for _ in range(2):
                client = await peer(port, data)
                assert await client.rest() == b""
                client.close()
        assert caplog.text.count(f"{wire} clients cannot be served") == 2
        al.send(b"/time\n")
        await al.skips_to(b" ***\n")
        client = await peer(port, data)
        await client.skips_to(answer)
        for one in (client, al):
            one.close()


async def test_encrypted_clients_wait_too(tmp_path: Path) -> None:
    settings = Settings(listen=["127.0.0.1:0"], data=str(tmp_path), tls="self-signed")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with opened(settings, all_wires=False) as (house, port):
        web = await peer(port, GET, ssl=trusting)
        await until(lambda: waiting(house) == 1)
        await house.open_wires()
        await web.skips_to(b"200 OK")
        web.close()


@pytest.mark.parametrize("data", [IRC, GET])
async def test_client_that_still_waits_is_disconnected_when_the_server_stops(tmp_path: Path, data: bytes) -> None:
    async with opened(Settings(listen=["127.0.0.1:0"], data=str(tmp_path)), all_wires=False) as (house, port):
        client = await peer(port, data)
        await until(lambda: waiting(house) == 1)
        for connection in house.shared.connections:
            connection.client.shut_down()
        assert await client.rest() == b""
        client.close()


async def test_client_that_was_told_to_go_while_it_waited_is_not_served_after_all(tmp_path: Path) -> None:
    async with opened(Settings(listen=["127.0.0.1:0"], data=str(tmp_path)), all_wires=False) as (house, port):
        client = await peer(port, POST)
        await until(lambda: waiting(house) == 1)
        (connection,) = house.shared.connections
        connection.client.shut_down()
        await house._load_web()
        assert isinstance(connection.client, WaitingClient), "nothing of what it asked for is done"
        assert await client.rest() == b""
        client.close()


async def test_request_that_was_taken_is_answered_if_the_server_stops_at_once(tmp_path: Path) -> None:
    async with opened(Settings(listen=["127.0.0.1:0"], data=str(tmp_path)), all_wires=False) as (house, port):
        client = await peer(port, POST)
        await until(lambda: waiting(house) == 1)
        (connection,) = house.shared.connections
        await house._load_web()
        connection.client.shut_down()
        assert (await client.rest()).startswith(b"HTTP/1.1 201 Created\r\n"), "what it asked for is done"
        client.close()
