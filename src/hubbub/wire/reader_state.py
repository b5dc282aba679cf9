"""The state of a reader as plain data, so that another process can read on where this one has stopped.

Plain data are numbers, strings, bytes, None, and lists and dicts of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

State = dict[str, Any]


def taken(reader: object, fields: Iterable[str]) -> State:
    """Return fields of a reader as plain data."""
    return {field: _plain(getattr(reader, field)) for field in fields}


def give(reader: object, state: State) -> None:
    """Set the fields of a new reader to values that `taken` returned."""
    for field, value in state.items():
        setattr(reader, field, _like(getattr(reader, field), value))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, set):
        return sorted(value)
    return list(value) if isinstance(value, list) else value


def _like(present: Any, value: Any) -> Any:
    """Return a plain value in the type of the present one."""
    return type(present)(value) if isinstance(present, Enum | bytearray | set) else value
