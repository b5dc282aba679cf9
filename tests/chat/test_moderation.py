"""What operators do, by the commands that they type and by the calls of a listener."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from doubles import NOON, House, Peer, refusing
from hubbub.chat import messages, moderation
from hubbub.chat.commands import moderation as moderation_commands
from hubbub.chat.messages import Which
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.entries import Kicked, Kind, ModeChange
from hubbub.model.events import (
    Acknowledged,
    Invited,
    MembersListed,
    Notice,
    Refusal,
    RoomEntered,
    RoomExited,
    RoomNameChanged,
    SettingsListed,
)
from hubbub.model.room.modes import without_secrets
from hubbub.text.bounds import FOLDED_CHARS, MASKS_IN_LIST
from hubbub.text.refusals import LOGINS_BUSY
from records import draft_of, parse, text_in

HOSTS = {"Al": "~nc@aaaaaaaaaa.nc", "Bo": "~nc@bbbbbbbbbb.nc", "Cy": "~nc@bbbbbbbbbb.nc"}


ADDRESSES = {"Al": "192.0.2.1", "Bo": "192.0.2.2", "Cy": "192.0.2.2"}


def cloak(address: str) -> str:
    return {"192.0.2.1": "aaaaaaaaaa", "192.0.2.2": "bbbbbbbbbb"}.get(address, "cccccccccc")


def in_ops(*names: str) -> tuple[House, list[Peer]]:
    """Return people in ops, the first of whom opened it; all is settled and seen."""
    house = House()
    house.hub.cloak = cloak
    peers = [house.connect() for _ in names]
    for peer, name in zip(peers, names, strict=True):
        peer.session.host = HOSTS.get(name, "~nc@cccccccccc.nc")
        peer.session.address = ADDRESSES.get(name, "192.0.2.3")
        peer.types(name, "/join ops")
        house.settle()
    house.forget()
    return house, peers


def typed(house: House, peer: Peer, *lines: str) -> list[object]:
    """Return what a peer sees after it typed lines."""
    peer.seen.clear()
    peer.types(*lines)
    house.settle()
    return [one.code if isinstance(one, Refusal) else one for one in peer.sees()]


def says(*lines: str) -> Notice:
    return Notice(lines)


def would_ban(whom: str, typed: str) -> Notice:
    return says(f"This would ban {whom}. Type /ban {typed} yes to go ahead.")


# --- operators ------------------------------------------------------------------------------------------------------


def test_settings_show_the_operators() -> None:
    house, (al, _bo) = in_ops("Al", "Bo")
    (who,) = typed(house, al, "/who")
    assert isinstance(who, MembersListed) and who.operators == ("Al",)


@pytest.mark.parametrize(
    "line",
    ["/op Bo", "/founder Bo", "/kick Al", "/ban Al", "/mute Al yes", "/unban x", "/set limit 5", "/set moderated on"],
)
def test_others_may_not(line: str) -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    assert typed(house, bo, line) == ["not-operator"] and al.sees() == []


def test_operator_makes_others_so_and_takes_it_back() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    assert typed(house, al, "/op bo", "/voice bo", "/op Bo") == [says("Nothing has changed: that is already so")]
    assert bo.sees() == ["Al + +o Bo!~nc@bbbbbbbbbb.nc", "Al + +v Bo!~nc@bbbbbbbbbb.nc"]
    assert typed(house, bo, "/deop Al", "/devoice Bo") == [] and not house.hub.rooms.loaded["ops"].state.is_operator(
        al.user
    )
    assert typed(house, al, "/op Al") == ["not-operator"]
    assert typed(house, bo, "/op Nobody", "/op Zo") == ["no-such-name", "no-such-name"]
    house.enter("Zo")
    assert typed(house, bo, "/op Zo") == ["not-there"]


def test_operator_hands_the_room_over_in_one_entry() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    house.enter("Zo")
    assert typed(house, al, "/founder Nobody", "/founder Zo") == ["no-such-name", "not-there"]
    assert typed(house, al, "/founder Al") == [says("Nothing has changed: that is already so")]
    state = house.hub.rooms.loaded["ops"].state
    assert state.is_operator(al.user) and bo.sees() == []
    assert typed(house, al, "/founder bo") == []
    assert bo.sees() == ["Al + +o-o Bo!~nc@bbbbbbbbbb.nc Al!~nc@aaaaaaaaaa.nc"]
    assert state.is_operator(bo.user) and not state.is_operator(al.user)
    assert typed(house, al, "/founder Bo") == ["not-operator"]
    al.user.operator = True  # of the server: has nothing to give away in this room
    assert typed(house, al, "/founder Al") == [] and state.is_operator(al.user)


def test_what_is_taken_back_does_not_return_with_a_former_name() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/op Bo", "/voice Bo")
    typed(house, bo, "/nick Bob")
    typed(house, al, "/op Bob", "/deop Bob")  # so already; and not
    typed(house, bo, "/leave", "/nick Bo", "/join ops")
    rules = house.hub.rooms.loaded["ops"].state
    assert not rules.is_operator(bo.user) and set(rules.rights.values()) == {"o", "v"}


def test_operator_who_comes_back_under_a_new_name_is_one() -> None:
    house, (al,) = in_ops("Al")
    typed(house, al, "/nick Alf", "/leave")
    assert "ops" not in house.hub.rooms.loaded
    typed(house, al, "/join ops", "/who")
    assert house.hub.rooms.loaded["ops"].state.is_operator(al.user)


CLOSING = ["/set key tea", "/set invite-only on", "/set secret on"]


@pytest.mark.parametrize("line", CLOSING)
def test_name_and_address_alone_give_no_rights_in_a_closed_room(line: str) -> None:
    """Neither to somebody who comes in with them nor to a member who takes the name."""
    house, (bo, cy) = in_ops("Bo", "Cy")
    typed(house, bo, line)
    bo.leave()
    typed(house, cy, "/nick Bo")
    assert cy.session.nick == "Bo" and not house.hub.rooms.loaded["ops"].state.is_operator(cy.user)
    typed(house, cy, "/nick Ed", "/leave")
    mallory = house.connect()
    mallory.session.host = HOSTS["Bo"]
    typed(house, mallory, "Di", "/nick Bo", "/join ops", "/leave", "/join ops")
    room = house.hub.rooms.loaded.get("ops")
    assert room is None or not room.state.is_operator(mallory.user)
    assert bool(room) is (line == "/set secret on")


@pytest.mark.parametrize("line", CLOSING)
def test_operator_comes_back_to_a_closed_room_on_the_same_connection_or_with_its_key(line: str) -> None:
    house, (bo,) = in_ops("Bo")
    typed(house, bo, line, "/leave", "/join ops")
    assert house.hub.rooms.loaded["ops"].state.is_operator(bo.user)
    bo.leave()
    again = house.connect()
    again.session.host = HOSTS["Bo"]
    typed(house, again, "Bo", "/join ops tea")
    room = house.hub.rooms.loaded.get("ops")
    assert bool(room and room.state.is_operator(again.user)) is ("key" in line)


def test_silenced_user_cannot_change_names() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/mute Bo yes")
    assert typed(house, bo, "/nick Bob", "x") == ["name-kept", "muted"]
    typed(house, al, "/voice Bo")
    typed(house, bo, "/nick Bob")
    assert bo.session.nick == "Bob"
    typed(house, al, "/devoice Bob", "/ban Bob!*@*.nowhere yes")
    house.hub.naming.lose_name("bob")
    house.settle()
    assert bo.session.nick == "Bob2"  # the server may


def test_oper_asks_the_check_of_operators() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    asked: list[tuple[str, str, Callable[[bool | None], None]]] = []
    house.hub.verify = lambda name, password, done: asked.append((name, password, done))
    assert typed(house, bo, "/oper root a b", "/kick Al") == []
    (_, _, done) = asked[0]
    assert asked[0][:2] == ("root", "a b")
    done(True)
    house.settle()
    assert bo.sees() == [says("You may act in every room now")] and al.sees() == ["Bo x Al", RoomExited("ops", "lobby")]
    typed(house, al, "/oper root x")
    asked[1][2](False)
    assert al.sees() == [says("Wrong name or password")]
    typed(house, al, "/oper root x")
    asked[2][2](None)
    assert al.sees() == [Refusal.of(LOGINS_BUSY())]
    typed(house, al, "/oper root x")
    al.leave()
    asked[3][2](True)


def test_without_operators_nobody_is_one() -> None:
    house, (al,) = in_ops("Al")
    assert typed(house, al, "/oper root x") == [says("Wrong name or password")]


# --- kicks, bans, mutes ---------------------------------------------------------------------------------------------


def test_kick() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    assert typed(house, al, "/kick bo too loud", "/kick Bo") == ["not-there"]
    assert bo.sees() == ["Al x Bo too loud", RoomExited("ops", "lobby")]
    assert cy.sees() == ["Al x Bo too loud"]
    assert bo.user not in house.hub.rooms.loaded["ops"].members
    assert typed(house, al, "/kick Cy") == [] and cy.sees() == ["Al x Cy", RoomExited("ops", "lobby")]


def test_kicked_member_gets_no_later_entries_of_the_batch() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    cy.types("before")
    al.types("/kick Bo")
    cy.types("behind his back")
    house.settle()
    assert bo.sees() == ["Cy: before", "Al x Bo", RoomExited("ops", "lobby")]
    assert al.sees() == ["Cy: before", "Cy: behind his back"]


@pytest.mark.parametrize("together", [True, False])
def test_kick_means_the_member_whatever_the_name_is_by_then(together: bool) -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    house.turn()
    bo.types("/nick Max")
    al.types("/kick Bo")
    batch = house.gather()
    for drafts in [batch] if together else [[draft] for draft in batch]:
        house.commit(house.broker.store(drafts))
    house.settle()
    assert bo.user.nick == "Max" and bo.user not in house.hub.rooms.loaded["ops"].members
    assert cy.sees()[-1] == "Al x Max"
    seen = bo.sees()
    assert "Al x Max" in seen and seen[-1] == RoomExited("ops", "lobby")


def test_kick_does_not_mean_somebody_else_who_has_the_name_by_then() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    al.types("/kick Bo")
    batch = house.gather()
    bo.leave()
    cy.types("/nick Bo")
    house.settle()
    house.commit(house.broker.store(batch))
    assert cy.user.nick == "Bo" and cy.user in house.hub.rooms.loaded["ops"].members


def test_kick_of_an_older_log_means_the_member_of_that_name() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    house.hub.publish(al.session, house.hub.rooms.loaded["ops"], Kicked("Bo"))
    house.settle()
    assert bo.user not in house.hub.rooms.loaded["ops"].members


def test_stalled_member_that_is_kicked_learns_by_whom() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    bo.stall()
    typed(house, al, "/kick Bo")
    bo.read()
    (left,) = bo.sees()
    assert isinstance(left, RoomExited) and left.kick and text_in(left.kick) == "Bo"


def test_kick_of_a_member_that_has_left_does_nothing() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    al.types("/kick Bo")
    bo.types("/leave")
    house.settle()
    assert "ops" in house.hub.rooms.loaded and bo.user not in house.hub.rooms.loaded["ops"].members


def test_ban_says_first_whom_it_would_hit() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    assert typed(house, al, "/ban bo") == [
        says(
            "This would ban anyone called Bo (here now: Bo). Type /ban bo yes to go ahead.",
            "To ban everybody from the same address as Bo: /ban bbbbbbbbbb",
        )
    ]
    assert typed(house, al, "/ban bbbbbbbbbb 1h") == [
        would_ban("anyone from the address bbbbbbbbbb (here now: Bo, Cy)", "bbbbbbbbbb 1h")
    ]
    assert typed(house, al, "/ban 192.0.2.7") == [
        would_ban("anyone from the address cccccccccc (here now: nobody)", "192.0.2.7")
    ]
    assert typed(house, al, "/ban z*") == [would_ban("anyone who matches z*!*@* (here now: nobody)", "z*")]
    assert typed(house, al, "/ban Nemo") == [would_ban("anyone called Nemo (here now: nobody)", "Nemo")]
    assert bo.sees() == cy.sees() == []


def test_ban_keeps_out_and_throws_out() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    assert typed(house, al, "/ban bbbbbbbbbb 30m yes") == []
    assert cy.sees()[0] == f"Al + +b *!*@bbbbbbbbbb.* until={NOON + 1800:.0f}"
    assert bo.sees()[-1] == RoomExited("ops", "lobby")
    assert typed(house, bo, "/join ops") == ["banned"]
    assert typed(house, al, "/bans") == [says("banned: *!*@bbbbbbbbbb.* (by Al, for 30 minutes more)")]
    house.now += 1801
    assert typed(house, al, "/bans") == [says("Nobody is banned or muted here")]
    assert type(typed(house, bo, "/join ops")[0]) is RoomEntered


def test_operators_are_not_thrown_out_by_a_ban() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/op Bo", "/ban *!*@* yes")
    assert {al.user, bo.user} <= set(house.hub.rooms.loaded["ops"].members)


def test_refused_join_does_not_unload_a_room_that_others_join() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/ban Bo yes", "/leave ops")
    bo.types("/join ops")
    al.types("/join ops", "hello")
    house.settle()
    assert al.user in house.hub.rooms.loaded["ops"].members and not al.untaken


def test_ban_of_a_room_that_became_empty_is_kept_for_the_next_time() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/ban Bo yes", "/leave ops")
    assert "ops" not in house.hub.rooms.loaded
    assert typed(house, bo, "/join ops") == ["banned"] and "ops" not in house.hub.rooms.loaded
    typed(house, al, "/join ops", "/unban bo", "/kick x")
    assert type(typed(house, bo, "/join ops")[0]) is RoomEntered


@pytest.mark.parametrize("verb", ["ban", "mute"])
def test_person_alone_at_an_address_is_barred_from_there(verb: str) -> None:
    """Another connection under another name is no way back in."""
    house, (al, bo) = in_ops("Al", "Bo")
    whom = "anyone called Bo and anyone from the address bbbbbbbbbb (here now: Bo)"
    assert typed(house, al, f"/{verb} Bo") == [says(f"This would {verb} {whom}. Type /{verb} Bo yes to go ahead.")]
    typed(house, al, f"/{verb} Bo 1h yes", f"/{verb} Cy yes")
    bo.leave()
    cy = house.connect()
    cy.session.host = HOSTS["Cy"]
    typed(house, cy, "Cyd", "/join ops", "hi")
    assert not any(text_in(entry) == "hi" for entry in house.broker.of("ops"))
    typed(house, al, f"/un{verb} bo")
    assert typed(house, al, "/bans") == [says(f"{'banned' if verb == 'ban' else 'muted'}: Cy!*@* (by Al)")]


def test_person_who_shares_an_address_with_others_there_is_barred_by_name() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    typed(house, al, "/mute Bo yes")
    assert typed(house, bo, "hi") == ["muted"] and typed(house, cy, "hi") == []
    al.user.host = al.session.host = HOSTS["Bo"]
    cy.leave()
    typed(house, al, "/ban Bo yes")
    assert typed(house, al, "/bans") == [says("muted: Bo!*@* (by Al)", "banned: Bo!*@* (by Al)")]


def browse(house: House, browser: str, name: str) -> Peer:
    """Return somebody in ops who shares the router of Bo and Cy, in one of the browsers there."""
    peer = house.connect()
    peer.session.host, peer.session.address, peer.session.browser = HOSTS["Bo"], ADDRESSES["Bo"], browser
    typed(house, peer, name, "/join ops")
    return peer


def test_mute_holds_for_the_browser_and_for_nobody_else_behind_the_router() -> None:
    house, (al,) = in_ops("Al")
    joker, cy, tab = browse(house, "b1", "Joker"), browse(house, "b2", "Cy"), browse(house, "b1", "Tab")
    nc = browse(house, "", "Nc")
    typed(house, al, "/mute Joker yes")
    assert typed(house, joker, "hi") == typed(house, tab, "hi") == ["muted"], "in both tabs"
    joker.leave()
    again = browse(house, "b1", "Somebody")
    assert typed(house, again, "hi") == ["muted"]
    assert typed(house, cy, "hi") == typed(house, nc, "hi") == []
    typed(house, al, "/unmute Joker")
    assert typed(house, again, "hi") == []


def test_ban_after_the_leave_holds_for_the_browser_for_a_day() -> None:
    house, (al,) = in_ops("Al")
    browse(house, "b2", "Cy")
    joker = browse(house, "b1", "Joker")
    joker.leave()
    typed(house, al, "/ban Joker yes")
    assert not browse(house, "b1", "Somebody").session.rooms.get("ops")
    assert browse(house, "b2", "Cyd").session.rooms.get("ops")
    house.now += 25 * 3600.0
    assert browse(house, "b1", "Else").session.rooms.get("ops")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("verb", ["ban", "mute"])
def test_leaving_and_another_name_are_no_way_around_a_ban(verb: str, late: bool) -> None:
    """Whether it was set before somebody left or after."""
    house, (al, bo, _) = in_ops("Al", "Bo", "Cy")
    typed(house, al, *([] if late else [f"/{verb} Bo yes"]))
    typed(house, bo, "/leave")
    typed(house, al, *([f"/{verb} Bo yes"] if late else []), "/rename club")
    for name in ("Bob", "Bert", "Bill", "Bart", "Burt", "Beth"):
        typed(house, bo, f"/nick {name}", "/join club", "hi", "/leave club")
    assert not any(text_in(entry) == "hi" for entry in house.broker.of("club"))
    assert house.hub.rooms.loaded["club"].members.keys().isdisjoint([bo.user]) and bo.session.nick == "Beth"
    typed(house, al, f"/un{verb} Bo")
    typed(house, bo, "/join club", "hi")
    assert text_in(house.broker.of("club")[-1]) == "hi"


@pytest.mark.parametrize("line", ["/mute Bo yes", "/set moderated on"])
def test_silenced_member_cannot_speak_by_leaving_or_redacting(line: str) -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    typed(house, bo, "mine")
    id = house.broker.of("ops")[-1].id
    typed(house, al, line)
    messages.redact(bo.session, house.hub.rooms.loaded["ops"], Which(id=id), "spam")
    house.settle()
    assert text_in(house.broker.of("ops")[-1]) == id
    house.hub.rooms.leave(bo.session, "ops", "spam")
    house.settle()
    typed(house, bo, "/join ops", "/quit spam")
    assert [text_in(entry) for entry in house.broker.of("ops")[-3:]] == ["", "", ""]
    assert text_in(house.broker.of("lobby")[-1]) == "spam"
    house.hub.expel(cy.user, "flood")
    house.settle()
    assert text_in(house.broker.of("ops")[-1]) == "flood", "that is the server's reason"


@pytest.mark.parametrize("line", ["/ban Bo forever", "/ban Bo 1h 2h yes", "/mute Bo and Cy"])
def test_ban_that_cannot_be_understood(line: str) -> None:
    house, (al, _) = in_ops("Al", "Bo")
    assert typed(house, al, line) == ["argument-invalid"]


def test_mute_and_undo() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    assert typed(house, al, "/undo") == ["nothing-to-undo"]
    typed(house, al, "/mute Bo yes")
    muted = says("muted: Bo!*@* (by Al)", "muted: *!*@bbbbbbbbbb.* (by Al)")
    assert typed(house, bo, "hi") == ["muted"] and typed(house, al, "/bans") == [muted]
    assert typed(house, al, "/undo", "/undo") == ["nothing-to-undo"]
    assert typed(house, bo, "hi") == [] and al.sees() == ["Bo: hi"]
    typed(house, al, "/mute Bo yes", "/unmute Bo")
    assert typed(house, bo, "hi") == []


@pytest.mark.parametrize(
    "line", ["/ban *!*@192.0.2.*", "/ban *!*@192.*", "/ban 192.0.2.0/24", "/mute *!*@ip:192.0.2.2", "/ban 192.0.*"]
)
def test_operators_of_a_room_cannot_ask_for_addresses(line: str) -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    assert typed(house, al, line, f"{line} yes") == ["bad-value"] * 2 and bo.sees() == []
    for mask in ("*!*@1*", "*!*@*2*"):  # as in the address, but not in the cloak
        assert typed(house, al, f"/ban {mask}")[0].lines[0].count("here now: nobody")  # type: ignore[attr-defined]


def test_whole_address_becomes_a_cloak() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    assert typed(house, al, "/mute 192.0.2.2 yes") == [] and bo.sees() == ["Al + +b m:*!*@bbbbbbbbbb.*"]
    assert typed(house, cy, "hi") == ["muted"]
    assert typed(house, al, "/unmute 192.0.2.2") == [] and typed(house, cy, "hi") == []


def test_ban_of_an_address_in_an_older_log_holds_and_can_be_lifted() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    house.commit(house.broker.store([draft_of("ops", Kind.MODE, "Al", "+b *!*@192.0.2.2", "x.1")]))
    assert bo.sees() == ["Al + +b *!*@ip:*"] and typed(house, bo, "hi") == ["muted"]
    assert typed(house, al, "/bans") == [says("banned: *!*@ip:* (by Al)")]
    assert typed(house, al, "/unban 192.0.2.2") == [] and typed(house, bo, "hi") == []


def test_operator_of_the_server_bans_networks_and_others_do_not_see_which() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    assert al.session.user
    al.session.user.operator = True
    told = would_ban("anyone who matches *!*@ip:192.0.2.2/31 (here now: Bo, Cy)", "192.0.2.2/31")
    assert typed(house, al, "/ban 192.0.2.2/31") == [told]
    typed(house, al, "/mute *!*@192.0.?.2 yes")
    assert bo.sees() == cy.sees() == ["Al + +b m:*!*@ip:*"] and typed(house, bo, "hi", "/bans") == [
        "muted", says("muted: *!*@ip:* (by Al)")
    ]  # fmt: skip
    assert typed(house, al, "/bans") == [says("muted: *!*@ip:192.0.?.2 (by Al)")]
    assert typed(house, al, "/unmute *!*@192.0.?.2") == [] and typed(house, bo, "hi") == []


def test_list_of_bans_is_bounded() -> None:
    house, (al,) = in_ops("Al")
    room = house.hub.rooms.loaded["ops"]
    changes = [ModeChange(True, "b", f"x{number}") for number in range(MASKS_IN_LIST)]
    assert moderation.change(house.hub, al.session, room, changes) == []
    house.settle()
    ((change, refusal),) = moderation.change(house.hub, al.session, room, [ModeChange(True, "b", "onemore")])
    assert refusal.code == "list-full" and change.param == "onemore"
    assert typed(house, al, "/ban Bo yes") == ["list-full"]


def test_mask_that_is_too_long_is_refused() -> None:
    house, (al,) = in_ops("Al")
    room = house.hub.rooms.loaded["ops"]
    for mask in ("x" * (FOLDED_CHARS + 1), "\ufdfa" * 30):
        ((_, refusal),) = moderation.change(house.hub, al.session, room, [ModeChange(True, "b", mask)])
        assert refusal.code == "bad-value"


# --- settings and invitations -----------------------------------------------------------------------------------------


def test_settings() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    assert (
        typed(house, al, "/set limit 5", "/set key tea", "/set SLOW 9", "/set secret on", "/set members-only off") == []
    )
    assert bo.sees() == ["Al + +l 5", "Al + +k *", "Al + +d 9", "Al + +s", "Al + -n"]
    (settings,) = typed(house, al, "/set")
    assert isinstance(settings, Notice) and settings.lines == (
        "invite-only: off", "moderated: off", "members-only: off", "secret: on", "topic-lock: off", "key: set",
        "limit: 5", "slow: 9", "locked: off", "announcements: off", "flood: off", "operators: Al",
    )  # fmt: skip
    bo.seen.clear()
    typed(house, al, "/set limit off", "/set key off", "/set slow 0", "/set secret no")
    assert bo.sees() == ["Al + -l", "Al + -k *", "Al + -d", "Al + -s"]


def test_settings_are_listed_with_what_one_may_do() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/set key tea", "/set slow 9", "/set moderated on")
    of_al, of_bo = [], []
    for person, found in ((al, of_al), (bo, of_bo)):
        person.seen.clear()
        moderation_commands.list_settings(house.hub, person.session, "ops")
        found += [event for event in person.sees() if isinstance(event, SettingsListed)]
    settings = {
        "invite-only": False, "moderated": True, "members-only": True, "secret": False, "topic-lock": False,
        "key": True, "limit": 0, "slow": 9, "locked": False, "announcements": False, "flood": 0,
    }  # fmt: skip
    assert of_al == [SettingsListed("ops", settings, list(moderation_commands.OFFERED))]
    assert of_bo == [SettingsListed("ops", settings, [Action.INVITE, Action.RAISE_HAND, Action.ASK])]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/set nonsense on", "no-such-setting"),
        ("/set moderated maybe", "value-invalid"),
        ("/set limit many", "bad-value"),
        ("/set limit 9999999", "bad-value"),
        ("/set key two words", "bad-value"),
        ("/set key a,b", "bad-value"),
        ("/set key :a", "bad-value"),
        (f"/set key {'x' * 33}", "bad-value"),
        ("/set limit off", says("Nothing has changed: that is already so")),
        ("/set key off", says("Nothing has changed: that is already so")),
        ("/set secret off", says("Nothing has changed: that is already so")),
        ("/unban nobody", says("Nothing has changed: that is already so")),
    ],
)
def test_settings_that_cannot_be(line: str, expected: object) -> None:
    house, (al,) = in_ops("Al")
    assert typed(house, al, line) == [expected]


def test_key_is_in_no_log_and_shown_only_to_its_setter() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    al.session.label = "r"
    (stored,) = typed(house, al, "/set key tea")
    al.session.label = ""
    assert isinstance(stored, Acknowledged) and text_in(stored.entry) == "+k tea" and bo.sees() == ["Al + +k *"]
    entry = house.broker.of("ops")[-1]
    assert "tea" not in text_in(entry) and text_in(entry).startswith("+k $k1$")
    rules = house.hub.rooms.loaded["ops"].state
    assert rules.modes(True).endswith(" tea") and rules.modes(False).endswith(" *")
    typed(house, bo, "/leave ops")
    assert typed(house, bo, "/join ops", "/join ops coffee") == ["bad-key", "bad-key"]
    assert type(typed(house, bo, "/join ops tea")[0]) is RoomEntered
    typed(house, al, "/leave ops")
    typed(house, bo, "/leave ops")
    house.settle()
    assert typed(house, bo, "/join ops milk", "/join ops tea")[0] == "bad-key"
    rules = house.hub.rooms.loaded["ops"].state
    assert rules.modes(True).endswith(" tea"), "who comes in with it has typed it"


def test_key_that_is_set_together_with_others_is_known_to_operators() -> None:
    house, (al,) = in_ops("Al")
    room = al.session.rooms["ops"]
    changes = [ModeChange(True, "m", ""), ModeChange(True, "k", "tea")]
    assert moderation.change(house.hub, al.session, room, changes) == []
    house.settle()
    assert room.state.modes(True) == "+mnk tea"


def test_lobby_keeps_its_name() -> None:
    house = House()
    (al,) = house.enter("Al")
    assert al.session.user
    al.session.user.operator = True
    al.types("/rename hall")
    house.settle()
    assert al.sees() == [Refusal("cannot-rename", "The lobby keeps its name.")]


def test_key_in_the_clear_of_an_older_log_opens_the_room() -> None:
    house, (_al, bo) = in_ops("Al", "Bo")
    house.commit(house.broker.store([draft_of("ops", Kind.MODE, "Al", "+k tea", "x.1")]))
    assert bo.sees() == ["Al + +k *"]
    typed(house, bo, "/leave ops")
    assert typed(house, bo, "/join ops coffee") == ["bad-key"]
    assert type(typed(house, bo, "/join ops tea")[0]) is RoomEntered


def test_operator_that_opens_a_closed_room_reads_a_warning() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    told = says("Everybody can now read ops, including the messages from the time when it was closed")
    assert typed(house, al, "/set key tea", "/set secret on", "/set key off") == []
    al.types("/set secret off")
    house.fail()
    assert told not in al.sees(), "it is not stored"
    assert typed(house, al, "/set secret off") == [told] and told not in bo.sees()
    assert typed(house, al, "/set moderated on", "/set moderated off") == []


def test_same_value_again_changes_nothing() -> None:
    house, (al,) = in_ops("Al")
    typed(house, al, "/set key tea", "/set limit 5")
    assert typed(house, al, "/set key tea", "/set limit 5") == [says("Nothing has changed: that is already so")] * 2


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ("+t-t", "+t-t"),
        ("+nt-nt", "+t-nt"),
        ("-n+n", "-n+n"),
        ("+i+i", "+i"),
        ("-i", ""),
        ("+k-k+k a * a", "+k-k+k * * *"),
        ("+kk a b", "+kk * *"),
        ("-k+l * 3", "+l 3"),
        ("+l-l 3", "+l-l 3"),
        ("+ll 3 03", "+l 3"),
        ("+b-b x!*@* X!*@*", "+b-b x!*@* X!*@*"),
        ("-b+b x!*@* x!*@*", "+b x!*@*"),
        ("-o+o Al!~nc@aaaaaaaaaa.nc Al!~nc@aaaaaaaaaa.nc", "-o+o Al!~nc@aaaaaaaaaa.nc Al!~nc@aaaaaaaaaa.nc"),
        ("+v-v Al!~nc@aaaaaaaaaa.nc Al!~nc@aaaaaaaaaa.nc", "+v-v Al!~nc@aaaaaaaaaa.nc Al!~nc@aaaaaaaaaa.nc"),
    ],
)
def test_change_starts_from_what_those_before_it_have_made(changes: str, stored: str) -> None:
    house, (al,) = in_ops("Al")
    wanted = [
        one._replace(param=one.param.partition("!")[0]) if one.letter in "ov" else one for one in parse(changes)[0]
    ]
    assert moderation.change(house.hub, al.session, al.session.rooms["ops"], wanted) == []
    house.settle()
    told = [text_in(entry) for entry in without_secrets(house.broker.of("ops")) if entry.kind is Kind.MODE]
    assert told == ([stored] if stored else [])


@pytest.mark.parametrize("letter", ["l", "d", "f"])
def test_number_of_nothing_is_refused(letter: str) -> None:
    """IRC could not tell such a setting from one that is off."""
    house, (al,) = in_ops("Al")
    wanted = ModeChange(True, letter, "0")
    ((refused, refusal),) = moderation.change(house.hub, al.session, al.session.rooms["ops"], [wanted])
    assert refused == wanted and refusal.code == "bad-value" and house.hub.pipeline.idle


@pytest.mark.parametrize("mask", ["", "two words", ":Zo"])
def test_mask_that_is_none_changes_nothing(mask: str) -> None:
    house, (al,) = in_ops("Al")
    assert moderation.change(house.hub, al.session, al.session.rooms["ops"], [ModeChange(True, "b", mask)]) == []
    assert house.hub.pipeline.idle


def test_topic_may_be_locked() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/set topic-lock on")
    assert typed(house, bo, "/topic mine") == ["not-operator"] and typed(house, al, "/topic tea") == []


def test_invitation() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    (zo,) = house.enter("Zo")
    assert typed(house, al, "/set invite-only on", "/invite zo") == [says("Zo is invited")]
    assert zo.sees() == [Invited("Al", HOSTS["Al"], "ops")]
    assert typed(house, bo, "/invite zo") == ["not-operator"]
    assert typed(house, al, "/invite Bo", "/invite Nemo") == ["there-already", "no-such-name"]
    assert type(typed(house, zo, "/join ops")[0]) is RoomEntered
    zo.types("/leave ops")
    house.settle()
    assert typed(house, zo, "/join ops") == ["invite-only"]
    zo.stall()
    assert typed(house, al, "/invite Zo") == [says("Zo is invited")]


def test_invitation_by_somebody_else_than_an_operator_admits_nobody() -> None:
    house, (al, bo, zo) = in_ops("Al", "Bo", "Zo")
    typed(house, zo, "/leave")
    typed(house, al, "/ban Zo yes")
    assert typed(house, bo, "/invite Zo") == [says("Zo is invited")]
    assert typed(house, zo, "/join ops") == ["banned"]
    assert typed(house, al, "/invite Zo") == [says("Zo is invited")]
    assert type(typed(house, zo, "/join ops")[0]) is RoomEntered


@pytest.mark.parametrize("name", ["lоbby", "paypаl"])
def test_new_room_that_looks_like_another_one_is_neither_opened_nor_made_by_a_rename(name: str) -> None:
    house, (al,) = in_ops("Al")
    assert typed(house, al, f"/join {name}") == ["room-invalid"] == typed(house, al, f"/rename {name}")
    assert al.session.current_name == "ops" and name not in house.hub.rooms.loaded


# --- taking back, and renaming ----------------------------------------------------------------------------------------


def refusals() -> tuple[list[str], Callable[[Refused], None]]:
    codes: list[str] = []
    return codes, lambda refusal: codes.append(refusal.code)


def test_own_message_is_taken_back_and_an_operator_takes_any() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    bo.types("one", "two")
    house.settle()
    one, two = (entry.id for entry in house.broker.of("ops")[-2:])
    room = house.hub.rooms.loaded["ops"]
    house.forget()
    codes, refuse = refusals()
    messages.redact(cy.session, room, Which(id=one), refused=refusing(cy.session, refuse))
    house.settle()
    messages.redact(bo.session, room, Which(id="x.9"), refused=refusing(bo.session, refuse))
    house.settle()
    assert codes == ["not-yours", "no-such-message"]
    messages.redact(bo.session, room, Which(id=one), refused=refusing(bo.session, refuse))
    house.settle()
    messages.redact(al.session, room, Which(id=two), "rude", refused=refusing(al.session, refuse))
    house.settle()
    assert cy.sees() == [f"Bo - {one}", f"Al - {two} rude"] and len(codes) == 2
    assert [text_in(entry) for entry in room.latest] == []


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("/delete", "three"),
        ("/delete 1", "three"),
        ("/delete 2", "two"),
        ("/delete 3", "no-such-message"),
        ("/delete bo", "three"),
        ("/delete Bo 2", "two"),
        ("/delete Cy", "not-yours"),
        ("/delete Nemo", "no-such-message"),
        ("/delete 0", "number-invalid"),
        ("/delete 201", "number-invalid"),
        ("/delete Bo Cy", "argument-invalid"),
    ],
)
def test_message_is_deleted_by_its_place(line: str, gone: str) -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    for peer, text in ((al, "Bo's"), (bo, "two"), (cy, "four"), (bo, "three"), (cy, "five")):
        peer.types(text)
        house.settle()
    ids = {text_in(entry): entry.id for entry in house.broker.of("ops")}
    told = typed(house, bo, line)
    assert told == ([] if gone in ids else [gone])
    assert cy.sees()[3:] == ([f"Bo - {ids[gone]}"] if gone in ids else [])


def test_operator_deletes_what_somebody_said_who_is_gone() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    bo.types("spam", "/quit")
    house.settle()
    al.types("/delete Bo")
    house.settle()
    assert [entry.kind for entry in house.broker.of("ops") if entry.nick == "Bo"][-2:] == [Kind.REDACTED, Kind.LEAVE]
    al.types("/delete Bo")
    house.settle()
    assert al.sees()[-1:] == [Refusal("no-such-message", "There is no such message here.")]


def test_message_is_deleted_before_what_is_typed_next() -> None:
    house, (_, bo) = in_ops("Al", "Bo")
    bo.types("one", "/delete", "two")
    house.settle()
    assert [
        text_in(entry) for entry in house.broker.of("ops") if entry.nick == "Bo" and entry.kind is Kind.MESSAGE
    ] == ["two"]


def test_session_that_leaves_redacts_nothing() -> None:
    house, (al,) = in_ops("Al")
    al.types("one")
    house.settle()
    codes, refuse = refusals()
    messages.redact(
        al.session,
        house.hub.rooms.loaded["ops"],
        Which(id=house.broker.log[-1].id),
        refused=refusing(al.session, refuse),
    )
    al.leave()
    house.settle()
    assert codes == [] and not any(entry.kind is Kind.REDACT for entry in house.broker.log)


def test_room_is_renamed_with_all_who_are_in_it_or_on_the_way() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    (zo,) = house.enter("Zo")
    room = house.hub.rooms.loaded["ops"]
    codes, refuse = refusals()
    moderation.move(house.hub, al.session, room, "#Dev", "new team", refusing(al.session, refuse))
    house.answer()
    bo.types("meanwhile", "/join lobby")
    zo.types("/join ops")
    house.answer()
    house.settle()
    assert codes == [] and house.hub.rooms.loaded["dev"] is room and "ops" not in house.hub.rooms.loaded
    assert al.session.rooms[room.id] is room and room.id in bo.session.rooms
    moved = [one for one in bo.sees() if isinstance(one, RoomNameChanged)]
    assert [(one.room, one.to) for one in moved] == [("ops", "dev")]
    assert zo.user in room.members
    assert al.session.current_name == "dev"


@pytest.mark.parametrize("told", [True, False])
def test_room_is_not_renamed_by_somebody_who_has_lost_the_right_meanwhile(told: bool) -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/op Bo")
    codes, refuse = refusals()
    step = refusing(bo.session, refuse) if told else None
    moderation.move(house.hub, bo.session, house.hub.rooms.loaded["ops"], "dev", "", step)
    al.types("/deop Bo")
    house.commit()
    bo.seen.clear()
    house.settle()
    assert list(house.hub.rooms.loaded) == ["lobby", "ops"]
    assert codes + [one.code for one in bo.sees() if isinstance(one, Refusal)] == ["not-operator"]


def test_last_ban_is_undone_after_a_rename_of_the_room() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, al, "/mute Bo yes", "/rename dev", "/undo")
    assert typed(house, bo, "hi") == [] and al.sees()[-1] == "Bo: hi"


def test_last_ban_is_not_undone_by_somebody_who_has_left() -> None:
    house, (al, _) = in_ops("Al", "Bo")
    assert typed(house, al, "/mute Bo yes", "/leave", "/undo")[-1:] == ["nothing-to-undo"]


def test_ban_that_was_taken_back_already_is_not_undone_in_silence() -> None:
    house, (al, _) = in_ops("Al", "Bo")
    assert typed(house, al, "/mute Bo yes", "/unmute Bo", "/undo")[-1:] == [
        says("Nothing has changed: that is already so")
    ]


def test_room_is_renamed_by_a_command() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    assert typed(house, bo, "/rename dev") == ["not-operator"]
    assert typed(house, al, "/rename dev or so") == ["room-invalid"]
    assert typed(house, al, "/rename ops") == ["cannot-rename"]
    typed(house, al, "/topic tea", "/rename #dev")
    assert al.session.current_name == bo.session.current_name == "dev" and text_in(house.broker.log[-1]) == "dev"
    assert [one.topic for one in bo.seen if isinstance(one, RoomNameChanged)] == ["tea"]
    typed(house, bo, "/leave", "/join ops", "hi")
    assert typed(house, al, "/rename ops") == ["name-in-use"]


@pytest.mark.parametrize(
    ("who", "name", "code"),
    [
        (1, "dev", "not-operator"),
        (0, "a b", "room-invalid"),
        (0, "lobby", "cannot-rename"),
        (0, "OPS", "cannot-rename"),
    ],
)
def test_names_that_a_room_does_not_get(who: int, name: str, code: str) -> None:
    house, peers = in_ops("Al", "Bo")
    with pytest.raises(Refused) as caught:
        moderation.move(house.hub, peers[who].session, house.hub.rooms.loaded["ops"], name)
    assert caught.value.code == code


def test_name_that_another_room_has_or_had() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, bo, "/join dev", "hi")
    codes, refuse = refusals()
    moderation.move(house.hub, al.session, house.hub.rooms.loaded["ops"], "dev", "", refusing(al.session, refuse))
    house.settle()
    bo.leave()
    house.settle()
    moderation.move(house.hub, al.session, house.hub.rooms.loaded["ops"], "dev", "", refusing(al.session, refuse))
    house.settle()
    assert codes == ["name-in-use"] * 2
    moderation.move(house.hub, al.session, house.hub.rooms.loaded["ops"], "other", "", refusing(al.session, refuse))
    al.leave()
    house.settle()
    assert len(codes) == 2


def test_name_of_a_secret_room_is_taken_although_nobody_sees_that_room() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, bo, "/join den", "/set secret on", "/leave den")
    assert "den" not in house.hub.rooms.loaded
    assert typed(house, al, "/rename den") == ["name-in-use"] and al.session.current_name == "ops"


def test_name_of_which_nothing_can_be_read_is_not_told_to_be_taken() -> None:
    house, (al,) = in_ops("Al")
    house.broker.fault = "the disk is gone"
    assert typed(house, al, "/rename dev") == ["broker"] and al.session.current == "ops"


def test_name_is_given_to_one_room_alone() -> None:
    """Whoever opens a room of that name, or renames another one to it, before the rename is stored is refused."""
    house, (al, bo) = in_ops("Al", "Bo")
    typed(house, bo, "/join den")
    codes, refuse = refusals()
    awake = house.hub.rooms.loaded
    moderation.move(house.hub, al.session, awake["ops"], "dev", "", refusing(al.session, refuse))
    moderation.move(house.hub, bo.session, awake["den"], "dev", "", refusing(bo.session, refuse))
    house.answer()
    bo.seen.clear()
    bo.types("/join dev")
    with pytest.raises(Refused, match="just being renamed to dev; try again"):
        house.hub.rooms.watch(house.connect().session, "dev")
    house.settle()
    assert codes == ["name-in-use"]
    assert bo.sees()[0] == Refusal("name-in-use", "Another room is just being renamed to dev; try again.", room="dev")
    assert al.user in awake["dev"].members and "den" in awake and bo.session.pending == []


def test_name_of_a_room_that_is_being_opened_is_taken() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    codes, refuse = refusals()
    moderation.move(house.hub, al.session, house.hub.rooms.loaded["ops"], "dev", "", refusing(al.session, refuse))
    bo.types("/join dev")
    house.settle()
    assert codes == ["name-in-use"] and bo.session.current == "dev"


def renamed_elsewhere(house: House, to: str) -> None:
    """Let another node rename ops."""
    house.commit(house.broker.store([draft_of("ops", Kind.ROOM_RENAMED, "Zoe", to, "zoe.1")]))


def test_join_during_a_rename_to_that_name_enters_the_renamed_room() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    (cy,) = house.enter("Cy")
    room = house.hub.rooms.loaded["ops"]
    cy.types("/join dev")
    renamed_elsewhere(house, "dev")
    house.broker.followed.remove("dev")  # the broker was asked for it twice, and follows one
    house.settle()
    assert house.hub.rooms.loaded["dev"] is room
    assert all(one.user in room.members for one in (al, bo, cy))
    typed(house, cy, "hello")
    assert bo.sees()[-1] == "Cy: hello"


def test_join_of_a_room_that_is_renamed_meanwhile_opens_a_new_room() -> None:
    house, (al,) = in_ops("Al")
    al.leave()
    house.settle()
    (bo,) = house.enter("Bo")
    bo.types("/join ops")
    house.look()
    renamed_elsewhere(house, "dev")
    house.settle()
    assert list(house.hub.rooms.loaded) == ["lobby", "ops"] and house.broker.followed == ["lobby", "ops=2"]
    assert bo.session.current_name == "ops" and house.broker.log[-1].room == "ops"
    assert bo.session.pending == [] and not bo.user.joining


def test_anybody_asks_people_into_an_open_room() -> None:
    house, (_al, bo) = in_ops("Al", "Bo")
    (zo,) = house.enter("Zo")
    assert typed(house, bo, "/invite Zo") == [says("Zo is invited")]
    assert zo.sees() == [Invited("Bo", HOSTS["Bo"], "ops")]


def test_member_is_kicked_once_by_two_operators() -> None:
    house, (al, bo, cy) = in_ops("Al", "Bo", "Cy")
    typed(house, al, "/op Cy")
    for operator in (al, cy):
        operator.types("/kick Bo")
    house.settle()
    assert [entry.kind for entry in house.broker.of("ops")].count(Kind.KICK) == 1
    assert [one.code for one in cy.sees() if isinstance(one, Refusal)] == ["not-there"]
    typed(house, bo, "/join ops")
    typed(house, cy, "/kick Bo")
    assert bo.user not in house.hub.rooms.loaded["ops"].members


def test_kick_of_a_session_that_has_ended_does_nothing() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    al.types("/kick Bo")
    bo.leave()
    house.settle()
    assert al.user in house.hub.rooms.loaded["ops"].members


def test_room_is_renamed_while_others_talk_elsewhere() -> None:
    house, (al, bo) = in_ops("Al", "Bo")
    moderation.move(house.hub, al.session, house.hub.rooms.loaded["ops"], "dev")
    house.answer()
    batch = house.gather()
    house.hub.say(bo.session, "here", "ops")
    house.hub.say(bo.session, "there", "lobby")
    house.commit(house.broker.store(batch))
    house.settle()
    assert [entry.room for entry in house.broker.log[-2:]] == ["dev", "lobby"]


def test_limit_holds_when_many_come_at_once() -> None:
    house = House()
    al, *others = house.enter("Al", "Bo", "Cy", "Di")
    al.types("/join ops", "/set limit 2")
    house.settle()
    for peer in others:
        peer.types("/join ops")
    house.settle()
    refused = [event.code for peer in others for event in peer.sees() if isinstance(event, Refusal)]
    assert refused == ["room-full"] * 2 and len(house.hub.rooms.loaded["ops"].members) == 2


def test_limit_counts_who_comes_in_again_once() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("/join ops", "/set limit 3")
    bo.types("/join ops")
    house.settle()
    for peer in (al, bo):
        house.hub.rejoin(peer.user, house.hub.rooms.loaded["ops"])
    cy.types("/join ops")
    house.settle()
    assert "ops" in cy.session.rooms


def test_lobby_keeps_its_name_and_no_other_room_takes_it() -> None:
    house, (al,) = in_ops("Al")
    assert typed(house, al, "/rename lobby") == ["cannot-rename"]
    assert al.session.user is not None
    al.session.user.operator = True
    al.types("/join lobby")
    house.settle()
    house.forget()
    assert typed(house, al, "/rename dev") == ["cannot-rename"]
