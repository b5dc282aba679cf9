"""What does not go the way of the log: private messages, signals, questions, and who is told who is here."""

from __future__ import annotations

import pytest

from doubles import House, Look, Peer, ask_raw
from hubbub.chat.commands.slash import members_of
from hubbub.chat.private import direct
from hubbub.chat.session import User
from hubbub.errors import BrokerError, Refused
from hubbub.model.entries import Kind
from hubbub.model.events import Acknowledged, Private, Refusal
from hubbub.model.queries import LogPage
from hubbub.model.viewer import ASKER
from hubbub.text.cleaning import clean_exactly
from records import text_in
from system_queries import Latest


class Tagged(Look):
    """A look that shows one event of several rooms once, and people their own entries."""

    def __init__(self, echo: bool = False, prefixed: bool = False) -> None:
        super().__init__(echo, True)
        self.prefixed = False
        self.dedupes = True

    def encode_own(self, entry):  # type: ignore[no-untyped-def]
        return b"mine: " + self.encode(entry)


TAGGED = Tagged()


def of(peer: Peer) -> list[object]:
    return [one.code if isinstance(one, Refusal) else one for one in peer.sees()]


# --- one event in several rooms ---------------------------------------------------------------------------------


def in_both(*names: str) -> tuple[House, list[Peer]]:
    house = House()
    peers = house.enter(*names, look=TAGGED)
    for peer in peers:
        peer.types("/join ops")
        house.settle()
    house.forget()
    return house, peers


def test_rename_and_quit_are_shown_once_to_a_member_of_several_shared_rooms() -> None:
    house, (al, bo) = in_both("Al", "Bo")
    (cy,) = house.enter("Cy", look=TAGGED)
    house.forget()
    al.types("/nick Max", "hi")
    house.settle()
    assert bo.sees() == ["Al > Max", "Max: hi"]
    assert cy.sees() == ["Al > Max"]
    al.leave("bye")
    house.settle()
    assert bo.sees() == ["-Max bye"] and cy.sees() == ["-Max bye"]


def test_rename_is_shown_once_to_a_member_that_was_behind() -> None:
    house, (al, bo) = in_both("Al", "Bo")
    bo.stall()
    al.types("one", "/nick Max", "two")
    house.settle()
    bo.read()
    assert sorted(map(str, bo.sees())) == ["Al > Max", "Al: one", "Max: two"]


def test_own_entries_are_shown_as_ones_own_unless_they_have_a_label() -> None:
    house, (al, bo) = in_both("Al", "Bo")
    al.types("one")
    al.session.label = "x"
    house.hub.say(al.session, "two")
    al.session.label = ""
    house.settle()
    (one, stored) = al.sees()
    assert one == "mine: Al: one" and isinstance(stored, Acknowledged) and text_in(stored.entry) == "two"
    assert bo.sees() == ["Al: one", "Al: two"]
    al.types("/nick Max")
    house.settle()
    assert [one for one in al.sees() if isinstance(one, str)] == ["mine: Al > Max"]
    al.types("/leave")
    house.settle()
    assert "mine: -Max" in al.sees()


# --- privately --------------------------------------------------------------------------------------------------


def test_private_message_is_handed_over_and_told_with_a_label() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.user.host = al.session.host = "~nc@x.nc"
    direct.send_private(house.hub, al.session, "bo", "one\ntwo", Kind.NOTICE, "r", "+a=b")
    (told,), (stored,) = bo.sees(), al.sees()
    assert isinstance(told, Private) and isinstance(stored, Acknowledged) and stored.label == "r"
    assert told.entry == stored.entry and told.entry
    entry = told.entry
    assert (entry.room, entry.kind, entry.nick, text_in(entry)) == ("@Bo", Kind.NOTICE, "Al", "one\ntwo")
    assert (entry.host, entry.tags, entry.seq) == ("~nc@x.nc", "+a=b", 0)
    direct.send_private(house.hub, al.session, "bo", "", Kind.EPHEMERAL, tags="+typing=active")
    assert bo.sees() == [Private("Al", "")] and al.sees() == []
    assert not house.hub.pipeline.queued, "nothing of it is stored"


def test_private_messages_of_guests_are_refused_by_those_who_want_none() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.types("/guests", "/guests maybe", "/guests OFF", "/msg Bo me")
    assert [str(one) for one in of(bo)][:2] == ["argument-missing", "argument-invalid"]
    al.types("/msg Bo hi")
    assert of(al) == ["accounts-only"]
    al.user.operator = True
    al.types("/msg Bo hi")
    bo.types("/guests on")
    al.user.operator = False
    al.types("/msg Bo hi")
    assert of(al) == []


def test_private_message_for_one_user_reaches_nobody_who_has_taken_the_name_since() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    direct.send_private(house.hub, al.session, "Bo", "one", label="r")
    (stored,), (told,) = al.sees(), bo.sees()
    assert isinstance(stored, Acknowledged) and isinstance(told, Private)
    assert al.session.user and bo.session.user and stored.to != told.user
    assert (stored.to, told.user) == (bo.session.user.id, al.session.user.id)
    direct.check_present(house.hub, "bo", stored.to)
    bo.types("/nick Robert")
    house.settle()
    assert bo.session.user.id == stored.to, "a user is the same under every name"
    direct.check_present(house.hub, "robert", stored.to)
    direct.check_present(house.hub, "bo", stored.to)  # nobody has the name: whisper says so
    house.enter("Bo")
    with pytest.raises(Refused, match="Bo who is here now may be somebody else") as refused:
        direct.check_present(house.hub, "BO", stored.to)
    assert refused.value.code == "somebody-else"


def test_members_are_listed_with_their_ids() -> None:
    house = House()
    bo, al = house.enter("bo", "Al")
    listed = members_of(house.hub, "lobby")
    assert al.session.user and bo.session.user
    assert (listed.nicks, listed.users) == (["Al", "bo"], [al.session.user.id, bo.session.user.id])


def test_what_a_client_says_is_kept_to_the_letter() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.session.preserves_spaces = True
    house.hub.say(al.session, "  a  \n")
    house.hub.say(al.session, "  ")
    direct.send_private(house.hub, al.session, "Bo", " b ")
    house.settle()
    assert text_in(house.broker.log[-1]) == "  a  \n" and bo.sees()[-1] == Private("Al", " b ")
    assert clean_exactly(" a\x07 \r\n\x1b[1mb ") == " a \nb " and clean_exactly(" a ") == " a "


def test_telling_some_of_a_room_apart() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    cy.stall()
    direct.message_members_apart(house.hub, al.session, [bo.user, cy.user], "@@#lobby", "psst", Kind.MESSAGE, "", "r")
    assert bo.sees() == [Private("Al", "psst")]
    assert [type(one) for one in al.sees()][-1:] == [Acknowledged]
    cy.leave()
    direct.message_members_apart(house.hub, al.session, [cy.user], "@@#lobby", "psst", Kind.MESSAGE, "")
    assert Private("Al", "psst") not in cy.sees()


def test_saying_something_from_outside() -> None:
    house = House()
    (al,) = house.enter("Al")
    (bo,) = house.enter("Bo")
    bo.types("/join ops", "/set members-only off")
    house.settle()
    room = house.hub.rooms.loaded["ops"]
    house.forget()
    house.hub.say_from_outside(al.session, room, "hi", Kind.MESSAGE, "r", "+a")
    house.hub.say_from_outside(al.session, room, " \n ", Kind.MESSAGE)
    house.settle()
    assert bo.sees() == ["Al: hi"] and house.broker.log[-1].tags == "+a"
    assert [type(one) for one in al.sees()] == [Acknowledged]


def test_signal_is_shown_only_by_encoders_that_can_and_is_not_stored() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    direct.signal(house.hub, al.session, "lobby", "+typing=active", "r")
    direct.signal(house.hub, al.session, "lobby", "+typing=done")
    assert bo.sees() == ["Al ! +typing=active", "Al ! +typing=done"] and [type(one) for one in al.sees()] == [
        Acknowledged
    ]
    assert not house.hub.pipeline.queued
    with pytest.raises(Refused, match="not in ops"):
        direct.signal(house.hub, al.session, "ops", "+typing=active")


def test_signal_that_nobody_can_show() -> None:
    class Blind(Look):
        def encode(self, entry):  # type: ignore[no-untyped-def]
            return b"" if entry.kind is Kind.EPHEMERAL else super().encode(entry)

    house = House()
    al, bo = house.enter("Al", "Bo", look=Blind())
    direct.signal(house.hub, al.session, "lobby", "+typing=active")
    assert bo.sees() == []


# --- questions --------------------------------------------------------------------------------------------------


def test_answer_comes_in_the_place_of_the_question() -> None:
    house = House()
    (al,) = house.enter("Al")
    got: list[object] = []
    al.types("hi")
    ask_raw(al.session, Latest("lobby", 5, viewer=ASKER), got.append)
    house.hub.reply(al.session, Refusal("after", ""))
    assert of(al) == [] and not house.hub.session_ready(al.session)
    house.commit()
    assert of(al) == [] and got == []
    house.answer()
    (page,) = got
    assert isinstance(page, LogPage) and [text_in(entry) for entry in page.entries] == ["hi"] and of(al) == ["after"]
    house.broker.fault = "no"
    ask_raw(al.session, Latest("lobby", 5, viewer=ASKER), got.append)
    house.answer()
    assert isinstance(got[-1], BrokerError)
    ask_raw(al.session, Latest("lobby", 5, viewer=ASKER), got.append)
    al.leave()
    house.answer()
    assert len(got) == 2


# --- who is here ------------------------------------------------------------------------------------------------


def test_presence_reports_arrivals_leaves_and_renames() -> None:
    house = House()
    told: list[tuple[str, str, int]] = []
    house.hub.presence.append(lambda user, before: told.append((user.nick, before, user.present)))
    (al,) = house.enter("Al")
    al.types("/nick Max")
    house.settle()
    al.leave()
    assert told == [("Al", "", 1), ("Max", "Al", 1), ("Max", "", 0)]


def test_user_has_several_sessions() -> None:
    house = House()
    (al,) = house.enter("Al")
    told: list[str] = []
    house.hub.presence.append(lambda user, before: told.append(user.nick))
    other = house.connect()
    house.hub.naming.attach(other.session, al.user)
    al.leave()
    assert told == [] and list(house.hub.users) == ["al"]
    other.leave()
    assert told == ["Al"] and not house.hub.users


def test_name_of_a_user_that_never_entered_is_free() -> None:
    house = House()
    user, _ = house.hub.nicks.claim("Al")
    assert isinstance(user, User)
    house.hub.nicks.release_all(user)
    assert not house.hub.users


def test_client_command_counts_as_speaking_and_typing_does_not() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops", "/op Al", "/set slow 10")
    (bo,) = house.enter("Bo")
    bo.types("/join ops")
    house.settle()
    for _ in "ab":
        direct.signal(house.hub, bo.session, "ops", "+typing=active")
    direct.signal(house.hub, bo.session, "ops", "", text="PRIVMSG VERSION")
    with pytest.raises(Refused) as caught:
        direct.signal(house.hub, bo.session, "ops", "", text="PRIVMSG VERSION")
    assert caught.value.code == "slow-mode"
