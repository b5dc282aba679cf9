"""Real ssh clients: OpenSSH, PuTTY's plink, dropbear's dbclient and paramiko, through the address of all wires."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import asyncssh
import paramiko
import pytest
from housing import PROMPT, Client, Serving
from serving import SECONDS
from sshing import Relay, ssh_house

OPENSSH = ["ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-F", "none"]


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # for the keys and known hosts of the clients
    (tmp_path / ".ssh").mkdir(0o700)


def need(*programs: str) -> None:
    """Skip where a client is not installed; that is a failure in continuous integration."""
    for program in programs:
        if shutil.which(program) is None:
            assert os.environ.get("CI") != "true", f"{program} is not installed"
            pytest.skip(f"{program} is not installed")


async def run(command: Sequence[object], given: bytes = b"") -> tuple[int, bytes, bytes]:
    """Return the exit status, the output and the errors of a program with this standard input."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*map(str, command), stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(SECONDS):
            out, errors = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, out, errors


async def new_identity(folder: Path) -> Path:
    """Return the file of a new key."""
    status, _, _ = await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"])
    assert status == 0
    return folder / "key"


async def irc(serving: Serving, tls: ssl.SSLContext) -> Client:
    client = await serving.connect(ssl=tls)
    client.send(b"NICK Ida\r\nUSER ida 0 * :Ida\r\nJOIN #lobby\r\nPING in\r\n")
    await client.skips_to(b"PONG")
    return client


def by_paramiko(port: int) -> None:
    """Say something, and wait until the server has closed the channel."""
    with socket.create_connection(("127.0.0.1", port)) as sock, paramiko.Transport(sock) as transport:
        transport.start_client(timeout=SECONDS)
        transport.auth_interactive("Pam", lambda title, instructions, prompts: [])
        channel = transport.open_session()
        channel.invoke_shell()
        channel.sendall(b"hello from paramiko\n")
        channel.shutdown_write()
        assert channel.recv_exit_status() == 0


async def test_all_clients_meet_through_one_port(tmp_path: Path) -> None:
    need("ssh", "plink", "dbclient")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with ssh_house(tmp_path / "data", tls="self-signed", ephemeral=False) as serving:
        port, key = serving.port, await new_identity(tmp_path)
        nora, ida = await serving.join("Nora"), await irc(serving, trusting)
        status, _, _ = await run([*OPENSSH, "-p", port, "-i", key, "-T", "ossi@127.0.0.1"], b"hello from OpenSSH\n")
        assert status == 0
        host = host_key_of(tmp_path / "data")
        plink = ["plink", "-batch", "-ssh", "-T", "-hostkey", host, "-P", port, "Petra@127.0.0.1"]
        assert (await run(plink, b"hello from plink\n"))[0] == 0
        dropbear = ["dbclient", "-y", "-y", "-T", "-p", port, "Drop@127.0.0.1"]
        assert (await run(dropbear, b"hello from dbclient\n"))[0] == 0
        await asyncio.to_thread(by_paramiko, port)
        for name, client in (("ossi", "OpenSSH"), ("Petra", "plink"), ("Drop", "dbclient"), ("Pam", "paramiko")):
            await nora.skips_to(f"{name}: hello from {client}\n".encode())
            await ida.skips_to(f"PRIVMSG #lobby :hello from {client}\r\n".encode())
        ida.close()


def host_key_of(data: Path) -> str:
    """Return the fingerprint of the host key in a data folder."""
    return asyncssh.read_private_key(data / "ssh-host-key").get_fingerprint()


async def test_openssh_whose_greeting_is_late_is_let_in(tmp_path: Path) -> None:
    need("ssh")
    async with ssh_house(tmp_path) as serving:
        nora = await serving.join("Nora")
        relay = Relay(serving.port, waits_for=PROMPT)
        async with relay.listening() as port:
            assert (await run([*OPENSSH, "-p", port, "-T", "late@127.0.0.1"], b"sorry\n"))[0] == 0
        await nora.skips_to(b"late: sorry\n")


async def test_openssh_gets_nothing_but_the_chat(tmp_path: Path) -> None:
    need("ssh", "scp", "sftp")
    async with ssh_house(tmp_path) as serving:
        nora, port = await serving.join("Nora"), serving.port
        there = "eve@127.0.0.1"
        options = [*OPENSSH[1:], "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]
        for command in (
            ["ssh", *options, "-p", port, "-o", "PreferredAuthentications=none", there],
            ["ssh", *options, "-p", port, "-W", "127.0.0.1:22", there],
            ["ssh", *options, "-p", port, "-N", "-R", "127.0.0.1:0:127.0.0.1:22", there],
            ["ssh", *options, "-p", port, "-s", there, "netconf"],
            ["ssh", *options, "-p", port, there, "bash -i"],
            ["sftp", *options, "-P", port, there],
            ["scp", *options, "-P", port, f"{there}:/etc/passwd", tmp_path / "stolen"],
            ["scp", "-O", *options, "-P", port, __file__, f"{there}:/tmp/x"],
        ):
            status, out, errors = await run(command)
            assert status and not out and b"Traceback" not in errors, (command, errors)
        status, _, errors = await run([*OPENSSH, "-p", port, "-A", "-X", "-T", there], b"only words\n")
        assert status == 0, errors
        await nora.skips_to(b"eve: only words\n")
        assert not (tmp_path / "stolen").exists()


async def test_openssh_shows_why_it_is_refused(tmp_path: Path) -> None:
    need("ssh")
    async with ssh_house(tmp_path, ssh="no") as serving:
        status, _, errors = await run([*OPENSSH, "-p", serving.port, "ann@127.0.0.1"])
        assert status == 255 and b"This chat does not speak SSH" in errors


async def test_second_key_of_openssh_is_the_known_one(tmp_path: Path) -> None:
    need("ssh")
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        folder.mkdir()
    async with ssh_house(tmp_path) as serving:
        known, other = await new_identity(first), await new_identity(second)
        only = [*OPENSSH, "-o", "IdentitiesOnly=yes", "-p", serving.port, "-T"]
        status, out, _ = await run([*only, "-i", known, "ann@127.0.0.1"], b"/register\n/time\n")
        assert status == 0 and b"*** You are logged in as ann ***" in out
        status, out, _ = await run([*only, "-i", other, "-i", known, "ann@127.0.0.1"], b"/time\n")
        assert status == 0 and b"*** You are logged in as ann ***" in out
        status, out, _ = await run([*only, "-o", "BatchMode=yes", "-i", other, "ann@127.0.0.1"], b"/time\n")
        assert status == 255 and not out
