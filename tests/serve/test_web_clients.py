"""The WebSocket, beside people at nc, and the files of the page."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websockets
from in_thread import InThread

import hubbub
from hubbub.serve.web.page_files import compact
from web_scene import SECONDS, fetch, talker

Serve = Callable[..., InThread]


# --- the WebSocket --------------------------------------------------------------------------------------------


async def test_websocket_and_nc_hear_each_other(server: InThread) -> None:
    alice = server.join("Alice")
    web = await talker(server)
    assert (await web.joins("Web"))["room"] == "lobby"
    alice.sees(b"*** Web has joined the chat ***\n")
    await web.asks(type="say", room="lobby", text="one\n\x1b[2Jtwo", label="m1")
    alice.sees(b"Web: one\nWeb: two\n")
    own = (await web.sees("entries"))["entries"]
    stored = await web.sees("stored")
    assert (own[-1]["text"], own[-1]["id"], own[-1]["seq"]) == ("one\ntwo", stored["id"], stored["seq"])
    alice.say("hi")
    (entry,) = (await web.sees("entries"))["entries"]
    assert (entry["room"], entry["kind"], entry["nick"], entry["text"]) == ("lobby", "message", "Alice", "hi")
    alice.say("/msg web psst")
    private = await web.sees("private")
    assert (private["nick"], private["text"]) == ("Alice", "psst")
    await web.socket.close()
    alice.sees(b"*** Web has left the chat ***\n")


async def test_names_are_the_same_everywhere(server: InThread) -> None:
    server.join("Alice")
    web = await talker(server)
    await web.asks(type="say", room="lobby", text="x")
    assert (await web.sees("error"))["code"] == "no-name"
    await web.asks(type="hello", name="ALICE")
    assert (await web.sees("error"))["code"] == "name-taken"
    await web.asks(type="hello", name="a b")
    assert (await web.sees("error"))["code"] == "name-invalid"
    await web.joins("Web")
    await web.asks(type="hello", name="Other")
    assert (await web.sees("error"))["code"] == "named-already"
    await web.socket.close()


@pytest.mark.parametrize("frame", ["", "[]", '{"type":"nope"}', "{" * 3000, b"\x00\xff"])
async def test_bad_frame_is_told_and_the_socket_lives(server: InThread, frame: str | bytes) -> None:
    web = await talker(server)
    await web.joins("Web")
    await web.socket.send(frame)
    assert (await web.sees("error"))["code"] == "bad-frame"
    await web.asks(type="say", room="lobby", text="fine", label="m1")
    await web.sees("stored")
    await web.socket.close()


async def test_what_was_missed_is_asked_for_by_number(server: InThread) -> None:
    alice = server.join("Alice")
    web = await talker(server)
    seen = (await web.joins("Web"))["seq"]
    await web.socket.close()
    for number in range(5):
        alice.say(f"missed {number}")
    alice.barrier()
    again = await talker(server)
    upto = (await again.joins("Web"))["seq"]
    got: list[dict[str, Any]] = []
    async with asyncio.timeout(SECONDS):
        while not got or got[-1]["seq"] < upto:
            await again.asks(type="history", room="lobby", after=got[-1]["seq"] if got else seen, limit=2, label="h")
            got += (await again.sees("page"))["entries"]
    assert [entry["text"] for entry in got if entry["kind"] == "message"] == [f"missed {n}" for n in range(5)]
    assert [entry["seq"] for entry in got] == sorted({entry["seq"] for entry in got})
    await again.asks(type="search", words="MISSED", limit=2, label="s")
    page = await again.sees("page")
    assert ([entry["text"] for entry in page["entries"]], page["more"]) == (["missed 3", "missed 4"], True)
    await again.socket.close()


async def test_hello_goes_on_after_the_last_numbers(server: InThread) -> None:
    """In all rooms at once, and with nothing twice."""
    al = server.join("Al")
    ann = await talker(server)
    last = {"lobby": (await ann.joins("Ann"))["seq"]}
    await ann.asks(type="join", room="ops")
    last["ops"] = (await ann.sees("joined"))["seq"]
    await ann.socket.close()
    al.skips_to(b"*** Ann has left the chat ***\n")
    al.say("one", "/join ops", "two", "/topic tea")
    al.barrier()
    again = await talker(server)
    await again.asks(type="hello", name="Ann", rooms=last | {"a b": 1})
    got: dict[str, list[str]] = {"lobby": [], "ops": []}
    joined = []
    async with asyncio.timeout(SECONDS):
        while len(joined) < 2 or got["lobby"][-1:] != ["join"] or got["ops"][-2:] != ["tea", "join"]:
            frame = json.loads(await again.socket.recv())
            joined += [frame["room"]] if frame["type"] == "joined" else []
            assert frame["type"] != "past" and frame.get("code", "room-invalid") == "room-invalid"
            for entry in frame.get("entries", ()):
                assert entry["seq"] > last[entry["room"]]
                last[entry["room"]] = entry["seq"]
                got[entry["room"]].append(entry["text"] or entry["kind"])
    assert joined == ["lobby", "ops"]
    assert got == {"lobby": ["leave", "one", "join"], "ops": ["leave", "join", "two", "tea", "join"]}
    await again.socket.close()


async def test_commands_are_those_of_the_terminal(server: InThread) -> None:
    web = await talker(server)
    await web.joins("Web")
    await web.asks(type="join", room="ops")
    assert (await web.sees("joined"))["room"] == "ops"
    await web.asks(type="command", room="ops", line="/topic tea")
    await web.sees("entries")
    for room, said in (("lobby", "There is no topic"), ("ops", "Topic: tea")):
        await web.asks(type="command", room=room, line="/topic")
        assert (await web.sees("notice"))["lines"] == [said]
    await web.asks(type="rooms")
    rooms = (await web.sees("rooms"))["rooms"]
    assert {"name": "ops", "members": 1, "topic": "tea"} in rooms
    await web.asks(type="leave", room="ops")
    assert (await web.sees("left"))["room"] == "ops"
    await web.asks(type="command", line="/quit")
    async with asyncio.timeout(SECONDS):
        await web.socket.wait_closed()


async def test_private_message_goes_to_the_user_who_is_meant(server: InThread) -> None:
    """A name may be somebody else's by now; an id stays with its user."""
    alice, bob, web = server.join("Alice"), server.join("Bob"), await talker(server)
    await web.joins("Web")
    await web.asks(type="members", room="lobby")
    members = await web.sees("members")
    ids = dict(zip(members["nicks"], members["users"], strict=True))
    assert len(set(ids.values())) == 3
    await web.asks(type="msg", to="Bob", text="one", label="m1")
    assert await web.sees("sent") == {"type": "sent", "label": "m1", "nick": "Bob", "user": ids["Bob"]}
    bob.say("/nick Robert", "/msg Web two")
    assert (await web.sees("private"))["user"] == ids["Bob"]
    alice.say("/nick Bob")
    alice.barrier()
    await web.asks(type="msg", to="Bob", text="three", user=ids["Bob"], label="m2")
    refused = await web.sees("error")
    assert (refused["code"], refused["label"]) == ("somebody-else", "m2")
    await web.asks(type="msg", to="Robert", text="four", user=ids["Bob"], label="m3")
    assert (await web.sees("sent"))["nick"] == "Robert"
    bob.skips_to(b"Web (private): four\n")
    assert b"private" not in alice.barrier()
    await web.socket.close()


async def test_command_typed_in_a_private_talk_does_nothing_in_a_room(server: InThread) -> None:
    alice, web = server.join("Alice"), await talker(server)
    await web.joins("Web")
    await web.asks(type="join", room="ops")
    await web.sees("joined")
    alice.say("/join ops")
    alice.barrier()
    for line in ("/kick Alice", "/me thinks aloud", "/topic mine", "/leave"):
        await web.asks(type="command", room="@Alice", line=line)
        assert (await web.sees("error"))["code"] == "not-a-room"
    alice.sees_nothing()
    await web.asks(type="command", room="ops", line="/kick Alice")
    alice.skips_to(b"*** Web has kicked Alice ***\n")
    await web.socket.close()


async def test_message_is_taken_back_by_its_id(server: InThread) -> None:
    alice, web = server.join("Alice"), await talker(server)
    await web.joins("Web")
    await web.asks(type="say", room="lobby", text="wrong", label="m1")
    wrong = (await web.sees("stored"))["id"]
    alice.say("mine")
    alices = (await web.sees("entries"))["entries"][-1]["id"]
    for room, id, code in (
        ("lobby", alices, "not-yours"),
        ("lobby", "x.1", "no-such-message"),
        ("ops", wrong, "not-in-room"),
    ):
        await web.asks(type="redact", room=room, id=id, label="r1")
        refused = await web.sees("error")
        assert (refused["code"], refused["label"]) == (code, "r1")
    await web.asks(type="redact", room="lobby", id=wrong, reason="typo", label="r2")
    (gone,) = (await web.sees("entries"))["entries"]
    assert (gone["kind"], gone["text"]) == ("redact", f"{wrong} typo")
    assert (await web.sees("stored"))["label"] == "r2"
    await web.asks(type="history", room="lobby", label="h1")
    assert wrong not in {entry["id"] for entry in (await web.sees("page"))["entries"]}
    await web.socket.close()


async def test_room_with_a_key_is_joined_by_it(server: InThread) -> None:
    alice, web = server.join("Alice"), await talker(server)
    alice.say("/join team", "/set key sesame", "hello")
    alice.barrier()
    await web.joins("Web")
    for key in ("", "wrong"):
        await web.asks(type="join", room="team", key=key)
        refused = await web.sees("error")
        assert (refused["code"], refused["room"]) == ("bad-key", "team")
    await web.asks(type="join", room="team", key="sesame", after=0)
    assert (await web.sees("joined"))["room"] == "team"
    first = (await web.sees("entries"))["entries"][0]
    assert (first["kind"], first["nick"]) == ("join", "Alice"), "what follows the number is told"
    await web.socket.close()


async def test_no_name_in_time_ends_it(serve: Serve) -> None:
    web = await talker(serve("--name-timeout", "1"))
    async with asyncio.timeout(SECONDS):
        await web.socket.wait_closed()


# --- HTTP -----------------------------------------------------------------------------------------------------


def test_page_has_a_strict_policy_and_is_cached_by_its_tag(server: InThread) -> None:
    status, headers, body = fetch(server)
    assert status == 200 and b"/page/app.js" in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert fetch(server, **{"If-None-Match": headers["ETag"]})[0] == 304


def test_scripts_and_styles_are_sent_without_what_nobody_needs() -> None:
    script = b'// A title.\nconst a = b ?? 1; // one\n\n  // More.\n  if (a === 1) { f(`x - y\n    ${a}`, "//"); }\n'
    assert compact(script, ".js") == b'\nconst a=b??1;\nif (a===1){f(`x - y\n${a}`, "//");}\n'
    assert compact(b"/* A\ntitle. */\n.a, .b { color: red; }\n", ".css") == b"\n.a,.b{color:red;}"


def test_page_is_small_and_asks_nobody_else(server: InThread) -> None:
    page = Path(hubbub.__file__).parent / "page"
    names = [str(path.relative_to(page)) for path in page.rglob("*.*") if path.suffix != ".txt"]
    files = {name: fetch(server, f"/page/{name}")[2] for name in names}
    assert {"app.js", "own.js", "style.css", "icon-mention.svg", "vendor/htm-preact.js"} <= files.keys()
    assert sum(map(len, files.values())) < 200_000
    for name, body in files.items():
        if not name.startswith("vendor/"):
            found = re.search(
                rb"(?:src|href)=.https?:|import .*https?:|innerHTML|eval\(|style=[\"'`]|<script>|<style", body
            )
            assert not found, name


@pytest.mark.parametrize("path", ["/nope", "/page/../cli.py", "/page/%2e%2e/cli.py", "/page/vendor", "/page/"])
def test_what_is_not_there_is_404(server: InThread, path: str) -> None:
    assert fetch(server, path)[0] == 404


@pytest.mark.parametrize(
    ("host", "status"), [("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost", 200), ("[::1]:1", 200)]
)
def test_host_must_be_ours(server: InThread, host: str, status: int) -> None:
    assert fetch(server, Host=host)[0] == status


def test_host_may_be_named(serve: Serve) -> None:
    assert fetch(serve("--host", "chat.example"), Host="chat.example:8888")[0] == 200


def test_page_learns_that_a_proxy_changes_its_host(server: InThread) -> None:
    named = {"Origin": "https://chat.example", "Sec-Fetch-Site": "same-origin"}
    assert fetch(server, "/ws", **named)[2].startswith(b"A proxy in front of this server changes the Host of requests.")
    assert fetch(server, "/ws", Origin="https://chat.example")[2] == b"Requests from other sites are refused.\n"


async def test_websocket_from_another_site_is_refused(server: InThread) -> None:
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(f"ws://127.0.0.1:{server.port}/ws", origin=websockets.Origin("https://evil.example"))
