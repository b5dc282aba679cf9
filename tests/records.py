"""Entries and drafts by the texts in which they are stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import structs

from hubbub.model.codec import body_of, record, text_of
from hubbub.model.codec import entry_of as entry_of
from hubbub.model.entries import Draft, Entry, Kind, ModeChange, ModesChanged
from hubbub.model.queries import OpenedRoom
from hubbub.model.room.state import RoomState


def draft_of(room: str, kind: str, nick: str, text: str, id: str, *rest: Any, **more: Any) -> Draft:
    """Return a draft of a kind and a text."""
    return Draft(room, nick, body_of(kind, text, id=id)[0], id, *rest, **more)


def changed(entry: Entry, **fields: Any) -> Entry:
    """Return an entry with other fields; `kind` and `text` are those of its record."""
    if {"kind", "text", "tags"} & set(fields):
        return entry_of(**{**structs.asdict(record(entry)), **fields})
    return structs.replace(entry, **fields)


def text_in(entry: Entry | Draft) -> str:
    """Return the text of an entry or a draft."""
    return text_of(entry.body)


def parse(text: str) -> tuple[list[ModeChange], float]:
    """Return the changes of modes in a stored text, and when they end."""
    body, _ = body_of(Kind.MODE, text)
    assert isinstance(body, ModesChanged)
    return list(body.changes), body.until


def write(changes: Iterable[ModeChange], until: float = 0.0) -> str:
    """Return changes of modes as a stored text."""
    return text_of(ModesChanged(tuple(changes), until))


def topic_of(opened: OpenedRoom) -> str:
    """Return the topic of a room that was opened."""
    return RoomState("ops", opened.snapshot).topic.text
