"""Notifications: which addresses are taken and reached, in which hours, and what is sent."""

from __future__ import annotations

import ipaddress

import pytest

from hubbub.model.notices.push import Push, is_address, is_gotify, is_number, is_quiet, made, may_reach

PRIVATE = [ipaddress.ip_network("10.0.0.0/8")]


@pytest.mark.parametrize("url", ["https://ntfy.sh/ann", "http://10.0.0.2:8080/ann", "https://[::1]/x?a=b"])
def test_addresses(url: str) -> None:
    assert is_address(url, encrypted_only=False)
    assert is_address(url, encrypted_only=True) == url.startswith("https:")


@pytest.mark.parametrize(
    "url", ["", "ntfy.sh/ann", "ftp://ntfy.sh/x", "https://", "https://a:b@ntfy.sh/x", "https://[::1/x", "https://a:x/",
            "https://nt fy\t.sh", "https://ntfy.sh/ä"],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    assert not is_address(url, encrypted_only=False)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1",
     "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "ff02::1",
     "2001:0:1::1", "::127.0.0.1", "fec0::1", "64:ff9b:1::7f00:1", "::ffff:0:127.0.0.1", "4000::1"],
)  # fmt: skip
def test_address_that_may_not_be_reached(address: str) -> None:
    assert not may_reach(address, True, ())


def test_address_that_may_be_reached() -> None:
    assert may_reach("9.9.9.9", True, ()) and may_reach("2620:fe::9", True, PRIVATE)
    assert may_reach("64:ff9b::909:909", True, ())
    assert not may_reach("9.9.9.9", False, PRIVATE) and not may_reach("192.168.1.1", True, PRIVATE)
    assert may_reach("10.1.2.3", False, PRIVATE) and may_reach("::ffff:10.1.2.3", True, PRIVATE)
    with pytest.raises(ValueError):
        may_reach("localhost", True, ())


def test_old_forms_of_addresses_are_no_names() -> None:
    numbers = ["127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "::1", "fe80::1%lo"]
    assert [host for host in numbers if not is_number(host)] == []
    assert not is_number("ntfy.sh") and not is_number("") and not is_number("1.ntfy.sh")
    with pytest.raises(ValueError):
        may_reach("127.1", True, ())


def test_quiet_hours() -> None:
    night = [hour for hour in range(24) if is_quiet((22, 7), hour)]
    assert night == [*range(7), 22, 23] and [hour for hour in range(24) if is_quiet((9, 11), hour)] == [9, 10]
    assert not is_quiet(None, 3)


def test_what_is_sent() -> None:
    page = "http://chat:8888/"
    assert made("Bo", "ops", "@ann\n  tea?", page) == Push("Bo in ops", "@ann tea?", "http://chat:8888/#ops")
    assert made("Bo", "", "x" * 200, page) == Push("Bo (private)", "x" * 100, page)
    assert made("Bo", "büro", "hi", "").click == "" and made("Bo", "büro", "hi", page).click.endswith("#b%C3%BCro")
    assert is_gotify("https://g/message?token=A") and not is_gotify("https://ntfy.sh/message")
