"""The IRC command METADATA: values that users and channels publish under keys, and the subscriptions to changes.

Source: https://ircv3.net/specs/extensions/metadata, as draft/metadata-2 and as draft/metadata-3. A client has at most
one of them. They differ in the form of notifications (METADATA, or 761 and 766) and in the error codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from hubbub.chat.session import Room, User
from hubbub.model.access import Action
from hubbub.serve.irc.channels import find_room
from hubbub.serve.irc.client import IrcClient
from hubbub.text import bounds
from hubbub.text.cleaning import clean
from hubbub.text.names import key_of
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import channel
from hubbub.wire.irc.numerics import TEXTS

SECOND, THIRD = "draft/metadata-2", "draft/metadata-3"
LIMITS = (
    f"before-connect,max-subs={bounds.METADATA_SUBSCRIPTIONS},max-keys={bounds.METADATA_KEYS},"
    f"max-value-bytes={bounds.METADATA_VALUE_BYTES}"
)
CAPS = {SECOND: LIMITS, THIRD: f"{LIMITS},max-key-bytes={bounds.METADATA_KEY_BYTES}"}
AT_ONCE = 500  # maximum values sent at a JOIN; with more, the client is asked to request them
IN_LINE = 6  # keys of maximum length that fit in a line
IN_WHOIS = ("display-name", "pronouns", "status", "location", "homepage")  # keys that WHOIS shows
ALL = "*ALL"  # a target: all users and rooms whose changes the client is sent
LATER = f"Ask by METADATA {ALL} SYNC"

Row = tuple[str, ...]  # the verb of a line, and its parameters


class MetadataTarget(NamedTuple):
    """The user or room that a command is about, with the name to show."""

    name: str
    user: User | None
    room: Room | None


# --- hooks of the client --------------------------------------------------------------------------------------------


def on_caps_changed(client: IrcClient, caps: frozenset[str]) -> None:
    """End a client's subscriptions if its new capabilities lack one that they need."""
    if "batch" not in caps or not (client.caps & caps & CAPS.keys()):
        client.metadata.subscribed.clear()


def welcome(client: IrcClient) -> None:
    """Send a newly registered client its own values, and notify the clients that monitor its nick."""
    assert client.user is not None
    values = client.network.metadata.users[client.user] = client.metadata.early
    if client.caps & CAPS.keys():
        rows = [_news(client, client.nick, key, value) for key, value in values.items()]
        client.send(*_batch(client, client.nick, rows))
    for key, value in values.items():
        _notify(client, MetadataTarget(client.nick, client.user, None), key, value)


def greeting(client: IrcClient, room: Room) -> list[bytes]:
    """Return the lines that follow the client's own JOIN: the subscribed values of the room and of its members."""
    name = channel(room.name)
    rows = list(islice(_current(client, _around(client, [room])), AT_ONCE + 1))
    if len(rows) > AT_ONCE:
        return [client.line(*_later(client, name))]
    return _batch(client, name, rows) if rows else []


def announce(client: IrcClient, room: Room) -> None:
    """Send the values of a client that has joined to the other members of the room."""
    values = _values(client, MetadataTarget(client.nick, client.user, None))
    for other in client.network.clients_in(room) if values else ():
        if other is not client:
            _catch_up(other, client.nick, values)


def watched(client: IrcClient, nicks: Iterable[str]) -> None:
    """Send a client the values of the users that it has begun to monitor."""
    for nick in nicks if client.metadata.subscribed else ():
        if target := _target(client, nick):
            _catch_up(client, target.name, _values(client, target))


def whois(client: IrcClient, user: User) -> None:
    """Add a user's values for the keys in IN_WHOIS to the answer to WHOIS."""
    values = client.network.metadata.users.get(user, {})
    for key in IN_WHOIS:
        if key in values:
            client.reply("760", client.nick, user.nick, key, "*", values[key])


# --- lines ----------------------------------------------------------------------------------------------------------


def _value(client: IrcClient, name: str, key: str, value: str) -> Row:
    """Return the reply with the value of a key (761), or that there is none (766) if it is ""."""
    return ("761", client.nick, name, key, "*", value) if value else ("766", client.nick, name, key, TEXTS[766])


def _news(client: IrcClient, name: str, key: str, value: str) -> Row:
    """Return the notification of a value: METADATA in draft/metadata-2, 761 or 766 in draft/metadata-3."""
    if THIRD in client.caps:
        return _value(client, name, key, value)
    return ("METADATA", name, key, "*", *([value] if value else []))


def _later(client: IrcClient, name: str) -> Row:
    """Return the reply that the client must request the values itself (774)."""
    return ("774", client.nick, name, *(["0", LATER] if THIRD in client.caps else []))


def _batch(client: IrcClient, name: str, rows: Iterable[Row], kind: str = "metadata") -> list[bytes]:
    """Return rows as lines in a batch; without the batch if the client does not support batches."""
    server, ref = client.network.name, client.new_ref() if "batch" in client.caps else ""
    tags = {"batch": ref, **client.time} if ref else client.time
    lines = [wire.line(server, *row, tags=tags) for row in rows]
    if not ref:
        return lines
    start = wire.line(server, "BATCH", f"+{ref}", kind, *([name] if name else []))
    return [start, *lines, wire.line(server, "BATCH", f"-{ref}")]


def _keys(client: IrcClient, code: str, keys: Sequence[str]) -> list[Row]:
    """Return rows with IN_LINE keys each."""
    return [(code, client.nick, *keys[start : start + IN_LINE]) for start in range(0, len(keys), IN_LINE)]


def _shown(word: str) -> str:
    """Return a parameter in a form that is valid before the last one, cut to the length of a key; else "*"."""
    return wire.cut(word, bounds.METADATA_KEY_BYTES) if word and " " not in word and word[0] != ":" else "*"


# --- errors ---------------------------------------------------------------------------------------------------------


def _bad_key(client: IrcClient, key: str, reply: str = "WARN") -> Row:
    if THIRD in client.caps:
        return (reply, "METADATA", "INVALID_KEY", _shown(key), "That is no valid key")
    return ("FAIL", "METADATA", "KEY_INVALID", _shown(key), "That is no valid key")


def _bad_value(client: IrcClient, key: str) -> None:
    text = f"A value has at most {bounds.METADATA_VALUE_BYTES} bytes of UTF-8, and no control characters alone"
    code = ["INVALID_VALUE", key] if THIRD in client.caps else ["VALUE_INVALID"]
    client.fail("METADATA", *code, text)


def _bad_target(client: IrcClient, word: str) -> None:
    client.fail("METADATA", "INVALID_TARGET", _shown(word), "There is no such target, or you may not see it")


def _bad_verb(client: IrcClient, verb: str) -> None:
    code = "INVALID_PARAMS" if THIRD in client.caps else "SUBCOMMAND_INVALID"
    client.fail("METADATA", code, _shown(verb), "Unknown subcommand, or too few parameters")


def _not_allowed(client: IrcClient, target: MetadataTarget, key: str) -> None:
    text = "Only operators of a channel set its metadata, and everybody their own"
    client.fail("METADATA", "KEY_NO_PERMISSION", target.name, _shown(key), text)


def _full(client: IrcClient, target: MetadataTarget) -> None:
    code = ["SET", target.name, str(bounds.METADATA_KEYS)] if THIRD in client.caps else [target.name]
    client.fail("METADATA", "LIMIT_REACHED", *code, f"No more than {bounds.METADATA_KEYS} keys can be set")


def _too_many(client: IrcClient, key: str) -> None:
    code = (
        ["LIMIT_REACHED", "SUB", key, str(bounds.METADATA_SUBSCRIPTIONS)]
        if THIRD in client.caps
        else ["TOO_MANY_SUBS", key]
    )
    client.fail("METADATA", *code, f"You can subscribe to no more than {bounds.METADATA_SUBSCRIPTIONS} keys")


# --- targets, values ------------------------------------------------------------------------------------------------


def _key(client: IrcClient, word: str) -> str | None:
    """Return a key in its stored form; None if it is not valid. In draft/metadata-2 keys are case-insensitive."""
    key = word if THIRD in client.caps else word.lower()
    return key if len(key) <= bounds.METADATA_KEY_BYTES and re.fullmatch("[a-z0-9_./-]+", key) else None


def _target(client: IrcClient, word: str) -> MetadataTarget | None:
    """Return the target that a word names: "*" for the client itself, a nick, or a channel whose topic it may see."""
    hub = client.hub
    if word == "*" or key_of(word) == key_of(client.nick):
        return MetadataTarget(client.nick, client.user, None)
    if not word.startswith("#"):
        user = hub.nicks.find(word)
        return MetadataTarget(user.nick, user, None) if user else None
    room = find_room(client, word)
    if room is None or not hub.may(client.session, Action.SEE_TOPIC, room):
        return None
    return MetadataTarget(channel(room.name), None, room)


def _values(client: IrcClient, target: MetadataTarget) -> dict[str, str]:
    """Return a target's values. A user's dict is the stored one; a room without values gets a new, unstored dict."""
    kept = client.network.metadata
    if target.room:
        return kept.rooms.get(target.room.id, {})
    if not client.registered:
        return client.metadata.early
    return kept.users.get(target.user, {}) if target.user else {}


def _may_set(client: IrcClient, target: MetadataTarget) -> bool:
    if target.room:
        return client.hub.may(client.session, Action.SET_MODES, target.room)
    return target.user is client.user


def _around(client: IrcClient, rooms: Iterable[Room]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield rooms with their values, and the other members of the client's own rooms with theirs, each user once."""
    kept = client.network.metadata
    seen = {client.user}
    for room in rooms:
        yield channel(room.name), kept.rooms.get(room.id, {})
        for user in room.members if room.id in client.session.rooms else ():
            if user not in seen:
                seen.add(user)
                yield user.nick, kept.users.get(user, {})


def _current(client: IrcClient, about: Iterable[tuple[str, Mapping[str, str]]]) -> Iterator[Row]:
    """Yield notifications of the values that a client subscribes to."""
    subscribed = client.metadata.subscribed
    for name, values in about if subscribed else ():
        if values:
            yield from (_news(client, name, key, values[key]) for key in subscribed if key in values)


def _catch_up(client: IrcClient, name: str, values: Mapping[str, str]) -> None:
    """Send a client the values of a user that it subscribes to."""
    if rows := list(_current(client, [(name, values)])):
        client.send(*_batch(client, name, rows))


def _follows(client: IrcClient, target: MetadataTarget) -> bool:
    """Return whether a client is notified of changes: it is in the room, shares a room with or monitors the user."""
    rooms = client.session.rooms
    if target.room:
        return target.room.id in rooms
    assert target.user is not None
    return not rooms.keys().isdisjoint(target.user.rooms) or key_of(target.name) in client.monitored


def _notify(client: IrcClient, target: MetadataTarget, key: str, value: str) -> None:
    """Notify the other clients that subscribe to a key of a changed value."""
    for other in list(client.network.clients):
        if other is not client and key in other.metadata.subscribed and _follows(other, target):
            other.reply(*_news(other, target.name, key, value))


def _change(client: IrcClient, target: MetadataTarget, key: str, value: str) -> None:
    """Store a value, or delete it if it is "", and notify the subscribers if it has changed."""
    kept = client.network.metadata
    values = kept.open(target.room.id) if target.room else _values(client, target)
    before = values.pop(key, "")
    if value:
        values[key] = value
    if target.room and not values:
        del kept.rooms[target.room.id]
    if value != before:
        _notify(client, target, key, value)


# --- the command ----------------------------------------------------------------------------------------------------


def metadata(client: IrcClient, params: list[str]) -> None:
    """METADATA target GET|LIST|SET|CLEAR|SUB|UNSUB|SUBS|SYNC [keys]: read or set data about users and channels."""
    word, verb, rest = params[0], params[1].upper(), params[2:]
    if not client.registered and not (word == "*" and client.caps & CAPS.keys()):
        client.numeric(451)
    elif not client.caps & CAPS.keys():
        client.numeric(421, "METADATA")
    elif verb not in _VERBS or len(rest) < _VERBS[verb].needs:
        _bad_verb(client, params[1])
    elif verb == "SYNC" and word.upper() == ALL and THIRD in client.caps:
        _sync_all(client)
    else:
        target = _target(client, word)
        if target is None or (_VERBS[verb].own and (target.room or target.user is not client.user)):
            _bad_target(client, word)
        else:
            _VERBS[verb].run(client, target, rest)


def _get(client: IrcClient, target: MetadataTarget, words: list[str]) -> None:
    values = _values(client, target)
    keys = [(word, _key(client, word)) for word in words]
    rows = [
        _value(client, target.name, key, values.get(key, "")) if key else _bad_key(client, word) for word, key in keys
    ]
    client.send(*_batch(client, target.name, rows))


def _list(client: IrcClient, target: MetadataTarget, _: list[str]) -> None:
    rows = [_value(client, target.name, key, value) for key, value in _values(client, target).items()]
    client.send(*_batch(client, target.name, rows))


def _set(client: IrcClient, target: MetadataTarget, params: list[str]) -> None:
    key, said = _key(client, params[0]), params[1] if len(params) > 1 else ""
    value = clean(said)
    values = _values(client, target)
    if not _may_set(client, target):
        _not_allowed(client, target, params[0])
    elif key is None:
        client.reply(*_bad_key(client, params[0], "FAIL"))
    elif len(value.encode()) > bounds.METADATA_VALUE_BYTES or bool(value) is not bool(said):
        _bad_value(client, key)
    elif value and key not in values and len(values) >= bounds.METADATA_KEYS:
        _full(client, target)
    else:
        client.reply(*_value(client, target.name, key, value))
        _change(client, target, key, value)


def _clear(client: IrcClient, target: MetadataTarget, _: list[str]) -> None:
    if not _may_set(client, target):
        _not_allowed(client, target, "*")
        return
    keys = list(_values(client, target))
    client.send(*_batch(client, target.name, [_value(client, target.name, key, "") for key in keys]))
    for key in keys:
        _change(client, target, key, "")


def _sub(client: IrcClient, _: MetadataTarget, words: list[str]) -> None:
    subscribed = client.metadata.subscribed
    before, done, bad, over = len(subscribed), [], [], ""
    for word in words:
        key = _key(client, word)
        if key is None:
            bad.append(_bad_key(client, word))
        elif key not in subscribed and len(subscribed) >= bounds.METADATA_SUBSCRIPTIONS:
            over = key
            break
        else:
            subscribed[key] = None
            done.append(key)
    for row in [*_keys(client, "770", done), *bad]:
        client.reply(*row)
    if over:
        _too_many(client, over)
    if len(subscribed) > before and THIRD in client.caps:
        client.reply(*_later(client, ALL))


def _unsub(client: IrcClient, _: MetadataTarget, words: list[str]) -> None:
    keys = [(word, _key(client, word)) for word in words]
    done = [key for _, key in keys if key]
    for key in done:
        client.metadata.subscribed.pop(key, None)
    for row in [*_keys(client, "771", done), *(_bad_key(client, word) for word, key in keys if not key)]:
        client.reply(*row)


def _subs(client: IrcClient, _target: MetadataTarget, _words: list[str]) -> None:
    rows = _keys(client, "772", list(client.metadata.subscribed))
    if THIRD in client.caps:
        client.send(*_batch(client, "", rows, "metadata-subs"))
    else:
        for row in rows:
            client.reply(*row)


def _sync(client: IrcClient, target: MetadataTarget, _: list[str]) -> None:
    about = _around(client, [target.room]) if target.room else [(target.name, _values(client, target))]
    client.send(*_batch(client, target.name, _current(client, about)))


def _sync_all(client: IrcClient) -> None:
    watched = [target for nick in client.monitored.values() if (target := _target(client, nick))]
    about = dict(_around(client, client.session.rooms.values()))
    about |= {target.name: _values(client, target) for target in watched}
    client.send(*_batch(client, ALL, _current(client, about.items())))


class _Verb(NamedTuple):
    """A subcommand: its function, the parameters it needs, and whether its target must be the client itself."""

    run: Callable[[IrcClient, MetadataTarget, list[str]], None]
    needs: int = 0
    own: bool = False


_VERBS = {
    "GET": _Verb(_get, 1),
    "LIST": _Verb(_list),
    "SET": _Verb(_set, 1),
    "CLEAR": _Verb(_clear),
    "SUB": _Verb(_sub, 1, own=True),
    "UNSUB": _Verb(_unsub, 1, own=True),
    "SUBS": _Verb(_subs, own=True),
    "SYNC": _Verb(_sync),
}
