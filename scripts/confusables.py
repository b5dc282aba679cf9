#!/usr/bin/env python3
"""Write src/hubbub/text/confusables/table.py from Unicode's confusables.txt (UTS #39).

    scripts/confusables.py confusables.txt

Kept is what can be in a name: letters, marks, digits and the signs that names may have, as far as they are not made the
same by NFKC anyway. Libraries of this data were considered: those that are well known have the data of years ago, and
all that is needed of them is this table.
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import regex

from hubbub.text.names import BETWEEN, GERESH, NAME_PUNCTUATION

TARGET = Path(__file__).parent.parent / "src" / "hubbub" / "text" / "confusables" / "table.py"
HEAD = '''"""Which characters look like which: Unicode's prototypes for what can be in a name (UTS #39).

Made by scripts/confusables.py from version {version}; the license is licenses/unicode.txt. Each word is a character and
its prototype.
"""

# fmt: off
_WORDS = (
{lines}
)
# fmt: on
PROTOTYPES = {{ord(word[0]): word[1:] for word in _WORDS.split()}}
'''
WIDTH = 110


def pairs(text: str) -> list[tuple[str, str]]:
    """Return the characters of names, and their prototypes."""
    found = []
    for line in text.splitlines():
        fields = line.partition("#")[0].split(";")
        if len(fields) < 3:
            continue
        char, prototype = ("".join(chr(int(code, 16)) for code in field.split()) for field in fields[:2])
        is_of_names = regex.fullmatch(r"[\p{L}\p{M}\p{Nd}]", char) or char in NAME_PUNCTUATION + BETWEEN + GERESH
        if is_of_names and unicodedata.normalize("NFKC", char) == char and not prototype.isspace():
            found.append((char, prototype))
    return sorted(found)


def module(text: str) -> str:
    """Return the module for a confusables.txt."""
    version = regex.search(r"Version: (\S+)", text)[1]
    words = [ascii(char + prototype)[1:-1].replace('"', '\\"') for char, prototype in pairs(text)]
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) + 1 > WIDTH:
            lines.append(line)
            line = ""
        line += word + " "
    return HEAD.format(version=version, lines="\n".join(f'    "{line}"' for line in [*lines, line]))


if __name__ == "__main__":
    TARGET.write_text(module(Path(sys.argv[1]).read_text("utf-8-sig")), "utf-8")
