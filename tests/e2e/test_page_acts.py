"""What people do with messages on the page: reply, correct, react, pin, delete, copy; by mouse, keys and touch."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from browser import PHONE, Cable, Enter, badge, hide, intercept, paste, retimed, said, say
from playwright.sync_api import Locator, Page, expect
from test_page import AXE, check_rules
from test_page_accounts import register

from scene import Server

SCRIPTS = (
    "<img/src=x/onerror=owned=1>",
    "<svg/onload=owned=1>",
    '"onmouseover="owned=1',
    "'><script>owned=1</script>",
    "javascript:owned=1",
    "${owned=1}",
    "__proto__",
    "constructor",
)


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, "--no-limits", sniffs=True, patient=True, data=None)


def row(page: Page, text: str) -> Locator:
    return said(page).filter(has_text=text)


def menu(page: Page) -> Locator:
    return page.locator("dialog.acts")


def by_mouse(page: Page, message: Locator) -> Locator:
    message.hover()
    message.get_by_role("button", name="What to do with this message").click()
    return menu(page)


def by_keys(page: Page, message: Locator) -> Locator:
    """Go up from the field to the message, and open its menu."""
    page.locator(".log").focus()
    for _ in range(20):
        page.keyboard.press("ArrowUp")
        if message.evaluate("node => node === document.activeElement"):
            break
    expect(message).to_be_focused()
    page.keyboard.press("Enter")
    return menu(page)


def by_touch(page: Page, message: Locator) -> Locator:
    """Hold a finger on the message until the menu is there."""
    box = message.locator(".text").bounding_box()
    assert box
    touch = page.context.new_cdp_session(page)
    touch.send(
        "Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": box["x"] + 4, "y": box["y"] + 4}]}
    )
    expect(menu(page)).to_be_visible()
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    touch.detach()
    expect(menu(page)).to_be_visible()
    return menu(page)


def choose(page: Page, way: Callable[[Page, Locator], Locator], name: str) -> None:
    """Press a button of the open menu, as the way there suggests."""
    button = menu(page).get_by_role("button", name=name, exact=True)
    if way is by_keys:
        for _ in range(20):
            if button.evaluate("node => node === document.activeElement"):
                break
            page.keyboard.press("ArrowDown")
        expect(button).to_be_focused()
        page.keyboard.press("Enter")
    elif way is by_touch:
        button.tap()
    else:
        button.click()


WAYS = pytest.mark.parametrize("way", [by_mouse, by_keys, by_touch])


@WAYS
def test_everything_can_be_done_by_any_hand(
    server: Server, enter: Enter, way: Callable[[Page, Locator], Locator]
) -> None:
    page = enter(server, **(PHONE if way is by_touch else {}))
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    bob = server.join("Bob")
    bob.say("/join ops", "tea or coffee?")
    bob.skips_to(b"ops")
    theirs = row(page, "tea or coffee?").first
    expect(theirs).to_be_visible()
    way(page, theirs)
    choose(page, way, "Reply")
    expect(page.locator("#write")).to_be_focused()
    expect(page.locator(".about")).to_contain_text("Replying to Bob: tea or coffee?")
    page.keyboard.insert_text("tee")
    page.keyboard.press("Enter")
    bob.skips_to(b'Ada (re Bob: "tea or coffee?"): tee\n')
    expect(page.locator(".about")).to_have_count(0)
    mine = said(page).nth(1)
    expect(mine.locator(".quote")).to_have_text("In reply to Bob tea or coffee?")
    way(page, mine)
    choose(page, way, "Correct")
    expect(page.locator("#write")).to_have_value("tee")
    page.fill("#write", "tea")
    page.keyboard.press("Enter")
    expect(mine.locator(".text")).to_have_text("tea")
    expect(mine.locator(".edited")).to_be_visible()
    expect(page.locator("#write")).to_have_value("")
    bob.skips_to(b"tea\n")
    way(page, theirs)
    choose(page, way, "Party")
    pill = theirs.locator(".reactions button")
    expect(pill).to_have_attribute("aria-label", "🎉 1: Ada")
    expect(pill).to_have_attribute("aria-pressed", "true")
    way(page, theirs)
    choose(page, way, "Pin")
    expect(page.locator(".pins")).to_contain_text("Bob: tea or coffee?")
    way(page, theirs)
    choose(page, way, "Unpin")
    expect(page.locator(".pins")).to_have_count(0)
    way(page, mine)
    choose(page, way, "Delete…")
    expect(menu(page)).to_contain_text("Delete this message for everybody?")
    choose(page, way, "Delete for everybody")
    expect(said(page)).to_have_count(1)
    expect(menu(page)).to_have_count(0)


def test_changes_by_others_are_seen_at_once_and_count_for_nothing(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.say("I can't wait to pay", "second")
    bob.barrier()
    expect(said(page)).to_have_count(2)
    rows = page.locator("li[data-seq]").count()
    hide(page)
    eve = server.join("Eve")
    eve.say("/+ 🎉 Bob", "Bob: hello")
    bob.say("/fix #1 nothing", "/fix I can't wait to play, Ada")
    eve.say("/- 🎉 Bob", "/+ 👀 Bob")
    eve.barrier()
    bob.barrier()
    expect(said(page)).to_have_count(3)
    expect(page).to_have_title(re.compile("• "))
    expect(badge(page, "lobby")).to_have_count(1)
    assert badge(page, "lobby").inner_text().startswith("1"), "only what was said is unread"
    hide(page, False)
    expect(page.locator(".reactions button")).to_have_count(1)
    expect(page.locator(".reactions button")).to_have_attribute("title", "Eve")
    expect(page.locator(".edited")).to_have_count(1)
    assert page.locator("li[data-seq]").count() <= rows + 2, "a change is no line: Eve has joined and spoken"
    late = enter(server, "Late")
    expect(said(late).locator(".text")).to_have_text(said(page).locator(".text").all_inner_texts())
    expect(late.locator(".reactions button")).to_have_attribute("title", "Eve")


def test_reactions_are_added_and_taken_back_by_a_click(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page, other = enter(server), enter(server, "Eve")
    bob.say("a vote: yes?")
    expect(said(other)).to_have_count(1)
    by_mouse(page, said(page))
    page.get_by_label("Another reaction").fill("yes")
    page.keyboard.press("Enter")
    pill = said(other).locator(".reactions button")
    expect(pill).to_have_text("yes 1")
    pill.click()
    for one in (page, other):
        expect(said(one).locator(".reactions button")).to_have_text("yes 2")
        expect(said(one).locator(".reactions button")).to_have_attribute("title", "Ada, Eve")
    by_mouse(page, said(page))
    expect(menu(page).locator("ul")).to_have_text("yes Ada, Eve")
    page.keyboard.press("Escape")
    pill.click()
    expect(said(page).locator(".reactions button")).to_have_text("yes 1")
    said(page).locator(".reactions button").click()
    for one in (page, other):
        expect(said(one).locator(".reactions")).to_have_count(0)


def test_quote_pin_and_link_lead_to_a_message_that_is_far_back(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    bob.say("/join ops", "the first of all")
    bob.barrier()
    bob.say("/pin", *(f"line {number}" for number in range(400)), "/re #2 x", "/re Bob y")
    bob.barrier()
    page = enter(server)
    say(page, "/join ops")
    expect(page.locator(".pins")).to_contain_text("Bob: the first of all")
    expect(said(page).last).to_be_in_viewport()
    expect(row(page, "the first of all")).to_have_count(0)
    page.locator(".pinned").click()
    far = row(page, "the first of all")
    expect(far).to_be_focused()
    expect(far).to_be_in_viewport()
    seq = far.get_attribute("data-seq")
    say(page, "here again")
    expect(said(page).last).to_be_in_viewport()
    expect(page.locator("h1")).to_have_text("ops")
    page.goto(f"http://127.0.0.1:{server.port}/#ops/{seq}")
    expect(far).to_be_focused()
    expect(far).to_be_in_viewport()
    other = enter(server, "Eve", path=f"/#ops/{seq}")
    expect(row(other, "the first of all")).to_be_in_viewport()


def test_answers_lose_their_quote_with_the_message(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.say("a secret slip", "/pin")
    expect(said(page)).to_have_count(1)
    say(page, "/re Bob careful")
    quote = said(page).last.locator(".quote")
    expect(quote).to_have_text("In reply to Bob a secret slip")
    bob.skips_to(b"careful\n")
    bob.say("/fix nothing at all")
    expect(quote).to_have_text("In reply to Bob nothing at all")
    said(page).first.hover()
    said(page).first.get_by_role("button", name="Reply").click()
    expect(page.locator(".about")).to_be_visible()
    bob.say("/delete")
    expect(quote).to_have_text("In reply to a deleted message")
    expect(page.locator(".about")).to_have_count(0)
    expect(page.locator("#app")).not_to_contain_text("nothing at all")


def test_up_corrects_the_last_message_and_escape_keeps_it(server: Server, enter: Enter) -> None:
    page = enter(server)
    write = page.locator("#write")
    for text in ("/who", "first", "last"):
        say(page, text)
    expect(said(page)).to_have_count(2)
    write.press("ArrowUp")
    expect(write).to_have_value("last")
    expect(page.locator(".about")).to_contain_text("Correcting your message")
    page.fill("#write", "other")
    write.press("Escape")
    expect(page.locator(".about")).to_have_count(0)
    expect(write).to_have_value("")
    expect(write).to_be_focused()
    write.press("ArrowUp")
    write.press("ArrowUp")
    expect(page.locator(".about")).to_have_count(0)
    expect(write).to_have_value("last")
    write.press("ArrowUp")
    expect(write).to_have_value("first")
    page.fill("#write", "a draft")
    by_mouse(page, said(page).last).get_by_role("button", name="Correct").click()
    page.fill("#write", "/not a command")
    write.press("Enter")
    expect(said(page).last.locator(".text")).to_have_text("/not a command")
    expect(write).to_have_value("a draft")
    page.fill("#write", "")
    say(page, "/who")
    expect(page.locator("li.notice")).to_have_count(2)
    write.press("ArrowUp")
    expect(write).to_have_value("/who")


def test_what_was_begun_outlives_a_reload(server: Server, enter: Enter) -> None:
    """A guest who reloads is somebody else to the server; the owner of an account is not."""
    page = enter(server)
    register(page)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    say(page, "wrnog")
    expect(said(page)).to_have_count(1)
    page.press("#write", "ArrowUp")
    page.fill("#write", "wro")
    page.reload()
    expect(page.locator(".about")).to_contain_text("Correcting your message")
    expect(page.locator("#write")).to_have_value("wro")
    expect(page.locator(".people li")).to_have_count(1)  # the connection is back
    page.fill("#write", "wrong")
    page.press("#write", "Enter")
    expect(said(page).locator(".text")).to_have_text("wrong")
    expect(said(page)).to_have_count(1)


def test_refusals_are_shown_where_the_act_was(server: Server, enter: Enter) -> None:
    no = {"code": "too-late", "text": "A message can be corrected for 15 minutes only."}

    def refuse(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["type"] not in ("edit", "react"):
            return None
        return {"type": "error", "label": request["label"], **no}

    page = enter(server, prepare=lambda page: intercept(page, refuse))
    say(page, "mine")
    expect(said(page)).to_have_count(1)
    page.press("#write", "ArrowUp")
    page.fill("#write", "changed")
    page.press("#write", "Enter")
    expect(page.locator(".about").get_by_role("alert")).to_have_text(no["text"])
    expect(page.locator("#write")).to_have_value("changed")
    page.press("#write", "Escape")
    by_mouse(page, said(page)).get_by_role("button", name="Heart").click()
    expect(said(page).get_by_role("alert")).to_have_text(no["text"])


def test_only_what_is_allowed_is_offered(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--edit-minutes", "0")
    bob = server.join("Bob")
    page = enter(server)
    bob.say("theirs")
    say(page, "mine")
    expect(said(page)).to_have_count(2)
    anybody = ["Reply", "Copy text", "Copy link"]
    for text, offered in (("theirs", [*anybody, "About Bob…"]), ("mine", [*anybody, "Delete…"])):
        by_mouse(page, row(page, text))
        expect(menu(page).locator("> button")).to_have_text(offered)
        page.keyboard.press("Escape")
    page.press("#write", "ArrowUp")
    expect(page.locator(".about")).to_have_count(0)
    expect(page.locator("#write")).to_have_value("mine")
    page.fill("#write", "/msg Bob psst")
    page.press("#write", "Enter")
    expect(page.locator("h1")).to_have_text("@Bob")
    said(page).hover()
    expect(said(page).get_by_role("button", name="Reply")).to_have_count(0)
    by_mouse(page, said(page))
    expect(menu(page).locator("> button")).to_have_text(["Copy text"])


def test_text_and_link_are_copied(server: Server, enter: Enter) -> None:
    page = enter(server, prepare=lambda page: page.add_init_script(retimed(2000, 600_000)))  # "copied" stays
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    paste(page, "look:\n```\nif x:\n    pass\n```\nand\n```sh\nls\n```")
    expect(said(page)).to_have_count(1)
    copied = "navigator.clipboard.readText()"
    by_mouse(page, said(page)).get_by_role("button", name="Copy text").click()
    expect(menu(page)).to_have_count(0)
    assert page.evaluate(copied).startswith("look:\n```\nif x:")
    by_mouse(page, said(page)).get_by_role("button", name="Copy link").click()
    expect(menu(page)).to_have_count(0)
    seq = said(page).get_attribute("data-seq")
    assert page.evaluate(copied) == f"http://127.0.0.1:{server.port}/#lobby/{seq}"
    buttons = said(page).get_by_role("button", name="Copy this code")
    for number, code in enumerate(("if x:\n    pass", "ls")):
        buttons.nth(number).click()
        expect(buttons.nth(number)).to_have_class(re.compile("copied"))
        assert page.evaluate(copied) == code
    long = "\n".join(["```", *(f"    step {number}" for number in range(30)), "```"])
    paste(page, long)
    said(page).last.get_by_text("more lines").click()
    said(page).last.get_by_role("button", name="Copy this code").last.click()
    expect(said(page).last.locator(".copied")).to_have_count(1)
    assert page.evaluate(copied) == long.removeprefix("```\n").removesuffix("\n```")
    paste(page, "for x in y:\n    print(x)")
    lines = said(page).last
    expect(lines.locator(".pasted")).to_have_count(1)
    assert "mono" in lines.locator(".text").evaluate("node => getComputedStyle(node).fontFamily")
    lines.get_by_role("button", name="Copy these lines").click()
    expect(lines.locator(".copied")).to_have_count(1)
    assert page.evaluate(copied) == "for x in y:\n    print(x)"


def test_text_is_copied_where_the_browser_has_only_the_old_way(server: Server, enter: Enter) -> None:
    page = enter(server, prepare=lambda page: page.add_init_script("delete Navigator.prototype.clipboard"))
    say(page, "take this")
    expect(said(page)).to_have_count(1)
    page.evaluate("addEventListener('copy', () => { copied = document.activeElement.value; })")
    by_mouse(page, said(page)).get_by_role("button", name="Copy text").click()
    expect(menu(page)).to_have_count(0)
    assert page.evaluate("copied") == "take this"


def test_nothing_in_a_reaction_a_quote_or_code_is_run(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    for script in SCRIPTS:
        bob.say(script)
        bob.say(f"/+ {script} Bob", f"/re Bob {script}")
        bob.barrier()
    bob.say("/pin", f"/fix {SCRIPTS[0]}")
    paste(page, "\n".join(["```", *SCRIPTS, "```"]))
    expect(page.locator("code.block")).to_have_text("\n".join(SCRIPTS) + "\n")
    expect(page.locator(".quote")).to_have_count(len(SCRIPTS))
    pills = page.locator(".reactions button bdi")
    expect(pills).to_have_text(list(SCRIPTS))
    by_mouse(page, said(page).first)
    expect(menu(page).locator("ul bdi")).to_have_text(SCRIPTS[0])
    page.keyboard.press("Escape")
    for number in range(len(SCRIPTS)):
        pills.nth(number).click()
        expect(page.locator(".reactions button").nth(number)).to_contain_text(" 2")
    late = enter(server, "Late")
    expect(late.locator(".reactions button bdi")).to_have_text(list(SCRIPTS))
    for one in (page, late):
        assert one.evaluate("typeof owned") == "undefined"
        expect(one.locator(".frame :is(img, svg, script)")).to_have_count(0)


def test_button_stays_under_the_pointer_while_it_is_pressed(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.say(*(f"line {at}" for at in range(40)), "/+ 👍 Bob")
    pill = page.locator(".reactions button")
    pill.hover()
    page.mouse.down()
    bob.say("more", "and more")
    expect(said(page).last).to_contain_text("and more")
    page.mouse.up()
    expect(pill).to_contain_text(" 2")
    expect(said(page).last).to_be_in_viewport()


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_rules_of_accessibility_are_kept_in_menus_and_corrections(
    server: Server, enter: Enter, options: dict[str, Any]
) -> None:
    prepare = lambda page: page.add_init_script(path=AXE)  # noqa: E731
    page = enter(server, prepare=prepare, bypass_csp=True, **options)
    say(page, "/join ops")
    expect(page.locator("h1")).to_have_text("ops")
    bob = server.join("Bob")
    bob.say("/join ops", "one", "two")
    expect(said(page)).to_have_count(2)
    say(page, "/+ 🎉 Bob")
    say(page, "/re Bob yes")
    say(page, "/pin Bob")
    expect(page.locator(".pins")).to_be_visible()
    paste(page, "```\ncode\n```")
    expect(said(page)).to_have_count(4)
    check_rules(page, "messages with marks")
    page.locator(".log").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(menu(page)).to_be_visible()
    check_rules(page, "the menu")
    menu(page).get_by_role("button", name="Delete…").click()
    check_rules(page, "the question")
    page.keyboard.press("Escape")
    expect(menu(page)).to_have_count(0)
    page.focus("#write")
    page.press("#write", "ArrowUp")
    expect(page.locator(".about")).to_be_visible()
    check_rules(page, "a correction")
    page.press("#write", "Escape")
    page.locator(".pins > button").click()
    check_rules(page, "the pins")


def test_answer_is_sent_when_the_connection_is_back(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    bob.say("anybody?")
    expect(said(page)).to_have_count(1)
    said(page).hover()
    said(page).get_by_role("button", name="Reply").click()
    cable.cut()
    page.keyboard.insert_text("me")
    page.press("#write", "Enter")
    expect(page.locator(".waiting")).to_contain_text("me")
    cable.mend()
    expect(said(page).last.locator(".quote")).to_have_text("In reply to Bob anybody?")
    expect(said(page)).to_have_count(2)


def test_pages_that_are_older_than_a_change_are_changed_as_well(server: Server, door: Enter) -> None:
    """A page of the log may be read before a change, and come behind it."""
    page = door(server)
    entries = page.evaluate(
        """async () => {
            const { Room } = await import("/page/room.js");
            const room = new Room("ops"), by = { nick: "Bob", time: 0 };
            const act = (seq, kind, text) => {
                const grown = room.grow([{ ...by, seq, id: `x.${seq}`, kind, text }]);
                grown.forEach((one) => room.apply(one));
            };
            act(10, "edit", "x.1 new");
            act(11, "react", "x.1 +1");
            act(12, "unreact", "x.1 +1");
            act(13, "react", "x.1 tea");
            act(14, "redact", "x.2");
            const said = (seq, text, more) => ({ ...by, seq, id: `x.${seq}`, kind: "message", text, ...more });
            const page = [said(1, "old"), said(2, "slip"), said(3, "yes", { re: "x.1" })];
            room.mergeBefore({ entries: page, more: false });
            return room.entries.filter(({ kind }) => kind === "message");
        }"""
    )
    first, reply = entries
    assert (first["text"], first["edited"], first["reactions"]) == ("new", True, {"tea": ["Bob"]})
    assert reply["quote"]["text"] == "new"
