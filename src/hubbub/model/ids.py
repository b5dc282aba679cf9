"""The ids of entries: unique in their rooms, and made before the commit, so that a retry is recognised.

An id is `PROCESS-SESSION.NUMBER`, and then `-LABEL` if the session gave its draft a label. The prefix of a session,
`PROCESS-SESSION.`, is part of its ids alone. Entries of other programs may have ids of any other form.

A user's change of nick and their end are one event with an entry in each of the user's rooms. All these entries have
the same id, so an id is unique within a room. (Logs of older versions have `~` and a number at the ends of such ids.)
"""

from __future__ import annotations

from collections.abc import Iterable


def make_id(session: str, number: int, label: str = "") -> str:
    """Return the id of the draft with this number of the session with this prefix.

    A label consists of letters, digits and hyphens.
    """
    return f"{session}{number:x}-{label}" if label else f"{session}{number:x}"


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


def end_of(account: str, seqs: Iterable[int]) -> str:
    """Return the id of the leave with which the owner of an account is gone, whichever node publishes it.

    Args:
        account: the id of the account.
        seqs: the numbers of the joins that it ends; 0 for an unknown one.

    Returns:
        The id, the same on all nodes, so that one such leave is stored; "" if no number is known.

    """
    first = min(seqs, default=0)
    return leave_for(f"{account}.", first) if first else ""


def redaction_for(account: str, seq: int) -> str:
    """Return the id of the redaction of the message `seq` of a deleted account: the same on all nodes."""
    return f"{account}.d{seq:x}.0"


def is_shared(id: str) -> bool:
    """Return whether several nodes may publish an entry under this id: `leave_for` or one of its siblings made it."""
    user = user_of(id)
    # The ids of an account's entries name no process.
    return bool(user) and ("-" not in user or id.startswith("x", len(user)))


def process_of(id: str) -> str:
    """Return the part that all ids of one process have in common."""
    return id.partition("-")[0]


def has_label(id: str) -> bool:
    """Return whether a session gave the entry a label."""
    return "-" in id[id.rfind(".") + 1 :]
