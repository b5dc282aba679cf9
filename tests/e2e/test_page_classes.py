"""A class on the page: hands, turns, questions, polls and codes; by mouse, keys and touch."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from browser import PHONE, Enter, badge, say
from playwright.sync_api import Locator, Page, expect
from test_page import AXE, check_rules

from scene import Server


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, "--no-limits", sniffs=True, patient=True, data=None)


def by_mouse(_: Page, button: Locator) -> None:
    button.click()


def by_keys(page: Page, button: Locator) -> None:
    button.focus()
    page.keyboard.press("Enter")


def by_touch(_: Page, button: Locator) -> None:
    button.tap()


def in_class(enter: Enter, server: Server, name: str, **options: Any) -> Page:
    """Go to the room of the class, and open what a class needs."""
    page = enter(server, name, bypass_csp=True, prepare=lambda page: page.add_init_script(path=AXE), **options)
    say(page, "/join class")
    expect(page.locator("h1")).to_have_text("class")
    page.locator("header").get_by_role("button", name="Class").click()
    expect(kit(page)).to_be_visible()
    return page


def kit(page: Page) -> Locator:
    return page.get_by_role("region", name="Class")


@pytest.mark.parametrize(
    ("press", "options"),
    [(by_mouse, {}), (by_keys, {"color_scheme": "dark"}), (by_touch, PHONE)],
    ids=["mouse", "keys", "touch"],
)
def test_hands_questions_and_a_poll(
    server: Server, enter: Enter, press: Callable[[Page, Locator], None], options: dict[str, Any]
) -> None:
    tess = in_class(enter, server, "Tess", **options)
    ann = in_class(enter, server, "Ann", **options)
    expect(kit(ann).get_by_role("button", name="Lock the room")).to_have_count(0)

    def acts(page: Page, name: str) -> None:
        press(page, kit(page).get_by_role("button", name=name, exact=True))

    acts(tess, "Speak only in turn")
    expect(kit(tess).get_by_role("button", name="Speak only in turn")).to_have_attribute("aria-pressed", "true")
    acts(ann, "Raise your hand")
    expect(kit(ann)).to_contain_text("Your hand is up; you are next.")
    expect(tess.locator("header .count")).to_have_text(re.compile("1"))
    expect(kit(tess)).to_contain_text("Hands (1)")
    acts(ann, "Ask a question")
    ann.fill("#ask", "when is tea?")
    acts(ann, "Ask")
    expect(kit(tess)).to_contain_text("Ann: when is tea?")
    check_rules(tess, "hands and questions of an operator")
    check_rules(ann, "the own hand and question")
    acts(tess, "Let through: the question of Ann")
    expect(ann.locator("li.said", has_text="when is tea?")).to_be_visible()
    acts(tess, "Let Ann speak")
    expect(tess.locator("li.event", has_text="Tess lets Ann speak")).to_be_visible()
    say(ann, "it is late")
    expect(tess.locator("li.said", has_text="it is late")).to_be_visible()

    acts(tess, "Make a poll")
    tess.fill("#question", "tea?")
    tess.fill("#answer-0", "yes")
    tess.fill("#answer-1", "no | cake")
    check_rules(tess, "the form of a poll")
    acts(tess, "Ask the room")
    poll = ann.locator(".log").get_by_role("group", name="Poll: tea?")
    yes, no = (
        poll.get_by_role("button", name=re.compile("^yes")),
        poll.get_by_role("button", name=re.compile("^no . cake")),
    )
    press(ann, no)
    expect(no).to_have_attribute("aria-pressed", "true")
    press(ann, yes)
    expect(yes).to_have_text("yes 1 vote")
    expect(no).to_have_text("no / cake 0 votes")
    expect(kit(tess).get_by_role("button", name="yes 1 vote")).to_have_attribute("aria-pressed", "false")
    check_rules(ann, "a poll")
    ann.reload()
    expect(ann.locator(".log").get_by_role("button", name="yes 1 vote")).to_have_attribute("aria-pressed", "true")
    expect(kit(ann)).to_be_visible()
    nat = server.join("Nat")
    nat.say("/join class", "/vote 1")
    expect(poll.locator(".total")).to_contain_text("2 votes, 1 by guests who can vote again under another name.")
    expect(poll.get_by_role("button", name="End the poll")).to_have_count(0)
    press(tess, kit(tess).get_by_role("button", name="End the poll"))
    expect(ann.locator("li.event", has_text="has ended a poll")).to_contain_text(
        "tea? yes 2, no / cake 0 (1 vote by guests"
    )
    expect(ann.locator(".log .poll")).to_contain_text("The poll has ended.")
    expect(ann.locator(".log .poll button")).to_have_count(0)
    check_rules(ann, "a poll that has ended")


def test_vote_is_taken_back_by_the_button_that_gave_it(server: Server, enter: Enter) -> None:
    tess = in_class(enter, server, "Tess")
    say(tess, "/poll tea? | yes | no")
    yes = kit(tess).get_by_role("button", name=re.compile("^yes"))
    yes.click()
    expect(yes).to_have_text("yes 1 vote")
    expect(yes).to_have_attribute("aria-pressed", "true")
    yes.click()
    expect(yes).to_have_text("yes 0 votes")
    expect(yes).to_have_attribute("aria-pressed", "false")


def test_poll_counts_as_unread_and_is_read_back(server: Server, enter: Enter) -> None:
    tess, ann = in_class(enter, server, "Tess"), enter(server, "Ann")
    for line, room in (("/join class", "class"), ("/join lobby", "lobby")):
        say(ann, line)
        expect(ann.locator("h1")).to_have_text(room)
    say(tess, "/poll tea? | yes | no")
    expect(badge(ann, "class")).to_have_text(re.compile("^1"))
    kit(tess).get_by_role("button", name=re.compile("^yes")).click()
    expect(kit(tess)).to_contain_text("yes 1 vote")
    say(tess, "/poll close")
    expect(tess.locator("li.event", has_text="has ended a poll")).to_be_visible()
    say(ann, "/join class")
    expect(ann.locator(".log .poll")).to_contain_text("The poll has ended.")
    told = "Tess asks: tea? 1) yes 2) no [yes 1, no 0] (closed)"
    say(ann, "/history")
    expect(ann.get_by_text(told)).to_be_visible()
    ann.get_by_role("button", name="Search").first.click()
    ann.fill("#words", "tea")
    ann.keyboard.press("Enter")
    expect(ann.locator(".search li")).to_contain_text(told)


def test_code_is_made_shown_used_and_ended(server: Server, enter: Enter) -> None:
    tess = in_class(enter, server, "Tess")
    say(tess, "/set invite-only on")
    tess.locator("header").get_by_role("button", name="Share").click()
    dialogue = tess.locator("dialog[open]")
    tess.get_by_label("Number of people").fill("2")
    dialogue.get_by_role("button", name="Make a code").click()
    shown = dialogue.locator(".code")
    expect(shown).to_have_text(re.compile("^[B-Z]{4}-[B-Z]{4}$"))
    code = shown.text_content() or ""
    expect(tess.get_by_label("The address of this room with the code")).to_have_value(
        re.compile(f"#class\\?key={code}$")
    )
    expect(dialogue.get_by_role("img", name="QR code of the address")).to_be_visible()
    check_rules(tess, "codes")
    ann = enter(server, "Ann")
    ann.fill("#room", code.lower())
    ann.keyboard.press("Enter")
    expect(ann.locator("h1")).to_have_text("class")
    ann.locator("header").get_by_role("button", name="Share").click()
    expect(ann.get_by_role("button", name="Make a code")).to_have_count(0)
    bo = enter(server, "Bo")
    bo.evaluate(f"location.hash = '#class?key={code}'")
    expect(bo.locator("h1")).to_have_text("class")
    dialogue.get_by_role("button", name=f"End the code {code}").click()
    expect(shown).to_have_count(0)
    cy = enter(server, "Cy")
    cy.fill("#room", code)
    cy.keyboard.press("Enter")
    expect(cy.locator("#why-not")).to_contain_text("That code is wrong, used or too old.")
