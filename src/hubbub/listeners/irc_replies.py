"""What an IRC client is answered: in its place, and with the label that it gave.

An answer keeps its place: it goes through the session's turn, so a PONG comes after everything that the client said
before was given to the others. With labeled-response, what comes between two marks in the turn is the answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from hubbub.core.hub import Hub
from hubbub.core.model import BOT, Event
from hubbub.core.session import Session
from hubbub.core.users import User
from hubbub.listeners.connection import Connection
from hubbub.listeners.irc_network import IrcNetwork
from hubbub.wire import irc as wire
from hubbub.wire.irc_encoder import stamp
from hubbub.wire.irc_numerics import TEXTS


class IrcReplies:
    """An IRC client, as far as it is answered.

    Args:
        hub: the hub.
        network: what all IRC clients share.

    """

    def __init__(self, hub: Hub, network: IrcNetwork) -> None:
        self.hub = hub
        self.network: IrcNetwork = network
        self.caps: frozenset[str] = frozenset()
        self.session: Session
        self.connection: Connection
        self.user: User | None = None  # once it is registered
        self.wanted = ""  # the nick that it asked for before that
        self.label = ""  # of the command that is being done
        self.continuation: deque[Callable[[], None]] = (
            deque()
        )  # of the command that is being done: each waits for the last
        self._resting = False  # a part of that is being done
        self._held = ""  # the label of a command that goes on in the next messages
        self._after: list[bytes] = []  # what comes after that answer, though it came up within it
        self._written: list[bytes] | None = None  # what the message that is being done has brought
        self._collected: list[bytes] | None = None  # the answer to a labelled command, so far
        self._refs = 0

    # --- one message at a time ------------------------------------------------------------------------------------

    def begin_command(self, label: str) -> None:
        """Begin to do what a message asks for; the answer gets a label, "" for none."""
        if label:
            self._begin_answer(label)
        self._written = []

    def end_command(self) -> None:
        """Write what it has brought at once; the rest of it may wait for the hub."""
        self.session.label = ""
        self.go_on_with_it()
        self.write()

    def write(self) -> None:
        """Write what the message that is being done has brought."""
        lines, self._written = self._written, None
        if lines:
            self.connection.write(b"".join(lines))

    def go_on_with_it(self) -> None:
        """Do the rest of a command, as far as the hub is ready; end the answer to a labelled one after it."""
        if self._resting:
            return
        self._resting = True
        while self.continuation and not self.session.pending_operations and not self.session.closed:
            self.continuation.popleft()()
        self._resting = False
        if not self.session.pending_operations:
            self.end_answer()

    def defer_response(self) -> None:
        """Answer later: the command goes on in the next messages. What is said until then is no part of the answer."""
        self._held, self.label = self.label, ""
        if self._held:
            self.later(self._drop_answer)

    def go_on_answering(self) -> None:
        """Answer the command that was held, unless another one is being answered."""
        if self._held and not self.label:
            held, self._held = self._held, ""
            self._begin_answer(held)

    def end_answer(self) -> None:
        """End the answer to a labelled command, if one is being given."""
        if self.label:
            self.later(partial(self._give_answer, self.label))
            self.label = ""

    def _begin_answer(self, label: str) -> None:
        self.label = label
        self.session.label = "irc"
        self.later(self._collect)

    def _collect(self) -> None:
        self._collected = []

    def _drop_answer(self) -> None:
        self._collected = None

    def _give_answer(self, label: str) -> None:
        lines, self._collected = self._collected or [], None
        tag = f"label={wire.escape(label)}".encode()
        if not lines:
            lines = [wire.line(self.network.name, "ACK")]
        opened = _batch(lines[0], b"+")
        if len(lines) > 1 and not (opened and opened == _batch(lines[-1], b"-")):
            outer = self.new_ref()
            batch = f"batch={outer}".encode()
            lines = [line if line.startswith(b"@batch=") else _add_tag(line, batch) for line in lines]
            lines.insert(0, wire.line(self.network.name, "BATCH", f"+{outer}", "labeled-response"))
            lines.append(wire.line(self.network.name, "BATCH", f"-{outer}"))
        self.emit(_add_tag(lines[0], tag), *lines[1:], *self._after)
        self._after = []

    def after_response(self, lines: list[bytes]) -> None:
        """Write lines that came up within an answer, and are no part of it."""
        self._after += lines
        self.later(self._give_after)

    def _give_after(self) -> None:
        if self._collected is None:
            lines, self._after = self._after, []
            self.emit(*lines)

    # --- what it is told ------------------------------------------------------------------------------------------

    @property
    def nick(self) -> str:
        """What the client is called, or wants to be; "*" if that is not known."""
        return self.user.nick if self.user else self.wanted or "*"

    @property
    def source(self) -> str:
        """Who it is, as IRC writes it."""
        return f"{self.nick}!{self.session.host}"

    @property
    def form(self) -> Any:
        """How entries look to it."""
        return self.session.encoder

    def later(self, act: Callable[[], Event | None]) -> None:
        """Do something in the session's turn: after what it said before was given to the others."""
        self.session.replies.append(act)
        self.session.flush()

    def send(self, *lines: bytes) -> None:
        """Answer, in the session's turn."""
        self.later(partial(self.emit, *lines))

    def reply(self, verb: str, *params: str) -> None:
        """Answer with a message of the server."""
        self.send(self.line(verb, *params))

    def line(self, verb: str, *params: str) -> bytes:
        """Return a message of the server. What cannot stand in the middle of a line is a `*` there."""
        middle = [word if word and " " not in word and word[0] != ":" else "*" for word in params[:-1]]
        return wire.line(self.network.name, verb, *middle, *params[-1:], tags=self.time)

    @property
    def time(self) -> dict[str, str]:
        """The time as a tag, if the client reads that."""
        return {"time": stamp(self.hub.clock())} if "server-time" in self.caps else {}

    def event(self, author: Session, verb: str, *params: str) -> bytes:
        """Return what somebody does that is in no log, as this client is shown it."""
        return wire.line(f"{author.nick}!{author.host}", verb, *params, tags=self.marks(author))

    def marks(self, author: Session) -> dict[str, str]:
        """Return the tags of what somebody does that is in no log."""
        return {BOT: ""} if author.tags and "message-tags" in self.caps else {}

    def numeric(self, code: int, *params: str) -> None:
        """Answer with a numeric; its usual text comes last."""
        text = TEXTS.get(code)
        self.reply(f"{code:03d}", self.nick, *params, *([text] if text else []))

    def fail(self, verb: str, code: str, *params: str) -> None:
        """Answer with a standard reply: the last parameter is for people (IRCv3 standard-replies)."""
        self.reply("FAIL", verb, code, *params)

    def notice(self, text: str) -> None:
        """Let the server say something."""
        self.reply("NOTICE", self.nick, text)

    def emit(self, *lines: bytes) -> None:
        """Write lines now, or add them to the answer that is being collected. What shows nothing is no line."""
        lines = tuple(filter(None, lines))
        if self._collected is not None:
            self._collected += lines
        elif self._written is not None:
            self._written += lines
        elif lines:
            self.connection.write(b"".join(lines))

    def new_ref(self) -> str:
        """Return a name for a batch."""
        self._refs += 1
        return f"r{self._refs:x}"

    def begin_batch(self, kind: str, *params: str) -> str:
        """Open a batch in the answer, and return its name; "" if the client reads none."""
        if "batch" not in self.caps:
            return ""
        ref = self.new_ref()
        self.send(wire.line(self.network.name, "BATCH", f"+{ref}", kind, *params))
        return ref

    def end_batch(self, ref: str) -> None:
        """Close it."""
        if ref:
            self.send(wire.line(self.network.name, "BATCH", f"-{ref}"))


def _batch(line: bytes, sign: bytes) -> bytes:
    """Return the name of the batch that a line opens (+) or closes (-), b"" for another line."""
    words = line.split(b" ")
    words = words[1:] if words[0].startswith(b"@") else words
    if len(words) > 2 and words[1] == b"BATCH" and words[2].startswith(sign):
        return words[2].strip()[1:]
    return b""


def _add_tag(line: bytes, tag: bytes) -> bytes:
    return b"@" + tag + b";" + line[1:] if line.startswith(b"@") else b"@" + tag + b" " + line
