"""A transcript of a room for people to read and keep: as HTML, Markdown or plain text, made piece by piece.

It has the messages as they are in the log now: with corrections and reactions, and without deleted messages. Polls have
their results.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, tzinfo
from hashlib import sha256
from html import escape
from typing import NamedTuple

from hubbub.model.entries import Entry, Kind, Polled, Said
from hubbub.model.messages import polls, reactions
from hubbub.text.tags import EDITED

_FENCE = re.compile(r"^[ \t]*```[^`\n]*$", re.MULTILINE)
_MARKDOWN = re.compile(r"([\\`*_\[\]<>&#|~])")
_MARKDOWN_START = re.compile(r"^(\s*)(?:([-+=])|(\d+)([.)]))", re.MULTILINE)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1b1b;background:#fff}h2{font-size:1rem;border-bottom:1px solid #bbb;break-after:avoid}"
    "p,pre{margin:.3rem 0;overflow-wrap:anywhere;white-space:pre-wrap}time,small{color:#595959}"
    "pre{background:#f2f2f2;padding:.5rem;font:14px/1.4 monospace}article{break-inside:avoid}"
    "@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#1b1b1b}time,small{color:#a6a6a6}"
    "pre{background:#2b2b2b}}@media print{body{color:#000;background:#fff;max-width:none}pre{background:#fff}}"
)
# A saved page has the origin of other local files, so it may load and run nothing at all.
_POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"


class _Message(NamedTuple):
    """A message: its time, its author with the sign of its style, its text with the code marked, and remarks on it."""

    time: datetime
    author: str
    parts: list[tuple[bool, str]]
    remarks: str


class _Form(NamedTuple):
    """A form of transcripts: the texts that begin it, that begin a day, of a message, and that end it."""

    begin: Callable[[str], str]
    day: Callable[[str], str]
    message: Callable[[_Message], str]
    end: str
    media_type: str
    suffix: str


class Transcript:
    """The text of a transcript, in pieces: `begin`, any number of `entries`, `end`.

    Args:
        form: one of FORMS.
        room: the name of the room.
        tz: the time zone of the times; None for the system's.

    """

    def __init__(self, form: str, room: str, tz: tzinfo | None = None) -> None:
        self._form = FORMS[form]
        self._tz = tz
        self._day: date | None = None
        self.begin = self._form.begin(room)
        self.end = self._form.end

    def entries(self, entries: Iterable[Entry]) -> str:
        """Return the text of the messages and polls among further entries, with a heading before each new day."""
        return "".join(self._lines(entries))

    def _lines(self, entries: Iterable[Entry]) -> Iterator[str]:
        for entry in entries:
            if not isinstance(entry.body, Said | Polled):
                continue
            time = datetime.fromtimestamp(entry.time, self._tz).astimezone(self._tz)
            if time.date() != self._day:
                self._day = time.date()
                yield self._form.day(f"{time:%A}, {time.day} {time:%B %Y}")
            yield self._form.message(_message(entry, entry.body, time))


def _message(entry: Entry, body: Said | Polled, time: datetime) -> _Message:
    if isinstance(body, Polled):
        lines = [f"{number} × {answer}" for answer, number in zip(body.answers, polls.counts(entry, body), strict=True)]
        lines += filter(None, [polls.doubt(polls.guests(entry, body)).strip()])
        return _Message(time, f"{entry.nick} asks", [(False, "\n".join((body.question, *lines)))], "")
    author = {Kind.ACTION: f"* {entry.nick}", Kind.NOTICE: f"-{entry.nick}-"}.get(body.style, entry.nick)
    if entry.quote:
        author += f" (re {entry.quote.nick})"
    remarks = ["corrected"] if EDITED in entry.tags.split(";") else []
    remarks += [f"{reaction} {len(nicks)}" for reaction, nicks in reactions.read(entry.tags).items()]
    return _Message(time, author, _parts(body.text), ", ".join(remarks))


def _parts(text: str) -> list[tuple[bool, str]]:
    """Return the parts of a text in order, each with whether it is code between two fences, or behind the last one."""
    parts: list[tuple[bool, str]] = []
    for index, part in enumerate(_FENCE.split(text)):
        if index:
            part = part.removeprefix("\n")
        part = part.removesuffix("\n")
        if part.strip():
            parts.append((index % 2 == 1, part))
    return parts


# --- HTML -------------------------------------------------------------------------------------------------------------


def _html_begin(room: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(room)}</title><style>{_STYLE}</style></head>\n<body><h1>{escape(room)}</h1>\n"
    )


def _html_message(message: _Message) -> str:
    at = message.time
    head = f'<time datetime="{at:%Y-%m-%dT%H:%M:%S%z}">{at:%H:%M}</time> <b><bdi>{escape(message.author)}</bdi></b>'
    remarks = f" <small>({escape(message.remarks)})</small>" if message.remarks else ""
    texts = "".join(
        f"<pre><code>{escape(text)}</code></pre>" if code else f'<p dir="auto">{escape(text)}</p>'
        for code, text in message.parts
    )
    return f"<article>{head}{remarks}{texts}</article>\n"


# --- Markdown ---------------------------------------------------------------------------------------------------------


def _markdown(text: str) -> str:
    """Return a text so that Markdown shows it as it is, with its line ends."""
    text = _MARKDOWN.sub(r"\\\1", text)
    text = _MARKDOWN_START.sub(lambda found: f"{found[1]}{found[3] or ''}\\{found[2] or found[4]}", text)
    return "\\\n".join(line.strip() for line in text.split("\n") if line.strip())


def _markdown_message(message: _Message) -> str:
    remarks = f" ({_markdown(message.remarks)})" if message.remarks else ""
    texts = [f"**{message.time:%H:%M} {_markdown(message.author)}**{remarks}"]
    # A block of code has no fence in it, because the text was split at the fences.
    texts += [f"```\n{text}\n```" if code else _markdown(text) for code, text in message.parts]
    return "\n\n".join(texts) + "\n\n"


# --- plain text -------------------------------------------------------------------------------------------------------


def _text_message(message: _Message) -> str:
    # Each further line is indented; otherwise it could pose as another message.
    text = "\n".join(part for _, part in message.parts).replace("\n", "\n    ")
    remarks = f" ({message.remarks})" if message.remarks else ""
    return f"[{message.time:%H:%M}] {message.author}: {text}{remarks}\n"


FORMS = {
    "html": _Form(
        _html_begin,
        lambda day: f"<h2>{day}</h2>\n",
        _html_message,
        "</body></html>\n",
        "text/html",
        "html",
    ),
    "markdown": _Form(
        lambda room: f"# {_markdown(room)}\n\n",
        lambda day: f"## {day}\n\n",
        _markdown_message,
        "",
        "text/markdown",
        "md",
    ),
    "text": _Form(
        lambda room: f"{room}\n",
        lambda day: f"\n--- {day} ---\n",
        _text_message,
        "",
        "text/plain",
        "txt",
    ),
}
