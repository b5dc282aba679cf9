#!/usr/bin/env python3
"""Write the table of refusals into docs/protocol.md, from the code."""

from __future__ import annotations

import re
from pathlib import Path

from hubbub.text import refusals
from hubbub.wire.irc.numerics import REFUSALS
from hubbub.wire.web.statuses import STATUSES

PAGE = Path(__file__).parent.parent / "docs" / "protocol.md"
BEGIN, END = "<!-- refusals: made by scripts/refusals.py -->\n", "<!-- end of refusals -->\n"


def table() -> str:
    """Return the table in Markdown: a row for each code, with all its sentences."""
    rows = ["| code | sentences | IRC | HTTP |", "|---|---|---|---|"]
    for code in refusals.CODES:
        wordings = [wording.sentence for wording in refusals.ALL.values() if wording.code == code]
        shown = "<br>".join(dict.fromkeys(_shown(sentence) for sentence in wordings))
        rows.append(f"| `{code}` | {shown} | {REFUSALS[code] or ''} | {STATUSES[code].value} |")
    return "\n".join(rows) + "\n"


def _shown(sentence: str) -> str:
    """Return a sentence with the names of its fields in italics."""
    text = re.sub(r"\{(\w+)(:[^}]*)?\}", r"*\1*", sentence.replace("{{", "\0").replace("}}", "\1"))
    return text.replace("\0", "{").replace("\1", "}").replace("_", r"\_").replace("|", r"\|")


def page(text: str) -> str:
    """Return the page with the table in its place."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: BEGIN + table() + END, text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
