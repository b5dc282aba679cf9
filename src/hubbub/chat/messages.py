"""Acts on a message that was said: answer, correct, redact, react, pin. Each finds its message in the log first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from hubbub.chat.operations.asking import LogQuestion, as_of_now, raw_question
from hubbub.chat.private import direct
from hubbub.chat.private.private_history import Conversation
from hubbub.chat.session import Room, Session, wrote
from hubbub.chat.turns import ClientStep
from hubbub.errors import BrokerError, Refused
from hubbub.model.access import Action, may_message
from hubbub.model.conversation import is_conversation
from hubbub.model.entries import (
    HISTORY,
    Body,
    Edited,
    Entry,
    Kind,
    Pinned,
    Reacted,
    Redacted,
    Said,
    Unpinned,
    Unreacted,
)
from hubbub.model.messages import reactions
from hubbub.model.notices.ignoring import shown
from hubbub.model.queries import After, Around, Latest, LogPage
from hubbub.model.room.state import pin_text
from hubbub.model.viewer import ASKER
from hubbub.text import refusals
from hubbub.text.bounds import MESSAGE_BYTES, REACTION_BYTES
from hubbub.text.cleaning import is_blank, reaction_of, reason_of, said
from hubbub.text.names import key_of
from hubbub.text.tags import escape

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub

LOOKED_AT = 200  # newest messages among which a message is found by its author or its position
# `s/old/new/`, with or without the last slash; a slash in one of the texts has a backslash before it.
_SUBSTITUTION = r"s/((?:[^/\\]|\\.)+)/((?:[^/\\]|\\.)*)(?:/(g?))?"
_ESCAPED = r"\\([/\\])"

Place: TypeAlias = Room | Conversation


class Which(NamedTuple):
    """The message that an act is about: the one with the `id` or the number `seq`, else the Nth newest of an author.

    The author has the nick `name`; or it is the user if `own` is true, another user if it is false, any if it is None.
    """

    id: str = ""
    seq: int = 0
    name: str = ""
    own: bool | None = None
    number: int = 1


class MessageAct(LogQuestion, frozen=True):
    """A session acts on a message, which is found in the log first.

    Args:
        act: names the function, see _ACTS.
        room: the id of the message's room, or the name of the private conversation.
        which: the message.
        text: the new text, the reaction or the reason.
        tags: tags of the client.
        whole: of an answer to somebody: the whole text, for the case that nobody of that name has said anything.
        label: the label of the session's request.
        about: the name of the room that a refusal is about, if it names one.
        refused: the client's step for a refusal, which is its last argument; without one, the session gets it.

    """

    act: str
    room: str
    which: Which
    text: str = ""
    tags: str = ""
    whole: str = ""
    label: str = ""
    about: str = ""
    refused: ClientStep | None = None


def find(session: Session, room: Place, which: Which, act: str, **more: Any) -> None:
    """Read a message or a poll from the log, and act on it as part of the session's present request.

    Args:
        session: the session that asks.
        room: the room of the message, or the private conversation.
        which: the message.
        act: a key of _ACTS.
        more: further fields of MessageAct.

    """
    query: Around | After | Latest = Latest(room.name, LOOKED_AT, viewer=ASKER, room_id=room.id)
    if which.id:
        query = Around(room.name, "around", (which.id,), 1, True, viewer=ASKER, room_id=room.id)
    elif which.seq:
        query = After(room.name, which.seq - 1, which.seq, 1, viewer=ASKER, room_id=room.id)
    more["label"] = session.label or more.get("label", "")
    session.queue(MessageAct(query, act, room.id or room.name, which, **more))


def _found(hub: Hub, session: Session, asked: MessageAct, page: LogPage | BrokerError) -> None:
    entries = page.entries if isinstance(page, LogPage) else ()
    try:
        place = _place(hub, session, asked.room)
        with session.labelled(asked.label):
            _ACTS[asked.act](hub, session, place, _meant(entries, asked.which, session), asked)
    except Refused as refusal:
        if asked.refused:
            session.call_client(asked.refused, refusal)
        else:
            hub.refuse(session, refusal, asked.label, asked.about)


def _place(hub: Hub, session: Session, room: str) -> Place:
    """Return the room with an id, or the private conversation of a name. Raises Refused."""
    if is_conversation(room):
        return hub.private_history.of_room(session, room)
    found = hub.rooms.loaded.by_id.get(room)
    if found is None:
        raise refusals.NOT_IN_ANY_ROOM()
    return found


def _meant(entries: Sequence[Entry], which: Which, session: Session) -> Entry | None:
    """Return the message among some entries, or the poll if it is named exactly."""
    if which.id or which.seq:
        known = (one for one in entries if isinstance(one.body, HISTORY))
        return next((one for one in known if which.id in (one.id, "") and which.seq in (one.seq, 0)), None)
    if which.name:
        named = (one for one in entries if key_of(one.nick) == key_of(which.name))
    else:
        # The user means the newest message that they were shown.
        named = (one for one in shown(session.ignored, entries) if which.own in (None, wrote(session, one)))
    matching = [one for one in named if type(one.body) is Said]
    return matching[-which.number] if which.number <= len(matching) else None


def _there(entry: Entry | None) -> Entry:
    """Return a message that is there; a poll can only be deleted."""
    if entry is None or type(entry.body) is not Said:
        raise refusals.NO_SUCH_MESSAGE()
    return entry


def _check(hub: Hub, session: Session, room: Place, action: Action) -> None:
    """Raise Refused unless a session may perform an action in a room; both people may do it in their conversation."""
    if not isinstance(room, Conversation):
        hub.check(session, action, room)
    elif refused := may_message(hub.viewer(session)):
        raise refused


def _change(hub: Hub, session: Session, room: Place, action: Action, body: Body, tags: str = "") -> None:
    """Publish a change of a message where it was said. Raises Refused."""
    _check(hub, session, room, action)
    if isinstance(room, Conversation):
        hub.private_log.change(session, room.parties, body, tags)
    else:
        hub.publish(session, room.state, body, tags)


# --- the acts: each answers the session if there is no such message, or if it may not do this -------------------------


def redact(session: Session, room: Place, which: Which, reason: str = "", refused: ClientStep | None = None) -> None:
    """Redact a message: authors redact their own, operators of a room any. Its text leaves the log.

    `reason` is shown to the others.
    """
    find(session, room, which, "redact", text=reason, refused=refused)


def _redact(hub: Hub, session: Session, room: Place, entry: Entry | None, asked: MessageAct) -> None:
    if entry is None:
        raise refusals.NO_SUCH_MESSAGE()
    own = wrote(session, entry)
    if not isinstance(room, Conversation):
        said_why = hub.reason(session, room, asked.text)
    elif own:
        said_why = reason_of(asked.text)
    else:
        raise refusals.NOT_YOURS_IN_PRIVATE()
    _change(hub, session, room, Action.REDACT_OWN if own else Action.REDACT, Redacted(entry.id, said_why))


def answer(session: Session, room: Place, which: Which, text: str, whole: str = "") -> None:
    """Publish a message that answers another one.

    If there is none, and `whole` is not "", that is the text of an answer to the last message of somebody else.
    """
    find(session, room, which, "answer", text=text, whole=whole)


def _answer(hub: Hub, session: Session, room: Place, entry: Entry | None, asked: MessageAct) -> None:
    if asked.whole and (entry is None or type(entry.body) is not Said):
        find(session, room, Which(own=False), "answer", text=asked.whole)
    elif isinstance(room, Conversation):
        direct.send_private(hub, session, room.parties.name, asked.text, tags=reply_tag(_there(entry).id))
    else:
        hub.say(session, asked.text, room.name, tags=reply_tag(_there(entry).id))


def reply_tag(id: str) -> str:
    """Return the tag of a message that answers the one with this id (https://ircv3.net/specs/client-tags/reply)."""
    return f"+reply={escape(id)}"


def correct(session: Session, room: Place, which: Which, text: str, refused: ClientStep | None = None) -> None:
    """Give the user's own message a new text, within the time that the settings allow."""
    find(session, room, which, "correct", text=text, refused=refused)


def _correct(hub: Hub, session: Session, room: Place, entry: Entry | None, asked: MessageAct) -> None:
    _set_text(hub, session, room, _there(entry), asked.text)


def _set_text(hub: Hub, session: Session, room: Place, entry: Entry, text: str) -> None:
    if not wrote(session, entry):
        raise refusals.NOT_YOURS_TO_CORRECT()
    _check(hub, session, room, Action.EDIT)
    if not _is_recent(hub, entry):
        raise refusals.TOO_LATE_TO_CORRECT(limit=hub.limits.edit_minutes)
    cleaned, formatting = said(text, session.preserves_spaces)
    if is_blank(cleaned):
        raise refusals.NO_TEXT()
    if len(cleaned.encode()) > MESSAGE_BYTES:
        raise refusals.TEXT_TOO_LONG(limit=MESSAGE_BYTES)
    _change(hub, session, room, Action.EDIT, Edited(entry.id, cleaned), formatting)


def _is_recent(hub: Hub, entry: Entry) -> bool:
    return hub.clock() <= entry.time + 60 * hub.limits.edit_minutes


def react(  # noqa: PLR0913 - the parts of one request
    session: Session,
    room: Place,
    which: Which,
    reaction: str,
    on: bool,
    tags: str = "",
    refused: ClientStep | None = None,
) -> None:
    """Add a reaction to a message, or take it back; `tags` are other tags of the client."""
    find(session, room, which, "react" if on else "unreact", text=reaction, tags=tags, refused=refused)


def _react(on: bool, hub: Hub, session: Session, room: Place, entry: Entry | None, asked: MessageAct) -> None:
    entry = _there(entry)
    _check(hub, session, room, Action.REACT)
    clean = reaction_of(asked.text)
    if not clean:
        raise refusals.REACTION_INVALID(limit=REACTION_BYTES)
    if on and not reactions.has_room(entry.tags, clean):
        raise refusals.REACTIONS_FULL(limit=reactions.MOST)
    body = Reacted(entry.id, clean) if on else Unreacted(entry.id, clean)
    _change(hub, session, room, Action.REACT, body, asked.tags)


def pin(session: Session, room: Room, which: Which) -> None:
    """Pin a message to the room."""
    find(session, room, which, "pin")


def _pin(hub: Hub, session: Session, room: Place, entry: Entry | None, asked: MessageAct) -> None:
    entry = _there(entry)
    assert isinstance(entry.body, Said)
    _change(hub, session, room, Action.PIN, Pinned(entry.id, pin_text(entry.nick, entry.body.text)))


def unpin(hub: Hub, session: Session, room: Room, id: str) -> None:
    """Publish that a message is no longer pinned. Raises Refused."""
    hub.check(session, Action.PIN, room)
    if id not in room.state.pins:
        raise refusals.NOT_PINNED()
    hub.publish(session, room.state, Unpinned(id))


# --- saying a line ----------------------------------------------------------------------------------------------------


def say(  # noqa: PLR0913 - the parts of one message
    hub: Hub,
    session: Session,
    text: str,
    room: str = "",
    kind: Kind = Kind.MESSAGE,
    label: str = "",
    tags: str = "",
) -> None:
    """Say a text like `Hub.say`, or correct the user's last message if the text is `s/old/new/` and that has `old`."""
    if kind is not Kind.MESSAGE or tags or not text.startswith("s/") or not re.fullmatch(_SUBSTITUTION, text):
        hub.say(session, text, room, kind, label, tags)
        return
    where = hub.rooms.of(session, room)
    find(session, where, Which(own=True), "substitute", text=text, label=label, about=where.name)


def _substitute(hub: Hub, session: Session, room: Place, entry: Entry | None, asked: MessageAct) -> None:
    substitution = re.fullmatch(_SUBSTITUTION, asked.text)
    assert substitution
    old, new = (re.sub(_ESCAPED, r"\1", part) for part in substitution.groups()[:2])
    count = -1 if substitution[3] else 1
    before = entry.body.text if entry and isinstance(entry.body, Said) else ""
    if not entry or old not in before or not _is_recent(hub, entry):
        hub.say(session, asked.text, room.name, label=asked.label)
        return
    replaced = before.count(old) if count < 0 else 1
    # Known before the text is made: two long lines could ask for hundreds of megabytes.
    if len(before) + replaced * (len(new) - len(old)) > MESSAGE_BYTES:
        raise refusals.TEXT_TOO_LONG(limit=MESSAGE_BYTES)
    _set_text(hub, session, room, entry, before.replace(old, new, count))


_ACTS: dict[str, Callable[[Hub, Session, Place, Entry | None, MessageAct], None]] = {
    "redact": _redact,
    "answer": _answer,
    "correct": _correct,
    "react": partial(_react, True),
    "unreact": partial(_react, False),
    "pin": _pin,
    "substitute": _substitute,
}

# A message of an ignored person can still be named, by its id or by the nick: operators delete it, for example.
OPERATIONS = (raw_question(MessageAct, _found, as_of_now),)
