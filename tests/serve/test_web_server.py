"""HTTP on a connection: requests that are none, peers that go or never read, and what every answer has."""

from __future__ import annotations

import asyncio
import logging
import zlib
from pathlib import Path

import pytest
from asking import Peer, asking
from serving import until

from hubbub.model.queries import RoomList

SAFE = {
    "server": "hubbub",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
POST = "/api/v1/rooms/lobby/messages?name=ci"


def is_safe(headers: dict[str, str]) -> bool:
    return SAFE.items() <= headers.items() and "default-src 'none'" in headers["content-security-policy"]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "data",
    [
        "OPTIONS sip:nm SIP/2.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        "GET  HTTP/1.1\r\n\r\n",
        "CONNECT a:b HTTP/1.1\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        f"GET /{'x' * 20000} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -4\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        f"POST {POST} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        f"POST {POST} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n",
        f"POST {POST} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\nhello\r\n",
    ],
)
async def test_bytes_that_are_no_request_are_refused_once_and_quietly(
    data: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking() as web:
        peer = await web.connect()
        peer.send(data)
        status, headers = await peer.head()
        assert status == 400 and is_safe(headers)
        rest = await peer.rest()
        assert b"HTTP/1" not in rest and b"Traceback" not in rest and b"aiohttp" not in rest
    assert told(caplog) == []


async def test_upload_that_is_broken_off_is_refused_quietly(caplog: pytest.LogCaptureFixture) -> None:
    async with asking() as web:
        for cut in ("Content-Length: 100\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"):
            peer = await web.connect()
            peer.send(f"POST {POST} HTTP/1.1\r\nHost: localhost\r\n{cut}")
            peer.half_close()
            assert (await peer.answer()).json["code"] == "body-broken"
            await peer.rest()
        peer = await web.connect()
        peer.send(f"POST {POST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhello")
        await until(lambda: web.count("http"))
        peer.reset()
        await until(lambda: not web.count("http"))
    assert told(caplog) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("GET", "/", 200, {}),
        ("GET", "/page/app.js", 200, {}),
        ("GET", "/healthz", 200, {}),
        ("GET", "/api/v1/rooms", 200, {}),
        ("GET", "/api/v1/rooms/a%20b/stream", 400, {}),
        ("GET", "/nope", 404, {}),
        ("GET", "/api/v1/nope", 404, {}),
        ("GET", "/api/v1", 404, {}),
        ("GET", "/api/v1/", 404, {}),
        ("DELETE", "/", 405, {}),
        ("GET", "/ws", 426, {}),
        ("GET", "/", 421, {"Host": "evil.example"}),
        ("GET", "/api/v1/rooms", 403, {"Origin": "https://evil.example"}),
        ("GET", "/api/v1/rooms", 403, {"Sec_Fetch_Site": "cross-site"}),
        ("POST", POST, 415, {"Content_Encoding": "gzip"}),
        ("POST", POST, 501, {"Transfer_Encoding": "gzip, chunked"}),
        ("GET", f"/{'x' * 9000}", 414, {}),
        ("GET", f"/api/v1/search?q={'%F0%9F%98%80' * 1024}", 200, {}),
    ],
)
async def test_every_answer_has_the_headers_that_protect_browsers(
    method: str, path: str, status: int, headers: dict[str, str]
) -> None:
    async with asking() as web:
        answer = await web.ask(method, path, **headers)
        assert answer.status == status and is_safe(answer.headers)
        assert "strict-transport-security" not in answer.headers


async def test_stream_and_websocket_have_these_headers_too() -> None:
    async with asking() as web:
        peer = await web.connect()
        peer.ask("GET", "/api/v1/rooms/lobby/stream")
        assert is_safe((await peer.head())[1])
        talker = await web.talk()
        assert talker.socket.response
        assert is_safe({name.lower(): value for name, value in talker.socket.response.headers.raw_items()})
        await talker.socket.close()


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD"),
        ("/page/style.css", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/api/v1/rooms", "GET, HEAD"),
        ("/api/v1/rooms/lobby/messages", "GET, HEAD, POST"),
        ("/api/v1/rooms/lobby/stream", "GET, HEAD"),
    ],
)
async def test_method_that_is_not_possible_is_told_those_that_are(path: str, allowed: str) -> None:
    async with asking() as web:
        for method in ("DELETE", "PUT", "OPTIONS", "TRACE"):
            answer = await web.ask(method, path)
            assert (answer.status, answer.headers["allow"]) == (405, allowed), method


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/page/app.js",
        "/healthz",
        "/metrics",
        "/api/v1/rooms",
        "/api/v1/search?q=tea",
        "/api/v1/rooms/lobby/messages",
        "/api/v1/rooms/lobby/members",
        "/api/v1/rooms/lobby/search?q=tea",
        "/api/v1/rooms/lobby/stream",
    ],
)
async def test_head_is_answered_where_get_is(path: str) -> None:
    async with asking() as web:
        peer = await web.connect()
        peer.ask("HEAD", path)
        first = await peer.answer(bodiless=True)
        assert first.status == 200
        peer.ask("HEAD", path)
        assert (await peer.answer(bodiless=True)).headers["content-type"] == first.headers["content-type"]


async def test_unknown_host_is_told_once_on_the_console(caplog: pytest.LogCaptureFixture) -> None:
    async with asking() as web:
        for _ in range(3):
            assert (await web.ask("GET", "/", Host="chat.example")).status == 421
        for number in range(50):
            await web.ask("GET", "/", Host=f"{number}.example")
    assert len(told(caplog)) == 16 and "chat.example" in told(caplog)[0]


async def test_origin_that_differs_is_told_once_with_both(caplog: pytest.LogCaptureFixture) -> None:
    """A proxy that changes the Host, or leaves its port out."""
    async with asking(host=["chat.example"]) as web:
        for _ in range(2):
            asked = {"Host": "chat.example", "Origin": "https://chat.example:8443"}
            assert (await web.ask("GET", "/page/app.js", **asked)).status == 200
            assert (await web.ask("GET", "/page/style.css", **asked)).status == 200
            upgrade = asked | {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
            key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
            assert (await web.ask("GET", "/ws", **upgrade, **key)).status == 403
        assert (await web.ask("GET", "/api/v1/rooms", Host="chat.example", Origin="https://a\xc2\x9b31m")).status == 403
    lines = told(caplog)
    assert len(lines) == 2 and "https://chat.example:8443" in lines[0] and "chat.example;" in lines[0]
    assert "https://a" in lines[1] and "\x9b" not in lines[1]


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8888", "http://localhost:8888"),
        ("chat.example", "https://chat.example"),
        ("chat.example:443", "https://chat.example"),
        ("chat.example", "http://chat.example:80"),
        ("CHAT.example", "https://chat.EXAMPLE"),
        ("[::1]:8888", "http://[::1]:8888"),
    ],
)
async def test_own_page_may_ask(host: str, origin: str) -> None:
    async with asking(host=["chat.example"]) as web:
        assert (await web.ask("GET", "/api/v1/rooms", Host=host, Origin=origin)).status == 200


@pytest.mark.parametrize("origin", ["null", "https://chat.example:1", "https://chat.example.evil", "chat.example", ""])
async def test_other_page_may_not_ask(origin: str) -> None:
    async with asking(host=["chat.example"]) as web:
        assert (await web.ask("GET", "/api/v1/rooms", Host="chat.example", Origin=origin)).status == 403


@pytest.mark.parametrize(
    ("path", "mode", "dest", "status"),
    [
        ("/", "navigate", "document", 200),
        ("/", "navigate", "iframe", 403),
        ("/", "no-cors", "image", 403),
        ("/page/app.js", "no-cors", "script", 403),
        ("/api/v1/rooms", "navigate", "document", 403),
        ("/api/v1/search?q=x", "no-cors", "image", 403),
    ],
)
async def test_other_site_may_link_to_the_page_alone(path: str, mode: str, dest: str, status: int) -> None:
    async with asking() as web:
        fetched = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": mode, "Sec_Fetch_Dest": dest}
        assert (await web.ask("GET", path, **fetched)).status == status
        assert (await web.ask("GET", path, **fetched | {"Sec_Fetch_Site": "same-origin"})).status == 200


async def test_body_is_not_decompressed() -> None:
    body = zlib.compress(bytes(50_000_000), 9)
    async with asking() as web:
        for headers in ({"Host": "evil.example"}, {}, {"Content_Encoding": "br"}, {"Content_Encoding": "zstd"}):
            answer = await web.ask("POST", POST, body, **{"Content_Encoding": "deflate"} | headers)
            assert answer.status in (421, 415)
        assert (await web.ask("POST", POST, b"plain", Content_Encoding="identity")).status == 201


async def test_no_body_is_read_before_the_request_is_accepted() -> None:
    async with asking() as web:
        for headers, status in (
            ({"Host": "evil.example"}, 421),
            ({"Origin": "https://evil.example"}, 403),
            ({"Content_Length": "1000000"}, 413),
        ):
            peer = await web.connect()
            peer.ask("POST", POST, b"", **{"Expect": "100-continue", "Content_Length": "5"} | headers)
            answer = await peer.answer()
            assert answer.status == status and answer.headers["connection"] == "close"
            await peer.rest()
        peer = await web.connect()
        peer.ask("POST", POST, b"", Expect="100-continue", Content_Length="5")
        assert (await peer.head())[0] == 100
        peer.send("hello")
        assert (await peer.answer()).json["text"] == "hello"


async def test_requests_may_come_at_once_and_are_answered_in_order() -> None:
    async with asking() as web:
        peer = await web.connect()
        for number in range(3):
            peer.ask("POST", POST, f"m{number}".encode())
        peer.ask("GET", "/nope")
        assert [(await peer.answer()).json["text"] for _ in range(3)] == ["m0", "m1", "m2"]
        assert (await peer.answer()).status == 404


async def test_peer_that_ends_its_side_gets_its_answer() -> None:
    """As with nc -N."""
    async with asking() as web:
        peer = await web.connect()
        peer.send("GET /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\n\r\n")
        peer.half_close()
        assert (await peer.answer()).status == 200
        assert await peer.rest() == b""
        idle = await web.connect()
        idle.ask("GET", "/api/v1/rooms")
        await idle.answer()
        idle.half_close()
        assert await idle.rest() == b""


async def test_work_ends_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log answers comes to nobody; nothing waits for it any more."""
    async with asking() as web:
        asked = []
        monkeypatch.setattr(web.house.log, "search", lambda query, done: asked.append(query))
        before = len(asyncio.all_tasks())
        for end in (Peer.reset, Peer.close):
            peer = await web.connect()
            peer.ask("GET", "/api/v1/search?q=tea")
            await until(lambda: asked)
            asked.clear()
            end(peer)
            await until(lambda: not web.connections)
            await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_requests_that_wait_end_with_the_connection_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than aiohttp takes at once: the rest is not read."""
    async with asking() as web:
        monkeypatch.setattr(web.house.log, "search", lambda query, done: None)
        before = len(asyncio.all_tasks())
        peer = await web.connect()
        for _ in range(1000):
            peer.ask("GET", "/api/v1/search?q=tea")
        await until(lambda: any(connection.waiting for connection in web.connections))
        peer.reset()
        await until(lambda: not web.connections)
        await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_requests_of_closed_connections_leave_nothing() -> None:
    async with asking(rate=20, burst=100) as web:
        before = len(asyncio.all_tasks())
        for _ in range(10):
            peers = [await web.connect() for _ in range(100)]
            for peer in peers:
                peer.ask("GET", "/api/v1/rooms")
                peer.close()
            web.peers.clear()
        await until(lambda: not web.connections)
        await until(lambda: len(asyncio.all_tasks()) <= before + 1)
        answer = await web.ask("GET", "/api/v1/rooms")
        assert answer.status == 200 or int(answer.headers["retry-after"]) <= 2, "nobody pays for more than a second"
        assert web.count("http") <= 1


async def test_peer_that_never_reads_is_cut_off() -> None:
    async with asking(stall_timeout=1, no_limits=True) as web:
        for number in range(40):
            await web.say("lobby", f"{number} ".ljust(10_000, "x"))
        peer = await web.connect(buffer=4096)
        peer.writer.transport.pause_reading()
        for _ in range(30):
            peer.ask("GET", "/api/v1/rooms/lobby/messages?last=200")
        await until(lambda: web.count("http"))
        await until(lambda: not web.count("http"))


async def test_first_request_must_come_in_time() -> None:
    async with asking(name_timeout=1) as web:
        peer = await web.connect()
        peer.send("GET / HTTP/1.1\r\nHost: loc")
        assert await peer.rest() == b""


async def test_fault_of_ours_is_told_and_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with asking() as web:
        monkeypatch.setattr(web.house.log, "read", broken)
        answer = await web.ask("GET", "/api/v1/rooms")
        assert answer.status == 500 and is_safe(answer.headers) and b"Zero" not in answer.body
    assert [record.exc_info is not None for record in caplog.records if record.levelno == logging.ERROR] == [True]


async def test_http_1_0_needs_no_host() -> None:
    async with asking() as web:
        peer = await web.connect()
        peer.send("GET /api/v1/rooms HTTP/1.0\r\n\r\n")
        assert (await peer.answer()).status == 200
        assert await peer.rest() == b""


async def test_server_that_stops_lets_the_answer_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking() as web:
        dones = []
        monkeypatch.setattr(web.house.log, "read", lambda query, done: dones.append(done))
        busy, idle = await web.connect(), await web.connect()
        busy.ask("GET", "/api/v1/rooms")
        idle.ask("GET", "/")
        await idle.answer()
        await until(lambda: dones)
        for connection in list(web.connections):
            connection.client.shut_down()
        assert await idle.rest() == b""
        dones[0](RoomList([], 0))
        answer = await busy.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await busy.rest() == b""


async def test_operators_see_what_is_counted_by_wire() -> None:
    async with asking() as web:
        await web.join("Al")
        talker = await web.talk("Web")
        stream = await web.connect()
        stream.ask("GET", "/api/v1/rooms/lobby/stream")
        await stream.head()
        body = (await web.ask("GET", "/metrics")).body.decode()
        for kind, count in (("line", 1), ("irc", 0), ("websocket", 1), ("stream", 1), ("http", 1)):
            assert f'hubbub_connections{{wire="{kind}"}} {count}.0' in body
        await talker.socket.close()


def _hosts() -> list[tuple[dict[str, object], dict[str, str], int]]:
    plain: dict[str, object] = {}
    return [
        (plain, {}, 200),
        (plain, {"Host": "127.0.0.1:8888"}, 200),
        (plain, {"Host": "[::1]:8888"}, 200),
        (plain, {"Host": "10.0.0.7"}, 403),
        (plain, {"X_Forwarded_For": "192.0.2.7"}, 403),
        (plain, {"Forwarded": "for=192.0.2.7"}, 403),
        (plain, {"X_Real_IP": "192.0.2.7"}, 403),
        (plain, {"Via": "1.1 nginx"}, 403),
        ({"host": ["chat.example"]}, {}, 403),
        ({"trust_proxy": ["127.0.0.1"]}, {}, 403),
        ({"metrics_listen": "127.0.0.1:0"}, {}, 200),
    ]


@pytest.mark.parametrize(("settings", "headers", "status"), _hosts())
@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
async def test_operators_pages_are_for_this_machine(
    settings: dict[str, object], headers: dict[str, str], status: int, path: str
) -> None:
    async with asking(**settings) as web:
        assert (await web.ask("GET", path, **headers)).status == status


async def test_nginx_as_it_comes_is_shown_no_operators_pages() -> None:
    async with asking() as web:
        peer = await web.connect()
        peer.send("GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:8888\r\nConnection: close\r\n\r\n")
        assert (await peer.answer()).status == 403


async def test_operators_pages_have_an_address_of_their_own() -> None:
    async with asking(metrics_listen="127.0.0.1:0", host=["chat.example"]) as web:
        assert web.house.web
        (listener,) = web.house.web._listeners
        peer = Peer(*await asyncio.open_connection(*listener.sockets[0].getsockname()))
        for path, status in (("/metrics", 200), ("/healthz", 200), ("/", 404), ("/api/v1/rooms", 404)):
            peer.ask("GET", path, Host="any.example", X_Forwarded_For="192.0.2.7")
            answer = await peer.answer()
            assert answer.status == status and is_safe(answer.headers)
        peer.ask("POST", "/metrics", b"x")
        assert (await peer.answer()).headers["allow"] == "GET, HEAD"
        peer.close()


@pytest.mark.parametrize("host", ["localhost.", "localhost.:8888", "chat.localhost:8888", "a.b.localhost"])
async def test_names_of_this_machine_are_known(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Pc.example.org")
    async with asking() as web:
        assert (await web.ask("GET", "/", Host=host)).status == 200
        for own in ("pc", "PC:8888", "pc.local", "pc.local.", "pc.example.org"):
            assert (await web.ask("GET", "/", Host=own)).status == 200
        for other in ("pc.example", "localhost.evil", "notlocalhost", "evil.local"):
            assert (await web.ask("GET", "/", Host=other)).status == 421


async def test_tag_of_a_file_that_a_proxy_has_weakened_is_known() -> None:
    async with asking() as web:
        tag = (await web.ask("GET", "/page/app.js")).headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}'):
            peer = await web.connect()
            peer.ask("GET", "/page/app.js", If_None_Match=known)
            assert (await peer.head())[0] == 304


async def test_everything_works_encrypted(tmp_path: Path) -> None:
    async with asking(tls="self-signed", data=str(tmp_path)) as web:
        peer = await web.connect(tls=True)
        for path, status in (("/", 200), ("/page/app.js", 200), ("/api/v1/rooms", 200), ("/nope", 404)):
            peer.ask("GET", path, Origin="https://localhost")
            answer = await peer.answer()
            assert answer.status == status and is_safe(answer.headers)
            assert answer.headers["strict-transport-security"].startswith("max-age=")
        peer.ask("GET", "/api/v1/rooms/lobby/stream")
        assert "strict-transport-security" in (await peer.head())[1]
        ada = await web.talk("Ada", tls=True)
        await peer.sees(b'"kind":"join"')
        await ada.say(type="say", room="lobby", text="hi", label="m1")
        await ada.sees_label("m1")
        await peer.sees(b'"text":"hi"')
        bad = await web.connect(tls=True)
        bad.send("GET / HTTP/9.9\r\n\r\n")
        status, headers = await bad.head()
        assert status == 400 and "strict-transport-security" in headers
        await ada.say(type="command", line="/quit")
        assert (await ada.closed())[0] == 1000


async def test_work_ends_with_an_encrypted_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(tls="self-signed", data=str(tmp_path)) as web:
        monkeypatch.setattr(web.house.log, "read", lambda query, done: None)
        before = len(asyncio.all_tasks())
        peer = await web.connect(tls=True)
        peer.ask("GET", "/api/v1/rooms")
        await until(lambda: web.count("http"))
        peer.close()
        await until(lambda: not web.connections)
        await until(lambda: len(asyncio.all_tasks()) <= before)
