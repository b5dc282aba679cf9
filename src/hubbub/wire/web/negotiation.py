"""The media type that a client prefers, and the charset of its text: the headers of RFC 9110, sections 8 and 12."""

from __future__ import annotations

from collections.abc import Sequence

MAX_RANGES = 64  # media ranges of an Accept header that are read

# The supported charsets by their names in HTTP: those of the browsers' encoding standard. Python has more codecs, but
# some of them are not charsets, and Python remembers each unknown name for ever.
CHARSETS = {
    **{name: "utf-8" for name in ("", "utf-8", "utf8", "us-ascii", "ascii")},
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (*range(1, 12), 13, 14, 15, 16)},
    **{f"windows-{page}": f"cp{page}" for page in (874, *range(1250, 1259))},
    **{name: "iso8859-1" for name in ("latin1", "latin-1", "iso8859-1", "iso_8859-1")},
    **{name: name for name in ("utf-16", "utf-16le", "utf-16be", "koi8-r", "koi8-u", "gbk", "gb2312", "gb18030")},
    **{name: name for name in ("big5", "euc-jp", "euc-kr", "shift_jis", "iso-2022-jp")},
    "ibm866": "cp866",
    "macintosh": "mac-roman",
}


def preferred(accept: str, offered: Sequence[str]) -> str:
    """Return the offered media type that a client prefers.

    The quality decides, then how exactly the header names a type. The first type is returned if neither decides, or if
    the client accepts none of them.

    Args:
        accept: the value of the Accept header; "" if there is none.
        offered: media types in lower case, at least one.

    """
    ranges = [_range(text) for text in accept.lower().split(",", MAX_RANGES)[:MAX_RANGES]]

    def rank(kind: str) -> tuple[float, int]:
        fitting = [(exact, quality) for name, exact, quality in ranges if _fits(name, kind)]
        exact, quality = max(fitting, default=(0, 0.0))
        return (quality, exact) if quality else (0.0, 0)

    return max(offered, key=rank)


def _range(text: str) -> tuple[str, int, float]:
    """Return a media range, its exactness (2: one type, 1: all types of a kind, 0: any type), and its quality."""
    name, *parameters = (part.strip() for part in text.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            quality = _quality(value.strip())
    return name, 0 if name == "*/*" else 1 if name.endswith("/*") else 2, quality


def _quality(text: str) -> float:
    """Return a quality from 0 to 1; 0 if the text is invalid."""
    digits = text.replace(".", "", 1)
    return min(1.0, float(text)) if digits.isascii() and digits.isdecimal() and len(text) < 8 else 0.0


def _fits(name: str, kind: str) -> bool:
    return name in ("*/*", kind) or (name.endswith("/*") and kind.startswith(name[:-1]))


def decode(body: bytes, charset: str) -> str | None:
    """Return a body's text, with U+FFFD for invalid bytes; None if the charset is not supported."""
    codec = CHARSETS.get(charset.strip().lower())
    return None if codec is None else body.decode(codec, "replace")
