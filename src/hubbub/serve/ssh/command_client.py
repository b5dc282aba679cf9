"""A command over ssh: one request, its output, and an exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import IntEnum
from http import HTTPStatus
from typing import Protocol

import msgspec
from msgspec.structs import replace

from hubbub.chat.commands import slash
from hubbub.chat.hub import Hub
from hubbub.chat.private import direct
from hubbub.chat.session import Session
from hubbub.errors import BrokerError, Closed, Refused
from hubbub.model import searching
from hubbub.model.access import Action
from hubbub.model.conversation import MARK
from hubbub.model.entries import Entry
from hubbub.model.events import Acknowledged, Event, Refusal
from hubbub.model.queries import LAST, After, AllRooms, Latest, LogPage, RoomList
from hubbub.serve.hub_requests import LABEL, HubRequests, Requester, check_bearer
from hubbub.serve.sockets.connection import STOPPING, Connection
from hubbub.serve.ssh import command_line
from hubbub.serve.ssh.command_line import (
    Command,
    ExportRoom,
    ListMembers,
    ListRooms,
    PostText,
    SearchLog,
    SendPrivately,
    ShowHelp,
    ShowTail,
    Unusable,
)
from hubbub.text import names, refusals
from hubbub.text.bounds import MESSAGE_BYTES
from hubbub.text.list_pages import ListPart
from hubbub.wire.line import encoder
from hubbub.wire.web import streams
from hubbub.wire.web.shown_entry import shown
from hubbub.wire.web.statuses import status_of

PIECE = 500  # messages of an export that are read at a time
MOMENT = 0.5  # seconds for which a stopping server waits for the outcome of a command
PAUSE = 0.05  # seconds between two of these reads: an export must not slow the chat down
_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
# Encoders are compared by identity, so all commands that follow a room share one.
_FOLLOWED = streams.StreamEncoder(streams.TextEncoder(), streams.whole)


class Status(IntEnum):
    """The exit statuses; the last one is EX_TEMPFAIL of sysexits.h."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    TRY_AGAIN = 75


class CommandOutput(Protocol):
    """The end of a command's channel."""

    def write_error(self, data: bytes) -> None:
        """Write bytes to the standard error output of the peer."""
        ...

    def set_status(self, status: int) -> None:
        """Set the exit status with which the channel ends."""
        ...


class CommandClient:
    """Runs one command. Its input is what the peer's standard input holds.

    Args:
        hub: the hub.
        requests: asks the hub.
        requester: the peer.
        name: the name under which a guest speaks; for the owner of an account the name of the account, or "".
        line: the command line.
        output: takes the exit status and error texts.

    """

    wire_name = "ssh"

    def __init__(
        self, hub: Hub, requests: HubRequests, requester: Requester, name: str, line: str, output: CommandOutput
    ) -> None:
        self._hub = hub
        self._requests = requests
        self._requester = requester
        self._name = name
        self._left: str | None = line
        self._output = output
        self._connection: Connection
        self._task: asyncio.Task[None] | None = None
        self._input = b""
        self._input_ended = asyncio.Event()  # or is longer than a message
        self._writable = asyncio.Event()
        self._writable.set()
        self._followed: Session | None = None  # follows a room
        self._sends = False  # a message was sent; its outcome is the last act of the command
        self._has_ended = False
        self._follow_ended = asyncio.Event()
        self._follow_refused: Refusal | None = None
        # For searches: the address that asks, and whether nobody waits for the result any more.
        self.address = requester.origin
        self.closed = False

    # --- the connection's calls -------------------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Start the command as soon as the rate limit allows it: it counts as a line."""
        self._connection = connection
        connection.process_input()

    def feed(self, data: bytes) -> None:
        """Keep the input, up to the longest message and one byte more."""
        self._input = (self._input + data)[: MESSAGE_BYTES + 1]
        if len(self._input) > MESSAGE_BYTES:
            self._input_ended.set()

    def next_item(self) -> str | None:
        """Return the command line, once; then None, because the input is taken whole."""
        line, self._left = self._left, None
        return line

    @property
    def is_idle(self) -> bool:
        """Whether the command has ended."""
        return self._task is None or self._task.done()

    def ready(self) -> bool:
        """Return True: input is taken at any time."""
        return True

    def handle(self, item: str) -> None:
        """Run the command line in a task, which ends with the exit status."""
        self._task = asyncio.get_running_loop().create_task(self._run_to_end(item))

    def ended(self) -> bool:
        """Note the end of the input, and return True: the command needs no more, and ends by itself."""
        self._input_ended.set()
        return True

    def connection_lost(self) -> None:
        """End the command: nobody waits for its output."""
        self.closed = True
        if self._task:
            self._task.cancel()

    def pause(self) -> None:
        """Write nothing more for now: the peer does not read."""
        self._writable.clear()
        if self._followed:
            self._hub.pause(self._followed)

    def resume(self) -> None:
        """Write again: the peer reads."""
        self._writable.set()
        if self._followed:
            self._hub.resume(self._followed)

    def shut_down(self) -> None:
        """End the command: the server is stopping. A message that was sent has MOMENT seconds to get its outcome."""
        if self._sends:
            asyncio.get_running_loop().call_later(MOMENT, self._end, Status.TRY_AGAIN, STOPPING)
        else:
            self._end(Status.TRY_AGAIN, STOPPING)

    def ask_sign_of_life(self) -> bool:
        """Send nothing and return False: the ssh connection asks for one."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Return the seconds until the next check: a command waits for its input as long as the connection lasts."""
        return 60.0

    def resized(self) -> None:
        """Do nothing: a command needs no window."""

    def signalled(self, name: str) -> None:
        """End the command, as a program on the peer's machine would."""
        self._end(Status.REFUSED, f"Ended by the signal {name}")

    # --- the hub's calls for a session that follows a room ----------------------------------------------------------

    def send_event(self, event: Event) -> None:
        """End: the hub sends a following session an event only if it cannot go on."""
        self._follow_refused = event if isinstance(event, Refusal) else None
        self._follow_ended.set()

    def resume_input(self) -> None:
        """Do nothing: no input waits."""

    # --- running ----------------------------------------------------------------------------------------------------

    async def _run_to_end(self, line: str) -> None:
        try:
            status, text = await self._run(command_line.parse(line)), ""
        except Unusable as error:
            status, text = Status.USAGE, str(error)
        except Refused as refused:
            status, text = _status(refused), refused.text
        except Closed as error:
            status, text = _status(error.refused), error.refused.text
        except BrokerError as error:
            status, text = Status.TRY_AGAIN, refusals.LOG_UNREADABLE(reason=error).text
        finally:
            if self._followed:
                self._hub.depart(self._followed)
                self._followed = None
        self._end(status, text)

    def _end(self, status: Status, text: str) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._output.set_status(status)
        if text:
            self._output.write_error(f"{text}\n".encode())
        self._connection.finish()

    async def _run(self, command: Command) -> Status:
        if not isinstance(command, ShowHelp):
            check_bearer(self._hub.nicks.accounts, self._requester.account, _scopes(command))
        match command:
            case PostText():
                return await self._say(command)
            case SendPrivately():
                return await self._send(command)
            case ShowTail():
                return await self._tail(command)
            case SearchLog():
                await self._search(command)
            case ListRooms():
                await self._list_rooms()
            case ListMembers():
                await self._list_members(names.check_room(command.room))
            case ExportRoom():
                await self._export(names.check_room(command.room))
            case ShowHelp():
                await self._write(command_line.usage())
        return Status.DONE

    async def _write(self, text: str) -> None:
        await self._writable.wait()
        self._connection.write(text.encode("utf-8", "replace"))

    async def _write_entries(self, entries: Iterable[Entry]) -> None:
        now = self._hub.clock()
        await self._write("".join(f"{encoder.stamped(entry, now)}\n" for entry in entries))

    async def _text(self, text: str) -> str:
        """Return the text of a message: that of the command, or the whole standard input without its last line end."""
        if not text:
            await self._input_ended.wait()
            text = self._input.decode("utf-8", "replace").removesuffix("\n")
        if len(text.encode("utf-8", "replace")) > MESSAGE_BYTES:
            raise refusals.TEXT_TOO_LONG(limit=MESSAGE_BYTES)
        return text

    async def _say(self, command: PostText) -> Status:
        if not (self._requester.account or self._name):
            raise Unusable("Your user name cannot be used as a name here. Give another one: ssh NAME@HOST")
        text = await self._text(command.text)
        return await self._act(lambda session: self._hub.post(session, self._name, command.room, text, LABEL))

    async def _send(self, command: SendPrivately) -> Status:
        if self._requester.account is None:
            raise refusals.ACCOUNT_REQUIRED()
        text = await self._text(command.text)
        to = command.name.removeprefix(MARK)
        return await self._act(lambda session: direct.send_private(self._hub, session, to, text, label=LABEL))

    async def _act(self, start: Callable[[Session], None]) -> Status:
        """Send a message, and return the status that its outcome gives."""
        self._sends = True
        return self._outcome(await self._requests.act(self._requester, start))

    def _outcome(self, outcome: Acknowledged | Refusal) -> Status:
        if isinstance(outcome, Acknowledged):
            if not outcome.to and slash.opened_empty(self._hub, outcome.entry):
                self._output.write_error(f"{outcome.entry.room} is a new room, and nobody is in it.\n".encode())
            return Status.DONE
        self._output.write_error(f"{outcome.text}\n".encode())
        return _status(outcome)

    async def _tail(self, command: ShowTail) -> Status:
        viewer = self._requests.viewer(self._requester)
        private = command.room.startswith(MARK)
        room = self._conversation(command.room) if private else names.check_room(command.room)
        page: LogPage = await self._requests.read(Latest(room, max(command.number, 1), viewer=viewer))
        last = page.entries[-1].seq if page.entries else 0
        shown = self._hub.private_history.shown_to(self._requester.account, page).entries
        await self._write_entries(shown[-command.number :] if command.number else ())
        return await self._follow(room, last) if command.follow else Status.DONE

    def _conversation(self, name: str) -> str:
        assert self._requester.account  # its scopes were checked
        return self._hub.private_history.between(self._requester.account, name).name

    async def _follow(self, room: str, after: int) -> Status:
        """Show the entries of a room after a number, and new ones until the peer leaves or may not read any more."""
        requester = self._requester
        await self._requests.may(requester, Action.WATCH, room)
        await self._writable.wait()
        session = self._hub.connect(self, self._connection, _FOLLOWED, requester.host, requester.origin)
        session.acts_for = requester.account
        self._followed = session
        self._hub.rooms.watch(session, room, after)
        await self._follow_ended.wait()
        if self._follow_refused is None:
            return Status.TRY_AGAIN
        return self._outcome(self._follow_refused)

    async def _search(self, command: SearchLog) -> None:
        asked = searching.parse(command.words, self._hub.clock())
        viewer = self._requests.viewer(self._requester)
        page: LogPage = await self._requests.read(self._hub.by_id(asked.query(command.number, None, viewer, self)))
        page = self._hub.private_history.shown_to(self._requester.account, page)
        now = self._hub.clock()
        lines = [encoder.notice(page.note)] if page.note else []
        lines += [f"{entry.room}: {encoder.stamped(entry, now)}" for entry in page.entries]
        await self._write("".join(f"{line}\n" for line in lines))

    async def _list_rooms(self) -> None:
        part = ListPart("")
        while True:
            viewer = self._requests.viewer(self._requester)
            stored: RoomList = await self._requests.read(AllRooms(part.limit, part.after or "", viewer=viewer))
            listed = slash.rooms_of(self._hub, stored, viewer, part=part)
            lines = (f"{room.name} ({room.members}) {room.topic}".rstrip() for room in listed.rooms)
            await self._write("".join(f"{line}\n" for line in lines))
            if not (listed.more and listed.rooms):
                return
            part = ListPart(listed.rooms[-1].name)

    async def _list_members(self, room: str) -> None:
        part = ListPart("")
        while await self._requests.may(self._requester, Action.SEE_MEMBERS, room):
            listed = slash.members_of(self._hub, room, part)
            await self._write("".join(f"{nick}\n" for nick in listed.nicks))
            if not listed.more:
                return
            part = ListPart(listed.nicks[-1])

    async def _export(self, room: str) -> None:
        query = self._hub.by_id(After(room, 0, LAST, PIECE, True, viewer=self._requests.viewer(self._requester)))
        while True:
            page: LogPage = await self._requests.read(query)
            lines = (msgspec.json.encode(shown(entry)).decode() for entry in page.entries)
            await self._write("".join(f"{line}\n" for line in lines))
            if not (page.more and page.entries):
                return
            await asyncio.sleep(PAUSE)
            last, viewer = page.entries[-1], self._requests.viewer(self._requester)
            query = replace(query, seq=last.seq, viewer=viewer, room_id=last.room_id)  # it may have a new name by now


def _scopes(command: Command) -> tuple[str, ...]:
    """Return the scopes that a token needs for a command."""
    match command:
        case PostText() | SendPrivately():
            return ("say",)
        case ShowTail() if command.room.startswith(MARK):
            return ("read", "private")
    return ("read",)


def _status(refused: Refused | Refusal) -> Status:
    return Status.TRY_AGAIN if status_of(refused) in _LATER else Status.REFUSED
