"""SASL: the chunks of AUTHENTICATE, and the credentials of PLAIN."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.wire.irc.lines import Message, Reader
from hubbub.wire.irc.sasl import (
    CHUNK,
    MAX_RESPONSE,
    PlainLogin,
    SaslFault,
    SaslReader,
    chunks,
    read_external,
    read_plain,
)


def answers(reader: SaslReader, words: list[str]) -> list[bytes | SaslFault | None]:
    return [reader.add(word) for word in words]


@given(st.binary(max_size=MAX_RESPONSE * 3 // 4 - 3), st.data())
def test_a_response_cut_anywhere_by_the_network_gives_one_answer(response: bytes, data: st.DataObject) -> None:
    stream = "".join(f"AUTHENTICATE {chunk}\r\n" for chunk in chunks(response)).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    lines, sasl, found = Reader(), SaslReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        lines.feed(stream[start:end])
        while message := lines.next_message():
            assert isinstance(message, Message)
            found.append(sasl.add(message.params[0]))
    assert found[-1] == response and not any(found[:-1])


def test_a_last_chunk_of_full_length_is_followed_by_an_empty_one() -> None:
    assert chunks(b"") == ["+"] and chunks(b"x") == ["eA=="]
    assert [len(one) for one in chunks(bytes(300))] == [CHUNK, 1]
    assert answers(SaslReader(), ["A" * CHUNK, "+"]) == [None, bytes(300)]
    assert answers(SaslReader(), ["A" * CHUNK, "AAAA"]) == [None, bytes(303)]


@pytest.mark.parametrize("chunk", ["=", "A", "A===", "eA==eA==", "eB==", "e A=", "é", "*", "-_==", "eA==\n"])
def test_base64_is_strict(chunk: str) -> None:
    reader = SaslReader()
    assert answers(reader, [chunk, "eA=="]) == [SaslFault.INVALID, b"x"]


def test_a_response_is_bounded() -> None:
    reader = SaslReader()
    assert reader.add("A" * (CHUNK + 1)) is SaslFault.TOO_LONG
    many = answers(reader, ["A" * CHUNK] * (MAX_RESPONSE // CHUNK + 1))
    assert many[-1] is SaslFault.INVALID and not any(many[:-1])
    assert reader.add("eA==") == b"x"


@pytest.mark.parametrize(
    ("response", "credentials"),
    [
        (b"\0Ann\0secret", PlainLogin("Ann", "secret")),
        (b"ann\0Ann\0s e", PlainLogin("Ann", "s e")),
        (b"Bo\0Ann\0secret", None),
        (b"\0\0secret", None),
        (b"\0Ann\0", None),
        (b"Ann\0secret", None),
        (b"\0Ann\0se\0cret", None),
        (b"\0Ann\0\xff", None),
        (b"", None),
    ],
)
def test_plain(response: bytes, credentials: PlainLogin | None) -> None:
    assert read_plain(response) == credentials
    assert "secret" not in repr(credentials)


def test_external_names_an_account_or_none() -> None:
    names = {b"": "", b"Ann": "Ann", "Zoë".encode(): "Zoë", b"a\0b": None, b"\xff": None}
    assert {response: read_external(response) for response in names} == names
