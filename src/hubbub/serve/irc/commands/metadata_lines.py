"""The lines with which METADATA answers: values, notifications of changes, and errors, in the form of each version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hubbub.chat.session import Room, User
from hubbub.serve.irc.client import IrcClient
from hubbub.text import bounds
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.numerics import TEXTS

SECOND, THIRD = "draft/metadata-2", "draft/metadata-3"
LIMITS = (
    f"before-connect,max-subs={bounds.METADATA_SUBSCRIPTIONS},max-keys={bounds.METADATA_KEYS},"
    f"max-value-bytes={bounds.METADATA_VALUE_BYTES}"
)
CAPS = {SECOND: LIMITS, THIRD: f"{LIMITS},max-key-bytes={bounds.METADATA_KEY_BYTES}"}
IN_LINE = 6  # keys of maximum length that fit in a line
ALL = "*ALL"  # a target: all users and rooms whose changes the client is sent
LATER = f"Ask by METADATA {ALL} SYNC"

Row = tuple[str, ...]  # the verb of a line, and its parameters


class MetadataTarget(NamedTuple):
    """The user or room that a command is about, with the name to show."""

    name: str
    user: User | None
    room: Room | None


def value_row(client: IrcClient, name: str, key: str, value: str) -> Row:
    """Return the reply with the value of a key (761), or that there is none (766) if it is ""."""
    return ("761", client.nick, name, key, "*", value) if value else ("766", client.nick, name, key, TEXTS[766])


def news_row(client: IrcClient, name: str, key: str, value: str) -> Row:
    """Return the notification of a value: METADATA in draft/metadata-2, 761 or 766 in draft/metadata-3."""
    if THIRD in client.caps:
        return value_row(client, name, key, value)
    return ("METADATA", name, key, "*", *([value] if value else []))


def later_row(client: IrcClient, name: str) -> Row:
    """Return the reply that the client must request the values itself (774)."""
    return ("774", client.nick, name, *(["0", LATER] if THIRD in client.caps else []))


def batch(client: IrcClient, name: str, rows: Iterable[Row], kind: str = "metadata") -> list[bytes]:
    """Return rows as lines in a batch; without the batch if the client does not support batches."""
    server, ref = client.network.name, client.new_ref() if "batch" in client.caps else ""
    tags = {"batch": ref, **client.time} if ref else client.time
    lines = [wire.line(server, *row, tags=tags) for row in rows]
    if not ref:
        return lines
    start = wire.line(server, "BATCH", f"+{ref}", kind, *([name] if name else []))
    return [start, *lines, wire.line(server, "BATCH", f"-{ref}")]


def key_rows(client: IrcClient, code: str, keys: Sequence[str]) -> list[Row]:
    """Return rows with IN_LINE keys each."""
    return [(code, client.nick, *keys[start : start + IN_LINE]) for start in range(0, len(keys), IN_LINE)]


def _shown(word: str) -> str:
    """Return a parameter in a form that is valid before the last one, cut to the length of a key; else "*"."""
    return wire.cut(word, bounds.METADATA_KEY_BYTES) if word and " " not in word and word[0] != ":" else "*"


# --- errors -----------------------------------------------------------------------------------------------------------


def bad_key(client: IrcClient, key: str, reply: str = "WARN") -> Row:
    """Return the row that a key is not valid."""
    if THIRD in client.caps:
        return (reply, "METADATA", "INVALID_KEY", _shown(key), "This key is not valid")
    return ("FAIL", "METADATA", "KEY_INVALID", _shown(key), "This key is not valid")


def bad_value(client: IrcClient, key: str) -> None:
    """Reply that a value is too long, or has only control characters."""
    text = f"A value has at most {bounds.METADATA_VALUE_BYTES} bytes of UTF-8, and more than control characters"
    code = ["INVALID_VALUE", key] if THIRD in client.caps else ["VALUE_INVALID"]
    client.fail("METADATA", *code, text)


def bad_target(client: IrcClient, word: str) -> None:
    """Reply that no target has this name, or none that the client may see."""
    client.fail("METADATA", "INVALID_TARGET", _shown(word), "There is no such target, or you may not see it")


def bad_verb(client: IrcClient, verb: str) -> None:
    """Reply that a subcommand is unknown, or lacks parameters."""
    code = "INVALID_PARAMS" if THIRD in client.caps else "SUBCOMMAND_INVALID"
    client.fail("METADATA", code, _shown(verb), "Unknown subcommand, or too few parameters")


def not_allowed(client: IrcClient, target: MetadataTarget, key: str) -> None:
    """Reply that the client may not set a value of a target."""
    text = "You can set your own metadata, and that of channels where you are an operator"
    client.fail("METADATA", "KEY_NO_PERMISSION", target.name, _shown(key), text)


def full(client: IrcClient, target: MetadataTarget) -> None:
    """Reply that a target has as many keys as it may have."""
    code = ["SET", target.name, str(bounds.METADATA_KEYS)] if THIRD in client.caps else [target.name]
    client.fail("METADATA", "LIMIT_REACHED", *code, f"No more than {bounds.METADATA_KEYS} keys can be set")


def too_many(client: IrcClient, key: str) -> None:
    """Reply that the client subscribes to as many keys as it may."""
    code = (
        ["LIMIT_REACHED", "SUB", key, str(bounds.METADATA_SUBSCRIPTIONS)]
        if THIRD in client.caps
        else ["TOO_MANY_SUBS", key]
    )
    client.fail("METADATA", *code, f"You can subscribe to no more than {bounds.METADATA_SUBSCRIPTIONS} keys")
