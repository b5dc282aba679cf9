"""Transcripts: what is in them, and that no text can be anything else than a text."""

from __future__ import annotations

from datetime import UTC
from html.parser import HTMLParser

import pytest
from msgspec import structs

from hubbub.model.entries import Entry, Erased, Kind, Left, Polled, Quote, Said
from hubbub.model.messages import reactions
from hubbub.text.tags import EDITED, join
from hubbub.wire.transcript import FORMS, Transcript

NOON = 1_795_521_600.0  # 2026-11-24 12:00 UTC
HOSTILE = "</p><script>alert(1)</script>&\"'<img src=x onerror=y>"


def said(text: str, nick: str = "Ann", time: float = NOON, style: Kind = Kind.MESSAGE, tags: str = "") -> Entry:
    return Entry("ops", 1, 0, time, nick, "x-1.1", Said(text, style), tags=tags)


ENTRIES = [
    said("tea?"),
    said("looks:\n```py\nif a < b:\n    go()\n```\ndone", "Zoë", NOON + 60, tags=EDITED),
    Entry("ops", 2, 0, NOON, "Bo", "x-1.2", Left()),
    Entry("ops", 3, 0, NOON, "Bo", "x-1.3", Erased()),
    said("waves", "Bo", NOON + 86400, Kind.ACTION, reactions.add(join(EDITED), "👍", "Ann")),
    said("built", "ci", NOON + 86400, Kind.NOTICE),
]


def text_of(form: str, entries: list[Entry]) -> str:
    transcript = Transcript(form, "ops", UTC)
    return transcript.begin + "".join(transcript.entries([one]) for one in entries) + transcript.end


def test_plain_text() -> None:
    assert text_of("text", ENTRIES) == (
        "ops\n\n--- Tuesday, 24 November 2026 ---\n[12:00] Ann: tea?\n"
        "[12:01] Zoë: looks:\n    if a < b:\n        go()\n    done (corrected)\n"
        "\n--- Wednesday, 25 November 2026 ---\n[12:00] * Bo: waves (corrected, 👍 1)\n[12:00] -ci-: built\n"
    )


def test_polls_have_their_results() -> None:
    poll = Entry("ops", 1, 0, NOON, "Ann", "x-1.1", Polled("tea?", ("yes", "no")), tags="votes=abcdefghij.;closed")
    assert "[12:00] Ann asks: tea?\n    1 × yes\n    0 × no\n" in text_of("text", [poll])
    remark = "    (1 vote by guests who can vote again under another name)\n"
    assert remark in text_of("text", [structs.replace(poll, tags="votes=0bcdefghij.;closed")])


def test_markdown() -> None:
    assert text_of("markdown", ENTRIES[:2]) == (
        "# ops\n\n## Tuesday, 24 November 2026\n\n**12:00 Ann**\n\ntea?\n\n"
        "**12:01 Zoë** (corrected)\n\nlooks:\n\n```\nif a < b:\n    go()\n```\n\ndone\n\n"
    )
    shown = text_of("markdown", [said("# no *heading*\n- <b>\n  1. one\nend")])
    assert shown.endswith("\n\n\\# no \\*heading\\*\\\n\\- \\<b\\>\\\n1\\. one\\\nend\n\n")


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_has_no_elements_but_its_own() -> None:
    reader, plain = Reader(), Reader()
    reader.feed(text_of("html", [*ENTRIES, said(HOSTILE, HOSTILE), said(f"```\n{HOSTILE}")]))
    plain.feed(text_of("html", ENTRIES))
    assert reader.tags == plain.tags and not reader.tags & {"script", "img", "a", "link"}
    assert reader.text.count(HOSTILE) == 3


def test_html_may_load_nothing() -> None:
    page = text_of("html", ENTRIES)
    assert "default-src 'none'; style-src 'sha256-" in page and "unsafe" not in page
    assert '<time datetime="2026-11-24T12:00:00+0000">12:00</time>' in page
    assert "<pre><code>if a &lt; b:\n    go()</code></pre>" in page
    assert page.index("<h1>ops</h1>") < page.index("<h2>Tuesday") < page.index("<h2>Wednesday")


@pytest.mark.parametrize("form", FORMS)
def test_answer_names_the_author_of_the_message(form: str) -> None:
    assert "Bo (re Ann)" in text_of(form, [structs.replace(said("yes", "Bo"), quote=Quote("Ann", "tea?"))])
