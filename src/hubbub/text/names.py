"""The rules for the names of users and rooms."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hubbub.errors import Refused
from hubbub.text import refusals
from hubbub.text.bounds import FOLDED_CHARS, MARKS_IN_ROW, NAME_CHARS
from hubbub.text.cleaning import STACK, clean, fold
from hubbub.text.confusables.lookalikes import looks
from hubbub.text.patterns import pattern

if TYPE_CHECKING:
    import regex

LOBBY = "lobby"  # the default room
NAME_PUNCTUATION = "-_.[]{}|^`\\"
ROOM_PUNCTUATION = "-_."
# Signs within names of people (UAX #31, table 3a): O'Brien, D’Arcy, Gal·la, レオ・ホー. The Hebrew one also
# stands at the end of some names.
BETWEEN = "'’·״・‧་֊"
GERESH = "׳"

# Words with which programs greet a server that they mistake for another one: a mail server, a cache, a web server.
GREETINGS = frozenset(
    "connect delete ehlo get head helo help info lhlo options patch post put ruok stat stats trace version".split()
)
# Words that users could mistake for the server, for all users or for a program. They are compared folded, and by their
# looks.
RESERVED = GREETINGS | frozenset(
    "admin all chanserv chat disconnected everybody everyone here hubbub memoserv nickserv nobody operserv server "
    "service services system usage you".split()
)
_SSH = re.compile(r"ssh-[0-9]+\.[0-9]+-")  # how SSH clients begin (RFC 4253, 4.2)
_RESERVED_LOOKS = {look: word for word in sorted(RESERVED) for look in looks(word)}
_LOBBY_LOOKS = looks(LOBBY)

# Alphabets with letters that look the same. A name in only one of them is harder to mistake for a name in another.
_ALPHABETS = {name: pattern(rf"\p{{{name}}}") for name in ("Latin", "Greek", "Cyrillic")}

# Joiners are allowed only where they change how letters look (UAX #31, A1, A2 and B): ZWNJ between Arabic letters that
# would join, both joiners between letters after a sign that kills a vowel, ZWJ before such a sign in Bengali, and after
# one in Malayalam even if no letter follows. Names are compared without joiners.
_INDIC = r"[\p{L}--\p{InSC=Other}]"
_JOINER = (
    r"(?<=[\p{jt=L}\p{jt=D}]\p{jt=T}*)\u200c(?=\p{jt=T}*[\p{jt=R}\p{jt=D}])"
    rf"|(?<={_INDIC}\p{{M}}*\p{{ccc=9}}\p{{M}}*)[\u200c\u200d](?={_INDIC})"
    rf"|(?<={_INDIC}\u0d4d)\u200d(?!\p{{M}})"
    rf"|(?<={_INDIC})\u200d(?=\p{{ccc=9}}{_INDIC})"
)
_LETTER = r"[\p{L}\p{Nd}]"
_SIGN_BETWEEN = rf"(?<=[\p{{L}}\p{{Nd}}\p{{M}}])(?:{GERESH}|[{BETWEEN}](?={_LETTER}))"


_TOO_LONG = refusals.MANY_CHARACTERS.format(limit=NAME_CHARS)
_STACKED = refusals.MANY_MARKS.format(limit=MARKS_IN_ROW)
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters that are invisible


class _Kind(NamedTuple):
    """A kind of name: the refusal of a wrong one, an example, the signs allowed anywhere, and two patterns.

    `wrong` is that of a character that is not allowed, `needed` that of a character that a name must have.
    """

    refused: refusals.Wording
    example: str
    signs: frozenset[str]
    wrong: Callable[[], regex.Pattern[str]]
    needed: Callable[[], regex.Pattern[str]]

    def fault(self, name: str) -> str:
        """Return the fault of a name as the end of a sentence; "" if it has none."""
        if not name:
            return refusals.EMPTY
        if len(name) > NAME_CHARS:
            return _TOO_LONG
        if not self._is_plain(name):
            if unicodedata.category(name[0])[0] == "M":
                return refusals.FIRST_MARK
            if STACK().search(name):
                return _STACKED
            if wrong := self.wrong().search(name):
                return _unwanted(wrong[0])
            # The regex library may know letters of a later Unicode version than Python, which would show and fold them
            # as nothing.
            if any(unicodedata.category(char) == "Cn" for char in name):
                return refusals.INVISIBLE
        # Most names show at once that they have a letter or a digit. A search lets other threads go first.
        return "" if (name.isascii() and name[0].isalnum()) or self.needed().search(name) else refusals.NO_LETTER

    def _is_plain(self, name: str) -> bool:
        """Return whether a name has only letters, digits and signs that may stand anywhere: usual, and quick to see."""
        if name.isascii():
            return self.signs.issuperset(name)
        return all(char in self.signs or (char.isalpha() and char not in _FILLERS) for char in name)

    def refusal(self, fault: str, typed: str) -> Refused:
        """Return the refusal of a typed name, with an offer of a similar one."""
        offer = self.offer(typed)
        return self.refused(offer, fault=fault, limit=NAME_CHARS, like=offer or self.example)

    def offer(self, typed: str) -> str:
        """Return a valid name that is similar to a typed one; "" if there is none."""
        if typed.startswith("/") and " " in typed:
            return ""  # a command, whose words may be a password
        text = "-".join(clean(typed[:FOLDED_CHARS]).split())
        # Removing a character can make a sign beside it invalid.
        for _ in range(2):
            text = self.wrong().sub("", unicodedata.normalize("NFC", text)).lstrip("-_.").rstrip("-")
        text = text[:NAME_CHARS]
        return text if text != typed and not self.fault(text) and not _mixed(fold(text)) else ""


def _kind(refused: refusals.Wording, example: str, punctuation: str, needed: str) -> _Kind:
    right = rf"[[\p{{L}}\p{{M}}]--\p{{DI}}]|\p{{Nd}}|[{re.escape(punctuation)}]|{_SIGN_BETWEEN}|{_JOINER}"
    signs = frozenset(punctuation + string.ascii_letters + string.digits)
    return _Kind(refused, example, signs, pattern(rf"(?V1s)(?!{right})."), pattern(f"{_LETTER}|{needed}"))


_NAMES = _kind(refusals.NAME_INVALID, "Mary-Ann", NAME_PUNCTUATION, r"[_\[\]{}|^`\\]")
_ROOMS = _kind(refusals.ROOM_INVALID, "class-8b", ROOM_PUNCTUATION, r"(?!)")


def _unwanted(char: str) -> str:
    if char.isspace():
        return refusals.SPACES
    shown = char.isprintable() and not clean(char) == ""
    return refusals.CHARACTER.format(char=char) if shown else refusals.INVISIBLE


def _mixed(text: str) -> str:
    """Return the fault of a folded text that mixes alphabets, as the end of a sentence; "" if it mixes none."""
    if text.isascii():
        return ""
    found = [name for name, letter in _ALPHABETS.items() if letter().search(text)]
    return refusals.MIXED.format(one=found[0], other=found[1]) if len(found) > 1 else ""


def key_of(name: str) -> str:
    """Return the key by which a typed name is looked up; "" if it is too long to be a name."""
    if len(name) > FOLDED_CHARS:
        return ""
    return name.lower() if name.isascii() else fold(name)


def typed_name(text: str) -> str:
    """Return a typed name as it will be shown, without its invisible characters. Raises Refused."""
    if len(text) > FOLDED_CHARS:
        raise _NAMES.refusal(_TOO_LONG, text)
    if not text.isascii() and STACK().search(unicodedata.normalize("NFC", text)):
        raise _NAMES.refusal(_STACKED, text)
    return check_name(clean(text).strip())


def check_name(name: str) -> str:
    """Return the name as it will be shown (NFC).

    Raises:
        Refused: `name-invalid`; its text tells the fault, and it may have an offer.

    """
    shown = unicodedata.normalize("NFC", name) if len(name) <= FOLDED_CHARS else name
    fault = _fault(_NAMES, shown) or _mixed(fold(shown))
    if fault:
        raise _NAMES.refusal(fault, name)
    if word := next((_RESERVED_LOOKS[look] for look in looks(shown) if look in _RESERVED_LOOKS), None):
        if fold(shown) == word:
            raise refusals.NAME_RESERVED(name=shown, like=_NAMES.example)
        raise refusals.NAME_LOOKS_RESERVED(name=shown, word=word, like=_NAMES.example)
    if _SSH.match(fold(shown)):
        raise refusals.NAME_GREETS(name=shown, like=_NAMES.example)
    return shown


def check_room(name: str) -> str:
    """Return the canonical name of a room: folded, without the `#` that IRC users write before it.

    Raises:
        Refused: `room-invalid`; its text tells the fault, and it may have an offer.

    """
    typed = name.removeprefix("#")
    shown = unicodedata.normalize("NFC", typed) if len(typed) <= FOLDED_CHARS else typed
    if fault := _fault(_ROOMS, shown):
        raise _ROOMS.refusal(fault, fold(typed) if len(typed) <= FOLDED_CHARS else "")
    return fold(shown)


def is_name(name: str) -> bool:
    """Return whether a name is well-formed; reserved names are, because older logs may contain them."""
    return not _fault(_NAMES, name)


def is_room(name: str) -> bool:
    """Return whether a text is the canonical name of a possible room."""
    try:
        return check_room(name) == name
    except Refused:
        return False


def check_new_room(room: str) -> None:
    """Raise Refused if a new room of this name could be mistaken for another one."""
    if any(fault := _mixed(word) for word in re.split("[-_.]", room)):
        raise _ROOMS.refusal(fault, "")
    if room != LOBBY and looks(room) & _LOBBY_LOOKS:
        raise refusals.ROOM_LOOKS_TAKEN(name=room, other=LOBBY, like=_ROOMS.example)


def _fault(kind: _Kind, shown: str) -> str:
    """Return the fault of a name, as it is shown or folded; "" if it has none."""
    if shown.isascii():  # then the folded name differs in case alone
        return kind.fault(shown)
    fault = kind.fault(shown) or kind.fault(fold(shown))
    if fault and not kind.fault(shown):
        strange = (char for char in shown if kind.wrong().search(fold(char)))
        return next((refusals.CHARACTER.format(char=char) for char in strange), fault)
    return fault
