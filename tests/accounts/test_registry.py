"""Registering and changing accounts, alone and in a race."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from msgspec import structs
from registered import HERE, PASSWORD, THERE, Accounts, is_refused

from hubbub.accounts.keys import SSH_KEYS
from hubbub.accounts.logins import COOKIE_SECONDS, Policy
from hubbub.accounts.records import codes, directory
from hubbub.accounts.records.directory import LONG
from hubbub.accounts.records.former_names import FormerNames
from hubbub.accounts.records.keyring import PER_ACCOUNT, RENEW
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.accounts.grants import Grant
from hubbub.storage.key_value import Item
from hubbub.text import refusals
from hubbub.text.names import key_of

STAYS = partial(structs.replace, stays=True)
UNSTORED = partial(structs.replace, history=False)


def two() -> tuple[Accounts, Accounts]:
    """Two nodes on one store."""
    one = Accounts()
    return one, Accounts(store=one.store, loop=one.loop)


def test_a_name_is_registered_once_however_it_is_written() -> None:
    accounts = Accounts()
    account = accounts.register("Zoë")
    assert account.name == "Zoë" and account.id.isalnum() and account.created == accounts.now
    assert accounts.registry.find("ZOË") == accounts.registry.by_id(account.id) == account
    assert is_refused(accounts.register("zoë"), "name-registered")
    assert accounts.registry.find("bob") is None and accounts.registry.by_id("x") is None


def test_names_that_look_like_a_registered_or_reserved_one_are_refused() -> None:
    accounts = Accounts()
    accounts.register("Alice")
    assert accounts.registry.looks_like("аlice") == "Alice" and accounts.registry.looks_like("Alice") == ""
    assert is_refused(accounts.register("АLICE"), "name-invalid") or is_refused(
        accounts.register("АLICE"), "name-taken"
    )
    assert is_refused(accounts.register("AIice"), "name-taken")
    assert is_refused(accounts.register("NickServ"), "name-invalid")
    assert is_refused(accounts.register("a b"), "name-invalid")


@pytest.mark.parametrize(
    ("password", "code"),
    [("1234567", "weak-password"), ("x" * 301, "weak-password"), ("é" * 151, "weak-password"), ("a      b", "")],
)
def test_a_password_has_from_8_characters_to_300_bytes(password: str, code: str) -> None:
    accounts = Accounts()
    outcome = accounts.register(password=password)
    assert is_refused(outcome, code) if code else isinstance(outcome, Account)
    if code:
        accounts.register()
        change = lambda done: accounts.registry.change_password(accounts.ann(), password, HERE, done)  # noqa: E731
        assert is_refused(accounts.ask(change), code)


@pytest.mark.parametrize(
    "password",
    [
        " open sesame",
        "open sesame ",
        " " * 8,
        "\ufffd" * 8,
        "open\0sesame",
        "open\x1bsesame",
        "open\nsesame",
        "open\tsesame",
        "\u202eopen sesame",
    ],
)
def test_a_password_that_a_wire_would_change_cannot_be_chosen(password: str) -> None:
    assert is_refused(Accounts().register(password=password), "weak-password")


@pytest.mark.parametrize("password", ["open sesame", "пароль 1", "パスワードです。", "👩‍👩‍👧 family", "क्‍ष अक्षर ok"])
def test_a_password_may_be_of_any_script(password: str) -> None:
    assert isinstance(Accounts().register(password=password), Account)


def test_a_password_is_the_same_however_its_characters_are_composed() -> None:
    accounts = Accounts()
    accounts.register(password="café\u00a0 crème")
    assert isinstance(accounts.log_in("ann", "cafe\u0301  cre\u0300me"), Account)
    assert is_refused(accounts.log_in("ann", "cafe creme"), "wrong-password")


def test_of_two_that_register_a_name_at_once_one_wins() -> None:
    for name in ("Ann", "ann"):
        one, other = two()
        outcomes: list[Any] = []
        one.registry.register("Ann", PASSWORD, HERE, outcomes.append)
        other.registry.register(name, PASSWORD, THERE, outcomes.append)
        one.loop.run()
        assert sorted(isinstance(outcome, Account) for outcome in outcomes) == [False, True]
        assert one.registry.find("ann") == other.registry.find("ann")


@pytest.mark.parametrize("page", [500, 1])
def test_of_two_names_that_look_alike_and_are_registered_at_once_one_wins(
    page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "MAX_ITEMS", page)
    one, other = two()
    one.register()
    outcomes: list[Any] = []
    one.registry.register("Lilly", PASSWORD, HERE, outcomes.append)
    other.registry.register("LiIly", PASSWORD, THERE, outcomes.append)
    one.loop.run()
    refused = next(outcome for outcome in outcomes if isinstance(outcome, Refused))
    won = next(outcome for outcome in outcomes if isinstance(outcome, Account))
    lost = "LiIly" if won.name == "Lilly" else "Lilly"
    assert refused.text == f"The name {lost} looks like {won.name}, which is registered. Use another."
    for node in (one, other):
        assert node.registry.find(won.name) == won and node.registry.find(lost) is None
    assert set(one.store._items) == {"account/ann", f"account/{key_of(won.name)}"}


def test_a_registration_is_kept_if_the_store_fails_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = Accounts()
    monkeypatch.setattr(accounts.store, "items", lambda prefix, after, limit, done: done(BrokerError("away")))
    assert accounts.register() == accounts.ann()


def test_an_address_cannot_register_any_number_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.accounts.registering.REGISTRATIONS", 3)
    accounts = Accounts()
    outcomes = [accounts.register(name) for name in ("Ann", "Bob", "Carol", "Dora")]
    assert is_refused(outcomes.pop(), "too-many-logins") and all(isinstance(one, Account) for one in outcomes)
    assert isinstance(accounts.register("Dora", peer=THERE), Account)
    accounts.now += 1200
    assert isinstance(accounts.register("Eve"), Account)


def test_registration_by_invitation_and_not_at_all() -> None:
    accounts = Accounts(Policy(registration="invite"))
    assert accounts.registry.registration == "invite" and accounts.registry.guests == "yes"
    code = accounts.ask(accounts.registry.invite)
    assert is_refused(accounts.register(), "registration-closed")
    assert is_refused(accounts.register(code="BCDF-GHJK"), "wrong-password")
    assert is_refused(accounts.register("a b", code=code), "name-invalid"), "the code stays valid"
    accounts.workers.full = True
    assert is_refused(accounts.register(code=code), "too-many-logins")
    accounts.workers.full = False
    assert isinstance(accounts.register(code=code), Account)
    assert is_refused(accounts.register("Bob", code=code), "wrong-password"), "only once"
    for _ in range(5):
        refused = accounts.register("Bob", code="BCDF-GHJK")
    assert is_refused(refused, "too-many-logins")
    link = accounts.ask(accounts.registry.make_code, accounts.ann())
    assert is_refused(accounts.register("Bob", code=link, peer=THERE), "wrong-password"), "it is no invitation"
    accounts.now += 8 * 24 * 3600
    closed = Accounts(Policy(registration="closed"), accounts.store, accounts.loop)
    assert is_refused(closed.register("Bob", code=closed.ask(closed.registry.invite)), "registration-closed")


def test_a_changed_password_voids_what_was_made_before() -> None:
    one, other = two()
    one.register()
    cookie = one.ask(one.registry.make_cookie, one.ann(), "Firefox")
    one.now = other.now = one.now + 1
    change = lambda done: one.registry.change_password(one.ann(), "another one", HERE, done)  # noqa: E731
    assert isinstance(one.ask(change), Account)
    for accounts in (one, other):
        assert is_refused(accounts.log_in(), "wrong-password")
        assert isinstance(accounts.log_in("ann", "another one"), Account)
        assert is_refused(accounts.ask(accounts.registry.by_cookie, cookie), "not-logged-in")
    again = one.ask(one.registry.make_cookie, one.ann(), "Firefox")
    assert isinstance(other.ask(other.registry.by_cookie, again), Account)


@pytest.mark.parametrize("ahead", [-10.0, 10.0])
@pytest.mark.parametrize("change", ["password", "sessions"])
def test_what_was_made_before_is_void_whichever_clock_is_ahead(ahead: float, change: str) -> None:
    one, other = two()
    other.now += ahead
    ann = one.register()

    def ways() -> list[Any]:
        """Log in on both nodes with what the other node has made."""
        token, cookie = other.token(), other.ask(other.registry.make_cookie, ann, "Firefox")
        code, reset = other.ask(other.registry.make_code, ann), other.ask(other.registry.make_reset, ann)
        return [
            lambda: one.ask(one.registry.by_token, token, HERE),
            lambda: other.ask(other.registry.by_cookie, cookie),
            lambda: one.ask(one.registry.redeem, code, HERE),
            lambda: one.log_in("ann", reset),
        ]

    for node in (one, other, one):
        before, valid_from = ways(), one.ann().valid_from
        if change == "password":
            node.ask(node.registry.change_password, ann, "battery staple", HERE)
        else:
            node.ask(node.registry.end_sessions, ann)
        assert one.ann().valid_from > valid_from, "sessions end, too"
        for way in before:
            assert isinstance(way(), Refused)
        for way in ways():
            assert isinstance(way(), Account)


def test_settings_are_changed_one_by_one_also_by_two_nodes_at_once() -> None:
    one, other = two()
    ann = one.register()
    seen: list[Account] = []
    other.registry.changed.append(seen.append)
    done: list[Any] = []
    one.registry.change(ann, STAYS, done.append)
    other.registry.change(ann, UNSTORED, done.append)
    one.loop.run()
    one.ask(lambda answer: one.registry.suspend(ann, answer))
    assert len(done) == 2 and one.ann() == other.ann() == seen[-1]
    assert (seen[-1].stays, seen[-1].history, seen[-1].operator, seen[-1].suspended) == (True, False, False, True)
    one.ask(lambda answer: one.registry.suspend(ann, answer, False))
    assert not other.ann().suspended
    count = len(seen)
    assert one.ask(lambda answer: one.registry.change(ann, STAYS, answer)) == one.ann()
    assert len(seen) == count, "nothing was changed"


def test_a_change_that_is_always_overtaken_gives_up() -> None:
    accounts = Accounts()
    ann = accounts.register()

    def overtaken(old: Account) -> Account:
        key = "account/ann"
        item = accounts.store._items[key]
        accounts.store.put(key, item.value, item.revision, lambda outcome: None)
        return structs.replace(old, stays=not old.stays)

    assert is_refused(accounts.ask(accounts.registry.vault.directory.change, ann.id, overtaken), "busy")
    stranger = structs.replace(ann, id="other")
    assert is_refused(accounts.ask(lambda done: accounts.registry.suspend(stranger, done)), "not-logged-in")
    assert is_refused(accounts.ask(lambda done: accounts.registry.free(stranger, done)), "not-logged-in")


def test_a_deleted_account_keeps_its_name_until_it_is_freed() -> None:
    one, other = two()
    ann = one.register()
    one.token()
    gone: list[Account] = []
    other.registry.changed.append(gone.append)
    deleted = one.ask(one.registry.delete, ann)
    assert deleted.deleted and not deleted.password and not deleted.scram and not one.registry.tokens(ann)
    assert is_refused(one.ask(lambda done: one.registry.change(ann, STAYS, done)), "account-closed")
    assert is_refused(other.register(), "name-registered")
    assert gone == [deleted]
    one.ask(one.registry.free, ann)
    assert other.registry.find("ann") is None and gone[-1].deleted
    assert other.register().id != ann.id
    freeing = Accounts(Policy(free_names=True))
    freeing.register()
    assert freeing.ask(freeing.registry.delete, freeing.ann()).deleted
    assert isinstance(freeing.register(), Account)


def test_an_account_says_that_its_messages_are_taken_back_until_that_is_done() -> None:
    accounts = Accounts()
    ann = accounts.register()
    bob = accounts.register("Bob")
    registry = accounts.registry
    gone = accounts.ask(lambda done: registry.delete(ann, done, take_back=True))
    assert gone.deleted and registry.taking_back() == [gone]
    assert not accounts.ask(lambda done: registry.taken_back(gone, done)).takes_back
    assert registry.taking_back() == [] and accounts.ann().deleted
    # A name that is to be free is free at the end: until then the record says what is to be done.
    gone = accounts.ask(lambda done: registry.delete(bob, done, take_back=True, free=True))
    assert registry.find("Bob") == gone and registry.taking_back() == [gone]
    accounts.ask(lambda done: registry.taken_back(gone, done))
    assert registry.find("Bob") is None and isinstance(accounts.register("Bob"), Account)


def test_a_name_that_another_node_has_freed_leaves_nothing_to_take_back() -> None:
    one, other = two()
    told: list[Account] = []
    gone = one.ask(lambda done: one.registry.delete(one.register(), done, take_back=True, free=True))
    other.registry.changed.append(told.append)
    one.ask(lambda done: one.registry.taken_back(gone, done))
    assert is_refused(other.ask(lambda done: other.registry.taken_back(gone, done)), "not-logged-in")
    assert [(account.deleted, account.takes_back) for account in told] == [(True, False)]


def test_certificates_belong_to_one_account() -> None:
    accounts = Accounts()
    ann, bob = accounts.register(), accounts.register("Bob")
    add, remove = accounts.registry.add_certificate, accounts.registry.remove_certificate
    colons = ":".join(["AB"] * 32)
    assert accounts.ask(lambda done: add(ann, colons, done)).certificates == ("ab" * 32,)
    assert is_refused(accounts.ask(lambda done: add(bob, "ab" * 32, done)), "bad-value")
    assert is_refused(accounts.ask(lambda done: add(bob, "xy" * 32, done)), "bad-value")
    for number in range(12):
        accounts.ask(lambda done, number=number: add(ann, f"{number:064x}", done))
    assert len(accounts.ann().certificates) == 10
    assert accounts.ask(lambda done: remove(ann, f"{11:064x}", done)).certificates[-1] == f"{10:064x}"
    assert is_refused(accounts.ask(accounts.registry.by_certificate, f"{11:064x}"), "wrong-password")


def test_ssh_keys_belong_to_one_account_and_open_it() -> None:
    accounts = Accounts()
    ann, bob = accounts.register(), accounts.register("Bob")
    add, remove = accounts.registry.add_ssh_key, accounts.registry.remove_ssh_key
    keys = [SshKey(fingerprint=f"SHA256:{number}", kind="ssh-ed25519") for number in range(SSH_KEYS + 1)]
    for key in keys[:-1]:
        kept = accounts.ask(lambda done, key=key: add(ann, key, done))
    assert kept.has_ssh_key("SHA256:19") and kept.ssh_keys[0].added == accounts.now
    assert accounts.ask(lambda done: add(ann, keys[0], done)) == kept
    assert is_refused(accounts.ask(lambda done: add(ann, keys[-1], done)), "too-many-tokens")
    assert is_refused(accounts.ask(lambda done: add(bob, keys[0], done)), "bad-value")
    assert is_refused(
        accounts.ask(lambda done: accounts.registry.register("Cy", "", HERE, done, "", keys[0])), "bad-value"
    )
    assert accounts.ask(accounts.registry.by_ssh_key, "SHA256:3").id == ann.id
    assert is_refused(accounts.ask(lambda done: remove(ann, "SHA256:x", done)), "bad-value")
    assert not accounts.ask(lambda done: remove(ann, "SHA256:3", done)).has_ssh_key("SHA256:3")
    assert is_refused(accounts.ask(accounts.registry.by_ssh_key, "SHA256:3"), "wrong-password")
    assert accounts.registry.owner_of_ssh_key("SHA256:3") is None


def test_name_can_be_registered_for_an_ssh_key_alone() -> None:
    accounts = Accounts()
    key = SshKey(fingerprint="SHA256:a")
    assert is_refused(accounts.register(password=""), "weak-password")
    made = accounts.ask(lambda done: accounts.registry.register("Ann", "", HERE, done, "", key))
    assert not made.password and made.has_ssh_key("SHA256:a")
    assert is_refused(accounts.ask(lambda done: accounts.registry.remove_ssh_key(made, "SHA256:a", done)), "bad-value")
    accounts.ask(accounts.registry.end_sessions, made)
    changed = accounts.ask(lambda done: accounts.registry.change_password(made, PASSWORD, HERE, done))
    assert changed.password and changed.has_ssh_key("SHA256:a"), "nobody had learned a password"
    ended = accounts.ask(lambda done: accounts.registry.change_password(made, f"{PASSWORD}!", HERE, done))
    assert not ended.ssh_keys
    accounts.ask(accounts.registry.suspend, made)
    assert is_refused(accounts.ask(accounts.registry.by_ssh_key, "SHA256:a"), "wrong-password")


def test_tokens_and_cookies_are_listed_and_ended() -> None:
    one, other = two()
    one.register()
    ended: list[str] = []
    other.registry.ended.append(lambda id, grant: ended.append(id))
    tokens = [one.token(name=f"bot {number}") for number in range(PER_ACCOUNT)]
    full = one.ask(one.registry.make_token, one.ann(), Grant())
    assert is_refused(full, "too-many-tokens")
    assert [token.grant.name for token in other.registry.tokens(one.ann())][:2] == ["bot 0", "bot 1"]
    id = other.registry.grant_id(tokens[0])
    assert other.ask(other.registry.end_tokens, one.ann(), [id, "unknown"]) == 1
    assert is_refused(one.ask(one.registry.by_token, tokens[0], HERE), "wrong-password")
    cookies = []
    for _ in range(PER_ACCOUNT + 2):
        one.now = other.now = one.now + 1
        cookies.append(one.ask(one.registry.make_cookie, one.ann(), "Firefox \x1b[31m"))
    listed = other.registry.cookies(one.ann())
    assert len(listed) == PER_ACCOUNT and listed[0].grant.name == "Firefox "
    assert ended == [one.registry.grant_id(secret) for secret in (tokens[0], *cookies[:2])]
    bob = one.register("Bob")
    assert one.ask(one.registry.end_cookies, bob, [listed[0].id]) == 0, "they are not his"


def test_a_cookie_in_use_does_not_expire() -> None:
    accounts = Accounts()
    accounts.register()
    cookie = accounts.ask(accounts.registry.make_cookie, accounts.ann(), "Firefox")
    unused = accounts.ask(accounts.registry.make_cookie, accounts.ann(), "Chromium")
    puts = accounts.store._revision
    for _ in range(10):
        accounts.now += COOKIE_SECONDS / 5
        for _ in range(3):
            assert isinstance(accounts.ask(accounts.registry.by_cookie, cookie), Account)
            accounts.now += RENEW / 10
            accounts.loop.run()
    assert accounts.store._revision == puts + 10
    assert is_refused(accounts.ask(accounts.registry.by_cookie, unused), "not-logged-in")
    accounts.now += COOKIE_SECONDS
    assert is_refused(accounts.ask(accounts.registry.by_cookie, cookie), "not-logged-in")


def test_an_account_that_expires_is_reported_when_it_does() -> None:
    accounts = Accounts()
    ann = accounts.register()
    timers: list[tuple[float, Any]] = []
    directory = accounts.registry.vault.directory
    directory.later = lambda seconds, call, *values: timers.append((seconds, lambda: call(*values)))
    seen: list[Account] = []
    for end in (accounts.now + 10, accounts.now + 2 * LONG):
        accounts.ask(directory.change, ann.id, lambda old, end=end: structs.replace(old, expires=end))
    accounts.registry.changed.append(seen.append)
    assert [seconds for seconds, _ in timers] == [10, LONG]
    accounts.now += 10
    timers[0][1]()
    assert not seen, "it was changed meanwhile"
    accounts.now += LONG
    timers[1][1]()
    assert not seen and timers[2][0] == LONG - 10
    accounts.now += LONG
    timers[2][1]()
    assert seen == [accounts.ann()] and not accounts.ann().is_open(accounts.now)


def test_what_has_expired_is_swept_away() -> None:
    accounts = Accounts()
    accounts.register()
    accounts.ask(accounts.registry.make_code, accounts.ann())
    accounts.ask(accounts.registry.make_cookie, accounts.ann(), "Firefox")
    accounts.token(expires=accounts.now + 5)
    kept = accounts.token()
    accounts.registry.sweep()
    accounts.loop.run()
    assert len(accounts.store._items) == 5
    accounts.now += COOKIE_SECONDS
    accounts.registry.sweep()
    accounts.loop.run()
    assert len(accounts.store._items) == 2
    assert isinstance(accounts.ask(accounts.registry.by_token, kept, HERE), Account)


def test_an_account_has_few_open_codes_and_the_newest_are_valid() -> None:
    accounts = Accounts()
    accounts.register()
    for make in (accounts.registry.make_code, accounts.registry.make_reset):
        made = [accounts.ask(make, accounts.ann()) for _ in range(codes.PER_ACCOUNT + 3)]
        valid = [code for code in made if isinstance(accounts.ask(accounts.registry.redeem, code, HERE), Account)]
        assert valid == made[3:]
        accounts.now += 600
    assert len(accounts.store._items) == 1


def test_the_open_codes_of_all_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "OPEN", 3)
    accounts = Accounts(Policy("invite"))
    for _ in range(3):
        accounts.ask(accounts.registry.invite)
    other = Accounts(Policy("invite"), accounts.store, accounts.loop)
    other.now = accounts.now
    for one in (accounts, other):
        assert is_refused(one.ask(one.registry.invite), "busy")
    other.now += 8 * 24 * 3600
    invitation = other.ask(other.registry.invite)
    assert isinstance(other.register(code=invitation), Account)
    assert not [key for key in other.store._items if key.startswith("code/")]


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"id":"\xff"}', b'{"x":' + b"[" * 20_000])
def test_damaged_records_are_void_and_keep_their_names(damaged: bytes) -> None:
    accounts = Accounts()
    for key in ("account/ann", "account/bob", "token/x", "cookie/x", "code/x"):
        value = b'{"id":"1","name":"Carol","created":1}' if key.endswith("bob") else damaged
        accounts.store.put(key, value, 0, lambda outcome: None)
    accounts.loop.run()
    assert accounts.registry.find("ann") is None and accounts.registry.find("bob") is None
    assert is_refused(accounts.register(), "name-registered")
    assert is_refused(accounts.log_in(), "wrong-password")
    accounts.registry.sweep()
    accounts.loop.run()
    assert "code/x" not in accounts.store._items


def test_no_secret_is_stored_or_shown() -> None:
    accounts = Accounts()
    account = accounts.register()
    secrets = [
        PASSWORD,
        accounts.token().removeprefix("hub_"),
        accounts.ask(accounts.registry.make_cookie, account, "Firefox"),
        accounts.ask(accounts.registry.make_code, account),
    ]
    stored = "".join(f"{item.key} {item.value!r}" for item in accounts.store._items.values() if isinstance(item, Item))
    for secret in secrets:
        assert secret not in stored and secret.replace("-", "") not in stored
    assert "argon2" not in repr(account) and "SCRAM" not in repr(account) and "Ann" in repr(account)
    assert all(row.id for row in accounts.registry.vault.directory.all())


def test_a_store_that_cannot_be_read_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = Accounts()
    for prefix in ("account/", "token/", "cookie/"):
        watch = accounts.store.watch

        def broken(under: str, changed: Any, ready: Any, prefix: str = prefix, watch: Any = watch) -> None:
            if under == prefix:
                accounts.loop.later(ready, "broken")
            else:
                watch(under, changed, ready)

        monkeypatch.setattr(accounts.store, "watch", broken)
        assert accounts.ask(accounts.registry.load) == "broken"
        monkeypatch.setattr(accounts.store, "watch", watch)


def test_own_words_are_stored_with_the_account() -> None:
    accounts = Accounts()
    accounts.register()
    assert accounts.registry.with_words() == []
    edit = lambda old: structs.replace(old, words=(*old.words, "deploy"), bell=True)  # noqa: E731
    changed = accounts.ask(accounts.registry.change, accounts.ann(), edit)
    again = Accounts(store=accounts.store, loop=accounts.loop)
    assert again.registry.with_words() == [changed] and changed.words == ("deploy",) and changed.bell


def test_former_owners_of_freed_names_are_known_after_a_restart() -> None:
    accounts = Accounts()
    removed = []
    for number in range(2):
        removed.append(accounts.register("Ann" if number else "ANN"))
        accounts.ask(accounts.registry.delete, removed[-1], free=True)
        alone = accounts.registry.former("ann")
        assert number or (alone and (alone.id, alone.name, alone.deleted) == (removed[0].id, "ANN", True))
    accounts.register("Ann")
    again = FormerNames(accounts.store, accounts.registry.find)
    again.load(lambda error: None)
    accounts.store.put("former/bad", b"\xff@", 0, lambda outcome: None)
    accounts.loop.run()
    for known in (accounts.registry.vault.directory.former, again):
        assert known.find("ann") is None, "it is not known who is meant"
        shown = [known.by_id(one.id) for one in removed]
        assert [one.name for one in shown if one] == [f"ANN~{removed[0].id}", f"Ann~{removed[1].id}"]
        for one in shown:
            assert one and known.find(one.name.lower()) == one
        assert known.by_id("bad") is None is known.find("Ann~nobody")
    assert accounts.registry.former_by_id(removed[0].id) == shown[0]


def test_a_name_is_not_freed_if_its_record_cannot_be_written() -> None:
    accounts = Accounts()
    ann = accounts.register()
    accounts.ask(accounts.registry.delete, ann)
    accounts.store.broken = True
    assert accounts.ask(accounts.registry.free, accounts.ann()).code == refusals.ACCOUNTS_UNREADABLE().code
    accounts.store.broken = False
    accounts.ask(accounts.registry.free, accounts.ann())
    assert accounts.registry.find("ann") is None and accounts.registry.former("Ann").id == ann.id
