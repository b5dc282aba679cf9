"""Polls: the votes as a tag of the entry of a poll, and polls and their results in words.

The votes follow from the log, in which each of them is an entry. The tag has a part for each answer, with a full stop
between the parts; a part is the voters who chose the answer, VOTER characters each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from hubbub.model.entries import Entry, PollClosed, Polled, Voted
from hubbub.model.events import OpenPoll
from hubbub.text.tags import CLOSED, VOTES, join, value, without

LEAST_ANSWERS = 2
MOST_ANSWERS = 10  # of a poll
MOST_VOTES = 1_000  # in a poll; further ones have no effect
POLL_BYTES = 300  # of the question and the answers together: with its author, a poll fits in an IRC line
VOTER = 10  # characters that stand for a voter
NAMED = "0"  # begins those of guests who are known by their name alone: with another name, they are other voters

_VOTER = re.compile(rf"[0-9a-z]{{{VOTER}}}")


def votes(entry: Entry, body: Polled) -> list[list[str]]:
    """Return the voters of each answer of a poll, the oldest first."""
    parts = value(entry.tags, VOTES).split(".")
    parts += [""] * (len(body.answers) - len(parts))
    return [_VOTER.findall(part) for part in parts[: len(body.answers)]]


def counts(entry: Entry, body: Polled) -> list[int]:
    """Return the number of votes for each answer of a poll."""
    return [len(voters) for voters in votes(entry, body)]


def guests(entry: Entry, body: Polled) -> int:
    """Return the number of votes by guests who are known by their name alone."""
    return sum(voter.startswith(NAMED) for voters in votes(entry, body) for voter in voters)


def choice(entry: Entry, body: Polled, voter: str) -> int:
    """Return the number of the answer that somebody chose, 0 for none."""
    return next((number for number, voters in enumerate(votes(entry, body), 1) if voter in voters), 0)


def is_voter(text: str) -> bool:
    """Return whether a text stands for a voter."""
    return _VOTER.fullmatch(text) is not None


def is_closed(entry: Entry) -> bool:
    """Return whether a poll takes no more votes."""
    return CLOSED in entry.tags.split(";")


def after(entry: Entry, body: Polled, by: Voted | PollClosed) -> Entry:
    """Return the entry of a poll after a vote, or after its end: the same one if that changes nothing."""
    if is_closed(entry):
        return entry
    if isinstance(by, PollClosed):
        return replace(entry, tags=join(entry.tags, CLOSED))
    before = votes(entry, body)
    now = [[one for one in voters if one != by.voter] for voters in before]
    if by.choice > len(now) or not is_voter(by.voter) or sum(map(len, now)) >= MOST_VOTES:
        return entry
    if by.choice:
        now[by.choice - 1].append(by.voter)
    if now == before:
        return entry
    text = ".".join("".join(voters) for voters in now)
    return replace(entry, tags=join(without(entry.tags, VOTES), f"{VOTES}={text}" if any(now) else ""))


# --- in words ---------------------------------------------------------------------------------------------------------


def question(text: str) -> str:
    """Return the question of a poll, with a colon if it does not end with another sign."""
    return text if text.endswith(("?", "!", ".", ":", "…")) else f"{text}:"


def ballot(body: Polled | OpenPoll) -> str:
    """Return a poll with the numbers of its answers."""
    return " ".join(
        (question(body.question), *(f"{number}) {answer}" for number, answer in enumerate(body.answers, 1)))
    )


def asked(entry: Entry, body: Polled, voting: str = "") -> str:
    """Return a poll with its votes, if there are any, and that it is closed, or else `voting`, the way to vote."""
    closed = is_closed(entry)
    votes = f" [{score(entry, body)}]" if closed or any(counts(entry, body)) else ""
    remark = "closed" if closed else voting
    return f"{ballot(body)}{votes}{f' ({remark})' if remark else ''}"


def result(entry: Entry, body: Polled) -> str:
    """Return a poll with the number of votes for each answer."""
    return f"{question(body.question)} {score(entry, body)}"


def score(entry: Entry, body: Polled) -> str:
    """Return the number of votes for each answer of a poll, and how far they can be relied on."""
    return f"{tally(body.answers, counts(entry, body))}{doubt(guests(entry, body))}"


def doubt(number: int) -> str:
    """Return the remark that this number of votes is by guests who are known by their name alone; "" for none."""
    return (
        f" ({number} {'vote' if number == 1 else 'votes'} by guests who can vote again under another name)"
        if number
        else ""
    )


def tally(answers: Sequence[str], numbers: Sequence[int]) -> str:
    """Return answers with the numbers of their votes."""
    return ", ".join(f"{answer} {number}" for answer, number in zip(answers, numbers, strict=True))
