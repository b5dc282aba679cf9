"""People of a scene whose IRC client has capabilities; what came to them is looked at as a list of messages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from irc_scene import Irc, Message
from scene import PATIENCE

ANY = re.compile(".*", re.DOTALL)
CORE = ("message-tags", "server-time", "echo-message", "batch", "labeled-response")
Word = str | re.Pattern[str]


def fits(message: Message, verb: str, *params: Word) -> bool:
    """Say whether a message has this verb, and these parameters to begin with."""
    return (
        message.verb == verb
        and len(message.params) >= len(params)
        and all(
            wanted == word if isinstance(wanted, str) else wanted.fullmatch(word)
            for wanted, word in zip(params, message.params, strict=False)
        )
    )


def told(messages: list[Message], *verbs: str) -> list[Message]:
    return [message for message in messages if message.verb in verbs]


def verbs(messages: list[Message]) -> list[str]:
    return [message.verb for message in messages]


def the(messages: list[Message], verb: str, *params: Word) -> Message:
    """Exactly one of them has this verb, and it begins like this."""
    found = told(messages, verb)
    assert len(found) == 1, [*map(str, messages)]
    assert fits(found[0], verb, *params), str(found[0])
    return found[0]


def only(messages: list[Message], verb: str, *params: Word) -> Message:
    """They are one message, and it is like this, with no parameter more."""
    assert len(messages) == 1, [*map(str, messages)]
    assert fits(messages[0], verb, *params) and len(messages[0].params) == len(params), str(messages[0])
    return messages[0]


def batch(messages: list[Message], kind: str, *params: Word) -> list[Message]:
    """They are one batch of this kind, and nothing else; return what is in it, batches of its own included."""
    assert len(messages) > 1, [*map(str, messages)]
    start, *inside, end = messages
    assert fits(start, "BATCH", re.compile(r"\+[A-Za-z0-9-]+"), kind, *params), [*map(str, messages)]
    open_now = [start.params[0][1:]]
    assert end.verb == "BATCH" and end.params == (f"-{open_now[0]}",), [*map(str, messages)]
    for message in inside:
        if message.verb == "BATCH" and message.params[0][0] == "-":
            assert message.params[0][1:] == open_now.pop(), [*map(str, messages)]
        assert message.tags.get("batch") == open_now[-1], [*map(str, messages)]
        if message.verb == "BATCH" and message.params[0][0] == "+":
            open_now.append(message.params[0][1:])
    return inside


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
    return Town(serve("--no-limits", sniffs=True).port)
