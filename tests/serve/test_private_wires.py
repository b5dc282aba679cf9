"""Private messages between accounts on the wires: nc, IRC and WebSocket share one conversation."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from in_thread import InThread
from websockets.sync.client import ClientConnection, connect

from hubbub.config import Settings
from hubbub.tools import accounts as tool
from irc_scene import Irc
from scene import PATIENCE, PROMPT, Client

LATER = b"*** Bo is not here now, and will be shown your message at the next login ***\n"


@pytest.fixture
def place(serve: Callable[..., InThread]) -> InThread:
    return serve("--no-limits", sniffs=False)


def registered(place: InThread, name: str) -> Client:
    peer = place.join(name)
    peer.say("/register open sesame")
    peer.skips_to(f"*** You are logged in as {name} ***\n".encode())
    return peer


def log_in(place: InThread, name: str) -> Client:
    peer = place.connect()
    peer.sees(PROMPT)
    peer.say(name)
    peer.skips_to(b"(it can be seen): ")
    peer.say("open sesame")
    peer.skips_to(f"*** You are logged in as {name} ***\n".encode())
    return peer


def test_a_message_to_somebody_absent_arrives_at_the_next_login_on_nc(place: InThread) -> None:
    ann, bo = registered(place, "Ann"), registered(place, "Bo")
    bo.say("/msg Ann hello")
    ann.skips_to(b"Bo (private): hello\n")
    bo.say("/quit")
    ann.skips_to(b"*** Bo has left the chat ***\n")
    ann.say("/msg Bo one", "/msg bo two")
    ann.sees(LATER + LATER)
    bo = log_in(place, "Bo")
    ann.sees(b"*** Bo has joined the chat ***\n")
    bo.skips_to(b"--- 2 private messages since ")
    bo.sees(re.compile(rb"\d\d:\d\d ---\n\[\d\d:\d\d\] Ann \(private\): one\n\[\d\d:\d\d\] Ann \(private\): two\n"))
    bo.say("/history Ann", "/search @Ann two")
    bo.sees(re.compile(rb"\[\S+\] Bo -> Ann \(private\): hello\n\[\S+\] Ann \(private\): one\n\[\S+\] Ann .*two\n"))
    bo.sees(re.compile(rb"\[\S+\] Ann \(private\): two\n"))
    ann.say("/msg Bo three")
    bo.sees(b"Ann (private): three\n")
    ann.sees_nothing()


def irc(place: InThread, name: str, *caps: str) -> Irc:
    """Return the IRC client of the owner of an account, who is not in any room."""
    peer = Irc(place.port)
    peer.nick = name
    peer.say(
        "CAP LS 302", f"CAP REQ :{' '.join(caps)}", f"PASS {name}:open sesame", f"NICK {name}", f"USER {name} 0 * :x"
    )
    peer.say("CAP END")
    return peer


class Browser:
    """A WebSocket of the owner of an account."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, request: dict[str, Any]) -> None:
        self.socket.send(json.dumps(request))

    def until(self, type: str) -> dict[str, Any]:
        """Return the next frame of a type."""
        while True:
            frame: dict[str, Any] = json.loads(self.socket.recv(PATIENCE))
            if frame["type"] == type:
                return frame


@contextmanager
def browser(place: InThread, name: str) -> Iterator[Browser]:
    with connect(f"ws://127.0.0.1:{place.port}/ws") as socket:
        page = Browser(socket)
        page.send({"type": "hello", "name": name, "password": "open sesame"})
        page.until("welcome")
        yield page


def test_irc_gets_what_was_missed_with_times_unless_it_asks_itself(serve: Callable[..., InThread]) -> None:
    place = serve("--no-limits")
    ann, bo = registered(place, "Ann"), registered(place, "Bo")
    bo.say("/quit")
    ann.skips_to(b"*** Bo has left the chat ***\n")
    ann.say("/msg Bo one", "/msg Bo two")
    ann.sees(LATER + LATER)
    asking = irc(place, "Bo", "batch", "server-time", "message-tags", "draft/chathistory")
    assert not [line for line in asking.sync() if line.verb == "PRIVMSG"]
    plain = irc(place, "Bo", "batch", "server-time", "message-tags")
    lines = []
    while not lines or lines[-1].params[-1] != "two":
        lines.append(plain.next())
    begin, one, two = lines[-3:]
    assert (begin.verb, begin.params[1:]) == ("BATCH", ("chathistory", "Ann"))
    assert (one.params, two.params) == (("Bo", "one"), ("Bo", "two")) and "time" in one.tags
    asking.say("CHATHISTORY LATEST Ann * 10")
    (first, second) = [line for line in asking.sync() if line.verb == "PRIVMSG"]
    assert (first.params, second.params) == (("Bo", "one"), ("Bo", "two"))
    asking.say(f"CHATHISTORY BEFORE Ann msgid={second.tags['msgid']} 10", "PRIVMSG Ann :three")
    assert [line.params for line in asking.sync() if line.verb == "PRIVMSG"] == [("Bo", "one")]
    ann.sees(b"Bo (private): three\n")
    asking.say("CHATHISTORY TARGETS timestamp=2020-01-01T00:00:00.000Z timestamp=2060-01-01T00:00:00.000Z 10")
    assert [line.params[1] for line in asking.sync() if line.verb == "CHATHISTORY"] == ["Ann"]
    guest = Irc(place.port)
    guest.nick = "guest"
    guest.say("CAP REQ :batch draft/chathistory", "NICK guest", "USER guest 0 * :x", "CAP END")
    guest.sync()
    guest.say("CHATHISTORY LATEST Ann * 10")
    assert [line.verb for line in guest.sync()] == ["BATCH", "BATCH"]
    for one in (asking, plain, guest):
        one.sock.close()


def test_a_private_message_is_deleted_on_every_wire(serve: Callable[..., InThread]) -> None:
    place = serve("--no-limits")
    ann, bo = registered(place, "Ann"), registered(place, "Bo")
    caps = ("batch", "message-tags", "draft/message-redaction", "echo-message")
    phone, other = irc(place, "Bo", *caps), irc(place, "Ann", *caps)
    phone.sync()
    other.sync()
    with browser(place, "Ann") as page:
        bo.say("/msg Ann from Bo")
        ann.skips_to(b"Bo (private): from Bo\n")
        ann.say("/msg Bo one", "/msg Bo two", "/delete @Bo 2")
        ann.skips_to(b"*** Ann has deleted a private message ***\n")
        bo.skips_to(b"Ann (private): two\n*** Ann has deleted a private message ***\n")
        deleted = page.until("deleted")
        assert (deleted["nick"], deleted["to"]) == ("Ann", "Bo")
        messages = [line for line in phone.sync() if line.verb in ("PRIVMSG", "REDACT")]
        assert [(one.verb, one.params[0]) for one in messages[-3:]] == [
            ("PRIVMSG", "Bo"),
            ("PRIVMSG", "Bo"),
            ("REDACT", "Bo"),
        ]
        one, two = messages[-3:-1]
        assert messages[-1].params[1] == one.tags["msgid"] == deleted["id"]
        page.send({"type": "redact", "room": "@Bo", "id": two.tags["msgid"], "reason": "old", "label": "r"})
        deleted = page.until("deleted")
        stored = page.until("stored")
        assert (deleted["id"], stored["label"], stored["room"]) == (two.tags["msgid"], "r", "@Bo")
        shown = other.sync()
        mine = [line for line in shown if line.verb == "REDACT"]
        assert [line.params[1:] for line in mine] == [(one.tags["msgid"],), (two.tags["msgid"], "old")]
        (from_bo,) = [line for line in shown if line.verb == "PRIVMSG" and line.params[1] == "from Bo"]
        for target, code in (("Bo", "REDACT_FORBIDDEN"), ("Nemo", "INVALID_TARGET")):
            other.say(f"REDACT {target} {from_bo.tags['msgid']}")
            (fail,) = [line for line in other.sync() if line.verb == "FAIL"]
            assert fail.params[1] == code
        phone.say(f"REDACT Ann {from_bo.tags['msgid']} :sorry")
        *_, own = [line for line in phone.sync() if line.verb == "REDACT"]
        assert own.params == ("Ann", from_bo.tags["msgid"], "sorry")
    bo.say("/history Ann")
    bo.skips_to(b"*** There are no messages between you and Ann ***\n")
    phone.sock.close()
    other.sock.close()


def test_a_private_message_is_corrected_and_reacted_to_on_every_wire(serve: Callable[..., InThread]) -> None:
    place = serve("--no-limits")
    ann, bo = registered(place, "Ann"), registered(place, "Bo")
    phone = irc(place, "Bo", "batch", "message-tags", "echo-message", "labeled-response")
    phone.sync()
    with browser(place, "Ann") as page:
        ann.say("/msg Bo a tpyo", "/fix @Bo a typo")
        ann.skips_to(b"Ann -> Bo corrects (private): a typo\n")
        bo.skips_to(b"Ann corrects (private): a typo\n")
        corrected = page.until("corrected")
        assert (corrected["nick"], corrected["to"], corrected["text"]) == ("Ann", "Bo", "a typo")
        said, star = [line for line in phone.sync() if line.verb == "PRIVMSG"]
        id = said.tags["msgid"]
        assert star.params == ("Bo", "* a typo") and star.tags["+reply"] == id == corrected["id"]
        phone.say(f"@+reply={id};+draft/react=👍 TAGMSG Ann")
        for peer in (ann, bo):
            peer.skips_to("*** Bo reacts with 👍 to a private message ***\n".encode())
        reacted = page.until("reacted")
        assert (reacted["id"], reacted["reaction"], reacted["on"], reacted["nick"]) == (id, "👍", True, "Bo")
        (echo,) = [line for line in phone.sync() if line.verb == "TAGMSG"]
        assert echo.params == ("Ann",) and echo.tags["+draft/react"] == "👍"
        # A reaction to a message that is not in the log goes on like any other TAGMSG.
        phone.say("@+reply=unknown;+draft/react=x TAGMSG Ann", "@+reply=unknown;+draft/react=x TAGMSG Nemo")
        assert [line.verb for line in phone.sync()].count("TAGMSG") == 1
        page.send({"type": "react", "room": "@Bo", "id": id, "reaction": "🎉", "label": "r"})
        assert page.until("reacted")["reaction"] == "🎉" and page.until("stored")["label"] == "r"
        page.send({"type": "edit", "room": "@Bo", "id": id, "text": "no typo", "label": "e"})
        assert page.until("corrected")["text"] == "no typo" and page.until("stored")["label"] == "e"
        page.send({"type": "pin", "room": "@Bo", "id": id, "label": "p"})
        assert page.until("error")["code"] == "not-in-room"
    bo.say("/history Ann")
    bo.skips_to("Ann (private): no typo (corrected) [👍 1, 🎉 1]\n".encode())
    bo.say("/search @Ann typo")
    bo.skips_to(b"Ann (private): no typo")
    phone.sock.close()


def test_irc_gives_nothing_of_a_conversation_of_others_for_forged_targets_and_ids(
    serve: Callable[..., InThread],
) -> None:
    place = serve("--no-limits")
    ann, bo, _ = registered(place, "Ann"), registered(place, "Bo"), registered(place, "Cy")
    other = irc(place, "Ann", "batch", "message-tags", "echo-message", "draft/chathistory")
    other.sync()
    other.say("PRIVMSG Bo :secret")
    (said,) = [line for line in other.sync() if line.verb == "PRIVMSG"]
    bo.skips_to(b"Ann (private): secret\n")
    caps = ("batch", "message-tags", "draft/chathistory", "draft/read-marker", "draft/message-redaction")
    spy = irc(place, "Cy", *caps, "echo-message")
    spy.sync()
    id, leaked = said.tags["msgid"], []
    talk = "@" + "+".join(sorted(("0" * 22, "1" * 22)))
    for target in (talk, talk[1:], "@Ann", "#@Ann", "Ann~1", "\u0410nn", "x" * 400, "Ann", "Bo", "#lobby"):
        for request in (f"LATEST {target} * 10", f"AROUND {target} msgid={id} 10", f"BEFORE {target} msgid={id} 10"):
            spy.say(f"CHATHISTORY {request}")
        spy.say(
            f"REDACT {target} {id}", f"@+reply={id};+draft/react=x TAGMSG {target}",
            f"MARKREAD {target} timestamp=2026-11-30T00:00:00.000Z",
        )  # fmt: skip
        leaked += [line for line in spy.sync() if "secret" in line.params[-1:] or line.tags.get("msgid") == id]
    assert leaked == []
    bo.say("/history Ann")
    bo.skips_to(b"Ann (private): secret\n")
    assert b"reacts" not in bo.seen
    ann.say("/search secret")
    ann.skips_to(b"Ann -> Bo (private): secret\n")
    for one in (other, spy):
        one.sock.close()


def test_guests_are_refused_on_every_wire(serve: Callable[..., InThread]) -> None:
    place = serve("--no-limits")
    ann = registered(place, "Ann")
    with browser(place, "Ann") as page, connect(f"ws://127.0.0.1:{place.port}/ws") as socket:
        page.send({"type": "command", "room": "lobby", "line": "/guests off"})
        assert page.until("notice")["lines"] == ["Only people with an account can send you private messages now"]
        guest = Browser(socket)
        guest.send({"type": "hello", "name": "Zoe"})
        guest.until("welcome")
        guest.send({"type": "msg", "to": "Ann", "text": "psst", "label": "x1"})
        refusal = guest.until("error")
        assert (refusal["code"], refusal["label"]) == ("accounts-only", "x1")
        bo = place.join("Bo")
        bo.say("/msg Ann psst", "/register open sesame", "/msg Ann hello")
        bo.skips_to(b"Not sent: Ann takes private messages only from people with an account.")
        ann.skips_to(b"Bo (private): hello\n")
        assert page.until("private")["text"] == "hello"


def texts_in(folder: Path, text: bytes) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and text in file.read_bytes()]


def test_all_messages_of_a_deleted_account_are_taken_back_and_leave_the_files(serve: Callable[..., InThread]) -> None:
    place = serve("--no-limits", sniffs=False)
    ann, bo = registered(place, "Ann"), registered(place, "Bo")
    ann.say("zebra in the lobby", "/msg Bo zebra in private")
    bo.skips_to(b"Ann (private): zebra in private\n")
    bo.say("giraffe here", "/msg Ann giraffe in private")
    ann.skips_to(b"Bo (private): giraffe in private\n")
    folder = place.data
    assert folder and texts_in(folder, b"zebra")

    async def delete() -> None:
        async with tool.opened(Settings(data=str(folder))) as accounts:
            await tool.ask(accounts.delete, accounts.find("Ann"), take_back=True)

    asyncio.run(delete())
    bo.skips_to(b"*** Ann has left the chat (The account Ann is closed) ***\n")
    end = time.monotonic() + PATIENCE
    while texts_in(folder, b"zebra"):
        assert time.monotonic() < end, texts_in(folder, b"zebra")
        bo.say("/time")  # the index is merged between commits
        bo.say("tick")
        bo.skips_to(b" ***\n")
    bo.say("/history Ann")
    bo.skips_to(b"Bo -> Ann (private): giraffe in private\n")
    bo.say("/search zebra")
    bo.skips_to(b"*** Nothing found ***\n")
    bo.say("/search giraffe")
    bo.skips_to(b"Bo: giraffe here\n")
