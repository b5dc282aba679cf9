"""The page as people use it: by keys alone, on a phone, zoomed, with a screen reader's rules, away and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from browser import NOTIFYING, PHONE, ZOOMED, Cable, Enter, badge, hide, intercept, said, say
from playwright.sync_api import Locator, Page, expect

from scene import Server

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
HUES = [
    "Tony",
    "Lise",
    "Frances",
    "Edith",
    "Kurt",
    "Hedy",
    "Ken",
    "Donald",
    "Bob",
    "Evelyn",
    "Sofia",
    "Grace",
]  # one of each colour


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, sniffs=True, patient=True, data=None)


# --- for everybody --------------------------------------------------------------------------------------------


def check_rules(page: Page, where: str) -> None:
    """Nothing that axe calls serious or critical is wrong."""
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    told = [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    assert not told, f"{where}:\n" + "\n".join(told)


def furnish(server: Server, page: Page) -> None:
    """Let the room have something of every kind in it, and somebody of every colour."""
    expect(page.locator("#write")).to_be_enabled()
    people = [server.join(name) for name in HUES]
    people[0].say("/topic All of it: https://example.org/plan")
    for client in people:
        client.say(
            f"Hello from one of twelve, see https://example.org/{client.address[1]}", "Ada: and you?", "/me nods"
        )
    people[1].say("/msg Ada psst")
    expect(said(page)).to_have_count(36)
    expect(badge(page, "@Lise")).to_have_count(1)
    say(page, "\n".join(f"line {number}" for number in range(20)))
    say(page, "/who")
    expect(page.locator("li.notice")).to_be_attached()
    say(page, "/join ops")
    expect(page.locator("#write")).to_have_attribute("placeholder", "Message to ops")
    people[2].say("Ada: are you still there?")
    expect(badge(page, "lobby")).to_have_count(1)
    say(page, "/nobody knows this")
    page.evaluate("document.querySelector('nav button').click()")
    expect(page.locator("li.unread")).to_be_attached()


@pytest.mark.parametrize(
    "options",
    [{}, {"color_scheme": "dark"}, PHONE, {**ZOOMED, "color_scheme": "dark"}],
    ids=["light", "dark", "phone", "zoomed"],
)
def test_rules_of_accessibility_are_kept(server: Server, door: Enter, options: dict[str, Any]) -> None:
    narrow = "viewport" in options
    page = door(server, lambda page: page.add_init_script(path=AXE), bypass_csp=True, **options)
    page.fill("#name", "no name")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Names can't contain spaces")
    check_rules(page, "the door")
    page.fill("#name", "Ada")
    page.keyboard.press("Enter")
    furnish(server, page)
    check_rules(page, "the chat")
    hues = page.locator("li.said b").evaluate_all("names => [...new Set(names.map(name => name.className))]")
    assert len(hues) >= 12, "a colour is missing"
    for panel in ("Rooms", "People") if narrow else ():
        page.locator("header").get_by_role("button", name=panel).click()
        expect(page.locator(f".{panel.lower()}")).to_be_visible()
        check_rules(page, panel)
    page.keyboard.press("Control+k")
    page.fill("#words", "twelve")
    page.keyboard.press("Enter")
    expect(page.locator(".search li")).to_have_count(12)
    check_rules(page, "the search")
    page.keyboard.press("Escape")
    server.kill()
    expect(page.locator(".banner")).to_be_visible()
    say(page, "not sent yet")
    expect(page.locator(".waiting")).to_be_visible()
    check_rules(page, "without a connection")


class Keys:
    """Somebody who has a keyboard alone, and wants to see where he is after each key."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.looks()

    def looks(self) -> None:
        """The focus is somewhere, in view, and is seen to be there."""
        self.page.wait_for_function(
            """() => {
                const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
                const marked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                return at !== document.body && marked && box.width > 0 && box.bottom > 0 && box.right > 0
                    && box.top < innerHeight && box.left < innerWidth;
            }"""
        )

    def goes_to(self, what: Locator, key: str = "Tab") -> None:
        for _ in range(40):
            self.press(key)
            if what.evaluate("node => node === document.activeElement"):
                return
        raise AssertionError(f"{key} does not lead to {what}")

    def types(self, text: str) -> None:
        self.page.keyboard.type(text)
        self.press("Enter")


def test_keys_alone_are_enough(server: Server, door: Enter) -> None:
    bob = server.join("Bob")
    bob.say("a needle", *(f"hay {number}" for number in range(50)))
    bob.barrier()
    page = door(server)
    keys = Keys(page)
    write, room = page.locator("#write"), page.locator("h1")
    expect(page.locator("#name")).to_be_focused()
    keys.types("Ada")
    expect(write).to_be_focused()
    keys.types("hello")
    bob.skips_to(b"Ada: hello\n")
    keys.types("/join ops")
    expect(room).to_have_text("ops")
    keys.goes_to(page.get_by_role("navigation").get_by_role("button", name="lobby"), "Shift+Tab")
    keys.press("Enter")
    expect(room).to_have_text("lobby")
    expect(write).to_be_focused()
    for key, place in (("Down", "ops"), ("Down", "lobby"), ("Up", "ops"), ("Up", "lobby")):  # round, and back
        keys.press(f"Alt+Arrow{key}")
        expect(room).to_have_text(place)
    keys.goes_to(page.get_by_role("complementary").get_by_role("button", name="Bob", exact=True))
    keys.press("Enter")
    expect(room).to_have_text("@Bob")
    expect(write).to_be_focused()
    keys.types("psst")
    bob.skips_to(b"Ada (private): psst\n")
    keys.press("Control+k")
    expect(page.locator("#words")).to_be_focused()
    keys.types("needle")
    found = page.locator(".search li button")
    expect(found).to_have_count(1)
    keys.goes_to(found)
    keys.press("Enter")
    place = said(page).filter(has_text="needle")
    expect(place).to_be_focused()
    expect(place).to_be_in_viewport()
    expect(page.locator(".search")).to_have_count(0)
    keys.goes_to(page.locator(".newest"))
    keys.press("Enter")
    expect(write).to_be_focused()
    expect(said(page).last).to_be_in_viewport()
    keys.goes_to(page.locator(".log"), "Shift+Tab")
    keys.press("PageUp", "Escape")
    expect(write).to_be_focused()
    keys.press("Control+k", "Escape")
    expect(page.locator(".search")).to_have_count(0)
    expect(write).to_be_focused()


def test_keys_alone_open_and_close_the_side_bars_when_zoomed(server: Server, enter: Enter) -> None:
    server.join("Bob")
    page = enter(server, **ZOOMED)
    keys = Keys(page)
    for name, bar in (("People", page.locator(".people")), ("Rooms", page.locator(".rooms"))):
        opener = page.locator("header").get_by_role("button", name=name)
        keys.goes_to(opener, "Shift+Tab")
        keys.press("Enter")
        expect(bar).to_be_visible()
        expect(opener).to_have_attribute("aria-expanded", "true")
        expect(bar.locator("button").first).to_be_focused()
        keys.press("Escape")
        expect(bar).to_be_hidden()
        expect(opener).to_be_focused()


def test_what_is_new_is_told_to_who_cannot_see(server: Server, enter: Enter) -> None:
    """What is meant for one, and what is unread, is said in words and not by a colour."""
    bob = server.join("Bob")
    page = enter(server)
    expect(page.get_by_role("log", name="Messages in lobby")).to_have_attribute("aria-live", "polite")
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    bob.say("Ada: look", "here")
    expect(page.get_by_role("button", name="lobby @ 2 unread, 1 for you")).to_be_visible()
    page.get_by_role("button", name="lobby @ 2 unread, 1 for you").click()
    expect(said(page).first).to_contain_text("For you: Bob: Ada: look")


# --- on a phone -----------------------------------------------------------------------------------------------


def test_phone_has_all_of_it_in_its_width(server: Server, enter: Enter) -> None:
    bob, long = server.join_all("Bob", "A" * 32)
    page = enter(server, "M" * 32, **PHONE)
    bob.say("/topic " + "a topic that is long " * 10, "W" * 400, "https://example.org/" + "path" * 60)
    long.say("hi", "\\o/ " * 40)
    say(page, "/help")
    expect(page.locator("li.notice")).to_be_attached()
    expect(said(page)).to_have_count(4)
    rooms, people, write = page.locator(".rooms"), page.locator(".people"), page.locator("#write")

    def fits() -> None:
        width, height = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert (width, height) == (390, 844)
        assert page.locator(".log").evaluate("log => log.scrollWidth <= log.clientWidth")
        expect(write).to_be_in_viewport(ratio=1)
        expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)

    fits()
    write.tap()
    page.keyboard.insert_text("one\ntwo")
    page.get_by_role("button", name="Send").tap()
    bob.skips_to(b"M: one\n" + b"M" * 32 + b": two\n")
    header = page.locator("header")
    header.get_by_role("button", name="Rooms").tap()
    expect(rooms).to_be_in_viewport(ratio=1)
    fits()
    page.fill("#room", "#Ops")
    page.get_by_role("button", name="Join", exact=True).tap()
    expect(rooms).to_be_hidden()
    expect(page.locator("h1")).to_have_text("ops")
    header.get_by_role("button", name="Rooms").tap()
    rooms.get_by_role("button", name="lobby").tap()
    expect(page.locator("h1")).to_have_text("lobby")
    header.get_by_role("button", name="People").tap()
    expect(people).to_be_in_viewport(ratio=1)
    fits()
    page.locator(".log").tap(position={"x": 10, "y": 200})
    expect(people).to_be_hidden()
    header.get_by_role("button", name="Search").tap()
    page.fill("#words", "hi")
    page.keyboard.press("Enter")
    expect(page.locator(".search li")).to_have_count(1)
    fits()


# --- writing --------------------------------------------------------------------------------------------------


def test_long_paste_stays_one_message_and_is_folded(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    lines = [f"line {number}" for number in range(40)]
    page.focus("#write")
    page.keyboard.insert_text("\n".join(lines))
    assert page.locator("#write").evaluate("field => field.clientHeight") <= 200
    page.keyboard.press("Enter")
    bob.skips_to("".join(f"Ada: {line}\n" for line in lines).encode())
    expect(said(page)).to_have_count(1)
    expect(said(page)).to_contain_text("line 3")
    folded = page.locator("details").bounding_box()
    assert folded and folded["height"] < 40
    page.get_by_text("36 more lines").click()
    shown = said(page).locator(".text").inner_text().split("\n")
    assert [line for line in shown if line != "36 more lines"] == lines
    bob.say("x " * 1900)
    expect(said(page).last).to_contain_text("more characters")


def test_lines_of_a_message_stand_below_each_other(server: Server, enter: Enter) -> None:
    page = enter(server)
    page.focus("#write")
    page.keyboard.type("first")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second")
    page.keyboard.press("Enter")
    expect(said(page)).to_have_count(1)
    assert page.locator(".text").inner_text() == "first\nsecond"
    time, text = said(page).locator("time").bounding_box(), said(page).locator("div").bounding_box()
    assert time and text and text["x"] + text["width"] <= time["x"] and text["height"] > 1.8 * time["height"]


def test_message_over_the_limit_stays_in_the_field(server: Server, enter: Enter) -> None:
    page = enter(server)
    for much in ("x" * 100_000, "é" * 8_193):
        say(page, much)
        expect(page.locator("li.notice").last).to_contain_text("a message has at most 16,384 bytes")
        assert page.input_value("#write") == much
    say(page, "é" * 8_192)
    expect(said(page)).to_have_count(1)
    expect(page.locator(".banner")).to_have_count(0)


def test_up_recalls_what_one_said_and_down_gives_the_draft_back(server: Server, enter: Enter) -> None:
    page = enter(server)
    for text in ("one", "two\nlines", "/who"):
        say(page, text)
    page.fill("#write", "a draft")
    seen = []
    for key in ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp"]:
        page.keyboard.press(key)
        seen.append(page.input_value("#write"))
    assert seen == ["/who", "two\nlines", "two\nlines", "one", "one"], "the third moves within the lines"
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    assert page.input_value("#write") == "a draft"


def test_tab_completes_one_name_after_the_other_and_is_no_trap(server: Server, enter: Enter) -> None:
    server.join_all("Alan", "Alice", "Bob")
    page = enter(server, "Albert")
    write = page.locator("#write")
    expect(page.locator(".people li")).to_have_count(4)
    page.keyboard.type("al")
    for name in ("Alan", "Alice", "Alan"):
        page.keyboard.press("Tab")
        assert page.input_value("#write") == f"{name}: "
    page.keyboard.type("ask b")
    page.keyboard.press("Tab")
    assert page.input_value("#write") == "Alan: ask Bob "
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(write).not_to_be_focused()


def test_drafts_belong_to_their_rooms(server: Server, enter: Enter) -> None:
    page = enter(server)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    page.fill("#write", "for ops")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#write")).to_have_value("")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#write")).to_have_value("for ops")


def test_commands_are_answered(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    bob.say("a needle", *(f"hay {number}" for number in range(30)))
    bob.barrier()
    page = enter(server)
    expect(said(page)).to_have_count(31)
    notice = page.locator("li.notice").last
    for command, answer in (
        ("/who", "In lobby: Ada, Bob"),
        ("/rooms", "lobby (2)"),
        ("/search needle", "Bob: a needle"),
        ("/topic", "There is no topic"),
        ("/time", "GMT"),
        ("/who nowhere", "You are not in nowhere"),
    ):
        say(page, command)
        expect(notice).to_contain_text(answer)
    expect(said(page)).to_have_count(31)
    bob.say("later")
    expect(page.locator("ol > li").last).to_contain_text("later")  # and not above what was answered before
    say(page, "//who")
    bob.skips_to(b"Ada: /who\n")
    say(page, "/msg bob psst")
    bob.skips_to(b"Ada (private): psst\n")
    expect(page.locator("h1")).to_have_text("@bob")
    say(page, "/rooms")
    expect(notice).to_contain_text("lobby (2)")
    bob.say("/msg Ada yes?")
    expect(said(page).last).to_contain_text("yes?")
    say(page, "/quit see you")
    bob.skips_to(b"*** Ada has left the chat (see you) ***\n")
    expect(page.locator("#name")).to_be_focused()
    expect(page.locator("#name")).to_have_value("Ada")
    bob.sees_nothing()


# --- reading --------------------------------------------------------------------------------------------------


def test_mention_counts_in_the_title_and_the_icon_and_notifies(server: Server, enter: Enter) -> None:
    stub = """
        window.told = [];
        window.Notification = class { constructor(title, { body }) { told.push([title, body]); window.last = this; } };
        Notification.permission = "granted";
    """
    bob = server.join("Bob")
    page = enter(server, prepare=lambda page: page.add_init_script(stub))
    icon = page.locator("#icon")
    bob.say("Ada: while you look")
    expect(said(page)).to_have_count(1)
    assert page.title() == "hubbub" and page.evaluate("told") == []
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    hide(page)
    bob.say("nothing for you, Adam and Bada", "hey ada!", "/msg Ada psst")
    expect(page).to_have_title("(2) hubbub")
    expect(icon).to_have_attribute("href", "/page/icon-mention.svg")
    assert page.evaluate("told") == [["Bob in lobby", "hey ada!"], ["Bob (private)", "psst"]]
    page.evaluate("last.onclick()")
    hide(page, False)
    expect(page.locator("h1")).to_have_text("@Bob")
    expect(page).to_have_title("(1) hubbub")
    page.get_by_role("button", name=re.compile("^lobby")).click()
    expect(page).to_have_title("hubbub")
    expect(icon).to_have_attribute("href", "/page/icon.svg")
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    bob.say("just so")
    expect(page).to_have_title("• hubbub")


def test_browser_is_told_of_what_the_reader_has_chosen_for_a_room(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server, prepare=lambda page: page.add_init_script(NOTIFYING))

    def choose(label: str) -> None:
        page.get_by_role("button", name="About this room").click()
        page.get_by_role("dialog").get_by_text("Notifications", exact=True).click()
        page.get_by_role("dialog").get_by_label(label).check()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)

    choose("No messages")
    hide(page)
    bob.say("Ada: not now")
    expect(page).to_have_title("(1) hubbub")
    hide(page, False)
    expect(page).to_have_title("hubbub")
    choose("All messages")
    hide(page)
    bob.say("for everybody")
    expect(page).to_have_title("• hubbub")
    page.wait_for_function("told.length === 1 && told[0] === 'for everybody'")


def test_page_works_where_notifications_are_refused_by_the_browser(server: Server, enter: Enter) -> None:
    stub = """
        window.Notification = class { constructor() { throw new TypeError("Illegal constructor"); } };
        Notification.permission = "granted";
    """
    bob = server.join("Bob")
    page = enter(server, prepare=lambda page: page.add_init_script(stub), **PHONE)
    hide(page)
    bob.say("Ada: one", "Ada: two")
    expect(said(page)).to_have_count(2)


def test_unread_is_counted_and_divided_from_what_was_read(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    divider = page.locator("li.unread")
    bob.say("read")
    expect(said(page)).to_have_count(1)
    expect(divider).to_have_count(0)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    bob.say("new 1", "new 2", "new 3")
    expect(badge(page, "lobby")).to_contain_text("3 unread")
    page.keyboard.press("Alt+ArrowUp")
    expect(badge(page, "lobby")).to_have_count(0)
    expect(page.locator("li.unread + li")).to_contain_text("new 1")
    page.keyboard.press("Alt+ArrowUp")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("h1")).to_have_text("lobby")
    expect(divider).to_have_count(0)
    hide(page)
    bob.say("while you were away")
    expect(badge(page, "lobby")).to_contain_text("1 unread")
    hide(page, False)
    expect(page.locator("li.unread + li")).to_contain_text("while you were away")
    say(page, "I am back")
    expect(divider).to_have_count(0)


def test_missed_messages_are_unread_after_a_lost_connection(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve()
    bob = server.join("Bob")
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    cable.cut()
    bob.skips_to(b"*** Ada has left the chat ***\n")
    bob.say(*(f"missed {number}" for number in range(30)), "Ada: and for you")
    bob.barrier()
    page.get_by_role("button", name="Try now").focus()
    cable.mend()
    expect(page.locator(".banner")).to_have_count(0)
    expect(page.locator("h1")).to_have_text("ops")
    expect(page.get_by_role("button", name="lobby @ 31 unread, 1 for you")).to_be_visible()
    expect(page.locator("#write")).to_be_focused()


def at_the_top(page: Page) -> list[Any]:
    """Return the uppermost message in view, and where it stands in pixels."""
    return page.evaluate(  # type: ignore[no-any-return]
        """() => {
            const topOf = (node) => node.getBoundingClientRect().top, top = topOf(document.querySelector(".log"));
            const line = [...document.querySelectorAll("li.said")].find((line) => topOf(line) >= top);
            return [line.dataset.seq, Math.round(topOf(line))];
        }"""
    )


def test_scrolling_back_has_no_end_and_keeps_its_place(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    bob.say(*(f"message {number}" for number in range(200)))
    bob.barrier()
    page = enter(server)
    expect(said(page).last).to_contain_text("message 199")
    expect(said(page).last).to_be_in_viewport()
    log = page.locator(".log")
    # What one is shown at first does not fill the log: it fetches more by itself, until one can scroll.
    page.wait_for_function("() => { const log = document.querySelector('.log'); return log.scrollTop > 40; }")
    at_start = False
    while not at_start:
        # What it looks like when the scroll event is told, and when the older ones are there:
        before, after, at_start = log.evaluate(
            """(log) => new Promise((done) => {
                const top = () => {
                    const line = document.querySelector(`[data-seq="${seq}"]`);
                    return Math.round(line.getBoundingClientRect().top);
                };
                const { seq } = log.querySelector("li.said").dataset, had = log.querySelectorAll("li.said").length;
                const isAtStart = () => Boolean(log.querySelector(".start"));
                if (isAtStart()) return done([0, 0, true]);
                log.scrollTop = 40;
                const before = top();
                new MutationObserver((_, watch) => {
                    if (log.querySelectorAll("li.said").length === had && !isAtStart()) return;
                    watch.disconnect();
                    requestAnimationFrame(() => done([before, top(), isAtStart()]));
                }).observe(log, { childList: true, subtree: true });
            })"""
        )
        assert abs(after - before) <= 1
    assert [text.rpartition(" ")[2] for text in page.locator(".text").all_inner_texts()] == [str(n) for n in range(200)]
    place = at_the_top(page)
    expect(page.locator(".newest")).to_be_visible()
    bob.say("one more", "Ada: and another")
    expect(said(page)).to_have_count(202)
    assert at_the_top(page) == place
    expect(page).to_have_title("(1) hubbub")
    expect(page.locator(".newest")).to_contain_text("2 unread")
    page.locator(".newest").click()
    expect(said(page).last).to_be_in_viewport()
    expect(page.locator(".newest")).to_have_count(0)
    expect(page).to_have_title("hubbub")
    log.evaluate("log => { log.scrollTop = 0; }")
    expect(page.locator(".newest")).to_be_visible()
    say(page, "mine")
    expect(said(page).last).to_be_in_viewport()


def test_search_jumps_to_the_place_even_in_a_room_one_is_not_in(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    bob.say("/join attic", "a needle", *(f"hay {number}" for number in range(300)))
    bob.barrier()
    page = enter(server)
    page.get_by_role("button", name="Search").click()
    page.fill("#words", "needle")
    page.keyboard.press("Enter")
    page.locator(".search li button").click()
    expect(page.locator("h1")).to_have_text("attic")
    place = said(page).filter(has_text="needle")
    expect(place).to_be_focused()
    expect(place).to_be_in_viewport()
    bob.say("more hay")
    expect(said(page).last).to_contain_text("more hay")
    expect(place).to_be_in_viewport()


# --- in private -----------------------------------------------------------------------------------------------


def test_two_browsers_talk_in_private(server: Server, enter: Enter) -> None:
    alice = server.join("Alice")
    ada, bo = enter(server, "Ada"), enter(server, "Bo")
    alice.barrier()
    ada.get_by_role("button", name="Bo", exact=True).click()
    say(ada, "just for you")
    expect(badge(bo, "@Ada")).to_contain_text("1 unread, 1 for you")
    bo.get_by_role("button", name=re.compile("^@Ada")).click()
    expect(bo.locator(".text")).to_have_text("just for you")
    expect(bo.locator(".people li")).to_have_count(2)
    say(bo, "thank you")
    expect(said(ada)).to_have_count(2)
    expect(badge(ada, "@Bo")).to_have_count(0)
    alice.sees_nothing()


def test_private_message_waits_for_the_connection_and_may_be_sent_again(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    waiting = page.locator(".waiting")
    page.get_by_role("button", name="Bob", exact=True).click()
    cable.cut()
    say(page, "one")
    expect(waiting).to_contain_text("will be sent when the connection is back")
    cable.mend()
    expect(waiting).to_have_count(0)
    bob.skips_to(b"Ada (private): one\n")
    bob.say("/quit")
    bob.rest()
    say(page, "two")
    expect(waiting).to_contain_text("Not sent: Nobody here is called Bob.")
    expect(said(page)).to_have_count(1)
    bob = server.join("Bob")
    page.get_by_role("button", name="Send again").click()
    expect(said(page)).to_have_count(2)
    expect(waiting).to_have_count(0)
    bob.skips_to(b"Ada (private): two\n")


# --- the connection -------------------------------------------------------------------------------------------


def test_what_is_not_stored_is_marked_and_may_be_sent_again(server: Server, enter: Enter) -> None:
    failing = True

    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["type"] == "say" and failing:
            return {"type": "error", "code": "not-stored", "text": "The disk is full.", "label": request["label"]}
        return None

    bob = server.join("Bob")
    page = enter(server, prepare=lambda page: intercept(page, answer))
    bob.sees(b"*** Ada has joined the chat ***\n")
    say(page, "one")
    say(page, "two")
    waiting = page.locator(".waiting")
    expect(waiting).to_have_count(2)
    expect(waiting.first).to_contain_text("Not sent: The disk is full.")
    bob.sees_nothing()
    failing = False
    waiting.first.get_by_role("button", name="Send again").click()
    expect(waiting).to_have_count(1)
    bob.sees(b"Ada: one\n")
    waiting.get_by_role("button", name="Discard").click()
    expect(waiting).to_have_count(0)
    expect(said(page)).to_have_count(1)
    expect(page.locator("#write")).to_be_focused()


def test_what_was_on_its_way_when_the_connection_broke_twice_is_said_once(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    cable.withheld = {"entries", "stored", "page"}
    say(page, "once")
    expect(page.locator(".waiting")).to_contain_text("sending")
    for withheld in (cable.withheld, set()):
        cable.cut()
        cable.withheld = withheld
        cable.mend()
        expect(page.locator(".banner")).to_have_count(0)
    expect(page.locator(".waiting")).to_have_count(0)
    say(page, "after")
    expect(said(page)).to_have_count(2)
    bob.skips_to(b"Ada: once\n")
    assert b"once" not in bob.skips_to(b"Ada: after\n")


def test_quiet_connection_is_kept_and_a_dead_one_is_left(server: Server, enter: Enter) -> None:
    """A page is shown no pings: it asks, and takes no answer for an answer."""
    asked: list[str] = []
    told: list[str] = []
    dead = False

    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        asked.append(request["type"])
        return {} if dead else None

    def prepare(page: Page) -> None:
        page.clock.install()
        intercept(page, answer, told)

    bob = server.join("Bob")
    page = enter(server, prepare=prepare)
    bob.sees(b"*** Ada has joined the chat ***\n")
    expect(page.locator(".people li")).to_have_count(2)
    for _ in range(4):
        seen, heard = len(asked), len(told)
        page.clock.fast_forward(41_000)
        while "rooms" not in told[heard:]:
            page.evaluate("true")
        page.evaluate("true")  # the answer was handed to the page before that
        assert [one for one in asked[seen:] if one != "settings"] == ["rooms"]
    dead = True
    page.clock.fast_forward(41_000)
    expect(page.locator(".banner")).to_have_count(0)
    page.clock.fast_forward(16_000)
    expect(page.locator(".banner")).to_be_visible()


def test_name_that_is_taken_after_a_break_is_asked_for_again(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    banner = page.locator(".banner")
    cable.cut()
    bob.skips_to(b"*** Ada has left the chat ***\n")
    say(page, "typed meanwhile")
    other = server.join("Ada")
    cable.mend()
    expect(banner).to_contain_text("The name Ada is taken.")
    other.say("/nick Ada3")
    expect(banner).to_have_count(0)  # a moment later, by itself
    expect(page.locator(".waiting")).to_have_count(0)
    other.skips_to(b"Ada: typed meanwhile\n")
    cable.cut()
    other.skips_to(b"*** Ada has left the chat ***\n")
    other.say("/nick Ada")
    other.barrier()
    say(page, "and again")
    cable.mend()
    page.get_by_role("button", name="Take another name").click()
    page.fill("#name", "Ada2")
    page.keyboard.press("Enter")
    expect(banner).to_have_count(0)
    expect(page.locator(".waiting")).to_have_count(0)
    other.skips_to(b"Ada2: and again\n")


def test_door_tells_that_there_is_no_connection(serve: Callable[..., Server], door: Enter) -> None:
    server = serve()
    page = door(server)
    port = server.port
    server.kill()
    page.fill("#name", "Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    serve(port=port)
    expect(page.locator("#write")).to_be_enabled()
