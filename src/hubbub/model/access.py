"""Decide what a user may see and do: `may` holds the rules for every wire, every query and the API.

Wires call `may` and phrase the refusal in their own protocol; they never look at the modes of a room themselves.
docs/access.md shows the same rules as a table, and a test tries each of its cells on every wire.

A room that has a key, is invite-only or is secret is *closed*: only its members see into it. The existence of a
*secret* room is hidden, too: `hidden` is the code of that refusal, and a wire answers it as if the room did not exist.
A private conversation is a room that only the two people in it can read, and that no list and no search of all rooms
shows to anybody else, operators included.
The bearer of a token that is limited to rooms sees and does nothing in others, as if these were not there.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from hubbub.errors import Refused
from hubbub.model.accounts.account import is_account
from hubbub.model.conversation import is_conversation, parties_of
from hubbub.model.room.modes import QUIET, SECRET
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
    EDIT = "edit"  # a message of one's own
    REACT = "react"
    RAISE_HAND = "raise hand"
    ASK = "ask operators"  # a question that nobody else sees
    POLL = "poll"
    VOTE = "vote"
    CLOSE_POLL = "close poll"  # of another user
    CLOSE_OWN_POLL = "close own poll"
    PIN = "pin"
    RENAME = "rename"
    CHANGE_NAME = "change name"  # take another nick while being a member


def may(viewer: Viewer, action: Action, state: RoomState, coming: int = 0) -> Refused | None:
    """Return None if a user may do something in a room, else the refusal.

    Args:
        viewer: the user who asks.
        action: the action that the user asks for.
        state: the state of the room.
        coming: for JOIN: the number of users who are in the room or on their way into it.

    """
    if viewer.system:
        return None
    if is_conversation(state.name):
        return _in_private(viewer, action, state.name)
    if refused := _beyond_token(viewer, action, state.name):
        return refused
    if action is Action.JOIN:
        return _join(viewer, state, coming)
    if action in _SEEING:
        return sees(viewer, action, state.name, state.closed, state.id) or _barred(viewer, action, state)
    if viewer.reads_only and action is not Action.CHANGE_NAME:
        return refusals.ACCOUNT_REQUIRED()
    for check in _CHECKS[action]:
        if refused := check(viewer, state):
            return refused
    return None


def members_speak_freely(state: RoomState) -> bool:
    """Return whether every member may speak at any time, guests aside, so that `may` need not be asked.

    Nobody has a turn to speak then, either.
    """
    is_quiet = state.brake_ends or not state.flags.isdisjoint(QUIET)
    return not (is_quiet or state.slow.seconds or state.lists.bans or state.hands)


def sees(viewer: Viewer, action: Action, room: str, closed: str, id: str) -> Refused | None:
    """Return None if a user may see something of a room, else the refusal; only its name and closing modes are needed.

    The actions are LIST, READ, WATCH and those that begin with SEE_.

    Args:
        viewer: the user who asks.
        action: the part of the room that the user asks to see.
        room: the room's name.
        closed: those of the letters in CLOSED that are set.
        id: the room's id.

    """
    if is_conversation(room):
        return _in_private(viewer, action, room)
    if refused := _beyond_token(viewer, action, room):
        return refused
    if viewer.system or id in viewer.rooms:
        return None
    if viewer.operator and action not in (Action.READ, Action.WATCH):
        # A server operator looks after all rooms, but the messages are for the members alone.
        return None
    if SECRET in closed and not viewer.operator:
        return refusals.HIDDEN(room=room)
    if (closed and action not in (Action.LIST, Action.SEE_MODES)) or action is Action.SEE_MASKS:
        return refusals.CLOSED(room=room)
    return None


def may_message(viewer: Viewer) -> Refused | None:
    """Return None if a user may send private messages, else the refusal."""
    if viewer.reads_only:
        return refusals.ACCOUNT_REQUIRED()
    if viewer.only:
        return refusals.TOKEN_ROOM(room="private messages")
    return may_set_modes(viewer)


def may_describe(viewer: Viewer) -> Refused | None:
    """Return None if a user may change the texts about them: away message, real name, metadata; else the refusal."""
    return refusals.ACCOUNT_REQUIRED() if viewer.reads_only else may_set_modes(viewer)


def may_set_modes(viewer: Viewer) -> Refused | None:
    """Return None if a user may change their own modes, else the refusal."""
    return None if "say" in viewer.scopes else refusals.TOKEN_SCOPE(scope="say")


def _beyond_token(viewer: Viewer, action: Action, room: str) -> Refused | None:
    """Refuse what the token of a login is not for: other rooms, or one of reading and speaking."""
    if viewer.only and room not in viewer.only:
        return refusals.TOKEN_ROOM(room=room)
    scope = "read" if action in _READING else "say"
    return None if scope in viewer.scopes else refusals.TOKEN_SCOPE(scope=scope)


def _in_private(viewer: Viewer, action: Action, room: str) -> Refused | None:
    """Let the two people of a private conversation read it; nobody does anything else there."""
    if action is Action.READ and viewer.account and viewer.account in parties_of(room):
        return None
    return refusals.HIDDEN(room=room)


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

_READING = _SEEING | {Action.JOIN}


_LOCKS = frozenset("LA")  # mode letters that let only operators speak


def _is_member(viewer: Viewer, state: RoomState) -> bool:
    return state.id in viewer.rooms


def _rights(viewer: Viewer, state: RoomState) -> str:
    """Return the mode letters that a member has in a room; "" for a user who is not a member."""
    return state.status.get(viewer.user, "") if viewer.user and _is_member(viewer, state) else ""


def _is_operator(viewer: Viewer, state: RoomState) -> bool:
    return viewer.operator or "o" in _rights(viewer, state)


def _former(viewer: Viewer, state: RoomState) -> list[Viewer]:
    """Return a user as they were known in a room earlier, so that neither leaving nor renaming evades a ban."""
    masks = viewer.user.masks_in(state.id) if viewer.user else ()
    return [viewer._replace(mask=mask) for mask in masks]


def _is_banned(viewer: Viewer, state: RoomState) -> bool:
    return any(state.lists.verdict(one).banned for one in (viewer, *_former(viewer, state)))


def _is_silenced(viewer: Viewer, state: RoomState) -> bool:
    """Return whether a user is banned or muted."""
    return bars(viewer, state) or is_known(viewer, state)


def bars(viewer: Viewer, state: RoomState) -> bool:
    """Return whether a user is banned or muted under their present name."""
    verdict = state.lists.verdict(viewer)
    return verdict.banned or verdict.muted


def is_known(viewer: Viewer, state: RoomState) -> bool:
    """Return whether a user is banned or muted under a name that they had in the room earlier."""
    return any(bars(one, state) for one in _former(viewer, state))


def _barred(viewer: Viewer, action: Action, state: RoomState) -> Refused | None:
    """Refuse a banned user who reads from outside; a banned member can read until an operator kicks them."""
    reads = action in (Action.READ, Action.WATCH)
    if reads and not _is_member(viewer, state) and _is_banned(viewer, state):
        return refusals.BANNED(room=state.name)
    return None


def _join(viewer: Viewer, state: RoomState, coming: int) -> Refused | None:
    room, user = state.name, viewer.user
    invited = user.invited.get(state.id, 0.0) if user else 0.0
    if viewer.operator:
        return None
    if any(state.lists.is_banned_since(one, invited) for one in (viewer, *_former(viewer, state))):
        return refusals.BANNED(room=room)
    if invited:  # by an operator; no other invitation opens a room
        return None
    if user and state.returns_as_operator(user):
        # The user returns as an operator: possibly no other operator is there to let them in.
        return None
    if "i" in state.flags and not any(state.lists.hits("I", viewer)):
        return refusals.INVITE_ONLY(room=room)
    if "R" in state.flags and not is_account(viewer.mask):
        return refusals.ACCOUNTS_ONLY(room=room)
    if viewer.key and not state.key and viewer.types_names:  # a room name of two words
        return refusals.ROOM_HAS_SPACES(room=f"{room}-{key_of(viewer.key)}")
    if state.key and not state.accepts_key(viewer.key):
        return refusals.KEY_WRONG(room=room) if viewer.key else refusals.KEY_MISSING(room=room)
    if state.limit and coming >= state.limit:
        return refusals.ROOM_FULL(room=room)
    return None


# --- checks: each returns a refusal, or None if it does not object ----------------------------------------------------


def _from_outside(viewer: Viewer, state: RoomState) -> Refused | None:
    """Let scripts, and IRC clients that have not joined, speak in open rooms that are not reserved for members."""
    if _is_member(viewer, state):
        return None
    room = state.name
    if state.closed or not state.flags.isdisjoint(QUIET) or _is_silenced(viewer, state):
        return refusals.OUTSIDER(room=room)
    if state.members_only:
        return refusals.MEMBERS_ONLY(room=room)
    return None


def _has_a_voice(viewer: Viewer, state: RoomState) -> Refused | None:
    if not state.flags.isdisjoint(_LOCKS) and not _is_operator(viewer, state):
        return refusals.ROOM_LOCKED(room=state.name)
    if viewer.operator or _rights(viewer, state):
        return None
    room = state.name
    if "m" in state.flags:
        return refusals.MODERATED(room=room)
    if state.brake_ends > viewer.now:
        return refusals.RESTING(room=room, wait=state.brake_ends - viewer.now)
    return _is_not_muted(viewer, state)


def _may_react(viewer: Viewer, state: RoomState) -> Refused | None:
    """Let everybody react where only operators write."""
    if "A" in state.flags and "L" not in state.flags:
        return _is_not_muted(viewer, state)
    return _has_a_voice(viewer, state)


def _is_not_muted(viewer: Viewer, state: RoomState) -> Refused | None:
    if viewer.operator or _rights(viewer, state) or not _is_silenced(viewer, state):
        return None
    return refusals.MUTED(room=state.name)


def _is_not_too_fast(viewer: Viewer, state: RoomState) -> Refused | None:
    if viewer.operator or _rights(viewer, state):
        return None
    wait = state.slow.wait(viewer)
    return refusals.SLOW_MODE(room=state.name, wait=wait) if wait > 0 else None


def _may_ask_clients(viewer: Viewer, state: RoomState) -> Refused | None:
    if "C" in state.flags:
        return refusals.NO_CLIENT_COMMANDS()
    return None


def _is_inside(viewer: Viewer, state: RoomState) -> Refused | None:
    if _is_member(viewer, state):
        return None
    return refusals.NOT_IN_ROOM(room=state.name)


def _rules_the_room(viewer: Viewer, state: RoomState) -> Refused | None:
    if _is_operator(viewer, state):
        return None
    return refusals.NOT_OPERATOR(room=state.name)


def _may_invite(viewer: Viewer, state: RoomState) -> Refused | None:
    return _rules_the_room(viewer, state) if "i" in state.flags else None


def _may_set_the_topic(viewer: Viewer, state: RoomState) -> Refused | None:
    if "t" in state.flags and not _is_operator(viewer, state):
        return refusals.TOPIC_LOCKED(room=state.name)
    return None


def _may_take_back(viewer: Viewer, state: RoomState) -> Refused | None:
    if _is_operator(viewer, state):
        return None
    return refusals.NOT_YOURS()


def _may_close_polls(viewer: Viewer, state: RoomState) -> Refused | None:
    return None if _is_operator(viewer, state) else refusals.NOT_YOURS_TO_CLOSE()


def _keeps_no_name(viewer: Viewer, state: RoomState) -> Refused | None:
    """Refuse a change of name to a user who is banned or muted: the ban might not match the new name."""
    if viewer.operator or _rights(viewer, state) or not _is_silenced(viewer, state):
        return None
    return refusals.NAME_KEPT(room=state.name)


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
    Action.EDIT: (_is_inside, _has_a_voice),
    Action.REACT: (_is_inside, _may_react),
    Action.RAISE_HAND: (_is_inside, _is_not_muted),
    Action.ASK: (_is_inside, _is_not_muted),
    Action.POLL: (_is_inside, _has_a_voice, _is_not_too_fast),
    Action.VOTE: (_is_inside, _is_not_muted),
    Action.CLOSE_POLL: (_is_inside, _may_close_polls),
    Action.CLOSE_OWN_POLL: (_is_inside,),
    Action.PIN: (_is_inside, _rules_the_room),
    Action.RENAME: (_is_inside, _rules_the_room),
    Action.CHANGE_NAME: (_keeps_no_name,),
}
