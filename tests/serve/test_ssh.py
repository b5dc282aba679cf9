"""Joining over ssh: the way in, the lines, the end, and all that is refused."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from housing import PROMPT, Client
from serving import SECONDS, until
from sshing import Relay, Session, dialled, joined, new_key, peers, session, ssh_house

from hubbub import server
from hubbub.errors import SettingsError
from hubbub.serve.sockets.connection import STOPPING
from hubbub.serve.ssh.authentication.login_queue import PER_ADDRESS
from hubbub.serve.ssh.command_line import LINE_BYTES
from hubbub.serve.ssh.peer import BEGUN, ENVIRONMENT, IDLE_SECONDS, LOGIN_BYTES, LOGIN_SECONDS, SshPeer
from hubbub.startup.app import App
from hubbub.text.bounds import MESSAGE_BYTES
from hubbub.text.refusals import NO_SSH
from hubbub.wire.ssh import refusal

SCRIPT = b"/rooms\nhello\n/join ops\nin ops\n/who\nto\x1b[31mo\tlate\n/nonsense\n"


async def test_person_with_a_key_and_one_without_talk_with_nc(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        nc = await serving.join("Nora")
        async with joined(serving.port, "ann", new_key()) as ann, joined(serving.port, "bob") as bob:
            await nc.skips_to(b"*** ann has joined the chat ***\n*** bob has joined the chat ***\n")
            ann.send(b"hi there\n")
            for one in (nc, bob):
                await one.skips_to(b"ann: hi there\n")
            nc.send(b"hello both\n")
            for one in (ann, bob):
                await one.skips_to(b"Nora: hello both\n")
            assert serving.house.readings().connections | {"line": 1, "ssh": 2} == serving.house.readings().connections
        await nc.skips_to(b"ann has left")


async def test_lines_are_those_of_nc_without_the_prompt(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        nc = await serving.connect()
        nc.send(b"ann\n" + SCRIPT)
        nc.writer.write_eof()
        expected = (await nc.rest()).removeprefix(PROMPT)
    async with ssh_house(tmp_path) as serving, dialled(serving.port, "ann") as client:
        one = await session(client)
        one.send(SCRIPT)
        one.end()
        assert await one.rest() == expected
        assert one.process.exit_status == 0


@pytest.mark.parametrize("name", ["root", "Pi", "two words", "x" * 60])
async def test_user_name_that_is_no_name_is_asked_for_as_in_nc(tmp_path: Path, name: str) -> None:
    async with ssh_house(tmp_path) as serving:
        nc = await serving.join("Nora")
        async with dialled(serving.port, name) as client:
            one = await session(client)
            one.send(b"Zed\nhello\n")
            await nc.skips_to(b"*** Zed has joined the chat ***\nZed: hello\n")
            assert PROMPT not in one.seen


async def test_program_whose_name_is_taken_learns_which_lines_were_not_sent(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        await serving.join("Nora")
        async with dialled(serving.port, "nora") as client:
            one = await session(client)
            one.send(b"hello\n")
            one.end()
            assert b"Not sent: hello\n" in await one.rest()
            assert one.process.exit_status == 1


async def test_input_cut_at_every_byte_is_the_same(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        relay = Relay(serving.port, lambda data: [data[at : at + 1] for at in range(len(data))])
        async with relay.listening() as port, joined(port, "ann", new_key()) as ann:
            ann.send(b"hello\n/time\n")
            await ann.skips_to(b" ***\n")


async def test_client_that_waits_until_the_prompt_came_is_let_in(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        relay = Relay(serving.port, waits_for=PROMPT)
        async with relay.listening() as port, joined(port):
            assert relay.seen.startswith(PROMPT)


async def test_address_for_ssh_alone_speaks_first(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, listen=["ssh:127.0.0.1:0"]) as serving:
        silent = await serving.connect()
        await silent.skips_to(b"SSH-2.0-hubbub\r\n")
        async with joined(serving.port):
            silent.send(b"GET / HTTP/1.1\r\n\r\n")
            await silent.rest()


async def test_client_through_tls_is_let_in(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, tls="self-signed", plaintext="no") as serving:
        async with joined(serving.port):  # without TLS, too: ssh encrypts
            pass


async def test_server_without_ssh_says_so(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, ssh="no") as serving:
        client = await serving.connect()
        client.send(b"SSH-2.0-x\r\n")
        assert await client.rest() == refusal(NO_SSH().text)
        with pytest.raises(asyncssh.DisconnectError, match="does not speak SSH"):
            async with dialled(serving.port):
                pass


@pytest.mark.parametrize(
    ("settings", "found", "sentence"),
    [
        ({"ssh": "yes"}, None, "asyncssh is needed"),
        ({"listen": ["ssh:127.0.0.1:0"]}, None, "asyncssh is needed"),
        ({"listen": ["ssh:127.0.0.1:0"], "ssh": "no"}, object(), "the setting ssh is no"),
    ],
)
async def test_server_that_cannot_speak_ssh_does_not_start(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], found: object, sentence: str
) -> None:
    from hubbub.config import Settings

    monkeypatch.setattr("hubbub.startup.ssh_wire.find_spec", lambda name: found)
    with pytest.raises(SettingsError, match=sentence):
        App(asyncio.get_running_loop(), Settings(ephemeral=True, **settings))


async def test_command_runs_and_its_status_comes_back(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        nc = await serving.join("Nora")
        async with dialled(serving.port, "ann") as client:
            said = await client.run("say lobby hello there")
            assert (said.exit_status, said.stdout, said.stderr) == (0, "", "")
            await nc.skips_to(b"ann: hello there\n")
            given = await client.run("say lobby", input="from a pipe\n")
            assert given.exit_status == 0
            await nc.skips_to(b"ann: from a pipe\n")
            for line in ("rm -rf /", "say lobby " + "x" * MESSAGE_BYTES + " " * LINE_BYTES):
                wrong = await client.run(line)
                assert wrong.exit_status == 2 and wrong.stderr and not wrong.stdout
            followed = await client.create_process("tail -f -n 1 lobby", encoding=None)
            assert b"from a pipe" in await followed.stdout.readline()
            nc.send(b"more\n")
            assert b"Nora: more" in await followed.stdout.readline()
            followed.send_signal("INT")
            await followed.wait()
            assert followed.exit_status == 1


# --- what is refused ----------------------------------------------------------------------------------------------


async def test_login_without_any_method_is_refused(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        with pytest.raises(asyncssh.PermissionDenied):
            async with dialled(serving.port, kbdint_auth=False, public_key_auth=False):
                pass
        assert not serving.house.hub.users


async def test_everything_but_a_session_is_refused_and_the_chat_goes_on(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving, dialled(serving.port) as client:
        one = await session(client)
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_connection("127.0.0.1", 22)
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_unix_connection("/run/x")
        with pytest.raises(asyncssh.ChannelListenError):
            await client.start_server(lambda host, port: False, "127.0.0.1", 0)
        for request in ({"subsystem": "sftp"}, {"subsystem": "netconf"}):
            with pytest.raises(asyncssh.ChannelOpenError):
                await client.create_process(**request)
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.create_process(x11_forwarding=True, x11_display="localhost:0", encoding=None)
        one.send(b"/time\n")
        await one.skips_to(b" ***\n")


async def test_fifth_channel_is_refused(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving, dialled(serving.port, "root") as client:
        for _ in range(4):
            last = await session(client)
        with pytest.raises(asyncssh.ChannelOpenError):
            await session(client)
        last.end()
        await last.rest()
        await session(client)


async def test_environment_is_bounded(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        await serving.join("Nora")
        with pytest.raises(asyncssh.Error):
            async with dialled(serving.port) as client:
                await client.create_process(encoding=None, env={"LC_X": "x" * ENVIRONMENT})
                await client.wait_closed()
                await session(client)
        await until(lambda: not peers(serving))


async def test_what_is_sent_before_the_login_is_bounded(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, listen=["ssh:127.0.0.1:0"]) as serving:
        client = await serving.connect()
        await client.skips_to(b"\r\n")
        client.send(b"SSH-2.0-x\r\n" + (100_000).to_bytes(4, "big") + b"\x14" * LOGIN_BYTES)
        assert b"Too much was sent before the login" in await client.rest()


async def test_names_versions_and_variables_are_cleaned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evil = "\x1b]0;x\x07\x1b[31m"
    caplog.set_level(logging.INFO)
    async with ssh_house(tmp_path, listen=["ssh:127.0.0.1:0"]) as serving:
        client = await serving.connect()
        client.send(f"SSH-2.0-{evil}\r\n".encode())
        async with dialled(serving.port, "ann", env={"LC_ALL": evil, evil: evil}) as other:
            await session(other)
            await until(lambda: any(peer.channels for peer in peers(serving)))
            (channel,) = next(peer for peer in peers(serving) if peer.channels).channels
            await until(lambda: channel.connection)
            assert "\x1b" not in str(dict(channel.environment)) and "LC_ALL" in channel.environment
    assert "\x1b" not in caplog.text and "logged in over ssh (ann, no key, SSH-2.0-AsyncSSH" in caplog.text


async def come_and_go(port: int) -> None:
    async with dialled(port):
        pass


async def test_logins_beyond_those_of_an_address_wait_for_each_other(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, listen=["ssh:127.0.0.1:0"]) as serving:
        silent = [await serving.connect() for _ in range(PER_ADDRESS)]
        for client in silent:
            await client.skips_to(b"SSH-2.0-hubbub\r\n")
        more = [await serving.connect() for _ in range(3)]
        coming = asyncio.create_task(come_and_go(serving.port))
        await until(lambda: len(peers(serving)) == PER_ADDRESS + 4)
        assert [peer.login is not None for peer in peers(serving)].count(True) == PER_ADDRESS
        now = serving.house.shared.clock()
        assert all(peer.check_deadlines(now + 31, 0) <= 0 for peer in peers(serving) if peer.login is None)
        for client in more:
            assert await client.rest() == b""
        with pytest.raises(asyncssh.Error):
            await coming
        silent.pop().close()
        async with joined(serving.port):
            pass


async def test_packets_without_a_line_count_for_the_rate(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, burst=2, rate=1) as serving, dialled(serving.port, "root") as client:
        peer = await one_peer(serving)
        await session(client)
        for _ in range(200):
            client.send_debug("x" * 100)
        await until(lambda: peer.connection._throttled)


# --- the end ------------------------------------------------------------------------------------------------------


async def test_input_that_ends_is_stored_before_the_channel_closes(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        nc = await serving.join("Nora")
        async with dialled(serving.port) as client:
            one = await session(client)
            one.send(b"".join(b"line %d\n" % number for number in range(50)) + b"unfinished")
            one.end()
            await one.rest()
            assert one.process.exit_status == 0
        await nc.skips_to(b"ann: line 49\nann: unfinished [the line was cut off here]\n")


async def test_server_that_stops_tells_its_sessions(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving, joined(serving.port) as ann, dialled(serving.port, "bob") as idle:
        for connection in list(serving.house.shared.connections):
            connection.client.shut_down()
        assert STOPPING.encode() in await ann.rest()
        async with asyncio.timeout(SECONDS):
            await idle.wait_closed()
        await until(lambda: not serving.house.shared.connections)


async def test_server_that_stops_does_not_wait_for_sessions_and_commands_that_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SETTLE", 2 * SECONDS)
    monkeypatch.setattr(server, "PART", 2 * SECONDS)
    async with ssh_house(tmp_path) as serving, joined(serving.port) as ann, dialled(serving.port, "bob") as client:
        nora = await serving.join("Nora")
        follows = await client.create_process("tail -f lobby", encoding=None)
        follows.stdin.write_eof()
        nora.send(b"hello\n")
        async with asyncio.timeout(SECONDS):
            await follows.stdout.readuntil(b"Nora: hello\n")
            await server._settle(serving.house)
            nora.close()
            await server._part(serving.house.shared)
            await follows.wait()
        assert follows.exit_status == 75 and STOPPING.encode() in await ann.rest()


async def test_lost_connection_is_a_leave(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        nc = await serving.join("Nora")
        async with joined(serving.port):
            pass
        await nc.skips_to(b"*** ann has left the chat ***\n")
        await until(lambda: not peers(serving))


async def one_peer(serving: Any, part: Client | Session | None = None) -> SshPeer:
    await until(lambda: len(peers(serving)) == 1)
    return peers(serving)[0]


async def test_login_that_is_not_begun_or_not_completed_ends(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, listen=["ssh:127.0.0.1:0"]) as serving:
        now = serving.house.shared.clock()
        client = await serving.connect()
        peer = await one_peer(serving)
        assert 0 < peer.check_deadlines(now + 29, 0) <= 1.5
        peer._received = BEGUN
        assert 0 < peer.check_deadlines(now + LOGIN_SECONDS - 1, 0) <= 1.5
        assert peer.check_deadlines(now + LOGIN_SECONDS + 1, 0) <= 0
        assert b"The login took too long" in await client.rest()


async def test_connection_with_an_unused_channel_ends(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving, dialled(serving.port) as client:
        peer, clock = await one_peer(serving), serving.house.shared.clock
        channel = peer.new_channel()
        assert channel and 0 < peer.check_deadlines(clock(), 0) <= IDLE_SECONDS
        assert peer.check_deadlines(clock() + IDLE_SECONDS, 0) <= 0
        async with asyncio.timeout(SECONDS):
            await client.wait_closed()


async def test_channel_whose_end_the_client_does_not_confirm_keeps_no_connection(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving, dialled(serving.port) as client:
        peer, clock = await one_peer(serving), serving.house.shared.clock
        one = await session(client)
        one.send(b"/time\n")
        await one.skips_to(b" ***\n")
        (channel,) = peer.channels
        assert channel.connection
        client._transport.pause_reading()
        channel.connection.abort()
        assert channel in peer.channels and 0 < peer.check_deadlines(clock(), 0) <= IDLE_SECONDS


async def test_connection_without_a_channel_ends(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving, dialled(serving.port) as client:
        peer, clock = await one_peer(serving), serving.house.shared.clock
        one = await session(client)
        assert peer.check_deadlines(clock() + 2 * IDLE_SECONDS, 0) > 0
        one.end()
        await one.rest()
        await until(lambda: not peer.channels)
        assert 0 < peer.check_deadlines(clock(), 0) <= IDLE_SECONDS
        assert peer.check_deadlines(clock() + IDLE_SECONDS, 0) <= 0
        async with asyncio.timeout(SECONDS):
            await client.wait_closed()
