"""Where people come from, as masks name it: by cloak, and never by an address that others could find out by asking.

An operator of a room who types a whole address bans the cloak that belongs to it. Masks of networks, and addresses with
stars in them, are for operators of the server alone: such a mask is stored as `nick!user@ip:PATTERN`, and others are
shown `ip:*` in its place.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hubbub.core.masks import NOBODY, Mask, read_mask
from hubbub.core.text import fold_text
from hubbub.errors import Refused

if TYPE_CHECKING:
    from hubbub.core.viewer import Viewer

IP = "ip:"  # begins the host of a mask that means addresses
_HIDDEN = f"{IP}*"
# Digits in groups as in an IPv4 address, or hexadecimal ones as in IPv6, with stars or a prefix: not a cloak.
_PATTERN = re.compile(
    r"(?=.*\d)[\d*?]{1,3}(\.[\d*?]{1,3}){1,3}(/\d{1,2})?|[0-9a-f*?]*:[0-9a-f:.*?]*(/\d{1,3})?", re.IGNORECASE
)
_ALL = ("*", "*.*", "*:*")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def one_address(text: str) -> str | None:
    """Return what counts as one address, if a text is a whole one: of IPv6, the /64 that a household has."""
    network = _network(text)
    if network is None or network.prefixlen < (32 if network.version == 4 else 64):
        return None
    if isinstance(network, ipaddress.IPv4Network):
        return str(network.network_address)
    if mapped := network.network_address.ipv4_mapped:
        return str(mapped)
    return str(network.supernet(new_prefix=64))


def is_pattern(host: str) -> bool:
    """Return whether the host of a mask means several addresses."""
    return host not in _ALL and _PATTERN.fullmatch(host) is not None


@lru_cache(256)
def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None


def by_cloak(mask: str, cloak: Callable[[str], str], of_server: bool) -> str:
    """Return a mask as it is stored.

    Args:
        mask: `nick!user@host`, as it was typed.
        cloak: returns the cloak of an address.
        of_server: whether it was typed by an operator of the server.

    Raises:
        Refused: it means addresses, and only operators of the server may set such a mask.

    """
    who, _, host = mask.rpartition("@")
    if address := one_address(host):
        return f"{who}@{cloak(address)}.*"
    if not host.startswith(IP) and not is_pattern(host):
        return mask
    if not of_server:
        text = "Only operators of the server ban networks; type a whole address, a cloak or a name."
        raise Refused("bad-value", text)
    return f"{who}@{IP}{host.removeprefix(IP)}"


def shown(mask: str) -> str:
    """Return a mask without the addresses in it, as it is shown to people who do not run the server."""
    who, at, host = mask.rpartition("@")
    return f"{who}{at}{_HIDDEN}" if host.startswith(IP) or one_address(host) else mask


class MaskTarget(NamedTuple):
    """Whom a mask of a list means."""

    whole: Mask  # by name and cloak
    who: Mask  # `nick!user` of a mask whose host is an address
    host: str  # of such a mask; "" of others

    def means(self, viewer: Viewer) -> bool:
        """Return whether that is somebody."""
        if self.host and has_address(self.host, viewer.address):
            return self.who.matches([fold_text(viewer.mask.rpartition("@")[0])])
        return self.whole.matches([fold_text(viewer.mask)])


def read_target(mask: str) -> MaskTarget:
    """Return whom a mask means; the MUTE before it is gone."""
    who, _, host = mask.rpartition("@")
    by_address = host.startswith(IP) or one_address(host) is not None
    return MaskTarget(read_mask(mask), read_mask(who) if by_address else NOBODY, host if by_address else "")


def has_address(host: str, address: str) -> bool:
    """Return whether the host of a mask means an address.

    Without IP before it, it is of an older log, and means the very address that it names.
    """
    if not host.startswith(IP):
        return bool(address) and host == address
    pattern = host.removeprefix(IP)
    network, own = _network(pattern), _network(address)
    if network and own and network.version == own.version:
        return own.subnet_of(network)  # type: ignore[arg-type]
    return bool(address) and read_mask(pattern).matches([address])
