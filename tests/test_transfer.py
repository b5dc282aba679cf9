"""A history goes from one log to another and stays what it is: by way of a file, through SQLite and JetStream."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

import pexpect
import pytest
from msgspec import structs

import forked
from hubbub.cluster.nats import streams
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.outcomes import Unsent
from hubbub.errors import SettingsError
from hubbub.model.entries import Entry, Kind, Left, Said
from hubbub.startup.brokers import clustered
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite.archive import Archive
from hubbub.storage.sqlite.schema import COPY, FILE
from hubbub.storage.sqlite.store import Store
from hubbub.tools import exported_lines
from nats_servers import NatsServers
from programs import HUBBUB, SECONDS, environment, hubbub, sentence, serving
from records import changed, draft_of, entry_of, text_in, topic_of
from system_queries import AllRooms, Search, Since

NOON = 1_700_000_000.0
LONG = 3_000  # entries: more than a page of an export
STEP = 500  # entries of an import's step, where it is interrupted
STEPS = {"hubbub.tools.exported_lines.STEP": STEP}

Place = Sequence[object]  # flags that tell where a log is


@pytest.fixture
async def nats(servers: NatsServers) -> str:
    """A server without a log."""
    await servers.forget()
    return servers.url


def fill(folder: Path, *rows: tuple[str, Kind, str], start: int = 0) -> None:
    """Write a log, a minute between any two."""
    folder.mkdir(exist_ok=True)
    with closing(Store(folder, write=True)) as store:
        for number, (room, kind, text) in enumerate(rows, start):
            one = draft_of(room, kind, "Zoë", text, f"id-{number}")
            one.host, one.tags = "~nc@1f2e.nc", "+draft/reply=x.1" if number % 2 else ""
            store.append([one], NOON + 60 * number)


LIVELY = (
    ("lobby", Kind.JOIN, ""),
    ("lobby", Kind.MESSAGE, "tea is ready"),
    ("ops", Kind.JOIN, ""),
    ("ops", Kind.MODE, "+o Zoë"),
    ("ops", Kind.TOPIC, "first"),
    ("lobby", Kind.MESSAGE, "two\nlines \N{SNOWMAN} 日本 \N{GRINNING FACE}"),
    ("ops", Kind.MESSAGE, "a secret"),
    ("ops", Kind.REDACT, "id-6 not yours"),
    ("ops", Kind.ROOM_RENAMED, "dev because"),
    ("dev", Kind.MESSAGE, "in dev"),
    ("ops", Kind.JOIN, ""),
    ("ops", Kind.MESSAGE, "another room of the old name"),
    ("ops", Kind.TOPIC, "second"),
    ("dev", Kind.ROOM_RENAMED, "lab"),
    ("lab", Kind.ACTION, "pours tea"),
    ("dev", Kind.MESSAGE, "a third room"),
    ("lab", Kind.KICK, "Bob out"),
    ("lab", Kind.TOPIC, "tea"),
    ("lobby", Kind.LEAVE, "bye"),
)


@pytest.fixture
def lively(tmp_path: Path) -> Path:
    folder = tmp_path / "lively"
    fill(folder, *LIVELY)
    return folder


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of more than a page."""
    folder = tmp_path_factory.mktemp("long")
    with closing(Store(folder, write=True)) as store:
        store.append([draft_of(f"r{n % 3}", Kind.MESSAGE, "Al", f"word{n}", f"l-{n}") for n in range(LONG)], NOON)
    return exported(["--data", folder], folder / "long.jsonl")


def exported(place: Place, file: Path) -> Path:
    result = hubbub("export", *place, file)
    assert (result.returncode, result.stderr) == (0, "") and f"in {file}." in result.stdout
    return file


def imported(place: Place, file: Path) -> str:
    result = hubbub("import", *place, file)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.strip()


def lines(file: Path, *, numbered: bool = False) -> dict[str, list[dict[str, object]]]:
    """Return the entries of a file by room, without the numbers that may change."""
    found = [json.loads(line) for line in file.read_text("utf-8").splitlines()[1:]]
    for one in found:
        if not numbered:
            del one["seq"]
    return {room: list(them) for room, them in groupby(sorted(found, key=lambda e: e["room"]), lambda e: e["room"])}


def same_log(folder: Path, other: Path) -> None:
    """See that two logs tell the same of every room, though maybe by other numbers."""

    def told(store: Store) -> object:
        rooms = store.answer(AllRooms(100)).rooms
        states = {name: store.opened(name, 100) for name, _ in rooms}
        return {
            name: (topic, bare(states[name].latest), bare(states[name].snapshot), bare(everything(store, name)))
            for name, topic in rooms
        }

    with closing(Store(folder)) as one, closing(Store(other)) as two:
        assert told(one) == told(two)
        assert two.check() == []


def bare(entries: Sequence[Entry]) -> list[Entry]:
    return [changed(entry, seq=0, prev=0, room_id="") for entry in entries]


def everything(store: Store, room: str) -> Sequence[Entry]:
    return store.answer(Since(room, 0.0, 1000)).entries


# --- there and back -----------------------------------------------------------------------------------------------


def test_a_log_goes_into_a_file_and_comes_out_the_same(tmp_path: Path, lively: Path) -> None:
    file = exported(["--data", lively], tmp_path / "a.jsonl")
    copy = tmp_path / "copy"
    assert imported(["--data", copy], file) == "19 entries added."
    same_log(lively, copy)
    again = exported(["--data", copy], tmp_path / "b.jsonl")
    assert again.read_bytes() == file.read_bytes()
    with closing(Store(copy)) as store:
        assert [entry.id for entry in store.answer(Search("ready", 5)).entries] == ["id-1"]
        assert not store.answer(Search("secret", 5)).entries


def test_a_log_goes_through_jetstream_and_comes_out_the_same(tmp_path: Path, lively: Path, nats: str) -> None:
    file = exported(["--data", lively], tmp_path / "a.jsonl")
    assert imported(["--broker", nats], file) == "19 entries added."
    back = exported(["--broker", nats], tmp_path / "b.jsonl")
    assert lines(back) == lines(file)
    copy = tmp_path / "copy"
    imported(["--data", copy], back)
    same_log(lively, copy)


@pytest.mark.parametrize("where", ["sqlite", "nats"])
def test_kind_of_a_newer_version_goes_through_either_log_as_it_is(
    tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    place = ["--data", tmp_path / "copy"] if where == "sqlite" else ["--broker", request.getfixturevalue("nats")]
    file = tmp_path / "a.jsonl"
    poll = {**ENTRY, "kind": "raffle", "text": "tea?\n\tcoffee? ", "host": "~nc@1f2e.nc", "tags": "+a=b"}
    file.write_text("\n".join(['{"hubbub":"export","version":1}', json.dumps(poll)]) + "\n")
    assert imported(place, file) == "1 entry added."
    assert lines(exported(place, tmp_path / "b.jsonl")) == lines(file)


async def test_nodes_see_what_was_taken_in(tmp_path: Path, lively: Path, nats: str) -> None:
    """Those that run meanwhile, and those that are started later: names, topics and rules too."""
    file = exported(["--data", lively], tmp_path / "a.jsonl")
    with closing(Store(lively)) as store:
        states = {name: store.opened(name, 5) for name in ("lobby", "ops", "lab", "dev")}
    got: list[Entry] = []
    one, two = (clustered(JetStreamBroker(NatsCredentials(nats), time.time), None) for _ in range(2))
    early, late = one.log, two.log
    await one.cluster.connect()
    early.start(got.extend, lambda *_: None)
    answers: list[object] = []
    early.open("lobby", 5, answers.append)
    async with asyncio.timeout(SECONDS):
        while not answers:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.to_thread(imported, ["--broker", nats], file)
        while len(got) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [entry.id for entry in got] == ["id-0", "id-1", "id-5", "id-18"]
    assert got[1].time == NOON + 60
    await early.stop(1)
    await one.cluster.leave()
    await two.cluster.connect()
    late.start(got.extend, lambda *_: None)
    for name, state in states.items():
        answers.clear()
        late.open(name, 5, answers.append)
        async with asyncio.timeout(SECONDS):
            while not answers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        (found,) = answers
        assert topic_of(found) == topic_of(state) and bare(found.snapshot) == bare(state.snapshot)  # type: ignore[attr-defined]
        assert bare(found.latest) == bare(state.latest)  # type: ignore[attr-defined]
    await late.stop(1)
    await two.cluster.leave()


def test_export_and_import_are_a_pipe(tmp_path: Path, lively: Path) -> None:
    out = subprocess.run(
        [*HUBBUB, "export", "--data", lively], capture_output=True, timeout=SECONDS, check=True, env=environment()
    )
    assert out.stderr == b"" and json.loads(out.stdout.splitlines()[0]) == {"hubbub": "export", "version": 1}
    into = subprocess.run(
        [*HUBBUB, "import", "--data", tmp_path / "copy"],
        input=out.stdout, capture_output=True, timeout=SECONDS, check=True, env=environment(),
    )  # fmt: skip
    assert (into.stdout, into.stderr) == (b"19 entries added.\n", b"")
    same_log(lively, tmp_path / "copy")


def test_what_came_later_is_added(tmp_path: Path, nats: str) -> None:
    """A backup on top of a backup: a room that was renamed between them is one room."""
    folder = tmp_path / "data"
    places = [["--data", tmp_path / "copy"], ["--broker", nats]]
    fill(folder, *LIVELY[:6])
    first = exported(["--data", folder], tmp_path / "1.jsonl")
    fill(folder, *LIVELY[6:], start=6)
    second = exported(["--data", folder], tmp_path / "2.jsonl")
    for place in places:
        assert imported(place, first) == "6 entries added."
        assert imported(place, second) == "13 entries added; 6 already there."
        assert imported(place, first) == "0 entries added; 6 already there."
    same_log(folder, tmp_path / "copy")
    assert lines(exported(["--broker", nats], tmp_path / "3.jsonl")) == lines(second)


def test_names_of_before_they_were_noted_are_told_from_the_moves(tmp_path: Path, lively: Path) -> None:
    with closing(Store(lively, write=True)) as store:
        store._db.execute("DROP TABLE former")
        store._db.execute("DELETE FROM entry WHERE room = (SELECT id FROM room WHERE name = 'dev')")
    imported(["--data", tmp_path / "copy"], exported(["--data", lively], tmp_path / "a.jsonl"))
    with closing(Store(tmp_path / "copy")) as store:
        assert [text_in(entry) for entry in everything(store, "lab")] == ["in dev", "pours tea"]


def test_what_a_log_or_a_stream_has_forgotten_is_left_out_and_the_rules_are_kept(
    tmp_path: Path, lively: Path, nats: str
) -> None:
    with closing(Store(lively, write=True)) as store:
        while store.trim_some(Retention(count=5), 0, 3):
            pass
    file = exported(["--data", lively], tmp_path / "a.jsonl")
    imported(["--data", tmp_path / "copy"], file)
    same_log(lively, tmp_path / "copy")
    imported(["--broker", nats], file)
    asyncio.run(keep_newest(nats, 4))
    back = exported(["--broker", nats], tmp_path / "b.jsonl")
    rooms = lines(back)
    assert [(one["kind"], one["text"]) for one in rooms["lab"]] == [
        ("join", ""), ("mode", "+o Zoë"), ("action", "pours tea"), ("kick", "Bob out"), ("topic", "tea")
    ]  # fmt: skip


async def keep_newest(nats: str, count: int) -> None:
    """Let the stream forget all but its newest messages."""
    link = NatsConnection(NatsCredentials(nats), "test", lambda up: None)
    await link.connect()
    config = (await link.ask(f"STREAM.INFO.{streams.LOG}"))["config"]
    await link.ask(f"STREAM.UPDATE.{streams.LOG}", {**config, "max_msgs": count})
    await link.close()


# --- beside a server ------------------------------------------------------------------------------------------------


def test_a_log_is_exported_while_a_server_runs_but_nothing_is_imported(tmp_path: Path, lively: Path) -> None:
    with serving("--data", lively) as server:
        eve = server.join("Eve")
        eve.said("hello")
        file = exported(["--data", lively], tmp_path / "a.jsonl")
        assert any(one["text"] == "hello" for one in lines(file)["lobby"])
        said = sentence(hubbub("import", "--data", lively, file))
        assert said == f"The data folder {lively} is in use by another server."
        eve.close()
        assert server.stop() == 0


def test_nothing_is_imported_beside_the_copy_of_a_node_that_runs(tmp_path: Path, lively: Path, nats: str) -> None:
    file, data = exported(["--data", lively], tmp_path / "a.jsonl"), tmp_path / "node"
    with serving("--broker", nats, "--data", data) as server:
        said = sentence(hubbub("import", "--data", data, file))
        assert said == f"The data folder {data / COPY} is in use by another server."
        assert server.stop() == 0
    assert not (data / FILE).exists()


def test_an_export_is_one_view_of_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(Store(folder, write=True)) as store:
        store.append([draft_of("lobby", Kind.MESSAGE, "Al", str(n), f"x-{n}") for n in range(5000)], NOON)
        with closing(Archive(folder)) as archive:
            pages = archive.pages()
            seen = next(pages)
            store.append(
                [
                    draft_of("lobby", Kind.REDACT, "Al", "x-4999", "r"),
                    draft_of("lobby", Kind.ROOM_RENAMED, "Al", "b", "m"),
                ],
                NOON,
            )
            while store.trim_some(Retention(count=10), 0, 1000):
                pass
            seen += [entry for page in pages for entry in page]
    assert [(entry.room, text_in(entry)) for entry in seen] == [("lobby", str(n)) for n in range(5000)]


def test_bounds_of_a_stream_that_is_there_are_left_alone(lively: Path, tmp_path: Path, nats: str) -> None:
    file = exported(["--data", lively], tmp_path / "a.jsonl")

    async def bounds(keep: Retention | None) -> tuple[object, ...]:
        link = NatsConnection(NatsCredentials(nats), "test", lambda up: None)
        await link.connect()
        if keep:
            await streams.set_up(link, 1, keep)
        config = (await link.ask(f"STREAM.INFO.{streams.LOG}"))["config"]
        await link.close()
        return config["max_age"], config["max_msgs"], config["max_bytes"]

    before = asyncio.run(bounds(Retention(3600, 1000, 1 << 20)))
    imported(["--broker", nats], file)
    assert asyncio.run(bounds(None)) == before == (3600 * 10**9, 1000, 1 << 20)


async def test_import_waits_for_a_server_that_has_not_heard_of_the_log_yet(
    nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For some ms after one server of three has made the streams, another one says that nobody stores."""
    publish, refused = NatsConnection.publish, 0

    async def deaf(link: NatsConnection, subject: str, data: bytes, headers: Mapping[str, str]) -> int:
        nonlocal refused
        if refused < 2:
            refused += 1
            raise Unsent
        return await publish(link, subject, data, headers)

    monkeypatch.setattr(NatsConnection, "publish", deaf)
    broker = JetStreamBroker(NatsCredentials(nats), time.time)
    await broker.attach()
    await broker.take_in("lobby", [entry_of("lobby", 1, 0, NOON, Kind.MESSAGE, "Ada", "hi", "id-1")])
    assert refused == 2
    await broker.stop(1)
    await broker.detach()


# --- interruption ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["sqlite", "nats"])
def test_an_import_that_was_killed_is_begun_again_and_goes_on(
    tmp_path: Path, long: Path, where: str, request: pytest.FixtureRequest
) -> None:
    place = ["--data", tmp_path / "copy"] if where == "sqlite" else ["--broker", request.getfixturevalue("nats")]
    content = long.read_bytes().splitlines(keepends=True)
    half = tmp_path / "half.jsonl"  # a pipe whose writer stops in the middle of a step
    os.mkfifo(half)
    program = forked.start(["import", *place, half], environment(), **STEPS)
    with program.stdout, half.open("wb") as pipe:
        pipe.writelines(content[: 1 + STEP + STEP // 4])
        pipe.flush()
        end = time.monotonic() + SECONDS
        while count(tmp_path, place) < STEP:
            assert time.monotonic() < end
            time.sleep(0.1)
        program.kill()
        program.wait(SECONDS)
    assert count(tmp_path, place) == STEP
    assert imported(place, long) == f"{LONG - STEP:,} entries added; {STEP:,} already there."
    assert lines(exported(place, tmp_path / "after.jsonl")) == lines(long)


def count(folder: Path, place: Place) -> int:
    file = folder / "count.jsonl"
    result = hubbub("export", *place, file)
    return len(file.read_text("utf-8").splitlines()) - 1 if result.returncode == 0 else 0


@pytest.mark.parametrize("delay", [0.02, 0.1])
@pytest.mark.parametrize("where", ["sqlite", "nats"])
def test_an_import_may_be_killed_at_any_moment(
    tmp_path: Path, long: Path, where: str, delay: float, request: pytest.FixtureRequest
) -> None:
    place = ["--data", tmp_path / "copy"] if where == "sqlite" else ["--broker", request.getfixturevalue("nats")]
    program = forked.start(["import", *place, long], environment(), **STEPS)
    with program.stdout:
        time.sleep(delay)
        program.kill()
        program.wait(SECONDS)
    imported(place, long)
    assert lines(exported(place, tmp_path / "after.jsonl")) == lines(long)


# --- what is wrong --------------------------------------------------------------------------------------------------

DEEP = '{"more":' + "[" * 50_000 + "]" * 50_000 + "}"
ENTRY = {"room": "lobby", "seq": 1, "time": 1.5, "kind": "message", "nick": "Al", "text": "hi", "id": "x-1"}


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "",
        '{"room": "lobby"}',
        json.dumps({**ENTRY, "kind": "Non sense"}),
        json.dumps({**ENTRY, "kind": "signal"}),
        json.dumps({**ENTRY, "room": "no room"}),
        json.dumps({**ENTRY, "room": "Lobby"}),
        json.dumps({**ENTRY, "id": ""}),
        json.dumps({**ENTRY, "time": "noon"}),
        json.dumps({**ENTRY, "time": -1}),
        json.dumps({**ENTRY, "time": 9e10}),
        json.dumps({**ENTRY, "time": time.time() + 2 * 86400}),
        json.dumps(ENTRY)[:40],
        "\udcff",
        DEEP,
    ],
)
def test_a_broken_line_is_a_sentence_with_its_number(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "a.jsonl"
    content = ['{"hubbub": "export", "version": 1}', json.dumps(ENTRY), broken, json.dumps({**ENTRY, "id": "x-2"})]
    file.write_text("\n".join(content) + "\n", "utf-8", "surrogateescape")
    said = sentence(hubbub("import", "--data", tmp_path / "copy", file))
    assert said.startswith(f"Line 3 of {file} is invalid: ") and said.endswith(" Everything before it was imported.")
    with closing(Store(tmp_path / "copy")) as store:
        assert [entry.id for entry in everything(store, "lobby")] == ["x-1"] and store.check() == []


def test_time_in_the_future_is_said_and_a_little_ahead_is_not(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    ahead = {**ENTRY, "time": time.time() + 3600}
    later = {**ENTRY, "id": "x-2", "time": 4102444800.0}
    file.write_text("\n".join(['{"hubbub":"export","version":1}', json.dumps(ahead), json.dumps(later)]) + "\n")
    said = sentence(hubbub("import", "--data", tmp_path / "copy", file))
    assert said.startswith(f"Line 3 of {file} is invalid: its time, 2100-01-01 00:00, is in the future")
    with closing(Store(tmp_path / "copy")) as store:
        assert [entry.id for entry in everything(store, "lobby")] == ["x-1"]


def damaged(folder: Path) -> None:
    """Flip a byte in a text of the lobby."""
    data = bytearray((folder / FILE).read_bytes())
    at = data.index(b"needle")
    data[at] = 0xFF
    (folder / FILE).write_bytes(data)


@pytest.mark.parametrize("target", ["file", "-"])
def test_export_of_a_damaged_log_has_the_others_and_says_how_many_it_lacks(tmp_path: Path, target: str) -> None:
    folder, file = tmp_path / "data", tmp_path / "a.jsonl"
    fill(folder, ("lobby", Kind.MESSAGE, "one"), ("lobby", Kind.MESSAGE, "needle"), ("lobby", Kind.MESSAGE, "three"))
    damaged(folder)
    for flags, code in (([], 1), (["--salvage"], 0)):
        result = hubbub("export", "--data", folder, *flags, *([] if target == "-" else [file]))
        assert result.returncode == code
        assert result.stderr == "hubbub: 1 entry left out because of damage. All others were exported.\n"
        text = result.stdout if target == "-" else file.read_text()
        assert [json.loads(line)["text"] for line in text.splitlines()[1:]] == ["one", "three"]
        if target != "-":
            imported(["--data", tmp_path / f"copy{code}"], file)
    result = hubbub("history", "--data", folder)
    assert result.returncode == 0 and len(result.stdout.splitlines()) == 2
    assert "1 entry left out because of damage" in result.stderr
    result = hubbub("check", "--data", folder)
    assert result.returncode == 1 and "The entry with number 2 is damaged." in result.stderr


@pytest.mark.parametrize("header", ["", "what is this?", '{"version": 1}', json.dumps(ENTRY), DEEP])
def test_a_file_of_something_else_is_said(tmp_path: Path, header: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(header + "\n" if header else "")
    said = sentence(hubbub("import", "--data", tmp_path / "copy", file))
    assert said == f"Line 1 of {file} is invalid: the file was not made by `hubbub export`."


def test_a_file_of_a_newer_version_is_said(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"hubbub": "export", "version": 2}\n')
    assert "was made by a newer version of hubbub" in sentence(hubbub("import", "--data", tmp_path / "copy", file))


def test_what_is_imported_is_as_safe_for_terminals_as_what_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    bad = {**ENTRY, "nick": "A\x1b[2Jl", "text": "one\n\x1b]0;title\x07two\x9b31m", "host": "h\x07"}
    file.write_text('{"hubbub": "export", "version": 1}\n' + json.dumps(bad) + "\n")
    imported(["--data", tmp_path / "copy"], file)
    with closing(Store(tmp_path / "copy")) as store:
        (entry,) = everything(store, "lobby")
    assert (entry.nick, text_in(entry), entry.host) == ("Al", "one\ntwo", "h")


def test_files_and_logs_that_are_not_there_are_said(tmp_path: Path, lively: Path, nats: str) -> None:
    assert "cannot be read: No such file" in sentence(hubbub("import", "--data", tmp_path / "c", tmp_path / "no.jsonl"))
    assert "There is no log in" in sentence(hubbub("export", "--data", tmp_path / "no", tmp_path / "a.jsonl"))
    assert "There is no log on" in sentence(hubbub("export", "--broker", nats, tmp_path / "a.jsonl"))
    nowhere = tmp_path / "no" / "a.jsonl"
    assert "cannot be written: No such file" in sentence(hubbub("export", "--data", lively, nowhere))
    assert "cannot be reached" in sentence(hubbub("export", "--broker", "nats://127.0.0.1:1", tmp_path / "a.jsonl"))
    assert not list(tmp_path.glob("*.jsonl*"))


@pytest.mark.parametrize("where", ["sqlite", "nats"])
def test_a_room_in_the_way_of_a_renamed_one_is_said(
    tmp_path: Path, lively: Path, where: str, request: pytest.FixtureRequest
) -> None:
    file = exported(["--data", lively], tmp_path / "a.jsonl")
    place = ["--data", tmp_path / "copy"] if where == "sqlite" else ["--broker", request.getfixturevalue("nats")]
    fill(tmp_path / "other", ("lab", Kind.MESSAGE, "ours"), start=100)
    imported(place, exported(["--data", tmp_path / "other"], tmp_path / "other.jsonl"))
    said = sentence(hubbub("import", *place, file))
    assert said.startswith("The import is incomplete: dev was renamed to lab, but another room has this name here.")
    if where == "sqlite":
        with closing(Store(tmp_path / "copy")) as store:
            assert [text_in(entry) for entry in everything(store, "lab")] == ["ours"] and store.check() == []


def test_a_file_that_is_there_is_replaced_when_all_of_the_new_one_is(tmp_path: Path, lively: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("before")
    sentence(hubbub("export", "--data", tmp_path / "no", file))
    assert file.read_text() == "before"
    exported(["--data", lively], file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("where", ["sqlite", "nats"])
def test_export_that_was_interrupted_goes_on(
    tmp_path: Path, long: Path, where: str, request: pytest.FixtureRequest
) -> None:
    place = ["--data", tmp_path / "log"] if where == "sqlite" else ["--broker", request.getfixturevalue("nats")]
    imported(place, long)
    whole = exported(place, tmp_path / "whole.jsonl").read_bytes()
    part, file = tmp_path / "a.jsonl.part", tmp_path / "a.jsonl"
    for cut in (0, 1, 30, 5_000, -1, -40):
        file.unlink(missing_ok=True)
        part.write_bytes(whole[:cut])
        before = part.stat().st_ino
        assert exported(place, file).read_bytes() == whole, cut
        assert not part.exists() and file.stat().st_ino == before


def test_export_does_not_go_on_with_what_is_of_another_log(tmp_path: Path, lively: Path, long: Path) -> None:
    part = tmp_path / "a.jsonl.part"
    part.write_bytes(exported(["--data", lively], tmp_path / "other.jsonl").read_bytes())
    imported(["--data", tmp_path / "log"], long)
    said = sentence(hubbub("export", "--data", tmp_path / "log", tmp_path / "a.jsonl"))
    assert said == f"The file {part} belongs to another log or to an older state of this one. Remove it."
    part.write_bytes(b"\xff\n\x00{}\n[1]\n")
    assert hubbub("export", "--data", lively, tmp_path / "a.jsonl").returncode == 0


# --- what is shown --------------------------------------------------------------------------------------------------


def test_a_terminal_is_shown_how_far_it_is(tmp_path: Path, long: Path, nats: str) -> None:
    def shown(*arguments: object) -> str:
        child = pexpect.spawn(HUBBUB[0], [*HUBBUB[1:], *map(str, arguments)], env=environment(), timeout=SECONDS)
        text: bytes = child.read()
        child.close()
        assert child.exitstatus == 0, text
        return text.decode()

    for place in (["--data", tmp_path / "copy"], ["--broker", nats]):
        text = shown("import", *place, long)
        assert "Importing" in text and "100%" in text and f"{LONG:,} entries added" in text
        text = shown("export", *place, tmp_path / "b.jsonl")
        assert "Exporting" in text and "100%" in text


def test_search_by_time_finds_what_was_imported_out_of_order(tmp_path: Path, lively: Path) -> None:
    """Rooms of a log that came together from several have each their own order of times."""
    copy = tmp_path / "copy"
    fill(copy, ("new", Kind.MESSAGE, "young"), start=1000)
    imported(["--data", copy], exported(["--data", lively], tmp_path / "a.jsonl"))
    with closing(Store(copy)) as store:
        for room, after, expected in (("lobby", 4, ["id-5"]), ("new", 500, ["id-1000"]), ("ops", 0, ["id-11"])):
            found = store.answer(Since(room, NOON + 60 * after, 10)).entries
            assert [entry.id for entry in found] == expected


EVENTS = (
    ("a", Kind.JOIN, "", "x.1"),
    ("b", Kind.JOIN, "", "x.2"),
    ("a", Kind.RENAME, "Al", "x.3"),
    ("a", Kind.ROOM_RENAMED, "c", "x.4"),
    ("b", Kind.RENAME, "Al", "x.3"),
    ("c", Kind.LEAVE, "bye", "x.5"),
    ("b", Kind.LEAVE, "bye", "x.5"),
)


def test_import_that_is_begun_again_knows_the_events_of_users_in_each_room(tmp_path: Path, nats: str) -> None:
    """The rooms of the file have other names in the log by then."""
    folder = tmp_path / "events"
    folder.mkdir()
    with closing(Store(folder, write=True)) as store:
        for number, (room, kind, text, id) in enumerate(EVENTS):
            leave = Left(text, quit=True) if kind is Kind.LEAVE else None
            one = draft_of(room, kind, "Zoë", text, id)
            store.append([structs.replace(one, body=leave) if leave else one], NOON + number)
    whole = exported(["--data", folder], tmp_path / "whole.jsonl")
    for place in (["--data", tmp_path / "again"], ["--broker", nats]):
        for count in (3, 4, 5, 6, 7, 7):
            part = tmp_path / "part.jsonl"
            part.write_text("".join(whole.read_text("utf-8").splitlines(keepends=True)[: count + 1]), "utf-8")
            imported(place, part)
        assert lines(exported(place, tmp_path / "back.jsonl")) == lines(whole)


def test_private_messages_are_exported_only_on_demand(tmp_path: Path) -> None:
    one = Entry("ops", 1, 0, 6.0, "Ann", "x.1", Said("hi"))
    private = Entry("@a+b", 2, 0, 6.0, "Ann", "x.2", Said("psst"))
    for demanded in (False, True):
        target = tmp_path / f"{demanded}.jsonl"
        with exported_lines.output(str(target), demanded) as output:
            output.begin()
            output.write([one, private])
        assert output.withheld == (not demanded)
        assert ("@a+b" in target.read_text()) is demanded
        # An interrupted export goes on with the same choice only.
        target.rename(f"{target}.part")
        with pytest.raises(SettingsError, match="--private"), exported_lines.output(str(target), not demanded):
            pass
        with exported_lines.output(str(target), demanded) as output:
            output.write([one, private])
        assert target.read_text().count("x.1") == 1
