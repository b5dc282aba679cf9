"""Servers for the scenes; each is stopped by who asked for it, and must end without a fuss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import FLAGS, PATIENCE, Enter, chromium, go_in
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scene import HowTo, Program, Server

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def stopping() -> Iterator[list[Server]]:
    """Servers of the scene before: they stop while the next one is played, for that takes a second after browsers."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.check_end()


@pytest.fixture
def serve(tmp_path: Path, stopping: list[Server]) -> Iterator[Callable[..., Server]]:
    """Start servers: serve(*flags, data=..., port=..., before=...)."""
    started: list[Server] = []

    def start(*flags: str, data: Path | None = tmp_path / "data", **options: object) -> Server:
        started.append(Server(data, *flags, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    before = stopping[:]
    stopping[:] = started
    for server in started:
        server.let_end()
    for server in before:
        server.check_end()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


@pytest.fixture
def howto() -> Iterator[HowTo]:
    program = HowTo()
    yield program
    program.disconnect()
    program.kill()


@pytest.fixture(params=["hubbub", "how-to"])
def either(request: pytest.FixtureRequest) -> Program:
    """Either of the two servers, for what both show."""
    return request.getfixturevalue("server" if request.param == "hubbub" else "howto")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def door(browser: Browser) -> Iterator[Enter]:
    """Open the page in a window of its own: door(server, **what the window is like); no script may fail in it."""
    contexts, errors = [], []

    def open_door(
        server: Server, prepare: Callable[[Page], Any] = lambda page: None, path: str = "/", **options: Any
    ) -> Page:
        # Most tests try what the server sends, and some withhold files from the page.
        context = browser.new_context(**{"service_workers": "block"} | options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(error))
        prepare(page)
        page.goto(f"http://127.0.0.1:{server.port}{path}")
        return page

    yield open_door
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def enter(door: Enter) -> Enter:
    """Open the page and go in: enter(server, name, **what the window is like)."""
    return lambda server, name="Ada", **options: go_in(door(server, **options), name)
