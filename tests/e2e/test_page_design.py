"""The page as people read it: groups of messages, what they chose to see, and what they can do without a slash."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
from browser import PHONE, Enter, go_in, said, say
from playwright.sync_api import Page, expect
from test_page import AXE, check_rules

from scene import Server


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, sniffs=True, patient=True, data=None)


def open_axe(page: Page) -> None:
    page.add_init_script(path=AXE)


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


# --- addresses ------------------------------------------------------------------------------------------------


def test_room_has_an_address_that_is_shared_with_its_key(server: Server, enter: Enter, door: Enter) -> None:
    page = enter(server)
    say(page, "/join class-8b")
    expect(page.locator("h1")).to_have_text("class-8b")
    say(page, "/set key tea time")
    expect(page.locator("li.notice.error").last).to_be_attached()
    page.get_by_role("button", name="About this room").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Settings", exact=True).click()
    dialog.get_by_label("A key that people must know to join").fill("tea")
    dialog.get_by_role("button", name="Save the settings").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Share").click()
    address = page.get_by_label("The address of this room")
    expect(address).to_have_value(f"http://127.0.0.1:{server.port}/#class-8b")
    page.get_by_role("dialog").get_by_label("With the room's key").check()
    expect(address).to_have_value(f"http://127.0.0.1:{server.port}/#class-8b?key=tea")
    expect(page.get_by_role("img", name="QR code of the address")).to_be_visible()
    other = go_in(door(server, path="/#class-8b?key=tea"), "Bob")
    expect(other.locator("h1")).to_have_text("class-8b")
    other.wait_for_function("() => location.hash === '#class-8b'")


def test_back_and_forward_lead_through_the_rooms(server: Server, enter: Enter) -> None:
    page = enter(server)
    for room in ("ops", "dev"):
        say(page, f"/join {room}")
        expect(page.locator("h1")).to_have_text(room)
    for step, room in (("go_back", "ops"), ("go_back", "lobby"), ("go_forward", "ops"), ("go_forward", "dev")):
        getattr(page, step)()
        expect(page.locator("h1")).to_have_text(room)
        expect(page.locator("#write")).to_have_attribute("placeholder", f"Message to {room}")


# --- the door -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"color_scheme": "dark"}, PHONE], ids=["dark", "phone"])
def test_door_says_what_this_is_and_who_is_here(
    serve: Callable[..., Server], door: Enter, options: dict[str, object]
) -> None:
    server = serve("--network", "Riverside", "--description", "Lessons and clubs.", "--motd", "Be kind.")
    server.join_all("Al", "Bo", "Cy", "Di", "Ed")
    page = door(server, open_axe, bypass_csp=True, **options)
    expect(page.locator("h1")).to_have_text("Riverside")
    for text in (
        "Lessons and clubs.",
        "Be kind.",
        "5 people are here: Al, Bo, Cy and 2 more.",
        "kept only while the server runs",
    ):
        expect(page.locator("form")).to_contain_text(text)
    expect(page).to_have_title("Riverside")
    page.fill("#name", "Ada")
    page.get_by_role("button", name="Log in with a password or a code").click()
    check_rules(page, "the login")
    expect(page.locator("#name")).to_have_value("Ada")
    page.get_by_role("button", name="Come as a guest").click()
    page.get_by_role("button", name="Join the chat").click()
    expect(page.locator("#write")).to_be_enabled()


# --- without a slash ------------------------------------------------------------------------------------------


def test_answers_can_be_closed_and_commands_are_offered(server: Server, enter: Enter) -> None:
    page = enter(server)
    say(page, "/who")
    say(page, "/nosuch")
    expect(page.locator("li.notice")).to_have_count(2)
    page.get_by_role("button", name="Close this answer").first.click()
    expect(page.locator("li.notice")).to_have_count(1)
    expect(page.locator("li.notice.error")).to_contain_text("There is no command /nosuch")
    page.fill("#write", "/ro")
    expect(page.locator(".offers li")).to_have_text("/rooms  List the rooms.")
    page.keyboard.press("Tab")
    expect(page.locator("#write")).to_have_value("/rooms ")
    expect(page.locator(".offers")).to_have_count(0)
    page.fill("#write", "")
    page.locator(".log").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Ctrl+K")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("options", [{}, {**PHONE, "color_scheme": "dark"}], ids=["desk", "phone"])
def test_room_is_managed_by_a_form_and_by_who_may(
    server: Server, door: Enter, enter: Enter, options: dict[str, object]
) -> None:
    page = go_in(door(server, open_axe, bypass_csp=True, **options), "Ada")
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    bob = enter(server, "Bob")
    say(bob, "/join ops")
    page.get_by_role("button", name="About this room").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Topic", exact=True).fill("All of it")
    dialog.get_by_role("button", name="Change").click()
    expect(bob.locator(".topic")).to_have_text("All of it")
    dialog.get_by_text("Settings", exact=True).click()
    check_rules(page, "the settings")
    dialog.get_by_label("Only chosen people can speak").check()
    say(bob, "aye")
    expect(said(page)).to_have_count(1)
    dialog.get_by_text("Members (2)").click()
    expect(dialog.locator(".names li")).to_have_text(["@Ada", "Bob"])
    dialog.get_by_label("Names from").fill("B")
    expect(dialog.locator(".names li")).to_have_text(["Bob"])
    dialog.get_by_text("Notifications", exact=True).click()
    dialog.get_by_label("No messages").check()
    dialog.get_by_text("Transcript", exact=True).click()
    check_rules(page, "members, notifications and the transcript")
    dialog.get_by_label("All messages of the room as a file").select_option("text")
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "ops.txt" and "Bob: aye" in download.value.path().read_text("utf-8")
    dialog.get_by_label("Slow mode").fill("5")
    dialog.get_by_role("button", name="Save the settings").click()
    expect(bob.locator("li.event").last).to_contain_text("slow mode on: a message every 5 s")
    bob.get_by_role("button", name="About this room").click()
    expect(bob.get_by_role("dialog")).to_contain_text("All of it")
    expect(bob.locator(".people li")).to_have_text([re.compile("@Ada"), re.compile("Bob")])
    for name in ("Settings", "Rename", "Transcript"):
        expect(bob.get_by_role("dialog").get_by_text(name, exact=True)).to_have_count(0)
    bob.get_by_role("button", name="Leave the room").click()
    expect(bob.locator("h1")).to_have_text("lobby")


def test_name_in_the_log_has_a_menu_that_hides_the_person(server: Server, enter: Enter) -> None:
    page, bob = enter(server), enter(server, "Bob")
    say(page, "hello")
    expect(said(bob)).to_have_count(1)
    say(bob, "nonsense")
    expect(said(page)).to_have_count(2)
    said(page).last.locator("b").click()
    page.get_by_role("dialog").get_by_role("button", name="Ignore").click()
    expect(said(page)).to_have_text([re.compile("hello")])
    said(bob).first.press("Enter")
    bob.get_by_role("button", name="About Ada").click()
    bob.get_by_role("dialog").get_by_role("button", name="Write privately").click()
    expect(bob.locator("h1")).to_have_text("@Ada")
    said(page).first.locator("b").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_people_are_moderated_from_their_names(
    server: Server, door: Enter, enter: Enter, options: dict[str, object]
) -> None:
    page = go_in(door(server, open_axe, bypass_csp=True, **options), "Ada")
    say(page, "/join ops")
    bob = enter(server, "Bob")
    say(bob, "/join ops")
    expect(bob.locator("h1")).to_have_text("ops")
    if options:
        page.locator("header").get_by_role("button", name="People").tap()
    page.get_by_role("button", name="What to do with Bob").click()
    dialog = page.get_by_role("dialog")
    check_rules(page, "the menu of a name")
    dialog.get_by_role("button", name="Make operator").click()
    expect(bob.locator(".people")).to_contain_text("@Ada")
    bob.get_by_role("button", name="What to do with Ada").click()
    expect(bob.get_by_role("dialog").get_by_role("button")).to_have_count(7)
    page.get_by_role("button", name="What to do with Bob").click()
    dialog.get_by_role("button", name="Take operator rights back").click()
    expect(bob.get_by_role("dialog").get_by_role("button")).to_have_text(["Write privately", "Ignore", "Close"])
    bob.keyboard.press("Escape")
    page.get_by_role("button", name="What to do with Bob").click()
    dialog.get_by_role("button", name="Mute…").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This would mute anyone called Bob")
    check_rules(page, "the preview")
    dialog.get_by_role("button", name="Yes, do it").click()
    expect(bob.locator("li.event").last).to_contain_text("has muted Bob")
    page.get_by_role("button", name="What to do with Bob").click()
    dialog.get_by_role("button", name="Remove from the room").click()
    expect(bob.locator("h1")).to_have_text("lobby")
