"""Messages on NATS that hubbub did not write: none stops a node, and nothing of them looks like another line."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mini_nats import ACCESS, STORED, MiniNats, connected
from nats.aio.msg import Msg
from nodes import Node, Peer, until

from hubbub.chat.hub import Hub
from hubbub.chat.operations.table import OPERATIONS
from hubbub.cluster.nats import presence, streams
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.cluster import NatsCluster
from hubbub.cluster.nats.forwarded import TO
from hubbub.cluster.nats.inbound import news, signal, told
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.outcomes import OutcomeUnknown
from hubbub.cluster.nats.log.batches import EntryBatch, cut, decode, encode, end_of, entries, entry
from hubbub.cluster.nats.log.batches import line as packed
from hubbub.cluster.nats.log.packed_entries import TEXT_BYTES, PackedEntry, checked, is_target
from hubbub.cluster.nats.log.stream_state import SnapshotPart, decode_part, read_state
from hubbub.errors import BrokerError
from hubbub.model.codec import body_of
from hubbub.model.entries import KIND, Entry, Kind, Unknown
from hubbub.model.events import Event
from hubbub.text.bounds import NAME_CHARS
from hubbub.text.cleaning import clean_exactly
from hubbub.text.names import check_room
from hubbub.wire.irc.encoder import SHOWING, IrcEncoder
from hubbub.wire.line.encoder import RAW
from hubbub.wire.web import frames

OTHER = "0123456789ab"  # a node that is not there
UNSAFE = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
NASTY: tuple[Any, ...] = (
    *("", " ", "a b", "\x1b[31mroot\r\n*** Server", "\x1b]0;title\x07", "x\r\nPRIVMSG #lobby :forged", "\x9b31m"),
    *("\u202eevil", "x" * 5000, "e" + "\u0301" * 300, "\ufeff", ":x", "#lobby", "a!b@c", "server", "Аlice", "lobby"),
    *("+o Ann!~nc@ann.nc", "Ann", "Ann \x1b[2J", "-1", "b=\xff", 0, -1, 1, 7, 2**31, 2**63, 10**400, -(10**30), 0.5),
    *(1e308, -1e308, 4_102_444_800.0, None, True, [], {}, [[]], {"a": 1}, ["message", 1.0, "Bo", "hi", "x-1.1"]),
    ["raffle", 1.0, "Bo", "hi", "x-1.1"],
)
LINE = ["message", STORED, "Bo", "hi", "x-1.1", "~nc@bo.nc", "+a=b"]
PACK = {
    "entries": [LINE, ["join", STORED, "Bo", "Bo B", "x-1.2"]],
    "after": 1,
    "back": 1,
    "ruling": 0,
    "high": 0.0,
    "sum": 1,
}
PERSON = {
    "nick": "Bo",
    "host": "~nc@bo.nc",
    "address": "192.0.2.1",
    "real": "Bo",
    "away": "tea",
    "modes": "B",
    "rooms": ["lobby"],
}
NEWS = {"node": OTHER, "lease": OTHER, "number": 0, "people": [[1, PERSON]], "gone": [], "answer": True, "last": True}
TOLD = {"to": 1, "nick": "Bo", "text": "hi", "room": "@Ann", "line": LINE, "user": "x", "what": "private"}
SIGNAL = {"node": OTHER, "room": "lobby", "line": ["signal", STORED, "Bo", "", "x-1.3", "~nc@bo.nc", "+typing=active"]}
STATE = {
    "key": "den",
    "name": "den",
    "upto": 3,
    "ruling": 3,
    "topic": "tea",
    "opened": [3, LINE],
    "modes": [[3, LINE]],
    "gone": {},
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from _paths(value[key], (*path, key))


def _changed(value: Any, path: tuple[Any, ...], to: Any) -> Any:
    if not path:
        return to
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _changed(copy[path[0]], path[1:], to)
    return copy


@st.composite
def forged(draw: Callable[[Any], Any], template: dict[str, Any]) -> bytes:
    """Bytes, or what hubbub writes with one or two things that are wrong in it."""
    if draw(st.integers(0, 9)) == 0:
        return bytes(draw(st.binary(max_size=100)))
    value: Any = template
    for _ in range(draw(st.integers(1, 2))):
        value = _changed(value, draw(st.sampled_from(list(_paths(value)))), draw(st.sampled_from(NASTY)))
    return json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


class WebPeer(Peer):
    """Somebody who sees what the page is sent."""

    def tell(self, event: Event) -> None:
        self.events.append(event)
        self.write(frames.render(event))

    def write(self, data: bytes) -> None:
        self.seen += data.decode("utf-8", "ignore")  # without the heads of frames, in which any byte may be

    def send(self, data: bytes) -> int:
        self.write(data)
        return len(data)


class Alone:
    """A node whose servers are in memory, and three people on it: with nc, with the page, with IRC."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.broker = JetStreamBroker(ACCESS, lambda: STORED)
        self.cluster = NatsCluster(self.broker)
        self.server: MiniNats = connected(self.broker.link)
        self.hub = Hub(self.broker, lambda: STORED, f"{self.broker.node}-", loop)
        self.hub.add_operations(OPERATIONS)
        self.people: list[Peer] = []

    async def start(self) -> None:
        await self.broker.identity.begin()
        await self.broker.lease.begin()
        await self.cluster.meet(self.hub)
        self.broker._committed, self.broker.publisher.failed = self.hub.pipeline.committed, self.hub.pipeline.failed
        node: Node = self  # type: ignore[assignment]
        self.people = [Peer(node, "Ann"), WebPeer(node, "Cy", frames.FORM), Peer(node, "Ida", IrcEncoder(SHOWING))]
        await until(lambda: all(peer.session.rooms for peer in self.people), lambda: "nobody is in", 20)

    async def hear(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        await self.server.hear(subject, data, headers, reply="hubbub.room.lobby")

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def still_works(self) -> None:
        """See that what is said from now on reaches all, and what others tell too."""
        presence = self.cluster.presence
        assert presence
        self.people[0].types("still here")
        good = json.dumps({**TOLD, "to": presence._numbers[self.people[1].session.user], "text": "psst"})  # type: ignore[index]
        await until(lambda: "still here" in self.people[2].seen, lambda: self.people[2].seen[-500:], 20)
        await self.hear(f"{TO}{presence.node}", good.replace('"hi"', '"psst"').encode())
        assert "psst" in self.people[1].seen


@asynccontextmanager
async def alone() -> AsyncIterator[Alone]:
    node = Alone()
    await node.start()
    try:
        yield node
    finally:
        await node.broker.tasks.stop()
        await node.broker.publisher.give_up()


def is_clean(node: Alone) -> None:
    """See that all that people were shown is what a server may write."""
    nc, page, irc = node.people
    for seen in (nc.seen, irc.seen.replace("\x01", "")):  # IRC has it around what a client says to a client
        assert not UNSAFE.search(seen.replace("\r\n", "\n")), repr(seen[-800:])
    assert not re.search(r"\\u00[018]", page.seen), repr(page.seen[-800:])
    for line in nc.seen.splitlines():
        assert re.match(r"\*\*\* |\* [^ ]{1,33} |[^ ]{1,40}( \(private\))?: |\[?[0-9:]+\]? |$", line), line[:200]
    for line in irc.seen.split("\r\n"):
        shown = line.partition(" ")[2] if line.startswith("@") else line
        assert (
            re.match(r":[^ ]+ (?!QUIT|NICK|ERROR)[A-Z]+ |\*\*\* |[A-Za-z]|$", shown) and len(shown.encode()) <= 512
        ), line[:300]


SUBJECTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (presence.NEWS, NEWS),
    (f"{presence.ALL}NODE", NEWS),
    (presence.ASK, {"node": OTHER}),
    (f"{presence.ASK}.NODE", {"node": OTHER}),
    (f"{TO}NODE", TOLD),
    (f"{TO}NODE", {"to": 1, "nick": "Bo", "host": "~nc@bo.nc", "room": "den", "what": "invited", "opens": STORED}),
    (f"{TO}NODE", {"to": 1, "nick": "Bo", "host": "~nc@bo.nc", "room": "den", "what": "knock"}),
    (presence.SIGNAL, SIGNAL),
    (f"{streams.LIVE}lobby", PACK),
)


@settings(max_examples=60)
@given(st.data())
def test_forged_message_stops_no_node_and_shows_nothing_unsafe(data: st.DataObject) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("hubbub").addHandler(handler)

    async def run() -> None:
        async with alone() as node:
            presence = node.cluster.presence
            assert presence
            for subject, template in SUBJECTS:
                content = data.draw(forged(template), label=subject)
                headers = None
                if subject.startswith(streams.LIVE):
                    # One that has the right numbers can be sent only by somebody who may publish there.
                    numbers = st.sampled_from(["0", "9", "-1", "x", "99999999", "9" * 30, "9007199254740991"])
                    names = ("Nats-Sequence", "Nats-Last-Sequence", "Nats-Time-Stamp")
                    headers = {name: data.draw(numbers, label=name) for name in names[: data.draw(st.integers(0, 3))]}
                    headers["Nats-Subject"] = f"{streams.ROOM}lobby"
                await node.hear(subject.replace("NODE", presence.node), content, headers)
                await node.settle()
            await node.still_works()
            is_clean(node)

    try:
        asyncio.run(run())
    finally:
        logging.getLogger("hubbub").removeHandler(handler)
    assert not [one.getMessage() for one in records if one.levelno >= logging.ERROR]
    told = [one.getMessage() for one in records if "ignored" in one.getMessage()]
    assert len(told) == len(set(told)) and not any(UNSAFE.search(text) for text in told)


@settings(max_examples=100)
@given(forged(PACK), forged(STATE), st.sampled_from([0.0, STORED]))
def test_forged_entry_in_the_log_or_in_a_state_is_checked_like_an_import(
    pack: bytes, note: bytes, stored: float
) -> None:
    found = list(decode(pack, 7, stored).entries)
    state = read_state(note)
    if state:
        assert check_room(state.name) == state.name and not UNSAFE.search(state.topic)
        stored_state = state._stored
        pairs = (stored_state.opened, stored_state.titled, *stored_state.modes)
        found += [one for pair in pairs if pair for one in pair[1:]]
        assert state.letters is not None and state.snapshot("den") is not None and read_state(state.encode())
    for one in found:
        assert not any(UNSAFE.search(text) for text in (one.nick, one.id, one.host)) and one.id
        assert not UNSAFE.search(one.text.replace("\n", "").replace("\t", "")) and len(one.text.encode()) <= TEXT_BYTES
        assert 0 < len(one.nick) <= NAME_CHARS + 1 and not re.search(r"\s", one.nick + one.id + one.host)
        assert 0 <= one.time <= (stored + 60 if stored else 1e11) and one.kind is not Kind.EPHEMERAL
        for form in (RAW, frames.FORM, IrcEncoder(SHOWING)):
            form.encode(entry("den", 8, 7, one)).decode("utf-8", "ignore")


@pytest.mark.parametrize(
    ("kind", "text", "kept"),
    [
        (Kind.ROOM_RENAMED, "a b", "a b"),
        (Kind.ROOM_RENAMED, "A!B why", None),
        (Kind.KICK, "Bo \x1b[2Jwhy", "Bo why"),
        (Kind.KICK, "\x1bBo why", None),
        (Kind.RENAME, "a b", None),
        (Kind.RENAME, "Zoë", "Zoë"),
        (Kind.REDACT, "x-1.1 why", "x-1.1 why"),
        (Kind.REDACT, "", None),
        (Kind.TOPIC, "x" * 1000, "x" * 390),
        (Kind.LEAVE, "x\r\ny", "xy"),
        (Kind.POLL, "tea?\x1b[2J | yes | no", "tea? | yes | no"),
        (Kind.POLL, "tea? | yes", None),
        (Kind.POLL, f"tea? | {'x' * 600} | no", None),
        (Kind.VOTE, "x-1.1 2 abcdefghij", "x-1.1 2 abcdefghij"),
        (Kind.VOTE, "x-1.1 2 abc", None),
        (Kind.VOTE, "x-1.1 two abcdefghij", None),
        (Kind.POLL_CLOSED, "x-1.1", "x-1.1"),
        (Kind.EPHEMERAL, "", None),
        (Kind.MESSAGE, "\ttwo\nlines \x1b]0;t\x07", "\ttwo\nlines "),
        (Kind.MODE, "+" + "o" * 5000, None),
        ("raffle", "tea?\n\tcoffee? \x1b]0;t\x07", "tea?\n\tcoffee? "),
        ("Non sense", "hi", None),
        ("raffle\n", "hi", None),
    ],
)
def test_texts_of_each_kind(kind: str, text: str, kept: str | None) -> None:
    one = checked(PackedEntry(kind, STORED, "Bo", text, "x-1.1"), STORED)
    assert (one.kind, one.text) == ((kind, kept) if kept is not None else (Kind.REDACTED, ""))


@pytest.mark.parametrize(
    ("time", "stored", "seen"),
    [
        (5.0, 9.0, 5.0),
        (69.0, 9.0, 69.0),
        (70.0, 9.0, 9.0),
        (4e9, 9.0, 9.0),
        (-1.0, 9.0, 0.0),
        (1e300, 0.0, 0.0),
        (4e9, 0.0, 4e9),
    ],
)
def test_time_that_is_later_than_the_servers_say_is_not_believed(time: float, stored: float, seen: float) -> None:
    assert checked(PackedEntry(Kind.MESSAGE, time, "Bo", "hi", "x"), stored).time == seen


DEEP = b"[" * 50_000 + b"]" * 50_000


@pytest.mark.parametrize("data", [DEEP, b'{"more":' + DEEP + b"}", b'{"entries":[' + DEEP + b"]}"])
def test_data_that_is_nested_too_deeply_is_no_message(data: bytes) -> None:
    assert decode(data, 1, STORED) == EntryBatch([])
    assert read_state(data) is None and decode_part(data) == SnapshotPart([], 0)
    for read in (news, told, signal):
        with pytest.raises(ValueError, match=r"."):
            read(data, STORED)


async def test_answer_that_is_nested_too_deeply_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    link = NatsConnection(ACCESS, "test", lambda up: None)
    server = connected(link)

    async def request(subject: str, data: bytes = b"", **options: Any) -> Msg:
        return Msg(server, subject, "", b'{"more":' + DEEP + b"}")  # type: ignore[arg-type]

    monkeypatch.setattr(server, "request", request)
    with pytest.raises(OutcomeUnknown):
        await link.publish("hubbub.room.lobby", b"", {})
    with pytest.raises(BrokerError):
        await link.ask("STREAM.INFO.X")


@given(st.text().map(clean_exactly), st.from_regex(KIND))
def test_kind_of_a_newer_version_is_kept_as_it_was_stored(text: str, kind: str) -> None:
    one = Entry("lobby", end_of(1), 0, STORED, "Bo", "x-1.1", Unknown(kind, text), "~nc@bo.nc", "+a=b")
    assume(type(body_of(kind, text)[0]) is Unknown)
    pack = decode(encode(EntryBatch([packed(one, one.time)])), 1, STORED)
    assert list(entries("lobby", 1, 0, pack)) == [one]


def test_batch_of_kinds_that_this_version_does_not_know_is_not_too_large_for_a_message() -> None:
    said = [Entry("lobby", n, 0, STORED, "Bo", f"x-{n}", Unknown("raffle", "x" * 50_000)) for n in range(40)]
    assert len(encode(EntryBatch([packed(one, STORED) for one in cut(said, lambda one: None)]))) < 1 << 20


async def test_copy_with_the_number_of_no_message_is_ignored_and_the_room_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with alone() as node:
        headers = {"Nats-Sequence": "99999999", "Nats-Last-Sequence": "3", "Nats-Subject": f"{streams.ROOM}lobby"}
        for _ in range(3):
            await node.hear(f"{streams.LIVE}lobby", json.dumps(PACK).encode(), headers)
        feed = node.broker.following.named("lobby")
        await until(lambda: not feed._held, lambda: "it is kept", 20)
        await node.still_works()
        assert feed.last < 99 and not node.broker.identity.fault and "Bo: hi" not in node.people[0].seen
        assert sum("number of no message" in one.message for one in caplog.records) == 1


@pytest.mark.parametrize(
    ("name", "right"), [("@Bo~1a2b", True), ("@Bo~", False), ("@~1a", False), ("Bo~1a", False), ("@Bo~1~2", False)]
)
def test_a_former_owner_of_a_name_is_a_target(name: str, right: bool) -> None:
    assert is_target(name) is right
