"""Several nodes on one NATS server: names, people, rules and private messages are the whole cluster's."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from nodes import SECONDS, Node, Peer, Start, knows, same, until

from hubbub.chat.private.direct import signal as tell_signal
from hubbub.chat.session import Posting
from hubbub.cluster.nats import lease, presence, streams
from hubbub.cluster.nats.cluster import AWAY, BACK
from hubbub.cluster.nats.link.outcomes import OutcomeUnknown, Rejected
from hubbub.cluster.nats.log import publisher
from hubbub.errors import BrokerError
from hubbub.model.entries import Draft, Left, Redacted
from hubbub.model.events import Knocked
from hubbub.model.ids import redaction_for
from nats_servers import NatsServers

# --- names ----------------------------------------------------------------------------------------------------------


async def test_one_of_many_who_claim_a_name_at_once_has_it(start: Start) -> None:
    nodes = [await start() for _ in range(3)]
    peers = [Peer(node, "Ann") for node in nodes for _ in range(1)]
    await until(lambda: all(p.refused or p.session.rooms for p in peers), lambda: "no outcome")
    assert sum(bool(p.session.rooms) for p in peers) == 1
    assert {p.refused.code for p in peers if p.refused} == {"name-taken"}


async def test_name_is_free_again_for_another_node_when_it_is_let_go(start: Start) -> None:
    one, two = await start(), await start()
    ann = await one.enter("Ann")
    await same([two], [])
    bo = await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    bo.types("/nick ann")
    await bo.sees("The name ann is taken.")
    ann.types("/nick Zoe")
    await bo.sees("Ann is now Zoe")
    await same([one, two], ["Bo", "Zoe"])
    bo.types("/nick Ann")
    await bo.sees("You are Ann now")
    one.hub.depart(ann.session)
    await same([two], ["Ann"])
    assert (await one.enter("zoe")).refused is None


async def test_names_of_a_node_that_died_are_free_within_its_lease(start: Start) -> None:
    one, two = await start(), await start()
    await one.enter("Ann")
    bo = await two.enter("Bo")
    await same([two], ["Ann", "Bo"])
    await one.die()
    async with asyncio.timeout(SECONDS):
        while (peer := await two.enter("Ann")).refused:
            assert peer.refused.code == "name-taken"
            await asyncio.sleep(0.1)
    assert not one.broker.lease.valid, "it would have been hers until then"
    assert peer.notices == ["One moment: checking whether Ann is still here"]
    await bo.sees("Ann has joined the chat")


async def test_leave_that_a_node_publishes_twice_is_no_sign_of_another_log(start: Start) -> None:
    """It is published when the node of a user is gone, and when the log has their join and no leave."""
    one = await start()
    bo = await one.enter("Bo")
    for _ in range(2):
        one.hub.remote.members.publish_leaves("n9.5.left", "Zoe", "~nc@x.nc", ["lobby"])
        await until(lambda: one.hub.pipeline.idle, lambda: "a leave has no outcome")
    bo.types("still here")
    (entry,) = [
        e for batch in one.hub.loaded["lobby"].recent_batches.values() for e in batch.entries if e.nick == "Zoe"
    ]
    assert isinstance(entry.body, Left) and not one.broker.identity.fault
    await until(lambda: one.hub.pipeline.idle, lambda: "a message has no outcome")
    assert one.hub.loaded["lobby"].end.seq > entry.seq and "could not" not in bo.seen


def leave(nick: str) -> Posting:
    """Return the leave of a user of a node that is gone, as each node publishes it."""
    return Posting(Draft("lobby", nick, Left("gone", quit=True), f"n9-{nick}.x1.0", "~nc@x.nc", "", True))


def stored(node: Node, nick: str) -> int:
    """Return the number of leaves of a user in the log, as a node has it."""
    feed = next(feed for feed in node.broker.following.feeds.values() if feed.room == "lobby")
    return sum(type(entry.body) is Left and entry.nick == nick for entry in feed.newest)


async def publishes(node: Node, *postings: Posting) -> None:
    for posting in postings:
        node.hub.pipeline.add(posting)
    await until(lambda: all(one.settled for one in postings), lambda: "a draft has no outcome")


async def test_drafts_behind_a_leave_that_another_node_publishes_at_once_are_stored(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await start(), await start()
    await one.enter("Ann")
    await two.enter("Bo")
    publish = two.broker.link.publish

    async def later(*values: Any) -> int:
        monkeypatch.setattr(two.broker.link, "publish", publish)
        await publishes(one, leave("Zoe"))
        await until(lambda: bool(stored(two, "Zoe")), lambda: "the leave does not arrive")
        return await publish(*values)

    monkeypatch.setattr(two.broker.link, "publish", later)
    await publishes(two, leave("Zoe"), leave("Yan"))
    assert (stored(two, "Zoe"), stored(two, "Yan")) == (1, 1)
    assert not two.broker.identity.fault


async def test_leave_behind_others_that_is_in_the_log_already_is_not_stored_again(start: Start) -> None:
    one, two = await start(), await start()
    await one.enter("Ann")
    await two.enter("Bo")
    await publishes(one, leave("Zoe"))
    await until(lambda: bool(stored(two, "Zoe")), lambda: "the leave does not arrive")
    await publishes(two, leave("Yan"), leave("Zoe"), leave("Xia"))
    assert [stored(two, nick) for nick in ("Xia", "Yan", "Zoe")] == [1, 1, 1]


async def test_message_that_two_nodes_take_back_is_no_sign_of_another_log(start: Start) -> None:
    one, two = await start(), await start()
    await one.enter("Ann")
    await two.enter("Bo")

    def taken_back() -> Posting:
        return Posting(Draft("lobby", "Zoe", Redacted("n9-1.1"), redaction_for("zoe", 5), "~user@zoe.account"))

    await publishes(one, taken_back())
    feed = next(feed for feed in two.broker.following.feeds.values() if feed.room == "lobby")
    await until(lambda: type(feed.newest[-1].body) is Redacted, lambda: "the redaction does not arrive")
    await publishes(two, taken_back(), leave("Yan"))
    assert not two.broker.identity.fault and stored(two, "Yan") == 1


@pytest.mark.parametrize("renewed", [True, False])
async def test_name_that_is_claimed_while_the_lease_is_lost_is_held_by_the_next_one(
    start: Start, monkeypatch: pytest.MonkeyPatch, renewed: bool
) -> None:
    """A node that is frozen just when it claims a name, say: nobody else may have it afterwards."""
    one, two = await start(), await start()
    name, before = one.broker.lease, one.broker.lease.node
    replace, begin = one.broker.link.replace, name.begin
    stored, go_on, leased = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(subject: str, data: bytes, expected: int, seconds: int = 0) -> int:
        number = await replace(subject, data, expected, seconds)
        if subject.startswith(streams.NAME) and not stored.is_set():
            stored.set()
            await go_on.wait()
        return number

    async def late() -> None:
        await leased.wait()
        await begin()

    monkeypatch.setattr(one.broker.link, "replace", slow)
    monkeypatch.setattr(name, "begin", late)
    peer = Peer(one, "Ann")
    await stored.wait()
    await name.end()
    if renewed:
        leased.set()
        await until(lambda: name.node != before, lambda: "it has its lease still")
    else:
        await until(lambda: not name.valid, lambda: "it believes in its lease")
    go_on.set()
    await asyncio.sleep(0.1)
    leased.set()
    await until(lambda: bool(peer.session.rooms or peer.refused), lambda: "it waits")
    while peer.refused:
        assert peer.refused.code == "broker"  # it could not be claimed just then
        await asyncio.sleep(0.05)
        peer = await one.enter("Ann")
    assert peer.session.nick == "Ann"
    assert (other := (await two.enter("Ann")).refused) and other.code == "name-taken"


async def test_user_that_returns_too_late_gets_another_name(start: Start) -> None:
    """A node that was cut off while another one gave its name away."""
    one, two = await start(), await start()
    ann, other = await one.enter("Ann"), await two.enter("Other")
    one.broker.lease._renew = _cut_off  # type: ignore[method-assign]
    one.broker.lease._until = 0.0
    one.broker.link.tell = _unheard  # type: ignore[method-assign]
    await until(lambda: not two.cluster.presence or not two.cluster.presence.peers, lambda: "the node is there still")
    ann.types("said meanwhile", "/topic set meanwhile")
    assert (await two.enter("Ann")).refused is None
    del one.broker.link.tell, one.broker.lease._renew
    await until(lambda: ann.session.nick == "Ann2", lambda: ann.seen)
    taken = "The name Ann was taken while the chat could not be reached"
    await until(lambda: taken in ann.notices, lambda: ann.seen)
    await same([one, two], ["Ann", "Ann2", "Other"])
    assert ann.seen.count("Not sent: the chat could not be reached.") == 2
    ann.types("said now")
    await until(lambda: "Ann2: said now" in other.seen, lambda: other.seen)
    await until(lambda: one.hub.pipeline.idle, lambda: "a draft has no outcome")
    assert "meanwhile" not in other.seen
    # The one who has the name is not taken for the one who had it: she has left, and comes in under another.
    came = [line for line in other.seen.splitlines() if line.startswith("*** Ann")]
    assert came == ["*** Ann has left the chat (connection lost) ***", *came[1:]] and "is now" not in other.seen
    assert sorted(came[1:]) == ["*** Ann has joined the chat ***", "*** Ann2 has joined the chat ***"]


async def test_user_announced_as_gone_rejoins_before_the_kept_back_messages(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    ann.types("/join tea")
    bo.types("/join tea")
    await same([one, two], ["Ann", "Bo"], "tea")
    bo.seen = ""
    one.broker.lease._renew = _cut_off  # type: ignore[method-assign]
    one.broker.lease._until = 0.0
    one.broker.link.tell = _unheard  # type: ignore[method-assign]
    ann.types("said meanwhile", "and this")
    await until(lambda: "Ann has left" in bo.seen, lambda: bo.seen)
    del one.broker.link.tell, one.broker.lease._renew
    await until(lambda: "and this" in bo.seen, lambda: bo.seen)
    told = [line for line in bo.seen.splitlines() if "tea" in line or "Ann:" in line]
    assert told == [
        "*** Ann has left tea (connection lost) ***",
        "*** Ann has joined tea ***",
        "Ann: said meanwhile",
        "Ann: and this",
    ]
    await same([one, two], ["Ann", "Bo"], "tea")


async def test_people_of_a_node_that_is_given_up_twice_leave_twice(start: Start) -> None:
    one, two = await start(), await start()
    await one.enter("Ann")
    bo = await two.enter("Bo")
    assert two.cluster.presence
    for _ in range(2):
        await same([two], ["Ann", "Bo"])
        lost, peers = one.broker.lease.node, two.cluster.presence.peers.values()
        await until(
            lambda lost=lost, peers=peers: [peer.lease for peer in peers] == [lost], lambda: "a lease is not known"
        )  # type: ignore[misc]
        two.cluster.presence._bury(lost)
        await bo.sees("Ann has left the chat (connection lost)")
        await until(lambda: two.hub.pipeline.idle, lambda: "something has no outcome")
        while one.broker.lease.node == lost:  # it may just have been renewed
            await one.broker.lease.end()
            await asyncio.sleep(0.05)


async def _unheard(subject: str, data: bytes, reply: str = "") -> None:
    pass


async def _cut_off(start: float) -> None:
    raise BrokerError("cut off")


async def test_name_that_nobody_took_meanwhile_is_kept(start: Start) -> None:
    one, _ = await start(), await start()
    ann = await one.enter("Ann")
    before = one.broker.lease.node
    claim, valid = one.broker.lease._claim, []

    async def watched(key: str) -> bool:
        valid.append(one.broker.lease.valid)
        return await claim(key)

    one.broker.lease._claim = watched  # type: ignore[method-assign]
    await one.broker.lease.end()
    one.broker.lease._until = 0.0
    await until(lambda: one.broker.lease.node != before and one.broker.lease.valid, lambda: "no new lease")
    assert ann.session.nick == "Ann" and valid == [False], "it speaks for nobody before it has their names"


async def test_node_that_starts_takes_back_what_the_dead_hold(start: Start) -> None:
    one = await start()
    await one.enter("Ann")
    await one.die()
    end = one.broker.lease._until + lease.MARGIN
    await until(lambda: asyncio.get_running_loop().time() > end, lambda: "time stands still")
    two = await start()
    async with asyncio.timeout(SECONDS):
        while await two.broker.link.last(streams.NOW, f"{streams.NAME}ann"):  # noqa: ASYNC110 - the servers tell nobody
            await asyncio.sleep(0.05)


# --- people ---------------------------------------------------------------------------------------------------------


async def test_everybody_is_listed_on_every_node(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    ann.types("/join tea")
    await same([one], ["Ann"], "tea")
    await until(lambda: bool(two.hub.remote.members.rooms.get("tea")), lambda: "not heard of")
    bo.types("/rooms")
    await bo.sees("tea (1)")
    bo.types("/join tea")
    await same([one, two], ["Ann", "Bo"], "tea")
    three = await start()
    await three.enter("Cy")
    await same([one, two, three], ["Ann", "Bo", "Cy"])
    ann.types("/leave tea")
    await same([two], ["Bo"], "tea")


async def test_join_reaches_the_other_node_without_a_heartbeat(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT", 600.0)
    one, two = await start(), await start()
    await two.enter("Bo")
    for number in range(20):
        peer = await one.enter(f"p{number}")
        await until(lambda peer=peer: peer.session.nick in two.who(), lambda: "never")


async def test_what_was_missed_is_asked_for(start: Start) -> None:
    one, two = await start(), await start()
    await two.enter("Bo")
    await one.enter("Ann")
    await same([two], ["Ann", "Bo"])
    told = one.cluster.presence
    assert told is not None
    told._told += 3  # as if messages had been lost
    await one.enter("Cy")
    await same([two], ["Ann", "Bo", "Cy"])


async def test_people_of_a_node_that_says_goodbye_are_gone_without_a_look_at_its_lease(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "SILENT", 600.0)
    one, two = await start(), await start()
    await one.enter("Ann")
    bo = await two.enter("Bo")
    await same([two], ["Ann", "Bo"])
    await one.stop()
    await same([two], ["Bo"])
    bo.types("/nick Ann")
    await bo.sees("You are Ann now")


async def test_people_of_a_node_that_died_leave_once(start: Start) -> None:
    one, two, three = await start(), await start(), await start()
    ann, bo, cy = await one.enter("Ann"), await two.enter("Bo"), await three.enter("Cy")
    ann.types("/join tea")
    bo.types("/join tea")
    await same([two], ["Ann", "Bo"], "tea")
    # The third node must know of both: it may be the one that tells.
    await until(lambda: len(three.hub.remote.members.rooms.get("tea", ())) == 2, lambda: "not heard of")
    await one.die()
    await same([two, three], ["Bo", "Cy"])
    await bo.sees("Ann has left tea")
    await cy.sees("Ann has left the chat")
    cy.types("done")
    await bo.sees("Cy: done")
    await asyncio.sleep(0.3)
    assert "Ann has left" not in cy.seen + bo.seen


async def test_user_whose_node_died_before_it_announced_the_user_leaves(start: Start) -> None:
    """The join is in the log, and no other node has heard of the user."""
    one, two, three = await start(), await start(), await start()
    bo, cy = await two.enter("Bo"), await three.enter("Cy")
    assert two.cluster.presence and three.cluster.presence
    two.cluster.presence._patience, three.cluster.presence._patience = 1.0, 3.0
    one.broker.link.tell = _unheard  # type: ignore[method-assign]
    await one.enter("Ann")
    await bo.sees("Ann has joined the chat")
    await one.die()
    for peer in (bo, cy):
        await peer.sees("Ann has left the chat (connection lost)")


async def test_people_of_nodes_that_died_all_at_once_have_left_by_the_log(start: Start) -> None:
    one, two = await start(), await start()
    await one.enter("Ann")
    await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    await one.die()
    await two.die()
    three = await start()
    assert three.cluster.presence
    three.cluster.presence._patience = 1.0
    cy = await three.enter("Cy")
    left = {f"*** {name} has left the chat (connection lost) ***" for name in ("Ann", "Bo")}
    await until(lambda: left <= set(cy.seen.splitlines()), lambda: cy.seen)
    entries = [entry for batch in three.hub.loaded["lobby"].recent_batches.values() for entry in batch.entries]
    assert sorted(entry.nick for entry in entries if isinstance(entry.body, Left)) == ["Ann", "Bo"]


async def test_user_that_reconnects_at_once_is_found_by_other_nodes(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    before = two.hub.users["ann"]
    one.hub.depart(ann.session)
    again = await one.enter("Ann")
    await until(lambda: two.hub.users.get("ann") not in (None, before), lambda: "she is the one before")
    await same([one, two], ["Ann", "Bo"])
    bo.types("/msg Ann psst")
    await again.sees("Bo (private): psst")


# --- from one to the other ------------------------------------------------------------------------------------------


async def test_private_message_reaches_who_is_elsewhere(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    ann.types("/msg Bo psst")
    await bo.sees("Ann (private): psst")
    bo.types("/msg ann what?")
    await ann.sees("Bo (private): what?")


async def test_operators_rules_and_kicks_are_the_same_everywhere(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    ann.types("/join tea")
    await knows(two, "tea", "Ann")
    bo.types("/join tea", "/who")
    await bo.sees("@Ann, Bo")
    bo.types("/kick Ann")
    await bo.sees("You are not an operator of tea.")
    await same([one], ["Ann", "Bo"], "tea")
    ann.types("/op Bo", "/topic four o'clock")
    await bo.sees("four o'clock")
    bo.types("/who")
    await bo.sees("@Ann, @Bo")
    ann.types("/set invite-only on", "/deop Bo", "/kick Bo out")
    await bo.sees("out")
    await same([one], ["Ann"], "tea")
    bo.types("/join tea")
    await bo.sees("tea is invite-only. Ask an operator to invite you.")
    ann.types("/invite Bo")
    await bo.sees("tea")
    bo.types("/join tea")
    await same([one, two], ["Ann", "Bo"], "tea")


async def test_kill_reaches_users_of_other_nodes(start: Start) -> None:
    one, two = await start(), await start()
    await one.enter("Ann")
    bo = await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    target = one.hub.nicks.find("Bo")
    assert target is not None
    one.hub.expel(target, "enough")
    await same([one], ["Ann"])
    assert bo.session.closed


async def test_typing_is_shown_on_other_nodes(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    heard = []
    render = bo.session.encoder.encode
    two.hub.delivery.signal = lambda room, entry, author: heard.append((room.name, entry.tags))  # type: ignore[method-assign]
    assert render
    tell_signal(one.hub, ann.session, "lobby", "+typing=active")
    await until(lambda: heard == [("lobby", "+typing=active")], lambda: str(heard))


async def test_one_rename_in_two_rooms_is_one_event_on_the_other_node_too(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    for peer in (ann, bo):
        peer.types("/join tea")
    await same([one, two], ["Ann", "Bo"], "tea")
    told = []
    two.hub.delivery.fan_out = _noting(two, told)  # type: ignore[method-assign]
    ann.types("/nick Zoe")
    await until(lambda: len(told) == 2, lambda: str(told))
    assert sorted(map(len, told)) == [0, 1]


def _noting(node: Node, told: list[object]) -> Callable[..., object]:
    fan_out = node.hub.delivery.fan_out

    def note(*args: object) -> object:
        batch = fan_out(*args)  # type: ignore[arg-type]
        told.append(batch.shown_in)
        return batch

    return note


async def test_renamed_operator_is_operator_for_later_members(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    ann.types("/join tea")
    await same([one], ["Ann"], "tea")
    for peer, name in ((ann, "Zoe"), (bo, "Kim")):
        peer.types(f"/nick {name}")
    await same([one, two], ["Kim", "Zoe"])
    for name in ("Yve", "Zoe"):
        ann.types(f"/nick {name}")
    await ann.sees("You are Yve now")
    await ann.sees("You are Zoe now")
    await knows(two, "tea", "Zoe")
    bo.types("/join tea", "/who")
    await bo.sees("@Zoe")
    ann.types("/op Kim")
    await bo.sees("has made Kim an operator")
    bo.types("/deop Zoe", "/who")
    await bo.sees("@Kim, Zoe")
    cy = await (await start()).enter("Cy")
    await knows(cy.node, "tea", "Kim", "Zoe")
    cy.types("/join tea", "/who")
    await cy.sees("Cy, @Kim, Zoe")


# --- servers that go ------------------------------------------------------------------------------------------------


async def test_what_is_typed_while_the_server_is_gone_is_kept_back(start: Start, servers: NatsServers) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    servers.signal(0, signal.SIGKILL)
    await ann.sees(AWAY)
    ann.types("under water", "and this")
    newcomer = await one.enter("Cy")
    assert newcomer.refused and newcomer.refused.code == "broker"
    await asyncio.sleep(0.5)
    assert "under water" not in bo.seen
    servers.start(0)
    await bo.sees("Ann: under water\nAnn: and this")
    await ann.sees(BACK)
    ann.types("/history 5")
    await ann.sees("Ann: and this")


async def test_frozen_server_is_noticed_and_nothing_is_lost_or_doubled(start: Start, servers: NatsServers) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    servers.signal(0, signal.SIGSTOP)
    ann.types("into the ice")
    await ann.sees(AWAY)
    servers.signal(0, signal.SIGCONT)
    await bo.sees("Ann: into the ice")
    await ann.sees(BACK)
    ann.types("after")
    await bo.sees("Ann: after")
    assert "into the ice" not in bo.seen


async def test_unanswered_message_is_reported_although_the_lease_is_renewed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has no leader, say; the lease is in another stream."""
    one = await start()
    ann = await one.enter("Ann")
    publish, lost = one.broker.link.publish, 0

    async def deaf(subject: str, data: bytes, headers: Mapping[str, str], *patience: float) -> int:
        nonlocal lost
        if not subject.startswith(streams.ROOM):
            return await publish(subject, data, headers, *patience)
        lost += 1
        raise OutcomeUnknown

    monkeypatch.setattr(one.broker.link, "publish", deaf)
    ann.types("hello")
    await ann.sees(AWAY)
    await asyncio.sleep(1)  # meanwhile the lease is renewed
    assert BACK not in ann.notices and lost > 5
    monkeypatch.setattr(publisher, "GIVE_UP", 0.1)
    await ann.sees("Not confirmed: ")
    await ann.sees(BACK)  # nothing waits
    monkeypatch.setattr(publisher, "GIVE_UP", 9.0)
    ann.types("again")
    await ann.sees(AWAY)
    monkeypatch.setattr(one.broker.link, "publish", publish)
    await ann.sees(BACK)


async def test_unconfirmed_message_is_reported_when_it_is_stored(
    start: Start, servers: NatsServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "GIVE_UP", 0.5)
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    servers.signal(0, signal.SIGSTOP)
    ann.types("into the ice")
    await ann.sees("Not confirmed: the chat's servers did not confirm it. It may still appear: into the ice")
    servers.signal(0, signal.SIGCONT)
    await bo.sees("Ann: into the ice")
    await ann.sees("This was sent after all: into the ice")


async def test_what_no_server_takes_is_told_as_not_sent(start: Start) -> None:
    one = await start()
    ann = await one.enter("Ann")
    config = (await one.broker.link.ask(f"STREAM.INFO.{streams.LOG}"))["config"]
    await one.broker.link.ask(f"STREAM.UPDATE.{streams.LOG}", {**config, "max_msg_size": 1000})
    ann.types("x" * 1000)
    await ann.sees("Not sent: ")
    ann.types("short")
    await until(lambda: one.hub.pipeline.idle, lambda: "still open")


async def test_address_has_one_cloak_on_every_node(start: Start) -> None:
    one, two = await start(), await start()
    assert len(one.cluster.secret) == 32 and one.cluster.secret == two.cluster.secret


async def test_waiting_for_servers_does_not_hide_the_outage_from_others(start: Start) -> None:
    one = await start()
    publisher = one.broker.publisher
    publisher.back.set()  # as at the moment at which a connection ends: nobody was told yet
    one.broker.link._nats._status = 3  # type: ignore[assignment] - reconnecting
    ran = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    await publisher.wait()
    one.broker.link._nats._status = 1  # type: ignore[assignment] - connected
    assert ran


# --- a disk that is full ----------------------------------------------------------------------------------------------


async def test_full_disk_is_told_of_as_such_though_the_lease_cannot_be_renewed_either(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    publish = one.broker.link.publish

    async def full(subject: str, data: bytes, headers: Mapping[str, str], *patience: float) -> int:
        raise Rejected("the disk is full", 10047)

    monkeypatch.setattr(one.broker.link, "publish", full)
    await until(lambda: one.broker.lease.full and not one.broker.lease.valid, lambda: "the lease is valid still")
    ann.types("lost", "/join elsewhere")
    await ann.sees("Not sent: the disk is full.")
    await ann.sees("Not joined: the disk is full.")
    newcomer = await one.enter("Cy")
    assert newcomer.refused and newcomer.refused.text == "The disk is full; try again in a while."
    assert AWAY not in ann.notices and one.cluster.reachable
    monkeypatch.setattr(one.broker.link, "publish", publish)
    await until(lambda: one.broker.lease.valid, lambda: "the lease is not valid again")
    ann.types("there is room")
    await bo.sees("Ann: there is room")
    assert "lost" not in bo.seen


async def test_bug_on_the_way_into_the_log_ends_in_a_sentence(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await start()
    ann = await one.enter("Ann")
    monkeypatch.setattr(one.broker.publisher, "_pack", lambda *_: 1 / 0)
    ann.types("what now")
    await ann.sees("Not confirmed: the server has an internal error.")
    monkeypatch.undo()
    ann.types("go on")
    await until(lambda: one.hub.pipeline.idle, lambda: "it hangs")


# --- private messages that do not arrive ------------------------------------------------------------------------------


async def test_private_message_is_not_lost_without_a_word(start: Start, servers: NatsServers) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    two.hub.pause(bo.session)
    ann.types("/msg Bo psst")
    await ann.sees("Not sent: Bo is not reading messages right now.")
    two.hub.resume(bo.session)
    servers.signal(0, signal.SIGSTOP)
    ann.types("/msg Bo psst")
    await ann.sees("Not confirmed: Bo cannot be reached right now.")
    servers.signal(0, signal.SIGCONT)
    await two.die()
    ann.types("/msg Bo psst", "/msg Bo again")
    await ann.sees("Not confirmed: Bo cannot be reached right now.")


async def test_name_that_is_let_go_while_it_is_claimed_again_is_free(start: Start) -> None:
    one, two = await start(), await start()
    ann = await one.enter("Ann")
    claim = one.broker.lease._claim

    async def slow(key: str) -> bool:
        one.hub.depart(ann.session)
        return await claim(key)

    one.broker.lease._claim = slow  # type: ignore[method-assign]
    await one.broker.lease.end()
    one.broker.lease._until = 0.0
    await until(lambda: ann.session.closed and one.broker.lease.valid, lambda: "no new lease")
    await same([one, two], [])
    async with asyncio.timeout(SECONDS):
        while (peer := await two.enter("Ann")).refused:  # noqa: ASYNC110 - she asks again and again
            await asyncio.sleep(0.05)
    assert peer.session.nick == "Ann"


async def test_operator_on_another_node_reads_that_somebody_knocks(start: Start) -> None:
    one, two = await start(), await start()
    ann = await one.enter("Ann")
    bo = await two.enter("Bo")
    await same([one, two], ["Ann", "Bo"])
    user = two.hub.nicks.find("Ann")
    assert user and user.is_remote
    two.hub.send_to(user, Knocked("Bo", bo.session.host, "den"))
    await ann.sees("*** Bo asks to be let into den. To let them in, type /invite Bo there ***")


async def test_who_comes_later_on_another_node_sees_a_poll_with_the_votes_of_both(start: Start) -> None:
    one, two = await start(), await start()
    al, bo = await one.enter("Al"), await two.enter("Bo")
    al.types("/poll tea? | yes | no", "/poll cake? | yes | no")
    await bo.sees("*** Al asks: cake? 1) yes 2) no (type /vote and a number) ***")
    bo.types("/vote 1 1")
    al.types("/vote 2 1", "/poll close 1", "/poll delete")
    await bo.sees("*** Al has deleted a message ***")
    guests = " (2 votes by guests who can vote again under another name)"
    shown = f"*** Al asks: tea? 1) yes 2) no [yes 1, no 1{guests}] (closed) ***"
    for node in (one, two, await start()):
        cy = await node.enter(f"Cy{node.broker.node}")
        await cy.sees(shown)
        cy.types("/history")
        await cy.sees(shown)
        assert "cake" not in cy.seen
