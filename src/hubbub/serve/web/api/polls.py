"""Polls on the API: to list those of a room, to ask, to vote and to end a poll."""

from __future__ import annotations

from aiohttp import web

from hubbub.chat.classroom import ballots, polls
from hubbub.chat.commands.classroom import choice_of
from hubbub.model.access import Action
from hubbub.serve.hub_requests import Visit
from hubbub.serve.web.api.context import ApiContext
from hubbub.serve.web.http import Call
from hubbub.serve.web.responses import answer, plain
from hubbub.text import refusals
from hubbub.wire.web import api as wire
from hubbub.wire.web.api import PollInfo


async def list_polls(api: ApiContext, call: Call, query: wire.PollQuery, room: str) -> web.Response:
    """Return the open polls of a room, the oldest first; none if the room must seem not to exist."""
    requester = api.requester(call)
    found: list[PollInfo] = []
    if await api.requests.may(requester, Action.READ, room):
        async with api.requests.visit(requester, room) as visit:
            found = [PollInfo.of(one) for one in ballots.listed(visit.session, visit.room)]
    if plain(call):
        return web.Response(text="".join(f"{poll.line}\n" for poll in found))
    return answer(wire.PollPage(found))


async def ask(api: ApiContext, call: Call, query: wire.PollQuery, room: str) -> web.Response:
    """Open a poll of the requester: a question and its answers, with `|` between them."""
    requester = api.member(call)
    question, *answers = (await api.text(call)).split("|")
    async with api.requests.visit(requester, room) as visit:
        polls.open_poll(api.hub, visit.session, visit.room, question, answers)
        entry = await visit.stored()
        assert entry is not None
        return _shown(call, visit, entry.id, 201)


async def vote(api: ApiContext, call: Call, query: wire.VoteQuery, room: str) -> web.Response:
    """Vote for an answer by its number or its words; 0 takes the vote back. Without an id, in the newest poll."""
    requester, text = api.member(call), await api.text(call)
    async with api.requests.visit(requester, room) as visit:
        api.hub.check(visit.session, Action.VOTE, visit.room)
        poll = polls.find(visit.room, id=query.id)
        if (choice := choice_of(poll, text.strip())) is None:
            raise refusals.NO_SUCH_ANSWER(limit=len(ballots.polled(poll).answers))
        polls.vote(api.hub, visit.session, visit.room, poll, choice)
        await visit.stored()
        return _shown(call, visit, poll.id)


async def end(api: ApiContext, call: Call, query: wire.EndQuery, room: str) -> web.Response:
    """End a poll of the requester, or any poll of a room of which the requester is an operator."""
    async with api.requests.visit(api.member(call), room) as visit:
        api.hub.check(visit.session, Action.CLOSE_OWN_POLL, visit.room)
        poll = polls.find(visit.room, id=query.id)
        polls.close_poll(api.hub, visit.session, visit.room, poll)
        await visit.stored()
        return _shown(call, visit, poll.id)


def _shown(call: Call, visit: Visit, id: str, status: int = 200) -> web.Response:
    """Return the answer with an open or just ended poll as a visitor sees it. Raises Refused if it was deleted since.

    Args:
        call: the call.
        visit: the visit of the requester to the room.
        id: the id of the poll.
        status: the status of the answer.

    """
    state = visit.room.state
    for poll in (*state.polls.values(), *reversed(state.closed_polls)):
        if poll.id == id:
            seen = PollInfo.of(ballots.seen(visit.session, poll), closed=id not in state.polls)
            return web.Response(text=f"{seen.line}\n", status=status) if plain(call) else answer(seen, status)
    raise refusals.NO_SUCH_POLL()
