"""The browser that the page is tried in: Debian's, which asks nobody anything. And what people do in it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE = 60_000  # milliseconds that an effect may take on a busy machine
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
ZOOMED = {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}  # 1280 by 800 at 200 %
# Lets notifications be allowed, and keeps their texts in `told`.
NOTIFYING = """
    window.told = [];
    window.Notification = class { constructor(title, { body }) { told.push(body); } };
    Notification.permission = "granted";
"""

Enter = Callable[..., Page]


def chromium() -> str:
    """Return where it is, preferably without the windows; where it is missing the test is skipped, but not in CI."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is missing")
        pytest.skip("chromium is missing")
    return path


def retimed(delay: int, other: int) -> str:
    """Return a script that gives a timer of the page another delay, in milliseconds, than the one that it has."""
    act = f"later(act, delay === {delay} ? {other} : delay, ...rest)"
    return f"(() => {{ const later = setTimeout; globalThis.setTimeout = (act, delay, ...rest) => {act}; }})()"


def go_in(page: Page, name: str) -> Page:
    """Give a name at the door."""
    page.fill("#name", name)
    page.keyboard.press("Enter")
    expect(page.locator("#write")).to_be_enabled()
    return page


def say(page: Page, text: str) -> None:
    page.fill("#write", text)
    page.keyboard.press("Enter")


def paste(page: Page, text: str) -> None:
    """Paste a text into the field and send it."""
    page.focus("#write")
    page.keyboard.insert_text(text)
    page.keyboard.press("Enter")


def said(page: Page) -> Locator:
    return page.locator("li.said")


def badge(page: Page, room: str) -> Locator:
    return page.locator(".rooms button").filter(has=page.get_by_text(room, exact=True)).locator(".count")


def hide(page: Page, hidden: bool = True) -> None:
    """Let the page think that another tab is in front."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


class Cable:
    """What the page is connected by: it can be cut, and then nobody comes through until it is mended."""

    def __init__(self) -> None:
        self.whole = True
        self.withheld: set[str] = set()  # what the page is not told
        self.sent: list[dict[str, Any]] = []  # what the page has said
        self.routes: list[tuple[WebSocketRoute, WebSocketRoute]] = []
        self.page: Page | None = None

    def lay(self, page: Page) -> None:
        self.page = page
        page.route_web_socket(re.compile("/ws$"), self.connect)

    def connect(self, route: WebSocketRoute) -> None:
        if not self.whole:
            route.close()
            return
        server = route.connect_to_server()

        def take(text: str | bytes) -> None:
            self.sent.append(json.loads(text))
            server.send(text)

        route.on_message(take)
        server.on_message(lambda text: None if json.loads(text)["type"] in self.withheld else route.send(text))
        self.routes.append((route, server))

    def cut(self) -> None:
        self.whole = False
        for ends in self.routes:
            for end in ends:
                end.close()
        assert self.page
        expect(self.page.locator(".banner")).to_be_visible()

    def mend(self) -> None:
        self.whole = True
        assert self.page
        self.page.evaluate("dispatchEvent(new Event('online'))")


def intercept(
    page: Page, answer: Callable[[dict[str, Any]], dict[str, Any] | None], told: list[str] | None = None
) -> None:
    """Answer what the page asks instead of the server, which is asked otherwise; note in `told` what that answers."""

    def connect(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def take(message: str | bytes) -> None:
            own = answer(json.loads(message))
            if own is None:
                server.send(message)
            elif own:
                route.send(json.dumps(own))

        def give(message: str | bytes) -> None:
            route.send(message)
            if told is not None:
                told.append(json.loads(message)["type"])

        route.on_message(take)
        server.on_message(give)

    page.route_web_socket(re.compile("/ws$"), connect)
