"""The credentials of HTTP requests: tokens, cookies, and the bodies of the page's requests about accounts."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from hubbub.model.accounts.grants import SCOPES
from hubbub.text.bounds import FOLDED_CHARS
from hubbub.text.cleaning import SHOWN
from hubbub.text.concealed import concealed
from hubbub.wire.web.site import host_name

MAX_COOKIE = 300  # characters
MAX_CREDENTIALS = 4096  # bytes of a body with credentials
BROWSER_SECONDS = 365 * 24 * 3600.0  # after which a browser loses its token
LISTED = 64  # sessions or tokens that can be ended at once
TOKEN_ROOMS = 50  # rooms that a token can be limited to
TOKEN_DAYS = 36_500
QR_CHARS = 300  # of the text of a QR code

T = TypeVar("T", bound=Struct)
Name = Annotated[str, Meta(max_length=FOLDED_CHARS)]
Resume = Annotated[str, Meta(max_length=64)]


class Credentials(Struct):
    """The body of a login or registration.

    `secret` is the new password, or a password or code; `code` is an invitation; `resume` is the secret of the page's
    session in the chat, which is logged in too.
    """

    secret: str
    name: Name = ""
    code: str = ""
    resume: Resume = ""

    __repr__ = concealed


class TranscriptWanted(Struct):
    """The room whose transcript the page wants, its form, and the secret of the page's session in the chat."""

    resume: Resume
    room: Name
    format: Literal["html", "markdown", "text"] = "html"

    __repr__ = concealed


class Closing(Struct):
    """The closing of an account: its password or a code, and whether all that was said with it is deleted as well."""

    secret: str
    take_back: bool = False

    __repr__ = concealed


class Endings(Struct):
    """The ids of sessions and browsers that are to be logged out, or of tokens that are to be ended."""

    ids: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=LISTED)]


class TokenWanted(Struct):
    """A token that is to be made, as by `hubbub token add`; 0 days: it does not expire."""

    name: Annotated[str, Meta(max_length=SHOWN)] = ""
    scopes: Annotated[list[Literal["read", "say", "private", "admin"]], Meta(max_length=len(SCOPES))] = []
    rooms: Annotated[list[Name], Meta(max_length=TOKEN_ROOMS)] = []
    days: Annotated[float, Meta(ge=0, le=TOKEN_DAYS)] = 0.0


class QrWanted(Struct):
    """The text of a QR code."""

    text: Annotated[str, Meta(min_length=1, max_length=QR_CHARS)]


class Nothing(Struct):
    """A body that says nothing."""


class QrPath(Struct):
    """A QR code: the path of its dark parts in a picture that is `size` wide and high."""

    size: int
    path: str


class LinkCode(Struct):
    """A code for another device; `page`: the address at which that reaches the page, "" for that of the request."""

    code: str
    page: str

    __repr__ = concealed


class ListedToken(Struct):
    """A token in a list; its times are in epoch seconds, and 0 means that it does not expire."""

    id: str
    name: str
    created: float
    expires: float
    scopes: tuple[str, ...]
    rooms: tuple[str, ...]


class AccountTokens(Struct):
    """The tokens of an account. `made`: the new one, which is shown only now; else ""."""

    tokens: list[ListedToken]
    made: str = ""

    __repr__ = concealed


class ListedKey(Struct):
    """An ssh key in a list: its fingerprint, its algorithm and the time at which it was added, in epoch seconds."""

    id: str
    kind: str
    added: float


class AccountKeys(Struct):
    """The ssh keys of an account."""

    keys: list[ListedKey]


class AccountInfo(Struct):
    """The account of a request, "" for none, and the server's rules for newcomers."""

    name: str
    registration: str
    guests: str


class LoggedInBrowser(Struct):
    """A browser with a cookie. `created` is in epoch seconds; `current`: the request comes from it."""

    id: str
    name: str
    created: float
    current: bool


class OpenSession(Struct):
    """A session in the chat, its wire, and the name of its node; "" if all are on one node."""

    id: str
    wire: str
    node: str = ""


class AccountSessions(Struct):
    """The browsers that are logged in to an account, and the sessions that are in the chat, on all nodes."""

    browsers: list[LoggedInBrowser]
    sessions: list[OpenSession]


def token_of(authorization: str) -> str | None:
    """Return the token in an Authorization header (RFC 6750); None if the header has another scheme.

    Proxies pass on the passwords of their own users in this header; these are no concern of this server.
    """
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def read_body(body: bytes, kind: type[T]) -> T | None:
    """Return the content of a JSON body; None if it is not of this kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def cookie_name(host: str) -> str:
    """Return the name of the cookie for a Host header. Browsers send cookies to all ports of a host."""
    port = host.strip()[len(host_name(host)) :].rpartition(":")[2]
    return f"hubbub-{port}" if port.isascii() and port.isdecimal() else "hubbub"


def set_cookie(name: str, value: str, seconds: float, secure: bool) -> str:
    """Return a Set-Cookie header that no script and no other site can use; with 0 seconds it removes the cookie."""
    parts = [f"{name}={value}", "Path=/", f"Max-Age={seconds:.0f}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, "Secure"] if secure else parts)


def browser_cookie(host: str) -> str:
    """Return the name of the cookie that holds the token of a browser, for a Host header."""
    return f"{cookie_name(host)}-browser"


def is_browser_token(value: str) -> bool:
    """Return whether a cookie holds a token that this server may have given."""
    return _BROWSER_TOKEN.fullmatch(value) is not None


_BROWSER_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")  # 24 random bytes in base64
# Parts of User-Agent headers, the more special ones first: most browsers name others, too.
_BROWSERS = (("Firefox", "Firefox"), ("Edg", "Edge"), ("OPR/", "Opera"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("Linux", "Linux"),
)


def browser_name(agent: str) -> str:
    """Return how a browser is called in a list, such as "Firefox on Linux", by its User-Agent header."""
    browser = next((name for part, name in _BROWSERS if part in agent), "A browser")
    system = next((name for part, name in _SYSTEMS if part in agent), "")
    return f"{browser} on {system}" if system else browser
