"""Tags of entries, as IRC writes them: what a client said beside the text, and what hubbub keeps for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hubbub.core import formatting
from hubbub.core.model import BOT, LOST
from hubbub.core.text import clean

CUT = "cut"  # where lines were joined to one, in logs that were written before that was a part of the formatting
OWN = frozenset({formatting.TAG, CUT, LOST})  # hubbub's own, which no client is shown or can give

_OF_CLIENTS = re.compile(r"\+(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9-]+")  # names, as message-tags has them
_OF_HUBBUB = re.compile(r"[0-9A-Za-z.+-]*")  # the values of its own
_ESCAPES = {";": r"\:", " ": r"\s", "\\": r"\\", "\r": r"\r", "\n": r"\n"}
_UNESCAPES = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_SPECIAL = re.compile(r"[; \\\r\n]")
_LINES = re.compile(r"([\r\n])")
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)


def escape(value: str) -> str:
    """Return a tag's value as it is sent."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], value)


def unescape(value: str) -> str:
    """Return a tag's value as it is meant."""
    return _ESCAPED.sub(lambda match: _UNESCAPES.get(match[1], match[1]), value)


def join(*tags: str) -> str:
    """Return several texts of tags as one."""
    return ";".join(filter(None, tags))


def value(tags: str, name: str) -> str:
    """Return the value of one of hubbub's own tags, "" if it is not there."""
    return next((tag[len(name) + 1 :] for tag in tags.split(";") if tag.startswith(f"{name}=")), "")


def shown(tags: str) -> str:
    """Return those tags that clients are shown."""
    return join(*(tag for tag in tags.split(";") if tag == BOT or tag.startswith("+"))) if tags else ""


def of_client(given: Iterable[tuple[str, str]]) -> str:
    """Return those of the tags that a client gives, names and values, that others are given: clean."""
    return join(*_clean(given))


def _clean(given: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in given:
        if _OF_CLIENTS.fullmatch(name):
            # Ends of lines are harmless here: wherever tags are written they are escaped.
            cleaned = escape("".join(part if part in "\r\n" else clean(part) for part in _LINES.split(text)))
            yield f"{name}={cleaned}" if cleaned else name


def clean_tags(tags: str) -> str:
    """Return the tags of an entry that comes from elsewhere as those of a client are kept, and hubbub's own."""
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
