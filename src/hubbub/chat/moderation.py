"""The acts of operators on every wire: change the modes of a room, kick, invite, rename."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hubbub.chat.operations.asking import LogQuestion, raw_question
from hubbub.chat.session import Session, User, owner
from hubbub.chat.turns import ClientStep
from hubbub.errors import BrokerError, Refused
from hubbub.model.access import Action, may
from hubbub.model.entries import Kicked, ModeChange, ModesChanged, RoomRenamed
from hubbub.model.events import Invited
from hubbub.model.ids import make_id
from hubbub.model.queries import Latest, LogPage
from hubbub.model.room import keys
from hubbub.model.room.masks import mask_targets
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.model.room.masks.masks import MUTE, NOBODY, read_mask, whole_mask
from hubbub.model.room.modes import LETTERS, PREFIXES
from hubbub.model.viewer import SYSTEM
from hubbub.text import names, refusals
from hubbub.text.bounds import FOLDED_CHARS, KEY_CHARS, MASKS_IN_LIST
from hubbub.text.cleaning import beginning, clean, reason_of
from hubbub.text.names import LOBBY

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Room

MAX_NUMBER = 1_000_000


def change(
    hub: Hub, session: Session, room: Room, changes: Sequence[ModeChange], until: float = 0.0
) -> list[tuple[ModeChange, Refused]]:
    """Publish the valid changes among some changes of a room's modes, and return the invalid ones with their refusals.

    A change that has no effect is left out.

    Args:
        hub: the hub.
        session: the operator who asks.
        room: the room.
        changes: the changes, in order.
        until: epoch seconds at which new masks end; 0 for never.

    Raises:
        Refused: the session may not change the modes of this room.

    """
    hub.check(session, Action.SET_MODES, room)
    good: list[ModeChange] = []
    bad: list[tuple[ModeChange, Refused]] = []
    made: dict[object, object] = {}  # by subject: its value after the changes so far
    for one in changes:
        try:
            step = _step(hub, session, room, one)
        except Refused as refusal:
            bad.append((one, refusal))
            continue
        if step and made.get(step.about, step.now) != step.then:
            good.append(step.change)
            made[step.about] = step.then
    if good:
        salt = make_id(session.id_prefix, session.next_id)  # the session's last id: unique for ever
        posting = hub.publish(session, room.state, ModesChanged(tuple(_hashed(one, salt) for one in good), until))
        posting.typed = ModesChanged(tuple(good), until) if any(one.letter == "k" for one in good) else None
    return bad


def _hashed(change: ModeChange, salt: str) -> ModeChange:
    """Return a change as it is stored: a key becomes a hash."""
    return change._replace(param=keys.hashed(change.param, salt)) if change.letter == "k" and change.on else change


class Step(NamedTuple):
    """A change as it is stored, with its subject, and the subject's value now and after the change."""

    change: ModeChange
    about: object
    now: object
    then: object


def _step(hub: Hub, session: Session, room: Room, change: ModeChange) -> Step | None:
    """Return the effect of a change, None if it has none. Raises Refused."""
    on, letter, param = change
    rules = room.state
    if letter in PREFIXES:
        target = member(hub, room, param)
        named = ModeChange(on, letter, f"{target.nick}!{target.host}")
        return Step(named, (letter, target), letter in rules.status.get(target, ""), on)
    if letter in LISTS:
        return _mask(hub, session, room, change)
    if letter == "k":
        if not on:
            return Step(ModeChange(False, letter, "*"), letter, rules.key, "")
        if not param or len(param) > KEY_CHARS or clean(param) != param or set(param) & {" ", ","}:
            raise refusals.KEY_INVALID(limit=KEY_CHARS)
        if param.startswith(":"):  # IRC could not separate it from other parameters
            raise refusals.KEY_COLON()
        return Step(change, letter, param if rules.accepts_key(param) else rules.key, param)
    if LETTERS[letter].parameter:
        return _number(change, {"l": rules.limit, "d": rules.slow.seconds, "f": rules.flood}[letter])
    return Step(ModeChange(on, letter, ""), letter, letter in rules.flags, on)


def placed(hub: Hub, session: Session, mask: str) -> str:
    """Return a whole mask as it is stored: an address becomes a cloak. Raises Refused."""
    return mask_targets.by_cloak(mask, hub.cloak, session.operator)


def _mask(hub: Hub, session: Session, room: Room, change: ModeChange) -> Step | None:
    on, letter, param = change
    masks = room.state.lists[letter]
    mask = whole_mask(clean(param)) if len(param) <= FOLDED_CHARS else param
    if not room.state.lists.find(letter, mask):  # a mask from an older log may hold an address
        mask = placed(hub, session, mask)
    read = read_mask(mask.removeprefix(MUTE))
    if read is NOBODY:
        raise refusals.MASK_TOO_LONG(limit=FOLDED_CHARS)
    if not param or " " in mask or (on and mask.startswith(":")):
        return None
    known = room.state.lists.find(letter, mask)
    if on and not known and len(masks) >= MASKS_IN_LIST:
        raise refusals.LIST_FULL(limit=MASKS_IN_LIST)
    return Step(ModeChange(on, letter, known or mask), (letter, read, mask.startswith(MUTE)), known is not None, on)


_NUMBER_INVALID = {"l": refusals.LIMIT_INVALID, "d": refusals.SLOW_INVALID, "f": refusals.FLOOD_INVALID}


def _number(change: ModeChange, now: int) -> Step:
    on, letter, param = change
    if not on:
        return Step(ModeChange(False, letter, ""), letter, now, 0)
    if not (param.isascii() and param.isdigit() and 0 < int(param[:9]) <= MAX_NUMBER):
        raise _NUMBER_INVALID[letter](limit=MAX_NUMBER)
    number = int(param[:9])
    return Step(ModeChange(True, letter, str(number)), letter, now, number)


def member(hub: Hub, room: Room, name: str) -> User:
    """Return a member by name. Raises Refused."""
    user = hub.nicks.find(clean(name))
    if user is None:
        raise refusals.NO_SUCH_NAME(name=beginning(clean(name)))
    if user not in room.members:
        raise refusals.NOT_THERE(name=user.nick, room=room.name)
    return user


def kick(hub: Hub, session: Session, room: Room, name: str, reason: str = "") -> None:
    """Publish the kick of a member from a room. Raises Refused."""
    hub.check(session, Action.KICK, room)
    target = member(hub, room, name)
    if any(isinstance(body, Kicked) and body.user == target.id for body in hub.pipeline.bodies(room.id)):
        raise refusals.NOT_THERE(name=target.nick, room=room.name)  # in a moment
    hub.publish(session, room.state, Kicked(target.nick, reason_of(reason), user=target.id))


def invite(hub: Hub, session: Session, room: Room, name: str) -> User:
    """Invite a user into a room, and return the user; an operator's invitation admits them. Raises Refused."""
    target = hub.nicks.find(clean(name))
    if target is None:
        raise refusals.NO_SUCH_NAME(name=beginning(clean(name)))
    if target in room.members:
        raise refusals.THERE_ALREADY(name=target.nick, room=room.name)
    hub.check(session, Action.INVITE, room)
    opens = hub.clock() if room.state.is_operator(owner(session)) else 0.0
    target.invite(room.id, opens)
    hub.send_to(target, Invited(session.nick, session.host, room.name, opens, room.id))
    return target


def move(
    hub: Hub, session: Session, room: Room, name: str, reason: str = "", refused: ClientStep | None = None
) -> None:
    """Give a room another name; its log, members and modes go with it.

    Args:
        hub: the hub.
        session: the operator who asks.
        room: the room.
        name: the new name.
        reason: the reason that the other members are shown; may be "".
        refused: the client's step for a later refusal: the new name is in use, or the log fails. It is called with the
            refusal last; without a step, the session gets the refusal.

    Raises:
        Refused: the session is no operator, or the name is not allowed.

    """
    hub.check(session, Action.RENAME, room)
    to = names.check_room(clean(name))
    names.check_new_room(to)
    if room.name == LOBBY:
        raise refusals.LOBBY_KEEPS_NAME()
    if to == LOBBY:
        raise refusals.LOBBY_TAKEN(room=LOBBY)
    if to == room.name:
        raise refusals.SAME_NAME(room=to)
    # The name of a secret room is in use, too: two rooms cannot have the same name.
    query = Latest(to, 1, every=True, viewer=SYSTEM)
    session.queue(RoomRenaming(query, room.id, to, reason_of(reason), session.label, refused))


class RoomRenaming(LogQuestion, frozen=True):
    """A session wants to rename a room: its query finds out whether the new name is in use.

    Args:
        room: the id of the room.
        to: the new name.
        reason: the reason that the other members are shown.
        label: the label of the session's request.
        refused: the client's step for a refusal, which is its last argument; without one, the session gets it.

    """

    room: str
    to: str
    reason: str
    label: str
    refused: ClientStep | None


def _move(hub: Hub, session: Session, asked: RoomRenaming, page: LogPage | BrokerError) -> None:
    room = hub.rooms.loaded.by_id.get(asked.room)
    refusal: Refused | None
    if isinstance(page, BrokerError):
        refusal = refusals.RENAME_FAILED(reason=page)
    elif room is None:
        refusal = refusals.NOT_IN_ANY_ROOM()
    elif page.entries or not hub.rooms.is_free(asked.to):
        refusal = refusals.ROOM_EXISTS(room=asked.to)
    elif not (refusal := may(hub.viewer(session), Action.RENAME, room.state)):  # it may have changed meanwhile
        with session.labelled(asked.label):
            hub.publish(session, room.state, RoomRenamed(asked.to, asked.reason))
        return
    assert refusal
    if asked.refused:
        session.call_client(asked.refused, refusal)
    else:
        hub.refuse(session, refusal)


OPERATIONS = (raw_question(RoomRenaming, _move),)
