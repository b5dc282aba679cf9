from hubbub.model.entries import Entry, Joined, Reacted, Said
from hubbub.model.events import HistoryShown, Notice, Private, PrivateShown
from hubbub.wire.line.encoder import render
from hubbub.wire.terminal.coloured import COLOURED, coloured
from hubbub.wire.terminal.colours import painted

ANN = painted("Ann", "ann").encode()


def entry(body: object) -> Entry:
    return Entry("lobby", 1, 0, 0.0, "Ann", "a-1.1", body)  # type: ignore[arg-type]


def test_name_of_the_author_is_coloured() -> None:
    assert COLOURED.encode(entry(Said("hi"))) == ANN + b": hi\r\n"
    assert COLOURED.encode(entry(Said("a\nb"))) == ANN + b": a\r\n" + ANN + b": b\r\n"
    assert COLOURED.encode(entry(Joined(""))) == b"*** " + ANN + b" has joined the chat ***\r\n"
    assert COLOURED.for_other_room.encode(entry(Said("hi"))) == b"[lobby] " + ANN + b": hi\r\n"


def test_own_acts_are_coloured_once() -> None:
    assert COLOURED.encode_own(entry(Said("hi"))) == b""
    shown = COLOURED.encode_own(entry(Reacted("👍", "a-1.0")))
    assert shown.count(ANN) == 1 and shown.count(b"\x1b") == 2


def test_names_in_events_are_coloured() -> None:
    past = render(coloured(HistoryShown([entry(Said("hi"))], 1.0)), "\r\n")
    assert past.endswith(ANN + b": hi\r\n")
    assert render(coloured(Private("Ann", "psst")), "\r\n") == ANN + b" (private): psst\r\n"
    private = Entry("@Bo", 1, 0, 0.0, "Ann", "a-1.1", Said("hi"))
    assert ANN in render(coloured(PrivateShown([private], 1.0, "Bo", "Ann")), "\r\n")
    assert coloured(Notice(("Ann",))) == Notice(("Ann",))
