"""What may be typed after a slash: one table, for every wire on which people type lines.

A row has what /help shows and the function that does it. `run` looks a line up and does it; what is not a
command is said.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING

from hubbub.core import direct, moderation
from hubbub.core.access import Action, may
from hubbub.core.bounds import ARGUMENT_CHARS, COMMAND_CHARS, MESSAGE_BYTES, SEARCH_CHARS, SEARCH_WORDS
from hubbub.core.list_pages import ListPart, page
from hubbub.core.model import (
    AllRooms,
    Clock,
    Event,
    HistoryShown,
    Kind,
    Latest,
    LogPage,
    MembersListed,
    Notice,
    Refusal,
    RoomList,
    RoomsListed,
    RoomSummary,
    Search,
    Since,
)
from hubbub.core.moderation_commands import ROWS, SlashCommand
from hubbub.core.names import key_of
from hubbub.core.text import beginning, clean, clean_exactly
from hubbub.core.timeparse import parse_time
from hubbub.errors import Refused

if TYPE_CHECKING:
    from hubbub.core.hub import Hub
    from hubbub.core.session import Session
    from hubbub.core.viewer import Viewer

MAX_HISTORY = 200  # messages that one command shows
BEGINNING = ListPart()
FOUND = 20  # messages that /search shows
DAY = 24 * 60 * 60.0  # seconds; what is dated further ahead than this was dated by a wrong clock


_COMMAND = re.compile(r"\s*/(?!/)(\S*)\s*(.*)", re.DOTALL)


def parse(line: str) -> tuple[str, str] | None:
    """Return the name and the argument of a command; None for a line that is something to say.

    What begins like a path (`/etc/hosts: ...`), a comment (`/* so */`) or a face is said: a command's name has neither
    slash nor backslash in it, and begins with a letter.
    """
    match = _COMMAND.fullmatch(clean_exactly(line)) if "/" in line else None
    if match is None:
        return None
    name, argument = match.groups()
    is_command = not name or (name[0].isalpha() and not set(name) & set("/\\"))
    return (name, argument.strip()) if is_command else None


def run(hub: Hub, session: Session, line: str) -> None:
    """Do what a line says: a command, or something to say in the current room.

    Two slashes at its beginning are one to say.

    Raises:
        Refused: there is no such command, its argument is missing, or it is not allowed now.

    """
    parsed = parse(line)
    if parsed is None:
        hub.say(session, line[1:] if line.startswith("//") else line)
        return
    command = _find(parsed[0])
    argument = parsed[1]
    if not argument and command.usage and not command.usage.startswith("["):
        raise Refused("argument-missing", f"Usage: {command.synopsis}")
    is_long = command.name in LONG
    most = MESSAGE_BYTES if is_long else ARGUMENT_CHARS
    if len(argument) > most:
        raise Refused("argument-too-long", f"/{command.name} takes at most {most} characters.")
    command.run(hub, session, argument if is_long else clean(argument))


def _find(name: str) -> SlashCommand:
    command = COMMANDS.get(ALIASES.get(name.lower(), name.lower())) if len(name) <= COMMAND_CHARS else None
    if command is None:
        raise Refused("no-such-command", f"There is no command /{beginning(name)}; /help lists the commands.")
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
        lines.append("//TEXT: Say a text that begins with a slash.")
        for group, commands in groups.items():
            names = " ".join(f"/{command.name}" for command in commands)
            lines.append(f"For {group} (/help {group} tells more): {names}")
    hub.reply(session, Notice(tuple(lines)))


def members_of(hub: Hub, name: str, part: ListPart = BEGINNING) -> MembersListed:
    """Return the people in a room, by name; of one that is not awake here, those on other nodes."""
    room = hub.rooms.loaded.get(name)
    people = room.people if room else hub.remote.rooms.get(name, ())
    ids = {member.nick: member.user.id for member in people if member.user}
    nicks = sorted(ids, key=str.casefold)
    if part.after is not None:
        nicks = nicks[bisect_right(nicks, part.after.casefold(), key=str.casefold) :]
    operators = {member.nick for member, status in room.rules.status.items() if "o" in status} if room else set()
    listed = page(nicks, part.limit, lambda nick: len(nick.encode()) + len(ids[nick]) + 8)
    ruling = tuple(nick for nick in listed if nick in operators)
    watching = len(room.watchers) if room else 0
    return MembersListed(
        name, listed, len(nicks) - len(listed), ruling, [ids[nick] for nick in listed], watching=watching
    )


def list_members(hub: Hub, session: Session, argument: str, part: ListPart = BEGINNING) -> None:
    """Reply with the people in a room, the current one by default. Raises Refused when the session may not see them."""

    def reply() -> None:
        room = hub.rooms.seen(session, argument) if argument else hub.rooms.of(session)
        hub.check(session, Action.SEE_MEMBERS, room)
        hub.reply(session, members_of(hub, room.name, part))

    def woken() -> None:
        try:
            reply()
        except Refused as refusal:
            hub.reply(session, Refusal(refusal.code, refusal.text))
        hub.rooms.end_visit(session)

    name = key_of(clean(argument).removeprefix("#"))
    if name not in hub.rooms.loaded and hub.remote.rooms.get(name):  # its people are on other nodes
        hub.rooms.visit(session, [name], woken)
    else:
        reply()


def rooms_of(hub: Hub, stored: RoomList, viewer: Viewer, current: str = "", part: ListPart = BEGINNING) -> RoomsListed:
    """Return the rooms that somebody may know of, those with most members first.

    Args:
        hub: the hub.
        stored: those that have a log, by name: the part of them that is asked for.
        viewer: who asks.
        current: the room in which the viewer speaks, if it is in one.
        part: the part that is asked for.

    """
    topics = dict(stored.rooms)
    for name, room in hub.rooms.loaded.items():
        if may(viewer, Action.LIST, room.rules):
            topics.pop(name, None)  # it is secret since the log was read
        else:
            topics[name] = "" if may(viewer, Action.SEE_TOPIC, room.rules) else room.topic
    counts = {name: len(people) for name, people in hub.remote.rooms.items()}
    counts |= {name: room.count for name, room in hub.rooms.loaded.items()}
    rooms = [RoomSummary(name, counts.get(name, 0), topic) for name, topic in topics.items()]
    if part.after is None:
        rooms.sort(key=lambda room: (-room.members, room.name))
    else:  # what is stored may end before the last of those that are awake
        last = stored.rooms[-1][0] if len(stored.rooms) < stored.count else None
        rooms = [room for room in rooms if room.name > part.after and (last is None or room.name <= last)]
        rooms.sort(key=lambda room: room.name)
    listed = page(rooms, part.limit, lambda room: len(room.name.encode()) + len(room.topic.encode()) + 48)
    more = max(stored.count, len(rooms)) - len(listed)  # those that are awake are stored, or will be soon
    return RoomsListed(listed, current, more)


def list_rooms(hub: Hub, session: Session, _: str = "", part: ListPart = BEGINNING) -> None:
    """Reply with the rooms that there are."""
    viewer = hub.viewer(session)
    query = AllRooms(part.limit, part.after or "", viewer=viewer)
    hub.ask(session, query, lambda stored: rooms_of(hub, stored, viewer, session.current, part))


def _topic(hub: Hub, session: Session, argument: str) -> None:
    if argument:
        hub.set_topic(session, "" if argument == "off" else argument)
    else:
        topic = hub.rooms.of(session).topic
        hub.reply(session, Notice((f"Topic: {topic}" if topic else "There is no topic",)))


def _msg(hub: Hub, session: Session, argument: str) -> None:
    name, *text = argument.split(maxsplit=1)
    if not text:
        raise Refused("argument-missing", f"Usage: {COMMANDS['msg'].synopsis}")
    direct.send_private(hub, session, name, text[0])


def _past(hub: Hub, none: str, more: str, page: LogPage) -> Event:
    notes = [page.note] if page.note else []
    if not page.entries:
        return Notice((none, *notes))
    return HistoryShown(page.entries, hub.clock(), tail=(*([more] if page.more and more else []), *notes))


def _history(hub: Hub, session: Session, argument: str) -> None:
    if argument and not (argument.isdecimal() and len(argument) < 5 and 1 <= int(argument) <= MAX_HISTORY):
        raise Refused("number-invalid", f"/history takes a number from 1 to {MAX_HISTORY}.")
    room = hub.rooms.of(session)
    query = Latest(room.name, int(argument or hub.limits.history or 20), viewer=hub.viewer(session))
    hub.ask(session, query, partial(_past, hub, "Nothing was said here yet", ""))


def _delete(hub: Hub, session: Session, argument: str) -> None:
    words = argument.split()
    number = words.pop() if words and words[-1].isdecimal() else "1"
    if len(words) > 1:
        raise Refused("argument-invalid", f"Usage: {COMMANDS['delete'].synopsis}")
    if not (len(number) < 5 and 1 <= int(number) <= moderation.LOOKED_AT):
        raise Refused("number-invalid", f"/delete takes a number from 1 to {moderation.LOOKED_AT}.")

    def refuse(refused: Refused) -> None:
        hub.reply(session, Refusal(refused.code, refused.text))

    moderation.delete(hub, session, hub.rooms.of(session), "".join(words), int(number), refuse)


def words_of(text: str) -> str:
    """Return what to search for, as somebody typed it. Raises Refused when that is too much."""
    if len(text) > SEARCH_CHARS:
        raise Refused("too-many-words", f"A search has at most {SEARCH_CHARS} characters.")
    words = clean(text)
    if len(words.split()) > SEARCH_WORDS:
        raise Refused("too-many-words", f"A search has at most {SEARCH_WORDS} words.")
    return words


def _search(hub: Hub, session: Session, argument: str) -> None:
    query = Search(words_of(argument), FOUND, hub.rooms.of(session).name, viewer=hub.viewer(session), asker=session)
    more = f"Only the newest {FOUND} are shown"
    hub.ask(session, query, partial(_past, hub, "Nothing found", more))


def _since(hub: Hub, session: Session, argument: str) -> None:
    now = hub.clock()
    time = parse_time(argument, now)
    query = Since(hub.rooms.of(session).name, time, MAX_HISTORY, until=now + DAY, viewer=hub.viewer(session))
    more = "More was said after that; ask again with a later time"
    hub.ask(session, query, partial(_past, hub, "Nothing was said since then", more))


_ROWS = (
    SlashCommand("help", "[COMMAND]", "List the commands, or explain one.", _help),
    SlashCommand("nick", "NAME", "Change your name.", lambda hub, session, name: hub.naming.rename(session, name)),
    SlashCommand("who", "[ROOM]", "List the people in the room.", list_members),
    SlashCommand("rooms", "", "List the rooms.", list_rooms),
    SlashCommand(
        "join",
        "ROOM [KEY]",
        "Join a room, or go to one you are in.",
        lambda hub, session, text: hub.rooms.join(session, text.split()[0], key="".join(text.split()[1:2])),
    ),
    SlashCommand("leave", "[ROOM]", "Leave the room.", lambda hub, session, room: hub.rooms.leave(session, room)),
    SlashCommand("topic", "[TEXT]", "Show the room's topic, or set it; off removes it.", _topic),
    SlashCommand("msg", "NAME TEXT", "Send a private message (not stored).", _msg),
    SlashCommand(
        "me", "TEXT", "Describe an action.", lambda hub, session, text: hub.say(session, text, kind=Kind.ACTION)
    ),
    SlashCommand("delete", "[NAME] [N]", "Delete your last or Nth last message (operators: NAME's).", _delete),
    SlashCommand("history", "[N]", f"Show the newest N messages, up to {MAX_HISTORY}.", _history),
    SlashCommand("search", "WORDS", "Show the newest messages with all these words; page* finds pages.", _search),
    SlashCommand("since", "TIME", "Show what was said since 09:15, 2h, yesterday or 2026-11-24.", _since),
    SlashCommand("time", "", "Show the server's time.", lambda hub, session, _: hub.reply(session, Clock(hub.clock()))),
    SlashCommand("quit", "[TEXT]", "Leave the chat.", lambda hub, session, text: hub.depart(session, text, asked=True)),
)
COMMANDS = {command.name: command for command in (*_ROWS[:-1], *ROWS, _ROWS[-1])}
# Commands that take a text, or look at the length of what they take themselves.
LONG = frozenset({"topic", "msg", "me", "history", "search", "since", "quit", "kick"})
# What people type who come from other chats.
ALIASES = {
    "list": "rooms", "channels": "rooms", "names": "who", "users": "who", "part": "leave", "j": "join", "w": "msg",
    "pm": "msg", "tell": "msg", "whisper": "msg", "exit": "quit", "bye": "quit", "action": "me",
}  # fmt: skip
