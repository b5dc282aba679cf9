"""The transcript of a room on the API: a file to download, made a page of the log at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from urllib.parse import quote

from aiohttp import web
from msgspec.structs import replace

from hubbub.errors import BrokerError
from hubbub.model.entries import Entry
from hubbub.model.queries import LAST, After, LogPage
from hubbub.model.viewer import Viewer
from hubbub.serve.web.api.context import ApiContext
from hubbub.serve.web.http import Call
from hubbub.wire.transcript import FORMS, Transcript
from hubbub.wire.web import api as wire

PIECE = 1000  # messages of a transcript that are read at a time


async def download(api: ApiContext, call: Call, query: wire.TranscriptQuery, room: str) -> web.Response:
    """Return all messages of a room as a file."""
    return await transcript_for(api, call, room, query.format, partial(api.viewer, call))


async def transcript_for(
    api: ApiContext, call: Call, room: str, form: str, viewer: Callable[[], Viewer]
) -> web.Response:
    """Return all messages of a room that a viewer may read; each page of the log is a request of the client.

    `viewer` returns the viewer as it is now: one that has lost access gets no further page.
    """
    query = api.hub.by_id(After(room, 0, LAST, PIECE, True, viewer=viewer()))

    async def read(last: Entry) -> LogPage:
        await asyncio.sleep(api.rates.delay(call.origin))
        # The room may have another name by now.
        page: LogPage = await api.requests.read(replace(query, seq=last.seq, room_id=last.room_id, viewer=viewer()))
        return page

    first = await api.requests.read(query)
    return api.numbered(_response(form, room, first, read))


def _response(form: str, room: str, first: LogPage, read: Callable[[Entry], Awaitable[LogPage]]) -> web.Response:
    """Return the transcript of a room as a file to download.

    Args:
        form: one of FORMS.
        room: the name of the room.
        first: the first page of its messages.
        read: returns the page behind an entry; it may wait for the rate of the client.

    """
    known = FORMS[form]
    headers = {
        "Content-Type": f"{known.media_type}; charset=utf-8",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(room)}.{known.suffix}",
        "Cache-Control": "no-store",
    }
    return web.Response(body=_pieces(Transcript(form, room), first, read), headers=headers)


async def _pieces(
    transcript: Transcript, page: LogPage, read: Callable[[Entry], Awaitable[LogPage]]
) -> AsyncIterator[bytes]:
    yield transcript.begin.encode()
    try:
        while page.entries:
            yield transcript.entries(page.entries).encode("utf-8", "replace")
            if not page.more:
                break
            page = await read(page.entries[-1])
    except BrokerError as error:
        raise ConnectionError(str(error)) from error  # the client notices that the end is missing
    yield transcript.end.encode()
