"""The pipeline: what holds a session back, what becomes of drafts, and when a batch is published."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from doubles import House, Peer
from hubbub.chat import pipeline as pipeline_module
from hubbub.chat.pipeline import STORM_JOINS, Pipeline
from hubbub.chat.postings_by_id import PostingsById
from hubbub.chat.replies import TURN_LIMIT, UNSETTLED_LIMIT
from hubbub.chat.session import Posting
from hubbub.model.entries import Draft, Entry, Kind
from hubbub.model.events import Acknowledged, Notice, Refusal, RoomEntered
from records import changed, draft_of, entry_of, text_in


def test_outbox_that_is_full_holds_everybody_back_until_it_is_emptied() -> None:
    house = House(gathered=10)
    al, bo = house.enter("Al", "Bo")
    al.types("x" * 11, "more")
    bo.types("hi")
    assert (al.untaken, bo.untaken) == (1, 1)
    assert not house.hub.session_ready(bo.session)
    house.commit()
    assert (al.untaken, bo.untaken) == (0, 0)
    house.commit()
    assert bo.sees() == [f"Al: {'x' * 11}", "Al: more"] and al.sees() == ["Bo: hi"]


def test_outbox_that_is_full_is_emptied_by_a_failure_too() -> None:
    house = House(gathered=10)
    al, bo = house.enter("Al", "Bo")
    al.types("x" * 11)
    bo.types("hi")
    house.fail()
    house.commit()
    assert al.sees()[1:] == ["Bo: hi"]


def test_outbox_that_stays_full_relieves_nobody() -> None:
    house = House(gathered=10)
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("x" * 11)
    batch = house.gather()
    house.hub.say(cy.session, "y" * 11)
    bo.types("hi")
    house.commit(house.broker.store(batch))
    assert bo.untaken == 1
    house.commit()
    assert bo.untaken == 0


def test_session_that_left_while_blocked_is_not_resumed() -> None:
    house = House(gathered=10)
    al, bo = house.enter("Al", "Bo")
    al.types("x" * 11)
    bo.types("hi")
    bo.leave()
    house.settle()
    assert bo.untaken == 1 and al.sees() == ["-Bo"]


def test_session_waits_when_so_much_of_its_own_is_not_settled() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("x" * (UNSETTLED_LIMIT + 1), "more")
    assert al.untaken == 1
    bo.types("hi")
    assert bo.untaken == 0, "nobody else waits"
    house.commit()
    assert al.untaken == 0
    al.types("and", "more")
    assert al.untaken == 0, "that is settled"


def test_session_waits_when_so_many_of_its_own_are_not_settled() -> None:
    house = House()
    al, _ = house.enter("Al", "Bo")
    al.types(*["x"] * (TURN_LIMIT + 5))
    assert al.untaken == 5
    house.commit()
    assert al.untaken == 0


def pong(house: House, peer: Peer) -> None:
    house.hub.after_earlier_entries(peer.session)
    house.hub.reply(peer.session, Notice(("pong",)))


def test_answer_that_waits_for_all_comes_after_what_others_said_before() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("one")
    batch = house.gather()
    pong(house, bo)
    al.types("two")
    pong(house, cy)
    assert (bo.sees(), cy.sees()) == ([], [])
    house.commit(house.broker.store(batch))
    assert (bo.sees(), cy.sees()) == (["Al: one", Notice(("pong",))], ["Al: one"])
    pong(house, bo)
    house.commit()
    assert (bo.sees(), cy.sees()) == (["Al: two", Notice(("pong",))], ["Al: two", Notice(("pong",))])


def test_answer_that_waits_for_all_comes_at_once_when_all_is_settled() -> None:
    house = House()
    (al,) = house.enter("Al")
    pong(house, al)
    assert al.sees() == [Notice(("pong",))]


def test_answer_that_waits_for_all_does_not_wait_for_what_cannot_be_stored() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    al.types("lost")
    cy.leave()
    pong(house, bo)
    house.fail()
    assert bo.sees() == [Notice(("pong",))]
    pong(house, bo)
    assert bo.sees() == [Notice(("pong",))], "the leave is tried again, and nobody waits for it"


def test_idle_is_when_everything_has_its_outcome() -> None:
    house = House()
    (al,) = house.enter("Al")
    pipeline = house.hub.pipeline
    assert pipeline.idle and not pipeline.queued
    al.types("hi")
    assert pipeline.queued and not pipeline.idle and len(pipeline) == 1
    batch = house.gather()
    assert not pipeline.queued and not pipeline.idle
    house.commit(house.broker.store(batch))
    assert pipeline.idle


def test_draft_that_must_be_stored_is_gathered_again_first_and_wakes() -> None:
    house = House()
    al, bo, _ = house.enter("Al", "Bo", "Cy")
    al.leave()
    batch = house.gather()
    bo.types("after")
    house.woken = 0
    house.hub.pipeline.failed(batch, "no")
    assert house.woken
    assert [draft.nick for draft in house.gather()] == ["Al", "Bo"]


def test_failure_with_nothing_to_keep_wakes_nobody() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("lost")
    house.woken = 0
    house.fail()
    assert house.woken == 0 and house.hub.pipeline.idle


def test_entry_that_is_nobodys_here_is_delivered_all_the_same() -> None:
    """It comes from another server of a cluster, or is of a session that no longer waits."""
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("hi")
    (draft,) = house.gather()
    (entry,) = house.broker.store([draft])
    house.commit(
        [
            changed(entry, id="other-1.1", nick="Zed"),
            changed(entry, room="elsewhere", room_id="elsewhere", id="other-1.2"),
        ]
    )
    assert al.sees() == bo.sees() == ["Zed: hi"]
    assert not house.hub.pipeline.idle


def test_draft_of_nobody_is_stored_or_lost() -> None:
    house = House()
    (al,) = house.enter("Al")
    for outcome, seen in ((house.commit, ["Server: hi"]), (house.fail, [])):
        house.hub.pipeline.add(Posting(draft_of("lobby", Kind.MESSAGE, "Server", "hi", "boot-0.1")))
        outcome()
        assert al.sees() == seen and house.hub.pipeline.idle


# --- what is not sure -----------------------------------------------------------------------------------------------


def test_unconfirmed_message_is_acknowledged_when_it_is_stored_after_all() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("perhaps", "two\tlines " + "x" * 100)
    batch = house.gather()
    house.hub.pipeline.failed(batch, "nobody answered", False)
    first, second = al.sees()
    assert first == Refusal("not-confirmed", "Not confirmed: nobody answered. It may still appear: perhaps")
    assert isinstance(second, Refusal) and second.text.endswith("xxx…") and bo.sees() == []
    assert house.hub.pipeline.idle
    house.commit(house.broker.store(batch))
    assert bo.sees()[0] == "Al: perhaps"
    first, second = al.sees()
    assert first == Notice(("This was sent after all: perhaps",))
    assert isinstance(second, Notice) and second.lines[0].endswith("…") and len(second.lines[0]) < 100


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["/join ops"], "You joined ops after all"),
        (["/leave"], "You left lobby after all"),
        (["/nick Max"], "You became Max after all"),
        (["/topic tea"], "Your change of lobby was stored after all"),
        (["/topic off"], "Your change of lobby was stored after all"),
        (["/join ops", "/set slow 3"], "Your change of ops was stored after all"),
        (["/join ops", "/kick Bo"], "Your change of ops was stored after all"),
        (["oops", "/delete"], "The message was deleted after all"),
        (["/join ops", "/rename tea"], "Your change of ops was stored after all"),
    ],
)
def test_unconfirmed_change_is_told_in_words_when_it_is_stored_after_all(lines: list[str], told: str) -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    for line in lines:
        house.settle()
        if line.startswith("/kick"):
            bo.types("/join ops")
            house.settle()
        house.forget()
        al.types(line)
    while not house.broker.published and house.broker.questions:
        house.answer()
        house.turn()
    batch = house.gather()
    house.hub.pipeline.failed(batch, "nobody answered", False)
    house.commit(house.broker.store(batch))
    house.settle()
    assert Notice((told,)) in al.sees()


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_unconfirmed_join_that_is_stored_after_all_makes_a_member(loaded: bool, gone: bool) -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    if loaded:
        cy.types("/join ops", "hi")
        house.settle()
    too = house.connect()
    house.hub.naming.attach(too.session, al.user)
    al.types("/join ops")
    while not house.broker.published:
        house.answer()
        house.turn()
    batch = house.gather()
    house.hub.pipeline.failed(batch, "nobody answered", False)
    house.forget()
    if gone:
        al.leave()
    house.commit(house.broker.store(batch))
    house.settle()
    assert al.user.nick == "Al" and too.session.current == "lobby"
    assert too.user in house.hub.rooms.loaded["ops"].members and not too.user.joining
    assert [type(event) for event in too.sees()].count(RoomEntered) == 1
    bo.types("/join ops", "hello")
    house.settle()
    assert too.sees()[-1] == "[ops] Bo: hello"


def test_unconfirmed_join_whose_room_cannot_be_read_is_refused() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    house.answer()
    batch = house.gather()
    house.hub.pipeline.failed(batch, "nobody answered", False)
    house.broker.fault = "it is damaged"
    house.forget()
    house.commit(house.broker.store(batch))
    house.settle()
    assert [event.code for event in al.sees() if isinstance(event, Refusal)] == ["broker"] and not al.user.joining


def test_session_that_continued_after_an_unconfirmed_topic_is_not_blocked_when_it_is_stored() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    for line, number in (("/topic tea", 0), ("/nick Ann", 1)):
        al.types(line)
        batch = house.gather()
        house.hub.pipeline.failed(batch, "nobody answered", False)
        house.commit(house.broker.store(batch))
        assert house.hub.session_ready(al.session), line
        al.types(f"hi {number}")
        house.settle()
        assert bo.sees()[-1].endswith(f": hi {number}")  # type: ignore[union-attr]


def test_label_is_told_as_stored_when_that_is_sure_at_last() -> None:
    house = House()
    (al,) = house.enter("Al")
    house.hub.say(al.session, "perhaps", label="x1")
    batch = house.gather()
    house.hub.pipeline.failed(batch, "no", False)
    assert [event.label for event in al.sees() if isinstance(event, Refusal)] == ["x1"]
    (entry,) = house.broker.store(batch)
    house.commit([entry])
    assert al.sees()[0] == Acknowledged("x1", entry)


def test_session_that_left_gets_no_outcome() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("perhaps")
    batch = house.gather()
    house.hub.pipeline.failed(batch, "no", False)
    al.leave()
    house.settle()
    house.forget()
    house.commit(house.broker.store(batch))
    assert bo.sees() == ["Al: perhaps"] and al.sees() == []


def test_number_of_remembered_unconfirmed_drafts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "MAX_UNCONFIRMED", 2)
    house = House()
    (al,) = house.enter("Al")
    al.types("a", "b", "c")
    batch = house.gather()
    house.hub.pipeline.failed(batch, "no", False)
    al.sees()
    house.commit(house.broker.store(batch))
    assert [event for event in al.sees() if isinstance(event, Notice)] == [
        Notice(("This was sent after all: b",)),
        Notice(("This was sent after all: c",)),
    ]


def test_all_that_has_no_outcome_yet_can_be_looked_at() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("one")
    house.gather()
    al.types("two")
    assert [text_in(posting.draft) for posting in house.hub.pipeline] == ["one", "two"]


# --- the cycle --------------------------------------------------------------------------------------------------------


class Loop:
    """A loop on a clock that the test moves, and a broker that stores when the test says so."""

    def __init__(self, gathers: bool = False) -> None:
        self.now = 100.0
        self.gathers = gathers
        self.batches: list[list[Draft]] = []  # published, and not stored yet
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.took: list[float] = []
        self.pipeline = Pipeline(self, self, lambda: self.now, 1000)
        self.pipeline.on_commit = self.pipeline.on_fan_out = self.took.append
        self.pipeline.deliver = self.deliver
        self.seconds = 0.0  # of each fan-out

    def call_soon(self, callback: Callable[..., None], *args: Any) -> None:
        self.call_later(0.0, callback, *args)

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> None:
        self.due.append((self.now + delay, partial(callback, *args)))

    def publish(self, drafts: Sequence[Draft]) -> None:
        self.batches.append([*drafts])

    def deliver(self, entries: Sequence[Entry]) -> None:
        self.now += self.seconds
        self.pipeline.settle(entries)

    def run(self, seconds: float = 0.0) -> list[str]:
        """Let time pass, and return the texts of the batches that are published then."""
        end = self.now + seconds
        while ready := [one for one in self.due if one[0] <= end + 1e-9]:
            first = min(ready, key=lambda one: one[0])
            self.due.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = max(self.now, end)
        return [" ".join(text_in(draft) for draft in batch) for batch in self.batches]

    def add(self, text: str, kind: Kind = Kind.MESSAGE, must_store: bool = False) -> None:
        self.pipeline.add(Posting(draft_of("lobby", kind, "Al", text, f"id-{text}", must_store=must_store)))

    def store(self) -> None:
        drafts = self.batches.pop(0)
        self.pipeline.committed([Entry("lobby", 1, 0, 1.0, d.nick, d.id, d.body) for d in drafts])


def test_drafts_of_one_turn_are_one_batch_and_later_ones_the_next() -> None:
    loop = Loop()
    loop.add("1")
    loop.add("2")
    assert loop.run() == ["1 2"]
    loop.add("3")
    loop.add("4")
    assert loop.run() == ["1 2"]
    loop.store()
    assert loop.run() == ["3 4"]


def test_messages_are_not_paced() -> None:
    loop = Loop()
    loop.seconds = 0.5
    for text in "abcdefghijkl":
        loop.add(text)
    loop.run()
    loop.add("next")
    loop.store()
    assert loop.run() == ["next"]
    assert loop.took == [0.0, 0.5] and loop.pipeline.entries == 12


@pytest.mark.parametrize("meanwhile", [False, True])
def test_while_joins_pile_up_the_next_batch_waits_as_long_as_the_fan_out_took(meanwhile: bool) -> None:
    loop = Loop()
    loop.seconds = 0.5
    loop.add("first", Kind.MESSAGE if meanwhile else Kind.JOIN)
    for number in range(STORM_JOINS - 1):
        loop.add(f"j{number}", Kind.MESSAGE if meanwhile else Kind.JOIN)
    loop.run()
    for number in range(STORM_JOINS):
        loop.add(f"k{number}", Kind.JOIN if meanwhile else Kind.MESSAGE)
    loop.store()
    assert loop.run(0.4) == []
    loop.add("last")
    (batch,) = loop.run(0.2)
    assert batch.startswith("k0 ") and batch.endswith(" last")


def test_broker_that_gathers_is_given_more_before_it_is_done() -> None:
    loop = Loop(gathers=True)
    loop.add("1")
    loop.run()
    loop.add("2")
    assert loop.run(0.02) == ["1"]
    assert loop.run(0.1) == ["1", "2"]


def test_leave_is_not_published_when_its_join_has_failed_meanwhile() -> None:
    loop = Loop(gathers=True)
    (al,) = House().enter("Al")
    session = al.session
    for kind in (Kind.JOIN, Kind.LEAVE):
        posting = Posting(
            draft_of("lobby", kind, "Al", "", f"id-{kind}", must_store=kind is Kind.LEAVE, room_id="lobby"), session
        )
        al.user.joining.setdefault("lobby", posting)
        loop.pipeline.add(posting)
        if kind is Kind.JOIN:
            loop.run(0.1)
    loop.pipeline.failed(loop.batches.pop(), "the disk is full")
    assert loop.run(1.0) == [] and loop.pipeline.idle


def test_leave_is_published_if_its_join_may_still_be_stored() -> None:
    loop = Loop(gathers=True)
    (al,) = House().enter("Al")
    for kind in (Kind.JOIN, Kind.LEAVE):
        posting = Posting(
            draft_of("lobby", kind, "Al", "", f"id-{kind}", must_store=kind is Kind.LEAVE, room_id="lobby"), al.session
        )
        al.user.joining.setdefault("lobby", posting)
        loop.pipeline.add(posting)
        if kind is Kind.JOIN:
            loop.run(0.1)
    loop.pipeline.failed(loop.batches.pop(), "the disk is slow", False)
    assert loop.run(1.0) == [""]  # the leave, without a reason


def test_after_a_failure_the_next_batch_waits_a_little() -> None:
    loop = Loop()
    loop.add("leave", Kind.LEAVE, must_store=True)
    loop.add("lost")
    loop.run()
    loop.pipeline.failed(loop.batches.pop(), "the disk is full")
    loop.add("2")
    assert loop.run(0.2) == []
    assert loop.run(0.1) == ["leave 2"]
    assert loop.pipeline.not_stored == 2


def test_next_batch_follows_a_fault_of_the_delivery() -> None:
    def fault(entries: Sequence[Entry]) -> None:
        raise RuntimeError

    loop = Loop()
    loop.pipeline.deliver = fault
    loop.add("1")
    loop.run()
    loop.add("2")
    with pytest.raises(RuntimeError):
        loop.store()
    assert loop.run() == ["2"]


def test_postings_of_one_event_are_told_apart_by_their_rooms() -> None:
    postings = PostingsById()
    entries = {room: entry_of(room, 1, 0, 0.0, Kind.RENAME, "Al", "Bo", "x.1", room_id=f"id-{room}") for room in "abcd"}
    for room in ("a", "b", "c"):
        postings.add(Posting(draft_of(room, Kind.RENAME, "Al", "Bo", "x.1", room_id=f"id-{room}")))
    assert len(list(postings.all())) == 3 and postings.find(entries["d"]) is None and postings.take(None) is None
    newest = postings.newest
    assert newest and newest is postings.find(entries["c"]) is postings.find_draft(newest.draft)
    for room in ("b", "a"):
        taken = postings.take(postings.find(changed(entries[room], room="renamed")))
        assert taken and taken.draft.room == room
    assert postings.take(postings.find(entries["c"])) is newest
    assert not postings and postings.newest is None and list(postings.all()) == []


def test_unconfirmed_join_that_is_stored_after_all_finds_its_user_in_the_room() -> None:
    house = House()
    (al,) = house.enter("Al")
    al.types("/join ops")
    while not house.broker.published:
        house.answer()
        house.turn()
    batch = house.gather()
    house.hub.pipeline.failed(batch, "nobody answered", False)
    late = house.broker.store(batch)
    al.types("/join ops")
    house.settle()
    house.forget()
    house.commit(late)
    house.settle()
    assert al.sees() == [Notice(("You joined ops after all",))]
    assert list(house.hub.rooms.loaded["ops"].members) == [al.user]
