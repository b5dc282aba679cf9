"""Certificates: read at the start, and again when their files change or SIGHUP says so."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import logging
import os
import ssl
from pathlib import Path

from hubbub.config import Settings
from hubbub.errors import SettingsError, reason

log = logging.getLogger("hubbub")

LOOK = 10.0  # seconds between two looks at the files
DAYS = 3650  # that a self-signed certificate is valid; who trusts it does so by its fingerprint
SELF_SIGNED = "self-signed"
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2: those that also authenticate what they encrypt; 1.3 has no others


class Certificate:
    """What new connections are encrypted with.

    Args:
        settings: name the files, or say `self-signed`.

    Raises:
        SettingsError: there is no usable certificate.

    """

    def __init__(self, settings: Settings) -> None:
        if settings.tls == SELF_SIGNED and settings.tls_cert:
            raise SettingsError("Either --tls self-signed or --tls-cert, not both.")
        if settings.tls != SELF_SIGNED and not settings.tls_cert:
            raise SettingsError("Name the certificate by --tls-cert, or use --tls self-signed.")
        folder = Path(settings.data)
        self.self_signed = settings.tls == SELF_SIGNED
        if self.self_signed:
            self._cert, self._key = folder / "tls-cert.pem", folder / "tls-key.pem"
            if not self._cert.exists() or not self._key.exists():
                _make(self._cert, self._key, settings.host)
        else:
            self._cert, self._key = Path(settings.tls_cert), Path(settings.tls_key or settings.tls_cert)
        self._stamp = self._stat()
        self.context = self._load()

    @property
    def fingerprint(self) -> str:
        """Return the certificate's SHA-256 fingerprint, as browsers and openssl show it."""
        text = self._cert.read_text("ascii")
        end = "-----END CERTIFICATE-----"
        der = ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)] + "\n")
        return _colons(hashlib.sha256(der).hexdigest())

    def look(self) -> None:
        """Take a new certificate if the files have changed."""
        stamp = self._stat()
        if stamp != self._stamp:
            self._stamp = stamp
            self.reload()

    def reload(self) -> None:
        """Take the certificate that the files hold now; keep the old one if that is not usable. Nobody is dropped."""
        try:
            self.context = self._load()
        except SettingsError as error:
            log.error("%s The old certificate stays.", error)
        else:
            log.info("The certificate was read anew; its SHA-256 fingerprint is %s", self.fingerprint)

    def _stat(self) -> tuple[tuple[int, int], ...]:
        found = []
        for path in (self._cert, self._key):
            try:
                found.append((path.stat().st_mtime_ns, path.stat().st_ino))
            except OSError:
                found.append((0, 0))
        return tuple(found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Never ask for a passphrase: nobody sits at the server's terminal.
            context.load_cert_chain(self._cert, self._key, password=lambda: "")
        except ssl.SSLError as error:
            why = (error.reason or "unreadable").replace("_", " ").lower()
            raise SettingsError(f"The certificate {self._cert} with its key cannot be used: {why}.") from None
        except OSError as error:
            raise SettingsError(f"The certificate {self._cert} or its key cannot be read: {reason(error)}.") from None
        return context


def _colons(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()


def _make(cert: Path, key: Path, hosts: list[str]) -> None:
    """Write a new key and a certificate for it that it signed itself."""
    # Slow to import, and needed once in a server's life.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0] if hosts else "hubbub")])
    names: list[x509.GeneralName] = []
    for host in ("localhost", "127.0.0.1", "::1", *hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            try:
                names.append(x509.DNSName(host.encode("idna").decode("ascii")))
            except ValueError:
                raise SettingsError(f"The name {host!r} is none that a certificate can be made for.") from None
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    try:
        cert.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secret.private_bytes(pem, form, serialization.NoEncryption()))
        cert.write_bytes(made.public_bytes(pem))
    except OSError as error:
        raise SettingsError(f"The certificate {cert} cannot be written: {reason(error)}.") from None
