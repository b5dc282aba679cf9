"""The page without its server: the last messages can be read, and what is typed is sent later, once."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from browser import Enter, go_in, retimed, said, say
from playwright.sync_api import Page, expect
from test_page import AXE, check_rules
from test_page_accounts import register

import hubbub
from scene import Server, wait_until


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire."""
    return partial(serve, "--no-limits", sniffs=True, patient=True)


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
    server = serve()
    page = enter(server, service_workers="allow")
    page.on("dialog", lambda dialog: dialog.accept())  # about what waits to be sent
    bob = server.join("Bob")
    bob.say(*(f"number {number}" for number in range(60)))
    bob.barrier()
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
    wait_until_kept(page, "typed meanwhile")
    page.close()
    page = enter_again(page, server)
    expect(said(page).last).to_contain_text("the last one")
    expect(page.locator(".waiting")).to_contain_text("typed meanwhile")
    server = serve(port=port)
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
    server = serve()
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


def test_two_tabs_that_begin_at_once_without_the_server_send_what_waits_once(
    serve: Callable[..., Server], enter: Enter
) -> None:
    server = serve()
    page = enter(server, service_workers="allow")
    page.on("dialog", lambda dialog: dialog.accept())  # about what waits to be sent
    say(page, "a first one")
    expect(said(page)).to_have_count(1)
    wait_until_kept(page, "a first one")
    port = server.port
    page.evaluate(retimed(3000, 600_000))  # what is typed without the server is stored at once, and not by a timer
    server.kill()
    expect(page.locator(".banner")).to_contain_text("The server does not answer.")
    say(page, "typed meanwhile")
    wait_until_kept(page, "typed meanwhile")
    page.context.add_init_script("delete globalThis.BroadcastChannel")  # none of them hears the other one in time
    tabs = [page.context.new_page() for _ in range(2)]
    page.close()
    for tab in tabs:
        tab.goto(f"http://127.0.0.1:{port}/")
    wait_until(lambda: any(tab.locator(".waiting").is_visible() for tab in tabs))
    first, second = sorted(tabs, key=lambda tab: tab.locator(".waiting").is_visible(), reverse=True)
    expect(first.locator(".waiting")).to_contain_text("typed meanwhile")
    expect(second.locator("#name")).to_be_visible()
    server = serve(port=port)
    expect(first.locator(".waiting")).to_have_count(0)
    expect(said(first).last).to_contain_text("typed meanwhile")
    assert server.join("Cy").barrier().count(b"Ada: typed meanwhile\n") == 1


def test_what_waits_is_stored_though_there_is_no_space_for_messages(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve()
    full = """const put = IDBObjectStore.prototype.put;
        IDBObjectStore.prototype.put = function (value, key) {
            const request = put.call(this, value, key);
            if (key.startsWith("room ")) this.transaction.abort(); // as when the quota is used up
            return request;
        };"""
    page = enter(server, service_workers="allow", prepare=lambda page: page.add_init_script(full))
    page.on("dialog", lambda dialog: dialog.accept())
    say(page, "a first one")
    expect(said(page)).to_have_count(1)
    page.fill("#write", "a draft")
    wait_until_kept(page, "a draft")
    page.evaluate(KEPT, [["a first one"], False])


def test_page_works_and_opens_without_the_server_where_nothing_may_be_stored(
    serve: Callable[..., Server], enter: Enter
) -> None:
    server = serve()
    forbidden = """const forbid = () => { throw new DOMException("", "SecurityError"); };
        IDBFactory.prototype.open = forbid;
        for (const name of ["getItem", "setItem", "removeItem"]) Storage.prototype[name] = forbid;"""
    page = enter(server, service_workers="allow", prepare=lambda page: page.add_init_script(forbidden))
    say(page, "a first one")
    expect(said(page)).to_have_count(1)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    server.kill()
    page.reload()
    expect(page.locator("#name")).to_be_visible()


def test_page_starts_where_its_files_cannot_be_kept(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve()
    page = enter(server, service_workers="allow")
    say(page, "hello")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    (worker,) = page.context.service_workers or [page.context.wait_for_event("serviceworker")]
    for act in ("caches.open", "Cache.prototype.put"):
        worker.evaluate(f"() => {{ {act} = () => Promise.reject(new DOMException('', 'QuotaExceededError')); }}")
        page.reload()
        expect(page.locator("h1")).to_have_text("lobby")


def newer_version(folder: Path) -> dict[str, str]:
    """Make a copy of hubbub whose page has a new module and two changed ones; return the variables to run it."""
    shutil.copytree(Path(hubbub.__file__).parent, folder / "hubbub", ignore=shutil.ignore_patterns("__pycache__"))
    page = folder / "hubbub" / "page"
    (page / "newer.js").write_text('document.documentElement.dataset.version = "newer";')
    for name, code in (("app.js", 'import "./newer.js";'), ("polls.js", "export const newer = true;")):
        file = page / name
        file.write_text(f"{file.read_text('utf-8')}\n{code}\n", "utf-8")
    return {"PYTHONPATH": str(folder)}


def test_new_version_comes_at_once_under_the_worker_of_the_old_one_and_is_kept_whole(
    serve: Callable[..., Server], enter: Enter, tmp_path: Path
) -> None:
    variables = newer_version(tmp_path / "newer")
    server = serve("--no-limits", sniffs=True)
    page = enter(server, service_workers="allow")
    say(page, "a first one")
    expect(said(page)).to_have_count(1)
    wait_until_kept(page, "a first one")
    page.reload()
    assert page.evaluate("Boolean(navigator.serviceWorker.controller)")
    newer = page.locator("html[data-version=newer]")
    expect(newer).to_have_count(0)
    port = server.port
    server.kill()
    server = serve("--no-limits", sniffs=True, port=port, variables=variables, before=lambda: None)
    page.reload()
    expect(newer).to_have_count(1)
    say(page, "and another one")
    expect(said(page).last).to_contain_text("and another one")
    wait_until_kept(page, "and another one")
    # The reader has not opened what this one is for; the page fetches it all the same (lazy.js).
    page.wait_for_function(
        """async () => {
            const answer = await caches.match(new URL("page/polls.js", location.href));
            return (await answer.text()).includes("newer");
        }"""
    )
    server.kill()
    page.reload()
    expect(newer).to_have_count(1)
    expect(said(page).last).to_contain_text("and another one")


def test_new_certificate_is_looked_at_where_the_page_is_not_kept(serve: Callable[..., Server], door: Enter) -> None:
    server = serve("--tls", "self-signed")
    # A browser keeps no page that comes with a certificate that it does not trust.
    kept = "Object.defineProperty(Navigator.prototype, 'serviceWorker', { value: { controller: {} } })"
    page = door(server, ignore_https_errors=True, prepare=lambda page: page.add_init_script(kept))
    page.goto(f"https://127.0.0.1:{server.port}/")
    go_in(page, "Ada")
    with page.expect_response(re.compile("/page/refusal.js$")):
        say(page, "a first one")
    expect(said(page)).to_have_count(1)
    server.kill()
    expect(page.locator(".banner")).to_contain_text(
        f"If it has a new certificate, open https://127.0.0.1:{server.port}/api/v1/rooms"
    )
