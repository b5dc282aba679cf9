"""Private messages between accounts: stored before anybody sees them, and shown at the next login to who was away."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from test_account_users import Town, codes

from doubles import NOON, FakePositions, Peer, ask_raw, refusing
from hubbub.chat import messages
from hubbub.chat.messages import Which
from hubbub.chat.nodes.person import Person
from hubbub.chat.private import direct
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.grants import Permit
from hubbub.model.entries import Draft, Edited, Entry, Kind, Reacted, Redacted, Said, Unreacted
from hubbub.model.events import Acknowledged, Event, Missed, Notice, Private, PrivateShown, Refusal
from hubbub.model.queries import Latest, LogPage
from hubbub.text.list_pages import ListPart
from records import text_in

ROOM = "@idann+idbo"
LATER = "Bo is not here now, and will be shown your message at the next login"


class Post(Town):
    """A town that stores private messages."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.positions = FakePositions()
        self.hub.positions = self.positions

    def settle(self) -> None:
        super().settle()
        while self.positions.asked:
            self.positions.answer()
            super().settle()

    def log(self) -> list[tuple[str, str, str]]:
        said = [entry for entry in self.house.broker.log if type(entry.body) is Said]
        return [(entry.room, entry.nick, text_in(entry)) for entry in said]

    def missed(self, peer: Peer) -> list[str | Event]:
        """Return what a peer is shown of what its user has missed."""
        self.hub.private_history.catch_up(peer.session)
        self.settle()
        return peer.sees()


def texts(event: Any) -> list[tuple[str, str, str]]:
    assert isinstance(event, PrivateShown)
    return [(entry.room, entry.nick, text_in(entry)) for entry in event.entries]


def away(post: Post, peer: Peer) -> None:
    """Let the last session of a user end, and the time of grace as well."""
    peer.leave()
    post.settle()
    for _, call in post.later:
        call()
    post.later.clear()
    post.settle()
    post.house.forget()


def test_a_message_is_stored_before_anybody_sees_it_and_reaches_all_sessions_of_both() -> None:
    post = Post("Ann", "Bo")
    ann, other, bo, again = (post.log_in(name) for name in ("Ann", "Ann", "Bo", "Bo"))
    direct.send_private(post.hub, ann.session, "bo", "psst", label="r", tags="+a=b")
    assert not bo.seen and post.positions.asked
    post.positions.answer()
    assert not bo.seen, "it is announced, and not stored"
    post.settle()
    assert post.log() == [(ROOM, "Ann", "psst")]
    (one,), (two,), (copy,), (stored,) = bo.sees(), again.sees(), other.sees(), ann.sees()
    assert one is two and isinstance(one, Private) and isinstance(copy, Private) and isinstance(stored, Acknowledged)
    assert (one.nick, one.text, one.user, one.to) == ("Ann", "psst", "idann", "")
    assert (copy.nick, copy.text, copy.user, copy.to) == ("Ann", "psst", "idbo", "Bo")
    assert one.entry == copy.entry == stored.entry and one.entry
    assert (one.entry.room, one.entry.tags, stored.label, stored.to) == ("@Bo", "+a=b", "r", "idbo")
    assert one.entry.seq == post.positions.known["idbo", "idann"].seq and not post.positions.flying
    assert ROOM not in post.hub.rooms.loaded and not post.missed(again)


def test_a_message_of_somebody_who_never_reads_again_does_not_count_as_on_its_way_for_ever() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    direct.send_private(post.hub, ann.session, "bo", "psst")
    post.positions.answer()
    ann.session.paused = True
    ann.leave()
    post.settle()
    assert post.positions.flying
    bo.types("/msg Ann hm?")
    post.settle()
    assert not post.positions.flying and not post.hub.private_log._flying
    ann.session.paused = False
    ann.session.flush()
    assert not post.positions.flying


def test_somebody_absent_is_shown_it_at_the_next_login_and_once() -> None:
    post = Post("Ann", "Bo", "Cy")
    ann, cy, bo = (post.log_in(name) for name in ("Ann", "Cy", "Bo"))
    away(post, bo)
    ann.types("/msg Bo one", "/msg Bo two")
    cy.types("/msg BO three")
    post.settle()
    assert ann.sees() == [Notice((LATER,)), Notice((LATER,))] and cy.sees() == [Notice((LATER,))]
    bo = post.log_in("Bo")
    missed, of_ann, of_cy = post.missed(bo)
    assert missed == Missed("", 3, NOON, NOON)
    assert texts(of_ann) == [("@Bo", "Ann", "one"), ("@Bo", "Ann", "two")] and texts(of_cy) == [("@Bo", "Cy", "three")]
    assert isinstance(of_ann, PrivateShown) and of_ann.missed and (of_ann.other, of_ann.user) == ("Ann", "idann")
    assert post.missed(bo) == []
    bo.types("/msg Ann four")
    away(post, bo)
    assert post.missed(post.log_in("Bo")) == [], "nobody misses their own messages"


def test_an_answer_by_a_program_of_the_absent_owner_is_not_among_the_missed_messages() -> None:
    post = Post("Ann", "Bo")
    bot, ann, bo = post.house.connect(), post.log_in("Ann"), post.log_in("Bo")
    bot.session.acts_for, bot.session.host = ann.session.account, ann.session.account.host
    away(post, ann)
    bo.types("/msg Ann one")
    post.settle()
    direct.send_private(post.hub, bot.session, "Bo", "Ann is away", label="r")
    bo.types("/msg Ann two")
    post.settle()
    missed, of_bo = post.missed(post.log_in("Ann"))
    assert missed == Missed("", 2, NOON, NOON)
    assert [text for _, _, text in texts(of_bo)] == ["one", "two"]


def test_a_message_reaches_others_although_its_session_ends() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    ann.types("/msg Bo bye")
    ann.leave()
    post.settle()
    assert Private("Ann", "bye") in bo.sees()
    again = post.log_in("Ann")
    again.types("/msg Bo more")
    away(post, bo)
    again.leave()
    post.settle()
    assert post.log()[-1] == (ROOM, "Ann", "more")


def test_messages_that_no_session_took_wait_for_a_login() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    other = post.log_in("Ann")
    other.stall()
    bo.stall()
    ann.types("/msg Bo one")
    post.settle()
    bo.read()
    ann.types("/msg Bo two")
    post.settle()
    assert [text_in(one.entry) for one in bo.sees() if isinstance(one, Private) and one.entry] == ["two"]
    assert not other.seen and post.positions.known["idbo", "idann"].seq == 0
    _, shown = post.missed(bo)
    assert [text for _, _, text in texts(shown)] == ["one", "two"]
    ann.types("/msg Bo three")
    post.settle()
    assert post.positions.known["idbo", "idann"].seq == post.house.broker.log[-1].seq


def test_users_of_other_nodes_are_given_it_by_their_node() -> None:
    post = Post("Ann", "Bo")
    ann = post.log_in("Ann")
    bo = post.log_in("Bo").user
    bo.is_remote, bo.sessions = True, []
    post.hub.remote.homes = lambda user: [bo]  # type: ignore[method-assign]
    given: list[tuple[str, str]] = []
    answers: list[bool | None] = [True, None]
    post.hub.remote.deliver = lambda user, event, done: (given.append((user.nick, event.text)), done(answers.pop(0)))  # type: ignore[func-returns-value, assignment]
    ann.types("/msg Bo one", "/msg Bo two")
    post.settle()
    assert given == [("Bo", "one"), ("Bo", "two")] and ann.sees() == []
    first = next(entry.seq for entry in post.house.broker.log if entry.room == ROOM)
    assert post.positions.known["idbo", "idann"].seq == first, "nobody knows whether the second one arrived"


def test_a_message_that_another_process_has_stored_is_given_by_that_process() -> None:
    post = Post("Ann", "Bo")
    ann = post.log_in("Ann")
    post.house.commit(post.house.broker.store([Draft(ROOM, "Bo", Said("hi"), "other-1.1")]))
    post.settle()
    assert ann.sees() == []


def test_what_cannot_be_announced_or_stored_is_refused() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    post.positions.fault = "the disk is full"
    direct.send_private(post.hub, ann.session, "Bo", "one", label="r")
    post.settle()
    assert [(one.code, one.label) for one in ann.sees() if isinstance(one, Refusal)] == [("not-stored", "r")]
    assert post.missed(bo) == [] and not post.log()
    post.positions.fault = ""
    direct.send_private(post.hub, ann.session, "Bo", "one", label="r")
    post.positions.answer()
    post.house.fail()
    post.settle()
    assert [(one.code, one.label) for one in ann.sees() if isinstance(one, Refusal)] == [("not-stored", "r")]
    assert not post.positions.flying and post.missed(bo) == []
    direct.send_private(post.hub, ann.session, "Bo", "two", label="s")
    post.positions.answer()
    drafts = post.house.gather()
    post.hub.pipeline.failed(drafts, "no answer", sure=False)
    post.house.commit(post.house.broker.store(drafts))
    (stored,) = (one for one in ann.sees() if isinstance(one, Acknowledged))
    assert (stored.label, stored.entry.room, stored.to) == ("s", "@Bo", "idbo")
    assert Private("Ann", "two") in bo.sees(), "it was stored after all"


def test_guests_and_those_without_history_are_not_stored() -> None:
    post = Post("Ann", "Bo", "Cy")
    post.accounts.add("Dee", history=False)
    ann, dee, bo = (post.log_in(name) for name in ("Ann", "Dee", "Bo"))
    (guest,) = post.house.enter("Guest")
    guest.types("/msg Bo one", "/msg Cy two")
    ann.types("/msg Guest one")
    post.settle()
    assert codes(guest) == ["no-such-name"] and Private("Guest", "one") in bo.sees()
    assert guest.sees() == [] and ann.sees() == []
    ann.types("/msg Dee one", "/msg Dee two")
    dee.types("/msg Ann three")
    post.settle()
    assert ann.sees() == [Notice(("Not stored, because Dee switched the history off",)), Private("Dee", "three")]
    told = dee.sees()
    assert told[:2] == [Private("Ann", "one"), Private("Ann", "two")]
    assert told[2:] == [Notice(("Not stored, because you switched the history off",))]
    away(post, dee)
    ann.types("/msg Dee four")
    assert codes(ann) == ["no-such-name"] and not post.log()
    typing = lambda: direct.send_private(post.hub, ann.session, "Cy", "", Kind.EPHEMERAL, tags="+typing=active")  # noqa: E731
    with pytest.raises(Refused, match="Nobody here"):
        typing()
    with pytest.raises(Refused, match="nothing to send"):
        direct.send_private(post.hub, ann.session, "Cy", " ")


def test_a_guest_who_still_holds_the_name_and_a_closed_account_are_no_partners() -> None:
    post = Post("Ann")
    ann = post.log_in("Ann")
    (bo,) = post.house.enter("Bo")
    post.accounts.known["bo"] = post.accounts.known["ann"][0].__class__(id="idbo", name="Bo", created=NOON), "x"
    ann.types("/msg Bo psst")
    post.settle()
    assert bo.sees() == [Private("Ann", "psst")] and not post.log()
    post.accounts.add("Cy", suspended=True)
    ann.types("/msg Cy psst")
    assert codes(ann) == ["no-such-name"]
    post.hub.positions = None
    assert post.hub.private_log.partner(ann.session, "Cy", None) is None and post.missed(ann) == []
    names: list[Any] = []
    post.hub.private_history.list(ann.session, names.append)
    post.hub.private_history.catch_up(bo.session)
    assert names == [()]


def test_notes_to_oneself_are_stored_and_come_once() -> None:
    post = Post("Ann", "Bo")
    ann, too, bo = post.log_in("Ann"), post.log_in("Ann"), post.log_in("Bo")
    arrived: list[str] = []
    post.hub.private_log.arrived = lambda account, place: arrived.append(account.id)
    ann.types("/msg Ann milk", "/fix @Ann oat milk", "/history ann", "/search @Ann milk")
    post.settle()
    for peer in (ann, too):
        assert next(one.text for one in peer.sees() if isinstance(one, Private)) == "milk" and not arrived
    bo.types("/history Ann")
    post.settle()
    assert bo.sees() == [Notice(("There are no messages between you and Ann",))]
    ann.types("/history ANN", "/delete @Ann")
    post.settle()
    (shown,) = (one for one in ann.sees() if isinstance(one, PrivateShown))
    assert texts(shown) == [("@Ann", "Ann", "oat milk")]
    ann.types("/history Ann")
    post.settle()
    assert ann.sees()[-1] == Notice(("There are no messages between you and Ann",))
    assert post.missed(post.log_in("Ann")) == []


def test_both_people_read_and_search_their_conversation_and_nobody_else_finds_it() -> None:
    post = Post("Ann", "Bo", "Cy")
    ann, bo, cy = (post.log_in(name) for name in ("Ann", "Bo", "Cy"))
    ann.types("/msg Bo one", "/history Bo")
    post.settle()
    bo.types("/msg Ann two", "/history @ann 1", "/search @Ann one")
    post.settle()
    (shown,) = (one for one in ann.sees() if isinstance(one, PrivateShown))
    assert texts(shown) == [("@Bo", "Ann", "one")] and not shown.missed and shown.tail == ()
    latest, found = (one for one in bo.sees() if isinstance(one, PrivateShown))
    assert texts(latest) == [("@Ann", "Bo", "two")] and texts(found) == [("@Bo", "Ann", "one")]
    (guest,) = post.house.enter("Guest")
    cy.types("/history Bo", "/search @Bo one", "/history Nobody", "/history Bo 0")
    guest.types("/history Bo", "/search @Bo one")
    post.settle()
    told = cy.sees()
    assert told[:2] == [Notice(("There are no messages between you and Bo",)), Notice(("Nothing found",))]
    assert [one.code for one in told[2:] if isinstance(one, Refusal)] == ["no-such-name", "number-invalid"]
    assert [type(one) for one in guest.sees()] == [Refusal, Notice]
    with pytest.raises(Refused, match="not logged in"):
        post.hub.private_history.room_with(guest.session, "Bo")


def test_authors_delete_their_own_messages_on_all_screens_of_both() -> None:
    post = Post("Ann", "Bo", "Cy")
    ann, other, bo = (post.log_in(name) for name in ("Ann", "Ann", "Bo"))
    ann.types("/msg Bo one", "/msg Bo two")
    post.settle()
    bo.types("/msg Ann three")
    post.settle()
    post.house.forget()
    ann.types("/delete @bo 2")
    post.settle()
    one = post.house.broker.log[-4]
    redaction = post.house.broker.log[-1]
    assert (redaction.room, redaction.nick, redaction.body) == (ROOM, "Ann", Redacted(one.id))
    (mine,), (copy,), (given,) = ann.sees(), other.sees(), bo.sees()
    assert mine is copy and isinstance(copy, Private) and isinstance(given, Private) and given.entry
    assert (copy.to, given.to, given.user, given.entry.body) == ("Bo", "", "idann", redaction.body)
    bo.types("/delete @Ann 2", "/delete @Ann x", "/delete @Nemo", "/history Ann")
    post.settle()
    *refused, shown = bo.sees()
    assert [one.code for one in refused if isinstance(one, Refusal)] == [
        "no-such-message", "argument-invalid", "no-such-name",
    ]  # fmt: skip
    assert [text for _, _, text in texts(shown)] == ["two", "three"]
    codes: list[str] = []
    conversation = post.hub.private_history.room_with(bo.session, "@Ann")
    refuse = lambda refused: codes.append(refused.code)  # noqa: E731
    messages.redact(
        bo.session, conversation, Which(id=post.house.broker.log[-3].id), refused=refusing(bo.session, refuse)
    )
    post.settle()
    assert codes == ["not-yours"]


def test_messages_of_a_conversation_are_corrected_and_reacted_to_on_all_screens_of_both() -> None:
    post = Post("Ann", "Bo")
    ann, other, bo = (post.log_in(name) for name in ("Ann", "Ann", "Bo"))
    ann.types("in the room", "/msg Bo a tpyo")
    post.settle()
    id = post.house.broker.log[-1].id
    post.house.forget()
    ann.types("/fix @bo  a typo")
    bo.types("/+ @Ann", "/+ 🎉 @ann", "/- 🎉 @Ann")
    post.settle()
    bodies = [Edited(id, "a typo"), Reacted(id, "👍"), Reacted(id, "🎉"), Unreacted(id, "🎉")]
    assert [(one.room, one.body) for one in post.house.broker.log[-4:]] == [(ROOM, body) for body in bodies]
    for peer in (ann, other, bo):
        seen = [one for one in peer.sees() if isinstance(one, Private) and one.entry]
        assert [one.entry.body for one in seen if one.entry] == bodies
        assert [one.to for one in seen] == (["", *["Ann"] * 3] if peer is bo else ["Bo", "", "", ""])
    bo.types("/history Ann", "/fix @Ann mine", "/fix @Nemo mine", "/fix @Ann", "/+ x @Nemo", "/+ two words @Ann")
    post.settle()
    shown, *refused = bo.sees()
    assert [text for _, _, text in texts(shown)] == ["a typo"]
    assert [one.code for one in refused if isinstance(one, Refusal)] == [
        "no-such-message", "no-such-name", "no-such-message", "no-such-name", "no-such-message",
    ]  # fmt: skip
    # Nothing is stored for somebody who keeps no history, and a guest has no conversation.
    post.accounts.add("Bo", history=False)
    (guest,) = post.house.enter("Gast")
    stored = len(post.house.broker.log)
    ann.types("/fix @Bo more", "/+ @Bo")
    guest.types("/fix @Bo more", "/+ 👍 @Bo")
    post.settle()
    assert len(post.house.broker.log) == stored
    assert codes(ann) == ["no-such-message"] * 2 and codes(guest) == ["not-logged-in"] * 2


def test_answer_in_private_is_no_message_to_the_room() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    (guest,) = post.house.enter("Gast")
    ann.types("in the room", "/msg Bo tea?")
    post.settle()
    id = post.house.broker.log[-1].id
    post.house.forget()
    bo.types("/re @Ann yes please", "/re @Ann", "/re @Nemo hm")
    ann.types("/re @Ann hm")
    guest.types("/re @Ann hm")
    post.settle()
    said = post.house.broker.of(ROOM)[-1]
    assert (said.body, said.tags) == (Said("yes please"), f"+reply={id}")
    assert not [one for one in post.house.broker.of("lobby") if isinstance(one.body, Said) and one.nick != "Ann"]
    assert codes(bo) == ["argument-missing", "no-such-name"]
    assert codes(ann) == ["no-such-message"] and codes(guest) == ["not-logged-in"]


def test_no_act_reaches_a_message_of_another_room_or_conversation_by_its_id() -> None:
    post = Post("Ann", "Bo", "Cy")
    ann, bo, cy = (post.log_in(name) for name in ("Ann", "Bo", "Cy"))
    ann.types("in the room", "/msg Bo psst")
    post.settle()
    public, private = (one.id for one in post.house.broker.log[-2:])
    stored = len(post.house.broker.log)
    lobby = post.hub.rooms.loaded["lobby"]
    refused: list[str] = []
    places = [(ann, lobby, private), (ann, post.hub.private_history.room_with(ann.session, "Bo"), public)]
    places += [(cy, post.hub.private_history.room_with(cy.session, "Ann"), private), (bo, lobby, private)]
    for peer, place, id in places:
        refuse = lambda refusal: refused.append(refusal.code)  # noqa: E731
        which = Which(id=id)
        messages.correct(peer.session, place, which, "forged", refused=refusing(peer.session, refuse))
        messages.react(peer.session, place, which, "👍", True, refused=refusing(peer.session, refuse))
        messages.redact(peer.session, place, which, refused=refusing(peer.session, refuse))
    post.settle()
    assert refused == ["no-such-message"] * 12 and len(post.house.broker.log) == stored


def test_a_message_of_an_earlier_login_is_deleted_by_its_author_with_an_answer_for_a_label() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    ann.types("/msg Bo one")
    post.settle()
    id = post.house.broker.log[-1].id
    away(post, ann)
    away(post, bo)
    ann = post.log_in("Ann")
    conversation = post.hub.private_history.room_with(ann.session, "Bo")
    ann.session.label = "r"
    messages.redact(ann.session, conversation, Which(id=id), "a typo")
    ann.session.label = ""
    post.settle()
    (stored,) = ann.sees()
    assert isinstance(stored, Acknowledged) and (stored.label, stored.entry.room, stored.to) == ("r", "@Bo", "idbo")
    assert stored.entry.body == Redacted(id, "a typo")
    assert post.missed(post.log_in("Bo")) == []


def test_a_page_of_several_rooms_names_the_recipients_of_private_messages() -> None:
    post = Post("Ann", "Bo")
    ann = post.log_in("Ann")
    (guest,) = post.house.enter("Guest")
    host = ann.user.host
    entries = [
        Entry("ops", 1, 0, NOON, "Ann", "x", Said("a"), host),
        Entry(ROOM, 2, 0, NOON, "Ann", "x", Said("b"), host),
        Entry(ROOM, 3, 2, NOON, "Bo", "x", Said("c"), "~user@idbo.account"),
        Entry("@idann+idgone", 4, 0, NOON, "Ann", "x", Said("d"), host),
    ]
    show = post.hub.private_history.shown
    assert [one.room for one in show(ann.session, LogPage(entries)).entries] == ["ops", "@Bo", "@Ann", "@idgone"]
    assert show(guest.session, LogPage(entries)).entries is entries
    parties = post.hub.private_history.room_with(ann.session, "Bo").parties
    event = post.hub.private_history.event(ann.session, parties, LogPage(entries, True, "A part."), "none", "more")
    assert isinstance(event, PrivateShown) and event.tail == ("more", "A part.")
    assert post.hub.private_history.event(ann.session, parties, LogPage((), note="A part."), "none") == Notice(
        ("none", "A part.")
    )


def test_a_long_absence_is_shown_in_parts_and_an_unreadable_log_later() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    away(post, bo)
    for number in range(3):
        ann.types(f"/msg Bo {number}")
        post.settle()
    post.house.broker.page = 2
    bo = post.log_in("Bo")
    post.house.broker.fault = "the log is damaged"
    assert post.missed(bo) == []
    post.house.broker.fault = ""
    _, shown = post.missed(bo)
    assert [text for _, _, text in texts(shown)] == ["0", "1"] and isinstance(shown, PrivateShown)
    assert shown.tail == ("There is more, see /history Ann",)
    _, shown = post.missed(bo)
    assert [text for _, _, text in texts(shown)] == ["2"]
    post.hub.private_history.catch_up(bo.session)
    post.positions.given("idbo", "idann", 0)
    gone = post.log_in("Bo")
    post.positions.known["idbo", "idann"] = post.positions.known["idbo", "idann"]._replace(waiting=True)
    post.hub.private_history.catch_up(gone.session)
    gone.leave()
    post.settle()
    assert post.positions.known["idbo", "idann"].waiting


def test_conversations_are_listed_with_their_last_times() -> None:
    post = Post("Ann", "Bo", "Cy")
    ann = post.log_in("Ann")
    ann.types("/msg Bo one")
    post.settle()
    post.house.now += 60
    post.positions.known["idann", "idcy"] = post.positions.known["idann", "idbo"]._replace(other="idcy")
    lists: list[Any] = []
    post.hub.private_history.list(ann.session, lists.append)
    post.settle()
    post.positions.fault = "no"
    post.hub.private_history.list(ann.session, lists.append)
    post.settle()
    assert lists == [[("Bo", NOON)], ()]


def test_an_owner_has_the_id_of_the_account_and_is_known_by_the_id_of_the_guest_before() -> None:
    post = Post("Ann", "Bo")
    ann = post.log_in("Ann")
    (guest,) = post.house.enter("Bo2")
    before = guest.user.id
    away(post, guest)
    guest = post.house.connect()
    guest.session.user_id = before
    post.hub.naming.enter(guest.session, "Bo2")
    guest.user.own(post.accounts.known["bo"][0])
    assert (guest.user.id, guest.user.former_id) == ("idbo", before)
    direct.check_present(post.hub, "Bo2", before)
    direct.check_present(post.hub, "Bo2", "idbo")
    direct.check_present(post.hub, "Nemo", "x")
    direct.check_present(post.hub, "Bo", "idbo")
    for name, id in (("Bo2", "idann"), ("Bo2", ""), ("bo", before)):
        with pytest.raises(Refused, match="somebody else"):
            direct.check_present(post.hub, name, id)
    assert ann.user.id == "idann" and ann.user.former_id == ""


def test_a_login_without_the_scope_private_gets_new_messages_and_no_old_ones() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    bo.session.permit = Permit(("read", "say", "admin"))
    ann.types("/msg Bo one")
    post.settle()
    assert Private("Ann", "one") in bo.sees() and post.positions.known["idbo", "idann"].waiting
    bo.types("/history Ann", "/search @Ann one", "/delete @Ann")
    post.settle()
    assert codes(bo) == ["token-limited"] * 3
    names: list[Any] = []
    post.hub.private_history.list(bo.session, names.append)
    assert names == [()] and post.missed(bo) == []
    _, shown = post.missed(post.log_in("Bo"))
    assert [text for _, _, text in texts(shown)] == ["one"]


def test_a_message_that_only_a_session_without_the_scope_private_took_on_another_node_waits() -> None:
    post = Post("Ann", "Bo")
    bo = post.log_in("Bo")
    stored = Entry("@Bo", 5, 0, NOON, "Ann", "a-1.1", Said("psst"))
    assert direct.deliver(bo.user, Private("Ann", "psst", stored, "idann"))
    bo.session.permit = Permit(("read", "say", "admin"))
    assert not direct.deliver(bo.user, Private("Ann", "psst", stored, "idann"))
    assert direct.deliver(bo.user, Private("Ann", "psst", replace(stored, seq=0), "idann"))
    assert len(bo.sees()) == 3, "it is shown in any case"


def test_a_message_to_somebody_who_comes_on_another_node_meanwhile_is_not_lost() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    away(post, bo)
    direct.send_private(post.hub, ann.session, "Bo", "psst")
    post.positions.answer()
    post.positions.shown("idbo", "idann", 0, all=True)  # by the other node, at Bo's login
    post.settle()
    _, shown = post.missed(post.log_in("Bo"))
    assert [text for _, _, text in texts(shown)] == ["psst"]


def test_conversations_are_listed_in_parts_by_name() -> None:
    post = Post("Ann", *(names := ["Bo", "Cy", "Di"]))
    ann = post.log_in("Ann")
    for name in names:
        ann.types(f"/msg {name} hi")
        post.settle()
    post.positions.known["idann", "iddi"] = post.positions.known.pop(("idann", "iddi"))
    viewer, lists = post.hub.viewer(ann.session), list[Any]()
    for part in (ListPart(limit=2), ListPart("", 2), ListPart("cy", 2), ListPart("di", 2)):
        post.hub.private_history.list_of(ann.user.account, viewer, part, lists.append)
        post.settle()
    assert [([name for name, _ in one.last], one.more, one.end) for one in lists] == [
        (["Di", "Cy"], 1, "Cy"), (["Bo", "Cy"], 1, "Cy"), (["Di"], 0, "Di"), ([], 0, ""),
    ]  # fmt: skip
    post.positions.fault = "no"
    post.hub.private_history.list_of(ann.user.account, viewer, ListPart(), lists.append)
    assert isinstance(lists[-1], BrokerError)


def test_the_sessions_of_the_author_on_another_node_are_shown_messages_and_deletions() -> None:
    here, there = Post("Ann", "Bo"), Post("Ann", "Bo")
    ann, bo = here.log_in("Ann"), here.log_in("Bo")
    (far,) = (there.log_in("Ann"),)
    here.hub.remote.add(Person("Ann", ann.user.host, id="idann", id_prefix="b-1."))

    def send(user: Any, event: Event) -> None:
        assert user is ann.user
        direct.deliver(far.user, event)

    here.hub.remote.send = send
    here.house.forget()
    ann.types("/msg Bo one", "/msg Bo two")
    here.settle()
    copies = [one for one in far.sees() if isinstance(one, Private)]
    assert [(one.text, one.to, one.user) for one in copies] == [("one", "Bo", "idbo"), ("two", "Bo", "idbo")]
    assert not [one for one in ann.sees() if isinstance(one, Private)]
    ann.types("/delete @Bo")
    here.settle()
    (deleted,) = far.sees()
    assert isinstance(deleted, Private) and deleted.entry and isinstance(deleted.entry.body, Redacted)
    here.accounts.add("Bo", history=False)
    bo.user.account = here.accounts.find("Bo")
    ann.types("/msg Bo three")
    here.settle()
    assert [(one.text, one.to) for one in far.sees() if isinstance(one, Private)] == [("three", "Bo")]


def test_a_closed_account_leaves_the_conversation_to_the_other_and_a_new_owner_of_its_name_has_none_of_it() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    ann.types("/msg Bo one")
    post.settle()
    away(post, ann)
    for closed in ({"suspended": True}, {"deleted": True}):
        post.accounts.add("Ann", **closed)
        bo.types("/msg Ann hello", "/history Ann", "/search @Ann one")
        post.settle()
        refused, *shown = bo.sees()
        assert isinstance(refused, Refusal) and refused.code == "no-such-name"
        assert [texts(one) for one in shown] == [[("@Bo", "Ann", "one")]] * 2
    # The name is freed, and somebody else registers it.
    old, secret = post.accounts.known["ann"]
    post.accounts.known["ann"] = old.__class__(id="idnew", name="Ann", created=NOON), secret
    new = post.log_in("Ann")
    assert post.missed(new) == []
    new.types("/history Bo", "/search @Bo one", "/delete @Bo")
    bo.types("/history Ann")
    post.settle()
    assert "one" not in repr(new.sees()) and bo.sees() == [Notice(("There are no messages between you and Ann",))]
    with pytest.raises(Refused, match="somebody else"):
        direct.check_present(post.hub, "Ann", "idann")


def test_a_conversation_is_found_by_the_freed_name_of_the_other() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    bo.types("/msg Ann yours")
    ann.types("/msg Bo psst")
    post.settle()
    away(post, bo)
    former, _ = post.accounts.known.pop("bo")
    post.accounts.freed = [replace(former, name="Bo~idbo", deleted=True)]
    post.house.forget()
    ann.types("/history Bo~idbo", "/search @Bo~idbo psst", "/search psst", "/history Bo")
    post.settle()
    shown, found, everywhere, unknown = ann.sees()
    assert texts(shown) == [("@Ann", "Bo", "yours"), ("@Bo~idbo", "Ann", "psst")] and texts(found) == texts(shown)[1:]
    assert isinstance(unknown, Refusal) and unknown.code == "no-such-name"
    assert isinstance(everywhere, Notice | PrivateShown | Event)
    names: list[Any] = []
    post.hub.private_history.list(ann.session, names.append)
    post.settle()
    assert [name for name, _ in names[0]] == ["Bo~idbo"]
    post.accounts.freed = []
    names.clear()
    post.hub.private_history.list(ann.session, names.append)
    post.settle()
    assert [name for name, _ in names[0]] == ["idbo"], "its name was freed by an older version"


def test_forged_targets_and_ids_lead_to_no_conversation_of_others() -> None:
    post = Post("Ann", "Bo", "Cy")
    ann, bo, cy = (post.log_in(name) for name in ("Ann", "Bo", "Cy"))
    ann.types("/msg Bo secret")
    post.settle()
    id = post.house.broker.log[-1].id
    names = ("@idann+idbo", "idann+idbo", "@@Bo", "\u0412o", "Bo\u200b!", "@", "x" * 5000, "server", "*")
    for name in names:
        with pytest.raises(Refused) as refused:
            post.hub.private_history.room_with(cy.session, name)
        assert refused.value.code == "no-such-name", name
    codes_of: list[str] = []
    for name in ("Ann", "BO"):
        conversation = post.hub.private_history.room_with(cy.session, name)
        assert conversation.name in ("@idann+idcy", "@idbo+idcy")
        refuse = lambda refused: codes_of.append(refused.code)  # noqa: E731
        messages.redact(cy.session, conversation, Which(id=id), refused=refusing(cy.session, refuse))
        post.settle()
    assert codes_of == ["no-such-message"] * 2 and post.log() == [(ROOM, "Ann", "secret")]
    query = Latest(ROOM, 10, every=True, viewer=post.hub.viewer(cy.session))
    pages: list[Any] = []
    ask_raw(cy.session, query, pages.append)
    post.settle()
    assert not isinstance(pages[0], LogPage) or not pages[0].entries
    assert bo.user.is_known_as("idbo")


def test_a_message_is_stored_although_its_author_has_gone_by_then() -> None:
    post = Post("Ann", "Bo")
    ann, bo = post.log_in("Ann"), post.log_in("Bo")
    direct.send_private(post.hub, ann.session, "bo", "psst")
    post.positions.answer()
    post.hub.owners.pop(ann.user.host)
    post.settle()
    assert [text for _, _, text in post.log()] == ["psst"] and [
        one.text for one in bo.sees() if isinstance(one, Private)
    ]


def test_the_page_of_a_guest_is_shown_as_it_is() -> None:
    post = Post()
    (guest,) = post.house.enter("Gast")
    page = LogPage(())
    assert post.hub.private_history.shown(guest.session, page) is page


def test_a_page_without_private_messages_is_shown_as_it_is() -> None:
    post = Post("Ann")
    ann = post.log_in("Ann")
    page = LogPage(tuple(post.house.broker.log))
    assert page.entries and post.hub.private_history.shown(ann.session, page) is page


def test_a_program_that_acts_for_an_account_sends_private_messages_of_it() -> None:
    post = Post("Ann", "Bo")
    (gus,) = post.house.enter("Gus")
    bot, bo = post.house.connect(), post.log_in("Bo")
    account = post.accounts.find("Ann")
    assert account
    bot.session.acts_for, bot.session.host = account, account.host
    post.settle()
    post.house.forget()
    direct.send_private(post.hub, bot.session, "Bo", "while Ann is away", label="r")
    post.settle()
    (one,), (stored,) = bo.sees(), bot.sees()
    assert isinstance(one, Private) and (one.nick, one.text, one.user) == ("Ann", "while Ann is away", "idann")
    assert isinstance(stored, Acknowledged) and post.log() == [(ROOM, "Ann", "while Ann is away")]
    ann = post.log_in("Ann")
    post.house.forget()
    direct.send_private(post.hub, bot.session, "Bo", "stored", label="s")
    post.settle()
    direct.send_private(post.hub, bot.session, "Gus", "not stored", label="t")
    post.settle()
    assert [(event.text, event.to) for event in ann.sees() if isinstance(event, Private)] == [
        ("stored", "Bo"),
        ("not stored", "Gus"),
    ]
    (unstored,) = gus.sees()
    assert isinstance(unstored, Private), unstored
    assert (unstored.nick, unstored.user) == ("Ann", "idann")
