"""The prompt for the password of a registered name on the line wire."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hubbub.chat.hub import Hub
from hubbub.chat.session import Session
from hubbub.errors import Refused
from hubbub.text.names import LOBBY
from hubbub.wire.line.encoder import RAW
from hubbub.wire.line.reader import LineReader

TRIES = 3
UNCHECKED = ("busy", "too-many-logins")  # codes of refusals without a check of the answer, which count as no try


class PasswordPrompt:
    """Ask for the password or a code of a registered name, at most TRIES times.

    A telnet client does not show the answer.

    Args:
        hub: checks the answers.
        session: the session, which has no user yet.
        name: the registered name.
        reader: the reader of the peer's lines.
        write: sends bytes to the peer.
        done: called at the end with None when the session is logged in, or with a sentence that says why it is not.

    """

    def __init__(
        self,
        hub: Hub,
        session: Session,
        name: str,
        reader: LineReader,
        write: Callable[[bytes], None],
        done: Callable[[str | None], None],
    ) -> None:
        self._hub = hub
        self._session = session
        self._name = name
        self._reader = reader
        self._telnet = reader.telnet if reader.telnet and reader.telnet.spoken else None
        self._write = write
        self._done = done
        self._tries = 0
        self._hides = False
        self.waits = False  # an answer is being checked
        self._end_of_line = "\n" if session.encoder is RAW else "\r\n"
        self._ask(f"{name} is registered. ")

    def _ask(self, reason: str) -> None:
        seen = "" if self._telnet else " (it can be seen)"
        self._write(f"{reason}Password or code{seen}: ".encode())
        if self._telnet:
            self._hides = True
            self._write(self._telnet.hide_input())

    def end(self) -> bytes:
        """Return the bytes that let the peer's client show its input again; b"" if it shows it."""
        hides, self._hides = self._hides, False
        return self._telnet.show_input() + b"\r\n" if hides and self._telnet else b""

    def answer(self, line: str) -> None:
        """Check an answer. An empty one asks for another name."""
        self._write(self.end())
        if not line:
            self._done("")
            return
        self.waits = True
        start = partial(self._hub.nicks.accounts.log_in, self._name, line)
        self._hub.account_users.check(self._session, start, self._checked)

    def _checked(self, refusal: Refused | None) -> None:
        self.waits = False
        self._tries += refusal is None or refusal.code not in UNCHECKED
        # Lines that arrived before the refusal come from a program: they are messages, not more tries.
        asks_again = self._tries < TRIES and not self._reader.has_line()
        if refusal and refusal.code != "account-closed" and asks_again:
            self._ask(f"{refusal.text}{self._end_of_line}")
            return
        if refusal is None and not self._session.rooms:
            self._hub.rooms.join(self._session, LOBBY)
        self._done(refusal.text if refusal else None)
