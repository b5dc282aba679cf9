"""The page that is left and comes back: reloaded, in a second tab, with another log, behind a proxy, refused."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from browser import Cable, Enter, badge, go_in, retimed, said, say
from playwright.sync_api import Page, Route, expect

from scene import Client, Server
from tcp_servers import TcpServer, passed_on


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire."""
    return partial(serve, sniffs=True, patient=True)


# --- reloaded -------------------------------------------------------------------------------------------------


def rooms(page: Page) -> list[str]:
    return page.locator("nav.rooms ul").first.locator("button > span").all_inner_texts()


def test_reload_keeps_name_rooms_conversations_and_drafts(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    for command in ("/join ops", "/join dev"):
        say(page, command)
        expect(page.locator("h1")).to_have_text(command[6:])
    bob.say("/msg Ada psst")
    expect(badge(page, "@Bob")).to_contain_text("1 unread")
    page.get_by_role("button", name=re.compile("^@Bob")).click()
    say(page, "yes?")
    bob.skips_to(b"Ada (private): yes?\n")
    expect(said(page)).to_have_count(2)
    page.fill("#write", "a draft\nfor Bob")
    page.get_by_role("button", name="ops", exact=True).click()
    page.fill("#write", "a draft for ops")
    page.reload()
    expect(page.locator("#write")).to_have_value("a draft for ops")
    expect(page.locator("h1")).to_have_text("ops")
    expect(page.locator(".me")).to_have_text("You are Ada")
    expect(page.locator(".banner")).to_have_count(0)
    assert rooms(page) == ["lobby", "ops", "dev"]
    page.get_by_role("button", name=re.compile("^@Bob")).click()
    expect(page.locator(".text")).to_have_text(["psst", "yes?"])
    expect(page.locator("#write")).to_have_value("a draft\nfor Bob")
    bob.say("while you are here")
    expect(badge(page, "lobby")).to_contain_text("1 unread")
    page.get_by_role("button", name=re.compile("^lobby")).click()
    expect(said(page).last).to_be_in_viewport()
    expect(said(page).last).to_contain_text("while you are here")
    say(page, "here I am")
    bob.skips_to(b"Ada: here I am\n")


def in_tea(server: Server, enter: Enter, **options: Any) -> tuple[Client, Page]:
    """Return Bob at nc, and the page of Ada, in a room that Bob has opened."""
    bob = server.join("Bob")
    bob.say("/join tea")
    bob.skips_to(b"*** You are in tea ***\n")
    page = enter(server, **options)
    say(page, "/join tea")
    expect(page.locator("h1")).to_have_text("tea")
    return bob, page


def test_room_is_renamed_while_one_writes_elsewhere(server: Server, enter: Enter) -> None:
    bob, page = in_tea(server, enter)
    page.fill("#write", "a draft for tea")
    page.get_by_role("button", name="lobby", exact=True).click()
    page.locator("#write").press_sequentially("for the ")
    bob.say("/rename coffee")
    expect(page.locator("nav.rooms ul").first).to_contain_text("coffee")
    page.locator("#write").press_sequentially("lobby")
    expect(page.locator("#write")).to_have_value("for the lobby")
    expect(page.locator("h1")).to_have_text("lobby")
    assert rooms(page) == ["lobby", "coffee"]
    page.get_by_role("button", name=re.compile("^coffee")).click()
    expect(page.locator("#write")).to_have_value("a draft for tea")
    bob.say("/rename cocoa")
    expect(page.locator("h1")).to_have_text("cocoa")
    expect(page.locator("#write")).to_have_value("a draft for tea")
    expect(page).to_have_url(re.compile("#cocoa$"))
    expect(page.locator(".log")).to_contain_text("Bob has renamed the room: it is cocoa now")
    page.keyboard.press("Enter")
    bob.skips_to(b"Ada: a draft for tea\n")


@pytest.mark.parametrize("lasts", [True, False], ids=["the session goes on", "the session has ended"])
def test_what_waits_follows_a_room_that_was_renamed_meanwhile(server: Server, enter: Enter, lasts: bool) -> None:
    cable = Cable()
    bob, page = in_tea(server, enter, prepare=cable.lay)
    if lasts:
        cable.whole = False
        for route, _ in cable.routes:  # the server learns nothing of it
            route.close()
        expect(page.locator(".banner")).to_be_visible()
    else:
        cable.cut()
        bob.skips_to(b"*** Ada has left tea ***\n")
    say(page, "for those in tea")
    page.fill("#write", "a draft for tea")
    bob.say("/rename coffee", "/join tea")
    bob.skips_to(b"*** You are in tea ***\n")
    cable.mend()
    expect(page.locator("h1")).to_have_text("coffee")
    expect(page.locator("#write")).to_have_value("a draft for tea")
    expect(said(page)).to_have_count(1)
    bob.skips_to(b"[coffee] Ada: for those in tea\n")
    assert rooms(page) == ["lobby", "coffee"]


def test_what_waits_is_not_said_in_another_room_that_has_the_name_now(server: Server, enter: Enter) -> None:
    cable = Cable()
    bob, page = in_tea(server, enter, prepare=cable.lay)
    cable.cut()
    bob.skips_to(b"*** Ada has left tea ***\n")
    say(page, "for those in tea")
    bob.say("/rename coffee", "/leave", "/join tea", "hello")
    bob.skips_to(b"*** You are in tea ***\n")
    cable.mend()
    expect(page.locator(".log")).to_contain_text("Not sent: another room has this name now.")
    expect(said(page)).to_have_text(re.compile("hello"))


def test_reload_keeps_the_place_where_one_reads(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    bob.say(*(f"message {number}" for number in range(300)))
    bob.barrier()
    page = enter(server)
    expect(said(page).last).to_contain_text("message 299")
    page.reload()
    expect(said(page).last).to_contain_text("message 299")
    expect(said(page).last).to_be_in_viewport()
    page.locator(".log").evaluate("log => { log.scrollTop = 300; }")
    expect(page.locator(".newest")).to_be_visible()
    page.wait_for_function("() => document.querySelectorAll('li.said').length > 100")
    page.locator(".log").evaluate("log => { log.scrollTop = log.scrollHeight / 2; }")
    first = """() => {
        const log = document.querySelector(".log"), top = log.getBoundingClientRect().top;
        const isSeen = (line) => line.getBoundingClientRect().bottom > top + 1;
        return [...log.querySelectorAll("li.said")].find(isSeen).dataset.seq;
    }"""
    place = page.evaluate(first)
    bob.say("unseen")
    expect(page.locator(".newest")).to_contain_text("1 unread")
    page.reload()
    expect(page.locator(f"[data-seq='{place}']")).to_be_in_viewport()
    page.wait_for_function(f"() => Math.abs(({first})() - {place}) <= 1")
    expect(page.locator(".newest")).to_contain_text("1 unread")


def test_reload_while_nobody_answers_loses_nothing(server: Server, enter: Enter) -> None:
    """What was not sent before is sent then, once."""
    bob = server.join("Bob")
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    cable.cut()
    say(page, "typed in the dark")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.locator(".waiting")).to_contain_text("typed in the dark")
    cable.mend()
    expect(page.locator(".waiting")).to_have_count(0)
    expect(said(page)).to_have_count(1)
    bob.skips_to(b"Ada: typed in the dark\n")
    bob.sees_nothing()


def test_message_among_those_that_were_left_out_is_in_doubt(server: Server, enter: Enter) -> None:
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    cable.withheld = {"stored", "entries"}
    say(page, "perhaps")
    expect(page.locator(".waiting")).to_contain_text("perhaps")
    cable.routes[-1][0].send('{"type":"skipped","room":"lobby","count":9}')
    expect(page.locator(".waiting")).to_contain_text("It is not known whether this was sent")


def test_door_is_shown_after_quitting_and_a_reload(server: Server, enter: Enter) -> None:
    page = enter(server)
    say(page, "/quit")
    expect(page.locator("#name")).to_be_visible()
    page.reload()
    expect(page.locator("#name")).to_have_value("Ada")


def test_address_names_a_room(server: Server, door: Enter) -> None:
    page = go_in(door(server, path="/#Class-8b"), "Ada")
    expect(page.locator("h1")).to_have_text("class-8b")
    expect(page.locator("li.notice")).to_contain_text("You are an operator of class-8b.")
    page.get_by_role("button", name="lobby").click()
    expect(page.locator("h1")).to_have_text("lobby")
    page.wait_for_function("() => location.hash === ''")
    page.evaluate("location.hash = '#ops'")
    expect(page.locator("h1")).to_have_text("ops")
    page.reload()
    expect(page.locator("h1")).to_have_text("ops")
    assert rooms(page) == ["lobby", "class-8b", "ops"]


def test_key_that_was_changed_meanwhile_is_asked_for(serve: Callable[..., Server], enter: Enter) -> None:
    server, cable = serve("--no-limits"), Cable()
    bob = server.join("Bob")
    bob.say("/join ops", "/set key tea")
    bob.skips_to(b"key")
    page = enter(server, prepare=cable.lay)
    say(page, "/join ops tea")
    expect(page.locator("h1")).to_have_text("ops")
    cable.cut()
    server.kill()
    server = serve("--no-limits", port=server.port)
    bob = server.join("Bob")
    bob.say("/join ops tea", "/set key cake", "/time")
    bob.skips_to(b" UTC ***")
    cable.mend()
    expect(page.get_by_role("alert")).to_have_text("That is not the key of ops.")
    page.get_by_label("The key of ops").fill("cake")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("ops")


def test_link_to_a_room_is_followed_at_the_door(server: Server, door: Enter) -> None:
    page = door(server)
    page.evaluate("location.hash = '#ops'")
    go_in(page, "Ada")
    expect(page.locator("h1")).to_have_text("ops")


# --- in a second tab ------------------------------------------------------------------------------------------

PATIENT = retimed(300, 3000)  # another tab has longer to answer, as on a busy machine it may need


def test_second_tab_takes_another_name_and_the_same_rooms(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    second = page.context.new_page()
    second.add_init_script(PATIENT)
    second.goto(page.url)
    expect(second.get_by_text("You are here as Ada in another tab.")).to_be_visible()
    expect(second.locator("#name")).to_have_value("Ada2")
    second.fill("#name", "Ada")
    second.keyboard.press("Enter")
    expect(second.get_by_role("alert")).to_contain_text("The name Ada is taken.")
    expect(second.locator("#name")).to_have_value("Ada")
    go_in(second, "Ida")
    expect(second.locator("h1")).to_have_text("ops")
    assert rooms(second) == ["lobby", "ops"]
    expect(page.locator(".people")).to_contain_text("Ida")
    bob.say("to both")
    for tab in (page, second):
        tab.get_by_role("button", name=re.compile("^lobby")).click()
        expect(said(tab).last).to_contain_text("to both")
        expect(tab.locator(".banner")).to_have_count(0)


def test_copy_of_a_tab_does_not_take_its_session(server: Server, enter: Enter) -> None:
    """A browser copies what a tab has stored into the copy."""
    page = enter(server)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    page.wait_for_function("() => Object.values({ ...sessionStorage }).some((state) => state.includes('ops'))")
    stored = page.evaluate("() => ({ ...sessionStorage })")
    copy = page.context.new_page()
    copy.add_init_script(PATIENT)
    copy.add_init_script(
        f"if (!sessionStorage.length) for (const pair of Object.entries({stored!r})) sessionStorage.setItem(...pair);"
    )
    copy.goto(page.url)
    expect(copy.get_by_text("You are here as Ada in another tab.")).to_be_visible()
    go_in(copy, "Ada2")
    assert rooms(copy) == ["lobby", "ops"]
    say(page, "still me")
    expect(said(copy)).to_contain_text("Ada: still me")


# --- another log ----------------------------------------------------------------------------------------------


def restarted(serve: Callable[..., Server], server: Server, data: Path | None) -> Server:
    port = server.port
    server.kill()
    return serve(data=data, port=port)


@pytest.mark.parametrize("kind", ["ephemeral", "other data"])
def test_log_that_began_again_is_shown(serve: Callable[..., Server], enter: Enter, tmp_path: Path, kind: str) -> None:
    """Its numbers are those of other entries, which the page must not take for known."""
    datas = (None, None) if kind == "ephemeral" else (tmp_path / "one", tmp_path / "two")
    server = serve(data=datas[0])
    page = enter(server)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    say(page, "only in ops")
    expect(said(page)).to_have_count(1)
    page.get_by_role("button", name="lobby").click()
    for number in range(12):
        say(page, f"old {number}")
    expect(said(page)).to_have_count(12)
    server = restarted(serve, server, datas[1])
    say(page, "typed meanwhile")
    bob = server.join("Bob")
    bob.say(*(f"new {number}" for number in range(5)), "Ada: and you?")
    expect(page.locator(".banner")).to_have_count(0)
    expect(page.locator(".waiting")).to_have_count(0)
    expect(page.locator("li.began")).to_contain_text("The server's log has started again here.")
    new = page.locator("li.began ~ li.said .text")
    expect(new.filter(has_text="and you?")).to_have_count(1)
    expect(new.filter(has_text="typed meanwhile")).to_have_count(1)
    texts = new.all_inner_texts()
    wanted = [*(f"new {number}" for number in range(5)), "Ada: and you?"]
    assert [text for text in texts if text != "typed meanwhile"] == wanted
    assert texts.count("typed meanwhile") == 1
    assert page.locator("li.old .text").all_inner_texts() == [f"old {number}" for number in range(12)]
    say(page, "seen")
    expect(said(page).last).to_contain_text("seen")
    bob.skips_to(b"Ada: seen\n")
    page.get_by_role("button", name=re.compile("^ops")).click()
    expect(page.locator("li.old .text")).to_have_text(["only in ops"])
    say(page, "in ops again")
    expect(said(page).last).to_contain_text("in ops again")
    expect(page.locator(".waiting")).to_have_count(0)


def test_log_that_is_the_same_goes_on(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve()
    page = enter(server)
    say(page, "before")
    expect(said(page)).to_have_count(1)
    port = server.port
    server.kill()
    server = serve(port=port)
    expect(page.locator(".banner")).to_have_count(0)
    say(page, "after")
    expect(page.locator(".text")).to_have_text(["before", "after"])
    expect(page.locator("li.began")).to_have_count(0)


# --- refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((403, "text/plain", "Requests from other sites are refused.\n"), "Requests from other sites are refused."),
        ((426, "text/plain", "This is the WebSocket.\n"), "a proxy on the way does not pass WebSockets on"),
        ((502, "text/html", "<h1>Bad Gateway</h1>"), "502"),
    ],
)
def test_page_says_why_the_websocket_is_refused(
    serve: Callable[..., Server], door: Enter, answer: tuple[int, str, str], told: str
) -> None:
    server = serve(data=None)
    status, kind, body = answer

    def prepare(page: Page) -> None:
        page.add_init_script(
            """
            const Real = WebSocket;
            window.WebSocket = class extends EventTarget {
                constructor(url) {
                    if (window.allowed) return new Real(url);
                    super();
                    this.readyState = 0;
                    setTimeout(() => { this.readyState = 3; this.onclose({ code: 1006 }); }, 10);
                }
                close() {}
            };
            WebSocket.OPEN = 1;
            """
        )

        def refuse(route: Route) -> None:
            if route.request.method == "POST":
                route.fulfill(status=status, content_type=kind, body=body)
            else:
                route.continue_()

        page.route(re.compile("/ws$"), refuse)

    page = door(server, prepare=prepare)
    page.fill("#name", "Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text(told)
    page.evaluate("window.allowed = true")
    expect(page.locator("#write")).to_be_enabled()


def test_sentence_stays_when_the_script_does_not_come(serve: Callable[..., Server], door: Enter) -> None:
    server = serve(data=None)

    def prepare(page: Page) -> None:
        page.route(re.compile(r"\.js$"), lambda route: route.fulfill(status=403, body="no"))

    page = door(server, prepare=prepare)
    expect(page.get_by_text("This page has not started.")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.late')).opacity") in ("0", "1")
    page.wait_for_function("() => getComputedStyle(document.querySelector('.late')).opacity === '1'")


class Prefix:
    """A proxy that has the server below a path, as `location /chat/ { proxy_pass http://server/; }` does."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[Prefix]:
        self._thread.start()
        assert self._ready.wait(90)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(90)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._listener = await TcpServer(self._pass).start()
        self.port = self._listener.port
        self._ready.set()
        await self._over.wait()
        await self._listener.stop()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        method, path, rest = head.split(b" ", 2)
        if not path.startswith(b"/chat/"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        up_reader, up_writer = await self._listener.connect(self._server.port)
        rest = re.sub(rb"(?i)\r\nconnection: keep-alive", b"\r\nConnection: close", rest)
        up_writer.write(b" ".join([method, path.removeprefix(b"/chat"), rest]))
        await asyncio.gather(passed_on(reader, up_writer), passed_on(up_reader, writer))


def test_page_works_below_a_path(serve: Callable[..., Server], door: Enter) -> None:
    server = serve(data=None)
    bob = server.join("Bob")
    with Prefix(server).running() as proxy:
        page = door(server)
        missing: list[str] = []
        page.on("response", lambda response: missing.append(response.url) if response.status >= 400 else None)
        page.goto(f"http://127.0.0.1:{proxy.port}/chat/")
        go_in(page, "Ada")
        bob.skips_to(b"*** Ada has joined the chat ***\n")
        bob.say("Ada: hi")
        expect(said(page)).to_have_count(1)
        expect(page.locator("#icon")).to_have_attribute("href", re.compile("^/chat/page/icon"))
        say(page, "/join ops")
        expect(page.locator("h1")).to_have_text("ops")
        page.reload()
        expect(page.locator("h1")).to_have_text("ops")
        assert page.url == f"http://127.0.0.1:{proxy.port}/chat/#ops"
        assert not missing
        page.goto("about:blank")
