"""People with an IRC client, for scenes: they send lines, and what they see is matched by patterns like lines.

Patterns are told in irc_messages.py. `#room`, `#other` and `#third` are rooms of this scene alone, in what is sent and
what is expected.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from argon2 import PasswordHasher

from irc_messages import Message
from scene import PATIENCE

# How the tests' server is told who is its operator, and the password that all must know.
OPER = ("--operator", f"operuser:{PasswordHasher(1, 8, 1).hash('operpassword')}")
PASSWORD = ("--irc-password", "sesame")

ROOMS = re.compile(r"#(room|other|third)\b", re.IGNORECASE)
_scenes = count(1)


class Irc:
    """Somebody's IRC client. What it received and no question has taken yet is in `seen`.

    Args:
        port: where the server listens on 127.0.0.1.
        scene: what tells the rooms of this scene from those of others.

    """

    def __init__(self, port: int, scene: str = "") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.scene = scene
        self.data = b""
        self.seen: list[Message] = []
        self.ended = False
        self.nick = "*"
        self.server = ""
        self.support: dict[str, str] = {}
        self._pings = count(1)

    def of_scene(self, text: str) -> str:
        return ROOMS.sub(rf"\g<0>{self.scene}", text)

    def send(self, data: bytes) -> None:
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(data)

    def say(self, *lines: str) -> None:
        self.send("".join(self.of_scene(line) + "\r\n" for line in lines).encode())

    def receive(self, end: float) -> None:
        """Take what comes in next. Raises AssertionError when nothing does until `end`."""
        try:
            self.sock.settimeout(max(0.001, end - time.monotonic()))
            data = self.sock.recv(1 << 16)
        except TimeoutError:
            raise AssertionError(f"{self.nick}: nothing more came after {self._told()}") from None
        except ConnectionResetError:
            data = b""
        self.ended = not data
        *lines, self.data = (self.data + data).split(b"\r\n")
        self.seen += [Message.parse(line) for line in lines]

    def _told(self) -> str:
        return "\n  ".join(["", *map(str, self.seen[-12:])]) or "nothing"

    def next(self, deadline: float = PATIENCE) -> Message:
        """Return what comes next."""
        end = time.monotonic() + deadline
        while not self.seen:
            assert not self.ended, f"{self.nick}: the connection ended"
            self.receive(end)
        message = self.seen.pop(0)
        if message.verb == "NICK" and message.nick == self.nick:
            self.nick = message.params[0]
        return message

    def sees(self, *patterns: str) -> Message:
        """What comes next is exactly this, in this order. Returns the last."""
        for pattern in patterns:
            message = self.next()
            assert message.like(self.of_scene(pattern)), f"{self.nick}: expected {pattern!r}, saw {message}"
        return message

    def skips_to(self, pattern: str, deadline: float = PATIENCE) -> Message:
        """This comes, some time; what comes before it is forgotten."""
        end = time.monotonic() + deadline
        while True:
            message = self.next(end - time.monotonic())
            if message.like(self.of_scene(pattern)):
                return message

    def sync(self) -> list[Message]:
        """Return what came before the answer to a question that is asked now."""
        token = f"sync-{next(self._pings)}"
        self.say(f"PING {token}")
        came = []
        while True:
            message = self.next()
            if message.verb == "PONG" and message.params[-1] == token:
                return came
            came.append(message)

    def asks(self, line: str, *answers: str) -> list[Message]:
        """Send a line; this and nothing else is the answer. Returns it."""
        assert not self.sync(), f"{self.nick}: something was unread before {line!r}"
        self.say(line)
        came = self.sync()
        told = f"{self.nick}: {line!r} brought\n  " + "\n  ".join(map(str, came))
        assert len(came) == len(answers), f"{told}\nexpected {answers}"
        for message, answer in zip(came, answers, strict=True):
            assert message.like(self.of_scene(answer)), f"{told}\nexpected {answer!r}"
        return came

    def told(self, line: str, verb: str) -> list[tuple[str, ...]]:
        """Send a line; return the parameters of all answers of one kind, without the first, which is who asked."""
        self.sync()
        self.say(line)
        return [message.params[1:] for message in self.sync() if message.verb == verb]

    def sees_nothing(self) -> None:
        came = self.sync()
        assert not came, f"{self.nick}: expected nothing, saw " + "\n".join(map(str, came))

    def register(self, nick: str, user: str = "username", real: str = "Real Name") -> list[Message]:
        """Become somebody; return how one was greeted."""
        self.present(nick, user, real)
        return self.welcomed()

    def present(self, nick: str, user: str = "username", real: str = "Real Name") -> None:
        self.say(f"NICK {nick}", f"USER {user} 0 * :{real}")

    def welcomed(self) -> list[Message]:
        """Return how one was greeted, which must come."""
        first = self.next()
        while first.verb in ("NOTICE", "PING", "CAP"):
            if first.verb == "PING":
                self.say(f"PONG :{first.params[-1]}")
            first = self.next()
        assert first.verb == "001", first
        self.nick, self.server = first.params[0], first.source
        greeting = [first, *self.sync()]
        for message in greeting:
            if message.verb == "005":
                pairs = (token.partition("=") for token in message.params[1:-1])
                self.support.update({key: value for key, _, value in pairs})
        return greeting

    def joins(self, *rooms: str) -> None:
        """Be in rooms, with all the others knowing it."""
        for room in rooms:
            self.say(f"JOIN {room}")
            self.skips_to(f"366 {self.nick} {room} ...")

    def rest(self, deadline: float = PATIENCE) -> list[Message]:
        """Return everything up to the end of the connection, which must come."""
        end = time.monotonic() + deadline
        while not self.ended:
            self.receive(end)
        rest, self.seen = self.seen, []
        return rest

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def leave(self) -> None:
        """Be gone, so that the nick is free."""
        if self.sock.fileno() >= 0:
            if not self.ended:
                try:
                    self.say("QUIT")
                    self.rest()
                except OSError:
                    pass
            self.sock.close()


class People:
    """Those of one scene: `people("Alice", "Bob")` registers them; `people.meet(...)` brings them into #room, too."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.scene = str(next(_scenes))
        self.clients: list[Irc] = []

    def connect(self) -> Irc:
        self.clients.append(Irc(self.port, self.scene))
        return self.clients[-1]

    def __call__(self, *nicks: str) -> list[Irc]:
        clients = [self.connect() for _ in nicks]
        for client, nick in zip(clients, nicks, strict=True):
            client.present(nick)
        for client in clients:
            client.welcomed()
        return clients

    def meet(self, *nicks: str, room: str = "#room") -> list[Irc]:
        """Return people in a room that the first of them opened; nothing is unread."""
        clients = self(*nicks)
        for client in clients:
            client.joins(room)
        for client in clients:
            client.sync()
        return clients


@contextmanager
def people_at(port: int) -> Iterator[People]:
    people = People(port)
    yield people
    for client in people.clients:
        client.leave()


def settle(*clients: Irc) -> None:
    """Forget what has come to them so far."""
    for client in clients:
        client.sync()
