"""What a search means, for every broker: which texts hold which words.

Words are separated by spaces, and a text must hold all of them. Case, accents and the forms of a character do not
matter: both are compared in their search form. A word is found as a whole word; with a star behind it, words that
begin with it are found, too. Signs and emoji are found as they are written, also inside a word (`C++`, `->`). Scripts
that put no space between words are found anywhere in a text.

A text index knows tokens: runs of letters and digits, and every other character alone. A search of an index for the
tokens of each word, next to each other, finds all texts that hold the words, and seldom another one; so what an index
finds is compared once more.
"""

from __future__ import annotations

import re
import unicodedata

import regex

from hubbub.core.text import fold_text

# Scripts that put no space between words, as ranges of a character class.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]"  # a character of a word, in scripts with spaces
_ALONE = regex.compile(rf"[\S--{_LETTER}]", regex.V1)  # a character that is a token alone
_ASCII_ALONE = re.compile(r"[^\sa-z0-9]")
_ENDS = regex.compile(_LETTER, regex.V1)
_ACCENTS = regex.compile("[\u0300-\u036f]+")
_ALIKE = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bc\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u2033", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
    | dict.fromkeys("\u00ad\u200b\ufe0e\ufe0f", "")
)


def search_form(text: str) -> str:
    """Return a text as searches compare it: without case and accents, quotes and dashes of one kind."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", " ".join(fold_text(text).translate(_ALIKE).split()))
    return unicodedata.normalize("NFC", _ACCENTS.sub("", folded))


def tokens(form: str) -> str:
    """Return the tokens of a text in search form, with spaces between them.

    They are for FTS5's tokenizer `ascii`, which splits at ASCII signs; so those are replaced by private characters.
    """
    return _ASCII_ALONE.sub(_apart, form) if form.isascii() else _ALONE.sub(_apart, form)


def _apart(found: re.Match[str] | regex.Match[str]) -> str:
    char = found[0]
    return f" {chr(0xE000 + ord(char)) if char < chr(128) else char} "


class Word:
    """One word of a search.

    Args:
        word: in search form, without spaces.

    """

    def __init__(self, word: str) -> None:
        starred = len(word) > 1 and word.endswith("*") and bool(_ENDS.match(word[-2]))
        self.text = word[:-1] if starred else word
        left = rf"(?<!{_LETTER})" if _ENDS.match(self.text[0]) else ""
        right = rf"(?!{_LETTER})" if _ENDS.match(self.text[-1]) and not starred else ""
        self._found = regex.compile(left + regex.escape(self.text) + right, regex.V1) if left or right else None
        self.match = f'"{tokens(self.text)}"' + (" *" if starred else "")

    def is_in(self, form: str) -> bool:
        """Return whether a text in search form holds this word."""
        return self.text in form and (self._found is None or self._found.search(form) is not None)


class Words:
    """All words of a search.

    Args:
        words: as people type them.

    """

    def __init__(self, words: str) -> None:
        self._words = [Word(word) for word in search_form(words).split()]

    def __bool__(self) -> bool:
        return bool(self._words)

    @property
    def match(self) -> str:
        """What to ask an FTS5 index of tokens for."""
        return " ".join(word.match for word in self._words)

    @property
    def likes(self) -> list[str]:
        """Patterns for SQL's LIKE with a backslash as its escape: a text of ASCII that holds the words is like all."""
        return ["%" + re.sub(r"([\\%_])", r"\\\1", word.text) + "%" for word in self._words]

    def are_in(self, text: str) -> bool:
        """Return whether a text holds all words."""
        form = search_form(text)
        return all(word.is_in(form) for word in self._words)
