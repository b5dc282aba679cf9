"""Commands over ssh: their output, their exit statuses, and what they may not do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from asking import Web, asking
from msgspec import structs
from serving import SECONDS, until
from test_api_accounts import registered

from hubbub.errors import BrokerError
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import SCOPES, Permit
from hubbub.model.entries import Entry, Said
from hubbub.model.events import Acknowledged
from hubbub.serve.hub_requests import HubRequests, Requester
from hubbub.serve.sockets.connection import Connection
from hubbub.serve.ssh.command_client import CommandClient
from hubbub.serve.ssh.command_line import (
    LINE_BYTES,
    ExportRoom,
    ListRooms,
    PostText,
    SearchLog,
    SendPrivately,
    ShowHelp,
    ShowTail,
    Unusable,
    parse,
)
from hubbub.text.bounds import MESSAGE_BYTES
from hubbub.wire.line.encoder import RAW


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("say ops hello there", PostText("ops", "hello there")),
        ("say '#ops' 'two  spaces' --force -n 5", PostText("#ops", "two  spaces --force -n 5")),
        ("say ops -- -f", PostText("ops", "-f")),
        ("say ops", PostText("ops", "")),
        ("tail ops", ShowTail("ops", 10, False)),
        ("tail -fn 3 bob", ShowTail("bob", 3, True)),
        ("search deploy from:ann -n 4", SearchLog("deploy from:ann", 4)),
        ("rooms", ListRooms()),
        ("msg Bob hi", SendPrivately("Bob", "hi")),
        ("export ops", ExportRoom("ops")),
        ("", ShowHelp()),
        ("--help", ShowHelp()),
        ("say --help", ShowHelp()),
    ],
)
def test_command_lines(line: str, command: object) -> None:
    assert parse(line) == command


@pytest.mark.parametrize(
    "line",
    [
        "ls", "bash -i", "say", "tail", "tail -n 201 ops", "tail -n x ops", "tail a b", "search", "rooms x",
        "say 'ops", "say ops \\", "export", "tail -f @bob", "scp -t /tmp", "git-upload-pack 'x'", "a\x1b]0;b\x07",
        "say ops " + "x" * LINE_BYTES,
    ],
)  # fmt: skip
def test_other_lines_are_no_commands(line: str) -> None:
    with pytest.raises(Unusable) as refused:
        parse(line)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300


class Channel:
    """A channel and its connection: what was written, and the exit status."""

    def __init__(self) -> None:
        self.out = self.error = b""
        self.status = -1
        self.ended = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.out += data

    def send(self, data: bytes) -> int:
        self.out += data
        return len(data)

    def write_error(self, data: bytes) -> None:
        self.error += data

    def set_status(self, status: int) -> None:
        self.status = status

    def process_input(self) -> None:
        """The limit allows it later."""

    def finish(self, farewell: bytes = b"") -> None:
        self.ended.set()


class Ssh:
    """Runs commands of a peer, a guest or the owner of an account."""

    def __init__(self, web: Web, name: str, account: Account | None = None) -> None:
        self.hub, self.name = web.house.hub, name
        host = account.host if account else "~ssh@cloak.ssh"
        self.requester = Requester(host, "127.0.0.1", account)
        self.requests = HubRequests(self.hub, asyncio.get_running_loop(), RAW)

    def start(self, line: str) -> tuple[CommandClient, Channel]:
        channel = Channel()
        client = CommandClient(self.hub, self.requests, self.requester, self.name, line, channel)
        client.begin(cast(Connection, channel))
        item = client.next_item()
        assert item == line and client.next_item() is None
        client.handle(item)
        return client, channel

    async def run(self, line: str, *given: bytes) -> tuple[int, str, str]:
        """Return the exit status, the output and the errors of a command with this standard input."""
        client, channel = self.start(line)
        for data in given:
            client.feed(data)
        assert client.ended()
        async with asyncio.timeout(SECONDS):
            await channel.ended.wait()
        return channel.status, channel.out.decode(), channel.error.decode()


async def test_a_message_is_stored_before_its_command_ends() -> None:
    async with asking() as web:
        bo, guest = await web.join("Bo"), Ssh(web, "Ann")
        assert await guest.run("say lobby hello  there") == (0, "", "")
        await bo.sees(b"Ann: hello there\n")
        assert await guest.run("say lobby", b"one\n\tt", b"wo\nthree\n\n") == (0, "", "")
        await bo.sees(b"Ann: one\n")
        page = json.loads((await web.ask("GET", "/api/v1/rooms/lobby/messages?last=1")).body)
        assert page["entries"][0]["text"] == "one\n\ttwo\nthree"


async def test_a_message_to_a_new_room_says_that_nobody_reads_it() -> None:
    async with asking() as web:
        guest = Ssh(web, "Ann")
        assert await guest.run("say opps hello") == (0, "", "opps is a new room, and nobody is in it.\n")
        assert await guest.run("say opps hello") == (0, "", "")


async def test_refusals_end_with_a_sentence_and_a_status() -> None:
    async with asking() as web:
        await registered(web)
        await web.join("Bo")
        guest = Ssh(web, "Cy")
        for ssh, line, given, status, text in (
            (guest, "say lobby", b"", 1, "nothing to send"),
            (guest, "say lobby", b"x" * (MESSAGE_BYTES + 1), 1, str(MESSAGE_BYTES)),
            (guest, "say 'no room' x", b"", 1, "room"),
            (Ssh(web, "Bo"), "say lobby x", b"", 1, "Bo"),
            (Ssh(web, "Ann"), "say lobby x", b"", 1, "Ann"),
            (guest, "msg Bo hi", b"", 1, "account"),
            (guest, "tail @Bo", b"", 1, "not logged in"),
            (guest, "tail -f @Bo", b"", 2, "rooms only"),
            (guest, "uname -a", b"", 2, "No such command 'uname'. `help`"),
            (guest, "rooms x", b"", 2, "argument (x). `help`"),
            (Ssh(web, ""), "say lobby x", b"", 2, "ssh NAME@HOST"),
        ):
            found = await ssh.run(line, given)
            assert (found[0], found[1]) == (status, "") and text in found[2] and found[2].endswith("\n"), (line, found)


async def test_where_only_accounts_may_come_in_guests_read_nothing() -> None:
    async with asking(guests="no") as web:
        guest, ann = Ssh(web, "Ann"), Ssh(web, "", await registered(web))
        assert await ann.run("say lobby hush") == (0, "", "")
        for line in ("tail lobby", "tail -f lobby", "search hush", "rooms", "who lobby", "export lobby", "say lobby x"):
            status, out, error = await guest.run(line)
            assert (status, out) == (1, "") and "with an account" in error, line
        assert (await guest.run("help"))[0] == 0
        assert (await ann.run("tail lobby"))[1].endswith(" Ann: hush\n")


async def test_a_limited_token_is_told_what_it_lacks() -> None:
    async with asking() as web:
        ann = await registered(web)
        await registered(web, "Bo")
        for scope, lines in (("read", ("search x", "rooms", "who lobby", "export lobby")), ("private", ("tail @Bo",))):
            scopes = tuple(one for one in SCOPES if one != scope)
            program = Ssh(web, "", structs.replace(ann, permit=Permit(scopes)))
            for line in lines:
                status, out, error = await program.run(line)
                assert (status, out) == (1, "") and f"lacks the scope {scope}" in error, line


async def test_what_cannot_be_stored_now_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking() as web:
        guest = Ssh(web, "Ann")
        assert (await guest.run("tail lobby"))[0] == 0

        def broken(query: Any, done: Callable[[Any], None]) -> None:
            done(BrokerError("the disk is full"))

        monkeypatch.setattr(web.house.hub, "read", broken)
        for line in ("tail lobby", "search tea", "rooms", "export lobby"):
            status, out, error = await guest.run(line)
            assert (status, out) == (75, "") and "the disk is full" in error, line


async def test_questions_are_answered_in_lines() -> None:
    async with asking() as web:
        bo, guest = await web.join("Bo"), Ssh(web, "Ann")
        for count in range(3):
            bo.send(f"tea {count}\n")
        bo.send("/join ops\n/topic all quiet\n/time\n")
        await bo.sees(b" UTC ***\n")
        status, out, _ = await guest.run("tail -n 2 lobby")
        assert status == 0 and [line.split(" Bo: ")[1] for line in out.splitlines()] == ["tea 1", "tea 2"]
        assert await guest.run("tail -n 0 lobby") == (0, "", "")
        status, out, _ = await guest.run("search tea -n 1")
        assert status == 0 and out.startswith("lobby: ") and out.endswith(" Bo: tea 2\n")
        assert await guest.run("rooms") == (0, "lobby (1)\nops (1) all quiet\n", "")
        assert await guest.run("who ops") == (0, "Bo\n", "")
        status, out, _ = await guest.run("help")
        assert status == 0 and "say ROOM [TEXT]\n" in out and await guest.run("") == (0, out, "")
        status, out, _ = await guest.run("export lobby")
        lines = [json.loads(line) for line in out.splitlines()]
        assert status == 0 and [one["text"] for one in lines if one["kind"] == "message"] == ["tea 0", "tea 1", "tea 2"]


async def test_closed_rooms_stay_closed() -> None:
    async with asking() as web:
        bo, guest = await web.join("Bo"), Ssh(web, "Ann")
        bo.send("/join den\nsecret tea\n/set invite-only on\n/set secret on\n/time\n")
        await bo.sees(b" UTC ***\n")
        follower, channel = guest.start("tail -f den")
        bo.send("more secret tea\n/time\n")
        await bo.sees(b" UTC ***\n")
        for line in ("tail den", "export den", "say den hello", "who den", "search tea", "rooms"):
            _, out, _ = await guest.run(line)
            assert "tea" not in out and "Bo" not in out and "den" not in out, line
        assert not channel.out
        follower.connection_lost()


async def test_a_room_is_followed_from_the_newest_messages_on_without_a_gap() -> None:
    async with asking() as web:
        bo, guest = await web.join("Bo"), Ssh(web, "Ann")
        bo.send("before\n/time\n")
        await bo.sees(b" UTC ***\n")
        client, channel = guest.start("tail -fn 1 lobby")
        await until(lambda: b"before" in channel.out)
        bo.send("after\n")
        await until(lambda: channel.out.endswith(b"Bo: after\n"))
        client.pause()
        bo.send("\n".join(f"number {count}" for count in range(50)) + "\n/time\n")
        await bo.sees(b" UTC ***\n")
        assert b"number" not in channel.out
        client.resume()
        await until(lambda: channel.out.endswith(b"number 49\n"))
        assert channel.out.count(b"number") == 50
        client.connection_lost()
        await until(lambda: client.is_idle)
        assert not web.house.hub.rooms.loaded["lobby"].watchers


async def test_somebody_who_may_not_read_any_more_follows_no_longer() -> None:
    async with asking() as web:
        bo, guest = await web.join("Bo"), Ssh(web, "Ann")
        bo.send("/join den\n/time\n")
        await bo.sees(b" UTC ***\n")
        _, channel = guest.start("tail -f den")
        await until(lambda: web.house.hub.rooms.loaded["den"].watchers)
        bo.send("/set invite-only on\nsecret tea\n")
        async with asyncio.timeout(SECONDS):
            await channel.ended.wait()
        assert channel.status == 1 and channel.error and b"tea" not in channel.out


async def test_the_owner_of_an_account_sends_and_reads_private_messages() -> None:
    async with asking() as web:
        ann, bo = await registered(web), await registered(web, "Bo")
        assert await Ssh(web, "", ann).run("say lobby it is me") == (0, "", "")
        assert await Ssh(web, "", ann).run("msg @bo psst") == (0, "", "")
        assert await Ssh(web, "", ann).run("msg Bo", b"from a pipe\n") == (0, "", "")
        status, out, _ = await Ssh(web, "", bo).run("tail @Ann")
        assert status == 0 and [line.split(" Ann: ")[1] for line in out.splitlines()] == ["psst", "from a pipe"]
        assert (await Ssh(web, "", ann).run("msg Nemo hi"))[0] == 1


async def test_a_command_that_gets_a_signal_ends() -> None:
    async with asking() as web:
        client, channel = Ssh(web, "Ann").start("tail -f lobby")
        client.resized()
        client.signalled("INT")
        assert channel.ended.is_set() and (channel.status, channel.error) == (1, b"Ended by the signal INT\n")
        client.connection_lost()
        await until(lambda: client.is_idle)


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_message_that_was_sent_gets_its_outcome_when_the_server_stops(
    is_stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubbub.serve.ssh.command_client.MOMENT", SECONDS if is_stored else 0.0)
    async with asking() as web:
        ann, outcome = Ssh(web, "Ann"), asyncio.get_running_loop().create_future()
        asked = asyncio.Event()

        async def act(*_: Any) -> Any:
            asked.set()
            return await outcome

        monkeypatch.setattr(ann.requests, "act", act)
        client, channel = ann.start("say lobby hello")
        async with asyncio.timeout(SECONDS):
            await asked.wait()
            client.shut_down()
            assert not channel.ended.is_set()
            if is_stored:
                outcome.set_result(Acknowledged("r", Entry("lobby", 2, 1, 1.0, "Ann", "x.1", Said("hello"))))
            await channel.ended.wait()
        assert channel.status == (0 if is_stored else 75) and bool(channel.error) is not is_stored
        client.connection_lost()
        await until(lambda: client.is_idle)
        assert channel.status == (0 if is_stored else 75)


async def test_a_command_ends_when_the_server_stops_or_its_peer_has_gone() -> None:
    async with asking() as web:
        client, channel = Ssh(web, "Ann").start("say lobby")
        client.shut_down()
        assert channel.ended.is_set() and channel.status == 75 and b"shutting down" in channel.error
        client.connection_lost()
        await until(lambda: client.is_idle)
        assert client.closed and not client.ask_sign_of_life() and client.check_deadlines(0.0, 0.0) > 0
