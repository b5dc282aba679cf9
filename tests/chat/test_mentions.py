"""Mentions: people who are here are told of them at once, and the owners of accounts find them later."""

from __future__ import annotations

import pytest
from test_account_users import Town

from doubles import FakeMentions, House, Peer
from hubbub.chat.nodes.person import Person
from hubbub.chat.users.read_markers import of_room
from hubbub.model.accounts.account import host_of
from hubbub.model.entries import Entry, Said
from hubbub.model.events import HistoryShown, Notice, Refusal
from hubbub.model.queries import LogPage
from records import text_in


class Square(Town):
    """A town that keeps mentions."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.mentions = FakeMentions()
        self.hub.mentions.store = self.mentions

    def says(self, peer: Peer, *lines: str) -> None:
        for line in lines:
            peer.types(line)
            self.settle()

    def enter(self, *names: str) -> list[Peer]:
        return self.house.enter(*names)

    def listed(self, peer: Peer, line: str = "/mentions") -> list[str]:
        """Return the texts that a peer is shown as its mentions."""
        self.house.forget()
        self.says(peer, line)
        shown = [one for one in peer.sees() if isinstance(one, HistoryShown)]
        return [text_in(one) for event in shown for one in event.entries]


def told(peer: Peer) -> list[str]:
    """Return the texts of the mentions that a peer was told of since it was asked last."""
    events, peer.mentioned = peer.mentioned, []
    return [text_in(one.entry) for one in events]


def test_people_who_are_here_are_told_in_all_their_sessions() -> None:
    square = Square("Ann")
    ann, again = square.log_in("Ann"), square.log_in("Ann")
    bo, cy = square.enter("Bo", "Cy")
    square.says(bo, "hi all", "@ann tea?", "cy: and you?", "@bo myself", "@nobody here")
    assert told(ann) == told(again) == ["@ann tea?"]
    assert told(cy) == ["cy: and you?"] and told(bo) == []
    square.says(ann, "@ann no")
    assert told(ann) == told(again) == []


def test_an_own_message_of_an_account_mentions_nobody_and_a_paused_session_is_not_told() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    bo.stall()
    square.says(ann, "@ann and @bo")
    assert square.mentions.known == {}
    bo.read()
    assert told(bo) == []


def test_mentions_are_listed_with_their_rooms_also_after_an_absence() -> None:
    square = Square("Ann")
    (bo,) = square.enter("Bo")
    square.says(bo, "@ann one", "/join ops", "ann: two", "nothing")
    ann = square.log_in("Ann")
    assert square.listed(ann) == ["@ann one", "ann: two"]
    assert square.listed(ann, "/mentions 1") == ["ann: two"]
    square.house.forget()
    square.says(ann, "/mentions")
    (event,) = [one for one in ann.sees() if isinstance(one, HistoryShown)]
    assert event.elsewhere and [one.room for one in event.entries] == ["lobby", "ops"]


def test_nothing_to_list() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    square.says(ann, "/mentions", "/mentions 51", "/mentions x")
    notice, *refused = ann.sees()
    assert notice == Notice(("Nobody has mentioned you in a room that you can read",))
    assert [one.code for one in refused if isinstance(one, Refusal)] == ["number-invalid"] * 2
    square.says(bo, "/mentions")
    (refusal,) = bo.sees()
    assert isinstance(refusal, Refusal) and refusal.code == "account-required"
    square.hub.mentions.store = None
    square.says(bo, "@ann hi")
    square.house.forget()
    square.says(ann, "/mentions")
    assert ann.sees() == [notice]


def test_store_or_log_that_fails_is_told() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    square.says(bo, "@ann hi")
    ann.sees()
    for fault in (square.mentions, square.house.broker):
        fault.fault = "away"
        square.says(ann, "/mentions")
        (refusal,) = ann.sees()
        assert isinstance(refusal, Refusal) and refusal.code == "broker"
        fault.fault = ""


def test_deleted_and_corrected_messages() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    square.says(bo, "@ann one", "two", "s/two/@ann two/", "@ann three", "/delete")
    assert square.listed(ann) == ["@ann one"]


def test_rooms_that_the_person_may_not_read_show_nothing() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    square.says(bo, "/join ops", "@ann one")
    assert square.listed(ann) == ["@ann one"]
    square.says(bo, "/set invite-only on", "@ann secret")
    assert square.listed(ann) == [] and len(square.mentions.known["idann"]) == 1


def test_room_that_was_renamed_and_is_not_loaded() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    square.says(bo, "/join ops", "@ann one", "/rename dev", "/leave")
    assert "ops" not in square.hub.loaded.by_id
    assert square.listed(ann) == ["@ann one"]
    square.house.broker.log = [one for one in square.house.broker.log if one.room_id != "ops"]
    assert square.listed(ann) == []


def test_room_that_nobody_is_in() -> None:
    square = Square("Ann")
    (bo,) = square.enter("Bo")
    square.hub.mentions.note([Entry("ops", 3, 0, 1.0, "Al", "z-1.1", Said("@ann hi"), room_id="ops")])
    assert square.mentions.known == {}  # another process has published it
    posting = square.hub.publish(bo.session, square.hub.rooms.loaded["lobby"].state, Said("@ann hi"))
    posting.draft.room = posting.draft.room_id = "ops"
    square.settle()
    assert [one.room for one in square.mentions.known["idann"]] == ["ops"]


def test_answer_is_a_mention_of_the_author() -> None:
    square = Square("Ann", "Zoe")
    ann, zoe, (bo, cy) = square.log_in("Ann"), square.log_in("Zoe"), square.enter("Bo", "Cy")
    square.says(ann, "tea?")
    square.says(bo, "cake?")
    square.says(cy, "/re Ann yes", "/re Bo no")
    assert told(ann) == ["yes"] and told(bo) == ["no"]
    square.says(cy, "/re Ann @ann yes")
    assert told(ann) == ["@ann yes"]
    square.accounts.add("Ann", suspended=True)
    square.says(cy, "/re Ann really", "@ann?")
    assert told(ann) == [] and told(zoe) == []
    square.says(bo, "/nick Di")
    square.says(cy, "/re Bo so?")
    assert told(bo) == []


def test_answer_to_a_message_that_is_no_longer_in_memory() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    square.says(ann, "tea?")
    room = square.hub.rooms.loaded["lobby"]
    id = room.latest[-1].id
    room.latest.clear()
    square.hub.say(bo.session, "yes", tags=f"+reply={id}")
    square.settle()
    square.hub.say(bo.session, "@ann yes", tags=f"+reply={id}")
    square.settle()
    assert told(ann) == ["yes", "@ann yes"]
    square.house.broker.fault = "away"
    square.hub.say(bo.session, "well", tags=f"+reply={id}")
    square.settle()
    assert told(ann) == []


def test_own_words_in_the_rooms_of_their_owner() -> None:
    square = Square("Ann", "Zoe")
    ann, zoe, (bo,) = square.log_in("Ann"), square.log_in("Zoe"), square.enter("Bo")
    square.says(ann, "/notify Deploy", "/notify on-call", "/notify")
    assert ann.sees()[-1] == Notice(("These words mention you, too: deploy, on-call. /notify off WORD removes one",))
    square.says(zoe, "/notify deploy")
    square.says(bo, "DEPLOY now", "redeploy", "/join ops", "deploy here")
    assert told(ann) == told(zoe) == ["DEPLOY now"]
    square.says(ann, "/notify off deploy", "/notify off on-call", "/notify")
    assert ann.sees()[-1] == Notice(
        ("A message mentions you if it has @ and your name, or your name and a colon. /notify WORD adds a word",)
    )
    square.says(bo, "/join lobby", "deploy again")
    assert told(ann) == [] and told(zoe) == ["deploy again"]
    zoe.sees()
    square.says(zoe, "/notify off deploy")
    assert square.hub.mentions._listeners == {}
    square.says(bo, "deploy")
    assert told(zoe) == []


def test_own_words_have_bounds() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    square.says(ann, *(f"/notify w{number}" for number in range(20)))
    ann.sees()
    square.says(ann, "/notify w3", "/notify w20", "/notify two words", "/notify " + "x" * 33)
    assert [one.code if isinstance(one, Refusal) else "" for one in ann.sees()] == ["", *["bad-value"] * 3]
    square.says(bo, "/notify x")
    assert [one.code for one in bo.sees() if isinstance(one, Refusal)] == ["not-logged-in"]


def test_words_of_accounts_that_are_known_at_the_start_and_of_deleted_ones() -> None:
    town = Town()
    town.accounts.add("Ann", words=("deploy",))
    hub = House().hub
    hub.use_accounts(town.accounts)
    assert hub.mentions._listeners == {"deploy": {"idann"}}
    hub.mentions.store = store = FakeMentions()
    store.known["idann"] = []
    hub.mentions.note([Entry("ops", 3, 0, 1.0, "Al", "z-1.1", Said("deploy"), room_id="ops")])
    town.accounts.add("Ann", deleted=True)
    assert hub.mentions._listeners == {} and store.known == {}


@pytest.mark.parametrize("name", ["Ann", "Bo"])
def test_bell(name: str) -> None:
    square = Square("Ann")
    ann, (bo, cy) = square.log_in("Ann"), square.enter("Bo", "Cy")
    peer = {"Ann": ann, "Bo": bo}[name]
    square.says(peer, "/bell loud", "/bell on")
    refusal, notice = peer.sees()
    assert isinstance(refusal, Refusal) and notice == Notice(("Your terminal rings when somebody mentions you",))
    square.says(cy, f"@{name} hi")
    assert [one.rings for one in peer.mentioned] == [True]
    peer.sees()
    square.says(peer, "/bell off")
    assert peer.sees() == [Notice(("Your terminal does not ring",))]
    square.says(cy, f"@{name} hi")
    assert [one.rings for one in peer.mentioned] == [True, False]


def test_bell_of_a_guest_rings_on_after_registering() -> None:
    square = Square()
    ann, bo = square.enter("Ann", "Bo")
    square.says(ann, "/bell on", "/register correct horse")
    assert ann.session.account and not ann.session.account.bell
    square.says(bo, "@ann hi")
    square.says(ann, "/bell off")
    square.says(bo, "@ann hi")
    assert [one.rings for one in ann.mentioned] == [True, False]


def test_plain_output_is_remembered_with_the_account() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    for one in (ann, bo):
        assert not one.session.is_plain
        square.says(one, "/plain on")
        assert one.session.is_plain
        assert one.sees() == [Notice(("Over ssh and telnet, your terminal shows nothing twice",))]
    assert ann.session.account and ann.session.account.plain and not ann.session.plain
    for one in (ann, bo):
        square.says(one, "/plain off", "/plain")
        assert not one.session.is_plain
    notice, refusal = ann.sees()
    assert notice == Notice(("Over ssh and telnet, your line is drawn again below new messages",))
    assert refusal == Refusal("argument-missing", "Usage: /plain on|off")


def test_users_of_other_nodes_are_told_there() -> None:
    square = Square("Ann")
    (bo,) = square.enter("Bo")
    square.hub.remote.add(Person("Ann", host=host_of("idann")))
    square.says(bo, "@ann hi")
    assert len(square.mentions.known["idann"]) == 1


def test_unread_mentions_are_those_behind_the_read_marker_of_their_room() -> None:
    square = Square("Ann")
    ann, (bo,) = square.log_in("Ann"), square.enter("Bo")
    square.says(bo, "@ann one", "@ann two")
    found: list[LogPage] = []
    account, viewer = ann.session.account, square.hub.viewer(ann.session)
    assert account is not None

    def unread() -> list[str]:
        square.hub.mentions.collect(account.id, 9, viewer, True, lambda page: found.append(page))  # type: ignore[arg-type]
        square.settle()
        return [text_in(one) for one in found[-1].entries]

    assert unread() == ["@ann one", "@ann two"]
    last = found[-1].entries[-1]
    square.hub.reading.read(ann.session, account, of_room(last.room_id), last.time - 1)
    assert unread() == ["@ann one", "@ann two"]
    square.hub.reading.read(ann.session, account, of_room(last.room_id), last.time)
    assert unread() == []
