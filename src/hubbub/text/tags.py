"""Tags of entries in IRC's notation: those that a client sent with the text, and hubbub's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hubbub.text import formatting
from hubbub.text.cleaning import clean

BOT = "bot"  # on all entries of a bot
LOST = "lost"  # on a leave without the user's request, such as a lost connection
KICKED = "kicked"  # on a kick: the id of the user
QUIT = "quit"  # on a leave of all rooms at once
EDITED = "edited"  # on a message that its author has corrected
REACTIONS = "reactions"  # on a message: its reactions (model/messages/reactions.py)
VOTES = "votes"  # on a poll: its votes (model/messages/polls.py)
CLOSED = "closed"  # on a poll that takes no more votes
CUT = "cut"  # where lines were joined to one, in logs older than `formatting.CUT`
# hubbub's own: no client is shown them or can set them.
OWN = frozenset({formatting.TAG, CLOSED, CUT, EDITED, KICKED, LOST, QUIT, VOTES})
_REPLY = ("+reply", "+draft/reply")  # https://ircv3.net/specs/client-tags/reply, and its name when it was a draft
REACT, UNREACT = "+draft/react", "+draft/unreact"  # https://ircv3.net/specs/client-tags/react

_OF_CLIENTS = re.compile(r"\+(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9-]+")  # names, according to message-tags
_OF_HUBBUB = re.compile(r"[0-9A-Za-z.+-]*")  # values of hubbub's own tags
_ESCAPES = {";": r"\:", " ": r"\s", "\\": r"\\", "\r": r"\r", "\n": r"\n"}
_UNESCAPES = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_SPECIAL = re.compile(r"[; \\\r\n]")
_LINES = re.compile(r"([\r\n])")
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


def escape(value: str) -> str:
    """Return a tag's value escaped, as it is sent."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], value)


def unescape(value: str) -> str:
    """Return a tag's value without its escapes."""
    return _ESCAPED.sub(lambda match: _UNESCAPES.get(match[1], match[1]), value)


def join(*tags: str) -> str:
    """Return several texts of tags as one text."""
    return ";".join(filter(None, tags))


def value(tags: str, name: str) -> str:
    """Return the value of a tag as it is written, "" if it is missing."""
    return next((tag[len(name) + 1 :] for tag in tags.split(";") if tag.startswith(f"{name}=")), "")


def reply_to(tags: str) -> str:
    """Return the id of the message that a message with these tags answers; "" if it answers none."""
    return next((text for name in _REPLY if (text := of_name(tags, name))), "") if "reply=" in tags else ""


def of_name(tags: str, name: str) -> str:
    """Return the value of a client's tag, without its escapes; "" if it is missing."""
    return unescape(value(tags, name))


def without(tags: str, *names: str) -> str:
    """Return tags without those that have one of these names."""
    return join(*(tag for tag in tags.split(";") if tag.partition("=")[0] not in names)) if tags else ""


def shown(tags: str) -> str:
    """Return those tags that clients are shown."""
    return join(*(tag for tag in tags.split(";") if tag == BOT or tag.startswith("+"))) if tags else ""


def of_client(given: Iterable[tuple[str, str]]) -> str:
    """Return the tags that may be passed on to other clients, cleaned, from the names and values of a client."""
    return join(*_clean(given))


def _clean(given: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in given:
        if _OF_CLIENTS.fullmatch(name):
            # Line ends are harmless here: tags are escaped wherever they are written.
            cleaned = escape("".join(part if part in "\r\n" else clean(part) for part in _LINES.split(text)))
            yield f"{name}={cleaned}" if cleaned else name


def clean_tags(tags: str) -> str:
    """Return the tags of an entry from another source: hubbub's own, and the others cleaned like those of a client."""
    kept = []
    for tag in tags.split(";"):
        name, _, text = tag.partition("=")
        if name in OWN and _OF_HUBBUB.fullmatch(text):
            kept.append(tag)
        elif name == BOT:
            kept.append(BOT)
        else:
            kept.append(of_client([(name, unescape(text))]))
    return join(*kept)
