"""The IRC commands for channels, as JOIN, TOPIC and KICK. A channel is a room with `#` in front."""

from __future__ import annotations

from hubbub.chat import messages, moderation
from hubbub.chat.messages import Which
from hubbub.chat.private.private_history import Conversation
from hubbub.chat.session import Room
from hubbub.chat.turns import ClientStep, StepTable
from hubbub.chat.users.read_markers import ReadMarkers, of_room
from hubbub.errors import Refused
from hubbub.model.access import Action, may
from hubbub.model.events import Knocked
from hubbub.serve.irc.client import IrcClient
from hubbub.text import names, refusals
from hubbub.text.names import key_of
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import channel, formatted, stamp
from hubbub.wire.irc.numerics import FAIL_CODES, REFUSALS, TEXTS

NAMES_LINE = 400  # maximum bytes of names in a line
NAMES_KEPT = 1000  # maximum number of rooms whose NAMES lines are cached


def room_name(name: str) -> str:
    """Return the name of a channel's room. Raise Refused if it is no valid channel name."""
    if not name.startswith("#"):
        raise refusals.CHANNEL_INVALID()
    return names.check_room(name)


def find_room(client: IrcClient, name: str) -> Room | None:
    """Return a channel's room if it has members and the client may see that it exists; else None."""
    loaded = client.hub.rooms.loaded
    room = (loaded.get(name[1:]) or loaded.get(key_of(name[1:]))) if name.startswith("#") else None
    if room is None or client.session in room.sessions:
        return room
    return room if room.count and client.hub.may(client.session, Action.LIST, room) else None


def room_at(client: IrcClient, name: str) -> Room | None:
    """Return a channel's room as `find_room` does. If there is none, reply with 403 and return None."""
    room = find_room(client, name)
    if room is None:
        client.numeric(403, name)
    return room


def room_of(client: IrcClient, name: str) -> Room | None:
    """Return a channel's room if the client is a member. If not, reply with 403 or 442 and return None."""
    room = room_at(client, name)
    if room and room.id not in client.session.rooms:
        client.numeric(442, name)
        return None
    return room


# --- in and out -----------------------------------------------------------------------------------------------------


def join(client: IrcClient, params: list[str]) -> None:
    """JOIN #a,#b [key,key]: join channels, one after the other; JOIN 0 leaves all of them."""
    if params == ["0"]:
        for room in list(client.session.rooms.values()):
            client.hub.rooms.leave(client.session, room.name)
        return
    keys = params[1].split(",") if len(params) > 1 else []
    for number, name in enumerate(params[0].split(",")):
        if name:
            key = keys[number] if number < len(keys) else ""
            client.continuation.append(ClientStep("join with key", (name, key)) if key else ClientStep("join", (name,)))


def _join(client: IrcClient, name: str, key: str = "") -> None:
    try:
        room = room_name(name)
        if client.hub.rooms.inside(client.session, room) is None:
            client.hub.rooms.join(client.session, room, key=key)
    except Refused as refusal:
        if refusal.code == "too-many-rooms":
            client.numeric(405, name)
        elif name.startswith("#") and " " not in name:
            client.reply("476", client.nick, name, f"{TEXTS[476]}. {refusal.text}")
        else:
            client.numeric(403, name)


def greeting(client: IrcClient, room: Room) -> list[bytes]:
    """Return the lines that follow the client's own JOIN: topic, read marker, names."""
    name = channel(room.name)
    lines = topic_lines(client, room) if room.topic else []
    if "draft/read-marker" in client.caps:
        lines.append(client.line("MARKREAD", name, shown_marker(client, of_room(room.id))))
    if not {"no-implicit-names", "draft/no-implicit-names"} & client.caps:
        lines += names_lines(client, room)
        lines.append(client.line("366", client.nick, name, "End of /NAMES list"))
    return lines


def markers_of(client: IrcClient, target: str) -> tuple[ReadMarkers, str]:
    """Return the read markers that hold a client's one for a target, and the id of its account there; "" for a guest.

    Private messages from and to guests are not stored, so nor are the markers for guests.
    """
    account = client.user.account if client.user else None
    return (client.hub.read_markers, account.id) if account and target[0] in "#@" else (client.markers, "")


def shown_marker(client: IrcClient, target: str) -> str:
    """Return a client's read marker for a target as MARKREAD shows it."""
    markers, account = markers_of(client, target)
    time = markers.find(account, target)
    return f"timestamp={stamp(time)}" if time else "*"


def topic_lines(client: IrcClient, room: Room) -> list[bytes]:
    """Return the lines with a room's topic, its author and its time (332, 333)."""
    nick, name = client.nick, channel(room.name)
    rules = room.state
    return [
        client.line("332", nick, name, formatted(room.topic, rules.topic.tags)),
        client.line("333", nick, name, rules.topic.by or "*", str(int(rules.topic.at))),
    ]


def names_lines(client: IrcClient, room: Room) -> list[bytes]:
    """Return the lines with a room's members (353).

    The lines for members of the room are cached until the room changes.
    """
    multi, hosts = "multi-prefix" in client.caps, "userhost-in-names" in client.caps
    inside = room.id in client.session.rooms
    key = (room.end.seq, len(room.members), len(client.hub.remote.members.rooms.get(room.id, ())), multi, hosts)
    cached = client.network.names.get(room.name) if inside else None  # the log does not show who is invisible
    if cached is None or cached[0] != key:
        words = []
        for member in room.members:
            if not inside and "i" in member.modes:
                continue
            signs = room.state.prefixes(member) if room.state.status else ""
            words.append((signs if multi else signs[:1]) + member.nick + (f"!{member.host}" if hosts else ""))
        symbol = "@" if room.state.is_secret else "="
        server, name = client.network.name, channel(room.name)
        lines = [f"\1:{server} 353 \0 {symbol} {name} :{text}\r\n" for text in wire.fill(words, NAMES_LINE)]
        cached = (key, "".join(lines).encode())
        if inside:
            if len(client.network.names) >= NAMES_KEPT:
                client.network.names.clear()
            client.network.names[room.name] = cached
    tag = wire.tag_text(client.time).encode()
    data = cached[1].replace(b"\0", client.nick.encode()).replace(b"\1", tag)
    return data.splitlines(keepends=True) if client.label else [data] if data else []


def part(client: IrcClient, params: list[str]) -> None:
    """PART #a,#b [reason]: leave channels."""
    reason = params[1] if len(params) > 1 else ""
    for name in params[0].split(","):
        if name and room_of(client, name):
            client.hub.rooms.leave(client.session, name, reason)


def topic(client: IrcClient, params: list[str]) -> None:
    """TOPIC #channel [text]: show or set the topic."""
    room = room_at(client, params[0])
    if room is None:
        return
    if len(params) == 1:
        if not client.hub.may(client.session, Action.SEE_TOPIC, room):
            client.numeric(442, params[0])
        elif room.topic:
            client.send(*topic_lines(client, room))
        else:
            client.numeric(331, channel(room.name))
    elif room.id not in client.session.rooms:
        client.numeric(442, params[0])
    else:
        client.hub.set_topic(client.session, params[1], room.name, cuts=True)


def invite(client: IrcClient, params: list[str]) -> None:
    """INVITE nick #channel: invite somebody; without parameters, list the channels you are invited to."""
    if not params:
        for one in client.hub.rooms.loaded.values():
            if client.user and one.id in client.user.invited:
                client.reply("336", client.nick, channel(one.name))
        client.numeric(337)
        return
    if len(params) < 2:
        client.numeric(461, "INVITE")
        return
    nick, name = params[0], params[1]
    room = room_of(client, name)
    if room is None:
        return
    try:
        target = moderation.invite(client.hub, client.session, room, nick)
    except Refused as refusal:
        _refuse(client, refusal, nick, name)
        return
    client.reply("341", client.nick, target.nick, channel(room.name))
    if target.away:
        client.reply("301", client.nick, target.nick, target.away)
    for other in client.network.clients_in(room):
        if other is not client and "invite-notify" in other.caps:
            other.send(other.event(client.session, "INVITE", target.nick, channel(room.name)))


def knock(client: IrcClient, params: list[str]) -> None:
    """KNOCK #channel: ask the channel's operators to let you in."""
    name = params[0]
    room = room_at(client, name)
    if room is None:
        return
    if room.id in client.session.rooms:
        client.numeric(714, name)
        return
    refused = may(client.hub.viewer(client.session), Action.JOIN, room.state, room.count)
    if refused is None:
        client.numeric(713, name)
    elif refused.code == "banned":
        client.numeric(474, name)
    else:
        _knock(client, room)


def _knock(client: IrcClient, room: Room) -> None:
    name = channel(room.name)
    operators = [member for member in room.members if "@" in room.state.prefixes(member)]
    if not operators:
        client.numeric(480, name)
        return
    if not client.network.may_knock(room.name, client.session.host):
        client.numeric(712, name)
        return
    for member in operators:
        client.hub.send_to(member, Knocked(client.nick, client.session.host, room.name))
    client.numeric(711, name)


def kick(client: IrcClient, params: list[str]) -> None:
    """KICK #channel nick[,nick] [reason]: remove people from a channel."""
    channels, nicks = params[0].split(","), params[1].split(",")
    reason = params[2] if len(params) > 2 else ""
    pairs = zip(channels if len(channels) > 1 else channels * len(nicks), nicks, strict=False)
    for name, nick in {(key_of(name), key_of(nick)): (name, nick) for name, nick in pairs}.values():
        room = room_of(client, name)
        if room is None:
            continue
        try:
            moderation.kick(client.hub, client.session, room, nick, reason)
        except Refused as refusal:
            _refuse(client, refusal, nick, name)


def _refuse(client: IrcClient, refusal: Refused, nick: str, name: str) -> None:
    """Reply with the numeric of a refusal that is about a user, a channel or both; with a notice if it has none."""
    code = REFUSALS[refusal.code]
    if code in (401, 441, 443):
        client.numeric(code, nick, *([] if code == 401 else [name]))
    elif code:  # the standard text of 477 is about a JOIN
        client.reply(str(code), client.nick, name, refusal.text)
    else:
        client.notice(refusal.text)


def redact(client: IrcClient, params: list[str]) -> None:
    """REDACT target msgid [reason]: delete a message (draft/message-redaction)."""
    target, id = params[0], params[1]
    room = _redactable(client, target)
    if room is None:
        client.fail("REDACT", "INVALID_TARGET", target, "You cannot delete messages there")
        return

    reason = params[2] if len(params) > 2 else ""
    messages.redact(client.session, room, Which(id=id), reason, ClientStep("REDACT refused", (target, id)))


def _redact_refused(client: IrcClient, target: str, id: str, refusal: Refused) -> None:
    code = FAIL_CODES.get(refusal.code, "REDACT_FORBIDDEN")
    client.emit(client.line("FAIL", "REDACT", code, target, id, refusal.text))


def _redactable(client: IrcClient, target: str) -> Room | Conversation | None:
    """Return the room, or the private conversation, in which a client can delete messages; None if there is none."""
    if not target.startswith("#"):
        try:
            return client.hub.private_history.room_with(client.session, target)
        except Refused:
            return None
    room = find_room(client, target)
    return room if room and room.id in client.session.rooms else None


def rename(client: IrcClient, params: list[str]) -> None:
    """RENAME #old #new [reason]: rename a channel (draft/channel-rename)."""
    before, to = params[0], params[1]
    room = room_of(client, before)
    if room is None:
        return

    reason = params[2] if len(params) > 2 else ""
    try:
        if not to.startswith("#"):
            raise refusals.CHANNEL_INVALID()
        moderation.move(client.hub, client.session, room, to, reason, ClientStep("RENAME refused", (before, to)))
    except Refused as refusal:
        if refusal.code == "not-operator":
            client.numeric(482, before)
        else:
            _rename_refused(client, before, to, refusal)


def _rename_refused(client: IrcClient, before: str, to: str, refusal: Refused) -> None:
    code = FAIL_CODES.get(refusal.code, "CANNOT_RENAME")
    client.emit(client.line("FAIL", "RENAME", code, before, to, refusal.text))


STEPS: StepTable = {
    "REDACT refused": _redact_refused,
    "RENAME refused": _rename_refused,
    "join": _join,
    "join with key": _join,
}
