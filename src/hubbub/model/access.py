"""Decide what a user may see and do: `may` holds the rules for every wire, every query and the API.

Wires call `may` and phrase the refusal in their own protocol; they never look at the modes of a room themselves.
docs/access.md shows the same rules as a table, and a test tries each of its cells on every wire.

A room that has a key, is invite-only or is secret is *closed*: only its members see into it. The existence of a
*secret* room is hidden, too: `hidden` is the code of that refusal, and a wire answers it as if the room did not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from hubbub.errors import Refused
from hubbub.model.room.modes import SECRET
from hubbub.text import refusals
from hubbub.text.names import key_of

if TYPE_CHECKING:
    from hubbub.model.room.state import RoomState
    from hubbub.model.viewer import Viewer

HIDDEN = refusals.HIDDEN.code


class Action(StrEnum):
    """An action on a room that needs permission."""

    LIST = "list"  # know that the room exists
    READ = "read"  # its log: history, search, missed entries
    WATCH = "watch"  # receive new messages without being a member
    SEE_TOPIC = "see topic"
    SEE_MEMBERS = "see members"
    SEE_MODES = "see modes"
    SEE_MASKS = "see masks"  # the lists of bans, exemptions and standing invitations
    JOIN = "join"
    SPEAK = "speak"  # as a member, or from outside
    SIGNAL = "signal"  # ephemeral events such as typing: as SPEAK, but without slow mode
    CTCP = "ctcp"  # send a client-to-client request (CTCP)
    INVITE = "invite"
    SET_TOPIC = "set topic"
    SET_MODES = "set modes"
    KICK = "kick"
    REDACT = "redact"  # a message of another user
    REDACT_OWN = "redact own"
    RENAME = "rename"
    CHANGE_NAME = "change name"  # take another nick while being a member


def may(viewer: Viewer, action: Action, rules: RoomState, coming: int = 0) -> Refused | None:
    """Return None if a user may do something in a room, else the refusal.

    Args:
        viewer: the user who asks.
        action: the action that the user asks for.
        rules: the modes of the room.
        coming: for JOIN: the number of users who are in the room or on their way into it.

    """
    if viewer.system:
        return None
    if action is Action.JOIN:
        return _join(viewer, rules, coming)
    if action in _SEEING:
        return sees(viewer, action, rules.name, rules.closed) or _barred(viewer, action, rules)
    for check in _CHECKS[action]:
        if refused := check(viewer, rules):
            return refused
    return None


def members_speak_freely(rules: RoomState) -> bool:
    """Return whether every member may speak at any time, so that `may` need not be asked: the usual room."""
    return not ("m" in rules.flags or rules.slow.seconds or rules.lists.bans)


def sees(viewer: Viewer, action: Action, room: str, closed: str) -> Refused | None:
    """Return None if a user may see something of a room, else the refusal; only its name and closing modes are needed.

    The actions are LIST, READ, WATCH and those that begin with SEE_.

    Args:
        viewer: the user who asks.
        action: the part of the room that the user asks to see.
        room: the room's name.
        closed: those of the letters in CLOSED that are set.

    """
    if viewer.system or room in viewer.rooms:
        return None
    if viewer.operator and action not in (Action.READ, Action.WATCH):
        # A server operator looks after all rooms, but the messages are for the members alone.
        return None
    if SECRET in closed and not viewer.operator:
        return refusals.HIDDEN(room=room)
    if (closed and action not in (Action.LIST, Action.SEE_MODES)) or action is Action.SEE_MASKS:
        return refusals.CLOSED(room=room)
    return None


_SEEING = frozenset(
    {
        Action.LIST,
        Action.READ,
        Action.WATCH,
        Action.SEE_TOPIC,
        Action.SEE_MEMBERS,
        Action.SEE_MODES,
        Action.SEE_MASKS,
    }
)


def _is_member(viewer: Viewer, rules: RoomState) -> bool:
    return rules.name in viewer.rooms


def _rights(viewer: Viewer, rules: RoomState) -> str:
    """Return the mode letters that a member has in a room; "" for a user who is not a member."""
    return rules.status.get(viewer.user, "") if viewer.user and _is_member(viewer, rules) else ""


def _is_operator(viewer: Viewer, rules: RoomState) -> bool:
    return viewer.operator or "o" in _rights(viewer, rules)


def _former(viewer: Viewer, rules: RoomState) -> list[Viewer]:
    """Return a user as they were known in a room earlier, so that neither leaving nor renaming evades a ban."""
    masks = viewer.user.former.get(rules.name, ()) if viewer.user else ()
    return [viewer._replace(mask=mask) for mask in masks]


def _is_banned(viewer: Viewer, rules: RoomState) -> bool:
    return any(rules.lists.verdict(one).banned for one in (viewer, *_former(viewer, rules)))


def _is_silenced(viewer: Viewer, rules: RoomState) -> bool:
    """Return whether a user is banned or muted."""
    return _bars(viewer, rules) or is_known(viewer, rules)


def _bars(viewer: Viewer, rules: RoomState) -> bool:
    verdict = rules.lists.verdict(viewer)
    return verdict.banned or verdict.muted


def is_known(viewer: Viewer, rules: RoomState) -> bool:
    """Return whether a user is banned or muted under a name that they had in the room earlier."""
    return any(_bars(one, rules) for one in _former(viewer, rules))


def _barred(viewer: Viewer, action: Action, rules: RoomState) -> Refused | None:
    """Refuse a banned user who reads from outside; a banned member can read until an operator kicks them."""
    reads = action in (Action.READ, Action.WATCH)
    if reads and not _is_member(viewer, rules) and _is_banned(viewer, rules):
        return refusals.BANNED(room=rules.name)
    return None


def _join(viewer: Viewer, rules: RoomState, coming: int) -> Refused | None:
    room, user = rules.name, viewer.user
    invited = user.invited.get(room, 0.0) if user else 0.0
    if viewer.operator:
        return None
    if any(rules.lists.is_banned_since(one, invited) for one in (viewer, *_former(viewer, rules))):
        return refusals.BANNED(room=room)
    if invited:  # by an operator; no other invitation opens a room
        return None
    if user and "o" in rules.remembered_rights(user):
        # The user returns as an operator: possibly no other operator is there to let them in.
        return None
    if "i" in rules.flags and not any(rules.lists.hits("I", viewer)):
        return refusals.INVITE_ONLY(room=room)
    if viewer.key and not rules.key and viewer.types_names:  # a room name of two words
        return refusals.ROOM_HAS_SPACES(room=f"{room}-{key_of(viewer.key)}")
    if rules.key and not rules.accepts_key(viewer.key):
        return refusals.KEY_WRONG(room=room) if viewer.key else refusals.KEY_MISSING(room=room)
    if rules.limit and coming >= rules.limit:
        return refusals.ROOM_FULL(room=room)
    return None


# --- checks: each returns a refusal, or None if it does not object ----------------------------------------------------


def _from_outside(viewer: Viewer, rules: RoomState) -> Refused | None:
    """Let scripts, and IRC clients that have not joined, speak in open rooms that are not reserved for members."""
    if _is_member(viewer, rules):
        return None
    room = rules.name
    if rules.closed or "m" in rules.flags or _is_silenced(viewer, rules):
        return refusals.OUTSIDER(room=room)
    if rules.members_only:
        return refusals.MEMBERS_ONLY(room=room)
    return None


def _has_a_voice(viewer: Viewer, rules: RoomState) -> Refused | None:
    if viewer.operator or _rights(viewer, rules):
        return None
    room = rules.name
    if "m" in rules.flags:
        return refusals.MODERATED(room=room)
    return refusals.MUTED(room=room) if _is_silenced(viewer, rules) else None


def _is_not_too_fast(viewer: Viewer, rules: RoomState) -> Refused | None:
    if viewer.operator or _rights(viewer, rules):
        return None
    wait = rules.slow.wait(viewer)
    return refusals.SLOW_MODE(room=rules.name, wait=wait) if wait > 0 else None


def _may_ask_clients(viewer: Viewer, rules: RoomState) -> Refused | None:
    if "C" in rules.flags:
        return refusals.NO_CLIENT_COMMANDS()
    return None


def _is_inside(viewer: Viewer, rules: RoomState) -> Refused | None:
    if _is_member(viewer, rules):
        return None
    return refusals.NOT_IN_ROOM(room=rules.name)


def _rules_the_room(viewer: Viewer, rules: RoomState) -> Refused | None:
    if _is_operator(viewer, rules):
        return None
    return refusals.NOT_OPERATOR(room=rules.name)


def _may_invite(viewer: Viewer, rules: RoomState) -> Refused | None:
    return _rules_the_room(viewer, rules) if "i" in rules.flags else None


def _may_set_the_topic(viewer: Viewer, rules: RoomState) -> Refused | None:
    if "t" in rules.flags and not _is_operator(viewer, rules):
        return refusals.TOPIC_LOCKED(room=rules.name)
    return None


def _may_take_back(viewer: Viewer, rules: RoomState) -> Refused | None:
    if _is_operator(viewer, rules):
        return None
    return refusals.NOT_YOURS()


def _keeps_no_name(viewer: Viewer, rules: RoomState) -> Refused | None:
    """Refuse a change of name to a user who is banned or muted: the ban might not match the new name."""
    if viewer.operator or _rights(viewer, rules) or not _is_silenced(viewer, rules):
        return None
    return refusals.NAME_KEPT(room=rules.name)


_Check = Callable[["Viewer", "RoomState"], "Refused | None"]
_CHECKS: dict[Action, tuple[_Check, ...]] = {
    Action.SPEAK: (_from_outside, _has_a_voice, _is_not_too_fast),
    Action.SIGNAL: (_from_outside, _has_a_voice),
    Action.CTCP: (_may_ask_clients,),
    Action.INVITE: (_is_inside, _may_invite),
    Action.SET_TOPIC: (_is_inside, _may_set_the_topic, _has_a_voice),
    Action.SET_MODES: (_is_inside, _rules_the_room),
    Action.KICK: (_is_inside, _rules_the_room),
    Action.REDACT: (_is_inside, _may_take_back),
    Action.REDACT_OWN: (_is_inside,),
    Action.RENAME: (_is_inside, _rules_the_room),
    Action.CHANGE_NAME: (_keeps_no_name,),
}
