"""The refusal of an ssh client."""

import pytest

from hubbub.wire.ssh import GREETING, refusal


@pytest.mark.parametrize("text", ["", "x", "a" * 7, "no room for you here", "é" * 300])
def test_refusal_is_a_version_and_one_packet(text: str) -> None:
    data = refusal(text)
    assert data.startswith(GREETING)
    packet = data.removeprefix(GREETING)
    length, padding = int.from_bytes(packet[:4], "big"), packet[4]
    assert len(packet) == 4 + length and len(packet) % 8 == 0 and padding >= 4
    payload = packet[5:-padding]
    said = text.encode()
    assert payload == b"\x01" + b"\0\0\0\x0c" + len(said).to_bytes(4, "big") + said + b"\0\0\0\0"
