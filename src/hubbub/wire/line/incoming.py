"""Convert the input of programs and devices to lines as a terminal sends them.

Such input has UTF-16, 8-bit text, framing bytes or progress bars. `LineReader` reads the lines of a person, and its
result does not depend on how the network cut the bytes. But only the way in which a byte arrived can tell whether a
person typed it or a program sent it, so this module decides that, before the bytes are cut into lines:

 1. A stream that begins as UTF-16 becomes UTF-8.
 2. Byte 255 begins a telnet command, unless the peer sends 8-bit text: then it is a letter.
 3. ^C ^D ^R ^U ^W are editing keys if they arrive alone, or at the beginning of the data. A program sends them within
    its lines, and there they are removed. BS and DEL erase wherever they stand.
 4. Of a line that carriage returns overwrite, as in progress bars, only the final text is kept.
"""

from __future__ import annotations

import codecs
import re

from hubbub.wire.line.telnet import EOF, IAC, SE, Telnet
from hubbub.wire.reader_state import State, give, taken

ENCODINGS = {"little": "utf-16-le", "big": "utf-16-be"}
MAX_HELD = 80  # bytes after which a stream is certainly UTF-16 or not
_HIGHEST_OPTION = 49  # of telnet, among those that clients name first

_KEYS = b"\x03\x04\x08\x12\x15\x17\x7f"
_SIGNS = b"\x03\x04\x12\x15\x17"  # keys that frame a device's data; BS and DEL always erase
_SIGN = re.compile(rb"[\x03\x04\x12\x15\x17]")
_COLOUR = re.compile(rb"\x03[0-9]{1,2}(?:,[0-9]{1,2})?")  # of IRC: its number belongs to it

# Negotiation about an option whose number is no letter, space, tab or line end: this never occurs in text.
_NEGOTIATION = re.compile(rb"\xff[\xfb-\xfe][\x00-\x08\x0b\x0c\x0e-\x1f]")
# Commands that no telnet client sends before it has negotiated anything.
_NEVER_FIRST = (bytes([EOF]), b"\xef", bytes([SE]))
_COMMAND = re.compile(rb"\xff([\xec-\xfe])")

# Matches overwritten text: a line that ends with a line feed, up to its last carriage return that text follows; or a
# carriage return at the beginning of the data, with the line after it that is overwritten again. Lines that each end
# with a carriage return do not match, and commands (with a slash) do not either.
_OVERWRITTEN = re.compile(
    rb"^(?!/)[^\n]*\r(?=[^\r\n\0/][^\r\n]*\r?\n)|\A\r(?:[^\n]*\r)?(?=[^\r\n\0/][^\r\n]*\Z)", re.MULTILINE
)
_FIRST_END = re.compile(rb"\r\n?|\n")
_ERASE_LINE = b"\x15"


class Incoming:
    """Bytes of one peer on their way to its `LineReader`.

    `ends_crlf` tells whether the peer ended its first line with CR LF: then its terminal needs that, too.
    """

    __slots__ = ("_decoder", "_eight_bit", "_first_end", "_half_command", "_held", "_line_feeds", "_order", "ends_crlf")

    def __init__(self) -> None:
        self.ends_crlf = False
        self._held: bytes | None = b""  # the beginning, until it is recognised as UTF-16 or not; then None
        self._order = ""  # the byte order, if the stream is UTF-16
        self._decoder: codecs.IncrementalDecoder | None = None
        self._eight_bit = False
        self._half_command = False  # the last byte was a 255 that may begin a command
        self._line_feeds = False  # the peer has ended a line with a line feed
        self._first_end: bytes | None = b""  # a CR that may be half of the first line's end; None once that is known

    def state(self) -> State:
        """Return the state as plain data."""
        fields = (field for field in self.__slots__ if field != "_decoder")
        return {**taken(self, fields), "half_character": self._decoder.getstate()[0] if self._decoder else b""}

    def restore(self, state: State) -> None:
        """Go on in a new object with the state of another one."""
        give(self, {field: value for field, value in state.items() if field != "half_character"})
        if self._order:
            self._decoder = codecs.getincrementaldecoder(ENCODINGS[self._order])("replace")
            self._decoder.setstate((state["half_character"], 0))

    def feed(self, data: bytes, telnet: bool) -> bytes:
        """Return the bytes for the line reader.

        Args:
            data: bytes that arrived together.
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
            if _SIGN.search(data):
                data = _without_signs(data)
            if b"\r" in data:
                data = self._without_overwritten(data)
            self._line_feeds = self._line_feeds or b"\n" in data
        if self._first_end is not None:
            self._note_first_end(self._first_end + data)
        return data

    # --- UTF-16 -----------------------------------------------------------------------------------------------

    def _begin(self, data: bytes) -> bytes:
        """Return the beginning without its byte order mark.

        Hold the data back, and return b"", while it may still be UTF-16.
        """
        order = _order_of(data)
        if order is None and len(data) < MAX_HELD:
            self._held = data
            return b""
        self._held = None
        if not order:
            return data
        self._order = order
        self._decoder = codecs.getincrementaldecoder(ENCODINGS[order])("replace")
        return data[2:] if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else data

    # --- 8-bit text -------------------------------------------------------------------------------------------

    def _letters(self, data: bytes) -> tuple[bytes, bool]:
        """Return the data with each byte 255 that is a letter doubled, as in telnet, and whether the data is telnet."""
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
        """Return the data with each overwritten line erased, from the first line feed of the peer on."""
        start = 0 if self._line_feeds else data.find(b"\n") + 1
        if not (start or self._line_feeds):
            return data
        return data[:start] + _OVERWRITTEN.sub(_ERASE_LINE, data[start:])


def _order_of(data: bytes) -> str | None:
    """Return the byte order of a UTF-16 beginning, "" if it is not UTF-16, None if that is not known yet."""
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if len(data) < 4 and any(mark.startswith(data[:2]) for mark in marks):
        return None
    if data.startswith(codecs.BOM_UTF16_BE):
        # A higher byte is taken for a letter of 8-bit text, not for the first byte of a UTF-16 character.
        return "big" if data[2] < 0xC0 else ""
    if data.startswith(codecs.BOM_UTF16_LE):
        return _order_of_marked(data[2:])
    if data[:1] == b"\0":
        return _order_of_latin(data[1::2], data[::2], "big")
    return _order_of_latin(data[::2], data[1::2], "little")


def _order_of_latin(low: bytes, high: bytes, order: str) -> str | None:
    """Return the byte order of a beginning without a mark, which is a Latin name: every other byte is 0.

    The result is that of `_order_of`.

    Args:
        low: the bytes that are not 0 in UTF-16.
        high: the bytes that are 0 in UTF-16.
        order: the byte order that this would be.

    """
    for at, char in enumerate(low[:4]):
        if any(high[at : at + 1]) or (char < 0x20 and not (at and char in b"\r\n")):
            return ""
        if char < 0x20:
            return order if at < len(high) else None
    return order if len(low) >= 4 and len(high) >= 4 else None


def _order_of_marked(units: bytes) -> str | None:
    """Return the result of `_order_of` for the data after the bytes FF FE, with which telnet's DONT begins, too."""
    if units[1] == IAC:
        return ""
    if not units[1] or units[0] > _HIGHEST_OPTION:
        return "little"
    if any(units[at : at + 2] in (b"\n\0", b"\r\0") for at in range(0, len(units), 2)):
        return "little"
    return "" if b"\r\n" in units else None


def _is_eight_bit(data: bytes, half: bool) -> bool:
    """Return whether data is text of an 8-bit encoding: without telnet's commands it is not UTF-8.

    The first or last character may be incomplete, because the network cut it.
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
    """Return the data without the control bytes of devices, which are the same bytes as the keys that edit a line."""
    rest = data.lstrip(_KEYS)
    keys = data[: len(data) - len(rest)]
    if rest[:1] in (b"\r", b"\n"):
        keys = keys.translate(None, _SIGNS)
    elif rest:
        keys = keys.replace(b"\x04", b"")  # no text follows the ^D of a user who quits
    # A user who asks for the line with ^R waits for the answer. It does no harm if a program sends the byte.
    asks = rest[-1:] if rest.endswith(b"\x12") else b""
    rest = _COLOUR.sub(b"", rest)
    return keys + rest.translate(None, _SIGNS) + asks
