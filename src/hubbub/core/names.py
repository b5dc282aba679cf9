"""What a user or a room may be called."""

import unicodedata

from hubbub.core.bounds import FOLDED_CHARS, NAME_CHARS
from hubbub.core.text import fold
from hubbub.errors import Refused

NAME_PUNCTUATION = "-_.[]{}|^"
ROOM_PUNCTUATION = "-_."

NAME_RULE = (
    f"A name has 1 to {NAME_CHARS} letters, digits, marks and {NAME_PUNCTUATION} of any script and no spaces, "
    "like Mary-Ann; some words are reserved."
)
ROOM_RULE = (
    f"A room's name has 1 to {NAME_CHARS} letters, digits, marks and {ROOM_PUNCTUATION} of any script and no spaces, "
    "like class-8b."
)

# Words with which programs greet a server that they take for another one: a mail server, a cache, a web server.
GREETINGS = frozenset(
    "connect delete ehlo get head helo help info lhlo options patch post put ruok stat stats trace version".split()
)
# Names that could be taken for the server, for everybody, or for a program. Compared folded.
RESERVED = GREETINGS | frozenset(
    "admin all chanserv chat disconnected everybody everyone here hubbub memoserv nickserv nobody operserv server "
    "service services system usage you".split()
)

# Letters and marks that show nothing (Unicode's Default_Ignorable_Code_Point among L* and M*) or look like
# a space: two names must not differ by them alone.
_INVISIBLE = frozenset([0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0])


def _visible(char: str) -> bool:
    code = ord(char)
    return not (code in _INVISIBLE or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF)


def _well_formed(name: str, punctuation: str) -> bool:
    if not 1 <= len(name) <= NAME_CHARS or unicodedata.category(name[0])[0] == "M":
        return False
    return all(
        char in punctuation or ((unicodedata.category(char)[0] in "LM" or char.isdecimal()) and _visible(char))
        for char in name
    )


def key_of(name: str) -> str:
    """Return what a name that somebody typed is looked up by; "" if it is too long to be one."""
    return fold(name) if len(name) <= FOLDED_CHARS else ""


def check_name(name: str) -> str:
    """Return the name as it will be shown (NFC).

    Raises:
        Refused: `name-invalid`; its text says what is valid.

    """
    if len(name) > FOLDED_CHARS:
        raise Refused("name-invalid", NAME_RULE)
    shown = unicodedata.normalize("NFC", name)
    folded = fold(shown)
    if not _well_formed(shown, NAME_PUNCTUATION) or not _well_formed(folded, NAME_PUNCTUATION) or folded in RESERVED:
        raise Refused("name-invalid", NAME_RULE)
    return shown


def check_room(name: str) -> str:
    """Return the room's one name: folded, without the `#` that IRC's people write before it.

    Raises:
        Refused: `room-invalid`; its text says what is valid.

    """
    name = name.removeprefix("#")
    if len(name) > FOLDED_CHARS:
        raise Refused("room-invalid", ROOM_RULE)
    folded = fold(name)
    if not _well_formed(folded, ROOM_PUNCTUATION):
        raise Refused("room-invalid", ROOM_RULE)
    return folded
