"""Each cell of docs/access.md, asked over the wires: nobody sees or does what a room forbids, whatever they speak.

One IRC client, Boss, makes a room for each setting; on each wire there is one of each kind of people.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from in_thread import InThread
from websockets.sync.client import ClientConnection, connect

from access_table import INSIDE, SETTINGS, read
from irc_scene import OPER, Irc
from scene import PATIENCE, Place

CELLS = read()
NICKS = {
    "guest": "gue",
    "banned guest": "bgu",
    "invited": "inv",
    "asked in": "ask",
    "root outside": "roo",
    "member": "mem",
    "voice": "voi",
    "operator": "ope",
    "muted": "mut",
    "banned": "ban",
    "root inside": "rin",
}
NOWHERE = "nowhere"
# An answer: whether it is yes, and what was told, with the room's name left out.
Answer = tuple[bool, str]


class Person:
    """Somebody on one wire. A method for each action, by its name; one that is missing cannot be asked there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ending = ExitStack()

    def can(self, action: str, inside: bool) -> Callable[[str], Answer] | None:
        if not inside and action in self.only_inside:
            return None
        found: Callable[[str], Answer] | None = getattr(self, action.replace(" ", "_"), None)
        return found

    only_inside: tuple[str, ...] = ()

    def become_root(self) -> None:
        raise NotImplementedError


class Terminal(Person):
    """Somebody at nc."""

    # Commands are about the room in which one speaks.
    only_inside = (
        "read", "see modes", "see masks", "speak", "invite", "set topic", "set modes", "kick", "rename", "redact own",
        "redact", "react", "pin", "raise hand", "vote", "poll",
    )  # fmt: skip

    def __init__(self, server: Place, name: str) -> None:
        super().__init__(name)
        self.client = server.join(name)
        self.ending.callback(self.client.close)
        self.client.barrier()

    def ask(self, *lines: str) -> str:
        self.client.say(*lines)
        return self.client.barrier().decode()

    def enter(self, room: str) -> None:
        self.ask(f"/join {room}")

    def leave(self, room: str) -> None:
        self.ask(f"/leave {room}")

    def become_root(self) -> None:
        assert "You may act in every room now" in self.ask("/oper operuser operpassword")

    def _here(self, room: str, line: str, good: str) -> Answer:
        self.ask(f"/join {room}")
        told = self.ask(line)
        return bool(re.search(good, told)), told

    def list(self, room: str) -> Answer:
        return bool(re.search(rf"^[ *] {room} \(", self.ask("/rooms"), re.MULTILINE)), ""

    def see_topic(self, room: str) -> Answer:
        return bool(re.search(rf"^[ *] {room} \(\d+\): topic", self.ask("/rooms"), re.MULTILINE)), ""

    def see_members(self, room: str) -> Answer:
        told = self.ask(f"/who {room}")
        return told.startswith(f"*** In {room}: "), told

    def join(self, room: str) -> Answer:
        told = self.ask(f"/join {room}")
        return f"You are in {room}" in told, told

    def raise_hand(self, room: str) -> Answer:
        return self._here(room, "/hand", "Your hand is up")

    def vote(self, room: str) -> Answer:
        return self._here(room, "/vote 9", "The answers of that poll have the numbers")

    def poll(self, room: str) -> Answer:
        return self._here(room, "/poll tea? | yes", "Type a question and 2 to 10")

    def read(self, room: str) -> Answer:
        return self._here(room, "/history 1", r"^\[..:..\] ")

    def see_modes(self, room: str) -> Answer:
        return self._here(room, "/set", "operators: ")

    def see_masks(self, room: str) -> Answer:
        return self._here(room, "/bans", "banned: ")

    def speak(self, room: str) -> Answer:
        self.ask(f"/join {room}")
        told = self.ask(f"a word by {self.name}")
        return "Not sent" not in told, told

    def invite(self, room: str) -> Answer:
        return self._here(room, "/invite spare", "spare is invited")

    def set_topic(self, room: str) -> Answer:
        self.ask(f"/join {room}")
        told = self.ask("/topic topic")
        return not re.search("Not sent|is locked", told), told

    def set_modes(self, room: str) -> Answer:
        return self._here(room, "/devoice boss", "Nothing has changed: that is already so")

    def kick(self, room: str) -> Answer:
        return self._here(room, "/kick nobody-here", "Nobody here is called")

    def rename(self, room: str) -> Answer:
        return self._here(room, "/rename lobby", "already a room called lobby")

    def react(self, room: str) -> Answer:
        return self._here(room, "/+ 👍 boss", "reacts with 👍")

    def pin(self, room: str) -> Answer:
        return self._here(room, "/pin boss", "has pinned a message")

    def change_name(self, room: str) -> Answer:
        told = self.ask(f"/nick {self.name}")
        return f"You are already {self.name}" in told, told


class Browser(Person):
    """A program at the WebSocket."""

    def __init__(self, server: Place, name: str) -> None:
        super().__init__(name)
        # What nobody reads may not hold up the closing, which would wait ten seconds for each person.
        socket = connect(f"ws://127.0.0.1:{server.port}/ws", max_queue=None)
        self.socket: ClientConnection = self.ending.enter_context(socket)
        self.ask(type="hello", name=name)

    def ask(self, **request: Any) -> list[dict[str, Any]]:
        """Return the frames that came before the answer to a question that is asked after it."""
        self.socket.send(json.dumps(request))
        self.socket.send(json.dumps({"type": "command", "line": "/time"}))
        frames = []
        while (frame := json.loads(self.socket.recv(PATIENCE)))["type"] != "clock":
            frames.append(frame)
        return frames

    def enter(self, room: str) -> None:
        self.ask(type="join", room=room)

    def leave(self, room: str) -> None:
        self.ask(type="leave", room=room)

    def become_root(self) -> None:
        self.ask(type="command", line="/oper operuser operpassword")

    @staticmethod
    def _told(frames: list[dict[str, Any]]) -> str:
        return json.dumps([frame for frame in frames if frame["type"] not in ("entries", "past")])

    def _page(self, **request: Any) -> Answer:
        frames = self.ask(label="p", **request)
        return any(frame["type"] == "page" and frame["entries"] for frame in frames), self._told(frames)

    def _line(self, room: str, line: str, good: str) -> Answer:
        told = self._told(self.ask(type="command", room=room, line=line))
        return good in told, told

    def _rooms(self) -> dict[str, dict[str, Any]]:
        (frame,) = [frame for frame in self.ask(type="rooms") if frame["type"] == "rooms"]
        return {room["name"]: room for room in frame["rooms"]}

    def list(self, room: str) -> Answer:
        return room in self._rooms(), ""

    def see_topic(self, room: str) -> Answer:
        return bool(self._rooms().get(room, {}).get("topic")), ""

    def read(self, room: str) -> Answer:
        yes, told = self._page(type="history", room=room)
        found, told_too = self._page(type="search", room=room, words="word")
        everywhere, _ = self._page(type="search", words=f"about{room}")
        assert yes == found == everywhere, "history, a room's search and that of all rooms"
        return yes, told + told_too

    def see_members(self, room: str) -> Answer:
        frames = self.ask(type="members", room=room)
        return any(frame["type"] == "members" for frame in frames), self._told(frames)

    def see_modes(self, room: str) -> Answer:
        return self._line(room, "/set", "operators: ")

    def see_masks(self, room: str) -> Answer:
        return self._line(room, "/bans", "banned: ")

    def join(self, room: str) -> Answer:
        frames = self.ask(type="join", room=room)
        return any(frame["type"] == "joined" for frame in frames), self._told(frames)

    def speak(self, room: str) -> Answer:
        frames = self.ask(type="say", room=room, text=f"a word by {self.name}", label="s")
        return any(frame["type"] == "stored" for frame in frames), self._told(frames)

    def invite(self, room: str) -> Answer:
        return self._line(room, "/invite spare", "spare is invited")

    def set_topic(self, room: str) -> Answer:
        frames = self.ask(type="command", room=room, line="/topic topic")
        return not any(frame["type"] == "error" for frame in frames), self._told(frames)

    def set_modes(self, room: str) -> Answer:
        return self._line(room, "/devoice boss", "Nothing has changed: that is already so")

    def kick(self, room: str) -> Answer:
        return self._line(room, "/kick nobody-here", "Nobody here is called")

    def rename(self, room: str) -> Answer:
        return self._line(room, "/rename lobby", "already a room called lobby")

    def raise_hand(self, room: str) -> Answer:
        return self._line(room, "/hand", "Your hand is up")

    def vote(self, room: str) -> Answer:
        return self._line(room, "/vote 9", "The answers of that poll have the numbers")

    def poll(self, room: str) -> Answer:
        return self._line(room, "/poll tea? | yes", "Type a question and 2 to 10")

    def react(self, room: str) -> Answer:
        return self._on_message(room, "react", reaction="👍")

    def pin(self, room: str) -> Answer:
        return self._on_message(room, "pin")

    def _on_message(self, room: str, type: str, **request: Any) -> Answer:
        (frame,) = [one for one in self.ask(type="history", room=room, label="p") if one["type"] == "page"]
        said = next(entry for entry in frame["entries"] if entry["kind"] == "message" and entry["nick"] == "boss")
        frames = self.ask(type=type, room=room, id=said["id"], label="s", **request)
        return any(frame["type"] == "stored" for frame in frames), self._told(frames)

    def change_name(self, room: str) -> Answer:
        return self._line("", f"/nick {self.name}", f"You are already {self.name}")

    # What a page shows of rooms that it is not in comes by requests; it speaks and commands in those that it is in.
    only_inside = ("see modes", "see masks", "speak", "react", "pin", "raise hand", "vote", "poll")


class IrcClient(Person):
    """Somebody with an IRC client."""

    def __init__(self, server: Place, name: str) -> None:
        super().__init__(name)
        self.irc = Irc(server.port)
        self.ending.callback(self.irc.leave)
        self.irc.say("CAP REQ :draft/chathistory batch draft/message-redaction draft/metadata-2", "CAP END")
        self.irc.present(name)
        self.irc.skips_to(f"001 {name} ...")
        self.irc.nick = name
        self.irc.sync()

    def ask(self, line: str, *good: str) -> Answer:
        self.irc.say(line)
        came = [message for message in self.irc.sync() if message.verb in good or not message.source.count("!")]
        told = " / ".join(str(message) for message in came)
        return any(message.verb in good for message in came), told

    def enter(self, room: str) -> None:
        assert self.ask(f"JOIN #{room}", "JOIN", "366")[0]

    def leave(self, room: str) -> None:
        self.ask(f"PART #{room}")

    def become_root(self) -> None:
        assert self.ask("OPER operuser operpassword", "381")[0]

    def list(self, room: str) -> Answer:
        rows = [self.ask(f"LIST{of}", "322") for of in (f" #{room}", f" *{room}*")]
        assert rows[0][0] == rows[1][0]
        return rows[0]

    def read(self, room: str) -> Answer:
        return self.ask(f"CHATHISTORY LATEST #{room} * 5", "BATCH")

    def see_topic(self, room: str) -> Answer:
        listed = self.ask(f"LIST #{room}", "322")[1]
        yes, told = self.ask(f"TOPIC #{room}", "332")
        assert yes is ("topic" in listed)
        assert yes is self.ask(f"METADATA #{room} LIST", "BATCH", "761")[0]
        return yes, told + listed

    def see_members(self, room: str) -> Answer:
        names, told = self.ask(f"NAMES #{room}", "353")
        rows, told_too = self.ask(f"WHO #{room}", "352")
        shown = "#" + room in re.split("[ @]", self.ask("WHOIS boss", "319")[1])
        assert names == rows == shown, "NAMES, WHO and WHOIS of somebody who is there"
        return names, told + told_too

    def see_modes(self, room: str) -> Answer:
        return self.ask(f"MODE #{room}", "324")

    def see_masks(self, room: str) -> Answer:
        return self.ask(f"MODE #{room} b", "368")

    def join(self, room: str) -> Answer:
        return self.ask(f"JOIN #{room}", "366")

    def speak(self, room: str) -> Answer:
        yes, told = self.ask(f"PRIVMSG #{room} :a word by {self.name}", "404", "403")
        return not yes, told

    def invite(self, room: str) -> Answer:
        return self.ask(f"INVITE spare #{room}", "341")

    def set_topic(self, room: str) -> Answer:
        no, told = self.ask(f"TOPIC #{room} :topic", "403", "404", "442", "482")
        return not no, told

    def set_modes(self, room: str) -> Answer:
        no, told = self.ask(f"MODE #{room} -v boss", "403", "442", "482")
        return not no, told

    def kick(self, room: str) -> Answer:
        return self.ask(f"KICK #{room} nobody-here", "401")

    def raise_hand(self, room: str) -> Answer:
        _, told = self.ask(f"PRIVMSG #{room} :!hand", "NOTICE")
        return "Your hand is up" in told, told

    def vote(self, room: str) -> Answer:
        _, told = self.ask(f"PRIVMSG #{room} :!vote 9", "NOTICE")
        return "The answers of that poll have the numbers" in told, told

    def poll(self, room: str) -> Answer:
        _, told = self.ask(f"PRIVMSG #{room} :!poll tea? | yes", "NOTICE")
        return "Type a question and 2 to 10" in told, told

    def rename(self, room: str) -> Answer:
        yes, told = self.ask(f"RENAME #{room} #lobby", "FAIL")
        return yes and "CANNOT_RENAME" in told, told

    def change_name(self, room: str) -> Answer:
        no, told = self.ask(f"NICK {self.name.upper()}", "447")
        self.ask(f"NICK {self.name}")
        return not no, told

    # Who is not in a channel is not given its history over IRC, and there is nothing to take a message back from.
    only_inside = ("read", "redact", "redact own", "raise hand", "vote", "poll")


class Script(Person):
    """A script that uses the API."""

    def __init__(self, server: Place, name: str) -> None:
        super().__init__(name)
        self.base = f"http://127.0.0.1:{server.port}/api/v1"

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(urllib.request.Request(self.base + path, body), timeout=PATIENCE) as answer:
                return answer.status, "" if path.endswith("/stream") else answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _rooms(self) -> dict[str, dict[str, Any]]:
        return {room["name"]: room for room in json.loads(self.ask("/rooms")[1])["rooms"]}

    def list(self, room: str) -> Answer:
        return room in self._rooms(), ""

    def see_topic(self, room: str) -> Answer:
        return bool(self._rooms().get(room, {}).get("topic")), ""

    def read(self, room: str) -> Answer:
        paths = (f"/rooms/{room}/messages", f"/rooms/{room}/messages?after=0", f"/rooms/{room}/search?q=word")
        answers = [self.ask(path) for path in (*paths, f"/search?q=about{room}")]
        yes = [status == 200 and bool(json.loads(body)["entries"]) for status, body in answers]
        assert len(set(yes)) == 1, answers
        return yes[0], str(answers)

    def watch(self, room: str) -> Answer:
        status, body = self.ask(f"/rooms/{room}/stream")
        return status == 200, f"{status} {body}"

    def see_members(self, room: str) -> Answer:
        status, body = self.ask(f"/rooms/{room}/members")
        return status == 200 and bool(json.loads(body)["nicks"]), f"{status} {body}"

    def speak(self, room: str) -> Answer:
        status, body = self.ask(f"/rooms/{room}/messages?name=bot", b"a word by bot")
        return status == 201, body


WIRES: dict[str, Callable[[Place, str], Any]] = {
    "nc": Terminal,
    "ws": Browser,
    "irc": IrcClient,
    "api": Script,
}


class Town:
    """A server with a room for each setting, and people on one wire."""

    def __init__(self, server: Place, wire: str, ending: ExitStack) -> None:
        self.wire = wire
        boss, pal, spare = Irc(server.port), Irc(server.port), Irc(server.port)
        for client, nick in ((boss, "boss"), (pal, "pal"), (spare, "spare")):
            ending.callback(client.leave)
            client.register(nick)
        rooms = [name.replace(" ", "-") for name in SETTINGS]
        boss.joins(*(f"#{room}" for room in rooms))
        pal.joins(*(f"#{room}" for room in rooms))
        for room in rooms:
            boss.say(
                f"TOPIC #{room} :topic",
                f"PRIVMSG #{room} :a word about{room}",
                f"PRIVMSG #{room} :!poll tea? | yes | no",
            )
            boss.say(f"MODE #{room} +bbb m:mut!*@* ban!*@* bgu!*@*")
        boss.sync()
        kinds = ("script",) if wire == "api" else tuple(NICKS)
        self.people = {who: WIRES[wire](server, NICKS.get(who, "bot")) for who in kinds}
        for person in self.people.values():
            ending.push(person.ending)
        inside = [person for who, person in self.people.items() if who in INSIDE]
        self._bring_in(boss, inside, rooms)
        for who, person in self.people.items():
            if who.startswith("root"):
                person.become_root()
        for setting, room in zip(SETTINGS, rooms, strict=True):
            if inside:
                self._invite(boss, pal, room)
            if change := SETTINGS[setting].format(2 + len(inside)):
                boss.say(f"MODE #{room} {change}")
                boss.sync()

    @staticmethod
    def _bring_in(boss: Irc, inside: list[Any], rooms: list[str]) -> None:
        """Take people into all rooms; one of them is banned after he came."""
        for room in rooms:
            boss.say(f"MODE #{room} -b ban!*@*")
            boss.sync()
            for person in inside:
                person.enter(room)
            boss.say(f"MODE #{room} +b ban!*@*")
            boss.sync()

    @staticmethod
    def _invite(boss: Irc, pal: Irc, room: str) -> None:
        boss.say(f"MODE #{room} +ov ope voi", f"INVITE inv #{room}")
        boss.sync()
        pal.say(f"INVITE ask #{room}")
        pal.sync()


@pytest.fixture(scope="module", params=WIRES)
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    server = InThread(tmp_path_factory.mktemp("access") / "data", "--no-limits", *OPER)
    with ExitStack() as ending:
        ending.callback(server.close)
        yield Town(server, request.param, ending)


@pytest.mark.parametrize("setting", SETTINGS)
def test_cells(town: Town, setting: str) -> None:
    room = setting.replace(" ", "-")
    wrong = []
    asked = 0
    # Whoever comes in is inside then, and out again before the next question.
    for (action, who, cell), expected in sorted(CELLS.items(), key=lambda one: one[0][0] == "join"):
        person = town.people.get(who)
        if cell != setting or person is None or (action == "join" and who in INSIDE):
            continue
        if (ask := person.can(action, who in INSIDE)) is None:
            continue
        asked += 1
        if setting == "slow" and action == "speak":
            ask(room)
        yes, told = ask(room)
        if action == "join" and yes:
            person.leave(room)
        as_of_none = told.replace(room, NOWHERE)
        # A stream of a room that is not there yet begins, and waits for it.
        hidden = expected == "hidden" and yes is (action == "watch") and as_of_none == ask(NOWHERE)[1]
        got = "hidden" if hidden else "yes" if yes else "no"
        if got != expected:
            wrong.append(f"{action} by {who} over {town.wire}: {expected} expected, {got}: {told!r}")
    assert not wrong, "\n".join(wrong)
    assert asked
