"""The errors of reading a stored or received record: whatever the bytes are, they raise no other ones."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
