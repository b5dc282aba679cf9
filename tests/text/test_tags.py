"""Tags of entries: those of clients, clean, and hubbub's own."""

from __future__ import annotations

import pytest

from hubbub.text import tags


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("+draft/reply", "x.1", "+draft/reply=x.1"),
        ("+typing", "active", "+typing=active"),
        ("+a", "", "+a"),
        ("+example.org/a-b", "x y;z\\", "+example.org/a-b=x\\sy\\:z\\\\"),
        ("+a", "\x9b31m\u202e\x1b]0;x\x07red\u200b", "+a=red"),
        ("+a", "\x1b[", "+a"),
        ("+a", "1\n2\r3", "+a=1\\n2\\r3"),
        ("bot", "", ""),
        ("format", "0b", ""),
        ("cut", "1", ""),
        ("label", "x", ""),
        ("+", "x", ""),
        ("+a\x1bb", "x", ""),
        ("+a b", "x", ""),
        ("+a;b", "x", ""),
        ("+é", "x", ""),
    ],
)
def test_tags_of_clients_are_clean(name: str, value: str, kept: str) -> None:
    assert tags.of_client([(name, value)]) == kept


def test_hubbubs_own_tags_are_not_shown() -> None:
    assert tags.shown("bot;format=0b;+a=b;cut=3;lost;+c") == "bot;+a=b;+c"
    assert tags.shown("") == ""
    assert tags.value("bot;format=0b", "format") == "0b" and tags.value("", "format") == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("bot;+a=b;cut=1.2;format=0c04-01+9o;lost", "bot;+a=b;cut=1.2;format=0c04-01+9o;lost"),
        ("+a=\x9b31m;+b\x1b=1;time=x;bot=x", "+a;bot"),
        ("format=\x1b[0m;cut=;x", "cut="),
    ],
)
def test_tags_of_a_log_from_elsewhere_are_clean(given: str, kept: str) -> None:
    assert tags.clean_tags(given) == kept
