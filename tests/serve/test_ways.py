"""What a starting server says of the addresses at which it is reached."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import ifaddr
import pytest

from hubbub.serve.ways import Speaks, doors, lines, own_addresses, url
from hubbub.wire.sniff import Wire

OWN = ["192.168.1.5", "10.9.8.7", "fd00::5"]


@pytest.mark.parametrize(
    ("listening", "said"),
    [
        (
            [("127.0.0.1:8888", None)],
            [
                "  in a terminal: nc 127.0.0.1 8888",
                "  by IRC:        /connect 127.0.0.1 8888",
                "  in a browser:  http://127.0.0.1:8888/",
            ],
        ),
        (
            [("0.0.0.0:8888", None), ("[::]:8888", None)],
            [
                "  in a terminal: nc 192.168.1.5 8888",
                "  by IRC:        /connect 192.168.1.5 8888",
                "  in a browser:  http://192.168.1.5:8888/",
                "  also at:       10.9.8.7:8888, [fd00::5]:8888",
            ],
        ),
        (
            [("[::]:8888", None)],
            [
                "  in a terminal: nc fd00::5 8888",
                "  by IRC:        /connect fd00::5 8888",
                "  in a browser:  http://[fd00::5]:8888/",
            ],
        ),
        (
            [("127.0.0.1:6667", Wire.IRC), ("127.0.0.1:8888", None)],
            [
                "  in a terminal: nc 127.0.0.1 8888",
                "  by IRC:        /connect 127.0.0.1 6667",
                "  in a browser:  http://127.0.0.1:8888/",
            ],
        ),
        (
            [("127.0.0.1:8888", None), ("0.0.0.0:80", Wire.HTTP), ("10.9.8.7:23", Wire.LINE)],
            [
                "  in a terminal: nc 10.9.8.7 23",
                "  by IRC:        /connect 127.0.0.1 8888",
                "  in a browser:  http://192.168.1.5:80/",
                "  also at:       10.9.8.7:80 (http only)",
            ],
        ),
        ([("127.0.0.1:23", Wire.LINE)], ["  in a terminal: nc 127.0.0.1 23"]),
    ],
)
def test_ways_in_are_told_of_every_address(listening: list[tuple[str, Wire | None]], said: list[str]) -> None:
    assert list(lines(doors(listening, OWN), Speaks(True, False))) == said


def test_machine_without_a_network_is_reached_from_itself() -> None:
    assert url(doors([("0.0.0.0:8888", None), ("[::]:8888", None)], []), True, []) == "http://127.0.0.1:8888/"


def test_encrypted_ways() -> None:
    found = doors([("0.0.0.0:8888", None)], OWN[:1])
    assert "  encrypted:     openssl s_client -quiet -connect 192.168.1.5:8888" in list(
        lines(found, Speaks(True, True))
    )
    assert list(lines(found, Speaks(False, True))) == [
        "  encrypted:     openssl s_client -quiet -connect 192.168.1.5:8888",
        "  in a browser:  https://192.168.1.5:8888/",
    ]
    assert url(doors([("0.0.0.0:443", Wire.TLS)], OWN), True, []) == "https://192.168.1.5:443/"


def test_way_in_with_ssh_is_told_if_the_server_speaks_it() -> None:
    found = doors([("0.0.0.0:8888", None)], OWN[:1])
    assert "  with ssh:      ssh -p 8888 192.168.1.5" in list(lines(found, Speaks(True, False, True)))
    fixed = doors([("127.0.0.1:2222", Wire.SSH)], [])
    assert list(lines(fixed, Speaks(True, False, True))) == ["  with ssh:      ssh -p 2222 127.0.0.1"]


def test_name_of_the_server_is_told_where_others_reach_it() -> None:
    assert url(doors([("0.0.0.0:8888", None)], OWN), True, ["chat.example.org"]) == "http://chat.example.org:8888/"
    assert url(doors([("127.0.0.1:8888", None)], OWN), True, ["chat.example.org"]) == "http://127.0.0.1:8888/"


def test_addresses_are_those_of_every_interface_and_of_no_inner_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def adapter(name: str, *ips: object) -> SimpleNamespace:
        ips = tuple(SimpleNamespace(ip=ip, is_IPv4=isinstance(ip, str)) for ip in ips)
        return SimpleNamespace(name=name, ips=ips)

    adapters = [
        adapter("lo", "127.0.0.1", ("::1", 0, 0)),
        adapter("eth0", "192.0.2.9", ("fe80::1", 0, 2), ("fd00::9", 0, 0)),
        adapter("eth1", "198.51.100.4", "169.254.3.3"),
        adapter("docker0", "172.17.0.1"),
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: (_ for _ in ()).throw(OSError("no way")))
    assert own_addresses() == ["192.0.2.9", "fd00::9", "198.51.100.4"]


def test_sandbox_that_tells_no_interfaces_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden() -> list[object]:
        raise OSError("no netlink")

    monkeypatch.setattr(ifaddr, "get_adapters", forbidden)
    assert isinstance(own_addresses(), list)
