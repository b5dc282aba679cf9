"""Notifications to people who are away: after five seconds, unless they have read the message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime

import pytest
from msgspec.structs import replace
from test_mentions import Square

from doubles import NOON, FakePositions, Peer
from hubbub.chat.notices.pushes import ACTIVE, MOST, PER_ACCOUNT, WAIT
from hubbub.chat.private import direct
from hubbub.model.events import Notice, Refusal
from hubbub.model.notices.mentions import Mention
from hubbub.model.notices.push import Push

URL = "https://ntfy.example/ann"


class Away(Square):
    """A square that sends notifications; Ann is away and wants them, Bo is here."""

    def __init__(self) -> None:
        super().__init__("Bo")
        self.accounts.add("Ann", push=URL)
        self.positions = FakePositions()
        self.hub.positions = self.positions
        self.sent: list[tuple[str, Push]] = []
        self.done: list[Callable[[bool], None]] = []
        self.hub.pushes.send = self.send
        self.bo = self.log_in("Bo")

    def send(self, url: str, push: Push, done: Callable[[bool], None]) -> None:
        self.sent.append((url, push))
        self.done.append(done)

    def settle(self) -> None:
        super().settle()
        while self.positions.asked:
            self.positions.answer()
            super().settle()

    def wait(self) -> None:
        """Let five seconds pass."""
        while self.later:
            seconds, call = self.later.pop(0)
            assert seconds == WAIT
            call()
            self.settle()

    def bodies(self) -> list[str]:
        self.wait()
        while self.done:
            self.done.pop(0)(False)
            self.settle()
        return [push.body for _, push in self.sent]


def test_mention_is_sent_after_a_while() -> None:
    away = Away()
    away.hub.page_url = "http://chat/"
    away.says(away.bo, "@ann tea?", "nothing")
    assert away.sent == []
    away.wait()
    assert away.sent == [(URL, Push("Bo in lobby", "@ann tea?", "http://chat/#lobby"))]


def test_private_message_is_sent_and_its_deletion_is_not() -> None:
    away = Away()
    direct.send_private(away.hub, away.bo.session, "Ann", "psst")
    away.settle()
    away.says(away.bo, "/delete @Ann")
    direct.send_private(away.hub, away.bo.session, "Ann", "tea")
    away.settle()
    assert away.bodies() == ["tea"] and away.sent[0][1].title == "Bo (private)"


def test_private_message_mentions_nobody_and_is_sent_once() -> None:
    away = Away()
    away.accounts.add("Cy", push="https://ntfy.example/cy")
    away.says(away.bo, "/msg Ann @ann and @cy: tea?")
    assert away.mentions.known == {}
    assert away.bodies() == ["@ann and @cy: tea?"] and away.sent[0][0] == URL


def test_messages_of_people_who_are_ignored_are_not_sent() -> None:
    away = Away()
    away.says(away.bo, "@ann tea?")
    away.says(away.log_in("Ann"), "/ignore Bo", "/quit")
    away.says(away.bo, "/msg Ann psst", "@ann cake?")
    assert away.bodies() == []


def test_deleted_message_is_not_sent() -> None:
    away = Away()
    away.says(away.bo, "@ann tea?", "/delete")
    assert away.bodies() == []


@pytest.mark.parametrize(("before", "after"), [("hi", ""), ("hi", "/quit"), ("", "hi"), ("", "")])
def test_people_who_are_here_and_active_are_not_notified(before: str, after: str) -> None:
    away = Away()
    ann = away.log_in("Ann")
    away.house.now += ACTIVE
    away.says(ann, *filter(None, [before]))
    away.says(away.bo, "@ann tea?")
    away.says(ann, *filter(None, [after]))
    assert away.bodies() == ([] if before or after else ["@ann tea?"])


def test_read_marker_cancels() -> None:
    away = Away()
    away.says(away.bo, "@ann one")
    direct.send_private(away.hub, away.bo.session, "Ann", "two")
    away.settle()
    for target in ("#lobby", "@idbo"):
        away.hub.read_markers.advance("idann", target, away.house.now)
    assert away.bodies() == []


def test_quiet_hours_and_closed_accounts() -> None:
    away = Away()
    hour = datetime.fromtimestamp(NOON).hour
    for fields in ({"quiet": (hour, (hour + 1) % 24)}, {"suspended": True}, {"push": ""}):
        away.accounts.add("Ann", **({"push": URL} | fields))  # type: ignore[dict-item]
        away.says(away.bo, "@ann tea?")
    away.accounts.add("Ann", push=URL)
    away.says(away.bo, "@ann now")
    away.accounts.add("Ann", push=URL, quiet=(hour, (hour + 1) % 24))
    assert away.bodies() == []
    away.accounts.add("Ann", push=URL)
    away.says(away.bo, "@ann then")
    del away.accounts.known["ann"]
    assert away.bodies() == []


def test_one_is_sent_at_a_time_and_few_wait() -> None:
    away = Away()
    away.says(away.bo, *(f"@ann {number}" for number in range(PER_ACCOUNT + 5)))
    away.wait()
    assert len(away.sent) == 1
    assert away.bodies() == [f"@ann {number}" for number in range(PER_ACCOUNT)]
    assert not away.hub.pushes._due and not away.hub.pushes._waiting and not away.hub.pushes._total
    away.hub.pushes._total = MOST
    away.says(away.bo, "@ann more")
    assert len(away.bodies()) == PER_ACCOUNT


def test_address_where_nobody_is_any_more_is_removed_with_a_notice() -> None:
    away = Away()
    ann = away.log_in("Ann")
    away.house.now += ACTIVE
    away.says(away.bo, "@ann one", "@ann two")
    away.wait()
    away.house.forget()
    away.done.pop(0)(True)
    away.settle()
    (notice,) = ann.sees()
    assert isinstance(notice, Notice) and URL in notice.lines[0]
    account = away.accounts.find("Ann")
    assert account and account.push == ""
    away.accounts.add("Ann", push="https://other.example/")
    away.hub.pushes._due["idann"] = deque()
    away.hub.pushes._sent(replace(account, push=URL), True)
    away.settle()
    account = away.accounts.find("Ann")
    assert account and account.push == "https://other.example/"


def test_server_that_stops_sending_sends_nothing_that_waits() -> None:
    away = Away()
    away.says(away.bo, "@ann tea?")
    away.hub.pushes.send = None
    assert away.bodies() == []
    away.says(away.bo, "@ann tea?")
    assert away.bodies() == []
    away.hub.pushes.send = away.send
    away.hub.pushes.note(replace(away.accounts.add("Ann"), push=""), Mention(1.0, "lobby", 3))
    assert not away.later and not away.hub.pushes._total


def answers(square: Square, peer: Peer, line: str) -> str:
    square.house.forget()
    square.says(peer, line)
    (seen,) = peer.sees()
    return seen.code if isinstance(seen, Refusal) else " ".join(seen.lines) if isinstance(seen, Notice) else ""


def test_commands() -> None:
    away = Away()
    bo = away.bo
    assert answers(away, bo, f"/notify via {URL}") == f"While you are away, notifications go to {URL}"
    assert answers(away, bo, "/notify").endswith(f"notifications go to {URL}. /notify off ends that")
    assert answers(away, bo, "/dnd 22-7") == "No notifications from 22:00 to 7:00, server time"
    account = away.accounts.find("Bo")
    assert account and (account.push, account.quiet) == (URL, (22, 7))
    assert answers(away, bo, "/dnd off") == "Notifications at any hour"
    assert answers(away, bo, "/notify off") == "No notifications are sent"
    account = away.accounts.find("Bo")
    assert account and (account.push, account.quiet) == ("", None)
    assert [answers(away, bo, f"/dnd {hours}") for hours in ("24-1", "3-3", "late")] == ["argument-invalid"] * 3
    assert answers(away, bo, "/notify via ntfy.sh") == "bad-value"
    assert answers(away, bo, "/notify via http://10.0.0.2/x") == "bad-value"
    away.hub.pushes.encrypted_only = False
    assert answers(away, bo, "/notify via http://10.0.0.2/x").endswith("go to http://10.0.0.2/x")
    away.hub.pushes.send = None
    assert answers(away, bo, f"/notify via {URL}") == "bad-value"
