"""The effect of entries on earlier ones: a message is shown as later entries have corrected, redacted or marked it.

This is the only code that knows it; every storage, the live room and the test doubles use it.
"""

from __future__ import annotations

from msgspec.structs import replace

from hubbub.model.entries import (
    Body,
    Edited,
    Entry,
    Erased,
    Pinned,
    PollClosed,
    Polled,
    Reacted,
    Redacted,
    Said,
    Unreacted,
    Voted,
)
from hubbub.model.messages import polls, reactions
from hubbub.text import formatting
from hubbub.text.tags import CUT, EDITED, join, reply_to, without

_CHANGING = (Redacted, Edited, Reacted, Unreacted, Voted, PollClosed)
_QUOTING = (Edited, Pinned)  # have a text of the message that they are about


def target_of(body: Body) -> str:
    """Return the id of the entry that an entry with this body changes; "" if it changes none."""
    return body.target if isinstance(body, _CHANGING) else ""


def overlaid(entry: Entry, by: Entry) -> Entry:
    """Return an entry of the same room as it is after the later entry `by`: the same one if `by` does not change it."""
    body, target = by.body, target_of(by.body)
    if type(body) is Redacted:
        return _without_text_of(entry, target)
    if not target or entry.id != target:
        return entry
    if isinstance(entry.body, Polled) and isinstance(body, Voted | PollClosed):
        return polls.after(entry, entry.body, body)
    if type(entry.body) is not Said:
        return entry
    match body:
        case Edited():
            # The positions of the old text's formatting do not fit the new text.
            own = join(without(entry.tags, formatting.TAG, CUT, EDITED), EDITED)
            codes = join(*(tag for tag in by.tags.split(";") if tag.startswith(f"{formatting.TAG}=")))
            return replace(entry, body=replace(entry.body, text=body.text), tags=join(own, codes))
        case Reacted():
            return replace(entry, tags=reactions.add(entry.tags, body.reaction, by.nick))
        case Unreacted():
            return replace(entry, tags=reactions.remove(entry.tags, body.reaction, by.nick))
    return entry


def erased(entry: Entry) -> Entry:
    """Return an entry without its text and tags; the same one if its kind has no text of a message."""
    if type(entry.body) is Said or isinstance(entry.body, (*_QUOTING, Polled)):
        return replace(entry, body=Erased(), tags="", quote=None)
    return entry


def quoted_by(entry: Entry) -> str:
    """Return the id of the other message whose text an entry has: a correction, a pin or a quote; "" if it has none."""
    body = entry.body
    if isinstance(body, _QUOTING):
        return body.target
    return target_of(body) or reply_to(entry.tags) if entry.quote else ""


def _without_text_of(entry: Entry, target: str) -> Entry:
    """Return an entry without the text of a message that was redacted."""
    if entry.id == target:
        return erased(entry)
    if quoted_by(entry) != target:
        return entry
    return replace(entry, quote=None) if entry.quote else erased(entry)
