"""What is told to some and stored nowhere: private messages, and signals like who is typing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from hubbub.core.access import Action
from hubbub.core.model import Acknowledged, Entry, Event, Kind, Private, Refusal
from hubbub.core.tags import join
from hubbub.core.text import beginning, clean, is_blank, said
from hubbub.errors import Refused

if TYPE_CHECKING:
    from hubbub.core.hub import Hub
    from hubbub.core.session import Session


def _entry(hub: Hub, session: Session, where: str, kind: Kind, text: str, tags: str) -> Entry:
    """Return what a session says as an entry that is in no log: without a number."""
    session.next_id += 1
    id = f"{session.id_prefix}{session.next_id:x}"
    tags = join(session.tags, tags)
    return Entry(where, 0, 0, hub.clock(), kind, session.nick, text, id, session.host, tags)


def check_present(hub: Hub, name: str, user: str) -> None:
    """Raise Refused if somebody holds a name who is not the user with this id."""
    holder = hub.directory.find(name)
    if holder and holder.user and holder.user.id != user:
        raise Refused("somebody-else", f"Not sent: the {holder.nick} who is here now may be somebody else.")


def send_private(  # noqa: PLR0913 - what may be said
    hub: Hub, session: Session, name: str, text: str, kind: Kind = Kind.MESSAGE, label: str = "", tags: str = ""
) -> None:
    """Tell a user something that nobody else hears. Between guests it is stored nowhere.

    With a label the session is told `Stored` when that is done.

    Raises:
        Refused: nobody has that name, or the text is empty.

    """
    text, formatting = said(text, session.preserves_spaces)
    target = hub.directory.find(name)
    if target is None:
        raise Refused("no-such-name", f"Nobody here is called {beginning(clean(name))}.")
    if is_blank(text) and kind is not Kind.EPHEMERAL:
        raise Refused("no-text", "There is nothing to send.")
    assert session.user is not None
    session.user.active = hub.clock()
    entry = _entry(hub, session, f"@{target.nick}", kind, text, join(tags, formatting))
    if target in hub.remote:
        hub.ask_for(
            session,
            partial(hub.remote.deliver, target, _private(session, entry)),
            partial(_arrived, target, entry, label),
        )
        return
    session.pending_operations += 1  # what it says next must not overtake this
    session.replies.append(partial(_hand_over, session, target, entry, label))
    session.flush()


def _hand_over(session: Session, target: Session, entry: Entry, label: str) -> Event | None:
    session.pending_operations -= 1
    if target.closed:
        return Refusal("no-such-name", "Not sent: who it was for has left.")
    if target.paused:
        return _arrived(target, entry, label, False)
    target.client.send_event(_private(session, entry))
    return _arrived(target, entry, label, True)


def _private(session: Session, entry: Entry) -> Private:
    assert session.user is not None
    return Private(entry.nick, entry.text, entry, session.user.id)


def _arrived(target: Session, entry: Entry, label: str, outcome: bool | None) -> Event | None:
    """Return what the sender is told; the outcome is None if nobody knows."""
    nick = entry.room.removeprefix("@")
    if outcome is None:
        return Refusal("not-confirmed", f"Not confirmed: {nick} cannot be reached just now.", label)
    if not outcome:
        return Refusal("not-reading", f"Not sent: {nick} does not read just now.", label)
    return Acknowledged(label, entry, target.user.id if target.user else "") if label else None


def message_members_apart(  # noqa: PLR0913 - what may be said to some of many
    hub: Hub, session: Session, members: Sequence[Session], to: str, text: str, kind: Kind, tags: str, label: str = ""
) -> None:
    """Tell some members of a room what is said `to` them, and stored nowhere.

    With a label the session is told `Stored` when that is done.
    """
    text, formatting = said(text, exact=True)
    entry = _entry(hub, session, to, kind, text, join(tags, formatting))

    def give() -> Event | None:
        for member in members:
            if not (member.closed or member.paused):
                member.client.send_event(_private(session, entry))
        return Acknowledged(label, entry) if label else None

    session.replies.append(give)
    session.flush()


def signal(hub: Hub, session: Session, room: str, tags: str, label: str = "", text: str = "") -> None:
    """Tell the members of a room who can show it something that is not stored. Raises Refused."""
    where = hub.rooms.of(session, room)
    if text:  # it is read like what is said
        hub.speak(hub.viewer(session), where)
    else:
        hub.check(session, Action.SIGNAL, where)
    entry = _entry(hub, session, where.name, Kind.EPHEMERAL, text, tags)

    def give() -> Event | None:
        hub.delivery.signal(where, entry, session)
        if where.remote_members:
            hub.remote.signal(entry)
        return Acknowledged(label, entry) if label else None

    session.replies.append(give)
    session.flush()
