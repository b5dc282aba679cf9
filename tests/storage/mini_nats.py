"""A NATS server with JetStream in the test's own memory, as far as hubbub asks for it: for tests of forged messages."""

from __future__ import annotations

import asyncio
import base64
import fnmatch
import json
from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.msg import Msg

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.outcomes import NO_MESSAGE, WRONG_LAST

STAMP = "2026-01-01T00:00:00.000000000Z"  # when every message was stored
STORED = 1_767_225_600.0  # the same in epoch seconds
Heard = Callable[[Msg], Awaitable[None]]
Stored = tuple[int, str, bytes]


class MiniNats:
    """In the place of nats-py's client, and of the server."""

    is_connected = True

    def __init__(self) -> None:
        self.heard: dict[str, Heard] = {}
        self.sent: list[tuple[str, bytes]] = []
        self.streams: dict[str, list[Stored]] = {streams.LOG: [], streams.NOW: []}
        self.last = dict.fromkeys(self.streams, 0)
        self.created = STAMP

    async def subscribe(self, subject: str, cb: Heard, **bounds: int) -> MiniNats:
        self.heard[subject] = cb
        return self

    async def unsubscribe(self) -> None:
        pass

    async def flush(self, **options: float) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        pass

    async def hear(self, subject: str, data: bytes, headers: dict[str, str] | None = None, reply: str = "") -> None:
        """Let whoever listens have a message, as nats-py does it."""
        name = f"{subject.rpartition('.')[0]}.*"
        await self.heard[subject if subject in self.heard else name](
            Msg(self, subject, reply, data, headers)  # type: ignore[arg-type]
        )

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        self.sent.append((subject, data))
        if subject.startswith("$JS.API.DIRECT.GET."):
            for number, where, found in self._found(subject.rpartition(".")[2], json.loads(data)):
                await self.hear(reply, found, _headers(number, where, number - 1))
            await self.hear(reply, b"", {"Status": "204"})

    def _found(self, stream: str, question: dict[str, Any]) -> list[Stored]:
        stored = self.streams[stream]
        if subjects := question.get("multi_last"):
            newest = {one[1]: one for one in stored if one[1] in subjects}
            return list(newest.values())
        pattern, start = question["next_by_subj"], question["seq"]
        found = [one for one in stored if one[0] >= start and fnmatch.fnmatch(one[1], pattern)]
        return found[: question["batch"]]

    async def request(self, subject: str, data: bytes = b"", headers: Any = None, **options: float) -> Msg:
        await asyncio.sleep(0)
        answer = self._answer(subject, data, headers or {})
        if isinstance(answer, int):
            answer = {"error": {"code": 404, "err_code": answer, "description": "no"}}
        else:
            await self._republish(subject, data, answer)
        return Msg(self, "_INBOX.x", "", json.dumps(answer).encode())  # type: ignore[arg-type]

    def _answer(self, subject: str, data: bytes, headers: dict[str, str]) -> dict[str, Any] | int:
        if not subject.startswith("$JS.API."):
            return self._store(subject, data, headers)
        what, _, stream = subject.removeprefix("$JS.API.").rpartition(".")
        stored = self.streams[stream]
        if what == "STREAM.INFO":
            first = stored[0][0] if stored else 0
            last = self.last[stream]
            subjects = dict.fromkeys((one[1] for one in stored), 1)
            state = {"first_seq": first, "last_seq": last, "messages": len(stored), "subjects": subjects}
            return {"created": self.created, "state": state}
        question = json.loads(data)
        if what == "STREAM.MSG.DELETE":
            self.streams[stream] = [one for one in stored if one[0] != question["seq"]]
            return {}
        if "seq" in question:
            found = [one for one in stored if one[0] == question["seq"]]
        else:
            found = [one for one in stored if fnmatch.fnmatch(one[1], question["last_by_subj"])]
        if not found:
            return NO_MESSAGE
        number, where, content = found[-1]
        encoded = base64.b64encode(content).decode()
        return {"message": {"seq": number, "subject": where, "data": encoded, "time": STAMP}}

    def _store(self, subject: str, data: bytes, headers: dict[str, str]) -> dict[str, Any] | int:
        stream = streams.LOG if subject.startswith(streams.ROOM) else streams.NOW
        stored = self.streams[stream]
        expected = headers.get("Nats-Expected-Last-Subject-Sequence")
        before = max((one[0] for one in stored if one[1] == subject), default=0)
        if expected is not None and int(expected) != before:
            return WRONG_LAST
        if stream == streams.NOW:
            self.streams[stream] = stored = [one for one in stored if one[1] != subject]
        self.last[stream] += 1
        stored.append((self.last[stream], subject, data))
        return {"seq": self.last[stream], "before": before}

    async def _republish(self, subject: str, data: bytes, answer: dict[str, Any]) -> None:
        live = f"{streams.LIVE}{subject.removeprefix(streams.ROOM)}"
        if subject.startswith(streams.ROOM) and live in self.heard:
            await self.hear(live, data, _headers(answer["seq"], subject, answer["before"]))


def _headers(number: int, subject: str, before: int) -> dict[str, str]:
    return {
        "Nats-Sequence": str(number),
        "Nats-Subject": subject,
        "Nats-Last-Sequence": str(before),
        "Nats-Time-Stamp": STAMP,
    }


def connected(link: NatsConnection) -> MiniNats:
    """Connect a link to a server of its own, and return that."""
    server = MiniNats()
    link._nats = server  # type: ignore[assignment]
    link._inbox = "_INBOX.test"
    server.heard["_INBOX.test.*"] = link._on_page
    return server


ACCESS = NatsCredentials("nats://127.0.0.1:1")
