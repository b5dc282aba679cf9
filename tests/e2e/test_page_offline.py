"""The page without its server: the last messages can be read, and what is typed is sent later, once."""

from __future__ import annotations

import re
from collections.abc import Callable

from browser import Enter, said, say
from playwright.sync_api import Page, expect
from test_page import AXE, check_rules
from test_page_accounts import register

from scene import Server

# Resolves once the browser has stored all texts, or none of them.
KEPT = """async ([texts, wanted]) => {
    const result = request => new Promise(done => { request.onsuccess = () => done(request.result); });
    for (;;) {
        const database = await result(indexedDB.open("hubbub /"));
        const kept = JSON.stringify(await result(database.transaction("kept").objectStore("kept").getAll()));
        database.close();
        if (texts.every(text => kept.includes(text) === wanted)) return;
        await new Promise(done => setTimeout(done, 100));
    }
}"""


def wait_until_kept(page: Page, *texts: str) -> None:
    """Wait until the browser has stored texts, and the files of the page."""
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.evaluate(KEPT, [texts, True])


def test_last_messages_are_read_without_the_server_and_what_is_typed_is_sent_once_when_it_is_back(
    serve: Callable[..., Server], enter: Enter
) -> None:
    server = serve("--no-limits", sniffs=True)
    page = enter(server, service_workers="allow")
    page.on("dialog", lambda dialog: dialog.accept())  # about what waits to be sent
    bob = server.join("Bob")
    bob.say(*(f"number {number}" for number in range(60)))
    say(page, "the last one")
    expect(said(page).last).to_contain_text("the last one")
    wait_until_kept(page, "number 59", "the last one")
    port = server.port
    server.kill()
    page.reload()
    expect(page.locator(".banner")).to_contain_text("The server does not answer.")
    expect(said(page).last).to_contain_text("the last one")
    expect(said(page).first).to_contain_text("number 0")
    say(page, "typed meanwhile")
    expect(page.locator(".waiting")).to_contain_text("will be sent when the connection is back")
    page.evaluate(AXE.read_text("utf-8"))
    check_rules(page, "the page without its server")
    page.reload()
    expect(page.locator(".waiting")).to_contain_text("typed meanwhile")
    page.close()
    page = enter_again(page, server)
    expect(said(page).last).to_contain_text("the last one")
    expect(page.locator(".waiting")).to_contain_text("typed meanwhile")
    server = serve("--no-limits", sniffs=True, port=port)
    expect(page.locator(".banner")).to_have_count(0)
    expect(page.locator(".waiting")).to_have_count(0)
    expect(said(page).filter(has_text="typed meanwhile")).to_have_count(1)
    assert server.join("Cy").barrier().count(b"Ada: typed meanwhile\n") == 1


def enter_again(page: Page, server: Server) -> Page:
    """Open the page in a new tab of the same browser, after the last one was closed."""
    other = page.context.new_page()
    other.goto(f"http://127.0.0.1:{server.port}/")
    return other


def test_nothing_is_kept_after_a_logout(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits", sniffs=True)
    page = enter(server, service_workers="allow")
    register(page)
    page.keyboard.press("Escape")
    say(page, "a secret")
    wait_until_kept(page, "a secret")
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("button", name="Log out here").click()
    expect(page.locator("#name")).to_be_visible()
    page.evaluate(KEPT, [["a secret"], False])
    server.kill()
    page.reload()
    expect(page.locator("#name")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_text(re.compile("^$"))
