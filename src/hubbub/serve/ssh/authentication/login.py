"""The login over ssh: which keys and answers are accepted, and which identity they give a peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

import asyncssh

from hubbub.chat.users.accounts import Accounts, Checked, LoginPeer
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.serve.ssh.authentication.identity import SshIdentity
from hubbub.serve.ssh.authentication.key_file import KeyFile
from hubbub.text import refusals
from hubbub.text.cleaning import SHOWN, clean
from hubbub.text.names import check_name

Question = tuple[str, str, str, Sequence[tuple[str, bool]]]  # title, reason, language; prompts, and whether they echo

TRIES = 6  # keys and answers that are refused; the next one ends the connection
# Names that clients send because their user is called so on the machine, not in the chat.
LOCAL_NAMES = frozenset({"root", "pi", "user", "admin", "ubuntu", "debian", "ec2-user", "guest", "test"})


class LoginOwner(Protocol):
    """The peer that logs in."""

    login: SshLogin | None

    @property
    def origin(self) -> str:
        """The address under which it is counted."""
        ...

    def logged_in(self) -> None:
        """Let the peer in: its login is complete, and it may open channels."""
        ...

    def new_channel(self) -> asyncssh.SSHServerSession[bytes] | None:
        """Return a new channel; None if the peer has enough of them."""
        ...


def wished_name(username: str) -> str:
    """Return the name that a client's user name asks for; "" if it is not a name of the chat."""
    if username.casefold() in LOCAL_NAMES:
        return ""
    try:
        return check_name(username)
    except Refused:
        return ""


class SshLogin(asyncssh.SSHServer):
    """Decides about the login of one peer. asyncssh calls it; its methods have the names that asyncssh gives them.

    Clients ask first whether a key would do, without a signature. That proves nothing, so a key counts only when the
    login is complete and no other way was tried after it.

    Args:
        accounts: the accounts.
        key_file: the keys that the operator lets in.

    """

    def __init__(self, accounts: Accounts, key_file: KeyFile) -> None:
        self.identity = SshIdentity()
        self._accounts = accounts
        self._key_file = key_file
        self._connection: asyncssh.SSHServerConnection
        self._peer: LoginOwner
        self._refused = 0  # keys and answers
        self._key = ""  # the fingerprint of the last key that was offered

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Find the peer by the connection that asyncssh has made for it."""
        self._connection = conn
        self._peer = cast(LoginOwner, conn.get_extra_info("peer"))
        self._peer.login = self

    @property
    def connection(self) -> asyncssh.SSHServerConnection:
        """The connection as asyncssh knows it."""
        return self._connection

    def begin_auth(self, username: str) -> bool:
        """Note the name; return True, because a login is needed: a client that may skip it never shows a key."""
        self.identity = SshIdentity(wished_name(username))
        return True

    async def auth_completed(self) -> None:
        """Let the peer in, unless the account of its key is closed. Raises DisconnectError."""
        identity = self.identity
        if identity.key and identity.account is None:
            outcome = await self._account_of(identity.key, identity.vouched)
            if isinstance(outcome, Refused):
                raise asyncssh.DisconnectError(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, outcome.text)
            identity.account = outcome
        self._peer.logged_in()

    async def _account_of(self, key: SshKey, vouched: str) -> Account | Refused | None:
        """Return the account of a key that the peer has signed with; None for a guest's."""
        if vouched:
            return await _answer(partial(self._accounts.by_trusted_name, vouched))
        if self._accounts.owner_of_ssh_key(key.fingerprint):
            return await _answer(partial(self._accounts.by_ssh_key, key.fingerprint))
        return None

    def session_requested(self) -> asyncssh.SSHServerSession[bytes] | bool:
        """Return a new channel for a session; False if the peer has enough of them."""
        return self._peer.new_channel() or False

    # --- keys -----------------------------------------------------------------------------------------------------

    def public_key_auth_supported(self) -> bool:
        """Return True: keys are accepted."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Return whether a signature with a key would do. It is not there yet, or it is not checked yet."""
        fingerprint, wished = key.get_fingerprint(), self.identity.wished
        vouched = self._key_file.name_of(key, self._peer.origin)
        self.identity = SshIdentity(wished)
        if not (vouched or self._accounts.owner_of_ssh_key(fingerprint) or self._takes_guest(wished)):
            if fingerprint != self._key:
                self._key = fingerprint
                self._refuse()
            return False
        # The key of a guest is accepted though the client may have another one that belongs to an account. No client
        # says whether it has more, and if this one were refused, clients that have nothing else would not get in:
        # OpenSSH in its batch mode answers no questions, and libraries do so only on request.
        self._key = fingerprint
        self.identity = SshIdentity(wished, SshKey(fingerprint=fingerprint, kind=key.get_algorithm()), vouched)
        return True

    def _takes_guest(self, wished: str) -> bool:
        """Return whether somebody without an account may come in under a name, at least to register it."""
        accounts = self._accounts
        return accounts.find(wished) is None and (accounts.guests != "no" or accounts.registration != "closed")

    def _refuse(self) -> None:
        """Count a refusal. Raises DisconnectError after too many."""
        self._refused += 1
        if self._refused >= TRIES:
            raise asyncssh.DisconnectError(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many attempts")

    # --- passwords and codes --------------------------------------------------------------------------------------

    def kbdint_auth_supported(self) -> bool:
        """Return True: questions are asked."""
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Question | bool:
        """Return the question for the password of a registered name; True for a guest, because guests get none."""
        self.identity = SshIdentity(self.identity.wished)
        if account := self._accounts.find(self.identity.wished):
            return self._question(f"{account.name} is registered.")
        if self._takes_guest(self.identity.wished):
            return True
        self._connection.send_auth_banner(f"{refusals.NEWCOMERS_REFUSED().text}\r\n")
        self._refuse()
        return False

    def _question(self, reason: str) -> Question:
        return "", reason, "", [("Password or code: ", False)]

    async def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> Question | bool:
        """Check a password or a code. Return True if it is right, else the question again."""
        wished = self.identity.wished
        if len(responses) != 1 or not wished:
            self._refuse()
            return False
        peer = LoginPeer(self._peer.origin, True)
        outcome = await _answer(partial(self._accounts.log_in, wished, responses[0], peer))
        if isinstance(outcome, Account):
            self.identity = SshIdentity(wished, account=outcome)
            return True
        self._refuse()
        return self._question(outcome.text)

    # --- for the log ----------------------------------------------------------------------------------------------

    @property
    def description(self) -> str:
        """The peer in the log: the name, the fingerprint of the key and the client's version, cleaned."""
        identity = self.identity
        version = clean(str(self._connection.get_extra_info("client_version", ""))[:SHOWN])
        key = identity.key.fingerprint if identity.key else "no key"
        return f"{identity.wished or 'no name'}, {key}, {version}"


async def _answer(start: Callable[[Checked], None]) -> Account | Refused:
    """Return the outcome of a check."""
    checked: asyncio.Future[Account | Refused] = asyncio.get_running_loop().create_future()

    def done(outcome: Account | Refused) -> None:
        if not checked.done():  # the peer may have gone
            checked.set_result(outcome)

    start(done)
    return await checked
