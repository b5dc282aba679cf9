"""The table of IRC commands, and the checks before one runs.

HELP shows the first line of a command's docstring to the user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from hubbub.chat.rooms.opening import RoomsVisited
from hubbub.chat.turns import ClientStep, OperationTable, StepTable, by_name
from hubbub.errors import Refused
from hubbub.serve.irc.accounts import login, nickserv, registering
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import (
    capabilities,
    channel_lists,
    channels,
    history,
    messages,
    metadata,
    modes,
    people,
    registration,
    searching,
    server_info,
)
from hubbub.serve.irc.replies import REPLY_STEPS
from hubbub.text.names import key_of
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.numerics import REFUSALS

VISITED = 10  # maximum number of rooms that one message may load
HTTP = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PRI"})
_WITH = {"TAGMSG": "message-tags", "REDACT": "draft/message-redaction"}  # commands that need a capability


class IrcCommand(Struct, frozen=True):
    """A command: its function, the parameters it needs, and whether it is allowed before registration."""

    run: Callable[[IrcClient, list[str]], None]
    needs: int = 0
    early: bool = False
    operators: bool = False  # for server operators only


def continues_batch(client: IrcClient, item: wire.Message | wire.Broken) -> bool:
    """Return whether a message belongs to an open multi-line message, whose first part has the label."""
    if client.batch is None or isinstance(item, wire.Broken):
        return False
    return "batch" in item.tags or (item.verb == "BATCH" and bool(item.params) and item.params[0].startswith("-"))


def run(client: IrcClient, message: wire.Message) -> None:
    """Run the command of a message, and reply to refusals of the core."""
    try:
        if (client.batch is not None or message.verb == "BATCH") and history.takes(client, message):
            return
        if client.hub.remote.members.rooms and (asleep := _asleep(client, message)):
            client.continuation.append(ClientStep("visit", tuple(asleep)))
            client.continuation.append(ClientStep("run", (message,)))
            client.continuation.append(ClientStep("end visit"))
        else:
            _run(client, message)
    except Refused as refusal:
        refuse(client, refusal, message.params)


def _visit(client: IrcClient, *names: str) -> None:
    client.session.start(RoomsVisited(names))


def _end_visit(client: IrcClient) -> None:
    client.hub.rooms.end_visit(client.session)


def _run_later(client: IrcClient, message: wire.Message) -> None:
    client.session.label = "irc" if client.label else ""
    try:
        _run(client, message)
    except Refused as refusal:
        refuse(client, refusal, message.params)
    client.session.label = ""


def _asleep(client: IrcClient, message: wire.Message) -> list[str]:
    """Return the rooms that a message names and that have remote users only: they must be loaded first."""
    hub = client.hub
    if not client.registered or message.verb == "JOIN":  # JOIN loads a room itself
        return []
    words = (word.lstrip("@+") for param in message.params[:2] for word in param.split(","))
    names = dict.fromkeys(key_of(word[1:]) for word in words if word.startswith("#"))
    return [name for name in names if hub.remote.members.of_room(name)][:VISITED]


def _run(client: IrcClient, message: wire.Message) -> None:
    params = message.params
    if not client.registered and not is_early(message.verb):
        _run_too_early(client, message.verb)
        return
    command = COMMANDS.get(message.verb)
    if command is None or _WITH.get(message.verb, "") not in ("", *client.caps):
        client.numeric(421, message.verb)
    elif command.operators and not client.session.operator:
        client.numeric(481)
    elif len(params) < command.needs or (command.needs and not params[0]):
        client.numeric(461, message.verb)
    elif command.run in (messages.privmsg, messages.notice, messages.tagmsg):
        if params and len(params[0]) == len(nickserv.KEY) and key_of(params[0]) == nickserv.KEY:
            nickserv.hear(client, message)
        else:
            messages.say(client, message)
    else:
        command.run(client, params)


def is_early(verb: str) -> bool:
    """Return whether a command is allowed before registration."""
    command = COMMANDS.get(verb)
    return command is not None and command.early


def _run_too_early(client: IrcClient, verb: str) -> None:
    if verb in HTTP:
        registration.http(client)
    else:
        client.numeric(451)
        client.count_stray()


def refuse(client: IrcClient, refusal: Refused, params: Sequence[str]) -> None:
    """Reply to a refusal of the core with its numeric, or with a notice if it has none."""
    code = REFUSALS[refusal.code]
    if code == 404 and params:
        client.reply("404", client.nick, params[0], refusal.text)
    elif code in (401, 403, 442, 482) and params:
        client.numeric(code, params[0])
    else:
        client.notice(refusal.text)


def _help(client: IrcClient, params: list[str]) -> None:
    subject = params[0] if params else "*"
    if subject == "*":
        lines = ["These commands are known:", *wire.fill(sorted(COMMANDS), 350)]
    elif command := COMMANDS.get(subject.upper()):
        doc = (command.run.__doc__ or "").strip().partition("\n")[0] or "See https://modern.ircdocs.horse"
        lines = [subject.upper(), doc]
    else:
        client.numeric(524, subject)
        return
    for number, text in enumerate([*lines, "End of /HELP"]):
        code = "704" if not number else "706" if number == len(lines) else "705"
        client.reply(code, client.nick, subject, text)


def _early(run: Callable[[IrcClient, list[str]], None], needs: int = 0) -> IrcCommand:
    return IrcCommand(run, needs, early=True)


COMMANDS: dict[str, IrcCommand] = {
    "CAP": _early(capabilities.cap),
    "PASS": _early(login.password, 1),
    "NICK": _early(registration.nick),
    "USER": _early(registration.user),
    "PING": _early(registration.ping),
    "PONG": _early(registration.nothing),
    "QUIT": _early(registration.quit),
    "AUTHENTICATE": _early(login.authenticate, 1),
    "REGISTER": _early(registering.register, 3),
    "VERIFY": _early(registering.verify, 2),
    "WEBIRC": _early(registration.webirc, 4),
    "STARTTLS": _early(registration.starttls),
    "LUSERS": IrcCommand(server_info.lusers),
    "MOTD": IrcCommand(server_info.motd),
    "VERSION": IrcCommand(server_info.version),
    "TIME": IrcCommand(server_info.time),
    "INFO": IrcCommand(server_info.info),
    "ADMIN": IrcCommand(server_info.admin),
    "LINKS": IrcCommand(server_info.links),
    "STATS": IrcCommand(server_info.stats, 1),
    "HELP": IrcCommand(_help),
    "HELPOP": IrcCommand(_help),
    "OPER": IrcCommand(server_info.oper, 2),
    "KILL": IrcCommand(server_info.kill, 1, operators=True),
    "WALLOPS": IrcCommand(server_info.wallops, 1, operators=True),
    "REHASH": IrcCommand(server_info.rehash, operators=True),
    "CONNECT": IrcCommand(registration.nothing, operators=True),
    "SQUIT": IrcCommand(registration.nothing, operators=True),
    "DIE": IrcCommand(registration.nothing, operators=True),
    "RESTART": IrcCommand(registration.nothing, operators=True),
    "NS": IrcCommand(nickserv.services),
    "NICKSERV": IrcCommand(nickserv.services),
    "CS": IrcCommand(server_info.services),
    "CHANSERV": IrcCommand(server_info.services),
    "JOIN": IrcCommand(channels.join, 1),
    "PART": IrcCommand(channels.part, 1),
    "TOPIC": IrcCommand(channels.topic, 1),
    "NAMES": IrcCommand(channel_lists.names_of),
    "LIST": IrcCommand(channel_lists.list_channels),
    "INVITE": IrcCommand(channels.invite),
    "KNOCK": IrcCommand(channels.knock, 1),
    "KICK": IrcCommand(channels.kick, 2),
    "REDACT": IrcCommand(channels.redact, 2),
    "RENAME": IrcCommand(channels.rename, 2),
    "MODE": IrcCommand(modes.mode, 1),
    "PRIVMSG": IrcCommand(messages.privmsg),
    "NOTICE": IrcCommand(messages.notice),
    "TAGMSG": IrcCommand(messages.tagmsg),
    "WHO": IrcCommand(people.who),
    "WHOIS": IrcCommand(people.whois),
    "WHOWAS": IrcCommand(people.whowas),
    "USERHOST": IrcCommand(people.userhost, 1),
    "ISON": IrcCommand(people.ison, 1),
    "AWAY": _early(people.away),
    "IGNORE": IrcCommand(people.ignore),
    "UNIGNORE": IrcCommand(people.unignore, 1),
    "SETNAME": IrcCommand(people.setname),
    "METADATA": _early(metadata.metadata, 2),
    "MONITOR": IrcCommand(people.monitor, 1),
    "CHATHISTORY": IrcCommand(history.chathistory),
    "MARKREAD": IrcCommand(history.markread),
    "SEARCH": IrcCommand(searching.search, 1),
    "BATCH": IrcCommand(history.stray_batch),
}
# INVITE is older than the command of that name.
_OF_CLASSES = messages.COMMANDS_IN_CHANNELS - {"invite"}
COMMANDS |= {name.upper(): IrcCommand(messages.in_channel(name)) for name in sorted(_OF_CLASSES)}

# The functions of an IRC client's steps and operations.
STEPS: StepTable = {
    **REPLY_STEPS,
    **channels.STEPS,
    **messages.STEPS,
    **registration.STEPS,
    "visit": _visit,
    "run": _run_later,
    "end visit": _end_visit,
}
SECRET_STEPS = frozenset({"join with key", "run"})  # those whose arguments may have a key or a password
OPERATIONS: OperationTable = by_name(
    *channel_lists.OPERATIONS,
    *history.OPERATIONS,
    *login.OPERATIONS,
    *nickserv.OPERATIONS,
    *registration.OPERATIONS,
    *searching.OPERATIONS,
    *server_info.OPERATIONS,
)
