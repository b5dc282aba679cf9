"""The messages that replies and reactions are about, as far as they are at hand where those are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from hubbub.model.entries import Entry, PollClosed, Polled, Quote, Reacted, Said, Unreacted
from hubbub.model.messages import polls
from hubbub.text.tags import reply_to


def about(entry: Entry) -> str:
    """Return the id of the message that an entry answers or reacts to, "" if there is none."""
    if isinstance(entry.body, Reacted | Unreacted):
        return entry.body.target
    return reply_to(entry.tags) if entry.tags and type(entry.body) is Said else ""


def with_quotes(entries: Sequence[Entry], before: Iterable[Entry] = ()) -> Sequence[Entry]:
    """Return entries in which each reply and reaction has the message that it is about as its quote.

    That message is found among the entries themselves and those in `before`, which are of the same room.
    """
    wanted = {target for entry in entries if (target := about(entry))}
    if not wanted:
        return entries
    found = {
        one.id: Quote(one.nick, one.body.text)
        for one in (*before, *entries)
        if type(one.body) is Said and one.id in wanted
    }
    return [_with_quote(entry, found) for entry in entries]


def with_results(entries: Sequence[Entry], closed: Iterable[Entry]) -> Sequence[Entry]:
    """Return entries in which the end of each poll has the result as its quote, as far as the poll is in `closed`."""
    if not any(isinstance(entry.body, PollClosed) for entry in entries):
        return entries
    found = {one.id: Quote(one.nick, polls.result(one, one.body)) for one in closed if isinstance(one.body, Polled)}
    return [
        replace(entry, quote=found.get(entry.body.target)) if isinstance(entry.body, PollClosed) else entry
        for entry in entries
    ]


def _with_quote(entry: Entry, found: Mapping[str, Quote]) -> Entry:
    quote = found.get(about(entry))
    return replace(entry, quote=quote) if quote else entry
