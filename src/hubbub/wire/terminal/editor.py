"""The input line of a terminal: keys in, lines and the bytes to draw out.

The chat's text goes into the terminal's own scrollback, and the line that is being typed stands below it. The keys are
those of emacs and readline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hubbub.text.typed.secret_lines import holds_password
from hubbub.wire.line.reader import LineSignal
from hubbub.wire.terminal.completion import Vocabulary, complete
from hubbub.wire.terminal.history import TypedHistory
from hubbub.wire.terminal.keys import PARTS, Key, KeyReader, Paste
from hubbub.wire.terminal.typed_line import TypedLine
from hubbub.wire.terminal.views import Drawing, PlainView, ScrollView, View, clamped

# Characters that keys may touch until they count as much as a line; a key touches all of its line at most. People who
# type never reach it more than once in a few seconds.
WORK = 16 * 1024
KEY = 16  # characters that stand for the cost of a key on an empty line
PASTE = 256  # the same for a paste
CONFIRMED = 10  # lines of a paste above which it is sent only after a question
START, STOP = "\x1b[?2004h", "\x1b[?2004l"  # of bracketed paste: the terminal marks pasted text
BELL = "\a"

# The keys that change the text, or move the cursor in it.
_EDITS: dict[Key, Callable[[TypedLine], object]] = {
    Key.LEFT: lambda line: line.move_to(line.cursor - 1),
    Key.RIGHT: lambda line: line.move_to(line.cursor + 1),
    Key.HOME: lambda line: line.move_to(0),
    Key.END: lambda line: line.move_to(len(line.row)),
    Key.WORD_LEFT: lambda line: line.move_to(line.word_before(True)),
    Key.WORD_RIGHT: lambda line: line.move_to(line.word_after()),
    Key.BACKSPACE: lambda line: line.remove(line.cursor - 1, line.cursor),
    Key.DELETE: lambda line: line.remove(line.cursor, line.cursor + 1),
    Key.DELETE_OR_END: lambda line: line.remove(line.cursor, line.cursor + 1),
    Key.CUT_TO_START: lambda line: line.cut(0, line.cursor),
    Key.CUT_TO_END: lambda line: line.cut(line.cursor, len(line.row)),
    Key.CUT_WORD: lambda line: line.cut(line.word_before(False), line.cursor),
    Key.CUT_WORD_RIGHT: lambda line: line.cut(line.cursor, line.word_after()),
    Key.PUT_BACK: TypedLine.put_back,
    Key.TRANSPOSE: TypedLine.transpose,
    Key.INTERRUPT: lambda line: line.set(""),
    Key.ESCAPE: lambda line: None,
    Key.NOTHING: lambda line: None,
}
_WHEN_EMPTY = {Key.DELETE_OR_END: LineSignal.QUIT, Key.INTERRUPT: LineSignal.INTERRUPT}


class Prompt(NamedTuple):
    """A text before the input line, and whether the input is hidden."""

    text: str = ""
    hides: bool = False


class Editor:
    """The input line of one terminal.

    It is used as `LineReader` is: feed bytes, then take lines until None. After each, and after any other call, write
    `take_output()` to the terminal. Memory and the time for each byte are bounded, whatever is fed.

    Args:
        limit: longest line, in bytes.
        vocabulary: returns the words for TAB; called at most once for each `feed`.
        columns: the width of the terminal; 0 if it is not known.
        plain: whether nothing is written twice, for screen readers and `TERM=dumb`.

    """

    def __init__(
        self,
        limit: int,
        vocabulary: Callable[[], Vocabulary] = Vocabulary,
        columns: int = 0,
        plain: bool = False,
    ) -> None:
        self._keys = KeyReader(limit)
        self._line = TypedLine(limit)
        self._history = TypedHistory()
        self._vocabulary = vocabulary
        self._completed = False  # since the last `feed`
        self._work = 0  # characters that keys have touched since the last LineSignal.KEYS
        self._prompt = Prompt()
        self._pasted = ""  # a long paste with the line around it, while it waits for Enter
        self.plain = plain
        self._view: View = _view(plain, clamped(columns))
        self._out: list[str] = [] if plain else [START]

    # --- input --------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Add bytes from the terminal."""
        self._completed = False
        self._keys.feed(data)

    @property
    def waiting(self) -> bool:
        """Whether there is input that was not processed yet."""
        return self._keys.waiting

    def has_line(self) -> bool:
        """Return whether an Enter waits to be taken."""
        return self._keys.has_enter()

    @property
    def pending(self) -> str:
        """The typed line before Enter, without its prompt; LF stands between the lines of a paste."""
        return self._line.text

    def next_line(self) -> str | LineSignal | None:
        """Return the next line that was sent with Enter, or a signal, or None if more input is needed."""
        while self._work < WORK:
            if (key := self._keys.next_key()) is None:
                return None
            self._work += KEY * PARTS if key is Key.NOTHING else self._line.length + KEY
            if isinstance(key, Paste):
                self._work += PASTE
            done = self._take(key)
            if done is not None:
                return done
        self._work = 0
        return LineSignal.KEYS

    def take_rest(self) -> str:
        """Return the typed text that was not sent, and the input that was not processed; remove both."""
        rest = self._line.text + self._keys.take_rest()
        self._line.set("")
        return rest

    def insert(self, text: str) -> None:
        """Insert a text at the cursor as if it were typed; ring if the line would be too long."""
        if not self._line.insert(text.replace("\n", "") if self._prompt.hides else text):
            self._out.append(BELL)

    def _take(self, key: str | Key | Paste) -> str | LineSignal | None:
        if self._pasted:
            return self._confirm(key)
        if isinstance(key, Paste):
            return self._paste(key.text)
        if isinstance(key, str):
            self.insert(key)
            self._history.edited()
            return None
        if key is Key.ENTER:
            if self.plain:
                self._out.append(self._view.draw(self._drawing()))
            return self._send(self._line.text)
        empty = not self._line.row
        if empty and key in _WHEN_EMPTY:
            return _WHEN_EMPTY[key]
        if edit := _EDITS.get(key):
            size = self._line.size
            edit(self._line)
            if self._line.size != size:
                self._history.edited()
        else:
            _ACTIONS[key](self)
        if self.plain:
            self._line.move_to(len(self._line.row))
        return None

    def _send(self, text: str) -> str:
        """End the line, and keep it for Up unless it is the answer to a question or has a password."""
        self._out.append(self._view.finish(self._drawing()))
        if self._prompt == Prompt() and not holds_password(text):
            self._history.add(text)
        self._prompt = Prompt()
        self._line.set("")
        return text

    # --- pastes ---------------------------------------------------------------------------------------------------

    def _paste(self, text: str | None) -> LineSignal | None:
        """Insert a paste; ask whether it is to be sent if it is long."""
        if text is None:
            return LineSignal.TOO_LONG
        before, cursor = self._line.text, self._line.cursor
        pasted = text.rstrip("\n")
        if not self._line.insert(pasted.replace("\n", "") if self._prompt.hides else pasted):
            return LineSignal.TOO_LONG
        self._history.edited()
        if pasted.count("\n") >= CONFIRMED and not self._prompt.hides:
            self._pasted = self._line.text
            self._line.set(before)
            self._line.move_to(cursor)
        return None

    def _confirm(self, key: str | Key | Paste) -> str | None:
        """Send the long paste on Enter, drop it on Esc or Ctrl-C; nothing else is taken until then."""
        pasted = self._pasted
        if key is Key.ENTER:
            self._pasted = ""
            self._line.set(pasted)
            return self._send(pasted)
        if key in (Key.ESCAPE, Key.INTERRUPT):
            self._pasted = ""
        return None

    # --- keys -----------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        if self._completed or self._prompt != Prompt():
            return
        self._completed = True
        line = self._line
        done = complete("".join(line.row[: line.cursor]), self._vocabulary())
        if done.choices:
            self._out += [self._view.leave(), ", ".join(done.choices), "\r\n"]
        elif not done.text:
            self._out.append(BELL)
        else:
            start, left = line.cursor, done.length
            while left > 0:
                start -= 1
                left -= len(line.row[start])
            line.remove(start, line.cursor)
            self.insert(done.text)
            self._history.edited()

    def _recall(self, line: str | None) -> None:
        if line is None or self._prompt.hides:
            self._out.append(BELL)
        else:
            self._line.set(line)

    def _redraw(self) -> None:
        self._out.append(self._view.leave())

    def _older(self) -> None:
        self._recall(self._history.older(self._line.text))

    def _newer(self) -> None:
        self._recall(self._history.newer(self._line.text))

    def _search(self) -> None:
        self._recall(self._history.search(self._line.text))

    # --- output ---------------------------------------------------------------------------------------------------

    def take_output(self) -> bytes:
        """Return the bytes to write to the terminal, and remove them."""
        self._out.append(self._view.draw(self._drawing()))
        out = "".join(self._out)
        self._out = []
        return out.encode("utf-8", "replace")

    def above(self, data: bytes) -> bytes:
        """Return the bytes that write other output above the input line; each line of it ends in CR LF."""
        if not data.strip(b"\a"):
            return self.take_output() + data
        if self._shows_nothing:
            return data
        self._out.append(self._view.leave())
        before = "".join(self._out).encode("utf-8", "replace")
        self._out = []
        return before + data + self.take_output()

    @property
    def _shows_nothing(self) -> bool:
        """Whether the row is empty and stays so. Most people read, and their terminals are written often."""
        return self._view.is_blank and not (self._out or self._line.row or self._prompt.text or self._pasted)

    def ask(self, prompt: str, hides: bool = False) -> None:
        """Put a prompt, a text of one line, before the next line; `hides` says that the answer is not shown."""
        self._prompt = Prompt(prompt, hides)

    def adopt(self, prompt: str, typed: str) -> None:
        """Go on with a row that the terminal shows already: a prompt, and the typed text behind it."""
        self._prompt = Prompt(prompt)
        self._line.insert(typed)
        self._view.adopt(self._drawing())

    def resize(self, columns: int) -> None:
        """Draw for a terminal of another width; 0 if it is not known."""
        if clamped(columns) != self._view.columns:
            self._out.append(self._view.leave())
            self._view.columns = clamped(columns)

    def set_plain(self, plain: bool) -> None:
        """Write nothing twice from now on, or draw the line below the text again."""
        if plain is not self.plain:
            self.plain = plain
            self._out += [self._view.leave(), STOP if plain else START]
            self._view = _view(plain, self._view.columns)
            self._line.move_to(len(self._line.row))

    def close(self) -> bytes:
        """Return the bytes that leave the terminal as it was."""
        self._out += [self._view.leave(), "" if self.plain else STOP]
        out = "".join(self._out)
        self._out = []
        return out.encode("utf-8", "replace")

    def _drawing(self) -> Drawing:
        if self._pasted:
            lines = self._pasted.count("\n") + 1
            return Drawing(f"{lines} lines: Enter sends, Esc drops", (), 0)
        if self._prompt.hides:
            return Drawing(self._prompt.text, (), 0)
        return Drawing(self._prompt.text, self._line.row, self._line.cursor)


def _view(plain: bool, columns: int) -> View:
    return PlainView(columns) if plain else ScrollView(columns)


_ACTIONS: dict[Key, Callable[[Editor], None]] = {
    Key.COMPLETE: Editor._complete,
    Key.UP: Editor._older,
    Key.DOWN: Editor._newer,
    Key.SEARCH: Editor._search,
    Key.REDRAW: Editor._redraw,
}
