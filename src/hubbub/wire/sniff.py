"""Recognise the wire that a peer speaks from the first line that it sends.

Only bytes that no person types at a prompt select another wire than lines: a name has no space, so a line with a space
can be judged by its words. A single word may be a name: in capitals it comes from a program, `Nick` comes from a
person.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache

from hubbub.text.names import GREETINGS

PEEK = 1024  # bytes of a first line that are read
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"


class Wire(StrEnum):
    """The wire of a peer, or its protocol."""

    LINE = "line"
    TELNET = "telnet"  # the same on an address for telnet alone; no first bytes tell of it
    HTTP = "http"
    TLS = "tls"
    PROXY = "proxy"
    IRC = "irc"
    SSH = "ssh"
    OTHER = "other"  # any protocol that this server does not speak


_METHODS = "GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE"
# The commands that register an IRC client, and those that clients send before by habit or mistake.
_VERBS = "CAP|NICK|PASS|USER|STARTTLS|WEBIRC|AUTHENTICATE|PING|QUIT|JOIN"
_MORE_VERBS = "PONG|MODE|WHO|WHOIS|PRIVMSG|NOTICE|PROTOCTL|SERVER|OPER|AWAY|LIST|NAMES|MOTD|ISON|USERHOST"
_WORDS = "|".join(sorted(GREETINGS))


def _line(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.DOTALL)


_CONTROLS = rb"\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f"  # without ESC, with which keys begin
# Patterns for the first bytes, tried in this order, that decide before a line is complete.
_STARTS = (
    (re.compile(rb"\x16\x03"), Wire.TLS),
    (re.compile(rb"PROXY "), Wire.PROXY),
    (re.compile(re.escape(PROXY_V2)), Wire.PROXY),
    (re.compile(rb"[\r\n]*<(?:\?xml|stream:|policy-file)"), Wire.OTHER),
    # Binary protocols: control bytes that no person types together, with or without text. UTF-16 is text.
    (re.compile(rb"\x00[\x00-\x07\x0b\x0c\x0e-\x1f]"), Wire.OTHER),
    (re.compile(rb"[\x01\x03-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f][^\x00-\x1f\x7f]{0,4}[%b]" % _CONTROLS), Wire.OTHER),
    (re.compile(rb"[0-9\x80-\xfd][^\x00-\x1f\x7f]{0,5}[\x01\x02\x05\x06\x0b\x0c\x0e\x0f]"), Wire.OTHER),
    (re.compile(rb"[A-Z]{3,5}\x00|\x13BitTorrent"), Wire.OTHER),
)
# Data that matches may become a program's first line; any other byte comes from a person or a device.
_PLAIN = re.compile(rb"[A-Za-z0-9:@*$<%b\x80-\xfd][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*" % _CONTROLS)
_LONG = re.compile(rf"(?:{_METHODS}) ".encode())
_TYPED = re.compile(rb"[A-Z]?[a-z]+(?:\r\n|\n|\r)")


@cache
def _lines() -> tuple[tuple[re.Pattern[bytes], Wire], ...]:
    """Return patterns for the whole first line, without its end: the first one that matches decides.

    They are compiled for the first peer, so that the server starts sooner.
    """
    return (
        # Other protocols with similar lines (RTSP/1.0, SIP/2.0, HTTP/2.0) understand HTTP's refusal.
        (_line(r"[A-Za-z-]+ .*[A-Z]/[0-9]\.[0-9] *"), Wire.HTTP),
        (_line(rf"(?:@\S* +)?(?::\S* +)?(?:{_VERBS}|{_MORE_VERBS}|{_VERBS.lower()})(?: .*)?"), Wire.IRC),
        (_line(r"SSH-[0-9].*"), Wire.SSH),
        (_line(rf"(?:{_METHODS})(?: .*)?"), Wire.OTHER),
        (_line(r"(?:EHLO|HELO|LHLO|ehlo|helo|lhlo) .*"), Wire.OTHER),  # mail
        (_line(rf"{_WORDS}|{_WORDS.upper()}"), Wire.OTHER),
        (_line(r"[*$][0-9]+"), Wire.OTHER),  # Redis
        (_line(r"\S+ (?:CAPABILITY|LOGOUT|NOOP|STARTTLS)"), Wire.OTHER),  # IMAP
        (_line(r"\x01\S+"), Wire.OTHER),  # line printers
    )


def sniff(data: bytes) -> Wire | None:
    """Return the wire of a peer that began with `data`; None if it is still undecided.

    The answer never changes with more bytes, so it does not depend on where the network cut them.

    Args:
        data: the bytes received so far; PEEK bytes always decide.

    """
    for start, wire in _STARTS:
        if start.match(data):
            return wire
    if PROXY_V2.startswith(data) or not (said := data.lstrip(b"\r\n")):
        return None
    line = re.split(rb"[\r\n]", said, maxsplit=1)
    if not (_PLAIN.fullmatch(line[0]) or _LONG.match(said)):
        return Wire.LINE
    if len(line) > 1:
        return next((wire for pattern, wire in _lines() if pattern.fullmatch(line[0])), Wire.LINE)
    if len(data) < PEEK:
        return None
    return Wire.HTTP if _LONG.match(said) else Wire.LINE


def may_be_typed(data: bytes) -> bool:
    """Return whether a person may have typed a line that `sniff` assigns to a program: one word, not in capitals."""
    return _TYPED.fullmatch(data) is not None
