"""The mentions of accounts in the key-value store, also when several nodes add some at once."""

from __future__ import annotations

from registered import BrokenStore

from called_later import Loop
from hubbub.accounts.stores.mention_store import PREFIX, StoredMentions
from hubbub.errors import BrokerError
from hubbub.model.notices.mentions import KEPT, Mention


def at(number: int, room: str = "ops") -> Mention:
    return Mention(float(number), room, number)


class Nodes:
    def __init__(self) -> None:
        self.loop = Loop()
        self.store = BrokenStore(self.loop.later)
        self.one, self.two = StoredMentions(self.store), StoredMentions(self.store)

    def of(self, mentions: StoredMentions, account: str = "a") -> object:
        found: list[object] = []
        mentions.of(account, found.append)
        self.loop.run()
        assert len(found) == 1
        return found[0]


def test_mentions_of_two_nodes_are_merged_and_outlive_a_restart() -> None:
    nodes = Nodes()
    nodes.one.add("a", at(1))
    nodes.one.add("a", at(3))
    nodes.two.add("a", at(2, "dev"))
    nodes.one.add("b", at(9))
    nodes.loop.run()
    assert nodes.of(nodes.one) == nodes.of(nodes.two) == nodes.of(StoredMentions(nodes.store)) == [
        at(1), at(2, "dev"), at(3),
    ]  # fmt: skip
    assert nodes.of(nodes.two, "b") == [at(9)] and nodes.of(nodes.two, "c") == []


def test_newest_are_kept_and_a_mention_that_comes_meanwhile_is_stored_as_well() -> None:
    nodes = Nodes()
    for number in range(KEPT + 7):
        nodes.one.add("a", at(number))
    nodes.loop.run()
    assert nodes.of(nodes.two) == [at(number) for number in range(7, KEPT + 7)]


def test_after_an_error_they_are_stored_with_the_next() -> None:
    nodes = Nodes()
    nodes.store.broken = True
    nodes.one.add("a", at(1))
    nodes.loop.run()
    assert isinstance(nodes.of(nodes.two), BrokerError)
    nodes.store.broken = False
    assert nodes.of(nodes.one) == [at(1)] and nodes.of(nodes.two) == []
    nodes.one.add("a", at(2))
    nodes.loop.run()
    assert nodes.of(nodes.two) == [at(1), at(2)]


def test_a_write_that_fails_is_repeated_with_the_next() -> None:
    nodes = Nodes()
    put, nodes.store.put = nodes.store.put, lambda *args: nodes.loop.later(args[-1], BrokerError("full"))  # type: ignore[method-assign]
    nodes.one.add("a", at(1))
    nodes.loop.run()
    nodes.store.put = put  # type: ignore[method-assign]
    nodes.one.add("a", at(2))
    nodes.loop.run()
    assert nodes.of(nodes.two) == [at(1), at(2)]


def test_damaged_item_is_replaced_and_a_deleted_account_has_none() -> None:
    nodes = Nodes()
    nodes.store.put(PREFIX + "a", b"[1]", 0, lambda outcome: None)
    assert nodes.of(nodes.one) == []
    nodes.one.add("a", at(1))
    nodes.loop.run()
    assert nodes.of(nodes.two) == [at(1)]
    nodes.two.add("a", at(2))
    nodes.two.drop("a")
    nodes.one.drop("b")
    nodes.loop.run()
    assert nodes.of(nodes.one) == []
