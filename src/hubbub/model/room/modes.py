"""The mode letters of rooms, and changes of modes as texts and in words.

A change is written as in IRC, `+o-k Bo!~nc@1f2e3d4c5a.nc *`: letters with a sign, then their parameters. LETTERS lists
all letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from hubbub.model.entries import Entry, ModeChange, ModesChanged
from hubbub.model.room.masks import mask_targets
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.model.room.masks.masks import MUTE


class ModeLetter(NamedTuple):
    """The meaning of a letter; the words are for users, with `{}` for the parameter."""

    parameter: str  # "always", "set" (only when it is set), or "" for none
    on: str
    off: str


LETTERS = {
    "o": ModeLetter("always", "has made {} an operator", "has taken back {}'s operator rights"),
    "v": ModeLetter("always", "has given {} a voice", "has taken back {}'s voice"),
    "b": ModeLetter("always", "has banned {}", "has lifted the ban of {}"),
    "e": ModeLetter("always", "has exempted {} from bans", "has ended the exemption of {}"),
    "I": ModeLetter("always", "lets {} in without an invitation", "no longer lets {} in without an invitation"),
    "k": ModeLetter("always", "has set a key", "has removed the key"),
    "l": ModeLetter("set", "has limited the room to {} members", "has removed the limit of members"),
    "d": ModeLetter("set", "has switched slow mode on: a message every {} s", "has switched slow mode off"),
    "f": ModeLetter("set", "lets the room rest after more than {} messages in 10 s", "no longer lets the room rest"),
    "i": ModeLetter("", "has made the room invite-only", "has opened the room to everybody"),
    "m": ModeLetter("", "has made the room moderated", "lets everybody here speak"),
    "n": ModeLetter("", "has closed the room to messages from outside", "has opened the room to messages from outside"),
    "R": ModeLetter("", "lets only people with an account join", "lets people without an account join"),
    "s": ModeLetter("", "has made the room secret", "has made the room public"),
    "t": ModeLetter("", "has locked the topic", "has unlocked the topic"),
    # Not even those with a voice speak in a locked room, so this is no second meaning of m.
    "L": ModeLetter("", "has locked the room: only operators can speak", "has unlocked the room"),
    "A": ModeLetter("", "lets only operators write here; everybody can react", "lets everybody write here"),
    "C": ModeLetter("", "has forbidden client commands (CTCP)", "has allowed client commands (CTCP)"),
}
HANDS = {"up": "raises a hand", "down": "lowers the hand", "spoken": "has spoken"}  # the steps of HandMoved, in words
PREFIXES = {"o": "@", "v": "+"}  # the highest first
CLOSED = "kis"  # letters that let only members read the room
QUIET = frozenset("mLA")  # letters that let not every member speak
SECRET = "s"
SHOWN_KEY = "*"  # shown in place of a key


def takes_parameter(on: bool, letter: str) -> bool:
    """Return whether a letter of LETTERS has a parameter in a change with this sign."""
    takes = LETTERS[letter].parameter
    return takes == "always" or (takes == "set" and on)


def parse(words: Sequence[str]) -> tuple[list[ModeChange], list[str]]:
    """Return the changes in a text that was split at its spaces, and the words that no letter has taken.

    Unknown letters are left out: the log may come from another server, or from a newer version.
    """
    letters, *params = words
    changes = []
    on = True
    for letter in letters:
        if letter in "+-":
            on = letter == "+"
        elif letter in LETTERS:
            takes = takes_parameter(on, letter) and params
            changes.append(ModeChange(on, letter, params.pop(0) if takes else ""))
    return changes, params


def write(changes: Iterable[ModeChange]) -> list[str]:
    """Return changes as IRC's parameters: the letters with their signs, then the parameters."""
    letters, params, sign = "", [], None
    for change in changes:
        if change.on is not sign:
            letters += "+" if change.on else "-"
            sign = change.on
        letters += change.letter
        if change.param:
            params.append(change.param)
    return [letters, *params]


def number(text: str) -> int:
    """Return a parameter as a number; 0 if it is none."""
    return int(text[:15]) if text.isascii() and text.isdigit() else 0


def without_secrets(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return entries as they are shown: without keys of rooms, hashed or not, and without addresses in masks."""
    if not any(type(entry.body) is ModesChanged for entry in entries):
        return entries
    return [_without_secrets(entry, entry.body) if type(entry.body) is ModesChanged else entry for entry in entries]


def _without_secrets(entry: Entry, body: ModesChanged) -> Entry:
    shown = tuple(change._replace(param=_shown(change)) for change in body.changes)
    return entry if shown == body.changes else replace(entry, body=replace(body, changes=shown, source=""))


def _shown(change: ModeChange) -> str:
    if change.letter in LISTS:
        return mask_targets.shown(change.param)
    return SHOWN_KEY if change.letter == "k" and change.param else change.param


def rest(seconds: int) -> str:
    """Return in words that a room rests for some seconds, or no longer."""
    if not seconds:
        return "Everybody can speak here again"
    return f"Too many messages came at once: for {seconds} s, only people chosen by the operators can speak here"


def describe(changes: Iterable[ModeChange]) -> str:
    """Return a description of changes in words."""
    words = []
    for on, letter, param in changes:
        row = LETTERS[letter]
        phrase = row.on if on else row.off
        if letter == "b" and param.startswith(MUTE):
            phrase = "has muted {}" if on else "lets {} speak again"
        name = param.removeprefix(MUTE) if letter in LISTS else param.partition("!")[0]
        words.append(phrase.format(name.removesuffix("!*@*")))
    return ", ".join(words)
