"""The prompts for a secret on the line wire: the password of a registered name, or one to register a name with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from hubbub.accounts.hashing import check_password
from hubbub.chat.hub import Hub
from hubbub.chat.session import Session
from hubbub.errors import Refused
from hubbub.serve.terminal.line_output import PeerOutput
from hubbub.text import refusals
from hubbub.wire.line.encoder import RAW

TRIES = 3
UNCHECKED = ("busy", "too-many-logins")  # codes of refusals without a check of the answer, which count as no try
ANOTHER = "Press Enter for another name: "


class LineSource(Protocol):
    """The reader of a peer's lines."""

    def has_line(self) -> bool:
        """Return whether a complete line waits to be taken."""
        ...


class SecretPrompt:
    """Ask a peer that has no user yet for secrets, until it is logged in, gives up, or has had TRIES tries.

    The answers are not shown over telnet and ssh.

    Args:
        hub: checks the answers.
        session: the session.
        name: the name that the peer wants to have.
        reader: the reader of the peer's lines.
        output: shows the questions.
        done: called at the end with None when the session is logged in, or with a sentence that says why it is not.

    """

    def __init__(
        self,
        hub: Hub,
        session: Session,
        name: str,
        reader: LineSource,
        output: PeerOutput,
        done: Callable[[str | None], None],
    ) -> None:
        self._hub = hub
        self._session = session
        self._name = name
        self.reader = reader
        self.output = output
        self._done = done
        self._tries = 0
        # The tries are used up. A name is asked for only after Enter: a further password would become a public name.
        self._is_over = False
        self._end_of_line = "\n" if session.encoder is RAW else "\r\n"
        self._begin()

    def _begin(self) -> None:
        """Ask the first question, which is the prompt for the first answer."""
        raise NotImplementedError

    def _take(self, line: str) -> None:
        """Take an answer that is not empty."""
        raise NotImplementedError

    def _ask_again(self, refusal: Refused) -> None:
        """Ask once more after a refusal."""
        raise NotImplementedError

    def _ask(self, question: str) -> None:
        self.output.ask(question, secret=True)

    def _seen(self, text: str) -> str:
        """Return a text if the peer's input can be seen, else ""."""
        return "" if self.output.hides_secrets else text

    def answer(self, line: str) -> None:
        """Take an answer. An empty one asks for another name."""
        self.output.answered()
        if not line:
            self._done("")
        elif self._is_over:
            self._ask(ANOTHER)
        else:
            self._take(line)

    def _checked(self, refusal: Refused | None) -> None:
        self._tries += refusal is None or refusal.code not in UNCHECKED
        if refusal is None:
            self._hub.rooms.enter_first(self._session)
            self._done(None)
        # Lines that arrived before the refusal come from a program: they are messages, not more tries.
        elif refusal.code == "account-closed" or self.reader.has_line():
            self._done(refusal.text)
        elif self._tries < TRIES:
            self._ask_again(refusal)
        else:
            self._is_over = True
            self._ask(f"{refusal.text}{self._end_of_line}{ANOTHER}")


class PasswordPrompt(SecretPrompt):
    """Ask for the password or a code of a registered name."""

    def _begin(self) -> None:
        self._ask(f"{self._name} is registered. {self._question}")

    @property
    def _question(self) -> str:
        takes_passwords = self._hub.nicks.accounts.takes_passwords(self._hub.credentials.peer(self._session))
        return (
            f"{'Password or code' if takes_passwords else 'Code of another device'}{self._seen(' (it can be seen)')}: "
        )

    def _ask_again(self, refusal: Refused) -> None:
        self._ask(f"{refusal.text}{self._end_of_line}{self._question}")

    def _take(self, line: str) -> None:
        start = partial(self._hub.nicks.accounts.log_in, self._name, line)
        self._hub.credentials.check(self._session, start, self._checked)


class RegistrationPrompt(SecretPrompt):
    """Ask for a password with which a name is registered, twice, and before that for an invitation if one is needed.

    It is asked for twice: the lines of a program that knows nothing of the question must not become a password.
    """

    def _begin(self) -> None:
        self._code = ""
        self._password = ""
        self._ask(f"Only people with an account may come in. To register {self._name}, {self._question}")

    @property
    def _needs_code(self) -> bool:
        return self._hub.nicks.accounts.registration == "invite" and not self._code

    @property
    def _question(self) -> str:
        if self._needs_code:
            return "type your invitation code: "
        if self._session.ssh_key:
            return "which your ssh key is enough for, type yes: "
        return f"choose a password{self._seen(' (it can be seen)')}: "

    def _ask_again(self, refusal: Refused) -> None:
        self._password = ""
        if refusal.code == "wrong-password":  # the code
            self._code = ""
        self._ask(f"{refusal.text}{self._end_of_line}To register {self._name}, {self._question}")

    def _take(self, line: str) -> None:
        if self._needs_code:
            self._code = line
            if self._session.ssh_key:
                self._register("")
            else:
                self._ask(f"To register {self._name}, {self._question}")
        elif self._session.ssh_key:
            if line.lower() == "yes":
                self._register("")
            else:
                self._done("")
        elif self._password:
            self._register(line)
        else:
            try:
                check_password(line)
            except Refused as refusal:
                self._checked(refusal)
                return
            self._password = line
            self._ask("The same once more: ")

    def _register(self, repeated: str) -> None:
        if repeated != self._password:
            self._checked(refusals.PASSWORDS_DIFFER())
            return
        try:
            self._hub.credentials.register(self._session, self._name, self._password, self._checked, self._code)
        except Refused as refusal:  # somebody else has the name by now
            self._done(refusal.text)
