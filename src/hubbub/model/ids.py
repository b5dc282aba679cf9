"""The ids of entries: unique for ever, and made before the commit, so that a retry is recognised.

An id is `PROCESS-SESSION.NUMBER`, and then `-LABEL` if the session gave its draft a label, and then `~COPY` if one
event has an entry in each of several rooms. The prefix of a session, `PROCESS-SESSION.`, is part of its ids alone.
Entries of other programs may have ids of any other form.
"""

from __future__ import annotations


def make_id(session: str, number: int, label: str = "") -> str:
    """Return the id of the draft with this number of the session with this prefix.

    A label consists of letters, digits and hyphens.
    """
    return f"{session}{number:x}-{label}" if label else f"{session}{number:x}"


def copy_of(id: str, number: int) -> str:
    """Return the id of one of the entries of an event in several rooms: 0 for the first of them."""
    return f"{id}~{number:x}"


def session_of(id: str) -> str:
    """Return the prefix of the session that published an entry; "" for an id of another form."""
    return id[: id.rfind(".") + 1]


def user_of(id: str) -> str:
    """Return the prefix that the ids of all sessions of one user have in common; "" for an id of another form."""
    return id[: id.find(".") + 1]


def leave_for(user: str, seq: int) -> str:
    """Return the id of a leave that another node publishes for the user with this prefix: it ends the join `seq`.

    No session has such ids, and the same leave always has the same id.
    """
    return f"{user}x{seq:x}.0"


def process_of(id: str) -> str:
    """Return the part that all ids of one process have in common."""
    return id.partition("-")[0]


def has_label(id: str) -> bool:
    """Return whether a session gave the entry a label."""
    return "-" in id[id.rfind(".") + 1 :]


def event_of(id: str) -> str:
    """Return the common part of the ids of one event in several rooms; "" if the event is in one room alone."""
    return id.partition("~")[0] if "~" in id else ""


def is_further_copy(id: str) -> bool:
    """Return whether an entry repeats an event whose first entry is in another room."""
    return "~" in id and not id.endswith("~0")
