"""Ways in which a network may cut a stream of bytes."""

from collections.abc import Iterator


def chopped(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Yield the data whole, byte by byte, and cut in two at every place (every hundredth of a long one)."""
    yield [data]
    yield chopped(data, 1)
    for at in range(1, len(data), 1 + len(data) // 100):
        yield [data[:at], data[at:]]
