"""Telnet below the lines of text: it removes negotiation, and returns plain bytes (RFC 854, 855, 1143).

The server sends no telnet before the peer does: most peers do not speak it, and nc would show it.
"""

from __future__ import annotations

from enum import Enum, auto

from hubbub.wire.reader_state import State, give, taken

EOF, SUSP, NOP, BRK, IP, AO, AYT, EC, EL = 236, 237, 241, 243, 244, 245, 246, 247, 248
SE, SB, WILL, WONT, DO, DONT, IAC = 240, 250, 251, 252, 253, 254, 255
BINARY, ECHO, SGA, TM, TTYPE, NAWS = 0, 1, 3, 6, 24, 31

# The options that the peer may use when it offers them (its WILL gets a DO), and those that the server uses when asked
# (a DO gets a WILL). ECHO and SGA are not among them: `Telnet` grants both or neither.
THEIRS = frozenset({BINARY, TTYPE, NAWS})
OURS = frozenset({BINARY})
# With both, a client sends each key as it is typed and shows nothing by itself (RFC 857, 858). With SGA alone it would
# do the first, and wait for an echo.
KEYS = frozenset({ECHO, SGA})
# Commands that are equivalent to an editing byte of the line (wire/line/encoder.py): cancel, erase, quit.
AS_BYTES = {IP: b"\x03", BRK: b"\x03", EC: b"\x7f", EL: b"\x15", EOF: b"\x03\x04"}

# A bug of a widespread client (GNU inetutils' telnet, Debian's): it takes these bytes for ^C, ^O, ^Z and ^\, although
# they are parts of a UTF-8 character, and sends the command. No user sends one on purpose within a character.
SWALLOWED = {IP: 0x83, AO: 0x8F, SUSP: 0x9A, BRK: 0x9C}

MAX_SB = 256  # bytes of a subnegotiation; more are discarded up to its IAC SE
MAX_REPLIES = 64  # answers to negotiation in a session; more would be a loop
MAX_SENDS = 3  # requests for the terminal's type
MAX_OWED = 256  # bytes of answers that wait for a peer that does not read


class _State(Enum):
    TEXT = auto()
    IAC = auto()
    OPTION = auto()  # after WILL, WONT, DO or DONT
    SB = auto()
    SB_IAC = auto()


class Telnet:
    """Removes telnet from a byte stream, wherever the network cut it.

    `spoken` tells whether the peer has proved to speak telnet. `columns` and `rows` are the size of its window, 80 x 24
    until the peer sends it; `width` is the same as `columns`, but 0 until then. `terminal` is the terminal's type, ""
    until the peer sends it.

    A client that asks for ECHO or SGA is offered both. If it accepts, `sends_keys` is true, and the server has to show
    what is typed; if it refuses one, it has neither from then on, and sends lines.
    """

    __slots__ = (
        "_asked", "_command", "_echo_answers", "_hides", "_keys_refused", "_offered", "_ours", "_owed", "_replies",
        "_sb", "_sends", "_state", "_tail", "_theirs", "columns", "rows", "spoken", "terminal", "width",
    )  # fmt: skip

    def __init__(self) -> None:
        self.spoken = False
        self.columns, self.rows = 80, 24
        self.width = 0
        self.terminal = ""
        self._state = _State.TEXT
        self._command = 0
        self._sb = bytearray()
        self._theirs: set[int] = set()  # options that the peer uses
        self._ours: set[int] = set()  # options that the server uses
        self._asked: set[int] = set()  # the server's DOs without an answer yet
        self._offered: set[int] = set()  # those of KEYS for which the server's WILL has no answer yet
        self._keys_refused = False
        self._hides = False  # between `hide_input` and `show_input`, when KEYS are not granted
        self._echo_answers = 0  # that the peer may still give to `hide_input` and `show_input`
        self._replies = 0
        self._sends = 0  # requests for the terminal's type
        self._owed = bytearray()
        self._tail = b""  # the last text: up to 3 bytes of a character

    def state(self) -> State:
        """Return the state as plain data."""
        return taken(self, self.__slots__)

    def restore(self, state: State) -> None:
        """Go on in a new object with the state of another one."""
        give(self, state)

    def take_replies(self) -> bytes:
        """Return the answers to send to the peer, and remove them from the buffer; at most MAX_OWED bytes."""
        owed = bytes(self._owed)
        self._owed.clear()
        return owed

    @property
    def sends_keys(self) -> bool:
        """Whether the client sends each key as it is typed, and the server shows it."""
        return self._ours >= KEYS

    def offer_keys(self) -> None:
        """Offer to show each key, before the client has said anything."""
        self._speak()
        for option in sorted(KEYS):
            self._offer(option)

    def hide_input(self) -> bytes:
        """Return the bytes after which the client does not show its input: the server claims to echo it.

        `show_input` must follow on every way out, because the client hides all input until then.
        """
        self._echo_answers += 1
        self._hides = True
        return bytes((IAC, WILL, ECHO))

    def show_input(self) -> bytes:
        """Return the bytes after which the client shows its input again."""
        self._echo_answers += 1
        self._hides = False
        return bytes((IAC, WONT, ECHO))

    def feed(self, data: bytes) -> bytes:
        """Return the data without telnet; commands that edit a line become the equivalent bytes."""
        out = bytearray()
        at = 0
        while at < len(data):
            if self._state is _State.TEXT:
                iac = data.find(IAC, at)
                if iac < 0:
                    out += data[at:]
                    break
                out += data[at:iac]
                self._state = _State.IAC
                at = iac + 1
            else:
                if self._step(data[at], out):
                    at += 1
        self._tail = (self._tail + out)[-3:]
        return bytes(out)

    def _step(self, byte: int, out: bytearray) -> bool:
        """Process one byte after an IAC; return whether it is consumed."""
        match self._state:
            case _State.IAC:
                return self._after_iac(byte, out)
            case _State.OPTION:
                self._state = _State.TEXT
                self._negotiate(self._command, byte)
            case _State.SB:
                if byte == IAC:
                    self._state = _State.SB_IAC
                else:
                    self._keep(byte)
            case _:  # SB_IAC
                if byte == IAC:
                    self._state = _State.SB
                    self._keep(byte)
                elif byte == SE:
                    self._state = _State.TEXT
                    self._subnegotiated(bytes(self._sb))
                else:  # the peer omitted its SE
                    self._state = _State.IAC
                    return False
        return True

    def _after_iac(self, byte: int, out: bytearray) -> bool:
        self._state = _State.TEXT
        if byte == IAC:
            out.append(IAC)  # a doubled 255 is data, such as the last letter of cp1251
            return True
        if byte < EOF:
            out.append(IAC)  # not telnet, but a byte of some 8-bit text
            return False
        self._speak()
        if byte in (WILL, WONT, DO, DONT):
            self._command = byte
            self._state = _State.OPTION
        elif byte == SB:
            self._sb.clear()
            self._state = _State.SB
        elif byte == AYT:
            self._owe(b"[yes]\r\n")
        elif byte in SWALLOWED and _is_cut(self._tail + out):
            out.append(SWALLOWED[byte])
        else:
            out += AS_BYTES.get(byte, b"")
        return True

    def _speak(self) -> None:
        if not self.spoken:
            self.spoken = True
            self._asked.add(NAWS)
            self._owe(bytes((IAC, DO, NAWS)))

    def _keep(self, byte: int) -> None:
        if len(self._sb) < MAX_SB:
            self._sb.append(byte)

    def _negotiate(self, command: int, option: int) -> None:
        """Answer a change of state, and nothing else; never answer an answer (RFC 1143)."""
        if command == DO:
            self._wanted(option)
        elif command == DONT:
            self._unwanted(option)
        elif command == WILL:
            self._proposed(option)
        else:
            self._asked.discard(option)
            if option in self._theirs:
                self._theirs.remove(option)
                self._answer(DONT, option)

    def _wanted(self, option: int) -> None:
        if option == TM:
            self._owe(bytes((IAC, WONT, TM)))  # BSD telnet discards all output until it has this
        elif option == ECHO and self._echo_answers:
            self._echo_answers -= 1
        elif option in KEYS and not (self._keys_refused or self._hides):
            self._keys_wanted(option)
        elif option not in OURS:
            self._answer(WONT, option)
        elif option not in self._ours:
            self._ours.add(option)
            self._answer(WILL, option)

    def _unwanted(self, option: int) -> None:
        if option == ECHO and self._echo_answers:
            self._echo_answers -= 1
        elif option in KEYS:
            self._keys_unwanted(option)
        elif option in self._ours:
            self._ours.remove(option)
            self._answer(WONT, option)

    def _keys_wanted(self, option: int) -> None:
        """Use one of KEYS: the client has accepted it, or asks for it and is offered the other one as well."""
        if option in self._offered:
            self._offered.remove(option)
            self._ours.add(option)
        elif option not in self._ours:
            self._ours.add(option)
            self._answer(WILL, option)
        for other in KEYS - self._ours - self._offered:
            self._offer(other)

    def _offer(self, option: int) -> None:
        self._offered.add(option)
        self._answer(WILL, option)
        if TTYPE not in self._theirs | self._asked:
            self._asked.add(TTYPE)
            self._answer(DO, TTYPE)

    def _keys_unwanted(self, option: int) -> None:
        """Use neither of KEYS any more, and never again: the client refuses one that is in use or was offered."""
        if option not in self._ours | self._offered:
            return
        self._keys_refused = True
        for one in sorted(KEYS & (self._ours | self._offered)):
            # A refusal of an offer is its answer already.
            if one != option or one in self._ours:
                self._answer(WONT, one)
        self._ours -= KEYS
        self._offered.clear()

    def _accepts(self, option: int) -> bool:
        """Return whether the client may use an option: SGA is allowed to one that sends keys."""
        return option in THEIRS or (option == SGA and bool(KEYS & (self._ours | self._offered)))

    def _proposed(self, option: int) -> None:
        if not self._accepts(option):
            self._answer(DONT, option)
        elif option not in self._theirs:
            self._theirs.add(option)
            if option in self._asked:
                self._asked.remove(option)
            else:
                self._answer(DO, option)
            if option == TTYPE and not self.terminal and self._sends < MAX_SENDS:
                self._sends += 1
                self._owe(bytes((IAC, SB, TTYPE, 1, IAC, SE)))  # 1: SEND (RFC 1091)

    def _subnegotiated(self, content: bytes) -> None:
        if len(content) == 5 and content[0] == NAWS:  # RFC 1073: width and height, two bytes each
            columns, rows = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            self.width = min(max(columns, 20), 500) if columns else 0
            self.columns = self.width or 80
            self.rows = min(max(rows, 5), 300) if rows else 24
        elif content[:2] == bytes((TTYPE, 0)):  # 0: IS
            self.terminal = content[2:42].decode("ascii", "replace").lower()

    def _answer(self, command: int, option: int) -> None:
        if self._replies < MAX_REPLIES:
            self._replies += 1
            self._owe(bytes((IAC, command, option)))

    def _owe(self, reply: bytes) -> None:
        if len(self._owed) + len(reply) <= MAX_OWED:
            self._owed += reply


def _is_cut(text: bytes) -> bool:
    """Return whether text ends within a UTF-8 character."""
    for back, byte in enumerate(reversed(text[-3:]), 1):
        if byte & 0xC0 != 0x80:
            length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC2 else 1
            return back < length
    return False
