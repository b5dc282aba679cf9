"""Private conversations on the page: they follow the person, never the name. Nothing reaches a stranger."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial

import pytest
from browser import Cable, Enter, badge, said, say
from playwright.sync_api import Page, expect

from scene import Client, Server


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, sniffs=True, patient=True, data=None)


def talks(page: Page) -> list[str]:
    return page.locator("nav.rooms ul").nth(1).locator("button > span").all_inner_texts()


def begin(server: Server, page: Page, text: str = "hi") -> Client:
    """Let the page have a conversation with Bob, who is at a terminal."""
    bob = server.join("Bob")
    expect(page.locator(".people")).to_contain_text("Bob")
    say(page, f"/msg Bob {text}")
    expect(said(page)).to_have_text(re.compile(f"Ada: {text}$"))
    bob.skips_to(f"Ada (private): {text}\n".encode())
    return bob


def heard_nothing(client: Client) -> None:
    assert b"private" not in client.barrier()


def test_conversation_is_renamed_with_its_user(server: Server, enter: Enter) -> None:
    page = enter(server)
    bob = begin(server, page)
    bob.say("/nick Robert")
    expect(page.locator("h1")).to_have_text("@Robert")
    stranger = server.join("Bob")
    say(page, "still you?")
    bob.skips_to(b"Ada (private): still you?\n")
    bob.say("/msg Ada yes")
    expect(said(page)).to_have_count(3)
    assert talks(page) == ["@Robert"]
    heard_nothing(stranger)


@pytest.mark.parametrize("way", ["leaves", "is renamed, in no room that both are in"])
def test_nothing_is_sent_to_somebody_who_has_taken_the_name(server: Server, enter: Enter, way: str) -> None:
    page = enter(server)
    bob = begin(server, page)
    if way == "leaves":
        bob.say("/quit")
        bob.rest()
    else:
        bob.say("/join ops", "/leave lobby", "/nick Robert")
        bob.barrier()
    expect(page.locator(".doubt")).to_contain_text("Bob has left.")
    stranger = server.join("Bob")
    expect(page.locator(".doubt")).to_contain_text("The Bob who is here now may be somebody else.")
    say(page, "a secret")
    waiting = page.locator(".waiting")
    expect(waiting).to_contain_text("Not sent: ")
    heard_nothing(stranger)
    waiting.get_by_role("button", name="Send again to the Bob who is here now").click()
    stranger.skips_to(b"Ada (private): a secret\n")
    expect(waiting).to_have_count(0)
    expect(page.locator(".doubt")).to_have_count(0)
    expect(page.locator("li.event")).to_have_text(re.compile("From here on this is with the Bob who is here now$"))


def test_server_refuses_what_the_page_cannot_know(server: Server, enter: Enter) -> None:
    """They share no room, so the page is not told that the name has changed hands."""
    page = enter(server)
    bob = begin(server, page)
    say(page, "/join den")
    expect(page.locator("h1")).to_have_text("den")
    say(page, "/leave lobby")
    expect(page.locator("nav.rooms ul").first.locator("li")).to_have_count(1)
    bob.say("/nick Robert")
    bob.barrier()
    stranger = server.join("Bob")
    page.get_by_role("button", name=re.compile("^@Bob")).click()
    say(page, "a secret")
    expect(page.locator(".waiting")).to_contain_text("Not sent: the Bob who is here now may be somebody else.")
    expect(page.locator(".doubt")).to_contain_text("Nothing is sent until you say so.")
    heard_nothing(stranger)
    bob.say("/msg Ada it is me")
    expect(page.locator("h1")).to_have_text("@Robert")
    expect(said(page).last).to_contain_text("Robert: it is me")
    assert talks(page) == ["@Robert"]
    say(page, "good")
    bob.skips_to(b"Ada (private): good\n")


@pytest.mark.parametrize("stays", [True, False], ids=["renamed", "gone"])
def test_name_may_change_hands_while_the_page_is_away(server: Server, enter: Enter, stays: bool) -> None:
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    bob = begin(server, page)
    cable.cut()
    bob.skips_to(b"*** Ada has left the chat ***\n")
    say(page, "typed meanwhile")
    if stays:
        bob.say("/nick Robert")
        bob.barrier()
    else:
        bob.say("/quit")
        bob.rest()
    stranger = server.join("Bob")
    cable.mend()
    if stays:
        expect(page.locator("h1")).to_have_text("@Robert")
        expect(page.locator(".waiting")).to_have_count(0)
        bob.skips_to(b"Ada (private): typed meanwhile\n")
        heard_nothing(stranger)
    else:
        expect(page.locator(".waiting")).to_contain_text("Not sent: ")
        expect(page.locator(".doubt")).to_contain_text("may be somebody else")
        heard_nothing(stranger)


def test_stranger_who_writes_first_has_a_conversation_of_his_own(server: Server, enter: Enter) -> None:
    page = enter(server)
    bob = begin(server, page)
    bob.say("/join ops", "/leave lobby", "/nick Robert")
    bob.barrier()
    stranger = server.join("Bob")
    stranger.say("/msg Ada hello")
    expect(badge(page, "@Bob")).to_contain_text("1 unread")
    assert talks(page) == ["@Bob (earlier)", "@Bob"]
    expect(page.locator(".doubt")).to_contain_text("This conversation was with an earlier Bob.")
    say(page, "a secret")
    expect(page.locator(".waiting")).to_contain_text("Not sent")
    heard_nothing(stranger)
    page.get_by_role("button", name="Write to the Bob who is here now", exact=True).click()
    expect(page.locator("h1")).to_have_text("@Bob")
    expect(said(page)).to_have_count(1)
    bob.say("/msg Ada I am Robert now")
    expect(badge(page, "@Robert")).to_contain_text("1 unread")


def test_name_that_is_clicked_means_who_is_in_the_room(server: Server, enter: Enter) -> None:
    page = enter(server)
    bob = begin(server, page)
    bob.say("/quit")
    bob.rest()
    server.join("Bob")
    expect(page.locator(".doubt")).to_contain_text("may be somebody else")
    page.get_by_role("button", name=re.compile("^lobby")).click()
    page.get_by_role("complementary").get_by_role("button", name="Bob", exact=True).click()
    expect(page.locator("h1")).to_have_text("@Bob")
    expect(page.locator(".doubt")).to_have_count(0)
    expect(said(page)).to_have_count(0)
    assert talks(page) == ["@Bob (earlier)", "@Bob"]


def test_commands_in_a_conversation_do_nothing_in_a_room(server: Server, enter: Enter) -> None:
    page = enter(server)
    bob = begin(server, page)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    bob.say("/join ops")
    bob.barrier()
    page.get_by_role("button", name=re.compile("^@Bob")).click()
    errors = page.locator("li.notice.error")
    for number, command in enumerate(("/kick Bob", "/me thinks aloud", "/topic mine", "/leave", "/history"), 1):
        say(page, command)
        expect(errors).to_have_count(number)
        expect(errors.last).to_contain_text("This is not a room.")
        expect(errors.last).to_be_in_viewport()
    bob.sees_nothing()


def test_conversation_says_that_it_is_not_stored(server: Server, enter: Enter) -> None:
    page = enter(server)
    begin(server, page)
    expect(page.locator(".start")).to_have_text(
        "This is the start of your private conversation with Bob. It isn't stored."
    )


def test_what_another_session_of_the_user_sends_is_in_the_conversation_and_calls_nobody(
    server: Server, enter: Enter
) -> None:
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    bob = begin(server, page)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    route, _ = cable.routes[-1]
    route.send(json.dumps({"type": "private", "nick": "Ada", "text": "from my phone", "to": "Bob"}))
    bob.say("/msg Ada thanks")
    expect(badge(page, "@Bob")).to_contain_text("1 unread, 1 for you")
    page.locator(".rooms button").filter(has=page.get_by_text("@Bob", exact=True)).click()
    expect(said(page).last).to_contain_text("Bob: thanks")
    expect(said(page).nth(-2)).to_contain_text("Ada: from my phone")
    assert talks(page) == ["@Bob"]
