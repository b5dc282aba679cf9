"""What programs and devices send where a terminal would send lines: UTF-16, 8-bit text, framing bytes, progress bars.

`LineReader` reads what a person types, and the result does not depend on how the network cut the bytes. Whether a
byte was typed by a person or sent by a program can only be told from how it arrived, so that is decided here, before
the bytes are cut into lines:

 1. A stream that begins as UTF-16 becomes UTF-8.
 2. Byte 255 begins a telnet command, unless the peer sends 8-bit text: then it is a letter.
 3. ^C ^D ^R ^U ^W are editing keys if they come alone, or at the beginning of what arrived. A program sends them
    within its lines, and there they mean nothing. BS and DEL erase wherever they come.
 4. A line that a carriage return overwrites, as progress bars do, is only what it says at last.
"""

from __future__ import annotations

import codecs
import re

from hubbub.wire.telnet import EOF, IAC, SE, Telnet

ENCODINGS = {"little": "utf-16-le", "big": "utf-16-be"}
MAX_HELD = 80  # bytes that are looked at before a stream is known to be UTF-16 or not
_HIGHEST_OPTION = 49  # of telnet, among those that clients name first

_KEYS = b"\x03\x04\x08\x12\x15\x17\x7f"
_SIGNS = b"\x03\x04\x12\x15\x17"  # keys that frame what devices send; BS and DEL erase wherever they stand
_SIGN = re.compile(rb"[\x03\x04\x12\x15\x17]")
_COLOUR = re.compile(rb"\x03[0-9]{1,2}(?:,[0-9]{1,2})?")  # of IRC: its number goes with it

# Negotiation about an option whose number is no letter, space, tab or line end: no text has that.
_NEGOTIATION = re.compile(rb"\xff[\xfb-\xfe][\x00-\x08\x0b\x0c\x0e-\x1f]")
# Commands that no telnet client sends before it has negotiated anything.
_NEVER_FIRST = (bytes([EOF]), b"\xef", bytes([SE]))
_COMMAND = re.compile(rb"\xff([\xec-\xfe])")

# A line up to its last carriage return that text follows, if it ends with a line feed; and a carriage return that comes
# first, with the line before it. Lines that each end with a carriage return are none of these, and commands are not.
_OVERWRITTEN = re.compile(
    rb"^(?!/)[^\n]*\r(?=[^\r\n\0/][^\r\n]*\r?\n)|\A\r(?:[^\n]*\r)?(?=[^\r\n\0/][^\r\n]*\Z)", re.MULTILINE
)
_FIRST_END = re.compile(rb"\r\n?|\n")
_ERASE_LINE = b"\x15"


class Incoming:
    """Bytes of one peer on their way to its `LineReader`.

    `ends_crlf` tells whether the peer ended its first line with CR LF, so its terminal needs that, too.
    """

    __slots__ = ("_decoder", "_eight_bit", "_first_end", "_half_command", "_held", "_line_feeds", "ends_crlf")

    def __init__(self) -> None:
        self.ends_crlf = False
        self._held: bytes | None = b""  # the beginning, until it is known whether it is UTF-16; None from then on
        self._decoder: codecs.IncrementalDecoder | None = None
        self._eight_bit = False
        self._half_command = False  # the last byte was a 255 that may begin a command
        self._line_feeds = False  # the peer has ended a line with one
        self._first_end: bytes | None = b""  # a CR that may be half of the first line's end; None once that is known

    def feed(self, data: bytes, telnet: bool) -> bytes:
        """Return what the line reader is to be fed.

        Args:
            data: what arrived at once.
            telnet: whether the peer has proved to speak telnet: then a person types, and the bytes stay as they are.

        """
        if self._held is not None:
            data = self._begin(self._held + data)
        if self._decoder:
            data = self._decoder.decode(data).encode("utf-8", "replace")
        if telnet or not data:
            return data
        if not data.isascii() or self._half_command:
            data, telnet = self._letters(data)
        if not telnet:
            data = _without_signs(data)
            data = self._without_overwritten(data)
        if self._first_end is not None:
            self._note_first_end(self._first_end + data)
        return data

    # --- UTF-16 -----------------------------------------------------------------------------------------------

    def _begin(self, data: bytes) -> bytes:
        """Return what is known to be no byte order mark of the beginning; hold it back while it may be UTF-16."""
        order = _order_of(data)
        if order is None and len(data) < MAX_HELD:
            self._held = data
            return b""
        self._held = None
        if not order:
            return data
        self._decoder = codecs.getincrementaldecoder(ENCODINGS[order])("replace")
        return data[2:] if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else data

    # --- 8-bit text -------------------------------------------------------------------------------------------

    def _letters(self, data: bytes) -> tuple[bytes, bool]:
        """Return the data with each 255 that is a letter doubled, as telnet writes it, and whether it is telnet."""
        half, self._half_command = self._half_command, False
        if not self._eight_bit and _is_eight_bit(data, half):
            self._eight_bit = True
        commands = half or b"\xff" in data
        if commands and (not self._eight_bit or _NEGOTIATION.search(data)):
            self._half_command = (len(data) - len(data.rstrip(b"\xff"))) % 2 == 1
            return data, _speaks_telnet(data, half)
        data = data.replace(b"\xff", b"\xff\xff")
        return (b"\xff" + data if half else data), False

    # --- line ends --------------------------------------------------------------------------------------------

    def _note_first_end(self, data: bytes) -> None:
        if end := _FIRST_END.search(data):
            self.ends_crlf = end[0] == b"\r\n"
            self._first_end = b"\r" if end[0] == b"\r" and end.end() == len(data) else None

    def _without_overwritten(self, data: bytes) -> bytes:
        """Return the data with each line that is overwritten erased; not before the peer has used a line feed."""
        start = 0 if self._line_feeds else data.find(b"\n") + 1
        self._line_feeds = self._line_feeds or start > 0
        if not self._line_feeds or b"\r" not in data:
            return data
        return data[:start] + _OVERWRITTEN.sub(_ERASE_LINE, data[start:])


def _order_of(data: bytes) -> str | None:
    """Return the byte order of what begins as UTF-16, "" if it is something else, None if that is not known yet."""
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if len(data) < 4 and any(mark.startswith(data[:2]) for mark in marks):
        return None
    if data.startswith(codecs.BOM_UTF16_BE):
        return "big" if data[2] < 0xC0 else ""  # above are no letters; in 8-bit text there are
    if data.startswith(codecs.BOM_UTF16_LE):
        return _order_of_marked(data[2:])
    if data[:1] == b"\0":
        return _order_of_latin(data[1::2], data[::2], "big")
    return _order_of_latin(data[::2], data[1::2], "little")


def _order_of_latin(low: bytes, high: bytes, order: str) -> str | None:
    """Return the same of what has no mark: its name is in the Latin alphabet, so every other byte is 0.

    Args:
        low: the bytes that are not 0.
        high: the bytes that are.
        order: the byte order that this would be.

    """
    for at, char in enumerate(low[:4]):
        if any(high[at : at + 1]) or (char < 0x20 and not (at and char in b"\r\n")):
            return ""
        if char < 0x20:
            return order if at < len(high) else None
    return order if len(low) >= 4 and len(high) >= 4 else None


def _order_of_marked(units: bytes) -> str | None:
    """Return the same of what follows the bytes FF FE, which telnet's DONT begins with as well."""
    if units[1] == IAC:
        return ""
    if not units[1] or units[0] > _HIGHEST_OPTION:
        return "little"
    if any(units[at : at + 2] in (b"\n\0", b"\r\0") for at in range(0, len(units), 2)):
        return "little"
    return "" if b"\r\n" in units else None


def _is_eight_bit(data: bytes, half: bool) -> bool:
    """Return whether data is text of an 8-bit encoding: without telnet's commands it is not UTF-8.

    A character may lack its beginning or its end, because the network cut there.
    """
    if half or b"\xff" in data:
        data = b"\xff" + data if half else data
        command = _COMMAND.search(data)
        if command and command[1] in _NEVER_FIRST:
            return True
        data = Telnet().feed(data)
    begin = next((at for at, byte in enumerate(data[:3]) if byte & 0xC0 != 0x80), 3)
    try:
        codecs.utf_8_decode(data[begin:], "strict", False)
    except UnicodeDecodeError:
        return True
    return False


def _speaks_telnet(data: bytes, half: bool) -> bool:
    probe = Telnet()
    probe.feed(b"\xff" + data if half else data)
    return probe.spoken


# --- keys -----------------------------------------------------------------------------------------------------


def _without_signs(data: bytes) -> bytes:
    """Return the data without the control bytes of devices, which are the same as the keys that edit a line."""
    if not _SIGN.search(data):
        return data
    rest = data.lstrip(_KEYS)
    keys = data[: len(data) - len(rest)]
    if rest[:1] in (b"\r", b"\n"):
        keys = keys.translate(None, _SIGNS)
    elif rest:
        keys = keys.replace(b"\x04", b"")  # whoever goes types nothing more
    # Somebody who asks to see the line waits for the answer. It does no harm, whoever sends that.
    asks = rest[-1:] if rest.endswith(b"\x12") else b""
    rest = _COLOUR.sub(b"", rest)
    return keys + rest.translate(None, _SIGNS) + asks
