"""The parts that the handlers of the API share: the hub, the requester of a call, and common answers."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from hubbub.chat.hub import Hub
from hubbub.chat.users.accounts import Accounts
from hubbub.model.accounts.account import Account
from hubbub.model.conversation import MARK
from hubbub.model.entries import Entry
from hubbub.model.queries import LogPage
from hubbub.model.viewer import Viewer
from hubbub.serve.hub_requests import HubRequests, Requester
from hubbub.serve.sockets.connection import Shared
from hubbub.serve.web.api.rate_limit import RequestRates
from hubbub.serve.web.http import Call
from hubbub.serve.web.responses import EVENTS, JSON, TEXT, answer, message_in, plain
from hubbub.text import refusals
from hubbub.wire.line import encoder
from hubbub.wire.web import api as wire
from hubbub.wire.web import streams
from hubbub.wire.web.negotiation import decode
from hubbub.wire.web.shown_entry import LogEntry, shown

BODY = 10.0  # seconds in which a body must arrive


class ApiContext:
    """The hub as the handlers of the API use it.

    Args:
        hub: the hub.
        shared: the state that all connections share.

    """

    def __init__(self, hub: Hub, shared: Shared) -> None:
        self.hub = hub
        self.rates = RequestRates(shared.settings, shared.clock)
        # By media type, and whether the client supports chunked encoding. Encoders are compared by identity, so each is
        # made only once.
        forms: dict[str, streams.TextEncoder | streams.EventStreamEncoder] = {
            TEXT: streams.TextEncoder(),
            EVENTS: streams.EventStreamEncoder(lambda: hub.log.log_id),
        }
        self.encoders = {
            (kind, cut is streams.chunk): streams.StreamEncoder(form, cut)
            for kind, form in forms.items()
            for cut in (streams.chunk, streams.whole)
        }
        self.requests = HubRequests(hub, shared.loop, self.encoders[TEXT, False])
        self._shared = shared

    @property
    def accounts(self) -> Accounts:
        """The accounts."""
        return self.hub.nicks.accounts

    # --- the requester of a call ----------------------------------------------------------------------------------

    def requester(self, call: Call) -> Requester:
        """Return the account of the token of a call, or a guest."""
        if account := call.bearer:
            return Requester(account.host, call.origin, account)
        return Requester(f"~api@{self._shared.cloak(call.origin)}.api", call.origin)

    def member(self, call: Call) -> Requester:
        """Return the requester of an act for which a person needs to be in the room. Raises Refused without a token."""
        if call.bearer is None:
            raise refusals.NOT_LOGGED_IN()
        return self.requester(call)

    def viewer(self, call: Call) -> Viewer:
        """Return the viewer that stands for the requester of a call in queries."""
        return self.requests.viewer(self.requester(call))

    def log_of(self, call: Call, room: str) -> str:
        """Return the name in the log of a room, or of a private conversation of the requester. Raises Refused."""
        if not room.startswith(MARK):
            return room
        return self.hub.private_history.between(owner(call), room).name

    async def text(self, call: Call) -> str:
        """Return the text in the body of a call. Raises Refused: it is too long, or cannot be decoded."""
        request = call.request
        body = await call.dialogue.read(request, wire.MAX_READ, min(BODY, self._shared.settings.name_timeout))
        if body is None:
            raise refusals.TEXT_TOO_LONG(limit=wire.MAX_BODY)
        text = decode(body, request.charset or "")
        if text is None:
            raise refusals.CHARSET_UNKNOWN(charset=request.charset)
        text = message_in(text) if request.content_type == JSON else text
        if len(text.encode()) > wire.MAX_BODY:
            raise refusals.TEXT_TOO_LONG(limit=wire.MAX_BODY)
        return text

    # --- answers --------------------------------------------------------------------------------------------------

    def page(self, call: Call, page: LogPage) -> web.Response:
        """Return the answer with a page of entries."""
        page = self.hub.private_history.shown_to(call.bearer, page)
        if plain(call):
            return self.lines(page.entries, note=page.note)
        return self.numbered(answer(wire.Page([shown(entry) for entry in page.entries], page.more, page.note)))

    def entry(self, call: Call, entry: Entry, posted: LogEntry | None = None, status: int = 200) -> web.Response:
        """Return the answer with one entry; as JSON in the form `posted`, if it is given."""
        if plain(call):
            return self.lines([entry], status)
        return self.numbered(answer(posted or shown(entry), status))

    def lines(self, entries: Iterable[Entry], status: int = 200, note: str = "") -> web.Response:
        """Return the answer with entries as lines of text, and perhaps a note below them."""
        now = self.hub.clock()
        lines = [encoder.stamped(entry, now) for entry in entries] + ([encoder.notice(note)] if note else [])
        text = "".join(f"{one}\n" for one in lines)
        return self.numbered(web.Response(text=text, status=status))

    def numbered(self, response: web.Response) -> web.Response:
        """Add the header with the id of the log that the numbers in a response belong to."""
        response.headers["Hubbub-Log"] = self.hub.log.log_id
        return response


def owner(call: Call) -> Account:
    """Return the account of a call that needs a token, which it has: its scopes were checked."""
    assert call.bearer is not None
    return call.bearer
