"""The IRC commands for registration and connection: NICK, USER, WEBIRC, PING, QUIT.

Source: https://modern.ircdocs.horse
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

from msgspec import Struct

from hubbub.chat.core import Verified
from hubbub.chat.session import User, owner
from hubbub.chat.turns import ClientStep, OperationKind, StepTable, no_reply
from hubbub.chat.users.name_requests import NameWanted
from hubbub.errors import Refused
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.model.room.modes import LETTERS
from hubbub.serve.accept.address import origin
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import history, metadata, modes, server_info
from hubbub.serve.irc.network import human
from hubbub.text import bounds, names, refusals
from hubbub.text.addresses import is_loopback
from hubbub.text.cleaning import real_name, reason_of
from hubbub.text.concealed import concealed
from hubbub.text.names import key_of
from hubbub.wire.irc.numerics import REFUSALS

log = logging.getLogger("hubbub")

NEEDS_LOGIN = frozenset({"name-registered", "account-required"})  # codes of refusals that end with a login


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
    client.send(client.mode_line())
    history.catch_up(client)


def _refuse_nick(client: IrcClient, refusal: Refused, name: str) -> None:
    """Send the numeric for a refused nick with its reason: 437 if the other nodes could not be asked.

    If the nick is registered, say how its owner logs in.
    """
    shown = name if name and " " not in name and not name.startswith(":") else "*"
    if refusal.code == "account-required":
        client.fail("*", "ACCOUNT_REQUIRED", refusal.text)
        _tell_how_to_register(client, shown)
    else:
        client.reply(str(REFUSALS[refusal.code] or 437), client.nick, shown, refusal.text)
    if refusal.code == "name-registered":
        way = f"/msg NickServ IDENTIFY {shown} PASSWORD" if client.registered else f"/quote PASS {shown}:PASSWORD"
        client.notice(f"{shown} is registered. If the name is yours, log in: use SASL, or type {way}")


def _tell_how_to_register(client: IrcClient, name: str) -> None:
    rule = client.hub.nicks.accounts.registration
    if rule != "closed":
        invited = f", and then /quote VERIFY {name} INVITATION" if rule == "invite" else ""
        client.notice(f"To register {name}, type /quote REGISTER * * PASSWORD{invited}")


def _want(client: IrcClient, name: str) -> None:
    """Note the nick that the client asks for, and register it if possible. The nick is reserved at registration."""
    client.asked = name
    try:
        client.wanted = names.typed_name(name) if client.account else client.hub.nicks.check_free(name)
    except Refused as refusal:
        if refusal.code in NEEDS_LOGIN and client.negotiating:  # the client may still log in
            client.wanted = names.typed_name(name)
        elif not client.hub.naming.make_free(client.session, refusal, NickProbe(name)):
            _refuse_nick(client, refusal, name)
        return
    complete(client)


class NickProbe(NameWanted, frozen=True):
    """A client that registers waits until it is known whether the holder of its nick is still connected."""


def _probe(client: IrcClient, wanted: NickProbe, done: Callable[[None], None]) -> None:
    client.hub.naming.probe(client.session, wanted, done)


def _want_again(client: IrcClient, wanted: NickProbe, _: object) -> None:
    try:
        client.wanted = client.hub.nicks.check_free(wanted.name)
    except Refused as refusal:
        _refuse_nick(client, refusal, wanted.name)
    else:
        complete(client)


def complete(client: IrcClient) -> None:
    """Register the client once NICK and USER have come and CAP negotiation is over.

    A wrong server password disconnects the client. A nick that is taken by now is refused. A client that has logged in
    is given the name of its account as its nick, whichever it asked for.
    """
    named = client.wanted or (client.account and client.asked)
    if client.registered or client.negotiating or not named or not client.username:
        return
    if client.settings.irc_password and client.password != client.settings.irc_password:
        client.numeric(464)
        client.end("Password incorrect")
        return
    try:
        if client.account:
            client.hub.account_users.log_in(client.session, client.account, partial(_logged_in, client))
        else:
            user, nick = client.hub.nicks.claim(client.wanted)
            if client.hub.nicks.names is None:
                _come_in(client, user, None)
            else:
                client.session.start(NickClaim(nick))
    except Refused as refusal:
        _not_called(client, refusal)


class NickClaim(NameWanted, frozen=True):
    """A client that registers waits for the cluster to give it its nick."""


def _claim(client: IrcClient, claim: NickClaim, done: Callable[[None], None]) -> None:
    user = client.hub.nicks.users[key_of(claim.name)]  # it is claimed on this node already

    def claimed(refusal: Refused | None) -> None:
        _come_in(client, user, refusal)
        done(None)

    client.hub.naming.claim(client.session, claim.name, claimed)


def _come_in(client: IrcClient, user: User, refusal: Refused | None) -> None:
    """Complete the registration of a guest with the reserved nick, or send the refusal of the nick."""
    if refusal or client.session.closed:
        client.hub.nicks.release_all(user)
        if refusal and not client.session.closed:
            _not_called(client, refusal)
        return
    client.session.host = f"~{client.username}@{client.connection.cloak}.irc"
    _describe(client, user)
    client.hub.naming.attach(client.session, user)
    _registered(client)


def _logged_in(client: IrcClient, refusal: Refused | None) -> None:
    """Complete the registration of somebody with an account."""
    if refusal:
        _not_called(client, refusal)
        return
    user = owner(client.session)
    if len(user.sessions) == 1:
        _describe(client, user)
        client.hub.touch(client.session)
    _registered(client)


def _describe(client: IrcClient, user: User) -> None:
    """Give a user the real name and the away message that a client has set before its registration."""
    user.real = client.real
    user.away = client.away if client.hub.may_describe(client.session) else ""


def _registered(client: IrcClient) -> None:
    client.registered = True
    client.network.unregistered.discard(client)
    client.network.clients.add(client)
    log.info("%s (%s) has joined", client.nick, client.connection.peer)
    client.connection.on_timer()
    welcome(client)


def _not_called(client: IrcClient, refusal: Refused) -> None:
    name, client.wanted = client.wanted, ""
    _refuse_nick(client, refusal, name)


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
        client.hub.naming.rename(client.session, name, ClientStep("NICK refused", (name,)))
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
    complete(client)


def _username(text: str) -> str:
    """Return a valid user name like the one that a client sent: without accents and without invalid characters."""
    plain = unicodedata.normalize("NFKD", text[: 4 * bounds.USER_NAME_CHARS])
    kept = "".join(char for char in plain if char.isascii() and (char.isalnum() or char in "_.-"))
    return kept[: bounds.USER_NAME_CHARS] or "user"


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
        client.session.queue(GatewayCheck(params[0], address, safe))


class GatewayCheck(Struct, frozen=True):
    """WEBIRC: the password of a gateway must be checked. It speaks for a user at an address, `safe` if encrypted."""

    password: str
    address: str
    safe: bool

    __repr__ = concealed


def _verify_gateway(client: IrcClient, asked: GatewayCheck, done: Verified) -> None:
    client.network.verify_gateway(asked.password, done)


def _speak_for(client: IrcClient, asked: GatewayCheck, right: bool | None) -> None:
    if right is None:
        client.end(refusals.LOGINS_BUSY().text)
    elif not right:
        client.end("WEBIRC password incorrect")
    elif refused := client.connection.set_origin((asked.address, 0), origin(asked.address)):
        client.end(refused.text)
    else:
        client.is_behind_gateway = True
        client.session.address = client.connection.origin
        client.session.secure = asked.safe


def _nick_refused(client: IrcClient, name: str, refusal: Refused) -> None:
    _refuse_nick(client, refusal, name)


STEPS: StepTable = {"NICK refused": _nick_refused}
# A client that is not registered is not moved, and the password of a gateway is a secret.
OPERATIONS = (
    OperationKind(NickProbe, _want_again, _probe, at_once=True, moves=False),
    OperationKind(NickClaim, no_reply, _claim, at_once=True, moves=False),
    OperationKind(GatewayCheck, _speak_for, _verify_gateway, moves=False),
)


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
