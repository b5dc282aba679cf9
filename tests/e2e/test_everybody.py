"""One room for all: whoever joins by whatever, everybody hears everybody."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from browser import FLAGS
from playwright.sync_api import Browser, sync_playwright
from test_irc_clients import Screen, irssi, weechat
from websockets.sync.client import connect

from scene import PATIENCE, Server, wait_until

PROGRAMS = ("nc", "telnet", "openssl", "curl", "chromium", "irssi", "weechat-curses")
missing = [program for program in PROGRAMS if not shutil.which(program)]

pytestmark = pytest.mark.skipif(
    bool(missing) and os.environ.get("CI") != "true", reason=f"needs {missing}; make test installs them when root"
)


class Terminal:
    """A program in which people type lines."""

    def __init__(self, name: str, *command: str) -> None:
        self.name = name
        self._terminal: Any = pexpect.spawn(command[0], list(command[1:]), timeout=PATIENCE, echo=False)
        self._terminal.expect_exact("Enter your name: ")
        self._terminal.sendline(name)

    def says(self, text: str) -> None:
        self._terminal.sendline(text.encode())

    def hears(self, name: str, text: str) -> None:
        self._terminal.expect_exact(f"{name}: {text}".encode())

    def close(self) -> None:
        self._terminal.close(force=True)


class Socket:
    """A program at the WebSocket."""

    def __init__(self, name: str, server: Server) -> None:
        self.name = name
        self._stack = contextlib.ExitStack()
        self._socket = self._stack.enter_context(connect(f"ws://127.0.0.1:{server.port}/ws"))
        self._socket.send(json.dumps({"type": "hello", "name": name}))

    def says(self, text: str) -> None:
        self._socket.send(json.dumps({"type": "say", "room": "lobby", "text": text}))

    def hears(self, name: str, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            frame = json.loads(self._socket.recv(end - time.monotonic()))
            if any((entry["nick"], entry["text"]) == (name, text) for entry in frame.get("entries", ())):
                return

    def close(self) -> None:
        self._stack.close()


class Curl:
    """curl: one that follows the room, and one for each thing that is said."""

    def __init__(self, name: str, server: Server) -> None:
        self.name = name
        self._room = f"http://127.0.0.1:{server.port}/api/v1/rooms/lobby"
        command = ["curl", "-sN", "-H", "Accept: text/plain", f"{self._room}/stream"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._heard: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout
        with self._process.stdout:
            for line in self._process.stdout:
                self._heard.append(line.decode())

    def says(self, text: str) -> None:
        url = f"{self._room}/messages?name={self.name}"
        subprocess.run(["curl", "-sf", "-d", text, url], check=True, timeout=PATIENCE, capture_output=True)

    def hears(self, name: str, text: str) -> None:
        wait_until(lambda: f"{name}: {text}\n" in self._heard, what=f"that curl hears {name}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(PATIENCE)


class IrcClient:
    """irssi or WeeChat in #lobby."""

    def __init__(self, name: str, screen: Screen) -> None:
        self.name = name
        self._screen = screen
        screen.shows("Welcome to the chat")
        screen.types("/join #lobby")
        screen.shows("#lobby")

    def says(self, text: str) -> None:
        self._screen.types(text)

    def hears(self, name: str, text: str) -> None:
        self._screen.shows(text)

    def close(self) -> None:
        self._screen.close()


class Page:
    """A browser with the page."""

    def __init__(self, name: str, server: Server, browser: Browser) -> None:
        self.name = name
        self._page = browser.new_page()
        self._page.goto(f"http://127.0.0.1:{server.port}/")
        self._page.fill("#name", name)
        self._page.keyboard.press("Enter")
        self._page.locator("#write:enabled").wait_for()

    def says(self, text: str) -> None:
        self._page.fill("#write", text)
        self._page.keyboard.press("Enter")

    def hears(self, name: str, text: str) -> None:
        said = self._page.locator("li.said", has_text=text).filter(has_text=name)
        said.first.wait_for(timeout=PATIENCE * 1000)

    def close(self) -> None:
        self._page.close()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


def test_everybody_hears_everybody(serve: Callable[..., Server], browser: Browser, tmp_path: Path) -> None:
    server = serve("--tls", "self-signed", "--motd", "Welcome to the chat", sniffs=True)
    homes = [tmp_path / "irssi", tmp_path / "weechat"]
    for home in homes:
        home.mkdir()
    address = ["127.0.0.1", str(server.port)]
    with contextlib.ExitStack() as stack:
        people: list[Any] = []
        for person in (
            lambda: Terminal("Nina", "nc", *address),
            lambda: Terminal("Theo", "telnet", *address),
            lambda: Terminal("Otto", "openssl", "s_client", "-quiet", "-connect", ":".join(address)),
            lambda: Socket("Wim", server),
            lambda: Curl("Carl", server),
            lambda: Page("Pia", server, browser),
            lambda: IrcClient("Ines", irssi(homes[0], server.port, "Ines")),
            lambda: IrcClient("Wanda", weechat(homes[1], server.port, "Wanda")),
        ):
            people.append(person())
            stack.callback(people[-1].close)
        wait_until(lambda: b'"stream"} 1.0' in _metrics(server), what="that curl follows")
        for speaker in people:
            text = f"this is {speaker.name}, grüße 你好"
            speaker.says(text)
            for listener in people:
                if listener is not speaker:
                    listener.hears(speaker.name, text)


@pytest.mark.parametrize("client", [irssi, weechat])
def test_lines_of_one_message_from_the_page_come_one_after_the_other(
    serve: Callable[..., Server], browser: Browser, tmp_path: Path, client: Callable[..., Screen]
) -> None:
    server = serve("--motd", "Welcome to the chat", sniffs=True)
    with contextlib.ExitStack() as stack:
        ines = IrcClient("Ines", client(tmp_path, server.port, "Ines"))
        stack.callback(ines.close)
        pia = Page("Pia", server, browser)
        stack.callback(pia.close)
        pia.says("a first line\n\n  a second, after an empty one\na third")
        for line in ("a first line", "  a second, after an empty one", "a third"):
            ines.hears("Pia", line)


def _metrics(server: Server) -> bytes:
    command = ["curl", "-s", f"http://127.0.0.1:{server.port}/metrics"]
    return subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True).stdout
