"""The keys by which ssh clients recognise a server."""

from __future__ import annotations

import stat
from pathlib import Path

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from serving import until
from sshing import dialled, new_key, ssh_house

from hubbub.config import Settings
from hubbub.errors import BrokerError, SettingsError
from hubbub.serve.ssh.host_keys import FILE, host_keys
from hubbub.storage.host_keys import KEY, announce
from hubbub.storage.key_value import Item


def shown(settings: Settings) -> list[str]:
    """Return the fingerprints of the host keys of a start."""
    return [key.fingerprint for key in host_keys(settings)]


def test_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path))
    (made,) = host_keys(settings)
    assert made.kind == "ssh-ed25519"
    path = tmp_path / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    (again,) = host_keys(settings)
    assert again.fingerprint == made.fingerprint and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_ephemeral_server_leaves_no_key(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path), ephemeral=True)
    assert shown(settings) != shown(settings) and not list(tmp_path.iterdir())


def test_keys_of_the_settings_are_used_and_what_is_no_key_is_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(new_key().export_private_key())
    other.write_bytes(asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_private_key())
    settings = Settings(data=str(tmp_path), ssh_host_key=[str(one), str(other)])
    assert [key.kind for key in host_keys(settings)] == ["ssh-ed25519", "ecdsa-sha2-nistp256"]
    for nonsense in (b"nonsense", b"", b"\xff" * 100, new_key().export_private_key(passphrase="x"), *foreign()):
        other.write_bytes(nonsense)
        with pytest.raises(SettingsError, match="is not a private key"):
            host_keys(settings)
    one.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        host_keys(settings)


def foreign() -> list[bytes]:
    """Return private keys of which ssh has no kind, or that have a passphrase."""
    rsa = asyncssh.generate_private_key("ssh-rsa", 2048)
    return [
        asyncssh.generate_private_key("ssh-ed448").export_private_key("pkcs8-pem"),
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        rsa.export_private_key("pkcs8-pem", passphrase="x"),
        rsa.export_private_key("pkcs1-pem", passphrase="x"),
    ]


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"])
@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem", "pkcs8-der"])
def test_key_of_every_kind_and_format_is_the_one_that_clients_are_shown(tmp_path: Path, kind: str, form: str) -> None:
    key = asyncssh.generate_private_key(kind)
    path = tmp_path / "key"
    path.write_bytes(key.export_private_key(form))
    (read,) = host_keys(Settings(data=str(tmp_path), ssh_host_key=[str(path)]))
    assert (read.kind, read.fingerprint) == (key.get_algorithm(), key.get_fingerprint())
    assert asyncssh.import_private_key(read.private) == key


def test_key_is_made_in_a_folder_of_its_own_for_a_node_without_other_files(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "new" / "data"), broker="nats://127.0.0.1:4222")
    assert shown(settings) == shown(settings)
    assert stat.S_IMODE((tmp_path / "new" / "data").stat().st_mode) == 0o700


def test_server_that_cannot_write_its_key_starts_unless_ssh_was_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.touch()
    settings = Settings(data=str(file / "data"))
    assert shown(settings) != shown(settings)
    assert "cannot be written" in caplog.text and "clients will warn" in caplog.text
    with pytest.raises(SettingsError, match="cannot be written"):
        host_keys(Settings(data=str(file / "data"), ssh="yes"))


async def test_client_is_shown_the_key_of_the_data_folder(tmp_path: Path) -> None:
    async with ssh_house(tmp_path, ephemeral=False) as serving, dialled(serving.port) as client:
        shown = client.get_server_host_key()
        assert shown.get_fingerprint() == asyncssh.read_private_key(tmp_path / FILE).get_fingerprint()


class Store:
    """A key-value store that answers at once."""

    def __init__(self, *answers: Item | BrokerError | None) -> None:
        self.answers = list(answers)
        self.stored: list[tuple[bytes, int]] = []

    def get(self, key: str, done: object) -> None:
        assert key == KEY
        done(self.answers.pop(0))  # type: ignore[operator]

    def put(self, key: str, value: bytes, revision: int, done: object) -> None:
        self.stored.append((value, revision))
        done(1)  # type: ignore[operator]


def test_another_key_than_that_of_other_nodes_is_told() -> None:
    store = Store(None, Item(KEY, b"SHA256:a SHA256:b", 3), Item(KEY, b"SHA256:a SHA256:b", 3), BrokerError("gone"))
    told: list[str] = []
    for shown in (["SHA256:b", "SHA256:a"], ["SHA256:a", "SHA256:b"], ["SHA256:c"], ["SHA256:d"]):
        announce(store, shown, told.append)  # type: ignore[arg-type]
    assert told == ["SHA256:a SHA256:b"]
    assert store.stored == [(b"SHA256:a SHA256:b", 0), (b"SHA256:c", 3)]


async def test_server_warns_that_clients_will(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ssh_house(tmp_path, ephemeral=False):
        pass
    (tmp_path / FILE).unlink()
    async with ssh_house(tmp_path, ephemeral=False):
        await until(lambda: "clients warn of an attack" in caplog.text)
