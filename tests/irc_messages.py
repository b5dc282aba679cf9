"""Lines of an IRC server as tests look at them.

A pattern is `[:SOURCE ]VERB param param [:last one]`. SOURCE is a nick, or all of the source. VERB may be several with
`|` between. A parameter is compared as it is, but `...` is any text and `/.../` a regular expression for all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

UNESCAPE = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
LONGEST = 512
ANY = re.compile(".*", re.DOTALL)
CORE = ("message-tags", "server-time", "echo-message", "batch", "labeled-response")
Word = str | re.Pattern[str]


@dataclass(frozen=True)
class Message:
    """A line that a server sent."""

    tags: dict[str, str]
    source: str
    verb: str
    params: tuple[str, ...]

    @classmethod
    def parse(cls, line: bytes) -> Message:
        assert len(line) + 2 <= LONGEST or line.startswith(b"@"), f"{len(line) + 2} bytes: {line!r}"
        assert b"\r" not in line and b"\0" not in line, line
        rest, tags, source = line.decode(), {}, ""
        if rest.startswith("@"):
            words, _, rest = rest[1:].partition(" ")
            for word in words.split(";"):
                key, _, value = word.partition("=")
                tags[key] = re.sub(r"\\(.?)", lambda match: UNESCAPE.get(match[1], match[1]), value)
        if rest.startswith(":"):
            source, _, rest = rest[1:].partition(" ")
        head, colon, last = rest.partition(" :")
        verb, *params = head.split()
        return cls(tags, source, verb, (*params, last) if colon else tuple(params))

    @property
    def nick(self) -> str:
        return self.source.partition("!")[0]

    def __str__(self) -> str:
        return f":{self.source} {self.verb} {' | '.join(self.params)}"

    def like(self, pattern: str) -> bool:
        """Say whether this is what a pattern means."""
        source = ""
        if pattern.startswith(":"):
            source, _, pattern = pattern[1:].partition(" ")
        head, colon, last = pattern.partition(" :")
        verbs, *params = head.split(" ")
        params += [last] if colon else []
        return (
            (not source or source in (self.source, self.nick))
            and self.verb in verbs.split("|")
            and len(params) == len(self.params)
            and all(_same(*pair) for pair in zip(params, self.params, strict=True))
        )


def _same(expected: str, param: str) -> bool:
    if len(expected) > 1 and expected[0] == expected[-1] == "/":
        return bool(re.fullmatch(expected[1:-1], param))
    return expected in ("...", param)


def fits(message: Message, verb: str, *params: Word) -> bool:
    """Say whether a message has this verb, and these parameters to begin with."""
    return (
        message.verb == verb
        and len(message.params) >= len(params)
        and all(
            wanted == word if isinstance(wanted, str) else wanted.fullmatch(word)
            for wanted, word in zip(params, message.params, strict=False)
        )
    )


def told(messages: list[Message], *verbs: str) -> list[Message]:
    return [message for message in messages if message.verb in verbs]


def verbs(messages: list[Message]) -> list[str]:
    return [message.verb for message in messages]


def the(messages: list[Message], verb: str, *params: Word) -> Message:
    """Exactly one of them has this verb, and it begins like this."""
    found = told(messages, verb)
    assert len(found) == 1, [*map(str, messages)]
    assert fits(found[0], verb, *params), str(found[0])
    return found[0]


def only(messages: list[Message], verb: str, *params: Word) -> Message:
    """They are one message, and it is like this, with no parameter more."""
    assert len(messages) == 1, [*map(str, messages)]
    assert fits(messages[0], verb, *params) and len(messages[0].params) == len(params), str(messages[0])
    return messages[0]


def batch(messages: list[Message], kind: str, *params: Word) -> list[Message]:
    """They are one batch of this kind, and nothing else; return what is in it, batches of its own included."""
    assert len(messages) > 1, [*map(str, messages)]
    start, *inside, end = messages
    assert fits(start, "BATCH", re.compile(r"\+[A-Za-z0-9-]+"), kind, *params), [*map(str, messages)]
    open_now = [start.params[0][1:]]
    assert end.verb == "BATCH" and end.params == (f"-{open_now[0]}",), [*map(str, messages)]
    for message in inside:
        if message.verb == "BATCH" and message.params[0][0] == "-":
            assert message.params[0][1:] == open_now.pop(), [*map(str, messages)]
        assert message.tags.get("batch") == open_now[-1], [*map(str, messages)]
        if message.verb == "BATCH" and message.params[0][0] == "+":
            open_now.append(message.params[0][1:])
    return inside
