"""A terminal for tests: pyte's, without its bug of dropping all that follows a character without a width."""

import unicodedata

import pyte
from wcwidth import wcwidth


class Terminal(pyte.Screen):
    """A screen that is fed bytes."""

    def __init__(self, columns: int = 40, lines: int = 12) -> None:
        super().__init__(columns, lines)
        self._stream = pyte.ByteStream(self)

    def draw(self, data: str) -> None:
        super().draw("".join(char for char in data if wcwidth(char) > 0 or unicodedata.combining(char)))

    def show(self, data: bytes) -> None:
        self._stream.feed(data)

    @property
    def row(self) -> str:
        """The row of the cursor, without spaces at its end."""
        return self.display[self.cursor.y].rstrip()

    @property
    def rows(self) -> list[str]:
        """All rows above that of the cursor, without spaces at their ends."""
        return [row.rstrip() for row in self.display[: self.cursor.y]]
