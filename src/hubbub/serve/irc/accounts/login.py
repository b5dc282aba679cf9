"""The IRC commands for logging in to an account: AUTHENTICATE and PASS, before or after registration.

Before registration the account is only noted: the client gets the user of its account at the end of the registration.
Sources: https://ircv3.net/specs/extensions/sasl-3.1, sasl-3.2.
"""

from __future__ import annotations

from functools import partial

from msgspec import Struct

from hubbub.chat.turns import OperationKind
from hubbub.chat.users.account_users import Outcome
from hubbub.chat.users.accounts import Checked, LoginPeer, ScramAnswer
from hubbub.chat.users.credential_checks import Start
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.serve.accept.tls import client_fingerprint
from hubbub.serve.irc.client import IrcClient, SaslExchange
from hubbub.serve.irc.commands import registration
from hubbub.serve.sockets.connection import Connection
from hubbub.text import refusals
from hubbub.text.names import key_of
from hubbub.wire.irc import sasl
from hubbub.wire.irc.numerics import TEXTS

EXTERNAL = "EXTERNAL"  # the mechanism for which the TLS handshake is the proof


def mechanisms(client: IrcClient) -> tuple[str, ...]:
    """Return the SASL mechanisms that a client can use: EXTERNAL if its certificate is valid."""
    offered = client.hub.nicks.accounts.mechanisms
    return (*offered, EXTERNAL) if offered and fingerprint(client) else offered


def fingerprint(client: IrcClient) -> str:
    """Return the fingerprint of a client's certificate; "" if there is none that is valid now.

    A gateway's certificate is not its users'. Nor is that of a proxy in front of WebSockets, so those have none.
    """
    connection = client.connection
    if client.is_behind_gateway or not isinstance(connection, Connection):
        return ""
    return client_fingerprint(connection.transport, client.hub.clock())


def is_logged_in(client: IrcClient) -> bool:
    """Return whether a client has logged in to an account."""
    return bool(client.account or (client.user and client.user.account))


def check(client: IrcClient, start: Start, done: Outcome) -> None:
    """Check a credential, and log the client in if it is right, at once or at the end of its registration.

    Args:
        client: the client; its next commands wait for the outcome.
        start: starts the check.
        done: called later, unless the client leaves: with None if it is logged in, or with the refusal.

    """

    def proven(account: Account | Refused) -> None:
        if isinstance(account, Refused):
            done(account)
            return
        client.account = account
        shown = f"{account.name}!{account.host}"
        client.reply("900", client.nick, shown, account.name, f"You are now logged in as {account.name}")
        done(None)
        if client.registered:
            _enter(client, account)
        else:
            registration.complete(client)

    client.hub.credentials.prove(client.session, start, proven)


def _enter(client: IrcClient, account: Account) -> None:
    """Give a registered client the user of its account."""

    def entered(refusal: Refused | None) -> None:
        if refusal:
            client.account = None
            client.reply("901", client.nick, client.source, f"You are now logged out. {refusal.text}")

    try:
        client.hub.account_users.log_in(client.session, account, entered)
    except Refused as refused:
        entered(refused)


# --- PASS -----------------------------------------------------------------------------------------------------------


def password(client: IrcClient, params: list[str]) -> None:
    """PASS password: give the server's password, or ACCOUNT:PASSWORD to log in, before you register."""
    given = " ".join(params)
    name, colon, secret = given.partition(":")
    if client.registered:
        client.numeric(462)
    elif not (name and colon and secret) or given == client.settings.irc_password or not mechanisms(client):
        client.password = given
    elif not is_logged_in(client):
        check(client, partial(client.hub.nicks.accounts.log_in, name, secret), partial(_passed, client))


def _passed(client: IrcClient, refusal: Refused | None) -> None:
    if refusal:
        client.reply("464", client.nick, refusal.text)


# --- AUTHENTICATE ---------------------------------------------------------------------------------------------------


def authenticate(client: IrcClient, params: list[str]) -> None:
    """AUTHENTICATE mechanism: log in to your account."""
    word = params[0]
    if word == "*":
        client.exchange = None
        client.numeric(906)
    elif client.exchange:
        _go_on(client, client.exchange, word)
    elif (mechanism := word.upper()) not in (offered := mechanisms(client)):
        if offered:
            client.numeric(908, ",".join(offered))
        _fail(client)
    else:
        scram = client.hub.nicks.accounts.scram if mechanism == "SCRAM-SHA-256" else None
        client.exchange = SaslExchange(mechanism, scram(client.hub.credentials.peer(client.session)) if scram else None)
        client.reply("AUTHENTICATE", sasl.NOTHING)


def abort(client: IrcClient) -> None:
    """End an exchange because the client ends its negotiation."""
    if client.exchange:
        client.exchange = None
        client.numeric(906)


def _go_on(client: IrcClient, exchange: SaslExchange, chunk: str) -> None:
    response = exchange.reader.add(chunk)
    if response is None:
        return
    if isinstance(response, sasl.SaslFault):
        client.exchange = None
        if response is sasl.SaslFault.TOO_LONG:
            client.numeric(905)
        else:
            _fail(client)
    elif exchange.scram:
        client.session.start(ScramResponse(response))
    else:
        client.exchange = None
        if start := (_external if exchange.mechanism == EXTERNAL else _plain)(client, response):
            check(client, start, partial(_answer, client))
        else:
            _fail(client)


def _plain(client: IrcClient, response: bytes) -> Start | None:
    """Return the start of the login of a response of PLAIN; None if the response is not valid."""
    credentials = sasl.read_plain(response)
    return credentials and partial(client.hub.nicks.accounts.log_in, credentials.name, credentials.secret)


def _external(client: IrcClient, response: bytes) -> Start | None:
    """Return the start of the login of a response of EXTERNAL; None if the response is not valid.

    Nobody can log in with the certificate of one account and act as another.
    """
    name, shown = sasl.read_external(response), fingerprint(client)
    if name is None or not shown:
        return None

    def start(peer: LoginPeer, done: Checked) -> None:
        def known(account: Account | Refused) -> None:
            wrong = isinstance(account, Account) and name and key_of(name) != key_of(account.name)
            done(refusals.CERTIFICATE_UNKNOWN() if wrong else account)

        client.hub.nicks.accounts.by_certificate(shown, known)

    return start


class ScramResponse(Struct, frozen=True):
    """A message of a client in its login by SCRAM."""

    message: bytes


def _scram(client: IrcClient, response: ScramResponse, done: ScramAnswer) -> None:
    assert client.exchange and client.exchange.scram
    client.exchange.scram.step(response.message, done)


def _scram_answered(client: IrcClient, _: ScramResponse, answer: bytes | Account | Refused) -> None:
    if isinstance(answer, bytes):
        for chunk in sasl.chunks(answer):
            client.reply("AUTHENTICATE", chunk)
        return
    client.exchange = None
    if isinstance(answer, Refused):
        _answer(client, answer)
    else:
        check(client, lambda peer, done: done(answer), partial(_answer, client))


def _answer(client: IrcClient, refusal: Refused | None) -> None:
    if refusal is None:
        client.numeric(903)
    elif refusal.code == "logged-in-already":
        client.numeric(907)
    elif refusal.code == "account-closed":
        client.reply("902", client.nick, refusal.text)
    else:
        _fail(client, refusal)


def _fail(client: IrcClient, refusal: Refused | None = None) -> None:
    client.reply("904", client.nick, f"{TEXTS[904]}. {refusal.text}" if refusal else TEXTS[904])


# The other side of the exchange is an object of this process.
OPERATIONS = (OperationKind(ScramResponse, _scram_answered, _scram, at_once=True, moves=False),)
