"""Without accounts, nobody can register or log in."""

from hubbub.chat.users.accounts import LoginPeer
from hubbub.chat.users.no_accounts import NoAccounts
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account, SshKey
from hubbub.model.accounts.grants import Grant

PEER = LoginPeer("192.0.2.1", True)


def test_without_accounts_nothing_is_registered() -> None:
    accounts, codes = NoAccounts(), []
    assert (accounts.registration, accounts.guests, accounts.changed) == ("closed", "yes", [])
    assert accounts.find("Ann") is None
    assert accounts.looks_like("Ann") == ""

    def refused(outcome: Account | str | Refused) -> None:
        assert isinstance(outcome, Refused)
        codes.append(outcome.code)

    accounts.register("Ann", "secret", PEER, refused)
    accounts.log_in("Ann", "secret", PEER, refused)
    accounts.redeem("BCDFGHJK", PEER, refused)
    accounts.make_code(Account(id="a1", name="Ann", created=0.0), refused)
    assert codes == ["registration-closed", "wrong-password", "wrong-password", "not-logged-in"]
    del codes[:]
    assert not accounts.mechanisms and not accounts.takes_passwords(PEER)
    accounts.scram(PEER).step(b"n,,n=Ann,r=x", refused)
    accounts.by_certificate("ab" * 32, refused)
    accounts.by_trusted_name("Ann", refused)
    accounts.by_ssh_key("SHA256:x", refused)
    accounts.by_token("hub_x", PEER, refused)
    assert codes == ["wrong-password"] * 5 and accounts.owner_of_ssh_key("SHA256:x") is None


def test_without_accounts_nobody_has_one_to_change() -> None:
    accounts, codes = NoAccounts(), []
    account = Account(id="a1", name="Ann", created=0.0)

    def refused(outcome: Account | str | Refused | int) -> None:
        assert isinstance(outcome, Refused)
        codes.append(outcome.code)

    accounts.by_cookie("x", refused)
    accounts.change_password(account, "correct horse", PEER, refused)
    assert not accounts.takes_passwords(PEER)
    accounts.change(account, lambda old: old, refused)
    accounts.add_certificate(account, "ab" * 32, refused)
    accounts.remove_certificate(account, "ab" * 32, refused)
    accounts.add_ssh_key(account, SshKey(fingerprint="SHA256:x"), refused)
    accounts.remove_ssh_key(account, "SHA256:x", refused)
    accounts.end_sessions(account, refused)
    accounts.suspend(account, refused)
    accounts.delete(account, refused)
    accounts.taken_back(account, refused)
    accounts.make_token(account, Grant(), refused)
    accounts.end_tokens(account, ["x"], refused)
    accounts.make_cookie(account, "Firefox", refused)
    accounts.end_cookies(account, ["x"], refused)
    assert codes == ["not-logged-in"] * 15
    assert (
        [*accounts.tokens(account), *accounts.cookies(account), *accounts.taking_back(), *accounts.with_words()]
        == accounts.ended
        == []
    )
    assert accounts.grant_id("x") == ""


def test_an_account_knows_its_ssh_keys() -> None:
    account = Account(id="a1", name="Ann", created=0.0, ssh_keys=(SshKey(fingerprint="SHA256:x"),))
    assert account.has_ssh_key("SHA256:x") and not account.has_ssh_key("SHA256:y")


def test_an_account_is_open_unless_it_is_suspended_deleted_or_expired() -> None:
    def is_open(**fields: object) -> bool:
        return Account(id="a1", name="Ann", created=0.0, **fields).is_open(100.0)  # type: ignore[arg-type]

    assert is_open() and is_open(expires=101.0)
    assert not (is_open(suspended=True) or is_open(deleted=True) or is_open(expires=100.0))
