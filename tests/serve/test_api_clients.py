"""The API, as curl and small programs use it, beside people at nc."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable, Iterator

import pytest
from in_thread import InThread

from api_scene import CURL, Stream, ask, refused, say, streams_of_curl, watchers
from hubbub.storage.sqlite.schema import FILE
from scene import PATIENCE

Serve = Callable[..., InThread]

pytestmark = pytest.mark.skipif(
    not CURL and os.environ.get("CI") != "true", reason="needs curl; make test installs it when root"
)


@pytest.fixture
def streams() -> Iterator[Callable[..., Stream]]:
    with streams_of_curl() as start:
        yield start


# --- saying something -------------------------------------------------------------------------------------------


def test_line_is_answered_to_who_wants_lines(serve: Serve) -> None:
    answer = ask(serve(), "/api/v1/rooms/ops/messages?name=ci", b"one\ntwo", Accept="text/plain")
    assert answer.status == 201 and re.fullmatch(rb"\[\d\d:\d\d\] ci: one\n\[\d\d:\d\d\] ci: two\n", answer.body)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("rooms/lobby/messages?name=al", b"hi", 409, "name-taken"),
        ("rooms/lobby/messages?name=a%20b", b"hi", 400, "name-invalid"),
        ("rooms/lobby/messages?name=server", b"hi", 400, "name-invalid"),
        ("rooms/a%20b/messages?name=ci", b"hi", 400, "room-invalid"),
        ("rooms/lobby/messages", b"hi", 400, "query-invalid"),
        ("rooms/lobby/messages?name=ci", b" \n", 400, "no-text"),
        ("rooms/lobby/messages?name=ci", b"x" * 16_385, 413, "text-too-long"),
        ("rooms/lobby/messages?name=ci", b"x" * 200_000, 413, "text-too-long"),
        ("rooms/lobby/messages?last=0", None, 400, "query-invalid"),
        ("rooms/lobby/messages?before=x", None, 400, "query-invalid"),
        ("rooms/lobby/search", None, 400, "query-invalid"),
        ("rooms/lobby/search?q=" + "+a" * 40, None, 400, "too-many-words"),
        ("rooms/%00/members", None, 400, "room-invalid"),
        ("rooms/a%20b/stream", None, 400, "room-invalid"),
        ("nothing", None, 404, "not-found"),
        ("rooms", b"hi", 405, "method"),
    ],
)
def test_what_cannot_be_done_is_a_problem_with_a_sentence(
    serve: Serve, path: str, body: bytes | None, status: int, code: str
) -> None:
    server = serve(ephemeral=True)
    server.join("Al")
    answer = ask(server, "/api/v1/" + path, body)
    assert (answer.status, answer.json["status"], answer.json["code"]) == (status, status, code)
    assert answer.json["detail"].endswith((".", "=…")) and "Traceback" not in answer.json["detail"]
    assert ask(server, "/api/v1/rooms/lobby/messages").json["entries"] == []


def test_name_is_not_held_by_a_post(serve: Serve) -> None:
    server = serve(ephemeral=True)
    say(server, "hi", name="Al")
    al = server.join("Al")
    assert b"Al: hi" in al.seen
    assert ask(server, "/api/v1/rooms/lobby/messages?name=Al", b"me again").status == 409


def test_text_is_cleaned_and_bytes_that_are_not_utf8_are_shown_as_such(serve: Serve) -> None:
    server = serve(ephemeral=True)
    answer = ask(server, "/api/v1/rooms/lobby/messages?name=ci", b"\x1b[31mred\xff\x07\r\n*** forged ***")
    assert answer.json["text"] == "red\ufffd\n*** forged ***"


def test_rate_is_of_the_address_and_makes_wait(serve: Serve) -> None:
    server = serve("--rate", "5", "--burst", "2", ephemeral=True)
    times = [say(server, str(number))["time"] for number in range(5)]
    assert times[1] - times[0] < times[4] - times[1] and times[4] - times[0] > 0.5


# --- reading ----------------------------------------------------------------------------------------------------


def test_messages_are_read_in_pages(serve: Serve) -> None:
    server = serve(ephemeral=True)
    entries = [say(server, f"m{number}") for number in range(9)]
    page = "/api/v1/rooms/lobby/messages"

    def texts(query: str) -> tuple[list[str], bool]:
        got = ask(server, f"{page}?{query}").json
        return [entry["text"] for entry in got["entries"]], got["more"]

    assert ask(server, page).json == {"entries": entries, "more": False}
    assert texts("last=2") == (["m7", "m8"], True)
    assert texts(f"last=2&before={entries[7]['seq']}") == (["m5", "m6"], True)
    assert texts(f"last=2&after={entries[3]['seq']}") == (["m4", "m5"], True)
    assert texts(f"after={entries[6]['seq']}") == (["m7", "m8"], False)
    assert texts(f"after={entries[3]['seq']}&before={entries[6]['seq']}") == (["m4", "m5"], False)
    assert ask(server, "/api/v1/rooms/nowhere/messages").json == {"entries": [], "more": False}
    lines = ask(server, f"{page}?last=2", Accept="text/plain").body
    assert re.fullmatch(rb"\[..:..\] ci: m7\n\[..:..\] ci: m8\n", lines)


def test_search_rooms_and_members(serve: Serve) -> None:
    server = serve(ephemeral=True)
    al, _bo = server.join_all("Al", "Bo")
    al.say("/topic tea at four", "green tea")
    al.barrier()
    say(server, "more tea", room="%C3%BCben")
    assert [e["text"] for e in ask(server, "/api/v1/rooms/LOBBY/search?q=tea").json["entries"]] == ["green tea"]
    assert [e["room"] for e in ask(server, "/api/v1/search?q=tea").json["entries"]] == ["lobby", "üben"]
    assert ask(server, "/api/v1/rooms").json == {
        "rooms": [
            {"name": "lobby", "members": 2, "topic": "tea at four"},
            {"name": "üben", "members": 0, "topic": ""},
        ],
        "more": 0,
    }
    assert ask(server, "/api/v1/rooms/lobby/members").json == {"room": "lobby", "nicks": ["Al", "Bo"], "more": 0}
    assert ask(server, "/api/v1/rooms/%23lobby/members", Accept="text/plain").body == b"Al\nBo\n"
    assert ask(server, "/api/v1/rooms", Accept="text/plain").body.decode() == "lobby (2) tea at four\nüben (0)\n"
    assert ask(server, "/api/v1/rooms/nowhere/members").json["nicks"] == []


# --- following --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["key s3", "invite-only on", "secret on"])
@pytest.mark.parametrize("stays", [True, False])
def test_room_that_is_closed_is_read_by_its_members_only(serve: Serve, rule: str, stays: bool) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    bob.say("/join vip", "a needle", f"/set {rule}")
    bob.barrier()
    if not stays:
        bob.say("/leave")
        bob.barrier()
    here = "/api/v1/rooms/vip"
    for path in (f"{here}/messages", f"{here}/messages?after=0", f"{here}/search?q=needle", f"{here}/members"):
        answer = ask(server, path)
        if rule == "secret on":
            nowhere = ask(server, path.replace("vip", "nowhere"))
            assert (answer.status, answer.body) == (200, nowhere.body.replace(b"nowhere", b"vip")), path
        else:
            assert (answer.status, answer.json["code"]) == (403, "closed"), path
            assert answer.json["detail"] == "Only members of vip can read it."
    assert ask(server, f"{here}/messages?name=ci", b"done").status == 400
    assert ask(server, "/api/v1/search?q=needle").json["entries"] == []
    listed = {room["name"]: room["topic"] for room in ask(server, "/api/v1/rooms").json["rooms"]}
    assert listed.get("vip") == (None if rule == "secret on" else "")


def test_stream_of_a_secret_room_waits_as_for_one_that_is_not_there(serve: Serve) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    bob.say("/join vip", "/set secret on")
    bob.barrier()
    heads = []
    with contextlib.ExitStack() as ending:
        for room in ("vip", "nowhere"):
            stream = ending.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
            stream.sendall(f"GET /api/v1/rooms/{room}/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            with stream.makefile("rb") as lines:
                heads.append(list(iter(lines.readline, b"\r\n")))
        assert [line for line in heads[0] if b"Date" not in line] == [line for line in heads[1] if b"Date" not in line]
        assert heads[0][0].startswith(b"HTTP/1.1 200 ")
        watchers(server, 2)
        bob.say("psst", "/set")
        assert b"watching" not in bob.barrier()


@pytest.mark.parametrize("line", ["/set key hunter2", "/set invite-only on", "/set secret on", "/ban *!~api@* yes"])
@pytest.mark.parametrize("flags", [(), ("-H", "Accept: text/plain")])
def test_stream_ends_when_the_room_is_closed_to_it(
    serve: Serve, streams: Callable[..., Stream], line: str, flags: tuple[str, ...]
) -> None:
    server = serve("--no-limits")
    early = streams(server, "board/stream", *flags)
    watchers(server, 1)
    bob = server.join("Bob")
    bob.say("/join board")
    bob.barrier()
    late = streams(server, "board/stream", *flags)
    watchers(server, 2)
    bob.say("for all", "/set")
    assert b"watching over HTTP: 2" in bob.barrier()
    bob.send(f"{line}\nplans\n".encode())
    bob.barrier()
    for stream in (early, late):
        shown, _ = stream.process.communicate(timeout=PATIENCE)
        assert stream.process.returncode == 0 and b"for all" in shown
        assert b"plans" not in shown and b"hunter2" not in shown
    answer = ask(server, "/api/v1/rooms/board/stream") if "secret" not in line else None
    assert answer is None or answer.status == 403
    watchers(server, 0)


def test_stream_follows_a_room_and_is_not_seen_in_it(serve: Serve, streams: Callable[..., Stream]) -> None:
    server = serve()
    stream = streams(server, "lobby/stream")
    watchers(server, 1)
    al = server.join("Al")
    assert stream.event()["kind"] == "join"
    al.say("hi", "/who")
    assert stream.event()["text"] == "hi"
    al.sees(b"*** In lobby: 1 ***\n  Al\n")
    say(server, "elsewhere", room="ops")
    say(server, "one\ntwo")
    assert stream.event()["text"] == "one\ntwo"
    stream.end()
    watchers(server, 0)
    al.sees(b"ci: one\nci: two\n")
    al.sees_nothing()


def test_stream_of_lines_is_what_nc_shows(serve: Serve, streams: Callable[..., Stream]) -> None:
    server = serve(ephemeral=True)
    stream = streams(server, "lobby/stream", "-H", "Accept: text/plain")
    watchers(server, 1)
    al = server.join("Al")
    al.say("hi", "/me waves", "/topic tea", "/quit bye")
    stream.sees(
        "*** Al has joined the chat ***",
        "Al: hi",
        "* Al waves",
        "*** Al set the topic: tea ***",
        "*** Al has left the chat (bye) ***",
    )


def test_stream_that_is_not_read_harms_nobody_and_misses_nothing(serve: Serve) -> None:
    server = serve("--no-limits", ephemeral=True)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(b"GET /api/v1/rooms/lobby/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        watchers(server, 1)
        al, bo = server.join_all("Al", "Bo")
        for number in range(300):
            al.say(f"{number} " + "x" * 2000)
        al.say("end")
        bo.skips_to(b"Al: end\n")
        slow.settimeout(PATIENCE)
        got = b""
        while b'"text":"end"' not in got:
            got += slow.recv(1 << 16)
    numbers = [int(number) for number in re.findall(rb'"text":"(\d+) x', got)]
    assert numbers == list(range(300))


# --- who may ask, and how long ------------------------------------------------------------------------------------


def test_other_sites_cannot_post(serve: Serve) -> None:
    server = serve(ephemeral=True)
    path = "/api/v1/rooms/lobby/messages?name=ci"
    assert refused(server, path, b"hi", Origin="http://evil.example") == 403
    assert refused(server, path, b"hi", Host="evil.example") == 421
    assert ask(server, "/api/v1/rooms/lobby/messages").json["entries"] == []


def test_slow_senders_are_cut(serve: Serve) -> None:
    server = serve("--name-timeout", "1", ephemeral=True)
    head = b"POST /api/v1/rooms/lobby/messages?name=ci HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as within_its_head,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as within_its_body,
    ):
        within_its_head.sendall(b"GET / HTTP/1.1\r\nHost: lo")
        within_its_body.sendall(head + b"half")
        assert within_its_body.recv(4096).startswith(b"HTTP/1.1 408 ")
        with contextlib.suppress(ConnectionResetError):
            assert within_its_head.recv(4096) == b""


def test_health_says_when_nothing_can_be_stored(serve: Serve) -> None:
    server = serve()
    assert server.data
    log, aside = server.data / FILE, server.data / "aside"
    log.rename(aside)
    answer = ask(server, "/healthz")
    assert (answer.status, answer.json) == (503, {"status": "failing", "reason": "the log was removed"})
    answer = ask(server, "/api/v1/rooms/lobby/messages?name=ci", b"lost")
    assert (answer.status, answer.json["detail"]) == (503, "Not sent: the log was removed.")
    aside.rename(log)
    assert ask(server, "/healthz").status == 200
    assert say(server, "kept")["text"] == "kept"
