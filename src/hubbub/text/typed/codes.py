"""Codes of eight letters that a person can read out or type, for logins (accounts/records/codes.py) and for rooms.

The letters are those of RFC 8628, section 6.1: no vowels, so they form no words, and no digits.
"""

from __future__ import annotations

import re

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8
_SHOWN = rf"(?i)[{LETTERS}]{{4}}-[{LETTERS}]{{4}}"


def read_code(text: str) -> str:
    """Return the letters of a typed code, in any case, with or without a hyphen or spaces; "" if it is none."""
    if len(text) > 2 * LENGTH:
        return ""
    letters = text.upper().replace("-", "").replace(" ", "")
    return letters if len(letters) == LENGTH and set(letters) <= set(LETTERS) else ""


def shown_code(letters: str) -> str:
    """Return a code as people are shown it: XXXX-XXXX."""
    return f"{letters[:4]}-{letters[4:]}"


def is_shown_code(text: str) -> bool:
    """Return whether a text looks like a code as people are shown it, in any case."""
    return re.fullmatch(_SHOWN, text) is not None
