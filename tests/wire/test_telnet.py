import pytest
from cutting import chopped, cuts
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.line.telnet import DO, DONT, ECHO, IAC, MAX_OWED, MAX_REPLIES, MAX_SB, WILL, WONT, Telnet

NAWS = b"\xff\xfd\x1f"  # what is asked of who speaks telnet, before anything else
SEND = b"\xff\xfa\x18\x01\xff\xf0"
PUTTY = bytes.fromhex("FFFB1F FFFB20 FFFB18 FFFB27 FFFD01 FFFB03 FFFD03")


def heard(pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Return the text and the replies to a stream that came in these pieces."""
    telnet = Telnet()
    text = b"".join(telnet.feed(piece) for piece in pieces)
    return text, telnet.take_replies()


STREAMS = [
    # data; text; replies
    (b"plain \x00\r\n\xc3\xa9", b"plain \x00\r\n\xc3\xa9", b""),
    (b"a\xff\xffb", b"a\xffb", b""),
    (b"\xff\xff\xff\xff", b"\xff\xff", b""),
    (b"caf\xff\xe9 \xffa", b"caf\xff\xe9 \xffa", b""),  # 8-bit text, no telnet at all
    (b"a\xff\xf1b", b"ab", NAWS),  # NOP
    (b"a\xff\xf2b\xff\xf9c", b"abc", NAWS),  # DM, GA
    (b"a\xff\xf5b", b"ab", NAWS),  # AO
    (b"a\xff\xf4b", b"a\x03b", NAWS),  # IP cancels the line
    (b"a\xff\xf3b", b"a\x03b", NAWS),  # BRK too
    (b"a\xff\xf7b", b"a\x7fb", NAWS),  # EC
    (b"a\xff\xf8b", b"a\x15b", NAWS),  # EL
    (b"a\xff\xec", b"a\x03\x04", NAWS),  # EOF quits
    (b"a\xff\xf6b", b"ab", NAWS + b"[yes]\r\n"),  # AYT
    (b"\xff\xf4\xff\xfd\x06", b"\x03", NAWS + b"\xff\xfc\x06"),  # Ctrl-C of a BSD telnet
    (b"\xff\xfd\x06\xff\xfd\x06", b"", NAWS + b"\xff\xfc\x06" * 2),  # each DO TM is waited for
    (b"\xff\xfd\x03", b"", NAWS + b"\xff\xfb\x03\xff\xfb\x01\xff\xfd\x18"),  # DO SGA: WILL, and ECHO with it
    (b"\xff\xfd\x01", b"", NAWS + b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x18"),  # DO ECHO: the same
    (b"\xff\xfd\x00", b"", NAWS + b"\xff\xfb\x00"),  # DO BINARY: WILL
    (b"\xff\xfb\x03", b"", NAWS + b"\xff\xfe\x03"),  # WILL SGA: DONT
    (b"\xff\xfb\x00", b"", NAWS + b"\xff\xfd\x00"),
    (b"\xff\xfb\x18", b"", NAWS + b"\xff\xfd\x18" + SEND),  # WILL TTYPE: DO, and which one?
    (b"\xff\xfb\x1f", b"", NAWS),  # WILL NAWS is the answer to our DO
    *((bytes([255, 253, o]), b"", NAWS + bytes([255, 252, o])) for o in (5, 24, 31, 34, 37, 39, 86, 254, 255)),
    *((bytes([255, 251, o]), b"", NAWS + bytes([255, 254, o])) for o in (1, 5, 6, 32, 34, 37, 38, 39, 86, 255)),
    (b"\xff\xfd\x00\xff\xfd\x00", b"", NAWS + b"\xff\xfb\x00"),  # no change, no answer
    (b"\xff\xfb\x00\xff\xfb\x00", b"", NAWS + b"\xff\xfd\x00"),
    (b"\xff\xfe\x03\xff\xfc\x03\xff\xfe\x22\xff\xfc\x22", b"", NAWS),  # never an answer to an answer
    (b"\xff\xfc\x1f", b"", NAWS),
    (b"\xff\xfc\x1f\xff\xfb\x1f", b"", NAWS + b"\xff\xfd\x1f"),  # it changed its mind: that is an offer
    (b"\xff\xfd\x00\xff\xfe\x00\xff\xfd\x00", b"", NAWS + b"\xff\xfb\x00\xff\xfc\x00\xff\xfb\x00"),
    (b"\xff\xfb\x00\xff\xfc\x00\xff\xfb\x00", b"", NAWS + b"\xff\xfd\x00\xff\xfe\x00\xff\xfd\x00"),
    (
        PUTTY + b"bob\r\n",
        b"bob\r\n",
        NAWS + bytes.fromhex("FFFE20 FFFD18") + SEND + bytes.fromhex("FFFE27 FFFB01 FFFB03 FFFD03"),
    ),
    (b"a\xff\xfa\x22\x03\n\r\x00\xff\xff\x04\xff\xf0b", b"ab", NAWS),  # a subnegotiation is no text
    (b"a\xff\xfa" + b"x" * 999 + b"\xff\xf0b", b"ab", NAWS),
    (b"a\xff\xfa\x18\x00xt\xff\xfd\x05b", b"ab", NAWS + b"\xff\xfc\x05"),  # its SE is missing
    (b"\xff\xf4\xff", b"\x03", NAWS),
    (b"a\xff\xedb", b"ab", NAWS),  # SUSP
    # what Debian's telnet makes of the bytes 83, 8F, 9A and 9C of a character, and it alone
    (b"\xc3\xff\xf4", "Ã".encode(), NAWS),
    (b"\xc3\xff\xf5", "Ï".encode(), NAWS),
    (b"\xc3\xff\xed", "Ú".encode(), NAWS),
    (b"\xc3\xff\xf3", "Ü".encode(), NAWS),
    (b"\xe3\x83\xff\xf4", b"\xe3\x83\x83", NAWS),
    (b"\xe3\xff\xf4\xff\xf4", b"\xe3\x83\x83", NAWS),
    (b"\xf0\x9f\x98\xff\xf4", b"\xf0\x9f\x98\x83", NAWS),
    (b"\xe3\x83\x83\xff\xf4", b"\xe3\x83\x83\x03", NAWS),
    (b"\xf0\x9f\x98\x83\xff\xf4", b"\xf0\x9f\x98\x83\x03", NAWS),
]


OFFER = NAWS + b"\xff\xfb\x01\xff\xfd\x18\xff\xfb\x03"  # of ECHO and SGA, with the question for the terminal's type


@pytest.mark.parametrize(
    ("heard", "keys", "replies"),
    [
        (b"\xff\xfd\x01\xff\xfd\x03", True, b""),
        (b"\xff\xfd\x03\xff\xfd\x01\xff\xfb\x03", True, b"\xff\xfd\x03"),  # its own SGA is welcome
        (b"\xff\xfd\x01\xff\xfd\x01", False, b""),  # half of it
        (b"\xff\xfe\x01", False, b"\xff\xfc\x03"),  # one refused, the other one taken back
        (b"\xff\xfe\x01\xff\xfe\x03", False, b"\xff\xfc\x03"),
        (b"\xff\xfd\x01\xff\xfe\x03", False, b"\xff\xfc\x01"),
        (b"\xff\xfd\x01\xff\xfd\x03\xff\xfe\x01", False, b"\xff\xfc\x01\xff\xfc\x03"),
        (b"\xff\xfe\x01\xff\xfd\x01", False, b"\xff\xfc\x03\xff\xfc\x01"),  # never again
        (b"\xff\xfc\x18", False, b""),
    ],
)
def test_keys_are_offered_whole_or_not_at_all(heard: bytes, keys: bool, replies: bytes) -> None:
    for pieces in cuts(heard):
        telnet = Telnet()
        telnet.offer_keys()
        assert telnet.take_replies() == OFFER
        for piece in pieces:
            telnet.feed(piece)
        assert (telnet.sends_keys, telnet.take_replies()) == (keys, replies)


def test_putty_sends_keys_at_once() -> None:
    telnet = Telnet()
    telnet.feed(PUTTY)
    assert telnet.sends_keys


@pytest.mark.parametrize(("data", "text", "replies"), STREAMS)
def test_telnet_is_taken_out_however_it_is_cut(data: bytes, text: bytes, replies: bytes) -> None:
    for pieces in cuts(data):
        assert heard(pieces) == (text, replies)


def test_replies_are_taken_once() -> None:
    telnet = Telnet()
    telnet.feed(b"\xff\xf6")
    assert telnet.take_replies() == NAWS + b"[yes]\r\n"
    assert telnet.take_replies() == b""
    telnet.feed(b"\xff\xf6")
    assert telnet.take_replies() == b"[yes]\r\n"


@pytest.mark.parametrize(("data", "spoken"), [(b"text", False), (b"\xff\xff\xffa", False), (b"\xff\xf1", True)])
def test_only_a_command_proves_telnet(data: bytes, spoken: bool) -> None:
    telnet = Telnet()
    telnet.feed(data)
    assert telnet.spoken is spoken


@pytest.mark.parametrize(
    ("report", "columns", "rows"),
    [
        (b"\x00\x64\x00\x1e", 100, 30),
        (b"\x00\xff\xff\x00\x28", 255, 40),  # 255 is doubled
        (b"\x00\x00\x00\x00", 80, 24),
        (b"\x00\x01\x00\x01", 20, 5),
        (b"\x04\x00\x03\x00", 500, 300),  # pixels
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", 500, 300),
        (b"\x00\x64\x00", 80, 24),  # not a whole one
        (b"\x00\x64\x00\x1e\x00", 80, 24),
    ],
)
def test_window_is_known_once_reported(report: bytes, columns: int, rows: int) -> None:
    for pieces in cuts(b"\xff\xfa\x1f" + report + b"\xff\xf0"):
        telnet = Telnet()
        for piece in pieces:
            assert telnet.feed(piece) == b""
        assert (telnet.columns, telnet.rows) == (columns, rows)


@pytest.mark.parametrize(("report", "width"), [(b"\x00\x28\x00\x18", 40), (b"\x00\x00\x00\x00", 0), (b"", 0)])
def test_width_is_0_until_it_is_told(report: bytes, width: int) -> None:
    telnet = Telnet()
    assert telnet.width == 0
    telnet.feed(b"\xff\xfa\x1f" + report + b"\xff\xf0")
    assert telnet.width == width


def test_window_that_is_resized_is_known_anew() -> None:
    telnet = Telnet()
    telnet.feed(b"\xff\xfa\x1f\x00\x64\x00\x1e\xff\xf0\xff\xfa\x1f\x00\x28\x00\x0a\xff\xf0")
    assert (telnet.columns, telnet.rows) == (40, 10)


@pytest.mark.parametrize(
    ("content", "terminal"),
    [
        (b"\x18\x00XTERM-256color", "xterm-256color"),
        (b"\x18\x00\xff\xff\xe9", "\ufffd\ufffd"),
        (b"\x18\x01", ""),
        (b"\x18\x00" + b"x" * 200, "x" * 40),
        (b"", ""),
    ],
)
def test_terminal_is_known_once_told(content: bytes, terminal: str) -> None:
    telnet = Telnet()
    telnet.feed(b"\xff\xfa" + content + b"\xff\xf0")
    assert telnet.terminal == terminal


def test_replies_to_offers_are_bounded_in_a_sessions_life() -> None:
    telnet, replies = Telnet(), b""
    for _ in range(200):
        telnet.feed(b"\xff\xfd\x22\xff\xfb\x22\xff\xfb\x00\xff\xfc\x00\xff\xfd\x00\xff\xfe\x00")
        replies += telnet.take_replies()
    assert len(replies) == len(NAWS) + 3 * MAX_REPLIES
    telnet.feed(b"\xff\xfd\x06")
    assert telnet.take_replies() == b"\xff\xfc\x06", "who sends Ctrl-C would see nothing any more"


def test_terminal_is_asked_for_three_times_at_most() -> None:
    telnet, replies = Telnet(), b""
    for _ in range(20):
        telnet.feed(b"\xff\xfb\x18\xff\xfc\x18")
        replies += telnet.take_replies()
    assert 1 <= replies.count(SEND) <= 3


def test_replies_that_nobody_takes_are_bounded() -> None:
    telnet = Telnet()
    for _ in range(1000):
        telnet.feed(b"\xff\xf6\xff\xfd\x06")
    assert 0 < len(telnet.take_replies()) <= MAX_OWED


def kept(telnet: Telnet) -> int:
    """Return how many bytes it holds."""
    values = [getattr(telnet, name) for name in Telnet.__slots__]
    return sum(len(value) for value in values if isinstance(value, bytes | bytearray | set | str))


def test_subnegotiation_without_an_end_keeps_a_bounded_part() -> None:
    telnet = Telnet()
    telnet.feed(b"\xff\xfa\x18\x00")
    for _ in range(100):
        assert telnet.feed(b"x" * 1000) == b""
    assert kept(telnet) <= MAX_SB + MAX_OWED + 8


@given(st.lists(st.binary() | st.lists(st.sampled_from([255, 250, 251, 252, 253, 254, 240, 0, 24, 31, 3])).map(bytes)))
def test_random_bytes_are_taken_the_same_however_they_are_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert heard(pieces) == heard([whole]) == heard(chopped(whole, 1))
    telnet = Telnet()
    out = telnet.feed(whole)
    assert len(out) <= len(whole)
    assert kept(telnet) <= MAX_SB + MAX_OWED + 3 * 256 + 40
    if b"\xff" not in whole:
        assert out == whole and telnet.take_replies() == b""


def test_answers_to_hidden_input_are_not_answered() -> None:
    telnet = Telnet()
    assert telnet.hide_input() == bytes((IAC, WILL, ECHO))
    assert telnet.feed(bytes((IAC, DO, ECHO)) + b"secret\r\n") == b"secret\r\n"
    telnet.take_replies()
    telnet.feed(b"\xff\xfd\x03")
    assert telnet.take_replies() == b"\xff\xfc\x03", "no other mode in the middle of a secret"
    assert telnet.show_input() == bytes((IAC, WONT, ECHO))
    assert telnet.feed(bytes((IAC, DONT, ECHO))) == b"" == telnet.take_replies()
    telnet.feed(bytes((IAC, DO, ECHO)))
    assert telnet.take_replies().startswith(bytes((IAC, WILL, ECHO))), "a request of its own is granted"
