"""Certificates: read at the start, and again on SIGHUP or when their files change."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from hubbub.config import Settings
from hubbub.errors import SettingsError, reason
from hubbub.files import make_folder, write_file_durably
from hubbub.serve.accept.address import host_of
from hubbub.serve.ways import own_addresses
from hubbub.wire.hello import OURS

log = logging.getLogger("hubbub")

LOOK = 10.0  # seconds between two checks of the files
LASTS = datetime.timedelta(days=825)  # the longest validity that clients accept for a self-signed certificate
RENEWAL = datetime.timedelta(days=30)  # time before its end at which a new one is made
SELF_SIGNED = "self-signed"
# The ciphers of TLS 1.2 with authenticated encryption. TLS 1.3 has no others.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Certificate:
    """The server's certificate, with the TLS context for new connections.

    Args:
        settings: the settings, which name the files or ask for a self-signed certificate.

    Raises:
        SettingsError: there is no usable certificate.

    """

    def __init__(self, settings: Settings) -> None:
        if settings.tls == SELF_SIGNED and settings.tls_cert:
            raise SettingsError("Use either --tls self-signed or --tls-cert, not both.")
        if settings.tls != SELF_SIGNED and not settings.tls_cert:
            raise SettingsError("Name the certificate with --tls-cert, or use --tls self-signed.")
        folder = Path(settings.data)
        self.self_signed = settings.tls == SELF_SIGNED
        self._renewal = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        if self.self_signed:
            self._cert, self._key = folder / "tls-cert.pem", folder / "tls-key.pem"
            self._names = _names(settings)
            self._make_if_outdated()
        else:
            self._cert, self._key = Path(settings.tls_cert), Path(settings.tls_key or settings.tls_cert)
        self._authorities = Path(settings.tls_client_ca) if settings.tls_client_ca else None
        self._stamp = self._stat()
        self.fingerprint = ""  # SHA-256, as browsers and openssl show it
        self.context = self._load()

    def look(self) -> None:
        """Load the certificate again if its files have changed. Renew a self-signed one RENEWAL before its end."""
        if self.self_signed and _now() >= self._renewal:
            try:
                self._make_if_outdated()
            except SettingsError as error:
                log.error("%s The old certificate stays in use.", error)
                self._renewal = _now() + datetime.timedelta(days=1)
        stamp = self._stat()
        if stamp != self._stamp:
            self._stamp = stamp
            self.reload()

    def reload(self) -> None:
        """Load the certificate from its files. Keep the old one, and log an error, if the new one is not usable.

        Existing connections are not affected.
        """
        try:
            self.context = self._load()
        except SettingsError as error:
            log.error("%s The old certificate stays in use.", error)
        else:
            log.info("The certificate was reloaded; its SHA-256 fingerprint is %s", self.fingerprint)

    def _make_if_outdated(self) -> None:
        """Make a certificate if there is none, if it ends within RENEWAL, or if the server has names that it lacks."""
        names, ends = _read(self._cert, self._key)
        if ends < _now() + RENEWAL or not names.issuperset(self._names):
            if names:
                log.warning(
                    "Making a new certificate: the old one is valid until %s and for %s", ends.date(), _listed(names)
                )
            _make(self._cert, self._key, [*self._names, *_own_names()])
            _, ends = _read(self._cert, self._key)
        self._renewal = ends - RENEWAL

    def _stat(self) -> tuple[tuple[int, int], ...]:
        found = []
        for path in filter(None, (self._cert, self._key, self._authorities)):
            try:
                found.append((path.stat().st_mtime_ns, path.stat().st_ino))
            except OSError:
                found.append((0, 0))
        return tuple(found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.set_alpn_protocols(list(OURS))
        try:
            # Give an empty passphrase, so OpenSSL does not ask for one on the terminal.
            context.load_cert_chain(self._cert, self._key, password=lambda: "")
        except ssl.SSLError as error:
            why = (error.reason or "unreadable").replace("_", " ").lower()
            raise SettingsError(f"The certificate {self._cert} with its key cannot be used: {why}.") from None
        except OSError as error:
            raise SettingsError(f"The certificate {self._cert} or its key cannot be read: {reason(error)}.") from None
        if self._authorities:
            _ask_for_certificates(context, self._authorities)
        self.fingerprint = self._read_fingerprint()
        return context

    def _read_fingerprint(self) -> str:
        """Return the fingerprint of the first certificate in the file. Raises SettingsError."""
        end = "-----END CERTIFICATE-----"
        try:
            der = ssl.PEM_cert_to_DER_cert(self._cert.read_text("ascii").partition(end)[0] + f"{end}\n")
        except (OSError, ValueError) as error:
            raise SettingsError(f"The certificate {self._cert} cannot be read: {error}.") from None
        return _colons(hashlib.sha256(der).hexdigest())


def _ask_for_certificates(context: ssl.SSLContext, authorities: Path) -> None:
    """Ask clients for a certificate that one of some authorities has signed. Without one, they may connect as well.

    A certificate that is not valid ends the handshake: OpenSSL has no way to go on without it.

    Raises:
        SettingsError: the file with the authorities cannot be used.

    """
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        why = (error.reason or "unreadable").replace("_", " ").lower()
        raise SettingsError(f"The authorities in {authorities} cannot be used: {why}.") from None
    except OSError as error:
        raise SettingsError(f"The authorities {authorities} cannot be read: {reason(error)}.") from None
    context.verify_mode = ssl.CERT_OPTIONAL


def client_fingerprint(transport: asyncio.BaseTransport, now: float) -> str:
    """Return the SHA-256 of the certificate that a client has shown, in hexadecimal; "" if it has none that is valid.

    The handshake has checked its signature. Its time is checked again, because a connection may last longer, and a
    resumed TLS session has the certificate of an earlier one.

    Args:
        transport: the transport of the connection.
        now: epoch seconds.

    """
    tls = transport.get_extra_info("ssl_object")
    facts = tls.getpeercert() if tls else None
    if not facts:
        return ""
    begin, end = (ssl.cert_time_to_seconds(facts[field]) for field in ("notBefore", "notAfter"))
    return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest() if begin <= now <= end else ""


def _colons(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _names(settings: Settings) -> list[str]:
    """Return the server's names and addresses according to the settings, and those of the loopback interface."""
    listening = filter(None, map(host_of, settings.listen))
    return [_written(host) for host in ("localhost", "127.0.0.1", "::1", *settings.host, *listening)]


def _own_names() -> list[str]:
    """Return this machine's name and the addresses of its interfaces, which may change."""
    found = []
    for host in (socket.gethostname(), *own_addresses()):
        with contextlib.suppress(SettingsError):
            found.append(_written(host))
    return found


def _written(host: str) -> str:
    """Return an address or a name in the form that certificates use. Raise SettingsError if it is not valid."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        try:
            return host.encode("idna").decode("ascii").lower()
        except ValueError:
            raise SettingsError(f"A certificate cannot be made for the name {host!r}.") from None


def _read(cert: Path, key: Path) -> tuple[set[str], datetime.datetime]:
    """Return a certificate's names and the time of its end; no names and 1970 if it cannot be used."""
    # The import is slow, and needed only here and in `_make`.
    from cryptography import x509

    try:
        made = x509.load_pem_x509_certificate(cert.read_bytes())
        found = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return set(), datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return names, made.not_valid_after_utc


def _make(cert: Path, key: Path, hosts: list[str]) -> None:
    """Write a new key and a self-signed certificate for these hosts. Raise SettingsError if that fails."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hubbub")])
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    now = _now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    try:
        make_folder(cert.parent)
        write_file_durably(key, secret.private_bytes(pem, form, serialization.NoEncryption()))
        write_file_durably(cert, made.public_bytes(pem))
    except OSError as error:
        raise SettingsError(f"The certificate {cert} cannot be written: {reason(error)}.") from None
