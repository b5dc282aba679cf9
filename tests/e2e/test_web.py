"""The WebSocket of a server that ends, and the page in a browser, beside people at nc."""

from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from browser import FLAGS, PATIENCE, chromium
from playwright.async_api import Browser, Page, async_playwright, expect

from scene import STOPS, Client, Server
from web_scene import SECONDS, talker

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers whose address is for every wire, as it is by default."""
    return partial(serve, sniffs=True, patient=True)


# --- programs at the WebSocket ---------------------------------------------------------------------------------


async def test_user_who_comes_back_with_the_secret_of_an_ended_session_has_the_same_id(
    serve: Callable[..., Server],
) -> None:
    """Also at a server that has started again, and under another name; without the secret, nobody has."""
    server = serve()

    async def id_of(name: str, resume: str = "") -> tuple[str, str]:
        web = await talker(server)
        await web.asks(type="hello", name=name, resume=resume)
        secret = (await web.sees("welcome"))["resume"]
        await web.asks(type="members", room="lobby")
        members = await web.sees("members")
        await web.socket.close()
        return secret, members["users"][members["nicks"].index(name)]

    secret, id = await id_of("Web")
    assert secret not in id
    server.kill()
    server = serve()
    assert await id_of("Other", secret) == (secret, id)
    for forged in ("", id, "short"):
        other, another = await id_of("Web", forged)
        assert other != secret and another != id


async def test_websocket_that_never_reads_harms_nobody(serve: Callable[..., Server]) -> None:
    server = serve("--no-limits", "--memory", "1")
    stalled = await talker(server)
    await stalled.joins("Stalled")
    stalled.socket.transport.pause_reading()
    alice, bob = server.join("Alice"), server.join("Bob")
    alice.skips_to(b"*** Bob has joined the chat ***\n")
    before = server.rss()
    for number in range(10_000):
        alice.say(f"{number} ".ljust(4000, "x"))
        if number % 100 == 99:
            bob.skips_to(f"Alice: {number} ".encode().ljust(4007, b"x") + b"\n")
    assert server.rss() - before < 20_000_000, "it misses 40 MB, and rooms keep 1 MB in memory"
    stalled.socket.transport.abort()
    await stalled.socket.wait_closed()
    alice.skips_to(b"*** Stalled has left the chat ***\n")


async def test_shutdown_is_told(server: Server) -> None:
    web = await talker(server)
    await web.joins("Web")
    server.signal(15)
    assert (await web.sees("notice"))["lines"] == ["The server is shutting down"]
    assert server.wait(STOPS) == 0


# --- the page in a browser ------------------------------------------------------------------------------------


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


async def enter(browser: Browser, server: Server, name: str) -> Page:
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    page.errors = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.errors.append(error))  # type: ignore[attr-defined]
    await page.goto(f"http://127.0.0.1:{server.port}/")
    await page.fill("#name", name)
    await page.keyboard.press("Enter")
    await expect(page.locator("#write")).to_be_enabled(timeout=SECONDS * 1000)
    return page


async def say(page: Page, text: str) -> None:
    await page.fill("#write", text)
    await page.keyboard.press("Enter")


async def messages(page: Page) -> list[str]:
    return await page.locator("li.said .text").all_inner_texts()


async def in_ops(browser: Browser, server: Server) -> tuple[Client, Page]:
    """Return a terminal that opened a room, and a page that came into it."""
    alice = server.join("Alice")
    alice.say("/join ops")
    alice.barrier()
    page = await enter(browser, server, "Pia")
    await say(page, "/join ops")
    await expect(page.locator("aside.people")).to_contain_text("@Alice")
    return alice, page


async def test_page_shows_who_is_an_operator_and_what_it_does(browser: Browser, server: Server) -> None:
    alice, page = await in_ops(browser, server)
    alice.say("/op Pia")
    await expect(page.locator("li.event", has_text="Alice has made Pia an operator")).to_be_visible()
    await expect(page.locator("aside.people")).to_contain_text("@Pia (you)")
    await say(page, "/who")
    await expect(page.locator("li.notice").last).to_have_text("In ops: @Alice, @Pia")
    await say(page, "/kick Alice")
    alice.skips_to(b"*** Pia has kicked Alice ***\n")


async def test_page_says_who_threw_one_out_and_why(browser: Browser, server: Server) -> None:
    alice, page = await in_ops(browser, server)
    alice.say("/kick Pia enough of this")
    await expect(page.locator(".notice", has_text="ops: Alice has kicked Pia (enough of this)")).to_be_visible()
    await expect(page.locator("nav .current")).to_contain_text("lobby")
    await expect(page.get_by_text("You are not in ops")).to_have_count(0)


async def test_two_browsers_and_a_terminal_share_a_room(browser: Browser, server: Server) -> None:
    alice = server.join("Alice")
    alice.say("before")
    alice.barrier()
    ada, bo = await enter(browser, server, "Ada"), await enter(browser, server, "Bo")
    await expect(bo.get_by_text("before")).to_be_visible()
    await say(ada, "hello <img src=x onerror=document.title='owned'> https://example.org/a")
    await expect(bo.locator("li.said").last).to_contain_text("<img src=x")
    await expect(bo.get_by_role("link", name="https://example.org/a")).to_be_visible()
    alice.skips_to(b"Ada: hello <img src=x onerror=document.title='owned'> https://example.org/a\n")
    alice.say("Ada: are you there?")
    await expect(ada.locator("li.said.mention")).to_have_count(1)
    await expect(ada.locator("aside.people li")).to_have_count(3)
    await bo.fill("#write", "Ali")
    await bo.keyboard.press("Tab")
    assert await bo.input_value("#write") == "Alice: "
    await say(bo, "/join ops")
    await expect(bo.locator("nav .current")).to_contain_text("ops")
    assert await ada.title() != "owned" and ada.errors == bo.errors == []  # type: ignore[attr-defined]


async def test_page_comes_back_after_a_restart_with_nothing_missed_or_doubled(
    browser: Browser, serve: Callable[..., Server]
) -> None:
    server = serve()
    ada = await enter(browser, server, "Ada")
    for number in range(3):
        await say(ada, f"m{number}")
    await expect(ada.locator("li.said")).to_have_count(3)
    port = server.port
    server.kill()
    await expect(ada.locator(".banner")).to_be_visible(timeout=SECONDS * 1000)
    await say(ada, "typed while it was away")
    meanwhile = serve()  # where the page does not look
    alice = meanwhile.join("Alice")
    alice.say("meanwhile", "and once more")
    alice.barrier()
    alice.close()
    assert meanwhile.stop() == 0
    serve("--history", "1", port=port)  # so the page is told the newest unasked, and must ask for the other
    await expect(ada.locator(".banner")).to_have_count(0, timeout=2 * SECONDS * 1000)
    await expect(ada.locator(".waiting")).to_have_count(0, timeout=SECONDS * 1000)
    await expect(ada.locator("li.said")).to_have_count(6)
    assert sorted(await messages(ada)) == [
        "and once more", "m0", "m1", "m2", "meanwhile", "typed while it was away",
    ]  # fmt: skip
