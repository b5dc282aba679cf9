"""The owner of an account on several nodes is one user: the nodes follow each other's changes."""

from __future__ import annotations

from msgspec.structs import replace

from doubles import FakeAccounts, House, Peer, refusing
from hubbub.chat.nodes.person import Person, Screen, person
from hubbub.chat.session import User
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.model.entries import Body, Draft, Entry, Joined, Kicked, Kind, Left, NickChanged
from hubbub.model.events import NickAssigned, Notice, Private, Refusal, RoomEntered, RoomExited
from hubbub.model.ids import end_of
from records import draft_of, text_in


class Node:
    """This node, with Bo as a guest, and Ann's account."""

    def __init__(self) -> None:
        self.house = House()
        self.hub = self.house.hub
        self.accounts = FakeAccounts("Ann")
        self.hub.use_accounts(self.accounts)
        self.touched: list[User] = []
        self.told: list[tuple[User, object]] = []
        self.hub.user_changes.append(self.touched.append)
        self.hub.remote.send = lambda user, event: self.told.append((user, event))
        (self.bo,) = self.house.enter("Bo")
        self.account: Account = self.accounts.known["ann"][0]
        self.later: list[tuple[float, object]] = []
        self.hub.later = lambda seconds, call: self.later.append((seconds, call))

    def elsewhere(self, *rooms: str, node: str = "a", **fields: object) -> Person:
        """Describe Ann as another node does."""
        joins = tuple(self.join(room, node) for room in rooms)
        return replace(
            Person("Ann", self.account.host, rooms=rooms, joins=joins, id="ann", id_prefix=f"{node}-1."),
            **fields,  # type: ignore[arg-type]
        )

    def join(self, room: str, node: str = "a") -> int:
        return self.store(room, Joined(), f"{node}-1.{len(self.house.broker.log):x}").seq

    def store(self, room: str, body: Body, id: str, nick: str = "Ann") -> Entry:
        """Let another node store an entry of Ann, or of somebody else."""
        (entry,) = self.house.broker.store([Draft(room, nick, body, id, self.account.host)])
        self.house.commit([entry])
        return entry

    def log_in(self) -> Peer:
        peer = self.house.connect()
        outcomes: list[Refused | None] = []
        self.hub.account_users.log_in(peer.session, self.account, outcomes.append)
        self.house.settle()
        assert outcomes == [None]
        return peer

    def members(self, room: str = "lobby") -> list[str]:
        return [user.nick for user in self.hub.rooms.loaded[room].members]

    def kinds(self) -> list[tuple[str, type]]:
        return [(entry.nick, type(entry.body)) for entry in self.house.broker.log]


def test_a_second_node_adds_no_member_and_the_last_one_takes_the_member_away() -> None:
    node = Node()
    who = node.elsewhere("lobby")
    one, two = node.hub.remote.add(who), node.hub.remote.add(replace(who, id_prefix="c-1."))
    assert node.members() == ["Bo", "Ann"] and node.hub.nicks.find("ann") is one
    assert one.account == node.account and node.hub.remote.homes(one) == (one, two)
    node.hub.remote.remove(one)
    assert node.members() == ["Bo", "Ann"] and one.present and one.id_prefix == "c-1."
    node.hub.remote.remove(two)
    assert node.members() == ["Bo"] and not one.present and node.hub.nicks.find("ann") is None
    assert node.hub.owners == {} == node.hub.remote.members.rooms


def test_a_session_here_is_put_into_the_rooms_of_the_user_and_others_see_no_join() -> None:
    node = Node()
    node.house.broker.store([draft_of("tea", Kind.MESSAGE, "Zoe", "before", "z.1")])
    home = node.hub.remote.add(node.elsewhere("lobby", "tea"))
    node.house.forget()
    ann = node.log_in()
    assert (
        ann.user is home
        and not home.is_remote
        and set(ann.session.rooms) == {node.hub.rooms.loaded[name].id for name in ("lobby", "tea")}
    )
    entered = [event.room for event in ann.sees() if isinstance(event, RoomEntered)]
    assert entered == ["tea"] and node.bo.sees() == []
    assert node.kinds().count(("Ann", Joined)) == 2 and node.touched[-1] is home
    ann.types("hi")
    node.house.settle()
    assert node.bo.sees() == ["Ann: hi"]
    # The end of the session here is no leave, whether it was asked for or not.
    node.touched.clear()
    ann.types("/quit")
    node.house.settle()
    assert home.is_remote and home.present and node.touched[-1] is home and node.bo.sees() == []
    assert node.members() == ["Bo", "Ann"] and "tea" not in node.hub.rooms.loaded and home.id_prefix == "a-1."
    assert node.log_in().user is home


def test_a_user_here_follows_the_rooms_of_another_node() -> None:
    node = Node()
    ann = node.log_in()
    ann.types("/join lobby")
    node.house.settle()
    node.house.forget()
    seq = node.hub.rooms.loaded["lobby"].members[ann.user]
    who = Person("Ann", node.account.host, rooms=("lobby",), joins=(seq,), id_prefix="a-1.")
    home = node.hub.remote.add(who)
    assert home is not ann.user and node.members() == ["Bo", "Ann"]
    # A room that is not loaded here, by the description; one that is loaded, by the log.
    tea = node.join("tea")
    node.hub.remote.update(home, who := replace(who, rooms=("lobby", "tea"), joins=(seq, tea)))
    node.house.settle()
    node.bo.types("/join ops")
    node.house.settle()
    ops = node.join("ops")
    node.house.settle()
    assert [event.room for event in ann.sees() if isinstance(event, RoomEntered)] == ["tea", "ops"]
    assert {room.name for room in ann.user.rooms.values()} == {"lobby", "tea", "ops"}
    # An older description does not take the user out of the room that the log has told of.
    node.hub.remote.update(home, who := replace(who, away="tea time"))
    assert ann.user.away == "tea time" and "Ann" in node.members("ops")
    node.hub.remote.update(home, who := replace(who, rooms=("lobby", "tea", "ops"), joins=(seq, tea, ops)))
    node.store("ops", Left(), "a-1.9")
    assert [event.room for event in ann.sees() if isinstance(event, RoomExited)] == ["ops"]
    node.hub.remote.update(home, replace(who, rooms=("lobby",), joins=(seq,)))
    assert [event.room for event in ann.sees() if isinstance(event, RoomExited)] == ["tea"]
    # With its end on that node, the user remains here.
    node.hub.remote.remove(home)
    assert (
        node.members() == ["Bo", "Ann"]
        and node.hub.remote.members.rooms == {}
        and node.hub.remote.homes(ann.user) == ()
    )


def test_of_the_details_of_a_user_on_several_nodes_the_newest_count() -> None:
    node = Node()
    ann, modes = node.log_in(), []
    node.hub.mode_changes.append(lambda user: modes.append("".join(sorted(user.modes))))
    ann.types("/guests off")
    assert person(ann.user).version == 1 and modes == ["R"]
    who = node.elsewhere("lobby", real="Ann A", version=3)
    home = node.hub.remote.add(who)
    assert (ann.user.real, ann.user.modes, ann.user.version) == ("Ann A", frozenset(), 3) and modes == ["R", ""]
    # What this node changes has a higher version than what it was told; what another one has said before is old.
    ann.types("/guests off")
    node.hub.remote.update(home, replace(who, away="tea", version=3))
    assert ann.user.modes == {"R"} and not ann.user.away and person(ann.user).version == 4
    # Two nodes have changed them at the same time: all agree on one of the two descriptions.
    node.hub.remote.update(home, who := replace(who, real="Ann B", modes="B", version=4))
    assert ann.user.modes == {"B"} and ann.user.real == "Ann B" and person(ann.user).version == 4
    node.hub.remote.update(home, replace(who, real="Ann A", modes="i"))
    assert ann.user.modes == {"B"}
    # A node of an older version has no versions: what it changes, counts.
    node.hub.remote.update(home, replace(who, modes="B", away="tea", version=0))
    assert ann.user.modes == {"B"} and ann.user.away == "tea"
    node.hub.remote.update(home, replace(who, modes="w", away="tea", version=0))
    assert ann.user.modes == {"w"}


def test_what_the_user_does_here_is_not_undone_by_an_older_description() -> None:
    node = Node()
    who = node.elsewhere("lobby")
    home = node.hub.remote.add(who)
    ann = node.log_in()
    ann.types("/join tea", "/leave lobby")
    node.house.settle()
    node.hub.remote.update(home, replace(who, active=5.0))
    assert {room.name for room in ann.user.rooms.values()} == {"tea"}
    assert set(node.hub.remote.members.rooms) == {"tea"}


def test_a_rename_elsewhere_reaches_the_sessions_here() -> None:
    node = Node()
    who = node.elsewhere("lobby")
    home = node.hub.remote.add(who)
    ann = node.log_in()
    node.house.forget()
    node.store("lobby", NickChanged("ANN"), "a-1.7")
    node.hub.remote.update(home, who := replace(who, nick="ANN", modes="B"))
    assert NickAssigned("ANN", "Ann", False) in ann.sees() and ann.user.nick == "ANN" and ann.user.modes == {"B"}
    # A third node has not heard of it yet.
    node.hub.remote.add(node.elsewhere("lobby", node="c"))
    assert node.hub.nicks.find("ann") is ann.user and ann.user.nick == "ANN"


def test_a_kick_on_any_node_ends_the_membership_on_all() -> None:
    node = Node()
    who = node.elsewhere("lobby", "tea", id="idann")
    home = node.hub.remote.add(who)
    ann = node.log_in()
    node.store("tea", Kicked("Ann", "", ann.user.id), "z.7", "Zoe")
    assert {room.name for room in ann.user.rooms.values()} == {"lobby"}
    node.hub.remote.update(home, replace(who, real="A"))  # it has not seen the kick
    assert {room.name for room in ann.user.rooms.values()} == {"lobby"} and ann.user.real == "A"
    ann.types("/quit")
    node.house.settle()
    node.store("lobby", Kicked("Ann", "", home.id), "z.8", "Zoe")
    assert node.members() == ["Bo"]


def test_a_quit_by_a_node_that_did_not_know_of_the_session_here_is_answered() -> None:
    node = Node()
    home = node.hub.remote.add(node.elsewhere("lobby"))
    ann = node.log_in()
    node.store("lobby", Left(quit=True), "a-1.9")
    node.house.settle()
    assert node.kinds()[-1] == ("Ann", Joined) and ann.session.rooms and node.members() == ["Bo", "Ann"]
    node.hub.remote.remove(home)
    assert ann.user.present


def test_nodes_that_each_took_the_user_for_being_on_the_other_publish_one_leave() -> None:
    node = Node()
    home = node.hub.remote.add(who := node.elsewhere("lobby"))
    ann = node.log_in()
    ann.leave("cut")
    node.house.settle()
    node.hub.remote.remove(home)
    node.house.settle()
    left = node.house.broker.log[-1]
    assert left.id == f"idann.x{who.joins[0]:x}.0" and text_in(left) == "cut" and node.members() == ["Bo"]
    assert not node.hub.owners
    # Without a lease, another node does it.
    home = node.hub.remote.add(node.elsewhere("lobby"))
    node.log_in().leave()
    node.hub.remote.members.may_speak = lambda: False
    node.hub.remote.remove(home)
    node.house.settle()
    assert node.kinds()[-1] == ("Ann", Joined)


def test_the_last_node_and_one_that_the_user_was_on_before_publish_the_same_leave() -> None:
    node = Node()
    home = node.hub.remote.add(who := node.elsewhere("lobby"))
    ann = node.log_in()
    node.hub.remote.remove(home)
    ann.leave()
    (_, end), *_ = [one for one in node.later if one[0] == 30.0]
    assert callable(end)
    end()
    node.house.settle()
    left = node.house.broker.log[-1]
    assert (type(left.body), left.id) == (Left, end_of("idann", who.joins))
    # Without a known join, it has an id of the session.
    other = node.log_in()
    other.types("/join lobby")
    node.house.settle()
    node.hub.rooms.loaded["lobby"].members[other.user] = 0
    other.types("/quit")
    node.later[-1][1]()  # type: ignore[operator]
    node.house.settle()
    assert node.kinds()[-1] == ("Ann", Left) and not node.house.broker.log[-1].id.startswith("idann.")


def test_such_a_leave_is_followed_like_any_other_one() -> None:
    node = Node()
    id = end_of("idann", (who := node.elsewhere("lobby")).joins)
    home = node.hub.remote.add(who)
    node.store("lobby", Left(quit=True), id)
    assert node.members() == ["Bo"]
    node.hub.remote.remove(home)
    # The node says that the user is gone before the log does.
    home = node.hub.remote.add(who := node.elsewhere("lobby"))
    node.hub.remote.remove(home)
    node.store("lobby", Left(quit=True), end_of("idann", who.joins))
    node.house.now += 60
    node.hub.remote.members.orphans.end(30)
    assert node.house.gather() == []
    # The user has come here.
    node.hub.remote.add(who := node.elsewhere("lobby"))
    node.log_in()
    node.store("lobby", Left(quit=True), end_of("idann", who.joins))
    node.house.settle()
    assert node.kinds()[-1] == ("Ann", Joined) and node.members() == ["Bo", "Ann"]


def test_the_leave_is_published_by_the_last_node_after_the_grace() -> None:
    node = Node()
    ann = node.log_in()
    ann.types("/join lobby")
    node.house.settle()
    user = ann.user
    ann.leave()
    (_, end), *_ = [one for one in node.later if one[0] == 30.0]
    # Meanwhile the user comes to another node, so that this one says nothing.
    seq = node.hub.rooms.loaded["lobby"].members[user]
    home = node.hub.remote.add(replace(node.elsewhere(), rooms=("lobby",), joins=(seq,)))
    assert home is not user and callable(end)
    end()
    node.house.settle()
    assert user.is_remote and user.present and node.kinds()[-1] == ("Ann", Joined)
    end()
    assert user.present


def test_private_messages_reach_the_sessions_on_all_nodes() -> None:
    node = Node()
    asked: list[User] = []
    node.hub.remote.add(node.elsewhere("lobby"))
    ann = node.log_in()
    node.house.forget()
    answers: list[bool | None] = [None, False]

    def deliver(user: User, event: Private, done: object) -> None:
        asked.append(user)
        assert callable(done)
        done(answers.pop(0))

    node.hub.remote.deliver = deliver
    node.bo.types("/msg Ann hi")
    node.house.settle()
    assert [event.text for event in ann.sees() if isinstance(event, Private)] == ["hi"] and asked == [ann.user]
    ann.types("/quit")
    node.house.settle()
    node.bo.types("/msg Ann hi")
    node.house.settle()
    assert [event.code for event in node.bo.sees() if isinstance(event, Refusal)] == ["not-reading"]


def test_an_order_to_end_the_sessions_goes_to_all_nodes() -> None:
    node = Node()
    expelled: list[tuple[User, str]] = []
    node.hub.remote.expel = lambda user, reason: expelled.append((user, reason))
    node.hub.remote.add(node.elsewhere("lobby"))
    ann = node.log_in()
    node.hub.expel(ann.user, "spam")
    assert expelled == [(ann.user, "spam")] and ann.session.closed and ann.user.is_remote


def test_a_guest_elsewhere_who_logs_in_becomes_the_user_that_is_known() -> None:
    node = Node()
    guest = Person("Gast", "~nc@x", rooms=("lobby",), joins=(node.join("lobby"),), id_prefix="g-1.")
    home = node.hub.remote.add(guest)
    node.hub.remote.update(home, replace(guest, nick="Ann", host=node.account.host))
    assert node.hub.owners == {node.account.host: home} and node.hub.nicks.find("Gast") is None
    ann = node.log_in()
    assert ann.user is home
    other = replace(guest, nick="Zoe", id_prefix="h-1.")
    second = node.hub.remote.add(other)
    node.hub.remote.update(second, replace(other, nick="Ann", host=node.account.host))
    assert node.hub.remote.homes(home) == (home, second) and node.members() == ["Bo", "Ann"]


def test_a_guest_here_who_has_the_name_gives_it_up_to_the_owner() -> None:
    node = Node()
    node.accounts.known.clear()
    (guest,) = node.house.enter("Ann")
    node.hub.remote.add(node.elsewhere("lobby"))
    node.accounts.known["ann"] = node.account, "secret"
    ann = node.house.connect()
    outcomes: list[Refused | None] = []
    node.hub.account_users.log_in(ann.session, node.account, outcomes.append)
    node.house.settle()
    assert outcomes == [None] and guest.user.nick == "Ann2" and ann.user.account == node.account


def test_a_change_of_the_account_of_a_user_elsewhere() -> None:
    node = Node()
    home = node.hub.remote.add(node.elsewhere("lobby"))
    changed = node.accounts.add("Ann", stays=True)
    assert home.account == changed and home.present


def test_a_name_that_is_registered_during_the_claim_is_refused() -> None:
    node = Node()
    claims: list[object] = []

    class Names:
        def claim(self, key: str, done: object, wait: object) -> None:
            claims.append(done)

        def release(self, key: str) -> None: ...

    node.hub.nicks.names = Names()
    guest = node.house.connect()
    outcomes: list[Refused | None] = []
    node.hub.naming.enter(guest.session, "Zoe", outcome=refusing(guest.session, outcomes.append))
    node.bo.types("/nick Zora")
    node.accounts.add("Zoe")
    node.accounts.add("Zora")
    for done in claims:
        assert callable(done)
        done(None)
    assert [refused and refused.code for refused in outcomes] == ["name-registered"]
    assert [event.code for event in node.bo.sees() if isinstance(event, Refusal)] == ["name-registered"]
    assert node.bo.session.nick == "Bo" and set(node.hub.users) == {"bo"}


def test_a_room_that_cannot_be_read_is_told_of() -> None:
    node = Node()
    node.house.broker.store([draft_of("tea", Kind.MESSAGE, "Zoe", "before", "z.1")])
    node.hub.remote.add(node.elsewhere("tea"))
    node.house.broker.fault = "away"
    ann = node.log_in()
    assert [event.code for event in ann.sees() if isinstance(event, Refusal)] == ["broker"]


def test_a_user_who_leaves_a_room_elsewhere_while_it_is_loaded_here() -> None:
    node = Node()
    ann = node.log_in()
    home = node.hub.remote.add(who := node.elsewhere())
    node.hub.remote.update(home, there := replace(who, rooms=("tea",), joins=(node.join("tea"),)))
    node.hub.remote.update(home, who)
    node.house.settle()
    assert not ann.session.rooms and "tea" not in node.hub.rooms.loaded
    # A further session that comes while the room is being loaded is shown it as well.
    node.hub.remote.update(home, there)
    node.house.answer()
    second = node.log_in()
    node.house.settle()
    for peer in (ann, second):
        assert [room.name for room in peer.session.rooms.values()] == ["tea"]


def test_a_join_on_two_nodes_at_once_shows_the_room_once() -> None:
    node = Node()
    ann = node.log_in()
    home = node.hub.remote.add(who := node.elsewhere())
    node.bo.types("/join tea")
    node.house.settle()
    ann.types("/join tea")
    drafts = node.house.gather()
    seq = node.join("tea")
    node.house.settle()
    node.house.forget()
    node.house.commit(node.house.broker.store(drafts))
    assert [event for event in ann.sees() if isinstance(event, RoomEntered)] == []
    node.hub.remote.update(home, replace(who, rooms=("tea",), joins=(seq,)))
    assert node.members("tea") == ["Bo", "Ann"] and ann.session.current_name == "tea"


def test_another_node_ends_while_the_user_is_on_two_more() -> None:
    node = Node()
    first = node.hub.remote.add(node.elsewhere("lobby"))
    second = node.hub.remote.add(node.elsewhere("lobby", node="c"))
    ann = node.log_in()
    prefix = ann.user.id_prefix
    assert node.hub.remote.user_at(second) is ann.user
    node.hub.remote.remove(first)
    assert ann.user.id_prefix == prefix and node.hub.remote.homes(ann.user) == (second,)


def test_an_owner_who_comes_back_on_another_node_leaves_no_orphan() -> None:
    node = Node()
    node.hub.remote.remove(node.hub.remote.add(node.elsewhere("lobby")))
    node.hub.remote.add(node.elsewhere(node="c"))
    node.house.now += 60
    node.hub.remote.members.orphans.end(30)
    node.house.settle()
    assert node.kinds()[-1] == ("Ann", Joined)


def test_end_of_an_owner_ends_no_member_of_the_room_whom_no_node_has_either() -> None:
    node = Node()
    guest = draft_of("lobby", Kind.JOIN, "Zoe", "", "z-1.1")
    node.house.commit(node.house.broker.store([guest]))
    node.hub.remote.remove(node.hub.remote.add(who := node.elsewhere("lobby")))
    node.store("lobby", Left(quit=True), end_of("idann", who.joins))
    node.house.now += 60
    node.hub.remote.members.orphans.end(30)
    assert [draft.nick for draft in node.house.gather()] == ["Zoe"]


def test_users_elsewhere_who_are_heard_of_before_the_accounts_are_read_have_theirs() -> None:
    node = Node()
    node.hub.use_accounts(FakeAccounts())
    home = node.hub.remote.add(node.elsewhere("lobby"))
    assert home.account is None
    node.hub.use_accounts(node.accounts)
    assert home.account == node.account


def test_the_owner_sees_the_sessions_on_all_nodes_and_ends_them() -> None:
    node = Node()
    node.hub.node_name = "here:1"
    elsewhere = Screen("a-1.", "irc", "192.0.2.7", "there:2")
    first, second = node.log_in(), node.log_in()
    home = node.hub.remote.add(replace(node.elsewhere("lobby"), screens=(elsewhere,)))
    ended: list[tuple[User, list[str]]] = []
    node.hub.remote.end = lambda user, ids: ended.append((user, list(ids)))
    first.sees()
    first.types("/account")
    (shown,) = first.sees()
    assert isinstance(shown, Notice)
    codes = [line.split()[0] for line in shown.lines[1:4]]
    assert shown.lines[3] == f"  {elsewhere.code} from 192.0.2.7 on there:2"
    assert shown.lines[1] == f"  {codes[0]} from an unknown address on here:1 (this one)"
    first.types(f"/account end {codes[1]}", f"/account END {codes[2].upper()}")
    assert second.session.closed and not first.session.closed
    assert ended == [(first.user, [second.session.id_prefix]), (first.user, ["a-1."])]
    first.sees()
    first.types("/account end zzz", f"/account {codes[0]}")
    assert [one.code for one in first.sees() if isinstance(one, Refusal)] == ["argument-invalid"] * 2
    node.hub.remote.remove(home)
    assert [one.node for one in node.hub.screens(first.user)] == [""]


def test_nodes_tell_each_other_of_the_sessions_of_accounts_alone() -> None:
    node = Node()
    ann = node.log_in()
    assert person(ann.user, "here").screens == (Screen(ann.session.id_prefix, "", "", "here"),)
    assert person(node.bo.user, "here").screens == ()


def test_a_join_while_the_node_learns_that_the_user_is_in_the_room_goes_on() -> None:
    node = Node()
    node.house.broker.store([draft_of("tea", Kind.MESSAGE, "Zoe", "before", "z.1")])
    ann = node.log_in()
    ann.types("/join lobby")
    node.house.settle()
    home = node.hub.remote.add(who := node.elsewhere())
    seq = node.join("tea")
    ann.types("/join tea", "hi")
    node.hub.remote.update(home, who := replace(who, rooms=("tea",), joins=(seq,)))
    node.house.settle()
    assert [event.room for event in ann.sees() if isinstance(event, RoomEntered)] == ["tea"]
    assert ann.untaken == 0 and not ann.session.pending and ann.session.current_name == "tea"
    assert text_in(node.house.broker.log[-1]) == "hi" and node.kinds().count(("Ann", Joined)) == 2
    # The other way round, and with a user who may join the room again after that.
    den = node.join("den")
    node.hub.remote.update(home, replace(who, rooms=("tea", "den"), joins=(seq, den)))
    second = node.log_in()
    second.types("/join den", "/leave den", "/join den")
    node.house.settle()
    assert second.untaken == 0 and not (second.user.changing or second.user.asking)
    assert second.session.current_name == "den"


def test_another_session_is_shown_the_room_if_the_first_one_ends_while_it_is_loaded() -> None:
    node = Node()
    ann, second = node.log_in(), node.log_in()
    for peer in (ann, second):
        peer.types("/join lobby")
        node.house.settle()
    home = node.hub.remote.add(who := node.elsewhere())
    node.hub.remote.update(home, replace(who, rooms=("tea",), joins=(node.join("tea"),)))
    ann.leave()
    second.types("hi")
    node.house.settle()
    assert [event.room for event in second.sees() if isinstance(event, RoomEntered)] == ["tea"]
    assert second.untaken == 0 and text_in(node.house.broker.log[-1]) == "hi"
