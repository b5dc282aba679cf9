"""Private conversations between accounts on the page: history, older messages, search, deletion, what was missed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial

import pytest
from browser import Cable, Enter, badge, said, say
from playwright.sync_api import Page, expect
from test_page import AXE
from test_page_accounts import SECRET, look, register

from scene import Client, Server

PHONE = {"viewport": {"width": 360, "height": 640}}
LONG = 150  # messages of a conversation that needs several pages


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, "--no-limits", sniffs=True, patient=True, data=None)


def owner(server: Server, name: str) -> Client:
    """Return the terminal of somebody who has registered."""
    peer = server.join(name)
    peer.say(f"/register {SECRET}")
    peer.skips_to(f"*** You are logged in as {name} ***\n".encode())
    return peer


def ada(server: Server, enter: Enter, **options: object) -> Page:
    page = enter(server, "Ada", **options)
    register(page)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    return page


def open_talk(page: Page, name: str) -> None:
    page.locator(".rooms button").filter(has=page.get_by_text(name, exact=True)).click()
    expect(page.locator("h1")).to_have_text(name)


def test_a_stored_conversation_is_shown_with_times_and_days_and_again_after_a_reload(
    server: Server, enter: Enter
) -> None:
    page = ada(server, enter)
    bob = owner(server, "Bob")
    say(page, "/msg Bob hello")
    bob.skips_to(b"Ada (private): hello\n")
    bob.say("/msg Ada hi", "/msg Ada bye")
    expect(said(page)).to_have_text([re.compile("Ada: hello"), re.compile("Bob: hi$"), re.compile("Bob: bye$")])
    expect(page.locator(".start")).to_have_text("This is the start of your private conversation with Bob.")
    expect(page.locator("li.day")).to_have_count(1)
    page.reload()
    second = page.context.new_page()
    second.goto(page.url)
    second.locator(".people button").filter(has=second.get_by_text("Bob", exact=True)).click()
    for tab in (page, second):
        expect(tab.locator("h1")).to_have_text("@Bob")
        expect(said(tab)).to_have_count(3)
        expect(said(tab).first.locator("time")).to_have_text(re.compile(r"\d:\d\d"))
        expect(tab.locator("li.day")).to_have_count(1)
        expect(tab.locator(".start")).to_have_text("This is the start of your private conversation with Bob.")
    say(second, "still one")
    bob.skips_to(b"Ada (private): still one\n")
    for tab in (page, second):
        expect(said(tab)).to_have_count(4)


def test_older_messages_come_when_one_scrolls_up_and_are_found_by_a_search(server: Server, enter: Enter) -> None:
    page = ada(server, enter)
    bob = owner(server, "Bob")
    for start in range(0, LONG, 50):
        bob.say(*(f"/msg Ada number {number} {'tea' if number == 3 else 'ale'}" for number in range(start, start + 50)))
        bob.barrier()
    expect(badge(page, "@Bob")).to_contain_text(f"{LONG} unread")
    open_talk(page, "@Bob")
    expect(said(page)).to_have_count(LONG)
    page.get_by_role("button", name=re.compile("^Jump to the newest")).click()
    expect(page.locator("button.newest")).to_have_count(0)
    page.locator(".rooms button").first.click()
    page.reload()
    open_talk(page, "@Bob")
    expect(said(page).last).to_contain_text(f"number {LONG - 1} ale")
    expect(said(page).last).to_be_in_viewport()
    assert said(page).count() < LONG
    page.keyboard.press("Control+k")
    expect(page.locator("#words")).to_have_attribute("placeholder", "Words to look for, with Bob")
    page.keyboard.type("tea")
    page.keyboard.press("Enter")
    page.locator(".search li button").click()
    expect(said(page).filter(has_text="number 3 tea")).to_be_in_viewport()
    expect(page.locator(".start")).to_have_count(1)
    expect(said(page)).to_have_count(LONG)
    assert len(set(said(page).all_inner_texts())) == LONG
    page.get_by_role("button", name=re.compile("^Jump to the newest")).click()
    expect(said(page).last).to_be_in_viewport()


def test_scrolling_up_fetches_the_messages_before(server: Server, enter: Enter) -> None:
    page = ada(server, enter)
    bob = owner(server, "Bob")
    bob.say(*(f"/msg Ada number {number}" for number in range(LONG)))
    bob.barrier()
    expect(badge(page, "@Bob")).to_contain_text(f"{LONG} unread")
    open_talk(page, "@Bob")
    page.get_by_role("button", name=re.compile("^Jump to the newest")).click()
    expect(page.locator("button.newest")).to_have_count(0)
    page.reload()
    expect(said(page).last).to_contain_text(f"number {LONG - 1}")
    while not page.locator(".start").count():
        had = said(page).count()
        page.locator(".log").evaluate("log => { log.scrollTop = 400; log.scrollTop = 0; }")
        page.wait_for_function(
            "had => document.querySelectorAll('li.said').length > had || document.querySelector('.start')", arg=had
        )
    expect(said(page)).to_have_count(LONG)


def test_conversation_opens_at_its_first_unread_message_also_after_a_reload(server: Server, enter: Enter) -> None:
    page = ada(server, enter)
    bob = owner(server, "Bob")
    bob.say("/msg Ada this was read")
    open_talk(page, "@Bob")
    expect(said(page)).to_have_count(1)
    page.locator(".rooms button").first.click()
    bob.say(*(f"/msg Ada number {number}" for number in range(LONG)))
    bob.barrier()
    expect(badge(page, "@Bob")).to_contain_text(f"{LONG} unread")
    page.reload()
    open_talk(page, "@Bob")
    expect(page.locator("li.unread + li.said")).to_contain_text("number 0")
    expect(page.locator("li.unread + li.said")).to_be_in_viewport()


def test_messages_are_deleted_on_both_screens(server: Server, enter: Enter) -> None:
    page = ada(server, enter)
    bob = owner(server, "Bob")
    say(page, "/msg Bob typo")
    bob.say("/msg Ada oops")
    expect(said(page)).to_have_count(2)
    mine = said(page).filter(has_text="typo")
    menu = page.locator("dialog.acts > button")
    offers = ["Reply", "Copy text", "About Bob…"], ["Reply", "Correct", "Copy text", "Delete…"]
    for message, offered in zip((said(page).filter(has_text="oops"), mine), offers, strict=True):
        message.hover()
        message.get_by_role("button", name="What to do with this message").click()
        expect(menu).to_have_text(offered)
        page.keyboard.press("Escape")
        expect(menu).to_have_count(0)
    mine.get_by_role("button", name="What to do with this message").click()
    menu.last.click()
    page.get_by_role("button", name="Delete for everybody").click()
    bob.skips_to(b"*** Ada has deleted a private message ***\n")
    expect(mine).to_have_count(0)
    expect(page.locator("li.event")).to_have_text(re.compile("Ada has deleted a message$"))
    bob.say("/delete @Ada")
    expect(said(page)).to_have_count(0)
    expect(page.locator("li.event")).to_have_count(2)
    say(page, "again")
    bob.skips_to(b"Ada (private): again\n")
    say(page, "/delete")
    bob.skips_to(b"*** Ada has deleted a private message ***\n")
    expect(said(page)).to_have_count(0)
    page.reload()
    expect(page.locator("li.event")).to_have_count(3)
    expect(said(page)).to_have_count(0)


def test_messages_are_answered_corrected_and_reacted_to_on_both_screens(server: Server, enter: Enter) -> None:
    page, bob = ada(server, enter), owner(server, "Bob")
    say(page, "/msg Bob tea at four")
    expect(said(page)).to_have_count(1)
    bob.skips_to(b"Ada (private): tea at four\n")
    bob.say("/+ 👍 @Ada", "/msg Ada good")
    expect(page.locator(".reactions button")).to_have_text(re.compile("👍 1"))
    said(page).last.hover()
    said(page).last.get_by_role("button", name="Reply").click()
    say(page, "fine then")
    expect(said(page).last.locator(".quote")).to_have_text(re.compile("Bob good"))
    page.locator("#write").press("ArrowUp")
    say(page, "fine, then")
    expect(said(page).last).to_have_text(re.compile("fine, then edited$"))
    bob.skips_to(b"fine, then")
    said(page).nth(1).hover()
    said(page).nth(1).get_by_role("button", name="What to do with this message").click()
    page.get_by_role("button", name="Heart").click()
    expect(page.locator(".reactions button")).to_have_count(2)
    page.reload()
    expect(page.locator(".reactions button")).to_have_count(2)
    expect(said(page).last).to_have_text(re.compile("Bob good.*fine, then edited$", re.DOTALL))


def test_what_came_while_the_page_was_away_is_shown_once(server: Server, enter: Enter) -> None:
    cable = Cable()
    page = ada(server, enter, prepare=cable.lay)
    bob = owner(server, "Bob")
    say(page, "/msg Bob one")
    expect(said(page)).to_have_count(1)
    bob.skips_to(b"Ada (private): one\n")
    cable.cut()
    bob.say("/msg Ada two", "/msg Ada three")
    bob.barrier()
    say(page, "typed meanwhile")
    cable.mend()
    expect(said(page)).to_have_text([re.compile(f": {text}") for text in ("one", "two", "three", "typed meanwhile")])
    bob.skips_to(b"Ada (private): typed meanwhile\n")
    page.locator(".rooms button").filter(has_text="lobby").click()
    route, _ = cable.routes[-1]
    route.send(json.dumps({"type": "missed", "room": "", "count": 2, "since": 1_800_000_000}))
    expect(page.locator("li.notice").last).to_contain_text("2 private messages since ")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_a_conversation_obeys_the_rules(server: Server, enter: Enter, options: dict[str, object]) -> None:
    page = ada(server, enter, **options)
    page.evaluate(AXE.read_text("utf-8"))
    bob = owner(server, "Bob")
    say(page, "/msg Bob hello, is the tea ready?")
    bob.say("/msg Ada almost", f"/msg Ada {'a long answer ' * 20}")
    expect(said(page)).to_have_count(3)
    look(page, f"conversation-{'phone' if options else 'desk'}")
