"""Who a peer over ssh is: keys, passwords, codes, the operator's file, and what ends them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from housing import Serving
from serving import SECONDS, until
from sshing import Relay, Session, dialled, joined, new_key, peers, session, ssh_house

from hubbub.chat.users import lingering
from hubbub.chat.users.accounts import LoginPeer
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.serve.ssh.authentication.key_file import KeyFile
from hubbub.serve.ssh.authentication.login import TRIES

PASSWORD = "correct horse battery"


async def answer(start: Any, *args: Any, **more: Any) -> Any:
    """Return what a method of the accounts calls back with."""
    waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    start(*args, waiting.set_result, **more)
    async with asyncio.timeout(SECONDS):
        return await waiting


async def ann_registered(serving: Serving, name: str = "Ann") -> Account:
    made = await answer(serving.house.accounts.register, name, PASSWORD, LoginPeer("192.0.2.9", True))
    assert isinstance(made, Account)
    return made


async def says(one: Session, line: bytes, expected: bytes) -> None:
    one.send(line + b"\n")
    await one.skips_to(expected)


def account_of(serving: Serving, name: str) -> Account:
    found = serving.house.accounts.find(name)
    assert found
    return found


async def test_muted_joker_with_a_key_is_muted_under_another_name_and_the_neighbour_is_not(tmp_path: Path) -> None:
    key = new_key()
    async with (
        ssh_house(tmp_path, no_limits=True) as serving,
        joined(serving.port, "teacher") as teacher,
        joined(serving.port, "neighbour", new_key()) as neighbour,
    ):
        await says(teacher, b"/join class", b"You are an operator of class")
        await says(neighbour, b"/join class", b"*** You are in class ***")
        async with joined(serving.port, "joker", key) as joker:
            await says(joker, b"/join class", b"*** You are in class ***")
            await says(teacher, b"/mute joker yes", b"has muted joker")
        async with joined(serving.port, "somebody", key) as somebody:
            await says(somebody, b"/join class", b"*** You are in class ***")
            await says(somebody, b"hi", b"Not sent")
        neighbour.send(b"hi\n")
        assert b"somebody: hi" not in await teacher.skips_to(b"neighbour: hi\n")


async def test_guest_keeps_the_name_for_the_key_and_is_known_by_it(tmp_path: Path) -> None:
    key = new_key()
    async with ssh_house(tmp_path) as serving:
        async with joined(serving.port, "ann", key) as ann:
            await says(ann, b"/register", b"*** You are logged in as ann ***")
            await says(ann, b"/keys", key.get_fingerprint().encode())
            assert not account_of(serving, "ann").password
            async with joined(serving.port, "ann", key):
                assert len(serving.house.hub.users) == 1
            second = await session(ann.process.channel.get_connection())
            await second.skips_to(b"*** You are logged in as ann ***")
        async with dialled(serving.port, "bob", key) as client:
            other = await session(client)
            await other.skips_to(b"*** Your key is that of ann, so you are not bob ***")
        async with dialled(serving.port, "root", key) as client:
            assert b"not root" not in await (await session(client)).skips_to(b"*** You are logged in as ann ***")


async def test_registered_name_asks_for_its_password_or_a_code(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        ann = await ann_registered(serving)
        async with joined(serving.port, "ann", answers=[PASSWORD]):
            pass
        async with joined(serving.port, "ann", new_key(), answers=["wrong", PASSWORD]):
            pass
        code = await answer(serving.house.accounts.make_code, ann)
        async with joined(serving.port, "ann", answers=[code]):
            (user,) = serving.house.hub.users.values()
            assert user.account and user.account.id == ann.id
        with pytest.raises(asyncssh.Error):
            async with dialled(serving.port, "ann", answers=["wrong"] * 10):
                pass
        slowed = await answer(serving.house.accounts.log_in, "ann", PASSWORD, LoginPeer("127.0.0.1", True))
        assert isinstance(slowed, Refused) and slowed.code == "too-many-logins"


async def test_known_key_counts_wherever_it_stands_among_others(tmp_path: Path) -> None:
    keys = [new_key() for _ in range(5)]
    async with ssh_house(tmp_path) as serving:
        async with joined(serving.port, "ann", keys[1]) as ann:
            await says(ann, b"/register", b"*** You are logged in as ann ***")
        async with joined(serving.port, "ann", keys):
            assert len(serving.house.hub.users) == 1
        # Under a name that nobody has registered, the first key lets a guest in.
        async with dialled(serving.port, "bob", keys[1:]) as client:
            await (await session(client)).skips_to(b"*** You are logged in as ann ***")
        async with joined(serving.port, "bob", keys):
            (user,) = (user for user in serving.house.hub.users.values() if user.nick == "bob")
            assert user.account is None
        await until(lambda: not peers(serving))
        with pytest.raises(asyncssh.Error):
            async with dialled(serving.port, "ann", [new_key() for _ in range(TRIES + 1)]):
                pass


async def test_unsigned_offer_of_a_key_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "GRACE_SECONDS", 0.1)
    key, stranger = new_key(), new_key()
    async with ssh_house(tmp_path) as serving:
        async with joined(serving.port, "ann", key) as ann:
            await says(ann, b"/register", b"*** You are logged in as ann ***")
        await until(lambda: not serving.house.hub.users)
        # The client has the other's public key, and signs with its own.
        forged = asyncssh.load_keypairs(stranger)[0]
        forged.public_data = key.public_data
        async with joined(serving.port, "bob", [forged]) as bob:
            (user,) = serving.house.hub.users.values()
            assert user.nick == "bob" and user.account is None
            await says(bob, b"/register", b"Usage: /register PASSWORD")


async def test_code_joins_a_key_to_an_account(tmp_path: Path) -> None:
    key = new_key()
    async with ssh_house(tmp_path) as serving:
        ann = await ann_registered(serving)
        async with joined(serving.port, "cy", key) as cy:
            await says(cy, b"/link BCDF-GHJK", b"code")
            code = await answer(serving.house.accounts.make_code, ann)
            await says(cy, b"/link " + code.encode(), b"*** Your ssh key is kept: from now on it logs you in ***")
            await until(lambda: account_of(serving, "Ann").has_ssh_key(key.get_fingerprint()))
        async with dialled(serving.port, "cy", key) as client:
            await (await session(client)).skips_to(b"*** You are logged in as Ann ***")


async def test_keys_are_listed_and_removed_on_any_wire(tmp_path: Path) -> None:
    key, second = new_key(), new_key()
    async with ssh_house(tmp_path) as serving:
        await ann_registered(serving)
        nc = await serving.join("Zed")
        nc.send(f"/login Ann {PASSWORD}\n/keys\n/keys add\n/keys remove SHA256:x\n/keys nonsense\n".encode())
        for expected in (b"You have no ssh keys", b"shown no ssh key", b"no such ssh key", b"Usage: /keys"):
            await nc.skips_to(expected)
        async with joined(serving.port, "cy", key) as cy, dialled(serving.port, "dan", second) as client:
            await says(cy, f"/login Ann {PASSWORD}".encode(), b"*** You are logged in as Ann ***")
            await says(cy, b"/keys add", b"*** Your ssh key is kept")
            dan = await session(client)
            await says(dan, f"/login Ann {PASSWORD}".encode(), b"*** You are logged in as Ann ***")
            await says(dan, b"/keys add", b"*** Your ssh key is kept")
            nc.send(b"/keys\n")
            await nc.skips_to(key.get_fingerprint().encode() + b" ssh-ed25519, since")
            nc.send(f"/keys remove {second.get_fingerprint()}\n".encode())
            await nc.skips_to(b"That ssh key is removed")
            async with asyncio.timeout(SECONDS):
                await client.wait_closed()  # whoever has come with it leaves
            await says(cy, b"/time", b" ***")


async def test_last_key_of_an_account_without_a_password_stays(tmp_path: Path) -> None:
    key = new_key()
    async with ssh_house(tmp_path) as serving, joined(serving.port, "ann", key) as ann:
        await says(ann, b"/register", b"*** You are logged in as ann ***")
        await says(ann, f"/keys remove {key.get_fingerprint()}".encode(), b"the last way to log in")
        await says(ann, f"/password {PASSWORD}".encode(), b"*** You have a password now ***")
        assert account_of(serving, "ann").has_ssh_key(key.get_fingerprint())
        await says(ann, b"/password another horse battery", b"all other logins of your account have ended")
        assert not account_of(serving, "ann").ssh_keys


async def test_suspended_account_is_out_and_its_key_opens_nothing(tmp_path: Path) -> None:
    key = new_key()
    async with ssh_house(tmp_path) as serving:
        async with joined(serving.port, "ann", key) as ann:
            await says(ann, b"/register", b"*** You are logged in as ann ***")
            (peer,) = peers(serving)
            unused = peer.new_channel()
            await answer(serving.house.accounts.suspend, account_of(serving, "ann"))
            assert unused and not unused.shell_requested() and not unused.exec_requested("rooms")
            assert b"closed" in await ann.rest()
            await until(lambda: not peers(serving))
        with pytest.raises(asyncssh.Error, match="closed"):
            async with dialled(serving.port, "ann", key) as client:
                await session(client)


async def test_guest_has_one_user_for_all_channels(tmp_path: Path) -> None:
    async with ssh_house(tmp_path) as serving:
        nc = await serving.join("Nora")
        async with joined(serving.port, "cy") as cy:
            second = await session(cy.process.channel.get_connection())
            second.send(b"from the second\n")
            await nc.skips_to(b"cy: from the second\n")
            nc.send(b"hello\n")
            for one in (cy, second):
                await one.skips_to(b"Nora: hello\n")
            second.end()
            await second.rest()
            cy.send(b"still here\n")
            await nc.skips_to(b"cy: still here\n")
        await nc.skips_to(b"*** cy has left the chat ***\n")


# --- guests that may not come ---------------------------------------------------------------------------------------


async def test_guest_registers_with_the_key_where_only_accounts_may_come(tmp_path: Path) -> None:
    key = new_key()
    async with ssh_house(tmp_path, guests="no") as serving, dialled(serving.port, "ann", key) as client:
        ann = await session(client)
        await ann.skips_to(b"type yes: ")
        await says(ann, b"yes", b"*** You are logged in as ann ***")
        assert account_of(serving, "ann").has_ssh_key(key.get_fingerprint())


async def test_guest_who_does_not_want_to_register_may_take_another_name(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, guests="no") as serving:
        await ann_registered(serving)
        async with dialled(serving.port, "cy", new_key()) as client:
            cy = await session(client)
            await cy.skips_to(b"type yes: ")
            await says(cy, b"no\nann", b"Ann is registered")


async def test_invitation_and_a_key_are_enough(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, guests="no", register="invite") as serving:
        code = await answer(serving.house.accounts.invite)
        async with dialled(serving.port, "ann", new_key()) as client:
            ann = await session(client)
            await ann.skips_to(b"type your invitation code: ")
            await says(ann, code.encode(), b"*** You are logged in as ann ***")


async def test_nobody_new_comes_where_registration_is_closed(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, guests="no", register="closed") as serving:
        with pytest.raises(asyncssh.PermissionDenied):
            async with dialled(serving.port, "ann", new_key()):
                pass
        async with ssh_house(tmp_path / "b", guests="read") as reading, joined(reading.port, "ann") as ann:
            await says(ann, b"hello", b"account")


# --- the operator's file --------------------------------------------------------------------------------------------


def line_of(key: asyncssh.SSHKey, name: str, options: str = "") -> str:
    public = key.export_public_key().decode().split()
    return f"{options}{' ' if options else ''}{public[0]} {public[1]} {name}\n"


async def test_operators_file_lets_keys_in_and_is_read_again(tmp_path: Path) -> None:
    key, far, late = new_key(), new_key(), new_key()
    path = tmp_path / "keys"
    path.write_text("# the team\n\n" + line_of(key, "Ann") + line_of(far, "Bob", 'from="192.0.2.0/24",no-pty'))
    async with ssh_house(tmp_path, guests="no", register="closed", ssh_keys=str(path)) as serving:
        async with dialled(serving.port, "whoever", key) as client:
            await (await session(client)).skips_to(b"*** Your key is that of Ann, so you are not whoever ***")
        for other in (far, late):
            with pytest.raises(asyncssh.PermissionDenied):
                async with dialled(serving.port, "bob", other):
                    pass
        assert serving.house.ssh and serving.house.ssh.key_file
        path.write_text(line_of(late, "Cy"))
        serving.house.ssh.key_file.look()
        async with dialled(serving.port, "cy", late) as client:
            await (await session(client)).skips_to(b"*** You are logged in as Cy ***")
        with pytest.raises(asyncssh.PermissionDenied):
            async with dialled(serving.port, "ann", key):
                pass


def test_lines_without_a_key_or_a_name_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = new_key()
    path = tmp_path / "keys"
    path.write_text(
        "ssh-ed25519 AAAAx Ann\nnonsense\n" + line_of(key, "") + line_of(key, "no name") + line_of(key, "Ann")
    )
    found, public = KeyFile(path), key.convert_to_public()
    assert found.name_of(public, "192.0.2.1") == "Ann" and found.name_of(new_key(), "192.0.2.1") == ""
    assert found.name_of(public, "2001:db8::/64") == "Ann"
    assert [record.args[0] for record in caplog.records] == [1, 2, 3, 4]  # type: ignore[index]
    path.unlink()
    found.look()
    assert found.name_of(public, "192.0.2.1") == "Ann" and "stay in use" in caplog.text


async def test_relay_cannot_use_a_login_for_another_session(tmp_path: Path) -> None:
    """A signature is for one connection: what was relayed is of no use in the next one."""
    async with ssh_house(tmp_path) as serving:
        sent: list[bytes] = []
        relay = Relay(serving.port, lambda data: [sent.append(data) or data])  # type: ignore[func-returns-value]
        async with relay.listening() as port, joined(port, "ann", new_key()):
            pass
        again = await serving.connect()
        for data in sent:
            again.send(data)
        await again.rest()
        await until(lambda: not peers(serving))
        assert not serving.house.hub.users
