"""The slash commands for classes: rows of the table of commands (chat/commands/slash.py)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hubbub.chat.classroom import classroom
from hubbub.chat.commands.moderation import SlashCommand, change_modes
from hubbub.model.entries import ModeChange
from hubbub.model.events import Notice
from hubbub.text import refusals

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Session

GROUP = "classes"


def _hand(hub: Hub, session: Session, argument: str) -> None:
    room = hub.rooms.of(session)
    if argument.lower() == "down":
        told = "Your hand is down" if classroom.lower_hand(hub, session, room) else "Your hand is not up"
    elif argument:
        raise refusals.ARGUMENT_INVALID(synopsis="/hand [down]")
    else:
        before = classroom.raise_hand(hub, session, room)
        told = f"Your hand is up; before you: {before}. /hand down lowers it"
    hub.reply(session, Notice((told,)))


def _hands(hub: Hub, session: Session, _: str) -> None:
    lines = [f"{number}. {nick}" for number, nick in enumerate(hub.rooms.of(session).raised, 1)]
    hub.reply(session, Notice(tuple(lines or ["No hand is raised here"])))


def _next(hub: Hub, session: Session, name: str) -> None:
    classroom.give_turn(hub, session, hub.rooms.of(session), name)


def _quiet(hub: Hub, session: Session, argument: str) -> None:
    if argument.lower() not in ("on", "off"):
        raise refusals.ARGUMENT_INVALID(synopsis="/quiet on|off")
    change_modes(hub, session, [ModeChange(argument.lower() == "on", "m", "")])


def _ask(hub: Hub, session: Session, text: str) -> None:
    classroom.ask(hub, session, hub.rooms.of(session), text)


def _asked(hub: Hub, session: Session, _: str) -> None:
    lines = [f"{one.number}. {one.nick}: {one.text}" for one in classroom.shown(hub, session, hub.rooms.of(session))]
    hub.reply(session, Notice(tuple(lines or ["No question is open here"])))


def _close(publish: bool, hub: Hub, session: Session, number: str) -> None:
    if not (number.isdecimal() and len(number) < 10):
        raise refusals.ARGUMENT_INVALID(synopsis="/ok N" if publish else "/no N")
    classroom.close(hub, session, hub.rooms.of(session), int(number), publish)


ROWS = (
    SlashCommand("hand", "[down]", "Raise your hand to speak, or lower it.", _hand, GROUP),
    SlashCommand("hands", "", "List the raised hands, the first one first.", _hands, GROUP),
    SlashCommand("next", "[NAME]", "Let the next one, or NAME, say one message (operators).", _next, GROUP),
    SlashCommand("ask", "TEXT", "Ask the operators something that only they see.", _ask, GROUP),
    SlashCommand("asked", "", "List the open questions, with their numbers.", _asked, GROUP),
    SlashCommand("ok", "N", "Let question N through (operators).", partial(_close, True), GROUP),
    SlashCommand("no", "N", "Drop question N (operators).", partial(_close, False), GROUP),
    SlashCommand("quiet", "on|off", "Let people speak only in turn, or all again (operators).", _quiet, GROUP),
)
