"""The polls of a room on the API: to list them, to ask, to vote and to end them."""

from __future__ import annotations

from hubbub.chat.classroom import ballots, polls
from hubbub.chat.commands.classroom import choice_of
from hubbub.chat.hub import Hub
from hubbub.model.access import Action
from hubbub.serve.hub_requests import HubRequests, Requester, Visit
from hubbub.text import refusals
from hubbub.wire.web.http import PollInfo


class Polls:
    """The acts of requesters on polls: each returns what the requester sees of the poll when the act is stored.

    All of them raise Refused, or BrokerError if the log cannot be read.
    """

    def __init__(self, hub: Hub, requests: HubRequests) -> None:
        self._hub = hub
        self._requests = requests

    async def listed(self, requester: Requester, room: str) -> list[PollInfo]:
        """Return the open polls of a room, the oldest first; none if the room must seem not to exist."""
        if not await self._requests.may(requester, Action.READ, room):
            return []
        async with self._requests.visit(requester, room) as visit:
            return [PollInfo.of(one) for one in ballots.listed(visit.session, visit.room)]

    async def ask(self, requester: Requester, room: str, text: str) -> PollInfo:
        """Open a poll: a question and its answers, with `|` between them."""
        question, *answers = text.split("|")
        async with self._requests.visit(requester, room) as visit:
            polls.open_poll(self._hub, visit.session, visit.room, question, answers)
            entry = await visit.stored()
            assert entry is not None
            return _seen(visit, entry.id)

    async def vote(self, requester: Requester, room: str, id: str, text: str) -> PollInfo:
        """Vote for an answer by its number or its words; 0 takes the vote back. Without an id, in the newest poll."""
        async with self._requests.visit(requester, room) as visit:
            self._hub.check(visit.session, Action.VOTE, visit.room)
            poll = polls.find(visit.room, id=id)
            if (choice := choice_of(poll, text.strip())) is None:
                raise refusals.NO_SUCH_ANSWER(limit=len(ballots.polled(poll).answers))
            polls.vote(self._hub, visit.session, visit.room, poll, choice)
            await visit.stored()
            return _seen(visit, poll.id)

    async def end(self, requester: Requester, room: str, id: str) -> PollInfo:
        """End a poll, and return its result."""
        async with self._requests.visit(requester, room) as visit:
            self._hub.check(visit.session, Action.CLOSE_OWN_POLL, visit.room)
            poll = polls.find(visit.room, id=id)
            polls.close_poll(self._hub, visit.session, visit.room, poll)
            await visit.stored()
            return _seen(visit, poll.id)


def _seen(visit: Visit, id: str) -> PollInfo:
    """Return an open poll, or one that has just ended, as a visitor sees it. Raises Refused if it was deleted since."""
    state = visit.room.state
    for poll in (*state.polls.values(), *reversed(state.closed_polls)):
        if poll.id == id:
            return PollInfo.of(ballots.seen(visit.session, poll), closed=id not in state.polls)
    raise refusals.NO_SUCH_POLL()
