"""Text from outside, made safe for every terminal. The only place that knows what is unsafe."""

import re
import unicodedata

import regex

from hubbub.core import bounds
from hubbub.errors import Refused

# Whole escape sequences (ECMA-48): strings (DCS, SOS, OSC, PM, APC) with their content up to BEL or ST or
# the end, then CSI, SS2/SS3 with the character they shift, nF escapes, and the two-character ones. Each also
# in its one-character C1 form.
_ESCAPES = re.compile(
    r"(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|\Z)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[NO]|[\x8e\x8f])[ -~]?"
    r"|\x1b[ -/]+[0-~]?"
    r"|\x1b[0-~]?",
    re.DOTALL,
)
SHOWN = 60  # characters of a message by which its sender knows it
_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # embeddings, overrides, isolates (UAX #9)
_ODD = [0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB, 0x206A, 0x206B, 0x206C, 0x206D, 0x206E, 0x206F]  # BOM, annotations
_MAP: dict[int, str | None] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *_BIDI, *_ODD]),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),  # lone surrogates cannot be encoded
    0x09: " ",
    0x2028: " ",  # line and paragraph separators end a line in a browser
    0x2029: " ",
}


def clean(text: str) -> str:
    """Return `text` without what could move a cursor, ring, recolour, reorder or forge a line.

    Whole escape sequences go, then C0 and C1 controls (a tab becomes a space) and bidi overrides and
    isolates. What is left is one line of printable text; cleaning it again changes nothing.
    """
    if text.isprintable():  # nearly always; answers in nanoseconds
        return text
    return _ESCAPES.sub("", text).translate(_MAP)


def clean_lines(text: str) -> str:
    """Return `text` with each of its lines clean, and no empty ones around them: a message of several lines."""
    if text.isprintable():
        return text.strip()
    lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)
    return "\n".join(clean(line).rstrip() for line in lines).strip()


def clean_exactly(text: str) -> str:
    """Return the same with all spaces and empty lines as they are."""
    if text.isprintable():
        return text
    return "\n".join(clean(line) for line in re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text))


def beginning(text: str) -> str:
    """Return as much of a message as its sender needs to know it: of its first line, SHOWN characters."""
    line = text.partition("\n")[0]
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


_CLUSTER = regex.compile(r"\X")  # a character as people see it (UAX #29)


def cut(text: str, size: int) -> str:
    """Return as much of a text as fits in `size` bytes of UTF-8, in whole characters as people see them."""
    data = text.encode("utf-8", "replace")
    if len(data) <= size:
        return text
    head = data[:size].decode("utf-8", "ignore")
    end = len(head)
    if text[: end + 1].isascii():
        return head
    clusters = _CLUSTER.finditer(text[: end + 1])  # one character more: it may belong to the last cluster that fits
    last = max((cluster.end() for cluster in clusters if cluster.end() <= end), default=0)
    return text[:last] if last else head


def reason_of(text: str) -> str:
    """Return why somebody leaves, is kicked and the like, clean and cut to its bound."""
    return cut(clean(text).strip(), bounds.REASON_BYTES)


_RUN = regex.compile(r"[\p{Mn}\p{Me}\p{Mc}]{9,}")


def fold(text: str) -> str:
    """Return the form in which names are compared: NFKC, without case (Unicode's caseless match, D146).

    Raises:
        Refused: `too-long`: more than FOLDED_CHARS. Normalising is quadratic in the length of a run of marks.

    """
    if len(text) > bounds.FOLDED_CHARS:
        raise Refused("too-long", f"A name has at most {bounds.NAME_CHARS} characters.")
    return _fold(text)


def fold_text(text: str) -> str:
    """Return the same of a text of any length: runs of marks are cut, so that this takes linear time."""
    return _fold(text if text.isascii() else _RUN.sub(lambda run: run[0][:8], text))


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)
