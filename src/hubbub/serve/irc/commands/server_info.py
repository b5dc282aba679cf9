"""The IRC commands about the server, and those of its operators."""

from __future__ import annotations

import logging

from msgspec import Struct

from hubbub.chat.core import Verified
from hubbub.chat.turns import OperationKind
from hubbub.model.access import Action, may
from hubbub.model.accounts.grants import with_admin
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.model.room.modes import LETTERS
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import history, modes
from hubbub.serve.irc.network import WATCHED, human
from hubbub.text import bounds, refusals
from hubbub.text.cleaning import clean
from hubbub.text.concealed import concealed
from hubbub.text.names import key_of
from hubbub.version import VERSION as NUMBER
from hubbub.wire.irc.numerics import TEXTS

log = logging.getLogger("hubbub")

VERSION = f"hubbub-{NUMBER}"


def isupport(client: IrcClient) -> None:
    """Send the server's supported features, 12 tokens a line (005)."""
    settings = client.settings
    simple = "".join(letter for letter, row in LETTERS.items() if not row.parameter)
    tokens = [
        "ACCOUNTEXTBAN=a",
        f"AWAYLEN={bounds.AWAY_BYTES}",
        "BOT=B",
        "CASEMAPPING=ascii",
        f"CHANLIMIT=#:{settings.max_rooms}",
        f"CHANMODES={LISTS},k,dfl,{simple}",
        f"CHANNELLEN={bounds.NAME_CHARS + 1}",
        "CHANTYPES=#",
        f"CHATHISTORY={history.HISTORY}",
        "ELIST=CMNTU",
        "EXCEPTS=e",
        "EXTBAN=,am",
        f"HOSTLEN={64}",
        "INVEX=I",
        f"KICKLEN={bounds.REASON_BYTES}",
        "KNOCK",
        f"MAXLIST={LISTS}:{bounds.MASKS_IN_LIST}",
        f"MODES={modes.MODES}",
        f"MONITOR={WATCHED}",
        "MSGREFTYPES=msgid,timestamp",
        f"NAMELEN={bounds.REAL_NAME_BYTES}",
        "NETWORK=" + settings.network.replace(" ", r"\x20"),
        f"NICKLEN={bounds.NAME_CHARS}",
        "PREFIX=(ov)@+",
        "SAFELIST",
        "STATUSMSG=@+",
        "TARGMAX=JOIN:,PART:,KICK:,NAMES:,WHOIS:1,WHOWAS:1,PRIVMSG:4,NOTICE:4,TAGMSG:4,MONITOR:",
        f"TOPICLEN={bounds.TOPIC_BYTES}",
        f"USERLEN={bounds.USER_NAME_CHARS}",
        "UTF8ONLY",
        "WHOX",
    ]
    if client.hub.nicks.accounts.guests == "no":
        tokens.append("draft/ACCOUNTREQUIRED")
    for start in range(0, len(tokens), 12):
        client.reply("005", client.nick, *tokens[start : start + 12], "are supported by this server")


def lusers(client: IrcClient, _: list[str]) -> None:
    """Tell how many there are."""
    network = client.network
    count = len(network.users)
    invisible, operators = network.count()
    awake = client.hub.rooms.loaded
    viewer = client.hub.viewer(client.session)
    rooms = sum(bool(room.count) and not may(viewer, Action.LIST, room.state) for room in awake.values())
    rooms += len(client.hub.remote.members.counts())
    nick = client.nick
    seen = f"There are {count - invisible} users and {invisible} invisible on 1 servers"
    client.reply("251", nick, seen)
    client.reply("252", nick, str(operators), "operator(s) online")
    waiting = sum(other is not client for other in network.unregistered if other.wanted or other.username)
    client.reply("253", nick, str(waiting), "unknown connection(s)")
    client.reply("254", nick, str(rooms), "channels formed")
    client.reply("255", nick, f"I have {count} clients and 0 servers")
    for code, kind in (("265", "local"), ("266", "global")):
        text = f"Current {kind} users {count}, max {network.most}"
        client.reply(code, nick, str(count), str(network.most), text)


def _elsewhere(client: IrcClient, params: list[str]) -> bool:
    """Return whether a command names another server; if so, reply with 402."""
    if params and key_of(params[0]) not in (key_of(client.network.name), key_of(client.nick)):
        client.numeric(402, params[0])
        return True
    return False


def services(client: IrcClient, params: list[str]) -> None:
    """CS and its long name: a service of other networks. There is none here."""
    client.notice("There is no ChanServ here. The first in a channel is its operator; NickServ manages accounts.")


def motd(client: IrcClient, params: list[str]) -> None:
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


def version(client: IrcClient, params: list[str]) -> None:
    """VERSION: show the server's version and features."""
    if not _elsewhere(client, params):
        client.reply(
            "351", client.nick, VERSION, client.network.name, "a chat server for every client you already have"
        )
        isupport(client)


def time(client: IrcClient, params: list[str]) -> None:
    """TIME: show the server's time."""
    if not _elsewhere(client, params):
        client.reply("391", client.nick, client.network.name, human(client.hub.clock()))


def info(client: IrcClient, params: list[str]) -> None:
    """INFO: show information about the server."""
    if not _elsewhere(client, params):
        client.reply("371", client.nick, f"{VERSION}: one room for nc, telnet, browsers, curl and IRC")
        client.reply("371", client.nick, f"Running since {human(client.network.started)}")
        client.numeric(374)


def admin(client: IrcClient, params: list[str]) -> None:
    """ADMIN: show how to contact the administrator."""
    if _elsewhere(client, params):
        return
    if not client.settings.admin:
        client.numeric(423, client.network.name)
        return
    client.reply("256", client.nick, client.network.name, "Administrative info")
    for code in ("257", "258", "259"):
        client.reply(code, client.nick, client.settings.admin)


def links(client: IrcClient, _: list[str]) -> None:
    """LINKS: list the servers of the network."""
    name = client.network.name
    client.reply("364", client.nick, name, name, f"0 {client.settings.description}")
    client.numeric(365, "*")


def stats(client: IrcClient, params: list[str]) -> None:
    """STATS u or o: show the uptime, or to operators the list of operators."""
    letter = params[0][0]
    if letter == "u":
        seconds = int(client.hub.clock() - client.network.started)
        days, rest = divmod(seconds, 86400)
        hours, rest = divmod(rest, 3600)
        client.reply("242", client.nick, f"Server Up {days} days {hours}:{rest // 60:02d}:{rest % 60:02d}")
    elif letter == "o" and client.session.operator:
        for operator in client.settings.operator:
            client.reply("243", client.nick, "O", "*", "*", operator.partition(":")[0])
    client.reply("219", client.nick, letter, "End of /STATS report")


def oper(client: IrcClient, params: list[str]) -> None:
    """OPER name password: log in as a server operator."""
    client.session.queue(OperAsked(params[0], params[1]))


class OperAsked(Struct, frozen=True):
    """OPER: the name and the password of a server operator must be checked."""

    name: str
    password: str

    __repr__ = concealed


def _check(client: IrcClient, asked: OperAsked, done: Verified) -> None:
    client.hub.check_login(client.session, asked.name, asked.password, done)


def _checked(client: IrcClient, asked: OperAsked, right: bool | None) -> None:
    if right is None:
        client.emit(client.line("263", client.nick, "OPER", refusals.LOGINS_BUSY().text))
        return
    code = 381 if right else 464
    client.emit(client.line(str(code), client.nick, TEXTS[code]))
    if right and client.user and not client.session.operator:
        client.user.operator, client.session.permit = True, with_admin(client.session.permit)
        client.emit(client.mode_line())
        client.hub.set_modes(client.user, client.user.modes)


OPERATIONS = (OperationKind(OperAsked, _checked, _check, moves=False),)  # it has a password


def kill(client: IrcClient, params: list[str]) -> None:
    """KILL nick :reason: disconnect a user."""
    name, reason = params[0], clean(params[1]) if len(params) > 1 else "no reason given"
    if key_of(name) == key_of(client.network.name):
        client.numeric(483)
        return
    target = client.hub.nicks.find(name)
    if target is None:
        client.numeric(401, name)
        return
    text = f"Killed ({client.nick} ({reason}))"
    log.warning("%s (%s) has disconnected %s: %s", client.nick, client.session.address, target.nick, reason)
    for session in list(target.sessions):
        if other := client.network.client(session):
            other.send(other.event(client.session, "KILL", other.nick, reason))
            other.end(text)
    client.hub.expel(target, text)


def wallops(client: IrcClient, params: list[str]) -> None:
    """WALLOPS :text: send a message to all users with mode +w."""
    for other in list(client.network.clients):
        if other.user and "w" in other.user.modes:
            other.send(other.event(client.session, "WALLOPS", clean(params[0])))


def rehash(client: IrcClient, _: list[str]) -> None:
    """REHASH: does nothing. Certificates are reloaded on SIGHUP, settings at the next start."""
    client.numeric(382, "hubbub.toml")
    client.notice("Certificates are reloaded on SIGHUP, and settings are read at the next start.")
