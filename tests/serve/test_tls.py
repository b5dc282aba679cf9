"""What is encrypted with: ciphers, and a certificate that the server made itself."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.serve.accept import tls
from hubbub.serve.accept.tls import Certificate


def certificate(folder: Path) -> Certificate:
    return Certificate(Settings(tls="self-signed", data=str(folder), host=["chat.example"]))


def test_only_ciphers_that_authenticate_are_offered(tmp_path: Path) -> None:
    ciphers = certificate(tmp_path).context.get_ciphers()
    assert {cipher["protocol"] for cipher in ciphers} == {"TLSv1.2", "TLSv1.3"}
    assert all(cipher["aead"] for cipher in ciphers), [cipher["name"] for cipher in ciphers]


def test_certificate_is_a_servers(tmp_path: Path) -> None:
    certificate(tmp_path)
    made = x509.load_pem_x509_certificate((tmp_path / "tls-cert.pem").read_bytes())
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "chat.example" in names.get_values_for_type(x509.DNSName)


def test_old_suites_are_refused(tmp_path: Path) -> None:
    """Not by this machine's OpenSSL: by the list of the server."""
    offered = {cipher["name"] for cipher in certificate(tmp_path).context.get_ciphers()}
    everything = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    everything.set_ciphers("ALL")
    old = {cipher["name"] for cipher in everything.get_ciphers() if not cipher["aead"]}
    assert old and not offered & old


def read(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "tls-cert.pem").read_bytes())


def names_of(made: x509.Certificate) -> set[str]:
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def made(folder: Path, *listen: str, host: tuple[str, ...] = ()) -> Certificate:
    return Certificate(Settings(tls="self-signed", data=str(folder), listen=list(listen), host=list(host)))


def test_it_is_for_the_addresses_that_are_listened_on(tmp_path: Path) -> None:
    made(tmp_path, "192.0.2.7:8888", "tls:[2001:db8::7]:1", "chat.example.org:2", ":3", host=("Bücher.example",))
    names = names_of(read(tmp_path))
    assert {"localhost", "127.0.0.1", "::1", "192.0.2.7", "2001:db8::7", "chat.example.org"} <= names
    assert "xn--bcher-kva.example" in names and "" not in names and "0.0.0.0" not in names


def test_it_lasts_for_some_years_and_no_longer(tmp_path: Path) -> None:
    made(tmp_path, "127.0.0.1:0")
    certificate = read(tmp_path)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= datetime.timedelta(days=826)


def test_it_stays_as_long_as_it_is_good(tmp_path: Path) -> None:
    first = made(tmp_path, "127.0.0.1:1", host=("chat.example",)).fingerprint
    assert made(tmp_path, ":2", host=("CHAT.example",)).fingerprint == first
    assert made(tmp_path, "192.0.2.7:2").fingerprint != first, "people reach it under another address"


def test_one_that_ends_is_made_again_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running = made(tmp_path, "127.0.0.1:1")
    first, context = running.fingerprint, running.context
    running.look()
    assert running.fingerprint == first and running.context is context
    late = datetime.datetime.now(datetime.UTC) + tls.LASTS - datetime.timedelta(days=10)
    monkeypatch.setattr(tls, "_now", lambda: late)
    monkeypatch.setattr(tls, "_make", refuse)
    running.look()
    running.look()
    assert caplog.text.count("The old certificate stays") == 1 and running.context is context
    monkeypatch.undo()
    monkeypatch.setattr(tls, "_now", lambda: late + datetime.timedelta(days=1))
    running.look()
    assert running.fingerprint != first and running.context is not context
    assert "Making a new certificate" in caplog.text


def refuse(*_: object) -> None:
    raise SettingsError("The disk is full.")


@pytest.mark.parametrize("damage", [b"", b"nonsense"])
def test_one_that_cannot_be_used_is_made_again(tmp_path: Path, damage: bytes) -> None:
    """A power cut may have come between its two files."""
    first = made(tmp_path, "127.0.0.1:1").fingerprint
    key = (tmp_path / "tls-key.pem").read_bytes()
    for file in ("tls-cert.pem", "tls-key.pem"):
        (tmp_path / file).write_bytes(damage)
        assert made(tmp_path, "127.0.0.1:1").fingerprint != first
    (tmp_path / "tls-key.pem").write_bytes(key)
    made(tmp_path, "127.0.0.1:1")
