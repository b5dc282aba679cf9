"""Grants: the permissions that a token of a program, or a cookie of a browser, gives its bearer."""

from __future__ import annotations

from msgspec import Struct

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


class Granted(Struct, frozen=True):
    """A token or cookie in a list: its id, which is no secret, and the grant."""

    id: str
    grant: Grant
