"""Postings by the ids of their drafts; the drafts of one event in several rooms have the same id."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from hubbub.chat.session import Posting
from hubbub.model.entries import Draft, Entry


class PostingsById(dict[str, Posting]):
    """Postings by the ids of their drafts, the oldest first.

    Those of one event in several rooms have the same id; all but the first of them are kept apart, because nearly all
    ids belong to one posting.
    """

    def __init__(self) -> None:
        self.others: dict[str, list[Posting]] = {}

    def add(self, posting: Posting) -> None:
        """Add a posting; the first one of an id is found fastest."""
        if self.setdefault(posting.draft.id, posting) is not posting:
            self.others.setdefault(posting.draft.id, []).append(posting)

    def find(self, entry: Entry) -> Posting | None:
        """Return the posting of an entry, if it is here."""
        others = self.others.get(entry.id) if self.others else None
        if not others:
            return self.get(entry.id)
        return next((one for one in (self[entry.id], *others) if one.draft.is_for(entry)), None)

    def find_draft(self, draft: Draft) -> Posting | None:
        """Return the posting of a draft, if it is here."""
        others = self.others.get(draft.id, ()) if self.others else ()
        first = self.get(draft.id)
        return next((one for one in (first, *others) if one and one.draft is draft), first)

    def take(self, posting: Posting | None) -> Posting | None:
        """Remove a posting that was found here, and return it."""
        if posting is None:
            return None
        id = posting.draft.id
        others = self.others.get(id) if self.others else None
        if not others:
            return self.pop(id, None)
        if posting is self[id]:
            self[id] = others.pop(0)
        else:
            others.remove(posting)
        if not others:
            del self.others[id]
        return posting

    @property
    def newest(self) -> Posting | None:
        """The posting that was added last."""
        newest = next(reversed(self.values()), None)
        return self.others.get(newest.draft.id, [newest])[-1] if newest else None

    def limit(self, count: int) -> None:
        """Remove the oldest postings, so that those with at most `count` ids are left."""
        while len(self) > count:
            id = next(iter(self))
            del self[id]
            self.others.pop(id, None)

    def all(self) -> Iterator[Posting]:
        """Yield all postings, first those that are the first of their ids."""
        return chain(self.values(), *self.others.values())
