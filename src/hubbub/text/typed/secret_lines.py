"""Lines with a password: the commands that have one, as people type them on any wire."""

from __future__ import annotations

import re

# The words `msg` and so on are those with which people write to NickServ.
_WITH_PASSWORD = re.compile(
    r"\s*/(?:(?:un)?register|login|password|oper|nickserv|ns|(?:msg|query|m|w|pm|tell|whisper)\s+nickserv)\s+\S",
    re.IGNORECASE,
)


def without_password(line: str) -> str:
    """Return a line that holds a password without all that follows its first word."""
    return f"{line.split(maxsplit=1)[0]} …"


def holds_password(line: str) -> bool:
    """Return whether a line is a command with a password, which is neither said to others nor kept."""
    return "/" in line and _WITH_PASSWORD.match(line) is not None
