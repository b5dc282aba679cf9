"""Private conversations on the API: to list them, and to send and delete private messages."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from hubbub.chat import messages
from hubbub.chat.messages import Which
from hubbub.chat.private import direct
from hubbub.chat.private.private_history import ConversationList
from hubbub.chat.session import Session
from hubbub.model.conversation import MARK
from hubbub.model.events import Acknowledged
from hubbub.serve.hub_requests import LABEL
from hubbub.serve.web.api.context import ApiContext, owner
from hubbub.serve.web.http import Call
from hubbub.serve.web.responses import answer, link_to_next, plain, problem
from hubbub.text.list_pages import ListPart
from hubbub.wire.web import api as wire


async def list_conversations(api: ApiContext, call: Call, query: wire.ConversationsQuery, _: str) -> web.Response:
    """Return a list of the private conversations of the requester."""
    part = ListPart(query.after, query.limit)
    ask = partial(api.hub.private_history.list_of, owner(call), api.viewer(call), part)
    listed: ConversationList = await api.requests.answer(ask)
    follow = listed.end if query.after is not None else ""
    headers = link_to_next(call, follow, query.limit) if listed.more else {}
    if plain(call):
        return web.Response(text="".join(f"{name}\n" for name, _ in listed.last), headers=headers)
    talks = [wire.ConversationInfo(name, last) for name, last in listed.last]
    return answer(wire.ConversationPage(talks, listed.more), headers=headers)


async def send(api: ApiContext, call: Call, query: wire.SendQuery, name: str) -> web.Response:
    """Send a private message, and return it once it is stored; if it is not kept, once it is delivered."""
    text = await api.text(call)
    outcome = await api.requests.act(
        api.requester(call),
        lambda session: direct.send_private(api.hub, session, name.removeprefix(MARK), text, label=LABEL),
    )
    if not isinstance(outcome, Acknowledged):
        return problem(outcome)
    return api.entry(call, outcome.entry, status=201)


async def delete(api: ApiContext, call: Call, query: wire.DeleteQuery, room: str) -> web.Response:
    """Delete a message of the requester in a private conversation, and return the entry that says so."""
    conversation = api.hub.private_history.between(owner(call), room)

    def start(session: Session) -> None:
        session.label = LABEL
        messages.redact(session, conversation, Which(id=query.id), query.reason)

    outcome = await api.requests.act(api.requester(call), start)
    if not isinstance(outcome, Acknowledged):
        return problem(outcome)
    return api.entry(call, outcome.entry)
