"""Messages and events for single users, which are given to their sessions and are in no room's log."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.session import Session, User
from hubbub.model.codec import text_of
from hubbub.model.entries import Entry
from hubbub.model.events import Event, Invited, Private
from hubbub.model.notices.ignoring import hides


def give(sessions: Sequence[Session], event: Event) -> bool:
    """Send an event to those sessions that take bytes; return whether one of them counts as given it.

    A stored private message counts only in a session that may also read what is stored.
    """
    # To the sender, it counts as given: that one is ignored is nobody else's business.
    if sessions and sessions[0].user and is_hidden(sessions[0].user, event):
        return True
    reading = [one for one in sessions if one.tell(event)]
    if isinstance(event, Private) and event.entry and event.entry.seq:
        return any(one.permit.reads_private for one in reading)
    return bool(reading)


def is_hidden(user: User, event: Event) -> bool:
    """Return whether an event is a message or an invitation of somebody whom a user ignores."""
    ignored = user.ignored
    if not ignored:
        return False
    if isinstance(event, Invited):
        return any(one.is_person(event.nick, event.host) for one in ignored)
    return isinstance(event, Private) and event.entry is not None and hides(ignored, event.entry)


def private(session: Session, entry: Entry) -> Private:
    """Return the event of a message that a session sends to single users."""
    author = session.user or session.account
    assert author is not None
    return Private(entry.nick, text_of(entry.body), entry, author.id)


def show_others(remote: RemoteUsers, user: User, session: Session, entry: Entry, recipient: str = "") -> None:
    """Show a message that a session has sent to the other sessions of a user, on all nodes; paused ones miss it.

    Args:
        remote: the users of other nodes.
        user: its author.
        session: the session that sent it; a program that acts for the author has one, too.
        entry: the message.
        recipient: the id of the recipient, "" for several.

    """
    copy = Private(entry.nick, text_of(entry.body), entry, recipient, entry.room.removeprefix("@"))
    if remote.homes(user):
        remote.send(user, copy)
    for one in user.sessions:
        if one is not session:
            one.tell(copy)
