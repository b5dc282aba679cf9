#!/usr/bin/env python3
"""Draw docs/page-light.png, page-dark.png and page-phone.png: the page in a real conversation."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

DOCS = Path(__file__).parent.parent / "docs"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DESK = {"viewport": {"width": 1000, "height": 620}}
PHONE = {"viewport": {"width": 390, "height": 720}, "is_mobile": True, "has_touch": True}
MOST = 150_000  # bytes of a picture


class Person:
    """Somebody with a plain socket."""

    def __init__(self, port: int, name: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._lines = self._sock.makefile("r", encoding="utf-8")
        self.types(name, "/time")

    def types(self, *lines: str) -> None:
        """Type lines, and wait until the server did what they ask for."""
        self._sock.sendall("".join(f"{line}\n" for line in (*lines, "/time")).encode())
        while not re.match(r"(Enter your name: )?\*\*\* \d{4}-", self._lines.readline()):
            pass


def talk(port: int) -> list[Person]:
    """Let the rooms have a past."""
    bob, carla, ci = (Person(port, name) for name in ("Bob", "Carla", "ci-bot"))
    bob.types("/topic Release 2.4 on Thursday: https://wiki.example/release-2.4")
    bob.types("Morning! Who looks after the release notes this time?")
    carla.types("I do. The draft is at https://wiki.example/notes-2.4, please read it.")
    ci.types("/me has built 2.4-rc1 in 3 min 12 s: 1,204 tests passed")
    bob.types("That was quick.", "One thing is open: the old client sends its name twice.")
    carla.types("We have had that before, in March. Search for 'twice' :-)")
    ci.types("/join builds", "2.4-rc1 is on staging", "/join lobby")
    dmytro = Person(port, "Дмитро")
    dmytro.types("Привіт! I am on nc today, no browser on this box.")
    return [bob, carla, ci, dmytro]


def enter(browser: Browser, port: int, name: str, **window: object) -> Page:
    page = browser.new_context(locale="en-GB", **window).new_page()  # type: ignore[arg-type]
    page.goto(f"http://127.0.0.1:{port}/")
    page.fill("#name", name)
    page.keyboard.press("Enter")
    expect(page.locator("#write")).to_be_enabled()
    return page


def says(page: Page, text: str) -> None:
    page.fill("#write", text)
    page.keyboard.press("Enter")
    expect(page.locator(".waiting")).to_have_count(0)


def shoot(page: Page, name: str) -> None:
    path = DOCS / f"page-{name}.png"
    page.wait_for_timeout(300)  # until it is painted
    page.screenshot(path=path)
    if path.stat().st_size > MOST:
        sys.exit(f"{path.name} has more than {MOST} bytes")
    print(f"wrote {path.relative_to(DOCS.parent)}")


def pictures(browser: Browser, port: int) -> None:
    bob, carla, ci, *_ = talk(port)
    ada = enter(browser, port, "Ada", **DESK)
    says(
        ada, "I have the old client here. This is what it says:\n    name: Ada\n    name: Ada\n    error: named already"
    )
    says(ada, "/join builds")
    expect(ada.locator("h1")).to_have_text("builds")
    bob.types("That is the one, thank you!")
    carla.types("Ada: can you try it against 2.4-rc1?", "/msg Ada lunch at one?")
    ada.get_by_role("button", name=re.compile("^lobby")).click()
    ci.types("/join builds", "2.4-rc1: the load test has passed", "/join lobby")
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
    eve = enter(browser, port, "Eve", **PHONE)
    says(eve, "I can take the load test's numbers into the notes.")
    shoot(eve, "phone")


def main() -> None:
    chromium = shutil.which("chromium")
    if not chromium:
        sys.exit("chromium is missing: apt install chromium")
    command = [sys.executable, "-m", "hubbub", "serve", "--listen", "127.0.0.1:0", "--ephemeral"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        listening = re.search(r"running on 127\.0\.0\.1:(\d+)", server.stdout.readline())
        assert listening
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            pictures(browser, int(listening[1]))
            browser.close()
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
