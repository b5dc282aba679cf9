"""The connection to NATS: who may, how it is encrypted, and one clear sentence when it cannot be."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import signal
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import nkeys
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link import client as link_module
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.outcomes import OutcomeUnknown, Taken
from hubbub.errors import BrokerError, SettingsError
from nats_servers import NatsServers, free_ports
from tcp_servers import TcpServer

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3  # prefixes of NKEYs
Run = Callable[..., NatsServers]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(link_module, "START", 3.0)
    monkeypatch.setattr(streams, "START", 2.0)
    started: list[NatsServers] = []

    def start(more: str = "", **options: str) -> NatsServers:
        started.append(NatsServers(tmp_path, more=more, **options))
        started[-1].start()
        return started[-1]

    yield start
    for servers in started:
        servers.stop()


async def fault(access: NatsCredentials, replicas: int = 0) -> str:
    """Return the sentence with which a connection cannot be made, "" if it can."""
    link = NatsConnection(access, "test", lambda up: None)
    try:
        await link.connect()
    except SettingsError as error:
        return str(error)
    try:
        await streams.set_up(link, replicas, streams.Retention())
    except SettingsError as error:
        return str(error)
    finally:
        await link.close()
    return ""


async def test_server_that_is_not_there(run: Run) -> None:
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    assert (
        await fault(NatsCredentials(f"nats://{address}"))
        == f"The NATS server {address} cannot be reached: Connection refused."
    )


async def test_server_that_says_nothing(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        assert (await fault(NatsCredentials(address))).startswith(f"The NATS server {address} cannot be reached: ")


async def test_name_and_password_in_the_address_are_used_and_not_shown(run: Run) -> None:
    servers = run("authorization { user: ann, password: tea }")
    host = f"127.0.0.1:{servers.ports[0]}"
    assert await fault(NatsCredentials(f"nats://ann:tea@{host}")) == ""
    wrong = await fault(NatsCredentials(f"nats://ann:coffee@{host}"))
    assert wrong.startswith(f"The NATS server {host} cannot be reached: ") and "coffee" not in wrong
    assert "uthorization" in wrong


async def test_nkey(run: Run, tmp_path: Path) -> None:
    seed = _seed(bytes(range(32)))
    public = nkeys.from_seed(seed).public_key.decode()
    servers = run(f"authorization {{ users: [ {{ nkey: {public} }} ] }}")
    file = tmp_path / "seed"
    file.write_bytes(seed)
    assert await fault(NatsCredentials(servers.url, nkey=str(file))) == ""
    assert await fault(NatsCredentials(servers.url)) != ""
    missing = await fault(NatsCredentials(servers.url, nkey=str(tmp_path / "none")))
    assert missing == f"The file {tmp_path / 'none'} cannot be read: No such file or directory."


async def test_credentials_file(run: Run, tmp_path: Path) -> None:
    operator, account, system, user = (
        nkeys.from_seed(_seed(bytes([number] * 32), kind))
        for number, kind in enumerate((OPERATOR, ACCOUNT, ACCOUNT, USER))
    )
    limits = "subs data payload imports exports conn leaf mem_storage disk_storage streams consumer".split()
    unlimited = dict.fromkeys(limits, -1) | {"wildcards": True}
    known = {
        account: _jwt(operator, account, {"type": "account", "limits": unlimited}),
        system: _jwt(operator, system, {"type": "account"}),
    }
    servers = run(
        f"operator: {_jwt(operator, operator, {'type': 'operator'})}\n"
        f"resolver: MEMORY\nsystem_account: {system.public_key.decode()}\nresolver_preload {{\n"
        + "".join(f"{one.public_key.decode()}: {issued}\n" for one, issued in known.items())
        + "}"
    )
    file = tmp_path / "ann.creds"
    token = _jwt(account, user, {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1})
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    assert await fault(NatsCredentials(servers.url, creds=str(file))) == ""
    assert "uthorization" in await fault(NatsCredentials(servers.url))


def _jwt(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, claims: dict[str, object]) -> str:
    """Return a token of the NATS kind: JSON, signed by an NKEY."""
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {"jti": "x", "iat": 1, "iss": issuer.public_key.decode(), "sub": subject.public_key.decode()}
    body |= {"name": "test", "nats": claims | {"version": 2}}
    parts = [json.dumps(part).encode() for part in (head, body)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return b".".join((signed, base64.urlsafe_b64encode(issuer.sign(signed)).rstrip(b"="))).decode()


def _seed(raw: bytes, kind: int = USER) -> bytes:
    """Return an NKEY seed: prefix, key and CRC-16 in base32."""
    data = bytes([(18 << 3) | kind >> 5, (kind & 31) << 3]) + raw
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(data + crc.to_bytes(2, "little")).rstrip(b"=")


async def test_encrypted_with_a_certificate_of_ones_own(run: Run, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    servers = run(f'tls {{ cert_file: "{tmp_path}/cert.pem", key_file: "{tmp_path}/key.pem" }}')
    secure = servers.url.replace("nats://", "tls://")
    assert await fault(NatsCredentials(secure, ca=str(tmp_path / "cert.pem"))) == ""
    assert "cannot be reached" in await fault(NatsCredentials(secure))
    unusable = await fault(NatsCredentials(secure, ca=str(tmp_path / "key.pem")))
    assert unusable.startswith("The certificate for NATS cannot be used: ")


async def test_one_of_several_who_replace_a_message_at_once_does(tmp_path: Path) -> None:
    """A cluster of servers answers otherwise than one server while another's message is being stored."""
    servers = NatsServers(tmp_path, 3)
    servers.start()
    links = [NatsConnection(NatsCredentials(servers.url), f"test-{number}", lambda up: None) for number in range(3)]

    async def take(link: NatsConnection, subject: str) -> bool:
        try:
            return bool(await link.replace(subject, b"x", 0))
        except Taken:
            return False

    try:
        for link in links:
            await link.connect()
        await streams.set_up(links[0], 3, streams.Retention())
        for link in links:  # each server has to hear first that there is a stream
            await streams.patiently(lambda link=link: link.publish(streams.PROBE, b"", {}))
        for number in range(30):
            found = await asyncio.gather(*(take(link, f"{streams.NAME}n{number}") for link in links))
            assert sum(found) == 1, found
    finally:
        for link in links:
            await link.close()
        servers.stop()


async def test_server_without_jetstream(tmp_path: Path, run: Run) -> None:
    servers = NatsServers(tmp_path)
    config = tmp_path / "nats-0" / "nats.conf"
    config.write_text("\n".join(line for line in config.read_text().splitlines() if "jetstream" not in line))
    try:
        servers.start()
        assert "JetStream" in await fault(NatsCredentials(servers.url))
    finally:
        servers.stop()


async def test_more_copies_than_servers(run: Run) -> None:
    servers = run()
    expected = "The NATS servers cannot keep 3 copies: so many servers must be there."
    assert await fault(NatsCredentials(servers.url), replicas=3) == expected


async def test_stream_that_is_somebody_elses(run: Run) -> None:
    servers = run()
    link = NatsConnection(NatsCredentials(servers.url), "test", lambda up: None)
    await link.connect()
    await link.ask(f"STREAM.CREATE.{streams.LOG}", {"name": streams.LOG, "subjects": ["other.*"]})
    assert (
        await fault(NatsCredentials(servers.url))
        == "The stream HUBBUB exists already, but it is not hubbub's: it differs in subjects."
    )
    await link.close()


async def test_bounds_of_the_log_are_those_of_the_settings(run: Run) -> None:
    servers = run()
    for keep in (
        streams.Retention(),
        streams.Retention(3600, 1000, 1 << 20),
        streams.Retention(0, 5, 0),
        streams.Retention(100),
    ):
        link = NatsConnection(NatsCredentials(servers.url), "test", lambda up: None)
        await link.connect()
        await streams.set_up(link, 0, keep)
        config = (await link.ask(f"STREAM.INFO.{streams.LOG}"))["config"]
        assert config["max_age"] == int(keep.age * 1e9)
        assert (config["max_msgs"], config["max_bytes"]) == (keep.count or -1, keep.size or -1)
        await link.close()


async def test_server_that_is_too_old(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = run()
    monkeypatch.setattr(link_module, "OLDEST", (3, 0))
    assert (await fault(NatsCredentials(servers.url))).endswith("; hubbub needs 3.0 or newer.")


async def test_lost_connection_ends_what_was_asked_over_it(run: Run) -> None:
    """An answer cannot come any more: whoever waits for one tries again as soon as a server is there."""
    servers = run()
    link = NatsConnection(NatsCredentials(servers.url), "test", lambda up: None)
    await link.connect()
    await streams.set_up(link, 0, streams.Retention())
    servers.signal(0, signal.SIGSTOP)
    asked = [
        asyncio.create_task(link.publish(f"{streams.ROOM}lobby", b"", {}, 600.0)),
        asyncio.create_task(link.ask("INFO", patience=600.0)),
    ]
    await asyncio.sleep(0)
    servers.signal(0, signal.SIGKILL)
    outcomes = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 90)
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, BrokerError]
    await link.close()


async def test_server_that_was_lost_is_the_last_to_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen one takes connections and never says a word, for as long as a step of connecting may take."""
    monkeypatch.setattr(link_module, "REACH", 600.0)
    back = asyncio.Event()
    link: NatsConnection

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = writer.get_extra_info("sockname")[1]
        if mine in frozen:
            return
        answering.append((mine, writer))
        writer.write(b'INFO {"server_id":"x","version":"2.11.0","max_payload":1048576,"headers":true}\r\n')
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")

    frozen: set[int] = set()
    answering: list[tuple[int, asyncio.StreamWriter]] = []
    listening = [await TcpServer(greet).start() for _ in range(3)]
    url = ",".join(f"nats://127.0.0.1:{one.port}" for one in listening)
    link = NatsConnection(NatsCredentials(url), "test", lambda up: back.set() if up else None)
    await link.connect()
    first, writer = answering[0]
    frozen.add(first)
    writer.close()
    await asyncio.wait_for(back.wait(), 90)
    assert answering[-1][0] != first
    await link.close()
    for one in listening:
        await one.stop()
