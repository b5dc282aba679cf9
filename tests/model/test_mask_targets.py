"""Addresses in masks: a whole one becomes a cloak, several are for operators of the server."""

from __future__ import annotations

import pytest

from hubbub.errors import Refused
from hubbub.model.room.masks.mask_targets import by_cloak, has_address, is_pattern, one_address, read_target, shown
from hubbub.model.room.masks.masks import whole_mask
from hubbub.model.viewer import Viewer


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("192.0.2.0/24", None),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0::/64", "2001:db8::/64"),
        ("2001:db8::1%eth0", "2001:db8::/64"),
        ("2001:db8::/48", None),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("1f2e3d4c5a.nc", None),
        ("*", None),
        ("", None),
    ],
)
def test_whole_address(text: str, address: str | None) -> None:
    assert one_address(text) == address


@pytest.mark.parametrize(
    "host", ["192.0.2.*", "192.*", "*.1", "10.0.0.0/8", "1?.0.*.3", "2001:db8:*", "::/0", "fe80::*"]
)
def test_several_addresses(host: str) -> None:
    assert is_pattern(host)
    with pytest.raises(Refused):
        by_cloak(f"*!*@{host}", str, False)
    assert by_cloak(f"*!*@{host}", str, True) == f"*!*@ip:{host}"


@pytest.mark.parametrize(
    "host", ["*", "*.*", "*:*", "1f2e3d4c5a.*", "1234567890.*", "*.nc", "1*", "host", "*!*", "x.y.z", "irc.example.org"]
)
def test_what_is_a_cloak_or_nothing(host: str) -> None:
    assert not is_pattern(host)
    for of_server in (True, False):
        assert by_cloak(f"*!*@{host}", str, of_server) == f"*!*@{host}"


def test_mask_is_stored_with_the_cloak() -> None:
    assert by_cloak("Bo!*@192.0.2.7", lambda address: f"<{address}>", False) == "Bo!*@<192.0.2.7>.*"
    assert by_cloak("m:*!*@2001:db8::5", lambda address: f"<{address}>", True) == "m:*!*@<2001:db8::/64>.*"
    assert by_cloak("*!*@ip:10.*", str, True) == "*!*@ip:10.*"
    with pytest.raises(Refused):
        by_cloak("*!*@ip:10.0.0.1", str, False)


def test_addresses_are_not_shown() -> None:
    assert shown("m:Bo!*@ip:10.0.0.0/8") == "m:Bo!*@ip:*" == shown("m:Bo!*@10.0.0.1")
    assert shown("Bo!*@1f2e3d4c5a.*") == "Bo!*@1f2e3d4c5a.*" and shown("odd") == "odd"


@pytest.mark.parametrize(
    ("host", "address", "means"),
    [
        ("ip:192.0.2.0/24", "192.0.2.7", True),
        ("ip:192.0.2.0/24", "192.0.3.7", False),
        ("ip:192.0.2.*", "192.0.2.7", True),
        ("ip:192.0.2.*", "", False),
        ("ip:2001:db8::/32", "2001:db8:1::/64", True),
        ("ip:2001:db8::/32", "192.0.2.7", False),
        ("ip:2001:db8:*", "2001:db8:1::/64", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.*", "192.0.2.7", False),
        ("*", "192.0.2.7", False),
        ("", "", False),
    ],
)
def test_whether_an_address_is_meant(host: str, address: str, means: bool) -> None:
    assert has_address(host, address) is means


def test_an_account_is_meant_by_its_name() -> None:
    assert [whole_mask(mask) for mask in ("a:Bee3", "~a:Bee3", "m:a:x", "~m:~a:x", "M:~A:x", "A:Bee3")] == [
        "a:Bee3", "a:Bee3", "m:a:x", "m:a:x", "m:a:x", "a:Bee3"
    ]  # fmt: skip
    mask = by_cloak("a:bee3", str, False)
    assert mask == shown(mask) == "a:bee3"
    owner, guest = Viewer(mask="Bee3!~user@x1.account"), Viewer(mask="Bee3!~bee@home.nc")
    assert [read_target(mask).means(one) for one in (owner, guest)] == [True, False]
    assert not read_target("a:bo*").means(owner) and read_target("a:b*").means(owner)
