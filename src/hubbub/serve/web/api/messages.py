"""Messages on the API: to read, to search and to send them, in rooms and in private conversations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from aiohttp import web
from msgspec.structs import replace

from hubbub.chat.commands import slash
from hubbub.model import searching
from hubbub.model.events import Acknowledged
from hubbub.model.queries import LAST, After, Latest
from hubbub.serve.hub_requests import LABEL
from hubbub.serve.web.api.context import ApiContext
from hubbub.serve.web.http import Call
from hubbub.serve.web.responses import problem
from hubbub.text import refusals
from hubbub.wire.web import api as wire
from hubbub.wire.web.shown_entry import Posted, shown


@dataclass(slots=True)
class _Asker:
    """The client that waits for a search; `closed` once it no longer waits."""

    address: str
    closed: bool = False


async def read(api: ApiContext, call: Call, query: wire.MessagesQuery, room: str) -> web.Response:
    """Return messages and polls of a room."""
    after = None if query.after is None else wire.place(query.after, api.hub.log.log_id)
    viewer, room = api.viewer(call), api.log_of(call, room)
    if after is None:
        return api.page(
            call, await api.requests.read(api.hub.by_id(Latest(room, query.last, query.before, viewer=viewer)))
        )
    upto = query.before - 1 if query.before else LAST
    return api.page(
        call, await api.requests.read(api.hub.by_id(After(room, after, upto, query.last, True, viewer=viewer)))
    )


async def search(api: ApiContext, call: Call, query: wire.SearchQuery, room: str) -> web.Response:
    """Return the messages and polls of a room, or of all rooms, that contain the given words."""
    asked = searching.parse(query.q, api.hub.clock())
    asker = _Asker(call.origin)
    room = api.log_of(call, room)
    search = api.hub.by_id(asked.query(query.last, room or None, api.viewer(call), asker, query.before))
    try:
        found = await api.requests.read(search)
    finally:  # also if the client leaves, which cancels this task
        asker.closed = True
    return api.page(call, found)


async def list_mentions(api: ApiContext, call: Call, query: wire.MentionsQuery, _: str) -> web.Response:
    """Return the newest messages that mention the requester, in rooms that the token is for."""
    if call.bearer is None:
        raise refusals.NOT_LOGGED_IN()
    collect = api.hub.mentions.collect
    ask = partial(collect, call.bearer.id, query.last, api.viewer(call), query.unread)
    return api.page(call, await api.requests.answer(ask))


async def post(api: ApiContext, call: Call, query: wire.PostQuery, room: str) -> web.Response:
    """Send a message to a room, and return the stored entry once it is stored."""
    text = await api.text(call)
    if not (query.name or call.bearer):
        raise refusals.QUERY_MISSING(field="name")
    outcome = await api.requests.act(
        api.requester(call), lambda session: api.hub.post(session, query.name, room, text, LABEL)
    )
    if not isinstance(outcome, Acknowledged):
        later = {"Retry-After": "60"} if outcome.code == "too-many-new-rooms" else None
        return problem(outcome, later)
    posted = shown(outcome.entry, Posted)
    if slash.opened_empty(api.hub, outcome.entry):
        posted = replace(posted, people=0)
    return api.entry(call, outcome.entry, posted, status=201)
