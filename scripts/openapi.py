#!/usr/bin/env python3
"""Write docs/openapi.json, from the code."""

from __future__ import annotations

import json
from pathlib import Path

from hubbub.serve.web.api.openapi import describe

FILE = Path(__file__).parent.parent / "docs" / "openapi.json"


def text() -> str:
    """Return what the file holds."""
    return json.dumps(describe(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
