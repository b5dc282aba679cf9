"""The meaning of a search on every broker: which texts contain which words.

Words are separated by spaces, and a text must contain all of them. Case, accents and the variants of a character do
not matter, because texts and words are compared in their search form. A word matches a whole word; with a star at its
end it also matches words that begin with it. Signs and emoji match as they are written, also inside a word (`C++`,
`->`). Words in scripts without spaces between words match anywhere in a text.

A text index has tokens: runs of letters and digits, and every other character alone. A search of the index for the
adjacent tokens of each word finds all texts that contain the words, and a few other texts; so each text that the index
finds is compared again.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from hubbub.text.cleaning import fold_text
from hubbub.text.patterns import pattern

if TYPE_CHECKING:
    import regex

# Scripts that put no space between words, as ranges of a character class.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]"  # a character of a word, in scripts with spaces
_ALONE = pattern(rf"(?V1)[\S--{_LETTER}]")  # a character that is a token by itself
_ASCII_ALONE = re.compile(r"[^\sa-z0-9]")
_ENDS = pattern(f"(?V1){_LETTER}")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_ALIKE = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bc\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u2033", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
    | dict.fromkeys("\u00ad\u200b\ufe0e\ufe0f", "")
)


def search_form(text: str) -> str:
    """Return the search form of a text: without case and accents, and with one kind of quotes and dashes."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", " ".join(fold_text(text).translate(_ALIKE).split()))
    return unicodedata.normalize("NFC", _ACCENTS.sub("", folded))


def tokens(form: str) -> str:
    """Return the tokens of a text in search form, with spaces between them.

    They are for FTS5's tokenizer `ascii`, which splits at ASCII signs; so these signs become private-use characters.
    """
    return _ASCII_ALONE.sub(_apart, form) if form.isascii() else _ALONE().sub(_apart, form)


def _apart(found: re.Match[str] | regex.Match[str]) -> str:
    char = found[0]
    return f" {chr(0xE000 + ord(char)) if char < chr(128) else char} "


class Word:
    """One word of a search.

    Args:
        word: the word in search form, without spaces.

    """

    def __init__(self, word: str) -> None:
        import regex

        starred = len(word) > 1 and word.endswith("*") and bool(_ENDS().match(word[-2]))
        self.text = word[:-1] if starred else word
        left = rf"(?<!{_LETTER})" if _ENDS().match(self.text[0]) else ""
        right = rf"(?!{_LETTER})" if _ENDS().match(self.text[-1]) and not starred else ""
        self._found = regex.compile(left + regex.escape(self.text) + right, regex.V1) if left or right else None
        self.match = f'"{tokens(self.text)}"' + (" *" if starred else "")

    def is_in(self, form: str) -> bool:
        """Return whether a text in search form contains this word."""
        return self.text in form and (self._found is None or self._found.search(form) is not None)


class Words:
    """All words of a search.

    Args:
        words: the words as a user types them.

    """

    def __init__(self, words: str) -> None:
        self._words = [Word(word) for word in search_form(words).split()]

    def __bool__(self) -> bool:
        return bool(self._words)

    @property
    def match(self) -> str:
        """The MATCH expression for an FTS5 index of tokens."""
        return " ".join(word.match for word in self._words)

    @property
    def likes(self) -> list[str]:
        """Patterns for SQL's LIKE with backslash as escape: an ASCII text with all words matches all of them."""
        return ["%" + re.sub(r"([\\%_])", r"\\\1", word.text) + "%" for word in self._words]

    def are_in(self, text: str) -> bool:
        """Return whether a text contains all words; it need not be in search form."""
        form = search_form(text)
        return all(word.is_in(form) for word in self._words)
