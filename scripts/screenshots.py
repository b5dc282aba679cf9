#!/usr/bin/env python3
"""Draw docs/page-light.png, page-dark.png and page-phone.png: the page in a real conversation."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

TOP = Path(__file__).parent.parent
# The tests know how to start a server, and how people use the page.
sys.path[:0] = [str(TOP / "tests"), str(TOP / "tests" / "e2e")]
from browser import FLAGS, chromium, go_in, say  # noqa: E402

from scene import Client, Server  # noqa: E402

DOCS = TOP / "docs"
DESK = {"viewport": {"width": 1000, "height": 620}}
PHONE = {"viewport": {"width": 390, "height": 720}, "is_mobile": True, "has_touch": True}
MOST = 150_000  # bytes of a picture


def types(client: Client, *lines: str) -> None:
    """Type lines, and wait until the server did what they ask for."""
    client.say(*lines)
    client.barrier()


def talk(server: Server) -> list[Client]:
    """Let the rooms have a past."""
    bob, carla, ci = server.join("Bob"), server.join("Carla"), server.join("ci-bot")
    types(bob, "/topic Release 2.4 on Thursday: https://wiki.example/release-2.4")
    types(bob, "Morning! Who looks after the release notes this time?")
    types(carla, "I do. The draft is at https://wiki.example/notes-2.4, please read it.")
    types(ci, "/me has built 2.4-rc1 in 3 min 12 s: 1,204 tests passed")
    types(bob, "That was quick.", "One thing is open: the old client sends its name twice.")
    types(carla, "We have had that before, in March. Search for 'twice' :-)")
    types(ci, "/join builds", "2.4-rc1 is on staging", "/join lobby")
    dmytro = server.join("Дмитро")
    types(dmytro, "Привіт! I am on nc today, no browser on this box.")
    return [bob, carla, ci, dmytro]


def enter(browser: Browser, server: Server, name: str, **window: object) -> Page:
    page = browser.new_context(locale="en-GB", **window).new_page()  # type: ignore[arg-type]
    page.goto(f"http://127.0.0.1:{server.port}/")
    return go_in(page, name)


def says(page: Page, text: str) -> None:
    say(page, text)
    expect(page.locator(".waiting")).to_have_count(0)


def shoot(page: Page, name: str) -> None:
    path = DOCS / f"page-{name}.png"
    page.wait_for_timeout(300)  # until it is painted
    page.screenshot(path=path)
    if path.stat().st_size > MOST:
        sys.exit(f"{path.name} has more than {MOST} bytes")
    print(f"wrote {path.relative_to(DOCS.parent)}")


def pictures(browser: Browser, server: Server) -> None:
    bob, carla, ci, *_ = talk(server)
    ada = enter(browser, server, "Ada", **DESK)
    says(
        ada, "I have the old client here. This is what it says:\n    name: Ada\n    name: Ada\n    error: named already"
    )
    says(ada, "/join builds")
    expect(ada.locator("h1")).to_have_text("builds")
    types(bob, "That is the one, thank you!")
    types(carla, "Ada: can you try it against 2.4-rc1?", "/msg Ada lunch at one?")
    ada.get_by_role("button", name=re.compile("^lobby")).click()
    types(ci, "/join builds", "2.4-rc1: the load test has passed", "/join lobby")
    expect(ada.locator(".rooms .count")).to_have_count(2)
    ada.mouse.move(500, 300)
    shoot(ada, "light")
    ada.emulate_media(color_scheme="dark")
    ada.get_by_role("button", name="Search").click()
    ada.fill("#words", "old client")
    ada.keyboard.press("Enter")
    expect(ada.locator(".search li")).to_have_count(2)
    ada.mouse.move(500, 300)
    shoot(ada, "dark")
    eve = enter(browser, server, "Eve", **PHONE)
    says(eve, "I can take the load test's numbers into the notes.")
    shoot(eve, "phone")


def main() -> None:
    server = Server(None, sniffs=True)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            pictures(browser, server)
            browser.close()
    finally:
        server.disconnect()
        server.stop()


if __name__ == "__main__":
    main()
