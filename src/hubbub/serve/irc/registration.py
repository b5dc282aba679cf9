"""The IRC commands for registration and connection: NICK, USER, PASS, CAP, WEBIRC, PING, QUIT.

Sources: https://modern.ircdocs.horse; ircv3.net for capabilities.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address

from hubbub.chat.session import User
from hubbub.chat.turns import Operation
from hubbub.errors import Refused
from hubbub.model.room.mask_lists import LISTS
from hubbub.model.room.modes import LETTERS
from hubbub.serve.accept.address import origin
from hubbub.serve.irc import metadata, modes, server_info
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.network import human
from hubbub.text import bounds
from hubbub.text.addresses import is_loopback
from hubbub.text.cleaning import real_name, reason_of
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import MULTILINE, SHOWING, form_of
from hubbub.wire.irc.numerics import REFUSALS

log = logging.getLogger("hubbub")

CAPS_LINE = 400  # bytes of capabilities in a line of an answer to CAP REQ
# The value of each capability, "" for none. Draft capabilities have the names that clients know.
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
    "znc.in/self-message": "",
    "draft/no-implicit-names": "",
    "draft/pre-away": "",
    "draft/chathistory": "",
    "draft/event-playback": "",
    "draft/read-marker": "",
    "draft/message-redaction": "",
    "draft/channel-rename": "",
    MULTILINE: f"max-bytes={bounds.MULTILINE_BYTES},max-lines={bounds.MULTILINE_LINES}",
    **metadata.CAPS,
}
# Older names and forms of other capabilities: granted on request, but not listed. The list must fit in one line,
# because some clients do not understand a list of several lines and then use no capability at all.
UNLISTED = frozenset({"draft/no-implicit-names", "znc.in/self-message", metadata.SECOND})


def welcome(client: IrcClient) -> None:
    """Send the welcome to a newly registered client, in the order of RFC 2812, section 5.1.

    The first line contains the nick without a host. Some clients would resolve a host there for DCC, and a cloak cannot
    be resolved.
    """
    network = client.network
    name = network.name
    client.reply("001", client.nick, f"Welcome to the {network.settings.network} Network, {client.nick}")
    client.reply("002", client.nick, f"Your host is {name}, running version {server_info.VERSION}")
    client.reply("003", client.nick, f"This server was created {human(network.started)}")
    client.reply(
        "004", client.nick, name, server_info.VERSION, modes.USER_MODES, "".join(LETTERS), "".join(LISTS) + "klov"
    )
    server_info.isupport(client)
    server_info.lusers(client, [])
    metadata.welcome(client)
    server_info.motd(client, [])


def _refuse_nick(client: IrcClient, refusal: Refused, name: str) -> None:
    """Send the numeric for a refused nick: 437 if the other nodes could not be asked, else that of the refusal."""
    shown = name if name and " " not in name and not name.startswith(":") else "*"
    if code := REFUSALS[refusal.code]:
        client.numeric(code, shown)
    else:  # the other nodes could not be asked
        client.reply("437", client.nick or "*", shown, refusal.text)


def _want(client: IrcClient, name: str) -> None:
    """Note the nick that the client asks for, and register it if possible. The nick is reserved at registration."""
    try:
        client.wanted = client.hub.nicks.check_free(name)
    except Refused as refusal:
        if not client.hub.naming.make_free(client.session, name, refusal, partial(_want_again, client, name)):
            _refuse_nick(client, refusal, name)
        return
    _register(client)


def _want_again(client: IrcClient, name: str) -> None:
    try:
        client.wanted = client.hub.nicks.check_free(name)
    except Refused as refusal:
        _refuse_nick(client, refusal, name)
    else:
        _register(client)


def _register(client: IrcClient) -> None:
    """Register the client once NICK and USER have come and CAP negotiation is over.

    A wrong server password disconnects the client. A nick that is taken by now is refused.
    """
    if client.registered or client.negotiating or not client.wanted or not client.username:
        return
    if client.settings.irc_password and client.password != client.settings.irc_password:
        client.numeric(464)
        client.end("Password incorrect")
        return
    try:
        user, nick = client.hub.nicks.claim(client.wanted)
    except Refused as refusal:
        _not_called(client, refusal)
    else:
        client.hub.naming.reserve(client.session, nick, partial(_come_in, client, user))


def _come_in(client: IrcClient, user: User, refusal: Refused | None) -> None:
    """Complete the registration with the reserved nick, or send the refusal of the nick."""
    if refusal or client.session.closed:
        client.hub.nicks.release_all(user)
        if refusal and not client.session.closed:
            _not_called(client, refusal)
        return
    client.user = user
    client.registered = True
    client.network.unregistered.discard(client)
    client.network.clients.add(client)
    client.session.host = f"~{client.username}@{client.connection.cloak}.irc"
    client.user.real = client.real
    client.user.away = client.away
    client.hub.naming.attach(client.session, client.user)
    log.info("%s (%s) has joined", client.nick, client.connection.peer)
    client.connection.on_timer()
    welcome(client)


def _not_called(client: IrcClient, refusal: Refused) -> None:
    name, client.wanted = client.wanted, ""
    _refuse_nick(client, refusal, name)


def password(client: IrcClient, params: list[str]) -> None:
    """PASS password: give the server's password before you register."""
    if client.registered:
        client.numeric(462)
    else:
        client.password = " ".join(params)


def nick(client: IrcClient, params: list[str]) -> None:
    """NICK name: set your nick."""
    if not params or not params[0]:
        client.numeric(431)
        return
    name = params[0]
    if not client.registered:
        _want(client, name)
        return
    if name == client.nick:
        return
    try:
        client.hub.naming.rename(client.session, name, lambda refusal: _refuse_nick(client, refusal, name))
    except Refused as refusal:
        _refuse_nick(client, refusal, name)


def user(client: IrcClient, params: list[str]) -> None:
    """USER name 0 * :real name: give your user name and real name, once."""
    if client.registered:
        client.numeric(462)
        return
    if len(params) < 4 or not params[0] or not params[3]:
        client.numeric(461, "USER")
        return
    client.username = _username(params[0])
    client.real = real_name(params[3])
    _register(client)


def _username(text: str) -> str:
    """Return a valid user name like the one that a client sent: without accents and without invalid characters."""
    plain = unicodedata.normalize("NFKD", text[: 4 * bounds.USER_NAME_CHARS])
    kept = "".join(char for char in plain if char.isascii() and (char.isalnum() or char in "_.-"))
    return kept[: bounds.USER_NAME_CHARS] or "user"


def authenticate(client: IrcClient, params: list[str]) -> None:
    """AUTHENTICATE mechanism: log in. This fails, because there are no accounts; clients continue without."""
    client.numeric(906 if params[0] == "*" else 904)


def webirc(client: IrcClient, params: list[str]) -> None:
    """WEBIRC password gateway host address [options]: for web gateways, give the address of the user.

    Source: https://ircv3.net/specs/extensions/webirc
    """
    where = client.connection.peer[0]
    options = params[4].split() if len(params) > 4 else []
    try:
        address = str(ip_address(params[3]))
    except ValueError:
        address = ""
    if client.registered:
        client.numeric(462)
    elif not address or not client.network.is_gateway(where):
        client.end("WEBIRC is not accepted from your address")
    else:
        safe = "secure" in options and (client.connection.encrypted or is_loopback(origin(where)))
        start = partial(client.network.verify_gateway, params[0])
        client.session.queue(Operation("gateway", address, start, partial(_speak_for, client, address, safe)))


def _speak_for(client: IrcClient, address: str, safe: bool, right: bool) -> None:
    if not right:
        client.end("WEBIRC password incorrect")
    elif refused := client.connection.set_origin((address, 0), origin(address)):
        client.end(refused.text)
    else:
        client.session.address = client.connection.origin
        client.session.secure = safe


def starttls(client: IrcClient, params: list[str]) -> None:
    """STARTTLS: always refused. Connect with TLS instead."""
    client.numeric(691)


def http(client: IrcClient) -> None:
    """Disconnect a client that speaks HTTP: a request that a web page triggers must not run as IRC commands."""
    client.end("This is IRC, not HTTP")


def quit(client: IrcClient, params: list[str]) -> None:
    """QUIT [reason]: disconnect from the server."""
    why = reason_of(params[0]) if params else ""
    client.end(f"Quit: {why}", why)


def ping(client: IrcClient, params: list[str]) -> None:
    """PING token: ask for a PONG, which comes after all your earlier messages were delivered."""
    if not params or not params[0]:
        client.numeric(409)
    else:
        client.hub.after_earlier_entries(client.session)
        client.reply("PONG", client.network.name, params[0])


def nothing(client: IrcClient, params: list[str]) -> None:
    """PONG and messages that only servers send: ignored."""


def cap(client: IrcClient, params: list[str]) -> None:
    """CAP LS, LIST, REQ or END: list or request capabilities."""
    if not params:
        client.numeric(461, "CAP")
        return
    verb, *rest = params
    act = _CAPS.get(verb.upper())
    if act is None:
        client.numeric(410, verb)
    else:
        act(client, rest[-1] if rest else "")


def _cap_ls(client: IrcClient, argument: str) -> None:
    if not client.registered:
        client.negotiating = True
    asked = int(argument[:6]) if argument.isascii() and argument.isdigit() else 0
    client.version = max(client.version, asked)
    if client.version >= 302 and "cap-notify" not in client.caps:
        _set_caps(client, client.caps | {"cap-notify"})
    listed = {name: value for name, value in CAPS.items() if name not in UNLISTED}
    if asked < 302:
        client.reply("CAP", client.nick, "LS", " ".join(listed))
        return
    _tell_caps(client, "LS", [f"{name}={value}" if value else name for name, value in listed.items()])


def _cap_list(client: IrcClient, _: str) -> None:
    shown = [name for name in CAPS if name in client.caps and (name != "cap-notify" or client.version < 302)]
    _tell_caps(client, "LIST", shown)


def _space_for_caps(client: IrcClient, verb: str) -> int:
    """Return the number of bytes of capabilities that fit in a line."""
    return wire.MAX_LINE - len(f":{client.network.name} CAP {client.nick} {verb} :\r\n".encode())


def _tell_caps(client: IrcClient, verb: str, caps: Sequence[str]) -> None:
    """Send capabilities in one line if they fit, else in several lines, with a `*` in all but the last."""
    text, space = " ".join(caps), _space_for_caps(client, verb)
    lines = [text] if len(text.encode()) <= space else wire.fill(caps, space - len("* "))
    for number, text in enumerate(lines, 1):
        client.reply("CAP", client.nick, verb, *(["*"] if number < len(lines) else []), text)


def _cap_req(client: IrcClient, argument: str) -> None:
    if not client.registered:
        client.negotiating = True
    caps = set(client.caps)
    words = argument.split()
    for word in words:
        change = caps.discard if word.startswith("-") else caps.add
        change(word.removeprefix("-"))
    known = all(word.removeprefix("-") in CAPS for word in words)
    agreed = known and not metadata.CAPS.keys() <= caps  # the two versions exclude each other
    for part in wire.fill(argument.split(" "), CAPS_LINE):  # the requested words, in several lines if necessary
        client.reply("CAP", client.nick, "ACK" if agreed else "NAK", part)
    if agreed:
        _set_caps(client, frozenset(caps | {"cap-notify"} if client.version >= 302 else caps))


def _set_caps(client: IrcClient, caps: frozenset[str]) -> None:
    """Replace the client's capabilities, and the encoder of its session to match."""
    metadata.on_caps_changed(client, caps)
    client.caps = caps
    client.hub.set_encoder(client.session, form_of(caps & SHOWING))


def _cap_end(client: IrcClient, _: str) -> None:
    if client.negotiating:
        client.negotiating = False
        _register(client)


_CAPS = {"LS": _cap_ls, "LIST": _cap_list, "REQ": _cap_req, "END": _cap_end}
