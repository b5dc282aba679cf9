"""Grants: the permissions that a token of a program, or a cookie of a browser, gives its bearer."""

from __future__ import annotations

from msgspec import Struct, structs

SCOPES = ("read", "say", "private", "admin")


class Grant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The stored part of a token or a cookie under the hash of its secret.

    Args:
        account: the id of the account that it stands for.
        created: epoch seconds.
        expires: epoch seconds from which on it is void; 0 for never.
        name: how its owner calls it: a program for a token, a browser for a cookie.
        scopes: the allowed ones of SCOPES; a cookie allows everything.
        rooms: the rooms that it is limited to; empty for all.

    """

    account: str = ""
    created: float = 0.0
    expires: float = 0.0
    name: str = ""
    scopes: tuple[str, ...] = SCOPES
    rooms: tuple[str, ...] = ()


class Permit(Struct, frozen=True):
    """The permissions of a login: all of its account, or only those for which a token is.

    Args:
        scopes: the allowed ones of SCOPES.
        rooms: the names of the rooms that it is limited to; empty for all.

    """

    scopes: tuple[str, ...] = SCOPES
    rooms: frozenset[str] = frozenset()

    @property
    def reads_private(self) -> bool:
        """Whether it allows to read stored private messages; one that is limited to rooms does not."""
        return "private" in self.scopes and not self.rooms

    @property
    def is_limited(self) -> bool:
        """Whether it gives neither the rights of a server operator nor any over the account."""
        return "admin" not in self.scopes

    def opens(self, room: str) -> bool:
        """Return whether it allows to be in a room, which is to read it."""
        return "read" in self.scopes and (not self.rooms or room in self.rooms)


EVERYTHING = Permit()


def with_admin(permit: Permit) -> Permit:
    """Return a permit that also gives the rights of a server operator."""
    return structs.replace(permit, scopes=(*permit.scopes, "admin")) if permit.is_limited else permit


class Granted(Struct, frozen=True):
    """A token or cookie in a list: its id, which is no secret, and the grant."""

    id: str
    grant: Grant
