"""What a client prefers to be sent, and in which charset it writes: the headers of RFC 9110, sections 8 and 12."""

from __future__ import annotations

from collections.abc import Sequence

MAX_RANGES = 64  # media ranges of an Accept header that are looked at

# The charsets that are decoded, by their names in HTTP: those of the browsers' encoding standard. Python knows more
# codecs, some of which are no charsets; and it remembers each name that it does not know for ever.
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
    """Return the one of the offered media types that a client likes best.

    The quality decides, then which of them the header names more exactly. The first one is returned when neither
    does, or when the client accepts none of them.

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
    """Return a media range, how exact it is (2: one type, 1: all of a kind, 0: everything), and its quality."""
    name, *parameters = (part.strip() for part in text.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            quality = _quality(value.strip())
    return name, 0 if name == "*/*" else 1 if name.endswith("/*") else 2, quality


def _quality(text: str) -> float:
    """Return a quality from 0 to 1; 0 for what is none."""
    digits = text.replace(".", "", 1)
    return min(1.0, float(text)) if digits.isascii() and digits.isdecimal() and len(text) < 8 else 0.0


def _fits(name: str, kind: str) -> bool:
    return name in ("*/*", kind) or (name.endswith("/*") and kind.startswith(name[:-1]))


def decode(body: bytes, charset: str) -> str | None:
    """Return a body's text, with U+FFFD for what the charset does not have; None if the charset is not known."""
    codec = CHARSETS.get(charset.strip().lower())
    return None if codec is None else body.decode(codec, "replace")
