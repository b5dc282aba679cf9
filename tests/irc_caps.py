"""People of a scene whose IRC client has capabilities; what came to them is looked at as a list of messages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from irc_messages import ANY, CORE, Message, Word, batch, fits
from irc_scene import Irc
from scene import PATIENCE, wait_until

HISTORY = (*CORE, "draft/chathistory")

Said = list[Message]


class Capable(Irc):
    """Somebody who may have capabilities."""

    def enter(self, nick: str, *caps: str) -> list[Message]:
        """Get these capabilities and a nick; return how one was greeted."""
        if caps:
            self.say("CAP LS 302", f"CAP REQ :{' '.join(caps)}")
            answer = self.awaits("CAP", ANY, re.compile("ACK|NAK"))
            assert answer.params[1] == "ACK", str(answer)
        self.say(f"NICK {nick}", f"USER {nick.lower()} 0 * :{nick} Real", *(["CAP END"] if caps else []))
        return self.welcomed()

    def next(self, deadline: float = PATIENCE) -> Message:
        """Return what comes next, but answer a PING of the server."""
        while (message := super().next(deadline)).verb == "PING":
            self.say(f"PONG :{message.params[-1]}")
        return message

    def line(self) -> bytes:
        """Return the next line as it comes; nothing else may be unread."""
        assert not self.seen and not self.data
        while b"\r\n" not in self.data:
            self.sock.settimeout(PATIENCE)
            self.data += self.sock.recv(1 << 16)
        line, _, self.data = self.data.partition(b"\r\n")
        return line

    def lines(self, last: bytes) -> list[bytes]:
        """Return lines as they come, up to one with `last` in it; nothing else may be unread."""
        got = [self.line()]
        while last not in got[-1]:
            got += self.data.split(b"\r\n")[:-1]
            self.data = b"" if self.data.endswith(b"\r\n") else self.data
            if last not in got[-1]:
                got.append(self.line())
        return got

    def ask(self, *lines: str | bytes) -> list[Message]:
        """Return what comes for lines up to the answer to a PING behind them."""
        self.send(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))
        return self.sync()

    def awaits(self, verb: str, *params: Word) -> Message:
        """Return the next message that begins like this; what comes before it is forgotten."""
        end = time.monotonic() + PATIENCE
        while not fits(message := self.next(end - time.monotonic()), verb, *params):
            pass
        return message

    def join(self, channel: str) -> list[Message]:
        """Be in a channel; return what came of it."""
        messages = self.ask(f"JOIN {channel}")
        assert any(fits(each, "JOIN", channel) and each.nick == self.nick for each in messages), [*map(str, messages)]
        return messages


class Town:
    """Makes people come to one server, and sends them home in the end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.people: list[Capable] = []

    def __call__(self, nick: str = "", *caps: str, join: str = "") -> Capable:
        """Return somebody new; `join`: in this channel, and nobody has anything of that unread."""
        self.people.append(somebody := Capable(self.port))
        if nick:
            somebody.enter(nick, *caps)
        if join:
            somebody.join(join)
            for person in self.people:
                if person.nick != "*" and not person.ended:
                    person.sync()
        return somebody

    def close(self) -> None:
        for person in self.people:
            person.leave()


def town(serve: Callable[..., Any]) -> Town:
    return Town(serve("--no-limits").port)


# --- what is read again ---------------------------------------------------------------------------------------------


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def say(somebody: Capable, line: str) -> Message:
    """Say it, in a millisecond of its own; return the echo."""
    somebody.sync()
    (echo,) = somebody.ask(line)
    wait_until(lambda: now() > echo.tags["time"], what="the next millisecond")
    return echo


def same(messages: Said) -> list[tuple[Any, ...]]:
    """Return all by which a message is the same when it is read again."""
    return [(each.tags["msgid"], each.tags["time"], each.nick, each.verb, each.params) for each in messages]


def read(somebody: Capable, request: str, said: Said, kind: str = "msgid", batch_of: str = "") -> Said:
    """Return the history that somebody is given for a request."""
    tag = {"msgid": "msgid", "timestamp": "time"}[kind]
    request = re.sub(r"@(\d+)", lambda match: f"{kind}={said[int(match[1])].tags[tag]}", request)
    inside = batch(somebody.ask(f"CHATHISTORY {request}"), "chathistory", batch_of or request.split()[1])
    return [message for message in inside if message.verb != "BATCH"]
