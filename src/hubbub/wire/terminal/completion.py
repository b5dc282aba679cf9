"""Completion with TAB: commands, rooms and names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from hubbub.text.bounds import NAME_CHARS
from hubbub.text.cleaning import fold_text

LISTED = 50  # words that are listed when there are several


class Vocabulary(NamedTuple):
    """The words that can be completed.

    Args:
        names: of people.
        rooms: the names of rooms.
        commands: the names of commands, without the slash.
        with_room: the commands whose first argument is a room.

    """

    names: Iterable[str] = ()
    rooms: Iterable[str] = ()
    commands: Iterable[str] = ()
    with_room: Collection[str] = ()


class Completion(NamedTuple):
    """The effect of TAB on the line.

    Args:
        length: the characters before the cursor that are replaced.
        text: their replacement.
        choices: all words that would fit, at most LISTED, if none was added.

    """

    length: int
    text: str
    choices: Sequence[str] = ()


def complete(before: str, vocabulary: Vocabulary) -> Completion:
    """Return the effect of TAB after a text: the only word that fits, or the beginning that all fitting words share."""
    line = before.rpartition("\n")[2]
    word = line.rpartition(" ")[2]
    if len(word) > NAME_CHARS + 1:
        return Completion(0, "")
    words, sign, end = _kind(line, word, vocabulary)
    stem = word[len(sign) :]
    key = fold_text(stem)
    found = sorted({one for one in words if fold_text(one).startswith(key)}, key=fold_text)
    if not found:
        return Completion(0, "")
    if len(found) == 1:
        return Completion(len(word), sign + found[0] + end)
    shared = _shared(found)
    if len(shared) > len(stem):
        return Completion(len(word), sign + shared)
    more = [f"and {len(found) - LISTED} more"] if len(found) > LISTED else []
    return Completion(0, "", [*found[:LISTED], *more])


def _kind(line: str, word: str, vocabulary: Vocabulary) -> tuple[Iterable[str], str, str]:
    """Return the words among which a word is completed, the sign before it, and the text after a complete one."""
    command, space, rest = line.partition(" ")
    if word == line and line.startswith("/"):
        return vocabulary.commands, "/", " "
    if word.startswith("#"):
        return vocabulary.rooms, "#", " "
    if space and rest == word and command[:1] == "/" and command[1:].lower() in vocabulary.with_room:
        return vocabulary.rooms, "", " "
    if word.startswith("@"):
        return vocabulary.names, "@", " "
    return vocabulary.names, "", ": " if word == line else " "


def _shared(words: Sequence[str]) -> str:
    """Return the longest beginning of the first word that all words have, but for upper and lower case."""
    first = words[0]
    for length in range(len(first), 0, -1):
        start = fold_text(first[:length])
        if all(fold_text(one[:length]) == start for one in words):
            return first[:length]
    return ""
