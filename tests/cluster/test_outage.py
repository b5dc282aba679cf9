"""A node while the NATS servers cannot be reached: it is told to stop, and IRC clients ask for something."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from nats_servers import NatsServers
from programs import SECONDS, Client, serving


def test_who_typed_something_in_an_outage_is_told_that_it_is_not_sent_when_the_node_stops(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path)
    servers.start()
    try:
        with serving("--broker", servers.url, "--data", tmp_path / "node") as server:
            ann = Client(server.port, "Ann")
            ann.said("stored")
            servers.signal(0, signal.SIGKILL)
            ann.sees("The chat cannot be reached right now")
            ann.say("kept back")
            ann.say("and this")
            server.process.send_signal(signal.SIGTERM)
            told = ann.sees("The server is shutting down")
            assert told.count("Not sent: the server stops.") == 2, told
            assert server.process.wait(SECONDS) == 0
            ann.close()
    finally:
        servers.stop()


def test_labeled_answers_of_irc_are_told_apart_in_an_outage(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path)
    servers.start()
    try:
        with serving("--broker", servers.url, "--data", tmp_path / "node") as server, Irc(server.port) as ida:
            ida.says("CAP REQ :labeled-response batch echo-message", "NICK Ida", "USER ida 0 * :Ida", "CAP END")
            ida.says("JOIN #out")
            ida.sees(" 366 ")
            servers.signal(0, signal.SIGKILL)
            ida.sees("The chat cannot be reached right now")
            ida.says("@label=o1 PRIVMSG #out :kept back", "@label=o2 NICK Iii", "JOIN #new")
            time.sleep(1)
            servers.start(0)
            assert "PRIVMSG #out :kept back" in ida.sees("label=o1")
            assert " 437 Ida Iii :" in ida.sees("label=o2")
            assert server.stop() == 0
    finally:
        servers.stop()


class Irc:
    """An IRC client."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._lines = self._socket.makefile("r", encoding="utf-8", newline="\r\n")

    def __enter__(self) -> Irc:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def says(self, *lines: str) -> None:
        self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def sees(self, words: str) -> str:
        """Return the next line with these words."""
        seen = []
        for line in self._lines:
            seen.append(line)
            if words in line:
                return line
        raise AssertionError(f"{words} did not come: {seen}")
