"""The requests of a WebSocket client that has a name, each run in the chat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from hubbub.chat import messages
from hubbub.chat.classroom import polls
from hubbub.chat.commands import classroom, moderation, slash
from hubbub.chat.hub import Hub
from hubbub.chat.messages import Which
from hubbub.chat.operations.pages import MentionsPageAsked, PageAsked
from hubbub.chat.private import direct
from hubbub.chat.private.private_history import Conversation
from hubbub.chat.session import Room, Session
from hubbub.chat.users.read_markers import of_person, of_room
from hubbub.model import searching
from hubbub.model.queries import LAST, After, Around, Latest
from hubbub.model.viewer import ASKER
from hubbub.text import names, refusals
from hubbub.text.list_pages import ListPart
from hubbub.wire.web import requests as wire


def run(hub: Hub, session: Session, request: wire.Request) -> None:
    """Run a request that is not a hello, of a session that has a user. Raises Refused."""
    _REQUESTS[type(request)](hub, session, request)


def _say(hub: Hub, session: Session, request: wire.Say) -> None:
    if len(request.text.encode("utf-8", "replace")) > wire.MAX_TEXT:
        raise refusals.TEXT_TOO_LONG(limit=wire.MAX_TEXT)
    messages.say(hub, session, request.text, request.room, label=request.label, tags=_answering(request))


def _answering(request: wire.Say | wire.Msg) -> str:
    """Return the tag of a message that answers another one; "" if it answers none."""
    return messages.reply_tag(request.re) if request.re else ""


def _command(hub: Hub, session: Session, request: wire.ClientCommand) -> None:
    if request.room.startswith("@"):
        hub.rooms.focus(session, "")
    elif request.room:
        hub.rooms.focus(session, hub.rooms.of(session, request.room).id)
    slash.run(hub, session, request.line)


def _join(hub: Hub, session: Session, request: wire.Join) -> None:
    if hub.rooms.may_be_code(request.room):
        hub.rooms.join_by_code(session, request.room)
    else:
        hub.rooms.join(session, request.room, request.after, request.key)


def _leave(hub: Hub, session: Session, request: wire.Leave) -> None:
    hub.rooms.leave(session, request.room)


def _msg(hub: Hub, session: Session, request: wire.Msg) -> None:
    if request.user:
        direct.check_present(hub, request.to, request.user)
    direct.send_private(hub, session, request.to, request.text, label=request.label, tags=_answering(request))


def _redact(hub: Hub, session: Session, request: wire.Redact) -> None:
    room = _place(hub, session, request.room)
    with _labelled(session, request.label):
        messages.redact(session, room, Which(id=request.id), request.reason)


def _place(hub: Hub, session: Session, name: str) -> Room | Conversation:
    """Return the room of a request, or the private conversation if the name begins with @. Raises Refused."""
    return hub.private_history.room_with(session, name) if name.startswith("@") else hub.rooms.of(session, name)


def _correct(hub: Hub, session: Session, request: wire.Correct) -> None:
    room = _place(hub, session, request.room)
    with _labelled(session, request.label):
        messages.correct(session, room, Which(id=request.id), request.text)


def _react(hub: Hub, session: Session, request: wire.React) -> None:
    room = _place(hub, session, request.room)
    with _labelled(session, request.label):
        messages.react(session, room, Which(id=request.id), request.reaction, request.on)


def _pin(hub: Hub, session: Session, request: wire.PinMessage) -> None:
    room = hub.rooms.of(session, request.room)
    with _labelled(session, request.label):
        if request.on:
            messages.pin(session, room, Which(id=request.id))
        else:
            messages.unpin(hub, session, room, request.id)


def _open_poll(hub: Hub, session: Session, request: wire.OpenPollRequest) -> None:
    with _labelled(session, request.label):
        polls.open_poll(hub, session, hub.rooms.of(session, request.room), request.question, request.answers)


def _vote(hub: Hub, session: Session, request: wire.Vote) -> None:
    room = hub.rooms.of(session, request.room)
    with _labelled(session, request.label):
        polls.vote(hub, session, room, polls.find(room, id=request.id), request.choice)


def _end_poll(hub: Hub, session: Session, request: wire.EndPoll) -> None:
    room = hub.rooms.of(session, request.room)
    with _labelled(session, request.label):
        polls.close_poll(hub, session, room, polls.find(room, id=request.id))


@contextmanager
def _labelled(session: Session, label: str) -> Iterator[None]:
    """Give a label to the drafts and questions that are made meanwhile."""
    session.label = label
    try:
        yield
    finally:
        session.label = ""


def _history(hub: Hub, session: Session, request: wire.History) -> None:
    room = _readable(hub, session, request.room)
    query: Latest | After | Around
    if request.around:
        query = hub.by_id(Around(room, "around", (request.around,), request.limit, True, viewer=ASKER))
    elif request.after is None:
        query = hub.by_id(Latest(room, request.limit, request.before, every=True, viewer=ASKER))
    else:
        query = hub.by_id(After(room, request.after, LAST, request.limit, viewer=ASKER))
    session.queue(PageAsked(query, request.label))


def _find(hub: Hub, session: Session, request: wire.Find) -> None:
    room = _readable(hub, session, request.room) if request.room else None
    asked = searching.parse(request.words, hub.clock())
    query = hub.by_id(asked.query(request.limit, room, ASKER, before=request.before))
    session.queue(PageAsked(query, request.label))


def _mentions(hub: Hub, session: Session, request: wire.AskMentions) -> None:
    hub.mentions.check_kept(session)
    session.queue(MentionsPageAsked(request.limit, request.unread, request.label))


def _read(hub: Hub, session: Session, request: wire.MarkRead) -> None:
    """Move the read marker of an account, or those of all its mentions; guests have none."""
    account = session.account
    if account is None:
        return
    if not request.room:
        if hub.mentions.store:
            hub.mentions.store.of(account.id, partial(hub.reading.read_mentions, session, account))
        return
    if request.room.startswith("@"):
        other = hub.nicks.accounts.find(request.room[1:])
        target = of_person(other.id) if other else ""
    else:
        target = of_room(hub.rooms.of(session, request.room).id)
    if target:
        hub.reading.read(session, account, target, min(request.time, hub.clock()))


def _readable(hub: Hub, session: Session, name: str) -> str:
    """Return the room of a name in a request; that of a private conversation if the name begins with @."""
    if name.startswith("@"):
        return hub.private_history.room_with(session, name)[0]
    return names.check_room(name)


def _rooms(hub: Hub, session: Session, request: wire.AskRooms) -> None:
    slash.list_rooms(hub, session, part=ListPart(request.after, request.limit))


def _members(hub: Hub, session: Session, request: wire.AskMembers) -> None:
    slash.list_members(hub, session, request.room, ListPart(request.after, request.limit))


def _settings(hub: Hub, session: Session, request: wire.AskSettings) -> None:
    moderation.list_settings(hub, session, request.room)


def _class(hub: Hub, session: Session, request: wire.AskClass) -> None:
    classroom.show_class(hub, session, request.room)


_REQUESTS: dict[type[wire.Request], Callable[[Hub, Session, Any], None]] = {
    wire.Say: _say,
    wire.ClientCommand: _command,
    wire.Join: _join,
    wire.Leave: _leave,
    wire.Msg: _msg,
    wire.Redact: _redact,
    wire.Correct: _correct,
    wire.React: _react,
    wire.PinMessage: _pin,
    wire.OpenPollRequest: _open_poll,
    wire.Vote: _vote,
    wire.EndPoll: _end_poll,
    wire.History: _history,
    wire.Find: _find,
    wire.AskMentions: _mentions,
    wire.MarkRead: _read,
    wire.AskRooms: _rooms,
    wire.AskMembers: _members,
    wire.AskSettings: _settings,
    wire.AskClass: _class,
}
