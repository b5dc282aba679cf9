"""Patterns of the regex library, which is loaded with the first of them."""

from __future__ import annotations

import subprocess
import sys

from hubbub.text.patterns import compiled, pattern

LOADED = """
import sys
from hubbub.text import cleaning, names
assert cleaning.said("hello") == ("hello", "") and cleaning.clean("hello") == "hello"
assert "regex" not in sys.modules
assert names.check_name("\\u00c4nne") and "regex" in sys.modules
"""


def test_pattern_is_compiled_once() -> None:
    letter = pattern(r"(?V1)[\p{L}--[a-z]]")
    assert letter() is letter() is compiled(r"(?V1)[\p{L}--[a-z]]")
    assert letter().search("abÄ") and not letter().search("ab1")


def test_plain_text_does_not_load_the_library() -> None:
    subprocess.run([sys.executable, "-c", LOADED], check=True)
