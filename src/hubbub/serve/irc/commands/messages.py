"""PRIVMSG, NOTICE and TAGMSG: messages to channels, to members of a channel with a status, and to users."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from hubbub.chat import messages
from hubbub.chat.commands import classroom, slash
from hubbub.chat.messages import Which
from hubbub.chat.private import direct
from hubbub.chat.private.private_history import Conversation
from hubbub.chat.session import Room
from hubbub.chat.turns import ClientStep, StepTable
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.entries import Kind
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands.channels import find_room
from hubbub.text import refusals
from hubbub.text.cleaning import clean, clean_exactly, is_blank
from hubbub.text.tags import REACT, UNREACT, of_client, of_name, reply_to, without
from hubbub.text.typed.secret_lines import holds_password
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import channel
from hubbub.wire.irc.numerics import REFUSALS

# The slash commands that are also messages with a `!` before them.
COMMANDS_IN_CHANNELS = frozenset({"lock", "unlock", "invite", "codes", *(row.name for row in classroom.ROWS)})
TARGETS = 4  # maximum number of targets of one message


def privmsg(client: IrcClient, params: list[str]) -> None:
    """PRIVMSG target[,target] text: send a message to a channel or a user."""


def notice(client: IrcClient, params: list[str]) -> None:
    """NOTICE target[,target] text: send a message that gets no automatic answer."""


def tagmsg(client: IrcClient, params: list[str]) -> None:
    """TAGMSG target[,target]: send only tags, such as a typing notice."""


def client_tags(message: wire.Message) -> str:
    """Return the client-only tags of a message in the form sent to others: clean values, valid names only."""
    return of_client(message.tags.items())


def say(client: IrcClient, message: wire.Message) -> None:
    """Run PRIVMSG, NOTICE or TAGMSG for each target. A NOTICE gets no error replies."""
    verb, params = message.verb, message.params
    quiet = verb == "NOTICE"
    signal = verb == "TAGMSG"
    if not params or not params[0]:
        if signal:
            client.numeric(461, verb)
        elif not quiet:
            client.reply("411", client.nick, f"No recipient given ({verb})")
        return
    text = "" if signal or len(params) < 2 else params[1]
    # A text in which a letter is visible at once is not cleaned here only to be cleaned again.
    visible = text.isascii() and text.isprintable() and text.strip()
    if not (signal or visible) and is_blank(clean_exactly(text)):
        if not quiet:
            client.numeric(412)
        return
    if "/" in text and holds_password(text):
        # A client sends a command as a message if a space stands before it, or if it is one of other wires.
        raise refusals.PASSWORD_IN_MESSAGE()
    targets = list(dict.fromkeys(params[0].split(",")))
    tags = client_tags(message) if message.tags else ""
    for target in targets[:TARGETS]:
        say_to(client, target, text, verb, tags)
    if len(targets) > TARGETS and not quiet:
        client.numeric(407, targets[TARGETS])


def say_to(client: IrcClient, target: str, text: str, verb: str, tags: str) -> None:
    """Send a message to one target, and reply to a refusal unless it is a NOTICE."""
    kind = {"NOTICE": Kind.NOTICE, "TAGMSG": Kind.EPHEMERAL}.get(verb, Kind.MESSAGE)
    if kind is Kind.MESSAGE and text.startswith("\x01ACTION ") and len(text.strip("\x01")) > 7:
        kind, text = Kind.ACTION, text[8:].rstrip("\x01")
    elif text.startswith("\x01"):  # CTCP: not shown to users, not stored
        kind, text = Kind.EPHEMERAL, f"{verb} {clean(text)}"
    try:
        if target.lstrip("@+").startswith("#"):
            _say_in(client, target, text, kind, tags)
        else:
            _say_privately(client, target, text, kind, tags)
    except Refused as refusal:
        if verb == "NOTICE":
            return
        code = REFUSALS[refusal.code]
        if code in (401, 403, 412):
            client.numeric(code, *([] if code == 412 else [target]))
        else:
            code = code if refusal.code == refusals.NO_GUESTS.code else 404
            client.reply(str(code), client.nick, target, refusal.text)  # says why, and how long to wait


def _say_in(client: IrcClient, target: str, text: str, kind: Kind, tags: str) -> None:
    hub, session = client.hub, client.session
    status = target[: len(target) - len(target.lstrip("@+"))]
    name = target[len(status) :]
    if "read" not in session.permit.scopes and kind is not Kind.EPHEMERAL:
        hub.say(session, text, name, kind, "irc")
        return
    room = find_room(client, name)
    if room is None:
        raise refusals.CHANNEL_MISSING()
    label = "irc" if client.label or "echo-message" in client.caps else ""
    if kind is Kind.EPHEMERAL and text:
        hub.check(session, Action.CTCP, room)
    if status:
        _say_to_status(client, room, status, text, kind, tags, label)
        return
    if session not in room.sessions:
        hub.say_from_outside(session, room, text, kind, "irc", tags)
        return
    if kind is Kind.MESSAGE and text.startswith("!") and _ran(client, room, text):
        return
    if kind is not Kind.EPHEMERAL:
        messages.say(hub, session, text, room.state.name, kind, tags=tags)
        return
    if text or not _react(client, room, channel(room.name), tags, label):
        direct.signal(hub, session, room.name, tags, label, text)


def _ran(client: IrcClient, room: Room, text: str) -> bool:
    """Run a message like `!hand` as the slash command of that name; return whether it is one.

    `!!hand` is a message, which is sent as it is.
    """
    hub, session = client.hub, client.session
    if text[1:].partition(" ")[0].lower() not in COMMANDS_IN_CHANNELS:
        return False
    hub.rooms.focus(session, room.id)
    try:
        slash.run(hub, session, f"/{text[1:]}")
    except Refused as refusal:
        hub.refuse(session, refusal, room=room.name)
    return True


def in_channel(name: str) -> Callable[[IrcClient, list[str]], None]:
    """Return the function of an IRC command that is the slash command of this name, in a channel."""

    def run(client: IrcClient, params: list[str]) -> None:
        hub, session, words = client.hub, client.session, params
        if params and params[0].startswith("#"):
            hub.rooms.focus(session, hub.rooms.of(session, params[0]).id)
            words = params[1:]
        slash.run(hub, session, f"/{name} {' '.join(words)}")

    command = slash.COMMANDS[name]
    run.__doc__ = f"{name.upper()} [#channel] {command.usage}: {command.help}"
    return run


def _react(client: IrcClient, room: messages.Place, target: str, tags: str, label: str) -> bool:
    """Store a reaction, if the tags of a TAGMSG are one to a message of the room; return whether they are one."""
    added, taken = of_name(tags, REACT), of_name(tags, UNREACT)
    if not reply_to(tags) or bool(added) == bool(taken):  # never both, says the specification
        return False
    session = client.session
    if not isinstance(room, Conversation):
        client.hub.check(session, Action.REACT, room)
    rest = without(tags, REACT, UNREACT)
    refused = ClientStep("reaction refused", (room.id, target, tags, label))
    session.label, before = session.label or label, session.label
    messages.react(session, room, Which(id=reply_to(tags)), added or taken, bool(added), rest, refused)
    session.label = before
    return True


def _reaction_refused(client: IrcClient, id: str, target: str, tags: str, label: str, refusal: Refused) -> None:
    """Send a reaction to a message that is not in the log on like any other TAGMSG; report every other refusal."""
    hub, session = client.hub, client.session
    room = hub.rooms.loaded.by_id.get(id)
    name = room.name if room else ""
    if refusal.code != refusals.NO_SUCH_MESSAGE.code:
        hub.refuse(session, refusal, label, name)
        return
    with suppress(Refused):  # the message is not read meanwhile, and a lost TAGMSG is no news
        if id:
            direct.signal(hub, session, name, tags, label)
        else:
            direct.send_private(hub, session, target, "", Kind.EPHEMERAL, label, tags)


STEPS: StepTable = {"reaction refused": _reaction_refused}


def _say_to_status(  # noqa: PLR0913 - the parts of one message
    client: IrcClient, room: Room, status: str, text: str, kind: Kind, tags: str, label: str
) -> None:
    """Send a message to the members of a room with a status, as private messages that no log stores."""
    client.hub.speak(client.hub.viewer(client.session), room)
    wanted = "o" if status[0] == "@" and "+" not in status else "ov"
    others = (member for member in room.members if member is not client.user)
    to = [member for member in others if set(wanted) & set(room.state.status.get(member, ""))]
    direct.message_members_apart(
        client.hub, client.session, to, f"@{status}{channel(room.name)}", text, kind, tags, label
    )


def _say_privately(client: IrcClient, target: str, text: str, kind: Kind, tags: str) -> None:
    found = client.hub.nicks.find(target)
    label = "irc" if client.label or "echo-message" in client.caps else ""
    if kind is Kind.EPHEMERAL and not text and reply_to(tags):
        with suppress(Refused):  # it is no conversation of two accounts
            talk = client.hub.private_history.room_with(client.session, target)
            if _react(client, talk, target, tags, label):
                return
    direct.send_private(client.hub, client.session, target, text, kind, label, tags)
    if found and found.away and kind in (Kind.MESSAGE, Kind.ACTION):
        client.reply("301", client.nick, found.nick, found.away)
