"""The WebSocket: labels, the end, and a session that goes on in another connection."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from asking import Talker, Web, asking
from serving import until
from websockets.frames import Frame, Opcode

from hubbub.errors import BrokerError
from hubbub.serve.web import websocket_client as module

UUID = "550e8400-e29b-41d4-a716-446655440000"


async def answered(talker: Talker, label: str) -> dict[str, Any]:
    """Return the one frame that a label is answered with."""
    frame = await talker.sees_label(label)
    await talker.say(type="rooms", label="after")
    while (other := await talker.next()).get("label") != "after":
        assert other.get("label") != label, other
    return frame


@pytest.mark.parametrize(
    "text",
    ["   ", "", "\n\n", "\u2066\u2069", "\u202e\u202c", "\0", "\x1b[31m", "\t \r\n"],
)
async def test_message_of_nothing_is_answered(text: str) -> None:
    async with asking() as web:
        ada = await web.talk("Ada")
        await ada.say(type="say", room="lobby", text=text, label="e1")
        frame = await answered(ada, "e1")
        assert (frame["type"], frame["code"]) == ("error", "no-text")
        await ada.socket.close()


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"say","room":"lobby","text":"half \\ud83d","label":"e1"}',
        '{"type":"say","room":"lobby","text":5,"label":"e1"}',
        '{"type":"say","room":"lobby","label":"e1"}',
        '{"type":"nope","label":"e1"}',
        '{"label":"e1","type":"say","room":"lobby","text":"' + "x" * 17_000 + '"}',
    ],
)
async def test_frame_that_is_no_request_is_answered_with_its_label(frame: str) -> None:
    async with asking() as web:
        ada = await web.talk("Ada")
        await ada.socket.send(frame)
        assert (await answered(ada, "e1"))["code"] == "bad-frame"
        await ada.socket.close()


@pytest.mark.parametrize(
    ("request_", "type"),
    [
        ({"type": "say", "room": "lobby", "text": "hi"}, "stored"),
        ({"type": "say", "room": "nowhere", "text": "hi"}, "error"),
        ({"type": "say", "room": "lobby", "text": "ü" * 16_000}, "error"),
        ({"type": "history", "room": "lobby"}, "page"),
        ({"type": "history", "room": "a b"}, "error"),
        ({"type": "search", "words": "tea"}, "page"),
        ({"type": "search", "words": "w " * 40}, "error"),
        ({"type": "mentions"}, "error"),
        ({"type": "rooms"}, "rooms"),
        ({"type": "members", "room": "lobby"}, "members"),
        ({"type": "members", "room": "nowhere"}, "error"),
        ({"type": "settings", "room": "lobby"}, "settings"),
        ({"type": "settings", "room": "nowhere"}, "error"),
        ({"type": "join", "room": "ops"}, "done"),
        ({"type": "join", "room": "lobby"}, "done"),
        ({"type": "join", "room": "locked"}, "error"),
        ({"type": "join", "room": "a b"}, "error"),
        ({"type": "leave", "room": "lobby"}, "done"),
        ({"type": "leave", "room": "nowhere"}, "error"),
        ({"type": "msg", "to": "Al", "text": "psst"}, "sent"),
        ({"type": "msg", "to": "Al", "text": "psst", "user": "nobody"}, "error"),
        ({"type": "redact", "room": "lobby", "id": "x.1"}, "error"),
        ({"type": "redact", "room": "nowhere", "id": "x.1"}, "error"),
        ({"type": "msg", "to": "Nobody-here", "text": "psst"}, "error"),
        ({"type": "msg", "to": "Al", "text": " "}, "error"),
        ({"type": "command", "line": "/topic tea"}, "done"),
        ({"type": "command", "line": "/who"}, "done"),
        ({"type": "command", "line": "/set"}, "notice"),
        ({"type": "command", "line": "/rooms"}, "done"),
        ({"type": "command", "line": "/nick Eve"}, "done"),
        ({"type": "command", "line": "hello"}, "done"),
        ({"type": "command", "line": "/nosuch"}, "error"),
        ({"type": "command", "line": "/join locked"}, "error"),
        ({"type": "command", "line": "/who", "room": "nowhere"}, "error"),
        ({"type": "hello", "name": "Other"}, "error"),
    ],
)
async def test_every_request_with_a_label_is_answered_once(request_: dict[str, Any], type: str) -> None:
    async with asking() as web:
        al = await web.join("Al")
        al.send("/join locked\n/set key s3\n/leave\n/time\n")
        await al.sees(b" UTC ***\n")
        ada = await web.talk("Ada")
        await ada.say(**request_, label=UUID)
        assert (await answered(ada, UUID))["type"] == type
        await ada.socket.close()


async def test_answers_keep_their_labels_apart() -> None:
    async with asking() as web:
        ada = await web.talk("Ada")
        for label, request in (
            ("a", {"type": "say", "room": "lobby", "text": "one"}),
            ("b", {"type": "join", "room": "ops"}),
            ("c", {"type": "join", "room": "no such"}),
            ("d", {"type": "members", "room": "ops"}),
            ("e", {"type": "say", "room": "nowhere", "text": "two"}),
        ):
            await ada.say(**request, label=label)
        got = [(frame["label"], frame["type"]) for frame in [await ada.sees_label(label) for label in "abcde"]]
        assert got == [("a", "stored"), ("b", "done"), ("c", "error"), ("d", "members"), ("e", "error")]
        await ada.socket.close()


async def test_hello_is_answered_with_its_label() -> None:
    async with asking() as web:
        await web.join("Al")
        ada = await web.talk()
        for name, type in (("al", "error"), ("a b", "error"), ("Ada", "welcome")):
            await ada.say(type="hello", name=name, label=f"h-{type}")
            assert (await ada.sees_label(f"h-{type}"))["type"] == type
        await ada.say(type="say", room="lobby", text="x")
        await ada.sees("entries")
        await ada.socket.close()


async def test_log_that_cannot_be_read_is_told_with_the_label(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking() as web:
        ada = await web.talk("Ada")
        broker = web.house.log
        monkeypatch.setattr(broker, "read", lambda query, done: done(BrokerError("the disk is gone")))
        await ada.say(type="history", room="lobby", label="h1")
        frame = await ada.sees_label("h1")
        assert (frame["type"], frame["code"]) == ("error", "broker")
        await ada.socket.close()


# --- the end ----------------------------------------------------------------------------------------------------


async def test_close_says_why() -> None:
    async with asking() as web:
        quits = await web.talk("Quits")
        await quits.say(type="command", line="/quit bye")
        assert (await quits.closed())[0] == 1000
        stays = await web.talk("Stays")
        for connection in list(web.connections):
            connection.client.shut_down()
        assert (await stays.closed())[0] == 1001


async def test_peer_that_is_thrown_out_is_told_by_1008() -> None:
    async with asking(name_timeout=1) as web:
        silent = await web.talk()
        assert (await silent.closed()) == (1008, "No name was given in time.")
        ada = await web.talk("Ada")
        user = web.house.hub.nicks.find("Ada")
        assert user
        web.house.hub.expel(user, "spam")
        assert (await ada.closed())[0] == 1008


async def test_frame_that_is_too_long_or_no_text_ends_it() -> None:
    async with asking() as web:
        long = await web.talk("Long")
        await long.socket.send("x" * 70_000)
        assert (await long.closed())[0] == 1009
        odd = await web.talk("Odd")
        odd.socket.transport.write(Frame(Opcode.TEXT, b"\xff").serialize(mask=True))
        assert (await odd.closed())[0] == 1007
        await until(lambda: not web.house.hub.users)


async def test_what_is_said_before_a_close_is_said() -> None:
    async with asking() as web:
        al = await web.join("Al")
        ada = await web.talk("Ada")
        say = json.dumps({"type": "say", "room": "lobby", "text": "last words"}).encode()
        close = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
        ada.socket.transport.write(Frame(Opcode.TEXT, say).serialize(mask=True) + close)
        await al.sees(b"Ada: last words\n")
        await al.sees(b"*** Ada has left the chat ***\n")
        assert (await ada.closed())[0] == 1000


async def test_pings_are_answered_and_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_AFTER", 0.3)
    monkeypatch.setattr(module, "PONG_WITHIN", 0.6)
    async with asking() as web:
        ada = await web.talk("Ada")
        await (await ada.socket.ping())
        dead = await web.talk("Dead")
        dead.socket.transport.pause_reading()
        while True:
            frame = await ada.sees("entries")
            if any((entry["kind"], entry["nick"]) == ("leave", "Dead") for entry in frame["entries"]):
                break
        assert web.count("websocket") >= 1, "one that answers pings stays"
        await ada.socket.close()
        dead.socket.transport.abort()


async def test_frame_before_the_handshake_is_answered_is_refused() -> None:
    async with asking() as web:
        peer = await web.connect()
        key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
        peer.ask("GET", "/ws", b"\x81\x80abcd", Connection="Upgrade", Upgrade="websocket", Content_Length="", **key)
        assert (await peer.head())[0] == 400


async def test_handshake_may_come_in_pieces() -> None:
    async with asking() as web:
        peer = await web.connect()
        lines = ["GET /ws HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""]
        whole = "\r\n".join(lines).encode()
        peer.send(whole[:20])
        await until(lambda: web.count("http"))
        (connection,) = web.connections
        dialogue: Any = connection.client
        for start, end in ((20, -3), (-3, -1), (-1, None)):
            await until(lambda: dialogue._tail == whole[:start][-4:])  # noqa: B023 - it was read
            peer.send(whole[start:end])
        assert (await peer.head())[0] == 101


async def test_handshake_may_follow_other_requests() -> None:
    """As a proxy does that keeps its connections."""
    async with asking() as web:
        peer = await web.connect()
        peer.ask("GET", "/")
        await peer.answer()
        key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
        peer.ask("GET", "/ws", Connection="Upgrade", Upgrade="websocket", **key)
        assert (await peer.head())[0] == 101
        peer.send(Frame(Opcode.TEXT, b'{"type":"hello","name":"Ada"}').serialize(mask=True))
        assert b'"type":"welcome"' in await peer.sees(b'"resume"')


# --- messages ---------------------------------------------------------------------------------------------------


async def test_history_around_a_message_is_found_by_its_id() -> None:
    async with asking() as web:
        ada = await web.talk("Ada")
        for number in range(5):
            await ada.say(type="say", room="lobby", text=f"line {number}", label=f"s{number}")
        stored = [await ada.sees_label(f"s{number}") for number in range(5)]
        await ada.say(type="history", room="lobby", around=stored[2]["id"], limit=3, label="h1")
        page = await ada.sees_label("h1")
        assert [entry["text"] for entry in page["entries"]] == ["line 1", "line 2", "line 3"]
        await ada.say(type="history", room="lobby", around="no-such-id", label="h2")
        assert (await ada.sees_label("h2"))["entries"] == []
        await ada.socket.close()


async def test_welcome_says_how_long_a_message_can_be_corrected() -> None:
    async with asking(edit_minutes=3) as web:
        ada = await web.talk("Ada")
        assert ada.welcome["edit_minutes"] == 3
        await ada.socket.close()


# --- going on ---------------------------------------------------------------------------------------------------


async def test_numbers_of_another_log_mean_nothing() -> None:
    async with asking() as web:
        await web.say("lobby", "before")
        known = web.house.log.log_id
        for log, type in ((known, "entries"), ("", "entries"), ("other", "past")):
            ada = await web.talk("Ada", rooms={"lobby": 0}, log=log)
            assert ada.welcome["log"] == known
            frame = await ada.sees(type)
            assert frame["entries"][0]["text"] == "before"
            await ada.socket.close()
            await until(lambda: not web.house.hub.users)


async def joined(web: Web) -> tuple[Any, Talker, dict[str, int]]:
    """Return somebody at nc, somebody at a WebSocket in two rooms, and the numbers that he saw last."""
    al = await web.join("Al")
    ada = await web.talk("Ada")
    await ada.say(type="join", room="ops", label="j")
    await ada.sees_label("j")
    await ada.say(type="say", room="lobby", text="here", label="s")
    seen = await ada.sees_label("s")
    await al.sees(b"Ada: here\n")
    return al, ada, {"lobby": seen["seq"]}


async def test_session_goes_on_in_another_connection() -> None:
    async with asking() as web:
        al, ada, seen = await joined(web)
        al.send("missed\n")
        await ada.sees("entries")
        again = await web.talk("Ada", rooms=seen, resume=ada.welcome["resume"], log=ada.welcome["log"])
        assert (await ada.closed())[0] == 4001
        assert (again.welcome["nick"], again.welcome["tag"]) == ("Ada", ada.welcome["tag"])
        lobby = await again.sees("joined", room="lobby")
        assert lobby["seq"] >= seen["lobby"]
        assert [entry["text"] for entry in (await again.sees("entries"))["entries"]] == ["missed"]
        await again.sees("joined", room="ops")
        await again.say(type="say", room="ops", text="still in", label="s")
        assert (await again.sees_label("s"))["type"] == "stored"
        al.send("/who\n/time\n")
        told = await al.sees(b" UTC ***\n")
        assert b"left" not in told and b"joined" not in told and told.count(b"Ada") == 1
        assert len(web.house.hub.users) == 2
        await again.socket.close()
        await al.sees(b"*** Ada has left the chat ***\n")
        late = await web.talk("Ada", resume=ada.welcome["resume"])
        assert late.welcome["tag"] != ada.welcome["tag"], "the session is over: this is another one"
        await late.socket.close()


async def test_session_goes_on_though_its_connection_is_not_known_to_be_dead() -> None:
    async with asking(no_limits=True) as web:
        al, ada, seen = await joined(web)
        ada.socket.transport.pause_reading()
        for number in range(200):
            al.send(f"{number} {'x' * 4000}\n")
        await until(lambda: (user := web.house.hub.nicks.find("Ada")) and user.sessions[0].paused)
        again = await web.talk("Ada", rooms=seen, resume=ada.welcome["resume"])
        got: list[str] = []
        while len(got) < 200:
            got += [entry["text"].partition(" ")[0] for entry in (await again.sees("entries"))["entries"]]
        assert got == [str(number) for number in range(200)]
        al.send("/time\n")
        assert b"Ada" not in await al.sees(b" UTC ***\n")
        await again.socket.close()
        ada.socket.transport.abort()


@pytest.mark.parametrize("is_listed", [True, False])
async def test_room_that_was_renamed_meanwhile_is_found_by_its_id_if_it_is_listed(is_listed: bool) -> None:
    async with asking() as web:
        al = await web.connect()
        await al.sees(b"Enter your name: ")
        al.send("Al\n/join ops\n" + "/set secret on\n" * (not is_listed) + "/time\n")
        await al.sees(b" UTC ***\n")
        ada = await web.talk("Ada")
        await ada.say(type="join", room="ops")
        ops = await ada.sees("joined", room="ops")
        await ada.socket.close()
        await al.sees(b"*** Ada has left")
        al.send("/rename dev\n/time\n")
        await al.sees(b" UTC ***\n")
        again = await web.talk("Ada", rooms={"ops": ops["seq"]}, ids={"ops": ops["id"]}, log=ada.welcome["log"])
        joined = await again.sees("joined")
        told = [one["to"] for one in again.before if one["type"] == "left"]
        if is_listed:
            assert (told, joined["room"], joined["id"]) == (["dev"], "dev", ops["id"])
        else:  # a stranger does not learn the name
            assert (told, joined["room"]) == ([], "ops") and joined["id"] != ops["id"]


async def test_room_without_a_number_is_shown_as_to_a_newcomer() -> None:
    async with asking() as web:
        _al, ada, _ = await joined(web)
        again = await web.talk("Ada", resume=ada.welcome["resume"], rooms={"new": 0, "a b": 1})
        await again.sees("error", room="a b")
        await again.sees("joined", room="lobby")
        assert (await again.sees("past"))["entries"][-1]["text"] == "here"
        await again.sees("joined", room="new")
        await again.socket.close()


async def test_resuming_again_and_again_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with asking() as web:
        ada = await web.talk("Ada")
        for _ in range(20):
            await ada.sees("joined")
            again = await web.talk("Ada", resume=ada.welcome["resume"])
            await ada.closed()
            ada = again
        assert len(web.house.hub.users) == 1 and web.house.web
        assert len(web.house.web._tokens) == 1
        await ada.socket.close()
        await until(lambda: not web.house.hub.users)
        assert not web.house.web._tokens
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("hubbub")]
        assert not any(ada.welcome["resume"] in line for line in ours), "it is a secret"


async def test_token_that_is_made_up_is_a_normal_hello() -> None:
    async with asking() as web:
        ada = await web.talk("Ada", resume="made-up")
        eve = await web.talk()
        await eve.say(type="hello", name="Ada", resume="")
        assert (await eve.sees("error"))["code"] == "name-taken"
        await ada.socket.close()
        await eve.socket.close()


async def test_outcomes_of_the_first_connection_are_told_to_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking() as web:
        _al, ada, seen = await joined(web)
        held: list[Any] = []
        publish = web.house.log.publish
        monkeypatch.setattr(web.house.log, "publish", held.append)
        await ada.say(type="say", room="lobby", text="on its way", label="m1")
        await ada.say(type="join", room="third", label="j2")
        await until(lambda: held)
        again = await web.talk("Ada", rooms=seen, resume=ada.welcome["resume"])
        monkeypatch.setattr(web.house.log, "publish", publish)
        for drafts in held:
            publish(drafts)
        assert (await again.sees_label("m1"))["type"] == "stored"
        frames = again.before
        assert [e["text"] for f in frames for e in f.get("entries", ()) if f["type"] == "entries"].count(
            "on its way"
        ) <= 1
        await again.socket.close()
