"""The addresses that are listened on, who may come in, and what happens when there is no place for more."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from serving import SECONDS, Peer, has_ipv6, program, serving, until

from hubbub.errors import SettingsError
from hubbub.serve.accept import acceptor as module
from hubbub.serve.accept import address as address_module
from hubbub.serve.accept import admission
from hubbub.serve.accept.address import origin, resolve, show
from hubbub.serve.accept.admission import TURNED_AWAY

FULL = b"The chat is full right now; try again later.\n"
TOO_MANY = b"There are too many connections from your address.\n"
IPV6 = pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "family", "where"),
    [
        ("127.0.0.1:8888", socket.AF_INET, ("127.0.0.1", 8888)),
        ("127.0.0.1:0", socket.AF_INET, ("127.0.0.1", 0)),
        ("0.0.0.0:65535", socket.AF_INET, ("0.0.0.0", 65535)),
        (":8888", socket.AF_INET, ("0.0.0.0", 8888)),
        pytest.param("[::1]:8888", socket.AF_INET6, ("::1", 8888, 0, 0), marks=IPV6),
        pytest.param("[::]:1", socket.AF_INET6, ("::", 1, 0, 0), marks=IPV6),
    ],
)
def test_an_address_means_a_socket(address: str, family: socket.AddressFamily, where: tuple[object, ...]) -> None:
    found = resolve(address)
    assert (family, where) in found
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":",
        "8888",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:1.5",
        "127.0.0.1: 1",
        "127.0.0.1:1 ",
        "127.0.0.1:" + "9" * 5000,
        "::1",
        "::1:8888",
        "[::1]",
        "[::1]8888",
        "[::1:8888",
        "::1]:8888",
        "[::g]:8888",
        "[]:8888",
        "[127.0.0.1:8888",
        "http://127.0.0.1:80/",
        "a" * 64 + ".example:1",
        "nul\0byte:1",
    ],
    ids=lambda address: repr(address[:24]),
)
def test_a_bad_address_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def numeric_only(host: str | None, port: int, *, type: int, flags: int) -> object:
        return real(host, port, type=type, flags=flags | socket.AI_NUMERICHOST)  # ask no name server

    monkeypatch.setattr(socket, "getaddrinfo", numeric_only)
    with pytest.raises(SettingsError) as caught:
        resolve(address)
    text = str(caught.value)
    assert (
        text.startswith(("The address ", "The host name in the address ")) and text.endswith(".") and "\n" not in text
    )


@pytest.mark.parametrize(
    ("host", "counts_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("::2", "::/64"),
    ],
)
def test_one_household_counts_as_one_address(host: str, counts_as: str) -> None:
    assert origin(host) == counts_as


@pytest.mark.parametrize(
    ("name", "shown"), [(("127.0.0.1", 8888), "127.0.0.1:8888"), (("::1", 8888, 0, 0), "[::1]:8888")]
)
def test_what_is_shown_can_be_listened_on(name: tuple[object, ...], shown: str) -> None:
    assert show(name) == shown


# --- listening --------------------------------------------------------------------------------------------------


async def test_several_addresses_are_listened_on() -> None:
    async with serving(listen=["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"]) as server:
        assert len(set(server.addresses)) == 3
        for address in server.addresses:
            host, _, port = address.partition(":")
            peer = Peer(*await asyncio.open_connection(host, int(port)))
            assert await peer.echoes()
            peer.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@IPV6
async def test_ipv6_beside_ipv4_on_one_port() -> None:
    port = free_port()
    async with serving(listen=[f"127.0.0.1:{port}", f"[::1]:{port}"]) as server:
        assert server.addresses == [f"127.0.0.1:{port}", f"[::1]:{port}"]
        for host in ("127.0.0.1", "::1"):
            peer = Peer(*await asyncio.open_connection(host, port))
            assert await peer.echoes()
            peer.close()


@IPV6
async def test_an_ipv6_port_of_its_own() -> None:
    async with serving(listen=["[::1]:0"]) as server:
        assert server.addresses[0].startswith("[::1]:") and server.port > 0
        peer = Peer(*await asyncio.open_connection("::1", server.port))
        assert await peer.echoes()
        peer.close()


async def ports_of(address: str) -> list[str]:
    async with serving(listen=[address]) as server:
        return [shown.rpartition(":")[2] for shown in server.addresses]


@IPV6
async def test_a_free_port_is_the_same_one_for_both_ip_versions() -> None:
    first, second = await ports_of(":0")
    assert first == second != "0"


@IPV6
@pytest.mark.parametrize("times", [1, 3])
async def test_a_free_port_that_is_taken_in_the_other_ip_version_is_not_it(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = address_module._bind
    with contextlib.ExitStack() as others:
        taken: list[int] = []

        def bind(family: socket.AddressFamily, where: tuple[object, ...], address: str, buffer: int) -> socket.socket:
            if where[1] and len(taken) < times:  # now that the first one is known, somebody is quicker
                others.enter_context(socket.create_server((str(where[0]), int(str(where[1]))), family=family))
                taken.append(int(str(where[1])))
            return real(family, where, address, buffer)

        monkeypatch.setattr(address_module, "_bind", bind)
        first, second = await ports_of(":0")
    assert first == second and len(taken) == times and int(first) not in taken


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


async def test_an_address_in_use_is_said_and_the_others_are_let_go() -> None:
    port = free_port()
    with taken_port() as taken, pytest.raises(ExceptionGroup) as caught:
        async with serving(listen=[f"127.0.0.1:{port}", f"127.0.0.1:{taken}"]):
            pass
    assert caught.group_contains(SettingsError, match=f"The address 127.0.0.1:{taken} is in use by another program.")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with serving(listen=["192.0.2.1:0"]):
            pass
    assert caught.group_contains(SettingsError, match=r"The server cannot listen on 192\.0\.2\.1:0: ")


async def test_a_closed_front_accepts_nobody_and_keeps_who_is_there() -> None:
    async with serving() as server:
        peer = await server.join()
        assert await peer.echoes()
        server.front.close()
        with pytest.raises(ConnectionRefusedError):
            await server.join()
        assert await peer.echoes()
        peer.close()


async def test_a_crowd_that_comes_at_once_is_served() -> None:
    async with serving(no_limits=True) as server:
        peers = await asyncio.gather(*(server.join() for _ in range(200)))
        assert all(await asyncio.gather(*(peer.echoes() for peer in peers)))
        for peer in peers:
            peer.close()
        await until(lambda: not server.shared.connections)


# --- limits -----------------------------------------------------------------------------------------------------


async def test_too_many_from_one_address_are_told_so() -> None:
    async with serving(max_per_address=2) as server:
        first, second = [await server.join() for _ in range(2)]
        assert await first.echoes() and await second.echoes()
        third = await server.join()
        assert await third.rest() == TOO_MANY
        other = await server.join(source="127.0.0.2")
        assert await other.echoes(), "another address has its own places"
        first.close()
        await until(lambda: len(server.shared.connections) == 2)
        fourth = await server.join()
        assert await fourth.echoes(), "a place that became free is given away again"
        for peer in (second, third, fourth, other):
            peer.close()


async def test_too_many_in_all_are_told_so() -> None:
    async with serving(max_connections=2) as server:
        peers = [await server.join(source) for source in ("127.0.0.1", "127.0.0.2")]
        assert all([await peer.echoes() for peer in peers])
        third = await server.join("127.0.0.3")
        assert await third.rest() == FULL
        peers.pop().close()
        await until(lambda: len(server.shared.connections) == 1)
        fourth = await server.join("127.0.0.3")
        assert await fourth.echoes()
        for peer in (*peers, third, fourth):
            peer.close()


async def test_without_limits_nobody_is_turned_away() -> None:
    async with serving(max_per_address=1, max_connections=1, no_limits=True) as server:
        peers = [await server.join() for _ in range(3)]
        assert all([await peer.echoes() for peer in peers])
        for peer in peers:
            peer.close()


async def test_refused_client_that_sent_something_reads_the_reason() -> None:
    async with serving(max_connections=1) as server:
        first = await server.join()
        assert await first.echoes()
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(b"Ann\nhello\n" * 100)  # before it is even accepted
        second = Peer(*await asyncio.open_connection(sock=sock))
        assert await second.rest() == FULL
        for peer in (first, second):
            peer.close()


async def test_a_crowd_that_is_turned_away_holds_few_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most are told why; all are let go of, though they read nothing and do not close."""
    monkeypatch.setattr(admission, "FAREWELL", 0.5)
    async with serving(max_connections=1) as server:
        first = await server.join()
        assert await first.echoes()
        crowd = await asyncio.gather(*(server.join() for _ in range(TURNED_AWAY * 2)))
        answers = []
        for peer in crowd:
            with contextlib.suppress(ConnectionResetError):
                answers.append(await peer.rest())
            assert len(server.front.admission.leaving) <= TURNED_AWAY
        assert answers.count(FULL) >= TURNED_AWAY and set(answers) <= {FULL, b""}
        await until(lambda: not server.front.admission.leaving)
        assert len(server.shared.connections) == 1 and await first.echoes()
        for peer in (first, *crowd):
            peer.close()


async def test_refused_client_is_not_counted() -> None:
    async with serving(max_per_address=1) as server:
        first = await server.join()
        assert await first.echoes()
        for _ in range(3):
            refused = await server.join()
            assert await refused.rest() == TOO_MANY
            refused.close()
        first.close()
        await until(lambda: not server.shared.connections)
        second = await server.join()
        assert await second.echoes()
        second.close()


# --- no more files ----------------------------------------------------------------------------------------------


async def test_without_files_it_is_tried_again_after_a_while_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = socket.socket.accept
    tries: list[float] = []

    def accept(listener: socket.socket) -> tuple[socket.socket, object]:
        tries.append(time.monotonic())
        if len(tries) <= 4:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(listener)

    monkeypatch.setattr(module, "RETRY", 0.05)
    async with serving() as server:
        monkeypatch.setattr(socket.socket, "accept", accept)
        peer = await server.join()
        assert await peer.echoes()
        peer.close()
    assert all(after - before > 0.04 for before, after in pairwise(tries[:5])), "it would only heat the machine"
    assert caplog.text.count("No more connections can be accepted") == 1


@pytest.mark.parametrize("loop", ["--uvloop", "--no-uvloop"])
async def test_running_out_of_files_is_survived_and_said_once(loop: str) -> None:
    """Who comes then waits in the kernel's queue, and is let in when others leave."""
    async with program(loop, files=40) as server:
        socks = [socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) for _ in range(60)]
        try:
            await server.line("No more connections can be accepted")
            for number, sock in enumerate(socks):
                sock.sendall(b"%d\n" % number)
            for number in range(5):
                assert await asyncio.to_thread(socks[number].recv, 100) == b"%d\n" % number
            for sock in socks[:40]:
                sock.close()
            for number in range(40, 60):
                assert await asyncio.to_thread(socks[number].recv, 100) == b"%d\n" % number
        finally:
            for sock in socks:
                sock.close()
        assert await server.end() == 0
    console = "".join(server.lines)
    assert console.count("No more connections can be accepted (Too many open files)") == 1
    assert "Traceback" not in console
