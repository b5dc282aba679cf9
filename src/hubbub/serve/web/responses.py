"""The responses of the API, and the message in a request's JSON body."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from aiohttp import web

from hubbub.errors import Refused
from hubbub.model.events import Refusal
from hubbub.serve.web.http import Call
from hubbub.text import refusals
from hubbub.wire.web import api as wire
from hubbub.wire.web.negotiation import preferred
from hubbub.wire.web.statuses import status_of

JSON, TEXT, EVENTS = "application/json", "text/plain", "text/event-stream"


def plain(call: Call) -> bool:
    """Return whether a client prefers plain text to JSON."""
    return preferred(call.request.headers.get("Accept", ""), (JSON, TEXT)) == TEXT


def message_in(text: str) -> str:
    """Return the text of a JSON body. Raise Refused if the body is not valid."""
    try:
        return msgspec.json.decode(text, type=wire.MessageBody).text
    except msgspec.ValidationError:
        raise refusals.JSON_WITHOUT_TEXT() from None
    except (msgspec.DecodeError, RecursionError):
        raise refusals.NOT_JSON() from None


def link_to_next(call: Call, after: str, limit: int) -> dict[str, str]:
    """Return the Link header to the next page of a list (RFC 8288). It is relative, so it is valid behind a proxy."""
    path = call.request.rel_url.raw_path.rpartition("/")[2]
    return {"Link": f'<{path}?after={quote(after, safe="")}&limit={limit}>; rel="next"'}


def answer(body: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response with a JSON body."""
    return web.Response(body=msgspec.json.encode(body) + b"\n", content_type=JSON, status=status, headers=headers)


def problem(refused: Refused | Refusal, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a problem document with a refusal's code and text."""
    status = status_of(refused)
    if status == HTTPStatus.UNAUTHORIZED:
        headers = {**(headers or {}), "WWW-Authenticate": "Bearer"}
    body = msgspec.json.encode(wire.Problem(status.value, status.phrase, refused.text, refused.code)) + b"\n"
    return web.Response(body=body, content_type="application/problem+json", status=status, headers=headers)
