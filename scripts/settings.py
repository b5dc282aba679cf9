#!/usr/bin/env python3
"""Write the table of settings into docs/operations.md, from the code."""

from __future__ import annotations

import re
from pathlib import Path

from hubbub import config

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
BEGIN, END = "<!-- settings: made by scripts/settings.py -->\n", "<!-- end of settings -->\n"


def table() -> str:
    """Return the table in Markdown."""
    rows = ["| flag | default | what it is |", "|---|---|---|"]
    for name, (kind, note, default) in config.table().items():
        unit = (note.extra or {}).get("unit", "")
        flag = "--" + name.replace("_", "-")
        flag = f"{flag}` / `{config.opposite(flag)}" if kind is bool else flag
        bounds = " to ".join(config.show(bound) for bound in (note.ge, note.le) if bound is not None)
        bounds = f" ({'at least ' if note.le is None else ''}{bounds})" if bounds else ""
        shown = f"{config.show(default)} {unit}".strip()
        rows.append(f"| `{flag}` | {shown} | {note.description}{bounds} |")
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """Return the page with the table in its place."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: BEGIN + table() + END, text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
