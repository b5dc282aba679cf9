"""irssi and WeeChat, as people use them, in one room with nc and a WebSocket."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from scene import PATIENCE, Client, Server

PROGRAMS = {"irssi": "irssi", "weechat": "weechat-curses"}
Typist = Callable[..., "Screen"]
PASSWORD = "four-blue-kettles"


class Screen:
    """A full-screen client in a terminal of its own; what it draws is matched as it is drawn."""

    def __init__(self, command: str, *arguments: str, home: Path) -> None:
        env = {**os.environ, "TERM": "xterm", "LANG": "C.UTF-8", "HOME": str(home), "TZ": "UTC"}
        self._terminal: Any = pexpect.spawn(
            command, list(arguments), timeout=PATIENCE, env=env, dimensions=(40, 140), encoding="utf-8"
        )

    def types(self, *lines: str) -> None:
        for line in lines:
            self._terminal.send(line + "\r")

    def shows(self, *texts: str) -> None:
        for text in texts:
            self._terminal.expect_exact(text)

    def close(self) -> None:
        self._terminal.close(force=True)


def irssi(home: Path, port: int, nick: str, mechanism: str = "") -> Screen:
    # It would wait seconds between two commands, so as not to be taken for a flood.
    settings = '"irc/core" = { cmd_queue_speed = "1msec"; cmds_max_at_once = "99"; };'
    arguments = ["-c", "127.0.0.1", "-p", str(port), "-n", nick]
    config = ""
    if mechanism:
        # The rooms of the account come without a command, so their window would stay in the background.
        settings += ' "fe-common/core" = { autocreate_windows = "no"; };'
        login = f'sasl_mechanism = "{mechanism}"; sasl_username = "{nick}"; sasl_password = "{PASSWORD}";'
        config = f'chatnets = {{ hub = {{ type = "IRC"; {login} }}; }};\n'
        config += (
            f'servers = ( {{ address = "127.0.0.1"; port = "{port}"; chatnet = "hub"; autoconnect = "yes"; }} );\n'
        )
        arguments = ["-n", "guest"]
    (home / "config").write_text(f"settings = {{ {settings} }};\n{config}")
    return Screen("irssi", f"--home={home}", *arguments, home=home)


def weechat(home: Path, port: int, nick: str, mechanism: str = "") -> Screen:
    set_up = [
        # Likewise, by both names that its versions have for it.
        "/set irc.server_default.anti_flood_prio_high 0",
        "/set irc.server_default.anti_flood_prio_low 0",
        "/set irc.server_default.anti_flood 0",
        f"/server add hub 127.0.0.1/{port} -notls -nicks={nick}",
        "/set weechat.look.buffer_auto_renumber off",
        "/set irc.look.smart_filter off",
    ]
    if mechanism:
        words = {"mechanism": mechanism.lower(), "username": nick, "password": PASSWORD}
        set_up += [f"/set irc.server.hub.sasl_{name} {word}" for name, word in words.items()]
    return started_weechat(home, *set_up, "/connect hub")


def started_weechat(home: Path, *set_up: str) -> Screen:
    flags = [flag for command in set_up for flag in ("-r", command)]
    return Screen("weechat-curses", "-d", str(home), "-t", *flags, home=home)


TO_NICKSERV = {"irssi": "/window goto 2", "weechat": "/buffer hub"}
TO_OPS = {"irssi": "/window item goto #ops", "weechat": "/buffer #ops"}  # in one window for all rooms
GO = {"irssi": "/window goto 2", "weechat": "/buffer #ops"}
CLIENTS = {"irssi": irssi, "weechat": weechat}


@pytest.fixture
def typist(tmp_path: Path) -> Iterator[Typist]:
    started: list[Screen] = []

    def start(name: str, port: int, nick: str, mechanism: str = "") -> Screen:
        if not shutil.which(PROGRAMS[name]):
            if os.environ.get("CI") == "true":
                pytest.fail(f"{name} is missing")
            pytest.skip(f"{name} is missing")
        home = tmp_path / f"{name}-{len(started)}"
        home.mkdir()
        started.append(CLIENTS[name](home, port, nick, mechanism))
        return started[-1]

    yield start
    for screen in started:
        screen.close()


def in_ops(server: Server, name: str) -> Client:
    client = server.join(name)
    client.say("/join ops")
    client.seen = client.barrier()
    client.seen = b""
    return client


@pytest.mark.parametrize("name", CLIENTS)
def test_client_is_in_one_room_with_nc(serve: Callable[..., Server], typist: Typist, name: str, tmp_path: Path) -> None:
    server = serve("--motd", "Welcome to the chat", sniffs=True)
    nina = in_ops(server, "Nina")
    nina.say("/topic tea at four", "said before you came")
    nina.barrier()
    ida = typist(name, server.port, "Ida")
    ida.shows("Welcome to the chat")
    ida.types("/join #ops")
    nina.sees(b"*** Ida has joined ops ***\n")
    ida.shows("tea at four", "said before you came")
    ida.types("hello from the client, gr\u00fc\u00dfe")
    nina.sees("Ida: hello from the client, gr\u00fc\u00dfe\n".encode())
    nina.say("hello back, 你好")
    ida.shows("hello back, 你好")
    nina.say("/me pours")
    ida.shows("pours")
    ida.types("/me drinks")
    nina.sees(b"* Ida drinks\n")
    nina.say("/nick Nora")
    nina.sees(b"*** You are Nora now ***\n")
    ida.shows("Nora")
    ida.types("/nick Ada")
    nina.sees(b"*** Ida is now Ada ***\n")
    ida.types("/msg Nora psst")
    nina.sees(b"Ada (private): psst\n")
    nina.say("/msg Ada pssst back")
    ida.types("/query Nora")
    ida.shows("pssst back")
    ida.types(GO[name])
    nina.say("/kick Ada too much tea")
    nina.sees(b"*** Nora has kicked Ada (too much tea) ***\n")
    ida.shows("too much tea")
    ida.types("/join #ops")
    nina.sees(b"*** Ada has joined ops ***\n")
    ida.types("/quit see you")
    nina.sees(b"*** Ada has left ops (see you) ***\n")


def test_client_comes_back_after_a_restart(serve: Callable[..., Server], typist: Typist) -> None:
    server = serve("--motd", "Welcome to the chat", sniffs=True)
    nina = in_ops(server, "Nina")
    ida = typist("irssi", server.port, "Ida")
    ida.shows("Welcome to the chat")
    ida.types("/join #ops")
    nina.sees(b"*** Ida has joined ops ***\n")
    server.kill()
    again = serve(port=server.port, sniffs=True)
    nina = in_ops(again, "Nina")
    ida.types("/reconnect")
    nina.skips_to(b"*** Ida has joined ops ***\n")
    nina.say("still here")
    ida.shows("still here")


# irssi has SCRAM from version 1.5 on.
@pytest.mark.parametrize("name, mechanism", [("irssi", "PLAIN"), ("weechat", "PLAIN"), ("weechat", "SCRAM-SHA-256")])
def test_client_is_a_second_screen_of_an_account(
    serve: Callable[..., Server], typist: Typist, name: str, mechanism: str
) -> None:
    server = serve(sniffs=True)
    nina, ida = in_ops(server, "Nina"), in_ops(server, "Ida")
    ida.say(f"/register {PASSWORD}")
    ida.sees(b"*** You are logged in as Ida ***\n")
    nina.say("said before the client came")
    screen = typist(name, server.port, "Ida", mechanism)
    screen.shows("You are now logged in as Ida", "said before the client came")
    ida.say("hello from nc")
    screen.shows("hello from nc")
    screen.types(TO_OPS[name], "hello from the client")
    nina.skips_to(b"Ida: hello from nc\nIda: hello from the client\n")
    ida.skips_to(b"Ida: hello from the client\n")


@pytest.mark.parametrize("name", CLIENTS)
def test_name_is_registered_and_taken_back_by_nickserv(serve: Callable[..., Server], typist: Typist, name: str) -> None:
    server = serve("--motd", "Welcome to the chat", sniffs=True)
    ida = typist(name, server.port, "Ida")
    ida.shows("Welcome to the chat")
    ida.types(f"/msg NickServ REGISTER {PASSWORD}", TO_NICKSERV[name])
    ida.shows("Ida is yours now")
    other = typist(name, server.port, "other")
    other.shows("Welcome to the chat")
    other.types("/nick Ida")
    other.shows("Ida is registered.")
    other.types(f"/msg NickServ IDENTIFY Ida {PASSWORD}", TO_NICKSERV[name])
    other.shows("You are logged in as Ida")


@pytest.fixture
def encrypted(serve: Callable[..., Server]) -> tuple[str, str]:
    """Return the port of an address that is for encrypted clients only, and its certificate's fingerprint."""
    server = serve("--tls", "self-signed", "--listen", "ircs:127.0.0.1:0", "--motd", "Welcome to the chat")
    fingerprint = server.logs(r"SHA-256 fingerprint is (\S+)")[1]
    return server.logs(r"running on 127\.0\.0\.1:(\d+) \(tls only\)")[1], fingerprint


def test_irssi_knows_the_certificate_by_its_fingerprint(typist: Typist, encrypted: tuple[str, str]) -> None:
    port, fingerprint = encrypted
    ida = typist("irssi", 1, "Ida")  # nothing is there
    other = "".join("1" if char == "0" else "0" if char != ":" else char for char in fingerprint)
    ida.types(f"/connect -tls -tls_pinned_cert {other} 127.0.0.1 {port}")
    ida.shows("Pinned certificate mismatch")
    ida.types(f"/connect -tls -tls_pinned_cert {fingerprint} 127.0.0.1 {port}")
    ida.shows("Welcome to the chat")


def test_weechat_knows_the_certificate_by_its_fingerprint(
    typist: Typist, encrypted: tuple[str, str], tmp_path: Path
) -> None:
    port, fingerprint = encrypted
    typist("weechat", 1, "Ida").close()  # or the test is skipped
    asked = subprocess.run(["weechat-curses", "--version"], check=True, capture_output=True, text=True).stdout
    tls = "tls" if int(asked.partition(".")[0]) >= 4 else "ssl"
    ida = started_weechat(
        tmp_path / "weechat",
        f"/server add hub 127.0.0.1/{port} -{tls} -nicks=Ida",
        f"/set irc.server.hub.{tls}_fingerprint {fingerprint.replace(':', '').lower()}",
        "/connect hub",
    )
    ida.shows("Welcome to the chat")
    ida.close()
