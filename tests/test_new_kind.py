"""A new kind of entry needs a row in few registries; storage, delivery, export and the web need no change."""

from __future__ import annotations

import ast
import json
from contextlib import closing
from enum import StrEnum
from pathlib import Path

import pytest
from msgspec.structs import astuple

from doubles import House
from hubbub.model import codec, entries
from hubbub.model.codec import record
from hubbub.model.entries import KINDS, Body, Draft, Entry, Kind
from hubbub.model.queries import After
from hubbub.model.room.state import RoomState, Topic
from hubbub.model.viewer import SYSTEM
from hubbub.storage.sqlite.archive import Archive
from hubbub.storage.sqlite.store import Store
from hubbub.wire.irc import encoder as irc
from hubbub.wire.line import encoder as line
from hubbub.wire.web import frames

SOURCE = Path(entries.__file__).parent.parent
REGISTRIES = {  # that have a row for each kind; CONTRIBUTING.md names them
    "model/entries.py",
    "model/codec.py",
    "model/room/state.py",
    "wire/line/encoder.py",
    "wire/irc/encoder.py",
    "cluster/nats/log/packed_entries.py",
}


class Waved(Body, frozen=True, gc=False):
    """A member waves at another one; the wave is the topic until there is another topic."""

    at: str


class Wave(StrEnum):
    WAVE = "wave"


def waved(state: RoomState, entry: Entry, body: Waved) -> bool:
    state.topic = Topic(f"{entry.nick} waves at {body.at}", entry.nick, entry.time)
    return True


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, Waved, Wave.WAVE)  # model/entries.py
    monkeypatch.setitem(codec._TEXTS, Waved, lambda body: body.at)  # model/codec.py
    monkeypatch.setitem(codec._BODIES, Wave.WAVE, Waved)
    monkeypatch.setitem(RoomState._EFFECTS, Waved, waved)  # model/room/state.py
    monkeypatch.setitem(line.ENTRIES, Waved, lambda entry, body: f"{entry.nick} waves at {body.at}")
    monkeypatch.setitem(irc._OTHERS, Waved, lambda form, entry, body: f":{entry.nick} WAVE {body.at}\r\n".encode())


@pytest.mark.usefixtures("registered")
def test_new_kind_is_stored_read_exported_and_imported(tmp_path: Path) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        (entry,) = store.append([Draft("ops", "Al", Waved("Bo"), "x.1")], 1.0)
        assert astuple(record(entry))[4:7] == ("wave", "Al", "Bo")
        assert store.answer(After("ops", 0, 9, 9, viewer=SYSTEM)).entries == [entry]
        assert store.check() == []
    with closing(Archive(tmp_path)) as archive:
        (page,) = archive.pages()
    (tmp_path / "copy").mkdir()
    with closing(Archive(tmp_path / "copy", write=True)) as copy:
        assert copy.take_in(page) == 1
        assert RoomState("ops", [entry]).topic.text == "Al waves at Bo"


@pytest.mark.usefixtures("registered")
def test_new_kind_is_delivered_and_takes_effect() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo", look=line.RAW)  # type: ignore[arg-type]
    house.hub.publish(al.session, house.hub.rooms.loaded["lobby"], Waved("Bo"))
    house.settle()
    assert "Al waves at Bo" in bo.sees()
    assert house.hub.rooms.loaded["lobby"].topic == "Al waves at Bo"


@pytest.mark.usefixtures("registered")
def test_new_kind_has_a_form_on_every_wire() -> None:
    entry = Entry("ops", 7, 5, 1.0, "Al", "x.1", Waved("Bo"))
    assert line.RAW.encode(entry) == b"Al waves at Bo\n"
    assert irc.form_of(frozenset()).encode(entry) == b":Al WAVE Bo\r\n"
    shown = json.loads(frames.FORM.encode(entry))
    assert (shown["kind"], shown["text"]) == ("wave", "Bo")


def test_registries_of_all_kinds_are_few_and_known() -> None:
    bodies = {body.__name__ for body in KINDS} - {"Waved"}
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Dict):
                keys = {key.id for key in node.keys if isinstance(key, ast.Name)} & bodies
                kinds = {key.attr for key in node.keys if isinstance(key, ast.Attribute)} & set(Kind.__members__)
                if len(keys) > 2 * len(bodies) // 3 or len(kinds) > 2 * len(Kind) // 3:
                    found.add(str(path.relative_to(SOURCE)))
    assert found == REGISTRIES
    contributing = (SOURCE.parent.parent / "CONTRIBUTING.md").read_text("utf-8")
    assert all(f"`{name}`" in contributing for name in REGISTRIES)
