"""The replies to an IRC client: sent in the right order, and with the label of the command that they answer.

Replies keep their order because they pass through the queue `session.replies`. A PONG, for example, is sent after all
earlier messages of the client were delivered. With labeled-response, two entries in this queue mark the beginning and
the end of an answer, and everything written between them belongs to it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from hubbub.chat.hub import Hub
from hubbub.chat.session import Session, User
from hubbub.chat.turns import ClientStep, StepTable
from hubbub.serve.sockets.connection import Connection
from hubbub.serve.sockets.framed_connection import FramedConnection
from hubbub.text.tags import BOT
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import account_of, stamp
from hubbub.wire.irc.numerics import TEXTS


class IrcReplies:
    """The part of an IRC client that sends replies. IrcClient inherits from it.

    Args:
        hub: the hub.
        server_name: the server's name, the source of its messages.

    """

    def __init__(self, hub: Hub, server_name: str) -> None:
        self.hub = hub
        self._server_name = server_name
        self.caps: frozenset[str] = frozenset()
        self.session: Session
        self.connection: Connection | FramedConnection
        self.wanted = ""  # the nick asked for before registration
        self.label = ""  # the label of the current command
        # The remaining steps of the current command. Each step waits until the operations of the step before are done.
        self.continuation: deque[ClientStep] = deque()
        self._resting = False  # a step of the continuation is running
        self._held = ""  # the label of a command that continues in the next messages
        self._after: list[bytes] = []  # lines to write after the current answer
        self._written: list[bytes] | None = None  # lines that the current message has produced; None between messages
        self._collected: list[bytes] | None = None  # the answer to a labelled command so far; None outside one
        self._refs = 0

    # --- one message at a time ------------------------------------------------------------------------------------

    def begin_command(self, label: str) -> None:
        """Start the command of a message.

        Args:
            label: the label for the answer; "" for none.

        """
        if label:
            self._begin_answer(label)
        self._written = []

    def end_command(self) -> None:
        """Write the lines that the command has produced so far. The rest of the command may wait for the hub."""
        self.session.label = ""
        if self.continuation or self.label:
            self.go_on_with_it()
        self.write()

    def write(self) -> None:
        """Write the lines that the current message has produced in one call."""
        lines, self._written = self._written, None
        if lines:
            self.connection.write(b"".join(lines))

    def go_on_with_it(self) -> None:
        """Run the remaining steps of a command until one waits for the hub. After the last one, end the answer."""
        if self._resting:
            return
        self._resting = True
        while self.continuation and not self.session.waits and not self.session.closed:
            self.session.call_client(self.continuation.popleft())
        self._resting = False
        if not self.session.waits:
            self.end_answer()

    def defer_response(self) -> None:
        """Postpone the answer: the command continues in the next messages. Lines until then do not belong to it."""
        self._held, self.label = self.label, ""
        if self._held:
            self.later("drop answer")

    def go_on_answering(self) -> None:
        """Resume the answer that `defer_response` postponed, unless another command is being answered."""
        if self._held and not self.label:
            held, self._held = self._held, ""
            self._begin_answer(held)

    def end_answer(self) -> None:
        """End the answer to the current labelled command, if there is one."""
        if self.label:
            self.later("give answer", self.label)
            self.label = ""

    def _begin_answer(self, label: str) -> None:
        self.label = label
        self.session.label = "irc"
        self.later("collect")

    def _collect(self) -> None:
        self._collected = []

    def _drop_answer(self) -> None:
        self._collected = None

    def _give_answer(self, label: str) -> None:
        lines, self._collected = self._collected or [], None
        tag = f"label={wire.escape(label)}".encode()
        if not lines:
            lines = [wire.line(self._server_name, "ACK")]
        opened = _batch(lines[0], b"+")
        if len(lines) > 1 and not (opened and opened == _batch(lines[-1], b"-")):
            outer = self.new_ref()
            batch = f"batch={outer}".encode()
            lines = [line if line.startswith(b"@batch=") else _add_tag(line, batch) for line in lines]
            lines.insert(0, wire.line(self._server_name, "BATCH", f"+{outer}", "labeled-response"))
            lines.append(wire.line(self._server_name, "BATCH", f"-{outer}"))
        self.emit(_add_tag(lines[0], tag), *lines[1:], *self._after)
        self._after = []

    def after_response(self, lines: list[bytes]) -> None:
        """Write lines after the current answer: they were produced during it, but do not belong to it."""
        self._after += lines
        self.later("give after")

    def _give_after(self) -> None:
        if self._collected is None:
            lines, self._after = self._after, []
            self.emit(*lines)

    # --- the replies ----------------------------------------------------------------------------------------------

    @property
    def user(self) -> User | None:
        """The client's user; None before registration."""
        return self.session.user

    @property
    def nick(self) -> str:
        """The client's nick; before registration, the nick that it asked for, or "*"."""
        return self.user.nick if self.user else self.wanted or "*"

    @property
    def source(self) -> str:
        """The source of the client's messages: `nick!user@host`."""
        return f"{self.nick}!{self.session.host}"

    @property
    def form(self) -> Any:
        """The encoder of the client's session."""
        return self.session.encoder

    def later(self, kind: str, *args: Any) -> None:
        """Do a step of the client in the session's reply order: after its earlier messages were delivered."""
        self.session.replies.append(ClientStep(kind, args))
        self.session.flush()

    def send(self, *lines: bytes) -> None:
        """Send lines in the session's reply order."""
        self.later("emit", *lines)

    def reply(self, verb: str, *params: str) -> None:
        """Send a message from the server in the session's reply order."""
        self.send(self.line(verb, *params))

    def line(self, verb: str, *params: str) -> bytes:
        """Return a message from the server. A parameter that is not allowed before the last one is replaced by `*`."""
        middle = [word if word and " " not in word and word[0] != ":" else "*" for word in params[:-1]]
        return wire.line(self._server_name, verb, *middle, *params[-1:], tags=self.time)

    @property
    def time(self) -> dict[str, str]:
        """The tag with the current time, if the client has the capability server-time; else no tags."""
        return {"time": stamp(self.hub.clock())} if "server-time" in self.caps else {}

    def event(self, author: User | Session, verb: str, *params: str) -> bytes:
        """Return a message that shows this client another user's action that is not stored in a log."""
        return wire.line(f"{author.nick}!{author.host}", verb, *params, tags=self.marks(author))

    def marks(self, author: User | Session) -> dict[str, str]:
        """Return the tags for such an action that the client reads: the author's account, and the bot tag of a bot."""
        tags = {BOT: ""} if author.tags and "message-tags" in self.caps else {}
        if "account-tag" in self.caps and (account := account_of(author.nick, author.host)):
            tags["account"] = account
        return tags

    def numeric(self, code: int, *params: str) -> None:
        """Send a numeric. Its standard text, if it has one, is added as the last parameter."""
        text = TEXTS.get(code)
        self.reply(f"{code:03d}", self.nick, *params, *([text] if text else []))

    def fail(self, verb: str, code: str, *params: str) -> None:
        """Send a FAIL (IRCv3 standard-replies). The last parameter is the description for the user."""
        self.reply("FAIL", verb, code, *params)

    def notice(self, text: str) -> None:
        """Send a NOTICE from the server."""
        self.reply("NOTICE", self.nick, text)

    def emit(self, *lines: bytes) -> None:
        """Write lines, or add them to the labelled answer or to the output of the current message. Skip empty lines."""
        lines = tuple(filter(None, lines))
        if self._collected is not None:
            self._collected += lines
        elif self._written is not None:
            self._written += lines
        elif lines:
            self.connection.write(b"".join(lines))

    def new_ref(self) -> str:
        """Return a batch reference that is unique within this connection."""
        self._refs += 1
        return f"r{self._refs:x}"

    def begin_batch(self, kind: str, *params: str) -> str:
        """Open a batch in the answer, and return its reference; "" if the client does not support batches."""
        if "batch" not in self.caps:
            return ""
        ref = self.new_ref()
        self.send(wire.line(self._server_name, "BATCH", f"+{ref}", kind, *params))
        return ref

    def end_batch(self, ref: str) -> None:
        """Close the batch with this reference; do nothing for ""."""
        if ref:
            self.send(wire.line(self._server_name, "BATCH", f"-{ref}"))


REPLY_STEPS: StepTable = {
    "emit": IrcReplies.emit,
    "collect": IrcReplies._collect,
    "drop answer": IrcReplies._drop_answer,
    "give answer": IrcReplies._give_answer,
    "give after": IrcReplies._give_after,
}


def _batch(line: bytes, sign: bytes) -> bytes:
    """Return the reference of the batch that a line opens (sign +) or closes (sign -); b"" for another line."""
    words = line.split(b" ")
    words = words[1:] if words[0].startswith(b"@") else words
    if len(words) > 2 and words[1] == b"BATCH" and words[2].startswith(sign):
        return words[2].strip()[1:]
    return b""


def _add_tag(line: bytes, tag: bytes) -> bytes:
    return b"@" + tag + b";" + line[1:] if line.startswith(b"@") else b"@" + tag + b" " + line
