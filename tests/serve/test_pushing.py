"""Notifications over HTTP, to a server of the test: the forms, the refused addresses, and the outcomes."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from hubbub.model.notices.push import Push
from hubbub.serve import pushing
from hubbub.serve.pushing import PushSender

HERE = [ipaddress.ip_network("127.0.0.0/8")]
PUSH = Push("Bö in ops", "@ann tea", "http://chat/#ops")


class Taker:
    """An HTTP server that notes what it is sent."""

    def __init__(self, status: int = 200) -> None:
        self.taken: list[tuple[str, str | None, str | None, str]] = []
        self.status = status
        self.port = 0

    async def take(self, request: web.Request) -> web.Response:
        text, headers = await request.text(), request.headers
        self.taken.append((request.path_qs, headers.get("Title"), headers.get("Click"), text))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"} if self.status == 302 else {})


@asynccontextmanager
async def taker(status: int = 200) -> AsyncIterator[Taker]:
    one = Taker(status)
    app = web.Application()
    app.router.add_post("/{any:.*}", one.take)
    app.router.add_get("/{any:.*}", one.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.port = runner.addresses[0][1]
    try:
        yield one
    finally:
        await runner.cleanup()


async def sent(url: str, allowed: list[ipaddress.IPv4Network], push: Push = PUSH) -> bool:
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[bool] = loop.create_future()
    PushSender(loop, allowed).send(url, push, outcome.set_result)
    return await asyncio.wait_for(outcome, 10)


async def test_ntfy_and_unifiedpush_take_the_text_and_gotify_takes_json() -> None:
    async with taker() as one:
        base = f"http://127.0.0.1:{one.port}"
        assert not await sent(f"{base}/ann", HERE)
        assert not await sent(f"http://localhost:{one.port}/up?x=1", HERE, PUSH._replace(click=""))
        assert not await sent(f"{base}/message?token=A", HERE)
        assert not await sent(f"{base}/message?token=A", HERE, PUSH._replace(click=""))
    assert one.taken[:2] == [
        ("/ann", "Bö in ops", "http://chat/#ops", "@ann tea"),
        ("/up?x=1", "Bö in ops", None, "@ann tea"),
    ]
    assert '"message": "@ann tea"' in one.taken[2][3] and "http://chat/#ops" in one.taken[2][3]
    assert '"extras": {}' in one.taken[3][3]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "2130706433"])
async def test_address_that_is_not_allowed_is_not_reached(host: str) -> None:
    async with taker() as one:
        assert not await sent(f"http://{host}:{one.port}/ann", [])
        assert not await sent(f"https://{host}:{one.port}/ann", [])
    assert one.taken == []


async def test_scheme_may_have_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[tuple[str, bool]] = []
    monkeypatch.setattr(pushing, "may_reach", lambda host, encrypted, allowed: reached.append((host, encrypted)))
    assert not await sent("HTTPS://9.9.9.9/ann", [])
    assert reached == [("9.9.9.9", True)]


@pytest.mark.parametrize(("status", "gone"), [(200, False), (302, False), (404, True), (410, True), (500, False)])
async def test_outcome(status: int, gone: bool) -> None:
    async with taker(status) as one:
        assert await sent(f"http://127.0.0.1:{one.port}/ann", HERE) is gone
    assert len(one.taken) == 1


async def test_server_that_is_not_there() -> None:
    async with taker() as one:
        port = one.port
    assert not await sent(f"http://127.0.0.1:{port}/ann", HERE)
    assert pushing.TIMEOUT.total == 10.0
