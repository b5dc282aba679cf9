"""Make text from outside safe for every terminal. Only this module knows which text is unsafe."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from hubbub.text import bounds, formatting, refusals
from hubbub.text.formatting import PLACE, Code
from hubbub.text.patterns import pattern

if TYPE_CHECKING:
    import regex

SHOWN = 60  # characters of a message that let its sender recognise it

# Whole escape sequences (ECMA-48): strings (DCS, SOS, OSC, PM, APC) with their content up to BEL or ST or the end, then
# CSI, SS2/SS3 with the character they shift, nF escapes, and the two-character ones. Each also in its one-character C1
# form.
_ESCAPES = re.compile(
    r"(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|\Z)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[NO]|[\x8e\x8f])[ -~]?"
    r"|\x1b[ -/]+[0-~]?"
    r"|\x1b[0-~]?",
    re.DOTALL,
)
_FRAME = re.compile(r"\A\x02[ \t]+(?=[^\x02]*\Z)")  # how a scale begins its output (STX): no indentation
_NEWLINE = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # embeddings, overrides, isolates (UAX #9)
_ODD = [*range(0xFFF9, 0xFFFC), *range(0xFDD0, 0xFDF0)]  # interlinear annotations, noncharacters
_MAP: dict[int, str | None] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *_BIDI, *_ODD]),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),  # lone surrogates cannot be encoded
    0x09: "\t",
    ord(PLACE): PLACE,
    0x2028: " ",  # line and paragraph separators end a line in a browser
    0x2029: " ",
}

# Invisible characters (Unicode's Default_Ignorable_Code_Point) could hide words from people and show them to programs.
# Some of them change how their neighbours look, and are kept beside those: variation selectors after an emoji, joiners
# within words and emoji, Mongolian's own selectors, and tags in the flags of England, Scotland and Wales.
_HIDDEN = pattern(
    r"(?<=\p{Emoji})[\ufe0e\ufe0f](*SKIP)(*FAIL)"
    r"|(?<=[\u1820-\u18aa])[\u180b-\u180f](*SKIP)(*FAIL)"
    r"|(?<=\U0001f3f4)\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074"
    r"|\U000e0077\U000e006c\U000e0073)\U000e007f(*SKIP)(*FAIL)"
    r"|[\u200c\u200d](*SKIP)(*FAIL)"
    r"|\p{DI}"
)
# Marks that are drawn over, under or through their neighbours. Each further one would be drawn further from the line.
_MARK = r"[[\p{Mn}\p{Me}]||\P{ccc=0}]"
STACK = pattern(rf"(?V1)(?:{_MARK}[\u200c\u200d{PLACE}]*){{{bounds.MARKS_IN_ROW + 1},}}")
_IS_MARK = pattern(f"(?V1){_MARK}")
# Joiners have an effect only between letters, after a sign that kills a vowel, after an Arabic letter, and in an emoji.
_JOINER = pattern(
    r"(?<=[\p{L}\p{M}])[\u200c\u200d](?=[\p{L}\p{M}])(*SKIP)(*FAIL)"
    r"|(?<=[\p{ccc=9}\p{Arabic}])\u200d(*SKIP)(*FAIL)"
    r"|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])\u200d(?=\p{Extended_Pictographic})(*SKIP)(*FAIL)"
    r"|[\u200c\u200d]"
)
# The first combining mark and all later characters; Latin letters with accents come before them.
_FROM_MARKS_ON = pattern("[\u0300-\U0010ffff]")
_ODD_ONES = pattern(rf"(?V1)\p{{DI}}|{_MARK}{{{bounds.MARKS_IN_ROW + 1}}}")
_INK = pattern(r"[^\s\u2800\U0001d159\U00016fe4]")  # all but spaces and blank signs such as Braille's
_CLUSTER = pattern(r"\X")  # a character as people see it (UAX #29)


def is_plain(text: str) -> bool:
    """Return whether a text of one line is clean already: the usual case, with a fast check."""
    return text.isprintable() and (text.isascii() or not (_FROM_MARKS_ON().search(text) and _ODD_ONES().search(text)))


def _unstack(run: regex.Match[str]) -> str:
    """Return a run of marks cut to MARKS_IN_ROW."""
    left = bounds.MARKS_IN_ROW
    kept = []
    for char in run[0]:
        if char == PLACE:
            kept.append(char)
        elif left:
            kept.append(char)
            left -= _IS_MARK().match(char) is not None
    return "".join(kept)


def _tidy(line: str) -> str:
    """Return a line, already without escape sequences, as it is shown; tabs and PLACE stay in it."""
    text = line.translate(_MAP)
    if text.isascii():
        return text
    return _JOINER().sub("", STACK().sub(_unstack, _HIDDEN().sub("", text)))


def clean(text: str) -> str:
    """Return `text` without anything that could move a cursor, ring, recolour, reorder, hide or forge a line.

    It removes whole escape sequences and IRC's formatting, then C0 and C1 controls (a tab becomes a space), bidi marks,
    invisible characters, and marks stacked on marks. The result is one line; cleaning it again changes nothing.
    """
    if is_plain(text):
        return text
    return _tidy(formatting.strip(_ESCAPES.sub("", text))).replace("\t", " ")


def typed(piece: str) -> str:
    """Return a piece of a text that is being typed or pasted, without what could move a cursor or reorder the line.

    Tabs and line feeds stay. Invisible characters stay, too: whether one is useful depends on its neighbours, which may
    be in the next piece. `said` cleans the whole text.
    """
    if piece.isascii() and piece.isprintable():
        return piece
    return "\n".join(line.translate(_MAP).replace(PLACE, "") for line in piece.split("\n"))


class CleanedText(NamedTuple):
    """A message: its plain text, and its formatting as a tag, "" if it has none."""

    text: str
    tag: str


def said(text: str, exact: bool = False) -> CleanedText:
    """Return a message as it is stored: each line clean, with its tabs and its indentation; "" if it is invisible.

    Args:
        text: the text as it was received.
        exact: also keep spaces at the ends of lines, and empty lines before and after the text.

    """
    if text.isascii() and text.isprintable():  # clean already, and invisible only if it consists of spaces
        trimmed = text.rstrip()
        return CleanedText(text if exact and trimmed else trimmed, "")
    message = _cleaned(text, exact)
    return CleanedText("", "") if is_blank(message.text) else message


def _cleaned(text: str, exact: bool) -> CleanedText:
    """Return a text of several lines as `said` does, also if it is invisible."""
    if is_plain(text):
        return CleanedText(text if exact else text.rstrip(), "")
    lines: list[str] = []
    codes: list[Code] = []
    start = 0
    for raw in _NEWLINE.split(text):
        line, found = _line(raw if exact else _FRAME.sub("", raw))
        if not exact:
            line = line.rstrip()
        if line or lines or exact:
            lines.append(line)
            codes += [Code(start + min(at, len(line)), code) for at, code in found]
            start += len(line) + 1
    whole = "\n".join(lines)
    if not exact:
        whole = whole.rstrip("\n")
    return CleanedText(whole, _tag(codes))


def one_line(text: str) -> CleanedText:
    """Return a text of one line, such as a topic: without spaces around it, and with spaces for tabs."""
    line, codes = _line(text)
    ahead = len(line) - len(line.lstrip())
    left = line.strip()
    moved = (Code(min(max(0, at - ahead), len(left)), code) for at, code in codes)
    return CleanedText(left.replace("\t", " "), _tag(moved))


def _tag(codes: Iterable[Code]) -> str:
    value = formatting.store(codes)
    return f"{formatting.TAG}={value}" if value else ""


def _line(raw: str) -> tuple[str, list[Code]]:
    """Return a clean line, and its formatting codes."""
    if is_plain(raw):
        return raw, []
    marked, codes = formatting.mark(_ESCAPES.sub("", raw))
    parts = _tidy(marked).split(PLACE)
    line = "".join(parts)
    found = []
    at = 0
    for part, code in zip(parts, codes, strict=False):
        at += len(part)
        found.append(Code(at, code))
    return line, found


def clean_lines(text: str) -> str:
    """Return a message of several lines, clean and without its formatting."""
    return _cleaned(text, exact=False).text


def clean_exactly(text: str) -> str:
    """Return a message like `clean_lines`, with all its spaces and empty lines."""
    return _cleaned(text, exact=True).text


def is_blank(text: str) -> bool:
    """Return whether a clean text is invisible."""
    return _INK().search(text) is None


def beginning(text: str) -> str:
    """Return the beginning of a message for its sender to recognise it: at most SHOWN characters of its first line."""
    line = text.partition("\n")[0]
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def cut(text: str, size: int) -> str:
    """Return the longest beginning of a text that fits in `size` bytes of UTF-8, without cutting a character in two."""
    data = text.encode("utf-8", "replace")
    if len(data) <= size:
        return text
    head = data[:size].decode("utf-8", "ignore")
    end = len(head)
    if text[: end + 1].isascii():
        return head
    # One character more than fits, because it may belong to the last cluster.
    clusters = _CLUSTER().finditer(text[: end + 1])
    last = max((cluster.end() for cluster in clusters if cluster.end() <= end), default=0)
    return text[:last] if last else head


def reason_of(text: str) -> str:
    """Return the reason of a leave, a kick and the like, clean and cut to its bound; "" if it is invisible."""
    return _visible(text, bounds.REASON_BYTES)


def real_name(text: str) -> str:
    """Return the real name that a user gives, clean and cut to its bound; "" if it is invisible.

    Any text is accepted: no user is refused because of decoration in their name. Decode bytes with errors="replace".
    """
    return _visible(text, bounds.REAL_NAME_BYTES)


def reaction_of(text: str) -> str:
    """Return the reaction that a user gives, an emoji or a word, clean and cut to its bound; "" if it is invisible."""
    return _visible("".join(text.split()), bounds.REACTION_BYTES)


def _visible(text: str, size: int) -> str:
    line = cut(clean(text).strip(), size)
    return "" if is_blank(line) else line


def fold(text: str) -> str:
    """Return the form in which names are compared: NFKC without case (Unicode's caseless match, D146) and joiners.

    Raises:
        Refused: `too-long`: more than FOLDED_CHARS. Normalising is quadratic in the length of a run of marks.

    """
    if len(text) > bounds.FOLDED_CHARS:
        raise refusals.TOO_LONG(limit=bounds.NAME_CHARS)
    return _fold(text)


def fold_text(text: str) -> str:
    """Return a text of any length folded like a name: runs of marks are cut, so the time is linear."""
    return _fold(text if text.isascii() else STACK().sub(_unstack, text))


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded).replace("\u200c", "").replace("\u200d", "")
