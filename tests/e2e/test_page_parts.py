"""The page is small until more of it is wanted: parts of it come when they are opened, or after the first message."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
from browser import Enter, go_in, paste, said, say
from playwright.sync_api import Response, Route, expect

from scene import Server

NEWCOMER = 120_000  # bytes that the page may take until the first message is sent


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, sniffs=True, patient=True, data=None)


def test_newcomer_fetches_little_before_the_first_message(server: Server, door: Enter) -> None:
    fetched: list[Response] = []
    page = go_in(door(server, lambda page: page.on("response", lambda response: fetched.append(response))), "Ada")
    expect(page.locator(".people")).to_contain_text("Ada (you)")
    before = list(fetched)
    assert any(response.url.endswith("/page/log.js") for response in before)
    assert not any(response.url.endswith("/page/own.js") for response in before)
    assert sum(len(response.body()) for response in before) <= NEWCOMER
    with page.expect_response(re.compile("/page/choose.js$")):
        say(page, "hello")
    expect(said(page)).to_have_count(1)


def test_part_that_does_not_arrive_is_said_and_fetched_again(server: Server, enter: Enter) -> None:
    page = enter(server)
    parts = re.compile("/page/(manage.js|dialogues.css)")
    page.route(parts, lambda route: route.abort())
    for _ in range(2):
        page.get_by_role("button", name="Display").click()
        expect(page.locator(".flash")).to_contain_text("This part of the page did not arrive.")
        page.get_by_role("button", name="Close this").click()
        expect(page.locator(".flash")).to_have_count(0)
    page.unroute(parts)
    page.get_by_role("button", name="Display").click()
    expect(page.locator("dialog[open]")).to_have_css("border-top-left-radius", "12px")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Display")).to_be_focused()


def test_copying_says_if_its_part_does_not_arrive(server: Server, enter: Enter) -> None:
    page = enter(server)
    page.route(re.compile("/page/choose.js"), lambda route: route.abort())
    paste(page, "if tea:\n    drink()")
    said(page).hover()
    said(page).get_by_role("button", name="Copy these lines").click()
    expect(page.locator(".flash")).to_contain_text("This part of the page did not arrive.")


def test_parts_are_there_when_the_connection_is_lost_after_a_message(server: Server, enter: Enter) -> None:
    page = enter(server)
    say(page, "hello")
    expect(said(page)).to_have_count(1)
    page.wait_for_function(
        """names => {
            const came = performance.getEntriesByType("resource").map((entry) => entry.name.split("/").at(-1));
            return names.every((name) => came.includes(name));
        }""",
        arg=["dialogues.css", "dialogue.js", "search.js", "times.js", "choose.js"],
    )
    page.context.set_offline(True)
    page.route(re.compile("/page/"), lambda route: route.abort())
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#words")).to_be_focused()
    page.keyboard.press("Escape")
    said(page).hover()
    said(page).get_by_role("button", name="What to do with this message").click()
    expect(page.get_by_role("button", name="Copy text")).to_be_visible()
    page.keyboard.press("Escape")
    expect(said(page)).to_be_focused()


def test_what_is_typed_while_a_conversation_opens_is_not_said_in_the_room(server: Server, enter: Enter) -> None:
    bob, page = server.join("Bob"), enter(server)
    held: list[Route] = []
    page.route(re.compile("/page/talks.js"), lambda route: held.append(route))
    page.get_by_role("button", name="Bob", exact=True).click()
    expect(page.locator("#write")).to_be_disabled()
    page.keyboard.type("just for you")
    page.keyboard.press("Enter")
    held[0].abort()
    expect(page.locator(".flash")).to_contain_text("This part of the page did not arrive.")
    expect(page.locator("h1")).to_have_text("lobby")
    expect(page.locator("#write")).to_be_enabled()
    assert b"just for you" not in bob.barrier()
