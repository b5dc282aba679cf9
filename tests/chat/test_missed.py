"""What somebody has missed while away is counted truly, from the time when they left."""

from __future__ import annotations

from test_account_users import Town

from doubles import NOON, House, Peer
from hubbub.model.events import Missed
from hubbub.model.queries import After

FORGETFUL = {"recent": 1}  # the memory has the newest batch alone


class Absence(Town):
    """A town in which Ann has been in the lobby, and is away; Bo is there."""

    def __init__(self, **limits: int) -> None:
        super().__init__("Ann")
        self.house = House(**limits)
        self.hub = self.house.hub
        self.hub.use_accounts(self.accounts)
        self.hub.later = lambda seconds, call: self.later.append((seconds, call))
        (self.bo,) = self.house.enter("Bo")
        self.log_in("Ann").leave()
        self.house.now += 60

    def says(self, count: int) -> None:
        for number in range(count):
            self.bo.types(f"message {number}")
            self.settle()

    def back(self) -> Peer:
        return self.log_in("Ann", forget=False)


def missed(peer: Peer) -> list[Missed]:
    return [event for event in peer.seen if isinstance(event, Missed)]


def test_more_messages_than_a_newcomer_is_shown_are_counted_and_all_are_shown() -> None:
    for limits in ({}, FORGETFUL):
        away = Absence(**limits)
        away.house.broker.page = 10
        away.says(24)
        away.bo.types("/topic tea", "Ann: are you there?")
        away.settle()
        away.house.now += 3600
        ann = away.back()
        assert missed(ann) == [Missed("lobby", 25, NOON, away.house.now)]
        shown = [line for line in ann.seen if isinstance(line, str)]
        assert shown[0] == "Bo: message 0" and shown[-1] == "Bo: Ann: are you there?" and len(shown) == 26


def test_messages_of_ignored_people_are_not_counted_without_end() -> None:
    away = Absence(max_behind=20, **FORGETFUL)
    ann = away.log_in("Ann")
    ann.types("/ignore Bo")
    away.settle()
    ann.leave()
    away.house.broker.page = 5
    away.says(60)
    asked = len(away.house.broker.queries)
    assert not missed(away.back())
    counting = [one for one in away.house.broker.queries[asked:] if isinstance(one, After) and one.history]
    assert len(counting) == 4


def test_messages_in_memory_are_counted_without_the_log_and_redacted_ones_are_none() -> None:
    away = Absence()
    away.says(3)
    away.bo.types("/delete")
    away.settle()
    asked = len(away.house.broker.queries)
    assert [event.count for event in missed(away.back())] == [2] and len(away.house.broker.queries) == asked


def test_a_poll_is_missed_like_a_message() -> None:
    for limits in ({}, FORGETFUL):
        away = Absence(**limits)
        away.says(2)
        away.bo.types("/poll tea? | yes | no", "/vote 1")
        away.settle()
        assert [event.count for event in missed(away.back())] == [3]


def test_joins_and_topics_are_no_messages() -> None:
    for limits in ({}, FORGETFUL):
        away = Absence(**limits)
        away.bo.types("/topic tea", "/topic coffee")
        away.settle()
        assert missed(away.back()) == []


def test_no_more_are_counted_than_a_session_can_be_behind() -> None:
    for limits in ({}, FORGETFUL):
        away = Absence(max_behind=12, **limits)
        away.house.broker.page = 5
        away.says(13)
        assert missed(away.back()) == [Missed("lobby", 12, NOON, NOON + 60, more=True)]


def test_nothing_is_said_if_the_log_cannot_be_read() -> None:
    away = Absence(**FORGETFUL)
    away.says(25)
    away.house.broker.fault = "away"
    ann = away.back()
    assert missed(ann) == [] and any(isinstance(line, str) for line in ann.seen)


def test_time_is_that_of_the_first_message_if_it_came_before_the_lost_connection_was_noticed() -> None:
    for limits in ({}, FORGETFUL):
        away = Absence(**limits)
        ann = away.back()
        lobby = ann.session.rooms["lobby"]
        read = lobby.end.seq
        away.says(2)  # they are written to a connection that is dead
        away.house.now += 30
        ann.leave()
        away.house.now += 60
        again = away.house.connect()
        again.session.seen = {lobby.id: read}
        away.log_in("Ann", again, forget=False)
        assert missed(again) == [Missed("lobby", 2, NOON + 60, NOON + 150)]
