"""Lists in pages, each short enough to wait in memory for a reader that stalls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

MAX_LISTED = 500  # items of a page
PAGE_BYTES = 32 * 1024  # approximate bytes of UTF-8 in a page; it has at least one item

Item = TypeVar("Item")


class ListPart(NamedTuple):
    """The requested part of a list.

    Without `after` it is the beginning of the list in the list's own order. With `after` it is the items that follow a
    name in the order of names, so a whole list can be read page by page although it changes meanwhile; `after=""`
    begins with the first name.
    """

    after: str | None = None
    limit: int = MAX_LISTED


def page(items: Sequence[Item], limit: int, size: Callable[[Item], int]) -> Sequence[Item]:
    """Return the first items of a list: one at least, `limit` at most, within PAGE_BYTES as `size` measures them."""
    total = 0
    for count, item in enumerate(items[:limit]):
        total += size(item)
        if total > PAGE_BYTES:
            return items[: count or 1]
    return items[:limit]
