"""Answers to the page before and besides the chat: the name of this server, the people here, and the commands."""

from __future__ import annotations

from msgspec import Struct

from hubbub.chat.commands import slash
from hubbub.chat.hub import Hub
from hubbub.config import Settings
from hubbub.model.access import Action, may
from hubbub.model.viewer import Viewer
from hubbub.text.list_pages import ListPart
from hubbub.text.names import LOBBY

NAMES = 12  # of people who are named before one comes in


class DoorSign(Struct):
    """The texts and numbers that somebody reads before they come in.

    `people` and `names` are those in the lobby, as far as the reader may see them. Messages are kept for `keep_days`
    days (0: for ever) if they are `kept`, else only in memory.
    """

    name: str
    description: str
    motd: str
    people: int
    names: list[str]
    kept: bool
    keep_days: float


class ListedCommand(Struct):
    """A row of the table of commands."""

    name: str
    usage: str
    help: str
    group: str


class CommandTable(Struct):
    """The commands that can be typed, in the order of /help."""

    commands: list[ListedCommand]


def door(hub: Hub, settings: Settings, viewer: Viewer) -> DoorSign:
    """Return all that a viewer without a name may know of this server."""
    names: list[str] = []
    people = 0
    room = hub.rooms.loaded.get(LOBBY)
    if room and settings.guests != "no" and not may(viewer, Action.SEE_MEMBERS, room.state):
        listed = slash.members_of(hub, LOBBY, ListPart(None, NAMES))
        names, people = list(listed.nicks), len(listed.nicks) + listed.more
    about = "" if settings.description in ("hubbub", settings.network) else settings.description
    return DoorSign(settings.network, about, settings.motd, people, names, not settings.ephemeral, settings.keep_days)


def commands() -> CommandTable:
    """Return the table of commands."""
    return CommandTable([ListedCommand(row.name, row.usage, row.help, row.group) for row in slash.COMMANDS.values()])
