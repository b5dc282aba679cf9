"""The transcript of a room as a response of the API, made a page of the log at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from hubbub.errors import BrokerError
from hubbub.model.queries import LogPage
from hubbub.wire.transcript import FORMS, Transcript


def response(form: str, room: str, first: LogPage, read: Callable[[int], Awaitable[LogPage]]) -> web.Response:
    """Return the transcript of a room as a file to download.

    Args:
        form: one of FORMS.
        room: the name of the room.
        first: the first page of its messages.
        read: returns the page behind a number; it may wait for the rate of the client.

    """
    known = FORMS[form]
    headers = {
        "Content-Type": f"{known.media_type}; charset=utf-8",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(room)}.{known.suffix}",
        "Cache-Control": "no-store",
    }
    return web.Response(body=_pieces(Transcript(form, room), first, read), headers=headers)


async def _pieces(
    transcript: Transcript, page: LogPage, read: Callable[[int], Awaitable[LogPage]]
) -> AsyncIterator[bytes]:
    yield transcript.begin.encode()
    try:
        while page.entries:
            yield transcript.entries(page.entries).encode("utf-8", "replace")
            if not page.more:
                break
            page = await read(page.entries[-1].seq)
    except BrokerError as error:
        raise ConnectionError(str(error)) from error  # the client notices that the end is missing
    yield transcript.end.encode()
