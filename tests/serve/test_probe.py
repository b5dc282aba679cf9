"""A name whose holder has vanished without a word is free for its owner, who comes from the same address."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from pathlib import Path

import pytest
from housing import PROMPT, Client, Serving, housing
from test_standstill import web_socket

from hubbub.serve import probe

DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)  # a socket filter that lets nothing in: RET #0
SO_ATTACH_FILTER = 26


def vanish(client: Client) -> None:
    """Let a client be as if its cable were cut: nothing reaches it, and its kernel answers nothing."""
    # What it has received until now it answers now, and not a moment after its end.
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    program = ctypes.create_string_buffer(DROP_ALL)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 1.5)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes in these tests is none that was waited for."""
    monkeypatch.setattr(probe, "PATIENCE", 3600.0)


async def irc(serving: Serving, name: str) -> Client:
    client = await serving.connect()
    client.send(f"NICK {name}\r\nUSER x 0 * :x\r\nJOIN #lobby\r\n".encode())
    await client.skips_to(b" 366 ")
    return client


async def web(serving: Serving, name: str) -> Client:
    client = await web_socket(serving, name)
    client.send(frame(b'{"type":"hello","name":"%b"}' % name.encode()))
    await client.skips_to(b'"joined"')
    return client


def frame(text: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text


async def line(serving: Serving, name: str) -> Client:
    return await serving.join(name)


WIRES = {"line": line, "irc": irc, "web": web}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("busy", [False, True], ids=["silent-room", "busy-room"])
async def test_client_that_reconnects_gets_its_name_back(tmp_path: Path, short: None, wire: str, busy: bool) -> None:
    async with housing(tmp_path / "data", ephemeral=True) as serving:
        witness = await serving.join("Witness")
        ghost = await WIRES[wire](serving, "Ada")
        await witness.skips_to(b"*** Ada has joined the chat ***\n")
        vanish(ghost)
        if busy:
            witness.send(b"are you there?\n")  # it is sent again and again
        again = await serving.connect()
        again.send(b"Ada\nhello again\n")
        await witness.skips_to(b"*** Ada has left the chat ***\n*** Ada has joined the chat ***\nAda: hello again\n")


async def test_behind_a_proxy_the_client_itself_is_asked(tmp_path: Path, short: None) -> None:
    """The proxy's kernel answers, though the client's side is cut."""
    async with housing(tmp_path / "data", ephemeral=True, trust_proxy=["127.0.0.0/8"]) as serving:
        witness = await serving.join("Witness")
        head = b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 8888\r\n"
        silent = await serving.connect()
        silent.send(head + b"NICK Ada\r\nUSER x 0 * :x\r\nJOIN #lobby\r\n")
        await silent.skips_to(b" 366 ")
        again = await serving.connect()
        again.send(head + b"Ada\nhello again\n")
        await witness.skips_to(b"Ada: hello again\n")


async def test_a_client_that_is_there_keeps_its_name_though_it_answers_no_question(tmp_path: Path, short: None) -> None:
    async with housing(tmp_path / "data", ephemeral=True) as serving:
        await irc(serving, "Ada")
        other = await serving.connect()
        other.send(b"NICK Ada\r\nUSER x 0 * :x\r\n")
        await other.skips_to(b" 433 ")


async def test_by_irc_and_by_nick_it_is_had_again_as_well(tmp_path: Path, short: None) -> None:
    async with housing(tmp_path / "data", ephemeral=True) as serving:
        vanish(await serving.join("Ada"))
        await irc(serving, "Ada")
        vanish(await serving.join("Bob"))
        other = await serving.join("Bob2")
        other.send(b"/nick Bob\n")
        await other.skips_to(b"*** You are Bob now ***\n")


async def test_holder_that_responds_keeps_the_name_and_the_probe_is_quick(tmp_path: Path, endless: None) -> None:
    async with housing(tmp_path / "data", ephemeral=True) as serving:
        await serving.join("Ada")
        await irc(serving, "Ida")
        for name in (b"Ada", b"Ida"):
            other = await serving.connect()
            other.send(name + b"\n")
            assert b"The name " + name + b" is taken." in await other.skips_to(PROMPT) + await other.skips_to(PROMPT)
            client = await serving.connect()
            client.send(b"NICK " + name + b"\r\nUSER x 0 * :x\r\n")
            await client.skips_to(b" 433 ")


async def test_somebody_at_another_address_asks_nobody(tmp_path: Path, endless: None) -> None:
    async with housing(tmp_path / "data", ephemeral=True) as serving:
        vanish(await serving.join("Ada"))
        other = await serving.connect(local_addr=("127.0.0.2", 0))
        other.send(b"Ada\n")
        await other.skips_to(b"The name Ada is taken.\n")


async def test_many_who_ask_at_once_ask_once(tmp_path: Path, short: None) -> None:
    async with housing(tmp_path / "data", ephemeral=True) as serving:
        vanish(await serving.join("Ada"))
        others = [await serving.connect() for _ in range(5)]
        for other in others:
            other.send(b"Ada\n/time\n")
        answers = await asyncio.gather(*(other.skips_to(b"\n") for other in others))
        assert sum(b"is taken" not in answer for answer in answers) == 1


async def test_last_lines_of_a_program_that_is_gone_are_said_before_its_name_is_free(
    tmp_path: Path, endless: None
) -> None:
    async with housing(tmp_path / "data", ephemeral=True, rate=50, burst=5) as serving:
        witness = await serving.join("Witness")
        first = await serving.connect()
        first.send(b"ci\n" + b"".join(b"%d\n" % number for number in range(60)))
        await first.skips_to(PROMPT)
        first.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.close()
        second = await serving.connect()
        second.send(b"ci\nhello\n")
        for number in range(60):
            await witness.skips_to(b"ci: %d\n" % number)
        await witness.skips_to(b"ci: hello\n")
