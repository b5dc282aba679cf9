"""All that the owner of a deleted account has said is taken back, in pages and over failures and restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from doubles import FakeAccounts, FakePositions, House
from hubbub.chat import taking_back
from hubbub.chat.users.accounts import Checked
from hubbub.errors import BrokerError
from hubbub.model.accounts.account import Account
from hubbub.model.conversation import conversation_of
from hubbub.model.entries import Draft, Polled, RoomRenamed, Said
from hubbub.model.queries import After
from hubbub.text import refusals


class Accounts(FakeAccounts):
    """Accounts that may have something to take back."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.refuses = False

    def taking_back(self) -> list[Account]:
        return [account for account, _ in self.known.values() if account.takes_back]

    def taken_back(self, account: Account, done: Checked) -> None:
        if self.refuses:
            done(refusals.ACCOUNTS_UNREADABLE())
        else:
            done(self.add(account.name, deleted=True))


class Town:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(taking_back, "PAGE", 2)
        self.house = House()
        self.hub, self.broker = self.house.hub, self.house.broker
        self.accounts = Accounts("Ann", "Bo", "Cy")
        self.hub.use_accounts(self.accounts)
        self.hub.positions = self.positions = FakePositions()
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.hub.later = lambda seconds, call: self.later.append((seconds, call))
        self.number = 0

    def say(self, room: str, name: str, *texts: str) -> None:
        account = self.accounts.find(name)
        host = account.host if account else "~nc@x.nc"
        for text in texts:
            self.number += 1
            self.broker.store([Draft(room, name, Said(text), f"old-1.{self.number:x}", host)])

    def run(self, times: int = 50) -> list[float]:
        """Let everything happen; return for how long it was put off."""
        waits = []
        for _ in range(times):
            self.house.settle()
            if not self.later:
                break
            seconds, call = self.later.pop(0)
            waits.append(seconds)
            call()
        return waits

    def left(self) -> list[str]:
        return [f"{entry.nick}: {entry.body.text}" for entry in self.broker.log if type(entry.body) is Said]

    def delete(self, name: str = "Ann") -> None:
        self.accounts.add(name, deleted=True, takes_back=True)


@pytest.fixture
def town(monkeypatch: pytest.MonkeyPatch) -> Town:
    return Town(monkeypatch)


def test_all_that_somebody_has_said_is_taken_back_and_nothing_else(town: Town) -> None:
    for room in ("den", "lobby", "ops", "tea"):
        town.say(room, "Ann", "one", "two", "three")
        town.say(room, "Bo", "mine")
        town.say(room, "Guest", "hello")
    talk = conversation_of("idann", "idbo")
    town.say(talk, "Ann", "psst")
    town.say(talk, "Bo", "what?")
    town.positions.given("idann", "idbo", 0)
    (ida,) = town.house.enter("Ida")
    town.hub.taking_back.begin()
    town.delete()
    town.delete()  # the news may come twice
    waits = town.run()
    assert town.left() == ["Bo: mine", "Guest: hello"] * 4 + ["Bo: what?"]
    assert waits.count(taking_back.AGAIN) == 1, "it looks once more"
    assert not town.accounts.taking_back() and not town.hub.taking_back._accounts
    gone = [entry for entry in town.broker.log if entry.id.startswith("idann.d")]
    assert len({(entry.room, entry.id) for entry in gone}) == len(gone) == 13
    assert {(entry.nick, entry.host) for entry in gone} == {("Ann", "~user@idann.account")}
    assert len([one for one in ida.sees() if str(one).startswith("Ann - ")]) == 3, "members see it in the lobby"


def test_polls_of_a_deleted_account_are_deleted_too(town: Town) -> None:
    host = town.accounts.known["ann"][0].host
    town.broker.store([Draft("ops", "Ann", Polled("tea?", ("yes", "no")), "old-2.1", host)])
    town.broker.store([Draft("ops", "Bo", Polled("cake?", ("yes", "no")), "old-2.2", "~nc@x.nc")])
    town.hub.taking_back.begin()
    town.delete()
    town.run()
    kinds = [entry.kind for entry in town.broker.of("ops")]
    assert kinds == ["gone", "poll", "redact"]


def test_it_goes_on_after_a_restart_and_with_the_next_account(town: Town) -> None:
    town.say("lobby", "Ann", "one")
    town.say("lobby", "Bo", "two")
    town.say("lobby", "Cy", "three")
    town.delete("Ann")
    town.delete("Bo")
    assert not town.hub.taking_back._busy, "the server has not read all that it needs yet"
    town.hub.taking_back.begin()
    town.run()
    assert town.left() == ["Cy: three"] and not town.accounts.taking_back()


def test_it_waits_while_the_log_or_the_accounts_fail(town: Town) -> None:
    town.say("lobby", "Ann", "one", "two", "three")
    town.hub.taking_back.begin()
    town.positions.fault = "away"
    town.delete()
    assert town.run(1) == [taking_back.AGAIN]
    town.positions.fault = ""
    town.broker.fault = "the disk is broken"
    assert town.run(2) == [taking_back.AGAIN] * 2  # the rooms cannot be listed
    town.broker.fault = ""
    town.hub.taking_back._redact("lobby", BrokerError("away"))
    assert town.later.pop()[0] == taking_back.AGAIN
    town.accounts.refuses = True
    town.run(30)
    assert town.left() == [] and town.accounts.taking_back()
    town.accounts.refuses = False
    town.run()
    assert not town.accounts.taking_back()


def test_a_page_that_could_not_be_stored_is_taken_back_later(town: Town) -> None:
    town.say("lobby", "Ann", "one")
    town.hub.taking_back.begin()
    town.delete()
    for _ in range(3):
        town.house.answer()
    town.house.fail()
    assert town.left() == ["Ann: one"] and town.run(1) == [taking_back.PAUSE]
    assert [seconds for seconds, _ in town.later] == [taking_back.AGAIN]
    town.run()
    assert town.left() == [] and not town.accounts.taking_back()


def test_a_room_that_is_renamed_meanwhile_gets_what_was_meant_for_it(town: Town) -> None:
    town.say("tea", "Ann", "one")
    town.hub.taking_back.begin()
    town.delete()
    while not (drafts := town.house.gather()):
        town.house.answer()
    town.broker.store([Draft("tea", "Bo", RoomRenamed("coffee"), "b-1.1")])
    town.house.commit(town.broker.store(drafts))
    assert town.left() == [] and {entry.room for entry in town.broker.log[1:]} == {"tea", "coffee"}


@pytest.mark.parametrize("to", ["abc", "cab"])
def test_room_that_is_renamed_while_it_waits_is_not_left_out(town: Town, to: str) -> None:
    for room in ("den", "lobby", "ops", "tea"):
        town.say(room, "Ann" if room == "ops" else "Dee", *map(str, range(5)))
    town.delete()
    town.hub.taking_back.begin()
    read = town.broker.read

    def late(query: Any, done: Callable[[Any], None]) -> None:
        if isinstance(query, After) and query.room == "den" and query.seq:  # while its pages are read, and others wait
            town.broker.read = read  # type: ignore[method-assign]
            for room, now in (("ops", to), ("den", "pit")):
                town.broker.store([Draft(room, "Bo", RoomRenamed(now), f"new-1.{now}")])
        read(query, done)

    town.broker.read = late  # type: ignore[method-assign]
    town.run()
    assert not [one for one in town.left() if one.startswith("Ann")] and not town.accounts.taking_back()


def test_it_ends_if_another_node_has_freed_the_name_already(town: Town) -> None:
    town.hub.taking_back.begin()
    town.accounts.refuses = True
    town.delete()
    assert town.run(1) == [taking_back.AGAIN]
    del town.accounts.known["ann"]
    assert town.run() == [] and not town.hub.taking_back._accounts


def test_a_server_that_stops_leaves_it_to_the_next_one(town: Town) -> None:
    town.say("lobby", "Ann", "one")
    town.hub.taking_back.begin()
    town.hub.closing = True
    town.delete()
    town.run()
    assert town.left() == ["Ann: one"] and town.accounts.taking_back()
