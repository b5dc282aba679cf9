"""Reading on the page: links, scripts from right to left, what is folded, cut, copied, deleted; where one reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from browser import NOTIFYING, PHONE, Cable, Enter, hide, intercept, paste, said, say
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from scene import Server


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, sniffs=True, patient=True, data=None)


# --- links ----------------------------------------------------------------------------------------------------

LINKS = {
    "https://en.wikipedia.org/wiki/Rust_(language)": ["https://en.wikipedia.org/wiki/Rust_(language)"],
    "see http://[2001:db8::1] there": ["http://[2001:db8::1]"],
    "http://x.org/?q=a[]": ["http://x.org/?q=a[]"],
    "HTTPS://EXAMPLE.ORG/A and Http://x.org": ["HTTPS://EXAMPLE.ORG/A", "Http://x.org"],
    "见https://example.org/路径。": ["https://example.org/路径"],
    "参见https://example.org/a，谢谢": ["https://example.org/a"],
    "**https://example.org/a** _https://example.org/b_": ["https://example.org/a", "https://example.org/b"],
    "https://a": ["https://a"],
    "(https://example.org/abc).": ["https://example.org/abc"],
    "((https://example.org/a_(b)))": ["https://example.org/a_(b)"],
    "<https://example.org/a> [text](https://example.org/b)": ["https://example.org/a", "https://example.org/b"],
    "https://x.org:8080/a https://x.org/a_ https://x.org/~a/": [
        "https://x.org:8080/a",
        "https://x.org/a_",
        "https://x.org/~a/",
    ],
    "www.example.org, and www.x and a@www.example.org": ["www.example.org"],
    "https://google.com@evil.example/ https://me:pw@evil.example/ https://@evil.example": [],
    # The server takes out what is not seen.
    "https://goo\u200bgle.com/ https://exa\u00admple.org/ https://x.org/\u2060a": [
        "https://google.com/",
        "https://example.org/",
        "https://x.org/a",
    ],
    "xhttps://x.org ftp://x.org javascript:alert(1)": [],
}


def test_links_end_where_they_should(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    page = enter(server)
    bob.say(*LINKS)
    expect(said(page)).to_have_count(len(LINKS))
    for line, links in zip(said(page).all(), LINKS.values(), strict=True):
        assert line.get_by_role("link").all_inner_texts() == links
    assert page.get_by_role("link", name="www.example.org").get_attribute("href") == "http://www.example.org"
    rel = page.get_by_role("link").first.get_attribute("rel")
    assert rel and {"noopener", "noreferrer"} <= set(rel.split())


def test_host_is_shown_where_it_is_not_the_one_that_is_written(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.say("https://аpple.com/ http://0x7f.1/ https://example.org:443/a https://EXAMPLE.org/")
    expect(page.locator(".host")).to_have_text(["(xn--pple-43d.com)", "(127.0.0.1)"])


# --- from right to left ---------------------------------------------------------------------------------------


def left_of(line: Locator, sign: str) -> float:
    """Return where a sign of a line stands, in pixels."""
    return line.evaluate(  # type: ignore[no-any-return]
        """(line, sign) => {
            const walk = document.createTreeWalker(line.querySelector(".text"), NodeFilter.SHOW_TEXT);
            for (let text; (text = walk.nextNode()); ) {
                const at = text.data.indexOf(sign);
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(text, at);
                range.setEnd(text, at + 1);
                return range.getBoundingClientRect().left;
            }
        }""",
        sign,
    )


def test_text_has_the_direction_of_its_script_line_by_line(server: Server, enter: Enter) -> None:
    page = enter(server)
    for text in ("שלום עולם!", "א (ב) https://example.org/x ג", "1. ראשון\n2. second", "plain (text)!"):
        paste(page, text)
        expect(said(page).last).to_contain_text(text[:2])
    shout, mixed, numbered, plain = said(page).all()
    assert left_of(shout, "!") < left_of(shout, "ם") < left_of(shout, "ש")
    assert left_of(mixed, "ג") < left_of(mixed, "h") < left_of(mixed, "ב") < left_of(mixed, "א")
    assert left_of(numbered, "ר") < left_of(numbered, "1") and left_of(numbered, "2") < left_of(numbered, "s")
    assert left_of(plain, "p") < left_of(plain, "(") < left_of(plain, "!")
    for field in ("#write", "#room"):
        page.fill(field, "שלום!")
        assert page.locator(field).evaluate("field => getComputedStyle(field).direction") == "rtl", field


def test_names_and_topics_keep_the_words_around_them_in_order(server: Server, enter: Enter) -> None:
    noa = server.join("נועה")
    page = enter(server)
    noa.say("/topic (נושא)!", "hi")
    expect(page.locator(".topic")).to_have_text("(נושא)!")
    assert page.locator(".topic").evaluate("node => getComputedStyle(node).direction") == "rtl"
    expect(page.locator("li.event bdi").filter(has_text="נושא")).to_be_visible()
    assert page.locator("li.said b bdi, .people bdi, .me bdi").count() >= 3


# --- folded and cut -------------------------------------------------------------------------------------------


def test_neighbours_that_come_and_go_are_one_line(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits")
    server.join("Zoe").say("/join class")
    page = enter(server, "Teacher")
    say(page, "/join class")
    expect(page.locator("h1")).to_have_text("class")
    expect(page.locator(".people li")).to_have_count(2)
    pupils = [server.join(f"P{number:02}") for number in range(30)]
    for pupil in pupils:
        pupil.say("/join class")
        pupil.barrier()
    line = page.locator("li.event").last
    expect(line).to_contain_text(" and 30 others joined")
    assert page.locator("li.event").count() <= 2
    assert line.get_attribute("aria-live") == "off", "they are not read aloud one by one"
    for pupil in pupils[:2]:
        pupil.say("/quit")
        pupil.rest()
    expect(line).to_contain_text("came and went")
    line.hover()
    line.get_by_role("button", name="Details").click()
    expect(line).to_contain_text("P29 has joined")
    say(page, "good morning")
    pupils[2].skips_to(b"Teacher: good morning\n")
    pupils[2].say("/quit")
    pupils[2].rest()
    expect(page.locator("li.event").last).to_have_text(re.compile("P02 has left$"))


def test_long_text_is_cut_between_characters_and_not_in_a_link(server: Server, enter: Enter) -> None:
    page = enter(server)
    link = "https://example.org/" + "path" * 40
    for text in ("😀" * 1200, "👨‍👩‍👧" * 300, "x" * 450 + " " + link + " tail" * 400, link * 12):
        paste(page, text)
        expect(said(page).last).to_contain_text(text[:1])
    expect(said(page)).to_have_count(4)
    expect(said(page).last.locator("summary")).to_have_count(0)  # it is one link
    whole = page.locator("div.text").evaluate_all(
        """texts => texts.map(text => {
            const rest = text.querySelector("details");
            rest.querySelector("summary").remove();
            rest.remove();
            return [text.textContent, rest.textContent];
        })"""
    )
    for (head, rest), sign in zip(whole[:2], ("😀", "👨‍👩‍👧"), strict=True):
        assert not head.replace(sign, "") and not rest.replace(sign, ""), "a character is cut"
        assert len(head) > 100
    assert whole[2][0].rstrip().endswith("x") and whole[2][1].startswith(link)


def test_notification_and_search_cut_between_characters(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server, prepare=lambda page: page.add_init_script(NOTIFYING))
    hide(page)
    bob.say("Ada: x" + "😀" * 400)
    page.wait_for_function("() => told.length")
    assert re.fullmatch("Ada: x😀+…", page.evaluate("told[0]"))
    page.keyboard.press("Control+k")
    page.fill("#words", "Ada")
    page.keyboard.press("Enter")
    expect(page.locator(".search li")).to_have_text(re.compile("Ada: x(?:😀)+…$"))


def test_search_says_what_it_finds(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    bob.say("the first page", "the second page")
    bob.barrier()
    page = enter(server)
    page.keyboard.press("Control+k")
    page.fill("#words", "page")
    page.keyboard.press("Enter")
    expect(page.locator(".search [role=status]")).to_have_text("2 matches, newest first")
    expect(page.locator(".search li")).to_have_text([re.compile("the second page"), re.compile("the first page")])
    page.fill("#words", "pages")
    page.keyboard.press("Enter")
    expect(page.locator(".search [role=status]")).to_contain_text("Search finds whole words")


# --- where one reads ------------------------------------------------------------------------------------------


AT_END = """() => {
    const log = document.querySelector(".log");
    return log.scrollHeight - log.scrollTop - log.clientHeight < 2;
}"""


def from_end(page: Page) -> float:
    return page.locator(".log").evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight")  # type: ignore[no-any-return]


# What is held back comes with the next message: the page asks for something when it is looked at.
ALL_HERE = """() => {
    document.dispatchEvent(new Event("visibilitychange"));
    const said = [...document.querySelectorAll("li.said")];
    return said.length > 40 && said.at(-1).textContent.includes("this");
}"""


def test_page_opens_at_the_newest_message(serve: Callable[..., Server], enter: Enter) -> None:
    """However the past and what is new come in: together, late, in any order."""
    server = serve("--no-limits")
    bob = server.join("Bob")
    for number in range(150):
        bob.say(f"message {number} " + "word " * (number % 40))
    bob.barrier()
    for late in ({"page"}, {"entries"}, {"page", "entries", "members"}, set()):

        def hold(page: Page, late: set[str] = late) -> None:
            def connect(route: WebSocketRoute) -> None:
                server = route.connect_to_server()
                kept: list[str | bytes] = []

                def give(text: str | bytes) -> None:
                    if any(f'"type":"{kind}"' in str(text)[:30] for kind in late) and len(kept) < 2:
                        kept.append(text)
                        return
                    route.send(text)
                    while kept:
                        route.send(kept.pop())

                server.on_message(give)

            page.route_web_socket(re.compile("/ws$"), connect)

        page = enter(server, f"Ada{len(late)}{'p' if 'page' in late else ''}", prepare=hold)
        bob.say("and now", "this")
        page.wait_for_function(ALL_HERE, polling=100)
        expect(said(page).last).to_be_in_viewport()
        assert from_end(page) < 2, late
        expect(page.locator(".newest")).to_have_count(0)


def test_end_is_held_when_the_layout_changes(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    bob.say(*(f"message {number} " + "word " * 30 for number in range(60)))
    bob.barrier()
    page = enter(server)
    expect(said(page).last).to_contain_text("message 59")
    for change in (
        "document.documentElement.style.fontSize = '22px'",
        "document.querySelector('#write').style.height = '150px'",
        "document.querySelectorAll('li.said')[3].style.paddingTop = '400px'",
    ):
        page.evaluate(change)
        page.wait_for_function(AT_END)
    page.set_viewport_size({"width": 500, "height": 400})
    page.wait_for_function(AT_END)


def test_place_far_back_is_shown_without_all_that_lies_between(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    bob.say("a needle", *(f"hay {number}" for number in range(1600)))
    bob.barrier()
    asked: list[dict[str, Any]] = []

    def note(request: dict[str, Any]) -> None:
        asked.append(request)

    page = enter(server, prepare=lambda page: intercept(page, note))
    page.keyboard.press("Control+k")
    page.fill("#words", "needle")
    page.keyboard.press("Enter")
    page.locator(".search li button").click()
    place = said(page).filter(has_text="needle")
    expect(place).to_be_in_viewport()
    expect(page.locator(".newest")).to_be_visible()
    page.wait_for_function("() => document.querySelectorAll('li.said').length > 1000")
    assert sum(request["type"] == "history" for request in asked) < 12
    assert said(page).count() < 1500
    log = page.locator(".log")
    bob.say("and more hay")
    while "and more hay" not in (had := said(page).last.inner_text()):  # one comes to the end by scrolling
        log.evaluate("log => { log.scrollTop = log.scrollHeight; }")
        expect(said(page).last).not_to_have_text(had)
    shown = [int(text.split()[1]) for text in page.locator(".text").all_inner_texts() if re.fullmatch(r"hay \d+", text)]
    assert shown == list(range(shown[0], 1600)), "there is a gap, or something twice"
    log.evaluate("log => { log.scrollTop = 0; }")
    page.locator(".newest").click()
    expect(said(page).last).to_be_in_viewport()


# --- copied, deleted ------------------------------------------------------------------------------------------


def copied(page: Page, first: Locator, last: Locator) -> str:
    """Return what is copied when one drags from the beginning of a line to the end of another."""
    return page.evaluate(  # type: ignore[no-any-return]
        """([first, last]) => {
            const range = document.createRange();
            range.setStartBefore(first.firstChild);
            range.setEndAfter(last.lastChild);
            getSelection().removeAllRanges();
            getSelection().addRange(range);
            const data = new DataTransfer();
            const event = new ClipboardEvent("copy", { clipboardData: data, bubbles: true, cancelable: true });
            document.querySelector(".log").dispatchEvent(event);
            return data.getData("text/plain");
        }""",
        [first.element_handle(), last.element_handle()],
    )


def test_copied_lines_are_lines(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.say("Ada: one", "two")
    expect(said(page)).to_have_count(2)
    paste(page, "three\n  four")
    expect(said(page)).to_have_count(3)
    lines = copied(page, said(page).first, said(page).last).split("\n")
    time = r"\[\d+:\d\d [AP]M\]"
    for line, wanted in zip(
        lines, [f"{time} Bob: Ada: one", f"{time} Bob: two", f"{time} Ada: three", "  four"], strict=True
    ):
        assert re.fullmatch(wanted, line), line


def test_own_message_is_deleted_in_two_steps(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.say("not hers")
    expect(said(page)).to_have_count(1)
    say(page, "wrong")
    say(page, "right")
    expect(said(page)).to_have_count(3)
    mine, other = said(page).filter(has_text="wrong"), said(page).filter(has_text="not hers")
    menu = page.locator("dialog.acts")
    for row, offered in ((other, 0), (mine, 1)):
        row.hover()
        row.get_by_role("button", name="What to do with this message").click()
        expect(menu.get_by_role("button", name="Copy text")).to_be_visible()
        expect(menu.get_by_role("button", name="Delete…")).to_have_count(offered)
        page.keyboard.press("Escape")
        expect(menu).to_have_count(0)
    mine.get_by_role("button", name="What to do with this message").click()
    menu.get_by_role("button", name="Delete…").click()
    expect(said(page)).to_have_count(3)
    menu.get_by_role("button", name="Delete for everybody").click()
    expect(said(page)).to_have_text([re.compile("not hers$"), re.compile("right")])
    expect(page.locator("li.event").last).to_contain_text("Ada")
    late = enter(server, "Late")
    expect(said(late)).to_have_count(2)


def test_message_is_deleted_by_keys_alone(server: Server, enter: Enter) -> None:
    page = enter(server)
    say(page, "first")
    say(page, "second")
    expect(said(page)).to_have_count(2)
    page.locator(".log").focus()
    page.keyboard.press("ArrowUp")
    expect(said(page).last).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(said(page).first).to_be_focused()
    page.keyboard.press("Delete")
    expect(page.get_by_role("button", name="Delete for everybody")).to_be_focused()
    expect(said(page)).to_have_count(2)
    page.keyboard.press("Enter")
    expect(said(page)).to_have_count(1)
    expect(said(page)).to_contain_text("second")


def test_operator_deletes_what_others_say(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    say(page, "/join ops")
    expect(page.locator(".people")).to_contain_text("@Ada")
    bob.say("/join ops", "rude")
    expect(said(page)).to_have_count(1)
    said(page).hover()
    said(page).get_by_role("button", name="What to do with this message").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete for everybody").click()
    expect(said(page)).to_have_count(0)
    bob.say("/deop Ada")
    bob.barrier()


# --- looks ----------------------------------------------------------------------------------------------------


def test_mention_is_seen_in_high_contrast(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server, forced_colors="active")
    bob.say("one", "Ada: two", "three")
    expect(said(page)).to_have_count(3)
    bars = said(page).evaluate_all("lines => lines.map(line => getComputedStyle(line).borderLeftColor)")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert bars[0] == bars[2] == ground != bars[1]
    marked = page.locator(".rooms .current").evaluate("node => getComputedStyle(node).outlineStyle")
    assert marked == "solid"


def test_low_window_shows_messages_and_the_field(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    bob.say("/topic a long topic " * 5, *(f"message {number}" for number in range(50)))
    bob.barrier()
    page = enter(server, viewport={"width": 667, "height": 150})
    expect(said(page).last).to_contain_text("message 49")
    page.fill("#write", "\n".join(f"line {number}" for number in range(8)))
    check_low(page, 150)
    for width, height in ((320, 256), (568, 200)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(f"() => document.querySelector('#write').offsetHeight <= {height} / 3 + 1")
        check_low(page, height)


def check_low(page: Page, height: int) -> None:
    write, header, log = (page.locator(name).bounding_box() for name in ("#write", "header", ".log"))
    assert write and header and log
    assert write["height"] <= height / 3 + 1 and write["y"] + write["height"] <= height
    assert log["height"] >= 30 and header["y"] >= 0
    expect(page.locator("h1")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    page.locator(".log").evaluate("log => { log.scrollTop = 0; }")
    newest = page.locator(".newest").bounding_box()
    assert newest and newest["y"] >= header["y"] + header["height"] - 1, "it covers the header"


def test_lists_tell_how_many_there_are(server: Server, enter: Enter) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        label = {"label": request["label"]} if "label" in request else {}
        if request["type"] == "members":
            people = ["Ada", *(f"P{number}" for number in range(499))]
            return {"type": "members", "room": "lobby", "nicks": people, "more": 4500, "operators": [], **label}
        if request["type"] == "rooms":
            rooms = [{"name": f"room{number}", "members": 1, "topic": ""} for number in range(500)]
            return {"type": "rooms", "rooms": rooms, "more": 9471}
        if request.get("line") == "/who":
            return {"type": "members", "room": "lobby", "nicks": ["Ada", "P0"], "more": 4500, "operators": []}
        if request.get("line") == "/rooms":
            return {"type": "rooms", "rooms": [], "more": 9471}
        return None

    bob = server.join("Bob")
    page = enter(server, prepare=lambda page: intercept(page, answer))
    expect(page.locator(".people h2")).to_have_text("People (5,000)")
    expect(page.locator(".people li").last).to_have_text("and 4,500 more")
    expect(page.locator(".rooms .more")).to_have_text("and 9,940 more")  # the lobby is one of them, and above
    server.join("Cy")
    expect(page.locator(".people h2")).to_have_text("People (5,001)")
    bob.say("I am not listed", "/quit")
    expect(page.locator(".people h2")).to_have_text("People (5,000)")
    page.fill("#write", "Bo")
    page.keyboard.press("Tab")
    expect(page.locator("#write")).to_have_value("Bob: ")
    for command, told in (("/who", "and 4,500 more"), ("/rooms", "and 9,471 more")):
        say(page, command)
        expect(page.locator("li.notice").last).to_contain_text(told)


def test_phone_shows_what_may_be_done_to_a_message(server: Server, enter: Enter) -> None:
    page = enter(server, **PHONE)
    say(page, "mine")
    expect(said(page)).to_have_count(1)
    said(page).tap()
    expect(said(page).get_by_role("button", name="What to do with this message")).to_be_visible()


def test_what_is_sent_late_is_not_said_twice_after_a_break(server: Server, enter: Enter) -> None:
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    cable.cut()
    for text in ("one", "two", "three"):
        say(page, text)
    cable.mend()
    expect(page.locator(".text")).to_have_text(["one", "two", "three"])
    expect(page.locator(".waiting")).to_have_count(0)
