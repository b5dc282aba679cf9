"""The IRC command MODE: channel modes, which are the modes of rooms, and user modes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from hubbub.chat import moderation
from hubbub.chat.session import Room, User, owner
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.entries import ModeChange
from hubbub.model.room.masks import mask_targets
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.model.room.modes import LETTERS, PREFIXES, takes_parameter
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands.channels import room_at
from hubbub.text.names import key_of
from hubbub.wire.irc.encoder import channel
from hubbub.wire.irc.numerics import REFUSALS

USER_MODES = "BRiorw"
MODES = 20  # maximum number of changes in one command


def mode(client: IrcClient, params: list[str]) -> None:
    """MODE target [changes]: show or change the modes of a channel or your own."""
    if params[0].startswith("#"):
        _mode_of_channel(client, params[0], params[1:])
    else:
        _mode_of_user(client, params[0], params[1:])


def _mode_of_user(client: IrcClient, name: str, params: Sequence[str]) -> None:
    user = client.user
    assert user is not None
    if key_of(name) != key_of(user.nick):
        known = client.hub.nicks.find(name) is not None
        client.numeric(502 if known else 401, *([] if known else [name]))
    elif not params:
        client.reply("221", client.nick, "+" + "".join(sorted(client.modes)))
    elif not _change_user(client, user, params[0]):
        client.numeric(501)


def _change_user(client: IrcClient, user: User, letters: str) -> bool:
    """Change a user's modes; return whether all letters are known. Only the server sets `r` and gives `o`."""
    client.hub.check_set_modes(client.session)
    on, known, modes = True, True, user.modes
    for letter in letters:
        if letter in "+-":
            on = letter == "+"
        elif letter in "iwBR":
            modes = modes | {letter} if on else modes - {letter}
        elif letter == "o" and not on:
            user.operator = False
        else:
            known = known and letter in USER_MODES
    client.hub.set_modes(user, modes)
    return known


def _mode_of_channel(client: IrcClient, name: str, params: Sequence[str]) -> None:
    room = room_at(client, name)
    if room is None:
        return
    hub, session = client.hub, client.session
    shown = channel(room.name)
    if not params:
        hub.check(session, Action.SEE_MODES, room)
        modes = room.state.modes(room.state.is_operator(owner(session))).split(" ")
        client.reply("324", client.nick, shown, *modes)
        client.reply("329", client.nick, shown, str(int(room.state.created or time.time())))
        return
    changes, asked = _read(client, room, params)
    if asked and not hub.may(session, Action.SEE_MASKS, room):
        client.numeric(442, name)
        return
    for letter in asked:
        _list(client, room, letter)
    if not changes:
        return
    if any(change.letter == "k" for change in changes):
        # The key is hidden from the other members, so the member who set it is shown it by an answer.
        session.label = session.label or "irc"
    bad = moderation.change(hub, session, room, changes)
    for change, refusal in bad:
        _complain(client, room, change, refusal)


def _read(client: IrcClient, room: Room, params: Sequence[str]) -> tuple[list[ModeChange], list[str]]:
    """Return the changes in a MODE command, and the letters of the lists that it asks for."""
    letters, rest = params[0], list(params[1:])
    changes: list[ModeChange] = []
    asked: list[str] = []
    on = True
    for letter in letters:
        if letter in "+-":
            on = letter == "+"
            continue
        if letter not in LETTERS:
            client.numeric(472, letter)
            continue
        wants = takes_parameter(on, letter)
        if wants and not rest:
            if letter in LISTS and letter not in asked:
                asked.append(letter)
            elif letter == "k" and not on:
                changes.append(ModeChange(False, letter, "*"))
            continue
        if len(changes) < MODES:
            changes.append(ModeChange(on, letter, rest.pop(0) if wants else ""))
    return changes, asked


def _complain(client: IrcClient, room: Room, change: ModeChange, refusal: Refused) -> None:
    name = channel(room.name)
    code = REFUSALS[refusal.code]
    if code == 401:
        client.numeric(401, change.param)
    elif code == 441:
        client.numeric(441, change.param, name)
    elif code == 478:
        client.numeric(478, name, change.letter)
    elif change.letter not in PREFIXES:
        client.reply("696", client.nick, name, change.letter, "*", refusal.text)


_LISTS = {"b": (367, 368), "e": (348, 349), "I": (346, 347)}


def _list(client: IrcClient, room: Room, letter: str) -> None:
    one, end = _LISTS[letter]
    now = client.hub.clock()
    for mask, listed in room.state.lists[letter].items():
        if not listed.until or listed.until > now:
            shown = mask if client.session.operator else mask_targets.shown(mask)
            client.reply(str(one), client.nick, channel(room.name), shown, listed.by, str(int(listed.at)))
    client.numeric(end, channel(room.name))
