"""Accounts on several nodes: their owners are one person everywhere, and every node obeys a change at once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from msgspec import structs
from nodes import Node, Peer, Start, same, until

from hubbub.accounts.registry import AccountRegistry
from hubbub.accounts.stores.positions import StoredPositions
from hubbub.chat.users import lingering
from hubbub.chat.users.accounts import LoginPeer
from hubbub.cluster.nats import presence
from hubbub.config import Settings
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.model.events import Private
from hubbub.model.queries import LogPage
from hubbub.startup.accounts import opened_accounts
from hubbub.tools.accounts import ask
from hubbub.wire.line.encoder import RAW
from records import text_in
from system_queries import Latest

PEER = LoginPeer("127.0.0.1", True)
PASSWORD = "correct horse"


class Town:
    """Nodes with the accounts of one cluster."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.registries: list[AccountRegistry] = []

    async def open(self, node: Node) -> Node:
        registry = await opened_accounts(Settings(no_limits=True), node.backend.key_values, b"secret")
        node.hub.use_accounts(registry)
        self.nodes.append(node)
        self.registries.append(registry)
        return node

    async def register(self, name: str) -> Account:
        """Register a name on the first node, and wait until every node knows it."""
        account = await ask(self.registries[0].register, name, PASSWORD, PEER)
        for registry in self.registries:
            await until(lambda registry=registry: registry.find(name) == account, lambda: f"{name} is not known")
        return account

    async def enter(self, node: Node, account: Account, room: str = "lobby") -> Owner:
        """Return a session that has logged in, and has joined a room if its owner was in none."""
        owner = Owner(node, account)
        await until(lambda: bool(owner.outcomes), lambda: "no outcome of the login")
        assert owner.outcomes == [None]
        if not (owner.session.user.rooms or node.hub.remote.homes(owner.session.user)):
            owner.types(f"/join {room}")
        await until(lambda: bool(owner.session.rooms), lambda: "it is in no room")
        return owner


class Owner(Peer):
    """A session of the owner of an account."""

    def __init__(self, node: Node, account: Account) -> None:
        self.node = node
        self.seen = ""
        self.events = []
        self.refused = None
        self._lines = []
        self.outcomes: list[Refused | None] = []
        self.session = node.hub.connect(self, self, RAW, "~nc@x.nc", "127.0.0.1")
        node.hub.account_users.log_in(self.session, account, self.outcomes.append)


@pytest.fixture
async def town(start: Start, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setattr(lingering, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(presence, "ORPHANED", 1.0)
    town = Town()
    for _ in range(3):
        await town.open(await start())
    return town


def came_and_went(peer: Peer, name: str) -> list[str]:
    return [line for line in peer.seen.splitlines() if line.startswith(f"*** {name} has")]


async def test_one_person_on_two_nodes(town: Town) -> None:
    one, two, three = town.nodes
    account = await town.register("Ann")
    bo = await three.enter("Bo")
    first = await town.enter(one, account)
    await same([one, three], ["Ann", "Bo"])
    first.types("/join tea")
    await same([one], ["Ann"], "tea")
    await until(lambda: "tea" in two.hub.remote.members.rooms, lambda: "two has not heard of it")
    second = await town.enter(two, account)
    await until(lambda: len(second.session.rooms) == 2, lambda: second.seen)
    await same(town.nodes, ["Ann", "Bo"])
    # What one says, the other sees, and it is said once.
    second.types("/join lobby", "hello")
    await first.sees("Ann: hello")
    bo.types("/msg Ann psst")
    for ann in (first, second):
        await ann.sees("psst")
    # Joins, leaves and renames on one node are those of all.
    second.types("/join ops")
    await until(lambda: len(first.session.rooms) == 3, lambda: first.seen)
    first.types("/leave ops", "/leave tea", "/nick ANN")
    await until(lambda: second.session.nick == "ANN" and len(second.session.rooms) == 1, lambda: second.seen)
    # The end on one node is no leave; the end on all nodes is one.
    first.types("/quit")
    await until(lambda: len(one.hub.remote.homes(first.session.user)) == 1, lambda: "one knows of no other node")
    bo.types("still there?")
    await second.sees("still there?")
    await same([two, three], ["ANN", "Bo"])
    two.hub.depart(second.session)
    await same([three], ["Bo"])
    await until(lambda: "ANN has left" in bo.seen, lambda: bo.seen)
    assert [line.split(" ", 3)[2] for line in came_and_went(bo, "Ann") + came_and_went(bo, "ANN")] == ["has", "has"]


async def test_a_node_that_dies_takes_nobody_away_who_is_on_another_one(town: Town) -> None:
    one, two, three = town.nodes
    account = await town.register("Ann")
    cy_account = await town.register("Cy")
    bo = await three.enter("Bo")
    await town.enter(one, account)
    await town.enter(one, cy_account)
    await same([one, three], ["Ann", "Bo", "Cy"])
    second = await town.enter(two, account)
    await until(lambda: len(three.hub.remote.homes(three.hub.nicks.find("Ann"))) == 2, lambda: "three knows one home")
    await one.die()
    await same([two, three], ["Ann", "Bo"])
    await until(lambda: "Cy has left" in bo.seen, lambda: bo.seen)
    bo.types("hi")
    await second.sees("Bo: hi")
    assert "Ann has left" not in bo.seen


async def test_every_node_obeys_a_change(town: Town) -> None:
    one, two, three = town.nodes
    account = await town.register("Ann")
    peers = [await town.enter(node, account) for node in town.nodes]
    bo = await three.enter("Bo")
    await same(town.nodes, ["Ann", "Bo"])
    await ask(town.registries[0].suspend, account)
    await until(lambda: all(peer.session.closed for peer in peers), lambda: "a session is open")
    await same([three], ["Bo"])
    await until(lambda: len(came_and_went(bo, "Ann")) == 1, lambda: bo.seen)
    await ask(town.registries[1].suspend, account, suspended=False)
    # A password that was changed on one node is void on all, and so are the sessions that logged in with it.
    account = await ask(town.registries[2].log_in, "Ann", PASSWORD, PEER)
    peers = [await town.enter(node, account) for node in (one, two)]
    await ask(town.registries[2].change_password, account, "another one", PEER)
    with pytest.raises(Exception, match="not the password"):
        await ask(town.registries[0].log_in, "Ann", PASSWORD, PEER)
    await until(lambda: all(peer.session.closed for peer in peers), lambda: "a session is open")


async def test_an_owner_ends_a_session_on_another_node(town: Town) -> None:
    one = town.nodes[0]
    account = await town.register("Ann")
    for number, node in enumerate(town.nodes):
        node.hub.node_name = f"node:{number}"
    first, second, third = [await town.enter(node, account) for node in town.nodes]
    user = first.session.user
    await until(lambda: len(one.hub.screens(user)) == 3, lambda: str(one.hub.screens(user)))
    listed = {screen.node: screen for screen in one.hub.screens(user)}
    assert listed["node:1"].id == second.session.id_prefix and listed["node:1"].address == "127.0.0.1"
    first.types(f"/account end {listed['node:1'].code}")
    await until(lambda: second.session.closed, lambda: "it is open")
    assert not (first.session.closed or third.session.closed)
    await until(lambda: len(one.hub.screens(user)) == 2, lambda: str(one.hub.screens(user)))


async def test_guest_gives_up_a_name_that_is_registered_on_another_node(town: Town) -> None:
    one, two, _ = town.nodes
    guest = await two.enter("Ann")
    account = await ask(town.registries[0].register, "Ann", PASSWORD, PEER)
    owner = await town.enter(one, account)
    await until(lambda: guest.session.nick == "Ann2", lambda: guest.seen)
    await same([one, two], ["Ann", "Ann2"])
    assert owner.session.nick == "Ann" and (await two.enter("Ann")).refused


async def test_a_person_takes_no_messages_from_guests_of_any_node(town: Town) -> None:
    one, two, three = town.nodes
    account = await town.register("Ann")
    first, guest = await town.enter(one, account), await three.enter("Bo")
    second = await town.enter(two, account)
    await same(town.nodes, ["Ann", "Bo"])
    second.types("/guests off")
    for node in (one, three):
        await until(lambda node=node: "R" in node.hub.nicks.find("Ann").modes, lambda: "the mode is not known")
    guest.types("/msg Ann psst", "/msg Bo it is me")
    await guest.sees("Ann takes private messages only from people with an account")
    await guest.sees("it is me")
    first.types("/guests on")
    await until(lambda: not three.hub.nicks.find("Ann").modes, lambda: "the mode is still known")
    guest.types("/msg Ann psst")
    for ann in (first, second):
        await ann.sees("psst")


async def test_messages_of_a_deleted_account_are_taken_back_in_the_cluster(town: Town) -> None:
    one, two, three = town.nodes
    account = await town.register("Ann")
    for node in town.nodes:
        node.hub.positions = StoredPositions(node.backend.key_values, lambda seconds, call: None)
        node.hub.later = asyncio.get_running_loop().call_later
        node.hub.taking_back.begin()
    ann, bo = await town.enter(one, account), await three.enter("Bo")
    await same([one, three], ["Ann", "Bo"])
    ann.types("one", "two", "three")
    bo.types("mine")
    await bo.sees("three")
    await ann.sees("mine")
    await ask(town.registries[1].delete, account, take_back=True)
    for node in (two, three):
        async with asyncio.timeout(90):
            while await said(node) != ["mine"]:
                pass  # the question takes a turn of the servers


async def said(node: Node) -> list[str]:
    page: asyncio.Future[LogPage] = asyncio.get_running_loop().create_future()
    node.hub.read(Latest("lobby", 10), page.set_result)
    return [text_in(entry) for entry in (await page).entries]


async def test_what_somebody_sends_or_deletes_in_private_is_shown_on_their_other_nodes(town: Town) -> None:
    *_, three = town.nodes
    for node in town.nodes:
        node.hub.positions = StoredPositions(node.backend.key_values, asyncio.get_running_loop().call_later)
    ann, bo = await town.register("Ann"), await town.register("Bo")
    first = await town.enter(town.nodes[0], ann)
    await until(lambda: all(node.hub.nicks.find("Ann") for node in town.nodes), lambda: "Ann is not known")
    second, third = [await town.enter(node, ann) for node in town.nodes[1:]]
    other = await town.enter(three, bo)
    await same(town.nodes, ["Ann", "Bo"])
    first.types("/msg Bo psst", "/msg Bo a typo")
    for copy in (second, third):
        await copy.sees("Ann -> Bo (private): psst\nAnn -> Bo (private): a typo\n")
    await other.sees("Ann (private): a typo\n")
    (event,) = [one for one in second.events if isinstance(one, Private) and one.text == "a typo"]
    assert (event.to, event.user) == ("Bo", bo.id) and event.entry and event.entry.seq and event.entry.room == "@Bo"
    third.types("/delete @Bo")
    for copy in (first, second, other):
        await copy.sees("*** Ann has deleted a private message ***\n")
    await until(lambda: "Ann has deleted" in third.seen, lambda: third.seen)
    second.types("/history Bo")
    await second.sees("Ann -> Bo (private): psst\n")
    other.types("/msg Ann yes")
    for peer in (first, second, third):
        await peer.sees("Bo (private): yes\n")
        assert "typo" not in peer.seen
    # A message to somebody who keeps no history is shown there, too.
    await ask(town.registries[0].change, bo, partial(structs.replace, history=False))
    await until(lambda: not three.hub.nicks.accounts.find("Bo").history, lambda: "the history is on")
    third.types("/msg Bo once")
    for copy in (first, second):
        await copy.sees("Ann -> Bo (private): once\n")
