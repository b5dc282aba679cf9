"""The API: bodies, rates, streams, and the clients behind a proxy."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asking import Peer, Web, asking
from serving import until

from hubbub.model.queries import After
from hubbub.serve.web.api import transcripts

POST = "/api/v1/rooms/lobby/messages?name=ci"
STREAM = "/api/v1/rooms/lobby/stream"


# --- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("application/json", b'{"text": "hello"}', "hello"),
        ("application/json; charset=utf-8", '{"text":"h\u00e9","username":"x","attachments":[]}'.encode(), "h\u00e9"),
        ("APPLICATION/JSON", b'{"text": "one\\ntwo"}', "one\ntwo"),
        ("text/plain", b'{"text": "hello"}', '{"text": "hello"}'),
        ("application/x-www-form-urlencoded", b"deploy=done", "deploy=done"),
        ("", b"hello", "hello"),
        ("text/plain; charset=iso-8859-1", b"caf\xe9", "caf\u00e9"),
        ('text/plain; charset="ISO-8859-1"', b"caf\xe9", "caf\u00e9"),
        ("text/plain; charset=utf-16", "caf\u00e9".encode("utf-16"), "caf\u00e9"),
        ("application/json; charset=windows-1252", b'{"text": "caf\xe9"}', "caf\u00e9"),
    ],
)
async def test_body_is_a_text_or_an_object_with_one(kind: str, body: bytes, text: str) -> None:
    async with asking() as web:
        answer = await web.ask("POST", POST, body, **({"Content_Type": kind} if kind else {}))
        assert (answer.status, answer.json["text"]) == (201, text)


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("application/json", b"hello", 400, "body-invalid"),
        ("application/json", b"", 400, "body-invalid"),
        ("application/json", b'["text"]', 400, "body-invalid"),
        ("application/json", b'{"msg": "hello"}', 400, "body-invalid"),
        ("application/json", b'{"text": 5}', 400, "body-invalid"),
        ("application/json", b'{"text": "\\ud83d"}', 400, "body-invalid"),
        ("application/json", b"[" * 10_000, 400, "body-invalid"),
        ("application/json", b'{"text":"hi","more":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001, 400, "body-invalid"),
        ("application/json", b'{"text": " "}', 400, "no-text"),
        ("application/json", json.dumps({"text": "x" * 17_000}).encode(), 413, "text-too-long"),
        ("text/plain; charset=utf-16", ("\u20ac" * 6000).encode("utf-16"), 413, "text-too-long"),
        ("text/plain; charset=nonsense", b"hello", 415, "charset-unknown"),
        ("text/plain; charset=rot13", b"hello", 415, "charset-unknown"),
        ("text/plain", b"", 400, "no-text"),
    ],
)
async def test_body_that_cannot_be_said_is_a_problem_with_a_sentence(
    kind: str, body: bytes, status: int, code: str
) -> None:
    async with asking() as web:
        answer = await web.ask("POST", POST, body, Content_Type=kind)
        assert (answer.status, answer.json["code"]) == (status, code)
        assert answer.json["detail"].endswith(".") and answer.headers["content-type"] == "application/problem+json"


async def test_escapes_may_make_a_body_longer_than_its_text() -> None:
    async with asking() as web:
        body = json.dumps({"text": "\u00e9" * 8000}).encode()
        assert len(body) > 16_384
        assert (await web.ask("POST", POST, body, Content_Type="application/json")).status == 201


async def test_body_of_chunks_has_a_bound() -> None:
    async with asking() as web:
        peer = await web.connect()
        peer.ask("POST", POST, None, Transfer_Encoding="chunked")
        for _ in range(10):
            peer.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        assert (await peer.answer()).status == 413
        peer = await web.connect()
        peer.ask("POST", POST, None, Transfer_Encoding="chunked")
        peer.send(b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
        assert (await peer.answer()).json["text"] == "hello"


async def test_body_must_come_in_time() -> None:
    async with asking(name_timeout=1) as web:
        peer = await web.connect()
        peer.ask("POST", POST, b"hel", Content_Length="5")
        answer = await peer.answer()
        assert (answer.status, answer.json["code"], answer.headers["connection"]) == (408, "too-slow", "close")


async def test_room_that_a_post_opens_is_told() -> None:
    async with asking() as web:
        assert (await web.say("nosuchroom", "hi")).json["people"] == 0
        assert "people" not in (await web.say("nosuchroom", "again")).json
        assert "people" not in (await web.say("lobby", "hi")).json


# --- parameters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("rooms/lobby/messages?last=500", "The query's last must be a whole number from 1 to 200."),
        ("rooms/lobby/messages?last=x", "The query's last must be a whole number from 1 to 200."),
        ("rooms/lobby/messages?before=-1", "The query's before must be the number of an entry."),
        (
            "rooms/lobby/messages?after=x",
            "The query's after must be the number of an entry, or the id of an event in a stream.",
        ),
        ("rooms/lobby/search", "The query lacks q, as in ?q=…"),
        ("search?q=", "The query's q must be a text of 1 to 1024 characters."),
        ("rooms?limit=0", "The query's limit must be a whole number from 1 to 500."),
        ("nothing", "No such endpoint. See docs/openapi.json."),
    ],
)
async def test_parameter_that_is_not_possible_is_told_in_a_sentence(path: str, sentence: str) -> None:
    async with asking() as web:
        assert (await web.ask("GET", f"/api/v1/{path}")).json["detail"] == sentence


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json, text/plain, */*", "application/json"),
        ("application/json;q=1.0, text/plain;q=0.5", "application/json"),
        ("text/plain", "text/plain; charset=utf-8"),
    ],
)
async def test_form_is_the_one_that_is_preferred(accept: str, kind: str) -> None:
    async with asking() as web:
        await web.join("Al")
        for path in ("rooms", "rooms/lobby/members", "rooms/lobby/messages", "search?q=tea"):
            assert (await web.ask("GET", f"/api/v1/{path}", Accept=accept)).headers["content-type"] == kind
        assert (await web.ask("POST", POST, b"hi", Accept=accept)).headers["content-type"] == kind


@pytest.mark.parametrize("words", ["%00", "%00tea", "%20", "%1b%5b31m", "%e2%80%ae"])
async def test_search_for_nothing_finds_nothing(words: str) -> None:
    async with asking() as web:
        await web.say("lobby", "green tea")
        answer = await web.ask("GET", f"/api/v1/search?q={words}")
        assert answer.status == 200
        assert [entry["text"] for entry in answer.json["entries"]] == (["green tea"] if "tea" in words else [])


# --- lists ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["application/json", "text/plain"])
async def test_lists_are_read_page_by_page_by_their_links(accept: str) -> None:
    async with asking(no_limits=True) as web:
        for number in range(5):
            await web.say(f"room-{number}", "hi")
            await web.join(f"Ben{number}")
        for path, key, expected in (
            ("rooms?after=&limit=2", "rooms", ["lobby", *(f"room-{number}" for number in range(5))]),
            ("rooms?limit=2", "rooms", ["lobby", "room-0", "lobby", *(f"room-{number}" for number in range(5))]),
            ("rooms/lobby/members?limit=2", "nicks", [f"Ben{number}" for number in range(5)]),
        ):
            seen: list[str] = []
            folder = "/api/v1/" + path.rpartition("/")[0] + ("/" if "/" in path else "")
            page = path.rpartition("/")[2]
            while page:
                answer = await web.ask("GET", folder + page, Accept=accept)
                if accept == "text/plain":
                    seen += [line.split()[0] for line in answer.body.decode().splitlines()]
                else:
                    seen += [one["name"] if key == "rooms" else one for one in answer.json[key]]
                link = re.match(r'<(.*)>; rel="next"$', answer.headers.get("link", ""))
                page = link[1] if link else ""
            assert seen == expected


async def test_lists_over_the_websocket_have_parts_and_true_numbers() -> None:
    async with asking(no_limits=True) as web:
        for number in range(5):
            await web.join(f"Ben{number}")
        ada = await web.talk("Ada")
        await ada.say(type="members", room="lobby", limit=2, label="m1")
        first = await ada.sees_label("m1")
        assert (first["nicks"], first["more"]) == (["Ada", "Ben0"], 4)
        await ada.say(type="members", room="lobby", limit=3, after="Ben0", label="m2")
        second = await ada.sees_label("m2")
        assert (second["nicks"], second["more"]) == (["Ben1", "Ben2", "Ben3"], 1)
        await ada.say(type="rooms", after="", limit=1, label="r1")
        assert [room["name"] for room in (await ada.sees_label("r1"))["rooms"]] == ["lobby"]
        await ada.say(type="rooms", limit=501, label="r2")
        assert (await ada.sees_label("r2"))["code"] == "bad-frame"


# --- rates ------------------------------------------------------------------------------------------------------


async def test_rate_makes_wait_a_second_at_most_and_then_refuses() -> None:
    async with asking(rate=2, burst=3) as web:
        peers = [await web.connect() for _ in range(12)]
        for peer in peers:
            peer.ask("GET", "/api/v1/rooms")
        answers = [await peer.answer() for peer in peers]
        refused = [answer for answer in answers if answer.status == 429]
        assert 200 in [answer.status for answer in answers] and len(refused) >= 5
        assert all(1 <= int(answer.headers["retry-after"]) <= 2 for answer in refused)
        assert refused[0].json["code"] == "too-fast"
        await asyncio.sleep(0)
        await until_allowed(web)


async def until_allowed(web: Web) -> None:
    """The rate forgets: what was refused was not charged."""
    async with asyncio.timeout(10):
        while (await web.ask("GET", "/api/v1/rooms")).status != 200:  # noqa: ASYNC110 - a rate is a matter of time
            await asyncio.sleep(0.1)


async def test_request_that_had_to_wait_long_is_told_how_long() -> None:
    async with asking(rate=0.1, burst=1) as web:
        assert (await web.ask("GET", "/api/v1/rooms")).status == 200
        answer = await web.ask("GET", "/api/v1/rooms")
        assert answer.status == 429 and 5 <= int(answer.headers["retry-after"]) <= 10
        assert (await web.ask("GET", "/api/v1/rooms", source="127.0.0.7")).status == 200, "that is another address"
        assert (await web.ask("GET", "/")).status == 200, "the page is not rated"


# --- following --------------------------------------------------------------------------------------------------


async def following(
    web: Web, query: str = "", version: str = "HTTP/1.1", **headers: str
) -> tuple[Peer, dict[str, str]]:
    """Return a peer that follows the lobby, and the headers that it got."""
    peer = await web.connect()
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    peer.send(f"GET {STREAM}{query} {version}\r\nHost: localhost\r\n{fields}\r\n")
    status, got = await peer.head()
    assert status == 200
    return peer, got


async def test_id_of_an_event_is_where_a_stream_goes_on() -> None:
    async with asking() as web:
        known = web.house.log.log_id
        first = (await web.say("lobby", "m1")).json["seq"]
        await web.say("lobby", "m2")
        for query, headers in (
            (f"?after={first}", {}),
            (f"?after={known}-{first}", {}),
            ("", {"Last_Event_ID": str(first)}),
            ("", {"Last_Event_ID": f"{known}-{first}"}),
            ("?after=0", {"Last_Event_ID": f"{known}-{first}"}),
            (f"?after={first}", {"Last_Event_ID": "from elsewhere"}),
        ):
            peer, _ = await following(web, query, **headers)
            seen = await peer.sees(b"\n\n")
            assert f"id: {known}-".encode() in seen and b'"text":"m2"' in seen
            peer.close()


@pytest.mark.parametrize("headers", [{}, {"Accept": "text/plain"}])
async def test_id_of_another_log_begins_the_stream_as_for_a_newcomer(headers: dict[str, str]) -> None:
    async with asking() as web:
        await web.say("lobby", "old")
        for query, more in (("?after=another-0", {}), ("", {"Last_Event_ID": "another-0"})):
            peer, _ = await following(web, query, **headers, **more)
            await until(lambda: web.count("stream") == 1)
            await web.say("lobby", "new")
            seen = await peer.sees(b"new")
            assert b"old" not in seen
            assert b"The log is not the same" in seen if headers else b"event: other-log\ndata: " in seen
            peer.close()
            await until(lambda: not web.count("stream"))


async def test_page_after_a_number_of_another_log_is_the_newest() -> None:
    async with asking() as web:
        known = web.house.log.log_id
        first = (await web.say("lobby", "m1")).json["seq"]
        await web.say("lobby", "m2")
        for mark, texts in ((f"{known}-{first}", ["m2"]), (str(first), ["m2"]), ("another-99", ["m1", "m2"])):
            answer = await web.ask("GET", f"/api/v1/rooms/lobby/messages?after={mark}")
            assert [entry["text"] for entry in answer.json["entries"]] == texts
            assert answer.headers["hubbub-log"] == known


async def test_stream_for_http_1_0_has_no_chunks() -> None:
    """As for nginx as it comes."""
    async with asking() as web:
        peer, headers = await following(web, version="HTTP/1.0")
        assert "transfer-encoding" not in headers and headers["connection"] == "close"
        await web.say("lobby", "hi")
        seen = await peer.sees(b"\n\n")
        assert re.match(rb"id: \w+-\d+\ndata: \{.*\}\n\n$", seen)
        for connection in list(web.connections):
            connection.client.shut_down()
        assert await peer.rest() == b""


async def test_stream_with_chunks_has_an_end() -> None:
    async with asking() as web:
        peer, headers = await following(web)
        assert headers["transfer-encoding"] == "chunked"
        for connection in list(web.connections):
            connection.client.shut_down()
        assert await peer.rest() == b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/event-stream"),
        ("text/event-stream, text/plain", "text/event-stream"),
        ("application/json, text/plain, */*", "text/event-stream"),
        ("text/plain, */*", "text/plain"),
        ("*/*", "text/event-stream"),
        ("text/plain", "text/plain"),
    ],
)
async def test_stream_is_of_the_form_that_is_preferred(accept: str, kind: str) -> None:
    async with asking() as web:
        _, headers = await following(web, **({"Accept": accept} if accept else {}))
        assert headers["content-type"] == f"{kind}; charset=utf-8"


async def test_streams_end_with_their_peers() -> None:
    async with asking() as web:
        for end in (Peer.close, Peer.reset):
            peers = [(await following(web))[0] for _ in range(5)]
            await until(lambda: web.count("stream") == 5)
            for peer in peers:
                end(peer)
            await until(lambda: not web.count("stream") and not web.connections)
        assert not web.house.hub.rooms.loaded


async def test_stream_that_is_never_read_is_cut_off() -> None:
    async with asking(stall_timeout=1, no_limits=True) as web:
        peer = await web.connect(buffer=4096)
        peer.writer.transport.pause_reading()
        peer.ask("GET", STREAM)
        await until(lambda: web.count("stream"))
        for number in range(60):
            await web.say("lobby", f"{number} ".ljust(10_000, "x"))
        await until(lambda: not web.count("stream"))


# --- behind a proxy ---------------------------------------------------------------------------------------------

TRUSTED = {"trust_proxy": ["127.0.0.1"]}


async def cloak(web: Web, **headers: str) -> str:
    return (await web.ask("POST", POST, b"hi", **headers)).json["host"]  # type: ignore[no-any-return]


async def test_client_of_a_trusted_proxy_counts_as_itself() -> None:
    async with asking(**TRUSTED) as web:
        one, other = await cloak(web, X_Forwarded_For="192.0.2.1"), await cloak(web, X_Forwarded_For="192.0.2.2")
        own = await cloak(web)
        assert len({one, other, own}) == 3
        assert (
            one == await cloak(web, Forwarded="for=192.0.2.1") == await cloak(web, X_Forwarded_For="9.9.9.9, 192.0.2.1")
        )
        ada = await web.talk("Ada", headers={"X-Forwarded-For": "192.0.2.1"})
        user = web.house.hub.nicks.find("Ada")
        assert user and user.address == "192.0.2.1"
        assert user.host.partition("@")[2].partition(".")[0] == one.partition("@")[2].partition(".")[0]
        assert ada.welcome


async def test_proxy_that_is_not_trusted_is_not_believed() -> None:
    async with asking() as web:
        assert await cloak(web, X_Forwarded_For="192.0.2.1") == await cloak(web)


async def test_clients_of_a_proxy_have_rates_of_their_own() -> None:
    async with asking(rate=0.1, burst=1, **TRUSTED) as web:
        for address, status in (("192.0.2.1", 200), ("192.0.2.1", 429), ("192.0.2.2", 200), ("2001:db8::1", 200)):
            assert (await web.ask("GET", "/api/v1/rooms", X_Forwarded_For=address)).status == status
        assert (await web.ask("GET", "/api/v1/rooms", X_Forwarded_For="2001:db8::2")).status == 429, "the same /64"


async def test_clients_of_a_proxy_are_counted_apart(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hubbub")
    async with asking(max_per_address=2, **TRUSTED) as web:
        for name in ("Ada", "Bo"):
            await web.talk(name, headers={"X-Forwarded-For": "192.0.2.1"})
        refused = await web.connect()
        refused.ask("GET", STREAM, X_Forwarded_For="192.0.2.1")
        answer = await refused.answer()
        assert (answer.status, answer.json["code"]) == (503, "too-many")
        refused.close()
        other = await web.talk("Cy", headers={"X-Forwarded-For": "192.0.2.2"})
        ban = web.house.hub.nicks.find("Cy")
        assert ban and ban.address == "192.0.2.2"
        await other.socket.close()
        await until(lambda: web.front.admission.by_address["192.0.2.2"] == 0)
        assert web.front.admission.by_address["192.0.2.1"] == 2
    assert any("Ada (('192.0.2.1', 0)) has joined" in record.getMessage() for record in caplog.records)
    assert not web.front.admission.count


# --- transcripts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "kind"), [("html", "text/html"), ("markdown", "text/markdown"), ("text", "text/plain")]
)
async def test_transcript_is_a_file_with_all_messages(form: str, kind: str) -> None:
    async with asking() as web:
        texts = [f"{number} <b> " + "x" * 5000 for number in range(12)]  # more than a page of the log
        for text in texts:
            await web.say("ops", text)
        answer = await web.ask("GET", f"/api/v1/rooms/ops/transcript?format={form}")
        assert answer.status == 200 and answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''ops.")
        shown = answer.body.decode()
        assert [shown.count(text[-5001:]) for text in texts] == [12] * 12
        assert ("<b> x" in shown) == (form == "text") and ("</html>" in shown) == (form == "html")
        assert (await web.ask("GET", "/api/v1/rooms/ops/transcript?format=pdf")).status == 400


async def before_the_second_page(web: Web, lines: str, seen: bytes, get: Callable[[], Awaitable[bytes]]) -> bytes:
    """Return what somebody downloads while another one types lines after the first page was read."""
    al = await web.join("Al")
    al.send("/join ops\n" + "".join(f"number {number}\n" for number in range(8)) + "/time\n")
    await al.sees(b" UTC ***\n")
    hub, read, pages = web.house.hub, web.house.hub.read, []

    async def late(query: Any, done: Callable[[Any], None]) -> None:
        al.send(lines)
        await al.sees(seen)
        read(query, done)

    def paused(query: Any, done: Callable[[Any], None]) -> None:
        pages.extend([query] if isinstance(query, After) and query.history else [])
        if len(pages) == 2:
            pages.append(asyncio.ensure_future(late(query, done)))
        else:
            read(query, done)

    hub.read = paused  # type: ignore[method-assign]
    return await get()


async def test_transcript_goes_on_when_its_room_is_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "PIECE", 3)
    async with asking() as web:

        async def get() -> bytes:
            return (await web.ask("GET", "/api/v1/rooms/ops/transcript?format=text")).body

        shown = await before_the_second_page(web, "/rename dev\n/time\n", b" UTC ***\n", get)
        assert [shown.decode().count(f"number {number}\n") for number in range(8)] == [1] * 8


async def test_transcript_ends_when_its_reader_loses_access(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "PIECE", 3)
    async with asking() as web:
        bob = await web.talk("Bob")
        body = json.dumps({"resume": bob.welcome["resume"], "room": "ops", "format": "text"}).encode()

        async def get() -> bytes:
            await bob.say(type="join", room="ops")
            await bob.sees("joined", room="ops")
            peer = await web.connect()
            peer.ask("POST", "/api/transcript", body, Content_Type="application/json")
            return await peer.rest()

        shown = await before_the_second_page(web, "/set invite-only on\n/kick Bob\n/time\n", b" UTC ***\n", get)
        assert b"number 2" in shown and b"number 6" not in shown


async def test_transcript_of_a_closed_room_is_for_its_members() -> None:
    async with asking() as web:
        al = await web.join("Al")
        al.send("/join ops\nsecret\n/set invite-only on\n/time\n")
        await al.sees(b" UTC ***\n")
        answer = await web.ask("GET", "/api/v1/rooms/ops/transcript")
        assert answer.status == 403 and b"secret" not in answer.body
