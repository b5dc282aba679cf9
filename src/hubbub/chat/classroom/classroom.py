"""The acts of a class on every wire: raise a hand, give a turn to speak, ask the operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hubbub.chat import moderation
from hubbub.chat.classroom.hands import who
from hubbub.chat.classroom.lists import ListChange
from hubbub.chat.classroom.questions import IN_ROOM, OF_HOST, OF_PERSON, QUESTION_BYTES, Question
from hubbub.chat.session import owner
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.entries import HandMoved, TurnGiven
from hubbub.model.events import Notice
from hubbub.model.room.state import MAX_HANDS
from hubbub.text import refusals
from hubbub.text.cleaning import is_blank, one_line
from hubbub.text.names import key_of

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Room, Session, User


def raise_hand(hub: Hub, session: Session, room: Room) -> int:
    """Publish that the user of a session raises a hand, and return the number of hands before it. Raises Refused."""
    hub.check(session, Action.RAISE_HAND, room)
    waiting = room.waiting
    if session.user in waiting:
        return waiting.index(session.user)
    if len(room.state.hands) >= MAX_HANDS:
        raise refusals.HANDS_FULL(limit=MAX_HANDS)
    hub.publish(session, room.state, HandMoved("up", who(owner(session))))
    return len(waiting)


def lower_hand(hub: Hub, session: Session, room: Room) -> bool:
    """Publish that the user of a session lowers the hand, or gives back a turn; return whether there was one."""
    user = session.user
    if user is None or (user not in room.waiting and not room.state.has_turn(user)):
        return False
    step = "spoken" if room.state.has_turn(user) else "down"
    hub.publish(session, room.state, HandMoved(step, who(user)))
    return True


def give_turn(hub: Hub, session: Session, room: Room, name: str = "") -> User:
    """Let a member say one message, the first one in the queue by default, and return the member. Raises Refused."""
    hub.check(session, Action.SET_MODES, room)
    target = moderation.member(hub, room, name) if name else next(iter(room.waiting), None)
    if target is None:
        raise refusals.NO_HANDS()
    hub.publish(session, room.state, TurnGiven(who(target)))
    return target


def ask(hub: Hub, session: Session, room: Room, text: str) -> None:
    """Ask the operators of a room something. Raises Refused; a refusal may also follow as a reply."""
    hub.check(session, Action.ASK, room)
    text, _ = one_line(text)
    if is_blank(text):
        raise refusals.NO_TEXT()
    if len(text.encode()) > QUESTION_BYTES:
        raise refusals.TEXT_TOO_LONG(limit=QUESTION_BYTES)
    nick, host, now, author = session.nick, session.host, hub.clock(), owner(session).id_prefix
    if hub.questions.of_host(host) >= OF_HOST:
        raise refusals.QUESTIONS_FULL(limit=OF_HOST)

    def add(questions: Sequence[Question]) -> Sequence[Question]:
        own = [one for one in questions if (key_of(one.nick), one.host) == (key_of(nick), host)]
        if len(questions) >= IN_ROOM or len(own) >= OF_PERSON:
            raise refusals.QUESTIONS_FULL(limit=IN_ROOM if len(questions) >= IN_ROOM else OF_PERSON)
        number = questions[-1].number + 1 if questions else 1
        return [*questions, Question(number, nick, host, text, now, author)]

    def told(questions: Sequence[Question]) -> None:
        hub.reply(session, Notice((f"Your question is number {questions[-1].number}; only the operators see it",)))

    _change(hub, session, room, add, told)


def close(hub: Hub, session: Session, room: Room, number: int, publish: bool) -> None:
    """Let a question through, as a message of its author, or drop it. Raises Refused."""
    hub.check(session, Action.SET_MODES, room)
    taken: list[Question] = []

    def take(questions: Sequence[Question]) -> Sequence[Question]:
        taken[:] = [one for one in questions if one.number == number]
        if not taken:
            raise refusals.NO_SUCH_QUESTION()
        return [one for one in questions if one.number != number]

    def told(_: Sequence[Question]) -> None:
        if publish:
            hub.questions.publish(room, taken[0])
        else:
            hub.reply(session, Notice((f"Question {number} is dropped",)))

    _change(hub, session, room, take, told)


def _change(
    hub: Hub, session: Session, room: Room, change: ListChange[Question], told: Callable[[Sequence[Question]], None]
) -> None:
    operation = session.begin("question")

    def done(outcome: Sequence[Question] | Refused) -> None:
        if isinstance(outcome, Refused):
            hub.refuse(session, outcome)
        else:
            told(outcome)
        session.end(operation)

    hub.questions.store.change(room.id, change, done)


def shown(hub: Hub, session: Session, room: Room) -> Sequence[Question]:
    """Return the open questions that a session may see: all for operators, else its own ones."""
    questions = hub.questions.of(room.id)
    if hub.may(session, Action.SET_MODES, room):
        return questions
    return [one for one in questions if (key_of(one.nick), one.host) == (key_of(session.nick), session.host)]
