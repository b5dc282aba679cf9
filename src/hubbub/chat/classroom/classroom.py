"""The acts of a class on every wire: raise a hand, give a turn to speak, ask the operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from hubbub.chat import moderation
from hubbub.chat.classroom.hands import who
from hubbub.chat.classroom.lists import ListChanged
from hubbub.chat.classroom.questions import IN_ROOM, OF_HOST, OF_PERSON, QUESTION_BYTES, Question
from hubbub.chat.session import owner
from hubbub.chat.turns import OperationKind
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.entries import HandMoved, TurnGiven
from hubbub.model.events import Notice
from hubbub.model.room.room_ids import RoomRef
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
    given = [body.who for body in hub.pipeline.bodies(room.id) if isinstance(body, TurnGiven)]
    waiting = (user for user in room.waiting if who(user) not in given)
    target = moderation.member(hub, room, name) if name else next(waiting, None)
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
    if hub.questions.of_host(session.host) >= OF_HOST:
        raise refusals.QUESTIONS_FULL(limit=OF_HOST)
    question = Question(0, session.nick, session.host, text, hub.clock(), owner(session).id_prefix)
    session.start(QuestionAsked(RoomRef(room.id, room.name), question))


class QuestionAsked(Struct, frozen=True):
    """A question, which has no number yet, is to be added to those of a room."""

    room: RoomRef
    question: Question


def _add(asked: QuestionAsked, questions: Sequence[Question]) -> Sequence[Question]:
    new = asked.question
    if _number_of(new, questions):  # another process has begun this, and has added it
        return questions
    own = [one for one in questions if (key_of(one.nick), one.host) == (key_of(new.nick), new.host)]
    if len(questions) >= IN_ROOM or len(own) >= OF_PERSON:
        raise refusals.QUESTIONS_FULL(limit=IN_ROOM if len(questions) >= IN_ROOM else OF_PERSON)
    return [*questions, new._replace(number=questions[-1].number + 1 if questions else 1)]


def _number_of(question: Question, questions: Sequence[Question]) -> int:
    """Return the number that a question has among others; 0 if it is none of them."""
    return next((one.number for one in questions if one._replace(number=0) == question), 0)


def _check_again(hub: Hub, session: Session, action: Action, where: RoomRef) -> None:
    """Raise Refused if a session has lost a right in a room while it waited for the store."""
    room = hub.loaded.by_id.get(where.id)
    if room is None:  # nobody is in it any more
        raise refusals.NOT_IN_ROOM(room=where.name)
    hub.check(session, action, room)


def _keep(hub: Hub, session: Session, asked: QuestionAsked, done: ListChanged[Question]) -> None:
    def add(questions: Sequence[Question]) -> Sequence[Question]:
        _check_again(hub, session, Action.ASK, asked.room)
        return _add(asked, questions)

    hub.questions.store.change(asked.room.id, add, done)


def _kept(hub: Hub, session: Session, asked: QuestionAsked, questions: Sequence[Question] | Refused) -> None:
    if isinstance(questions, Refused):
        hub.refuse(session, questions)
        return
    number = _number_of(asked.question, questions)
    hub.reply(session, Notice((f"Your question is number {number}; only the operators see it",)))


def close(hub: Hub, session: Session, room: Room, number: int, publish: bool) -> None:
    """Let a question through, as a message of its author, or drop it. Raises Refused."""
    hub.check(session, Action.SET_MODES, room)
    session.start(QuestionClosed(RoomRef(room.id, room.name), number, publish))


class QuestionClosed(Struct, frozen=True):
    """The question with a number in a room is to be dropped, or published as a message of its author."""

    room: RoomRef
    number: int
    publish: bool


def _take(hub: Hub, session: Session, asked: QuestionClosed, done: Callable[[Question | Refused], None]) -> None:
    taken: list[Question] = []

    def take(questions: Sequence[Question]) -> Sequence[Question]:
        _check_again(hub, session, Action.SET_MODES, asked.room)
        taken[:] = [one for one in questions if one.number == asked.number]
        if not taken:
            raise refusals.NO_SUCH_QUESTION()
        return [one for one in questions if one.number != asked.number]

    def taken_out(outcome: Sequence[Question] | Refused) -> None:
        done(outcome if isinstance(outcome, Refused) else taken[0])

    hub.questions.store.change(asked.room.id, take, taken_out)


def _taken(hub: Hub, session: Session, asked: QuestionClosed, question: Question | Refused) -> None:
    if isinstance(question, Refused):
        hub.refuse(session, question)
    elif asked.publish:
        hub.questions.publish(hub.loaded.by_id.get(asked.room.id) or asked.room, question)
    else:
        hub.reply(session, Notice((f"Question {asked.number} is dropped",)))


OPERATIONS = (
    OperationKind(QuestionAsked, _kept, _keep, at_once=True),
    # Begun twice, it would not find the question, which would then be lost.
    OperationKind(QuestionClosed, _taken, _take, at_once=True, moves=False),
)


def shown(hub: Hub, session: Session, room: Room) -> Sequence[Question]:
    """Return the open questions that a session may see: all for operators, else its own ones."""
    questions = hub.questions.of(room.id)
    if hub.may(session, Action.SET_MODES, room):
        return questions
    return [one for one in questions if (key_of(one.nick), one.host) == (key_of(session.nick), session.host)]
