"""What is encrypted with: ciphers, and a certificate that the server made itself."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hubbub.config import Settings
from hubbub.listeners.tls import Certificate


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
