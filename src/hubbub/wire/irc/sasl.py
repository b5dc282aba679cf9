"""The messages of AUTHENTICATE: base64 in chunks, and the credentials in it.

Sources: https://ircv3.net/specs/extensions/sasl-3.1, RFC 4616 for PLAIN.
"""

from __future__ import annotations

import base64
import binascii
from enum import Enum, auto
from typing import NamedTuple

from hubbub.text.concealed import concealed
from hubbub.text.names import key_of

CHUNK = 400  # characters of base64 in a message; a shorter chunk is the last one
MAX_RESPONSE = 4000  # characters of base64 in a whole response
NOTHING = "+"  # an empty chunk


class SaslFault(Enum):
    """The fault of a response."""

    TOO_LONG = auto()  # one chunk is too long
    INVALID = auto()  # the whole response is too long, or no base64


class PlainLogin(NamedTuple):
    """The credentials in a response of the mechanism PLAIN."""

    name: str
    secret: str

    def __repr__(self) -> str:
        return concealed(self)


class SaslReader:
    """Puts the chunks of responses together. After a fault it starts with a new response."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, chunk: str) -> bytes | SaslFault | None:
        """Return the response that a chunk completes, or its fault; None if more chunks follow."""
        before, self._text = self._text, ""
        if len(chunk) > CHUNK:
            return SaslFault.TOO_LONG
        text = before if chunk == NOTHING else before + chunk
        if len(text) > MAX_RESPONSE:
            return SaslFault.INVALID
        if len(chunk) == CHUNK:
            self._text = text
            return None
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return SaslFault.INVALID
        # Two texts never stand for the same bytes.
        return data if base64.b64encode(data).decode() == text else SaslFault.INVALID


def chunks(data: bytes) -> list[str]:
    """Return a message as the chunks in which it is sent."""
    text = base64.b64encode(data).decode()
    found = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    return found if found and len(found[-1]) < CHUNK else [*found, NOTHING]


def read_external(response: bytes) -> str | None:
    """Return the name in a response of the mechanism EXTERNAL, "" if there is none; None if it is not valid.

    Source: RFC 4422, appendix A.
    """
    try:
        name = response.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in name else name


def read_plain(response: bytes) -> PlainLogin | None:
    """Return the credentials in a response of the mechanism PLAIN; None if it is not valid.

    Nobody can log in with one account and act as another.
    """
    try:
        words = response.decode().split("\0")
    except UnicodeDecodeError:
        return None
    if len(words) != 3:
        return None
    acts_as, name, secret = words
    if not name or not secret or (acts_as and key_of(acts_as) != key_of(name)):
        return None
    return PlainLogin(name, secret)
