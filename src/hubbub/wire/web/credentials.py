"""The credentials in the headers of an HTTP request."""

from __future__ import annotations


def token_of(authorization: str) -> str | None:
    """Return the token in an Authorization header (RFC 6750); None if the header has another scheme.

    Proxies pass on the passwords of their own users in this header; these are no concern of this server.
    """
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
