"""Lists that are shown page by page: no page is longer than what may wait for a reader that stalls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

MAX_LISTED = 500  # items of a page
PAGE_BYTES = 32 * 1024  # of UTF-8 in a page, about; at least one item is on it

Item = TypeVar("Item")


class ListPart(NamedTuple):
    """The part of a list that is asked for.

    That is its beginning, in the list's own order. With `after` it is what follows a name, in the order of names: so
    all of a list is read page by page, whatever changes meanwhile; `after=""` begins with the first name.
    """

    after: str | None = None
    limit: int = MAX_LISTED


def page(items: Sequence[Item], limit: int, size: Callable[[Item], int]) -> Sequence[Item]:
    """Return the first items of a list: at most `limit`, and at most PAGE_BYTES by what `size` says of each."""
    total = 0
    for count, item in enumerate(items[:limit]):
        total += size(item)
        if total > PAGE_BYTES:
            return items[: count or 1]
    return items[:limit]
