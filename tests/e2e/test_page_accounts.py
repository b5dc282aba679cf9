"""Accounts on the page: registering, staying logged in, a second tab, passwords and codes, and ending sessions."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from browser import Enter, go_in, said, say
from playwright.sync_api import Page, expect
from test_page import AXE, check_rules

from scene import Server

SECRET = "open sesame"
KEPT = "JSON.stringify([{...sessionStorage}, {...localStorage}])"
PICTURES = os.environ.get("PICTURES")  # a folder for pictures of what is tried, to look at


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, sniffs=True, patient=True, data=None)


def look(page: Page, name: str) -> None:
    """Check the rules of accessibility in both colours, and that nothing is wider than the window."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.evaluate("() => new Promise(requestAnimationFrame)")
        check_rules(page, f"{name}, {scheme}")
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{name}-{scheme}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def own(page: Page) -> None:
    """Open the dialogue of the account; on a phone, in the list of rooms."""
    rooms = page.get_by_role("button", name="Rooms")
    if rooms.is_visible():
        rooms.click()
    page.locator("button.own").first.click()
    expect(page.locator("dialog")).to_be_visible()


def register(page: Page) -> None:
    own(page)
    page.keyboard.type(SECRET)  # the field has the focus
    page.keyboard.press("Enter")
    expect(page.locator("dialog h1")).to_have_text(re.compile("^Your account"))


@pytest.mark.parametrize("options", [{}, {"viewport": {"width": 360, "height": 640}}], ids=["desk", "phone"])
def test_a_name_is_registered_and_stays_logged_in(server: Server, enter: Enter, options: dict[str, object]) -> None:
    phone = "phone" if options else "desk"
    bo = server.join("Bo")
    page = enter(server, "Ada", **options)
    page.evaluate(AXE.read_text("utf-8"))
    own(page)
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    expect(page.locator("dialog [role=alert]")).to_contain_text("at least 8 characters")
    look(page, f"register-{phone}")
    page.fill("dialog #secret", SECRET)
    page.keyboard.press("Enter")
    expect(page.locator("dialog li i")).to_have_count(2)  # this browser, and this session
    look(page, f"account-{phone}")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    bo.skips_to(b"*** Ada has joined the chat ***")
    page.reload()
    expect(page.locator("#write")).to_be_enabled()
    page.evaluate("sessionStorage.clear()")
    second = page.context.new_page()
    second.goto(page.url)
    expect(second.locator("#write")).to_be_enabled()
    expect(second.locator(".me")).to_have_text("You are Ada")
    say(second, "from the second tab")
    expect(said(page).last).to_contain_text("from the second tab")
    say(page, "from the first")
    expect(said(second).last).to_contain_text("from the first")
    bo.sees(b"\nAda: from the second tab\nAda: from the first\n")
    say(second, "/join ops")
    expect(second.locator("main h1")).to_have_text("ops")
    expect(page.locator("nav").get_by_role("button", name="ops")).to_be_visible(visible=not options)
    expect(page.locator("main h1")).to_have_text("lobby")
    assert page.evaluate("document.cookie") == ""


def test_the_door_asks_for_the_password_of_a_registered_name(server: Server, enter: Enter, door: Enter) -> None:
    ada = enter(server, "Ada")
    register(ada)
    ada.keyboard.press("Escape")
    say(ada, "/link")
    line = ada.locator("li.notice").last.text_content() or ""
    found = re.search(r"[A-Z]{4}-[A-Z]{4}", line)
    assert found
    page = door(server, viewport={"width": 360, "height": 640})
    page.evaluate(AXE.read_text("utf-8"))
    page.fill("#name", "ada")
    page.keyboard.press("Enter")
    expect(page.locator("#secret")).to_be_focused()
    expect(page.locator("#why")).to_contain_text("is registered")
    look(page, "door")
    for secret in ("wrong guess", found[0]):
        page.fill("#secret", secret)
        page.keyboard.press("Enter")
        if secret != found[0]:
            expect(page.locator("#why")).to_contain_text("not the password")
            look(page, "wrong")
    expect(page.locator("#write")).to_be_enabled()
    expect(page.locator(".me")).to_have_text("You are Ada")
    page.reload()
    expect(page.locator("#write")).to_be_enabled()


def test_another_browser_is_logged_out(server: Server, enter: Enter, door: Enter) -> None:
    ada = enter(server, "Ada")
    register(ada)
    ada.keyboard.press("Escape")
    other = door(server)
    other.fill("#name", "Ada")
    other.keyboard.press("Enter")
    other.fill("#secret", SECRET)
    other.keyboard.press("Enter")
    expect(other.locator("#write")).to_be_enabled()
    own(ada)
    ada.locator("dialog ul").first.get_by_role("button").click()
    expect(other.locator("#secret")).to_be_visible()
    expect(ada.locator("dialog [role=status]").first).to_contain_text("has been logged out")
    ada.get_by_role("button", name="Log out here").click()
    expect(ada.locator("#name")).to_be_visible()
    ada.reload()
    expect(ada.locator("#name")).to_be_visible()
    go_in(ada, "Grace")


def test_a_typed_password_is_neither_shown_nor_kept(server: Server, enter: Enter) -> None:
    page = enter(server, "Ada")
    say(page, f"/register {SECRET}")
    expect(page.locator(".own").first).to_have_text("Your account")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#write")).to_have_value("")
    page.reload()
    expect(page.locator("#write")).to_be_enabled()
    expect(page.locator(".own").first).to_have_text("Your account")
    for command in (
        "/login Ada",
        " /LOGIN Ada",
        "/password",
        "/oper Ada",
        "/tell NickServ IDENTIFY",
        "/ns set password",
    ):
        page.fill("#write", f"{command} {SECRET}")
        page.evaluate("dispatchEvent(new Event('pagehide'))")
        assert SECRET not in page.evaluate(KEPT) + page.content(), command


def test_a_password_is_said_to_nobody(server: Server, enter: Enter) -> None:
    bo = server.join("Bo")
    page = enter(server, "Ada")
    bo.sees(b"*** Ada has joined the chat ***\n")
    notices = page.locator("li.notice")
    for line, answer in (
        (" /password", "You are not logged in"),
        ("/msg NickServ IDENTIFY", "Nobody here is called NickServ"),
        ("/ns IDENTIFY", "There is no command /ns"),
        ("/login Ada\n", "a command with a password is a single line"),
    ):
        page.fill("#write", f"{line} {SECRET}")
        page.keyboard.press("Enter")
        expect(notices.last).to_contain_text(answer)
        page.fill("#write", "")
        page.evaluate("dispatchEvent(new Event('pagehide'))")
        assert SECRET not in page.evaluate(KEPT) + page.content(), line
    bo.sees_nothing()


def test_a_newcomer_registers_at_the_door(serve: Callable[..., Server], door: Enter) -> None:
    server = serve("--guests", "no")
    page = door(server, viewport={"width": 360, "height": 640})
    page.evaluate(AXE.read_text("utf-8"))
    page.fill("#name", "Ada")
    page.keyboard.press("Enter")
    expect(page.locator("#why")).to_contain_text("Only people with an account")
    page.get_by_role("button", name="Register this name").click()
    expect(page.locator("#secret")).to_be_focused()
    look(page, "newcomer")
    page.keyboard.type(SECRET)
    page.keyboard.press("Enter")
    expect(page.locator("#write")).to_be_enabled()
    expect(page.locator(".me")).to_have_text("You are Ada")


def test_what_was_missed_is_counted(server: Server, enter: Enter) -> None:
    page = enter(server, "Ada")
    register(page)
    page.keyboard.press("Escape")
    page.goto("about:blank")
    bo = server.join("Bo")
    bo.say("one", "two")
    bo.barrier()
    page.goto(f"http://127.0.0.1:{server.port}/")
    expect(page.locator("li.unread")).to_have_text(re.compile(r"^2 new since \d\d?:\d\d"))
    expect(said(page)).to_have_count(2)


def test_a_phone_opens_the_page_with_the_code_filled_in(server: Server, enter: Enter, door: Enter) -> None:
    page = enter(server, "Ada")
    page.evaluate(AXE.read_text("utf-8"))
    register(page)
    page.get_by_role("button", name="Add a device").click()
    code = page.locator("dialog [role=status] b").inner_text()
    expect(page.locator("dialog svg.qr path")).to_have_count(1)
    look(page, "device")
    phone = door(server, path=f"/#link={code.replace('-', '')}")
    expect(phone.locator("#secret")).to_have_value(code)
    assert "link" not in phone.url
    phone.get_by_role("button", name="Log in").click()
    expect(phone.locator(".me")).to_have_text("You are Ada")


def test_a_token_is_made_shown_once_and_ended(server: Server, enter: Enter) -> None:
    page = enter(server, "Ada")
    page.evaluate(AXE.read_text("utf-8"))
    register(page)
    page.get_by_text("Tokens for programs").click()
    page.fill("#token-name", "deploys")
    page.fill("#token-rooms", "#ops, tea")
    page.get_by_role("button", name="Make a token").click()
    expect(page.locator("dialog code.token")).to_have_text(re.compile("^hub_"))
    expect(page.locator("#token-name")).to_have_value("")
    expect(page.locator("#token-days")).to_have_value("365")
    expect(page.locator("dialog details li span")).to_have_text(re.compile("^deploys, read and say in ops, tea, since"))
    look(page, "tokens")
    page.get_by_role("button", name="End: deploys").click()
    expect(page.locator("dialog details li")).to_have_count(0)
    expect(page.locator("dialog code.token")).to_have_count(0)


def test_mentions_are_counted_marked_and_listed(server: Server, enter: Enter) -> None:
    bo = server.join("Bo")
    page = enter(server, "Ada")
    register(page)
    page.keyboard.press("Escape")
    say(page, "/notify deploy")
    expect(page.locator("li.notice").last).to_contain_text("deploy")
    bo.say("deploy now")
    expect(page.locator("li.said.mention")).to_have_count(1)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    bo.say("the deploy is done")
    expect(page).to_have_title("(1) hubbub")
    page.keyboard.press("Control+k")
    page.get_by_role("button", name="Mentions").click()
    expect(page.locator(".search li")).to_have_count(2)
    page.evaluate(AXE.read_text("utf-8"))
    look(page, "mentions")
    page.locator(".search li button").first.click()
    expect(page.locator("h1")).to_have_text("lobby")
    expect(page).to_have_title("hubbub")


def test_mentions_that_came_while_the_page_was_closed_are_counted_until_they_are_read(
    serve: Callable[..., Server], enter: Enter
) -> None:
    server = serve("--no-limits")
    page = enter(server)
    register(page)
    page.keyboard.press("Escape")
    context = page.context
    page.close()
    bob = server.join("Bob")
    bob.say("/join ops", "@Ada tea?", "@Ada or ale?")
    bob.barrier()
    page, other = context.new_page(), context.new_page()
    for tab in (page, other):
        tab.goto(f"http://127.0.0.1:{server.port}/")
        expect(tab).to_have_title(re.compile(r"^\(2\) "))
    page.evaluate(AXE.read_text("utf-8"))
    look(page, "mentions beside the rooms")
    page.locator(".calls").click()
    expect(page.locator(".search li")).to_have_count(2)
    expect(page).not_to_have_title(re.compile(r"\("))
    expect(other).not_to_have_title(re.compile(r"\("))
    expect(other.locator(".calls")).to_have_count(0)
    bob.say("@Ada neither")
    bob.barrier()
    page.reload()
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    page.locator(".rooms input").fill("ops")
    page.keyboard.press("Enter")
    expect(page.locator("li.said").last).to_contain_text("neither")
    expect(page).not_to_have_title(re.compile(r"\("))


def test_logout_in_one_tab_leaves_nothing_in_another(server: Server, enter: Enter) -> None:
    page = enter(server, "Ada")
    register(page)
    page.keyboard.press("Escape")
    second = page.context.new_page()
    second.goto(page.url)
    say(second, "a secret")
    expect(said(second)).to_have_count(1)
    expect(said(page)).to_have_count(1)
    own(page)
    page.get_by_role("button", name="Log out here").click()
    expect(page.locator("#name")).to_be_visible()
    expect(second.locator("#name")).to_be_visible()
    second.wait_for_function("() => !sessionStorage.length")
    second.wait_for_function(
        """() => new Promise(done => {
            const opening = indexedDB.open("hubbub /");
            opening.onupgradeneeded = () => opening.result.createObjectStore("kept"); // before a tab has done it
            opening.onsuccess = ({ target }) => {
                const request = target.result.transaction("kept").objectStore("kept").count();
                request.onsuccess = () => { target.result.close(); done(request.result === 0); };
            };
        })"""
    )


def test_logout_that_does_not_reach_the_server_is_told(server: Server, enter: Enter) -> None:
    page = enter(server, "Ada")
    register(page)
    page.route("**/api/logout", lambda route: route.abort())
    page.get_by_role("button", name="Log out here").click()
    expect(page.get_by_role("alert")).to_contain_text("You are still logged in here")
