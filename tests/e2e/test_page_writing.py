"""Writing on the page: what is taken out of a text, input methods, pasted code, times, files, a room's key."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
from browser import PHONE, Cable, Enter, go_in, paste, said, say
from playwright.sync_api import Page, expect

from scene import Server


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers for every wire that keep nothing, which is faster."""
    return partial(serve, sniffs=True, patient=True, data=None)


def put(page: Page, text: str) -> None:
    """Put a text into the field that no keyboard could type, and send it."""
    page.locator("#write").evaluate(
        "(field, codes) => { field.value = String.fromCharCode(...codes); field.dispatchEvent(new Event('input')); }",
        [int.from_bytes(pair, "big") for pair in _pairs(text.encode("utf-16-be", "surrogatepass"))],
    )
    page.press("#write", "Enter")


def _pairs(data: bytes) -> list[bytes]:
    return [data[at : at + 2] for at in range(0, len(data), 2)]


PASTED = {
    "\x1b[32mok \x1b[0m": "ok",
    "\x1b]0;title\x07text": "text",
    "\x1b]8;;http://x.org\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x1bPq\x1b\\a\x1b(Bb\x9b1mc": "abc",
    "a\u202eb\u2066c\ufeffd": "abcd",
    "\x0304,01red\x03 and \x02bold\x0f": "red and bold",
    "ring\x07 \x00zero": "ring zero",
    "half \ud800 of it": "half \ufffd of it",
}


def test_what_no_text_has_is_taken_out_whole(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.sees(b"*** Ada has joined the chat ***\n")
    for pasted, heard in PASTED.items():
        put(page, pasted)
        bob.sees(f"Ada: {heard}\n".encode())
    expect(page.locator(".text")).to_have_text([*PASTED.values()])
    expect(page.locator(".waiting")).to_have_count(0)


def test_what_no_text_has_is_taken_out_in_private(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.sees(b"*** Ada has joined the chat ***\n")
    put(page, "/msg Bob \x1b[32mok\x1b[0m \x0304red")
    bob.sees(b"Ada (private): ok red\n")
    expect(page.locator(".text")).to_have_text("ok red")


def test_text_of_nothing_is_not_sent(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    for nothing in ("\u2066", "\u202e\u202c", "\x00", "\ufeff", "\x1b[0m", " \t \n "):
        put(page, nothing)
    put(page, "\u00ad\u200b")  # only the server knows all that is not seen
    say(page, "something")
    expect(said(page)).to_have_count(1)
    expect(page.locator(".waiting")).to_have_count(0)
    assert [message["text"] for message in cable.sent if message["type"] == "say"][1:] == ["something"]
    bob.skips_to(b"*** Ada has joined the chat ***\n")
    bob.sees(b"Ada: something\n")


def test_half_a_character_harms_nothing_anywhere(server: Server, door: Enter) -> None:
    page = door(server)
    page.locator("#name").evaluate("field => { field.value = 'A\\ud800'; }")
    page.press("#name", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("name", ignore_case=True)
    go_in(page, "Ada")
    for line in ("/who \ud800", "/topic half \ud800"):
        put(page, line)
    expect(page.locator(".topic")).to_contain_text("half \ufffd")
    expect(page.locator(".banner")).to_have_count(0)


def test_enter_of_an_input_method_sends_nothing(server: Server, enter: Enter) -> None:
    """Safari says after the end of the composition that a key was pressed, and only its code tells what for."""
    page = enter(server)
    say(page, "said before")
    expect(said(page)).to_have_count(1)
    page.fill("#write", "にほん")
    key = (
        "(node, init) => node.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, cancelable: true, ...init }))"
    )
    for init in ({"key": "Enter", "keyCode": 229}, {"key": "ArrowUp", "keyCode": 229}, {"key": "Tab", "keyCode": 229}):
        assert page.locator("#write").evaluate(key, init), f"{init} was taken from the input method"
    expect(page.locator("#write")).to_have_value("にほん")
    page.keyboard.press("Control+k")
    page.locator("#words").evaluate(key, {"key": "Escape", "keyCode": 229})
    expect(page.locator(".search")).to_be_visible()
    page.keyboard.press("Escape")
    page.press("#write", "Enter")
    expect(said(page).last).to_contain_text("にほん")
    expect(said(page)).to_have_count(2)


def test_pasted_code_keeps_its_indentation(server: Server, enter: Enter) -> None:
    page = enter(server)
    paste(page, "    first\n        second")
    lines = page.locator(".text").last
    expect(lines).to_contain_text("second")
    first, second = lines.locator("> span").evaluate_all(
        """spans => spans.map(span => {
            const range = document.createRange();
            const text = document.createTreeWalker(span, NodeFilter.SHOW_TEXT).nextNode();
            range.setStart(text, text.data.search(/\\S/)); range.setEnd(text, text.data.search(/\\S/) + 1);
            return [text.data.search(/\\S/), range.getBoundingClientRect().left];
        })"""
    )
    assert second[0] - first[0] == 4, "the first line is indented by as much as it was"


def test_code_has_a_face_of_its_own(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    paste(page, "look:\n```\nif x:\n    return `y`\n```\nand `this one`, `` not")
    expect(page.locator("code.block")).to_have_text("if x:\n    return `y`\n", use_inner_text=False)
    expect(page.locator("code:not(.block)")).to_have_text("this one")
    face = page.locator("code.block").evaluate("node => getComputedStyle(node).fontFamily")
    assert "mono" in face
    bob.skips_to(b"Ada: ```\n")
    bob.say("```", "no end")
    expect(said(page)).to_have_count(3)


# As on a busy machine: what the page does after it has drawn something comes half a second late.
LATE = """
    const draw = requestAnimationFrame, later = setTimeout;
    globalThis.requestAnimationFrame = (act) => later(() => draw(act), 500);
    globalThis.setTimeout = (act, delay, ...rest) => later(act, delay === 100 ? 600 : delay, ...rest);
"""


def test_what_is_done_at_once_is_not_undone_by_a_busy_page(server: Server, door: Enter) -> None:
    page = door(server, prepare=lambda page: page.add_init_script(LATE), **PHONE)
    page.evaluate("location.hash = '#ops'")
    go_in(page, "Ada")
    room, write = page.locator("h1"), page.locator("#write")
    expect(room).to_have_text("ops")
    page.fill("#write", "a draft")
    page.keyboard.press("Alt+ArrowUp")
    expect(room).to_have_text("lobby")
    write.press("x")
    expect(write).to_have_value("x")
    page.get_by_role("button", name="About this room").click()
    page.get_by_role("dialog").get_by_role("button", name="Share the address").click()
    page.get_by_role("dialog", name="Share lobby").get_by_role("button", name="Close").click()
    for name in ("dev", "den"):
        page.locator("header").get_by_role("button", name="Rooms").click()
        page.fill("#room", name)
        page.press("#room", "Enter")
        expect(room).to_have_text(name)
    expect(page.locator(".rooms")).to_be_hidden()


# --- times ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_times_are_those_of_the_reader(server: Server, enter: Enter, zone: str) -> None:
    bob = server.join("Bob")
    page = enter(server, timezone_id=zone, locale="en-US")
    bob.say("one")
    expect(said(page)).to_have_count(1)
    shown = said(page).locator("time")
    notice = page.locator("li.notice").last
    for typed in (shown.get_attribute("title"), shown.inner_text(), page.locator("li.day").inner_text(), "today", "2h"):
        say(page, f"/since {typed}")
        expect(notice).to_contain_text("Bob: one")
        assert shown.get_attribute("title") in notice.inner_text(), "it is told as it is typed"
        page.get_by_role("button", name="Close this answer").click()
        expect(notice).to_have_count(0)
    later = page.evaluate("new Intl.DateTimeFormat('sv', { dateStyle: 'short' }).format(Date.now() + 24 * 3600e3)")
    say(page, f"/since {later}")
    expect(notice).to_contain_text("Nothing was said since then")
    say(page, "/since nonsense")
    expect(page.locator("li.notice.error")).to_contain_text("Give a time like")


def test_times_of_day_are_equally_wide_where_the_day_has_24_hours(server: Server, door: Enter) -> None:
    page = door(server, locale="en-GB", timezone_id="UTC")
    times = page.evaluate("import('/page/text.js').then(({ timeOf }) => [timeOf(9 * 60), timeOf(23 * 3600)])")
    assert times == ["00:09", "23:00"]


# --- what cannot be sent --------------------------------------------------------------------------------------

DATA = "new DataTransfer()"
FILE = "data.items.add(new File(['x'], 'shot.png', { type: 'image/png' }));"


def test_file_that_is_pasted_or_dropped_is_answered(server: Server, enter: Enter) -> None:
    page = enter(server)
    for event in (
        "new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })",
        "new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })",
    ):
        taken = page.locator("#write").evaluate(
            f"field => {{ const data = {DATA}; {FILE} return !field.dispatchEvent({event}); }}"
        )
        assert taken, "the browser would leave the page for it"
        expect(page.get_by_role("alert")).to_contain_text("Pictures and files can't be sent here.")
        page.keyboard.press("Escape")
        expect(page.get_by_role("alert")).to_have_count(0)


def test_typing_goes_to_the_field_from_anywhere(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server)
    bob.say("click me")
    said(page).click()
    page.keyboard.type("hello")
    expect(page.locator("#write")).to_have_value("hello")
    page.locator(".log").click(position={"x": 5, "y": 5})
    page.evaluate("""() => {
        const data = new DataTransfer();
        data.setData("text/plain", " you");
        const init = { clipboardData: data, bubbles: true, cancelable: true };
        document.activeElement.dispatchEvent(new ClipboardEvent("paste", init));
    }""")
    expect(page.locator("#write")).to_have_value("hello you")


def test_phone_has_a_key_for_a_new_line(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    page = enter(server, **PHONE)
    page.fill("#write", "one")
    page.get_by_role("button", name="New line").tap()
    expect(page.locator("#write")).to_be_focused()
    page.keyboard.insert_text("two")
    page.get_by_role("button", name="Send").tap()
    bob.skips_to(b"Ada: one\nAda: two\n")


def test_at_sign_before_a_name_is_completed(server: Server, enter: Enter) -> None:
    server.join("Orla")
    page = enter(server)
    expect(page.locator(".people li")).to_have_count(2)
    page.keyboard.type("ask @Or")
    page.keyboard.press("Tab")
    expect(page.locator("#write")).to_have_value("ask Orla ")


# --- answers are seen -----------------------------------------------------------------------------------------


def test_answers_and_errors_are_in_view(serve: Callable[..., Server], enter: Enter) -> None:
    server = serve("--no-limits")
    bob = server.join("Bob")
    bob.say(*(f"line {number}" for number in range(100)))
    bob.barrier()
    page = enter(server)
    expect(said(page).last).to_contain_text("line 99")
    log, notice = page.locator(".log"), page.locator("li.notice").last
    for command, answer in (("/help", "/nick NAME"), ("/nonsense", "There is no command /nonsense")):
        log.evaluate("log => { log.scrollTop = 0; }")
        expect(page.locator(".newest")).to_be_visible()
        say(page, command)
        expect(notice).to_contain_text(answer)
        expect(notice).to_be_in_viewport()
    expect(notice).to_have_class(re.compile("error"))
    log.evaluate("log => { log.scrollTop = 0; }")
    expect(page.locator(".newest")).to_be_visible()
    bob.say("/join ops", "/invite Ada")
    expect(page.locator(".flash")).to_contain_text("Bob invites you to ops. Type /join ops.")
    page.locator(".newest").click()
    expect(page.locator(".flash")).to_have_count(0)
    expect(notice).to_contain_text("Bob invites you to ops")


@pytest.mark.parametrize("window", [{}, PHONE], ids=["desk", "phone"])
def test_room_asks_for_its_key(server: Server, enter: Enter, window: dict[str, object]) -> None:
    rooms = ["field", "keyed", "list", "command"]
    bob = server.join("Bob")
    for room in rooms:
        bob.say(f"/join {room}", "/set key sesame", f"in {room}")
    bob.barrier()
    page = enter(server, **window)
    for room in rooms:
        if window and room != "command":
            page.locator("header").get_by_role("button", name="Rooms").click()
        if room == "command":
            say(page, "/join command")
        elif room == "list":
            page.get_by_role("button", name=re.compile("^list")).click()
        else:
            page.fill("#room", "keyed sesame" if room == "keyed" else room)
            page.press("#room", "Enter")
        if room != "keyed":
            give_key(page, room)
        expect(page.locator("h1")).to_have_text(room)
        expect(said(page)).to_contain_text(f"in {room}")
        expect(page.get_by_role("alert")).to_have_count(0)


def give_key(page: Page, room: str) -> None:
    """Give a wrong key, and then the right one."""
    alert, key = page.get_by_role("alert"), page.get_by_label(f"The key of {room}")
    expect(alert).to_have_text(f"{room} needs its key.")
    expect(key).to_be_focused()
    key.fill("wrong")
    key.press("Enter")
    expect(alert).to_have_text(f"That is not the key of {room}.")
    hides = "node => node.closest('.knock').scrollHeight > node.closest('.knock').clientHeight"
    assert not alert.evaluate(hides), "the reason or the field is cut off"
    key.fill("sesame")
    key.press("Enter")


def test_room_with_a_key_is_entered_again_after_a_break(server: Server, enter: Enter) -> None:
    bob = server.join("Bob")
    bob.say("/join team-red", "/set key sesame")
    bob.barrier()
    cable = Cable()
    page = enter(server, prepare=cable.lay)
    say(page, "/join team-red sesame")
    expect(page.locator("h1")).to_have_text("team-red")
    say(page, "/leave lobby")
    expect(page.locator("nav.rooms ul").first.locator("li")).to_have_count(1)
    cable.cut()
    say(page, "typed meanwhile")
    cable.mend()
    expect(page.locator(".banner")).to_have_count(0)
    expect(said(page)).to_contain_text("typed meanwhile")
    expect(page.locator("nav.rooms ul").first.locator("li")).to_have_count(1)


def test_name_of_a_room_is_kept_and_mended(server: Server, enter: Enter) -> None:
    page = enter(server)
    page.fill("#room", "Class 8b")
    page.press("#room", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("Room names can't contain spaces.")
    expect(page.locator("#room")).to_have_value("Class 8b")
    expect(page.locator("li.notice")).to_have_count(0)
    page.get_by_role("button", name="Join class-8b").click()
    expect(page.locator("h1")).to_have_text("class-8b")
    expect(page.locator("#room")).to_have_value("")
    page.fill("#room", "a/b")
    page.press("#room", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("room", ignore_case=True)
    expect(page.locator("#room")).to_have_value("a/b")


# --- the door -------------------------------------------------------------------------------------------------


def test_door_keeps_what_was_typed_and_offers_a_name(server: Server, door: Enter) -> None:
    server.join("Bob")
    page = door(server)
    name, alert = page.locator("#name"), page.get_by_role("alert")
    for typed in ("Ada Lovelace", "Bob", "x" * 40):
        name.fill(typed)
        name.press("Enter")
        expect(alert).not_to_have_text("")
        expect(name).to_have_value(typed)
    name.fill("Ms Miller")
    name.press("Enter")
    page.get_by_role("button", name="Join as Ms-Miller").click()
    expect(page.locator(".me")).to_have_text("You are Ms-Miller")


def test_door_keeps_what_was_typed_though_it_knows_a_name(server: Server, enter: Enter) -> None:
    page = enter(server)
    say(page, "/quit")
    expect(page.locator("#name")).to_have_value("Ada")
    server.join("Bob")
    page.fill("#name", "Bob")
    page.press("#name", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("Bob")
    expect(page.locator("#name")).to_have_value("Bob")
