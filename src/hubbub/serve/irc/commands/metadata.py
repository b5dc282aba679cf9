"""The IRC command METADATA: values that users and channels publish under keys, and the subscriptions to changes.

Source: https://ircv3.net/specs/extensions/metadata, as draft/metadata-2 and as draft/metadata-3. A client has at most
one of them. They differ in the form of notifications (METADATA, or 761 and 766) and in the error codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from hubbub.chat.session import Room, User
from hubbub.model.access import Action
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import metadata_lines as lines
from hubbub.serve.irc.commands.channels import find_room
from hubbub.serve.irc.commands.metadata_lines import ALL, CAPS, THIRD, MetadataTarget, Row
from hubbub.text import bounds
from hubbub.text.cleaning import clean
from hubbub.text.names import key_of
from hubbub.wire.irc.encoder import channel

AT_ONCE = 500  # maximum values sent at a JOIN; with more, the client is asked to request them
IN_WHOIS = ("display-name", "pronouns", "status", "location", "homepage")  # keys that WHOIS shows


# --- hooks of the client --------------------------------------------------------------------------------------------


def on_caps_changed(client: IrcClient, caps: frozenset[str]) -> None:
    """End a client's subscriptions if its new capabilities lack one that they need."""
    if "batch" not in caps or not (client.caps & caps & CAPS.keys()):
        client.metadata.subscribed.clear()


def welcome(client: IrcClient) -> None:
    """Send a newly registered client its own values, and notify the clients that monitor its nick."""
    assert client.user is not None
    if not client.hub.may_describe(client.session):
        client.metadata.early.clear()
    values = client.network.metadata.users[client.user] = client.metadata.early
    if client.caps & CAPS.keys():
        rows = [lines.news_row(client, client.nick, key, value) for key, value in values.items()]
        client.send(*lines.batch(client, client.nick, rows))
    for key, value in values.items():
        _notify(client, MetadataTarget(client.nick, client.user, None), key, value)


def greeting(client: IrcClient, room: Room) -> list[bytes]:
    """Return the lines that follow the client's own JOIN: the subscribed values of the room and of its members."""
    name = channel(room.name)
    rows = list(islice(_current(client, _around(client, [room])), AT_ONCE + 1))
    if len(rows) > AT_ONCE:
        return [client.line(*lines.later_row(client, name))]
    return lines.batch(client, name, rows) if rows else []


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
    # What is set before the registration counts only if it may be set then.
    return target.user is client.user and (not client.registered or client.hub.may_describe(client.session))


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
            yield from (lines.news_row(client, name, key, values[key]) for key in subscribed if key in values)


def _catch_up(client: IrcClient, name: str, values: Mapping[str, str]) -> None:
    """Send a client the values of a user that it subscribes to."""
    if rows := list(_current(client, [(name, values)])):
        client.send(*lines.batch(client, name, rows))


def _follows(client: IrcClient, target: MetadataTarget) -> bool:
    """Return whether a client is notified of changes: it is in the room, shares a room with or monitors the user.

    What somebody sets before the registration is announced after it.
    """
    rooms = client.session.rooms
    if target.room:
        return target.room.id in rooms
    if target.user is None:
        return False
    return not rooms.keys().isdisjoint(target.user.rooms) or key_of(target.name) in client.monitored


def _notify(client: IrcClient, target: MetadataTarget, key: str, value: str) -> None:
    """Notify the other clients that subscribe to a key of a changed value."""
    for other in list(client.network.clients):
        if other is not client and key in other.metadata.subscribed and _follows(other, target):
            other.reply(*lines.news_row(other, target.name, key, value))


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
        lines.bad_verb(client, params[1])
    elif verb == "SYNC" and word.upper() == ALL and THIRD in client.caps:
        _sync_all(client)
    else:
        target = _target(client, word)
        if target is None or (_VERBS[verb].own and (target.room or target.user is not client.user)):
            lines.bad_target(client, word)
        else:
            _VERBS[verb].run(client, target, rest)


def _get(client: IrcClient, target: MetadataTarget, words: list[str]) -> None:
    values = _values(client, target)
    keys = [(word, _key(client, word)) for word in words]
    rows = [
        lines.value_row(client, target.name, key, values.get(key, "")) if key else lines.bad_key(client, word)
        for word, key in keys
    ]
    client.send(*lines.batch(client, target.name, rows))


def _list(client: IrcClient, target: MetadataTarget, _: list[str]) -> None:
    rows = [lines.value_row(client, target.name, key, value) for key, value in _values(client, target).items()]
    client.send(*lines.batch(client, target.name, rows))


def _set(client: IrcClient, target: MetadataTarget, params: list[str]) -> None:
    key, said = _key(client, params[0]), params[1] if len(params) > 1 else ""
    value = clean(said)
    values = _values(client, target)
    if not _may_set(client, target):
        lines.not_allowed(client, target, params[0])
    elif key is None:
        client.reply(*lines.bad_key(client, params[0], "FAIL"))
    elif len(value.encode()) > bounds.METADATA_VALUE_BYTES or bool(value) is not bool(said):
        lines.bad_value(client, key)
    elif value and key not in values and len(values) >= bounds.METADATA_KEYS:
        lines.full(client, target)
    else:
        client.reply(*lines.value_row(client, target.name, key, value))
        _change(client, target, key, value)


def _clear(client: IrcClient, target: MetadataTarget, _: list[str]) -> None:
    if not _may_set(client, target):
        lines.not_allowed(client, target, "*")
        return
    keys = list(_values(client, target))
    client.send(*lines.batch(client, target.name, [lines.value_row(client, target.name, key, "") for key in keys]))
    for key in keys:
        _change(client, target, key, "")


def _sub(client: IrcClient, _: MetadataTarget, words: list[str]) -> None:
    subscribed = client.metadata.subscribed
    before, done, bad, over = len(subscribed), [], [], ""
    for word in words:
        key = _key(client, word)
        if key is None:
            bad.append(lines.bad_key(client, word))
        elif key not in subscribed and len(subscribed) >= bounds.METADATA_SUBSCRIPTIONS:
            over = key
            break
        else:
            subscribed[key] = None
            done.append(key)
    for row in [*lines.key_rows(client, "770", done), *bad]:
        client.reply(*row)
    if over:
        lines.too_many(client, over)
    if len(subscribed) > before and THIRD in client.caps:
        client.reply(*lines.later_row(client, ALL))


def _unsub(client: IrcClient, _: MetadataTarget, words: list[str]) -> None:
    keys = [(word, _key(client, word)) for word in words]
    done = [key for _, key in keys if key]
    for key in done:
        client.metadata.subscribed.pop(key, None)
    for row in [*lines.key_rows(client, "771", done), *(lines.bad_key(client, word) for word, key in keys if not key)]:
        client.reply(*row)


def _subs(client: IrcClient, _target: MetadataTarget, _words: list[str]) -> None:
    rows = lines.key_rows(client, "772", list(client.metadata.subscribed))
    if THIRD in client.caps:
        client.send(*lines.batch(client, "", rows, "metadata-subs"))
    else:
        for row in rows:
            client.reply(*row)


def _sync(client: IrcClient, target: MetadataTarget, _: list[str]) -> None:
    about = _around(client, [target.room]) if target.room else [(target.name, _values(client, target))]
    client.send(*lines.batch(client, target.name, _current(client, about)))


def _sync_all(client: IrcClient) -> None:
    watched = [target for nick in client.monitored.values() if (target := _target(client, nick))]
    about = dict(_around(client, client.session.rooms.values()))
    about |= {target.name: _values(client, target) for target in watched}
    client.send(*lines.batch(client, ALL, _current(client, about.items())))


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
