"""SASL EXTERNAL: certificates of clients, made by authorities that the server knows and by others."""

from __future__ import annotations

import base64
import datetime
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from in_thread import InThread
from irc_peering import GATEWAY, IrcPeer, irc_house
from virtual_time import virtual_time

from doubles import FakeAccounts
from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.serve.accept.tls import Certificate, client_fingerprint
from hubbub.serve.irc.accounts import login
from tls_peers import context, read_until

DAY = datetime.timedelta(days=1)
LOG_IN = "AUTHENTICATE EXTERNAL\r\nAUTHENTICATE +\r\n"
HELLO = "CAP REQ :sasl\r\nNICK {}\r\nUSER x 0 * :x\r\n"


class Authority:
    """A certificate authority, which writes its certificate into a folder.

    Args:
        folder: the folder.
        name: its name.

    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.file = self._write(f"{name}.pem", self._sign(self._name, self._key, datetime.timedelta(3650), ca=True))

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: datetime.timedelta, ca: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 9 * DAY)
            .not_valid_after(now + lasts)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, file: str, *parts: x509.Certificate | ec.EllipticCurvePrivateKey) -> Path:
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        texts = [
            part.public_bytes(pem)
            if isinstance(part, x509.Certificate)
            else part.private_bytes(pem, form, serialization.NoEncryption())
            for part in parts
        ]
        (self._folder / file).write_bytes(b"".join(texts))
        return self._folder / file

    def certificate(self, name: str, lasts: datetime.timedelta = DAY) -> Path:
        """Return the file with a client's certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        return self._write(f"{name}.pem", self._sign(subject, key, lasts, ca=False), key)


class Tls:
    """An IRC client with TLS, and perhaps with a certificate."""

    def __init__(self, port: int, certificate: Path | None = None) -> None:
        made = context()
        if certificate:
            made.load_cert_chain(certificate)
        self.sock = made.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=60))

    def close(self) -> None:
        self.sock.close()

    def ask(self, text: str) -> str:
        """Return the answers to some lines."""
        self.sock.sendall(f"{text}PING here\r\n".encode())
        return read_until(self.sock, b" here\r\n").decode()

    def log_in(self, nick: str, response: str = "+") -> str:
        self.ask("CAP LS 302\r\n" + HELLO.format(nick))
        return self.ask(f"AUTHENTICATE EXTERNAL\r\nAUTHENTICATE {response}\r\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "ours")


@pytest.fixture(scope="module")
def place(folder: Path, authority: Authority) -> Iterator[InThread]:
    server = InThread(folder / "data", "--no-limits", "--tls", "self-signed", "--tls-client-ca", str(authority.file))
    yield server
    server.close()


def test_a_certificate_logs_its_owner_in(place: InThread, authority: Authority) -> None:
    own = authority.certificate("Ann")
    with closing(Tls(place.port)) as plain:
        offered = plain.ask("CAP LS 302\r\n" + HELLO.format("Ann"))
        assert "sasl=PLAIN,SCRAM-SHA-256 " in offered
        assert " 908 Ann PLAIN,SCRAM-SHA-256 " in plain.ask(LOG_IN)
        plain.ask("CAP END\r\nNS REGISTER opensesame\r\n")
        assert "has shown no certificate that is valid here" in plain.ask("NS CERT ADD\r\n")
    with closing(Tls(place.port, own)) as first:
        offered = first.ask("CAP LS 302\r\n" + HELLO.format("guest"))
        assert "sasl=PLAIN,SCRAM-SHA-256,EXTERNAL " in offered
        refused = first.ask(LOG_IN)
        assert " 904 guest :" in refused and "That certificate belongs to no account." in refused
        first.ask("CAP END\r\nNS REGISTER opensesame\r\n")
        assert "The certificate can log in to your account now." in first.ask("NS CERT ADD\r\n")
        assert "No such command" not in first.ask("NS CERT\r\n") and "Usage: CERT" in first.ask("NS CERT x\r\n")
        for word, why in (("12", "64 hexadecimal digits"), ("ab" * 32, "can log in")):
            assert why in first.ask(f"NS CERT ADD {word}\r\n")
        assert first.ask("NS CERT\r\n").count("NickServ!services") == 3
        with closing(Tls(place.port, own)) as again:
            told = again.log_in("other")
            assert " 900 " in told and " 903 " in told and " 001 guest " in again.ask("CAP END\r\n")
        name = base64.b64encode(b"GUEST").decode()
        for response, right in (
            (name, True),
            (base64.b64encode(b"Ann").decode(), False),
            ("AAAA", False),
            ("//8=", False),
        ):
            with closing(Tls(place.port, own)) as one:
                assert (" 903 " in one.log_in("x", response)) is right
        with closing(Tls(place.port)) as thief:
            thief.ask(HELLO.format("thief") + "CAP END\r\nNS REGISTER opensesame\r\n")
            assert "belongs to another account" in thief.ask(f"NS CERT ADD {'AB:' * 31}AB\r\n")
        assert "cannot log in any more" in first.ask("NS CERT DEL\r\n")
        with closing(Tls(place.port, own)) as again:
            assert " 904 " in again.log_in("other")


@pytest.mark.parametrize("kind", ["foreign", "expired"])
def test_a_certificate_that_is_not_valid_ends_the_connection(
    place: InThread, folder: Path, authority: Authority, kind: str
) -> None:
    if kind == "foreign":
        file = Authority(folder, "theirs").certificate("mallory")
    else:
        file = authority.certificate("late", -DAY)
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)), closing(Tls(place.port, file)) as peer:
        peer.ask("CAP LS 302\r\n")


class Transport:
    """A transport whose client has shown a certificate, or none."""

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def get_extra_info(self, name: str) -> Any:
        return self

    def getpeercert(self, binary_form: bool = False) -> Any:
        return b"certificate" if binary_form else self._facts


def test_a_certificate_counts_only_in_its_time() -> None:
    shown: Any = Transport(notBefore="Jan  1 00:00:00 2026 GMT", notAfter="Jan  3 00:00:00 2026 GMT")
    begin = ssl.cert_time_to_seconds("Jan  1 00:00:00 2026 GMT")
    assert [len(client_fingerprint(shown, begin + hours * 3600)) for hours in (-1, 1, 49)] == [0, 64, 0]
    assert client_fingerprint(cast(Any, Transport()), begin) == ""


def test_authorities_must_be_readable(tmp_path: Path, authority: Authority) -> None:
    for file in (tmp_path / "missing.pem", Path(__file__)):
        with pytest.raises(SettingsError, match="authorities"):
            Certificate(Settings(tls="self-signed", data=str(tmp_path), tls_client_ca=str(file)))
    with pytest.raises(SettingsError, match="--tls-cert"):
        Certificate(Settings(data=str(tmp_path), tls_client_ca=str(authority.file)))


class Accounts(FakeAccounts):
    mechanisms = ("PLAIN",)


@virtual_time
async def test_the_certificate_of_a_gateway_is_not_that_of_its_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "client_fingerprint", lambda transport, now: "ab" * 32)
    async with irc_house(webirc_from=["203.0.113.7"], webirc_password="$argon2id$") as house:
        house.hub.use_accounts(Accounts())
        peer: IrcPeer = await house.connect()
        assert "sasl=PLAIN,EXTERNAL" in (await peer.ask("CAP LS 302"))[0].params[-1]
        await peer.ask(f"WEBIRC {GATEWAY} gateway host 198.51.100.7")
        assert "sasl=PLAIN " in (await peer.ask("CAP LS 302"))[0].params[-1]
