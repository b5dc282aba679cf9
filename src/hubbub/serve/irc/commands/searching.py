"""The IRC command SEARCH, of the capability soju.im/search. Source: doc/ext/search.md of soju."""

from __future__ import annotations

from hubbub.chat.operations.asking import LogQuestion, client_question
from hubbub.errors import BrokerError, Refused
from hubbub.model import searching
from hubbub.model.queries import LogPage, Search
from hubbub.model.viewer import ASKER
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands.history import HISTORY, in_batch, parse_time
from hubbub.text.cleaning import clean
from hubbub.text.names import check_room
from hubbub.wire.irc import lines as wire

CAP = "soju.im/search"
_MILLISECOND = 0.001  # seconds: SEARCH includes the time `before`, to the millisecond, and queries do not


class _Invalid(Exception):
    """An attribute of a search has an invalid value; the name of the attribute."""


def search(client: IrcClient, params: list[str]) -> None:
    """SEARCH attributes: find messages by their words (text), target (in), author (from) and time (after, before)."""
    attributes = wire.parse_tags(params[0])
    try:
        query = _query(client, attributes)
    except (_Invalid, Refused) as fault:
        name = str(fault) if isinstance(fault, _Invalid) else "text"
        client.fail("SEARCH", "INVALID_PARAMS", name, "Invalid parameters")
        return

    client.session.queue(SearchAsked(query))


class SearchAsked(LogQuestion, frozen=True):
    """SEARCH of the messages that match a query."""


def _found(client: IrcClient, asked: SearchAsked, page: LogPage | BrokerError) -> None:
    if isinstance(page, BrokerError):
        client.emit(wire.line(client.network.name, "FAIL", "SEARCH", "INTERNAL_ERROR", "The search could not be run"))
        return
    ref = client.new_ref() if "batch" in client.caps else ""
    entries = client.hub.private_history.shown(client.session, page).entries
    client.emit(*in_batch(client, ref, "", [line for one in entries for line in client.form.lines(one, ref)], CAP))


OPERATIONS = (client_question(SearchAsked, _found),)


def _query(client: IrcClient, attributes: dict[str, str]) -> Search:
    """Return the query for the attributes of a search. Raises _Invalid, Refused."""
    asked = searching.Asked(searching.words_of(clean(attributes.get("text", ""))))
    if name := attributes.get("from"):
        asked = asked._replace(author=searching.author_of(name))
    # Without a time the bound is finite all the same: a search for a target alone finds all of its messages.
    since = _time(attributes, "after") or 0.0
    until = _time(attributes, "before")
    asked = asked._replace(since=since, until=until + _MILLISECOND if until else asked.until)
    limit = attributes.get("limit", str(HISTORY))
    if not (limit.isascii() and limit.isdigit() and int(limit[:9])):
        raise _Invalid("limit")
    room = _room(client, attributes.get("in", ""))
    return client.hub.by_id(asked.query(min(int(limit[:9]), HISTORY), room, ASKER))


def _time(attributes: dict[str, str], name: str) -> float | None:
    text = attributes.get(name)
    time = parse_time(f"timestamp={text}") if text else None
    if text and time is None:
        raise _Invalid(name)
    return time


def _room(client: IrcClient, target: str) -> str | None:
    """Return the room to search, of a channel or of the owner of a nick; None for all."""
    if not target:
        return None
    try:
        if target.startswith("#"):
            return check_room(target)
        return client.hub.private_history.room_with(client.session, target)[0]
    except Refused:
        raise _Invalid("in") from None
