"""The page as people read it: groups of messages, what they chose to see, and what they can do without a slash."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from browser import Enter, said, say
from playwright.sync_api import Page, expect

from scene import Server


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, sniffs=True, data=None)


def choose(page: Page, choice: str) -> None:
    """Tick a choice of how the page looks."""
    page.get_by_role("button", name="Display").click()
    page.get_by_role("dialog").get_by_label(choice).check()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def names_seen(page: Page) -> list[bool]:
    """Return of each message whether its speaker's name is on the screen."""
    seen: list[bool] = said(page).locator("b").evaluate_all("names => names.map(name => name.offsetWidth > 1)")
    return seen


# --- reading --------------------------------------------------------------------------------------------------


def test_messages_of_one_speaker_are_a_group_and_compact_by_choice(server: Server, enter: Enter) -> None:
    bob, cy = server.join_all("Bob", "Cy")
    page = enter(server)
    bob.say("one", "two")
    expect(said(page)).to_have_count(2)
    cy.say("three")
    expect(said(page)).to_have_count(3)
    bob.say("four", "/me nods", "five")
    expect(said(page)).to_have_count(6)
    say(page, "six")
    expect(page.locator("li.mine")).to_contain_text("Ada: six")
    assert names_seen(page) == [True, False, True, True, True, True, True]
    assert page.locator("li.said .face").first.get_attribute("data-initials") == "B"
    choose(page, "Compact")
    assert names_seen(page) == [True] * 7
    assert not page.locator("li.said .face").first.is_visible()
    page.reload()
    expect(page.locator(".compact li.said")).to_have_count(7)


def test_who_comes_and_goes_is_not_shown_if_the_reader_says_so(server: Server, enter: Enter) -> None:
    page = enter(server)
    bob = server.join("Bob")
    expect(page.locator("li.event").last).to_contain_text("Ada and Bob joined")
    choose(page, "who joins and leaves")
    expect(page.locator("li.event")).to_have_count(0)
    bob.say("still here")
    expect(said(page)).to_have_count(1)
