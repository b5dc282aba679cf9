#!/usr/bin/env python3
"""Draw docs/terminal.svg: two terminals in a real session, one with nc and one with ssh."""

from __future__ import annotations

import html
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pexpect
import pyte

TOP = Path(__file__).parent.parent
OUT = TOP / "docs" / "terminal.svg"
COLUMNS, ROWS, LINE, CHAR, PAD = 62, 40, 19, 8.43, 14


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Terminal:
    """A program under a pseudo-terminal, as a person would use it, and the screen that it shows."""

    def __init__(self, command: str, shown: str) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self.screen)
        self._stream.feed(f"$ {shown}\r\n")
        self._child = pexpect.spawn(command, encoding="utf-8", timeout=10, dimensions=(ROWS, COLUMNS))

    def sees(self, text: str) -> None:
        self._child.expect_exact(text)
        self._stream.feed(self._child.before + text)

    def types(self, line: str) -> None:
        self.begins(f"{line}\r")

    def begins(self, line: str) -> None:
        """Type without Enter, unless the text has one, and wait until it is shown."""
        self._child.send(line)
        self.sees(line.rstrip("\r"))

    def close(self) -> None:
        self._child.close(force=True)


def session(port: int, key: Path) -> list[pyte.Screen]:
    nc = Terminal(f"nc 127.0.0.1 {port}", "nc chat.example 8888")
    nc.sees("Enter your name: ")
    nc.types("Alice")
    options = f"-F none -i {key} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    ssh = Terminal(f"ssh -q {options} -p {port} Bob@127.0.0.1", "ssh -p 8888 Bob@chat.example")
    ssh.sees("lists the commands ***")
    nc.sees("Bob has joined the chat ***")
    ssh.types("Hi Alice!")
    nc.sees("Bob: Hi Alice!")
    nc.types("Hello Bob! No client to install?")
    ssh.sees("No client to install?")
    ssh.types("/me nods")
    nc.sees("* Bob nods")
    nc.types("/search install")
    nc.sees("Hello Bob! No client to install?")
    ssh.types("/who")
    ssh.sees("Alice, Bob")
    ssh.begins("See you tom")
    nc.types("/quit see you")
    ssh.sees("(see you) ***")
    ssh.sees("See you tom")  # below the new line
    nc.sees("\n")
    screens = [nc.screen, ssh.screen]
    nc.close()
    ssh.close()
    return screens


def spans(screen: pyte.Screen, row: int) -> list[tuple[int, str, str]]:
    """Return the pieces of a row that have one colour: the column, the text and the colour."""
    line = screen.display[row].rstrip()
    is_notice = line.startswith("***") or line.endswith("***")  # of one row, or the end of one of two
    usual = "#8fb8ff" if line.startswith("$ ") else "#a3adbd" if is_notice else "#e8ebf0"
    found: list[tuple[int, str, str]] = []
    for column, char in enumerate(line):
        fg = screen.buffer[row][column].fg
        colour = usual if fg == "default" else f"#{fg}"
        if found and found[-1][2] == colour:
            start, text, _ = found[-1]
            found[-1] = start, text + char, colour
        else:
            found.append((column, char, colour))
    return found


def svg(screens: list[pyte.Screen]) -> str:
    width = PAD * 2 + COLUMNS * CHAR
    height = PAD * 2 + 30 + LINE * (max(screen.cursor.y for screen in screens) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width + 20:.0f} {height:.0f}" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">',
        "<title>Two terminals in one chat: nc on the left, ssh on the right</title>",
    ]
    for number, screen in enumerate(screens):
        left = number * (width + 20)
        parts.append(f'<rect x="{left:.0f}" width="{width:.0f}" height="{height:.0f}" rx="8" fill="#1b1f27"/>')
        for dot, colour in enumerate(("#e0655d", "#dfb351", "#62b25f")):
            parts.append(f'<circle cx="{left + 20 + dot * 18:.0f}" cy="18" r="5" fill="{colour}"/>')
        for row in range(ROWS):
            for column, text, colour in spans(screen, row):
                at = f'x="{left + PAD + column * CHAR:.1f}" y="{PAD + 36 + row * LINE}"'
                parts.append(f'<text {at} fill="{colour}" xml:space="preserve">{html.escape(text)}</text>')
        cursor = screen.cursor
        at = f'x="{left + PAD + cursor.x * CHAR:.1f}" y="{PAD + 36 + cursor.y * LINE - 13}"'
        parts.append(f'<rect {at} width="8" height="17" fill="#e8ebf0" fill-opacity="0.6"/>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    for program in ("nc", "ssh", "ssh-keygen"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt install netcat-openbsd openssh-client")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        command = [sys.executable, "-m", "hubbub", "serve", "--listen", f"127.0.0.1:{port}", "--data", f"{folder}/data"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            while "running on" not in server.stdout.readline():
                assert server.poll() is None
            OUT.write_text(svg(session(port, key)), "utf-8")
        finally:
            server.terminate()
            server.wait(10)
    print(f"wrote {OUT.relative_to(TOP)}")


if __name__ == "__main__":
    main()
