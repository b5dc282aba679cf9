"""The HTTP API: the way from a request to the handler of its route, and from refusals and errors to answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from urllib.parse import unquote

import msgspec
from aiohttp import web

from hubbub.errors import BrokerError, Busy, Closed, Refused
from hubbub.model.conversation import MARK
from hubbub.serve.hub_requests import check_bearer
from hubbub.serve.web.api.authorization import bearer_of
from hubbub.serve.web.api.context import ApiContext
from hubbub.serve.web.api.rate_limit import PATIENCE
from hubbub.serve.web.api.routes import ROUTES, Route
from hubbub.serve.web.http import Call
from hubbub.serve.web.responses import problem
from hubbub.text import names, refusals
from hubbub.wire.web import api as wire


class ApiRouter:
    """Answers the requests under PREFIX.

    Args:
        api: the parts that the handlers share.

    """

    def __init__(self, api: ApiContext) -> None:
        self._api = api
        self._routes = [(route.pattern, route) for route in ROUTES]

    async def answer(self, call: Call) -> web.StreamResponse:
        """Return the response to a request. Refusals and errors become problem documents (RFC 9457)."""
        path, method = call.request.rel_url.raw_path, call.request.method
        found = {route.method: (route, match) for pattern, route in self._routes if (match := pattern.fullmatch(path))}
        if not found:
            return problem(refusals.NOT_FOUND())
        if method == "HEAD" and "GET" in found:
            method = "GET"
        if method not in found:
            allowed = ", ".join(sorted({*found, "HEAD"} if "GET" in found else found))
            return problem(refusals.METHOD(method=method, allowed=allowed), {"Allow": allowed})
        if (delay := self._api.rates.delay(call.origin)) > PATIENCE:
            return problem(refusals.TOO_FAST(), {"Retry-After": str(ceil(delay))})
        await asyncio.sleep(delay)
        route, match = found[method]
        try:
            return await self._run(route, call, match.groupdict())
        except msgspec.ValidationError as error:
            return problem(wire.explain(error, route.query))
        except Refused as refused:
            return problem(refused)
        except Closed as error:
            return problem(error.refused)
        except Busy as error:
            return problem(refusals.BUSY(reason=error), {"Retry-After": "1"})
        except BrokerError as error:
            return problem(refusals.LOG_UNREADABLE(reason=error))

    async def _run(self, route: Route, call: Call, path: Mapping[str, str]) -> web.StreamResponse:
        """Return the response of a route to a request that its token, if it shows one, allows.

        Raises:
            msgspec.ValidationError: the query is not valid.
            Refused: the request is refused.
            Closed, Busy, BrokerError: the hub or the log does not answer.

        """
        accounts = self._api.accounts
        bearer = await bearer_of(accounts, call.request.headers, call.login_peer)
        query = msgspec.convert(dict(call.request.query), route.query, strict=False)
        room = _room_in(path)
        check_bearer(accounts, bearer, route.scopes, room)
        return await route.run(self._api, replace(call, bearer=bearer), query, room)


def _room_in(path: Mapping[str, str]) -> str:
    """Return the room that a path names, `@` and a name for a private conversation, or "". Raises Refused."""
    if name := path.get("name"):
        return f"{MARK}{unquote(name).removeprefix(MARK)}"
    return names.check_room(unquote(path["room"])) if "room" in path else ""
