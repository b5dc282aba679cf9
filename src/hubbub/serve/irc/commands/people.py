"""The IRC commands about users: WHO and WHOX, WHOIS, WHOWAS, USERHOST, ISON, AWAY, SETNAME, MONITOR."""

from __future__ import annotations

from collections.abc import Iterable

from hubbub.chat.commands import slash
from hubbub.chat.session import Room, User
from hubbub.model.access import Action
from hubbub.model.room.masks.masks import read_mask
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import metadata
from hubbub.serve.irc.commands.channels import find_room
from hubbub.serve.irc.network import WATCHED, human
from hubbub.text import bounds
from hubbub.text.cleaning import clean, is_blank
from hubbub.text.names import key_of
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import account_of, channel

FIELDS = "tcuihsnfdlaor"  # WHOX fields in the order of the reply


def common(client: IrcClient, user: User) -> list[Room]:
    """Return the rooms that a client shares with a user."""
    return [room for id, room in user.rooms.items() if id in client.session.rooms]


def visible(client: IrcClient, user: User) -> bool:
    """Return whether WHO with a mask shows a user to a client: not invisible, itself, or in a shared room."""
    return user is client.user or "i" not in user.modes or bool(common(client, user))


def flags(client: IrcClient, user: User, room: Room | None) -> str:
    """Return a user's WHO flags: H (here) or G (away), * for a server operator, the room prefixes, B for a bot."""
    signs = room.state.prefixes(user) if room else ""
    signs = signs if "multi-prefix" in client.caps else signs[:1]
    return ("G" if user.away else "H") + "*" * user.operator + signs + "B" * ("B" in user.modes)


def who(client: IrcClient, params: list[str]) -> None:
    """WHO mask [%fields[,token]]: list the people in a channel, or those whose name matches."""
    mask = params[0] if params and params[0] else "*"
    option = params[1] if len(params) > 1 else ""
    plain, _, fields = option.partition("%")
    letters, _, token = fields.partition(",")
    for user, room in _found(client, mask):
        if "o" in plain and not user.operator:
            continue
        if "%" in option:
            _whox(client, user, room, letters, token)
        else:
            _who(client, user, room)
    client.numeric(315, mask)


def _found(client: IrcClient, mask: str) -> Iterable[tuple[User, Room | None]]:
    hub = client.hub
    if mask.startswith("#"):
        room = find_room(client, mask)
        if room and hub.may(client.session, Action.SEE_MEMBERS, room):
            inside = room.id in client.session.rooms
            for user in room.members:
                if inside or "i" not in user.modes:
                    yield user, room
        return
    if not set(mask) & set("*?") and mask != "0":
        found = hub.nicks.find(mask)
        if found:
            yield found, None
        return
    read = read_mask("*" if mask == "0" else mask)
    for user in list(client.network.users):
        if visible(client, user) and read.matches(user.keys):
            yield user, None


def _parts(user: User) -> tuple[str, str]:
    username, _, host = user.host.rpartition("@")
    return username or "~unknown", host or "hubbub"


def _who(client: IrcClient, user: User, room: Room | None) -> None:
    where = channel(room.name) if room else "*"
    shown = flags(client, user, room)
    tail = f"0 {user.real or user.nick}"
    client.reply("352", client.nick, where, *_parts(user), client.network.name, user.nick, shown, tail)


def _whox(client: IrcClient, user: User, room: Room | None, letters: str, token: str) -> None:
    username, host = _parts(user)
    idle = int(client.hub.clock() - user.active)
    values = {
        "t": token or "0",
        "c": channel(room.name) if room else "*",
        "u": username,
        "i": "255.255.255.255",
        "h": host,
        "s": client.network.name,
        "n": user.nick,
        "f": flags(client, user, room),
        "d": "0",
        "l": str(max(0, idle)),
        "a": account_of(user.nick, user.host) or "0",
        "o": "n/a",
        "r": user.real or user.nick,
    }
    client.reply("354", client.nick, *(values[field] for field in FIELDS if field in letters))


def whois(client: IrcClient, params: list[str]) -> None:
    """WHOIS nick: show information about a user."""
    if not params or not params[-1]:
        client.numeric(431)
        return
    if len(params) > 1 and key_of(params[0]) not in (key_of(client.network.name), key_of(params[1])):
        client.numeric(402, params[0])
        return
    asked = params[1] if len(params) > 1 else params[0]
    user = client.hub.nicks.find(asked)
    if user is None:
        client.numeric(401, asked)
        client.numeric(318, asked)
        return
    _whois(client, user)
    client.numeric(318, asked)


def _whois(client: IrcClient, user: User) -> None:
    nick = user.nick
    client.reply("311", client.nick, nick, *_parts(user), "*", user.real or nick)
    rooms = [
        room.state.prefixes(user)[: None if "multi-prefix" in client.caps else 1] + channel(room.name)
        for room in user.rooms.values()
        if room.id in client.session.rooms
        or ("i" not in user.modes and client.hub.may(client.session, Action.SEE_MEMBERS, room))
    ]
    for names in wire.fill(rooms, 380):
        client.reply("319", client.nick, nick, names)
    client.reply("312", client.nick, nick, client.network.name, client.settings.description)
    if user.away:
        client.reply("301", client.nick, nick, user.away)
    if account := account_of(nick, user.host):
        client.reply("330", client.nick, nick, account, "is logged in as")
    if user.operator:
        client.numeric(313, nick)
    if user.sessions and all(one.secure for one in user.sessions):
        client.numeric(671, nick)
    if "B" in user.modes:
        client.numeric(335, nick)
    metadata.whois(client, user)
    if user is client.user or client.session.operator:
        address = f"0{user.address}" if user.address.startswith(":") else user.address
        client.numeric(338, nick, address or "unknown")
    idle = max(0, int(client.hub.clock() - user.active))
    client.reply("317", client.nick, nick, str(idle), str(int(user.since)), "seconds idle, signon time")


def whowas(client: IrcClient, params: list[str]) -> None:
    """WHOWAS nick [count]: list past users of a nick, newest first."""
    if not params or not params[0]:
        client.numeric(431)
        return
    nick = params[0]
    count = int(params[1]) if len(params) > 1 and params[1].isascii() and params[1].isdigit() else 0
    found = [past for past in reversed(client.network.was) if key_of(past.nick) == key_of(nick)]
    for past in found[: count if count > 0 else None]:
        username, _, host = past.host.rpartition("@")
        client.reply("314", client.nick, past.nick, username or "~unknown", host or "hubbub", "*", past.real)
        client.reply("312", client.nick, past.nick, client.network.name, human(past.at))
    if not found:
        client.numeric(406, nick)
    client.numeric(369, nick)


def userhost(client: IrcClient, params: list[str]) -> None:
    """USERHOST nick...: show the hosts of up to five users."""
    replies = []
    for nick in params[:5]:
        user = client.hub.nicks.find(nick)
        if user:
            star = "*" if user.operator else ""
            replies.append(f"{user.nick}{star}={'-' if user.away else '+'}{user.host}")
    client.reply("302", client.nick, " ".join(replies))


def ison(client: IrcClient, params: list[str]) -> None:
    """ISON nick...: list which of these users are online."""
    asked = " ".join(params).split()
    here = [user.nick for nick in asked if (user := client.hub.nicks.find(nick))]
    for line in wire.fill(here, 400) or [""]:
        client.reply("303", client.nick, line)


def away(client: IrcClient, params: list[str]) -> None:
    """AWAY [text]: mark yourself as away; without a text, as back."""
    text = wire.cut(clean(params[0]).strip(), bounds.AWAY_BYTES) if params else ""
    if not client.registered:
        if "draft/pre-away" not in client.caps:
            client.numeric(451)
            return
        client.away = text
        client.numeric(306 if text else 305)
        return
    user = client.user
    assert user is not None
    if text:
        client.hub.check_describe(client.session)
    changed = user.away != text
    user.away = text
    client.hub.touch(client.session)
    client.numeric(306 if text else 305)
    if changed:
        for other in client.network.interested(user, "away-notify"):
            other.send(other.event(user, "AWAY", *filter(None, [text])))


def ignore(client: IrcClient, params: list[str]) -> None:
    """IGNORE [nick]: be shown nothing that somebody says; list whom you ignore."""
    slash.run(client.hub, client.session, f"/ignore {''.join(params[:1])}")


def unignore(client: IrcClient, params: list[str]) -> None:
    """UNIGNORE nick: be shown again what somebody says."""
    slash.run(client.hub, client.session, f"/unignore {params[0]}")


def setname(client: IrcClient, params: list[str]) -> None:
    """SETNAME text: change your real name (IRCv3 setname)."""
    if not params:
        client.numeric(461, "SETNAME")
        return
    real = clean(params[0]).strip()
    if is_blank(real) or len(real.encode()) > bounds.REAL_NAME_BYTES:
        client.fail("SETNAME", "INVALID_REALNAME", "Realname is not valid")
        return
    user = client.user
    assert user is not None
    client.hub.check_describe(client.session)
    user.real = real
    client.hub.touch(client.session)
    if "setname" in client.caps:
        client.send(client.event(user, "SETNAME", real))
    for other in client.network.interested(user, "setname"):
        other.send(other.event(user, "SETNAME", real))


def monitor(client: IrcClient, params: list[str]) -> None:
    """MONITOR + - C L S: get a message when users come or go (IRCv3 monitor)."""
    verb = params[0].upper()
    nicks = [nick for nick in (params[1] if len(params) > 1 else "").split(",") if nick]
    if verb == "+":
        _monitor_add(client, nicks)
    elif verb == "-":
        for nick in nicks:
            if client.monitored.pop(key_of(nick), None):
                client.network.unwatch(nick, client)
    elif verb == "C":
        for nick in client.monitored.values():
            client.network.unwatch(nick, client)
        client.monitored.clear()
    elif verb == "L":
        for line in wire.fill(client.monitored.values(), 400, ","):
            client.reply("732", client.nick, line)
        client.numeric(733)
    elif verb == "S":
        _status(client, list(client.monitored.values()))


def _monitor_add(client: IrcClient, nicks: list[str]) -> None:
    added: list[str] = []
    for number, nick in enumerate(nicks):
        if key_of(nick) not in client.monitored:
            if len(client.monitored) >= WATCHED:
                _status(client, added)
                client.reply("734", client.nick, str(WATCHED), ",".join(nicks[number:]), "Monitor list is full.")
                return
            client.monitored[key_of(nick)] = nick
            client.network.watch(nick, client)
        added.append(nick)
    _status(client, added)
    metadata.watched(client, added)


def _status(client: IrcClient, nicks: list[str]) -> None:
    here, gone = [], []
    for nick in nicks:
        user = client.hub.nicks.find(nick)
        if user:
            here.append(user.mask)
        else:
            gone.append(nick)
    for code, found in (("730", here), ("731", gone)):
        for line in wire.fill(found, 400, ","):
            client.reply(code, client.nick, line)
