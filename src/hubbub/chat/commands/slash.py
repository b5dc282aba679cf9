"""The slash commands: one table for every protocol in which people type lines.

A row holds the text for /help and the function of the command. `run` finds and runs the command of a line; a line
that is not a command is sent as a message.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from hubbub.chat.commands import accounts, classroom, ignoring, mentions, messages, terminal
from hubbub.chat.commands.moderation import ROWS, SlashCommand
from hubbub.chat.messages import say
from hubbub.chat.operations.asking import LogQuestion, question
from hubbub.chat.private import direct
from hubbub.chat.turns import OperationKind
from hubbub.errors import Refused
from hubbub.model import searching
from hubbub.model.access import Action, may
from hubbub.model.entries import Entry, Kind
from hubbub.model.events import Clock, Event, HistoryShown, MembersListed, Notice, RoomsListed, RoomSummary
from hubbub.model.notices.ignoring import shown
from hubbub.model.queries import AllRooms, Latest, LogPage, RoomList, Since
from hubbub.model.viewer import ASKER
from hubbub.text import refusals
from hubbub.text.bounds import ARGUMENT_CHARS, COMMAND_CHARS, MESSAGE_BYTES
from hubbub.text.cleaning import beginning, clean, clean_exactly
from hubbub.text.list_pages import ListPart, page
from hubbub.text.names import LOBBY, key_of
from hubbub.text.typed.times import parse_time

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Session
    from hubbub.model.viewer import Viewer

MAX_HISTORY = 200  # most messages of one command
BEGINNING = ListPart()
FOUND = 20  # most messages of /search
DAY = 24 * 60 * 60.0  # seconds; a message dated further ahead has its time from a wrong clock


_COMMAND = re.compile(r"\s*/(?!/)(\S*)\s*(.*)", re.DOTALL)


_SIGNS = frozenset({"+", "-", "+1", "-1"})  # commands without a letter


def parse(line: str) -> tuple[str, str] | None:
    """Return the name and the argument of a command; None for a line that is a message.

    The name of a command, except /+ and /-, begins with a letter and contains neither a slash nor a backslash. So a
    line that begins with a path (`/etc/hosts: ...`), a comment (`/* so */`) or an emoticon is a message.
    """
    match = _COMMAND.fullmatch(clean_exactly(line))
    if match is None:
        return None
    name, argument = match.groups()
    is_command = not name or (name[0].isalpha() and not set(name) & set("/\\")) or name in _SIGNS
    return (name, argument.strip()) if is_command else None


def run(hub: Hub, session: Session, line: str) -> None:
    """Run the command of a line, or send the line as a message to the current room.

    A message that begins with two slashes is sent with one.

    Raises:
        Refused: there is no such command; its argument is missing, too long or invalid; or it is not allowed now.

    """
    parsed = parse(line) if "/" in line else None
    if parsed is None:
        say(hub, session, line[1:] if line.startswith("//") else line)
        return
    command = _find(parsed[0])
    argument = parsed[1]
    if not argument and command.usage and not command.usage.startswith("["):
        raise refusals.ARGUMENT_MISSING(synopsis=command.synopsis)
    is_long = command.name in LONG
    most = MESSAGE_BYTES if is_long else ARGUMENT_CHARS
    if len(argument) > most:
        raise refusals.ARGUMENT_TOO_LONG(command=command.name, limit=most)
    command.run(hub, session, argument if is_long else clean(argument))


def _find(name: str) -> SlashCommand:
    command = COMMANDS.get(ALIASES.get(name.lower(), name.lower())) if len(name) <= COMMAND_CHARS else None
    if command is None:
        raise refusals.NO_SUCH_COMMAND(command=beginning(name))
    return command


def _help(hub: Hub, session: Session, argument: str) -> None:
    groups: dict[str, list[SlashCommand]] = {}
    for command in COMMANDS.values():
        groups.setdefault(command.group, []).append(command)
    asked = argument.removeprefix("/").lower()
    if asked and asked in groups:
        lines = [command.line for command in groups[asked]]
    elif asked:
        lines = [_find(asked).line]
    else:
        lines = [command.line for command in groups.pop("")]
        lines.append("//TEXT: Send a message that begins with a slash.")
        for group, commands in groups.items():
            names = " ".join(f"/{command.name}" for command in commands)
            lines.append(f"/help {group}: {names}")
    hub.reply(session, Notice(tuple(lines)))


def members_of(hub: Hub, name: str, part: ListPart = BEGINNING) -> MembersListed:
    """Return the members of a room, sorted by nick; for a room that is not loaded here, those on other nodes."""
    room = hub.rooms.loaded.get(name)
    people = room.members if room else hub.remote.members.of_room(name)
    ids = {member.nick: member.id for member in people}
    nicks = sorted(ids, key=str.casefold)
    if part.after is not None:
        nicks = nicks[bisect_right(nicks, part.after.casefold(), key=str.casefold) :]
    operators = {member.nick for member, status in room.state.status.items() if "o" in status} if room else set()
    listed = page(nicks, part.limit, lambda nick: len(nick.encode()) + len(ids[nick]) + 8)
    ruling = tuple(nick for nick in listed if nick in operators)
    watching = len(room.watchers) if room else 0
    return MembersListed(
        name, listed, len(nicks) - len(listed), ruling, [ids[nick] for nick in listed], watching=watching
    )


def opened_empty(hub: Hub, entry: Entry) -> bool:
    """Return whether an entry has opened a room in which nobody is: perhaps the room's name was mistyped."""
    return not entry.prev and entry.room != LOBBY and not members_of(hub, entry.room).nicks


def list_members(hub: Hub, session: Session, argument: str, part: ListPart = BEGINNING) -> None:
    """Reply with the members of a room, the current one by default.

    Raises:
        Refused: the session may not see the members, or there is no such room. If the room must be loaded first, a
            refusal follows as a reply instead.

    """
    name = key_of(clean(argument).removeprefix("#"))
    # A room that is not loaded here may have members on other nodes: it is loaded to check its modes.
    if hub.remote.members.of_room(name):
        session.start(MembersAsked(name, argument, part))
    else:
        _reply_members(hub, session, argument, part)


def _reply_members(hub: Hub, session: Session, argument: str, part: ListPart) -> None:
    room = hub.rooms.seen(session, argument) if argument else hub.rooms.of(session)
    hub.check(session, Action.SEE_MEMBERS, room)
    hub.reply(session, members_of(hub, room.name, part))


class MembersAsked(Struct, frozen=True):
    """A session wants a part of the members of a room, which must be loaded first; `typed` is how it named the room."""

    room: str
    typed: str
    part: ListPart


def _load(hub: Hub, session: Session, asked: MembersAsked, done: Callable[[None], None]) -> None:
    hub.rooms.visit(session, [asked.room], done)


def _list_loaded(hub: Hub, session: Session, asked: MembersAsked, _: object) -> None:
    try:
        _reply_members(hub, session, asked.typed, asked.part)
    except Refused as refusal:
        hub.refuse(session, refusal)
    hub.rooms.end_visit(session)


def rooms_of(hub: Hub, stored: RoomList, viewer: Viewer, current: str = "", part: ListPart = BEGINNING) -> RoomsListed:
    """Return the rooms that a viewer may know of, those with most members first; a later part is sorted by name.

    Args:
        hub: the hub.
        stored: the requested part of the rooms that have a log, by name.
        viewer: the viewer that asks.
        current: the room in which the viewer speaks, if it is in one.
        part: the requested part of the list.

    """
    topics = dict(stored.rooms)
    for name, room in hub.rooms.loaded.items():
        if may(viewer, Action.LIST, room.state):
            topics.pop(name, None)  # hidden since the log was read
        else:
            topics[name] = "" if may(viewer, Action.SEE_TOPIC, room.state) else room.topic
    counts = hub.remote.members.counts() | {name: room.count for name, room in hub.rooms.loaded.items()}
    rooms = [RoomSummary(name, counts.get(name, 0), topic) for name, topic in topics.items()]
    if part.after is None:
        rooms.sort(key=lambda room: (-room.members, room.name))
    else:
        # Loaded rooms behind the last stored one of this part belong to a later part.
        last = stored.rooms[-1][0] if len(stored.rooms) < stored.count else None
        rooms = [room for room in rooms if room.name > part.after and (last is None or room.name <= last)]
        rooms.sort(key=lambda room: room.name)
    listed = page(rooms, part.limit, lambda room: len(room.name.encode()) + len(room.topic.encode()) + 48)
    # Every loaded room is stored already, or will be soon, so the two numbers are not added.
    more = max(stored.count, len(rooms)) - len(listed)
    return RoomsListed(listed, current, more)


def list_rooms(hub: Hub, session: Session, _: str = "", part: ListPart = BEGINNING) -> None:
    """Reply with the rooms that the session may know of, with their topics and numbers of members."""
    session.queue(RoomsAsked(AllRooms(part.limit, part.after or "", viewer=ASKER), part))


class RoomsAsked(LogQuestion, frozen=True):
    """A session asks for a part of the list of rooms."""

    part: ListPart


def _rooms(hub: Hub, session: Session, asked: RoomsAsked, stored: RoomList) -> Event:
    return rooms_of(hub, stored, hub.viewer(session), session.current_name, asked.part)


def _join(hub: Hub, session: Session, name: str, key: str = "") -> None:
    if not key and hub.rooms.may_be_code(name):
        hub.rooms.join_by_code(session, name)
    else:
        hub.rooms.join(session, name, key=key)


def _topic(hub: Hub, session: Session, argument: str) -> None:
    if argument:
        hub.set_topic(session, "" if argument == "off" else argument)
    else:
        topic = hub.rooms.of(session).topic
        hub.reply(session, Notice((f"Topic: {topic}" if topic else "There is no topic",)))


def _msg(hub: Hub, session: Session, argument: str) -> None:
    name, *text = argument.split(maxsplit=1)
    if not text:
        raise refusals.ARGUMENT_MISSING(synopsis=COMMANDS["msg"].synopsis)
    direct.send_private(hub, session, name, text[0])


class PastAsked(LogQuestion, frozen=True):
    """A session asks for messages of a room.

    Args:
        none: a sentence for an empty page.
        more: a sentence for a page that was cut; "" for none.

    """

    none: str
    more: str = ""


def _past(hub: Hub, session: Session, asked: PastAsked, page: LogPage) -> Event:
    notes = [page.note] if page.note else []
    if not shown(session.ignored, page.entries):
        return Notice(("All of it is by people whom you ignore" if page.entries else asked.none, *notes))
    more = [asked.more] if page.more and asked.more else []
    return HistoryShown(page.entries, hub.clock(), tail=(*more, *notes))


class PrivatePastAsked(PastAsked, frozen=True, kw_only=True):
    """A session asks for messages of one of its private conversations.

    Args:
        other: the id of the other account.
        gives: whether the page counts as given: it holds the newest messages.

    """

    other: str
    gives: bool = False


def _private_past(hub: Hub, session: Session, asked: PrivatePastAsked, page: LogPage) -> Event:
    if asked.gives:
        hub.private_history.note_given(session, asked.other, page)
    return hub.private_history.event(session, asked.other, page, asked.none, asked.more)


def _history(hub: Hub, session: Session, argument: str) -> None:
    name, _, number = argument.partition(" ")
    if not session.account or not name or name.isdecimal():
        name, number = "", argument
    if number and not (number.isdecimal() and len(number) < 5 and 1 <= int(number) <= MAX_HISTORY):
        raise refusals.NUMBER_INVALID(command="history", limit=MAX_HISTORY)
    count = int(number or hub.limits.history or 20)
    if name:
        room, parties = hub.private_history.room_with(session, name)
        none = f"There are no messages between you and {parties.name}"
        query = Latest(room, count, viewer=ASKER)
        session.queue(PrivatePastAsked(query, none, other=parties.recipient.id, gives=True))
    else:
        where = hub.rooms.of(session)
        query = Latest(where.name, count, viewer=ASKER, room_id=where.id)
        session.queue(PastAsked(query, "Nothing was said here yet"))


def _search(hub: Hub, session: Session, argument: str) -> None:
    none, more = "Nothing found", f"Only the newest {FOUND} are shown"
    name = ""
    if argument.startswith("@") and session.account:  # a private conversation
        name, _, argument = argument.partition(" ")
    asked = searching.parse(argument, hub.clock())
    if name and not asked.room:
        room, parties = hub.private_history.room_with(session, name)
        session.queue(PrivatePastAsked(asked.query(FOUND, room, ASKER), none, more, other=parties.recipient.id))
    else:
        room = asked.room or hub.rooms.of(session).name
        session.queue(PastAsked(hub.by_id(asked.query(FOUND, room, ASKER)), none, more))


def _since(hub: Hub, session: Session, argument: str) -> None:
    now = hub.clock()
    time = parse_time(argument, now)
    room = hub.rooms.of(session)
    query = Since(room.name, time, MAX_HISTORY, until=now + DAY, viewer=ASKER, room_id=room.id)
    more = "More was said after that; ask again with a later time"
    session.queue(PastAsked(query, "Nothing was said since then", more))


OPERATIONS = (
    question(RoomsAsked, _rooms),
    question(PastAsked, _past),
    question(PrivatePastAsked, _private_past),
    OperationKind(MembersAsked, _list_loaded, _load, at_once=True),
)
_ROWS = (
    SlashCommand("help", "[COMMAND]", "List the commands, or explain one.", _help),
    SlashCommand("nick", "NAME", "Change your name.", lambda hub, session, name: hub.naming.rename(session, name)),
    SlashCommand("who", "[ROOM]", "List the people in the room.", list_members),
    SlashCommand("rooms", "", "List the rooms.", list_rooms),
    SlashCommand(
        "join",
        "ROOM [KEY]",
        "Join a room, or go to one you are in. /join CODE: use a code.",
        lambda hub, session, text: _join(hub, session, *text.split()[:2]),
    ),
    SlashCommand("leave", "[ROOM]", "Leave the room.", lambda hub, session, room: hub.rooms.leave(session, room)),
    SlashCommand("topic", "[TEXT]", "Show the room's topic, or set it; off removes it.", _topic),
    SlashCommand("msg", "NAME TEXT", "Send a private message (stored between accounts only).", _msg),
    SlashCommand(
        "me",
        "TEXT",
        "Describe an action.",
        lambda hub, session, text: hub.say(session, text, kind=Kind.ACTION),
        "messages",
    ),
    *messages.ROWS,
    SlashCommand("history", "[NAME] [N]", f"Show the newest N messages, up to {MAX_HISTORY}.", _history),
    SlashCommand("search", "WORDS", "Find words or page*, also from:NAME in:ROOM after:2h before:1h.", _search),
    SlashCommand("since", "TIME", "Show what was said since 09:15, 2h, yesterday or 2026-11-24.", _since, "messages"),
    SlashCommand(
        "time",
        "",
        "Show the server's time.",
        lambda hub, session, _: hub.reply(session, Clock(hub.clock())),
        "messages",
    ),
    SlashCommand("quit", "[TEXT]", "Leave the chat.", lambda hub, session, text: hub.depart(session, text, asked=True)),
)
_ALL = (*_ROWS[:-1], *ROWS, *classroom.ROWS, *ignoring.ROWS, *mentions.ROWS, *terminal.ROWS, *accounts.ROWS, _ROWS[-1])
COMMANDS = {command.name: command for command in _ALL}
# Commands that take a text, or check the length of their argument themselves.
LONG = frozenset(
    {
        "re",
        "fix",
        "topic",
        "msg",
        "me",
        "ask",
        "poll",
        "history",
        "search",
        "since",
        "quit",
        "kick",
        "register",
        "login",
        "password",
        "unregister",
    }
)
# Names of the same commands in other chat systems.
ALIASES = {
    "list": "rooms", "channels": "rooms", "names": "who", "users": "who", "part": "leave", "j": "join", "w": "msg",
    "code": "join", "reply": "re", "edit": "fix", "correct": "fix", "+1": "+", "-1": "-", "react": "+", "unreact": "-",
    "pm": "msg", "tell": "msg", "whisper": "msg", "exit": "quit", "bye": "quit", "action": "me",
}  # fmt: skip
