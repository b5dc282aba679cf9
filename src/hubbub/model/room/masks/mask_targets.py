"""Match the origin of a user: masks name a cloak, never an address that other users could guess by trying.

When an operator of a room types a whole address, its cloak is banned. Only operators of the server can set masks of
networks, and addresses with wildcards: such a mask is stored as `nick!user@ip:PATTERN`, and other users are shown
`ip:*` in its place.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hubbub.model.accounts.account import is_account
from hubbub.model.room.masks.masks import ACCOUNT, NOBODY, Mask, read_mask
from hubbub.text import refusals
from hubbub.text.cleaning import fold_text

if TYPE_CHECKING:
    from hubbub.model.viewer import Viewer

IP = "ip:"  # prefix of the host in a mask of addresses
_HIDDEN = f"{IP}*"
# Groups of digits as in an IPv4 address, or hexadecimal ones as in IPv6, with wildcards or a prefix length: not a
# cloak.
_PATTERN = r"(?i)(?=.*\d)[\d*?]{1,3}(\.[\d*?]{1,3}){1,3}(/\d{1,2})?|[0-9a-f*?]*:[0-9a-f:.*?]*(/\d{1,3})?"
_ALL = ("*", "*.*", "*:*")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def one_address(text: str) -> str | None:
    """Return the address that a text names, in the form in which it is counted: for IPv6, the /64 of a household.

    Return None if the text is not a whole address, or is a larger network.
    """
    network = _network(text)
    if network is None or network.prefixlen < (32 if network.version == 4 else 64):
        return None
    if isinstance(network, ipaddress.IPv4Network):
        return str(network.network_address)
    if mapped := network.network_address.ipv4_mapped:
        return str(mapped)
    return str(network.supernet(new_prefix=64))


def is_pattern(host: str) -> bool:
    """Return whether the host of a mask matches several addresses."""
    return host not in _ALL and re.fullmatch(_PATTERN, host) is not None


@lru_cache(256)
def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None


def by_cloak(mask: str, cloak: Callable[[str], str], of_server: bool) -> str:
    """Return a mask as it is stored.

    Args:
        mask: `nick!user@host`, as it was typed, or the name of an account after ACCOUNT.
        cloak: returns the cloak of an address.
        of_server: whether an operator of the server typed it.

    Raises:
        Refused: the mask matches several addresses, and only operators of the server may set such a mask.

    """
    if mask.startswith(ACCOUNT):
        return mask
    who, _, host = mask.rpartition("@")
    if address := one_address(host):
        return f"{who}@{cloak(address)}.*"
    if not host.startswith(IP) and not is_pattern(host):
        return mask
    if not of_server:
        raise refusals.NETWORK_MASK()
    return f"{who}@{IP}{host.removeprefix(IP)}"


def shown(mask: str) -> str:
    """Return a mask without its addresses, as it is shown to users who are not operators of the server."""
    who, at, host = mask.rpartition("@")
    return f"{who}{at}{_HIDDEN}" if host.startswith(IP) or one_address(host) else mask


class MaskTarget(NamedTuple):
    """The users whom a mask of a list matches."""

    whole: Mask  # matched against name and cloak
    who: Mask  # `nick!user` of a mask whose host is an address
    host: str  # of such a mask; "" of others
    account: Mask | None = None  # matched against the names of accounts, instead of all that

    def means(self, viewer: Viewer) -> bool:
        """Return whether the mask matches a user; the name of an account is the nick of its owner."""
        if self.account:
            nick, _, host = viewer.mask.partition("!")
            return is_account(host) and self.account.matches([fold_text(nick)])
        if self.host and has_address(self.host, viewer.address):
            return self.who.matches([fold_text(viewer.mask.rpartition("@")[0])])
        return self.whole.matches([fold_text(viewer.mask)])


def read_target(mask: str) -> MaskTarget:
    """Return the target of a mask, from which the MUTE prefix was removed."""
    if mask.startswith(ACCOUNT):
        return MaskTarget(read_mask(mask), NOBODY, "", read_mask(mask.removeprefix(ACCOUNT)))
    who, _, host = mask.rpartition("@")
    by_address = host.startswith(IP) or one_address(host) is not None
    return MaskTarget(read_mask(mask), read_mask(who) if by_address else NOBODY, host if by_address else "")


def has_address(host: str, address: str) -> bool:
    """Return whether the host of a mask matches an address.

    A host without the prefix IP comes from an older log, and matches only the exact address that it names.
    """
    if not host.startswith(IP):
        return bool(address) and host == address
    pattern = host.removeprefix(IP)
    network, own = _network(pattern), _network(address)
    if network and own and network.version == own.version:
        return own.subnet_of(network)  # type: ignore[arg-type]
    return bool(address) and read_mask(pattern).matches([address])
