"""One scene over all wires: answers, corrections, reactions, pins and deletions, and what each wire shows of them.

Ann (nc, the operator) and Bob (nc) act; Cy has an IRC client with tags, Dee one without, Eve a WebSocket. The golden
output of each act is one line for each wire that shows something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from in_thread import InThread
from websockets.sync.client import connect

from hubbub.config import Settings
from hubbub.tools import exported_lines, transfer
from irc_messages import Message
from irc_scene import Irc
from scene import PATIENCE, Client

ID = re.compile(r"[0-9a-f]{10}-[0-9a-f]+\.[0-9a-f]+(?:-[A-Za-z0-9]+)?")
HOST = re.compile(r"!~[^ ]+")
SHOWN_TAGS = ("+reply", "+draft/react", "+draft/unreact")


class Scene:
    """The people, and what they saw of an act."""

    def __init__(self, server: InThread) -> None:
        self.server = server
        self.ann, self.bob = server.join("Ann"), server.join("Bob")
        self.ann.say("/join ops")
        self.ann.barrier()
        self.bob.say("/join ops")
        self.bob.barrier()
        self.cy, self.dee = Irc(server.port), Irc(server.port)
        for client, nick, caps in ((self.cy, "Cy", "message-tags batch draft/chathistory"), (self.dee, "Dee", "")):
            if caps:
                client.say(f"CAP REQ :{caps}")
            client.present(nick)
            client.say("CAP END", "JOIN #ops")
            client.nick = nick
            client.skips_to(f"366 {nick} #ops ...")
        self.ending = ExitStack()
        self.socket = self.ending.enter_context(connect(f"ws://127.0.0.1:{server.port}/ws"))
        self.eve(type="hello", name="Eve")
        self.eve(type="join", room="ops")
        self.shown()

    def close(self) -> None:
        self.ending.close()
        self.cy.leave()
        self.dee.leave()

    def eve(self, **request: Any) -> list[dict[str, Any]]:
        """Send a request; return the frames that came before the answer to a question after it."""
        for one in (request, {"type": "command", "line": "/time"}):
            if one:
                self.socket.send(json.dumps(one))
        frames = []
        while (frame := json.loads(self.socket.recv(PATIENCE)))["type"] != "clock":
            frames.append(frame)
        return frames

    def entries(self, frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [entry for frame in frames if frame["type"] == "entries" for entry in frame["entries"]]

    def shown(self, first: str = "") -> list[str]:
        """Return what all have seen, by person; it is asked of `first` before the others."""
        seen = {first: self._seen(first)} if first else {}
        for name in ("ann", "bob", "cy", "dee", "eve"):
            seen[name] = [*seen.get(name, ()), *self._seen(name)]
        wires = {"ann": "nc ann", "bob": "nc bob", "cy": "irc cy", "dee": "irc dee", "eve": "web"}
        return [f"{wire}: {line}" for name, wire in wires.items() for line in seen[name]]

    def _seen(self, name: str) -> list[str]:
        if name == "eve":
            return [self._object(entry) for entry in self.entries(self.eve())]
        client = getattr(self, name)
        return self._irc(client) if isinstance(client, Irc) else self._terminal(client)

    @staticmethod
    def _terminal(client: Client) -> list[str]:
        return client.barrier().decode().splitlines()

    @staticmethod
    def _irc(client: Irc) -> list[str]:
        return [_irc_line(message) for message in client.sync()]

    @staticmethod
    def _object(entry: dict[str, Any]) -> str:
        more = {name: entry[name] for name in ("quote", "re", "words") if name in entry}
        text = ID.sub("ID", f"{entry['kind']} {entry['nick']} {entry['text']}")
        return " ".join([text, *(f"{name}={ID.sub('ID', str(value))}" for name, value in more.items())])


def _irc_line(message: Message) -> str:
    tags = " ".join(f"{name}={ID.sub('ID', message.tags[name])}" for name in SHOWN_TAGS if name in message.tags)
    return HOST.sub("", f"{tags} {message}".strip())


@pytest.fixture
def scene(serve: Callable[..., InThread]) -> Iterator[Scene]:
    made = Scene(serve("--no-limits"))
    yield made
    made.close()


def acts(scene: Scene, who: str, line: str) -> str:
    """Let somebody act, wait until the author's next question is answered, and return what all have seen until then."""
    if who == "eve":
        scene.socket.send(json.dumps({"type": "command", "room": "ops", "line": line}))
    else:
        getattr(scene, who).say(line)
    return "\n".join(scene.shown(who))


def test_scene(scene: Scene) -> None:
    assert acts(scene, "ann", "shall we meat at four?") == (
        "nc bob: Ann: shall we meat at four?\n"
        "irc cy: :Ann PRIVMSG #ops | shall we meat at four?\n"
        "irc dee: :Ann PRIVMSG #ops | shall we meat at four?\n"
        "web: message Ann shall we meat at four?"
    )
    assert acts(scene, "ann", "s/meat/meet/") == (
        "nc ann: Ann corrects: shall we meet at four?\n"
        "nc bob: Ann corrects: shall we meet at four?\n"
        "irc cy: +reply=ID :Ann PRIVMSG #ops | * shall we meet at four?\n"
        "irc dee: :Ann PRIVMSG #ops | * shall we meet at four?\n"
        "web: edit Ann ID shall we meet at four? words=has corrected a message"
    )
    assert acts(scene, "bob", "/re at five") == (
        'nc ann: Bob (re Ann: "shall we meet at fou…"): at five\n'
        "irc cy: +reply=ID :Bob PRIVMSG #ops | at five\n"
        "irc dee: :Bob PRIVMSG #ops | Ann: at five\n"
        "web: message Bob at five quote={'nick': 'Ann', 'text': 'shall we meet at four?'} re=ID"
    )
    assert acts(scene, "bob", "/+ 👍 Ann") == (
        'nc ann: *** Bob reacted with 👍 to "shall we meet at fou…" ***\n'
        'nc bob: *** Bob reacts with 👍 (re Ann: "shall we meet at fou…") ***\n'
        "irc cy: +reply=ID +draft/react=👍 :Bob TAGMSG #ops\n"
        "web: react Bob ID 👍 quote={'nick': 'Ann', 'text': 'shall we meet at four?'} words=has reacted with 👍"
    )
    assert acts(scene, "ann", "/pin Bob") == (
        "nc ann: *** Ann has pinned a message of Bob: at five ***\n"
        "nc bob: *** Ann has pinned a message of Bob: at five ***\n"
        "irc cy: : NOTICE #ops | Ann has pinned a message of Bob: at five\n"
        "irc dee: : NOTICE #ops | Ann has pinned a message of Bob: at five\n"
        "web: pin Ann ID Bob: at five words=has pinned a message of Bob: at five"
    )
    assert acts(scene, "cy", "PRIVMSG #ops :teh plan") == (
        "nc ann: Cy: teh plan\nnc bob: Cy: teh plan\nirc dee: :Cy PRIVMSG #ops | teh plan\nweb: message Cy teh plan"
    )
    assert acts(scene, "cy", "PRIVMSG #ops :s/teh/the/") == (
        "nc ann: Cy corrects: the plan\nnc bob: Cy corrects: the plan\nirc dee: :Cy PRIVMSG #ops | * the plan\n"
        "web: edit Cy ID the plan words=has corrected a message"
    )
    assert acts(scene, "eve", "/re Cy good") == (
        'nc ann: Eve (re Cy: "the plan"): good\n'
        'nc bob: Eve (re Cy: "the plan"): good\n'
        "irc cy: +reply=ID :Eve PRIVMSG #ops | good\n"
        "irc dee: :Eve PRIVMSG #ops | Cy: good\n"
        "web: message Eve good quote={'nick': 'Cy', 'text': 'the plan'} re=ID"
    )
    assert acts(scene, "ann", "/delete cy") == (
        "nc ann: *** Ann has deleted a message ***\n"
        "nc bob: *** Ann has deleted a message ***\n"
        "web: redact Ann ID words=has deleted a message"
    )


def test_messages_are_the_same_after_a_restart_and_an_import(tmp_path: Path) -> None:
    def history(data: Path, *lines: str) -> list[str]:
        server = InThread(data, "--no-limits", sniffs=False)
        try:
            ann, bob = server.join("Ann"), server.join("Bob")
            ann.say("/join ops")
            ann.barrier()
            bob.say("/join ops")
            bob.barrier()
            for number, line in enumerate(lines):
                client = bob if number % 2 else ann
                client.say(line)
                client.barrier()
            new = server.join("New")
            new.say("/join ops")
            new.barrier()
            new.say("/history 20", "/pins")
            return re.sub(r"\[..:..\] ", "", new.barrier().decode()).splitlines()
        finally:
            server.close()

    first = history(
        tmp_path / "data", "one", "/+ 👍", "s/one/ONE/", "/re two", "/pin Ann", "/+ 🎉 Ann", "three", "/who", "/delete"
    )  # fmt: skip
    assert first == ["Ann: ONE (corrected) [👍 1, 🎉 1]", 'Bob (re Ann: "ONE"): two', "*** 1. Ann: ONE ***"]
    assert history(tmp_path / "data") == first
    with exported_lines.output(str(tmp_path / "log.jsonl")) as output:
        transfer.export(Settings(data=tmp_path / "data"), output, lambda *_: None)
    with exported_lines.source(str(tmp_path / "log.jsonl")) as lines:
        transfer.take_in(Settings(data=tmp_path / "copy"), lines, lambda *_: None)
    assert history(tmp_path / "copy") == first
