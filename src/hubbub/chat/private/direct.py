"""Messages to single users, and ephemeral entries such as typing notices.

Private messages between accounts are stored (private_log.py). All others are delivered and not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple, replace

from hubbub.chat.giving import give, private, show_others
from hubbub.chat.session import Session, User, owner
from hubbub.chat.turns import OperationKind
from hubbub.model.access import Action, may_message
from hubbub.model.codec import Record, body_of, entry_of, record
from hubbub.model.entries import Entry, Kind, Said
from hubbub.model.events import Acknowledged, Event, Refusal
from hubbub.model.ids import make_id
from hubbub.text import refusals
from hubbub.text.cleaning import beginning, clean, said
from hubbub.text.tags import join

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub


# A private message, and whether one of its recipient's sessions was given it; None if that is not known.
Delivered = tuple[Entry, bool | None]


def _entry(hub: Hub, session: Session, where: str, kind: Kind, text: str, tags: str) -> Entry:
    """Return a message of a session as an entry that is in no log: its numbers are 0, and its time is now."""
    session.next_id += 1
    id = make_id(session.id_prefix, session.next_id)
    body, tags = body_of(kind, text, join(session.tags, tags))
    return Entry(where, 0, 0, hub.clock(), session.nick, id, body, session.host, tags)


def check_present(hub: Hub, name: str, user: str) -> None:
    """Raise Refused if somebody else than the user with an id holds a name, or owns it; a free name is no error."""
    if holder := hub.nicks.find(name):
        if not holder.is_known_as(user):
            raise refusals.SOMEBODY_ELSE(name=holder.nick)
    elif (account := hub.nicks.accounts.find(name)) and account.id != user:
        raise refusals.SOMEBODY_ELSE(name=account.name)


def send_private(  # noqa: PLR0913 - the parts of a message
    hub: Hub, session: Session, name: str, text: str, kind: Kind = Kind.MESSAGE, label: str = "", tags: str = ""
) -> None:
    """Send a private message to a user. It is stored if both have an account and keep their history, else nowhere.

    The message keeps its place among the session's replies. With a label the session gets an `Acknowledged` reply when
    the message is delivered. A failed delivery is reported by a Refusal in any case.

    Raises:
        Refused: no user has that name, and no account with a history; or the text is empty and the message is
            not ephemeral; or guests may only read, or the user takes no messages from guests.

    """
    if refused := may_message(hub.viewer(session)):
        raise refused
    text, formatting = said(text, session.preserves_spaces)
    target = hub.nicks.find(name)
    account = hub.private_log.partner(session, name, target) if kind is not Kind.EPHEMERAL else None
    if target is None and account is None:
        raise refusals.NO_SUCH_NAME(name=beginning(clean(name)))
    if not text and kind is not Kind.EPHEMERAL:
        raise refusals.NO_TEXT()
    if target and not target.hears(session):
        raise refusals.NO_GUESTS(name=target.nick)
    if session.user:
        session.user.active = hub.clock()
    if account and hub.private_log.keeps(session, account):
        hub.private_log.send(session, account, Said(text, kind), join(tags, formatting), label)
    elif target:
        if account:
            hub.private_log.tell_unstored(session, account)
        _send_unstored(hub, session, target, text, kind, label, join(tags, formatting))
    else:
        raise refusals.NO_SUCH_NAME(name=beginning(clean(name)))


def _send_unstored(  # noqa: PLR0913 - the parts of a message
    hub: Hub, session: Session, target: User, text: str, kind: Kind, label: str, tags: str
) -> None:
    # The session's next message must not overtake this one.
    delivery = RemoteDelivery if hub.remote.homes(target) else LocalDelivery
    session.queue(delivery(target.id, target.nick, text, kind, label, tags))


class LocalDelivery(Struct, frozen=True):
    """A private message that is not stored must be given to the user of this node with an id.

    Args:
        to: the id of the user.
        name: the nick of the user when the message was sent.
        text: the text.
        kind: the kind of the message.
        label: the session's label for it.
        tags: its tags.

    """

    to: str
    name: str
    text: str
    kind: Kind
    label: str
    tags: str


class RemoteDelivery(LocalDelivery, frozen=True):
    """The same for a user who is on other nodes, perhaps on this one as well."""


def _target(hub: Hub, sent: LocalDelivery) -> User | None:
    """Return the user that a message is for, perhaps under another name by now; None if they have left."""
    return _user(hub, sent.name, sent.to)


def _user(hub: Hub, name: str, id: str) -> User | None:
    found = hub.nicks.find(name)
    if found is None or found.id != id:
        found = next((user for user in hub.users.values() if user.is_known_as(id)), None)
    return found


def _made(hub: Hub, session: Session, sent: LocalDelivery) -> Entry:
    return _entry(hub, session, f"@{sent.name}", sent.kind, sent.text, sent.tags)


def _hand_over(hub: Hub, session: Session, sent: LocalDelivery, _: object) -> Event | None:
    target = _target(hub, sent)
    if target is None or not target.present:
        return Refusal.of(refusals.RECIPIENT_LEFT())
    entry = _made(hub, session, sent)
    return _arrived(hub, session, sent, (entry, deliver(target, private(session, entry))))


def _deliver_everywhere(hub: Hub, session: Session, sent: RemoteDelivery, done: Callable[[Delivered], None]) -> None:
    """Deliver a private message on all nodes where the recipient is; one of them is enough."""
    target, entry = _target(hub, sent), _made(hub, session, sent)
    if target is None:
        done((entry, None))
        return
    event = private(session, entry)
    here = deliver(target, event)
    hub.remote.deliver(target, event, lambda there: done((entry, here or there)))


def deliver(target: User, event: Event) -> bool:
    """Send an event to a user of this node; return whether one of the user's sessions counts as given it."""
    return give(target.sessions, event)


def _arrived(hub: Hub, session: Session, sent: LocalDelivery, delivered: Delivered) -> Event | None:
    """Return the reply for the sender of a private message."""
    (entry, arrived), label = delivered, sent.label
    if arrived is None:
        return Refusal.of(refusals.UNREACHABLE(name=sent.name), label)
    if not arrived:
        return Refusal.of(refusals.NOT_READING(name=sent.name), label)
    author = session.user or hub.owners.get(session.host)
    if type(entry.body) is Said and author and not author.is_known_as(sent.to):
        show_others(hub.remote, author, session, entry, sent.to)
    return Acknowledged(label, entry, sent.to) if label else None


def message_members_apart(  # noqa: PLR0913 - the parts of a message
    hub: Hub, session: Session, members: Sequence[User], to: str, text: str, kind: Kind, tags: str, label: str = ""
) -> None:
    """Send a message to some members of a room, without storing it; `to` is the target that the message names.

    Members that have left miss it, and so do paused sessions. With a label the session gets an `Acknowledged` reply
    afterwards.
    """
    text, formatting = said(text, exact=True)
    entry = _entry(hub, session, to, kind, text, join(tags, formatting))
    session.queue(MessageApart(tuple((one.nick, one.id) for one in members), record(entry), label))


class MessageApart(Struct, frozen=True):
    """A message must be given to some members of a room, whose names and ids these are."""

    members: tuple[tuple[str, str], ...]
    entry: Record
    label: str


def _give_apart(hub: Hub, session: Session, sent: MessageApart, _: object) -> Event | None:
    entry = entry_of(*astuple(sent.entry))
    for name, id in sent.members:
        if member := _user(hub, name, id):
            hub.send_to(member, private(session, entry))
    if type(entry.body) is Said:
        show_others(hub.remote, owner(session), session, entry)
    return Acknowledged(sent.label, entry) if sent.label else None


def signal(hub: Hub, session: Session, room: str, tags: str, label: str = "", text: str = "") -> None:
    """Send an ephemeral entry to the members of a room whose protocol can show it, on all nodes.

    With a label the session gets an `Acknowledged` reply afterwards.

    Raises:
        Refused: the session is not in the room or may not send it: with a text it needs the right to speak.

    """
    where = hub.rooms.of(session, room)
    # A text is read like a message, so the same checks apply, slow mode included.
    if text:
        hub.speak(hub.viewer(session), where)
    else:
        hub.check(session, Action.SIGNAL, where)
    entry = replace(_entry(hub, session, where.name, Kind.EPHEMERAL, text, tags), room_id=where.id)
    session.queue(Signal(where.id, record(entry), label))


class Signal(Struct, frozen=True):
    """An ephemeral entry must be given to the members of the room with an id."""

    room: str
    entry: Record
    label: str


def _give_signal(hub: Hub, session: Session, sent: Signal, _: object) -> Event | None:
    entry = replace(entry_of(*astuple(sent.entry)), room_id=sent.room)
    if room := hub.loaded.by_id.get(sent.room):
        hub.delivery.signal(room, entry, session)
    if hub.remote.members.rooms.get(sent.room):
        hub.remote.signal(entry)
    return Acknowledged(sent.label, entry) if sent.label else None


OPERATIONS = (
    OperationKind(LocalDelivery, _hand_over),
    # Other nodes may have shown the message already, so nobody else begins it again.
    OperationKind(RemoteDelivery, _arrived, _deliver_everywhere, moves=False),
    OperationKind(MessageApart, _give_apart, waits=False),
    OperationKind(Signal, _give_signal, waits=False),
)
