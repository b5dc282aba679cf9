"""What an IRC client may ask: the table of commands, and those about the connection and the server.

Sources: https://modern.ircdocs.horse; ircv3.net for capabilities. Channels are in irc_channels.py, people in
irc_people.py, history in irc_history.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from hubbub.core import names
from hubbub.core.model import Entry, Kind
from hubbub.core.rules import LETTERS, LISTS, MAX_LISTED
from hubbub.core.text import clean, fold
from hubbub.errors import Refused
from hubbub.listeners import irc_channels, irc_history, irc_metadata, irc_people, irc_talking
from hubbub.listeners.irc_network import WATCHED, human
from hubbub.wire import irc as wire
from hubbub.wire.irc_form import MULTILINE
from hubbub.wire.irc_numerics import TEXTS

if TYPE_CHECKING:
    from hubbub.listeners.irc import IrcDialogue

JOIN, SIGNAL = Kind.JOIN, Kind.SIGNAL
VERSION = f"hubbub-{version('hubbub')}"
USER_LENGTH, REAL_LENGTH, TOPIC_LENGTH, AWAY_LENGTH, KICK_LENGTH = 20, 150, 390, 300, 300
CAPS_LINE = 400  # bytes of capabilities in a line
HISTORY = 100  # entries of an answer to CHATHISTORY
MULTILINE_BYTES, MULTILINE_LINES = 4096, 100
# By name: what it means when it has a value. Those of drafts under the names that clients know.
CAPS = {
    "message-tags": "",
    "server-time": "",
    "echo-message": "",
    "batch": "",
    "labeled-response": "",
    "multi-prefix": "",
    "userhost-in-names": "",
    "extended-join": "",
    "away-notify": "",
    "invite-notify": "",
    "setname": "",
    "chghost": "",
    "cap-notify": "",
    "standard-replies": "",
    "extended-monitor": "",
    "no-implicit-names": "",
    "draft/no-implicit-names": "",
    "draft/pre-away": "",
    "draft/chathistory": "",
    "draft/event-playback": "",
    "draft/read-marker": "",
    "draft/message-redaction": "",
    "draft/channel-rename": "",
    MULTILINE: f"max-bytes={MULTILINE_BYTES},max-lines={MULTILINE_LINES}",
    **irc_metadata.CAPS,
}


_WITH = {"TAGMSG": "message-tags", "REDACT": "draft/message-redaction"}  # commands that need a capability


@dataclass(frozen=True, slots=True)
class Command:
    """A row: how many parameters it needs, and whether it may be sent before the client is registered."""

    run: Callable[[IrcDialogue, list[str]], None]
    needs: int = 0
    early: bool = False
    operators: bool = False  # of the server only


def continues_batch(client: IrcDialogue, item: wire.Message | wire.Broken) -> bool:
    """Return whether a message is a part of a multi-line one: its label is that of the first part."""
    if client.batch is None or isinstance(item, wire.Broken):
        return False
    return "batch" in item.tags or (item.verb == "BATCH" and bool(item.params) and item.params[0].startswith("-"))


def run(client: IrcDialogue, message: wire.Message) -> None:
    """Do what a message asks for."""
    if irc_history.takes(client, message):
        return
    command = COMMANDS.get(message.verb)
    params = message.params
    if not client.registered and not (command and command.early):
        client.numeric(451)
    elif command is None or _WITH.get(message.verb, "") not in ("", *client.caps):
        client.numeric(421, message.verb)
    elif command.operators and not (client.user and client.user.operator):
        client.numeric(481)
    elif len(params) < command.needs or (command.needs and not params[0]):
        client.numeric(461, message.verb)
    elif command.run in (irc_talking.privmsg, irc_talking.notice, irc_talking.tagmsg):
        irc_talking.say(client, message)
    else:
        try:
            command.run(client, params)
        except Refused as refusal:
            refuse(client, refusal, params)


def refuse(client: IrcDialogue, refusal: Refused, params: Sequence[str]) -> None:
    """Answer what the core refuses."""
    from hubbub.listeners.irc import CODES

    code = CODES.get(refusal.code)
    if code in (401, 403, 442, 482) and params:
        client.numeric(code, params[0])
    else:
        client.notice(refusal.text)


# --- the connection -------------------------------------------------------------------------------------------------


def welcome(client: IrcDialogue) -> None:
    """Greet who has just registered, in the order that RFC 2812 gives (5.1)."""
    network = client.network
    name = network.name
    client.reply("001", client.nick, f"Welcome to the {network.settings.network} Network, {client.source}")
    client.reply("002", client.nick, f"Your host is {name}, running version {VERSION}")
    client.reply("003", client.nick, f"This server was created {human(network.started)}")
    client.reply("004", client.nick, name, VERSION, irc_channels.USER_MODES, "".join(LETTERS), "".join(LISTS) + "klov")
    isupport(client)
    lusers(client, [])
    irc_metadata.welcome(client)
    motd(client, [])


def isupport(client: IrcDialogue) -> None:
    """Tell what the server can do, 12 tokens a line (005)."""
    settings = client.settings
    simple = "".join(letter for letter, row in LETTERS.items() if not row.takes)
    tokens = [
        f"AWAYLEN={AWAY_LENGTH}",
        "BOT=B",
        "CASEMAPPING=ascii",
        f"CHANLIMIT=#:{settings.max_rooms}",
        f"CHANMODES={LISTS},k,dl,{simple}",
        f"CHANNELLEN={names.MAX + 1}",
        "CHANTYPES=#",
        f"CHATHISTORY={HISTORY}",
        "ELIST=CMNTU",
        "EXCEPTS=e",
        "EXTBAN=,m",
        f"HOSTLEN={64}",
        "INVEX=I",
        f"KICKLEN={KICK_LENGTH}",
        f"MAXLIST={LISTS}:{MAX_LISTED}",
        f"MODES={irc_channels.MODES}",
        f"MONITOR={WATCHED}",
        "MSGREFTYPES=msgid,timestamp",
        f"NAMELEN={REAL_LENGTH}",
        "NETWORK=" + settings.network.replace(" ", r"\x20"),
        f"NICKLEN={names.MAX}",
        "PREFIX=(ov)@+",
        "SAFELIST",
        "STATUSMSG=@+",
        "TARGMAX=JOIN:,PART:,KICK:,NAMES:1,WHOIS:1,WHOWAS:1,PRIVMSG:4,NOTICE:4,TAGMSG:4,MONITOR:",
        f"TOPICLEN={TOPIC_LENGTH}",
        f"USERLEN={USER_LENGTH}",
        "UTF8ONLY",
        "WHOX",
    ]
    for start in range(0, len(tokens), 12):
        client.reply("005", client.nick, *tokens[start : start + 12], "are supported by this server")


def _pass(client: IrcDialogue, params: list[str]) -> None:
    if client.registered:
        client.numeric(462)
    else:
        client.password = " ".join(params)


def _nick(client: IrcDialogue, params: list[str]) -> None:
    if not params or not params[0]:
        client.numeric(431)
        return
    name = params[0]
    if not client.registered:
        client.claim(name)
        return
    if name == client.nick:
        return
    try:
        client.hub.naming.rename(client.session, name, lambda refusal: client.refuse_name(refusal, name))
    except Refused as refusal:
        client.refuse_name(refusal, name)


def _user(client: IrcDialogue, params: list[str]) -> None:
    if client.registered:
        client.numeric(462)
        return
    if len(params) < 4 or not params[0] or not params[3]:
        client.numeric(461, "USER")
        return
    username = "".join(char for char in params[0] if char.isascii() and (char.isalnum() or char in "_.-"))
    if not username:
        client.numeric(468)
        return
    client.username = username[:USER_LENGTH]
    client.real = wire.cut(clean(params[3]), REAL_LENGTH)
    client.register()


def _quit(client: IrcDialogue, params: list[str]) -> None:
    reason = clean(params[0])[:KICK_LENGTH] if params else ""
    client.end(f"Quit: {reason}", reason)


def _ping(client: IrcDialogue, params: list[str]) -> None:
    if not params or not params[0]:
        client.numeric(409)
    else:
        client.hub.after_all(client.session)
        client.reply("PONG", client.network.name, params[0])


def _nothing(client: IrcDialogue, params: list[str]) -> None:
    """PONG, and what only servers say."""


def _cap(client: IrcDialogue, params: list[str]) -> None:
    if not params:
        client.numeric(461, "CAP")
        return
    verb, *rest = params
    act = _CAPS.get(verb.upper())
    if act is None:
        client.numeric(410, verb)
    else:
        act(client, rest[-1] if rest else "")


def _cap_ls(client: IrcDialogue, argument: str) -> None:
    if not client.registered:
        client.negotiating = True
    asked = int(argument[:6]) if argument.isascii() and argument.isdigit() else 0
    client.version = max(client.version, asked)
    if client.version >= 302 and "cap-notify" not in client.caps:
        client.take_caps(client.caps | {"cap-notify"})
    if asked < 302:
        client.reply("CAP", client.nick, "LS", " ".join(name for name in CAPS if name != "draft/no-implicit-names"))
        return
    _tell_caps(client, "LS", [f"{name}={value}" if value else name for name, value in CAPS.items()])


def _cap_list(client: IrcDialogue, _: str) -> None:
    shown = [name for name in CAPS if name in client.caps and (name != "cap-notify" or client.version < 302)]
    _tell_caps(client, "LIST", shown)


def _tell_caps(client: IrcDialogue, verb: str, caps: Sequence[str]) -> None:
    lines = wire.fill(caps, CAPS_LINE) or [""]
    for number, text in enumerate(lines, 1):
        client.reply("CAP", client.nick, verb, *(["*"] if number < len(lines) else []), text)


def _cap_req(client: IrcDialogue, argument: str) -> None:
    if not client.registered:
        client.negotiating = True
    caps = set(client.caps)
    words = argument.split()
    for word in words:
        change = caps.discard if word.startswith("-") else caps.add
        change(word.removeprefix("-"))
    known = all(word.removeprefix("-") in CAPS for word in words)
    agreed = known and not irc_metadata.CAPS.keys() <= caps  # each of those excludes the other
    for part in wire.fill(argument.split(" "), CAPS_LINE):  # the same words, in more than one line if need be
        client.reply("CAP", client.nick, "ACK" if agreed else "NAK", part)
    if agreed:
        client.take_caps(frozenset(caps | {"cap-notify"} if client.version >= 302 else caps))


def _cap_end(client: IrcDialogue, _: str) -> None:
    if client.negotiating:
        client.negotiating = False
        client.register()


_CAPS = {"LS": _cap_ls, "LIST": _cap_list, "REQ": _cap_req, "END": _cap_end}


# --- the server -----------------------------------------------------------------------------------------------------


def lusers(client: IrcDialogue, _: list[str]) -> None:
    """Tell how many there are."""
    network = client.network
    count = len(network.users)
    invisible, operators = network.count()
    rooms = sum(bool(room.people) for room in client.hub.rooms.awake.values())
    nick = client.nick
    seen = f"There are {count - invisible} users and {invisible} invisible on 1 servers"
    client.reply("251", nick, seen)
    client.reply("252", nick, str(operators), "operator(s) online")
    waiting = sum(other is not client for other in network.unregistered if other.user or other.username)
    client.reply("253", nick, str(waiting), "unknown connection(s)")
    client.reply("254", nick, str(rooms), "channels formed")
    client.reply("255", nick, f"I have {count} clients and 0 servers")
    for code, kind in (("265", "local"), ("266", "global")):
        text = f"Current {kind} users {count}, max {network.most}"
        client.reply(code, nick, str(count), str(network.most), text)


def _elsewhere(client: IrcDialogue, params: list[str]) -> bool:
    """Answer 402 if another server is asked; return whether that is so."""
    if params and fold(params[0]) not in (fold(client.network.name), fold(client.nick)):
        client.numeric(402, params[0])
        return True
    return False


def motd(client: IrcDialogue, params: list[str]) -> None:
    """Show the message of the day."""
    if _elsewhere(client, params):
        return
    text = client.settings.motd
    if not text:
        client.numeric(422)
        return
    client.reply("375", client.nick, f"- {client.network.name} Message of the day - ")
    for one in text.splitlines():
        client.reply("372", client.nick, f"- {clean(one)}")
    client.numeric(376)


def _version(client: IrcDialogue, params: list[str]) -> None:
    if not _elsewhere(client, params):
        client.reply(
            "351", client.nick, VERSION, client.network.name, "a chat server for every client you already have"
        )
        isupport(client)


def _time(client: IrcDialogue, params: list[str]) -> None:
    if not _elsewhere(client, params):
        client.reply("391", client.nick, client.network.name, human(client.hub.clock()))


def _info(client: IrcDialogue, params: list[str]) -> None:
    if not _elsewhere(client, params):
        client.reply("371", client.nick, f"{VERSION}: one room for nc, telnet, browsers, curl and IRC")
        client.reply("371", client.nick, f"Running since {human(client.network.started)}")
        client.numeric(374)


def _admin(client: IrcDialogue, params: list[str]) -> None:
    if _elsewhere(client, params):
        return
    if not client.settings.admin:
        client.numeric(423, client.network.name)
        return
    client.reply("256", client.nick, client.network.name, "Administrative info")
    for code in ("257", "258", "259"):
        client.reply(code, client.nick, client.settings.admin)


def _links(client: IrcDialogue, _: list[str]) -> None:
    name = client.network.name
    client.reply("364", client.nick, name, name, f"0 {client.settings.description}")
    client.numeric(365, "*")


def _stats(client: IrcDialogue, params: list[str]) -> None:
    letter = params[0][0]
    if letter == "u":
        seconds = int(client.hub.clock() - client.network.started)
        days, rest = divmod(seconds, 86400)
        hours, rest = divmod(rest, 3600)
        client.reply("242", client.nick, f"Server Up {days} days {hours}:{rest // 60:02d}:{rest % 60:02d}")
    elif letter == "o" and client.user and client.user.operator:
        for operator in client.settings.operator:
            client.reply("243", client.nick, "O", "*", "*", operator.partition(":")[0])
    client.reply("219", client.nick, letter, "End of /STATS report")


def _help(client: IrcDialogue, params: list[str]) -> None:
    subject = params[0] if params else "*"
    if subject == "*":
        lines = ["These commands are known:", *wire.fill(sorted(COMMANDS), 350)]
    elif command := COMMANDS.get(subject.upper()):
        doc = (command.run.__doc__ or "").strip() or "See https://modern.ircdocs.horse"
        lines = [subject.upper(), doc]
    else:
        client.numeric(524, subject)
        return
    for number, text in enumerate([*lines, "End of /HELP"]):
        code = "704" if not number else "706" if number == len(lines) else "705"
        client.reply(code, client.nick, subject, text)


def _oper(client: IrcDialogue, params: list[str]) -> None:
    def answer(right: bool) -> None:
        code = 381 if right else 464
        client.emit(client.line(str(code), client.nick, TEXTS[code]))
        if right and client.user and not client.user.operator:
            client.user.operator = True
            client.hub.touch(client.session)
            client.emit(wire.line(client.source, "MODE", client.nick, "+o"))

    client.hub.check_password(client.session, params[0], params[1], answer)


def _kill(client: IrcDialogue, params: list[str]) -> None:
    name, reason = params[0], clean(params[1]) if len(params) > 1 else "no reason given"
    if fold(name) == fold(client.network.name):
        client.numeric(483)
        return
    target = client.hub.directory.find(name)
    if target is None:
        client.numeric(401, name)
        return
    text = f"Killed ({client.nick} ({reason}))"
    other = client.network.client(target)
    if other:
        other.send(wire.line(client.source, "KILL", other.nick, reason))
        other.end(text, text)
    else:
        client.hub.expel(target, text)


def _wallops(client: IrcDialogue, params: list[str]) -> None:
    data = wire.line(client.source, "WALLOPS", clean(params[0]))
    for other in list(client.network.clients):
        if other.user and "w" in other.user.modes:
            other.send(data)


def _rehash(client: IrcDialogue, _: list[str]) -> None:
    client.numeric(382, "hubbub.toml")
    client.notice("Certificates are read anew on SIGHUP; everything else at the next start.")


def greeting(client: IrcDialogue, room: object) -> list[bytes]:
    """Return what follows one's own JOIN."""
    return irc_channels.greeting(client, room)  # type: ignore[arg-type]


def replay(client: IrcDialogue, entries: Sequence[Entry]) -> list[bytes]:
    """Return what was said before a client came that cannot ask for it."""
    return irc_history.replay(client, entries)


def _early(run: Callable[[IrcDialogue, list[str]], None], needs: int = 0) -> Command:
    return Command(run, needs, early=True)


COMMANDS: dict[str, Command] = {
    "CAP": _early(_cap),
    "PASS": _early(_pass, 1),
    "NICK": _early(_nick),
    "USER": _early(_user),
    "PING": _early(_ping),
    "PONG": _early(_nothing),
    "QUIT": _early(_quit),
    "LUSERS": Command(lusers),
    "MOTD": Command(motd),
    "VERSION": Command(_version),
    "TIME": Command(_time),
    "INFO": Command(_info),
    "ADMIN": Command(_admin),
    "LINKS": Command(_links),
    "STATS": Command(_stats, 1),
    "HELP": Command(_help),
    "HELPOP": Command(_help),
    "OPER": Command(_oper, 2),
    "KILL": Command(_kill, 1, operators=True),
    "WALLOPS": Command(_wallops, 1, operators=True),
    "REHASH": Command(_rehash, operators=True),
    "CONNECT": Command(_nothing, operators=True),
    "SQUIT": Command(_nothing, operators=True),
    "DIE": Command(_nothing, operators=True),
    "RESTART": Command(_nothing, operators=True),
    "JOIN": Command(irc_channels.join, 1),
    "PART": Command(irc_channels.part, 1),
    "TOPIC": Command(irc_channels.topic, 1),
    "NAMES": Command(irc_channels.names_of),
    "LIST": Command(irc_channels.list_channels),
    "INVITE": Command(irc_channels.invite),
    "KICK": Command(irc_channels.kick, 2),
    "REDACT": Command(irc_channels.redact, 2),
    "RENAME": Command(irc_channels.rename, 2),
    "MODE": Command(irc_channels.mode, 1),
    "PRIVMSG": Command(irc_talking.privmsg),
    "NOTICE": Command(irc_talking.notice),
    "TAGMSG": Command(irc_talking.tagmsg),
    "WHO": Command(irc_people.who),
    "WHOIS": Command(irc_people.whois),
    "WHOWAS": Command(irc_people.whowas),
    "USERHOST": Command(irc_people.userhost, 1),
    "ISON": Command(irc_people.ison, 1),
    "AWAY": _early(irc_people.away),
    "SETNAME": Command(irc_people.setname),
    "METADATA": _early(irc_metadata.metadata, 2),
    "MONITOR": Command(irc_people.monitor, 1),
    "CHATHISTORY": Command(irc_history.chathistory),
    "MARKREAD": Command(irc_history.markread),
    "BATCH": Command(irc_history.stray_batch),
}
