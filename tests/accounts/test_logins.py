"""One gate for all ways in, and limits for guessing that lock nobody out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from registered import HERE, NOON, OVERHEARD, PASSWORD, THERE, Accounts, is_refused
from scramp import ScramClient

from hubbub.accounts.logins import Policy
from hubbub.accounts.scram import MAX_MESSAGE
from hubbub.chat.users.accounts import LoginPeer
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import EVERYTHING, Grant, Permit

REGISTERED = Accounts()
FINGERPRINT = "0f" * 32


class House:
    """A program of the house that knows one password."""

    def ask(self, name: str, password: str, address: str, done: Callable[[str | Refused | None], None]) -> None:
        done(name if password == "house password" else None)


def scram(accounts: Accounts, password: str = PASSWORD, name: str = "ann", peer: LoginPeer = HERE) -> Any:
    """Log in by SCRAM, as a client does."""
    client = ScramClient(["SCRAM-SHA-256"], name, password)
    exchange = accounts.registry.scram(peer)
    first = accounts.ask(exchange.step, client.get_client_first().encode())
    if isinstance(first, Refused):
        return first
    client.set_server_first(first.decode())
    final = accounts.ask(exchange.step, client.get_client_final().encode())
    if isinstance(final, Refused):
        return final
    client.set_server_final(final.decode())
    return accounts.ask(exchange.step, b"")


def with_cookie(accounts: Accounts) -> Callable[[], Any]:
    cookie = accounts.ask(accounts.registry.make_cookie, accounts.ann(), "Firefox")
    return lambda: accounts.ask(accounts.registry.by_cookie, cookie)


def with_token(accounts: Accounts) -> Callable[[], Any]:
    token = accounts.token()
    return lambda: accounts.ask(accounts.registry.by_token, token, HERE)


def with_token_as_password(accounts: Accounts) -> Callable[[], Any]:
    token = accounts.token()
    return lambda: accounts.log_in("ann", token)


def with_code(accounts: Accounts) -> Callable[[], Any]:
    code = accounts.ask(accounts.registry.make_code, accounts.ann())
    return lambda: accounts.ask(accounts.registry.redeem, code, HERE)


def with_reset_code(accounts: Accounts) -> Callable[[], Any]:
    code = accounts.ask(accounts.registry.make_reset, accounts.ann())
    return lambda: accounts.log_in("ann", code)


def with_house_password(accounts: Accounts) -> Callable[[], Any]:
    accounts.registry.house = House()
    return lambda: accounts.log_in("ann", "house password")


def with_certificate(accounts: Accounts) -> Callable[[], Any]:
    accounts.ask(lambda done: accounts.registry.add_certificate(accounts.ann(), FINGERPRINT.upper(), done))
    return lambda: accounts.ask(accounts.registry.by_certificate, FINGERPRINT)


WAYS: dict[str, Callable[[Accounts], Callable[[], Any]]] = {
    "password": lambda accounts: accounts.log_in,
    "scram": lambda accounts: lambda: scram(accounts),
    "token": with_token,
    "token as password": with_token_as_password,
    "code": with_code,
    "reset code with name": with_reset_code,
    "cookie": with_cookie,
    "certificate": with_certificate,
    "trusted name": lambda accounts: lambda: accounts.ask(accounts.registry.by_trusted_name, "Ann"),
    "house": with_house_password,
}
VOIDED = {
    "token",
    "token as password",
    "code",
    "reset code with name",
    "cookie",
    "certificate",
}  # by a change of the password


def expire(accounts: Accounts) -> None:
    edit = accounts.registry.vault.directory.change
    accounts.ask(edit, accounts.ann().id, lambda old: structs.replace(old, expires=NOON + 1))


def suspend(accounts: Accounts) -> None:
    assert accounts.ask(accounts.registry.suspend, accounts.ann()).suspended


def delete(accounts: Accounts) -> None:
    assert accounts.ask(accounts.registry.delete, accounts.ann()).deleted


def end_sessions(accounts: Accounts) -> None:
    accounts.ask(accounts.registry.end_sessions, accounts.ann())


STATES: dict[str, Callable[[Accounts], None]] = {
    "open": lambda accounts: None,
    "suspended": suspend,
    "deleted": delete,
    "expired": expire,
    "void": end_sessions,
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_obeys_the_one_gate(way: str, state: str) -> None:
    accounts = Accounts()
    assert isinstance(accounts.register(), Account)
    enter = WAYS[way](accounts)
    accounts.now += 1
    STATES[state](accounts)
    outcome = enter()
    if state == "open" or (state == "void" and way not in VOIDED):
        assert outcome.id == accounts.ann().id
    else:
        assert isinstance(outcome, Refused)
    # Once more, after a restart: nothing depends on what is in memory.
    again = Accounts(store=accounts.store, loop=accounts.loop)
    again.now = accounts.now
    if state in ("suspended", "deleted", "expired"):
        assert isinstance(again.log_in(), Refused)


def test_wrong_credentials_are_refused_as_such() -> None:
    accounts = Accounts()
    accounts.register()
    registry = accounts.registry
    for secret in ("wrong password", "", "x" * 301, "hub_" + "x" * 43, "BCDF-GHJK"):
        assert is_refused(accounts.log_in("ann", secret, THERE), "wrong-password"), secret
        accounts.now += 1000
    for name in ("bob", "", "x" * 500, "a/b", "\0", "\ud800", "a b"):
        assert is_refused(accounts.log_in(name), "wrong-password"), name
    assert is_refused(accounts.ask(registry.redeem, "BCDF-GHJK", HERE), "wrong-password")
    assert is_refused(accounts.ask(registry.redeem, "no code", HERE), "wrong-password")
    assert is_refused(accounts.ask(registry.by_certificate, "ab" * 32), "wrong-password")
    assert is_refused(accounts.ask(registry.by_cookie, "x" * 43), "not-logged-in")
    assert is_refused(accounts.ask(registry.by_cookie, "x" * 10_000), "not-logged-in")
    assert is_refused(accounts.ask(registry.by_token, "hub_x", HERE), "wrong-password")
    assert isinstance(accounts.log_in("ANN"), Account)


def test_an_unknown_name_costs_a_check_of_a_password_too() -> None:
    accounts = Accounts()
    accounts.register()
    before = accounts.workers.jobs
    accounts.log_in("bob", "x")
    accounts.log_in("ann", "x")
    assert accounts.workers.jobs == before + 2


def test_passwords_and_tokens_are_refused_where_others_can_read_along_and_codes_work() -> None:
    accounts = Accounts()
    accounts.register()
    code = accounts.ask(accounts.registry.make_code, accounts.ann())
    token = accounts.token()
    assert is_refused(accounts.log_in(peer=OVERHEARD), "not-encrypted")
    assert is_refused(accounts.log_in("ann", token, OVERHEARD), "not-encrypted")
    assert is_refused(accounts.ask(accounts.registry.by_token, token, OVERHEARD), "not-encrypted")
    assert is_refused(accounts.register("Bob", peer=OVERHEARD), "not-encrypted")
    outcome = accounts.ask(accounts.registry.change_password, accounts.ann(), "another one", OVERHEARD)
    assert is_refused(outcome, "not-encrypted")
    assert isinstance(scram(accounts, peer=OVERHEARD), Account), "it reveals no password"
    assert isinstance(accounts.log_in("ann", code, OVERHEARD), Account)
    trusting = Accounts(Policy(plaintext_passwords=True))
    assert isinstance(trusting.register(peer=OVERHEARD), Account)
    assert isinstance(trusting.log_in(peer=OVERHEARD), Account)


@pytest.mark.parametrize("way", ["password", "scram"])
def test_guessing_is_slowed_and_the_owner_is_let_in_from_elsewhere(way: str) -> None:
    accounts = Accounts()
    accounts.register()

    def guess(peer: LoginPeer, secret: str = "wrong password") -> Any:
        return accounts.log_in("Ann", secret, peer) if way == "password" else scram(accounts, secret, "Ann", peer)

    for wait in (0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60):
        assert is_refused(guess(HERE), "wrong-password")
        if wait:
            refused = guess(HERE, PASSWORD)
            assert is_refused(refused, "too-many-logins") and refused.text.endswith(f"in {wait} s."), wait
        assert not accounts.registry._guesses.delay("ann", THERE.address)
        accounts.now += wait
    assert is_refused(guess(HERE), "wrong-password")
    assert isinstance(guess(THERE, PASSWORD), Account)
    accounts.now += 60
    assert isinstance(guess(HERE, PASSWORD), Account)
    assert is_refused(guess(HERE), "wrong-password") and is_refused(guess(HERE), "wrong-password")


def test_many_attempts_at_once_are_slowed_as_well() -> None:
    accounts = Accounts()
    accounts.register()
    outcomes: list[Any] = []
    for _ in range(10):
        accounts.registry.log_in("ann", "wrong", HERE, outcomes.append)
    accounts.loop.run()
    assert [outcome.code for outcome in outcomes].count("wrong-password") == 4


def test_of_two_who_use_a_code_at_once_one_is_let_in() -> None:
    accounts = Accounts()
    code = accounts.ask(accounts.registry.make_code, accounts.register())
    outcomes: list[Any] = []
    for peer in (HERE, THERE):
        accounts.registry.redeem(code, peer, outcomes.append)
    accounts.loop.run()
    assert sorted(getattr(outcome, "code", "in") for outcome in outcomes) == ["in", "wrong-password"]


def test_a_wrong_password_is_logged_unless_it_may_have_been_typed_as_the_name(caplog: Any) -> None:
    caplog.set_level("INFO", "hubbub")
    accounts = Accounts()
    accounts.register()
    accounts.log_in("ann", "wrong")
    accounts.log_in("my secret", "wrong")
    assert [record.getMessage() for record in caplog.records] == ["A wrong password for Ann came from 192.0.2.1"]


def test_wrong_codes_are_slowed_for_an_address_and_for_all() -> None:
    accounts = Accounts()
    accounts.register()
    code = accounts.ask(accounts.registry.make_code, accounts.ann())
    for _ in range(4):
        assert is_refused(accounts.ask(accounts.registry.redeem, "BCDF-GHJK", HERE), "wrong-password")
    assert is_refused(accounts.ask(accounts.registry.redeem, code, HERE), "too-many-logins")
    for number in range(296):
        peer = LoginPeer(f"203.0.113.{number}", True)
        assert is_refused(accounts.ask(accounts.registry.redeem, "BCDF-GHJK", peer), "wrong-password")
    assert is_refused(accounts.ask(accounts.registry.redeem, code, THERE), "too-many-logins")
    assert isinstance(accounts.log_in("ann", code, THERE), Account), "with the name it is one account's matter"


def test_a_full_queue_is_said_and_counts_as_no_attempt() -> None:
    accounts = Accounts()
    accounts.register()
    accounts.workers.full = True
    for _ in range(20):
        assert is_refused(accounts.log_in(), "too-many-logins")
    assert is_refused(accounts.register("Bob"), "too-many-logins")
    accounts.workers.full = False
    assert isinstance(accounts.log_in(), Account)


def test_a_password_that_cannot_be_checked_for_want_of_memory_counts_as_no_attempt() -> None:
    accounts = Accounts()
    accounts.register()
    accounts.registry.house = House()
    accounts.workers.fails = True
    for _ in range(20):
        assert is_refused(accounts.log_in(), "too-many-logins")
    assert is_refused(accounts.register("Bob"), "too-many-logins")
    accounts.workers.fails = False
    assert isinstance(accounts.log_in(), Account)


def test_a_store_that_is_away_lets_nobody_in() -> None:
    accounts = Accounts()
    accounts.register()
    code = accounts.ask(accounts.registry.make_code, accounts.ann())
    ways = [WAYS[way](accounts) for way in ("password", "scram", "certificate", "trusted name", "token as password")]
    accounts.store.broken = True
    for enter in ways:
        assert is_refused(enter(), "busy")
    assert is_refused(accounts.ask(accounts.registry.redeem, code, HERE), "busy")
    assert is_refused(accounts.log_in("ann", code), "busy")
    for make in (accounts.registry.make_code, accounts.registry.make_reset):
        assert is_refused(accounts.ask(make, accounts.ann()), "busy")
    accounts.store.broken = False
    assert isinstance(accounts.log_in("ann", code), Account)


# --- codes and tokens -------------------------------------------------------------------------------------------------


def test_a_code_works_once_in_any_spelling_within_five_minutes() -> None:
    accounts = Accounts()
    accounts.register()

    def make() -> str:
        code = accounts.ask(accounts.registry.make_code, accounts.ann())
        assert isinstance(code, str) and len(code) == 9 and code[4] == "-"
        return code

    for spell in (str.lower, lambda code: code.replace("-", " "), lambda code: code.replace("-", ""), str.title):
        code = make()
        assert isinstance(accounts.ask(accounts.registry.redeem, spell(code), HERE), Account)
        assert is_refused(accounts.ask(accounts.registry.redeem, code, HERE), "wrong-password")
        accounts.now += 1000
    late = make()
    accounts.now += 5 * 60
    assert is_refused(accounts.log_in("ann", late), "wrong-password")
    reset = accounts.ask(accounts.registry.make_reset, accounts.ann())
    accounts.now += 23 * 3600
    assert isinstance(accounts.log_in("ann", reset), Account)


def test_a_code_of_another_account_stays_valid() -> None:
    accounts = Accounts()
    accounts.register()
    accounts.register("Bob")
    code = accounts.ask(accounts.registry.make_code, accounts.ann())
    assert is_refused(accounts.log_in("bob", code), "wrong-password")
    assert accounts.log_in("ann", code).name == "Ann"


def test_of_two_that_use_a_code_at_once_one_is_let_in() -> None:
    accounts = Accounts()
    accounts.register()
    code = accounts.ask(accounts.registry.make_code, accounts.ann())
    outcomes: list[Any] = []
    accounts.registry.redeem(code, HERE, outcomes.append)
    accounts.registry.redeem(code, THERE, outcomes.append)
    accounts.loop.run()
    assert {type(outcome) for outcome in outcomes} == {Account, Refused}


def test_a_token_is_as_good_as_a_password_unless_it_is_limited() -> None:
    accounts = Accounts()
    accounts.register()
    accounts.ask(lambda done: accounts.registry.change(accounts.ann(), partial(structs.replace, operator=True), done))
    assert accounts.log_in().operator
    assert accounts.log_in("ann", accounts.token()).operator
    bot = accounts.log_in("ann", accounts.token(scopes=("say", "read")))
    assert bot.permit == Permit(("read", "say")) and not bot.operator and accounts.ann().permit is EVERYTHING
    assert accounts.log_in("ann", accounts.token(scopes=("read",))).permit == Permit(("read",))
    ops = accounts.log_in("ann", accounts.token(scopes=("private", "read"), rooms=("#Ops",))).permit
    assert ops == Permit(("read", "private"), frozenset({"ops"})) and not ops.reads_private
    assert is_refused(accounts.ask(accounts.registry.make_token, accounts.ann(), Grant(rooms=("a b",))), "room-invalid")
    accounts.register("Bob")
    assert is_refused(accounts.log_in("bob", accounts.token()), "wrong-password")
    short = accounts.token(expires=accounts.now + 10)
    bearer = accounts.ask(accounts.registry.by_token, short, HERE)
    assert isinstance(bearer, Account) and bearer.permit is EVERYTHING
    accounts.now += 10
    assert isinstance(accounts.ask(accounts.registry.by_token, short, HERE), Refused)


def test_a_password_may_begin_like_a_token() -> None:
    accounts = Accounts()
    accounts.register("Bob", "hub_of_the_wheel")
    assert accounts.log_in("Bob", "hub_of_the_wheel").name == "Bob"
    refused = accounts.log_in("Bob", "hub_of_a_wheel")
    assert is_refused(refused, "wrong-password") and "token" in refused.text


def test_the_house_registers_names_that_only_it_knows() -> None:
    accounts = Accounts(Policy(registration="closed"))
    accounts.registry.house = House()
    assert accounts.registry.mechanisms == ("PLAIN",)
    made = accounts.log_in("Zoë", "house password")
    assert made.name == "Zoë" and made == accounts.registry.find("zoë")
    assert is_refused(accounts.log_in("Zoë", ""), "wrong-password")
    assert is_refused(accounts.log_in("not a name!", "house password"), "name-invalid")
    assert accounts.ask(accounts.registry.by_trusted_name, "Carol").name == "Carol"


# --- SCRAM ------------------------------------------------------------------------------------------------------------


def test_scram_tells_nothing_about_unknown_names() -> None:
    accounts = Accounts()
    accounts.register()
    firsts = []
    for name in ("bob", "bob", "ann"):
        client = ScramClient(["SCRAM-SHA-256"], name, PASSWORD)
        exchange = accounts.registry.scram(THERE)
        first = accounts.ask(exchange.step, client.get_client_first().encode()).decode()
        firsts.append(dict(part.split("=", 1) for part in first.split(",")))
    assert firsts[0]["s"] == firsts[1]["s"] != firsts[2]["s"]
    assert len(firsts[0]["s"]) == len(firsts[2]["s"]) and firsts[0]["i"] == firsts[2]["i"]
    assert is_refused(scram(accounts, name="bob", peer=HERE), "wrong-password")


@pytest.mark.parametrize(
    "message", [b"", b"\xff", b"x" * (MAX_MESSAGE + 1), b"n,,n=ann", b"p=tls-unique,,n=ann,r=x", b"n,,m=x,n=a,r=x"]
)
def test_a_broken_scram_message_ends_the_exchange(message: bytes) -> None:
    accounts = Accounts()
    accounts.register()
    exchange = accounts.registry.scram(HERE)
    assert is_refused(accounts.ask(exchange.step, message), "wrong-password")
    assert is_refused(accounts.ask(exchange.step, b"n,,n=ann,r=abc"), "wrong-password"), "it is over"
    exchange = accounts.registry.scram(HERE)
    assert isinstance(accounts.ask(exchange.step, b"n,,n=ann,r=abc"), bytes)
    assert isinstance(accounts.ask(exchange.step, message), Refused)


@given(messages=st.lists(st.one_of(st.binary(max_size=60), st.text("nray=,pcsi*\0é0", max_size=60)), max_size=4))
def test_no_scram_message_raises_or_lets_anybody_in(messages: list[bytes | str]) -> None:
    accounts = REGISTERED
    if not accounts.registry.find("ann"):
        accounts.register()
    exchange = accounts.registry.scram(LoginPeer("198.51.100.9", True))
    if messages and isinstance(messages[0], str):
        assert isinstance(accounts.ask(exchange.step, b"n,,n=ann,r=abc"), bytes)
    for message in messages:
        data = message if isinstance(message, bytes) else message.encode("utf-8", "surrogatepass")
        assert not isinstance(accounts.ask(exchange.step, data), Account)
        accounts.now += 1000


def test_a_scram_client_may_act_only_as_itself() -> None:
    accounts = Accounts()
    accounts.register()
    answer = accounts.ask(accounts.registry.scram(HERE).step, b"n,a=bob,n=ann,r=abc")
    assert is_refused(answer, "wrong-password")


def test_the_last_scram_message_must_be_empty() -> None:
    accounts = Accounts()
    accounts.register()
    client = ScramClient(["SCRAM-SHA-256"], "ann", PASSWORD)
    exchange = accounts.registry.scram(HERE)
    client.set_server_first(accounts.ask(exchange.step, client.get_client_first().encode()).decode())
    accounts.ask(exchange.step, client.get_client_final().encode())
    assert is_refused(accounts.ask(exchange.step, b"more"), "wrong-password")


def test_scram_works_with_characters_newer_than_saslprep() -> None:
    accounts = Accounts()
    accounts.register(password="pass 🤗 word")
    assert isinstance(accounts.log_in("ann", "pass 🤗 word"), Account)
    assert accounts.ann().scram.startswith("SCRAM-SHA-256$")


def meanwhile(accounts: Accounts, change: Callable[..., None], *values: Any) -> Callable[[], Any]:
    """Check a right password while something else happens to the account; return the call that takes the outcome."""
    outcomes: list[Any] = []
    do, held = accounts.workers.do, []

    def hold(job: Callable[[], Any], done: Callable[[Any], None], address: str) -> bool:
        held.append((job, done))
        return True

    accounts.workers.do = hold  # type: ignore[method-assign]
    accounts.registry.log_in("ann", PASSWORD, HERE, outcomes.append)
    accounts.loop.run()
    accounts.workers.do = do  # type: ignore[method-assign]
    accounts.ask(change, accounts.ann(), *values)

    def end() -> Any:
        for job, done in held:
            done(job())
        accounts.loop.run()
        return outcomes[0]

    return end


def test_an_account_that_is_closed_while_its_password_is_checked_is_closed() -> None:
    accounts = Accounts()
    accounts.register()
    assert is_refused(meanwhile(accounts, accounts.registry.suspend)(), "account-closed")


def test_a_password_that_is_changed_while_it_is_checked_is_wrong() -> None:
    accounts = Accounts()
    accounts.register()
    end = meanwhile(accounts, accounts.registry.change_password, "battery staple", HERE)
    assert is_refused(end(), "wrong-password")


def scram_final(accounts: Accounts, password: str = PASSWORD) -> Callable[[], Any]:
    """Begin to log in by SCRAM; return the call that ends it."""
    client = ScramClient(["SCRAM-SHA-256"], "ann", password)
    exchange = accounts.registry.scram(HERE)
    client.set_server_first(accounts.ask(exchange.step, client.get_client_first().encode()).decode())
    return lambda: accounts.ask(exchange.step, client.get_client_final().encode())


def test_a_scram_login_that_began_with_the_old_password_is_refused() -> None:
    accounts = Accounts()
    accounts.register()
    end = scram_final(accounts)
    accounts.ask(accounts.registry.change_password, accounts.ann(), "battery staple", HERE)
    assert is_refused(end(), "wrong-password")


def test_many_scram_logins_at_once_are_slowed_as_well() -> None:
    accounts = Accounts()
    accounts.register()
    ends = [scram_final(accounts, "wrong") for _ in range(10)]
    assert [end().code for end in ends].count("wrong-password") == 4


def test_codes_are_not_guessed_without_a_limit_where_others_can_read_along() -> None:
    accounts = Accounts()
    accounts.register()
    outcomes = [accounts.log_in("ann", "BCDF-GHJK", OVERHEARD).code for _ in range(10)]
    assert outcomes == ["wrong-password"] * 4 + ["too-many-logins"] * 6


@pytest.mark.parametrize("way", ["code", "reset code with name", "token as password"])
def test_a_code_or_token_is_for_nobody_who_registers_a_freed_name(way: str) -> None:
    accounts = Accounts()
    accounts.register()
    enter = WAYS[way](accounts)
    directory, read = accounts.registry.vault.directory, accounts.registry.vault.directory.fresh

    def freed(name: str, done: Callable[[Account | Refused | None], None]) -> None:
        directory.fresh = read  # type: ignore[method-assign]
        accounts.ask(accounts.registry.delete, accounts.ann())
        accounts.ask(accounts.registry.free, accounts.ann())
        accounts.register("Ann", "battery staple")
        read(name, done)

    directory.fresh = freed  # type: ignore[method-assign]
    assert is_refused(enter(), "wrong-password")
