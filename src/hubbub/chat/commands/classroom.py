"""The slash commands for classes: rows of the table of commands (chat/commands/slash.py)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from hubbub.chat.classroom import ballots, classroom, polls
from hubbub.chat.commands.moderation import SlashCommand, change_modes
from hubbub.model.access import Action
from hubbub.model.entries import Entry, ModeChange, Polled
from hubbub.model.events import ClassShown, Notice, OpenCode, OpenQuestion
from hubbub.model.messages.polls import doubt, question, tally
from hubbub.text import refusals
from hubbub.text.typed.codes import shown_code

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Room, Session

GROUP = "classes"


def _hand(hub: Hub, session: Session, argument: str) -> None:
    room = hub.rooms.of(session)
    if argument.lower() == "down":
        told = "Your hand is down" if classroom.lower_hand(hub, session, room) else "Your hand is not up"
    elif argument:
        raise refusals.ARGUMENT_INVALID(synopsis="/hand [down]")
    else:
        before = classroom.raise_hand(hub, session, room)
        told = f"Your hand is up; {f'{before} before you' if before else 'you are next'}. /hand down lowers it"
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


def _poll(hub: Hub, session: Session, argument: str) -> None:
    room = hub.rooms.of(session)
    act, _, number = argument.lower().partition(" ")
    if not argument:
        hub.reply(session, Notice(tuple(_open_polls(session, room)) or ("No poll is open here",)))
    elif act in _ACTS and (not number or _is_number(number)):
        _ACTS[act](hub, session, room, polls.find(room, int(number or 0), ignored=session.ignored))
    else:
        asked, *answers = argument.split("|")
        polls.open_poll(hub, session, room, asked, answers)


_ACTS = {"close": polls.close_poll, "delete": polls.delete_poll}


def _open_polls(session: Session, room: Room) -> Iterator[str]:
    for number, one in ballots.numbered(session, room):
        mine = f" (your vote: {one.answers[one.mine - 1]})" if one.mine else ""
        answers = [f"{place}) {answer}" for place, answer in enumerate(one.answers, 1)]
        yield f"{number}. {question(one.question)} {tally(answers, one.votes)}{doubt(one.guests)}{mine}"


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def show_class(hub: Hub, session: Session, name: str) -> None:
    """Reply with the hands, questions, polls and codes of a room that the session is in. Raises Refused."""
    room = hub.rooms.of(session, name)
    codes = hub.rooms.codes.of_room(room.id) if hub.may(session, Action.SET_MODES, room) else []
    hub.reply(
        session,
        ClassShown(
            room.name,
            room.raised,
            [OpenQuestion(one.number, one.nick, one.text, one.time) for one in classroom.shown(hub, session, room)],
            ballots.listed(session, room),
            [OpenCode(shown_code(letters), one.expires, one.most, len(one.used), one.nick) for letters, one in codes],
        ),
    )


def _vote(hub: Hub, session: Session, argument: str) -> None:
    room = hub.rooms.of(session)
    poll = polls.find(room, ignored=session.ignored)
    choice = choice_of(poll, argument)
    answer, _, number = argument.rpartition(" ")
    if choice is None and answer and _is_number(number):
        poll = polls.find(room, int(number))
        choice = choice_of(poll, answer)
    if choice is None:
        raise refusals.ARGUMENT_INVALID(synopsis="/vote N [POLL]")
    chosen = polls.vote(hub, session, room, poll, choice)
    assert isinstance(poll.body, Polled)
    told = f"Your vote: {chosen}" if chosen else "You have no vote"
    hub.reply(session, Notice((f"{question(poll.body.question)} {told}",)))


def choice_of(poll: Entry, text: str) -> int | None:
    """Return the number of the answer that a text names by its number or its words; None if it names none."""
    assert isinstance(poll.body, Polled)
    if _is_number(text):
        return int(text)
    folded = [answer.casefold() for answer in poll.body.answers]
    return folded.index(text.casefold()) + 1 if text.casefold() in folded else None


ROWS = (
    SlashCommand("hand", "[down]", "Raise your hand to speak, or lower it.", _hand, GROUP),
    SlashCommand("hands", "", "List the raised hands, the first one first.", _hands, GROUP),
    SlashCommand("next", "[NAME]", "Let the next one, or NAME, say one message (operators).", _next, GROUP),
    SlashCommand("ask", "TEXT", "Ask the operators something that only they see.", _ask, GROUP),
    SlashCommand("asked", "", "List the open questions, with their numbers.", _asked, GROUP),
    SlashCommand("ok", "N", "Let question N through (operators).", partial(_close, True), GROUP),
    SlashCommand("no", "N", "Drop question N (operators).", partial(_close, False), GROUP),
    SlashCommand(
        "poll", "[QUESTION | ANSWER | ANSWER]", "Ask the room; without a question, list the open polls.", _poll, GROUP
    ),
    SlashCommand("vote", "N [POLL]", "Choose answer N of the newest poll; 0 takes your vote back.", _vote, GROUP),
    SlashCommand("quiet", "on|off", "Let people speak only in turn, or all again (operators).", _quiet, GROUP),
)
