"""Nothing that holds a secret shows it in its repr."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import hubbub

SECRET = "hunter2"
# Fields that hold a password, a code, a token or a key, or a line as it was typed: that may hold a password.
HOLDING = {
    "secret", "password", "irc_password", "webirc_password", "broker", "resume", "keys", "key", "line",
    "params", "made", "scram", "stored_key", "server_key", "servers", "code",
}  # fmt: skip
OPEN = {
    "Account", "AccountKeys", "AllowedKey", "ForwardedEvent", "Item", "LostName", "Problem", "Refusal", "SignalMessage",
    "KeyAdded", "SshIdentity", "StateMessage", "Wording", "_OpenCode", "_Trouble", "Code",
}  # fmt: skip  # whose fields of these names hold no secret


def fields_of(kind: type) -> tuple[str, ...]:
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return getattr(kind, "_fields", ()) if issubclass(kind, tuple) else ()


def holders() -> Iterator[Any]:
    for module in pkgutil.walk_packages(hubbub.__path__, "hubbub."):
        if not module.name.endswith("__main__"):
            for kind in vars(importlib.import_module(module.name)).values():
                if isinstance(kind, type) and kind.__module__ == module.name and kind.__name__ not in OPEN:
                    if HOLDING & set(fields_of(kind)) or kind.__name__ == "Paste":
                        yield pytest.param(kind, id=f"{module.name}.{kind.__name__}")


@pytest.mark.parametrize("kind", [*holders()])
def test_repr_shows_no_secret(kind: type) -> None:
    holder = kind(**dict.fromkeys(fields_of(kind), SECRET))
    assert repr(holder) == f"{kind.__name__}()"
