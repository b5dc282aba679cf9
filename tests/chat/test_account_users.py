"""Accounts in the core: who may have a name, one user for all sessions, and users who are away for a moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from doubles import NOON, FakeAccounts, House, Peer
from hubbub.chat import moderation
from hubbub.chat.nodes.person import screen
from hubbub.chat.session import User, wrote
from hubbub.chat.users.accounts import Checked
from hubbub.chat.users.lingering import GRACE_SECONDS
from hubbub.chat.users.name_requests import RenameProbe
from hubbub.errors import Refused
from hubbub.model.access import Action, may
from hubbub.model.accounts.account import Account, SshKey, is_account
from hubbub.model.accounts.grants import EVERYTHING, Grant, Granted, Permit
from hubbub.model.entries import Joined, Left, ModeChange, ModesChanged, NickChanged, Said
from hubbub.model.events import Goodbye, LoggedIn, Missed, NickAssigned, Notice, Refusal, RoomExited
from hubbub.text import refusals


class Town:
    """A house with accounts, and a clock for what happens later."""

    def __init__(self, *names: str) -> None:
        self.house = House()
        self.hub = self.house.hub
        self.accounts = FakeAccounts(*names)
        self.hub.use_accounts(self.accounts)
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.hub.later = lambda seconds, call: self.later.append((seconds, call))

    def settle(self) -> None:
        self.house.settle()
        while self.accounts.asked:
            self.accounts.answer()
            self.house.settle()

    def log_in(self, name: str, peer: Peer | None = None, forget: bool = True) -> Peer:
        """Let a peer log in; a new one is in the lobby afterwards, unless its user is in rooms already."""
        peer = peer or self.house.connect()
        account = self.accounts.find(name)
        assert account
        outcomes: list[Refused | None] = []
        self.hub.account_users.log_in(peer.session, account, outcomes.append)
        self.settle()
        assert outcomes == [None]
        if not peer.user.rooms:
            peer.types("/join lobby")
            self.settle()
        if forget:
            self.house.forget()
        return peer

    def kinds(self) -> list[tuple[str, type]]:
        return [(entry.nick, type(entry.body)) for entry in self.house.broker.log]


def codes(peer: Peer) -> list[str]:
    return [event.code for event in peer.sees() if isinstance(event, Refusal)]


def test_a_registered_name_and_its_lookalikes_are_refused_to_guests() -> None:
    town = Town("Ann", "Alice")
    guest = town.house.connect()
    guest.types("ann", "AIice", "Bo")
    town.settle()
    assert codes(guest) == ["name-registered", "name-taken"] and guest.session.nick == "Bo"
    guest.types("/nick Ann")
    assert codes(guest) == ["name-registered"]
    with pytest.raises(Refused, match="registered"):
        town.hub.nicks.check_free("ANN")
    town.hub.post(guest.session, "Al", "lobby", "hi", "x")
    with pytest.raises(Refused, match="registered"):
        town.hub.post(guest.session, "Ann", "lobby", "hi", "y")


def test_a_guest_registers_the_name_that_it_has() -> None:
    town = Town()
    ann, bo = town.house.enter("Ann", "Bo")
    changes: list[tuple[str, str]] = []
    town.hub.account_changes.append(lambda user, before: changes.append((user.mask, before)))
    ann.types("/register secret")
    town.settle()
    assert ann.sees() == [LoggedIn("Ann")] and bo.sees() == []
    assert ann.user.account == town.accounts.find("Ann") and is_account(ann.user.host)
    assert changes == [("Ann!~user@idann.account", "Ann!")]
    ann.types("hi", "/register again", "/login Ann secret", "/nick Zoe", "/nick ANN")
    town.settle()
    assert codes(ann) == ["logged-in-already", "name-kept"]
    assert ann.user.nick == "ANN" and bo.sees() == ["Ann: hi", "Ann > ANN"]
    assert town.house.broker.log[-1].host == "~user@idann.account"


def test_an_invitation_is_the_first_word_if_one_is_needed() -> None:
    town = Town()
    town.accounts.registration = "invite"
    (ann,) = town.house.enter("Ann")
    ann.types("/register secret", "/register my secret", "/register CODE my secret")
    town.settle()
    usage, refused, logged_in = ann.sees()
    assert isinstance(usage, Refusal) and usage.text == "Usage: /register CODE PASSWORD"
    assert isinstance(refused, Refusal) and refused.code == "registration-closed" and logged_in == LoggedIn("Ann")
    assert town.accounts.known["ann"][1] == "my secret"


def test_a_name_is_registered_before_its_owner_has_a_user() -> None:
    town = Town()
    peer = town.house.connect()
    outcomes: list[Refused | None] = []
    town.hub.credentials.register(peer.session, "Ann", "secret", outcomes.append)
    town.settle()
    assert outcomes == [None] and peer.user.nick == "Ann" and peer.user.account
    gone = town.house.connect()
    town.hub.credentials.register(gone.session, "Zoe", "secret", outcomes.append)
    gone.leave()
    town.settle()
    assert outcomes == [None] and town.accounts.find("Zoe")


def test_wrong_credentials_are_refused_and_codes_log_in() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    (bo,) = town.house.enter("Bo")
    bo.types("/link", "/login Ann wrong", "/login CODE-Nobody", "/login ann")
    town.settle()
    assert codes(bo) == ["not-logged-in", "wrong-password", "wrong-password", "argument-missing"]
    ann.types("/link")
    town.settle()
    told = ann.sees()[0]
    assert isinstance(told, Notice) and "/login CODE-Ann" in told.lines[0]
    bo.types("/login CODE-Ann")
    town.settle()
    assert bo.user is ann.user
    town.hub.nicks.accounts.make_code = lambda account, done: done(Refused("busy", "Busy."))  # type: ignore[method-assign]
    ann.types("/link")
    assert codes(ann) == ["busy"]


KEY = SshKey(fingerprint="SHA256:abc", kind="ssh-ed25519", added=NOON)


def test_a_guest_with_an_ssh_key_registers_without_a_password() -> None:
    town = Town()
    (ann,) = town.house.enter("Ann")
    ann.types("/register")
    assert codes(ann) == ["argument-missing"]
    ann.session.ssh_key = KEY
    ann.types("/register")
    town.settle()
    assert ann.sees() == [LoggedIn("Ann")] and ann.user.account and ann.user.account.ssh_keys == (KEY,)
    town.accounts.registration = "invite"
    (bo,) = town.house.enter("Bo")
    bo.session.ssh_key = KEY
    bo.types("/register", "/register CODE")
    town.settle()
    usage, logged_in = bo.sees()
    assert isinstance(usage, Refusal) and usage.text == "Usage: /register CODE PASSWORD" and logged_in == LoggedIn("Bo")


def test_a_code_joins_the_ssh_key_of_a_guest_to_an_account() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    bo.session.ssh_key = KEY
    bo.types("/link", "/link CODE-Nobody", "/link CODE-Ann")
    town.settle()
    assert codes(bo) == ["not-logged-in", "wrong-password"]
    assert bo.user.nick == "Ann" and town.accounts.known["ann"][0].ssh_keys == (KEY,)
    bo.types("/link")  # for one more device
    town.settle()
    assert "CODE-Ann" in str(bo.sees())


def test_a_code_may_have_a_space_in_it() -> None:
    town = Town("Ann", "Bcdf")
    used: list[str] = []
    town.accounts.redeem = lambda code, peer, done: used.append(code)  # type: ignore[method-assign]
    for name, words in (("Bo", "ghjk lmnp"), ("Cy", "GHJK-LMNP"), ("Di", "Bcdf secret"), ("Ed", "bcdf ghjk")):
        (guest,) = town.house.enter(name)
        guest.types(f"/login {words}")
        town.settle()
    assert used == ["ghjk lmnp", "GHJK-LMNP"], "nobody has the name ghjk"


def test_a_login_that_may_not_change_the_account_adds_no_key() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    bo.session.ssh_key = KEY
    account = town.accounts.known["ann"][0]
    town.accounts.redeem = lambda code, peer, done: town.accounts.asked.append(  # type: ignore[method-assign]
        lambda: done(structs.replace(account, permit=Permit(("read", "say"))))
    )
    bo.types("/link CODE-Ann")
    town.settle()
    assert bo.user.account and not town.accounts.known["ann"][0].ssh_keys


def test_ssh_keys_are_listed_added_and_removed() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    ann.types("/keys", "/keys add", "/keys drop x", "/keys remove")
    assert codes(ann) == ["bad-value", "argument-invalid", "argument-invalid"]
    ann.session.ssh_key = KEY
    ann.types("/keys add")
    town.settle()
    ann.sees()
    ann.types("/keys")
    (listed,) = ann.sees()
    assert isinstance(listed, Notice) and "SHA256:abc ssh-ed25519, since 20" in listed.lines[1]
    ann.types("/password open sesame")
    town.settle()
    assert "all other logins" in str(ann.sees()[-1])
    town.accounts.add("Ann", password="", ssh_keys=(KEY,))
    ann.types("/password open sesame")
    town.settle()
    assert ann.sees()[-1] == Notice(("You have a password now",))
    town.accounts.add("Ann", ssh_keys=(KEY,))
    ann.types("/keys remove SHA256:abc")
    town.settle()
    assert not town.accounts.known["ann"][0].ssh_keys
    (bo,) = town.house.enter("Bo")
    bo.types("/keys")
    assert codes(bo) == ["not-logged-in"]


def test_a_guest_takes_the_name_of_their_account() -> None:
    town = Town("Ann")
    guest, bo = town.house.enter("Gast", "Bo")
    guest.types("/join ops", "/login Ann secret", "hi")
    town.settle()
    assert guest.user.nick == "Ann" and guest.user.account and list(town.hub.users) == ["bo", "ann"]
    assert bo.sees() == ["Gast > Ann"]
    # The rights of the guest are the account's now.
    assert town.hub.rooms.loaded["ops"].state.rights == {("ann", "~user@idann.account"): "o"}
    assert [kind for _, kind in town.kinds()][-4:-1] == [NickChanged, NickChanged, ModesChanged]


def test_a_rename_that_cannot_be_stored_leaves_a_guest() -> None:
    town = Town("Ann")
    (guest,) = town.house.enter("Gast")
    guest.types("/login Ann secret")
    town.accounts.answer()
    town.house.fail()
    town.settle()
    assert guest.user.nick == "Gast" and guest.user.account is None
    guest.types("/login Ann secret")
    town.settle()
    assert guest.user.nick == "Ann" and guest.user.account


def test_a_guest_moves_to_the_user_of_their_account() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    guest, bo = town.house.enter("Gast", "Bo")
    guest.types("/join ops")
    town.settle()
    town.house.forget()
    guest.types("/login Ann secret")
    town.settle()
    assert guest.user is ann.user and len(ann.user.sessions) == 2
    seen = guest.sees()
    assert RoomExited("ops", "") in seen and NickAssigned("Ann", "Gast", True) in seen
    assert seen[-1] == "-Gast" and LoggedIn("Ann") in seen
    assert bo.sees() == ["-Gast"] == ann.sees() and "gast" not in town.hub.users
    guest.types("hi")
    town.settle()
    assert bo.sees() == ["Ann: hi"] and ann.sees() == ["Ann: hi"]


def test_others_see_one_join_and_one_leave() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    one = town.log_in("Ann")
    two = town.log_in("Ann")
    assert two.user is one.user and list(two.user.rooms) == ["lobby"]
    one.leave()
    two.types("/quit")
    town.settle()
    assert [kind for _, kind in town.kinds()] == [Joined, Joined, Left] and bo.sees() == ["-Ann"]
    assert list(town.hub.users) == ["bo"] and town.later == []
    assert town.log_in("Ann").user is not one.user


def test_a_lost_connection_is_no_leave_if_a_session_comes_back() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    ann = town.log_in("Ann")
    user = ann.user
    ann.leave()
    bo.types("one", "two")
    town.settle()
    assert bo.sees() == [] and user.present and user in town.hub.rooms.loaded["lobby"].members
    again = town.house.connect()
    account = town.accounts.find("Ann")
    assert account
    town.hub.account_users.log_in(again.session, account, lambda refusal: None)
    town.settle()
    assert again.sees() == [LoggedIn("Ann"), Missed("lobby", 2, NOON, town.house.now), "Bo: one", "Bo: two"]
    [(seconds, end)] = town.later
    end()
    town.settle()
    assert seconds == GRACE_SECONDS and user.present and bo.sees() == []
    # Another loss has its own time: the end of the first one's says nothing about it.
    again.leave()
    end()
    assert user.present
    town.later[-1][1]()
    town.settle()
    assert not user.present and bo.sees() == ["-Ann"]


def test_a_room_that_is_renamed_meanwhile_goes_on_where_its_member_left_it() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    ann = town.log_in("Ann")
    bo.types("/join ops")
    town.settle()
    ann.types("/join ops", "before")
    town.settle()
    ann.leave()
    bo.types("one", "/rename dev")
    town.settle()
    again = town.house.connect()
    account = town.accounts.find("Ann")
    assert account
    town.hub.account_users.log_in(again.session, account, lambda refusal: None)
    town.settle()
    shown = again.sees()
    assert Missed("dev", 1, NOON, town.house.now, elsewhere=True) in shown and "Ann: before" not in shown


def test_a_lost_connection_is_a_leave_after_a_while() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    ann = town.log_in("Ann")
    user = ann.user
    ann.types("/join alone")
    town.settle()
    ann.leave()
    town.settle()
    assert "alone" in town.hub.rooms.loaded, "a room with a member is loaded"
    [(_, end)] = town.later
    end()
    end()
    town.settle()
    assert bo.sees() == ["-Ann"] and not user.present and list(town.hub.rooms.loaded) == ["lobby"]


def test_a_user_who_stays_is_a_member_without_a_session() -> None:
    town = Town()
    town.accounts.add("Ann", stays=True)
    (bo,) = town.house.enter("Bo")
    ann = town.log_in("Ann")
    user = ann.user
    ann.types("/quit")
    town.settle()
    assert town.later == [] and user.present and bo.sees() == [] and ann.sees()[-1] == Goodbye()
    town.hub.closing = True
    assert not town.hub.lingering.lingers(user, asked=False)


def test_a_closed_account_is_out_with_or_without_a_session() -> None:
    town = Town()
    town.accounts.add("Ann", stays=True)
    town.accounts.add("Zoe", stays=True)
    (bo,) = town.house.enter("Bo")
    ann, zoe = town.log_in("Ann"), town.log_in("Zoe")
    bo.sees()
    zoe.leave()
    town.settle()
    town.accounts.add("Ann", suspended=True)
    town.accounts.add("Zoe", suspended=True)
    town.settle()
    gone = [line.partition(" ")[0] for line in bo.sees() if isinstance(line, str)]
    assert gone == ["-Ann", "-Zoe"] and list(town.hub.users) == ["bo"]
    notice, goodbye = ann.sees()
    assert isinstance(notice, Notice) and "closed" in notice.lines[0] and goodbye == Goodbye()


def test_a_changed_account_reaches_its_user() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    town.accounts.add("Ann", operator=True)
    assert ann.user.operator
    town.accounts.add("Ann")
    assert not ann.user.operator
    ann.user.operator = True  # as an operator of the settings
    town.accounts.add("Ann")
    assert ann.user.operator


def test_a_guest_gives_up_a_name_that_somebody_registers() -> None:
    town = Town()
    guest, bo = town.house.enter("Ann", "Bo")
    town.accounts.add("Ann")
    town.settle()
    assert guest.user.nick == "Ann2" and bo.sees() == ["Ann > Ann2"]
    notice, *_ = guest.sees()
    assert notice == Notice(("The name Ann is registered by somebody else now",))
    assert town.log_in("Ann").user.nick == "Ann"


def test_an_owner_gets_the_name_from_a_guest_who_still_has_it() -> None:
    town = Town()
    (guest,) = town.house.enter("Ann")
    town.accounts.changed.clear()  # the news comes late
    town.accounts.add("Ann")
    ann = town.log_in("Ann")
    assert (ann.user.nick, guest.user.nick) == ("Ann", "Ann2")
    town.accounts.add("Zoe")
    peers = [town.house.connect() for _ in range(3)]
    zoe = town.house.connect()
    town.hub.nicks.accounts = FakeAccounts()
    zoe.types("Zoe")
    town.settle()
    town.hub.nicks.accounts = town.accounts
    account = town.accounts.find("Zoe")
    assert account
    outcomes: list[Refused | None] = []
    for peer in peers:
        town.hub.account_users.log_in(peer.session, account, outcomes.append)
    peers[2].leave()
    town.settle()
    assert outcomes == [None, None] and peers[0].user is peers[1].user and zoe.user.nick == "Zoe2"


def test_a_ban_of_an_account_hits_its_owner_from_everywhere() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    bo.types("/join ops")
    town.settle()
    ann = town.log_in("Ann")
    bo.types("/ban Ann yes")
    town.settle()
    ann.leave()
    town.later[-1][1]()
    town.settle()
    again = town.log_in("Ann")
    viewer = town.hub.viewer(again.session)
    assert may(viewer, Action.JOIN, town.hub.rooms.loaded["ops"].state)


@pytest.mark.parametrize("comes_first", [False, True])
def test_a_muted_guest_is_muted_under_their_account_and_others_in_that_browser_are_not(comes_first: bool) -> None:
    town = Town("Ann", "Eve")

    def comes(browser: str) -> Peer:
        peer = town.house.connect()
        peer.session.host, peer.session.browser = "~web@aaaaaaaaaa.web", browser
        return peer

    bo, joker = comes(""), comes("")
    for peer, name in ((bo, "Bo"), (joker, "Joker")):
        peer.types(name, "/join ops")
        town.settle()
    elsewhere = town.log_in("Ann") if comes_first else None
    bo.types("/mute Joker yes")
    town.settle()

    def speaks(peer: Peer) -> bool:
        peer.seen.clear()
        peer.types("hi")
        town.settle()
        return codes(peer) != ["muted"]

    town.log_in("Ann", joker)
    joker.types("/join ops")
    town.settle()
    assert not speaks(joker)
    joker.types("/logout")
    if elsewhere:
        elsewhere.types("/logout")
    town.settle()
    again = comes("b1")
    town.log_in("Ann", again)
    again.types("/join ops")
    town.settle()
    assert not speaks(again), "the account remembers it, and tells its browser"
    bo.types("/unmute Joker", "/mute Ann yes")
    town.settle()
    again.types("/quit")
    town.settle()
    eve = comes("b1")
    town.log_in("Eve", eve)
    eve.types("/join ops")
    town.settle()
    assert speaks(eve)
    guest = comes("b1")
    guest.types("Somebody", "/join ops")
    town.settle()
    assert not speaks(guest)


class Registry:
    """The names of a cluster, which gives every name at once."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    def claim(self, key: str, done: Callable[[Refused | None], None], wait: Callable[[], None]) -> None:
        self.held.add(key)
        done(None)

    def release(self, key: str) -> None:
        self.held.discard(key)


class SlowRegistry(Registry):
    """The names of a cluster, which answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Callable[[Refused | None], None]] = []

    def claim(self, key: str, done: Callable[[Refused | None], None], wait: Callable[[], None]) -> None:
        self.asked.append(done)


def test_rights_of_guests_end_when_they_go_as_soon_as_an_account_holds_the_room() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    bo.types("/join ops")
    town.settle()
    ann = town.log_in("Ann")
    ann.types("/join ops")
    town.settle()
    state = town.hub.rooms.loaded["ops"].state

    def comes_again(peer: Peer) -> bool:
        peer.types("/leave", "/join ops")
        town.settle()
        return state.is_operator(peer.user)

    assert comes_again(bo), "nobody else could govern the room"
    bo.types("/op Ann", "/set limit 2")
    town.settle()
    assert state.is_operator(bo.user) and comes_again(ann) and not comes_again(bo)
    ann.types("/founder Bo")
    town.settle()
    assert comes_again(bo) and not comes_again(ann)


@pytest.mark.parametrize("way", ["register", "rename", "move"])
@pytest.mark.parametrize("closed", [False, True])
def test_a_founder_who_was_away_while_logging_in_finds_the_rights_again(way: str, closed: bool) -> None:
    town = Town("Zoe") if way == "register" else Town("Ann")
    guest, bo = town.house.enter("Gast", "Bo")
    for peer in (guest, bo):
        peer.types("/join ops")
        town.settle()
    guest.types(*(["/set invite-only on"] if closed else []), "/leave", "/join den", "/leave")
    town.settle()
    other = town.log_in("Ann") if way == "move" else None
    if other and not closed:
        other.types("/join ops")
        town.settle()
    guest.types("/register secret" if way == "register" else "/login Ann secret")
    town.settle()
    guest.types("/join ops", "/join den")
    town.settle()
    state = town.hub.rooms.loaded["ops"].state
    assert state.is_operator(guest.user) and state.has_owner and guest.user.account
    assert {host for _, host in state.rights} == {guest.user.host}
    bo.types("/leave", "/nick Gast")
    town.settle()
    bo.types("/join ops")
    town.settle()
    assert not state.is_operator(bo.user)


def test_a_founder_who_loses_the_connection_during_the_join_finds_the_rights_again() -> None:
    town = Town()
    guest, bo = town.house.enter("Gast", "Bo")
    for peer in (guest, bo):
        peer.types("/join ops")
        town.settle()
    guest.types("/leave", "/register secret")
    town.settle()
    user = guest.user
    guest.types("/join ops")
    guest.leave()
    town.settle()
    state = town.hub.rooms.loaded["ops"].state
    assert user in state.members and not user.sessions and state.is_operator(user)


def test_a_founder_inherits_nothing_in_a_room_that_has_an_owner() -> None:
    town = Town("Ann")
    guest, ann = town.house.enter("Gast")[0], town.log_in("Ann")
    for peer in (guest, ann):
        peer.types("/join ops")
        town.settle()
    guest.types("/op Ann", "/leave", "/register secret", "/join ops")
    town.settle()
    state = town.hub.rooms.loaded["ops"].state
    assert guest.user.account and guest.user in state.members and not state.is_operator(guest.user)


def test_no_node_has_a_lease_of_the_name_of_an_account() -> None:
    town = Town("Ann")
    registry = town.hub.nicks.names = Registry()
    guest, bo = town.house.enter("Gast", "Bo")
    assert registry.held == {"gast", "bo"}
    town.log_in("Ann", guest)
    bo.types("/register secret")
    town.settle()
    assert registry.held == set() and {"ann", "bo"} == set(town.hub.users)
    guest.types("/quit")
    assert town.log_in("Ann").user.nick == "Ann" and registry.held == set()


def test_a_guest_who_looks_like_a_registered_name_gives_it_up() -> None:
    town = Town("Ann")
    guest, other, bo = town.house.enter("AIice", "Ann3", "Bo")
    town.accounts.add("AIice2")  # so the first number is not free
    town.accounts.add("Alice")
    town.settle()
    assert guest.user.nick == "AIice3" and bo.sees() == ["AIice > AIice3"] and other.user.nick == "Ann3"
    notice, *_ = guest.sees()
    assert notice == Notice(("The name AIice looks like Alice, which is registered by somebody else now",))
    assert town.log_in("Alice").user.nick == "Alice"


def test_nobody_who_looks_like_a_registered_name_keeps_it_from_its_owner() -> None:
    town = Town()
    (guest,) = town.house.enter("AIice")
    town.accounts.changed.clear()  # the news comes late, or the guest is on another node
    town.accounts.add("Alice")
    assert town.log_in("Alice").user.nick == "Alice" and guest.user.nick == "AIice"
    guest.types("/login Alice secret")
    town.settle()
    assert guest.user.nick == "Alice" and codes(guest) == []


def test_a_guest_who_looks_like_their_account_takes_its_name() -> None:
    town = Town()
    (guest,) = town.house.enter("AIice")
    town.accounts.changed.clear()
    account = town.accounts.add("Alice")
    town.log_in("Alice", guest, forget=False)
    town.accounts.changed.append(town.hub.account_users.changed)
    assert guest.user.account == account and town.hub.nicks.held_by_guests("Alice") == []


def test_a_code_for_a_session_that_is_gone() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    ann.types("/link")
    ann.leave()
    town.settle()
    assert ann.sees() == [Goodbye()]


def test_guests_may_be_kept_out() -> None:
    town = Town("Ann")
    town.accounts.guests = "no"
    guest = town.house.connect()
    guest.types("Bo", "Ann")
    assert codes(guest) == ["account-required", "name-registered"]
    assert town.log_in("Ann").user.nick == "Ann"


def test_guests_may_be_let_read_only() -> None:
    house, accounts = House(), FakeAccounts("Ann")
    accounts.guests = "read"
    house.hub.use_accounts(accounts)
    ann, bo = house.connect(), house.connect()
    house.hub.account_users.log_in(ann.session, accounts.known["ann"][0], lambda refusal: None)
    ann.types("/join lobby", "hi")
    house.settle()
    bo.types("Bo", "hello", "/me waves", "/topic mine", "/msg Ann psst", "/nick Beau", "/who")
    house.settle()
    assert codes(bo) == ["account-required"] * 4 and bo.user.nick == "Beau"
    assert [entry.nick for entry in house.broker.log] == ["Ann", "Ann", "Bo", "Bo"]
    room = house.hub.rooms.loaded["lobby"].state
    may_speak = [
        may(viewer, Action.SPEAK, room) is None
        for viewer in (
            house.hub.viewer_of(ann.user),
            house.hub.viewer_of(bo.user),
            house.hub.stranger("x", "192.0.2.1"),
        )
    ]
    assert may_speak == [True, False, False]
    assert [house.hub.may_describe(one.session) for one in (ann, bo)] == [True, False]
    house.hub.check_describe(ann.session)
    with pytest.raises(Refused, match="account"):
        house.hub.check_describe(bo.session)
    bo.types("/join new", "/join lobby")
    house.settle()
    assert codes(bo) == ["account-required"] and list(house.hub.loaded) == ["lobby"]
    ann.types("/join new")
    house.settle()
    bo.types("/join new")
    house.settle()
    assert bo.user in house.hub.loaded["new"].members


def test_the_owner_of_an_account_changes_it() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    ann.types("/password abc", "/password open sesame", "/stay maybe", "/stay on")
    town.settle()
    too = town.log_in("Ann", forget=False)
    ann.types("/account")
    town.settle()
    refused, changed, usage, stays, shown = ann.sees()
    assert isinstance(refused, Refusal) and refused.code == "weak-password"
    assert isinstance(changed, Notice) and "password is changed" in changed.lines[0]
    assert isinstance(usage, Refusal) and usage.text == "Usage: /stay on|off"
    assert stays == Notice(("You stay in your rooms while you are away",))
    assert isinstance(shown, Notice) and len(shown.lines) == 4 and "stay in" in shown.lines[-1]
    assert [" (this one)" in line for line in shown.lines[1:3]] == [True, False] and " on " not in shown.lines[2]
    assert town.accounts.known["ann"][0].stays and ann.user.account == town.accounts.known["ann"][0]
    ann.types("/stay off")
    town.settle()
    assert ann.sees() == [Notice(("You leave your rooms when you disconnect",))]
    too.types("/logout")
    town.settle()
    assert too.sees()[-2:] == [Notice(("You are logged out",)), Goodbye()] and ann.user.sessions == [ann.session]


@pytest.mark.parametrize(
    ("typed", "outcome"),
    [
        ("/unregister secret", "Nobody can ever log in as Ann again, if you type /unregister PASSWORD yes"),
        (
            "/unregister secret take-back",
            "Nobody can ever log in as Ann again, and all your messages are deleted, "
            "if you type /unregister PASSWORD take-back yes",
        ),
        ("/unregister guess yes", "wrong-password"),
        ("/unregister secret yes yes", "wrong-password"),
        ("/unregister secret yes", "The account Ann is closed"),
        ("/unregister secret TAKE-BACK yes", "The account Ann is closed, with all messages"),
    ],
)
def test_the_owner_closes_an_account_after_a_confirmation(
    typed: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    closed: list[tuple[str, bool]] = []

    def delete(account: Account, done: Checked, take_back: bool = False) -> None:
        closed.append((account.name, take_back))
        done(account)

    monkeypatch.setattr(town.accounts, "delete", delete)
    ann.types(typed)
    town.settle()
    (seen,) = ann.sees()
    told = seen.lines[0] if isinstance(seen, Notice) else seen.code if isinstance(seen, Refusal) else ""
    assert told == outcome.removesuffix(", with all messages")
    assert closed == ([("Ann", "with" in outcome)] if "closed" in outcome else [])


def test_a_limited_token_closes_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    limited = structs.replace(town.accounts.known["ann"][0], permit=Permit(("read", "say")))
    monkeypatch.setattr(town.accounts, "log_in", lambda name, secret, peer, done: done(limited))
    ann.types("/unregister token yes")
    town.settle()
    assert codes(ann) == ["token-limited"]


@pytest.mark.parametrize(
    "line", ["/password open sesame", "/stay on", "/account", "/logout", "/link", "/unregister secret"]
)
def test_a_guest_has_no_account_to_change(line: str) -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    bo.types(line)
    assert codes(bo) == ["not-logged-in"]


def test_a_changed_password_ends_the_other_sessions() -> None:
    town = Town("Ann")
    ann, too = town.log_in("Ann"), town.log_in("Ann")
    ann.types("/password open sesame")
    town.settle()
    assert too.sees() == [Notice(("Your password was changed; log in again",)), Goodbye()]
    assert ann.user.sessions == [ann.session]
    town.accounts.add("Ann", valid_from=town.house.now + 1)  # by an operator
    assert ann.sees()[-1] == Goodbye() and ann.user.present


def test_a_session_that_knows_what_its_client_has_is_shown_the_rest() -> None:
    town = Town("Ann", "Bo")
    ann, bo = town.log_in("Ann"), town.log_in("Bo")
    assert ann.user.id == "idann"
    bo.types("one", "two")
    town.settle()
    seq = town.house.broker.log[-2].seq
    again = town.house.connect()
    again.session.seen = {"lobby": seq}
    account = town.accounts.find("Ann")
    assert account
    town.hub.account_users.log_in(again.session, account, lambda refusal: None)
    town.settle()
    assert again.user is ann.user and not again.session.seen
    assert [event.count for event in again.sees() if isinstance(event, Missed)] == [1]


def test_an_account_that_was_closed_since_does_not_log_in() -> None:
    town = Town("Ann")
    account = town.accounts.find("Ann")
    assert account
    town.accounts.add("Ann", suspended=True)
    peer = town.house.connect()
    with pytest.raises(Refused, match="closed"):
        town.hub.account_users.log_in(peer.session, account, lambda refusal: None)


def test_a_credential_is_proven_before_the_session_has_a_user() -> None:
    town = Town("Ann")
    peer, gone = town.house.connect(), town.house.connect()
    proven: list[object] = []
    for one in (peer, gone):
        start = town.hub.credentials.registration(one.session, "Zoe", "secret")
        town.hub.credentials.prove(one.session, start, proven.append)
    gone.leave()
    town.settle()
    assert proven == [town.accounts.find("Zoe")] and peer.session.user is None


def test_names_are_registered_where_guests_may_not_come() -> None:
    town = Town("Ann")
    town.accounts.guests = "no"
    with pytest.raises(Refused, match="account"):
        town.hub.nicks.free("Zoe")
    assert town.hub.nicks.unregistered("Zoe") == "Zoe"


def test_a_guest_who_leaves_while_the_name_of_the_account_is_stored() -> None:
    town = Town("Ann")
    (guest,) = town.house.enter("Gast")
    guest.types("/join ops")
    town.settle()
    guest.types("/login Ann secret")
    town.accounts.answer()
    ann = town.house.connect()
    account = town.accounts.find("Ann")
    assert account
    town.hub.account_users.log_in(ann.session, account, lambda refusal: None)
    guest.session.paused = True  # it never reads again
    guest.leave()
    town.settle()
    assert town.hub.nicks.find("Ann") is ann.user and ann.user.sessions == [ann.session]
    guest.session.paused = False
    guest.session.flush()
    assert list(town.hub.users.values()) == [ann.user]


def test_a_login_of_a_guest_who_leaves_and_never_reads_again_is_forgotten() -> None:
    town = Town("Ann")
    (guest,) = town.house.enter("Gast")
    guest.types("/login Ann secret")
    town.accounts.answer()
    guest.session.paused = True
    guest.leave()
    town.settle()
    assert not town.hub.account_users._due and not town.hub.users


def test_two_guests_who_log_in_at_once_are_one_person() -> None:
    town = Town("Ann")
    first, second = town.house.enter("Gast", "Visitor")
    first.types("/login Ann secret")
    second.types("/login Ann secret")
    town.settle()
    assert first.user is second.user and first.user.nick == "Ann" and first.user.account
    assert list(town.hub.users) == ["ann"] and not codes(first) + codes(second)
    second.types("hi")
    town.settle()
    assert town.house.broker.log[-1].nick == "Ann"


def test_two_sessions_that_the_cluster_lets_come_at_once_are_one_person() -> None:
    town = Town("Ann")
    registry = town.hub.nicks.names = Registry()
    account = town.accounts.find("Ann")
    assert account
    peers = [town.house.connect() for _ in range(3)]
    outcomes: list[Refused | None] = []
    for peer in peers:
        town.hub.account_users.log_in(peer.session, account, outcomes.append)
    peers[0].leave()
    town.settle()
    assert outcomes == [None] * 3 and peers[1].user is peers[2].user and peers[1].user.nick == "Ann"
    assert not registry.held and not peers[2].session.waits


def test_an_account_that_is_closed_during_the_login_is_out() -> None:
    town = Town("Ann", "Bob")
    (guest,) = town.house.enter("Gast")
    guest.types("/login Ann secret")
    town.accounts.answer()
    town.accounts.add("Ann", suspended=True)
    town.settle()
    assert codes(guest) == ["account-closed"] and guest.user.account is None and guest.user.nick != "Ann"

    account, peer = town.accounts.find("Bob"), town.house.connect()
    assert account
    outcomes: list[Refused | None] = []
    town.accounts.add("Bob", valid_from=NOON + 1)
    with pytest.raises(Refused) as wrong:
        town.hub.account_users.log_in(peer.session, account, outcomes.append)
    assert wrong.value.code == "wrong-password" and peer.session.user is None
    town.accounts.known.clear()
    with pytest.raises(Refused, match="closed"):
        town.hub.account_users.log_in(peer.session, account, outcomes.append)


def test_a_guest_who_registers_a_name_too_late_gives_it_up() -> None:
    town = Town()
    (ann,) = town.house.enter("Ann")
    ann.types("/register secret")
    act = town.accounts.asked.pop()
    town.accounts.add("Ann")
    town.accounts.asked.append(lambda: (setattr(town.accounts, "registration", "invite"), act()))  # type: ignore[func-returns-value]
    town.settle()
    assert ann.user.account is None and ann.user.nick == "Ann2"


def test_a_guest_does_not_get_a_name_that_is_registered_while_the_cluster_is_asked() -> None:
    town = Town()
    (bo,) = town.house.enter("Bo")
    registry = town.hub.nicks.names = SlowRegistry()
    guest = town.house.connect()
    guest.types("Ann")
    bo.types("/nick Zoe")
    town.accounts.add("Ann")
    town.accounts.add("Zoe")
    account, owner = town.accounts.find("Ann"), town.house.connect()
    assert account
    outcomes: list[Refused | None] = []
    town.hub.account_users.log_in(owner.session, account, outcomes.append)
    while registry.asked:
        registry.asked.pop(0)(None)
        town.settle()
    assert guest.session.user is None
    assert outcomes == [None] and owner.user.nick == "Ann" and bo.user.nick.startswith("Bo")


def test_nobody_waits_for_a_user_without_a_session_to_answer() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    peer = town.house.connect()
    peer.session.address = "192.0.2.1"
    ann.leave()
    assert not town.hub.naming.make_free(peer.session, refusals.NAME_TAKEN(name="Ann"), RenameProbe("Ann", None))


def test_a_room_for_people_with_an_account() -> None:
    town = Town("Ann")
    (bo,) = town.house.enter("Bo")
    bo.types("/join ops")
    town.settle()
    room = town.hub.rooms.of(bo.session)
    assert moderation.change(town.hub, bo.session, room, [ModeChange(True, "R", "")]) == []
    town.settle()
    (guest,) = town.house.enter("Guest")
    ann = town.log_in("Ann")
    for peer in (guest, ann):
        peer.types("/join ops")
        town.settle()
    assert codes(guest) == ["account-required"] and ann.user in room.members


def test_private_messages_are_stored_or_not_as_their_owner_says() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    for line, told, stored in (
        ("/store off", "Your private messages are not stored any more", False),
        ("/store ON", "Your private messages are stored from now on", True),
    ):
        ann.types(line)
        town.settle()
        assert ann.sees() == [Notice((told,))] and town.accounts.known["ann"][0].history is stored
    ann.types("/store maybe")
    assert codes(ann) == ["argument-invalid"]


def test_a_limited_token_gives_no_rights_over_the_server_and_the_account() -> None:
    town = Town("Bo")
    town.accounts.add("Ann", operator=True)
    owner, bot = town.log_in("Ann"), town.house.connect()
    account = town.accounts.find("Ann")
    assert account
    limited = structs.replace(account, operator=False, permit=Permit(("read", "say")))
    town.hub.account_users.log_in(bot.session, limited, lambda refusal: None)
    town.settle()
    assert bot.user is owner.user and owner.session.operator and not bot.session.operator
    assert town.hub.viewer(owner.session).operator and not town.hub.viewer(bot.session).operator
    bot.types("/password open sesame", "/link", "/stay on", "/account")
    town.settle()
    assert codes(bot) == ["token-limited"] * 3
    bot.types(f"/account end {screen(owner.session, '').code}")
    assert codes(bot) == ["token-limited"] and not owner.session.closed
    town.accounts.add("Ann", operator=True, stays=True)
    assert not bot.session.operator and owner.session.operator
    owner.leave()
    bot.leave()
    town.accounts.add("Ann", operator=True)
    town.hub.expel(owner.user, "test")
    alone = town.house.connect()
    town.hub.account_users.log_in(alone.session, limited, lambda refusal: None)
    assert not alone.session.operator and alone.user.account is town.accounts.find("Ann")


def test_a_further_login_to_the_same_account_gives_the_session_its_rights() -> None:
    town = Town("Ann", "Bo")
    account = town.accounts.find("Ann")
    assert account
    limited, bot = structs.replace(account, permit=Permit(("read", "say")), grant="t1"), town.house.connect()
    log_in = town.hub.credentials.check
    log_in(bot.session, lambda peer, done: done(limited), lambda refusal: None)
    town.settle()
    user = bot.user
    bot.types("/login Bo secret", "/login Ann wrong", "/stay on")
    town.settle()
    assert codes(bot) == ["logged-in-already", "wrong-password", "token-limited"] and bot.session.grant == "t1"
    bot.types("/login Ann secret", "/stay on")
    town.settle()
    assert bot.user is user and bot.session.grant == "" and bot.session.permit is EVERYTHING
    assert bot.sees() == [LoggedIn("Ann"), Notice(("You stay in your rooms while you are away",))]
    # The newest login counts: the session ends with its token.
    log_in(bot.session, lambda peer, done: done(limited), lambda refusal: None)
    assert bot.session.permit.is_limited and bot.session.grant == "t1"


def test_a_session_ends_with_the_token_or_cookie_that_it_came_with() -> None:
    town = Town("Ann")
    account = town.accounts.find("Ann")
    assert account
    peers = [town.log_in("Ann"), *(town.house.connect() for _ in range(3))]
    for peer, grant in zip(peers[1:], ("one", "two", "one"), strict=True):
        proven = structs.replace(account, grant=grant)
        town.hub.credentials.check(peer.session, lambda peer, done, proven=proven: done(proven), lambda refusal: None)
    town.settle()
    peers[3].leave()
    town.house.forget()
    for ended in town.accounts.ended:
        ended("one", Grant(account=account.id))
    assert [peer.session.closed for peer in peers] == [False, True, False, True]
    assert [type(event) for event in peers[1].sees()] == [Notice, Goodbye]
    town.accounts.granted = [Granted(id, Grant(created=made)) for id, made in (("two", NOON - 1), ("three", NOON - 1))]
    town.accounts.add("Ann")
    assert not peers[2].session.closed
    town.accounts.add("Ann", valid_from=NOON)
    assert peers[2].session.closed


def test_a_guest_who_is_about_to_join_a_room_logs_in_after_that() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    (guest,) = town.house.enter("Gast")
    guest.types("/join ops")
    town.house.answer()
    account = town.accounts.find("Ann")
    assert account
    outcomes: list[Refused | None] = []
    town.hub.account_users.log_in(guest.session, account, outcomes.append)
    assert guest.user.nick == "Gast" and not outcomes
    town.settle()
    assert outcomes == [None] and guest.user is ann.user and not guest.session.waits
    assert town.kinds()[-3:] == [("Gast", Joined), ("Gast", Left), ("Gast", Left)]
    assert [room.name for room in ann.user.rooms.values()] == ["lobby"]


@pytest.mark.parametrize("line", ["/leave lobby", "/nick Other"])
def test_what_a_guest_was_about_to_do_does_not_happen_to_the_account(line: str) -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    (guest,) = town.house.enter("Gast")
    guest.types(line)
    account = town.accounts.find("Ann")
    assert account
    outcomes: list[Refused | None] = []
    town.hub.account_users.log_in(guest.session, account, outcomes.append)
    town.settle()
    assert outcomes == [None] and guest.user is ann.user and not guest.session.waits
    assert ann.user.nick == "Ann" and [room.name for room in ann.user.rooms.values()] == ["lobby"]
    guest.types("hi")
    town.settle()
    assert "Ann: hi" in ann.sees()


def test_a_session_that_logs_in_while_it_waits_for_a_room_is_shown_the_room_of_its_account() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    (guest,) = town.house.enter("Gast")
    ann.types("/join ops")
    town.settle()
    ann.types("/leave ops")
    town.settle()
    guest.types("/join ops", "hi")
    ann.types("/join ops")
    account = town.accounts.find("Ann")
    assert account
    town.hub.account_users.log_in(guest.session, account, lambda refusal: None)
    town.settle()
    assert guest.user is ann.user and guest.untaken == 0 and not ann.user.changing
    assert guest.session.current_name == "ops" and town.hub.rooms.loaded["ops"].sessions.keys() == {
        ann.session,
        guest.session,
    }
    assert town.kinds()[-2:] == [("Ann", Joined), ("Ann", Said)]


def test_a_code_is_shown_as_a_picture_on_request() -> None:
    town = Town("Ann")
    ann = town.log_in("Ann")
    ann.types("/link qr", "/link please")
    town.settle()
    assert codes(ann) == ["not-accepted", "argument-invalid"], "there is no page"
    town.hub.page_url = "http://192.0.2.1:8888/"
    town.hub.qr = lambda text: (f"<{text}>",)
    ann.types("/link", "/link QR")
    town.settle()
    plain, pictured = (one for one in ann.sees() if isinstance(one, Notice))
    assert len(plain.lines) == 1 and len(pictured.lines) == 2
    code = pictured.lines[0].rpartition(" ")[2]
    assert pictured.lines[1] == f"<http://192.0.2.1:8888/#link={code.replace('-', '')}>"


def test_the_owner_ends_another_session_on_the_same_node() -> None:
    town = Town("Ann")
    ann, too = town.log_in("Ann"), town.log_in("Ann")
    ann.types(f"/account end {screen(too.session, '').code}")
    town.settle()
    assert ann.sees()[-1] == Notice(("That connection is ended",)) and ann.user.sessions == [ann.session]
    assert Notice(("You have ended this session from another device",)) in too.sees()


def test_a_session_without_a_user_ends_when_a_new_password_voids_its_token() -> None:
    town = Town("Ann")
    peer = town.house.connect()
    town.hub.holders.hold(peer.session, "two")
    town.accounts.granted = [Granted("two", Grant(created=NOON - 1))]
    town.accounts.add("Ann", valid_from=NOON)
    assert peer.session.closed


def test_a_login_that_cannot_rename_the_guest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town("Ann")
    (guest,) = town.house.enter("Gast")

    def refuse(*_: object) -> None:
        raise refusals.NAME_TAKEN(name="Ann")

    monkeypatch.setattr(town.hub.naming, "rename_to", refuse)
    guest.types("/login Ann secret")
    town.settle()
    assert codes(guest) == ["name-taken"] and guest.session.nick == "Gast"
    monkeypatch.undo()
    guest.types("/login Ann secret")
    town.settle()
    assert guest.session.nick == "Ann"


def test_a_bot_is_the_author_of_the_messages_of_its_account() -> None:
    town = Town("Ann")
    ann, bot = town.log_in("Ann"), town.house.connect()
    ann.types("hello")
    town.settle()
    entry = town.house.broker.log[-1]
    bot.session.acts_for = town.accounts.find("Ann")
    assert wrote(bot.session, entry) and not wrote(bot.session, structs.replace(entry, host="~nc@x.nc"))


def test_an_account_takes_a_name_that_a_remote_user_may_still_have() -> None:
    town = Town("Ann")
    town.hub.nicks.names = Registry()
    remote = User("Ann", is_remote=True)
    town.hub.users["ann"] = remote
    account = town.accounts.find("Ann")
    assert account
    user, _ = town.hub.nicks.claim("Ann", account=account)
    assert town.hub.users["ann"] is user is not remote
