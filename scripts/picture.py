#!/usr/bin/env python3
"""Draw docs/terminal.svg: two terminals in a real session, one with nc and one with telnet."""

from __future__ import annotations

import html
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pexpect

TOP = Path(__file__).parent.parent
OUT = TOP / "docs" / "terminal.svg"
COLUMNS, LINE, CHAR, PAD = 62, 19, 8.43, 14


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Terminal:
    """A program under a pseudo-terminal, as a person would use it."""

    def __init__(self, command: str, shown: str) -> None:
        self.shown = shown
        self.text = ""
        self._child = pexpect.spawn(command, encoding="utf-8", timeout=10, dimensions=(40, COLUMNS))

    def sees(self, text: str) -> None:
        self._child.expect_exact(text)
        self.text += self._child.before + text

    def types(self, line: str) -> None:
        self._child.sendline(line)
        self.sees(line)

    def lines(self) -> list[str]:
        text = self.text.replace("\r\n", "\n").replace("\r", "")
        text = re.sub(r"(Trying [\d.]+\.\.\.\n|Connected to .*\n|Escape character is .*\n)", "", text)
        return [f"$ {self.shown}", *text.rstrip("\n").split("\n")]

    def close(self) -> None:
        self._child.close(force=True)


def session(port: int) -> list[list[str]]:
    nc = Terminal(f"nc 127.0.0.1 {port}", "nc chat.example 8888")
    nc.sees("Enter your name: ")
    nc.types("Alice")
    telnet = Terminal(f"telnet 127.0.0.1 {port}", "telnet chat.example 8888")
    telnet.sees("Enter your name: ")
    telnet.types("Bob")
    nc.sees("Bob has joined the chat ***")
    telnet.types("Hi Alice!")
    nc.sees("Bob: Hi Alice!")
    nc.types("Hello Bob! No client to install?")
    telnet.sees("No client to install?")
    telnet.types("/me shakes his head")
    nc.sees("* Bob shakes his head")
    nc.types("/search install")
    nc.sees("Hello Bob! No client to install?")
    telnet.types("/who")
    telnet.sees("Alice, Bob")
    nc.types("/quit see you")
    telnet.sees("(see you) ***")
    screens = [nc.lines(), telnet.lines()]
    nc.close()
    telnet.close()
    return screens


def svg(screens: list[list[str]]) -> str:
    width = PAD * 2 + COLUMNS * CHAR
    height = PAD * 2 + 30 + LINE * max(map(len, screens))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width + 20:.0f} {height:.0f}" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">',
        "<title>Two terminals in one chat: nc on the left, telnet on the right</title>",
    ]
    for number, lines in enumerate(screens):
        left = number * (width + 20)
        parts.append(f'<rect x="{left:.0f}" width="{width:.0f}" height="{height:.0f}" rx="8" fill="#1b1f27"/>')
        for dot, colour in enumerate(("#e0655d", "#dfb351", "#62b25f")):
            parts.append(f'<circle cx="{left + 20 + dot * 18:.0f}" cy="18" r="5" fill="{colour}"/>')
        for row, line in enumerate(lines):
            colour = "#8fb8ff" if line.startswith("$ ") else "#a3adbd" if line.startswith("***") else "#e8ebf0"
            at = f'x="{left + PAD:.0f}" y="{PAD + 36 + row * LINE}"'
            parts.append(f'<text {at} fill="{colour}" xml:space="preserve">{html.escape(line)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    for program in ("nc", "telnet"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt install netcat-openbsd telnet")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hubbub", "serve", "--listen", f"127.0.0.1:{port}", "--data", folder]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            server.stdout.readline()
            OUT.write_text(svg(session(port)), "utf-8")
        finally:
            server.terminate()
            server.wait(10)
    print(f"wrote {OUT.relative_to(TOP)}")


if __name__ == "__main__":
    main()
