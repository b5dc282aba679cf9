"""Acts on a message that was said: answer, correct, redact, react, pin. Each finds its message in the log first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hubbub.chat.private.private_history import Conversation
from hubbub.chat.session import Session, wrote
from hubbub.errors import BrokerError, Refused
from hubbub.model.access import Action, may_message
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
from hubbub.model.queries import After, Around, Latest, LogPage
from hubbub.model.room.state import pin_text
from hubbub.text import refusals
from hubbub.text.bounds import MESSAGE_BYTES, REACTION_BYTES
from hubbub.text.cleaning import is_blank, reaction_of, reason_of, said
from hubbub.text.names import key_of
from hubbub.text.tags import escape

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Room

LOOKED_AT = 200  # newest messages among which a message is found by its author or its position
# `s/old/new/`, with or without the last slash; a slash in one of the texts has a backslash before it.
_SUBSTITUTION = r"s/((?:[^/\\]|\\.)+)/((?:[^/\\]|\\.)*)(?:/(g?))?"
_ESCAPED = r"\\([/\\])"

Refuse = Callable[[Refused], None]


class Which(NamedTuple):
    """The message that an act is about: the one with the `id` or the number `seq`, else the Nth newest of an author.

    The author has the nick `name`; or it is the user if `own` is true, another user if it is false, any if it is None.
    """

    id: str = ""
    seq: int = 0
    name: str = ""
    own: bool | None = None
    number: int = 1


def find(
    hub: Hub,
    session: Session,
    room: Room | Conversation,
    which: Which,
    act: Callable[[Entry | None], None],
    refuse: Refuse,
) -> None:
    """Read a message or a poll from the log, and call `act` with it as part of the session's present request.

    Args:
        hub: the hub.
        session: the session that asks.
        room: the room of the message, or the private conversation.
        which: the message.
        act: is called with the message, or with None if there is no such one; it may raise Refused.
        refuse: is called with the refusal that `act` raises.

    """
    label, viewer = session.label, hub.viewer(session)

    def found(page: LogPage | BrokerError) -> None:
        entries = page.entries if isinstance(page, LogPage) else ()
        session.label, before = label, session.label
        try:
            act(_meant(entries, which, session))
        except Refused as refusal:
            refuse(refusal)
        finally:
            session.label = before

    query: Around | After | Latest = Latest(room.name, LOOKED_AT, viewer=viewer, room_id=room.id)
    if which.id:
        query = Around(room.name, "around", (which.id,), 1, True, viewer=viewer, room_id=room.id)
    elif which.seq:
        query = After(room.name, which.seq - 1, which.seq, 1, viewer=viewer, room_id=room.id)
    hub.ask_raw(session, query, found)


def _meant(entries: Sequence[Entry], which: Which, session: Session) -> Entry | None:
    """Return the message among some entries, or the poll if it is named exactly."""
    if which.id or which.seq:
        known = (one for one in entries if isinstance(one.body, HISTORY))
        return next((one for one in known if which.id in (one.id, "") and which.seq in (one.seq, 0)), None)
    said = [one for one in entries if type(one.body) is Said]
    if which.name:
        matching = [one for one in said if key_of(one.nick) == key_of(which.name)]
    else:
        matching = [one for one in said if which.own in (None, wrote(session, one))]
    return matching[-which.number] if which.number <= len(matching) else None


def _there(entry: Entry | None) -> Entry:
    """Return a message that is there; a poll can only be deleted."""
    if entry is None or type(entry.body) is not Said:
        raise refusals.NO_SUCH_MESSAGE()
    return entry


def _check(hub: Hub, session: Session, room: Room | Conversation, action: Action) -> None:
    """Raise Refused unless a session may perform an action in a room; both people may do it in their conversation."""
    if not isinstance(room, Conversation):
        hub.check(session, action, room)
    elif refused := may_message(hub.viewer(session)):
        raise refused


def _change(hub: Hub, session: Session, room: Room | Conversation, action: Action, body: Body, tags: str = "") -> None:
    """Publish a change of a message where it was said. Raises Refused."""
    _check(hub, session, room, action)
    if isinstance(room, Conversation):
        hub.private_log.change(session, room.parties, body, tags)
    else:
        hub.publish(session, room.state, body, tags)


# --- the acts: each calls `refuse` if there is no such message, or the session may not do this ------------------------


def redact(
    hub: Hub, session: Session, room: Room | Conversation, which: Which, refuse: Refuse, reason: str = ""
) -> None:
    """Redact a message: authors redact their own, operators of a room any. Its text leaves the log.

    `reason` is shown to the others.
    """

    def act(entry: Entry | None) -> None:
        if entry is None:
            raise refusals.NO_SUCH_MESSAGE()
        own = wrote(session, entry)
        if not isinstance(room, Conversation):
            said_why = hub.reason(session, room, reason)
        elif own:
            said_why = reason_of(reason)
        else:
            raise refusals.NOT_YOURS_IN_PRIVATE()
        _change(hub, session, room, Action.REDACT_OWN if own else Action.REDACT, Redacted(entry.id, said_why))

    find(hub, session, room, which, act, refuse)


def answer(hub: Hub, session: Session, room: Room, which: Which, text: str, refuse: Refuse) -> None:
    """Publish a message that answers another one."""

    def act(entry: Entry | None) -> None:
        hub.say(session, text, room.name, tags=reply_tag(_there(entry).id))

    find(hub, session, room, which, act, refuse)


def reply_tag(id: str) -> str:
    """Return the tag of a message that answers the one with this id (https://ircv3.net/specs/client-tags/reply)."""
    return f"+reply={escape(id)}"


def correct(hub: Hub, session: Session, room: Room | Conversation, which: Which, text: str, refuse: Refuse) -> None:
    """Give the user's own message a new text, within the time that the settings allow."""
    find(hub, session, room, which, lambda entry: _correct(hub, session, room, _there(entry), text), refuse)


def _correct(hub: Hub, session: Session, room: Room | Conversation, entry: Entry, text: str) -> None:
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
    hub: Hub,
    session: Session,
    room: Room | Conversation,
    which: Which,
    reaction: str,
    on: bool,
    refuse: Refuse,
    tags: str = "",
) -> None:
    """Add a reaction to a message, or take it back; `tags` are other tags of the client."""

    def act(entry: Entry | None) -> None:
        entry = _there(entry)
        _check(hub, session, room, Action.REACT)
        clean = reaction_of(reaction)
        if not clean:
            raise refusals.REACTION_INVALID(limit=REACTION_BYTES)
        if on and not reactions.has_room(entry.tags, clean):
            raise refusals.REACTIONS_FULL(limit=reactions.MOST)
        body = Reacted(entry.id, clean) if on else Unreacted(entry.id, clean)
        _change(hub, session, room, Action.REACT, body, tags)

    find(hub, session, room, which, act, refuse)


def pin(hub: Hub, session: Session, room: Room, which: Which, refuse: Refuse) -> None:
    """Pin a message to the room."""

    def act(entry: Entry | None) -> None:
        entry = _there(entry)
        hub.check(session, Action.PIN, room)
        assert isinstance(entry.body, Said)
        hub.publish(session, room.state, Pinned(entry.id, pin_text(entry.nick, entry.body.text)))

    find(hub, session, room, which, act, refuse)


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
    substitution = re.fullmatch(_SUBSTITUTION, text) if text.startswith("s/") and kind is Kind.MESSAGE else None
    if substitution is None or tags:
        hub.say(session, text, room, kind, label, tags)
        return
    where = hub.rooms.of(session, room)
    old, new = (re.sub(_ESCAPED, r"\1", part) for part in substitution.groups()[:2])
    count = -1 if substitution[3] else 1

    def act(entry: Entry | None) -> None:
        before = entry.body.text if entry and isinstance(entry.body, Said) else ""
        if not entry or old not in before or not _is_recent(hub, entry):
            hub.say(session, text, where.name, kind, label, tags)
            return
        replaced = before.count(old) if count < 0 else 1
        # Known before the text is made: two long lines could ask for hundreds of megabytes.
        if len(before) + replaced * (len(new) - len(old)) > MESSAGE_BYTES:
            raise refusals.TEXT_TOO_LONG(limit=MESSAGE_BYTES)
        _correct(hub, session, where, entry, before.replace(old, new, count))

    before, session.label = session.label, session.label or label
    find(hub, session, where, Which(own=True), act, lambda refusal: hub.refuse(session, refusal, label, where.name))
    session.label = before
