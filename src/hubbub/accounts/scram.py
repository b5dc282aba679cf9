"""The server's side of a SCRAM-SHA-256 login (RFC 5802, RFC 7677), message by message; the password is never sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubbub.accounts.hashing import MECHANISM, ScramVerifier
from hubbub.chat.users.accounts import ScramAnswer
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.text import refusals

MAX_MESSAGE = 1024  # bytes of a message, decoded

Found = Callable[[ScramVerifier | Refused], None]


class ScramExchange:
    """One login. Give it the client's messages by `step` until it answers with an account or a refusal.

    Args:
        find: asks for the verifier of a name; that of an unknown name is that of no password.
        decide: is called with the name and whether the proof was right; calls back with the account or a refusal.

    """

    def __init__(
        self,
        find: Callable[[str, Found], None],
        decide: Callable[[str, bool, Callable[[Account | Refused], None]], None],
    ) -> None:
        self._find = find
        self._decide = decide
        self._next: Callable[[str, ScramAnswer], None] = self._first
        self._verifier: ScramVerifier | None = None
        self._server: Any = None  # scramp has no types
        self._account: Account | None = None
        self.name = ""

    def step(self, message: bytes, answer: ScramAnswer) -> None:
        """Process a message of the client, and call `answer` once, now or later.

        The answer is the next message to the client; after the last one, to which clients send an empty message, it is
        the account. A refusal ends the exchange.
        """
        step, self._next = self._next, _over
        try:
            text = message.decode() if len(message) <= MAX_MESSAGE else None
        except UnicodeDecodeError:
            text = None
        if text is None:
            answer(_failed())
        else:
            step(text, answer)

    def _first(self, text: str, answer: ScramAnswer) -> None:
        from scramp import ScramException, ScramMechanism  # type: ignore[import-untyped]

        def known(name: str) -> tuple[bytes, bytes, bytes, int]:
            self.name = name
            if self._verifier is None:
                raise LookupError
            return self._verifier

        def found(verifier: ScramVerifier | Refused) -> None:
            if isinstance(verifier, Refused):
                answer(verifier)
                return
            self._verifier = verifier
            self._server = ScramMechanism(MECHANISM).make_server(known)
            self._server.set_client_first(text)
            self._next = self._final
            answer(self._server.get_server_first().encode())

        # scramp asks for the verifier from within; so the message is parsed twice, the first time for the name.
        try:
            ScramMechanism(MECHANISM).make_server(known).set_client_first(text)
        except ScramException as error:
            if not isinstance(error.__cause__, LookupError):
                answer(_failed())
                return
        self._find(self.name, found)

    def _final(self, text: str, answer: ScramAnswer) -> None:
        from scramp import ScramException

        try:
            self._server.set_client_final(text)
        except (ScramException, ValueError):
            right = False
        else:
            right = True

        def decided(outcome: Account | Refused) -> None:
            if isinstance(outcome, Refused):
                answer(outcome)
                return
            self._account = outcome
            self._next = self._end
            answer(self._server.get_server_final().encode())

        self._decide(self.name, right, decided)

    def _end(self, text: str, answer: ScramAnswer) -> None:
        assert self._account is not None
        answer(_failed() if text else self._account)


def _over(text: str, answer: ScramAnswer) -> None:
    answer(_failed())


def _failed() -> Refused:
    return refusals.LOGIN_FAILED()
