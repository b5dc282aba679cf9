"""IRC's METADATA: words that people and channels carry, and who is told when they change.

Source: ircv3.net, draft/metadata-2. They are kept in memory: those of a user until he leaves, those of a channel until
the server stops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hubbub.core.room import Room
from hubbub.core.text import clean, fold
from hubbub.wire import irc as wire
from hubbub.wire.irc_form import channel

if TYPE_CHECKING:
    from hubbub.listeners.irc import IrcDialogue

CAP = "draft/metadata-2"
MAX_SUBS, MAX_KEYS, MAX_VALUE = 50, 20, 300
VALUE = f"before-connect,max-subs={MAX_SUBS},max-keys={MAX_KEYS},max-value-bytes={MAX_VALUE}"
_KEY = re.compile(r"[a-z0-9_./:-]{1,64}")


def metadata(client: IrcDialogue, params: list[str]) -> None:
    """METADATA target verb key...: read, set, and subscribe to metadata."""
    if len(params) < 2:
        client.numeric(461, "METADATA")
        return
    target, verb, keys = params[0], params[1].upper(), params[2:]
    act = _VERBS.get(verb)
    if act is None:
        _fail(client, "SUBCOMMAND_INVALID", params[1], "That is not known")
    elif (owner := _owner(client, target)) is None:
        _fail(client, "INVALID_TARGET", target, "There is nobody of that name, or not for you")
    else:
        act(client, owner, client.nick if target == "*" else target, keys)


def _fail(client: IrcDialogue, code: str, *params: str) -> None:
    client.fail("METADATA", code, *params)


def _owner(client: IrcDialogue, target: str) -> object | None:
    """Return whose values are meant: a user, a room's name, or a client that is not registered yet; None for nobody."""
    if target == "*" or fold(target) == fold(client.nick):
        return client.user if client.registered else client
    if not client.registered:
        return None
    if target.startswith("#"):
        room = client.hub.rooms.awake.get(fold(target[1:]))
        inside = room is not None and client.session in room.members
        return room.name if room and room.people and (inside or not room.rules.flags & {"s", "i"}) else None
    found = client.hub.directory.find(target)
    return found.user if found else None


def _values(client: IrcDialogue, owner: object) -> dict[str, str]:
    return client.network.values.get(owner, {})


def _may_set(client: IrcDialogue, owner: object) -> bool:
    if isinstance(owner, str):
        room = client.hub.rooms.awake.get(owner)
        return room is not None and room.rules.is_operator(client.session)
    return owner in (client, client.user)


def _told(client: IrcDialogue, target: str, key: str, value: str | None) -> None:
    if value is None:
        client.numeric(766, target, key)
    else:
        client.reply("761", client.nick, target, key, "*", value)


def _good(client: IrcDialogue, key: str) -> str:
    """Return a key as it is kept, "" after the answer that it is none."""
    folded = key.lower()
    if _KEY.fullmatch(folded):
        return folded
    _fail(client, "KEY_INVALID", key.replace(" ", "_") or "*", "A key has letters, digits and _./:-")
    return ""


def _get(client: IrcDialogue, owner: object, target: str, keys: list[str]) -> None:
    ref = client.begin_batch("metadata", target)
    with client.within(ref):
        for key in keys[:MAX_KEYS]:
            if good := _good(client, key):
                _told(client, target, good, _values(client, owner).get(good))
    client.end_batch(ref)


def _list(client: IrcDialogue, owner: object, target: str, _: list[str]) -> None:
    ref = client.begin_batch("metadata", target)
    with client.within(ref):
        for key, value in _values(client, owner).items():
            _told(client, target, key, value)
    client.end_batch(ref)


def _set(client: IrcDialogue, owner: object, target: str, keys: list[str]) -> None:
    key = _good(client, keys[0] if keys else "")
    if not key:
        return
    value = clean(keys[1]) if len(keys) > 1 else ""
    values = _values(client, owner)
    if not _may_set(client, owner):
        _fail(client, "KEY_NO_PERMISSION", target, key, "You may not set that")
    elif len(value.encode()) > MAX_VALUE:
        _fail(client, "VALUE_INVALID", f"A value has at most {MAX_VALUE} bytes")
    elif value and key not in values and len(values) >= MAX_KEYS:
        _fail(client, "LIMIT_REACHED", target, f"There are {MAX_KEYS} keys already")
    else:
        _change(client, owner, key, value)
        _told(client, target, key, value or None)


def _change(client: IrcDialogue, owner: object, key: str, value: str) -> None:
    values = client.network.values.setdefault(owner, {})
    before = values.pop(key, "")
    if value:
        values[key] = value
    if not values:
        del client.network.values[owner]
    if before != value:
        for other in _subscribers(client, owner, key):
            other.send(_line(other, client.source, owner, client.nick, key, value))


def _line(client: IrcDialogue, source: str, owner: object, nick: str, key: str, value: str) -> bytes:
    name = channel(owner) if isinstance(owner, str) else nick
    return wire.line(source, "METADATA", name, key, "*", *([value] if value else []), tags=client.time)


def _subscribers(client: IrcDialogue, owner: object, key: str) -> Iterator[IrcDialogue]:
    """Return who is told of a change: of a channel its members, of a user who shares a room or watches for him."""
    if isinstance(owner, str):
        room = client.hub.rooms.awake.get(owner)
        found = (client.network.client(member) for member in (room.people if room else ()))
        others: Iterator[IrcDialogue | None] = found
    else:
        watching = (other for other in client.network.watchers(client.nick) if CAP in other.caps)
        sharing = client.network.sharers(client.session, CAP)
        others = iter(dict.fromkeys([*sharing, *watching]))
    return (other for other in others if other and other is not client and key in other.subscribed)


def _clear(client: IrcDialogue, owner: object, target: str, _: list[str]) -> None:
    if not _may_set(client, owner):
        _fail(client, "KEY_NO_PERMISSION", target, "*", "You may not clear that")
        return
    ref = client.begin_batch("metadata", target)
    with client.within(ref):
        for key in list(_values(client, owner)):
            _change(client, owner, key, "")
            _told(client, target, key, None)
    client.end_batch(ref)


def _own(client: IrcDialogue, owner: object, target: str) -> bool:
    if owner in (client, client.user):
        return True
    _fail(client, "INVALID_TARGET", target, "Subscriptions are your own")
    return False


def _sub(client: IrcDialogue, owner: object, target: str, keys: list[str]) -> None:
    done = []
    for key in keys if _own(client, owner, target) else ():
        good = _good(client, key)
        if good and good not in client.subscribed and len(client.subscribed) >= MAX_SUBS:
            _fail(client, "TOO_MANY_SUBS", good, f"You have {MAX_SUBS} subscriptions already")
            break
        if good:
            client.subscribed[good] = None
            done.append(good)
    if done:
        client.reply("770", client.nick, *done[:12])
        for start in range(12, len(done), 12):
            client.reply("770", client.nick, *done[start : start + 12])


def _unsub(client: IrcDialogue, owner: object, target: str, keys: list[str]) -> None:
    good = [key for one in keys if _own(client, owner, target) and (key := _good(client, one))]
    for key in good:
        client.subscribed.pop(key, None)
    for start in range(0, len(good), 12):
        client.reply("771", client.nick, *good[start : start + 12])


def _subs(client: IrcDialogue, owner: object, target: str, _: list[str]) -> None:
    keys = list(client.subscribed)
    for start in range(0, max(1, len(keys)), 12):
        client.reply("772", client.nick, *keys[start : start + 12])


def _sync(client: IrcDialogue, owner: object, target: str, _: list[str]) -> None:
    ref = client.begin_batch("metadata", target)
    room = client.hub.rooms.awake.get(owner) if isinstance(owner, str) else None
    with client.within(ref):
        client.send(*(in_room(client, room) if room else _lines(client, owner, client.source, client.nick)))
    client.end_batch(ref)


_VERBS: dict[str, Callable[[IrcDialogue, object, str, list[str]], None]] = {
    "GET": _get,
    "LIST": _list,
    "SET": _set,
    "CLEAR": _clear,
    "SUB": _sub,
    "UNSUB": _unsub,
    "SUBS": _subs,
    "SYNC": _sync,
}


# --- told unasked ---------------------------------------------------------------------------------------------------


def _lines(client: IrcDialogue, owner: object, source: str, nick: str) -> Iterator[bytes]:
    for key, value in _values(client, owner).items():
        if key in client.subscribed or owner is client.user:
            yield _line(client, source, owner, nick, key, value)


def in_room(client: IrcDialogue, room: Room) -> list[bytes]:
    """Return what a newcomer to a room is told of those it has subscribed to: of the room, and of who is there."""
    if CAP not in client.caps or not client.subscribed:
        return []
    lines = list(_lines(client, room.name, client.network.name, ""))
    for member in room.people if client.network.values else ():
        if member is not client.session and member.user in client.network.values:
            lines += _lines(client, member.user, f"{member.nick}!{member.host}", member.nick)
    return lines


def greet(client: IrcDialogue) -> None:
    """Tell who has just registered what it has set before."""
    values = client.network.values
    if CAP not in client.caps:
        return
    if client in values:
        values[client.user] = values.pop(client)
    ref = client.begin_batch("metadata", client.nick)
    with client.within(ref):
        client.send(*_lines(client, client.user, client.source, client.nick))
    client.end_batch(ref)


def whois(client: IrcDialogue, user: object, nick: str) -> None:
    """Tell what somebody carries, to who knows what that is."""
    if CAP in client.caps:
        for key, value in client.network.values.get(user, {}).items():
            client.reply("760", client.nick, nick, key, "*", value)
