"""Sessions whose token is for some rooms only, or only for reading or speaking."""

from __future__ import annotations

from msgspec import structs
from test_account_users import Town, codes
from test_private_log import Post

from doubles import House, Peer
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import Permit
from hubbub.model.events import LoggedIn, Missed, RoomEntered, RoomExited

OPS = Permit(("read", "say"), frozenset({"ops"}))


def log_in(town: Town | Post, permit: Permit, name: str = "Ann", peer: Peer | None = None) -> Peer:
    """Let a peer log in with a token; it joins no room by itself."""
    account, peer = town.accounts.find(name), peer or town.house.connect()
    assert account
    town.hub.account_users.log_in(peer.session, structs.replace(account, permit=permit), lambda refusal: None)
    town.settle()
    return peer


def in_rooms(town: Town, name: str = "Ann") -> Peer:
    peer = town.log_in(name)
    peer.types("/join ops")
    town.settle()
    town.house.forget()
    return peer


def rooms(house: House, peer: Peer) -> set[str]:
    return {name for name, room in house.hub.rooms.loaded.items() if peer.session in room.sessions}


def test_a_session_for_some_rooms_is_as_if_its_user_were_in_no_other() -> None:
    town = Town("Ann", "Bo")
    ann, bo = in_rooms(town), in_rooms(town, "Bo")
    bot = log_in(town, OPS)
    assert rooms(town.house, bot) == {"ops"} and bot.user is ann.user
    for name in ("lobby", "ops"):
        bo.types(f"/join {name}", f"@ann in {name}")
    bo.types("/msg Ann psst", "/invite Ann", "/join den")
    town.settle()
    bo.types("/invite Ann")
    town.settle()
    seen = bot.sees()
    assert [one for one in seen if not isinstance(one, LoggedIn)] == ["Bo: @ann in ops"]
    assert [one.entry.room for one in bot.mentioned] == ["ops"]
    bot.types("/join lobby", "/join new", "/msg Bo psst", "/search in:lobby ann")
    town.settle()
    assert codes(bot) == ["token-limited"] * 4
    # What the other session does elsewhere is not shown to it, nor taken from it.
    ann.types("/join den", "/leave lobby")
    town.settle()
    assert bot.sees() == [] and rooms(town.house, bot) == {"ops"}
    bot.types("/leave")
    town.settle()
    seen = bot.sees()
    assert [one.room for one in seen if isinstance(one, RoomExited)] == ["ops"], (
        seen,
        bot.session.pending,
        bot.user.changing,
    )
    town.hub.rooms.enter_first(bot.session)
    town.settle()
    assert rooms(town.house, bot) == {"ops"}


def test_a_room_that_is_renamed_may_become_one_for_a_session_or_cease_to_be() -> None:
    town = Town("Ann")
    ann, bot = in_rooms(town), log_in(town, OPS)
    for line, events in (("/rename dev", [RoomExited("ops", "", None, True)]), ("/rename ops", [RoomEntered])):
        bot.sees()
        ann.types(line)
        town.settle()
        seen = [one for one in bot.sees() if isinstance(one, RoomExited | RoomEntered)]
        assert seen == events or [type(one) for one in seen] == events


def test_a_guest_who_logs_in_and_a_further_login_change_the_rooms() -> None:
    town = Town("Ann")
    (bot,) = town.house.enter("Ann-2")
    bot.types("/join ops")
    town.settle()
    log_in(town, OPS, peer=bot)
    assert rooms(town.house, bot) == {"ops"} and set(bot.user.rooms) >= set(bot.session.rooms)
    log_in(town, Permit(), peer=bot)
    assert rooms(town.house, bot) == {"lobby", "ops"}


def test_a_session_for_some_rooms_does_not_change_what_its_owner_has_missed_elsewhere() -> None:
    town = Town("Ann", "Bo")
    bo = in_rooms(town, "Bo")
    town.accounts.add("Ann", stays=True)
    ann = in_rooms(town)
    bot = log_in(town, OPS)
    ann.leave()
    bo.types("/join lobby", "one", "/join ops", "two")
    town.settle()
    bot.leave()
    again = town.log_in("Ann", forget=False)
    assert [(one.room, one.count) for one in again.sees() if isinstance(one, Missed)] == [("lobby", 1)]


def test_a_session_that_may_only_speak_posts_and_is_in_no_room() -> None:
    town = Town("Ann", "Bo")
    bo, says = in_rooms(town, "Bo"), Permit(("say",), frozenset({"ops"}))
    in_rooms(town)
    bo.sees()
    bot = log_in(town, says)
    town.hub.rooms.enter_first(bot.session)
    bot.types("deployed", "/join ops")
    town.settle()
    assert "Ann: deployed" in bo.sees() and rooms(town.house, bot) == set() and codes(bot) == ["token-limited"]
    town.hub.say(bot.session, "no", "lobby")
    town.settle()
    assert codes(bot) == ["token-limited"]
    bo.types("/msg Ann psst")
    town.settle()
    assert bot.sees() == []
    log_in(town, Permit(("say",)), peer=bot)
    bot.types("where?")
    assert codes(bot) == ["not-in-room"]


def test_a_session_that_may_only_read_changes_nothing() -> None:
    town = Town("Ann", "Bo")
    in_rooms(town, "Bo")
    bot = log_in(town, Permit(("read",)))
    town.hub.rooms.enter_first(bot.session)
    town.settle()
    bot.types("hello", "/topic mine", "/msg Bo psst", "/guests off", "/stay on")
    town.settle()
    assert codes(bot) == ["token-limited"] * 5 and not bot.user.modes


def test_private_messages_are_not_changed_without_the_scope_say() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    ann.types("/msg Bo one")
    post.settle()
    bot = log_in(post, Permit(("read", "private")), "Bo", bo)
    bot.types("/+ x @Ann", "/history Ann")
    post.settle()
    assert "token-limited" in codes(bot)


def test_a_program_acts_within_its_permit() -> None:
    town = Town("Ann")
    in_rooms(town)
    account = town.accounts.find("Ann")
    assert isinstance(account, Account)
    viewer = town.hub.viewer_for(structs.replace(account, permit=OPS), "")
    assert (viewer.only, viewer.scopes, viewer.account) == ({"ops"}, ("read", "say"), "")
