"""Readers that stall and read again: nothing is missed, nothing comes twice, nobody else notices."""

import pytest

from doubles import House, Look, Peer
from hubbub.chat.rooms.delivery import PAGE
from hubbub.model.entries import Kind
from hubbub.model.events import HistoryShown, Notice, Private, RoomEntered
from hubbub.model.queries import After
from records import draft_of, text_in

TIGHT = {"recent": 1}  # bytes of memory: the newest chunk alone is kept


def say(house: House, peer: Peer, *lines: str) -> None:
    """Let each line be a batch of its own."""
    for line in lines:
        peer.types(line)
        house.commit()


def test_stalled_member_gets_no_writes_and_misses_nothing() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    bo.stall()
    say(house, al, "1", "2", "3")
    assert bo.sees() == [] and cy.sees() == ["Al: 1", "Al: 2", "Al: 3"]
    assert [house.hub.has_unsettled(peer.session) for peer in (al, bo, cy)] == [False, True, False]
    bo.read()
    assert not house.hub.has_unsettled(bo.session)
    assert bo.sees() == ["Al: 1", "Al: 2", "Al: 3"]
    say(house, al, "4")
    assert bo.sees() == ["Al: 4"]
    assert not house.broker.queries, "all of it was in memory"


def test_member_that_stalls_during_a_write_gets_it_only_once() -> None:
    house = House()
    al, bo, cy = house.enter("Al", "Bo", "Cy")
    bo.stall(after=1)
    say(house, al, "1", "2")
    assert (bo.sees(), cy.sees()) == (["Al: 1"], ["Al: 1", "Al: 2"])
    bo.read()
    assert bo.sees() == ["Al: 2"]


def test_member_that_stalls_while_catching_up_continues_later() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, *"12345")
    for number in "1234":
        bo.read(writes=1)
        assert bo.sees() == [f"Al: {number}"]
    say(house, al, "6")
    bo.read()
    assert bo.sees() == ["Al: 5", "Al: 6"]


def test_own_messages_are_left_out_when_catching_up() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    al.types("1")
    bo.types("mine")
    al.types("2")
    house.commit()
    say(house, bo, "mine alone")
    say(house, al, "3")
    assert al.sees() == ["Bo: mine", "Bo: mine alone"]
    bo.read()
    assert bo.sees() == ["Al: 1", "Al: 2", "Al: 3"]


def test_own_messages_are_echoed_on_request() -> None:
    house = House()
    al, bo, cy = *house.enter("Al"), *house.enter("Bo", "Cy", look=Look(echo=True))
    say(house, bo, "one")
    assert al.sees()[-1:] == bo.sees() == cy.sees() == ["Bo: one"]
    bo.stall()
    say(house, bo, "two")
    bo.read()
    assert bo.sees() == ["Bo: two"]


def test_entries_that_a_form_does_not_show_are_not_written() -> None:
    class Deaf(Look):
        def encode(self, entry: object) -> bytes:
            return b""

    house = House()
    al, bo = *house.enter("Al"), *house.enter("Bo", look=Deaf())
    al.types("1")
    bo.types("2")
    house.commit()
    bo.stall()
    say(house, al, "3")
    bo.read()
    assert bo.sees() == []


def test_batch_is_encoded_once_per_encoder() -> None:
    look = Look()
    house = House()
    al, *others = house.enter("Al", "Bo", "Cy", "Di", look=look)
    look.rendered = 0
    others[0].stall()
    al.types("1", "2")
    house.commit()
    others[0].read()
    assert look.rendered == 2


def test_batch_of_many_joins_is_encoded_once_for_all_of_the_newcomers() -> None:
    house, look, names = House(), Look(), [f"Guest{number}" for number in range(40)]
    house.enter("Al")
    newcomers = [house.connect(look) for _ in names]
    for newcomer, name in zip(newcomers, names, strict=True):
        newcomer.types(name)
    house.settle()
    assert look.rendered == len(names)
    for number, newcomer in enumerate(newcomers):
        assert [line for line in newcomer.sees() if isinstance(line, str)] == [f"+{one}" for one in names[number + 1 :]]


def test_newcomer_is_shown_no_quit_before_the_join() -> None:
    house, look = House(), Look()
    look.dedupes = True
    al, cy = house.enter("Al", "Cy")
    bo = house.connect(look)
    bo.types("Bo")
    al.types("/join ops")
    cy.types("/join ops")
    house.settle()
    bo.sees()
    al.leave()
    bo.types("/join ops")
    cy.types("hi")
    house.settle()
    assert [line for line in bo.sees() if isinstance(line, str) and "Al" in line] == ["-Al"]


def test_batch_is_one_write() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall(after=1)
    al.types("1", "2", "3")
    house.commit()
    assert bo.sees() == ["Al: 1", "Al: 2", "Al: 3"]


def test_big_batch_is_several_writes() -> None:
    house = House(write_bytes=200)
    al, bo = house.enter("Al", "Bo")
    bo.stall(after=1)
    al.types(*(str(number) for number in range(20)))
    house.commit()
    first = bo.sees()
    assert 1 < len(first) < 20
    bo.read()
    assert first + bo.sees() == [f"Al: {number}" for number in range(20)]


# --- from the log ---------------------------------------------------------------------------------------------


def test_entries_are_read_from_their_room_although_another_one_has_its_name_by_now() -> None:
    house = House(**TIGHT)
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops")
    bo.types("/join ops")
    house.settle()
    bo.stall()
    say(house, al, *"1234567")
    bo.sees()
    bo.read()
    assert bo.session.reading
    rename = draft_of("ops", Kind.ROOM_RENAMED, "Al", "dev", "al.1", room_id="ops")
    house.commit(house.broker.store([rename, draft_of("ops", Kind.MESSAGE, "Zoe", "not for Bo", "zoe.1")]))
    house.settle()
    assert [seen for seen in bo.sees() if isinstance(seen, str)] == [
        *(f"Al: {number}" for number in range(1, 8)),
        "Al ~ dev",
    ]


@pytest.mark.parametrize("page", [1, 2, 3, 7, 1000])
def test_entries_dropped_from_memory_are_read_from_the_log(page: int) -> None:
    house = House(**TIGHT, write_bytes=150)
    house.broker.page = page
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, *"1234567")
    say(house, bo, "mine")
    say(house, al, "8", "9")
    bo.read()
    assert bo.sees() == [] and bo.session.reading
    say(house, al, "while it is read")
    house.settle()
    assert bo.sees() == [f"Al: {number}" for number in range(1, 10)] + ["Al: while it is read"]
    say(house, al, "live")
    assert bo.sees() == ["Al: live"]
    assert all(isinstance(query, After) and query.limit == PAGE for query in house.broker.queries)


def test_member_that_stalls_while_a_page_is_read_reads_it_again() -> None:
    house = House(**TIGHT)
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, "1", "2", "3")
    bo.read()
    bo.stall()
    house.answer()
    assert bo.sees() == [] and not house.broker.questions
    bo.read()
    house.answer()
    assert bo.sees() == ["Al: 1", "Al: 2", "Al: 3"]


def test_member_that_stalls_twice_while_a_page_is_read_gets_it_once() -> None:
    house = House(**TIGHT)
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, "1", "2", "3")
    bo.read()
    bo.stall()
    bo.read()
    assert len(house.broker.questions) == 1
    house.answer()
    assert bo.sees() == ["Al: 1", "Al: 2", "Al: 3"]


def test_member_that_stalls_within_a_page_continues_after_the_last_entry() -> None:
    house = House(**TIGHT, write_bytes=100)
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, *"123456")
    bo.read(writes=1)
    house.answer()
    first = bo.sees()
    assert 0 < len(first) < 6
    bo.read()
    house.settle()
    assert first + bo.sees() == [f"Al: {number}" for number in range(1, 7)]


def test_member_that_leaves_while_a_page_is_read_does_not_get_it() -> None:
    house = House(**TIGHT)
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, "1", "2", "3")
    bo.read()
    bo.leave()
    house.settle()
    assert not any(isinstance(seen, str) for seen in bo.sees())


def test_log_that_cannot_be_read_is_told_as_skipped() -> None:
    house = House(**TIGHT)
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, "1", "2", "3")
    house.broker.fault = "the log cannot be read"
    bo.read()
    house.answer()
    say(house, al, "4")
    assert bo.sees() == ["3 skipped", "Al: 4"]


def test_log_that_was_cut_off_is_told_as_skipped() -> None:
    house = House(**TIGHT)
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, "1", "2", "3")
    house.broker.log = house.broker.log[-1:]
    bo.read()
    house.settle()
    assert bo.sees() == ["2 skipped", "Al: 3"], "what is left is given"


@pytest.mark.parametrize(("count", "skips"), [(5, False), (6, True)])
def test_member_too_far_behind_gets_the_number_of_skipped_entries(count: int, skips: bool) -> None:
    house = House(max_behind=5)
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    al.types(*(str(number) for number in range(count)))
    house.commit()
    bo.read()
    assert bo.sees() == ([f"{count} skipped"] if skips else [f"Al: {number}" for number in range(count)])
    say(house, al, "live")
    assert bo.sees() == ["Al: live"]


def held(house: House) -> int:
    """Return what the newest chunks of all rooms take in memory, in bytes."""
    return sum(chunk.cost for room in house.hub.rooms.loaded.values() for chunk in room.recent_batches.values())


def test_memory_is_bounded_over_all_rooms() -> None:
    house, al, _ = two_rooms(recent=5000)
    for number in range(20):
        say(house, al, "x" * 100 * (number % 5))
        house.hub.say(al.session, str(number), "lobby")
        house.commit()
        assert held(house) <= 5000
    assert held(house) > 2500


def test_memory_of_a_room_that_sleeps_is_free_for_others() -> None:
    house = House(recent=12_000)
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops")
    house.settle()
    say(house, al, "x" * 1000, "x" * 1000)
    al.types("/leave")
    house.settle()
    house.forget()
    bo.stall()
    say(house, al, *"123456")
    bo.read()
    assert bo.sees() == [f"Al: {number}" for number in "123456"], "none of it had to be read from the log"
    for _ in range(30):
        say(house, al, "x")
        assert held(house) <= 12_000


def test_what_a_room_that_sleeps_had_in_memory_is_counted_once() -> None:
    house = House(recent=30_000)
    al, _ = house.enter("Al", "Bo")
    say(house, al, *"12345678")
    al.types("/join ops")
    house.settle()
    say(house, al, "x")
    al.types("/leave")
    house.settle()
    for _ in range(60):
        say(house, al, "x")
        assert held(house) <= 30_000
    assert house.hub.delivery._cost == held(house) and house.hub.delivery._stale == 0


def test_what_was_remembered_long_ago_is_forgotten_when_nobody_is_behind() -> None:
    house, al, bo = two_rooms()
    say(house, al, "1", "2")
    assert not house.hub.delivery.expire() and held(house)
    bo.stall()
    say(house, al, "3")
    assert not house.hub.delivery.expire()
    bo.read()
    house.settle()
    assert bo.sees() == ["Al: 1", "Al: 2", "Al: 3"]
    say(house, al, "4")
    assert house.hub.delivery.expire()
    assert [
        text_in(entry)
        for room in house.hub.rooms.loaded.values()
        for chunk in room.recent_batches.values()
        for entry in chunk.entries
    ] == ["4"]
    bo.stall()
    say(house, al, "5")
    bo.read()
    house.settle()
    assert bo.sees() == ["Al: 4", "Al: 5"]
    assert house.hub.delivery.expire() and held(house)
    assert house.hub.delivery.expire() and not held(house)


def test_only_whole_chunks_are_kept_rendered() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    al.types("1", "2")
    bo.types("mine")
    house.commit()
    bo.read()
    for batch in house.hub.rooms.loaded["lobby"].recent_batches.values():
        for encoder, data in batch.rendered.items():
            assert data == encoder.join([*map(encoder.encode, batch.entries)])


# --- several rooms, and replies -------------------------------------------------------------------------------


def two_rooms(**limits: int) -> tuple[House, Peer, Peer]:
    house = House(**limits)
    al, bo = house.enter("Al", "Bo")
    for peer in (al, bo):
        peer.types("/join ops")
    house.settle()
    house.forget()
    return house, al, bo


@pytest.mark.parametrize("limits", [{}, TIGHT])
def test_catching_up_covers_all_rooms(limits: dict[str, int]) -> None:
    house, al, bo = two_rooms(**limits)
    bo.stall()
    for number in range(3):
        house.hub.say(al.session, str(number), "lobby")
        house.commit()
        say(house, al, str(number))
    bo.read()
    house.settle()
    seen = bo.sees()
    assert sorted(seen) == sorted([f"[lobby] Al: {n}" for n in range(3)] + [f"Al: {n}" for n in range(3)])
    assert [line for line in seen if line[0] == "A"] == [f"Al: {n}" for n in range(3)]


def test_room_left_while_behind_is_behind_no_more() -> None:
    house, al, bo = two_rooms()
    bo.stall()
    house.hub.say(al.session, "in lobby", "lobby")
    say(house, al, "1")
    bo.types("/leave")
    say(house, al, "unheard")
    bo.read()
    seen = bo.sees()
    assert "Al: in lobby" in seen and "Al: unheard" not in seen
    assert house.hub.settled


def test_stalled_member_that_joins_gets_the_history_and_then_the_rest() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops")
    house.settle()
    say(house, al, "old")
    bo.types("/join ops")
    bo.stall()
    al.types("same batch")
    house.commit()
    say(house, al, "later")
    assert bo.sees() == []
    bo.read()
    _, past, *rest = bo.sees()
    assert isinstance(past, HistoryShown) and [text_in(entry) for entry in past.entries] == ["old"]
    assert rest == ["Al: same batch", "Al: later"]


def test_member_that_stalls_during_its_history_gets_the_rest_later() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops", "old")
    house.settle()
    bo.stall(after=2)
    bo.types("/join ops")
    al.types("live")
    house.settle()
    assert [type(seen) for seen in bo.sees()] == [RoomEntered, HistoryShown]
    bo.read()
    assert bo.sees() == ["Al: live"]


def test_reply_to_a_stalled_session_waits() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    bo.types("/topic", "hi")
    assert bo.untaken == 1, "what it is told would pile up"
    bo.read()
    house.commit()
    assert bo.sees() == [Notice(("There is no topic",))] and al.sees() == ["Bo: hi"]


def test_stalled_session_can_still_send() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    bo.types("hi", "ho")
    house.commit()
    assert al.sees() == ["Bo: hi", "Bo: ho"] and bo.untaken == 0


def test_stall_while_replies_are_told_keeps_the_rest() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("hi", "/topic", "/topic")
    al.stall(after=1)
    house.commit()
    assert len(al.sees()) == 1
    bo.types("/msg Al psst")
    al.read()
    assert al.sees() == [Notice(("There is no topic",))]
    assert not any(isinstance(seen, Private) for seen in bo.sees())


def test_departing_while_stalled_costs_nothing() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    bo.stall()
    say(house, al, "1")
    bo.leave()
    bo.stall()
    house.settle()
    assert house.hub.settled and al.sees() == ["-Bo"]
    bo.read()
    assert len(bo.sees()) == 1, "the goodbye"


def test_departing_while_stalled_over_a_join_starts_nothing() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    al.types("/join ops", "old")
    house.settle()
    bo.stall()
    bo.types("/join ops")
    al.types("live")
    house.settle()
    bo.leave()
    house.settle()
    bo.read()
    assert not any(isinstance(seen, str) for seen in bo.sees())


def test_nothing_is_told_to_be_skipped_where_nothing_was() -> None:
    house = House()
    _, bo = house.enter("Al", "Bo")
    room = house.hub.rooms.loaded["lobby"]
    house.hub.delivery.behind[bo.session] = {room: room.end}
    house.hub.delivery._skip(bo.session, room, room.end, room.end)
    assert bo.sees() == []


# --- behind by choice ---------------------------------------------------------------------------------------------


def test_member_behind_by_choice_goes_on_from_its_place() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    house.hub.delivery.fall_behind(bo.session)
    say(house, al, "1", "2")
    assert bo.sees() == [] and house.hub.delivery.stalled == 0
    house.hub.delivery.catch_up(bo.session)
    say(house, al, "3")
    assert bo.sees() == ["Al: 1", "Al: 2", "Al: 3"]


@pytest.mark.parametrize("end", ["/leave", "/quit"])
def test_member_behind_by_choice_is_given_all_before_it_leaves(end: str) -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    house.hub.delivery.fall_behind(bo.session)
    say(house, al, "1", "2")
    bo.types(end)
    al.types("unseen")
    house.settle()
    assert [one for one in bo.sees() if isinstance(one, str)] == ["Al: 1", "Al: 2"]


def test_member_behind_by_choice_is_given_all_before_it_is_thrown_out() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    for one in (al, bo):
        one.types("/join den")
        house.settle()
    al.sees(), bo.sees()
    house.hub.delivery.fall_behind(bo.session)
    say(house, al, "1", "/kick Bo", "unseen")
    house.settle()
    shown = [one for one in bo.sees() if isinstance(one, str)]
    assert shown[0] == "Al: 1" and "Al: unseen" not in shown


def test_memory_of_members_behind_by_choice_is_freed() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    say(house, al, "1")
    house.hub.delivery.expire()
    house.hub.delivery.fall_behind(bo.session)
    assert house.hub.delivery.expire()


def test_session_that_logs_in_may_stall_before_it_is_given_its_rooms() -> None:
    house = House()
    al, bo = house.enter("Al", "Bo")
    (room,) = al.session.rooms.values()
    house.hub.delivery.end(bo.session, room)
    house.hub.pause(bo.session)
    say(house, al, "1")
    assert bo.sees() == [] and house.hub.settled
